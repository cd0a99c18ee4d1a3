//! What tables and files have in common: columns, options, capabilities, and records that no destination can take.

use arrow_schema::DataType;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Action, Batch, Capabilities, Class, Operation, Outcome, SendError, Target};
use crate::diagnostic::{Error, Result};
use crate::manifest::sync::{Mode, OnRemoved, Write};
use crate::mapping::{Meaning, Record, Value};

/// The columns a sync writes: the identifiers first, then the fields.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// The identifiers, as in [`Record::matching`].
    pub matching: Vec<Column>,
    /// The fields. One that has the name of an identifier is left out: the identifier is written for it.
    pub fields: Vec<Column>,
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Position in [`Record::matching`] or [`Record::fields`].
    pub position: usize,
    /// Its name.
    pub name: String,
    /// Written with new records only.
    pub if_added: bool,
    /// The type it would be created with.
    pub data_type: Option<DataType>,
    /// What its text stands for.
    pub meaning: Meaning,
}

impl Columns {
    /// The columns of a target.
    pub fn of(target: &Target) -> Self {
        let column = |(position, field): (usize, &super::TargetField)| Column {
            position,
            name: field.name.clone(),
            if_added: field.write == Write::IfAdded,
            data_type: field.data_type.clone(),
            meaning: field.meaning,
        };
        let matching: Vec<Column> = target.matching.iter().enumerate().map(column).collect();
        let is_identifier = |c: &Column| matching.iter().any(|m| m.name.eq_ignore_ascii_case(&c.name));
        let fields = target.fields.iter().enumerate().map(column).filter(|c| !is_identifier(c)).collect();
        Self { matching, fields }
    }

    /// All of them, identifiers first.
    pub fn all(&self) -> impl Iterator<Item = &Column> {
        self.matching.iter().chain(&self.fields)
    }

    /// Their names, in this order.
    pub fn names(&self) -> Vec<String> {
        self.all().map(|column| column.name.clone()).collect()
    }
}

impl Column {
    /// The identifier's value in a record.
    pub fn identifier<'a>(&self, record: &'a Record) -> &'a Value {
        record.matching.get(self.position).unwrap_or(&Value::Null)
    }

    /// The field's value in a record; `None` where it is left out.
    pub fn field<'a>(&self, record: &'a Record) -> Option<&'a Value> {
        record.fields.get(self.position).and_then(Option::as_ref)
    }
}

/// The typed form of the manifest's `options`.
pub(super) fn options<T: DeserializeOwned>(target: &Target, known: &str) -> Result<T, SendError> {
    typed(&target.object, &target.options, known)
}

/// The same, of an object by its name.
pub(super) fn typed<T: DeserializeOwned>(object: &str, options: &super::Options, known: &str) -> Result<T, SendError> {
    serde_json::from_value(serde_json::Value::Object(options.clone())).map_err(|e| SendError::Fatal {
        message: format!("the `options` of object `{object}` cannot be used: {e}"),
        help: Some(format!("known options: {known}")),
    })
}

/// `options` of a table of a database.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    create: bool,
}

/// Whether a table and its columns are made where they are missing: `options: { create: true }`.
pub(super) fn creates(target: &Target) -> Result<bool, SendError> {
    options(target, "`create`").map(|options: Options| options.create)
}

/// What ends a sync before anything is sent, and what to do about it.
pub(super) fn fatal(message: String, help: &str) -> SendError {
    SendError::Fatal { message, help: Some(help.into()) }
}

/// Says that a table has not all columns.
pub(super) fn without(object: &str, missing: &[&Column], help: &str) -> SendError {
    let names: Vec<String> = missing.iter().map(|c| format!("`{}`", c.name)).collect();
    fatal(format!("table `{object}` has no column {}", names.join(", ")), help)
}

/// Says that a column is the server's own to write.
pub(super) fn generated(object: &str, column: &Column) -> SendError {
    fatal(
        format!("column `{}` of table `{object}` is generated and cannot be written", column.name),
        "leave it out of the sync's `fields`",
    )
}

/// Checks a mode against the ones an object takes.
pub(super) fn check_mode(what: &str, mode: Mode, modes: &[Mode]) -> Result<()> {
    if modes.contains(&mode) {
        return Ok(());
    }
    let words: Vec<String> = modes.iter().map(|m| format!("`{}`", m.word())).collect();
    Err(Error::failed_help(
        format!("{what} does not take mode `{}`", mode.word()),
        format!("modes that work: {}", words.join(", ")),
    ))
}

/// What a table of a database takes; sizes of batches and how many go at a time are the database's own.
pub(super) fn capabilities(what: &str, mode: Mode) -> Result<Capabilities> {
    let modes = vec![Mode::Insert, Mode::Update, Mode::Upsert, Mode::Mirror];
    check_mode(what, mode, &modes)?;
    Ok(Capabilities {
        modes,
        on_removed: vec![OnRemoved::Keep, OnRemoved::Clear, OnRemoved::Delete],
        class: if mode == Mode::Insert { Class::C } else { Class::A },
        batch_size: 1,
        concurrency: 1,
        always_opened: false,
        by_state: false,
        matched: true,
    })
}

/// Why no destination can take an operation, whatever it holds: an identifier is null and so matches nothing.
pub(super) fn unmatchable(operation: &Operation, columns: &Columns) -> Option<Outcome> {
    let column = columns.matching.iter().find(|c| matches!(c.identifier(&operation.record), Value::Null))?;
    Some(Outcome::Rejected {
        code: "null_identifier".into(),
        message: format!("identifier `{}` is null: no record can be matched by it", column.name),
    })
}

/// The outcome of a record that an insert found at the destination.
pub(super) fn already_exists() -> Outcome {
    Outcome::Rejected {
        code: "already_exists".into(),
        message: "a record with the same identifiers is already there, and the mode is `insert`".into(),
    }
}

/// The outcome of a record that more than one row matches.
pub(super) fn multiple_match() -> Outcome {
    Outcome::Rejected {
        code: "multiple_match".into(),
        message: "more than one row at the destination has these identifiers; none of them was touched".into(),
    }
}

/// What a mode makes of a record: the outcome where the destination does not hold it, or an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// It is inserted.
    Insert,
    /// It is left alone, and that is an answer.
    NoMatch,
    /// It is left alone, and that is what was wanted.
    Succeeded,
}

/// What happens to a record that is not there.
pub(super) fn when_absent(action: Action, mode: Mode) -> Absent {
    match (action, mode) {
        (Action::Clear | Action::Delete, _) => Absent::Succeeded,
        (Action::Send, Mode::Update) => Absent::NoMatch,
        (Action::Send, _) => Absent::Insert,
    }
}

/// A batch of one that was refused needs no bisection: the refusal is the record's own.
pub(super) fn alone(batch: &Batch, result: Result<Vec<Outcome>, SendError>) -> Result<Vec<Outcome>, SendError> {
    match result {
        Err(SendError::Refused { code, message }) if batch.operations.len() == 1 => {
            Ok(vec![Outcome::Rejected { code, message }])
        }
        other => other,
    }
}

/// Runs blocking work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SendError> + Send + 'static,
) -> Result<T, SendError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(SendError::Lost { message: "the thread that was sending ended unexpectedly".into() }))
}

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
