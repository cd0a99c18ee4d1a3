//! Rows as `copy (…) to stdout (format binary)` sends them
//! (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").
//!
//! A statement's rows cost least this way: no message for a row has to be taken apart before its values are known.

use std::ops::Range;

/// What a binary copy begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// What was sent is no binary copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where the fields of a row are within its bytes; `None` for null.
pub(super) type Fields = [Option<Range<usize>>];

/// Finds the rows of a copy, wherever the messages it comes in end.
#[derive(Default)]
pub(super) struct Copied {
    /// The begin of a row whose end has not come yet.
    begun: Vec<u8>,
    fields: Vec<Option<Range<usize>>>,
    place: Place,
}

#[derive(Default, PartialEq)]
enum Place {
    #[default]
    Head,
    Rows,
    End,
}

impl Copied {
    /// Gives each row that the next message completes: its bytes, and where its fields are.
    ///
    /// # Errors
    /// [`Malformed`], and what `row` says, which ends the reading.
    pub(super) fn take<E: From<Malformed>>(
        &mut self,
        message: &[u8],
        row: impl FnMut(&[u8], &Fields) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.begun.is_empty() {
            let used = self.rows(message, row)?;
            self.begun.extend_from_slice(&message[used..]);
        } else {
            let mut bytes = std::mem::take(&mut self.begun);
            bytes.extend_from_slice(message);
            let used = self.rows(&bytes, row)?;
            bytes.drain(..used);
            self.begun = bytes;
        }
        Ok(())
    }

    /// True when the copy came to its own end.
    pub(super) fn is_whole(&self) -> bool {
        self.place == Place::End && self.begun.is_empty()
    }

    /// The rows that are whole; gives how many bytes they took.
    fn rows<E: From<Malformed>>(
        &mut self,
        bytes: &[u8],
        mut row: impl FnMut(&[u8], &Fields) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut at = 0;
        if self.place == Place::Head {
            let Some(head) = head(bytes)? else { return Ok(0) };
            (at, self.place) = (head, Place::Rows);
        }
        while self.place == Place::Rows {
            match self.row(bytes, at)? {
                Some(Row::To(end)) => {
                    row(&bytes[at..end], &self.fields)?;
                    at = end;
                }
                Some(Row::None(end)) => (at, self.place) = (end, Place::End),
                None => return Ok(at),
            }
        }
        // Nothing comes after the end.
        if at < bytes.len() { Err(Malformed.into()) } else { Ok(at) }
    }

    /// Finds the fields of the row that begins at a place; `None` when it is not whole.
    fn row(&mut self, bytes: &[u8], start: usize) -> Result<Option<Row>, Malformed> {
        let Some((count, mut rest)) = bytes[start..].split_first_chunk() else { return Ok(None) };
        let count = match i16::from_be_bytes(*count) {
            -1 => return Ok(Some(Row::None(start + 2))),
            count => usize::try_from(count).map_err(|_| Malformed)?,
        };
        self.fields.clear();
        for _ in 0..count {
            let Some((size, after)) = rest.split_first_chunk() else { return Ok(None) };
            rest = after;
            let size = match i32::from_be_bytes(*size) {
                -1 => {
                    self.fields.push(None);
                    continue;
                }
                size => usize::try_from(size).map_err(|_| Malformed)?,
            };
            let at = bytes.len() - rest.len();
            let Some((_, after)) = rest.split_at_checked(size) else { return Ok(None) };
            rest = after;
            self.fields.push(Some(at - start..at - start + size));
        }
        Ok(Some(Row::To(bytes.len() - rest.len())))
    }
}

enum Row {
    /// A whole one that ends here.
    To(usize),
    /// The mark that none comes any more, which ends here.
    None(usize),
}

/// How long the head is: the signature, flags, and an extension of any length; `None` when it is not whole.
fn head(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((signature, rest)) = bytes.split_first_chunk::<11>() else { return Ok(None) };
    let Some((sizes, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let [flags @ .., a, b, c, d] = *sizes;
    // A flag of the upper half changes the form; one says that each row begins with an object's number.
    if signature != SIGNATURE || flags[..2] != [0, 0] {
        return Err(Malformed);
    }
    let extension = usize::try_from(i32::from_be_bytes([a, b, c, d])).map_err(|_| Malformed)?;
    Ok((extension <= rest.len()).then_some(SIGNATURE.len() + 8 + extension))
}

#[cfg(test)]
mod tests {
    use super::{Copied, Malformed, Range, SIGNATURE};

    fn copy(rows: &[&[Option<&str>]]) -> Vec<u8> {
        let mut bytes = [&SIGNATURE[..], &[0; 4], &[0, 0, 0, 3], b"ext"].concat();
        for row in rows {
            bytes.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
            for field in *row {
                bytes.extend(field.map_or(-1, |text| i32::try_from(text.len()).unwrap()).to_be_bytes());
                bytes.extend(field.unwrap_or_default().as_bytes());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    type Row = Vec<Option<String>>;

    /// All values of all rows, read in messages of `size` bytes, and whether the copy was whole.
    fn read(bytes: &[u8], size: usize) -> Result<(Vec<Row>, bool), Malformed> {
        let (mut copied, mut rows) = (Copied::default(), Vec::new());
        for message in bytes.chunks(size) {
            copied.take(message, |bytes, fields| {
                let text = |at: &Range<usize>| String::from_utf8_lossy(&bytes[at.clone()]).into_owned();
                rows.push(fields.iter().map(|at| at.as_ref().map(text)).collect());
                Ok::<_, Malformed>(())
            })?;
        }
        Ok((rows, copied.is_whole()))
    }

    #[test]
    fn rows_are_found_wherever_the_messages_end() {
        let rows: [&[Option<&str>]; 4] = [&[Some("a"), None, Some("")], &[None, None, None], &[], &[Some("Ω \0 long")]];
        let bytes = copy(&rows);
        let expected: Vec<Row> =
            rows.iter().map(|row| row.iter().map(|field| field.map(str::to_owned)).collect()).collect();
        for size in 1..=bytes.len() {
            assert_eq!(read(&bytes, size), Ok((expected.clone(), true)), "messages of {size} bytes");
        }
    }

    #[test]
    fn a_copy_that_is_cut_anywhere_is_not_whole() {
        let bytes = copy(&[&[Some("a"), None], &[Some("b"), Some("c")]]);
        for length in 0..bytes.len() {
            let (rows, whole) = read(&bytes[..length], 7).unwrap();
            assert!(!whole && rows.len() <= 2, "cut after {length} bytes");
        }
    }

    #[test]
    fn what_is_no_copy_is_known() {
        let after_its_end = [copy(&[]), b"x".to_vec()].concat();
        let mut of_another_form = copy(&[]);
        of_another_form[12] = 1;
        let mut fewer_than_no_fields = copy(&[]);
        fewer_than_no_fields.splice(22.., [0xff, 0xf0]);
        let mut shorter_than_null = copy(&[]);
        shorter_than_null.splice(22.., [0, 1, 0xff, 0xff, 0xff, 0xf0]);
        for bytes in [
            b"email,name\na,b\nc,d\ne,f\n".to_vec(),
            after_its_end,
            of_another_form,
            fewer_than_no_fields,
            shorter_than_null,
        ] {
            assert_eq!(read(&bytes, bytes.len()), Err(Malformed), "{bytes:?}");
        }
    }
}
