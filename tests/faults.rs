//! What can go wrong between a source and a destination: one clear message, a non-zero exit, nothing lost, no secret, and
//! the next good run goes on as if nothing had been.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::databases::rows;
use crate::engines::Engine;
use crate::postgres::server;
use crate::project::{Project, Ran, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n  plan: plan\n  seats: seats\n";
const HEADER: &str = "id,email,name,plan,seats\n";
const COUNT: &str = "select count(*) from people";

/// Exit code and what stderr must name; never a panic, and nothing that only a debugger understands.
#[track_caller]
fn says(ran: &Ran, what: &str, code: i32, named: &[&str]) {
    let Ran { stdout, stderr, .. } = ran;
    assert_eq!(ran.code, code, "{what}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    for name in named {
        assert!(stderr.contains(name), "{what}: `{name}` is not named in\n{stderr}");
    }
    for never in ["panicked", "RUST_BACKTRACE", "correct-horse", "s3cret-canary", "Error {", "Some("] {
        assert!(!stderr.contains(never) && !stdout.contains(never), "{what}: `{never}` in\n{stdout}\n{stderr}");
    }
    assert!(code != 1 || stderr.matches("error").count() <= 2, "{what}: more than one message\n{stderr}");
}

/// What a fault in a file does to a sync that has worked before: puts something in place of `data/people.csv`.
type Fault = fn(&Project);

fn put(project: &Project, name: &str, bytes: &[u8]) {
    fs::remove_file(project.path("data/people.csv")).unwrap();
    fs::write(project.path(name), bytes).unwrap();
}

#[test]
fn broken_files_conclude_nothing() {
    // What is wrong, how it came to be, what the message names.
    let cases: &[(&str, Fault, &[&str])] = &[
        (
            "a folder in place of the file",
            |p| {
                fs::remove_file(p.path("data/people.csv")).unwrap();
                fs::create_dir(p.path("data/people.csv")).unwrap();
            },
            &["people"],
        ),
        ("an empty file", |p| put(p, "data/people.csv", b""), &["people.csv", "empty"]),
        (
            "two columns of one name",
            |p| p.edit("data/people.csv", "id,email,name", "id,email,email"),
            &["people.csv", "`email`"],
        ),
        ("a nameless column", |p| p.edit("data/people.csv", "id,email,name", "id,,name"), &["people.csv"]),
        (
            "a separator there is not",
            |p| p.edit("data/people.csv", ",", ":"),
            &["source `files`", "no such column: id"],
        ),
        (
            "another separator than in the header",
            |p| p.edit("data/people.csv", HEADER, &HEADER.replace(',', ";")),
            &["people.csv", "line 2", "the header has 5"],
        ),
        (
            "Latin-1",
            |p| put(p, "data/people.csv", b"id,email,name,plan,seats\n1,a@x.io,Zo\xeb,free,1\n"),
            &["people.csv", "line 2", "`name`", "UTF-8"],
        ),
        (
            "UTF-16",
            |p| {
                let text: Vec<u8> = people_csv(3).encode_utf16().flat_map(u16::to_le_bytes).collect();
                put(p, "data/people.csv", &[b"\xff\xfe".as_slice(), &text].concat());
            },
            &["people.csv", "UTF-8"],
        ),
        (
            "UTF-16 without a mark",
            |p| {
                let text: Vec<u8> = people_csv(3).encode_utf16().flat_map(u16::to_le_bytes).collect();
                put(p, "data/people.csv", &text);
            },
            &["people.csv", "a column name holds zero bytes"],
        ),
        (
            "a quote that never ends",
            |p| p.edit("data/people.csv", "Person 7,", "\"Person 7,"),
            &["people.csv", "line 8"],
        ),
        (
            "a field too many",
            |p| p.edit("data/people.csv", "Person 7,", "Person 7,,"),
            &["people.csv", "line 8", "6 fields"],
        ),
        (
            "a broken JSON line",
            |p| {
                put(
                    p,
                    "data/people.jsonl",
                    b"{\"id\":1,\"email\":\"a\",\"name\":\"n\",\"plan\":\"x\",\"seats\":1}\n{\"id\":2,\n",
                )
            },
            &["people.jsonl", "line 2"],
        ),
        ("JSON lines that are no objects", |p| put(p, "data/people.jsonl", b"[1,2]\n"), &["people.jsonl", "line 1"]),
        ("no Parquet", |p| put(p, "data/people.parquet", b"PAR1 and no more PAR1"), &["people.parquet"]),
        ("an empty Parquet file", |p| put(p, "data/people.parquet", b""), &["people.parquet"]),
        (
            "two files for one table",
            |p| fs::write(p.path("data/people.jsonl"), "{}\n").unwrap(),
            &["people.csv", "people.jsonl"],
        ),
    ];
    for (what, fault, named) in cases {
        let project = Project::people("mirror", FIELDS);
        let good = people_csv(10);
        project.write("data/people.csv", &good);
        project.apply(&[]).code(0);
        fault(&project);
        says(&project.apply(&[]), what, 1, named);
        assert_eq!(project.rows("out/crm.db", COUNT), ["10"], "{what}");
        fs::remove_dir_all(project.path("data")).unwrap();
        project.write("data/people.csv", &good.replace("Person 4,", "Person Four,"));
        let run = project.apply(&["--format", "json"]).code(0).json();
        assert_eq!(
            (number(&run, "/syncs/0/succeeded/changed"), number(&run, "/syncs/0/succeeded/removed")),
            (1, 0),
            "{what}"
        );
    }
}

#[test]
fn a_row_far_down_the_file_is_named_and_nothing_before_it_is_sent() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(75_000).replace("Person 70000,", "Person, 70000,"));
    says(&project.apply(&[]), "csv", 1, &["people.csv", "line 70001"]);
    assert!(!project.path("out/crm.db").exists());
    let line =
        |id: usize| format!("{{\"id\":{id},\"email\":\"p{id}@x.io\",\"name\":\"n\",\"plan\":\"free\",\"seats\":1}}\n");
    let lines: String = (1..=75_000).map(|id| if id == 70_000 { "{\"id\":\n".to_owned() } else { line(id) }).collect();
    put(&project, "data/people.jsonl", lines.as_bytes());
    says(&project.apply(&[]), "jsonl", 1, &["people.jsonl", "line 70000"]);
    assert!(!project.path("out/crm.db").exists());
}

