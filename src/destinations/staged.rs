//! What databases have in common that take a batch into a temporary table beside the target and merge it there: which
//! records go when, what is said of each, and the sessions it is done in.
//!
//! Records that share their identifiers within a batch go in rounds, in their order, so that each sees what the ones
//! before it did. What a step says in SQL is the database's own affair.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value as Json;

use super::table::{self, Absent, Column, Columns, when_absent};
use super::{Action, Batch, Held, Operation, Outcome, SendError, Sent, There};
use crate::diagnostic::Result;
use crate::manifest::sync::{Mode, OnRemoved};
use crate::mapping::{Record, Value};

/// An operation with its position in the batch.
pub(super) type Numbered<'a> = (usize, &'a Operation);

/// Which records of a batch hold a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// None of them.
    Never,
    /// Some; a column of flags says which.
    Sometimes,
    /// All of them.
    Always,
}

/// Which fields the records of a batch hold, and with that the value columns of its temporary table: `c0`, `c1`, … are the
/// identifiers and fields in the order of the columns, `p2`, `p3`, … say whether a field is in the record.
pub(super) struct Presences(Vec<Presence>);

impl Presences {
    /// Of these operations. Identifiers are always there.
    pub fn of(columns: &Columns, action: Action, operations: &[Numbered<'_>]) -> Self {
        let fields = columns.fields.iter().map(|column| {
            let count = operations.iter().filter(|(_, o)| column.field(&o.record).is_some()).count();
            match count {
                _ if action != Action::Send => Presence::Never,
                0 => Presence::Never,
                _ if count == operations.len() => Presence::Always,
                _ => Presence::Sometimes,
            }
        });
        Self(columns.matching.iter().map(|_| Presence::Always).chain(fields).collect())
    }

    /// Which records hold the field at this position among identifiers and fields.
    pub fn at(&self, position: usize) -> Presence {
        self.0.get(position).copied().unwrap_or(Presence::Never)
    }

    /// The positions that there is a column for, and whether another one before it says which records hold the field.
    pub fn columns(&self) -> impl Iterator<Item = (usize, bool)> {
        let there = self.0.iter().enumerate().filter(|(_, presence)| **presence != Presence::Never);
        there.map(|(i, presence)| (i, *presence == Presence::Sometimes))
    }

    /// The names of the columns.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.columns().flat_map(|(i, flagged)| flagged.then(|| format!("p{i}")).into_iter().chain([format!("c{i}")]))
    }

    /// What a record gives the columns: of each its position, whether the record holds the field where a column says so,
    /// and its value.
    pub fn values<'r>(
        &self,
        columns: &'r Columns,
        record: &'r Record,
    ) -> impl Iterator<Item = (usize, &'r Column, Option<bool>, &'r Value)> {
        let identifiers = columns.matching.iter().map(|c| (c, Some(c.identifier(record))));
        let values = identifiers.chain(columns.fields.iter().map(|c| (c, c.field(record))));
        let there = values.enumerate().zip(&self.0).filter(|(_, presence)| **presence != Presence::Never);
        there.map(|((i, (column, value)), presence)| {
            let flag = (*presence == Presence::Sometimes).then_some(value.is_some());
            (i, column, flag, value.unwrap_or(&Value::Null))
        })
    }
}

/// What the table holds for one record.
pub(super) struct Hit {
    /// Rows that have its identifiers.
    pub count: usize,
    /// Every field sent is there already.
    pub equal: bool,
}

