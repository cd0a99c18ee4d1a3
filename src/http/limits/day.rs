//! One limit by calendar day: counted, with what others used, until the day is over where the vendor is.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::LimitError;
use crate::manifest::sync::Limit;

/// Requests of one day.
#[derive(Debug, Clone)]
pub(super) struct Day {
    limit: u64,
    reserve: u64,
    zone: TimeZone,
    today: Date,
    used: u64,
}

impl Day {
    pub(super) fn new(limit: u32, reserve: Option<Limit>, zone: TimeZone, wall: Timestamp) -> Self {
        let limit = u64::from(limit);
        let reserve = match reserve {
            None => 0,
            Some(Limit::Count(count)) => count,
            Some(Limit::Percent(percent)) => (limit as f64 * percent / 100.0).ceil() as u64,
        };
        let today = wall.to_zoned(zone.clone()).date();
        Self { limit, reserve: reserve.min(limit), zone, today, used: 0 }
    }

    /// Begins anew when the day is another one. A clock that is set back does not.
    pub(super) fn look(&mut self, wall: Timestamp) {
        let today = wall.to_zoned(self.zone.clone()).date();
        if today > self.today {
            (self.today, self.used) = (today, 0);
        }
    }

    pub(super) fn go(&mut self) {
        self.used += 1;
    }

    /// What others say was used; what we have sent ourselves may not be in it yet.
    pub(super) fn set_used(&mut self, used: u64) {
        self.used = self.used.max(used);
    }

    pub(super) fn left(&self) -> u64 {
        (self.limit - self.reserve).saturating_sub(self.used)
    }

    /// When the next day begins.
    fn resets(&self) -> Timestamp {
        let next = self.today.checked_add(1.day()).ok().and_then(|date| date.to_zoned(self.zone.clone()).ok());
        next.map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }

    pub(super) fn exhausted(&self, name: &str) -> LimitError {
        let resets = self.resets();
        let (used, limit) = (self.used, self.limit);
        let reserve = match self.reserve {
            0 => String::new(),
            reserve => format!(", {reserve} are left to others (`reserve`)"),
        };
        let then = resets.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string();
        LimitError::Exhausted {
            bucket: name.to_owned(),
            resets,
            message: format!(
                "the limit `{name}` is used up: {used} of {limit} requests of the day are used{reserve}; it begins anew at {then}"
            ),
        }
    }

    /// The least seconds for so many requests: what does not fit into today waits for the days after it.
    pub(super) fn seconds(&self, requests: u64, wall: Timestamp) -> f64 {
        let Some(over) = requests.checked_sub(self.left() + 1) else { return 0.0 };
        match self.limit - self.reserve {
            0 => f64::INFINITY,
            each => (self.resets() - wall).total(jiff::Unit::Second).unwrap_or(0.0) + (over / each) as f64 * 86400.0,
        }
    }
}
