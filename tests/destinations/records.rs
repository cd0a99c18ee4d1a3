//! The tests' object: `email` matches, `plan` is text, `seats` a whole number. Short words stand for records.

use arrow_schema::DataType;
use syncline::destinations::{Action, Batch, Operation, Target, TargetField};
use syncline::manifest::sync::{Mode, OnNull, OnRemoved, Write};
use syncline::mapping::{Record, Value};

pub const ANN: &str = "ann@example.com";

pub fn target(object: &str, mode: Mode, options: serde_json::Value) -> Target {
    let serde_json::Value::Object(options) = options else { panic!("options are an object") };
    Target {
        sync: "users".into(),
        identity: "users".into(),
        object: object.into(),
        mode,
        on_removed: OnRemoved::Keep,
        matching: vec![field("email", DataType::Utf8)],
        fields: vec![field("plan", DataType::Utf8), field("seats", DataType::Int64)],
        options,
        run_id: "0192-run".into(),
        operations: 0,
    }
}

pub fn field(name: &str, data_type: DataType) -> TargetField {
    TargetField {
        name: name.into(),
        on_null: OnNull::Send,
        write: Write::Always,
        data_type: Some(data_type),
        meaning: Default::default(),
    }
}

/// `free 3`: a plan and seats. `null` is null, `_` is not sent, seats that are no number are text.
pub fn record(email: &str, words: &str) -> Record {
    let value = |word: &str| match word {
        "_" => None,
        "null" => Some(Value::Null),
        word => Some(word.parse().map_or_else(|_| Value::Text(word.into()), Value::Int)),
    };
    let email = if email == "null" { Value::Null } else { Value::Text(email.into()) };
    Record { matching: vec![email], fields: words.split_whitespace().map(value).collect() }
}

pub fn operation(action: Action, record: Record) -> Operation {
    let key = record.matching.iter().map(|v| format!("{v:?}")).collect();
    Operation { ordinal: 0, action, added: true, key, dedupe_id: "".into(), record: record.into(), in_doubt: false }
}

pub fn send(email: &str, words: &str) -> Operation {
    operation(Action::Send, record(email, words))
}

/// Changes the fields of a record.
pub fn change(operation: &mut Operation, with: impl FnOnce(&mut Vec<Option<Value>>)) {
    let mut record = Record::clone(&operation.record);
    with(&mut record.fields);
    operation.record = record.into();
}

pub fn batch(id: u64, operations: Vec<Operation>) -> Batch {
    Batch { id, operations }
}
