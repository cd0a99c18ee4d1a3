//! JSON lines: one object a line, UTF-8.
//!
//! The columns are the keys of all objects, in the order in which they first come; a key that is missing is null. Types
//! come from the whole file: whole numbers are exact up to 64 bits; longer numbers, and decimals that a float would
//! change, are kept digit by digit as decimal text; strings that are all dates or all timestamps are those; objects and
//! lists are structs and lists. A column whose values are of different kinds is JSON text (field metadata
//! `syncline.type: json`), and so is one whose lists or objects hold such values, so that each is still what it was. Blank lines are skipped. A table without a row has no
//! known columns: whatever is asked of it, it is empty.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use indexmap::IndexMap;

use super::part::{Batches, Part};
use super::shape::{Pairs, Shape, push};
use super::stamp::Stamp;
use super::table::{Mark, check_names, runs};
use crate::diagnostic::Result;
use crate::sources::columns::Rows;
use crate::sources::{BATCH_ROWS, Batch, BatchStream, unknown_schema};

/// A JSON lines file that was read through once.
pub(super) struct JsonFile {
    stamp: Stamp,
    marks: Vec<Mark>,
}

/// Most columns of a table.
const COLUMNS: usize = 2000;

/// Longest line in bytes: a file without line breaks must not fill the memory.
const LONGEST: u64 = 256 << 20;

const BROKEN: &str = "each line is one JSON object; a file that is still being written ends in half a line";

/// Reads the files once: their columns, and places to start from.
pub(super) fn survey(stamps: &[Stamp]) -> Result<(SchemaRef, Vec<JsonFile>)> {
    let mut shapes: IndexMap<String, Shape> = IndexMap::new();
    let mut files = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let mut lines = Lines::open(stamp.clone(), &Mark { byte: 0, line: 1, rows: 0 })?;
        let mut marks: Vec<Mark> = Vec::new();
        while let Some((byte, line)) = lines.advance()? {
            match marks.last_mut() {
                Some(mark) if mark.rows < BATCH_ROWS as u64 => mark.rows += 1,
                _ => marks.push(Mark { byte, line, rows: 1 }),
            }
            let Pairs(pairs) = lines.object(line)?;
            for (key, value) in pairs {
                let seen = match shapes.get_mut(key.as_ref()) {
                    Some(shape) => shape.see(value, 0),
                    None => shapes.entry(key.into_owned()).or_default().see(value, 0),
                };
                seen.map_err(|e| lines.fault(line, &e))?;
            }
            if shapes.len() > COLUMNS {
                let what = format!("the objects so far have more than {COLUMNS} different keys");
                return Err(stamp.at(line, what, "put what varies from line to line into an object of its own"));
            }
        }
        stamp.check()?;
        files.push(JsonFile { stamp: stamp.clone(), marks });
    }
    let rows = files.iter().flat_map(|file: &JsonFile| &file.marks).any(|mark| mark.rows > 0);
    match stamps.first() {
        Some(stamp) if shapes.is_empty() && rows => {
            return Err(stamp.fault("no object has a key, so there are no columns", "write objects with keys"));
        }
        _ if shapes.is_empty() => return Ok((unknown_schema(), files)),
        _ => {}
    }
    if let Some(stamp) = stamps.first() {
        check_names(shapes.keys().map(String::as_str), &stamp.path)?;
    }
    let fields: Vec<_> = shapes.iter().map(|(name, shape)| shape.field(name)).collect();
    Ok((Arc::new(Schema::new(fields)), files))
}

/// The rows of the files.
pub(super) fn streams(
    files: &[JsonFile],
    schema: &SchemaRef,
    columns: &[usize],
    parts: usize,
) -> Result<Vec<BatchStream>> {
    let schema: SchemaRef = Arc::new(super::project(schema, columns)?);
    let mut streams: Vec<BatchStream> = Vec::new();
    for file in files {
        for run in runs(&file.marks, parts) {
            let stamp = file.stamp.clone();
            streams.push(Part::stream(schema.clone(), move |chosen| Run::open(stamp, &run, &chosen)));
        }
    }
    Ok(streams)
}