/// The steps of a merge, each in the words of one database. What is written is undone unless it is committed.
#[async_trait]
pub(super) trait Steps: Send {
    /// Begins the transaction and fills the temporary table.
    async fn stage(&mut self, operations: &[Numbered<'_>]) -> Result<(), SendError>;

    /// Finds records that share their identifiers: the rounds, from 2 on, of all but the first of them.
    async fn later_rounds(&mut self, records: usize) -> Result<HashMap<usize, usize>, SendError>;

    /// What there is for the records of a round, by their position; with `compare`, whether the fields are the same.
    async fn look_up(&mut self, round: usize, compare: bool) -> Result<HashMap<usize, Hit>, SendError>;

    /// Takes records out of the temporary table.
    async fn leave_out(&mut self, records: &[usize]) -> Result<(), SendError>;

    /// Updates, clears or deletes what is there.
    async fn write(&mut self, round: usize) -> Result<(), SendError>;

    /// Inserts what is not there, in the order of the batch; the number of rows it made.
    async fn insert(&mut self, round: usize) -> Result<u64, SendError>;

    /// Makes it all durable.
    async fn commit(&mut self) -> Result<(), SendError>;
}

/// What a batch is to become of before the database has seen it: outcomes of the records that cannot be sent at all.
/// `unfit` says why a database cannot take a record that has its identifiers.
pub(super) fn beforehand(
    batch: &Batch,
    columns: &Columns,
    unfit: impl Fn(&Operation) -> Option<Outcome>,
) -> Vec<Option<Outcome>> {
    batch.operations.iter().map(|o| table::unmatchable(o, columns).or_else(|| unfit(o))).collect()
}

/// The operations that have no outcome yet.
pub(super) fn sendable<'a>(batch: &'a Batch, outcomes: &[Option<Outcome>]) -> Vec<Numbered<'a>> {
    batch.operations.iter().enumerate().zip(outcomes).filter(|(_, o)| o.is_none()).map(|(o, _)| o).collect()
}

