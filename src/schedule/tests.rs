//! Case tables: what is written, what has run, what time it is, and what is said of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A schedule as it stands in a manifest, in JSON.
fn timetable(text: &str) -> Timetable {
    let schedule: Schedule = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    Timetable::new(&schedule).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

fn ran(number: u64, begun_at: &str, outcome: &str) -> Ran {
    let outcome = serde_json::from_value(outcome.into()).unwrap();
    Ran { run_id: format!("run-{number:04}"), begun_at: at(begun_at), outcome }
}

/// Schedule; last run, `-` for none, with how it ended; now; next; what is said. A sync is due when that says so.
type Clock = (&'static str, &'static str, &'static str, &'static str, &'static str);

const EVERY_DAY: &str = r#"{"every": "24h"}"#;
const AT_SIX: &str = r#"{"cron": "0 6 * * *", "timezone": "Europe/Berlin"}"#;
const HALF_PAST_TWO: &str = r#"{"cron": "30 2 * * *", "timezone": "Europe/Berlin"}"#;
const EACH_QUARTER: &str = r#"{"cron": "*/15 * * * *", "timezone": "Europe/Berlin"}"#;

#[rustfmt::skip]
const CLOCK: &[Clock] = &[
    // A span: so long after the last run began, to the second.
    (EVERY_DAY, "-", "2026-03-10T08:00:00Z", "2026-03-11T08:00:00Z",
     "every 24 hours; due now: it has not run yet"),
    (EVERY_DAY, "2026-03-10T08:00:00Z whole", "2026-03-11T07:59:59Z", "2026-03-11T08:00:00Z",
     "every 24 hours; next Wed 11 Mar 2026, 08:00 UTC (in 1 min)"),
    (EVERY_DAY, "2026-03-10T08:00:00Z whole", "2026-03-11T08:00:00Z", "2026-03-12T08:00:00Z",
     "every 24 hours; due now"),
    // A failed run has begun, too: it is not tried again before its time.
    (EVERY_DAY, "2026-03-10T08:00:00Z failed", "2026-03-10T12:30:00Z", "2026-03-11T08:00:00Z",
     "every 24 hours; next Wed 11 Mar 2026, 08:00 UTC (in 19 h 30 min)"),
    // One that was interrupted goes on at once.
    (EVERY_DAY, "2026-03-10T08:00:00Z unended", "2026-03-10T08:05:00Z", "2026-03-11T08:05:00Z",
     "every 24 hours; due now: its last run was interrupted"),
    // After a gap of three days it is due once, and then a day later.
    (EVERY_DAY, "2026-03-10T08:00:00Z whole", "2026-03-13T09:00:00Z", "2026-03-14T09:00:00Z",
     "every 24 hours; due now, since Wed 11 Mar 2026, 08:00 UTC"),
    (r#"{"every": "15m"}"#, "2026-03-10T08:00:00Z whole", "2026-03-10T08:14:00Z", "2026-03-10T08:15:00Z",
     "every 15 minutes; next Tue 10 Mar 2026, 08:15 UTC (in 1 min)"),
    (r#"{"every": "1mo"}"#, "2026-01-31T08:00:00Z whole", "2026-02-01T08:00:00Z", "2026-02-28T08:00:00Z",
     "every 1 month; next Sat 28 Feb 2026, 08:00 UTC (in 27 days)"),
    // The clock went backwards: it waits until its time has come.
    (EVERY_DAY, "2026-03-10T08:00:00Z whole", "2026-03-09T08:00:00Z", "2026-03-11T08:00:00Z",
     "every 24 hours; next Wed 11 Mar 2026, 08:00 UTC (in 2 days)"),

    // A calendar: six o'clock in Berlin is five in winter and four in summer.
    (AT_SIX, "-", "2026-01-10T12:00:00Z", "2026-01-11T05:00:00Z",
     "at 06:00, Europe/Berlin (`0 6 * * *`); due now: it has not run yet"),
    (AT_SIX, "2026-01-10T05:00:00Z whole", "2026-01-10T05:05:00Z", "2026-01-11T05:00:00Z",
     "at 06:00, Europe/Berlin (`0 6 * * *`); next Sun 11 Jan 2026, 06:00 CET (in 23 h 55 min)"),
    (AT_SIX, "2026-01-10T05:00:00Z whole", "2026-01-11T05:00:00Z", "2026-01-12T05:00:00Z",
     "at 06:00, Europe/Berlin (`0 6 * * *`); due now"),
    (AT_SIX, "2026-07-10T04:00:00Z whole", "2026-07-10T04:05:00Z", "2026-07-11T04:00:00Z",
     "at 06:00, Europe/Berlin (`0 6 * * *`); next Sat 11 Jul 2026, 06:00 CEST (in 23 h 55 min)"),
    // Begun by hand in the afternoon: the morning is not made up for.
    (AT_SIX, "2026-01-10T15:00:00Z whole", "2026-01-10T15:05:00Z", "2026-01-11T05:00:00Z",
     "at 06:00, Europe/Berlin (`0 6 * * *`); next Sun 11 Jan 2026, 06:00 CET (in 13 h 55 min)"),
    // Four mornings were missed: it runs once.
    (AT_SIX, "2026-01-10T05:00:30Z whole", "2026-01-14T12:00:00Z", "2026-01-15T05:00:00Z",
     "at 06:00, Europe/Berlin (`0 6 * * *`); due now, since Sun 11 Jan 2026, 06:00 CET"),
    (AT_SIX, "2026-01-14T12:00:20Z whole", "2026-01-14T12:05:00Z", "2026-01-15T05:00:00Z",
     "at 06:00, Europe/Berlin (`0 6 * * *`); next Thu 15 Jan 2026, 06:00 CET (in 16 h 55 min)"),

    // Clocks go forward on 29 March 2026: 02:00 CET is 03:00 CEST, and there is no 02:30. It runs at three.
    (HALF_PAST_TWO, "2026-03-28T01:30:00Z whole", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z",
     "at 02:30, Europe/Berlin (`30 2 * * *`); next Sun 29 Mar 2026, 03:00 CEST (in 13 h)"),
    (HALF_PAST_TWO, "2026-03-28T01:30:00Z whole", "2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z",
     "at 02:30, Europe/Berlin (`30 2 * * *`); next Sun 29 Mar 2026, 03:00 CEST (in 1 min)"),
    (HALF_PAST_TWO, "2026-03-29T01:00:00Z whole", "2026-03-29T01:05:00Z", "2026-03-30T00:30:00Z",
     "at 02:30, Europe/Berlin (`30 2 * * *`); next Mon 30 Mar 2026, 02:30 CEST (in 23 h 25 min)"),
    // Clocks go back on 25 October 2026: 02:30 comes twice. It runs the first time only.
    (HALF_PAST_TWO, "2026-10-24T00:30:00Z whole", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z",
     "at 02:30, Europe/Berlin (`30 2 * * *`); next Sun 25 Oct 2026, 02:30 CEST (in 12 h 30 min)"),
    (HALF_PAST_TWO, "2026-10-25T00:30:00Z whole", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z",
     "at 02:30, Europe/Berlin (`30 2 * * *`); next Mon 26 Oct 2026, 02:30 CET (in 1 day)"),
    // What runs every quarter of an hour does so in both of the two hours, and in none that is not there.
    (EACH_QUARTER, "2026-10-25T00:45:00Z whole", "2026-10-25T00:46:00Z", "2026-10-25T01:00:00Z",
     "every 15 minutes, Europe/Berlin (`*/15 * * * *`); next Sun 25 Oct 2026, 02:00 CET (in 14 min)"),
    (EACH_QUARTER, "2026-03-29T00:45:00Z whole", "2026-03-29T00:46:00Z", "2026-03-29T01:00:00Z",
     "every 15 minutes, Europe/Berlin (`*/15 * * * *`); next Sun 29 Mar 2026, 03:00 CEST (in 14 min)"),
    // A span does not care for clocks being put back.
    (EVERY_DAY, "2026-10-24T10:00:00Z whole", "2026-10-25T09:59:00Z", "2026-10-25T10:00:00Z",
     "every 24 hours; next Sun 25 Oct 2026, 10:00 UTC (in 1 min)"),
    // Without a time zone, UTC; dates that come rarely.
    (r#"{"cron": "0 0 29 2 *"}"#, "2024-02-29T00:00:00Z whole", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z",
     "at 00:00, on day 29, in February, UTC (`0 0 29 2 *`); next Tue 29 Feb 2028, 00:00 UTC (in 789 days)"),
    (r#"{"cron": "0 9 * * MON-FRI"}"#, "2026-01-09T09:00:00Z whole", "2026-01-09T09:01:00Z", "2026-01-12T09:00:00Z",
     "at 09:00, on Monday, Tuesday, Wednesday, Thursday, and Friday, UTC (`0 9 * * MON-FRI`); next Mon 12 Jan 2026, 09:00 UTC (in 2 days 23 h)"),
];

#[test]
fn by_the_clock() {
    let mut failures = Vec::new();
    for (written, last, now, next, text) in CLOCK {
        let timetable = timetable(written);
        let mut history = BTreeMap::new();
        if let Some((begun, outcome)) = last.split_once(' ') {
            history.insert("one".to_owned(), ran(1, begun, outcome));
        }
        let board = Board::new([("one", Some(&timetable))], &history, at(now));
        let said = &board.syncs["one"];
        if said.text != *text || said.next != Some(at(next)) || said.due != text.contains("; due now") {
            failures.push(format!(
                "{written}, last {last}, at {now}\n  {}\n  next {:?}, due {}",
                said.text, said.next, said.due
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `a` runs every day, `b` by hand; `c` runs after both, `d` after `c`, and `lazy` after `a` whatever became of it.
/// Runs as `sync begun outcome`, now; what is due; what is said of `c`.
type Chain = (&'static str, &'static [&'static str], &'static str, &'static str, &'static str);

#[rustfmt::skip]
const CHAIN: &[Chain] = &[
    ("nothing has run: the first runs, and what follows it follows",
     &[], "2026-03-10T08:00:00Z", "a c d lazy",
     "after `a` or `b`; due now, once `a` has run"),
    ("all ran together: nothing is due",
     &["a 2026-03-10T08:00:00Z whole", "c =", "d =", "lazy ="], "2026-03-10T09:00:00Z", "",
     "after `a` or `b`; next Wed 11 Mar 2026, 08:00 UTC (in 23 h)"),
    ("only the first ran: the rest follows",
     &["a 2026-03-10T08:00:00Z whole"], "2026-03-10T09:00:00Z", "c d lazy",
     "after `a` or `b`; due now: `a` has run on Tue 10 Mar 2026, 08:00 UTC"),
    ("the one by hand ran later: what waits for it follows",
     &["a 2026-03-10T08:00:00Z whole", "c =", "d =", "lazy =", "b 2026-03-10T08:30:00Z whole"], "2026-03-10T09:00:00Z", "c d",
     "after `a` or `b`; due now: `b` has run on Tue 10 Mar 2026, 08:30 UTC"),
    ("the first failed: what may not go on is held up, and what follows that is not due",
     &["a 2026-03-10T08:00:00Z failed"], "2026-03-10T09:00:00Z", "lazy",
     "after `a` or `b`; held up: the last run of `a` failed"),
    ("one of two failed: held up, although the other has run",
     &["a 2026-03-10T08:00:00Z whole", "c =", "d =", "lazy =", "b 2026-03-10T08:30:00Z failed"], "2026-03-10T09:00:00Z", "",
     "after `a` or `b`; held up: the last run of `b` failed"),
    ("records rejected: no failure",
     &["a 2026-03-10T08:00:00Z rejected"], "2026-03-10T09:00:00Z", "c d lazy",
     "after `a` or `b`; due now: `a` has run on Tue 10 Mar 2026, 08:00 UTC"),
    ("the failed one is due again: who delivers sees how it ends",
     &["a 2026-03-10T08:00:00Z failed", "c =", "d =", "lazy ="], "2026-03-11T08:00:00Z", "a c d lazy",
     "after `a` or `b`; due now, once `a` has run"),
    ("the second was interrupted: it goes on",
     &["a 2026-03-10T08:00:00Z whole", "lazy =", "c 2026-03-10T08:00:00Z unended"], "2026-03-10T08:05:00Z", "c d",
     "after `a` or `b`; due now: its last run was interrupted"),
];

#[test]
fn one_after_another() {
    let written = [
        ("a", Some(timetable(EVERY_DAY))),
        ("b", None),
        ("c", Some(timetable(r#"{"after": ["a", "b"]}"#))),
        ("d", Some(timetable(r#"{"after": ["c"]}"#))),
        ("lazy", Some(timetable(r#"{"after": ["a"], "on_upstream_failure": "continue"}"#))),
    ];
    let mut failures = Vec::new();
    for (what, runs, now, due, text) in CHAIN {
        let mut history = BTreeMap::new();
        let (mut number, mut last) = (0, ran(0, now, "whole"));
        for run in *runs {
            let words: Vec<&str> = run.split(' ').collect();
            if let [_, begun, outcome] = words.as_slice() {
                // A sync with a time of its own is another run, unless it is of the same time.
                number += u64::from(last.begun_at != at(begun));
                last = ran(number, begun, outcome);
            } else {
                last.outcome = Outcome::Whole;
            }
            history.insert(words[0].to_owned(), last.clone());
        }
        let board = Board::new(written.iter().map(|(name, t)| (*name, t.as_ref())), &history, at(now));
        let found: Vec<&str> = board.syncs.iter().filter(|(_, said)| said.due).map(|(name, _)| name.as_str()).collect();
        if found.join(" ") != *due || board.syncs["c"].text != *text {
            failures.push(format!("{what}\n  due: {}\n  c: {}", found.join(" "), board.syncs["c"].text));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn after_a_failure_a_sync_goes_on_as_it_says() {
    use OnUpstreamFailure::{Continue, Stop, StopOnRejects};
    let cases = [
        (Outcome::Whole, [false, false, false]),
        (Outcome::Rejected, [false, true, false]),
        (Outcome::Failed, [true, true, false]),
        (Outcome::Unended, [true, true, false]),
    ];
    for (outcome, expected) in cases {
        assert_eq!([Stop, StopOnRejects, Continue].map(|policy| outcome.stops(policy)), expected, "{outcome:?}");
    }
}

#[test]
fn nothing_due_says_what_comes_next() {
    let (daily, six, after) = (timetable(EVERY_DAY), timetable(AT_SIX), timetable(r#"{"after": ["daily"]}"#));
    let syncs = [("daily", Some(&daily)), ("six", Some(&six)), ("then", Some(&after))];
    let whole = ran(1, "2026-03-10T08:00:00Z", "whole");
    let history: BTreeMap<_, _> = ["daily", "six", "then"].map(|name| (name.to_owned(), whole.clone())).into();
    let now = at("2026-03-10T09:00:00Z");
    assert_eq!(
        Board::new(syncs, &history, now).nothing_due(),
        "Nothing is due. Next: `six` on Wed 11 Mar 2026, 06:00 CET (in 20 h)."
    );
    let failed = BTreeMap::from([("daily".to_owned(), ran(2, "2026-03-10T08:30:00Z", "failed"))]);
    let history = history.into_iter().chain(failed).collect();
    assert_eq!(
        Board::new(syncs, &history, now).nothing_due(),
        "Nothing is due. Next: `six` on Wed 11 Mar 2026, 06:00 CET (in 20 h). Held up: `then`, as the last run of \
         `daily` failed."
    );
    assert_eq!(Board::new([("b", None)], &history, now).nothing_due(), "Nothing is due: no sync has a `schedule`.");
}

/// What is written, which part of it is at fault, and what is said.
#[rustfmt::skip]
const WRONG_CRONS: &[(&str, &str, &str)] = &[
    ("0 6 * *", "0 6 * *", "`0 6 * *` is not a cron expression of five parts"),
    ("0 0 6 * * *", "0 0 6 * * *", "`0 0 6 * * *` is not a cron expression of five parts"),
    ("@daily", "@daily", "`@daily` is not a cron expression of five parts"),
    ("60 6 * * *", "60", "`60` is no minute of a cron expression"),
    ("0  25 * * *", "25", "`25` is no hour of a cron expression"),
    ("0 6 32 * *", "32", "`32` is no day of month of a cron expression"),
    ("0 6 * Foo *", "Foo", "`Foo` is no month of a cron expression"),
    ("0 6 * * 8", "8", "`8` is no day of week of a cron expression"),
    ("0 6 * * MON#9", "MON#9", "`MON#9` is no day of week of a cron expression"),
    ("*/0 * * * *", "*/0", "`*/0` is no minute of a cron expression"),
    ("5-1-3 * * * *", "5-1-3", "`5-1-3` is no minute of a cron expression"),
    (", * * * *", ",", "`,` is no minute of a cron expression"),
    ("ä 6 * * *", "ä", "`ä` is no minute of a cron expression"),
    ("0 6 31 2 *", "0 6 31 2 *", "`0 6 31 2 *` never comes"),
    ("", "", "`` is not a cron expression of five parts"),
];

#[test]
fn what_is_wrong_with_a_cron_expression() {
    for (text, part, message) in WRONG_CRONS {
        let wrong = cron(text).map(|_| ()).expect_err(text);
        let range = wrong.range.clone().unwrap_or(0..text.len());
        assert_eq!((text.get(range), wrong.message.as_str()), (Some(*part), *message));
        assert!(!wrong.help.is_empty());
    }
    for text in [
        "0 6 * * *",
        "*/5 * * * *",
        "0 6,18 1-7 JAN-mar mon",
        "0 0 L * ?",
        "15 2 * * SUN#1",
        "0 0 29 2 *",
        "59 23 31 12 7",
    ] {
        assert!(cron(text).is_ok(), "{text}");
    }
}

#[test]
fn spans_are_a_minute_at_least() {
    let cases = [
        ("1m", true),
        ("24h", true),
        ("P1D", true),
        ("1h 30m", true),
        ("2w", true),
        ("59s", false),
        ("0h", false),
        ("-1h", false),
        ("often", false),
        ("", false),
        ("11y", false),
        ("19998y", false),
        ("1000000000000000h", false),
    ];
    for (text, ok) in cases {
        assert_eq!(span(text).is_ok(), ok, "{text}");
    }
}

#[test]
fn time_zones_are_known_without_the_files_of_the_machine() {
    for name in ["Europe/Berlin", "UTC", "America/Sao_Paulo", "Asia/Kolkata"] {
        assert!(zone(name).is_ok(), "{name}");
    }
    assert_eq!(zone("Mars/Base").unwrap_err().message, "there is no time zone `Mars/Base`");
}