#[test]
fn a_parquet_file_cut_anywhere_is_an_error() {
    let project = Project::people("mirror", FIELDS);
    let fields = ["id", "email", "name", "plan", "seats"].map(|n| {
        let kind = if n == "id" || n == "seats" { arrow_schema::DataType::Int64 } else { arrow_schema::DataType::Utf8 };
        arrow_schema::Field::new(n, kind, true)
    });
    let line = |id: usize| {
        format!("{{\"id\":{id},\"email\":\"p{id}@x.io\",\"name\":\"n{id}\",\"plan\":\"free\",\"seats\":1}}\n")
    };
    let lines: String = (1..=1000).map(line).collect();
    crate::databases::write_parquet(
        &project,
        "data/people.parquet",
        arrow_schema::Schema::new(fields.to_vec()),
        &lines,
    );
    project.apply(&[]).code(0);
    let whole = fs::read(project.path("data/people.parquet")).unwrap();
    for keep in [whole.len() / 2, whole.len() - 1, 12, 3] {
        fs::write(project.path("data/people.parquet"), &whole[..keep]).unwrap();
        says(&project.apply(&[]), "cut", 1, &["people.parquet"]);
    }
    // Damage in the middle of the data, where only reading meets it.
    let mut damaged = whole.clone();
    let half = whole.len() / 3;
    damaged[half..half + 64].fill(0xff);
    fs::write(project.path("data/people.parquet"), &damaged).unwrap();
    let ran = project.apply(&[]);
    assert!(!ran.stderr.contains("panicked") && [0, 1, 3].contains(&ran.code), "{}", ran.stderr);
    assert_eq!(project.rows("out/crm.db", COUNT), ["1000"]);
    fs::write(project.path("data/people.parquet"), &whole).unwrap();
    project.run(&["plan", "--detailed-exitcode"]).code(if ran.code == 0 { 2 } else { 0 });
}

