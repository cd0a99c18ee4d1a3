//! What is said of a test that fails.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::manifest::sync::Limit;

/// Accepted values that are listed before the rest is counted.
const LISTED: usize = 6;

pub(super) fn rows(n: u64) -> String {
    format!("{n} {}", if n == 1 { "row" } else { "rows" })
}

fn have(n: u64) -> &'static str {
    if n == 1 { "has" } else { "have" }
}

pub(super) fn not_null(column: &str, n: u64) -> String {
    format!("{} {} no `{column}`", rows(n), have(n))
}

pub(super) fn unique(columns: &[String], n: u64) -> String {
    format!("{} share their {} with another", rows(n), listed(columns, "and"))
}

pub(super) fn accepted(column: &str, values: &[Value], n: u64) -> String {
    let shown: Vec<String> = values
        .iter()
        .take(LISTED)
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    let more = if values.len() > LISTED { format!(" and {} more", values.len() - LISTED) } else { String::new() };
    let joint = if more.is_empty() { "or" } else { "," };
    format!("{} {} another `{column}` than {}{more}", rows(n), have(n), listed(&shown, joint))
}

pub(super) fn related(column: &str, model: &str, to: &str, n: u64) -> String {
    format!("the `{column}` of {} is no `{to}` of model `{model}`", rows(n))
}

pub(super) fn statement(n: u64) -> String {
    format!("its statement gives {}", rows(n))
}

/// Why a number of rows is not what it must be; `None` when it is.
pub(super) fn row_count(
    n: u64,
    (min, max, max_change): (Option<u64>, Option<u64>, Option<Limit>),
    before: Option<u64>,
) -> Option<String> {
    if let Some(min) = min.filter(|min| n < *min) {
        return Some(match n {
            0 => format!("the model is empty, the fewest rows are {min}"),
            n => format!("the model has {}, the fewest are {min}", rows(n)),
        });
    }
    if let Some(max) = max.filter(|max| n > *max) {
        return Some(format!("the model has {}, the most are {max}", rows(n)));
    }
    let (limit, before) = (max_change?, before?);
    if limit.allows(n.abs_diff(before), before) {
        return None;
    }
    let way = if n < before { "fewer" } else { "more" };
    Some(format!(
        "the model has {}, {} {way} than the {before} of the last run; the most is {limit}",
        rows(n),
        n.abs_diff(before)
    ))
}

/// Why the newest row is too old; `None` when it is not. `newest` are Unix seconds.
pub(super) fn freshness(
    column: &str,
    newest: Option<i64>,
    max_age: SignedDuration,
    written: &str,
    now: Timestamp,
) -> Option<String> {
    let Some(seconds) = newest else { return Some(format!("no row has a time in `{column}`")) };
    // Unix milliseconds: as seconds they would be thousands of years from now.
    let seconds = if seconds.abs() > 100_000_000_000 { seconds / 1000 } else { seconds };
    let age = SignedDuration::from_secs(now.as_second().saturating_sub(seconds));
    if age <= max_age {
        return None;
    }
    let when = Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |when| when.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    Some(format!("the newest `{column}` is {when}, {} ago; the most is {written}", span(age)))
}

/// A span in its two largest units.
fn span(age: SignedDuration) -> String {
    let minutes = age.as_secs() / 60;
    let parts = [(minutes / 1440, "day"), (minutes / 60 % 24, "hour"), (minutes % 60, "minute")];
    let told = parts.iter().filter(|(n, _)| *n > 0).take(2);
    let words: Vec<String> = told.map(|(n, unit)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" })).collect();
    if words.is_empty() { format!("{} seconds", age.as_secs()) } else { words.join(" ") }
}

fn listed(names: &[String], joint: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() && joint != "," => format!("{} {joint} {last}", rest.join(", ")),
        all => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_rows() {
        let percent = |p| Some(Limit::Percent(p));
        for (n, limits, before, said) in [
            (10, (Some(1), Some(10), None), None, None),
            (0, (Some(1), None, None), None, Some("the model is empty, the fewest rows are 1")),
            (9, (Some(10), None, None), None, Some("the model has 9 rows, the fewest are 10")),
            (11, (None, Some(10), None), None, Some("the model has 11 rows, the most are 10")),
            (80, (None, None, percent(20.0)), Some(100), None),
            (
                79,
                (None, None, percent(20.0)),
                Some(100),
                Some("the model has 79 rows, 21 fewer than the 100 of the last run; the most is 20%"),
            ),
            (
                121,
                (None, None, percent(20.0)),
                Some(100),
                Some("the model has 121 rows, 21 more than the 100 of the last run; the most is 20%"),
            ),
            (79, (None, None, percent(20.0)), None, None),
            (105, (None, None, Some(Limit::Count(5))), Some(100), None),
            (
                106,
                (None, None, Some(Limit::Count(5))),
                Some(100),
                Some("the model has 106 rows, 6 more than the 100 of the last run; the most is 5"),
            ),
        ] {
            assert_eq!(row_count(n, limits, before).as_deref(), said, "{n} {limits:?} {before:?}");
        }
    }

    #[test]
    fn the_age_of_the_newest_row() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let seconds = |text: &str| Some(text.parse::<Timestamp>().unwrap().as_second());
        let day = SignedDuration::from_hours(24);
        for (newest, said) in [
            (seconds("2026-11-28T12:00:00Z"), None),
            (seconds("2026-12-01T00:00:00Z"), None),
            (
                seconds("2026-11-28T11:59:59Z"),
                Some("the newest `at` is 2026-11-28 11:59:59 UTC, 1 day ago; the most is 24h"),
            ),
            (
                seconds("2026-11-20T06:30:00Z"),
                Some("the newest `at` is 2026-11-20 06:30:00 UTC, 9 days 5 hours ago; the most is 24h"),
            ),
            (
                seconds("2026-11-20T06:30:00Z").map(|s| s * 1000),
                Some("the newest `at` is 2026-11-20 06:30:00 UTC, 9 days 5 hours ago; the most is 24h"),
            ),
            (None, Some("no row has a time in `at`")),
        ] {
            assert_eq!(freshness("at", newest, day, "24h", now).as_deref(), said);
        }
    }

    #[test]
    fn rows_that_fail() {
        let text = |values: &[&str]| values.iter().map(|v| Value::from(*v)).collect::<Vec<_>>();
        assert_eq!(not_null("email", 1), "1 row has no `email`");
        assert_eq!(unique(&["a".into(), "b".into()], 4), "4 rows share their `a` and `b` with another");
        assert_eq!(accepted("plan", &text(&["free"]), 2), "2 rows have another `plan` than `free`");
        assert_eq!(
            accepted("plan", &text(&["a", "b", "c", "d", "e", "f", "g", "h"]), 2),
            "2 rows have another `plan` than `a`, `b`, `c`, `d`, `e`, `f` and 2 more"
        );
        assert_eq!(related("team", "teams", "id", 1), "the `team` of 1 row is no `id` of model `teams`");
    }
}
