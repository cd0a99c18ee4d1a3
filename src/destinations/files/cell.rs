//! Cells, and operations as they are staged on disk.

use crate::destinations::{Action, Outcome};

/// One value on its way into a file, in the text of the file's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// The record does not hold the field: what is in the file stays.
    Absent,
    /// Null.
    Null,
    /// A value.
    Text(Box<str>),
}

impl Cell {
    /// A cell of a text or null.
    pub fn new(text: Option<impl Into<Box<str>>>) -> Self {
        text.map_or(Cell::Null, |text| Cell::Text(text.into()))
    }

    /// The text, where there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            Cell::Absent | Cell::Null => None,
        }
    }
}

/// An operation as it is staged.
#[derive(Debug, PartialEq)]
pub(super) struct Staged {
    /// What to do.
    pub action: Action,
    /// True when the row is new to the sync.
    pub added: bool,
    /// True when an earlier attempt may have arrived.
    pub in_doubt: bool,
    /// One cell per column, identifiers first; or why the format cannot take the record.
    pub cells: Result<Vec<Cell>, Outcome>,
}

const ABSENT: u8 = 0;
const NULL: u8 = 1;
const TEXT: u8 = 2;
const REJECTED: u8 = 3;

impl Staged {
    /// Appends the operation to a buffer, its length first.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; 4]);
        out.push(match self.action {
            Action::Send => 0,
            Action::Clear => 1,
            Action::Delete => 2,
        });
        out.push(u8::from(self.added));
        out.push(u8::from(self.in_doubt));
        match &self.cells {
            Ok(cells) => {
                for cell in cells {
                    match cell {
                        Cell::Absent => out.push(ABSENT),
                        Cell::Null => out.push(NULL),
                        Cell::Text(text) => write_text(TEXT, text, out),
                    }
                }
            }
            Err(Outcome::Rejected { code, message }) => {
                write_text(REJECTED, code, out);
                write_text(REJECTED, message, out);
            }
            Err(_) => {
                write_text(REJECTED, "rejected", out);
                write_text(REJECTED, "", out);
            }
        }
        let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Reads an operation without its length; `None` when it is not whole.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk::<3>()?;
        let action = match head[0] {
            0 => Action::Send,
            1 => Action::Clear,
            2 => Action::Delete,
            _ => return None,
        };
        let mut cells = Vec::new();
        let mut rejected = Vec::new();
        while let Some((tag, after)) = rest.split_first() {
            rest = after;
            match *tag {
                ABSENT => cells.push(Cell::Absent),
                NULL => cells.push(Cell::Null),
                TEXT => cells.push(Cell::Text(read_text(&mut rest)?.into())),
                REJECTED => rejected.push(read_text(&mut rest)?.to_owned()),
                _ => return None,
            }
        }
        let cells = match <[String; 2]>::try_from(rejected) {
            Ok([code, message]) => Err(Outcome::Rejected { code, message }),
            Err(_) => Ok(cells),
        };
        Some(Self { action, added: head[1] == 1, in_doubt: head[2] == 1, cells })
    }
}

fn write_text(tag: u8, text: &str, out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text.as_bytes());
}

fn read_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell() -> impl Strategy<Value = Cell> {
        prop_oneof![Just(Cell::Absent), Just(Cell::Null), ".*".prop_map(|t: String| Cell::Text(t.into()))]
    }

    proptest! {
        #[test]
        fn what_is_staged_is_read_back(cells in prop::collection::vec(cell(), 0..6), added: bool, in_doubt: bool) {
            let staged = Staged { action: Action::Clear, added, in_doubt, cells: Ok(cells) };
            let mut bytes = Vec::new();
            staged.write(&mut bytes);
            prop_assert_eq!(Staged::read(&bytes[4..]), Some(staged));
        }
    }

    #[test]
    fn a_rejection_is_read_back() {
        let rejected = Outcome::Rejected { code: "c".into(), message: "m".into() };
        let staged = Staged { action: Action::Send, added: true, in_doubt: false, cells: Err(rejected) };
        let mut bytes = Vec::new();
        staged.write(&mut bytes);
        assert_eq!(Staged::read(&bytes[4..]), Some(staged));
    }
}