#[test]
fn files_that_only_look_odd_are_read() {
    let long = "x".repeat(12 << 20);
    let cases = [
        ("a byte order mark", format!("\u{feff}{HEADER}1,a@x.io,Ann,free,1\n"), "1|Ann"),
        ("CRLF", format!("{HEADER}1,a@x.io,Ann,free,1\n").replace('\n', "\r\n"), "1|Ann"),
        ("no line end at the end", format!("{HEADER}1,a@x.io,Ann,free,1"), "1|Ann"),
        ("blank lines", format!("{HEADER}\n1,a@x.io,Ann,free,1\n\n"), "1|Ann"),
        ("a very long line", format!("{HEADER}1,a@x.io,{long},free,1\n"), "12582912|xxx"),
    ];
    for (what, text, expected) in cases {
        let project = Project::people("mirror", FIELDS);
        project.write("data/people.csv", &text);
        says(&project.apply(&[]), what, 0, &[]);
        let held =
            "select case when length(name) > 9 then length(name) else count(*) end, substr(name, 1, 3) from people";
        assert_eq!(project.rows("out/crm.db", held), [expected], "{what}");
    }
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    project.apply(&[]).code(0);
    project.write("data/people.csv", HEADER);
    let refused = project.apply(&[]).code(3);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("empty"));
    assert_eq!(project.rows("out/crm.db", COUNT), ["3"]);
}

#[test]
fn manifests_and_sql_are_read_as_windows_editors_write_them() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    project.write("models/people.sql", "select id, email, name, plan, seats\nfrom people\n");
    project.edit("models/people.yaml", "sql: select id, email, name, plan, seats from people", "sql_file: people.sql");
    for name in ["syncline.yaml", "sources/files.yaml", "models/people.yaml", "models/people.sql", "syncs/people.yaml"]
    {
        project.write(name, &format!("\u{feff}{}", project.read(name).replace('\n', "\r\n")));
    }
    says(&project.apply(&[]), "byte order marks and CRLF", 0, &[]);
    assert_eq!(project.rows("out/crm.db", COUNT), ["3"]);
}

#[test]
fn a_sqlite_database_that_cannot_be_read_concludes_nothing() {
    let project = Project::people("mirror", FIELDS);
    project.write("sources/files.yaml", "name: files\ntype: sqlite\nconnection: { path: data/shop.db }\n");
    project.sql(
        "data/shop.db",
        "create table people (id integer, email text, name text, plan text, seats integer); \
         insert into people values (1, 'a@x.io', 'Ann', 'free', 1), (2, 'b@x.io', 'Bob', 'free', 2)",
    );
    project.apply(&[]).code(0);
    let whole = fs::read(project.path("data/shop.db")).unwrap();

    let lock = Connection::open(project.path("data/shop.db")).unwrap();
    lock.execute_batch("begin exclusive; delete from people").unwrap();
    let start = Instant::now();
    says(&project.apply(&[]), "locked", 1, &["shop.db", "locked"]);
    assert!(start.elapsed() < Duration::from_secs(30), "waited {:?}", start.elapsed());
    lock.execute_batch("rollback").unwrap();
    drop(lock);

    let cut = [&whole[..whole.len() / 2], &[]].concat();
    for (what, bytes) in [("no database", b"id,email\n1,a@x.io\n".as_slice()), ("cut", &cut), ("empty", b"")] {
        fs::write(project.path("data/shop.db"), bytes).unwrap();
        let named = if what == "empty" { "people" } else { "shop.db" };
        says(&project.apply(&[]), what, 1, &[named]);
    }
    fs::remove_file(project.path("data/shop.db")).unwrap();
    says(&project.apply(&[]), "gone", 1, &["shop.db"]);
    assert!(!project.path("data/shop.db").exists(), "reading makes no database");
    fs::write(project.path("data/shop.db"), &whole).unwrap();
    assert_eq!(project.rows("out/crm.db", COUNT), ["2"]);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn a_sqlite_destination_that_cannot_be_written_loses_nothing() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(5));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(8));
    let lock = Connection::open(project.path("out/crm.db")).unwrap();
    lock.execute_batch("begin exclusive").unwrap();
    let start = Instant::now();
    let ran = project.apply(&[]);
    says(&ran, "locked", 1, &["crm.db", "locked"]);
    assert!(start.elapsed() < Duration::from_secs(60), "waited {:?}", start.elapsed());
    lock.execute_batch("rollback").unwrap();
    drop(lock);
    project.sql("out/crm.db", "alter table people rename column seats to chairs");
    project.edit("syncs/people.yaml", "create: true", "create: false");
    says(&project.apply(&[]), "column gone", 1, &["people", "`seats`"]);
    project.sql("out/crm.db", "alter table people rename column chairs to seats");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", COUNT), ["8"]);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

