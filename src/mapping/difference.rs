//! A record against what was last acknowledged, field by field.

use smol_str::SmolStr;

use super::{Mapping, Record, Value};

/// A record by name: identifiers first, then the fields that are not left out. A name that is both is there twice.
pub type Named = Vec<(SmolStr, Value)>;

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

/// A record with the names its mapping gives it.
pub fn named(record: Record, mapping: &Mapping) -> Named {
    let mut named = Named::with_capacity(record.matching.len() + record.fields.len());
    let values = record.matching.into_iter().map(Some).chain(record.fields);
    named.extend(mapping.names().zip(values).filter_map(|(name, value)| Some((name.clone(), value?))));
    named
}

/// What differs between a record as last acknowledged (by name, made by whatever mapping was in force then) and the
/// record to send now. A field that is left out now does not differ; one that was not sent then does.
pub fn differences(before: &[(SmolStr, Value)], after: &Record, mapping: &Mapping) -> Vec<Difference> {
    let spec = mapping.spec();
    let mut out = Vec::new();
    let mut compare = |field: &str, identifier, known: Option<&(SmolStr, Value)>, value: &Value| {
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