/// Merges and commits these operations, all of the same action, or none of them; says what became of each.
pub(super) async fn merge(
    steps: &mut impl Steps,
    action: Action,
    mode: Mode,
    operations: &[Numbered<'_>],
    outcomes: &mut [Option<Outcome>],
) -> Result<(), SendError> {
    steps.stage(operations).await?;
    let later = steps.later_rounds(operations.len()).await?;
    let round_of = |n: usize| later.get(&n).copied().unwrap_or(1);
    for round in 1..=later.values().copied().max().unwrap_or(1) {
        let members: Vec<Numbered<'_>> = operations.iter().filter(|(n, _)| round_of(*n) == round).copied().collect();
        let found = steps.look_up(round, members.iter().any(|(_, o)| o.in_doubt)).await?;
        let (several, absent) = decide(action, mode, &members, &found, outcomes);
        if !several.is_empty() {
            steps.leave_out(&several).await?;
        }
        steps.write(round).await?;
        if absent > 0 && steps.insert(round).await? != absent {
            return Err(SendError::Refused {
                code: NOT_INSERTED.into(),
                message: "the database left a record out: a trigger of the table, or another writer was faster".into(),
            });
        }
    }
    steps.commit().await
}

/// Code of a record that was to be inserted and was not.
pub(super) const NOT_INSERTED: &str = "not_inserted";

/// Outcomes of one round; which of its records match several rows, and how many are to be inserted.
fn decide(
    action: Action,
    mode: Mode,
    members: &[Numbered<'_>],
    found: &HashMap<usize, Hit>,
    outcomes: &mut [Option<Outcome>],
) -> (Vec<usize>, u64) {
    let (mut several, mut absent) = (Vec::new(), 0);
    for (n, operation) in members {
        let outcome = match found.get(n) {
            None => match when_absent(action, mode) {
                Absent::NoMatch => Outcome::NoMatch,
                Absent::Succeeded => Outcome::Succeeded,
                Absent::Insert => {
                    absent += 1;
                    Outcome::Succeeded
                }
            },
            Some(hit) if hit.count > 1 => {
                several.push(*n);
                table::multiple_match()
            }
            Some(hit) if action == Action::Send && mode == Mode::Insert => {
                if operation.in_doubt && hit.equal {
                    Outcome::Succeeded
                } else {
                    table::already_exists()
                }
            }
            Some(_) => Outcome::Succeeded,
        };
        if let Some(slot) = outcomes.get_mut(*n) {
            *slot = Some(outcome);
        }
    }
    (several, absent)
}

/// A row that was found: position of its record, and of each field its name, whether it is the same, and what it holds.
pub(super) type Compared = (usize, Vec<(String, bool, Option<String>)>);

/// What was found of these operations, as a reader says it.
pub(super) fn held(columns: &Columns, operations: &[Operation], found: Vec<Compared>) -> Vec<Held> {
    let mut held = vec![Held::Absent; operations.len()];
    for (n, row) in found {
        let Some((slot, operation)) = held.get_mut(n).zip(operations.get(n)) else { continue };
        if *slot != Held::Absent {
            *slot = Held::Several;
            continue;
        }
        let differs = row.into_iter().filter_map(|(name, same, value)| {
            let column = columns.fields.iter().find(|column| column.name == name)?;
            let compared = column.field(&operation.record).is_some() && !column.if_added;
            let value = value.map_or(Json::Null, Json::String);
            (compared && !same).then_some(There { field: name, value })
        });
        *slot = Held::There(differs.collect());
    }
    held
}

/// A session of a database.
#[async_trait]
pub(super) trait Session: Send {
    /// False when its connection has ended.
    async fn alive(&mut self) -> bool;

    /// Executes a batch; all of it is committed, or none. After an error the transaction may still be open.
    async fn send(&mut self, batch: &Batch) -> Result<Vec<Outcome>, SendError>;

    /// Undoes what an error left behind; false where even that cannot be done.
    async fn undo(&mut self) -> bool;

    /// Code of the refusal of a record that is there already.
    const TAKEN: &'static str;
}

/// Sessions between two batches; at most one per batch in flight.
pub(super) struct Sessions<S>(Mutex<Vec<S>>);

impl<S: Session> Sessions<S> {
    /// The first one is open already.
    pub fn new(first: S) -> Self {
        Self(Mutex::new(vec![first]))
    }

    /// Sends a batch in a session that is idle, or a new one.
    pub async fn send(
        &self,
        batch: &Batch,
        new: impl Future<Output = Result<S, SendError>> + Send,
    ) -> Result<Sent, SendError> {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The session is owned here: a send that is given up half-way closes its connection, and the server rolls back.
        let mut session = match self.idle().await {
            Some(session) => session,
            None => new.await?,
        };
        let mut result = session.send(batch).await;
        // A session whose transaction cannot even be rolled back is dropped.
        let mut clean = result.is_ok() || session.undo().await;
        if clean && batch.operations.len() == 1 && overtaken::<S>(&result) {
            // Another writer inserted the record between look-up and insert: now it is found.
            result = session.send(batch).await;
            clean = result.is_ok() || session.undo().await;
        }
        if clean {
            idle().push(session);
        }
        table::alone(batch, result).map(Sent::Outcomes)
    }

    async fn idle(&self) -> Option<S> {
        loop {
            let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if session.alive().await {
                return Some(session);
            }
        }
    }
}

/// True when a single record was refused because it is there already, although the look-up had not found it.
fn overtaken<S: Session>(result: &Result<Vec<Outcome>, SendError>) -> bool {
    matches!(result, Err(SendError::Refused { code, .. }) if code == S::TAKEN || code == NOT_INSERTED)
}

/// What an account has to be allowed to do to a table.
pub(super) fn privileges(mode: Mode, on_removed: OnRemoved) -> Vec<&'static str> {
    let mut needed = vec!["SELECT"];
    needed.extend((mode != Mode::Update).then_some("INSERT"));
    needed.extend((mode != Mode::Insert || on_removed == OnRemoved::Clear).then_some("UPDATE"));
    needed.extend((on_removed == OnRemoved::Delete).then_some("DELETE"));
    needed
}
