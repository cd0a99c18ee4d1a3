//! Spans, cron expressions and time zones, read with the place of what is wrong.

use std::ops::Range;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit};

/// Shortest span between two runs, in seconds.
const SHORTEST: i64 = 60;
/// Longest span between two runs, in seconds: ten years. What is longer is a slip of the pen.
const LONGEST: i64 = 10 * 366 * 86_400;
/// The parts of a cron expression in their order.
const PARTS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];
/// Where a calendar is looked through from; a leap year.
const BEGINNING: &str = "2000-01-01T00:00:00Z";

/// Something that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which bytes of the text are at fault; all of them when `None`.
    pub range: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { range: None, message: message.into(), help: help.into() }
    }
}

/// A span of time such as `24h`, `15m` or `7d`: at least a minute. Days, months and years are those of UTC.
///
/// # Errors
/// Not a span, shorter than a minute, or longer than ten years.
pub fn span(text: &str) -> Result<Span, Wrong> {
    let help = "write `15m`, `24h` or `7d`";
    let span = text.parse::<Span>().ok().filter(|span| span.is_positive());
    let Some(span) = span else { return Err(Wrong::new(format!("`{text}` is not a span of time"), help)) };
    let beginning = beginning().to_zoned(TimeZone::UTC);
    let seconds = span.total((Unit::Second, &beginning)).unwrap_or(f64::MAX);
    if seconds < SHORTEST as f64 {
        return Err(Wrong::new(format!("`{text}` is less than a minute"), "a sync runs at most once a minute"));
    }
    if seconds > LONGEST as f64 {
        return Err(Wrong::new(format!("`{text}` is more than ten years"), help));
    }
    Ok(span)
}

/// A moment and a span, in UTC; `None` beyond the end of the calendar.
pub(super) fn later(from: Timestamp, span: Span) -> Option<Timestamp> {
    from.to_zoned(TimeZone::UTC).checked_add(span).ok().map(|at| at.timestamp())
}

/// A cron expression of five parts.
///
/// # Errors
/// Not five parts, a part that cannot be read (its range is given), or a date that never comes.
pub fn cron(text: &str) -> Result<Cron, Wrong> {
    let help = "minute, hour, day of month, month, day of week: `0 6 * * *` is every day at six";
    let parts: Vec<(usize, &str)> = parts(text);
    if parts.len() != PARTS.len() {
        return Err(Wrong::new(format!("`{text}` is not a cron expression of five parts"), help));
    }
    for (at, (start, part)) in parts.iter().enumerate() {
        // Each part alone, so that the one at fault is known.
        let alone: Vec<&str> = (0..PARTS.len()).map(|other| if other == at { *part } else { "*" }).collect();
        if !readable(part) || parser().parse(&alone.join(" ")).is_err() {
            let name = PARTS.get(at).unwrap_or(&"part");
            let message = format!("`{part}` is no {name} of a cron expression");
            return Err(Wrong { range: Some(*start..start + part.len()), ..Wrong::new(message, expected(at)) });
        }
    }
    let cron = parser().parse(text).map_err(|_| Wrong::new(format!("`{text}` is not a cron expression"), help))?;
    if !comes(&parts) {
        return Err(Wrong::new(format!("`{text}` never comes"), "there is no such day in any year"));
    }
    Ok(cron)
}

/// True when there is a day that fits. croner would look for it until the year 5000, which takes minutes; the calendar
/// repeats, with weekdays, every 28 years.
fn comes(parts: &[(usize, &str)]) -> bool {
    let days: Vec<&str> = parts.iter().skip(2).map(|(_, part)| *part).collect();
    let Ok(days) = parser().parse(&format!("* * {}", days.join(" "))) else { return false };
    let first = beginning().to_zoned(TimeZone::UTC);
    let mut all = (0..28 * 366).filter_map(|day| first.checked_add(Span::new().days(day)).ok());
    all.any(|day| days.is_time_matching(&day).unwrap_or(false))
}

/// A time zone by its name, such as `Europe/Berlin`.
///
/// # Errors
/// There is none of this name.
pub fn zone(name: &str) -> Result<TimeZone, Wrong> {
    TimeZone::get(name)
        .map_err(|_| Wrong::new(format!("there is no time zone `{name}`"), "write a name such as `Europe/Berlin`"))
}

/// The first time of a calendar after a moment.
pub(super) fn tick(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let after = Timestamp::from_second(after.as_second()).ok()?;
    cron.find_next_occurrence(&after.to_zoned(zone.clone()), false).ok().map(|at| at.timestamp())
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

fn beginning() -> Timestamp {
    BEGINNING.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The parts of a text with where they begin.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let start = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(|part| (start(part), part)).collect()
}

fn readable(part: &str) -> bool {
    part.split(',').all(|item| !item.is_empty())
        && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '*' | '/' | ',' | '-' | '?' | '#'))
}

fn expected(part: usize) -> &'static str {
    match part {
        0 => "a minute is 0 to 59, `*`, `*/15`, `0,30` or `0-10`",
        1 => "an hour is 0 to 23, `*`, `*/6`, `6,18` or `8-18`",
        2 => "a day of the month is 1 to 31, `*`, `L` (the last), `1,15` or `1-7`",
        3 => "a month is 1 to 12 or JAN to DEC, `*`, `*/3`, `1,7` or `JUN-AUG`",
        _ => "a day of the week is 0 to 7 or SUN to SAT (0 and 7 are Sunday), `*`, `MON-FRI` or `MON#1` (the first)",
    }
}
