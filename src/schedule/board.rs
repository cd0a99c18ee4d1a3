//! All schedules of a project at one moment: what is due, what follows it, and what comes next.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::{either, moment};
use super::{Outcome, Ran, Timetable, When};
use crate::manifest::sync::OnUpstreamFailure;

/// What is said of one sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// True when `apply --due` would run it now.
    pub due: bool,
    /// When it is due next; the time after this one when it is due now. `None` when that hangs on something without a
    /// time of its own.
    pub next: Option<Timestamp>,
    /// All of it in words.
    pub text: String,
    /// What is in its way, in words; a sync that is held up is not due.
    pub held_up: Option<String>,
    /// The zone its times are said in.
    zone: TimeZone,
}

/// What is said of every sync with a schedule, in the order they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The syncs.
    pub syncs: IndexMap<String, Said>,
    now: Timestamp,
}

impl Board {
    /// `syncs` are in the order they run, those without a schedule too. `ran` has the last run of each that began.
    /// A sync that another waits for and that is not among `syncs` does not run, whatever its own schedule says.
    pub fn new<'a>(
        syncs: impl IntoIterator<Item = (&'a str, Option<&'a Timetable>)>,
        ran: &BTreeMap<String, Ran>,
        now: Timestamp,
    ) -> Self {
        let mut board = Self { syncs: IndexMap::new(), now };
        for (name, timetable) in syncs {
            let Some(timetable) = timetable else { continue };
            let said = board.say(timetable, ran.get(name), ran);
            board.syncs.insert(name.to_owned(), said);
        }
        board
    }

    fn say(&self, timetable: &Timetable, last: Option<&Ran>, ran: &BTreeMap<String, Ran>) -> Said {
        match &timetable.when {
            When::After { syncs, policy } => self.after(timetable, syncs, *policy, last, ran),
            When::Every(_) | When::Cron { .. } => self.by_clock(timetable, last),
        }
    }

    fn by_clock(&self, timetable: &Timetable, last: Option<&Ran>) -> Said {
        let zone = timetable.zone();
        let since = last.map(|last| timetable.next(last.begun_at, Some(last.begun_at)));
        let why = match (last, since) {
            (None, _) => Some("due now: it has not run yet".to_owned()),
            (Some(last), _) if last.outcome == Outcome::Unended => Some("due now: its last run was interrupted".into()),
            (Some(_), Some(Some(at))) if at == self.now => Some("due now".into()),
            (Some(_), Some(Some(at))) if at < self.now => {
                Some(format!("due now, since {}", moment(at, &zone, self.now)))
            }
            _ => None,
        };
        let due = why.is_some();
        let next = match since {
            Some(at) if !due => at,
            _ => timetable.next(self.now, Some(self.now)),
        };
        let state = match (why, next) {
            (Some(why), _) => why,
            (None, Some(next)) => format!("next {}", moment(next, &zone, self.now)),
            (None, None) => "never again".into(),
        };
        Said { due, next, text: format!("{}; {state}", timetable.words()), held_up: None, zone }
    }

    fn after(
        &self,
        timetable: &Timetable,
        upstream: &[String],
        policy: OnUpstreamFailure,
        last: Option<&Ran>,
        ran: &BTreeMap<String, Ran>,
    ) -> Said {
        let is_due = |name: &&String| self.syncs.get(*name).is_some_and(|said| said.due);
        // How one that runs now will end is not known yet; who delivers decides.
        let (runs_now, done): (Vec<&String>, Vec<&String>) = upstream.iter().partition(is_due);
        let ended: Vec<(&String, &Ran)> = done.iter().filter_map(|name| Some((*name, ran.get(*name)?))).collect();
        let bad = ended.iter().find(|(_, run)| run.outcome.stops(policy));
        let held_up = bad.map(|(name, run)| format!("the last run of `{name}` {}", run.outcome.words()));
        let newer = ended.iter().find(|(_, run)| last.is_none_or(|last| run.is_after(last)));
        let interrupted = last.is_some_and(|last| last.outcome == Outcome::Unended);
        let why = match (newer, runs_now.as_slice()) {
            (_, [_, ..]) => {
                Some(format!("due now, once {} has run", either(runs_now.iter().map(|name| name.as_str()))))
            }
            (Some((name, run)), _) => {
                let at = moment(run.begun_at, &TimeZone::UTC, self.now);
                Some(format!("due now: `{name}` has run on {at}"))
            }
            (None, []) if interrupted => Some("due now: its last run was interrupted".into()),
            (None, []) => None,
        };
        // The first of those it waits for that has a time.
        let times = upstream.iter().filter_map(|name| self.syncs.get(name).map(|said| (said.next, said)));
        let first = times.filter_map(|(next, said)| Some((next?, said))).min_by_key(|(next, _)| *next);
        let next = first.map(|(next, _)| next);
        let due = why.is_some() && held_up.is_none();
        let zone = first.map_or(TimeZone::UTC, |(_, said)| said.zone.clone());
        let state = match (&held_up, why, first) {
            (Some(held_up), ..) => format!("held up: {held_up}"),
            (None, Some(why), _) => why,
            (None, None, Some((next, said))) => format!("next {}", moment(next, &said.zone, self.now)),
            (None, None, None) => "when that has run".into(),
        };
        Said { due, next, text: format!("{}; {state}", timetable.words()), held_up, zone }
    }

    /// True when `apply --due` would run this sync now.
    pub fn is_due(&self, sync: &str) -> bool {
        self.syncs.get(sync).is_some_and(|said| said.due)
    }

    /// One line for when nothing is due: what comes next, and what is held up.
    pub fn nothing_due(&self) -> String {
        if self.syncs.is_empty() {
            return "Nothing is due: no sync has a `schedule`.".into();
        }
        let timed = self.syncs.iter().filter(|(_, said)| said.held_up.is_none());
        let next = timed
            .filter_map(|(name, said)| Some((said.next?, name, said)))
            .min_by_key(|(next, name, _)| (*next, *name));
        let next = match next {
            Some((at, name, said)) => format!("Next: `{name}` on {}.", moment(at, &said.zone, self.now)),
            None => "Nothing has a time of its own to come.".into(),
        };
        let held = self.syncs.iter().filter_map(|(name, said)| Some((name, said.held_up.as_ref()?)));
        let held: String = held.map(|(name, why)| format!(" Held up: `{name}`, as {why}.")).collect();
        format!("Nothing is due. {next}{held}")
    }
}