/// Rows of a view, so that tests can change what a read does without changing the project.
const SHOP: &str = "create view people as select i as id, 'p' || i || '@x.io' as email, 'Person ' || i as name, \
    'free'::text as plan, i % 7 as seats from generate_series(1, 20) i";
const CRM: &str = "create table people (email text primary key, name text, plan text, seats int)";

/// The same in MariaDB.
const MYSQL_SHOP: &str = "create view people as select seq as id, concat('p', seq, '@x.io') as email, \
    concat('Person ', seq) as name, 'free' as plan, seq % 7 as seats from seq_1_to_20";
const MYSQL_CRM: &str = "create table people (email varchar(100) primary key, name text, plan text, seats int)";

fn warehouse(engine: Engine, shop: &str, crm: &str) -> Project {
    let project = Project::people("mirror", FIELDS);
    project.write("password", engine.password());
    project.write("wrong", "s3cret-canary");
    project.write("sources/files.yaml", &engine.yaml("files", shop));
    project.write("destinations/crm.yaml", &engine.yaml("crm", crm));
    project.edit("syncs/people.yaml", "create: true", "create: false");
    project
}

/// What is wrong, in the file, this text, becomes this, and the message names.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Each of these keeps source and destination from being reached, as do an unknown host and a port where nothing listens.
fn refusals_are_named(project: &Project, port: u16, cases: &[Refusal]) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, closed) = (format!("port: {port}"), format!("port: {free}"));
    let network: &[Refusal] = &[
        ("an unknown host", &[("127.0.0.1", "no-such-host.invalid")], "no-such-host.invalid"),
        ("a refused port", &[(&port, &closed)], &closed[6..]),
    ];
    for file in ["sources/files.yaml", "destinations/crm.yaml"] {
        for (what, edits, named) in network.iter().chain(cases) {
            let good = project.read(file);
            edits.iter().for_each(|(from, to)| project.edit(file, from, to));
            // Something to send, so that the destination is asked at all.
            project.write(
                "models/people.yaml",
                &project.read("models/people.yaml").replace("name, plan", "upper(name) as name, plan"),
            );
            let ran = project.apply(&[]);
            says(&ran, &format!("{file}: {what}"), 1, &[named]);
            assert!(ran.stderr.contains("sync `people`"), "{file}: {what}: the sync is not named\n{}", ran.stderr);
            project.write(file, &good);
            project.edit("models/people.yaml", "upper(name) as name", "name");
            project.run(&["plan", "--detailed-exitcode"]).code(0);
        }
    }
}

