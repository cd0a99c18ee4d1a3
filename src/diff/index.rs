//! The fingerprints of a snapshot in memory: 16 bytes a row, found by key hash, marked as the model is read.
//!
//! The rows of a snapshot are sorted by key hash, and hashes are spread evenly: the leading bits of a key hash say in
//! which small bucket of rows it would be. An entry holds the 64 bits after those.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::memory::Table;
use super::rehash::Rehash;
use super::snapshot::{self, Snapshot};
use super::{DiffError, Hash, fingerprints};

/// Bytes of memory a row of the snapshot takes.
pub(super) const ENTRY_BYTES: usize = 2 * size_of::<u64>() + 4;
/// The bits of a row hash that are no mark. Two versions of one row are taken for the same with a probability of 2⁻⁶².
const ROW_BITS: u64 = !3;
/// Keys looked up together: memory answers many requests at once, if they do not wait for each other.
const BLOCK: usize = 64;
/// Blocks under way: of one the buckets are asked for, of the next one the entries, and the last one is looked up.
const STAGES: usize = 3;

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

/// Part or all of a snapshot's fingerprints.
pub(super) struct Index {
    /// Two words a row: 64 bits of its key hash, then its row hash with the mark in the lowest two bits. Looking up and
    /// marking touch one line of the cache.
    ///
    /// With the bits that decide on the bucket, at least 64 and for a million rows 82 bits of a key are compared: a key
    /// that is not there is taken for one of the two or three in its bucket with a probability of 2⁻⁶².
    words: Table<AtomicU64>,
    rows: usize,
    /// Where the entries of each bucket start; one more than there are buckets.
    starts: Table<AtomicU32>,
    span: Span,
    first: usize,
    numbers: Numbers,
}

/// How a key hash becomes a bucket and the word that is kept of it.
#[derive(Debug, Clone, Copy)]
struct Span {
    low: u64,
    high: u64,
    shift: u32,
}

enum Numbers {
    One(u32),
    Many(Vec<u32>),
}

impl Span {
    /// For so many rows with key hashes from `low` to `high`.
    fn new(low: Hash, high: Hash, rows: usize) -> Span {
        let (low, high) = ((low >> 64) as u64, (high >> 64) as u64);
        let span_bits = u64::BITS - high.saturating_sub(low).leading_zeros();
        // Two to four entries a bucket, most of them in one line of the cache.
        let bucket_bits = (rows / 2).max(1).ilog2();
        Span { low, high, shift: span_bits.saturating_sub(bucket_bits).min(63) }
    }

    fn buckets(self) -> usize {
        (self.high.saturating_sub(self.low) >> self.shift) as usize + 1
    }

    /// The bucket of a key hash, and the word kept of it; `None` outside of the span.
    fn place(self, key: Hash) -> Option<(usize, u64)> {
        let head = (key >> 64) as u64;
        if head < self.low || head > self.high {
            return None;
        }
        let within = key - (u128::from(self.low) << 64);
        Some((((head - self.low) >> self.shift) as usize, (within >> self.shift) as u64))
    }
}

