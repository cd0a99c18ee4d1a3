//! The fingerprints of a snapshot in memory: 24 bytes a row, found by key hash, marked as the model is read.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::snapshot::{self, Snapshot};
use super::{DiffError, Hash};

/// Bytes of memory a row of the snapshot takes.
pub(super) const ENTRY_BYTES: usize = size_of::<Entry>() + 2;
/// The bits of a row hash that are no mark. Two versions of one row are taken for the same with a probability of 2⁻⁶².
const ROW_BITS: u64 = !3;

/// What has become of a row of the snapshot so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Mark {
    /// Not in the model yet.
    Unseen = 0,
    /// In the model, the same.
    Same = 1,
    /// In the model, to be looked at.
    Candidate = 2,
    /// More than once in the model.
    Twice = 3,
}

struct Entry {
    key: [u64; 2],
    /// Row hash and, in the lowest two bits, the mark: looking up and marking touch one line of the cache.
    row: AtomicU64,
}

/// Part or all of a snapshot's fingerprints.
pub(super) struct Index {
    entries: Vec<Entry>,
    /// Where the entries of each bucket start; one more than there are buckets.
    starts: Vec<u32>,
    low: u64,
    high: u64,
    shift: u32,
    first: usize,
    numbers: Numbers,
}

enum Numbers {
    One(u32),
    Many(Vec<u32>),
}

impl Index {
    /// Loads the rows of the snapshot at these positions.
    pub(super) fn load(snapshot: &Snapshot, range: Range<usize>, threads: usize) -> Result<Index, DiffError> {
        let mut entries = Vec::new();
        entries.resize_with(range.len(), || Entry { key: [0; 2], row: AtomicU64::new(0) });
        let known: Vec<u32> = snapshot.meta().columns.keys().copied().collect();
        let mut numbers = match known.as_slice() {
            [one] => Numbers::One(*one),
            _ => Numbers::Many(vec![0; range.len()]),
        };
        let mut jobs = Vec::new();
        let mut start = 0;
        let mut entries_left = entries.as_mut_slice();
        let mut numbers_left = match &mut numbers {
            Numbers::One(_) => &mut [][..],
            Numbers::Many(numbers) => numbers.as_mut_slice(),
        };
        for (group, rows) in snapshot.groups().into_iter().enumerate() {
            let wanted = range.start.clamp(start, start + rows) - start..range.end.clamp(start, start + rows) - start;
            start += rows;
            if wanted.is_empty() {
                continue;
            }
            let (entries, rest) = entries_left.split_at_mut(wanted.len());
            entries_left = rest;
            let (numbers, rest) = numbers_left.split_at_mut(wanted.len().min(numbers_left.len()));
            numbers_left = rest;
            jobs.push((group, (wanted.len() < rows).then_some(wanted), entries, numbers));
        }
        let jobs = std::sync::Mutex::new(jobs);
        let next = || jobs.lock().map_or(None, |mut jobs| jobs.pop());
        super::threads::all(threads, |_| {
            while let Some((group, wanted, entries, numbers)) = next() {
                load_group(snapshot, group, wanted, entries, numbers)?;
            }
            Ok(())
        })?;
        // What is looked up by order must be in order, whatever a damaged file says.
        if entries.windows(2).any(|pair| pair[0].key > pair[1].key) {
            return Err(snapshot.unreadable(&"its rows are not sorted by key hash").into());
        }
        Ok(Self::new(entries, range.start, numbers))
    }

