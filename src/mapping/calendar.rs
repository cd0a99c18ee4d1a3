//! Dates, times and points in time: ISO 8601 text out, ISO 8601 text in. UTC throughout; no zone database, no clock.

use std::fmt::Write;

const NANOS: i128 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// What an ISO 8601 text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// A calendar date: days since 1970-01-01.
    Date(i32),
    /// A point in time: nanoseconds since the epoch; `zoned` when the text named an offset.
    Time {
        /// Nanoseconds since 1970-01-01T00:00:00, of UTC when `zoned`.
        nanos: i128,
        /// True when the text named an offset.
        zoned: bool,
    },
}

impl Moment {
    /// Nanoseconds since the epoch; dates begin at midnight, and what has no offset counts as UTC.
    pub(super) fn nanos(self) -> i128 {
        match self {
            Moment::Date(days) => i128::from(days) * i128::from(DAY_SECONDS) * NANOS,
            Moment::Time { nanos, .. } => nanos,
        }
    }

    /// The calendar date in UTC.
    pub(super) fn days(self) -> Option<i32> {
        match self {
            Moment::Date(days) => Some(days),
            Moment::Time { nanos, .. } => day_of(nanos),
        }
    }
}

/// The day a point in time falls on; `None` when it is too far away for a date.
pub(super) fn day_of(nanos: i128) -> Option<i32> {
    i32::try_from(nanos.div_euclid(NANOS * i128::from(DAY_SECONDS))).ok()
}

/// Reads an ISO 8601 date or date and time, with `T` or a space between, with or without offset. Named zones
/// (`[Europe/Berlin]`) are refused: what they mean depends on a database that changes.
pub(super) fn parse(text: &str) -> Option<Moment> {
    if text.contains('[') {
        return None;
    }
    let has_time = text.contains([':', 'T', 't', ' ']);
    if !has_time {
        let date: jiff::civil::Date = text.parse().ok()?;
        let days = days_from_civil(date.year().into(), date.month().into(), date.day().into());
        return Some(Moment::Date(i32::try_from(days).ok()?));
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(Moment::Time { nanos: instant.as_nanosecond(), zoned: true });
    }
    // The parser of wall clock readings would silently drop an offset it was not asked for.
    let clock = text.find(['T', 't', ' ']).map_or("", |at| &text[at..]);
    if clock.contains(['+', '-', 'Z', 'z']) {
        return None;
    }
    let wall: jiff::civil::DateTime = text.parse().ok()?;
    let utc = wall.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Moment::Time { nanos: utc.timestamp().as_nanosecond(), zoned: false })
}

/// `2026-01-31`; years beyond four digits with a sign, as ISO 8601 has it.
pub(super) fn date_text(days: i32) -> String {
    let mut out = String::with_capacity(10);
    push_date(&mut out, days.into());
    out
}

/// `08:30:00`, with a fraction only where it is not zero.
pub(super) fn time_text(nanos: i64) -> String {
    let mut out = String::with_capacity(8);
    if nanos < 0 {
        out.push('-');
    }
    push_time(&mut out, nanos.unsigned_abs());
    out
}

/// `2026-01-31T08:30:00Z`; without `Z` when it is a wall clock reading.
pub(super) fn timestamp_text(nanos: i128, zoned: bool) -> String {
    let mut out = String::with_capacity(20);
    let seconds = nanos.div_euclid(NANOS).clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    push_timestamp(&mut out, seconds, nanos.rem_euclid(NANOS) as u64, zoned);
    out
}

/// The same of seconds since the epoch and nanoseconds of the second, at the end of a text.
pub(super) fn push_timestamp(out: &mut String, seconds: i64, nanos: u64, zoned: bool) {
    push_date(out, seconds.div_euclid(DAY_SECONDS));
    out.push('T');
    push_time(out, seconds.rem_euclid(DAY_SECONDS) as u64 * NANOS as u64 + nanos);
    if zoned {
        out.push('Z');
    }
}

