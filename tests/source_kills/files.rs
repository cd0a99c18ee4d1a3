//! Files that are cut before they are read and while they are read, and databases in files that are locked.

use std::fs::OpenOptions;
use std::path::Path;

use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::watch::Running;
use super::{Before, PEOPLE, comes_right, expected, people, people_batch, project, start};
use crate::project::Project;

/// Ballast of a row: large enough that reading all of them takes a while.
const BALLAST: usize = 1 << 20;

/// Text that no format makes smaller by much.
fn ballast(id: usize) -> String {
    let mut dice = id as u64 + 1;
    let letter = |_| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        char::from(b'a' + (dice % 26) as u8)
    };
    (0..BALLAST).map(letter).collect()
}

/// A kind of file, how it is written, and what is said of one that was cut.
struct Case {
    name: &'static str,
    source: &'static str,
    file: &'static str,
    write: fn(&Path, bool),
    /// Where in the bytes the process reads it is stopped, in percent of the file.
    stop_at: u64,
    before: &'static [&'static str],
    meanwhile: &'static [&'static str],
}

const FILES: &str = "name: shop\ntype: files\nconnection: { path: data }\n";

const CASES: &[Case] = &[
    Case {
        name: "CSV",
        source: FILES,
        file: "data/people.csv",
        write: |path, later| {
            // The last field is a short one: cut within it, a line would still look whole.
            let row = |(id, seats)| format!("{id},p{id}@x.io,{},{seats}\n", ballast(id));
            write_text(path, &format!("id,email,pad,seats\n{}", people(later).map(row).collect::<String>()));
        },
        // It is read twice: for its types, and for its rows. In between the snapshot, which is as large, is held against
        // its checksum, and so it is below.
        stop_at: 230,
        before: &["people.csv`, line"],
        meanwhile: &["people.csv", "changed while it was read"],
    },
    Case {
        name: "JSON lines",
        source: FILES,
        file: "data/people.jsonl",
        write: |path, later| {
            let row = |(id, seats)| {
                format!("{{\"id\":{id},\"email\":\"p{id}@x.io\",\"seats\":{seats},\"pad\":\"{}\"}}\n", ballast(id))
            };
            write_text(path, &people(later).map(row).collect::<String>());
        },
        stop_at: 230,
        before: &["people.jsonl`, line"],
        meanwhile: &["people.jsonl", "changed while it was read"],
    },
    Case {
        name: "Parquet",
        source: FILES,
        file: "data/people.parquet",
        write: write_parquet,
        stop_at: 130,
        before: &["people.parquet", "cut or damaged"],
        meanwhile: &["people.parquet", "changed while it was read"],
    },
    Case {
        name: "SQLite",
        source: "name: shop\ntype: sqlite\nconnection: { path: data/shop.db }\n",
        file: "data/shop.db",
        write: write_sqlite,
        stop_at: 130,
        before: &["shop.db", "malformed"],
        meanwhile: &["shop.db", "cut or replaced while it was read"],
    },
];

fn write_text(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
}

fn write_parquet(path: &Path, later: bool) {
    let rows: Vec<(usize, usize)> = people(later).collect();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(5))
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false);
    let file = std::fs::File::create(path).expect("a file");
    let batch = people_batch(&rows, ballast);
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn write_sqlite(path: &Path, later: bool) {
    let _ = std::fs::remove_file(path);
    let mut database = rusqlite::Connection::open(path).expect("a database");
    let create = "create table people (id bigint primary key, email text, seats integer, pad text)";
    database.execute_batch(create).expect("a table");
    let transaction = database.transaction().expect("a transaction");
    for (id, seats) in people(later) {
        let row = (id as i64, format!("p{id}@x.io"), seats as i64, ballast(id));
        transaction.execute("insert into people values (?, ?, ?, ?)", row).expect("a row");
    }
    transaction.commit().expect("an end");
}

/// A file half of which is gone.
fn cut(path: &Path) -> u64 {
    let file = OpenOptions::new().write(true).open(path).expect("a file");
    let length = file.metadata().expect("its length").len();
    file.set_len(length / 2).expect("a shorter file");
    length
}

