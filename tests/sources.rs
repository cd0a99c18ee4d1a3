//! Reading: real files, a real SQLite, a real PostgreSQL.

mod bigquery;
pub mod duckdb;
mod faults;
mod files;
mod hostile;
mod mysql;
mod parity;
mod plans;
mod postgres;
mod snowflake;
mod spark;
mod sql;
mod sqlite;
mod tested;

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType, TimestampNanosecondType};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema, TimeUnit};
use serde_json::{Value, json};
use syncline::diagnostic::Error;
use syncline::manifest::source::SourceType;
use syncline::secret::{Connection, Secret};
use syncline::sources::{self, Batch, Query, Source};

/// Opens a source by the JSON of its connection.
fn open(kind: SourceType, connection: Value) -> Box<dyn Source> {
    sources::open(kind, &connection_of(connection)).unwrap()
}

fn connection_of(connection: Value) -> Connection {
    let Value::Object(values) = connection else { panic!("not an object") };
    let secrets = values.get("password").and_then(Value::as_str).map(Secret::new);
    Connection::new(values, secrets.into_iter().collect())
}

fn folder(path: &Path) -> Box<dyn Source> {
    open(SourceType::Files, json!({ "path": path }))
}

fn sql(sql: &str) -> Query {
    Query::Sql(sql.to_owned())
}

fn table(name: &str) -> Query {
    Query::Table { name: name.to_owned(), columns: None, filter: None }
}

/// All batches of a query, part by part.
fn read(source: &dyn Source, query: &Query) -> Result<Vec<RecordBatch>, Error> {
    let mut batches = Vec::new();
    for stream in source.read(query, None)? {
        let schema = stream.schema();
        for batch in stream {
            let batch = batch.map_err(sources::failure)?.whole()?;
            assert_eq!(batch.schema(), schema);
            batches.push(batch);
        }
    }
    Ok(batches)
}

/// What a query gives where some values cannot be read: the rows, and of each such value its row (from 1), what is said of
/// it and what to write, `2: column `x` holds an infinite date; say …`.
fn flawed(source: &dyn Source, query: &Query) -> (Vec<RecordBatch>, Vec<String>) {
    let (mut batches, mut flaws, mut rows) = (Vec::new(), Vec::new(), 0);
    for batch in source.read(query, None).unwrap().into_iter().flatten() {
        let Batch { rows: batch, flaws: found } = batch.map_err(sources::failure).unwrap_or_else(|e| panic!("{e}"));
        for flaw in found {
            let (at, name) = (rows + flaw.row + 1, batch.schema_ref().field(flaw.column).name().clone());
            assert!(batch.column(flaw.column).is_null(flaw.row), "a value and a flaw in row {at}");
            flaws.push(format!("{at}: {}", flaw.why.told(&name)));
        }
        rows += batch.num_rows();
        batches.push(batch);
    }
    flaws.sort();
    (batches, flaws)
}

/// What a query gives, one line a row, values joined by `|`, null as `∅`.
fn rows(source: &dyn Source, query: &Query) -> Vec<String> {
    let options = FormatOptions::new().with_null("∅");
    let mut lines = Vec::new();
    for batch in read(source, query).unwrap_or_else(|e| panic!("{e}; {}", e.help().unwrap_or(""))) {
        let columns: Vec<_> = batch.columns().iter().map(without_zone_names).collect();
        let columns: Vec<_> = columns.iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

/// Arrow formats times of a named zone only with a database of zones.
fn without_zone_names(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("+00:00"))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => {
            Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone("+00:00"))
        }
        _ => array.clone(),
    }
}

/// The columns of a query: `name type`, and the mark of the text where there is one.
fn types(source: &dyn Source, query: &Query) -> Vec<String> {
    shown(&source.schema(query).unwrap_or_else(|e| panic!("{e}; {}", e.help().unwrap_or(""))))
}

/// Each expression of a system's SQL has this type there, and this value.
#[track_caller]
fn expressions(source: &dyn Source, cases: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (expression, kind, expected) in cases {
        let query = sql(&format!("select {expression} as x -- as written"));
        let got = (types(source, &query), rows(source, &query));
        if got != (vec![format!("x {kind}")], vec![(*expected).to_owned()]) {
            wrong.push(format!("{expression}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn shown(schema: &Schema) -> Vec<String> {
    let one = |field: &arrow_schema::Field| {
        let mark = field.metadata().get(sources::TYPE_KEY).map(|mark| format!(" {mark}")).unwrap_or_default();
        format!("{} {}{mark}", field.name(), field.data_type())
    };
    schema.fields().iter().map(|f| one(f)).collect()
}

/// Message and help of the error a query ends with, at the start or in the stream.
fn error(source: &dyn Source, query: &Query) -> (String, String) {
    let error = read(source, query).expect_err("the read is to fail");
    (error.to_string(), error.help().unwrap_or_default().to_owned())
}

fn sum(batches: &[RecordBatch], column: usize) -> i64 {
    let one = |b: &RecordBatch| b.column(column).as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
    batches.iter().map(one).sum()
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
