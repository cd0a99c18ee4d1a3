//! What in the tests of a model can never work, found from columns and types before any row is read.

use arrow_schema::{DataType, Field, Schema};
use serde_json::Value;

use super::{Check, Subject, Test};
use crate::mapping;
use crate::sources::{TYPE_DECIMAL, TYPE_KEY};

/// Something wrong with a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer within the model's manifest.
    pub pointer: String,
    /// Code of the diagnostic.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Faults of tests against the model's columns, and against those of the models they lead to.
pub fn check<'a>(tests: &[Test], schema: &Schema, other: &dyn Fn(&str) -> Option<Subject<'a>>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for test in tests {
        for column in test.columns() {
            match schema.field_with_name(column) {
                Ok(field) => faults.extend(kind(test, column, field)),
                Err(_) => {
                    let message = format!("test `{}`: the model has no column `{column}`", test.name);
                    let help = mapping::near(schema, column);
                    faults.push(Fault { pointer: test.pointer.clone(), code: "unknown-column", message, help });
                }
            }
        }
        let Check::Related { model, to, .. } = &test.check else { continue };
        // Of a model without a row nothing is known; one that is not there has been reported.
        let Some(subject) = other(model).filter(|other| !other.schema.fields().is_empty()) else { continue };
        if subject.schema.field_with_name(to).is_err() {
            let message = format!("test `{}`: model `{model}` has no column `{to}`", test.name);
            let help = mapping::near(subject.schema, to);
            faults.push(Fault { pointer: test.pointer.clone(), code: "unknown-column", message, help });
        }
    }
    faults
}

/// A type a test can do nothing with.
fn kind(test: &Test, column: &str, field: &Field) -> Option<Fault> {
    let kind = field.data_type();
    let (problem, help) = match &test.check {
        Check::Fresh { .. } if !is_time(kind) => (
            format!("`{column}` is {}, which says no time", words(kind)),
            "name a column with a date, a timestamp, ISO text or Unix seconds".to_owned(),
        ),
        Check::Accepted { values, .. } => {
            let wrong = values.iter().find(|value| !fits(value, field))?;
            let help = match wrong {
                Value::String(_) => "write it without quotes",
                _ if is_text(kind) => "put it in quotes to have it as text",
                _ => "write values of the column's type",
            };
            (format!("`{column}` is {}, which is never {wrong}", words(kind)), help.to_owned())
        }
        _ => return None,
    };
    let message = format!("test `{}`: column {problem}", test.name);
    Some(Fault { pointer: test.pointer.clone(), code: "test-type", message, help: Some(help) })
}

fn is_time(kind: &DataType) -> bool {
    is_text(kind)
        || kind.is_numeric()
        || matches!(kind, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) | DataType::Null)
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether a value of the manifest can be one of the column. Decimals are text to us and numbers to the source, so that
/// text takes numbers there; dates and times are compared as ISO text.
fn fits(value: &Value, field: &Field) -> bool {
    let decimal = field.metadata().get(TYPE_KEY).is_some_and(|meaning| meaning == TYPE_DECIMAL);
    match (value, field.data_type()) {
        (Value::Number(_), _) if decimal => true,
        (Value::String(_), kind) => !kind.is_numeric() && *kind != DataType::Boolean,
        (Value::Number(_), kind) => kind.is_numeric() || *kind == DataType::Null,
        (Value::Bool(_), kind) => matches!(kind, DataType::Boolean | DataType::Null),
        _ => false,
    }
}

fn words(kind: &DataType) -> &'static str {
    match kind {
        kind if is_text(kind) => "text",
        DataType::Boolean => "true or false",
        kind if kind.is_floating() => "a floating point number",
        kind if kind.is_integer() => "a whole number",
        kind if kind.is_numeric() => "a decimal",
        DataType::Date32 | DataType::Date64 => "a date",
        DataType::Timestamp(_, _) => "a timestamp",
        DataType::Time32(_) | DataType::Time64(_) => "a time of day",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes",
        _ => "of another type",
    }
}