impl Index {
    /// Loads the rows of the snapshot at these positions. `rehash` gives row hashes other than those in the file.
    pub(super) fn load(
        snapshot: &Snapshot,
        range: Range<usize>,
        threads: usize,
        rehash: &Rehash<'_>,
    ) -> Result<Index, DiffError> {
        let known: Vec<u32> = snapshot.meta().columns.keys().copied().collect();
        let mut numbers = match known.as_slice() {
            [one] => Numbers::One(*one),
            _ => Numbers::Many(vec![0; range.len()]),
        };
        let (low, high) = match range.clone().next_back() {
            Some(last) => (snapshot.key_at(range.start)?, snapshot.key_at(last)?),
            None => (0, 0),
        };
        let span = Span::new(low, high, range.len());
        let starts = Table::<AtomicU32>::zeroed(span.buckets() + 1);
        let mut words = Table::<AtomicU64>::zeroed(range.len() * 2);
        let mut jobs = Vec::new();
        let (mut start, mut at) = (0, 0);
        let mut words_left = words.as_mut_slice();
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
            let (words, rest) = words_left.split_at_mut(wanted.len() * 2);
            words_left = rest;
            let (numbers, rest) = numbers_left.split_at_mut(wanted.len().min(numbers_left.len()));
            numbers_left = rest;
            let length = wanted.len();
            let wanted = (length < rows).then_some(wanted);
            jobs.push((
                jobs.len(),
                Load { snapshot, group, wanted, at, words, numbers, span, starts: starts.as_slice(), rehash },
            ));
            at += length;
        }
        let count = jobs.len();
        let jobs = std::sync::Mutex::new(jobs);
        let next = || jobs.lock().map_or(None, |mut jobs| jobs.pop());
        let loaded = super::threads::all(threads, |_| {
            let mut ends = Vec::new();
            while let Some((number, load)) = next() {
                let at = load.at;
                ends.push((number, at, load.run()?));
            }
            Ok(ends)
        })?;
        let mut ends: Vec<_> = loaded.into_iter().flatten().collect();
        ends.sort_unstable_by_key(|(number, ..)| *number);
        debug_assert_eq!(ends.len(), count);
        // Between the groups, and after the last of them.
        let mut before: Option<(Hash, usize)> = None;
        for (_, at, (first, last)) in ends {
            let (Some((bucket, _)), Some((end, _))) = (span.place(first), span.place(last)) else {
                return Err(unsorted(snapshot));
            };
            let from = match before {
                Some((before, _)) if before > first => return Err(unsorted(snapshot)),
                Some((_, bucket)) => bucket + 1,
                None => 0,
            };
            fill(starts.as_slice(), from, bucket, at);
            before = Some((last, end));
        }
        fill(starts.as_slice(), before.map_or(0, |(_, bucket)| bucket + 1), span.buckets(), range.len());
        Ok(Index { words, rows: range.len(), starts, span, first: range.start, numbers })
    }

    /// Looks up the keys of a batch; `found` gets, row by row, where in the index each is, or [`ABSENT`].
    pub(super) fn find_all(&self, keys: &[Hash], found: &mut Vec<u32>) {
        self.look_up(keys, found, |_, at| at);
    }

    /// As [`Index::find_all`], and marks what is the same and was not seen before as such: it is [`SETTLED`].
    pub(super) fn settle_all(&self, keys: &[Hash], rows: &[Hash], found: &mut Vec<u32>) {
        self.look_up(keys, found, |row, at| match rows.get(row) {
            // While the entry is still in the nearest cache.
            Some(hash) if at != ABSENT && self.settle(at as usize, *hash) => SETTLED,
            _ => at,
        });
    }

    #[inline]
    fn look_up(&self, keys: &[Hash], found: &mut Vec<u32>, with: impl Fn(usize, u32) -> u32) {
        found.clear();
        found.reserve(keys.len());
        let mut places = [[(0u32, 0u32, 0u64); BLOCK]; STAGES];
        let blocks = keys.len().div_ceil(BLOCK);
        let keys_of = |block: usize| keys.get(block * BLOCK..keys.len().min((block + 1) * BLOCK)).unwrap_or_default();
        for step in 0..blocks + STAGES - 1 {
            for (place, key) in places[step % STAGES].iter_mut().zip(keys_of(step)) {
                *place = (0, 0, 0);
                if let Some((bucket, word)) = self.span.place(*key) {
                    *place = (bucket as u32, bucket as u32 + 1, word);
                    prefetch(self.starts.as_slice(), bucket);
                }
            }
            if let Some(block) = step.checked_sub(1) {
                for place in &mut places[block % STAGES][..keys_of(block).len()] {
                    if place.1 != 0 {
                        *place = (self.start(place.0 as usize), self.start(place.1 as usize), place.2);
                        prefetch(self.words.as_slice(), place.0 as usize * 2);
                        prefetch(self.words.as_slice(), (place.1 as usize * 2).saturating_sub(1));
                    }
                }
            }
            if let Some(block) = step.checked_sub(2) {
                let rows = block * BLOCK..block * BLOCK + keys_of(block).len();
                let places = places[block % STAGES].iter();
                let here =
                    rows.zip(places).map(|(row, (start, end, word))| with(row, self.find_within(*start, *end, *word)));
                found.extend(here);
            }
        }
    }

    /// Looks up one key.
    pub(super) fn find(&self, key: Hash) -> Option<usize> {
        let (bucket, word) = self.span.place(key)?;
        let found = self.find_within(self.start(bucket), self.start(bucket + 1), word);
        (found != ABSENT).then_some(found as usize)
    }

    fn start(&self, bucket: usize) -> u32 {
        self.starts.as_slice().get(bucket).map_or(0, |start| start.load(Ordering::Relaxed))
    }

    #[inline]
    fn find_within(&self, start: u32, end: u32, word: u64) -> u32 {
        let entries = self.words.as_slice().get(start as usize * 2..end as usize * 2).unwrap_or_default();
        let at = entries.chunks_exact(2).position(|entry| entry[0].load(Ordering::Relaxed) == word);
        at.map_or(ABSENT, |at| start + at as u32)
    }

    fn row(&self, at: usize) -> &AtomicU64 {
        &self.words.as_slice()[at * 2 + 1]
    }

    /// True when the row at this place has this hash.
    pub(super) fn same(&self, at: usize, row: Hash) -> bool {
        (self.row(at).load(Ordering::Relaxed) ^ row as u64) & ROW_BITS == 0
    }

    /// Marks the row at this place as the same, if it is and was not seen before; else nothing is done.
    #[inline]
    fn settle(&self, at: usize, row: Hash) -> bool {
        let cell = self.row(at);
        let bits = row as u64 & ROW_BITS;
        cell.load(Ordering::Relaxed) == bits
            && cell.compare_exchange(bits, bits | Mark::Same as u64, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Marks a row as seen; false when it had been seen before: it is then marked as such.
    pub(super) fn mark(&self, at: usize, mark: Mark) -> bool {
        let cell = self.row(at);
        let bits = cell.load(Ordering::Relaxed) & ROW_BITS;
        let free = cell.compare_exchange(bits, bits | mark as u64, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !free {
            cell.fetch_or(Mark::Twice as u64, Ordering::Relaxed);
        }
        free
    }

    /// Makes a row differ from whatever the model has for it.
    pub(super) fn distrust(&mut self, at: usize) {
        self.row(at).fetch_xor(ROW_BITS, Ordering::Relaxed);
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

    /// The number of all rows, where it is the same.
    pub(super) fn only_number(&self) -> Option<u32> {
        match &self.numbers {
            Numbers::One(number) => Some(*number),
            Numbers::Many(_) => None,
        }
    }

    /// The first 64 bits of each key hash, with its mark, in order of position.
    pub(super) fn heads(&self) -> impl Iterator<Item = (u64, Mark)> + '_ {
        let mut bucket = 0;
        self.marks().enumerate().map(move |(at, mark)| {
            while bucket + 2 < self.starts.as_slice().len() && self.start(bucket + 1) as usize <= at {
                bucket += 1;
            }
            // Bucket and word are all bits of the distance to the lowest head but the last `shift`, which are no part
            // of it.
            let word = self.words.as_slice()[at * 2].load(Ordering::Relaxed);
            let within = (((bucket as u128) << 64) | u128::from(word)) << self.span.shift;
            (self.span.low.wrapping_add((within >> 64) as u64), mark)
        })
    }

    /// All marks, in order of position.
    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        (0..self.rows).map(|at| match self.row(at).load(Ordering::Relaxed) & !ROW_BITS {
            0 => Mark::Unseen,
            1 => Mark::Same,
            2 => Mark::Candidate,
            _ => Mark::Twice,
        })
    }
}

/// Where a key is that is not in the index.
pub(super) const ABSENT: u32 = u32::MAX;
/// Where a key is that is in the index, and of which nothing is left to be done (see [`Index::settle_all`]).
pub(super) const SETTLED: u32 = u32::MAX - 1;

/// Buckets `from..=to` start at row `at`.
fn fill(starts: &[AtomicU32], from: usize, to: usize, at: usize) {
    starts.get(from..=to).unwrap_or_default().iter().for_each(|start| start.store(at as u32, Ordering::Relaxed));
}

fn unsorted(snapshot: &Snapshot) -> DiffError {
    snapshot.unreadable(&"its rows are not sorted by key hash").into()
}

/// Asks for the line of the cache that holds an element.
#[inline]
fn prefetch<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = slice.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and the address is that of an element.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}

