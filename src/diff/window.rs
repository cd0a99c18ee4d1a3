//! Reading a file front to back in large pieces: parts asked for one after the other come out of the same piece, without
//! being copied.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Bytes read at a time: few enough to be still in the cache when they are looked at.
const PIECE: usize = 1 << 18;

/// Bytes in which the header of a page is, unless it is a very long one.
const HEADER: usize = 1 << 14;

/// Part of a file, and the piece of it that was read last.
pub(super) struct Window {
    /// Where reading ahead ends.
    end: u64,
    state: Mutex<State>,
}

struct State {
    file: File,
    start: u64,
    piece: Bytes,
}

impl Window {
    /// Reads up to `end` ahead; what is beyond is still read when it is asked for.
    pub(super) fn new(file: File, end: u64) -> Window {
        Window { end, state: Mutex::new(State { file, start: 0, piece: Bytes::new() }) }
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).file.len()
    }
}

impl ChunkReader for Window {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        // The header of a page. Where the places of pages are known, it comes with its page, and nobody asks for it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Cursor::new(match state.known(start, HEADER) {
            Some(at) => state.piece.slice(at..),
            None => state.read(start, HEADER)?,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = state.known(start, length) {
            return Ok(state.piece.slice(at..at + length));
        }
        let ahead = usize::try_from(self.end.saturating_sub(start)).map_or(PIECE, |left| left.min(PIECE));
        let bytes = state.read(start, length.max(ahead))?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{} bytes are there of {length}", bytes.len())));
        }
        Ok(bytes.slice(..length))
    }
}

impl State {
    /// Where in the piece a part begins, if it has all of it.
    fn known(&self, start: u64, length: usize) -> Option<usize> {
        let at = usize::try_from(start.checked_sub(self.start)?).ok()?;
        (at.checked_add(length)? <= self.piece.len()).then_some(at)
    }

    fn read(&mut self, start: u64, length: usize) -> Result<Bytes> {
        self.file.seek(SeekFrom::Start(start))?;
        let mut piece = Vec::with_capacity(length);
        (&mut self.file).take(length as u64).read_to_end(&mut piece)?;
        (self.start, self.piece) = (start, Bytes::from(piece));
        Ok(self.piece.clone())
    }
}
