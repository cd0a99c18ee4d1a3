//! What becomes of the records rows had before, as the operations of a run are folded.
//!
//! A row that is sent under other identifiers leaves a record behind; the plan removes it after the row has arrived. What
//! was not removed then (a crash, a refusal, an answer that was lost) is remembered by its identifiers, and planned again
//! as a removed row until the destination has confirmed it.

use super::fold::{Share, settled};
use super::formers::{self, Former, Formers, Identifiers};
use super::marks::{Mark, Marks};
use super::runs::SyncRun;
use crate::destinations::Action;
use crate::diff::{Cause, Hash, RowState};
use crate::plan::operations::Head;

/// Keeps the former records of one sync while its operations pass by.
pub(super) struct Leaving<'a> {
    share: Share<'a>,
    formers: Formers,
    changed: bool,
    /// Records left alone as another row uses them; with the row that had them, and whether it has let go of them.
    used: Vec<(String, Hash, String, bool)>,
}

/// How an operation on a former record is counted.
enum Counted {
    /// As a row of its own.
    Itself(RowState),
    /// Together with its row, which was sent in this run with this mark.
    With(Mark),
    Not,
}

impl<'a> Leaving<'a> {
    pub(super) fn new(formers: Formers, share: &Share<'a>) -> Self {
        Self { share: *share, formers, changed: false, used: Vec::new() }
    }

    /// Takes note of a row. `identifiers` are those of its record, where they can change.
    pub(super) fn row(&mut self, head: &Head, identifiers: Option<(&Identifiers<'_>, usize)>) {
        let mark = self.share.marks.get(head.ordinal);
        match (head.state, head.action) {
            (RowState::Removed, Some(_)) if gone(mark) && !self.formers.0.is_empty() => {
                if let Some(name) = head.matching.as_ref().and_then(|m| self.name(m)) {
                    self.remove(&name);
                }
            }
            (_, Some(Action::Send)) => {
                let Some((identifiers, row)) = identifiers else { return };
                let doubted = mark == Mark::InDoubt;
                if !doubted && (self.formers.0.is_empty() || !matches!(mark, Mark::Succeeded | Mark::Unverified)) {
                    return;
                }
                let Some(name) = identifiers.name(row) else { return };
                if doubted {
                    // It may be there, whatever the row is matched by when the next plan is made.
                    self.insert(name, head.key_hash, &head.key, false);
                } else {
                    // From now on the snapshot stands for it.
                    self.remove(&name);
                }
            }
            _ => {}
        }
    }

    /// Takes note of a record that another row has taken over, or may have, while the row that had it was not sent: what
    /// the snapshot says of that row is true no more. False of every other former record.
    pub(super) fn overwritten(&mut self, head: &Head, run: &SyncRun) -> bool {
        let waits = |after| matches!(self.known(after), Mark::Pending | Mark::Rejected);
        let taken = run.succeeded.total() + run.unverified + run.in_doubt > 0;
        if head.action.is_some() || !taken || !head.after().is_some_and(waits) {
            return false;
        }
        if let Some(name) = head.matching.as_ref().and_then(|m| self.name(m)) {
            self.used.push((name, head.key_hash, head.key.to_string(), true));
        }
        true
    }

    /// Takes note of a former record, and counts it. Returns its mark where it is counted and not done.
    pub(super) fn former(&mut self, head: &Head, run: &mut SyncRun) -> Option<Mark> {
        let name = head.matching.as_ref().and_then(|m| self.name(m))?;
        let let_go = head
            .after()
            .is_none_or(|after| matches!(self.known(after), Mark::Succeeded | Mark::Unverified | Mark::InDoubt));
        if head.action.is_none() {
            self.used.push((name, head.key_hash, head.key.to_string(), let_go));
            return None;
        }
        let earlier =
            |ordinal| self.share.done.is_some_and(|done: &Marks| settled(self.share.record, done.get(ordinal)));
        if earlier(head.ordinal) {
            return None;
        }
        let counted = match head.after() {
            _ if head.cause == Cause::Retry => Counted::Itself(RowState::Removed),
            None => Counted::Itself(RowState::Removed),
            Some(after) if earlier(after) && acknowledged(self.known(after)) => Counted::Itself(RowState::Changed),
            Some(after) if !earlier(after) && acknowledged(self.share.marks.get(after)) => {
                Counted::With(self.share.marks.get(after))
            }
            Some(_) => Counted::Not,
        };
        let mark = self.share.marks.get(head.ordinal);
        if let Counted::Itself(state) = counted {
            run.planned.count(state);
        }
        if gone(mark) {
            self.remove(&name);
            match (&counted, mark) {
                (Counted::Itself(state), Mark::Succeeded) => run.succeeded.count(*state),
                (Counted::Itself(_), Mark::Unverified) => run.unverified += 1,
                (Counted::Itself(_), _) => run.no_match += 1,
                _ => {}
            }
            return None;
        }
        if let_go || (mark == Mark::Rejected && self.formers.0.contains_key(&name)) {
            self.insert(name, head.key_hash, &head.key, mark == Mark::Rejected);
        }
        // A row is done when both are.
        match counted {
            Counted::Not => return None,
            Counted::With(Mark::Unverified) => run.unverified = run.unverified.saturating_sub(1),
            Counted::With(_) => run.succeeded.changed = run.succeeded.changed.saturating_sub(1),
            Counted::Itself(_) => {}
        }
        match mark {
            Mark::Rejected => run.rejected += 1,
            Mark::InDoubt => run.in_doubt += 1,
            _ => run.pending += 1,
        }
        Some(mark)
    }

    /// The former records, where they are not as before.
    pub(super) fn finish(&mut self, run: &SyncRun) -> Option<Formers> {
        let whole = run.pending + run.in_doubt + run.rejected == 0;
        for (name, key_hash, key, let_go) in std::mem::take(&mut self.used) {
            // Once every row has arrived, the record is that of the row that uses it now.
            if whole {
                self.remove(&name);
            } else if let_go && !self.formers.0.contains_key(&name) {
                self.insert(name, key_hash, &key, false);
            }
        }
        self.changed.then(|| std::mem::take(&mut self.formers))
    }

    /// What this run and earlier ones of the plan know of an operation.
    fn known(&self, ordinal: u64) -> Mark {
        match (self.share.marks.get(ordinal), self.share.done) {
            (Mark::Pending, Some(done)) => done.get(ordinal),
            (mark, _) => mark,
        }
    }

    fn name(&self, matching: &[crate::mapping::Value]) -> Option<String> {
        formers::name_of(&self.share.record.mapping, matching)
    }

    fn insert(&mut self, name: String, key_hash: Hash, key: &str, refused: bool) {
        let former = Former::new(key_hash, key, refused);
        self.changed |= self.formers.0.get(&name) != Some(&former);
        self.formers.0.insert(name, former);
    }

    fn remove(&mut self, name: &str) {
        self.changed |= self.formers.0.remove(name).is_some();
    }
}

fn acknowledged(mark: Mark) -> bool {
    matches!(mark, Mark::Succeeded | Mark::Unverified)
}

/// True when a record that was to go is gone.
fn gone(mark: Mark) -> bool {
    matches!(mark, Mark::Succeeded | Mark::Unverified | Mark::NoMatch)
}