    fn new(entries: Vec<Entry>, first: usize, numbers: Numbers) -> Index {
        let low = entries.first().map_or(0, |e| e.key[0]);
        let high = entries.last().map_or(0, |e| e.key[0]);
        let span_bits = u64::BITS - (high - low).leading_zeros();
        // About four entries a bucket.
        let bucket_bits = (entries.len() / 4).max(1).ilog2();
        let shift = span_bits.saturating_sub(bucket_bits).min(63);
        let buckets = ((high - low) >> shift) as usize + 1;
        let mut starts = vec![0u32; buckets + 1];
        for entry in &entries {
            starts[((entry.key[0] - low) >> shift) as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        Index { entries, starts, low, high, shift, first, numbers }
    }

    /// Looks up the keys of a batch; `found` gets, row by row, where in the index each is.
    pub(super) fn find_all(&self, keys: &[Hash], found: &mut Vec<Option<usize>>) {
        const BLOCK: usize = 32;
        found.clear();
        for block in keys.chunks(BLOCK) {
            // Memory answers many requests at once, but only if they do not wait for each other: so first all places,
            // then a first look at each, then the comparison.
            let mut places = [(0usize, 0usize); BLOCK];
            for (place, key) in places.iter_mut().zip(block) {
                *place = self.bucket(*key);
            }
            let mut glance = 0;
            for (start, _) in &places[..block.len()] {
                glance ^= self.entries.get(*start).map_or(0, |e| e.key[0]);
            }
            std::hint::black_box(glance);
            found.extend(block.iter().zip(places).map(|(key, (start, end))| self.find_within(*key, start..end)));
        }
    }

    /// Looks up one key.
    pub(super) fn find(&self, key: Hash) -> Option<usize> {
        let (start, end) = self.bucket(key);
        self.find_within(key, start..end)
    }

    fn bucket(&self, key: Hash) -> (usize, usize) {
        let head = (key >> 64) as u64;
        if head < self.low || head > self.high || self.entries.is_empty() {
            return (0, 0);
        }
        let bucket = ((head - self.low) >> self.shift) as usize;
        (self.starts[bucket] as usize, self.starts[bucket + 1] as usize)
    }

    fn find_within(&self, key: Hash, range: Range<usize>) -> Option<usize> {
        let wanted = [(key >> 64) as u64, key as u64];
        let at = self.entries[range.clone()].iter().position(|e| e.key == wanted)?;
        Some(range.start + at)
    }

    /// True when the row at this place has this hash.
    pub(super) fn same(&self, at: usize, row: Hash) -> bool {
        (self.entries[at].row.load(Ordering::Relaxed) ^ row as u64) & ROW_BITS == 0
    }

    /// Marks a row as seen; false when it had been seen before: it is then marked as such.
    pub(super) fn mark(&self, at: usize, mark: Mark) -> bool {
        let cell = &self.entries[at].row;
        let bits = cell.load(Ordering::Relaxed) & ROW_BITS;
        let free = cell.compare_exchange(bits, bits | mark as u64, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !free {
            cell.fetch_or(Mark::Twice as u64, Ordering::Relaxed);
        }
        free
    }

    /// Makes a row differ from whatever the model has for it.
    pub(super) fn distrust(&mut self, at: usize) {
        *self.entries[at].row.get_mut() ^= ROW_BITS;
    }

    /// Position in the snapshot of a place in the index.
    pub(super) fn position(&self, at: usize) -> u64 {
        (self.first + at) as u64
    }

    /// Number of the mapping the row at this place was sent with.
    pub(super) fn number(&self, at: usize) -> u32 {
        match &self.numbers {
            Numbers::One(number) => *number,
            Numbers::Many(numbers) => numbers[at],
        }
    }

    /// All marks, in order of position, with the key hashes.
    pub(super) fn marks(&self) -> impl Iterator<Item = (Hash, Mark)> + '_ {
        self.entries.iter().map(|e| {
            let mark = match e.row.load(Ordering::Relaxed) & !ROW_BITS {
                0 => Mark::Unseen,
                1 => Mark::Same,
                2 => Mark::Candidate,
                _ => Mark::Twice,
            };
            (u128::from(e.key[0]) << 64 | u128::from(e.key[1]), mark)
        })
    }
}

fn load_group(
    snapshot: &Snapshot,
    group: usize,
    wanted: Option<Range<usize>>,
    entries: &mut [Entry],
    numbers: &mut [u32],
) -> Result<(), DiffError> {
    let broken = || snapshot.unreadable(&"a hash or mapping column has another type, or fewer rows than it says");
    let selection = wanted.map(|w| RowSelection::from(vec![RowSelector::skip(w.start), RowSelector::select(w.len())]));
    let head: &[usize] = if numbers.is_empty() { &[0, 1] } else { &[0, 1, 2] };
    let mut at = 0;
    for batch in snapshot.read(vec![group], selection, head, &[])? {
        let batch = batch.map_err(|e| snapshot.unreadable(&e))?;
        let end = at + batch.num_rows();
        let places = entries.get_mut(at..end).ok_or_else(broken)?;
        let keys = snapshot::hashes(batch.column(0)).ok_or_else(broken)?;
        let rows = snapshot::hashes(batch.column(1)).ok_or_else(broken)?;
        for (entry, (key, row)) in places.iter_mut().zip(keys.zip(rows)) {
            entry.key = [(key >> 64) as u64, key as u64];
            *entry.row.get_mut() = row as u64 & ROW_BITS;
        }
        if !numbers.is_empty() {
            let places = numbers.get_mut(at..end).ok_or_else(broken)?;
            places.copy_from_slice(snapshot::numbers(batch.column(2)).ok_or_else(broken)?);
        }
        at = end;
    }
    if at < entries.len() { Err(broken().into()) } else { Ok(()) }
}
