//! The frozen operations, cut into batches: one action a batch, never two of the same key or identity, and none beside
//! one in flight.
//!
//! ```text
//!  operations ──► room (bounded) ──► batch
//!                  │  a row whose key or identity is in flight, or waits before it, stays; others pass it
//! ```
//! What writes the same record keeps its order; rows that have nothing to do with each other do not wait for each other.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::vec::IntoIter;

use super::feed::{Feed, Row};
use super::quotes;
use super::token::{Taken, Token};
use crate::destinations::{Action, Operation, Origin, Outcome, Writer};
use crate::diagnostic::{Error, Result};
use crate::diff::RowState;
use crate::mapping::Payload;
use crate::plan::operations::{Head, Reader};
use crate::state::ActiveSync;

/// Rows that may wait, in batches: enough for a batch of different people where each has several events in a row.
const ROOM: usize = 4;
/// Rows that are told of at once although they are not sent.
const KNOWN: usize = 16 * 1024;

/// A batch about to be sent.
pub struct Cut {
    /// What is done.
    pub action: Action,
    /// To whom; empty where all that was read cannot be sent.
    pub operations: Vec<Operation>,
    /// Their keys and identities.
    pub tokens: Vec<Token>,
    /// For each operation: the one that must have been acknowledged before, if there is one.
    pub after: Vec<Option<u64>>,
    /// Rows that are not sent, as what becomes of them is known: what was to be done, and the outcome.
    pub known: Vec<(u64, Action, Outcome)>,
}

impl Cut {
    /// Leaves out what may not be done: the record a row had before stays while the row has no other.
    pub fn withhold(&mut self, may_go: impl Fn(Option<u64>) -> bool) {
        if self.after.iter().all(Option::is_none) {
            return;
        }
        let mut keep = std::mem::take(&mut self.after).into_iter().map(may_go);
        self.operations.retain(|_| keep.next().unwrap_or(true));
    }
}

/// What may still come to an end.
#[derive(Debug, Clone, Copy)]
pub struct Air {
    /// Batches are in flight.
    pub busy: bool,
    /// Batches were taken and can be settled before the last wave.
    pub unsettled: bool,
}

/// What comes next.
pub enum Next {
    /// A batch.
    Batch(Cut),
    /// Rows that must wait until something in flight has landed.
    Wait,
    /// The records that come next are still being made; see [`Cutter::fed`].
    Unmade,
    /// Nothing more.
    End,
}

/// How batches are cut.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Most operations of a batch, at least 1.
    pub size: usize,
    /// True when a batch holds only added or only changed rows.
    pub by_state: bool,
}

/// Cuts batches.
pub struct Cutter<'a> {
    feed: Feed,
    writer: &'a dyn Writer,
    sync: &'a ActiveSync,
    origin: Origin,
    rules: Rules,
    part: IntoIter<Row>,
    room: VecDeque<Waiting>,
    /// Keys and identities in flight.
    taken: Taken,
    /// Number of the cut.
    number: u64,
    known: Vec<(u64, Action, Outcome)>,
    /// A removed row was read: nothing to send may follow.
    removing: bool,
    /// Removed rows are being sent.
    last_wave: bool,
    /// The next part is still being made.
    unmade: bool,
    ended: bool,
}

/// Operations that may go into one batch.
type Kind = (Action, bool);

struct Waiting {
    operation: Operation,
    key: Token,
    identity: Option<Token>,
    after: Option<u64>,
}

impl Waiting {
    fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        std::iter::once(self.key).chain(self.identity)
    }
}

impl<'a> Cutter<'a> {
    /// Cuts the operations of a sync; what earlier runs of the plan settled is left out, and of what they handed over and
    /// was answered since the outcome is told.
    pub fn new(feed: Feed, writer: &'a dyn Writer, sync: &'a ActiveSync, lineage: &str, rules: Rules) -> Self {
        Self {
            feed,
            writer,
            sync,
            origin: Origin::new(lineage, &sync.identity),
            rules,
            part: Vec::new().into_iter(),
            room: VecDeque::new(),
            taken: Taken::default(),
            number: 0,
            known: Vec::new(),
            removing: false,
            last_wave: false,
            unmade: false,
            ended: false,
        }
    }

    /// Waits for the records that come next, after [`Next::Unmade`].
    pub async fn fed(&mut self) {
        self.feed.ready().await;
    }

    /// Nothing is in flight any more.
    pub fn landed_all(&mut self) {
        self.taken.clear();
    }