/// A row group to load.
struct Load<'a> {
    snapshot: &'a Snapshot,
    group: usize,
    wanted: Option<Range<usize>>,
    /// Where in the index its first row goes.
    at: usize,
    words: &'a mut [AtomicU64],
    numbers: &'a mut [u32],
    span: Span,
    starts: &'a [AtomicU32],
    rehash: &'a Rehash<'a>,
}

/// What is known of a row group that is being loaded.
struct Loading<'a> {
    snapshot: &'a Snapshot,
    span: Span,
    starts: &'a [AtomicU32],
    /// Where in the index its first row goes.
    at: usize,
    done: usize,
    bucket: usize,
    first: Hash,
    last: Hash,
}

impl Loading<'_> {
    /// Fills in rows, two words each, and the buckets that start with them.
    fn fill(&mut self, places: &mut [AtomicU64], rows: impl Iterator<Item = (Hash, Hash)>) -> Result<(), DiffError> {
        for (entry, (key, row_hash)) in places.chunks_exact_mut(2).zip(rows) {
            let Some((bucket, word)) = self.span.place(key).filter(|_| key >= self.last) else {
                return Err(unsorted(self.snapshot));
            };
            if self.done == 0 {
                // The bucket of the first row may start in the group before.
                (self.first, self.bucket) = (key, bucket);
            } else if bucket != self.bucket {
                fill(self.starts, self.bucket + 1, bucket, self.at + self.done);
            }
            (self.last, self.bucket) = (key, bucket);
            *entry[0].get_mut() = word;
            *entry[1].get_mut() = row_hash as u64 & ROW_BITS;
            self.done += 1;
        }
        Ok(())
    }
}

