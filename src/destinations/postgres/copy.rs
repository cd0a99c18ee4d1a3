//! A batch as COPY text: what the temporary table looks like, and its lines.

use std::borrow::Cow;

use crate::destinations::Action;
use crate::destinations::staged::{Numbered, Presence, Presences};
use crate::destinations::table::{Column, quoted};
use crate::mapping::{Meaning, Value};

use super::schema::{Form, Table};

/// Name of the temporary table.
pub(super) const BATCH: &str = "pg_temp._syncline_batch";

/// The columns of the temporary table: `n` is the position in the batch, `r` the round (see the merge), `c0`, `c1`, …
/// the identifiers and fields in the table's order, `p2`, `p3`, … say whether a field is in the record.
pub(super) struct Layout<'a> {
    table: &'a Table,
    held: Presences,
}

/// One field of a batch in SQL.
pub(super) struct InBatch<'a> {
    /// The field.
    pub column: &'a Column,
    /// Its quoted name.
    pub name: String,
    /// Its value in the batch, in terms of `b` and of the row `t` for records that do not hold it.
    pub updated: String,
    /// Its value for a new row: the column's default for records that do not hold it.
    pub inserted: String,
}

impl<'a> Layout<'a> {
    /// The layout for these operations.
    pub fn of(table: &'a Table, action: Action, operations: &[Numbered<'_>]) -> Self {
        Self { table, held: Presences::of(&table.columns, action, operations) }
    }

    /// `CREATE TEMP TABLE`.
    pub fn create(&self) -> String {
        let mut lines = vec!["n integer NOT NULL".to_owned(), "r integer NOT NULL DEFAULT 1".to_owned()];
        for ((i, flagged), kind) in self.held.columns().filter_map(|c| Some((c, self.table.types.get(c.0)?))) {
            lines.extend(flagged.then(|| format!("p{i} boolean NOT NULL")));
            lines.push(format!("c{i} {}", kind.declared));
        }
        format!("CREATE TEMP TABLE _syncline_batch ({}) ON COMMIT DROP", lines.join(", "))
    }

    /// The COPY statement.
    pub fn copy(&self) -> String {
        let names: Vec<String> = self.held.names().collect();
        format!("COPY {BATCH} (n, {}) FROM STDIN", names.join(", "))
    }

    /// The lines that COPY reads.
    pub fn lines(&self, operations: &[Numbered<'_>]) -> Vec<u8> {
        let mut out = String::new();
        for (n, operation) in operations {
            out.push_str(&n.to_string());
            for (i, column, flag, value) in self.held.values(&self.table.columns, &operation.record) {
                let Some(kind) = self.table.types.get(i) else { continue };
                out.push_str(flag.map_or("", |held| if held { "\tt" } else { "\tf" }));
                out.push('\t');
                write(value, kind.form, column.meaning, &mut out);
            }
            out.push('\n');
        }
        out.into_bytes()
    }

    /// The fields that some record of the batch holds.
    pub fn fields(&self) -> Vec<InBatch<'a>> {
        let identifiers = self.table.columns.matching.len();
        let mut fields = Vec::new();
        for (position, column) in self.table.columns.fields.iter().enumerate() {
            let i = identifiers + position;
            let name = quoted(&column.name);
            let default = self.table.types.get(i).and_then(|t| t.default.as_deref()).unwrap_or("NULL");
            let (updated, inserted) = match self.held.at(i) {
                Presence::Never => continue,
                Presence::Always => (format!("b.c{i}"), format!("b.c{i}")),
                Presence::Sometimes => (
                    format!("CASE WHEN b.p{i} THEN b.c{i} ELSE t.{name} END"),
                    format!("CASE WHEN b.p{i} THEN b.c{i} ELSE {default} END"),
                ),
            };
            fields.push(InBatch { column, name, updated, inserted });
        }
        fields
    }
}

/// Writes one value of a COPY line. Text of a JSON column is a string of JSON; any other text that goes into one is JSON
/// as it is.
fn write(value: &Value, form: Form, meaning: Meaning, out: &mut String) {
    let mut held = String::new();
    match (value, form) {
        (Value::Null, _) => return out.push_str("\\N"),
        (Value::Text(_), Form::Json) if meaning == Meaning::Json => held = value.json_text(),
        (Value::Text(text), _) => return escape(text, out),
        (_, Form::Json) => held = value.json_text(),
        (Value::List(items), Form::Array) => array(items, &mut held),
        _ => return escape(&text(value), out),
    }
    escape(&held, out);
}

/// The text of a value as the server's types take it. It differs from what people are shown in two places: `bytea` is
/// written in hex, and years beyond 9999 bear no sign.
fn text(value: &Value) -> Cow<'_, str> {
    match (value, value.text()) {
        (Value::Binary(bytes), _) => Cow::Owned(format!("\\x{}", hex::encode(bytes))),
        (Value::Date(_) | Value::Timestamp { .. }, text) => Cow::Owned(text.trim_start_matches('+').to_owned()),
        (_, text) => text,
    }
}

fn array(items: &[Value], out: &mut String) {
    out.push('{');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match item {
            Value::Null => out.push_str("NULL"),
            Value::List(inner) => array(inner, out),
            _ => {
                out.push('"');
                for c in text(item).chars() {
                    if matches!(c, '"' | '\\') {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push('"');
            }
        }
    }
    out.push('}');
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_a_copy_line() {
        let list = Value::List(vec![Value::Int(1), Value::Null, Value::Text("a\"b\\".into())]);
        let cases = [
            (Value::Null, Form::Plain, "\\N"),
            (Value::Text("\\N".into()), Form::Plain, "\\\\N"),
            (Value::Text("a\tb\nc\r".into()), Form::Plain, "a\\tb\\nc\\r"),
            (Value::Text(r#"{"k":1}"#.into()), Form::Json, r#"{"k":1}"#),
            (Value::Date(0), Form::Json, r#""1970-01-01""#),
            (list.clone(), Form::Json, r#"[1,null,"a\\"b\\\\"]"#),
            (list, Form::Array, r#"{"1",NULL,"a\\"b\\\\"}"#),
            (Value::Binary([1].into()), Form::Plain, "\\\\x01"),
            (Value::Date(2_932_897), Form::Plain, "10000-01-01"),
            (Value::Float(f64::NAN), Form::Json, "\"NaN\""),
        ];
        for (value, form, expected) in cases {
            let mut out = String::new();
            write(&value, form, Meaning::Itself, &mut out);
            assert_eq!(out, expected, "{value:?}");
        }
    }

    #[test]
    fn text_of_a_json_column_stays_a_string_of_json() {
        let cases = [
            ("abc", Form::Json, Meaning::Json, r#""abc""#),
            ("1", Form::Json, Meaning::Json, r#""1""#),
            ("a\"b", Form::Json, Meaning::Json, r#""a\\"b""#),
            (r#"{"k":1}"#, Form::Json, Meaning::Itself, r#"{"k":1}"#),
            ("abc", Form::Plain, Meaning::Json, "abc"),
        ];
        for (text, form, meaning, expected) in cases {
            let mut out = String::new();
            write(&Value::Text(text.into()), form, meaning, &mut out);
            assert_eq!(out, expected, "{text}");
        }
    }
}