    /// These keys and identities are free again.
    pub fn landed(&mut self, tokens: &[Token]) {
        tokens.iter().for_each(|token| {
            self.taken.remove(token);
        });
    }

    /// The next batch, beside what is in the air. Its keys and identities are taken until they have landed.
    pub fn cut(&mut self, air: Air) -> Result<Next> {
        self.number += 1;
        let mut scan = Scan::new(self.number, self.rules.size);
        let next = self.scan(air, &mut scan);
        // What was looked at and does not go keeps nothing from the next look.
        scan.left.iter().for_each(|token| {
            self.taken.remove(token);
        });
        next
    }

    fn scan(&mut self, air: Air, scan: &mut Scan) -> Result<Next> {
        let size = self.rules.size;
        self.unmade = false;
        for (index, waiting) in self.room.iter().enumerate() {
            if scan.full() {
                break;
            }
            scan.add(index, waiting, self.kind(&waiting.operation), &mut self.taken);
        }
        while !scan.full() && self.room.len() < ROOM * size && self.known.len() < KNOWN {
            let Some(waiting) = self.next_row(air)? else { break };
            scan.add(self.room.len(), &waiting, self.kind(&waiting.operation), &mut self.taken);
            self.room.push_back(waiting);
        }
        if self.unmade && !scan.full() {
            scan.leave_all(&self.room);
            return Ok(Next::Unmade);
        }
        let best = scan.best(&self.room);
        let Some(((action, _), chosen)) = best else {
            return Ok(match self.known.first() {
                Some(&(_, action, _)) => Next::Batch(self.take(action, &[])),
                None if self.ended && self.room.is_empty() => Next::End,
                None => Next::Wait,
            });
        };
        // A request costs more than a wait: what is in flight frees rows that fill it.
        if air.busy && scan.passed_over && chosen.len() * 2 < size {
            scan.leave(&self.room, &chosen);
            return Ok(Next::Wait);
        }
        Ok(Next::Batch(self.take(action, &chosen)))
    }

    /// Takes the values of records out of what became of them, by the number of the operation. The records are read once
    /// more from `operations`: nobody keeps what was handed over.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn unquote(&mut self, operations: Reader, answers: &mut HashMap<u64, &mut Outcome>) -> Result<()> {
        for frozen in operations {
            let frozen = frozen?;
            if !frozen.heads.iter().any(|head| answers.contains_key(&head.ordinal)) {
                continue;
            }
            let records = self.feed.records(&frozen)?;
            for (head, record) in frozen.heads.iter().zip(records) {
                if let (Some(outcome), Some(Ok(record))) = (answers.get_mut(&head.ordinal), record) {
                    quotes::remove_from(outcome, &head.key, &record);
                    answers.remove(&head.ordinal);
                }
            }
        }
        Ok(())
    }

    fn kind(&self, operation: &Operation) -> Kind {
        (operation.action, self.rules.by_state && operation.added)
    }

    /// Takes the chosen rows, in ascending order, out of the room.
    fn take(&mut self, action: Action, chosen: &[usize]) -> Cut {
        let mut cut = Cut {
            action,
            operations: Vec::with_capacity(chosen.len()),
            tokens: Vec::with_capacity(chosen.len()),
            after: Vec::with_capacity(chosen.len()),
            known: std::mem::take(&mut self.known),
        };
        let mut chosen = chosen.iter().peekable();
        let mut stay = VecDeque::new();
        for (index, waiting) in self.room.drain(..).enumerate() {
            if chosen.next_if_eq(&&index).is_some() {
                cut.tokens.extend(waiting.tokens());
                cut.after.push(waiting.after);
                cut.operations.push(waiting.operation);
            } else {
                stay.push_back(waiting);
            }
        }
        self.room = stay;
        cut
    }

    /// The next row of the wave; the last one begins when all that came before has come to its end.
    fn next_row(&mut self, air: Air) -> Result<Option<Waiting>> {
        loop {
            let Some(row) = self.part.as_slice().first() else {
                if self.ended {
                    return Ok(None);
                }
                match self.feed.take().transpose()? {
                    Some(Some(rows)) => self.part = self.open(rows)?.into_iter(),
                    Some(None) => self.ended = true,
                    None => {
                        self.unmade = true;
                        return Ok(None);
                    }
                }
                continue;
            };
            if row.action != Action::Send && !self.last_wave {
                if air.busy || air.unsettled || !self.room.is_empty() {
                    return Ok(None);
                }
                self.last_wave = true;
            }
            let Some(row) = self.part.next() else { continue };
            match row.record {
                Err(message) => {
                    // Final, as a refusal by the destination is.
                    let outcome = Outcome::Rejected { code: "unmappable".into(), message };
                    self.known.push((row.head.ordinal, row.action, outcome));
                    if self.known.len() >= KNOWN {
                        return Ok(None);
                    }
                }
                Ok(record) => {
                    let (key, after) = (Token::of_key(row.head.key_hash), row.head.after());
                    let operation = self.operation(row.head, row.action, record);
                    let identity = self.writer.identity(&operation).map(Token::Identity);
                    return Ok(Some(Waiting { operation, key, identity, after }));
                }
            }
        }
    }

    /// Those of a part that are still to be sent.
    fn open(&mut self, mut part: Vec<Row>) -> Result<Vec<Row>> {
        for row in &part {
            if row.action != Action::Send {
                self.removing = true;
            } else if self.removing {
                return Err(Error::failed(
                    "the plan's operations are out of order: a record to send follows a removed one",
                ));
            }
        }
        part.retain(|row| {
            if self.sync.settled(row.head.ordinal) {
                return false;
            }
            let Some(outcome) = self.sync.answered(&row.head) else { return true };
            let mut outcome = outcome.clone();
            match &row.record {
                Ok(record) => quotes::remove_from(&mut outcome, &row.head.key, record),
                Err(_) => quotes::leave_out(&mut outcome),
            }
            self.known.push((row.head.ordinal, row.action, outcome));
            false
        });
        Ok(part)
    }

    fn operation(&self, head: Head, action: Action, record: Payload) -> Operation {
        Operation {
            ordinal: head.ordinal,
            action,
            added: head.state == RowState::Added,
            dedupe_id: self.origin.id(head.key_hash, head.row_hash, action),
            key: head.key,
            record,
            in_doubt: self.sync.in_doubt.contains(&head.key_hash),
        }
    }
}

