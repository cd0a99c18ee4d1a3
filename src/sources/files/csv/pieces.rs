//! A file cut into pieces of whole records, so that several threads can look at it at once.
//!
//! Quotes decide where a record ends, so the pieces are cut one after the other; but that only looks for quotes and line
//! breaks, which takes next to no time beside reading the values.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr2};

use super::super::stamp::Stamp;
use super::CUT;
use crate::diagnostic::{Error, Result};

/// Bytes read at once, and about the length of a piece.
const PIECE: usize = 1 << 20;

/// Longest record in bytes: behind a quote that is not closed, everything is one field.
const LONGEST: usize = 16 << 20;

/// What a file may begin with, and what no piece may begin with: the reader would leave it out.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Some records, whole.
pub(super) struct Piece {
    /// Position among the pieces, from 0.
    pub(super) number: usize,
    /// Where in the file it starts.
    pub(super) byte: u64,
    /// The line it starts in, from 1.
    pub(super) line: u64,
    pub(super) text: Vec<u8>,
}

/// The pieces of one file, in order.
pub(super) struct Pieces<'a> {
    stamp: &'a Stamp,
    input: File,
    separator: u8,
    /// What was read of the next piece.
    rest: Vec<u8>,
    byte: u64,
    line: u64,
    number: usize,
    ended: bool,
}

impl<'a> Pieces<'a> {
    /// From a byte on that is the first of a record, in line `line`.
    pub(super) fn open(stamp: &'a Stamp, byte: u64, line: u64, separator: u8) -> Result<Self> {
        let mut input = stamp.open()?;
        input.seek(SeekFrom::Start(byte)).map_err(|e| stamp.unreadable(&e))?;
        Ok(Self { stamp, input, separator, rest: Vec::new(), byte, line, number: 0, ended: false })
    }

    /// The next piece; `None` after the last, and once [`Self::stop`] was called.
    ///
    /// # Errors
    /// A record that does not end, with the number its piece would have.
    pub(super) fn next(&mut self) -> std::result::Result<Option<Piece>, (usize, Error)> {
        if self.ended {
            return Ok(None);
        }
        self.cut().map(Some).map_err(|error| {
            self.ended = true;
            (self.number, error)
        })
    }

    /// Gives out no more pieces.
    pub(super) fn stop(&mut self) {
        self.ended = true;
    }

    fn cut(&mut self) -> Result<Piece> {
        let mut text = std::mem::take(&mut self.rest);
        let mut scan = Scan { separator: self.separator, state: State::Start, at: 0, end: None };
        loop {
            let more = (&mut self.input).take(PIECE as u64).read_to_end(&mut text);
            self.ended = more.map_err(|e| self.stamp.unreadable(&e))? < PIECE;
            scan.run(&text);
            if self.ended {
                if let State::Quoted(open) = scan.state {
                    let what = "a quoted field starts here and is never closed";
                    return Err(self.stamp.at(self.line_at(&text, open), what, CUT));
                }
                break;
            }
            if let Some(end) = scan.end {
                self.rest = text.split_off(end);
                break;
            }
            if text.len() > LONGEST {
                let (open, what) = match scan.state {
                    State::Quoted(open) => (open, "a quoted field starts here and is not closed"),
                    _ => (0, "a record starts here that does not end"),
                };
                let what = format!("{what} within {} MiB", LONGEST >> 20);
                return Err(self.stamp.at(self.line_at(&text, open), what, CUT));
            }
        }
        let (byte, line, number) = (self.byte, self.line, self.number);
        self.byte += text.len() as u64;
        self.line += line_breaks(&text);
        self.number += 1;
        Ok(Piece { number, byte, line, text })
    }

    fn line_at(&self, text: &[u8], byte: usize) -> u64 {
        self.line + text.get(..byte).map_or(0, line_breaks)
    }
}

