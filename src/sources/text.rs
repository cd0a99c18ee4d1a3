//! Reading text as a value, only where no character is lost: what untyped files and SQLite give is text.
//!
//! | text | read as |
//! |---|---|
//! | `12`, `-7` (up to 18 digits) | whole number |
//! | `1.5`, `-0.25` | floating point number, when the number gives the same digits back |
//! | `true`, `false` | boolean |
//! | `2026-11-22` | date |
//! | `2026-11-22 10:00`, `2026-11-22T10:00:00.5` | timestamp, a wall clock reading |
//! | `2026-11-22T10:00:00Z`, `…+01:00` | timestamp, an instant |
//! | `007`, `+4930123`, `1e5`, `.5`, `-0`, 19 digits and more | text |

/// What a piece of text can be read as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reading {
    /// A whole number, and how many digits it has.
    Int { digits: u32 },
    /// A floating point number: digits after the point, and whether the last of them is a zero.
    Float { decimals: u32, trailing_zero: bool },
    /// `true` or `false`.
    Boolean,
    /// A calendar date.
    Date,
    /// A wall clock reading.
    Timestamp,
    /// A point in time.
    Instant,
    /// Nothing but text.
    Text,
}

/// What `text` can be read as; the narrowest of the kinds.
pub(super) fn reading(text: &str) -> Reading {
    match text.as_bytes().first() {
        Some(b't' | b'f') => boolean(text).map_or(Reading::Text, |_| Reading::Boolean),
        Some(b'0'..=b'9' | b'-') => number_or_time(text),
        _ => Reading::Text,
    }
}

fn number_or_time(text: &str) -> Reading {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match unsigned.bytes().position(|b| !b.is_ascii_digit()) {
        None => integer(text).map_or(Reading::Text, |_| Reading::Int { digits: unsigned.len() as u32 }),
        Some(at) if unsigned.as_bytes().get(at) == Some(&b'.') => match is_float(text) {
            true => {
                Reading::Float { decimals: (unsigned.len() - at - 1) as u32, trailing_zero: unsigned.ends_with('0') }
            }
            false => Reading::Text,
        },
        Some(_) if date(text).is_some() => Reading::Date,
        Some(_) => match timestamp(text) {
            Some((_, true)) => Reading::Instant,
            Some((_, false)) => Reading::Timestamp,
            None => Reading::Text,
        },
    }
}

/// A whole number as people and machines write it: no plus sign, no leading zeros, at most 18 digits.
pub(super) fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
    if !plain || (digits.starts_with('0') && text != "0") {
        return None;
    }
    text.parse().ok()
}

/// A number with a point that a 64-bit float gives back digit by digit (but for zeros at its end).
pub(super) fn float(text: &str) -> Option<f64> {
    if is_float(text) { text.parse().ok() } else { None }
}

/// Whether [`float`] reads the text, without making a number of it where that can be seen.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let Some((whole, fraction)) = unsigned.split_once('.') else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return false;
    }
    // Minus zero is not written back with its sign.
    if text.starts_with('-') && unsigned.bytes().all(|b| matches!(b, b'0' | b'.')) {
        return false;
    }
    // Up to 15 significant digits always survive; beyond, look.
    whole.len() + fraction.len() <= 15 || {
        let fraction = fraction.trim_end_matches('0');
        let canonical = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
        unsigned.parse::<f64>().is_ok_and(|value| format!("{value}") == canonical)
    }
}

/// Exactly `true` or `false`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether the text is a decimal number without exponent, of any length.
pub(super) fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction)
}

