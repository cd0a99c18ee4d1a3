//! Fields of a sync against the fields its destination has: those a connector declares, and those that were asked for.

use std::fmt;

use arrow_schema::{DataType, Schema};
use serde_json::Value;

use super::parameters::quoted;
use super::{Project, ResolvedSync};
use crate::destinations::{DestinationKind, Discovered};
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::connector::object::{FieldType, Object};
use crate::manifest::document::escape;
use crate::manifest::sync::{Field, Origin};
use crate::mapping::{self, Meaning};

/// What the values of a field are, as far as it is known before any row is read.
#[derive(Debug, Clone, PartialEq)]
enum Sort {
    /// Not known, or any.
    Any,
    Text,
    Integer,
    /// A number that may have a fraction.
    Number,
    /// A number in digits, whole or not.
    Decimal,
    Boolean,
    Date,
    Timestamp,
    List(Box<Sort>),
    Object,
}

/// How exactly values must be of a field's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// One value of another type, and the destination refuses the batch.
    Exact,
    /// Numbers and truth values are taken for text, numbers for points in time.
    Declared,
    /// Text, numbers and truth values are turned into one another.
    Converts,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sort::Any => "anything",
            Sort::Text => "text",
            Sort::Integer => "whole numbers",
            Sort::Number | Sort::Decimal => "numbers",
            Sort::Boolean => "true or false",
            Sort::Date => "dates",
            Sort::Timestamp => "dates and times",
            Sort::List(_) => "lists",
            Sort::Object => "objects",
        })
    }
}

impl Sort {
    fn of(data_type: &DataType, meaning: Meaning) -> Self {
        use DataType as T;
        match data_type {
            T::Boolean => Sort::Boolean,
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Sort::Integer,
            T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => Sort::Decimal,
            T::Float16 | T::Float32 | T::Float64 => Sort::Number,
            T::Utf8 | T::LargeUtf8 | T::Utf8View => match meaning {
                Meaning::Itself => Sort::Text,
                Meaning::Decimal => Sort::Decimal,
                Meaning::Json => Sort::Any,
            },
            T::Date32 | T::Date64 => Sort::Date,
            T::Timestamp(..) => Sort::Timestamp,
            T::Time32(_) | T::Time64(_) => Sort::Text,
            T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => {
                Sort::List(Box::new(Sort::of(item.data_type(), Meaning::of(item))))
            }
            T::Struct(_) | T::Map(_, _) => Sort::Object,
            T::Dictionary(_, values) => Sort::of(values, meaning),
            _ => Sort::Any,
        }
    }

    fn of_constant(value: &Value) -> Self {
        match value {
            Value::Null => Sort::Any,
            Value::Bool(_) => Sort::Boolean,
            Value::Number(number) if number.is_f64() => Sort::Number,
            Value::Number(_) => Sort::Integer,
            Value::String(_) => Sort::Text,
            Value::Array(items) => Sort::List(Box::new(items.first().map_or(Sort::Any, Sort::of_constant))),
            Value::Object(_) => Sort::Object,
        }
    }

    fn of_field(field: &Field, schema: &Schema) -> Self {
        if let (Origin::Value(value), true) = (&field.origin, field.transform.is_empty()) {
            return Sort::of_constant(value);
        }
        let data_type = mapping::data_type(field, schema);
        data_type.map_or(Sort::Any, |data_type| Sort::of(&data_type, mapping::meaning(field, schema)))
    }

    fn fits(&self, kind: FieldType, care: Care) -> bool {
        use FieldType as F;
        let converts = care == Care::Converts;
        match (kind, self) {
            (F::Any, _) | (_, Sort::Any) => true,
            (F::List, sort) => matches!(sort, Sort::List(_)),
            // To an API that knows no lists as a type, a list is what its items are.
            (kind, Sort::List(item)) => care == Care::Exact && item.fits(kind, care),
            (F::Object, sort) => *sort == Sort::Object,
            (_, Sort::Object) => false,
            (F::String, Sort::Text | Sort::Date | Sort::Timestamp) => true,
            (F::String, _) => care != Care::Exact,
            (F::Integer, Sort::Integer | Sort::Decimal) => true,
            (F::Integer, Sort::Text | Sort::Number | Sort::Boolean) => converts,
            (F::Number, Sort::Integer | Sort::Number | Sort::Decimal) => true,
            (F::Number, Sort::Text | Sort::Boolean) => converts,
            (F::Boolean, Sort::Boolean) => true,
            (F::Boolean, Sort::Text | Sort::Integer) => converts,
            (F::Date | F::Timestamp, Sort::Text | Sort::Date | Sort::Timestamp) => true,
            (F::Date | F::Timestamp, Sort::Integer | Sort::Number | Sort::Decimal) => care != Care::Exact,
            (F::Date | F::Timestamp, Sort::Boolean) | (F::Integer | F::Number | F::Boolean, _) => false,
        }
    }

