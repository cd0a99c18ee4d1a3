//! Text that is not UTF-8, in every system that can hold it. A file that has some is of another encoding than it says: the
//! read fails. In a system that takes any bytes for text it costs its row. Either way the column is named, it is said what
//! to do, and what could be read of the text is never sent. DuckDB and Snowflake take no such text, and neither does a PostgreSQL of encoding
//! UTF-8.

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{LogicalType, Type as Physical};
use parquet::schema::types::{SchemaDescriptor, Type};

use crate::project::Project;

/// A name of which one letter came from another encoding.
const NAME: &[u8] = b"Zo\xeb";

/// The system; what makes the table `people` of it, false where it is not installed; what is said, what is advised.
type Case = (&'static str, fn(&Project) -> bool, &'static str, &'static str);

/// One row each.
const FILES: &[Case] = &[
    (
        "CSV",
        |project| {
            fs::write(project.path("data/people.csv"), [b"id,name\n1,", NAME, b"\n"].concat()).unwrap();
            true
        },
        "people.csv`, line 2: column `name` is not UTF-8",
        "UTF-8",
    ),
    (
        "JSON lines",
        |project| {
            let line = [b"{\"id\": 1, \"name\": \"".as_slice(), NAME, b"\"}\n"].concat();
            fs::write(project.path("data/people.jsonl"), line).unwrap();
            true
        },
        "people.jsonl`, line 1: it is not UTF-8",
        "UTF-8",
    ),
    (
        "Parquet",
        |project| {
            parquet(project);
            true
        },
        "people.parquet",
        "UTF-8",
    ),
    (
        "a command",
        |project| {
            let printed = [b"{\"id\": 1, \"name\": \"".as_slice(), NAME, b"\"}\n[\"end\", 1]\n"].concat();
            fs::write(project.path("data/printed"), printed).unwrap();
            let command = "{ command: [cat, data/printed] }";
            project.write("sources/shop.yaml", &format!("name: shop\ntype: command\nconnection: {command}\n"));
            true
        },
        "line 1",
        "UTF-8",
    ),
];

/// Two rows each, the second one as it should be.
const SYSTEMS: &[Case] = &[
    (
        "SQLite",
        |project| {
            let create = "create table people (id integer, name text)";
            project.sql(
                "data/shop.db",
                &format!("{create}; insert into people values (1, cast(x'5a6feb' as text)), (2, 'Zoë')"),
            );
            project.write("sources/shop.yaml", "name: shop\ntype: sqlite\nconnection: { path: data/shop.db }\n");
            true
        },
        "column `name` holds text that is not UTF-8",
        "take its bytes: `cast(name as blob) as name`",
    ),
    (
        "PostgreSQL of encoding SQL_ASCII",
        |project| {
            let Some(server) = crate::postgres::server() else { return false };
            let create = "create database not_utf8 encoding 'SQL_ASCII' template template0";
            server.run("postgres", create);
            server.run(
                "not_utf8",
                "create table people (id int, name text); insert into people values (1, E'Zo\\xeb'), (2, 'Zoë')",
            );
            project.write("password", &server.password);
            project.write("sources/shop.yaml", &crate::databases::postgres_yaml(server, "shop", "not_utf8"));
            true
        },
        "column `name` holds text that is not UTF-8",
        "take its bytes: `convert_to(name, 'SQL_ASCII') as name`",
    ),
    (
        "Spark",
        |project| {
            let Some(server) = crate::spark::server() else { return false };
            let table = "drop view if exists people;\ncreate view people as select 1 as id, cast(X'5a6feb' as string) as name \
                         union all select 2, 'Zoë'";
            server.run(table);
            let connection = server.connection();
            project.write("sources/shop.yaml", &format!("name: shop\ntype: spark\nconnection: {connection}\n"));
            true
        },
        "column `name` holds text that is not UTF-8",
        "correct the value, or read the column as bytes",
    ),
];

/// A file that says of its bytes that they are text.
fn parquet(project: &Project) {
    let columns: [(&str, ArrayRef); 2] =
        [("id", Arc::new(Int64Array::from(vec![1]))), ("name", Arc::new(BinaryArray::from(vec![NAME])))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let plain = ArrowSchemaConverter::new().convert(&batch.schema()).unwrap();
    let mut fields = plain.root_schema().get_fields().to_vec();
    let text = Type::primitive_type_builder("name", Physical::BYTE_ARRAY)
        .with_repetition(parquet::basic::Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::String));
    fields[1] = Arc::new(text.build().unwrap());
    let root = Type::group_type_builder("schema").with_fields(fields).build().unwrap();
    let options = ArrowWriterOptions::new()
        .with_parquet_schema(SchemaDescriptor::new(Arc::new(root)))
        .with_skip_arrow_metadata(true);
    let file = fs::File::create(project.path("data/people.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A project that sends the people of a system; `None` where it is not installed.
fn project(fill: fn(&Project) -> bool) -> Option<Project> {
    let project = Project::people("upsert", "fields: { name: name }\n");
    let manifest = "name: people\nsource: shop\ntable: { name: people }\nprimary_key: [id]\n";
    project.write("models/people.yaml", manifest);
    project.edit("syncs/people.yaml", "match: { email: email }", "match: { id: id }");
    fs::remove_file(project.path("sources/files.yaml")).unwrap();
    project.write("sources/shop.yaml", "name: shop\ntype: files\nconnection: { path: data }\n");
    project.write("data/.keep", "");
    fill(&project).then_some(project)
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_file_that_is_not_utf8_ends_the_read() {
    for (name, fill, said, advised) in FILES {
        let Some(project) = project(*fill) else { continue };
        let ran = project.apply(&[]).code(1);
        let all = flat(&format!("{}\n{}", ran.stdout, ran.stderr));
        assert!(all.contains(said) && all.contains(advised), "{name}: {all}");
        assert!(all.contains("sync `people`: source `shop` (sources/shop.yaml)"), "{name}: {}", ran.stderr);
        assert!(!project.path("out/crm.db").exists(), "{name}: something was sent");
    }
}

#[test]
fn a_value_that_is_not_utf8_costs_its_row() {
    for (name, fill, said, advised) in SYSTEMS {
        let Some(project) = project(*fill) else { continue };
        let ran = project.apply(&[]).code(0);
        let all = flat(&format!("{}\n{}", ran.stdout, ran.stderr));
        assert!(all.contains(said) && all.contains(advised), "{name}: {all}");
        assert_eq!(project.rows("out/crm.db", "select id, name from people"), ["2|Zoë"], "{name}");
    }
}
