//! Files, Parquet, SQLite, PostgreSQL and MariaDB through the real binary: the same rows are the same plan, and what arrives is
//! what was planned.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use serde_json::{Value, json};

use crate::engines::Engine;
use crate::postgres::{Server, server};
use crate::project::{Project, number};
use crate::{mysql, postgres};

/// `id` goes beyond 2^53, texts hold what texts hold, every column but the key has nulls.
const JSONL: &str = r#"{"id":1,"email":"ann@x.io","name":"Ann \"A\" O'Hara","note":"first line\nsecond; \\ line","points":900719925474099301,"active":true,"since":"2024-02-29","seen":"2026-01-02T10:00:00","at":"2026-01-02T10:00:00Z","ratio":0.25}
{"id":2,"email":"bob@x.io","name":"Zoë 🦊 日本","note":" padded, twice  ","points":-900719925474099301,"active":false,"since":"1969-12-31","seen":"2026-01-02T10:00:00.500","at":"2026-01-02T09:00:00.250Z","ratio":-1.5}
{"id":3,"email":"cy@x.io","name":null,"note":null,"points":null,"active":null,"since":null,"seen":null,"at":null,"ratio":null}
"#;

const CSV: &str = "id,email,name,note,points,active,since,seen,at,ratio\r\n\
    1,ann@x.io,\"Ann \"\"A\"\" O'Hara\",\"first line\nsecond; \\ line\",900719925474099301,true,2024-02-29,2026-01-02 10:00:00,2026-01-02T10:00:00Z,0.25\r\n\
    2,bob@x.io,Zoë 🦊 日本,\" padded, twice  \",-900719925474099301,false,1969-12-31,2026-01-02T10:00:00.5,2026-01-02T10:00:00.25+01:00,-1.5\r\n\
    3,cy@x.io,,,,,,,,\r\n";

const SQL: &str = "create table people (id bigint, email text, name text, note text, points bigint, active boolean, \
    since date, seen timestamp, at timestamptz, ratio double precision); insert into people values \
    (1, 'ann@x.io', 'Ann \"A\" O''Hara', 'first line\nsecond; \\ line', 900719925474099301, true, '2024-02-29', \
     '2026-01-02 10:00:00', '2026-01-02T10:00:00Z', 0.25), \
    (2, 'bob@x.io', 'Zoë 🦊 日本', ' padded, twice  ', -900719925474099301, false, '1969-12-31', \
     '2026-01-02 10:00:00.5', '2026-01-02T10:00:00.25+01:00', -1.5), \
    (3, 'cy@x.io', null, null, null, null, null, null, null, null);";

const FIELDS: [&str; 9] = ["id", "name", "note", "points", "active", "since", "seen", "at", "ratio"];

/// `text|type` of every cell, as SQLite holds it.
const HELD: &str = "select id, typeof(id), name, note, points, typeof(points), active, typeof(active), since, seen, at, \
    ratio, typeof(ratio) from people order by id";

/// The manifest of a source.
pub fn postgres_yaml(server: &Server, name: &str, database: &str) -> String {
    format!(
        "name: {name}\ntype: postgres\nconnection:\n  host: 127.0.0.1\n  port: {}\n  user: postgres\n  \
         password: \"{{{{ file('password') }}}}\"\n  database: {database}\n",
        server.port
    )
}

/// Writes rows given as JSON lines to a Parquet file.
pub fn write_parquet(project: &Project, name: &str, schema: Schema, lines: &str) {
    let mut reader = arrow_json::ReaderBuilder::new(Arc::new(schema)).build(lines.as_bytes()).unwrap();
    let batch = reader.next().unwrap().unwrap();
    let path = project.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Rows of a query, each joined by `|`, null as `NULL`.
pub fn rows(server: &Server, database: &str, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&server.url(database), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let messages = client.simple_query(sql).await.unwrap();
        let rows = messages.iter().filter_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|i| row.get(i).unwrap_or("NULL"));
                Some(cells.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        rows.collect()
    })
}

fn people_schema() -> Schema {
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let fields = [
        ("id", DataType::Int64),
        ("email", DataType::Utf8),
        ("name", DataType::Utf8),
        ("note", DataType::Utf8),
        ("points", DataType::Int64),
        ("active", DataType::Boolean),
        ("since", DataType::Date32),
        ("seen", micros(None)),
        ("at", micros(Some("+00:00"))),
        ("ratio", DataType::Float64),
    ];
    Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec())
}