    /// The transform that makes it what a field takes.
    fn transform(&self, kind: FieldType) -> Option<&'static str> {
        use FieldType as F;
        Some(match (kind, self) {
            (F::String, Sort::Integer | Sort::Number | Sort::Decimal | Sort::Boolean) => "string",
            (F::Integer, Sort::Text | Sort::Number) => "integer",
            (F::Number, Sort::Text) => "number",
            (F::Boolean, Sort::Text | Sort::Integer) => "boolean",
            (F::Integer | F::Number, Sort::Date | Sort::Timestamp) => "epoch_s",
            (F::List | F::Object, Sort::Text) => "json",
            _ => return None,
        })
    }
}

/// What a field takes, in words.
fn words(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Any => "anything",
        FieldType::String => "text",
        FieldType::Integer => "a whole number",
        FieldType::Number => "a number",
        FieldType::Boolean => "`true` or `false`",
        FieldType::Date => "a date",
        FieldType::Timestamp => "a date and time",
        FieldType::List => "a list",
        FieldType::Object => "an object",
    }
}

impl Project {
    /// True when the destination of a sync can be asked which fields there are.
    pub fn can_be_asked(&self, sync: &ResolvedSync) -> bool {
        self.offered(sync).is_some_and(|object| object.discover.is_some())
    }

    /// What in a sync its destination cannot take: fields it does not have, that cannot be written, or of another type
    /// than the values of this schema. `discovered` is what was asked for.
    pub fn field_faults(
        &self,
        sync: &ResolvedSync,
        schema: &Schema,
        discovered: Option<&Discovered>,
    ) -> Vec<Diagnostic> {
        let Some(object) = self.offered(sync) else { return Vec::new() };
        let whose = format!("object `{}` of `{}`", sync.sync.object, sync.destination);
        let mut check = Check { sync, schema, object, whose, faults: Vec::new() };
        for (name, field) in &sync.mapping.fields {
            match (object.fields.get(name), discovered) {
                (Some(declared), _) => check.values(name, field, name, declared.kind, Care::Declared),
                (None, Some(discovered)) => check.discovered(name, field, discovered),
                (None, None) => {}
            }
        }
        if let Some(discovered) = discovered.filter(|known| known.complete && object.open_identifiers) {
            check.identifiers(discovered);
        }
        check.faults
    }

    /// The object of a sync, where a connector says what it is.
    pub(super) fn offered(&self, sync: &ResolvedSync) -> Option<&Object> {
        match &self.destinations.get(&sync.destination)?.kind {
            DestinationKind::Connector(compiled) => compiled.manifest().objects.get(&sync.sync.object),
            _ => None,
        }
    }
}

struct Check<'a> {
    sync: &'a ResolvedSync,
    schema: &'a Schema,
    object: &'a Object,
    whose: String,
    faults: Vec<Diagnostic>,
}

