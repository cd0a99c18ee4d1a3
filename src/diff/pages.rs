//! The values of some rows of a column, straight from its pages: no other value of a page is decoded. A plan looks up the
//! old values of one row in a hundred, and few pages have none of them.

mod levels;
mod values;

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, TimeUnit};
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

use super::snapshot::Snapshot;
use super::window::Window;
use levels::{Runs, ranks};
use values::Values;

/// How the values of a column are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A length and as many bytes.
    Text,
    /// So many bytes each.
    Fixed(usize),
    /// The same, of a number whose highest byte comes first.
    Big(usize),
    /// A bit each.
    Bits,
}

/// A column of a row group, read at ascending rows.
pub(super) struct Column {
    pages: SerializedPageReader<Window>,
    field: Arc<Field>,
    kind: Kind,
    optional: bool,
    /// The first row of each page, then the number of rows.
    starts: Vec<usize>,
    /// Pages that have been read or passed over.
    passed: usize,
    page: Option<Page>,
    dictionary: Option<Dictionary>,
    ranks: Vec<Option<usize>>,
}

/// The values of a dictionary page.
struct Dictionary {
    page: Page,
    /// Where each is, for text.
    places: Vec<(usize, usize)>,
}

/// Opens a column of a row group by its place in the file's schema; `None` when its values are of a kind that is left to
/// the reader of whole columns: lists, objects, and whatever is rare.
pub(super) fn open(snapshot: &Snapshot, group: usize, at: usize) -> crate::diagnostic::Result<Option<Column>> {
    let damaged = |e: ParquetError| snapshot.unreadable(&e);
    let (file, chunks) = snapshot.file_of(group)?;
    let (Some(leaf), Some(field)) = (snapshot.leaf(at), snapshot.schema().fields().get(at)) else { return Ok(None) };
    let Some((chunk, pages)) = chunks.columns().get(leaf).zip(snapshot.pages(group, leaf)) else { return Ok(None) };
    let known = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY];
    let Some(kind) = kind(field.data_type(), chunk.column_descr()) else { return Ok(None) };
    let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let end = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
    let Some(end) = end.and_then(|(start, length)| start.checked_add(length)) else { return Ok(None) };
    if chunk.encodings().any(|encoding| !known.contains(&encoding)) {
        return Ok(None);
    }
    let rows = usize::try_from(chunks.num_rows()).unwrap_or(0);
    let mut starts: Vec<usize> = pages.iter().map(|p| usize::try_from(p.first_row_index).unwrap_or(0)).collect();
    starts.push(rows);
    let window = Arc::new(Window::new(file, end));
    let optional = chunk.column_descr().max_def_level() > 0;
    let has_dictionary = pages.first().is_some_and(|first| first.offset != start);
    let mut pages = SerializedPageReader::new(window, chunk, rows, Some(pages.to_vec())).map_err(damaged)?;
    let mut dictionary = None;
    if has_dictionary {
        let page = pages.get_next_page().map_err(damaged)?;
        dictionary = Some(Dictionary::new(page, kind).map_err(damaged)?);
    }
    let field = field.clone();
    let (passed, page, ranks) = (0, None, Vec::new());
    Ok(Some(Column { pages, field, kind, optional, starts, passed, page, dictionary, ranks }))
}

fn kind(data_type: &DataType, column: &ColumnDescriptor) -> Option<Kind> {
    if column.max_rep_level() > 0 || column.max_def_level() > 1 || column.path().parts().len() != 1 {
        return None;
    }
    let length = usize::try_from(column.type_length()).unwrap_or(0);
    match (data_type, column.physical_type()) {
        (DataType::Utf8, Type::BYTE_ARRAY) => Some(Kind::Text),
        (DataType::Boolean, Type::BOOLEAN) => Some(Kind::Bits),
        (DataType::FixedSizeBinary(size), Type::FIXED_LEN_BYTE_ARRAY) if usize::try_from(*size) == Ok(length) => {
            Some(Kind::Fixed(length))
        }
        (DataType::Decimal128(..), Type::FIXED_LEN_BYTE_ARRAY) if (1..=16).contains(&length) => Some(Kind::Big(length)),
        // A second is no unit of Parquet: how such a time is kept is left to the reader that knows.
        (DataType::Timestamp(TimeUnit::Second, _), _) => None,
        (DataType::Int64 | DataType::Timestamp(..) | DataType::Decimal128(..), Type::INT64)
        | (DataType::Float64, Type::DOUBLE) => Some(Kind::Fixed(8)),
        (DataType::UInt32 | DataType::Date32 | DataType::Decimal128(..), Type::INT32)
        | (DataType::Float32, Type::FLOAT) => Some(Kind::Fixed(4)),
        _ => None,
    }
}

impl Column {
    /// The values of these rows, which ascend and are not before those taken last.
    pub(super) fn take(&mut self, mut rows: &[usize]) -> Result<ArrayRef> {
        let mut values = Values::new(self.kind, rows.len());
        while let Some(row) = rows.first() {
            let (start, end) = self.turn_to(*row)?;
            let (here, later) = rows.split_at(rows.partition_point(|row| *row < end));
            self.read(here, start, end, &mut values)?;
            rows = later;
        }
        values.finish(self.field.data_type())
    }

