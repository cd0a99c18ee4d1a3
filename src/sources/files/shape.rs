//! What the JSON values of a column have in common, and JSON values as Arrow values.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::sources::columns::{Column, TextKind, marked};
use crate::sources::text::{self, Reading};
use crate::sources::{TYPE_DECIMAL, TYPE_JSON};

/// Deeper values than this are kept as JSON text.
const DEPTH: u8 = 16;

/// An object with more keys than this over all rows is a dictionary, not a record: it is kept as JSON text.
const KEYS: usize = 256;

/// Keys up to which an object is looked through from end to end.
const SMALL: usize = 64;

/// Whole numbers up to here are exact as floating point numbers.
const EXACT: u64 = 1 << 53;

/// The keys and values of an object, in order, repeated keys and all.
pub(super) struct Pairs<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                // Most objects are small: a look along the list is cheaper than a set.
                let mut many: HashSet<Cow<'de, str>> = HashSet::new();
                while let Some(Text(key)) = map.next_key()? {
                    if pairs.len() == SMALL {
                        many.extend(pairs.iter().map(|(known, _)| known.clone()));
                    }
                    let twice = match pairs.len() < SMALL {
                        true => pairs.iter().any(|(known, _)| *known == key),
                        false => !many.insert(key.clone()),
                    };
                    if twice {
                        return Err(serde::de::Error::custom(format!("key `{key}` is there twice")));
                    }
                    pairs.push((key, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// What the values seen so far have in common.
#[derive(Debug, Default)]
pub(super) struct Shape {
    boolean: bool,
    int: bool,
    /// A whole number beyond 2^53.
    wide_int: bool,
    float: bool,
    /// A number that neither 64-bit type holds exactly.
    decimal: bool,
    date: bool,
    timestamp: bool,
    instant: bool,
    text: bool,
    /// Something only JSON text can hold.
    json: bool,
    items: Option<Box<Shape>>,
    fields: Option<IndexMap<String, Shape>>,
}

impl Shape {
    /// Takes a value into account.
    pub(super) fn see(&mut self, raw: &RawValue, depth: u8) -> serde_json::Result<()> {
        if self.json {
            return Ok(());
        }
        let json = raw.get();
        match json.as_bytes().first() {
            Some(b'n') | None => {}
            Some(b't' | b'f') => self.boolean = true,
            Some(b'"') => {
                let Text(value) = serde_json::from_str(json)?;
                match text::reading(&value) {
                    _ if self.text => {}
                    Reading::Date => self.date = true,
                    Reading::Timestamp => self.timestamp = true,
                    Reading::Instant => self.instant = true,
                    _ => self.text = true,
                }
            }
            Some(b'[' | b'{') if depth >= DEPTH => self.json = true,
            Some(b'[') => {
                let items = self.items.get_or_insert_default();
                for item in serde_json::from_str::<Vec<&RawValue>>(json)? {
                    items.see(item, depth + 1)?;
                }
            }
            Some(b'{') => {
                let Pairs(pairs) = serde_json::from_str(json)?;
                let fields = self.fields.get_or_insert_default();
                for (key, value) in pairs {
                    match fields.get_mut(key.as_ref()) {
                        Some(shape) => shape.see(value, depth + 1)?,
                        None => fields.entry(key.into_owned()).or_default().see(value, depth + 1)?,
                    }
                }
                self.json |= fields.len() > KEYS;
            }
            Some(_) => self.see_number(json),
        }
        Ok(())
    }

    fn see_number(&mut self, number: &str) {
        if let Ok(int) = number.parse::<i64>() {
            self.int = true;
            self.wide_int |= int.unsigned_abs() > EXACT;
        } else if text::is_decimal(number) {
            match text::float(number) {
                Some(_) => self.float = true,
                // Minus zero, and decimals with more digits than a float holds.
                None => self.decimal = true,
            }
        } else {
            // With an exponent: a float, as its writer had one, unless it is out of range.
            let finite = number.parse::<f64>().is_ok_and(f64::is_finite);
            (self.float, self.json) = (self.float || finite, self.json || !finite);
        }
    }

    /// The narrowest field that holds everything seen, without losing a digit.
    pub(super) fn field(&self, name: &str) -> Field {
        let number = self.int || self.float || self.decimal;
        let words = self.text || (self.date || self.timestamp || self.instant);
        let families = [self.boolean, number, words, self.items.is_some(), self.fields.is_some()];
        let plain = |kind| Field::new(name, kind, true);
        let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        match families.iter().filter(|family| **family).count() {
            0 if !self.json => return plain(DataType::Utf8),
            1 if !self.json => {}
            _ => return marked(name, TYPE_JSON),
        }
        if self.boolean {
            return plain(DataType::Boolean);
        }
        if number {
            return match self {
                Self { decimal: true, .. } => marked(name, TYPE_DECIMAL),
                Self { float: true, wide_int: true, .. } => marked(name, TYPE_DECIMAL),
                Self { float: true, .. } => plain(DataType::Float64),
                _ => plain(DataType::Int64),
            };
        }
        if let Some(items) = &self.items {
            return holding(name, DataType::List(items.field("item").into()));
        }
        if let Some(fields) = &self.fields {
            // An object that never has a key has no Arrow type that Parquet could hold.
            return match fields.is_empty() {
                true => marked(name, TYPE_JSON),
                false => {
                    let fields: Fields = fields.iter().map(|(name, shape)| shape.field(name)).collect();
                    holding(name, DataType::Struct(fields))
                }
            };
        }
        match (self.text, self.date, self.timestamp, self.instant) {
            (false, true, false, false) => plain(DataType::Date32),
            (false, false, true, false) => plain(micros(None)),
            (false, false, false, true) => plain(micros(Some("UTC"))),
            _ => plain(DataType::Utf8),
        }
    }
}

/// A field of a list or an object. What text stands for is known of whole columns alone: where something within would be
/// decimal or JSON text, the whole is JSON text.
fn holding(name: &str, kind: DataType) -> Field {
    let exact = |field: &Field| field.metadata().is_empty();
    let plain = match &kind {
        DataType::List(item) => exact(item),
        DataType::Struct(fields) => fields.iter().all(|field| exact(field)),
        _ => true,
    };
    if plain { Field::new(name, kind, true) } else { marked(name, TYPE_JSON) }
}

/// Appends a JSON value; false when it is not of the column's type.
pub(super) fn push(column: &mut Column, raw: &RawValue) -> serde_json::Result<bool> {
    let json = raw.get();
    if json == "null" {
        column.push_null();
        return Ok(true);
    }
    let first = json.as_bytes().first().copied().unwrap_or_default();
    match column {
        Column::Text(b, TextKind::Json) => b.append_value(json),
        Column::Text(b, TextKind::Decimal) => match decimal(json) {
            Some(number) => b.append_value(number),
            None => return Ok(false),
        },
        Column::List(list) if first == b'[' => {
            for item in serde_json::from_str::<Vec<&RawValue>>(json)? {
                if !push(&mut list.items, item)? {
                    return Ok(false);
                }
                list.count();
            }
            list.end(true);
        }
        Column::Struct(object) if first == b'{' => {
            let Pairs(pairs) = serde_json::from_str(json)?;
            for (field, child) in object.fields.iter().zip(&mut object.children) {
                match pairs.iter().find(|(key, _)| key == field.name()) {
                    Some((_, value)) if !push(child, value)? => return Ok(false),
                    Some(_) => {}
                    None => child.push_null(),
                }
            }
            object.end(true);
        }
        Column::Boolean(b) => match json {
            "true" => b.append_value(true),
            "false" => b.append_value(false),
            _ => return Ok(false),
        },
        Column::Int64(b) => match json.parse() {
            Ok(int) => b.append_value(int),
            Err(_) => return Ok(false),
        },
        Column::Float64(b) => match json.parse::<f64>() {
            Ok(float) => b.append_value(float),
            Err(_) => return Ok(false),
        },
        other if first == b'"' => {
            let Text(value) = serde_json::from_str(json)?;
            return Ok(push_words(other, &value));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Appends text, a date or a timestamp; false when the value is not of the column's kind.
pub(super) fn push_words(column: &mut Column, value: &str) -> bool {
    match column {
        Column::Text(b, _) => b.append_value(value),
        Column::Date(b) => match text::date(value) {
            Some(days) => b.append_value(days),
            None => return false,
        },
        Column::Timestamp(b, zoned) => match text::timestamp(value) {
            Some((micros, instant)) if instant == *zoned => b.append_value(micros),
            _ => return false,
        },
        _ => return false,
    }
    true
}

/// A JSON number without exponent, all digits kept.
fn decimal(number: &str) -> Option<Cow<'_, str>> {
    if text::is_decimal(number) {
        return Some(number.into());
    }
    let float = number.parse::<f64>().ok().filter(|f| f.is_finite())?;
    Some(format!("{float}").into())
}
