//! Schedules and moments in words.

use jiff::Timestamp;
use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use jiff::tz::TimeZone;

use super::{Timetable, When};

impl Timetable {
    /// What it says, without when that is: ``every 24 hours``.
    pub(super) fn words(&self) -> String {
        match &self.when {
            When::Every(span) => {
                let printer =
                    SpanPrinter::new().designator(Designator::Verbose).spacing(Spacing::BetweenUnitsAndDesignators);
                format!("every {}", printer.span_to_string(span))
            }
            When::Cron { cron, written, zone_name, .. } => {
                let said = cron.describe();
                let said = said.trim_end_matches('.');
                let mut said =
                    said.strip_prefix("At ").filter(|rest| rest.starts_with("every")).unwrap_or(said).chars();
                let first = said.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
                format!("{first}{}, {zone_name} (`{written}`)", said.as_str())
            }
            When::After { syncs, .. } => format!("after {}", either(syncs.iter().map(String::as_str))),
        }
    }

    /// The zone its times are said in.
    pub(super) fn zone(&self) -> TimeZone {
        match &self.when {
            When::Cron { zone, .. } => zone.clone(),
            When::Every(_) | When::After { .. } => TimeZone::UTC,
        }
    }
}

/// Names in a row: `` `a`, `b` or `c` ``.
pub(super) fn either<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.join(""),
    }
}

/// A moment as people say it, and how far off it is: `Mon 30 Nov 2026, 06:00 UTC (in 19 h)`.
pub fn moment(at: Timestamp, zone: &TimeZone, now: Timestamp) -> String {
    let said = at.to_zoned(zone.clone()).strftime("%a %d %b %Y, %H:%M %Z").to_string();
    let seconds = at.as_second().saturating_sub(now.as_second());
    if seconds <= 0 { said } else { format!("{said} ({})", ahead(seconds)) }
}

/// How far off something is: the two largest units, rounded up to the minute.
fn ahead(seconds: i64) -> String {
    let minutes = seconds.saturating_add(59) / 60;
    let (days, hours, rest) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    let (large, small) = match (days, hours, rest) {
        (0, 0, minutes) => (format!("{minutes} min"), None),
        (0, hours, 0) => (format!("{hours} h"), None),
        (0, hours, minutes) => (format!("{hours} h"), Some(format!("{minutes} min"))),
        (1, hours, _) => ("1 day".into(), (hours > 0).then(|| format!("{hours} h"))),
        (days, hours, _) => (format!("{days} days"), (hours > 0).then(|| format!("{hours} h"))),
    };
    match small {
        Some(small) => format!("in {large} {small}"),
        None => format!("in {large}"),
    }
}