/// A decimal text as a whole number of units of `10^-scale`; `None` when it has more decimals or does not fit.
pub(super) fn scaled(text: &str, scale: i8) -> Option<i128> {
    if !is_decimal(text) {
        return None;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let fraction = fraction.trim_end_matches('0');
    let scale = usize::try_from(scale).ok()?;
    let padding = scale.checked_sub(fraction.len())?;
    let mut value = 0_i128;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', padding)) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    Some(if text.starts_with('-') { -value } else { value })
}

/// `YYYY-MM-DD` as days since 1970-01-01; `None` also for days the calendar does not have.
pub(super) fn date(text: &str) -> Option<i32> {
    let b: &[u8; 10] = text.as_bytes().try_into().ok()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *b else { return None };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || year == 0 {
        return None;
    }
    // Days from the civil calendar, years starting in March (Hinnant).
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let of_era = y % 400;
    let days = y / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1;
    i32::try_from(days - 719_468).ok()
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff` as microseconds since midnight; finer fractions are not read.
pub(super) fn time(text: &str) -> Option<i64> {
    micros(time_nanos(text)?)
}

/// Nanoseconds as microseconds, where they are whole ones.
fn micros(nanos: i64) -> Option<i64> {
    (nanos % 1_000 == 0).then_some(nanos / 1_000)
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fffffffff` as nanoseconds since midnight; finer fractions are not read.
pub(super) fn time_nanos(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let (clock, fraction) = b.split_at_checked(8).unwrap_or((b, &[]));
    let (hour, minute, second) = match *clock {
        [h1, h2, b':', m1, m2] => (pair(h1, h2)?, pair(m1, m2)?, 0),
        [h1, h2, b':', m1, m2, b':', s1, s2] => (pair(h1, h2)?, pair(m1, m2)?, pair(s1, s2)?),
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() => {
            let mut value = 0;
            for (at, digit) in digits.iter().enumerate() {
                match (at, digit) {
                    (0..9, b'0'..=b'9') => value = value * 10 + i64::from(digit - b'0'),
                    (_, b'0') => {}
                    _ => return None,
                }
            }
            value * 10_i64.pow(9_u32.saturating_sub(digits.len() as u32))
        }
        _ => return None,
    };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nanos)
}

/// An ISO timestamp as microseconds since 1970-01-01T00:00:00, and whether it names an instant (`Z` or an offset).
pub(super) fn timestamp(text: &str) -> Option<(i64, bool)> {
    let (minutes, nanos, instant) = moment(text)?;
    Some((minutes * 60_000_000 + micros(nanos)?, instant))
}

/// The same in nanoseconds, of which 64 bits hold those of the years 1678 to 2261.
pub(super) fn timestamp_nanos(text: &str) -> Option<(i64, bool)> {
    let (minutes, nanos, instant) = moment(text)?;
    Some((minutes.checked_mul(60_000_000_000)?.checked_add(nanos)?, instant))
}

/// An ISO timestamp as minutes since 1970-01-01T00:00:00 and nanoseconds after these, and whether it names an instant.
fn moment(text: &str) -> Option<(i64, i64, bool)> {
    let (day, rest) = text.split_at_checked(10)?;
    let clock = rest.strip_prefix(['T', ' '])?;
    let days = i64::from(date(day)?);
    let (clock, offset) = match clock.bytes().position(|b| matches!(b, b'Z' | b'+' | b'-')) {
        Some(at) => {
            let (clock, zone) = clock.split_at_checked(at)?;
            (clock, Some(zone_offset(zone)?))
        }
        None => (clock, None),
    };
    Some((days * 1_440 - offset.unwrap_or(0), time_nanos(clock)?, offset.is_some()))
}

/// Minutes east of UTC: `Z`, `+01`, `+0100`, `+01:00`.
fn zone_offset(zone: &str) -> Option<i64> {
    let (sign, hours, minutes) = match *zone.as_bytes() {
        [b'Z'] => return Some(0),
        [sign, h1, h2] => (sign, pair(h1, h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, pair(h1, h2)?, pair(m1, m2)?),
        _ => return None,
    };
    if hours > 18 || minutes > 59 {
        return None;
    }
    let offset = hours * 60 + minutes;
    Some(if sign == b'-' { -offset } else { offset })
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    let digit = |b: u8| b.is_ascii_digit().then(|| i64::from(b - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_text_is_read_as() {
        let cases = [
            ("12", "Int"),
            ("-7", "Int"),
            ("0", "Int"),
            ("999999999999999999", "Int"),
            ("1234567890123456789", "Text"),
            ("007", "Text"),
            ("-0", "Text"),
            ("-", "Text"),
            ("+4930123456", "Text"),
            ("1e5", "Text"),
            ("1.5", "Float"),
            ("-0.25", "Float"),
            ("1.50", "Float"),
            ("00.5", "Text"),
            (".5", "Text"),
            ("5.", "Text"),
            ("-0.0", "Text"),
            ("1.2.3", "Text"),
            ("0.1234567890123456789", "Text"),
            ("true", "Boolean"),
            ("True", "Text"),
            ("t", "Text"),
            ("2026-11-22", "Date"),
            ("2024-02-29", "Date"),
            ("2023-02-29", "Text"),
            ("2026-13-01", "Text"),
            ("2026-11-22 10:00", "Timestamp"),
            ("2026-11-22T10:00:00.123456", "Timestamp"),
            ("2026-11-22T10:00:00.1234567", "Text"),
            ("2026-11-22T10:00:00Z", "Instant"),
            ("2026-11-22 10:00:00+01:00", "Instant"),
            ("2026-11-22T24:00:00", "Text"),
            ("2026-11-22T", "Text"),
            ("äöü", "Text"),
            ("1234-äöü-1", "Text"),
        ];
        for (text, expected) in cases {
            let got = format!("{:?}", reading(text));
            assert!(got.starts_with(expected), "{text}: {got}, not {expected}");
        }
    }

    #[test]
    fn offsets_become_utc() {
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00"), Some((0, true)));
        assert_eq!(timestamp("1970-01-01 00:00:01.5"), Some((1_500_000, false)));
        assert_eq!(timestamp("1969-12-31T23:30:00-0030"), Some((0, true)));
    }

    #[test]
    fn decimals_are_scaled_or_refused() {
        assert_eq!(scaled("12.50", 2), Some(1250));
        assert_eq!(scaled("-1", 2), Some(-100));
        assert_eq!(scaled("1.234", 2), None);
        assert_eq!(scaled("1e5", 2), None);
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(days in -719_162_i32..2_932_896) {
            let epoch = jiff::civil::date(1970, 1, 1);
            let day = epoch.checked_add(jiff::Span::new().days(days)).unwrap();
            prop_assert_eq!(date(&day.to_string()), Some(days));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (reading(&text), timestamp(&text), time(&text), scaled(&text, 3), float(&text));
        }

        #[test]
        fn what_is_a_float_gives_its_digits_back(text in "-?[1-9][0-9]{0,12}\\.[0-9]{0,9}[1-9]") {
            if let Some(value) = float(&text) {
                prop_assert_eq!(format!("{value}"), text);
            }
        }
    }
}
