//! Intervals as text.

use std::fmt::Write;

/// An interval of months, days and nanoseconds in ISO 8601, as PostgreSQL writes it with `intervalstyle = iso_8601`:
/// `P1Y2M3DT4H5M6.5S`, `PT0S`, `P-1DT-0.5S`.
pub(super) fn interval(months: i64, days: i64, nanos: i128) -> String {
    let mut text = String::from("P");
    let mut part = |value: i128, unit: char| {
        if value != 0 {
            // Writing into a `String` cannot fail.
            let _ = write!(text, "{value}{unit}");
        }
    };
    part((months / 12).into(), 'Y');
    part((months % 12).into(), 'M');
    part(days.into(), 'D');
    if nanos != 0 {
        const SECOND: i128 = 1_000_000_000;
        text.push('T');
        let (hours, minutes, rest) = (nanos / (3600 * SECOND), nanos / (60 * SECOND) % 60, nanos % (60 * SECOND));
        for (value, unit) in [(hours, 'H'), (minutes, 'M')] {
            if value != 0 {
                let _ = write!(text, "{value}{unit}");
            }
        }
        if rest != 0 {
            let sign = if rest < 0 { "-" } else { "" };
            let (seconds, fraction) = (rest.abs() / SECOND, rest.abs() % SECOND);
            let _ = write!(text, "{sign}{seconds}");
            if fraction != 0 {
                let _ = write!(text, ".{}", format!("{fraction:09}").trim_end_matches('0'));
            }
            text.push('S');
        }
    }
    if text.len() == 1 { "PT0S".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let cases = [
            (0, 0, 0, "PT0S"),
            (14, 3, 14_706_500_000_000, "P1Y2M3DT4H5M6.5S"),
            (0, -1, -500_000_000, "P-1DT-0.5S"),
            (-1, 0, 1, "P-1MT0.000000001S"),
            (0, 0, 360_000_000_000_000, "PT100H"),
            (0, 0, -3_661_000_000_000, "PT-1H-1M-1S"),
        ];
        for (months, days, nanos, expected) in cases {
            assert_eq!(interval(months, days, nanos), expected);
        }
        interval(i64::MIN, i64::MIN, i128::from(i64::MIN) * 1_000_000_000);
    }
}
