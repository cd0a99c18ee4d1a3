//! Templates per row: compiled once, rendered with the row as a lazy object.
//!
//! A template sees `row` (the model's columns), `vars`, `environment` and `run.started_at`; anything undefined is an
//! error. Its result is always text: an empty result is empty text, not null. A null column renders as nothing, and
//! `title lower upper trim` leave it null, so that no record ever says `None`; everything else is as in minijinja 3.
//! Dates and times are ISO 8601 text. Decimals are numbers where a double prints them with the same digits, and text
//! otherwise, so they always print exactly.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use minijinja::value::{Enumerator, Object, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value as Shown};

use super::column::Column;
use super::{Reason, Value, number};
use crate::template::{Unknown, broken};

/// Work one rendering may do: instructions, and a 64th of it a byte of text handled. Some milliseconds at the most.
const FUEL: u64 = 200_000;
/// Longest text a template may make, in bytes.
const MAX_OUTPUT: usize = 1 << 20;

/// The engine with all templates of a mapping, under the names `0`, `1`, …
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Templates")
    }
}

impl Templates {
    /// An engine without templates.
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // Prints the engine's state, which is nobody's data.
        environment.remove_global("debug");
        environment.set_formatter(|out, state, value| {
            if value.is_none() { Ok(()) } else { minijinja::escape_formatter(out, state, value) }
        });
        environment.add_filter("title", |value: Shown| on_text(value, minijinja::filters::title));
        environment.add_filter("lower", |value: Shown| on_text(value, |text| text.to_lowercase()));
        environment.add_filter("upper", |value: Shown| on_text(value, |text| text.to_uppercase()));
        environment.add_filter("trim", |value: Shown, chars: Option<Cow<'_, str>>| {
            on_text(value, |text| match &chars {
                Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
                None => text.trim().to_owned(),
            })
        });
        Self { environment }
    }

    /// Adds a template under its number. The error is about its syntax.
    pub(super) fn add(&mut self, number: usize, template: &str) -> Result<(), Error> {
        self.environment.add_template_owned(number.to_string(), template.to_owned())
    }

    /// A template by its number; its handle is worth keeping for a whole batch.
    pub(super) fn get(&self, number: usize) -> Option<minijinja::Template<'_, '_>> {
        self.environment.get_template(&number.to_string()).ok()
    }

    /// Filters, tests and methods of a template that are not there.
    pub(super) fn unknown_calls(&self, template: &str) -> Vec<Unknown> {
        crate::template::unknown_calls(template, &self.environment, &[])
    }

    /// True when the engine itself has something by this name (`range`, `dict`, …).
    pub(super) fn has_global(&self, name: &str) -> bool {
        self.environment.globals().any(|(known, _)| known == name)
    }
}

fn on_text(value: Shown, filter: impl FnOnce(Cow<'_, str>) -> String) -> Result<Shown, Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Invalid => Ok(value),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        _ => Ok(Shown::from(filter(value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)))),
    }
}

/// What is the same for every row of a run: `vars`, `environment`, `run`.
#[derive(Debug)]
pub(super) struct Scope {
    vars: Shown,
    environment: Shown,
    run: Shown,
}

impl Scope {
    /// The scope of a mapping; `started_at` is what `run.started_at` gives.
    pub(super) fn new(scope: &serde_json::Map<String, serde_json::Value>, started_at: &str) -> Self {
        let take =
            |name| scope.get(name).map_or(Shown::UNDEFINED, |value: &serde_json::Value| show(&Value::from_json(value)));
        Self {
            vars: take("vars"),
            environment: take("environment"),
            run: Shown::from_pairs([("started_at", Shown::from(started_at))]),
        }
    }
}

/// The columns of a batch as templates see them.
#[derive(Debug)]
pub(super) struct Rows {
    /// The schema whose names and metadata hold.
    pub(super) schema: SchemaRef,
    /// Name → position.
    pub(super) positions: Arc<HashMap<String, usize>>,
    /// The columns.
    pub(super) columns: Vec<ArrayRef>,
}