/// How many lines end in a text.
pub(super) fn line_breaks(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

/// Where a text stands, as the reader of the values sees it: a quote opens a field only as its first sign.
#[derive(Clone, Copy)]
enum State {
    /// Before the first sign of a field.
    Start,
    /// In a field, where a quote is like any other sign.
    Inside,
    /// In quotes that were opened at this byte.
    Quoted(usize),
    /// Right behind a quote that closes a field opened at this byte, unless another one follows.
    Closed(usize),
}

struct Scan {
    separator: u8,
    state: State,
    /// What was looked at.
    at: usize,
    /// The last place to cut.
    end: Option<usize>,
}

impl Scan {
    /// Goes on to the end of the text.
    fn run(&mut self, text: &[u8]) {
        while let Some(&next) = text.get(self.at) {
            let rest = text.get(self.at..).unwrap_or_default();
            match self.state {
                State::Quoted(open) => match memchr(b'"', rest) {
                    Some(quote) => {
                        self.at += quote + 1;
                        self.state = State::Closed(open);
                    }
                    None => self.at = text.len(),
                },
                State::Closed(open) if next == b'"' => {
                    self.at += 1;
                    self.state = State::Quoted(open);
                }
                State::Closed(_) => self.state = State::Inside,
                State::Start | State::Inside => {
                    let quote = memchr(b'"', rest).map(|found| self.at + found);
                    let gap = self.at..quote.unwrap_or(text.len());
                    let fresh = match gap.end.checked_sub(1).filter(|last| gap.contains(last)) {
                        Some(last) => text.get(last).is_some_and(|b| [self.separator, b'\n', b'\r'].contains(b)),
                        None => matches!(self.state, State::Start),
                    };
                    self.look_for_end(text, gap);
                    self.state = match quote {
                        Some(quote) if fresh => State::Quoted(quote),
                        _ if fresh => State::Start,
                        _ => State::Inside,
                    };
                    self.at = quote.map_or(text.len(), |quote| quote + 1);
                }
            }
        }
    }

    /// Notes the last place in the gap between two quotes where a record ends.
    fn look_for_end(&mut self, text: &[u8], mut gap: Range<usize>) {
        while let Some(found) = text.get(gap.clone()).and_then(|gap| memrchr2(b'\n', b'\r', gap)) {
            gap.end = gap.start + found;
            let end = gap.end + 1;
            // Not where more must be seen, between `\r` and `\n`, or before what passes for the start of a file.
            if let Some(after) = text.get(end..end + BYTE_ORDER_MARK.len())
                && !(text.get(gap.end) == Some(&b'\r') && after.first() == Some(&b'\n'))
                && after != BYTE_ORDER_MARK
            {
                self.end = Some(end);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
        // A blank line in front: only a whole file may begin with a byte order mark.
        let text = [b"\n", text].concat();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_slice());
        let fields = |record: csv::ByteRecord| record.iter().map(<[u8]>::to_vec).collect();
        reader.byte_records().map(|record| fields(record.unwrap())).collect()
    }

    proptest! {
        #[test]
        fn cutting_anywhere_it_may_be_cut_changes_no_record(
            text in "([ab,\"\n\r]|\u{feff}){0,60}",
            seen in any::<prop::sample::Index>(),
        ) {
            let text = text.as_bytes();
            let mut scan = Scan { separator: b',', state: State::Start, at: 0, end: None };
            // In two steps, as a file is read.
            scan.run(&text[..seen.index(text.len() + 1)]);
            scan.run(text);
            if let Some(end) = scan.end {
                let (first, second) = text.split_at(end);
                prop_assert_eq!([records(first), records(second)].concat(), records(text));
            }
        }
    }

    fn pieces(text: &str) -> std::result::Result<Vec<Piece>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let stamp = Stamp::take(&path).unwrap();
        let mut pieces = Pieces::open(&stamp, 0, 1, b',').unwrap();
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().map_err(|(_, e)| e.to_string())? {
            all.push(piece);
        }
        Ok(all)
    }

    #[test]
    fn pieces_are_the_file_and_know_their_place() {
        let text: String = (0..200_000).map(|i| format!("{i},\"a\nb \"\"c\"\"\"\r\n")).collect();
        let pieces = pieces(&text).unwrap();
        assert!(pieces.len() > 3, "{}", pieces.len());
        let (mut byte, mut line) = (0, 1);
        for (number, piece) in pieces.iter().enumerate() {
            assert_eq!((piece.number, piece.byte, piece.line), (number, byte, line));
            assert!(piece.text.ends_with(b"\"\"\"\r\n"));
            byte += piece.text.len() as u64;
            line += line_breaks(&piece.text);
        }
        let whole: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.text).collect();
        assert!(whole == text.as_bytes());
    }

    #[test]
    fn what_does_not_end_is_named_by_the_line_it_starts_in() {
        let rows = "1,2\n".repeat(500_000);
        let cases = [
            (format!("1,2\n3,\"4\n{rows}"), "line 2: a quoted field starts here and is never closed"),
            (format!("{rows}3,\"4\n5,6\n"), "line 500001: a quoted field starts here and is never closed"),
            (
                format!("1,2\n3,\"4\n{}", rows.repeat(9)),
                "line 2: a quoted field starts here and is not closed within 16 MiB",
            ),
            (format!("1,2\n{}", "3,".repeat(9 << 20)), "line 2: a record starts here that does not end within 16 MiB"),
        ];
        for (text, expected) in cases {
            let message = pieces(&text).err().unwrap();
            assert!(message.contains(expected), "{message}");
        }
    }
}
