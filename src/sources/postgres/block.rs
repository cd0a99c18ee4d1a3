//! Some rows as the server has sent them, to be decoded a column at a time.

use std::ops::Range;

use super::copy::Malformed;

/// Bytes after which rows are decoded: these and the places of their fields stay in the nearest caches.
pub(super) const ENOUGH: usize = 64 << 10;

/// Where a field is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: u32,
    pub(super) size: u32,
}

impl Place {
    /// Beyond all bytes there can be.
    pub(super) const NULL: Self = Self { start: u32::MAX, size: 0 };

    /// So many bytes from a place on; there must not be four gigabytes, or fewer than none.
    pub(super) fn new(start: usize, size: i32) -> Result<Self, Malformed> {
        let start = u32::try_from(start).ok().filter(|start| *start < u32::MAX).ok_or(Malformed)?;
        Ok(Self { start, size: u32::try_from(size).map_err(|_| Malformed)? })
    }
}

/// Rows one after the other.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) bytes: &'a [u8],
    /// Row by row.
    pub(super) fields: &'a [Place],
    /// Fields of a row.
    pub(super) width: usize,
}

impl<'a> Block<'a> {
    /// How many there are.
    pub(super) fn rows(&self) -> usize {
        self.fields.len() / self.width.max(1)
    }

    /// The values of one field of some of the rows.
    pub(super) fn column(self, at: usize, rows: Range<usize>) -> impl Iterator<Item = Option<&'a [u8]>> {
        let rows = self.fields.get(rows.start * self.width..rows.end * self.width).unwrap_or_default();
        rows.chunks_exact(self.width.max(1)).map(move |row| {
            let Place { start, size } = *row.get(at)?;
            self.bytes.get(start as usize..start as usize + size as usize)
        })
    }
}

/// Rows that come one at a time.
pub(super) struct Gathered {
    bytes: Vec<u8>,
    fields: Vec<Place>,
    width: usize,
}

impl Gathered {
    /// Of so many fields.
    pub(super) fn new(width: usize) -> Self {
        Self { bytes: Vec::new(), fields: Vec::new(), width }
    }

    /// Adds the next field.
    pub(super) fn push(&mut self, field: Option<&[u8]>) -> Result<(), Malformed> {
        let place = match field {
            None => Place::NULL,
            Some(field) => Place::new(self.bytes.len(), i32::try_from(field.len()).map_err(|_| Malformed)?)?,
        };
        self.bytes.extend_from_slice(field.unwrap_or_default());
        self.fields.push(place);
        Ok(())
    }

    /// True when it is time to decode them.
    pub(super) fn is_enough(&self) -> bool {
        self.bytes.len() + size_of_val(self.fields.as_slice()) >= ENOUGH
    }

    /// All so far.
    pub(super) fn block(&self) -> Block<'_> {
        Block { bytes: &self.bytes, fields: &self.fields, width: self.width }
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }
}
