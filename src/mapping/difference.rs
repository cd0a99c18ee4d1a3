//! A record against what was last acknowledged, field by field.

use super::{Mapping, Record, Value};

/// One field or identifier that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Destination field or identifier.
    pub field: String,
    /// True when it is an identifier the record is matched by.
    pub identifier: bool,
    /// The value last acknowledged; `None` when the field was not sent.
    pub before: Option<Value>,
    /// The value to send.
    pub after: Value,
}

/// A record with its names: identifiers first, then the fields that are not left out. This is what `Before::Known`
/// holds. A name that is both identifier and field is there twice.
pub fn named(record: &Record, mapping: &Mapping) -> Vec<(String, Value)> {
    let spec = mapping.spec();
    let identifiers = spec.matching.keys().zip(&record.matching).map(|(name, value)| (name.clone(), value.clone()));
    let fields = spec.fields.keys().zip(&record.fields);
    identifiers.chain(fields.filter_map(|(name, value)| Some((name.clone(), value.clone()?)))).collect()
}

/// What differs between a record as last acknowledged (by name, made by whatever mapping was in force then) and the
/// record to send now. A field that is left out now does not differ; one that was not sent then does.
pub fn differences(before: &[(String, Value)], after: &Record, mapping: &Mapping) -> Vec<Difference> {
    let spec = mapping.spec();
    let mut out = Vec::new();
    let mut compare = |field: &str, identifier, known: Option<&(String, Value)>, value: &Value| {
        let known = known.map(|(_, value)| value);
        if !known.is_some_and(|known| known.same(value)) {
            out.push(Difference { field: field.to_owned(), identifier, before: known.cloned(), after: value.clone() });
        }
    };
    // Identifiers stand first: of a name that is there twice, the first is the identifier and the last the field.
    for (name, value) in spec.matching.keys().zip(&after.matching) {
        compare(name, true, before.iter().find(|(known, _)| known == name), value);
    }
    for (name, value) in spec.fields.keys().zip(&after.fields) {
        if let Some(value) = value {
            compare(name, false, before.iter().rfind(|(known, _)| known == name), value);
        }
    }
    out
}

#[cfg(test)]
mod tests;
