//! The acknowledged records of a sync, as they are looked for at its destination.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::ArrowError;
use async_trait::async_trait;
use smol_str::SmolStr;

use super::outside::{self, Opened};
use crate::destinations::{Action, DestinationKind, Held, Operation, Readable, Reader, SendError, Target, TargetField};
use crate::diagnostic::{Error, Result};
use crate::diff::{self, Before, Cause, ChangeBatch, Hash, snapshot::Layout};
use crate::manifest::sync::Mode;
use crate::mapping::{Mapping, MappingSpec, Meaning, Record, Value};
use crate::plan::collect::keys;
use crate::project::ResolvedSync;
use crate::sources;
use crate::state::SyncView;

/// Bytes of memory reading a snapshot stays within.
const MEMORY: usize = 256 << 20;

/// The rows a destination has acknowledged.
pub(super) struct Acknowledged<'a> {
    pub sync: &'a ResolvedSync,
    pub view: &'a SyncView,
    pub key: &'a diff::HashKey,
    /// An existing folder for what is spilled.
    pub scratch: &'a Path,
}

/// One of them.
pub(super) struct Asked {
    pub hash: Hash,
    /// True when its answer was lost: whether it is there, nobody knows.
    pub in_doubt: bool,
    /// What would be looked for.
    pub operation: Operation,
}

impl Acknowledged<'_> {
    /// The mapping they were last sent with, or why they cannot be looked for.
    pub fn mapping(&self) -> std::result::Result<MappingSpec, String> {
        let Some(snapshot) = &self.view.snapshot else { return Err("nothing was acknowledged yet".into()) };
        let meta = snapshot.meta();
        if !meta.values {
            return Err("the state keeps fingerprints, so that nobody knows by what to look for them".into());
        }
        if matches!(self.sync.sync.mode, Mode::Remove) {
            return Err("its records were removed".into());
        }
        let current = self.view.entry.as_ref().and_then(|entry| meta.mappings.get(&entry.mapping));
        current
            .or_else(|| meta.mappings.values().next_back())
            .cloned()
            .ok_or_else(|| "the snapshot does not say how its rows were sent".into())
    }

    /// All of them, or the first so many, in the order of their key hashes and so many together: a diff against an empty
    /// model lists them with the records they were sent as.
    pub fn each(
        &self,
        spec: &MappingSpec,
        most: Option<usize>,
        together: usize,
        sink: &mut dyn FnMut(Vec<Asked>) -> Result<()>,
    ) -> Result<()> {
        let Some(snapshot) = &self.view.snapshot else { return Ok(()) };
        let schema = snapshot.schema();
        let own = schema.fields().iter().filter(|field| !field.name().starts_with('_') && !field.name().contains('@'));
        let names: Vec<String> = own.map(|field| field.name().clone()).collect();
        let started = "1970-01-01T00:00:00Z".to_owned();
        let layout = Layout::new(schema, &names, &spec.primary_key).map_err(Error::from)?;
        let mapping = Mapping::new(spec, &layout.schema, &started)
            .map_err(|_| Error::failed("the mapping of its snapshot does not fit its columns"))?;
        let scratch = tempfile::tempdir_in(self.scratch)
            .map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", self.scratch.display())))?;
        let options = diff::Options {
            memory: MEMORY,
            threads: 1,
            scratch: scratch.path().to_owned(),
            retry: true,
            full_refresh: false,
            started_at: started,
            queried: None,
            drift: None,
        };
        let nothing: Vec<std::result::Result<RecordBatch, ArrowError>> = Vec::new();
        let nobody = sources::flawless(RecordBatchIterator::new(nothing, Arc::clone(&layout.schema)));
        let (doubt, held) = (self.view.doubt.as_ref(), diff::Held::new());
        let mut waiting = Vec::new();
        let mut taken = 0;
        let mut take = |batch: ChangeBatch| {
            let keys = keys(&batch, &spec.primary_key)?;
            for (change, key) in batch.changes.into_iter().zip(keys) {
                if most.is_some_and(|most| taken >= most) {
                    return Ok(());
                }
                let in_doubt = change.cause == Cause::Doubt;
                let named = match &change.before {
                    Before::Known(named) => named.as_slice(),
                    _ if in_doubt => &[],
                    _ => continue,
                };
                taken += usize::from(!in_doubt);
                let operation = operation(taken as u64, key, spec, named);
                waiting.push(Asked { hash: change.key_hash, in_doubt, operation });
                if waiting.len() >= together {
                    sink(std::mem::take(&mut waiting))?;
                }
            }
            Ok(())
        };
        diff::diff(vec![nobody], &layout, &mapping, Some(snapshot), doubt, &held, self.key, &options, &mut take)
            .map_err(Error::from)?;
        if waiting.is_empty() { Ok(()) } else { sink(waiting) }
    }
}

