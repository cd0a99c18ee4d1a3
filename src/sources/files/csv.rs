//! CSV: comma, double quotes, a header line, UTF-8. A header separated by semicolons or tabs is refused.
//!
//! A column is of the narrowest of these kinds that holds every value of the file without losing a character of it:
//! whole number, floating point number, boolean, date, timestamp (with or without zone, never mixed), else text; which
//! text is which is in [`crate::sources::text`]. Numbers with a point are floating point only when each can be written
//! back as it was: no zeros at the end (`1.5`, `2`), or the same number of decimals throughout (`1.50`, `2.00`); a column
//! with `1.9` and `1.10` is text, as versions are. An empty field is null, quoted or not; a column of nothing but nulls
//! is text. Blank lines are skipped.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use csv::{ByteRecord, Position, Reader, ReaderBuilder};

use super::part::{Batches, Part};
use super::shape::push_words;
use super::stamp::Stamp;
use super::table::{Lazy, Mark, check_names, runs};
use crate::diagnostic::Result;
use crate::sources::columns::{Column, Rows};
use crate::sources::text::{self, Reading};
use crate::sources::{BATCH_ROWS, BatchStream};

/// A CSV file that was read through once.
pub(super) struct CsvFile {
    stamp: Stamp,
    marks: Vec<Mark>,
}

/// Reads the files once: their columns, and places to start from.
pub(super) fn survey(stamps: &[Stamp]) -> Result<(SchemaRef, Vec<CsvFile>)> {
    let mut header: Vec<String> = Vec::new();
    let mut kinds: Vec<Kinds> = Vec::new();
    let mut files = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let mut reader = reader(stamp.open()?);
        let mut record = ByteRecord::new();
        if !read(&mut reader, &mut record, stamp)? {
            return Err(stamp.fault("it is empty", "a CSV file starts with a line of column names"));
        }
        let names = record
            .iter()
            .map(|name| str::from_utf8(name).map(str::to_owned))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| stamp.at(1, "a column name is not UTF-8", NOT_UTF8))?;
        check_separator(&names, stamp)?;
        check_names(names.iter().map(String::as_str), &stamp.path)?;
        if header.is_empty() {
            kinds = vec![Kinds::default(); names.len()];
            header = names;
        } else if header != names {
            let first = stamps.first().map(|s| s.path.display().to_string()).unwrap_or_default();
            return Err(stamp.at(1, format!("the columns differ from those of `{first}`"), ONE_TABLE));
        }
        let mut marks: Vec<Mark> = Vec::new();
        let mut last = None;
        while read(&mut reader, &mut record, stamp)? {
            let (byte, line) = place(&record);
            match marks.last_mut() {
                Some(mark) if mark.rows < BATCH_ROWS as u64 => mark.rows += 1,
                _ => marks.push(Mark { byte, line, rows: 1 }),
            }
            last = Some((byte, line));
            check_length(&record, header.len(), stamp)?;
            for (at, (field, kind)) in record.iter().zip(&mut kinds).enumerate() {
                kind.see(utf8(field, at, &header, line, stamp)?);
            }
        }
        if let Some((byte, line)) = last {
            check_quotes(stamp, byte, line)?;
        }
        stamp.check()?;
        files.push(CsvFile { stamp: stamp.clone(), marks });
    }
    let fields = header.iter().zip(&kinds).map(|(name, kind)| Field::new(name, kind.data_type(), true));
    Ok((Arc::new(Schema::new(fields.collect::<Vec<_>>())), files))
}

const NOT_UTF8: &str = "save the file as UTF-8";
const ONE_TABLE: &str = "the files of a folder are one table: give all of them the same header";
const CUT: &str = "correct the line; a field that holds commas, quotes or line breaks stands in double quotes";

fn reader<R: Read>(input: R) -> Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 18).from_reader(input)
}

fn read<R: Read>(reader: &mut Reader<R>, record: &mut ByteRecord, stamp: &Stamp) -> Result<bool> {
    reader.read_byte_record(record).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => stamp.unreadable(&error),
        other => stamp.fault(format!("{other:?}"), CUT),
    })
}

/// A header without a comma but with semicolons or tabs is of a file that another program wrote with those.
fn check_separator(header: &[String], stamp: &Stamp) -> Result<()> {
    let [only] = header else { return Ok(()) };
    let found = [(';', "semicolons"), ('\t', "tabs")].into_iter().find(|(sign, _)| only.contains(*sign));
    match found {
        Some((_, signs)) => {
            let what = format!("the columns are separated by {signs}, not by commas");
            Err(stamp.at(1, what, "save the file with commas between the fields"))
        }
        None => Ok(()),
    }
}

/// Byte and line a record starts at.
fn place(record: &ByteRecord) -> (u64, u64) {
    record.position().map_or((0, 0), |p| (p.byte(), p.line()))
}

fn check_length(record: &ByteRecord, expected: usize, stamp: &Stamp) -> Result<()> {
    if record.len() == expected {
        return Ok(());
    }
    let what = format!("{} fields, but the header has {expected}", record.len());
    Err(stamp.at(place(record).1, what, CUT))
}

fn utf8<'a>(field: &'a [u8], at: usize, header: &[String], line: u64, stamp: &Stamp) -> Result<&'a str> {
    str::from_utf8(field).map_err(|_| {
        let name = header.get(at).map_or("", String::as_str);
        stamp.at(line, format!("column `{name}` is not UTF-8"), NOT_UTF8)
    })
}

