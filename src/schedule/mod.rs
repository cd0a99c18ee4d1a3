//! When a sync is due: from what its manifest says, what has run, and what time it is. Pure: the same three give the same
//! answer, to the word.
//!
//! ```text
//!   schedule ──► Timetable ─┐
//!   runs that began ────────┼──► Board: due or not, when next, in words
//!   now ────────────────────┘
//! ```

mod board;
mod parse;
mod words;

#[cfg(test)]
mod tests;

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::manifest::sync::{OnUpstreamFailure, Schedule};

pub use board::{Board, Said};
pub use parse::{Wrong, cron, span, zone};
pub use words::moment;

/// A run of a sync that began, as far as schedules go. A run of a part of a sync (`--only-key`, `--limit`) is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Its run; ids sort by time.
    pub run_id: String,
    /// When its command began.
    pub begun_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

impl Ran {
    /// True when this began after another run did. Within one run, syncs go in the order of `after`, so there neither
    /// is later. One writer at a time: what began later has also ended later.
    fn is_after(&self, other: &Self) -> bool {
        self.run_id != other.run_id && (self.begun_at, &self.run_id) > (other.begun_at, &other.run_id)
    }
}

/// How a run of a sync ended, for those that wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not ended, or was interrupted.
    Unended,
    /// It did not come to its end, or nothing of it was taken.
    Failed,
    /// It came to its end; records were rejected or are in doubt.
    Rejected,
    /// It came to its end, and every record was answered for.
    Whole,
}

impl Outcome {
    /// True when what waits for a run that ended so must not begin.
    pub fn stops(self, policy: OnUpstreamFailure) -> bool {
        match policy {
            OnUpstreamFailure::Stop => matches!(self, Self::Failed | Self::Unended),
            OnUpstreamFailure::StopOnRejects => self != Self::Whole,
            OnUpstreamFailure::Continue => false,
        }
    }

    /// What it did, in words: "`users` …".
    pub fn words(self) -> &'static str {
        match self {
            Self::Unended => "was interrupted",
            Self::Failed => "failed",
            Self::Rejected => "had records rejected or in doubt",
            Self::Whole => "succeeded",
        }
    }
}

/// A schedule, read.
#[derive(Debug, Clone)]
pub struct Timetable {
    when: When,
}

#[derive(Debug, Clone)]
enum When {
    /// So long after the last run began.
    Every(Span),
    /// At times of a calendar.
    Cron { cron: Box<Cron>, written: String, zone: TimeZone, zone_name: String },
    /// When one of these has run.
    After { syncs: Vec<String>, policy: OnUpstreamFailure },
}

impl Timetable {
    /// Reads a schedule as a manifest has it.
    ///
    /// # Errors
    /// What is wrong with it. A project that was validated has no such schedule.
    pub fn new(schedule: &Schedule) -> Result<Self, Wrong> {
        let when = match (&schedule.every, &schedule.cron, &schedule.after) {
            (Some(every), ..) => When::Every(span(every)?),
            (_, Some(text), _) => {
                let zone_name = schedule.timezone.clone().unwrap_or_else(|| "UTC".into());
                When::Cron { cron: Box::new(cron(text)?), written: text.clone(), zone: zone(&zone_name)?, zone_name }
            }
            (.., Some(syncs)) => {
                When::After { syncs: syncs.clone(), policy: schedule.on_upstream_failure.unwrap_or_default() }
            }
            _ => return Err(Wrong::new("`schedule` does not say when", "add one of `every`, `cron`, `after`")),
        };
        Ok(Self { when })
    }

    /// The next time after a moment, where the clock alone decides. `last` is when the last run began.
    fn next(&self, after: Timestamp, last: Option<Timestamp>) -> Option<Timestamp> {
        match &self.when {
            When::Every(span) => last.map_or(Some(after), |last| parse::later(last, *span)),
            When::Cron { cron, zone, .. } => parse::tick(cron, zone, after),
            When::After { .. } => None,
        }
    }
}
