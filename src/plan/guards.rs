//! Guards: limits that make `apply` refuse.

use super::{Counts, Guard, Notice, Plan, SyncPlan};
use crate::manifest::sync::{Guards, Limit};

/// `--allow SYNC:GUARD=N`: goes ahead although a guard refuses, up to the number named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// The sync.
    pub sync: String,
    /// The guard, e.g. `max_removed`.
    pub guard: String,
    /// The most rows; for `min_rows` the fewest.
    pub rows: u64,
}

impl std::str::FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not SYNC:GUARD=N, e.g. `users:max_removed=104`");
        let (sync, rest) = text.split_once(':').ok_or_else(form)?;
        let (guard, rows) = rest.split_once('=').ok_or_else(form)?;
        if !NAMES.contains(&guard) {
            let near = crate::diagnostic::closest(guard, NAMES);
            let hint =
                near.map_or_else(|| format!("there are {}", NAMES.join(", ")), |n| format!("did you mean `{n}`?"));
            return Err(format!("there is no guard `{guard}`; {hint}"));
        }
        let rows = rows.parse().map_err(|_| form())?;
        Ok(Self { sync: sync.to_owned(), guard: guard.to_owned(), rows })
    }
}

/// Names of all guards, in the order they are shown.
pub const NAMES: [&str; 5] = ["max_added", "max_changed", "max_removed", "max_invalid", "min_rows"];

