//! What is counted for the bill: different primary keys queried per model and calendar month, runs, and requests.
//!
//! ```text
//!  diff ──► keys of a model ──► minus those of the month ──► plan (what it adds)      ──► apply: files of the month
//!           (sorted heads)      (sorted files, merged)       queried/MODEL.keys           usage/MODEL.MONTH.RUN.keys
//! ```
//!
//! A key counts once a month however often its row is read, and whether anything of it was sent or not. Months are those
//! of UTC.

pub mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Files of keys a model and month may have before they are made one.
pub const MOST_FILES: usize = 8;
/// Months that are remembered.
const MONTHS: usize = 36;

/// A calendar month in UTC; `2026-11` as text. Sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month of an instant.
    pub fn of(instant: Timestamp) -> Self {
        let date = instant.to_zoned(TimeZone::UTC).date();
        Self { year: date.year(), month: date.month() }
    }

    /// Its first day.
    fn first(self) -> Date {
        Date::new(self.year, self.month, 1).unwrap_or(Date::MIN)
    }

    /// Its last day, as `2026-11-30`.
    pub fn last_day(self) -> String {
        self.first().last_of_month().to_string()
    }

    /// The month before it.
    pub fn before(self) -> Self {
        match self.month {
            1 => Self { year: self.year - 1, month: 12 },
            month => Self { month: month - 1, ..self },
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl From<Month> for String {
    fn from(month: Month) -> String {
        month.to_string()
    }
}

impl TryFrom<String> for Month {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no month: write the year and the month, like 2026-11");
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(wrong());
        }
        let (year, month) = (year.parse().map_err(|_| wrong())?, month.parse().map_err(|_| wrong())?);
        if year < 1 || !(1..=12).contains(&month) {
            return Err(wrong());
        }
        Ok(Self { year, month })
    }
}

/// What an environment has used, month by month.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// The months.
    #[serde(default)]
    pub months: BTreeMap<Month, MonthUse>,
    /// Files that were made part of another one, kept for plans that are reading them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<String>,
}

/// What was used in one month.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MonthUse {
    /// By model.
    #[serde(default)]
    pub models: BTreeMap<String, ModelUse>,
}

/// What one model has used in one month.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelUse {
    /// Different primary keys queried.
    pub queried_records: u64,
    /// Runs that queried it.
    pub runs: u64,
    /// Requests made to deliver its rows, by destination; transactions where the destination is a database.
    #[serde(default)]
    pub requests: BTreeMap<String, u64>,
    /// Files of its keys. Those of a month that is over are not kept: its number does not change any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// What a plan has queried of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Keys that were not queried in this month before; they are in `queried/MODEL.keys` beside the plan.
    pub new: u64,
}

/// What a plan has queried: counted when it is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queried {
    /// The month in which it did.
    pub month: Month,
    /// By model.
    pub models: BTreeMap<String, Query>,
}

impl Ledger {
    /// True when nothing was counted yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The files it names.
    pub fn files(&self) -> impl Iterator<Item = &String> {
        self.months.values().flat_map(|month| month.models.values()).flat_map(|model| &model.keys)
    }

    /// What a model has used in a month so far.
    pub fn model(&self, month: Month, model: &str) -> ModelUse {
        self.months.get(&month).and_then(|known| known.models.get(model)).cloned().unwrap_or_default()
    }

    /// Different primary keys of all models in a month.
    pub fn queried_records(&self, month: Month) -> u64 {
        let models = self.months.get(&month).into_iter().flat_map(|month| month.models.values());
        models.map(|model| model.queried_records).sum()
    }

    /// Counts requests made for a model's rows.
    pub fn count_requests(&mut self, month: Month, model: &str, destination: &str, requests: u64) {
        // Runs of earlier versions do not say whose they are.
        if requests > 0 && !model.is_empty() {
            let known = self.months.entry(month).or_default().models.entry(model.to_owned()).or_default();
            *known.requests.entry(destination.to_owned()).or_default() += requests;
        }
    }

    /// Notes what a run has queried. `added` has for each model what its files are now and what they hold together.
    pub fn count_run(&mut self, month: Month, added: Vec<(String, Counted)>) {
        self.retired.clear();
        let models = &mut self.months.entry(month).or_default().models;
        for (model, counted) in added {
            let known = models.entry(model).or_default();
            known.runs += 1;
            known.queried_records = counted.queried_records;
            let before = std::mem::replace(&mut known.keys, counted.keys);
            self.retired.extend(before.into_iter().filter(|file| !known.keys.contains(file)));
        }
    }

    /// Lets go of the keys of months before the last one, and of months long past.
    pub fn trim(&mut self, now: Month) {
        for (_, month) in self.months.range_mut(..now.before()) {
            month.models.values_mut().for_each(|model| self.retired.append(&mut model.keys));
        }
        while self.months.len() > MONTHS {
            self.months.pop_first();
        }
    }
}

/// The keys of a model and month after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Different keys.
    pub queried_records: u64,
    /// The files that hold them.
    pub keys: Vec<String>,
}

/// Where beside a plan the new keys of a model are.
pub fn keys_beside(plan: &std::path::Path, model: &str) -> PathBuf {
    plan.join("queried").join(format!("{model}.keys"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_utc() {
        for (instant, month) in [
            ("2026-11-30T23:59:59Z", "2026-11"),
            ("2026-12-01T00:00:00Z", "2026-12"),
            ("2026-12-01T00:30:00+01:00", "2026-11"),
            ("2026-01-01T00:00:00Z", "2026-01"),
        ] {
            assert_eq!(Month::of(instant.parse().unwrap()).to_string(), month, "{instant}");
        }
        assert_eq!("2026-01".parse::<Month>().unwrap().before().to_string(), "2025-12");
        assert_eq!("2024-02".parse::<Month>().unwrap().last_day(), "2024-02-29");
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in ["", "2026", "2026-13", "2026-00", "2026-1", "26-11", "2026-11-01", "+026-11", "0000-01", "२०२६-११"]
        {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_keys_of_a_closed_month_are_let_go_and_its_number_stays() {
        let month = |text: &str| text.parse::<Month>().unwrap();
        let mut ledger = Ledger::default();
        for name in ["2026-09", "2026-10", "2026-11"] {
            let counted = Counted { queried_records: 7, keys: vec![format!("usage/people.{name}.keys")] };
            ledger.count_run(month(name), vec![("people".into(), counted)]);
        }
        ledger.trim(month("2026-11"));
        assert_eq!(ledger.retired, ["usage/people.2026-09.keys"]);
        assert_eq!(ledger.files().count(), 2);
        assert_eq!(ledger.queried_records(month("2026-09")), 7);
    }
}