/// What reads the records of a mapping back, or why nothing can.
///
/// # Errors
/// The destination does not answer, or refuses.
pub(super) async fn reader(
    opened: &Opened,
    kind: &DestinationKind,
    sync: &ResolvedSync,
    spec: &MappingSpec,
) -> Result<Readable> {
    let failed = |error: SendError| failure(opened, &error);
    let target = target(sync, spec);
    // What the next apply makes need not be there.
    let made = matches!(kind, DestinationKind::Sqlite | DestinationKind::Postgres | DestinationKind::Mysql)
        && target.options.get("create").is_some_and(|create| create == true);
    if made && opened.destination.count(&target.object, &target.options).await.map_err(failed)?.is_none() {
        return Ok(Readable::Yes(Box::new(Nothing)));
    }
    opened.destination.reader(&target).await.map_err(failed)
}

/// What went wrong with a destination, without its secrets.
pub(super) fn failure(opened: &Opened, error: &SendError) -> Error {
    let (message, help) = outside::words(error);
    Error::Failed { message: opened.redactor.redact(&message), help: help.map(|help| opened.redactor.redact(&help)) }
}

/// Reads what is not there yet.
struct Nothing;

#[async_trait]
impl Reader for Nothing {
    fn reads_all(&self) -> bool {
        true
    }

    async fn read(&self, operations: &[Operation]) -> Result<Vec<Held>, SendError> {
        Ok(vec![Held::Absent; operations.len()])
    }
}

fn target(sync: &ResolvedSync, spec: &MappingSpec) -> Target {
    let field = |name: &String, write, on_null| TargetField {
        name: name.clone(),
        on_null,
        write,
        data_type: None,
        meaning: Meaning::Itself,
    };
    Target {
        sync: sync.name.clone(),
        identity: sync.name.clone(),
        object: sync.sync.object.clone(),
        mode: sync.sync.mode,
        on_removed: sync.on_removed,
        matching: spec.matching.keys().map(|name| field(name, Default::default(), Default::default())).collect(),
        fields: spec.fields.iter().map(|(name, f)| field(name, f.write, f.on_null)).collect(),
        options: sync.sync.options.clone(),
        run_id: "read-back".into(),
        operations: 0,
    }
}

/// A row as what would be looked for.
fn operation(ordinal: u64, key: String, spec: &MappingSpec, named: &[(SmolStr, Value)]) -> Operation {
    let value = |name: &String| named.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let record = Record {
        matching: spec.matching.keys().map(|name| value(name).unwrap_or(Value::Null)).collect(),
        fields: spec.fields.keys().map(value).collect(),
    };
    sought(ordinal, key, record)
}

/// A record as what would be looked for.
pub(super) fn sought(ordinal: u64, key: String, record: Record) -> Operation {
    Operation {
        ordinal,
        action: Action::Send,
        added: false,
        key: key.into(),
        dedupe_id: "".into(),
        record: record.into(),
        in_doubt: false,
    }
}