/// A file cut inside a quoted field would pass for one whose last field is longer: look at the last record again.
fn check_quotes(stamp: &Stamp, byte: u64, line: u64) -> Result<()> {
    let failed = |e: std::io::Error| stamp.unreadable(&e);
    let mut file = BufReader::new(stamp.open()?);
    file.seek(SeekFrom::Start(byte)).map_err(failed)?;
    let (mut quoted, mut start) = (false, true);
    for byte in file.bytes() {
        match (byte.map_err(failed)?, quoted) {
            (b'"', true) => quoted = false,
            // A quote right after a closing one reopens the field: that is how a quote is written inside quotes.
            (b'"', false) if start => quoted = true,
            (b',' | b'\n' | b'\r', false) => {
                start = true;
                continue;
            }
            (_, true) => {}
            (_, false) => start = false,
        }
    }
    if quoted {
        return Err(stamp.at(line, "a quoted field is never closed: the file is cut", CUT));
    }
    Ok(())
}

/// What the values of a column can all be read as.
#[derive(Debug, Clone, Default)]
struct Kinds {
    int: bool,
    long_int: bool,
    float: bool,
    trailing_zero: bool,
    decimals: Option<(u32, u32)>,
    boolean: bool,
    date: bool,
    timestamp: bool,
    instant: bool,
    text: bool,
}

impl Kinds {
    fn see(&mut self, value: &str) {
        if self.text || value.is_empty() {
            return;
        }
        match text::reading(value) {
            Reading::Int { digits } => {
                self.int = true;
                self.long_int |= digits > 15;
                self.see_decimals(0);
            }
            Reading::Float { decimals, trailing_zero } => {
                self.float = true;
                self.trailing_zero |= trailing_zero;
                self.see_decimals(decimals);
            }
            Reading::Boolean => self.boolean = true,
            Reading::Date => self.date = true,
            Reading::Timestamp => self.timestamp = true,
            Reading::Instant => self.instant = true,
            Reading::Text => self.text = true,
        }
    }

    fn see_decimals(&mut self, decimals: u32) {
        let (least, most) = self.decimals.unwrap_or((decimals, decimals));
        self.decimals = Some((least.min(decimals), most.max(decimals)));
    }

    fn data_type(&self) -> DataType {
        let number = self.int || self.float;
        let kinds = [number, self.boolean, self.date, self.timestamp, self.instant];
        if self.text || kinds.iter().filter(|kind| **kind).count() != 1 {
            return DataType::Utf8;
        }
        let fixed = self.decimals.is_none_or(|(least, most)| least == most);
        match self {
            Self { float: true, .. } if self.long_int || (self.trailing_zero && !fixed) => DataType::Utf8,
            Self { float: true, .. } => DataType::Float64,
            Self { int: true, .. } => DataType::Int64,
            Self { boolean: true, .. } => DataType::Boolean,
            Self { date: true, .. } => DataType::Date32,
            Self { timestamp: true, .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// Appends a field; false when it is not of the column's kind.
fn push(column: &mut Column, value: &str) -> bool {
    if value.is_empty() {
        column.push_null();
        return true;
    }
    match column {
        Column::Int64(b) => match text::integer(value) {
            Some(v) => b.append_value(v),
            None => return false,
        },
        Column::Float64(b) => match value.parse::<f64>() {
            Ok(v) => b.append_value(v),
            Err(_) => return false,
        },
        Column::Boolean(b) => match text::boolean(value) {
            Some(v) => b.append_value(v),
            None => return false,
        },
        _ => return push_words(column, value),
    }
    true
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
        for run in runs(&file.marks, parts) {
            let (stamp, full, chosen, columns) =
                (file.stamp.clone(), schema.clone(), projected.clone(), columns.to_vec());
            let open = move || {
                let run = Run::open(stamp, run, full, chosen.clone(), columns)?;
                Ok(Box::new(Part::new(run, chosen)) as BatchStream)
            };
            streams.push(Lazy::stream(projected.clone(), open));
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
    full: SchemaRef,
    columns: Vec<usize>,
    rows: Rows,
}

impl Run {
    fn open(stamp: Stamp, run: Mark, full: SchemaRef, schema: SchemaRef, columns: Vec<usize>) -> Result<Self> {
        let mut reader = reader(stamp.open()?);
        let mut start = Position::new();
        start.set_byte(run.byte).set_line(run.line);
        reader.seek(start).map_err(|e| stamp.fault(e, "check the disk"))?;
        let rows = Rows::new(schema).map_err(crate::sources::failure)?;
        Ok(Self { reader, record: ByteRecord::new(), stamp, left: run.rows, full, columns, rows })
    }
}

impl Batches for Run {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            if !read(&mut self.reader, &mut self.record, &self.stamp)? {
                return Err(self.stamp.changed());
            }
            self.left -= 1;
            check_length(&self.record, self.full.fields().len(), &self.stamp)?;
            let line = place(&self.record).1;
            for (at, column) in self.columns.iter().zip(&mut self.rows.columns) {
                let value = str::from_utf8(self.record.get(*at).unwrap_or_default())
                    .map_err(|_| self.stamp.at(line, "not UTF-8", NOT_UTF8))?;
                if !push(column, value) {
                    return Err(self.stamp.changed());
                }
            }
            if self.rows.end_row(self.record.as_slice().len()) {
                return self.rows.take().map_err(crate::sources::failure);
            }
        }
        self.stamp.check()?;
        self.rows.take().map_err(crate::sources::failure)
    }
}
