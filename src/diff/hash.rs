//! Keyed 128-bit hashes of keys and rows: of values, not of encodings.
//!
//! *Key hash*: SipHash-1-3 with 128 bits over the canonical bytes of the key columns, each with its kind and, where it
//! varies, its length.
//!
//! *Row hash*: two steps, so that the cost is a few multiplications a value. First the row is folded to 128 bits by a
//! universal hash: every column has, by its name, secret random numbers `m0, m1, …`; a value with the words `w1, w2, …`
//! adds `m0·t + m1·w1 + m2·w2 + …` modulo 2¹²⁸, where `t` holds kind and length. This is Lemire and Kaser's
//! multilinear hashing (*Strongly universal string hashing is fast*, 2014): two rows that differ anywhere, be it in one
//! column having another kind, fold to the same number with a probability of at most 2⁻⁶⁴ over the choice of the secret
//! numbers. Then SipHash keyed with another secret makes of it what is stored: whoever has the hashes and not the key
//! sees the output of a pseudorandom function, from which neither the folded number nor a secret number can be got
//! (the Carter-Wegman construction). Text longer than [`LONGEST`] bytes is first hashed itself.
//!
//! Values of a dictionary are folded once per dictionary. The order of columns, their encoding, the width of integers
//! and the scale of decimals make no difference; which columns there are does.

use std::hint::select_unpredictable;

use arrow_array::array::AnyDictionaryArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::{ArrowError, DataType};
use siphasher::sip128::SipHasher13;

use super::cells::{Cell, Cells, Meaning, NO_KEY, decimal, keys, nanoseconds, number, tag, ticks};
use super::layout::meaning_of;
use super::sip::Sip;
use super::{DiffError, Hash, HashKey, Layout};

/// Bytes of text folded directly.
const LONGEST: usize = 128;
/// Secret numbers a column: one for kind and length, one a word.
const NUMBERS: usize = LONGEST / 8 + 1;

/// Rows folded at a time: their sums take half of the nearest cache.
const BLOCK: usize = 1024;
/// Decimals with fewer digits after the point are freed of zeros without a branch.
const ZEROS: usize = 8;
/// Keys written out at a time.
const KEYS: usize = 64;

/// Hashes rows of one layout.
pub(super) struct Hasher {
    columns: Vec<Column>,
    key: Vec<usize>,
    key_sip: Sip,
    row_sip: Sip,
}

/// The secrets of one column.
struct Column {
    meaning: Meaning,
    numbers: [u128; NUMBERS],
    long_sip: SipHasher13,
}

/// What is kept from batch to batch: the folded values of the last dictionary of each column.
#[derive(Default)]
pub(super) struct Folded(Vec<Option<(ArrayRef, Vec<u128>)>>);

/// The hashes of a batch.
pub(super) struct Hashes {
    /// Of the key columns; meaningless where the key is null.
    pub key: Vec<Hash>,
    /// Of all used columns.
    pub row: Vec<Hash>,
    /// Rows with a null in a key column, ascending.
    pub null_keys: Vec<usize>,
}

impl Hasher {
    /// A hasher for the columns of `layout`.
    pub(super) fn new(layout: &Layout, key: &HashKey) -> Hasher {
        let root = SipHasher13::new_with_key(&key.0);
        let secret = |purpose: &str, name: &str, number: usize| -> u128 {
            let lengths = [purpose.len(), name.len(), number].map(|n| (n as u64).to_le_bytes()).concat();
            root.hash(&[lengths.as_slice(), purpose.as_bytes(), name.as_bytes()].concat()).as_u128()
        };
        let sip = |purpose: &str, name: &str| SipHasher13::new_with_key(&secret(purpose, name, 0).to_le_bytes());
        let columns = layout.schema.fields().iter().map(|field| Column {
            meaning: meaning_of(field),
            numbers: std::array::from_fn(|i| secret("number", field.name(), i)),
            long_sip: sip("long", field.name()),
        });
        let [key_sip, row_sip] = ["key", "row"].map(|purpose| Sip::new(&secret(purpose, "", 0).to_le_bytes()));
        Hasher { columns: columns.collect(), key: layout.key.clone(), key_sip, row_sip }
    }