/// People of some source, to a SQLite destination. The source is called `people_source`.
fn from(source: &str, model: &str) -> Project {
    let fields: String = FIELDS.iter().map(|f| format!("  {f}: {f}\n")).collect();
    let project = Project::people("upsert", &format!("fields:\n{fields}"));
    std::fs::remove_file(project.path("sources/files.yaml")).unwrap();
    project.write("sources/people_source.yaml", source);
    project.write("models/people.yaml", &format!("name: people\nsource: people_source\nprimary_key: [id]\n{model}\n"));
    project
}

/// Every kind of source that is to give the same plan, as `table:` and as `sql:` model.
fn sources() -> Vec<(String, Project)> {
    let table = "table: { name: people }";
    let sql = "sql: select * from people";
    let files = "name: people_source\ntype: files\nconnection: { path: data }\n";
    let sqlite = "name: people_source\ntype: sqlite\nconnection: { path: data/shop.db }\n";
    let mut sources = Vec::new();
    for (form, model) in [("table", table), ("sql", sql)] {
        let csv = from(files, model);
        csv.write("data/people.csv", CSV);
        sources.push((format!("csv, {form}"), csv));
        let jsonl = from(files, model);
        jsonl.write("data/people.jsonl", JSONL);
        sources.push((format!("jsonl, {form}"), jsonl));
        let parquet = from(files, model);
        write_parquet(&parquet, "data/people.parquet", people_schema(), JSONL);
        sources.push((format!("parquet, {form}"), parquet));
        let database = from(sqlite, model);
        database.sql("data/shop.db", SQL);
        sources.push((format!("sqlite, {form}"), database));
        if let Some(server) = server() {
            let postgres = from(&postgres_yaml(server, "people_source", &server.database(SQL)), model);
            postgres.write("password", &server.password);
            sources.push((format!("postgres, {form}"), postgres));
        }
    }
    sources
}

/// What is the same whenever the rows are the same.
fn comparable(mut plan: Value) -> Value {
    for key in ["plan_id", "digest", "created_at"] {
        plan[key] = Value::Null;
    }
    plan
}

#[test]
fn the_same_people_are_the_same_plan_and_arrive_the_same_from_everywhere() {
    let mut expected: Option<(Value, Vec<String>)> = None;
    for (name, project) in sources() {
        let plan = comparable(project.plan(&["--samples", "10"]));
        project.apply(&[]).code(0);
        let held = project.rows("out/crm.db", HELD);
        project.run(&["plan", "--detailed-exitcode"]).code(0);
        let (first_plan, first_held) = expected.get_or_insert_with(|| (plan.clone(), held.clone()));
        assert_eq!(&plan, first_plan, "{name}");
        assert_eq!(&held, first_held, "{name}");
    }
    let (plan, held) = expected.unwrap();
    assert_eq!(number(&plan, "/totals/added"), 3);
    let row = "1|integer|Ann \"A\" O'Hara|first line\nsecond; \\ line|900719925474099301|integer|1|integer|2024-02-29|\
        2026-01-02T10:00:00|2026-01-02T10:00:00Z|0.25|real";
    assert_eq!(held[0], row);
    assert_eq!(held[2], "3|integer|NULL|NULL|NULL|null|NULL|null|NULL|NULL|NULL|NULL|null");
}

