//! Reading the model: every row is hashed and looked up; what is not as the snapshot has it is set aside as a candidate.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Mutex;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;

use super::doubt::Doubt;
use super::drift::Drift;
use super::flaws::{Flawed, Flaws, is_flaw};
use super::hash::{Folded, Hasher};
use super::index::{ABSENT, ENTRY_BYTES, Index, Mark, SETTLED};
use super::invalid::{Place, Tally};
use super::keys::{KeyList, repeated};
use super::layout::convert;
use super::mappings::{BoundPart, Part, Sent, Sents};
use super::queried::Queried;
use super::rehash::Rehash;
use super::runs::{Gauge, ROWS, Run, RunWriter, sort_numbers};
use super::snapshot::{Layout, Snapshot, hash_array, hash_field, hashes};
use super::{DiffError, Hash, Held, old, threads};
use crate::mapping::Mapping;
use crate::sources::{Batch, BatchStream};

/// Columns of a candidate before the used ones: order, key hash, row hash, position, mapping, sameness.
pub(super) const HEAD: usize = 6;
/// The position of a row the snapshot does not have.
pub(super) const NOWHERE: u64 = u64::MAX;

/// Slices a snapshot is cut into when its fingerprints do not fit into memory: each needs a file per thread.
const MOST_SLICES: usize = 200;

/// Rows looked up at a time.
const LOOKED_UP: usize = 1024;
/// Set in the order of a removed row: it comes after all rows of the model, and the rest is its position.
pub(super) const REMOVED: u64 = 1 << 63;

/// All that is needed to read a model.
pub(super) struct Scan<'a> {
    pub layout: &'a Layout,
    pub hasher: Hasher,
    pub snapshot: Option<&'a Snapshot>,
    pub doubt: Option<&'a Doubt<'a>>,
    /// The mapping in force, for naming keys.
    pub mapping: &'a Mapping,
    /// Takes what is found to be unreadable.
    pub flaws: &'a Flaws<'a>,
    /// The mappings the rows of the snapshot were sent with.
    pub sents: &'a Sents,
    pub held: &'a Held,
    /// Every row is a candidate.
    pub everything: bool,
    pub memory: usize,
    pub threads: usize,
    pub scratch: &'a Path,
    /// Where the different keys are written.
    pub queried: Option<&'a Path>,
    /// Rows whose record is another one than the snapshot says are candidates.
    pub drift: Option<&'a Drift>,
}

/// What reading a model gives.
#[derive(Default)]
pub(super) struct Scanned {
    /// Candidates, each run in the order of the rows.
    pub candidates: Vec<Run>,
    /// Old values of those that have some, in the same order, then the rows of the snapshot that are not in the model.
    pub old: Vec<Run>,
    /// Keys that occur more than once.
    pub duplicates: HashSet<Hash>,
    /// Rows with null or repeated keys.
    pub invalid: Tally,
    /// Rows of each part of the model.
    pub lengths: BTreeMap<usize, u64>,
    /// Rows read.
    pub rows: u64,
    /// Rows as the snapshot has them.
    pub unchanged: u64,
    /// Different keys.
    pub keys: u64,
}

/// What one thread has to hand.
struct Lane<'a> {
    candidates: RunWriter<'a>,
    new_keys: KeyList<'a>,
    /// Positions of old values to fetch, and the order of the row they are for.
    fetch: Vec<(u64, u64)>,
    /// Keys of rows that came again.
    repeated: Vec<Hash>,
    lengths: BTreeMap<usize, u64>,
    rows: u64,
    invalid: Tally,
}

/// What one thread has dealt out: a run a slice, the rows of each part, and those without a key.
type Dealt = (Vec<Run>, BTreeMap<usize, u64>, Tally);

/// Rows that have been hashed.
struct Hashed<'a> {
    columns: &'a [ArrayRef],
    order: &'a [u64],
    keys: &'a [Hash],
    rows: &'a [Hash],
    null_keys: &'a [usize],
    /// Whether a row has a flaw; its hash says so.
    flawed: bool,
}

/// What becomes of rows sent with one mapping that are the same.
enum Fate<'a> {
    /// Nothing is to be done.
    Unchanged,
    /// The record may still be another one.
    Compare(Box<BoundPart<'a>>),
    /// They are looked at closely.
    Candidate,
}

/// A row set aside.
struct Candidate {
    row: u32,
    position: u64,
    number: u32,
    same: bool,
}

