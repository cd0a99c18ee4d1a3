//! CSV: a header line, fields separated by `,`, `;`, tab or `|`, double quotes, UTF-8.
//!
//! The separator is the one of the four that stands most often in the header line outside of quotes; of equals the first
//! in this order. A file with none of them has one column.
//!
//! A column is of the narrowest of these kinds that holds every value of the file without losing a character of it:
//! whole number, floating point number, boolean, date, timestamp (with or without zone, never mixed), else text; which
//! text is which is in [`crate::sources::text`]. Numbers with a point are floating point only when each can be written
//! back as it was: no zeros at the end (`1.5`, `2`), or the same number of decimals throughout (`1.50`, `2.00`); a column
//! with `1.9` and `1.10` is text, as versions are. An empty field is null, quoted or not; a column of nothing but nulls
//! is text. Blank lines are skipped. Of a table without a row only the names of the columns are known, and no type.
//!
//! The pass that finds the types runs on all processors: a file is cut into [`pieces`] of whole records, and what was
//! seen of them is put together. Which thread saw which piece makes no difference, also not to the fault that is
//! reported: it is always the first of the file.

mod head;
mod kinds;
mod pieces;

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use csv::{ByteRecord, Position, Reader};

use self::head::{Head, read, reader};
use self::kinds::{Kinds, push};
use self::pieces::{Piece, Pieces, line_breaks};
use super::part::{Batches, Part};
use super::stamp::Stamp;
use super::table::{Mark, runs};
use crate::diagnostic::{Error, Result};
use crate::sources::columns::Rows;
use crate::sources::{Batch, BatchStream};

/// A CSV file that was read through once.
pub(super) struct CsvFile {
    stamp: Stamp,
    separator: u8,
    marks: Vec<Mark>,
}

const NOT_UTF8: &str = "save the file as UTF-8";
const ONE_TABLE: &str = "the files of a folder are one table: give all of them the same header";
const CUT: &str = "correct the line; a field that holds separators, quotes or line breaks stands in double quotes";

/// Reads the files once: their columns, and places to start from.
pub(super) fn survey(stamps: &[Stamp], threads: usize) -> Result<(SchemaRef, Vec<CsvFile>)> {
    let mut header: Vec<String> = Vec::new();
    let mut kinds: Vec<Kinds> = Vec::new();
    let mut files = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let head = Head::read(stamp)?;
        if header.is_empty() {
            kinds = vec![Kinds::default(); head.names.len()];
            header.clone_from(&head.names);
        } else if header != head.names {
            let first = stamps.first().map(|s| s.path.display().to_string()).unwrap_or_default();
            return Err(stamp.at(1, format!("the columns differ from those of `{first}`"), ONE_TABLE));
        }
        let seen = look(stamp, &head, threads)?;
        kinds.iter_mut().zip(&seen.kinds).for_each(|(all, own)| all.merge(own));
        stamp.check()?;
        let marks = seen.marks.into_iter().map(|(_, mark)| mark).collect();
        files.push(CsvFile { stamp: stamp.clone(), separator: head.separator, marks });
    }
    let empty = files.iter().flat_map(|file| &file.marks).all(|mark| mark.rows == 0);
    let kind = |kind: &Kinds| if empty { DataType::Null } else { kind.data_type() };
    let fields = header.iter().zip(&kinds).map(|(name, seen)| Field::new(name, kind(seen), true));
    Ok((Arc::new(Schema::new(fields.collect::<Vec<_>>())), files))
}

/// What was seen of the rows of a file.
struct Seen<'a> {
    stamp: &'a Stamp,
    head: &'a Head,
    kinds: Vec<Kinds>,
    /// By number of the piece.
    marks: Vec<(usize, Mark)>,
    /// The first fault, with the number of its piece.
    fault: Option<(usize, Error)>,
}

/// Looks at all rows of a file.
fn look<'a>(stamp: &'a Stamp, head: &'a Head, threads: usize) -> Result<Seen<'a>> {
    let pieces = Mutex::new(Pieces::open(stamp, head.byte, head.line, head.separator)?);
    let work = || {
        let mut seen = Seen::new(stamp, head);
        let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
        loop {
            match next() {
                Ok(Some(piece)) => {
                    let Err(error) = seen.take(&piece) else { continue };
                    seen.fault = Some((piece.number, error));
                    // All pieces before this one are with a thread already, so the first fault will be known.
                    pieces.lock().unwrap_or_else(PoisonError::into_inner).stop();
                }
                Ok(None) => {}
                Err(fault) => seen.fault = Some(fault),
            }
            return seen;
        }
    };
    let most = usize::try_from(stamp.length() >> 20).unwrap_or(usize::MAX);
    let all: Vec<Seen<'a>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(most)).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = others.into_iter().map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        std::iter::once(own).chain(others).collect()
    });
    let mut seen = Seen::new(stamp, head);
    let mut faults = Vec::new();
    for one in all {
        seen.kinds.iter_mut().zip(&one.kinds).for_each(|(all, own)| all.merge(own));
        seen.marks.extend(one.marks);
        faults.extend(one.fault);
    }
    seen.marks.sort_unstable_by_key(|(number, _)| *number);
    match faults.into_iter().min_by_key(|(number, _)| *number) {
        // A file that was replaced or cut meanwhile gives all sorts of errors: say what it is.
        Some((_, error)) => Err(stamp.check().err().unwrap_or(error)),
        None => Ok(seen),
    }
}

