//! Reading a large table of PostgreSQL, and one of MariaDB, against bare programs that do nothing else, in the same run.
//!
//! ```text
//! cargo bench --bench sources                                     1 M and 5 M rows × 8 columns
//! SYNCLINE_BENCH_ROWS=20000000 cargo bench --bench sources        other numbers: the rows of the larger table
//! SYNCLINE_POSTGRESQL_DRIVER=…/libadbc_driver_postgresql.so cargo bench --bench sources
//! ```
//!
//! It starts servers of its own. PostgreSQL's rivals are binary `copy` in a program that only makes Arrow batches of it, and,
//! where the variable names its driver, ADBC's reader; MariaDB's is the driver itself, in a program that drops the rows. Every figure is taken in a process of its own, so that its peak of
//! memory is its own; readers take turns, so that what disturbs one disturbs all; the best of the runs counts. The aim:
//! not slower than the better of the two, and a peak of memory that does not grow with the rows.

#[path = "sources/copy.rs"]
mod copy;
#[path = "sources/figure.rs"]
mod figure;
#[path = "../tests/mysql.rs"]
#[allow(dead_code)]
mod mysql;
#[path = "../tests/postgres.rs"]
#[allow(dead_code)]
mod postgres;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use adbc_core::options::{AdbcVersion, OptionDatabase};
use adbc_core::{Connection as _, Database as _, Driver as _, Statement as _};
use adbc_driver_manager::ManagedDriver;
use figure::Figure;
use serde_json::json;
use syncline::manifest::source::SourceType;
use syncline::secret::Connection;
use syncline::sources::{self, Query};

/// Says what this process is to read with, from where, and what.
const ROLE: &str = "SYNCLINE_BENCH_ROLE";
const URL: &str = "SYNCLINE_BENCH_URL";
const TABLE: &str = "SYNCLINE_BENCH_TABLE";
const DRIVER: &str = "SYNCLINE_POSTGRESQL_DRIVER";
const RUNS: usize = 3;

/// A name in the output, and the role of the process that takes the figure.
type Reader = (&'static str, &'static str);

const POSTGRES: [Reader; 3] =
    [("syncline", "syncline"), ("binary copy, bare program", "copy"), ("ADBC driver, bare program", "adbc")];
const MARIADB: [Reader; 2] = [("syncline", "syncline mysql"), ("mysql_async, rows dropped", "mysql_async")];

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (url, table) = (variable(URL), variable(TABLE));
    match variable(ROLE).as_str() {
        "syncline" => return measured(|| syncline(SourceType::Postgres, &url, &table)),
        "syncline mysql" => return measured(|| syncline(SourceType::Mysql, &format!("{url}?sslmode=disable"), &table)),
        "mysql_async" => return measured(|| dropped(&url, &table)),
        "copy" => return measured(|| copy::read(&url, &table)),
        "adbc" => return measured(|| adbc(&url, &table)),
        _ => {}
    }
    let large: u64 = variable("SYNCLINE_BENCH_ROWS").parse().unwrap_or(5_000_000);
    let small = large / 5;
    if let Some(server) = mysql::server() {
        let database = server.database(&format!("{}; {}", create_mysql("small", small), create_mysql("large", large)));
        compare("MariaDB", &MARIADB, &server.url(&database), small, large);
    }
    let Some(server) = postgres::server() else { return };
    let database = server.database(&format!("{}; {}", create("small", small), create("large", large)));
    server.run(&database, "vacuum freeze analyze");
    let with_adbc = std::env::var_os(DRIVER).is_some_and(|driver| PathBuf::from(driver).is_file());
    if !with_adbc {
        println!("ADBC: SKIPPED, {DRIVER} names no driver");
    }
    let readers: Vec<Reader> = POSTGRES.into_iter().filter(|(_, role)| with_adbc || *role != "adbc").collect();
    // The bare program does not encrypt: neither must the others, which would where the server offers it.
    compare("PostgreSQL", &readers, &format!("{}?sslmode=disable", server.url(&database)), small, large);
}