/// One row, looked up lazily.
#[derive(Debug)]
struct Row {
    rows: Arc<Rows>,
    row: usize,
}

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Shown) -> Option<Shown> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Shown> {
        let position = *self.rows.positions.get(key)?;
        let column = self.rows.columns.get(position)?;
        let field = self.rows.schema.fields().get(position)?;
        let value = Column::new(column, Some(field)).and_then(|column| column.at(self.row));
        let value = value.and_then(|v| if v.is_finite() { Ok(v) } else { Err("is not a finite number".into()) });
        Some(match value {
            Ok(value) => show(&value),
            Err(reason) => Shown::from(Error::new(ErrorKind::BadSerialization, format!("column `{key}` {reason}"))),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names: Vec<Shown> =
            self.rows.schema.fields().iter().map(|field| Shown::from(field.name().as_str())).collect();
        Enumerator::Iter(Box::new(names.into_iter()))
    }
}

#[derive(Debug)]
struct Context {
    row: Shown,
    scope: Arc<Scope>,
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Shown) -> Option<Shown> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Shown> {
        match key {
            "row" => Some(self.row.clone()),
            "vars" => Some(self.scope.vars.clone()),
            "environment" => Some(self.scope.environment.clone()),
            "run" => Some(self.scope.run.clone()),
            _ => None,
        }
    }
}

/// What all templates of one row are rendered with.
pub(super) fn context(rows: &Arc<Rows>, scope: &Arc<Scope>, row: usize) -> Shown {
    let row = Shown::from_object(Row { rows: Arc::clone(rows), row });
    Shown::from_object(Context { row, scope: Arc::clone(scope) })
}

/// Renders a template. The error says what is wrong and quotes the template, never a value; and whether it is the row or the
/// template that is to blame.
pub(super) fn render(template: &minijinja::Template<'_, '_>, context: Shown) -> Result<Value, (Reason, String)> {
    let text = template.render(context).map_err(|error| {
        let reason = if broken(&error) { Reason::Template } else { Reason::Unmappable };
        (reason, explain(&error, template.source()))
    })?;
    if text.len() > MAX_OUTPUT {
        let message = format!("the template makes more than {} KiB of text", MAX_OUTPUT / 1024);
        return Err((Reason::Unmappable, message));
    }
    Ok(Value::Text(text.into()))
}

/// The engine's own details can quote values; the kind of the error and the place in the template cannot.
fn explain(error: &Error, source: &str) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "too much work for one row".to_owned(),
        // Our own words about a column that cannot be read, and nothing else, come by this kind with this beginning.
        ErrorKind::BadSerialization => match error.detail() {
            Some(detail) if detail.starts_with("column `") => detail.to_owned(),
            _ => error.kind().to_string(),
        },
        kind => kind.to_string(),
    };
    match error.range().and_then(|range| source.get(range)).filter(|excerpt| !excerpt.is_empty()) {
        Some(excerpt) => format!("template: {what} at `{excerpt}`"),
        None => format!("template: {what}"),
    }
}

/// A value as templates see it.
fn show(value: &Value) -> Shown {
    match value {
        Value::Null => Shown::from(()),
        Value::Bool(truth) => Shown::from(*truth),
        Value::Int(int) => Shown::from(*int),
        Value::UInt(uint) => Shown::from(*uint),
        Value::Float(float) => Shown::from(*float),
        Value::Decimal(text) => decimal(text),
        Value::List(items) => items.iter().map(show).collect(),
        Value::Object(entries) => Shown::from_pairs(entries.iter().map(|(name, value)| (&**name, show(value)))),
        other => Shown::from(&*other.text()),
    }
}

/// A number where the engine prints it with the same digits, else the digits themselves.
fn decimal(text: &str) -> Shown {
    if let Ok(whole) = text.parse::<i128>() {
        return Shown::from(whole);
    }
    match number::double(text).filter(|float| float.to_string() == text) {
        Some(float) => Shown::from(float),
        None => Shown::from(text),
    }
}