impl<'a> Seen<'a> {
    fn new(stamp: &'a Stamp, head: &'a Head) -> Self {
        Self { stamp, head, kinds: vec![Kinds::default(); head.names.len()], marks: Vec::new(), fault: None }
    }

    fn take(&mut self, piece: &Piece) -> Result<()> {
        let mut reader = reader(piece.text.as_slice(), self.head.separator);
        let mut record = ByteRecord::new();
        let mut rows = 0;
        while read(&mut reader, &mut record, self.stamp)? {
            rows += 1;
            if record.len() != self.kinds.len() {
                let what = format!("{} fields, but the header has {}", record.len(), self.kinds.len());
                return Err(self.stamp.at(line(piece, &record), what, CUT));
            }
            let text = str::from_utf8(record.as_slice()).ok();
            for (at, kind) in self.kinds.iter_mut().enumerate() {
                // A sign that is spread over two fields is none.
                let Some(value) = text.and_then(|text| text.get(record.range(at)?)) else {
                    return Err(self.not_utf8(piece, &record));
                };
                kind.see(value);
            }
        }
        if rows > 0 {
            self.marks.push((piece.number, Mark { byte: piece.byte, line: piece.line, rows }));
        }
        Ok(())
    }

    fn not_utf8(&self, piece: &Piece, record: &ByteRecord) -> Error {
        let wrong = record.iter().position(|field| str::from_utf8(field).is_err());
        let name = wrong.and_then(|at| self.head.names.get(at)).map_or("", String::as_str);
        self.stamp.at(line(piece, record), format!("column `{name}` is not UTF-8"), NOT_UTF8)
    }
}

/// The line a record starts in, behind blank ones.
fn line(piece: &Piece, record: &ByteRecord) -> u64 {
    let start = record.position().and_then(|p| usize::try_from(p.byte()).ok()).unwrap_or(0);
    let blank = |byte: &&u8| matches!(byte, b'\n' | b'\r');
    let lead = piece.text.get(start..).unwrap_or_default().iter().take_while(blank).count();
    piece.line + piece.text.get(..start + lead).map_or(0, line_breaks)
}

/// The rows of the files.
pub(super) fn streams(
    files: &[CsvFile],
    schema: &SchemaRef,
    columns: &[usize],
    parts: usize,
) -> Result<Vec<BatchStream>> {
    let projected: SchemaRef = Arc::new(super::project(schema, columns)?);
    let mut streams: Vec<BatchStream> = Vec::new();
    for file in files {
        for mark in runs(&file.marks, parts) {
            let (stamp, separator, columns) = (file.stamp.clone(), file.separator, columns.to_vec());
            let fields = schema.fields().len();
            let open = move |chosen| Run::open(stamp, separator, &mark, fields, columns, chosen);
            streams.push(Part::stream(projected.clone(), open));
        }
    }
    Ok(streams)
}

/// A run of rows of one file.
struct Run {
    reader: Reader<File>,
    record: ByteRecord,
    stamp: Stamp,
    left: u64,
    /// Columns of the file.
    fields: usize,
    columns: Vec<usize>,
    rows: Rows,
}

impl Run {
    fn open(
        stamp: Stamp,
        separator: u8,
        mark: &Mark,
        fields: usize,
        columns: Vec<usize>,
        schema: SchemaRef,
    ) -> Result<Self> {
        let mut reader = reader(stamp.open()?, separator);
        let mut start = Position::new();
        start.set_byte(mark.byte).set_line(mark.line);
        reader.seek(start).map_err(|e| stamp.fault(e, "check the disk"))?;
        let rows = Rows::new(schema).map_err(crate::sources::failure)?;
        Ok(Self { reader, record: ByteRecord::new(), stamp, left: mark.rows, fields, columns, rows })
    }

    /// Takes the record; false when it is not what was seen before.
    fn push(&mut self) -> bool {
        let Ok(text) = str::from_utf8(self.record.as_slice()) else { return false };
        let value = |at: usize| text.get(self.record.range(at)?);
        self.record.len() == self.fields
            && self.columns.iter().zip(&mut self.rows.columns).all(|(at, c)| value(*at).is_some_and(|v| push(c, v)))
    }
}

impl Batches for Run {
    fn batch(&mut self) -> Result<Option<Batch>> {
        while self.left > 0 {
            if !read(&mut self.reader, &mut self.record, &self.stamp)? || !self.push() {
                return Err(self.stamp.changed());
            }
            self.left -= 1;
            if self.rows.end_row(self.record.as_slice().len()) {
                return self.rows.take().map_err(crate::sources::failure);
            }
        }
        self.stamp.check()?;
        self.rows.take().map_err(crate::sources::failure)
    }
}
