//! The hash columns of a row group straight from their pages: they are neither encoded nor compressed, so that there is
//! nothing to decode and no reason to copy them into arrays first.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::serialized_reader::SerializedPageReader;

use super::DiffError;
use super::snapshot::Snapshot;

/// Bytes of a hash.
const BYTES: usize = size_of::<super::Hash>();

/// The keys and row hashes of a row group, some at a time.
pub(super) struct Fingerprints<'a> {
    snapshot: &'a Snapshot,
    columns: [Column; 2],
}

struct Column {
    pages: SerializedPageReader<File>,
    page: Option<Page>,
    /// Values of the page that have been taken.
    taken: usize,
}

/// Opens the hash columns of a row group; `None` when they are not kept as bare bytes.
pub(super) fn open(snapshot: &Snapshot, group: usize) -> Result<Option<Fingerprints<'_>>, DiffError> {
    let damaged = |e: ParquetError| snapshot.unreadable(&e);
    let (file, group) = snapshot.file_of(group)?;
    let rows = usize::try_from(group.num_rows()).unwrap_or(0);
    let bare = |chunk: &parquet::file::metadata::ColumnChunkMetaData| {
        let column = chunk.column_descr();
        chunk.compression() == Compression::UNCOMPRESSED
            && chunk.dictionary_page_offset().is_none()
            && column.max_def_level() == 0
            && column.max_rep_level() == 0
            && usize::try_from(column.type_length()) == Ok(BYTES)
    };
    let [keys, hashes, ..] = group.columns() else { return Ok(None) };
    if !bare(keys) || !bare(hashes) {
        return Ok(None);
    }
    let file = Arc::new(file);
    let column = |chunk| {
        let pages = SerializedPageReader::new(file.clone(), chunk, rows, None).map_err(damaged)?;
        Ok::<_, DiffError>(Column { pages, page: None, taken: 0 })
    };
    Ok(Some(Fingerprints { snapshot, columns: [column(keys)?, column(hashes)?] }))
}

impl Fingerprints<'_> {
    /// The next keys and as many row hashes; `None` after the last. Each is big-endian.
    #[allow(clippy::type_complexity)]
    pub(super) fn some(&mut self) -> Result<Option<(&[[u8; BYTES]], &[[u8; BYTES]])>, DiffError> {
        let snapshot = self.snapshot;
        for column in &mut self.columns {
            column.turn().map_err(|e| snapshot.unreadable(&e))?;
        }
        let [keys, rows] = &mut self.columns;
        let count = keys.left().len().min(rows.left().len());
        if count == 0 {
            return Ok(None);
        }
        Ok(Some((keys.take(count), rows.take(count))))
    }
}

impl Column {
    /// Goes on to the next page that has values, once those of this one are used up.
    fn turn(&mut self) -> Result<(), ParquetError> {
        while self.left().is_empty() {
            self.taken = 0;
            self.page = self.pages.get_next_page()?;
            match &self.page {
                None => return Ok(()),
                Some(Page::DataPage { .. } | Page::DataPageV2 { .. }) => {}
                Some(Page::DictionaryPage { .. }) => return Err(not_plain()),
            }
            let plain = self.page.as_ref().is_some_and(|page| {
                page.encoding() == Encoding::PLAIN && page.buffer().len() == page.num_values() as usize * BYTES
            });
            if !plain {
                return Err(not_plain());
            }
        }
        Ok(())
    }

    fn left(&self) -> &[[u8; BYTES]] {
        let bytes = self.page.as_ref().map_or(&[][..], |page| page.buffer());
        bytes.as_chunks().0.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) -> &[[u8; BYTES]] {
        let start = self.taken;
        self.taken += count;
        let bytes = self.page.as_ref().map_or(&[][..], |page| page.buffer());
        bytes.as_chunks().0.get(start..self.taken).unwrap_or_default()
    }
}

fn not_plain() -> ParquetError {
    ParquetError::General("a hash column has pages that are not plain".into())
}
