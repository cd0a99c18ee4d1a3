//! Which syncs a command means, where that hangs on what is due: schedules against the runs the state knows of.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::Selection;
use crate::diagnostic::{Error, Result};
use crate::plan::Scheduled;
use crate::project::{Project, Sets};
use crate::schedule::{Board, Ran, Said, Timetable};
use crate::state::Reading;

/// The schedules of a project, and what has run in its environment.
pub(super) struct Schedules<'p> {
    project: &'p Project,
    timetables: HashMap<&'p str, Timetable>,
    ran: BTreeMap<String, Ran>,
    now: Timestamp,
}

/// What is meant.
pub(super) struct Selected {
    /// The syncs, in the order they run.
    pub syncs: Vec<String>,
    /// When no sync is due of those that were asked for: what comes next.
    pub nothing_due: Option<String>,
}

impl<'p> Schedules<'p> {
    /// # Errors
    /// A schedule that cannot be read, which validation would have found.
    pub fn new(project: &'p Project, state: &Reading, now: Timestamp) -> Result<Self> {
        let (mut timetables, mut ran) = (HashMap::new(), BTreeMap::new());
        for (name, sync) in &project.syncs {
            if let Some(schedule) = &sync.sync.schedule {
                let wrong =
                    |e: crate::schedule::Wrong| Error::failed_help(format!("sync `{name}`: {}", e.message), e.help);
                timetables.insert(name.as_str(), Timetable::new(schedule).map_err(wrong)?);
            }
            ran.extend(state.ran(name, sync.sync.moved_from.as_deref()).map(|ran| (name.clone(), ran)));
        }
        Ok(Self { project, timetables, ran, now })
    }

    /// What is due of these syncs when no others run.
    pub fn board(&self, syncs: &[String]) -> Board {
        let syncs = syncs.iter().map(|name| (name.as_str(), self.timetables.get(name.as_str())));
        Board::new(syncs, &self.ran, self.now)
    }

    /// The syncs a command means. `changed` has those a change of the configuration touches, where that is known.
    ///
    /// # Errors
    /// A selector that names nothing.
    pub fn select(&self, selection: &Selection, mut sets: Sets) -> Result<Selected> {
        let all = self.board(&self.project.order());
        let due = all.syncs.iter().filter(|(_, said)| said.due);
        sets.due = Some(due.map(|(name, _)| name.clone()).collect());
        let mut syncs = self.project.select(&selection.select, &sets)?;
        let mut nothing_due = None;
        if selection.due || only_due(&selection.select) {
            // One that follows another is due only if that one runs, too.
            let board = if selection.due { self.board(&syncs) } else { all };
            let among = self.board(&syncs);
            syncs.retain(|name| among.is_due(name));
            nothing_due = syncs.is_empty().then(|| board.nothing_due());
        }
        Ok(Selected { syncs, nothing_due })
    }
}

/// True when nothing is selected but what is due.
fn only_due(selectors: &[String]) -> bool {
    let parts = selectors.iter().flat_map(|selector| selector.split(',')).map(str::trim);
    let mut named = parts.filter(|part| !part.is_empty() && !part.starts_with('!')).peekable();
    named.peek().is_some() && named.all(|part| part == "due")
}

/// What is said of a schedule, as a plan has it.
pub(super) fn scheduled(said: &Said) -> Scheduled {
    Scheduled { text: said.text.clone(), next: said.next.map(|at| at.to_string()), due: said.due }
}