/// A file format has no exact decimals, no UUIDs and no objects of its own: where the format carries the type the plan
/// says the same, and the exceptions are these.
#[test]
fn what_a_format_cannot_carry_is_known() {
    // Format, declaration and text of the value → the value in the plan.
    let big = "12345678901234567.89";
    let cases: Vec<(&str, &str, String, Value)> = vec![
        ("csv", "exact decimal", format!("id,email,x\n1,a@x.io,{big}\n"), json!(big)),
        ("jsonl", "exact decimal", format!("{{\"id\":1,\"email\":\"a@x.io\",\"x\":{big}}}"), json!(big)),
        ("jsonl", "object", "{\"id\":1,\"email\":\"a@x.io\",\"x\":{\"a\":[1,null]}}".into(), json!({"a": [1, null]})),
        ("csv", "json is text", "id,email,x\n1,a@x.io,\"{\"\"a\"\":1}\"\n".into(), json!("{\"a\":1}")),
        (
            "csv",
            "19 digits are an account number",
            "id,email,x\n1,a@x.io,9223372036854775807\n".into(),
            json!("9223372036854775807"),
        ),
        (
            "jsonl",
            "19 digits",
            "{\"id\":1,\"email\":\"a@x.io\",\"x\":9223372036854775807}".into(),
            json!(9223372036854775807_i64),
        ),
        ("csv", "prices", "id,email,x\n1,a@x.io,12.50\n".into(), json!(12.5)),
        ("csv", "leading zeros stay", "id,email,x\n1,a@x.io,007\n".into(), json!("007")),
    ];
    for (format, what, text, expected) in cases {
        let project = from("name: people_source\ntype: files\nconnection: { path: data }\n", "table: { name: people }");
        project.write(&format!("data/people.{format}"), &text);
        let sync = project.read("syncs/people.yaml");
        project.write("syncs/people.yaml", &format!("{}fields: {{ x: x }}\n", sync.split("fields:").next().unwrap()));
        let plan = project.plan(&[]);
        let field = &plan["syncs"][0]["samples"][0]["fields"];
        let after = field.as_array().unwrap().iter().find(|f| f["name"] == "x").map(|f| &f["after"]);
        assert_eq!(after, Some(&expected), "{format}: {what}\n{plan:#}");
        project.apply(&[]).code(0);
        project.run(&["plan", "--detailed-exitcode"]).code(0);
    }
}

fn sync(mode: &str, more: &str) -> String {
    format!(
        "object: people\nmode: {mode}\nmatch: {{ email: email }}\nfields: {{ name: name, seats: seats, at: at }}\n{more}"
    )
}

const MODEL: &str = "table: { name: people }\nprimary_key: [id]";

#[test]
fn only_rows_that_changed_are_written() {
    for engine in Engine::all() {
        let what = engine.name();
        let (shop, crm) = (engine.database(&engine.shop(20)), engine.database(engine.crm()));
        let project = engine.warehouse(&shop, &crm, MODEL, &sync("upsert", ""));
        // Three are there already, one of them just as it is to be.
        engine.run(
            &crm,
            "insert into people (email, name, seats, at) values ('p1@x.io', 'Person 1', 1, '2026-01-01 00:00:00'), \
             ('p2@x.io', 'Old', 2, null), ('foreign@x.io', 'F', 0, null)",
        );
        let before = engine.versions(&crm);
        project.apply(&[]).code(0);
        let after = engine.versions(&crm);
        let kept = |email: &str| {
            let find = |rows: &[String]| rows.iter().find(|r| r.starts_with(&format!("{email}|"))).cloned();
            find(&before) == find(&after)
        };
        assert!(kept("p1@x.io") && kept("foreign@x.io") && !kept("p2@x.io"), "{what}: {before:?}\n{after:?}");
        assert_eq!(after.len(), 21, "{what}");
        engine.run(&shop, "update people set name = 'Ada' where id = 5; update people set name = name");
        let run = project.apply(&["--format", "json"]).code(0).json();
        assert_eq!(number(&run, "/syncs/0/succeeded/changed"), 1, "{what}");
        let now = engine.versions(&crm);
        let differ: Vec<_> = now.iter().filter(|row| !after.contains(row)).collect();
        assert!(differ.len() == 1 && differ[0].starts_with("p5@x.io|"), "{what}: {differ:?}");
        // A full refresh sends everything and still rewrites nothing that is the same.
        let run = project.apply(&["--full-refresh", "--format", "json"]).code(0).json();
        assert_eq!(run["status"], "succeeded", "{what}");
        assert_eq!(engine.versions(&crm), now, "{what}");
    }
}

#[test]
fn each_mode_does_what_it_says_in_postgresql() {
    postgres::server().into_iter().map(Engine::Postgres).for_each(each_mode_does_what_it_says);
}

#[test]
fn each_mode_does_what_it_says_in_mysql() {
    mysql::server().into_iter().map(Engine::Mysql).for_each(each_mode_does_what_it_says);
}