/// Takes and prints the figures of all readers.
fn compare(system: &str, readers: &[Reader], url: &str, small: u64, large: u64) {
    println!("{system}, rows × 8 columns; best of {RUNS} runs in turn\n");
    println!(
        "| reader | rows | seconds | processor seconds | rows a second | peak memory |\n|:--|--:|--:|--:|--:|--:|"
    );
    let mut best = Vec::new();
    for (table, rows) in [("small", small), ("large", large)] {
        let mut figures: Vec<Option<Figure>> = readers.iter().map(|_| None).collect();
        for _ in 0..RUNS {
            for ((_, role), best) in readers.iter().zip(&mut figures) {
                let figure = taken(role, url, table, rows);
                *best = Some(match best.take() {
                    Some(old) => old.faster(figure),
                    None => figure,
                });
            }
        }
        let figures: Vec<Figure> = figures.into_iter().flatten().collect();
        for ((name, _), figure) in readers.iter().zip(&figures) {
            let Figure { seconds, processor, mebibytes, .. } = figure;
            let speed = rows as f64 / seconds;
            println!("| {name} | {rows} | {seconds:.2} | {processor:.2} | {speed:.0} | {mebibytes:.0} MiB |");
        }
        best = figures;
    }
    let (own, rivals) = best.split_first().expect("the first reader is our own");
    let rival = rivals.iter().map(|rival| rival.seconds).fold(f64::INFINITY, f64::min);
    println!("\nsyncline / the better rival, {large} rows: {:.2} (aim: at most 1)\n", own.seconds / rival);
}

/// A table of people, with a column of every common kind, and nulls.
fn create(table: &str, rows: u64) -> String {
    format!(
        "create table {table} as select i::bigint as id, 'person' || i || '@example.com' as email, \
         'First Last ' || i as name, (array['free', 'premium', 'ultimate'])[1 + i % 3] as plan, \
         case when i % 7 > 0 then (i % 500)::int end as seats, (i % 100000 * 0.37)::numeric(12, 2) as mrr, \
         i % 2 = 0 as active, timestamptz '2020-01-01 00:00:00Z' + i * interval '13 seconds' as created_at \
         from generate_series(1, {rows}) i"
    )
}

/// The same in MariaDB.
fn create_mysql(table: &str, rows: u64) -> String {
    format!(
        "create table {table} (id bigint, email varchar(100), name varchar(100), plan varchar(10), seats int, \
         mrr decimal(12, 2), active boolean, created_at timestamp null); \
         insert into {table} select seq, concat('person', seq, '@example.com'), concat('First Last ', seq), \
         elt(1 + seq % 3, 'free', 'premium', 'ultimate'), if(seq % 7 > 0, seq % 500, null), seq % 100000 * 0.37, \
         seq % 2 = 0, timestamp('2020-01-01') + interval seq * 13 second from seq_1_to_{rows}"
    )
}

/// Takes a figure in a process of its own.
fn taken(role: &str, url: &str, table: &str, rows: u64) -> Figure {
    let this = std::env::current_exe().expect("the running program has a path");
    let mut command = Command::new(this);
    let output = command.env(ROLE, role).env(URL, url).env(TABLE, table).output().expect("a process");
    let figure = Figure::read(&output.stdout);
    let figure = figure.unwrap_or_else(|| panic!("{role}: no figure\n{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(figure.rows, rows, "{role} has read all rows");
    figure
}

fn measured(read: impl FnOnce() -> u64) {
    let start = Instant::now();
    let rows = read();
    Figure::since(start, rows).print();
}

/// The library's stream, every value decoded.
fn syncline(kind: SourceType, url: &str, table: &str) -> u64 {
    let values = serde_json::Map::from_iter([("url".to_owned(), json!(url))]);
    let source = sources::open(kind, &Connection::new(values, Vec::new())).expect("a connection");
    let query = Query::Table { name: table.to_owned(), columns: None, filter: None };
    let streams = source.read(&query, None).expect("a table");
    streams
        .into_iter()
        .flatten()
        .map(|batch| std::hint::black_box(batch.expect("a batch").rows).num_rows() as u64)
        .sum()
}

/// ADBC's driver, as its manual has it.
fn adbc(url: &str, table: &str) -> u64 {
    let path = std::env::var_os(DRIVER).expect("asked for only where it is set");
    let mut driver = ManagedDriver::load_dynamic_from_filename(path, None, AdbcVersion::V110).expect("a driver");
    let database = driver.new_database_with_opts([(OptionDatabase::Uri, url.into())]).expect("a database");
    let mut connection = database.new_connection().expect("a connection");
    let mut statement = connection.new_statement().expect("a statement");
    statement.set_sql_query(format!("select * from {table}")).expect("SQL");
    let reader = statement.execute().expect("a result");
    reader.map(|batch| std::hint::black_box(batch.expect("a batch")).num_rows() as u64).sum()
}

/// What the driver alone takes.
fn dropped(url: &str, table: &str) -> u64 {
    use mysql_async::prelude::Queryable;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection =
            mysql_async::Conn::from_url(format!("{url}?prefer_socket=false")).await.expect("a connection");
        let mut result = connection.exec_iter(format!("select * from {table}"), ()).await.expect("a result");
        let mut rows = 0;
        result.for_each(|_| rows += 1).await.expect("all rows");
        rows
    })
}
