//! Which columns a snapshot has when rows of several mappings, and of several types, stand side by side.
//!
//! A number in `_mapping` stands for a mapping *and* the types of its columns. When the columns of a mapping have other
//! types than its old rows had, the old rows get a number of their own, and the columns names of their own.

use std::collections::BTreeMap;

use arrow_schema::{Field, SchemaRef};

use super::{Tag, schema_of};
use crate::diagnostic::Error;
use crate::diff::snapshot::{KEY_HASH, KeptColumn, MAPPING, Meta, ROW_HASH, Snapshot};
use crate::mapping::MappingSpec;

/// Where everything goes.
#[derive(Clone)]
pub(super) struct Columns {
    /// What the new snapshot says of itself; mappings no row has any more are taken out at the end.
    pub meta: Meta,
    fields: Vec<Field>,
    tags: Vec<(Tag, u32)>,
    renumbered: BTreeMap<u32, u32>,
    /// Name in the new file → name in the old one.
    old_names: BTreeMap<String, String>,
}

impl Columns {
    /// Works out the columns for the rows of `old` and those with these tags, of which a later one goes before.
    pub(super) fn new<'t>(
        old: Option<&Snapshot>,
        tags: impl DoubleEndedIterator<Item = &'t Tag>,
        mut meta: Meta,
        values: bool,
    ) -> Result<Columns, Error> {
        let given = std::mem::take(&mut meta.columns);
        drop(given);
        meta.values = values;
        let highest = meta.mappings.keys().chain(old.iter().flat_map(|o| o.meta().mappings.keys())).max().copied();
        let mut next = highest.unwrap_or(0) + 1;
        let mut columns = Columns {
            meta,
            fields: Vec::new(),
            tags: Vec::new(),
            renumbered: BTreeMap::new(),
            old_names: BTreeMap::new(),
        };
        for tag in tags.rev() {
            let Some(schema) = tag.columns.as_ref().filter(|_| !columns.tags.iter().any(|(t, _)| t == tag)) else {
                continue;
            };
            let Some(spec) = columns.meta.mappings.get(&tag.mapping).cloned() else {
                return Err(Error::failed(format!("acknowledged rows have the unknown mapping {}", tag.mapping)));
            };
            let mut kept: Vec<KeptColumn> = Vec::with_capacity(schema.fields().len());
            for field in schema.fields() {
                let stored = values.then(|| columns.place(field.name(), field, |stored| !has(&kept, stored)));
                kept.push(KeptColumn { name: field.name().clone(), stored });
            }
            let number = columns.claim(tag.mapping, &spec, kept, &mut next);
            columns.tags.push((tag.clone(), number));
        }
        if let Some(old) = old {
            columns.keep_old(old, values, &mut next);
        }
        Ok(columns)
    }

    fn keep_old(&mut self, old: &Snapshot, values: bool, next: &mut u32) {
        for (number, spec) in &old.meta().mappings {
            let Some(before) = old.meta().columns.get(number) else { continue };
            let mut kept: Vec<KeptColumn> = Vec::with_capacity(before.len());
            for column in before {
                let name = column.name.clone();
                let there = column.stored.as_deref().filter(|_| values);
                let field = there.and_then(|there| Some((there, old.schema().field_with_name(there).ok()?)));
                let stored = field.map(|(there, field)| {
                    let names = self.old_names.clone();
                    let free = |new: &str| !has(&kept, new) && names.get(new).is_none_or(|known| known == there);
                    let new = self.place(&name, field, free);
                    self.old_names.insert(new.clone(), there.to_owned());
                    new
                });
                kept.push(KeptColumn { name, stored });
            }
            let new = self.claim(*number, spec, kept, next);
            self.renumbered.insert(*number, new);
        }
        for (key, before) in self.meta.key.iter_mut().zip(&old.meta().key) {
            if key.1 == "null" {
                key.1.clone_from(&before.1);
            }
        }
    }

    /// Finds or makes room for a column, under its own name or, where that is taken, under another.
    fn place(&mut self, name: &str, field: &Field, free: impl Fn(&str) -> bool) -> String {
        let mut stored = name.to_owned();
        for version in 2.. {
            let reserved = [KEY_HASH, ROW_HASH, MAPPING, "_removed"].contains(&stored.as_str());
            let fits = |there: &Field| {
                there.data_type() == field.data_type() && there.metadata() == field.metadata() && free(&stored)
            };
            match self.fields.iter().find(|f| *f.name() == stored) {
                Some(there) if fits(there) => break,
                None if !reserved => {
                    self.fields.push(field.clone().with_name(&stored).with_nullable(true));
                    break;
                }
                _ => stored = format!("{name}@{version}"),
            }
        }
        stored
    }

    /// Gives rows the number they ask for, unless it already stands for another mapping or other columns.
    fn claim(&mut self, number: u32, spec: &MappingSpec, kept: Vec<KeptColumn>, next: &mut u32) -> u32 {
        let same_spec = self.meta.mappings.get(&number).is_none_or(|known| known == spec);
        let same_columns = self.meta.columns.get(&number).is_none_or(|known| *known == kept);
        let number = if same_spec && same_columns { number } else { std::mem::replace(next, *next + 1) };
        self.meta.mappings.insert(number, spec.clone());
        self.meta.columns.insert(number, kept);
        number
    }

    /// The number for rows that had this one in the old snapshot and now count as sent with another mapping, which asks
    /// for the number `wanted`.
    pub(super) fn number_like(&mut self, old: u32, wanted: u32, spec: &MappingSpec) -> u32 {
        let kept = self.meta.columns.get(&self.renumbered(old)).cloned().unwrap_or_default();
        let known = self.meta.mappings.iter().find(|(n, s)| *s == spec && self.meta.columns.get(n) == Some(&kept));
        if let Some((number, _)) = known {
            return *number;
        }
        let mut next = self.meta.mappings.keys().chain(self.meta.columns.keys()).max().map_or(1, |last| last + 1);
        self.claim(wanted, spec, kept, &mut next)
    }

    /// Columns while merging: the new file's, then whether a row is removed.
    pub(super) fn schema(&self) -> SchemaRef {
        schema_of(&self.fields)
    }

    /// The number of rows with this tag.
    pub(super) fn number(&self, tag: &Tag) -> u32 {
        self.tags.iter().find(|(t, _)| t == tag).map_or(tag.mapping, |(_, number)| *number)
    }

    /// The number of rows that had this one in the old snapshot.
    pub(super) fn renumbered(&self, old: u32) -> u32 {
        self.renumbered.get(&old).copied().unwrap_or(old)
    }

    /// The name in the old file of a column of the new one.
    pub(super) fn old_name(&self, new: &str) -> Option<&str> {
        self.old_names.get(new).map(String::as_str)
    }

    /// Where rows with this tag have the values of a column of the new file.
    pub(super) fn position(&self, tag: &Tag, stored: &str) -> Option<usize> {
        let kept = self.meta.columns.get(&self.number(tag))?;
        tag.columns.as_ref()?;
        kept.iter().position(|column| column.stored.as_deref() == Some(stored))
    }
}

fn has(kept: &[KeptColumn], stored: &str) -> bool {
    kept.iter().any(|column| column.stored.as_deref() == Some(stored))
}