    /// Goes on to the page with a row; returns the rows it has.
    fn turn_to(&mut self, row: usize) -> Result<(usize, usize)> {
        loop {
            let range = |page: usize| Some((*self.starts.get(page)?, *self.starts.get(page + 1)?));
            if let Some((start, end)) = self.passed.checked_sub(1).and_then(range)
                && self.page.is_some()
                && (start..end).contains(&row)
            {
                return Ok((start, end));
            }
            let (_, end) = range(self.passed).ok_or_else(|| broken("it has fewer rows than it says"))?;
            self.page = None;
            if end <= row {
                self.pages.skip_next_page()?;
            } else {
                let page = self.pages.get_next_page()?;
                self.page = Some(page.ok_or_else(|| broken("it has fewer pages than it says"))?);
            }
            self.passed += 1;
        }
    }

    fn read(&mut self, rows: &[usize], start: usize, end: usize, values: &mut Values) -> Result<()> {
        let Some(page) = &self.page else { return Ok(()) };
        let (levels, bytes) = split(page, self.optional)?;
        ranks(levels, rows.iter().map(|row| row - start), end - start, &mut self.ranks)?;
        match (page.encoding(), self.kind) {
            (Encoding::PLAIN, Kind::Text) => {
                let (mut rank, mut at) = (0, 0);
                for wanted in &self.ranks {
                    let Some(wanted) = *wanted else {
                        values.null();
                        continue;
                    };
                    loop {
                        let (start, end) = text(bytes, at).ok_or_else(cut)?;
                        if rank == wanted {
                            values.push(&bytes[start..end]);
                            break;
                        }
                        (rank, at) = (rank + 1, end);
                    }
                }
            }
            (Encoding::PLAIN, Kind::Fixed(width) | Kind::Big(width)) => {
                for wanted in &self.ranks {
                    match wanted {
                        Some(rank) => values.push(bytes.get(rank * width..(rank + 1) * width).ok_or_else(cut)?),
                        None => values.null(),
                    }
                }
            }
            (Encoding::PLAIN, Kind::Bits) => {
                for wanted in &self.ranks {
                    match wanted {
                        Some(rank) => values.bit(bytes.get(rank / 8).ok_or_else(cut)? >> (rank % 8) & 1 == 1),
                        None => values.null(),
                    }
                }
            }
            (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, Kind::Text | Kind::Fixed(_) | Kind::Big(_)) => {
                let dictionary = self.dictionary.as_ref().ok_or_else(|| broken("a dictionary is missing"))?;
                let (width, packed) = bytes.split_first().ok_or_else(cut)?;
                let mut runs = Runs::new(packed, u32::from(*width))?;
                for wanted in &self.ranks {
                    match wanted {
                        Some(rank) => values.push(dictionary.get(runs.get(*rank)? as usize, self.kind)?),
                        None => values.null(),
                    }
                }
            }
            (other, _) => return Err(broken(&format!("a page is encoded as {other}"))),
        }
        Ok(())
    }
}

impl Dictionary {
    fn new(page: Option<Page>, kind: Kind) -> Result<Dictionary> {
        let page = page.filter(Page::is_dictionary_page).ok_or_else(|| broken("a dictionary is missing"))?;
        if !matches!(page.encoding(), Encoding::PLAIN | Encoding::PLAIN_DICTIONARY) {
            return Err(broken("a dictionary is not plain"));
        }
        let mut places = Vec::new();
        if kind == Kind::Text {
            let mut at = 0;
            for _ in 0..page.num_values() {
                let (start, end) = text(page.buffer(), at).ok_or_else(cut)?;
                places.push((start, end));
                at = end;
            }
        }
        Ok(Dictionary { page, places })
    }

    fn get(&self, at: usize, kind: Kind) -> Result<&[u8]> {
        let range = match kind {
            Kind::Fixed(width) | Kind::Big(width) => {
                at.checked_mul(width).map(|start| start..start.saturating_add(width))
            }
            _ => self.places.get(at).map(|(start, end)| *start..*end),
        };
        range.and_then(|range| self.page.buffer().get(range)).ok_or_else(|| broken("a value is not in the dictionary"))
    }
}

/// The levels of a page, where it has some, and its values.
fn split(page: &Page, optional: bool) -> Result<(Option<&[u8]>, &[u8])> {
    let bytes: &[u8] = page.buffer();
    match page {
        _ if !optional => Ok((None, bytes)),
        Page::DataPage { def_level_encoding: Encoding::RLE, .. } => {
            let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
            let (levels, values) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
            Ok((Some(levels), values))
        }
        Page::DataPageV2 { def_levels_byte_len, rep_levels_byte_len: 0, .. } => {
            let (levels, values) = bytes.split_at_checked(*def_levels_byte_len as usize).ok_or_else(cut)?;
            Ok((Some(levels), values))
        }
        _ => Err(broken("a page has levels that are not known")),
    }
}

/// Where the text is whose length stands here.
fn text(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let length = bytes.get(at..)?.first_chunk::<4>()?;
    let start = at + 4;
    let end = start.checked_add(u32::from_le_bytes(*length) as usize)?;
    (end <= bytes.len()).then_some((start, end))
}

fn broken(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

fn cut() -> ParquetError {
    broken("a page is cut")
}
