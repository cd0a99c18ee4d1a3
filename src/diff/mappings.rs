//! The mapping in force, and those the rows of a snapshot were sent with.

use std::collections::BTreeMap;

use super::DiffError;
use super::snapshot::{Layout, Snapshot};
use crate::mapping::{Mapping, MappingSpec, Record, Value, named};

/// What a row of a snapshot was sent with.
pub(super) struct Sent {
    /// True when it is the mapping in force.
    pub same: bool,
    /// True when the row hash covers the same columns as it does now.
    pub same_columns: bool,
    /// For rows as the snapshot has them; `None` when their values are not kept, or the mapping no longer works.
    pub then: Option<Mapping>,
    /// The same for rows as the model has them now; `None` when columns are gone.
    pub now: Option<Mapping>,
    /// Its records against those of the mapping in force.
    pub to_current: Alignment,
    /// Its records against each other.
    pub to_itself: Alignment,
}

/// The mappings of a snapshot, by number.
pub(super) struct Sents(BTreeMap<u32, Sent>);

impl Sents {
    /// Compiles the mappings of a snapshot.
    pub(super) fn new(snapshot: Option<&Snapshot>, current: &Mapping, layout: &Layout, started_at: &str) -> Sents {
        let mut sents = BTreeMap::new();
        let names = layout.names();
        for (number, spec) in snapshot.iter().flat_map(|s| &s.meta().mappings) {
            let Some(columns) = snapshot.and_then(|s| s.meta().columns.get(number)) else { continue };
            let schema = snapshot.and_then(|s| s.sent_schema(*number));
            sents.insert(
                *number,
                Sent {
                    same: spec == current.spec(),
                    same_columns: columns.iter().map(|c| &c.name).eq(&names),
                    then: schema.and_then(|schema| Mapping::new(spec, &schema, started_at).ok()),
                    now: Mapping::new(spec, &layout.schema, started_at).ok(),
                    to_current: Alignment::new(spec, current.spec()),
                    to_itself: Alignment::new(spec, spec),
                },
            );
        }
        Sents(sents)
    }

    /// What the rows with this number were sent with.
    pub(super) fn get(&self, number: u32) -> Option<&Sent> {
        self.0.get(&number)
    }

    /// The numbers of the mapping in force.
    pub(super) fn same(&self) -> Vec<u32> {
        self.0.iter().filter(|(_, sent)| sent.same).map(|(number, _)| *number).collect()
    }

    /// The numbers of rows whose old record can be made.
    pub(super) fn known(&self) -> Vec<u32> {
        self.0.iter().filter(|(_, sent)| sent.then.is_some()).map(|(number, _)| *number).collect()
    }
}

/// A record by name.
pub(super) type Named = Vec<(String, Value)>;

/// Which identifiers and fields of two mappings have the same name: what records are compared by.
pub(super) struct Alignment {
    matching: Vec<(Option<usize>, Option<usize>)>,
    fields: Vec<(Option<usize>, Option<usize>)>,
}

impl Alignment {
    /// Compares records of the mapping `then` with records of `now`.
    fn new(then: &MappingSpec, now: &MappingSpec) -> Alignment {
        Alignment {
            matching: pairs(then.matching.keys(), |name| now.matching.get_index_of(name), now.matching.len()),
            fields: pairs(then.fields.keys(), |name| now.fields.get_index_of(name), now.fields.len()),
        }
    }

    /// True when both are the same record, be their fields in another order. A field that one mapping does not have
    /// and one that is left out are the same: neither is sent.
    pub(super) fn same(&self, then: &Record, now: &Record) -> bool {
        let matching = |(a, b): &(Option<usize>, Option<usize>)| {
            same_value(a.and_then(|i| then.matching.get(i)), b.and_then(|i| now.matching.get(i)))
        };
        let field = |(a, b): &(Option<usize>, Option<usize>)| {
            same_value(a.and_then(|i| then.fields.get(i)?.as_ref()), b.and_then(|i| now.fields.get(i)?.as_ref()))
        };
        self.matching.iter().all(matching) && self.fields.iter().all(field)
    }
}

fn pairs<'n>(
    then: impl Iterator<Item = &'n String>,
    now: impl Fn(&str) -> Option<usize>,
    count: usize,
) -> Vec<(Option<usize>, Option<usize>)> {
    let mut pairs: Vec<_> = then.enumerate().map(|(i, name)| (Some(i), now(name))).collect();
    let alone: Vec<_> = (0..count).filter(|j| !pairs.iter().any(|(_, now)| *now == Some(*j))).collect();
    pairs.extend(alone.into_iter().map(|j| (None, Some(j))));
    pairs
}

fn same_value(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// A record with its names, as [`super::Before::Known`] holds it.
pub(super) fn by_name(record: &Record, mapping: &Mapping) -> Named {
    named(record, mapping)
}

/// The mapping in force, for the rows of a layout.
pub(super) fn current(mapping: &Mapping, layout: &Layout, started_at: &str) -> Result<Mapping, DiffError> {
    Mapping::new(mapping.spec(), &layout.schema, started_at).map_err(|faults| {
        let fault = faults.into_iter().next().map(|f| f.message).unwrap_or_default();
        crate::diagnostic::Error::failed(format!("the mapping does not fit the columns it uses: {fault}")).into()
    })
}
