//! Rows as `copy (…) to stdout (format binary)` sends them
//! (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").
//!
//! A statement's rows cost least this way: no message for a row has to be taken apart before its values are known.

use super::block::{Block, ENOUGH, Place};

/// What a binary copy begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// What was sent is no binary copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Finds the rows of a copy, wherever the messages it comes in end.
pub(super) struct Copied {
    /// What has come and was not given yet, after what was given last.
    bytes: Vec<u8>,
    given: usize,
    fields: Vec<Place>,
    /// Fields of a row.
    width: usize,
    part: Part,
}

#[derive(PartialEq)]
enum Part {
    Head,
    Rows,
    End,
}

impl Copied {
    /// Of rows with so many fields.
    pub(super) fn new(width: usize) -> Self {
        Self { bytes: Vec::new(), given: 0, fields: Vec::new(), width, part: Part::Head }
    }

    /// Takes the next message; true when it is time for [`Copied::rows`].
    pub(super) fn take(&mut self, message: &[u8]) -> bool {
        self.bytes.extend_from_slice(message);
        self.bytes.len() - self.given >= ENOUGH
    }

    /// The rows that have come to their end since they were last asked for.
    pub(super) fn rows(&mut self) -> Result<Block<'_>, Malformed> {
        self.bytes.drain(..self.given);
        self.fields.clear();
        self.given = 0;
        if self.part == Part::Head
            && let Some(head) = head(&self.bytes)?
        {
            (self.given, self.part) = (head, Part::Rows);
        }
        while self.part == Part::Rows {
            match self.row()? {
                Some(Row::To(end)) => self.given = end,
                Some(Row::None(end)) => (self.given, self.part) = (end, Part::End),
                None => break,
            }
        }
        // Nothing comes after the end.
        if self.part == Part::End && self.given < self.bytes.len() {
            return Err(Malformed);
        }
        Ok(Block { bytes: &self.bytes, fields: &self.fields, width: self.width })
    }

    /// True when the copy came to its own end, and all was given.
    pub(super) fn is_whole(&self) -> bool {
        self.part == Part::End && self.given == self.bytes.len()
    }

    /// Finds the fields of the next row; `None` when it is not whole.
    fn row(&mut self) -> Result<Option<Row>, Malformed> {
        let known = self.fields.len();
        let Some((count, mut rest)) = self.bytes[self.given..].split_first_chunk() else { return Ok(None) };
        match i16::from_be_bytes(*count) {
            -1 => return Ok(Some(Row::None(self.given + 2))),
            count if usize::try_from(count) != Ok(self.width) => return Err(Malformed),
            _ => {}
        }
        for _ in 0..self.width {
            let Some((size, after)) = rest.split_first_chunk() else { break };
            let at = self.bytes.len() - after.len();
            let place = match i32::from_be_bytes(*size) {
                -1 => Place::NULL,
                size => Place::new(at, size)?,
            };
            let Some((_, after)) = after.split_at_checked(place.size as usize) else { break };
            rest = after;
            self.fields.push(place);
        }
        if self.fields.len() < known + self.width {
            self.fields.truncate(known);
            return Ok(None);
        }
        Ok(Some(Row::To(self.bytes.len() - rest.len())))
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
    use super::{Copied, Malformed, SIGNATURE};

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

    /// All values of all rows of so many fields, read in messages of `size` bytes, and whether the copy was whole.
    fn read(bytes: &[u8], width: usize, size: usize) -> Result<(Vec<Row>, bool), Malformed> {
        let (mut copied, mut rows) = (Copied::new(width), Vec::new());
        for message in bytes.chunks(size) {
            copied.take(message);
            let block = copied.rows()?;
            let start = rows.len();
            rows.resize(start + block.rows(), Vec::new());
            for at in 0..width {
                for (row, value) in rows[start..].iter_mut().zip(block.column(at, 0..block.rows())) {
                    row.push(value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
                }
            }
        }
        Ok((rows, copied.is_whole()))
    }

    #[test]
    fn rows_are_found_wherever_the_messages_end() {
        let rows: [&[Option<&str>]; 3] =
            [&[Some("a"), None, Some("")], &[None, None, None], &[Some("Ω \0 long"), Some("b"), Some("c")]];
        let bytes = copy(&rows);
        let expected: Vec<Row> =
            rows.iter().map(|row| row.iter().map(|field| field.map(str::to_owned)).collect()).collect();
        for size in 1..=bytes.len() {
            assert_eq!(read(&bytes, 3, size), Ok((expected.clone(), true)), "messages of {size} bytes");
        }
    }

    #[test]
    fn a_copy_that_is_cut_anywhere_is_not_whole() {
        let bytes = copy(&[&[Some("a"), None], &[Some("b"), Some("c")]]);
        for length in 0..bytes.len() {
            let (rows, whole) = read(&bytes[..length], 2, 7).unwrap();
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
        shorter_than_null.splice(22.., [0, 3, 0xff, 0xff, 0xff, 0xf0]);
        for bytes in [
            b"email,name\na,b\nc,d\ne,f\n".to_vec(),
            after_its_end,
            of_another_form,
            fewer_than_no_fields,
            copy(&[&[Some("a"), Some("b")]]),
            shorter_than_null,
        ] {
            assert_eq!(read(&bytes, 3, bytes.len()), Err(Malformed), "{bytes:?}");
        }
    }
}
