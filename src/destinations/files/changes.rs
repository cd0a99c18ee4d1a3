//! Staged operations by the identity of their record, and what they make of a row.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::cell::{Cell, Staged};
use super::format::{Changes, Identity};
use super::stage::failed;
use super::{Open, stage::Segment};
use crate::destinations::table::{already_exists, multiple_match};
use crate::destinations::{Action, Outcome, SendError};
use crate::manifest::sync::Mode;

/// Index over the staged operations: about fifty bytes each; the records stay on disk.
pub(super) struct Index<'a> {
    open: &'a Open,
    records: HashMap<Identity, Chain>,
    operations: Vec<Place>,
    rejected: HashMap<u32, Outcome>,
    runs: Vec<(String, File)>,
    /// Position of the next operation to look at for appending.
    next: usize,
}

/// All operations on one record.
struct Chain {
    first: u32,
    last: u32,
    /// Rows of the old file with this identity; counted to two.
    rows: u8,
}

/// One staged operation.
struct Place {
    offset: u64,
    length: u32,
    run: u16,
    action: Action,
    added: bool,
    verdict: Verdict,
    /// True for the first operation on a record that the old file does not hold.
    appends: bool,
    following: Option<u32>,
}

/// What became of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Succeeded,
    AlreadyExists,
    MultipleMatch,
    /// By the format; see `rejected`.
    Rejected,
}

impl<'a> Index<'a> {
    /// An empty index.
    pub fn new(open: &'a Open) -> Self {
        let (records, rejected) = (HashMap::new(), HashMap::new());
        Self { open, records, operations: Vec::new(), rejected, runs: Vec::new(), next: 0 }
    }

    /// Adds a staged batch; gives the number of its operations, or `None` when it cannot be read whole.
    pub fn add(&mut self, segment: &Segment) -> Result<Option<usize>, SendError> {
        let Some(staged) = split(segment) else { return Ok(None) };
        let run = match self.runs.iter().position(|(run, _)| *run == segment.run) {
            Some(run) => run,
            None => {
                let path = self.open.stage.path(&segment.run);
                self.runs.push((segment.run.clone(), File::open(&path).map_err(|e| failed(&e, &path))?));
                self.runs.len() - 1
            }
        };
        let too_many = || SendError::Fatal { message: "too many records staged in one run".into(), help: None };
        let count = staged.len();
        for (offset, length, staged) in staged {
            let n = u32::try_from(self.operations.len()).map_err(|_| too_many())?;
            let run = u16::try_from(run).map_err(|_| too_many())?;
            let Staged { action, added, cells, .. } = staged;
            let (verdict, appends, following) = (Verdict::Succeeded, false, None);
            let mut place = Place { offset, length, run, action, added, verdict, appends, following };
            match cells {
                Err(rejected) => {
                    place.verdict = Verdict::Rejected;
                    self.rejected.insert(n, rejected);
                }
                Ok(cells) => self.link(self.open.format.identity(&cells), n),
            }
            self.operations.push(place);
        }
        Ok(Some(count))
    }

    fn link(&mut self, identity: Identity, n: u32) {
        let Some(chain) = self.records.get_mut(&identity) else {
            self.records.insert(identity, Chain { first: n, last: n, rows: 0 });
            return;
        };
        if let Some(last) = self.operations.get_mut(chain.last as usize) {
            last.following = Some(n);
        }
        chain.last = n;
    }

    /// Takes note of a row of the old file.
    pub fn seen(&mut self, identity: Identity) {
        if let Some(chain) = self.records.get_mut(&identity) {
            chain.rows = chain.rows.saturating_add(1).min(2);
        }
    }

    /// To be called when all rows have been seen: what matches several rows touches none of them, and what matches none
    /// is appended.
    pub fn seal(&mut self) {
        for chain in self.records.values().filter(|c| c.rows == 0) {
            if let Some(place) = self.operations.get_mut(chain.first as usize) {
                place.appends = true;
            }
        }
        let several: Vec<u32> = self.records.values().filter(|c| c.rows > 1).map(|c| c.first).collect();
        for first in several {
            let mut next = Some(first);
            while let Some(place) = next.and_then(|n| self.operations.get_mut(n as usize)) {
                place.verdict = Verdict::MultipleMatch;
                next = place.following;
            }
        }
        self.records.retain(|_, c| c.rows < 2);
    }

    /// The outcomes of a range of operations, in the order they were added.
    pub fn outcomes(&self, range: std::ops::Range<usize>) -> Vec<Outcome> {
        let outcome = |n: usize| match self.operations.get(n).map(|p| p.verdict) {
            Some(Verdict::AlreadyExists) => already_exists(),
            Some(Verdict::MultipleMatch) => multiple_match(),
            Some(Verdict::Rejected) => self.rejected.get(&(n as u32)).cloned().unwrap_or(Outcome::Unverified),
            Some(Verdict::Succeeded) | None => Outcome::Succeeded,
        };
        range.map(outcome).collect()
    }