#[test]
fn what_a_postgresql_source_or_destination_refuses_is_named() {
    let Some(server) = server() else { return };
    let (shop, crm) = (server.database(SHOP), server.database(CRM));
    server.run(
        &shop,
        "do $$ begin create role nobody_here login password 's3cret-canary'; exception when duplicate_object then null; end $$",
    );
    let project = warehouse(Engine::Postgres(server), &shop, &crm);
    project.apply(&[]).code(0);
    let (own, role) = ("user: postgres", "user: nobody_here");
    let cases: &[Refusal] = &[
        ("a wrong password", &[("file('password')", "file('wrong')")], "password authentication failed"),
        ("an unknown database", &[("database: ", "database: no_")], "does not exist"),
        ("an unknown role", &[(own, "user: ghost")], "ghost"),
        ("no permission", &[(own, role), ("file('password')", "file('wrong')")], "permission denied"),
    ];
    refusals_are_named(&project, server.port, cases);
    let model = project.read("models/people.yaml");
    let statements = [
        ("from people", "from persons", &["persons", "line 1", "model `people`"] as &[&str]),
        ("select id", "select idd", &["idd", "column 8"]),
        ("select id, email", "select id email", &["column"]),
        ("name, plan", "('99999999999' || name)::int as name, plan", &["value … is out of range for type integer"]),
        ("name, plan", "(id * 99999999999)::text::int as name, plan", &["out of range"]),
        ("name, plan", "(1 / (id - 7))::text as name, plan", &["division by zero"]),
    ];
    for (from, to, named) in statements {
        project.write("models/people.yaml", &model.replace(from, to));
        let ran = project.apply(&[]);
        says(&ran, to, 1, named);
        assert!(
            !ran.stderr.contains("Person") && !ran.stderr.contains("99999999999\""),
            "{to}: a value of the data\n{}",
            ran.stderr
        );
    }
    project.write("models/people.yaml", &model);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    assert_eq!(rows(server, &crm, COUNT), ["20"]);
}

#[test]
fn what_a_mysql_source_or_destination_refuses_is_named() {
    let Some(server) = crate::mysql::server() else { return };
    let engine = Engine::Mysql(server);
    let (shop, crm) = (engine.database(MYSQL_SHOP), engine.database(MYSQL_CRM));
    server.run("", "create user if not exists nobody_here identified by 's3cret-canary'");
    let project = warehouse(engine, &shop, &crm);
    project.apply(&[]).code(0);
    let (own, user) = ("user: tester", "user: nobody_here");
    let cases: &[Refusal] = &[
        ("a wrong password", &[("file('password')", "file('wrong')")], "Access denied for user 'tester'"),
        ("an unknown database", &[("database: ", "database: no_")], "Unknown database"),
        ("an unknown user", &[(own, "user: ghost")], "ghost"),
        (
            "no permission",
            &[(own, user), ("file('password')", "file('wrong')")],
            "Access denied for user 'nobody_here'",
        ),
    ];
    refusals_are_named(&project, server.port, cases);
    // Rights to read, and not to write.
    let grant =
        format!("grant select on {crm}.people to nobody_here; grant create temporary tables on {crm}.* to nobody_here");
    server.run("", &grant);
    let good = project.read("destinations/crm.yaml");
    project.edit("destinations/crm.yaml", own, user);
    project.edit("destinations/crm.yaml", "file('password')", "file('wrong')");
    project.edit("models/people.yaml", "name, plan", "upper(name) as name, plan");
    says(&project.apply(&[]), "no right to write", 1, &["UPDATE command denied", "grant the user"]);
    project.write("destinations/crm.yaml", &good);
    project.apply(&[]).code(0);
    assert_eq!(engine.rows(&crm, "select sum(name like binary 'PERSON%') from people"), ["20"]);
}