impl Scan<'_> {
    /// Reads the model to its end.
    pub(super) fn run(&self, model: Vec<BatchStream>) -> Result<Scanned, DiffError> {
        let rows = self.snapshot.map_or(0, |s| usize::try_from(s.rows()).unwrap_or(usize::MAX));
        let slices = (rows.saturating_mul(ENTRY_BYTES)).div_ceil((self.memory / 20 * 11).max(1));
        let slices = slices.clamp(1, rows.clamp(1, MOST_SLICES));
        let index_bytes = (rows / slices).saturating_mul(ENTRY_BYTES);
        let rest = self.memory.saturating_sub(index_bytes);
        let gauge = Gauge::new(rest / 3);
        let parts = Mutex::new(model.into_iter().enumerate());
        let next = || parts.lock().map_or(None, |mut parts| parts.next());
        let mut scanned = Scanned::default();
        let mut queried = self.queried.map(|path| Queried::create(path, self.scratch)).transpose()?;
        if slices == 1 {
            let index = self.index(0..rows)?;
            let lanes = threads::all(self.threads, |_| {
                let mut lane = self.lane(&gauge, rest);
                lane.lengths = self.read(&next, |hashed, tally| {
                    lane.invalid.merge(tally);
                    lane.rows += hashed.keys.len() as u64;
                    self.classify(index.as_ref(), hashed, &mut lane)
                })?;
                lane.new_keys.sort();
                Ok(lane)
            })?;
            self.close(lanes, index, rest, queried.as_mut(), &mut scanned)?;
            queried.map_or(Ok(()), Queried::finish)?;
            return Ok(scanned);
        }
        let bounds = old::bounds(self.snapshot, rows, slices)?;
        let dealt = threads::all(self.threads, |_| self.deal(&next, &bounds))?;
        let mut dealt: Vec<_> = dealt
            .into_iter()
            .map(|(runs, lengths, tally)| {
                scanned.rows += lengths.values().sum::<u64>();
                scanned.lengths.extend(lengths);
                scanned.invalid.merge(tally);
                runs.into_iter()
            })
            .collect();
        for slice in 0..slices {
            let index = self.index(rows * slice / slices..rows * (slice + 1) / slices)?;
            let runs = Mutex::new(dealt.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>());
            let lanes = threads::all(self.threads, |_| {
                let mut lane = self.lane(&gauge, rest);
                // Each run into a run of its own: another thread's rows would not be in order with these.
                let Some(run) = runs.lock().map_or(None, |mut runs| runs.pop()) else { return Ok(lane) };
                for batch in run.read()? {
                    self.classify_dealt(index.as_ref(), &batch?, &mut lane)?;
                }
                lane.new_keys.sort();
                Ok(lane)
            })?;
            self.close(lanes, index, rest, queried.as_mut(), &mut scanned)?;
        }
        queried.map_or(Ok(()), Queried::finish)?;
        Ok(scanned)
    }

    fn index(&self, range: std::ops::Range<usize>) -> Result<Option<Index>, DiffError> {
        let rehash = Rehash::new(&self.hasher, self.sents.rehashed());
        let index = self.snapshot.map(|s| Index::load(s, range, self.threads, &rehash)).transpose()?;
        Ok(index.map(|mut index| {
            self.doubt.iter().for_each(|doubt| doubt.distrust(&mut index));
            index
        }))
    }

    fn lane<'g>(&'g self, gauge: &'g Gauge, rest: usize) -> Lane<'g> {
        Lane {
            candidates: RunWriter::new(self.scratch, gauge),
            new_keys: KeyList::new(self.scratch, rest / 3 / self.threads.max(1)),
            fetch: Vec::new(),
            repeated: Vec::new(),
            lengths: BTreeMap::new(),
            rows: 0,
            invalid: Tally::default(),
        }
    }

    /// Reads parts of the model until there are no more; returns how many rows each has.
    fn read(
        &self,
        next: &(dyn Fn() -> Option<(usize, BatchStream)> + Sync),
        mut with: impl FnMut(&Hashed<'_>, Tally) -> Result<(), DiffError>,
    ) -> Result<BTreeMap<usize, u64>, DiffError> {
        let mut folded = Folded::default();
        let mut order = Vec::new();
        let mut lengths = BTreeMap::new();
        while let Some((part, stream)) = next() {
            let start = (part as u64) << 40;
            let mut at = start;
            for batch in stream {
                let batch = batch.map_err(DiffError::Source)?;
                let Batch { rows: batch, flaws } = batch;
                let columns = self.layout.columns(&batch)?;
                let mut hashes = self.hasher.hash(&columns, batch.num_rows(), &mut folded)?;
                let flaws = self.flaws.used(&flaws, batch.schema_ref());
                for flawed in &flaws {
                    if let Some(hash) = hashes.row.get_mut(flawed.row) {
                        *hash = self.flaws.hash(flawed);
                    }
                }
                order.clear();
                order.extend(at..at + batch.num_rows() as u64);
                let tally = self.null_keys(&columns, &hashes.null_keys, &flaws, (part, at - start))?;
                at += batch.num_rows() as u64;
                let (keys, rows, null_keys, flawed) = (&hashes.key, &hashes.row, &hashes.null_keys, !flaws.is_empty());
                with(&Hashed { columns: &columns, order: &order, keys, rows, null_keys, flawed }, tally)?;
            }
            lengths.insert(part, at - start);
        }
        Ok(lengths)
    }

    /// Counts the rows without a key. Those whose key has a flaw are among `rows`: there is a null in its place.
    fn null_keys(
        &self,
        columns: &[ArrayRef],
        rows: &[usize],
        flaws: &[Flawed],
        (part, at): Place,
    ) -> Result<Tally, DiffError> {
        let mut tally = Tally::default();
        let flawed: Vec<&Flawed> = flaws.iter().filter(|flawed| self.flaws.is_in_key(flawed)).collect();
        for flawed in &flawed {
            tally.unreadable_key(&self.flaws.told_of_key(flawed), (part, at + flawed.row as u64));
        }
        let is_null = |row: &&usize| flawed.binary_search_by_key(*row, |flawed| flawed.row).is_err();
        let rows: Vec<usize> = rows.iter().filter(is_null).copied().collect();
        tally.null_keys(rows.len() as u64);
        if self.layout.key.len() <= 1 {
            tally.null_key_places(rows.iter().map(|row| (part, at + *row as u64)));
        } else if !rows.is_empty() {
            // The other columns of the key may be known.
            let indices = UInt32Array::from_iter_values(rows.iter().map(|r| *r as u32));
            let batch = RecordBatch::try_new(self.layout.schema.clone(), self.take(columns, &indices)?)?;
            let bound = self.mapping.bind(&batch)?;
            (0..batch.num_rows()).for_each(|row| tally.null_key_sample(bound.key_text(row)));
        }
        Ok(tally)
    }

    /// Some rows, in the types of the layout.
    fn take(&self, columns: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<ArrayRef>, DiffError> {
        let fields = self.layout.schema.fields().iter();
        let taken = columns.iter().zip(fields).map(|(c, f)| convert(&take(c.as_ref(), rows, None)?, f.data_type()));
        Ok(taken.collect::<Result<_, _>>()?)
    }

    fn classify(&self, index: Option<&Index>, hashed: &Hashed<'_>, lane: &mut Lane<'_>) -> Result<(), DiffError> {
        let mut found = Vec::with_capacity(LOOKED_UP);
        let mut null_keys = hashed.null_keys.iter().peekable();
        let mut candidates = Vec::new();
        let rows = if self.sents.compare() { Some(self.rows(hashed)?) } else { None };
        let mut fates: Vec<(u32, Fate<'_>, Option<&Sent>)> = Vec::new();
        // Nearly always all rows were sent with the mapping in force: those with the same hash are then the same.
        let current = |number| !self.everything && self.sents.get(number).is_some_and(|sent| sent.same);
        let plain = index.filter(|index| self.drift.is_none() && index.only_number().is_some_and(current));
        let plain = plain.filter(|_| hashed.null_keys.is_empty() && !hashed.flawed);
        for row in 0..hashed.keys.len() {
            // Block by block: what was looked up is still in the cache when it is marked.
            if row % LOOKED_UP == 0 {
                let block = row..hashed.keys.len().min(row + LOOKED_UP);
                match (plain, index) {
                    (Some(index), _) => index.settle_all(&hashed.keys[block.clone()], &hashed.rows[block], &mut found),
                    (None, Some(index)) => index.find_all(&hashed.keys[block], &mut found),
                    (None, None) => found.clear(),
                }
            }
            if found.get(row % LOOKED_UP) == Some(&SETTLED) || null_keys.next_if_eq(&&row).is_some() {
                continue;
            }
            let (key, row_hash) = (hashed.keys[row], hashed.rows[row]);
            let mut candidate = Candidate { row: row as u32, position: NOWHERE, number: 0, same: false };
            match (index, found.get(row % LOOKED_UP)) {
                (Some(index), Some(&at)) if at != ABSENT => {
                    let at = at as usize;
                    let broken = hashed.flawed && is_flaw(row_hash);
                    let same = !broken && index.same(at, row_hash);
                    let number = index.number(at);
                    let known = match fates.iter().position(|(n, ..)| *n == number) {
                        Some(known) => known,
                        None => {
                            fates.push((number, self.fate(number, rows.as_ref())?, self.sents.get(number)));
                            fates.len() - 1
                        }
                    };
                    let (_, fate, sent) = &fates[known];
                    let unchanged = same
                        && !self.drift.is_some_and(|drift| drift.has(key))
                        && match fate {
                            Fate::Unchanged => sent.is_some_and(|sent| sent.same) || !self.held.contains_key(&key),
                            Fate::Compare(bound) => !self.held.contains_key(&key) && bound.same(row),
                            Fate::Candidate => false,
                        };
                    let first = index.mark(at, if unchanged { Mark::Same } else { Mark::Candidate });
                    if !first {
                        lane.repeated.push(key);
                    } else if unchanged {
                        continue;
                    }
                    candidate = Candidate { position: index.position(at), number, same, ..candidate };
                    let old =
                        sent.is_some_and(|sent| sent.then.is_some() && (!same || !sent.same && sent.now.is_none()));
                    if first && old && !broken {
                        lane.fetch.push((candidate.position, hashed.order[row]));
                    }
                }
                _ => lane.new_keys.push(key)?,
            }
            self.doubt.iter().for_each(|doubt| doubt.saw(key));
            candidates.push(candidate);
        }
        for some in candidates.chunks(ROWS) {
            lane.candidates.push(self.candidates(hashed, some)?)?;
        }
        Ok(())
    }

    fn fate<'r>(&'r self, number: u32, rows: Option<&'r RecordBatch>) -> Result<Fate<'r>, DiffError> {
        let Some(sent) = self.sents.get(number).filter(|_| !self.everything) else { return Ok(Fate::Candidate) };
        // Without its values, what a row was is not known: another mapping is then always a change.
        let known = sent.then.is_some() && (sent.same_columns || sent.rehashed.is_some());
        Ok(match (&sent.part, rows) {
            _ if sent.same => Fate::Unchanged,
            (Part::Nothing, _) if known => Fate::Unchanged,
            (Part::Fields(part), Some(rows)) if known => Fate::Compare(Box::new(part.bind(rows)?)),
            _ => Fate::Candidate,
        })
    }

    /// The rows as they are encoded.
    fn rows(&self, hashed: &Hashed<'_>) -> Result<RecordBatch, DiffError> {
        let fields = self.layout.schema.fields().iter().zip(hashed.columns);
        let fields = fields.map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone()));
        let schema = std::sync::Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(RecordBatch::try_new(schema, hashed.columns.to_vec())?)
    }

    fn candidates(&self, hashed: &Hashed<'_>, some: &[Candidate]) -> Result<RecordBatch, DiffError> {
        let rows = || some.iter().map(|c| c.row as usize);
        let mut columns: Vec<ArrayRef> = vec![
            hash_array(rows().map(|r| u128::from(hashed.order[r]))),
            hash_array(rows().map(|r| hashed.keys[r])),
            hash_array(rows().map(|r| hashed.rows[r])),
            std::sync::Arc::new(UInt64Array::from_iter_values(some.iter().map(|c| c.position))),
            std::sync::Arc::new(UInt32Array::from_iter_values(some.iter().map(|c| c.number))),
            std::sync::Arc::new(some.iter().map(|c| Some(c.same)).collect::<BooleanArray>()),
        ];
        let indices = UInt32Array::from_iter_values(some.iter().map(|c| c.row));
        columns.extend(self.take(hashed.columns, &indices)?);
        Ok(RecordBatch::try_new(candidate_schema(self.layout), columns)?)
    }

    /// Sets all rows aside by the slice of the snapshot their key belongs to.
    fn deal(
        &self,
        next: &(dyn Fn() -> Option<(usize, BatchStream)> + Sync),
        bounds: &[Hash],
    ) -> Result<Dealt, DiffError> {
        let nothing = Gauge::new(0);
        let mut slices: Vec<RunWriter<'_>> =
            (0..=bounds.len()).map(|_| RunWriter::new(self.scratch, &nothing)).collect();
        let mut invalid = Tally::default();
        let lengths = self.read(next, |hashed, tally| {
            invalid.merge(tally);
            let mut rows = vec![Vec::new(); slices.len()];
            let mut null_keys = hashed.null_keys.iter().peekable();
            for (row, key) in hashed.keys.iter().enumerate() {
                if null_keys.next_if_eq(&&row).is_none() {
                    rows[bounds.partition_point(|bound| bound <= key)].push(row as u32);
                }
            }
            for (slice, rows) in slices.iter_mut().zip(rows) {
                for rows in rows.chunks(ROWS) {
                    let each = || rows.iter().map(|r| *r as usize);
                    let mut columns = vec![
                        hash_array(each().map(|r| u128::from(hashed.order[r]))),
                        hash_array(each().map(|r| hashed.keys[r])),
                        hash_array(each().map(|r| hashed.rows[r])),
                    ];
                    columns.extend(self.take(hashed.columns, &UInt32Array::from(rows.to_vec()))?);
                    let schema = with_head(&candidate_head()[..3], self.layout);
                    slice.push(RecordBatch::try_new(schema, columns)?)?;
                }
            }
            Ok(())
        })?;
        let runs = slices.into_iter().map(RunWriter::finish).collect::<Result<_, _>>()?;
        Ok((runs, lengths, invalid))
    }

    fn classify_dealt(&self, index: Option<&Index>, batch: &RecordBatch, lane: &mut Lane<'_>) -> Result<(), DiffError> {
        let order: Vec<u64> = sort_numbers(batch)?.into_iter().map(|n| n as u64).collect();
        let column = |i: usize| -> Vec<Hash> { hashes(batch.column(i)).into_iter().flatten().collect() };
        let (keys, rows) = (column(1), column(2));
        let columns = &batch.columns()[3..];
        let flawed = rows.iter().any(|row| is_flaw(*row));
        self.classify(index, &Hashed { columns, order: &order, keys: &keys, rows: &rows, null_keys: &[], flawed }, lane)
    }

    /// Counts what all lanes found in one slice, and fetches old values.
    fn close(
        &self,
        lanes: Vec<Lane<'_>>,
        index: Option<Index>,
        rest: usize,
        queried: Option<&mut Queried<'_>>,
        scanned: &mut Scanned,
    ) -> Result<(), DiffError> {
        let (mut lists, mut fetch, mut duplicate_rows) = (Vec::new(), Vec::new(), 0);
        for lane in lanes {
            scanned.candidates.push(lane.candidates.finish()?);
            scanned.rows += lane.rows;
            scanned.lengths.extend(lane.lengths);
            scanned.invalid.merge(lane.invalid);
            duplicate_rows += lane.repeated.len() as u64;
            scanned.duplicates.extend(lane.repeated);
            lists.push(lane.new_keys);
            fetch.extend(lane.fetch);
        }
        if let Some(index) = &index {
            let (mut twice, mut removed) = (HashSet::new(), Vec::new());
            for (at, mark) in index.marks().enumerate() {
                scanned.keys += u64::from(mark != Mark::Unseen);
                scanned.unchanged += u64::from(mark == Mark::Same);
                match mark {
                    Mark::Twice => {
                        duplicate_rows += 1;
                        twice.insert(index.position(at));
                    }
                    Mark::Unseen => removed.push((index.position(at), REMOVED | index.position(at))),
                    Mark::Same | Mark::Candidate => {}
                }
            }
            fetch.retain(|(position, _)| !twice.contains(position));
            fetch.append(&mut removed);
        }
        let aside = queried.as_ref().map(|queried| queried.aside(index.as_ref())).transpose()?;
        // Sorting and fetching need the memory the index has.
        drop(index);
        let new = match queried.zip(aside) {
            Some((queried, mut aside)) => {
                let new = repeated(lists, |key| queried.new_key(&mut aside, key))?;
                queried.rest(aside)?;
                new
            }
            None => repeated(lists, |_| Ok(()))?,
        };
        scanned.keys += new.distinct;
        scanned.duplicates.extend(new.keys);
        scanned.invalid.duplicates(duplicate_rows + new.rows);
        if let Some(snapshot) = self.snapshot {
            scanned.old.extend(old::fetch(snapshot, fetch, self.threads, rest / 3, self.scratch)?);
        }
        Ok(())
    }
}

fn candidate_head() -> [Field; HEAD] {
    [
        hash_field("_order"),
        hash_field("_key_hash"),
        hash_field("_row_hash"),
        Field::new("_position", DataType::UInt64, false),
        Field::new("_mapping", DataType::UInt32, false),
        Field::new("_same", DataType::Boolean, false),
    ]
}

fn candidate_schema(layout: &Layout) -> SchemaRef {
    with_head(&candidate_head(), layout)
}

fn with_head(head: &[Field], layout: &Layout) -> SchemaRef {
    let fields = layout.schema.fields().iter().map(|f| f.as_ref().clone());
    std::sync::Arc::new(Schema::new(head.iter().cloned().chain(fields).collect::<Vec<_>>()))
}