fn each_mode_does_what_it_says(engine: Engine) {
    let count = "select count(*), sum(case when name like 'Person%' then 1 else 0 end) from people";
    // Update: what is not there is no match, and is not sent again.
    let (shop, crm) = (engine.database(&engine.shop(20)), engine.database(engine.crm()));
    engine.run(&crm, "insert into people (email) values ('p1@x.io'), ('p2@x.io'), ('other@x.io')");
    let project = engine.warehouse(&shop, &crm, MODEL, &sync("update", ""));
    let run = project.apply(&["--format", "json"]).code(0).json();
    assert_eq!((number(&run, "/syncs/0/succeeded/added"), number(&run, "/syncs/0/no_match")), (2, 18));
    assert_eq!(engine.rows(&crm, count), ["3|2"]);
    project.run(&["plan", "--detailed-exitcode"]).code(0);

    // Insert: what is there already is rejected and stays as it is; changes are not sent.
    let crm =
        engine.database(&format!("{}; insert into people (email, name) values ('p1@x.io', 'Mine')", engine.crm()));
    let project = engine.warehouse(&shop, &crm, MODEL, &sync("insert", ""));
    let run = project.apply(&["--format", "json"]).code(4).json();
    assert_eq!((number(&run, "/syncs/0/succeeded/added"), number(&run, "/syncs/0/rejected")), (19, 1));
    assert_eq!(engine.rows(&crm, "select name from people where email = 'p1@x.io'"), ["Mine"]);
    engine.run(&shop, "update people set name = 'Person two' where id = 2");
    project.apply(&[]).code(0);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    assert_eq!(engine.rows(&crm, "select name from people where email = 'p2@x.io'"), ["Person 2"]);
    engine.run(&shop, "update people set name = 'Person 2' where id = 2");

    // Mirror: deletes what left the model, and only what this sync has sent.
    let crm = engine
        .database(&format!("{}; insert into people (email, name) values ('other@x.io', 'Person X')", engine.crm()));
    let project = engine.warehouse(&shop, &crm, MODEL, &sync("mirror", "guards: { max_removed: 50% }"));
    project.apply(&[]).code(0);
    engine.run(&shop, "delete from people where id > 15");
    let run = project.apply(&["--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/succeeded/removed"), 5);
    assert_eq!(engine.rows(&crm, count), ["16|16"]);
    // Clearing keeps the record.
    project.write(
        "syncs/people.yaml",
        &format!("name: people\nmodel: people\ndestination: crm\n{}\n", sync("upsert", "on_removed: clear")),
    );
    engine.run(&shop, "delete from people where id > 14");
    project.apply(&[]).code(0);
    assert_eq!(engine.rows(&crm, count), ["16|15"]);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn a_row_that_breaks_a_constraint_costs_nothing_but_itself() {
    for engine in Engine::all() {
        let what = engine.name();
        let shop = engine.database(&engine.shop(3000));
        let crm = engine.database(&format!(
            "{}; alter table people add constraint people_name_check check (name <> 'Person 1234')",
            engine.crm()
        ));
        let project = engine.warehouse(&shop, &crm, MODEL, &sync("upsert", ""));
        let run = project.apply(&["--format", "json"]).code(4).json();
        assert_eq!((number(&run, "/syncs/0/succeeded/added"), number(&run, "/syncs/0/rejected")), (2999, 1), "{what}");
        let rejection = &run["syncs"][0]["rejections"][0];
        assert_eq!(rejection["code"], engine.either("23514", "4025"));
        assert!(rejection["message"].as_str().unwrap().contains("people_name_check"), "{run:#}");
        assert_eq!(engine.rows(&crm, "select count(*) from people"), ["2999"]);
        assert_eq!(number(&project.plan(&[]), "/syncs/0/held/rejected"), 1);
        engine.run(&crm, "alter table people drop constraint people_name_check");
        project.apply(&["--retry"]).code(0);
        assert_eq!(engine.rows(&crm, "select count(*) from people"), ["3000"]);
    }
}

#[test]
fn types_arrive_as_they_left() {
    let Some(server) = server() else { return };
    let columns = "k uuid primary key, j jsonb, n numeric, m numeric(38, 4), z timestamptz, p timestamp, d date, t time, \
        a int[], s text[], b bytea, f real, g double precision, e interval, i inet, c char(4), y boolean";
    let values = "insert into types values \
        ('6f9619ff-8b86-d011-b42d-00c04fc964ff', '{\"a\": [1, null, \"ü\"], \"n\": 12345678901234567890.5}', \
         12345678901234567890123.456789, -0.0100, '2026-03-29 01:30:00.123456+00', '2026-01-02 03:04:05.000001', \
         '0044-03-15', '23:59:59.999999', '{1,null,3}', '{\"a,b\",\"say \\\"x\\\" \\\\\",null,\"\"}', '\\x00ff', 0.1, \
         0.1, '1 year 2 months 3 days 04:05:06.5', '10.0.0.1/8', 'ab', true), \
        ('6f9619ff-8b86-d011-b42d-00c04fc964fe', '[]', 100000000, 0, '1900-01-01', '9999-12-31 23:59:59.999999', \
         '9999-12-31', '00:00', '{}', '{}', '', '-3.4e38', '1e-300', '0', '::1', '', false), \
        ('6f9619ff-8b86-d011-b42d-00c04fc964fd', null, null, null, null, null, null, null, null, null, null, null, \
         null, null, null, null, null), \
        ('6f9619ff-8b86-d011-b42d-00c04fc964fc', '\"say \\\"1\\\"\"', -0.5, null, null, null, null, null, null, null, null, \
         null, null, null, null, null, null), \
        ('6f9619ff-8b86-d011-b42d-00c04fc964fb', '\"12\"', 12, null, null, null, null, null, null, null, null, \
         null, null, null, null, null, null)";
    let shop = server.database(&format!("create table types ({columns}); {values}"));
    let names: Vec<&str> = columns.split(", ").filter_map(|c| c.split(' ').next()).filter(|c| c.len() == 1).collect();
    let fields: Vec<String> = names.iter().filter(|c| **c != "k").map(|c| format!("{c}: {c}")).collect();
    let manifest = |create: bool| {
        format!(
            "object: types\nmode: upsert\nmatch: {{ k: k }}\noptions: {{ create: {create} }}\nfields: {{ \"{}\" }}",
            fields.join(", ").replace(": ", "\": \"").replace(", ", "\", \"")
        )
    };
    let model = "table: { name: types }\nprimary_key: [k]";
    let list: Vec<String> = names.iter().map(|n| format!("{n}::text")).collect();
    let held = |database: &str| rows(server, database, &format!("select {} from types order by k", list.join(", ")));
    let crm = server.database(&format!("create table types ({columns})"));
    let project = Engine::Postgres(server).warehouse(&shop, &crm, model, &manifest(false));
    project.apply(&[]).code(0);
    assert_eq!(held(&crm), held(&shop));
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    // What no record can hold is named, and the acknowledged row stays as it was.
    let good = held(&crm);
    server.run(&shop, "update types set f = 'NaN' where j = '[]'");
    let plan = project.plan(&[]);
    assert_eq!((number(&plan, "/totals/invalid"), number(&plan, "/totals/changed")), (1, 0), "{plan:#}");
    server.run(&shop, "update types set f = '-3.4e38' where j = '[]'");
    assert_eq!(held(&crm), good);
    let version = rows(server, &crm, "select xmin from types order by k");
    project.apply(&["--full-refresh"]).code(0);
    assert_eq!(rows(server, &crm, "select xmin from types order by k"), version, "nothing was rewritten");

    // A table we make: each column is of the type that holds its values.
    let crm = server.database("");
    let project = Engine::Postgres(server).warehouse(&shop, &crm, model, &manifest(true));
    project.apply(&[]).code(0);
    let made = rows(
        server,
        &crm,
        "select attname || ' ' || format_type(atttypid, atttypmod) from pg_attribute \
         where attrelid = 'types'::regclass and attnum > 0 and attname in ('k', 'j', 'n', 'm', 'z', 'p', 'd', 't', 'b', 'f', 'g', 'y') order by 1",
    );
    assert_eq!(
        made,
        [
            "b bytea",
            "d date",
            "f real",
            "g double precision",
            "j jsonb",
            "k text",
            "m numeric(38,4)",
            "n numeric",
            "p timestamp without time zone",
            "t time without time zone",
            "y boolean",
            "z timestamp with time zone"
        ]
    );
    let same = "select k::text, j::text, n::text from types order by k::text";
    assert_eq!(rows(server, &crm, same), rows(server, &shop, same));
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn types_arrive_in_mysql_as_they_left() {
    let Some(server) = mysql::server() else { return };
    let engine = Engine::Mysql(server);
    let columns = "k char(36) primary key, j json, n decimal(65, 30), m decimal(38, 4), z timestamp(6) null, p datetime(6), \
        d date, t time(6), u bigint unsigned, i bigint, b varbinary(20), f float, g double, y boolean, e enum('x', 'y'), \
        s longtext";
    let values = "insert into types values \
        ('6f9619ff-8b86-d011-b42d-00c04fc964ff', '{\"a\": [1, null, \"ü\"], \"n\": 12345678901234567890.5}', \
         12345678901234567890123.456789, -0.0100, '2026-03-29 01:30:00.123456', '2026-01-02 03:04:05.000001', \
         '1044-03-15', '23:59:59.999999', 18446744073709551615, -9223372036854775808, x'00ff', 0.1, 0.1, true, 'y', \
         'say \"x\" \\\\ it''s 🦊'), \
        ('6f9619ff-8b86-d011-b42d-00c04fc964fe', '[]', 100000000, 0, '1971-01-01', '9999-12-31 23:59:59.999999', \
         '9999-12-31', '00:00', 0, 0, '', -3.4e38, 1e-300, false, 'x', ''), \
        ('6f9619ff-8b86-d011-b42d-00c04fc964fd', null, null, null, null, null, null, null, null, null, null, null, null, \
         null, null, null)";
    let shop = engine.database(&format!("create table types ({columns}); {values}"));
    let names: Vec<&str> = ["j", "n", "m", "z", "p", "d", "t", "u", "i", "b", "f", "g", "y", "e", "s"].into();
    let fields: Vec<String> = names.iter().map(|c| format!("\"{c}\": \"{c}\"")).collect();
    let manifest = |create: bool| {
        format!(
            "object: types\nmode: upsert\nmatch: {{ k: k }}\noptions: {{ create: {create} }}\nfields: {{ {} }}",
            fields.join(", ")
        )
    };
    let model = "table: { name: types }\nprimary_key: [k]";
    let held = |database: &str, names: &[&str]| {
        let list: Vec<String> = names.iter().map(|n| format!("hex(cast({n} as char))")).collect();
        engine.rows(database, &format!("select k, {} from types order by k", list.join(", ")))
    };
    let writes = "create table writes (n int); \
        create trigger w after update on types for each row insert into writes values (1)";
    let crm = engine.database(&format!("create table types ({columns}); {writes}"));
    let project = engine.warehouse(&shop, &crm, model, &manifest(false));
    project.apply(&[]).code(0);
    // JSON is written without the spaces its author liked.
    let exact: Vec<&str> = names.iter().copied().filter(|n| *n != "j").collect();
    assert_eq!(held(&crm, &exact), held(&shop, &exact));
    let compact = "select json_compact(j) from types order by k";
    assert_eq!(engine.rows(&crm, compact), engine.rows(&shop, compact));
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    project.apply(&["--full-refresh"]).code(0);
    assert_eq!(engine.rows(&crm, "select count(*) from writes"), ["0"], "nothing was rewritten");

    // A table we make: each column is of a type that holds its values.
    let crm = engine.database("");
    let project = engine.warehouse(&shop, &crm, model, &manifest(true));
    project.apply(&[]).code(0);
    let made = engine.rows(
        &crm,
        "select concat(column_name, ' ', column_type) from information_schema.columns \
         where table_schema = database() and table_name = 'types' order by 1",
    );
    assert_eq!(
        made,
        [
            "b longblob",
            "d date",
            "e longtext",
            "f float",
            "g double",
            "i bigint(20)",
            "j longtext",
            "k varchar(768)",
            "m decimal(38,4)",
            "n decimal(65,30)",
            "p datetime(6)",
            "s longtext",
            "t time(6)",
            "u bigint(20) unsigned",
            "y tinyint(1)",
            "z datetime(6)",
        ]
    );
    assert_eq!(held(&crm, &exact), held(&shop, &exact));
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    project.run(&["verify"]).code(0);
}

#[test]
fn names_may_be_mixed_quoted_and_dotted() {
    let Some(server) = server() else { return };
    let shop = server.database(
        "create schema \"Marts\"; create table \"Marts\".\"People\" (\"Id\" int, \"E Mail\" text, \"select\" text); \
         insert into \"Marts\".\"People\" values (1, 'a@x.io', 'one'), (2, 'b@x.io', 'two')",
    );
    let model = "table: { name: Marts.People }\nprimary_key: [Id]";
    // Object in the manifest, table in SQL.
    let cases =
        [("Out.Target", "\"Out\".\"Target\""), ("'\"Out\".\"a.b\"'", "\"Out\".\"a.b\""), ("Plain", "\"Plain\"")];
    for (object, name) in cases {
        for create in [false, true] {
            let table = format!("create table {name} (\"E-Mail\" text primary key, \"Select\" text)");
            let crm = server.database(&format!("create schema \"Out\"; {}", if create { "" } else { &table }));
            let manifest = format!(
                "object: {object}\nmode: mirror\nmatch: {{ \"E-Mail\": \"E Mail\" }}\noptions: {{ create: {create} }}\n\
                 fields: {{ Select: select }}\nguards: {{ max_removed: 100% }}"
            );
            let project = Engine::Postgres(server).warehouse(&shop, &crm, model, &manifest);
            project.apply(&[]).code(0);
            let held = || rows(server, &crm, &format!("select \"E-Mail\", \"Select\" from {name} order by 1"));
            assert_eq!(held(), ["a@x.io|one", "b@x.io|two"], "{object}");
            project.edit("models/people.yaml", "People }", "People, where: '\"Id\" = 2' }");
            project.apply(&[]).code(0);
            assert_eq!(held(), ["b@x.io|two"], "{object}");
        }
    }
}

#[test]
fn names_may_be_mixed_quoted_and_dotted_in_mysql() {
    let Some(server) = mysql::server() else { return };
    let engine = Engine::Mysql(server);
    let shop = engine.database(
        "create table `People` (`Id` int, `E Mail` varchar(50), `select` text); \
         insert into `People` values (1, 'a@x.io', 'one'), (2, 'b@x.io', 'two')",
    );
    let model = "table: { name: People }\nprimary_key: [Id]";
    for create in [false, true] {
        let crm = engine.database("");
        let other = engine.database("");
        // Object in the manifest, table in SQL.
        let cases = [
            (format!("{other}.Target"), format!("`{other}`.`Target`")),
            (format!("'{other}.`a.b`'"), format!("`{other}`.`a.b`")),
            ("'`tick``s`'".to_owned(), format!("`{crm}`.`tick``s`")),
            ("Plain".to_owned(), format!("`{crm}`.`Plain`")),
        ];
        for (object, name) in cases {
            if !create {
                engine.run(&crm, &format!("create table {name} (`E-Mail` varchar(50) primary key, `Select` text)"));
            }
            let manifest = format!(
                "object: {object}\nmode: mirror\nmatch: {{ \"E-Mail\": \"E Mail\" }}\noptions: {{ create: {create} }}\n\
                 fields: {{ SELECT: select }}\nguards: {{ max_removed: 100% }}"
            );
            let project = engine.warehouse(&shop, &crm, model, &manifest);
            project.apply(&[]).code(0);
            let held = || engine.rows(&crm, &format!("select `E-Mail`, `Select` from {name} order by 1"));
            assert_eq!(held(), ["a@x.io|one", "b@x.io|two"], "{object}");
            project.edit("models/people.yaml", "People }", "People, where: '`Id` = 2' }");
            project.apply(&[]).code(0);
            assert_eq!(held(), ["b@x.io|two"], "{object}");
        }
    }
}

#[test]
fn fifty_thousand_rows_go_from_database_to_database_in_seconds() {
    for engine in Engine::all() {
        let (shop, crm) = (engine.database(&engine.shop(50_000)), engine.database(engine.crm()));
        let project = engine.warehouse(&shop, &crm, MODEL, &sync("mirror", ""));
        let start = Instant::now();
        project.apply(&[]).code(0);
        engine.run(&shop, "update people set seats = seats + 1 where id % 10 = 0; delete from people where id > 49000");
        let run = project.apply(&["--format", "json"]).code(0).json();
        let took = start.elapsed();
        let numbers = ["changed", "removed"].map(|state| number(&run, &format!("/syncs/0/succeeded/{state}")));
        assert_eq!(numbers, [4900, 1000], "{}", engine.name());
        let sum = "select count(*), sum(seats) from people";
        assert_eq!(engine.rows(&crm, sum), engine.rows(&shop, sum));
        // A debug build on a busy machine; a quadratic step would take minutes.
        assert!(took < Duration::from_secs(60), "{}: {took:?}", engine.name());
    }
}