/// One look through the room: which rows may go now.
struct Scan {
    number: u64,
    size: usize,
    /// Rows that may go, by kind, in the order the kinds came.
    kinds: Vec<(Kind, Vec<usize>)>,
    /// What rows took that do not go: what comes after them stays behind them.
    left: Vec<Token>,
    /// A row stays because of what is in flight.
    passed_over: bool,
}

impl Scan {
    fn new(number: u64, size: usize) -> Self {
        Self { number, size, kinds: Vec::new(), left: Vec::new(), passed_over: false }
    }

    fn full(&self) -> bool {
        self.kinds.iter().any(|(_, rows)| rows.len() >= self.size)
    }

    /// Looks at a row: it may go where nothing before it has its key or identity. It takes both in any case.
    fn add(&mut self, index: usize, waiting: &Waiting, kind: Kind, taken: &mut Taken) {
        let mut free = true;
        let before = self.left.len();
        for token in waiting.tokens() {
            match taken.entry(token) {
                Entry::Vacant(place) => {
                    place.insert(self.number);
                    self.left.push(token);
                }
                Entry::Occupied(place) => {
                    free = false;
                    self.passed_over |= *place.get() != self.number;
                }
            }
        }
        if !free {
            return;
        }
        self.left.truncate(before);
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, rows)) => rows.push(index),
            None => self.kinds.push((kind, vec![index])),
        }
    }

    /// The kind with the most rows; of equals, the one that came first. The others stay.
    fn best(&mut self, room: &VecDeque<Waiting>) -> Option<(Kind, Vec<usize>)> {
        let kinds = std::mem::take(&mut self.kinds);
        let larger = |best: (Kind, Vec<usize>), next: (Kind, Vec<usize>)| {
            let (best, other) = if next.1.len() > best.1.len() { (next, best) } else { (best, next) };
            self.leave(room, &other.1);
            best
        };
        kinds.into_iter().reduce(larger)
    }

    /// These rows do not go.
    fn leave(&mut self, room: &VecDeque<Waiting>, rows: &[usize]) {
        self.left.extend(rows.iter().filter_map(|index| room.get(*index)).flat_map(Waiting::tokens));
    }

    /// None goes.
    fn leave_all(&mut self, room: &VecDeque<Waiting>) {
        for (_, rows) in std::mem::take(&mut self.kinds) {
            self.leave(room, &rows);
        }
    }
}
