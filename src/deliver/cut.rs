//! The frozen operations, cut into batches: one action a batch, never two of the same key.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::Mapper;
use crate::destinations::{Action, Operation};
use crate::diagnostic::{Error, Result};
use crate::diff::{Hash, RowState};
use crate::mapping::Record;
use crate::plan::operations::{Frozen, Head, Reader};
use crate::state::ActiveSync;

/// A batch about to be sent.
pub struct Cut {
    /// What is done.
    pub action: Action,
    /// To whom.
    pub operations: Vec<Operation>,
    /// Their keys.
    pub keys: Vec<Hash>,
    /// For each of these: the operation that must have been acknowledged before, if there is one.
    pub after: Vec<Option<u64>>,
    /// Rows of which no record could be made, and why.
    pub unmappable: Vec<(u64, String)>,
}

impl Cut {
    /// True for what must wait until all that came before has ended.
    pub fn last_wave(&self) -> bool {
        self.action != Action::Send
    }

    /// Leaves out what may not be done: the record a row had before stays while the row has no other.
    pub fn withhold(&mut self, may_go: impl Fn(Option<u64>) -> bool) {
        let mut keep = std::mem::take(&mut self.after).into_iter().map(may_go);
        self.operations.retain(|_| keep.next().unwrap_or(true));
    }
}

/// Cuts batches.
pub struct Cutter<'a> {
    operations: Reader,
    mapper: &'a mut dyn Mapper,
    sync: &'a ActiveSync,
    lineage: &'a str,
    size: usize,
    part: std::iter::Peekable<std::vec::IntoIter<Row>>,
    last_wave: bool,
}

struct Row {
    head: Head,
    action: Action,
    record: Result<Record, String>,
}

impl<'a> Cutter<'a> {
    /// Cuts batches of at most `size` operations; what earlier runs of the plan settled is left out.
    pub fn new(
        operations: Reader,
        mapper: &'a mut dyn Mapper,
        sync: &'a ActiveSync,
        lineage: &'a str,
        size: usize,
    ) -> Self {
        Self { operations, mapper, sync, lineage, size, part: Vec::new().into_iter().peekable(), last_wave: false }
    }

    /// The next batch, `None` at the end.
    pub fn cut(&mut self) -> Result<Option<Cut>> {
        let mut cut: Option<Cut> = None;
        let mut keys = HashSet::new();
        loop {
            let Some(row) = self.part.peek() else {
                match self.operations.next().transpose()? {
                    Some(frozen) => self.part = self.rows(frozen)?.into_iter().peekable(),
                    None => return Ok(cut),
                }
                continue;
            };
            if let Some(cut) = &cut {
                let full = cut.operations.len() >= self.size || cut.action != row.action;
                if full || keys.contains(&row.head.key_hash) {
                    break;
                }
            }
            let Some(row) = self.part.next() else { continue };
            let into = cut.get_or_insert_with(|| Cut {
                action: row.action,
                operations: Vec::new(),
                keys: Vec::new(),
                after: Vec::new(),
                unmappable: Vec::new(),
            });
            match row.record {
                Err(message) => into.unmappable.push((row.head.ordinal, message)),
                Ok(record) => {
                    keys.insert(row.head.key_hash);
                    into.keys.push(row.head.key_hash);
                    into.after.push(row.head.after());
                    into.operations.push(self.operation(row.head, row.action, record));
                }
            }
        }
        Ok(cut)
    }

    fn rows(&mut self, frozen: Frozen) -> Result<Vec<Row>> {
        let records = self.mapper.records(&frozen)?;
        let mut rows = Vec::with_capacity(frozen.heads.len());
        for (head, record) in frozen.heads.into_iter().zip(records) {
            let (Some(action), Some(record)) = (head.action, record) else { continue };
            if action != Action::Send {
                self.last_wave = true;
            } else if self.last_wave {
                return Err(Error::failed(
                    "the plan's operations are out of order: a record to send follows a removed one",
                ));
            }
            if !self.sync.settled(head.ordinal) {
                rows.push(Row { head, action, record });
            }
        }
        Ok(rows)
    }

    fn operation(&self, head: Head, action: Action, record: Record) -> Operation {
        Operation {
            ordinal: head.ordinal,
            action,
            added: head.state == RowState::Added,
            dedupe_id: dedupe_id(self.lineage, &self.sync.record.sync, head.key_hash, head.row_hash, action),
            key: head.key,
            record,
            in_doubt: self.sync.in_doubt.contains(&head.key_hash),
        }
    }
}

/// First 128 bits of SHA-256 over state, sync, key, payload and action, in hex: the same after any retry or crash.
fn dedupe_id(lineage: &str, sync: &str, key: Hash, row: Hash, action: Action) -> String {
    let mut hasher = Sha256::new();
    for text in [lineage, sync] {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
    }
    hasher.update(key.to_be_bytes());
    hasher.update(row.to_be_bytes());
    hasher.update(match action {
        Action::Send => b"send" as &[u8],
        Action::Clear => b"clear",
        Action::Delete => b"delete",
    });
    hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
