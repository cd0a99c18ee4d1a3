//! The diff as a whole: scan, settle, list what was removed.

use super::doubt::Doubt;
use super::flaws::Flaws;
use super::hash::Hasher;
use super::layout::same_key;
use super::mappings::{Sents, current};
use super::removed::Removed;
use super::runs::{Merged, Run};
use super::scan::Scan;
use super::settle::{Settle, Settled, Unit, Units};
use super::snapshot::{Layout, Snapshot};
use super::{ChangeBatch, DiffError, HashKey, Held, Options, Summary, threads};
use crate::mapping::Mapping;
use crate::sources::BatchStream;

/// Compares a model with what was last acknowledged, and hands every change to `sink`.
///
/// `model` are the rows, in parts whose order is the order of the rows; batches may hold more columns than the layout,
/// in any order and encoding. `doubt` holds rows whose answer was lost: their keys are always emitted. The changes come
/// in a fixed order: added and changed rows as the model has them, then removed rows as the state has them; the number
/// of threads and the memory make no difference.
///
/// Removed rows are listed only after the whole model was read without an error. Whatever `sink` returns as an error
/// ends the diff.
#[allow(clippy::too_many_arguments)]
pub fn diff(
    model: Vec<BatchStream>,
    layout: &Layout,
    mapping: &Mapping,
    snapshot: Option<&Snapshot>,
    doubt: Option<&Snapshot>,
    held: &Held,
    key: &HashKey,
    options: &Options,
    sink: &mut dyn FnMut(ChangeBatch) -> Result<(), DiffError>,
) -> Result<Summary, DiffError> {
    let now = layout.key_types();
    let other_key = |same: SameKey| {
        let before = snapshot.iter().chain(&doubt).map(|file| &file.meta().key).find(|before| !same(before, &now));
        before.map_or(Ok(()), |before| Err(DiffError::KeyChanged { before: before.clone(), now: now.clone() }))
    };
    other_key(|before, now| before.iter().map(|key| &key.0).eq(now.iter().map(|key| &key.0)))?;
    let mapping = &current(mapping, layout, &options.started_at)?;
    let sents = &Sents::new(snapshot, mapping, layout, &options.started_at);
    let doubt_sents = &Sents::new(doubt, mapping, layout, &options.started_at);
    let doubt = doubt.map(Doubt::read).transpose()?;
    let doubt = doubt.as_ref();
    let threads = options.threads.max(1);

    let flaws = Flaws::new(layout, mapping.spec());
    let scan = Scan {
        layout,
        hasher: Hasher::new(layout, key),
        snapshot,
        doubt,
        mapping,
        flaws: &flaws,
        sents,
        held,
        everything: options.full_refresh,
        memory: options.memory,
        threads,
        scratch: &options.scratch,
        queried: options.queried.as_deref(),
        drift: options.drift.as_deref(),
    };
    let mut scanned = scan.run(model)?;
    // The types of an empty model are a guess: only rows can show that a key has another type.
    if scanned.rows > 0 {
        other_key(same_key)?;
    }
    let mut summary =
        Summary { rows: scanned.rows, unchanged: scanned.unchanged, keys: scanned.keys, ..Summary::default() };
    let candidates = merge_all(std::mem::take(&mut scanned.candidates))?;
    let old = merge_all(std::mem::take(&mut scanned.old))?;
    let duplicates = &scanned.duplicates;
    let digest = mapping.spec().digest();
    let flaws = &flaws;
    let settle = Settle { layout, mapping, flaws, snapshot, sents, doubt, held, digest, duplicates, options };
    let mut units = Units::new(candidates, old);
    // While some units are worked on, the changes of those before are taken and the next ones are read.
    let mut ready: Vec<Settled> = Vec::new();
    let mut group: Vec<Unit> = units.by_ref().take(threads).collect::<Result<_, _>>()?;
    loop {
        let last = group.is_empty();
        let mut following: Vec<Unit> = Vec::new();
        let mut take = |settled: Settled| {
            settled.add_to(&mut summary);
            scanned.invalid.merge(settled.invalid);
            settled.changes.map_or(Ok(()), &mut *sink)
        };
        let meanwhile = || {
            ready.drain(..).try_for_each(&mut take)?;
            following = units.by_ref().take(if last { 0 } else { threads }).collect::<Result<_, _>>()?;
            Ok(())
        };
        let next = threads::beside(meanwhile, threads, &group, |unit| settle.settle(unit))?;
        (ready, group) = (next, following);
        if last {
            break;
        }
    }
    let removed = Removed { snapshot, sents, doubt, doubt_sents, held, options };
    removed.emit(units.into_removed(), duplicates, &mut summary, sink)?;
    summary.invalid = scanned.invalid.finish(&scanned.lengths)?;
    Ok(summary)
}

/// Whether the key of a snapshot and that of the model may be compared.
type SameKey = fn(&[(String, String)], &[(String, String)]) -> bool;

fn merge_all(runs: Vec<Run>) -> Result<Merged, DiffError> {
    Merged::new(runs.into_iter().map(Run::read).collect::<Result<_, _>>()?)
}