/// An ISO 8601 duration of months, days and nanoseconds: `P14M3DT0.5S`, `PT0S`.
pub(super) fn duration_text(months: i64, days: i64, nanos: i128) -> String {
    let mut out = String::from("P");
    // Writing into a `String` cannot fail.
    if months != 0 {
        let _ = write!(out, "{months}M");
    }
    if days != 0 {
        let _ = write!(out, "{days}D");
    }
    if nanos != 0 || (months == 0 && days == 0) {
        let sign = if nanos < 0 { "-" } else { "" };
        let _ = write!(out, "T{sign}{}", nanos.unsigned_abs() / NANOS as u128);
        push_fraction(&mut out, (nanos.unsigned_abs() % NANOS as u128) as u64);
        out.push('S');
    }
    out
}

pub(super) fn push_date(out: &mut String, days: i64) {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        [year / 100, year % 100].into_iter().for_each(|part| push_two(out, part));
    } else {
        let _ = write!(out, "{year:+05}");
    }
    for part in [month, day] {
        out.push('-');
        push_two(out, part);
    }
}

/// Two digits. Every record may have a date, and the formatter is slow.
fn push_two(out: &mut String, number: i64) {
    for digit in [number / 10, number % 10] {
        out.push(char::from_digit(u32::try_from(digit).unwrap_or_default(), 10).unwrap_or('0'));
    }
}

fn push_time(out: &mut String, nanos: u64) {
    let seconds = nanos / NANOS as u64;
    let hours = i64::try_from(seconds / 3600).unwrap_or_default();
    if hours < 100 {
        push_two(out, hours);
    } else {
        let _ = write!(out, "{hours}");
    }
    for part in [seconds / 60 % 60, seconds % 60] {
        out.push(':');
        push_two(out, i64::try_from(part).unwrap_or_default());
    }
    push_fraction(out, nanos % NANOS as u64);
}

fn push_fraction(out: &mut String, nanos: u64) {
    if nanos != 0 {
        let _ = write!(out, ".{nanos:09}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Year, month and day of a day number (proleptic Gregorian; Howard Hinnant's algorithm). Takes all day numbers that
/// seconds in an `i64` can make.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(date_text(0), "1970-01-01");
        assert_eq!(date_text(-1), "1969-12-31");
        assert_eq!(date_text(20_484), "2026-01-31");
        assert_eq!(date_text(11_016), "2000-02-29");
        assert_eq!(date_text(2_932_897), "+10000-01-01");
        assert_eq!(date_text(-719_529), "-0001-12-31");
        assert_eq!(time_text(30_600_000_000_000), "08:30:00");
        assert_eq!(time_text(30_600_120_000_000), "08:30:00.12");
        assert_eq!(timestamp_text(-1, true), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(timestamp_text(1_769_848_200_000_000_000, false), "2026-01-31T08:30:00");
        assert_eq!(duration_text(0, 0, 0), "PT0S");
        assert_eq!(duration_text(14, -3, 500_000_000), "P14M-3DT0.5S");
        assert_eq!(duration_text(0, 0, -1_500_000_000), "PT-1.5S");
        // Extremes must not panic.
        for nanos in [i128::MIN, i128::MAX, i128::from(i64::MIN) * NANOS, i128::from(i64::MAX) * NANOS] {
            assert!(timestamp_text(nanos, true).ends_with('Z'));
        }
        assert_eq!(date_text(i32::MIN), "-5877641-06-23");
        assert_eq!(date_text(i32::MAX), "+5881580-07-11");
        assert_eq!(time_text(i64::MIN), "-2562047:47:16.854775808");
    }

    #[test]
    fn reading() {
        let nanos = 1_769_848_200 * NANOS;
        let cases = [
            ("2026-01-31", Some(Moment::Date(20_484))),
            ("2026-01-31T08:30:00Z", Some(Moment::Time { nanos, zoned: true })),
            ("2026-01-31 10:30:00+02:00", Some(Moment::Time { nanos, zoned: true })),
            ("2026-01-31T08:30:00", Some(Moment::Time { nanos, zoned: false })),
            ("2026-01-31 08:30", Some(Moment::Time { nanos, zoned: false })),
            ("2026-01-31T08:30:00.5", Some(Moment::Time { nanos: nanos + NANOS / 2, zoned: false })),
            ("2026-01-31T09:30:00+01:00[Europe/Berlin]", None),
            ("2026-02-30", None),
            ("31.01.2026", None),
            ("08:30:00", None),
            ("1769848200", None),
            ("", None),
            (" ", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn day_numbers_go_there_and_back() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
