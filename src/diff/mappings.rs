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

/// Where the identifiers and fields of the mapping in force were in another one: [`crate::mapping::differences`] without
/// making names of every record.
pub(super) struct Alignment {
    matching: Vec<Was>,
    fields: Vec<Was>,
}

/// Where a name was: among the identifiers, among the fields, or both.
struct Was {
    identifier: Option<usize>,
    field: Option<usize>,
}

impl Alignment {
    /// Compares records of the mapping `then` with records of `now`.
    pub(super) fn new(then: &MappingSpec, now: &MappingSpec) -> Alignment {
        let was =
            |name: &String| Was { identifier: then.matching.get_index_of(name), field: then.fields.get_index_of(name) };
        Alignment { matching: now.matching.keys().map(was).collect(), fields: now.fields.keys().map(was).collect() }
    }

    /// True when sending the record `now` would change nothing: fields that are left out now stay as they are.
    pub(super) fn same(&self, then: &Record, now: &Record) -> bool {
        let identifier = |was: &Was| was.identifier.and_then(|i| then.matching.get(i));
        let field = |was: &Was| was.field.and_then(|i| then.fields.get(i)?.as_ref());
        let identifiers = self
            .matching
            .iter()
            .zip(&now.matching)
            .all(|(was, value)| identifier(was).or_else(|| field(was)).is_some_and(|then| then.same(value)));
        let fields = self.fields.iter().zip(&now.fields).all(|(was, value)| match value {
            Some(value) => field(was).or_else(|| identifier(was)).is_some_and(|then| then.same(value)),
            None => true,
        });
        identifiers && fields
    }
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