    /// Hashes the used columns of a batch, given in the order of the layout, in any encoding.
    pub(super) fn hash(&self, columns: &[ArrayRef], rows: usize, folded: &mut Folded) -> Result<Hashes, DiffError> {
        let row = self.rows(columns, rows, folded)?;
        let (key, null_keys) = self.keys(columns, rows)?;
        Ok(Hashes { key, row, null_keys })
    }

    /// Hashes the rows alone.
    pub(super) fn rows(&self, columns: &[ArrayRef], rows: usize, folded: &mut Folded) -> Result<Vec<Hash>, DiffError> {
        folded.0.resize_with(self.columns.len(), || None);
        let mut sums = vec![0u128; BLOCK.min(rows)];
        let mut row = Vec::with_capacity(rows);
        // Block by block: the sums stay in the cache while all columns are added to them.
        for start in (0..rows).step_by(BLOCK) {
            let length = BLOCK.min(rows - start);
            let sums = &mut sums[..length];
            sums.fill(0);
            for ((secrets, array), folded) in self.columns.iter().zip(columns).zip(&mut folded.0) {
                secrets.fold(&array.slice(start, length), sums, folded)?;
            }
            self.row_sip.numbers(sums, &mut row);
        }
        Ok(row)
    }

    fn keys(&self, columns: &[ArrayRef], rows: usize) -> Result<(Vec<Hash>, Vec<usize>), DiffError> {
        if let [only] = *self.key
            && let Some(hashes) = self.text_keys(&columns[only], self.columns[only].meaning)
        {
            return Ok((hashes, Vec::new()));
        }
        let cells: Vec<Cells> =
            self.key.iter().map(|&i| Cells::meaning(&columns[i], self.columns[i].meaning)).collect::<Result<_, _>>()?;
        let mut hashes = Vec::with_capacity(rows);
        let mut null_keys = Vec::new();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(KEYS));
        for start in (0..rows).step_by(KEYS) {
            bytes.clear();
            ends.clear();
            for row in start..rows.min(start + KEYS) {
                let mut null = false;
                for cells in &cells {
                    null |= matches!(cells.get(row), Cell::Null);
                    cells.write(row, &mut bytes);
                }
                if null {
                    null_keys.push(row);
                }
                ends.push(bytes.len());
            }
            self.key_sip.messages(&bytes, &ends, &mut hashes);
        }
        Ok((hashes, null_keys))
    }

    /// The hashes of a key that is one text column; `None` when it is not, or has nulls.
    fn text_keys(&self, array: &ArrayRef, meaning: Meaning) -> Option<Vec<Hash>> {
        if meaning != Meaning::Itself || array.null_count() > 0 {
            return None;
        }
        let mut hashes = Vec::with_capacity(array.len());
        match array.data_type() {
            DataType::Utf8 => self.key_sip.texts(tag::TEXT, texts(array.as_string()), &mut hashes),
            DataType::Utf8View => self.key_sip.texts(tag::TEXT, array.as_string_view().bytes_iter(), &mut hashes),
            _ => return None,
        }
        Some(hashes)
    }
}

/// The values of a text column without nulls.
fn texts(array: &StringArray) -> impl Iterator<Item = &[u8]> {
    let bytes = array.value_data();
    array.value_offsets().windows(2).map(|ends| &bytes[ends[0] as usize..ends[1] as usize])
}