/// Evaluates the guards that are set. `acknowledged` is the number of rows in the snapshot; `first_run` frees `max_added`
/// percentages, which mean nothing when there is nothing yet. `keyless` rows have no key: for `min_rows` they are not
/// there, as nothing is known of whom they stand for, and the rows they were count as removed.
pub fn evaluate(guards: &Guards, counts: &Counts, keyless: u64, acknowledged: u64, first_run: bool) -> Vec<Guard> {
    let most = |name: &str, limit: Option<Limit>, actual: u64, whole: u64| {
        let limit = limit?;
        let ok = match limit {
            Limit::Percent(_) if name == "max_added" && first_run => true,
            limit => limit.allows(actual, whole),
        };
        Some(Guard { name: name.to_owned(), limit: limit.to_string(), actual, ok })
    };
    let fewest = guards.min_rows.unwrap_or(1);
    let keyed = counts.rows.saturating_sub(keyless);
    [
        most("max_added", guards.max_added, counts.added, counts.rows),
        most("max_changed", guards.max_changed, counts.changed, acknowledged),
        most("max_removed", guards.max_removed, counts.removed, acknowledged),
        most("max_invalid", guards.max_invalid, counts.invalid, counts.rows),
        Some(Guard { name: "min_rows".into(), limit: fewest.to_string(), actual: keyed, ok: keyed >= fewest }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Lets guards pass up to the numbers named; their refusals go.
pub fn allow(plan: &mut Plan, allowances: &[Allowance]) {
    for allowance in allowances {
        let syncs = plan.syncs.iter_mut().filter(|sync| sync.sync == allowance.sync);
        for guard in syncs.flat_map(|sync| &mut sync.guards).filter(|guard| guard.name == allowance.guard) {
            let within = match guard.name.as_str() {
                "min_rows" => guard.actual >= allowance.rows,
                _ => guard.actual <= allowance.rows,
            };
            if within && !guard.ok {
                guard.ok = true;
                plan.refusals.retain(|r| r.code != allowance.guard || r.sync.as_ref() != Some(&allowance.sync));
            }
        }
    }
}

/// What lets a sync pass in spite of its guards, as it is typed: one `--allow` for each that does not hold.
pub fn allowances(plan: &SyncPlan) -> impl Iterator<Item = String> + '_ {
    plan.guards.iter().filter(|guard| !guard.ok).map(|guard| allowance(plan, guard))
}

fn allowance(plan: &SyncPlan, guard: &Guard) -> String {
    format!("--allow {}:{}={}", plan.sync, guard.name, guard.actual)
}

/// One refusal per guard that does not hold. `place` gives `file:line:column` of a guard where it is written.
pub fn refusals(plan: &SyncPlan, place: impl Fn(&str) -> Option<String>) -> Vec<Notice> {
    let refuse = |guard: &Guard| {
        let what = match guard.name.as_str() {
            "min_rows" if plan.counts.rows > guard.actual => {
                format!("of the model's {}, only {} a key", rows(plan.counts.rows), have(guard.actual))
            }
            "min_rows" if guard.actual == 0 => "the model is empty".to_owned(),
            "min_rows" => format!("the model has only {}", rows(guard.actual)),
            name => format!("{} would be {}", rows(guard.actual), name.trim_start_matches("max_")),
        };
        let why = if guard.name == "min_rows" { "fewest allowed" } else { "limit" };
        let first = match (guard.name.as_str(), guard.actual) {
            ("min_rows", _) if plan.counts.rows > guard.actual => "see what has become of the key in the source",
            ("min_rows", 0) => "see whether what fills the source has run, and what the query leaves out",
            _ => "check the model first",
        };
        let mut help = format!("{first}; to go ahead once: {}", allowance(plan, guard));
        if guard.name == "min_rows" && guard.actual == 0 {
            help.push_str(&format!(", or set `min_rows: 0` in the guards of `{}`", plan.sync));
        }
        Notice {
            code: guard.name.clone(),
            sync: Some(plan.sync.clone()),
            message: format!("`{}`: {what}; the {why} is {} (guard `{}`)", plan.sync, guard.limit, guard.name),
            help: Some(help),
            place: place(&guard.name),
            keys: Vec::new(),
        }
    };
    plan.guards.iter().filter(|guard| !guard.ok).map(refuse).collect()
}

fn have(n: u64) -> String {
    format!("{n} {}", if n == 1 { "has" } else { "have" })
}

fn rows(n: u64) -> String {
    format!("{n} {}", if n == 1 { "row" } else { "rows" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// guard, limit, rows it counts, rows in the model, rows acknowledged, first run, allowance → goes ahead
    type Case = (&'static str, &'static str, u64, u64, u64, bool, Option<u64>, bool);

    const CASES: &[Case] = &[
        ("max_removed", "5%", 5, 95, 100, false, None, true),
        ("max_removed", "5%", 6, 94, 100, false, None, false),
        ("max_removed", "5%", 6, 94, 100, false, Some(6), true),
        ("max_removed", "5%", 7, 93, 100, false, Some(6), false),
        ("max_removed", "33.3%", 333, 667, 1000, false, None, true),
        ("max_removed", "33.3%", 334, 666, 1000, false, None, false),
        ("max_removed", "0.7%", 7, 993, 1000, false, None, true),
        ("max_removed", "0.7%", 8, 992, 1000, false, None, false),
        ("max_removed", "0%", 1, 99, 100, false, None, false),
        ("max_removed", "10", 10, 90, 100, false, None, true),
        ("max_removed", "10", 11, 89, 100, false, None, false),
        ("max_changed", "50%", 50, 100, 100, false, None, true),
        ("max_changed", "50%", 51, 100, 100, false, None, false),
        ("max_added", "10%", 100, 100, 0, true, None, true),
        ("max_added", "10%", 20, 120, 100, false, None, false),
        ("max_added", "99", 100, 100, 0, true, None, false),
        ("max_invalid", "1%", 1, 100, 0, true, None, true),
        ("max_invalid", "1%", 2, 100, 0, true, None, false),
        ("min_rows", "1", 0, 0, 100, false, None, false),
        ("min_rows", "0", 0, 0, 100, false, None, true),
        ("min_rows", "1000", 999, 999, 100, false, None, false),
        ("min_rows", "1000", 999, 999, 100, false, Some(900), true),
    ];

    #[test]
    fn guards_refuse_what_is_over_the_limit_and_nothing_else() {
        for &(name, limit, actual, rows, acknowledged, first_run, allowed, expected) in CASES {
            let parsed = match limit.strip_suffix('%') {
                Some(percent) => Limit::Percent(percent.parse().unwrap()),
                None => Limit::Count(limit.parse().unwrap()),
            };
            let mut guards = Guards { min_rows: Some(0), ..Guards::default() };
            let mut counts = Counts { rows, ..Counts::default() };
            match name {
                "max_added" => (guards.max_added, counts.added) = (Some(parsed), actual),
                "max_changed" => (guards.max_changed, counts.changed) = (Some(parsed), actual),
                "max_removed" => (guards.max_removed, counts.removed) = (Some(parsed), actual),
                "max_invalid" => (guards.max_invalid, counts.invalid) = (Some(parsed), actual),
                _ => guards.min_rows = Some(limit.parse().unwrap()),
            }
            let allowances: Vec<_> =
                allowed.map(|rows| Allowance { sync: "s".into(), guard: name.into(), rows }).into_iter().collect();
            let sync = SyncPlan {
                sync: "s".into(),
                guards: evaluate(&guards, &counts, 0, acknowledged, first_run),
                ..SyncPlan::default()
            };
            let mut plan = Plan { refusals: refusals(&sync, |_| None), syncs: vec![sync], ..Plan::default() };
            allow(&mut plan, &allowances);
            let guard = plan.syncs[0].guards.iter().find(|g| g.name == name).unwrap();
            assert_eq!(plan.refusals.is_empty(), guard.ok);
            assert_eq!(guard.ok, expected, "{name} {limit}: {actual} of {rows} rows, {acknowledged} acknowledged");
            assert_eq!(guard.actual, actual);
        }
    }

    fn within(actual: u64, percent: f64, whole: u64) -> bool {
        Limit::Percent(percent).allows(actual, whole)
    }

    proptest::proptest! {
        #[test]
        fn a_percentage_is_kept_to_the_row(
            ten_thousandths in 0_u64..=1_000_000,
            whole in proptest::prop_oneof![0_u64..100_000, 0..=u64::MAX / 2],
        ) {
            let percent: f64 = format!("{}.{:04}", ten_thousandths / 10_000, ten_thousandths % 10_000).parse().unwrap();
            let most = u128::from(whole) * u128::from(ten_thousandths) / 1_000_000;
            let most = u64::try_from(most).unwrap();
            proptest::prop_assert!(within(most, percent, whole));
            proptest::prop_assert!(!within(most + 1, percent, whole));
        }

        #[test]
        fn no_percentage_panics(actual: u64, percent in 0.0..=100.0_f64, whole: u64) {
            proptest::prop_assert!(within(0, percent, whole));
            within(actual, percent / 1e200, whole);
            proptest::prop_assert!(actual <= whole || !within(actual, percent, whole));
        }
    }

    #[test]
    fn an_allowance_is_written_as_sync_guard_number() {
        let allowance: Allowance = "users:max_removed=104".parse().unwrap();
        assert_eq!(allowance, Allowance { sync: "users".into(), guard: "max_removed".into(), rows: 104 });
        assert!("users:max_removd=1".parse::<Allowance>().unwrap_err().contains("did you mean `max_removed`?"));
        for wrong in ["users", "users:max_removed", "users=3", "users:max_removed=many"] {
            assert!(wrong.parse::<Allowance>().unwrap_err().contains("SYNC:GUARD=N"), "{wrong}");
        }
    }
}
