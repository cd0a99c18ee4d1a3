//! The first line of a CSV file: the separator, and the names of the columns.

use std::io::{BufRead, BufReader, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::super::stamp::Stamp;
use super::super::table::check_names;
use super::{CUT, NOT_UTF8};
use crate::diagnostic::Result;

/// What may stand between fields. The first of these counts where several stand equally often.
const SEPARATORS: [u8; 4] = *b",;\t|";

/// Longest header line in bytes.
const LONGEST: u64 = 1 << 20;

/// What the first line says, and where the rows start.
pub(super) struct Head {
    pub(super) names: Vec<String>,
    pub(super) separator: u8,
    /// The first byte behind it.
    pub(super) byte: u64,
    /// The line of this byte, from 1.
    pub(super) line: u64,
}

impl Head {
    /// Reads the first line of a file.
    pub(super) fn read(stamp: &Stamp) -> Result<Self> {
        let separator = separator(BufReader::new(stamp.open()?).take(LONGEST)).map_err(|e| stamp.unreadable(&e))?;
        let mut reader = reader(stamp.open()?.take(LONGEST), separator);
        let mut record = ByteRecord::new();
        if !read(&mut reader, &mut record, stamp)? {
            return Err(stamp.fault("it is empty", "a CSV file starts with a line of column names"));
        }
        let end = reader.position();
        if end.byte() >= LONGEST {
            return Err(stamp.at(1, format!("the header is longer than {} MiB", LONGEST >> 20), CUT));
        }
        let names = record
            .iter()
            .map(|name| str::from_utf8(name).map(str::to_owned))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| stamp.at(1, "a column name is not UTF-8", stamp.encoding().unwrap_or(NOT_UTF8)))?;
        if names.iter().any(|name| name.contains('\0')) {
            return Err(stamp.at(1, "a column name holds zero bytes", "it looks like UTF-16: save it as UTF-8"));
        }
        check_names(names.iter().map(String::as_str), &stamp.path)?;
        Ok(Self { names, separator, byte: end.byte(), line: end.line() })
    }
}

/// A reader of records of any length.
pub(super) fn reader<R: Read>(input: R, separator: u8) -> Reader<R> {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).buffer_capacity(1 << 17);
    builder.from_reader(input)
}

/// The next record; false after the last.
pub(super) fn read<R: Read>(reader: &mut Reader<R>, record: &mut ByteRecord, stamp: &Stamp) -> Result<bool> {
    reader.read_byte_record(record).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => stamp.unreadable(&error),
        other => stamp.fault(format!("{other:?}"), CUT),
    })
}

/// The separator that stands most often in the first line that is not blank, outside of quotes.
fn separator(mut input: impl BufRead) -> std::io::Result<u8> {
    let mut found = [0_u64; SEPARATORS.len()];
    let (mut quoted, mut start, mut blank) = (false, true, true);
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        for byte in bytes {
            let (ends, known) = (matches!(byte, b'\n' | b'\r'), SEPARATORS.iter().position(|s| s == byte));
            match byte {
                b'"' if quoted || start => (quoted, start) = (!quoted, true),
                _ if quoted => {}
                _ if ends && !blank => return Ok(most(found)),
                // The byte order mark stands before the first field.
                b'\xef' | b'\xbb' | b'\xbf' if blank => continue,
                _ => start = ends || known.is_some(),
            }
            blank &= ends;
            if let Some(count) = known.filter(|_| !quoted).and_then(|known| found.get_mut(known)) {
                *count += 1;
            }
        }
        let length = bytes.len();
        input.consume(length);
    }
    Ok(most(found))
}

fn most(found: [u64; SEPARATORS.len()]) -> u8 {
    // Of equals, `max_by_key` takes the last.
    let best = SEPARATORS.into_iter().zip(found).rev().max_by_key(|(_, count)| *count);
    best.map_or(b',', |(separator, _)| separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_what_stands_most_often_in_the_header() {
        let cases = [
            ("id,name\n", ','),
            ("id;name\n1,2;x\n", ';'),
            ("id\tname\tplan\r\n", '\t'),
            ("id|name", '|'),
            ("id\n1;2\n", ','),
            ("", ','),
            ("id;name, first;plan\n", ';'),
            ("a,b;c\n", ','),
            ("\"a;b;c\",d\n", ','),
            ("\u{feff}\"a,b\";\"c\"\n", ';'),
            ("\n\n\"a\n,b\"|c\n,,,,\n", '|'),
            ("\"say \"\"a,b\"\"\";c\n", ';'),
            ("5\" nail;b;\"c,d,e,f\"\n", ';'),
        ];
        for (text, expected) in cases {
            assert_eq!(char::from(separator(text.as_bytes()).unwrap()), expected, "{text:?}");
        }
    }
}
