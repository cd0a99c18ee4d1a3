//! The mapping in force, and those the rows of a snapshot were sent with.

use std::collections::BTreeMap;

use super::DiffError;
use super::snapshot::{Layout, Snapshot};
use crate::manifest::sync::{Field, Origin};
use crate::mapping::{Mapping, MappingSpec, Record, Used, Value, columns_of};

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
    /// What there is to compare of a row that is the same.
    pub part: Part,
    /// Where its row hash covers more columns than it does now: the names in the file of those that are left.
    pub rehashed: Option<Vec<String>>,
}

/// What of its record may differ when a row is the same and its mapping is another one.
pub(super) enum Part {
    /// Nothing: all that is sent now was sent in the same way.
    Nothing,
    /// These identifiers and fields.
    Fields(Box<PartOf>),
    /// Not known from the row as it is now.
    All,
}

/// Two mappings without what they have in common.
pub(super) struct PartOf {
    then: Mapping,
    now: Mapping,
    to_current: Alignment,
}

impl Part {
    /// `same_columns`: templates that see the whole row see the same of it.
    pub(super) fn new(
        then: &MappingSpec,
        now: &MappingSpec,
        schema: &arrow_schema::SchemaRef,
        same_columns: bool,
        started_at: &str,
    ) -> Part {
        let kept = |(name, field): &(&String, &Field)| {
            let template = matches!(field.origin, Origin::Template(_));
            then.fields.get(*name) == Some(*field)
                && (!template || then.scope == now.scope && (same_columns || columns_of(field) != Used::All))
        };
        let identifiers = now.matching.iter().all(|(name, column)| then.matching.get(name) == Some(column));
        if identifiers && now.fields.iter().all(|field| kept(&field)) {
            return Part::Nothing;
        }
        let (mut part_then, mut part_now) = (then.clone(), now.clone());
        part_now.fields.retain(|name, field| !kept(&(name, &*field)));
        part_then.fields.retain(|name, _| part_now.fields.contains_key(name) || now.matching.contains_key(name));
        let to_current = Alignment::new(&part_then, &part_now);
        let mapping = |spec: &MappingSpec| Mapping::new(spec, schema, started_at).ok();
        match (mapping(&part_then), mapping(&part_now)) {
            (Some(then), Some(now)) => Part::Fields(Box::new(PartOf { then, now, to_current })),
            _ => Part::All,
        }
    }
}

impl PartOf {
    /// Both mappings for the same rows.
    pub(super) fn bind<'a>(&'a self, rows: &'a arrow_array::RecordBatch) -> Result<BoundPart<'a>, DiffError> {
        Ok(BoundPart { then: self.then.bind(rows)?, now: self.now.bind(rows)?, to_current: &self.to_current })
    }
}

/// Two mappings, without what they have in common, for the same rows.
pub(super) struct BoundPart<'a> {
    then: crate::mapping::Bound<'a>,
    now: crate::mapping::Bound<'a>,
    to_current: &'a Alignment,
}

impl BoundPart<'_> {
    /// True when the record of a row is what it was; false also when that cannot be told.
    pub(super) fn same(&self, row: usize) -> bool {
        match (self.then.record(row, false), self.now.record(row, false)) {
            (Ok(then), Ok(now)) => self.to_current.same(&then, &now),
            _ => false,
        }
    }
}

/// How to see that a record is the same under two mappings, whichever of them came first: what was sent then is sent
/// now, and nothing else.
pub(super) struct Equal(Option<(Box<PartOf>, Alignment)>);

impl Equal {
    /// For rows of this schema; `None` when it can never be seen.
    pub(super) fn new(then: &MappingSpec, now: &MappingSpec, schema: &arrow_schema::SchemaRef) -> Option<Equal> {
        let names = |spec: &MappingSpec| -> std::collections::BTreeSet<String> {
            spec.matching.keys().map(|name| format!("identifier {name}")).chain(spec.fields.keys().cloned()).collect()
        };
        if names(then) != names(now) || then.primary_key != now.primary_key {
            return None;
        }
        // What depends on the time of the run may differ at another time.
        let timed = |field: &Field| matches!(&field.origin, Origin::Template(text) if text.contains("run"));
        if then.fields.values().chain(now.fields.values()).any(timed) {
            return None;
        }
        match Part::new(then, now, schema, true, "") {
            Part::Nothing => Some(Equal(None)),
            Part::All => None,
            Part::Fields(part) => {
                let back = Alignment::new(part.now.spec(), part.then.spec());
                Some(Equal(Some((part, back))))
            }
        }
    }

    /// For a batch of rows.
    pub(super) fn bind<'a>(&'a self, rows: &'a arrow_array::RecordBatch) -> Result<BoundEqual<'a>, DiffError> {
        let bound = self.0.as_ref().map(|(part, back)| Ok::<_, DiffError>((part.bind(rows)?, back))).transpose()?;
        Ok(BoundEqual(bound))
    }
}

/// Two mappings for the same rows.
pub(super) struct BoundEqual<'a>(Option<(BoundPart<'a>, &'a Alignment)>);

impl BoundEqual<'_> {
    /// True when the record of a row is the same under both.
    pub(super) fn same(&self, row: usize) -> bool {
        let Some((bound, back)) = &self.0 else { return true };
        match (bound.then.record(row, false), bound.now.record(row, false)) {
            (Ok(then), Ok(now)) => bound.to_current.same(&then, &now) && back.same(&now, &then),
            _ => false,
        }
    }
}

/// The names in the file of the columns of a layout, where rows with this number have all of them and more.
fn rehashed(snapshot: &Snapshot, number: u32, layout: &Layout) -> Option<Vec<String>> {
    let stored = snapshot.meta().stored(number)?;
    let fields = layout.schema.fields().iter();
    let place = |field: &std::sync::Arc<arrow_schema::Field>| {
        let (_, stored) = stored.iter().find(|(name, _)| name == field.name())?;
        let there = snapshot.schema().field_with_name(stored).ok()?;
        let same = there.data_type() == field.data_type() && there.metadata() == field.metadata();
        same.then(|| (*stored).to_owned())
    };
    fields.map(place).collect()
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
            let same = spec == current.spec();
            let same_columns = columns.iter().map(|c| &c.name).eq(&names);
            let rehashed = match (same_columns, snapshot) {
                (false, Some(snapshot)) => rehashed(snapshot, *number, layout),
                _ => None,
            };
            let part = match same || schema.is_none() {
                true => Part::All,
                false => Part::new(spec, current.spec(), &layout.schema, same_columns, started_at),
            };
            sents.insert(
                *number,
                Sent {
                    same,
                    same_columns,
                    part,
                    rehashed,
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

    /// The numbers whose rows are to be hashed anew, with the columns of the file to hash.
    pub(super) fn rehashed(&self) -> Vec<(u32, Vec<String>)> {
        self.0.iter().filter_map(|(number, sent)| Some((*number, sent.rehashed.clone()?))).collect()
    }

    /// True when some row may have to be compared although it is the same.
    pub(super) fn compare(&self) -> bool {
        self.0.values().any(|sent| matches!(sent.part, Part::Fields(_)))
    }
}

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

/// The mapping in force, for the rows of a layout.
pub(super) fn current(mapping: &Mapping, layout: &Layout, started_at: &str) -> Result<Mapping, DiffError> {
    Mapping::new(mapping.spec(), &layout.schema, started_at).map_err(|faults| {
        let fault = faults.into_iter().next().map(|f| f.message).unwrap_or_default();
        crate::diagnostic::Error::failed(format!("the mapping does not fit the columns it uses: {fault}")).into()
    })
}