/// An apply that is held in the middle of reading a file, at a part of it in percent.
fn held_in_the_middle(project: &Project, file: &Path, percent: u64) -> Running {
    let length = std::fs::metadata(file).expect("a file").len();
    for _ in 0..10 {
        let mut running = start(project);
        if running.hold_between(length * percent / 100, length * (percent + 50) / 100) {
            return running;
        }
        // It was past it before it could be stopped: it is let go, and what it did is not looked at.
        running.go_on();
        running.end();
    }
    panic!("it was too fast ten times");
}

#[test]
fn a_file_that_is_cut_before_or_during_the_read_removes_nobody() {
    for Case { name, source, file, write, stop_at, before, meanwhile } in CASES {
        let project = project(source, "table: { name: people }");
        let path = project.path(file);
        write(&path, false);
        let held = Before::applied(&project);
        assert_eq!(held.held, expected(false, BALLAST), "{name}");

        write(&path, true);
        cut(&path);
        held.stands(&project, &format!("{name}, cut before"), &project.apply(&[]), before);

        // The same people as before: if it gets past us, nothing has changed.
        write(&path, false);
        let running = held_in_the_middle(&project, &path, *stop_at);
        cut(&path);
        running.go_on();
        held.stands(&project, &format!("{name}, cut meanwhile"), &running.end(), meanwhile);

        write(&path, true);
        comes_right(&project, &expected(true, BALLAST));
    }
}

#[test]
fn a_file_that_is_replaced_by_an_empty_one_during_the_read_removes_nobody() {
    for Case { name, source, file, write, stop_at, meanwhile, .. } in CASES.iter().take(3) {
        let project = project(source, "table: { name: people }");
        let path = project.path(file);
        write(&path, false);
        let held = Before::applied(&project);
        let running = held_in_the_middle(&project, &path, *stop_at);
        std::fs::write(&path, "").expect("a file");
        running.go_on();
        held.stands(&project, name, &running.end(), meanwhile);
        write(&path, true);
        comes_right(&project, &expected(true, BALLAST));
    }
}

#[test]
fn a_sqlite_database_that_is_locked_is_said_to_be() {
    let case = &CASES[3];
    let project = project(case.source, "table: { name: people }");
    let path = project.path(case.file);
    (case.write)(&path, false);
    let held = Before::applied(&project);
    (case.write)(&path, true);
    let other = rusqlite::Connection::open(&path).expect("a database");
    other.execute_batch("begin exclusive").expect("a lock");
    held.stands(&project, "locked", &project.apply(&[]), &["shop.db", "locked"]);
    other.execute_batch("rollback").expect("no lock");
    comes_right(&project, &expected(true, BALLAST));
}

#[test]
fn a_duckdb_file_that_is_cut_before_or_during_the_read_removes_nobody() {
    let Some(library) = crate::sources::duckdb::library() else { return };
    let source =
        format!("name: shop\ntype: duckdb\nconnection: {{ path: data/shop.duckdb, driver: {} }}\n", library.display());
    let project = project(&source, "table: { name: people }");
    let path = project.path("data/shop.duckdb");
    let write = |later: bool| {
        let _ = std::fs::remove_file(&path);
        let rows = people(later)
            .map(|(id, seats)| format!("insert into people values ({id}, 'p{id}@x.io', {seats}, '{}')", ballast(id)));
        let mut statements = vec!["create table people (id bigint, email varchar, seats int, pad varchar)".to_owned()];
        statements.extend(rows);
        statements.push("checkpoint".to_owned());
        crate::sources::duckdb::run(&library, &path, statements.iter().map(String::as_str));
    };
    write(false);
    let held = Before::applied(&project);
    assert_eq!(held.held, expected(false, BALLAST));
    write(true);
    cut(&path);
    held.stands(&project, "cut before", &project.apply(&[]), &["duckdb `"]);
    write(false);
    let running = held_in_the_middle(&project, &path, 20);
    cut(&path);
    running.go_on();
    held.stands(&project, "cut meanwhile", &running.end(), &["duckdb `"]);
    write(true);
    comes_right(&project, &expected(true, BALLAST));
    assert_eq!(PEOPLE, 40);
}