impl Check<'_> {
    fn discovered(&mut self, name: &str, field: &Field, discovered: &Discovered) {
        if self.object.identifiers.contains_key(name) {
            return;
        }
        let care = if discovered.converts { Care::Converts } else { Care::Exact };
        let find = |name: &str| discovered.fields.iter().find(|known| known.name == name);
        if let Some(known) = find(name) {
            if !known.writable {
                let message = format!("the field `{name}` of {} can only be read", self.whose);
                let place = self.sync.document.key_place(&format!("/fields/{}", escape(name)));
                let fault = Diagnostic::error("read-only-field", message, Some(place));
                self.faults.push(fault.with_help("remove it, or name a field that can be written"));
                return;
            }
            self.values(name, field, name, known.kind, care);
            return;
        }
        // A nested field is one of an object.
        let above = name.match_indices('.').filter_map(|(at, _)| name.get(..at)).rev().find_map(find);
        match above {
            Some(above) if !matches!(above.kind, FieldType::Any | FieldType::Object | FieldType::List) => {
                let message = format!(
                    "the field `{}` of {} takes {}, and `{name}` would make it an object",
                    above.name,
                    self.whose,
                    words(above.kind)
                );
                let place = self.sync.document.key_place(&format!("/fields/{}", escape(name)));
                let fault = Diagnostic::error("wrong-type", message, Some(place));
                self.faults.push(fault.with_help("name another field"));
            }
            None if discovered.complete => self.unknown("field", "fields", name, discovered),
            Some(_) | None => {}
        }
    }

    fn unknown(&mut self, word: &str, block: &str, name: &str, discovered: &Discovered) {
        let names = || discovered.fields.iter().map(|known| known.name.as_str());
        let help = match closest(name, names()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None if discovered.fields.len() <= 20 => format!("{word}s there: {}", quoted(names())),
            None => {
                format!("it has {} fields; make this one there first, or correct its name", discovered.fields.len())
            }
        };
        let message = format!("{} has no field `{name}`", self.whose);
        let place = self.sync.document.key_place(&format!("/{block}/{}", escape(name)));
        let code = if word == "field" { "unknown-field" } else { "unknown-identifier" };
        self.faults.push(Diagnostic::error(code, message, Some(place)).with_help(help));
    }

    fn identifiers(&mut self, discovered: &Discovered) {
        for name in self.sync.mapping.matching.keys() {
            let known = discovered.fields.iter().any(|field| field.name == *name);
            if !known && !self.object.identifiers.contains_key(name) {
                self.unknown("identifier", "match", name, discovered);
            }
        }
    }

    fn values(&mut self, name: &str, field: &Field, known: &str, kind: FieldType, care: Care) {
        let sort = Sort::of_field(field, self.schema);
        if sort.fits(kind, care) {
            return;
        }
        let pointer = format!("/fields/{}", escape(name));
        let (what, at) = match &field.origin {
            Origin::Column(column) if field.transform.is_empty() => (format!("column `{column}` holds"), "/column"),
            Origin::Value(_) if field.transform.is_empty() => ("the constant is".to_owned(), "/value"),
            Origin::Template(_) if field.transform.is_empty() => ("its template gives".to_owned(), "/template"),
            _ => ("its transforms give".to_owned(), "/transform"),
        };
        let message = format!("the field `{known}` of {} takes {}, and {what} {sort}", self.whose, words(kind));
        let help = match (sort.transform(kind), &field.origin) {
            (Some(transform), Origin::Column(column)) if field.transform.is_empty() => {
                format!("write `{name}: {{ column: {column}, transform: {transform} }}`")
            }
            (Some(transform), _) => format!("put `{transform}` at the end of its `transform`"),
            (None, _) => format!("make it {} in the model, or name another field", words(kind)),
        };
        let fault = Diagnostic::error("wrong-type", message, Some(self.sync.document.place(&format!("{pointer}{at}"))));
        self.faults.push(fault.with_label(format!("expected {}", words(kind))).with_help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field type, values, and whether they fit: where types are exact, as declared, where the destination converts.
    #[test]
    fn what_fits() {
        use FieldType as F;
        let texts = || Sort::List(Box::new(Sort::Text));
        for (kind, sort, fits) in [
            (F::Any, Sort::Object, [true, true, true]),
            (F::String, Sort::Text, [true, true, true]),
            (F::String, Sort::Integer, [false, true, true]),
            (F::String, Sort::Timestamp, [true, true, true]),
            (F::String, texts(), [true, false, false]),
            (F::String, Sort::Object, [false, false, false]),
            (F::Integer, Sort::Integer, [true, true, true]),
            (F::Integer, Sort::Number, [false, false, true]),
            (F::Integer, Sort::Text, [false, false, true]),
            (F::Integer, Sort::Timestamp, [false, false, false]),
            (F::Number, Sort::Integer, [true, true, true]),
            (F::Number, Sort::Text, [false, false, true]),
            (F::Boolean, Sort::Boolean, [true, true, true]),
            (F::Boolean, Sort::Integer, [false, false, true]),
            (F::Boolean, Sort::Date, [false, false, false]),
            (F::Date, Sort::Text, [true, true, true]),
            (F::Timestamp, Sort::Integer, [false, true, true]),
            (F::Timestamp, Sort::Boolean, [false, false, false]),
            (F::List, texts(), [true, true, true]),
            (F::List, Sort::Text, [false, false, false]),
            (F::Object, Sort::Object, [true, true, true]),
            (F::Object, Sort::Any, [true, true, true]),
        ] {
            let found = [Care::Exact, Care::Declared, Care::Converts].map(|care| sort.fits(kind, care));
            assert_eq!(found, fits, "{kind:?} takes {sort}");
        }
    }
}