impl Column {
    /// Adds the column's share to the sum of each row.
    fn fold(
        &self,
        array: &ArrayRef,
        sums: &mut [u128],
        folded: &mut Option<(ArrayRef, Vec<u128>)>,
    ) -> Result<(), ArrowError> {
        if self.meaning != Meaning::Itself {
            self.fold_cells(&Cells::meaning(array, self.meaning)?, sums);
            return Ok(());
        }
        let plain = array.null_count() == 0;
        match array.data_type() {
            DataType::Dictionary(..) => {
                let array = array.as_any_dictionary();
                let values = array.values();
                let same = |known: &ArrayRef| {
                    std::sync::Arc::ptr_eq(known, values) || known.to_data().ptr_eq(&values.to_data())
                };
                let shares = match folded.take() {
                    Some((known, shares)) if same(&known) => shares,
                    _ => {
                        let mut shares = vec![0u128; values.len()];
                        self.fold(values, &mut shares, &mut None)?;
                        shares
                    }
                };
                self.fold_keys(array, &shares, sums);
                *folded = Some((values.clone(), shares));
            }
            DataType::Utf8 if plain => {
                for (sum, text) in sums.iter_mut().zip(texts(array.as_string())) {
                    *sum = sum.wrapping_add(self.text(tag::TEXT, text));
                }
            }
            DataType::Utf8View if plain => {
                for (sum, text) in sums.iter_mut().zip(array.as_string_view().bytes_iter()) {
                    *sum = sum.wrapping_add(self.text(tag::TEXT, text));
                }
            }
            DataType::Int64 if plain => {
                self.fold_words(tag::INT, array.as_primitive::<Int64Type>().values().iter().map(|v| *v as u64), sums);
            }
            DataType::Int32 if plain => {
                let values = array.as_primitive::<Int32Type>().values().iter();
                self.fold_words(tag::INT, values.map(|v| i64::from(*v) as u64), sums);
            }
            DataType::Decimal128(_, scale) if plain => {
                self.fold_decimals(array.as_primitive::<Decimal128Type>().values(), *scale, sums);
            }
            DataType::Timestamp(unit, zone) if plain => {
                let tag = if zone.is_some() { tag::INSTANT } else { tag::TIMESTAMP };
                match (ticks(array, *unit), nanoseconds(*unit)) {
                    (Some(ticks), (factor, safe)) if ticks.iter().fold(true, |all, tick| all & safe.contains(tick)) => {
                        self.fold_words(tag, ticks.iter().map(|tick| (tick * factor) as u64), sums);
                    }
                    _ => self.fold_cells(&Cells::new(array)?, sums),
                }
            }
            _ => self.fold_cells(&Cells::new(array)?, sums),
        }
        Ok(())
    }

    /// Adds to each sum the share of the value its row has in a dictionary.
    fn fold_keys(&self, array: &dyn AnyDictionaryArray, shares: &[u128], sums: &mut [u128]) {
        match array.keys().as_primitive_opt::<Int32Type>() {
            Some(keys) if keys.null_count() == 0 && !shares.is_empty() => {
                for (sum, key) in sums.iter_mut().zip(keys.values()) {
                    *sum = sum.wrapping_add(shares[*key as usize]);
                }
            }
            _ => {
                let null = self.share(Cell::Null);
                for (sum, key) in sums.iter_mut().zip(keys(array)) {
                    let share = if key == NO_KEY { null } else { shares[key as usize] };
                    *sum = sum.wrapping_add(share);
                }
            }
        }
    }