    /// The operations whose action and newness satisfy a condition.
    pub fn select(&self, wanted: impl Fn(Action, bool) -> bool) -> Vec<usize> {
        let operations = self.operations.iter().enumerate();
        operations.filter(|(_, p)| wanted(p.action, p.added)).map(|(n, _)| n).collect()
    }

    /// Reads a staged operation.
    fn staged(&mut self, n: usize) -> Result<Option<Staged>, SendError> {
        let Some(place) = self.operations.get(n) else { return Ok(None) };
        let Some((run, file)) = self.runs.get_mut(usize::from(place.run)) else { return Ok(None) };
        let mut bytes = vec![0; place.length as usize];
        let read = file.seek(SeekFrom::Start(place.offset)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|e| failed(&e, &self.open.stage.path(run)))?;
        Ok(Staged::read(&bytes))
    }

    /// Applies all operations on a record to its row.
    fn fold(&mut self, first: usize, mut row: Option<Vec<Cell>>) -> Result<Option<Vec<Cell>>, SendError> {
        let mut next = Some(first);
        while let Some(n) = next {
            let Some(Staged { action, in_doubt, cells: Ok(cells), .. }) = self.staged(n)? else { break };
            let verdict = self.apply(action, in_doubt, cells, &mut row);
            let Some(place) = self.operations.get_mut(n) else { break };
            place.verdict = verdict;
            next = place.following.map(|n| n as usize);
        }
        Ok(row)
    }

    fn apply(&self, action: Action, in_doubt: bool, cells: Vec<Cell>, row: &mut Option<Vec<Cell>>) -> Verdict {
        let identifiers = self.open.columns.matching.len();
        match (action, row.as_mut()) {
            (Action::Delete, _) => *row = None,
            (Action::Clear, None) => {}
            (Action::Clear, Some(current)) => current.iter_mut().skip(identifiers).for_each(|c| *c = Cell::Null),
            (Action::Send, None) => *row = Some(cells),
            (Action::Send, Some(current)) if self.open.mode == Mode::Insert => {
                let equal =
                    current.iter().zip(&cells).skip(identifiers).all(|(c, new)| *new == Cell::Absent || c == new);
                if !(in_doubt && equal) {
                    return Verdict::AlreadyExists;
                }
            }
            (Action::Send, Some(current)) => {
                let fields = current.iter_mut().zip(cells).skip(identifiers).zip(&self.open.columns.fields);
                for ((cell, new), _) in fields.filter(|((_, new), column)| *new != Cell::Absent && !column.if_added) {
                    *cell = new;
                }
            }
        }
        Verdict::Succeeded
    }
}

impl Changes for Index<'_> {
    fn touches(&self, identity: Identity) -> bool {
        self.records.contains_key(&identity)
    }

    fn merge(&mut self, identity: Identity, current: Vec<Cell>) -> Result<Option<Vec<Cell>>, SendError> {
        match self.records.get(&identity).map(|chain| chain.first) {
            Some(first) => self.fold(first as usize, Some(current)),
            None => Ok(Some(current)),
        }
    }

    fn appended(&mut self) -> Result<Option<Vec<Cell>>, SendError> {
        while let Some(place) = self.operations.get(self.next) {
            let (n, appends) = (self.next, place.appends);
            self.next += 1;
            if appends && let Some(row) = self.fold(n, None)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

/// The operations of a batch, each with its place in the staging file.
fn split(segment: &Segment) -> Option<Vec<(u64, u32, Staged)>> {
    let mut rest = segment.bytes.as_slice();
    let mut offset = segment.offset;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        let (bytes, after) = after.split_at_checked(length as usize)?;
        all.push((offset + 4, length, Staged::read(bytes)?));
        offset += 4 + u64::from(length);
        rest = after;
    }
    Some(all)
}

/// Some operations' records as they were sent, one after the other: a file of a `diff`.
pub(super) struct Listed<'a, 'b> {
    /// Where they are.
    pub index: &'b mut Index<'a>,
    /// The operations.
    pub operations: std::vec::IntoIter<usize>,
}

impl Changes for Listed<'_, '_> {
    fn touches(&self, _: Identity) -> bool {
        false
    }

    fn merge(&mut self, _: Identity, current: Vec<Cell>) -> Result<Option<Vec<Cell>>, SendError> {
        Ok(Some(current))
    }

    fn appended(&mut self) -> Result<Option<Vec<Cell>>, SendError> {
        for n in self.operations.by_ref() {
            if let Some(Staged { action, cells: Ok(mut cells), .. }) = self.index.staged(n)? {
                if action == Action::Clear {
                    let identifiers = self.index.open.columns.matching.len();
                    cells.iter_mut().skip(identifiers).for_each(|c| *c = Cell::Null);
                }
                return Ok(Some(cells));
            }
        }
        Ok(None)
    }
}