/// The lines of a file that are not blank.
struct Lines {
    stamp: Stamp,
    input: BufReader<File>,
    buffer: Vec<u8>,
    byte: u64,
    line: u64,
}

impl Lines {
    fn open(stamp: Stamp, start: &Mark) -> Result<Self> {
        let mut input = BufReader::with_capacity(1 << 18, stamp.open()?);
        input.seek(SeekFrom::Start(start.byte)).map_err(|e| stamp.unreadable(&e))?;
        Ok(Self { stamp, input, buffer: Vec::new(), byte: start.byte, line: start.line })
    }

    /// Goes to the next line that is not blank: its first byte and its number.
    fn advance(&mut self) -> Result<Option<(u64, u64)>> {
        loop {
            self.buffer.clear();
            let mut input = (&mut self.input).take(LONGEST);
            let length = input.read_until(b'\n', &mut self.buffer).map_err(|e| self.stamp.unreadable(&e))?;
            if length as u64 == LONGEST {
                let what = format!("it is longer than {} MiB", LONGEST >> 20);
                return Err(self.stamp.at(self.line, what, BROKEN));
            }
            if length == 0 {
                return Ok(None);
            }
            let place = (self.byte, self.line);
            self.byte += length as u64;
            self.line += 1;
            if place.0 == 0 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.buffer.drain(..3);
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some(place));
            }
        }
    }

    fn object(&self, line: u64) -> Result<Pairs<'_>> {
        serde_json::from_slice(&self.buffer).map_err(|e| self.fault(line, &e))
    }

    fn fault(&self, line: u64, error: &serde_json::Error) -> crate::diagnostic::Error {
        // A file that was replaced or cut meanwhile gives all sorts of errors: say what it is.
        if let Err(changed) = self.stamp.check() {
            return changed;
        }
        if str::from_utf8(&self.buffer).is_err() {
            return self.stamp.at(line, "it is not UTF-8", self.stamp.encoding().unwrap_or("write it as UTF-8"));
        }
        // The message counts lines within the text it was given, which is always the first.
        let message = error.to_string();
        let what = match message.split_once(" at line ") {
            Some((what, _)) if error.column() > 0 => format!("column {}: {what}", error.column()),
            Some((what, _)) => what.to_owned(),
            None => message,
        };
        self.stamp.at(line, what, BROKEN)
    }
}

/// A run of rows of one file.
struct Run {
    lines: Lines,
    left: u64,
    names: Vec<String>,
    rows: Rows,
}

impl Run {
    fn open(stamp: Stamp, run: &Mark, schema: &SchemaRef) -> Result<Self> {
        let lines = Lines::open(stamp, run)?;
        let rows = Rows::new(schema.clone()).map_err(crate::sources::failure)?;
        let names = schema.fields().iter().map(|f| f.name().clone()).collect();
        Ok(Self { lines, left: run.rows, names, rows })
    }
}

impl Batches for Run {
    fn batch(&mut self) -> Result<Option<Batch>> {
        while self.left > 0 {
            let Some((_, line)) = self.lines.advance()? else { return Err(self.lines.stamp.changed()) };
            self.left -= 1;
            let Pairs(pairs) = self.lines.object(line)?;
            for (at, (name, column)) in self.names.iter().zip(&mut self.rows.columns).enumerate() {
                // Lines mostly have their keys in the same order: look there first.
                let found = pairs.get(at).filter(|(key, _)| key == name);
                match found.or_else(|| pairs.iter().find(|(key, _)| key == name)) {
                    None => column.push_null(),
                    Some((_, value)) => match push(column, value) {
                        Ok(true) => {}
                        Ok(false) => return Err(self.lines.stamp.changed()),
                        Err(error) => return Err(self.lines.fault(line, &error)),
                    },
                }
            }
            if self.rows.end_row(self.lines.buffer.len()) {
                return self.rows.take().map_err(crate::sources::failure);
            }
        }
        self.lines.stamp.check()?;
        self.rows.take().map_err(crate::sources::failure)
    }
}
