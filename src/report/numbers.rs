//! Numbers as people read them.

/// A number in groups of three, separated by plain spaces: `1 204`.
pub fn group(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// `1 row`, `2 rows`, `1 204 rows`.
pub(super) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", group(n), if n == 1 { one } else { many })
}

/// Seconds in the largest fitting unit, rounded up: `45 s`, `13 min`, `3 h`, `2 days`.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        7_200..=172_799 => format!("{} h", seconds.div_ceil(3_600)),
        _ => count(seconds.div_ceil(86_400), "day", "days"),
    }
}

/// `part` of `whole` in percent, with one decimal place; 0 when there is no whole. Anything there is stays visible:
/// at least 0.1.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 || part == 0 {
        return 0.0;
    }
    ((part as f64 / whole as f64 * 1000.0).round() / 10.0).clamp(0.1, 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_three() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (48_224, "48 224"), (1_500_000, "1 500 000")] {
            assert_eq!(group(n), text);
        }
        assert_eq!(group(u64::MAX), "18 446 744 073 709 551 615");
    }

    #[test]
    fn durations_are_rounded_up() {
        for (s, text) in [(0, "0 s"), (119, "119 s"), (121, "3 min"), (7_200, "2 h"), (200_000, "3 days")] {
            assert_eq!(duration(s), text);
        }
    }

    #[test]
    fn a_small_part_is_still_seen() {
        assert_eq!(percent(1, 1_000_000), 0.1);
        assert_eq!(percent(0, 10), 0.0);
        assert_eq!(percent(3, 0), 0.0);
        assert_eq!(percent(1, 3), 33.3);
    }
}