#[test]
fn a_read_that_is_cut_off_concludes_nothing() {
    let Some(server) = server() else { return };
    let (shop, crm) = (server.database(SHOP), server.database(CRM));
    let project = warehouse(Engine::Postgres(server), &shop, &crm);
    project.apply(&[]).code(0);
    // Some rows come at once, then the server takes its time.
    let slow = SHOP.replace("create view", "create or replace view").replace("20) i", "5) i");
    server.run(
        &shop,
        &format!(
            "{slow} union all select i, repeat('x', 2000), '', 'free', 0 from generate_series(100, 200) i \
        union all select 999, 's@x.io', pg_sleep(60)::text, '', 0"
        ),
    );
    let child = project
        .command(&["apply", "--auto-approve"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let busy = format!("select count(*) from pg_stat_activity where datname = '{shop}' and wait_event = 'PgSleep'");
    let start = Instant::now();
    while rows(server, "postgres", &busy) == ["0"] {
        assert!(start.elapsed() < Duration::from_secs(30), "the query never started");
        std::thread::sleep(Duration::from_millis(30));
    }
    let kill = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{shop}' and wait_event = 'PgSleep'"
    );
    server.run("postgres", &kill);
    let output = child.wait_with_output().unwrap();
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    says(&ran, "terminated", 1, &["the connection broke", "people"]);
    assert_eq!(rows(server, &crm, COUNT), ["20"], "nothing is removed, nothing is sent");
    server.run(&shop, &format!("drop view people; {SHOP}"));
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn a_destination_that_changes_between_plan_and_apply_loses_nothing() {
    let Some(server) = server() else { return };
    let shop = server.database(SHOP);
    // What happens to the table, exit code and what is named, and how it is put right.
    let cases = [
        ("drop table people", 1, "`people`", CRM),
        ("alter table people drop column seats", 1, "`seats`", "alter table people add column seats int"),
        ("alter table people rename to persons", 1, "`people`", "alter table persons rename to people"),
        (
            "alter table people alter column seats type date using null",
            4,
            "seats",
            "alter table people alter column seats type int using null",
        ),
    ];
    for (fault, code, named, repair) in cases {
        let crm = server.database(CRM);
        let project = warehouse(Engine::Postgres(server), &shop, &crm);
        project.run(&["plan", "--out", "p.slplan"]).code(0);
        server.run(&crm, fault);
        let ran = project.run(&["apply", "p.slplan"]);
        assert!(ran.stdout.contains(named) || ran.stderr.contains(named), "{fault}\n{}\n{}", ran.stdout, ran.stderr);
        says(&ran, fault, code, &[]);
        server.run(&crm, repair);
        project.apply(&["--retry"]).code(0);
        assert_eq!(rows(server, &crm, "select count(*), sum(seats) from people"), ["20|63"], "{fault}");
        project.run(&["plan", "--detailed-exitcode"]).code(0);
    }
}

/// Every transform that can fail: a row that had a record and has none now is counted with field, reason and key, is not
/// sent, and what was acknowledged stays.
#[test]
fn rows_without_a_record_are_named_and_change_nothing() {
    // Transform, type of the column, good value, bad value (SQL), what the plan says.
    let cases = [
        ("trim", "blob", "'abc'", "x'ff'", "UTF-8"),
        ("lower", "blob", "'abc'", "x'ff'", "UTF-8"),
        ("upper", "blob", "'abc'", "x'ff'", "UTF-8"),
        ("title", "blob", "'abc'", "x'ff'", "UTF-8"),
        ("string", "blob", "'abc'", "x'ff'", "UTF-8"),
        ("number", "text", "'1.5'", "'one'", "not a number"),
        ("integer", "text", "'15'", "'1.5'", "not a whole number"),
        ("boolean", "text", "'yes'", "'maybe'", "true false"),
        ("json", "text", "'[1]'", "'[1'", "json"),
        ("e164", "text", "'+49 30 1234567'", "'030 1234567'", "country code"),
        ("epoch_s", "text", "'2026-01-01'", "'01.02.2026'", "ISO 8601"),
        ("epoch_ms", "text", "'2026-01-01'", "'01.02.2026'", "ISO 8601"),
        ("iso8601", "text", "'2026-01-01'", "'2026-02-30'", "ISO 8601"),
        ("date", "text", "'2026-01-01'", "'tomorrow'", "ISO 8601"),
    ];
    for (transform, kind, good, bad, reason) in cases {
        let project =
            Project::people("mirror", &format!("fields: {{ x: {{ column: x, transform: [{transform}] }} }}\n"));
        project.write("sources/files.yaml", "name: files\ntype: sqlite\nconnection: { path: data/shop.db }\n");
        project.edit(
            "models/people.yaml",
            "sql: select id, email, name, plan, seats from people",
            "table: { name: people }",
        );
        let good = if kind == "blob" { format!("cast({good} as blob)") } else { good.to_owned() };
        let fill = |value: &str| {
            format!(
                "drop table if exists people; create table people (id integer, email text, x {kind}); \
                 insert into people select value, 'p' || value || '@x.io', {good} from json_each('[1,2,3]'); \
                 update people set x = {value} where id = 2"
            )
        };
        project.sql("data/shop.db", &fill(&good));
        project.apply(&[]).code(0);
        let held = "select count(*), count(x), count(distinct x) from people";
        assert_eq!(project.rows("out/crm.db", held), ["3|3|1"], "{transform}");
        project.sql("data/shop.db", &fill(bad));
        let plan = project.plan(&[]);
        let sync = &plan["syncs"][0];
        assert_eq!(sync["counts"]["invalid"], 1, "{transform}\n{plan:#}");
        assert_eq!((&sync["counts"]["removed"], &sync["counts"]["changed"]), (&0.into(), &0.into()), "{transform}");
        let invalid = &sync["invalid"][0];
        assert_eq!((&invalid["reason"], &invalid["field"]), (&"unmappable".into(), &"x".into()), "{transform}");
        assert_eq!(invalid["keys"], serde_json::json!(["2"]), "{transform}");
        let message = invalid["message"].as_str().unwrap();
        assert!(message.contains(&format!("`{transform}`")), "{transform}: {message}");
        assert!(message.to_lowercase().contains(&reason.to_lowercase()), "{transform}: {message}");
        assert!(!message.contains("maybe") && !message.contains("1234567"), "no value of the data: {message}");
        project.apply(&[]).code(0);
        assert_eq!(project.rows("out/crm.db", held), ["3|3|1"], "{transform}");
        // The text of the plan says it, too.
        let text = project.run(&["plan"]).code(0).stdout;
        assert!(text.contains("invalid") && text.contains('x'), "{text}");
        project.sql("data/shop.db", &fill(&good));
        project.run(&["plan", "--detailed-exitcode"]).code(0);
    }
}

#[test]
fn keys_that_are_null_or_twice_there_are_named_and_change_nothing() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(6));
    project.apply(&[]).code(0);
    // 3 is there twice, 5 has lost its key, 6 its match.
    let broken = people_csv(6).replace("\n5,", "\n,").replace("p6@example.com", "") + "3,x@example.com,Other,free,1\n";
    project.write("data/people.csv", &broken);
    let plan = project.plan(&[]);
    let invalid: Vec<String> = plan["syncs"][0]["invalid"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| format!("{} {} {}", i["reason"].as_str().unwrap(), i["count"], i["keys"]))
        .collect();
    assert_eq!(invalid, ["null_key 1 [\"row 5\"]", "duplicate_key 2 [\"3\"]", "null_match 1 [\"6\"]"]);
    let mut file = fs::OpenOptions::new().append(true).open(project.path("data/people.csv")).unwrap();
    file.write_all(b"7,p7@example.com,Person 7,free,7\n").unwrap();
    project.apply(&["--allow", "people:max_removed=1"]).code(0);
    let held = project.rows("out/crm.db", "select name from people order by 1");
    assert!(
        held.contains(&"Person 3".into()) && held.contains(&"Person 6".into()) && held.contains(&"Person 7".into()),
        "{held:?}"
    );
}
