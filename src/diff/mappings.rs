//! The mapping in force, and those the rows of a snapshot were sent with.

use std::collections::BTreeMap;

use super::DiffError;
use super::snapshot::{Layout, Snapshot};
use crate::mapping::{Mapping, Record, Value, named};

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

/// True when both are the same record, be their fields in another order.
pub(super) fn same_record(a: &Named, b: &Named) -> bool {
    fn sorted(named: &Named) -> Vec<&(String, Value)> {
        let mut fields: Vec<_> = named.iter().collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields
    }
    let pairs =
        |a: &[&(String, Value)], b: &[&(String, Value)]| a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.same(&b.1));
    a.len() == b.len() && pairs(&sorted(a), &sorted(b))
}

/// True when both records of one mapping are the same.
pub(super) fn same_positions(a: &Record, b: &Record) -> bool {
    let field = |(a, b): (&Option<Value>, &Option<Value>)| match (a, b) {
        (Some(a), Some(b)) => a.same(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    a.matching.iter().zip(&b.matching).all(|(a, b)| a.same(b)) && a.fields.iter().zip(&b.fields).all(field)
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
