//! What a command that takes the lock says of runs that ended without a word.

use super::terminal;
use crate::diagnostic::Result;
use crate::state::Locked;
use crate::state::held::HeldRow;
use crate::state::runs::Run;

/// Runs that were interrupted, folded into the state.
#[derive(Default)]
pub(super) struct Recovered(Vec<String>);

/// Folds interrupted runs into the state, and says of each what it leaves behind.
pub(super) fn recover(locked: &Locked) -> Result<Recovered> {
    let runs = locked.recover()?;
    for run in &runs {
        let waiting = waiting(locked, std::slice::from_ref(&run.run_id))?;
        terminal::note(&words(run, waiting));
    }
    Ok(Recovered(runs.into_iter().map(|run| run.run_id).collect()))
}

impl Recovered {
    /// True when rows these runs have sent still wait for somebody to look.
    pub fn left_in_doubt(&self, locked: &Locked) -> Result<bool> {
        Ok(waiting(locked, &self.0)? > 0)
    }
}

/// Rows of these runs that are in doubt and not sent again by themselves.
fn waiting(locked: &Locked, runs: &[String]) -> Result<u64> {
    if runs.is_empty() {
        return Ok(0);
    }
    let held = locked.read()?.held()?;
    let theirs = |row: &HeldRow| runs.iter().any(|run| **run == *row.run_id);
    Ok(held.iter().map(|(_, rows)| rows.counts(theirs).in_doubt).sum())
}

/// `waiting`: rows of the run in doubt that are not sent again by themselves.
fn words(run: &Run, waiting: u64) -> String {
    let in_doubt: u64 = run.syncs.iter().map(|sync| sync.in_doubt).sum();
    let again = in_doubt.saturating_sub(waiting);
    let mut text = format!("Run {} was interrupted; what it is known to have done is kept.", run.run_id);
    let rows = |count| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
    if again > 0 {
        text.push_str(&format!(
            " {} it had sent, or was about to send, had no answer: this apply settles them.",
            rows(again)
        ));
    }
    if waiting > 0 {
        text.push_str(&format!(
            " {} of it {} in doubt: sent, or about to be, and nobody can say whether they arrived. They are held \
             (`on_doubt: hold`): `syncline runs rejected` lists them. Look whether they are there: `syncline state adopt SYNC` \
             takes them as synced, `syncline apply --retry` sends them again.",
            rows(waiting),
            if waiting == 1 { "is" } else { "are" }
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::state::runs::{Run, SyncRun};

    #[test]
    fn what_a_run_left_is_said() {
        for (in_doubt, waiting, said, not_said) in [
            (0, 0, "is kept.", "answer"),
            (5, 0, " 5 rows it had sent, or was about to send, had no answer", "held"),
            (5, 5, " 5 rows of it are in doubt", "this apply settles"),
            (5, 4, " 1 row it had sent", "5 rows"),
        ] {
            let run = Run { syncs: vec![SyncRun { in_doubt, ..SyncRun::default() }], ..Run::default() };
            let text = words(&run, waiting);
            assert!(text.contains(said) && !text.contains(not_said), "{text}");
        }
    }
}