impl Load<'_> {
    /// Fills in its rows, and the buckets that start within it; returns its first and its last key.
    fn run(self) -> Result<(Hash, Hash), DiffError> {
        let Load { snapshot, group, wanted, at, words, numbers, span, starts, rehash } = self;
        let broken = || snapshot.unreadable(&"a hash or mapping column has another type, or fewer rows than it says");
        let mut loading = Loading { snapshot, span, starts, at, done: 0, bucket: 0, first: 0, last: 0 };
        let columns = rehash.columns();
        let bare = numbers.is_empty() && columns.is_empty();
        if let (true, None, Some(mut pages)) = (bare, &wanted, fingerprints::open(snapshot, group)?) {
            while let Some((keys, rows)) = pages.some()? {
                let places = words.get_mut(loading.done * 2..(loading.done + keys.len()) * 2).ok_or_else(broken)?;
                let number = |bytes: &[u8; 16]| Hash::from_be_bytes(*bytes);
                loading.fill(places, keys.iter().zip(rows).map(|(key, row)| (number(key), number(row))))?;
            }
        } else {
            let select =
                |w: Range<usize>| RowSelection::from(vec![RowSelector::skip(w.start), RowSelector::select(w.len())]);
            let head: &[usize] = if bare { &[0, 1] } else { &[0, 1, 2] };
            let mut rehash = rehash.start();
            for batch in snapshot.read(vec![group], wanted.map(select), head, &columns)? {
                let batch = batch.map_err(|e| snapshot.unreadable(&e))?;
                let here = loading.done..loading.done + batch.num_rows();
                let places = words.get_mut(here.start * 2..here.end * 2).ok_or_else(broken)?;
                let keys = snapshot::hashes(batch.column(0)).ok_or_else(broken)?;
                let rows = snapshot::hashes(batch.column(1)).ok_or_else(broken)?;
                loading.fill(places, keys.zip(rows))?;
                rehash.apply(snapshot, &batch, |row, hash| {
                    if let Some(entry) = places.get_mut(row * 2 + 1) {
                        *entry.get_mut() = hash as u64 & ROW_BITS;
                    }
                })?;
                if !numbers.is_empty() {
                    let places = numbers.get_mut(here).ok_or_else(broken)?;
                    places.copy_from_slice(snapshot::numbers(batch.column(2)).ok_or_else(broken)?);
                }
            }
        }
        if loading.done == 0 || loading.done * 2 != words.len() {
            return Err(broken().into());
        }
        Ok((loading.first, loading.last))
    }
}