    #[inline]
    fn fold_words(&self, tag: u8, words: impl Iterator<Item = u64>, sums: &mut [u128]) {
        let kind = self.numbers[0].wrapping_mul(u128::from(tag));
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(kind).wrapping_add(self.numbers[1].wrapping_mul(u128::from(word)));
        }
    }

    fn fold_decimals(&self, values: &[i128], scale: i8, sums: &mut [u128]) {
        let other = |value: i128| self.share(number(tag::DECIMAL, decimal(value, scale)));
        let Some(zeros) = usize::try_from(scale).ok().filter(|scale| *scale < ZEROS) else {
            return sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = sum.wrapping_add(other(*value)));
        };
        // As the shares of `number` and `decimal`, without a branch: how many zeros there are is not foreseen.
        let kinds: [u128; ZEROS] = std::array::from_fn(|scale| {
            let kind = if scale == 0 { tag::DECIMAL } else { tag::DECIMAL | tag::WIDE };
            self.numbers[0].wrapping_mul(u128::from(kind) | (scale as u128) << 8)
        });
        let negative = self.numbers[2].wrapping_mul(u128::from(u64::MAX));
        for (sum, value) in sums.iter_mut().zip(values) {
            let Ok(mut small) = i64::try_from(*value) else {
                *sum = sum.wrapping_add(other(*value));
                continue;
            };
            let mut left = zeros;
            for _ in 0..zeros {
                let shorter = small / 10;
                let exact = shorter * 10 == small;
                small = select_unpredictable(exact, shorter, small);
                left -= usize::from(exact);
            }
            let second = select_unpredictable(left > 0 && small < 0, negative, 0);
            let first = self.numbers[1].wrapping_mul(u128::from(small as u64));
            *sum = sum.wrapping_add(kinds[left]).wrapping_add(first).wrapping_add(second);
        }
    }

    fn fold_cells(&self, cells: &Cells, sums: &mut [u128]) {
        if let Cells::Words { tag, values, nulls: None } = cells {
            return self.fold_words(*tag, values.iter().copied(), sums);
        }
        let mut bytes = Vec::new();
        for (row, sum) in sums.iter_mut().enumerate() {
            let share = match cells.get(row) {
                Cell::Nested => {
                    bytes.clear();
                    cells.write(row, &mut bytes);
                    self.text(tag::LIST, &bytes)
                }
                cell => self.share(cell),
            };
            *sum = sum.wrapping_add(share);
        }
    }

    #[inline]
    fn share(&self, cell: Cell<'_>) -> u128 {
        let number = |i: usize, word: u64| self.numbers[i].wrapping_mul(u128::from(word));
        match cell {
            // Nested values are written out by the caller, who has the rows they consist of.
            Cell::Null | Cell::Nested => number(0, u64::from(tag::NULL)),
            Cell::Words(tag, word) => number(0, u64::from(tag)).wrapping_add(number(1, word)),
            Cell::Wide(tag, value, scale) => number(0, u64::from(tag) | u64::from(scale) << 8)
                .wrapping_add(number(1, value as u64))
                .wrapping_add(number(2, (value >> 64) as u64)),
            Cell::Bytes(tag, bytes) => self.text(tag, bytes),
        }
    }

    /// Given its length, bytes are told apart by their words of eight, the last of which may overlap the one before.
    #[inline]
    fn text(&self, tag: u8, bytes: &[u8]) -> u128 {
        let number = |i: usize, word: u64| self.numbers[i].wrapping_mul(u128::from(word));
        let kind = u64::from(tag) | (bytes.len() as u64) << 8;
        if bytes.len() > LONGEST {
            let hash = self.long_sip.hash(bytes).as_u128();
            return number(0, kind | u64::from(tag::HASHED))
                .wrapping_add(number(1, hash as u64))
                .wrapping_add(number(2, (hash >> 64) as u64));
        }
        let mut sum = number(0, kind);
        if bytes.len() >= 8 {
            sum = sum.wrapping_add(match bytes.len() {
                ..=24 => self.words::<3>(bytes),
                25..=40 => self.words::<5>(bytes),
                41..=64 => self.words::<8>(bytes),
                _ => self.words::<{ LONGEST / 8 }>(bytes),
            });
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            let word = u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
            sum = sum.wrapping_add(number(1, word));
        } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
            let word = u64::from(*first) | u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(*last) << 16;
            sum = sum.wrapping_add(number(1, word));
        }
        sum
    }

    /// The words of a text of eight bytes or more, of which there are at most `MOST`. The same number of steps whatever
    /// its length: how many words a text has is not foreseen, and a wrong guess takes as long as several of them.
    #[inline]
    fn words<const MOST: usize>(&self, bytes: &[u8]) -> u128 {
        let (count, last) = (bytes.len().div_ceil(8), bytes.len() - 8);
        (0..MOST).fold(0u128, |sum, i| {
            let word = bytes[last.min(i * 8)..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            let word = select_unpredictable(i < count, word, 0);
            sum.wrapping_add(self.numbers[i + 1].wrapping_mul(u128::from(word)))
        })
    }
}
