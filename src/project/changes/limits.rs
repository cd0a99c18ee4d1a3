//! Limits that a change of the configuration would widen: they are held to what they were until the change is merged,
//! so that no change lets itself through.

use super::{Pairs, Project, ResolvedSync};
use crate::manifest::project::{Budget, OnExceed, Policy, Usage};
use crate::manifest::sync::{Guards, Limit};

/// A limit that is wider than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loosened {
    /// The sync; `None` for a limit of the whole project.
    pub sync: Option<String>,
    /// Its name: a guard, or `monthly_queried_records`.
    pub limit: String,
    /// As it was.
    pub before: String,
    /// As it would be.
    pub after: String,
    /// `file:line:column` of where it is written now.
    pub place: Option<String>,
}

/// The guards, none wider than before. A share and a number cannot be compared: what was holds.
pub(super) fn held(now: &Guards, before: &Guards) -> Guards {
    Guards {
        max_added: stricter(now.max_added, before.max_added),
        max_changed: stricter(now.max_changed, before.max_changed),
        max_removed: stricter(now.max_removed, before.max_removed),
        max_invalid: stricter(now.max_invalid, before.max_invalid),
        min_rows: now.min_rows.max(before.min_rows),
    }
}

fn stricter(now: Option<Limit>, before: Option<Limit>) -> Option<Limit> {
    match (now, before) {
        (now, None) => now,
        (None, before) => before,
        (Some(Limit::Count(now)), Some(Limit::Count(before))) => Some(Limit::Count(now.min(before))),
        (Some(Limit::Percent(now)), Some(Limit::Percent(before))) => Some(Limit::Percent(now.min(before))),
        (Some(_), before) => before,
    }
}

/// The budget, not wider than before.
pub(super) fn budget(now: &Usage, before: &Usage) -> Usage {
    let Some(was) = &before.monthly_queried_records else { return now.clone() };
    let held = match &now.monthly_queried_records {
        None => was.clone(),
        Some(now) => Budget {
            limit: now.limit.min(was.limit),
            on_exceed: if was.on_exceed == OnExceed::Refuse { OnExceed::Refuse } else { now.on_exceed },
        },
    };
    Usage { monthly_queried_records: Some(held) }
}

/// The policy, with no host that was not allowed before.
pub(super) fn policy(now: &Policy, before: &Policy) -> Policy {
    let allowed_hosts = match (&now.allowed_hosts, &before.allowed_hosts) {
        (now, None) => now.clone(),
        (None, Some(before)) => Some(before.clone()),
        (Some(now), Some(before)) => Some(now.iter().filter(|host| before.contains(host)).cloned().collect()),
    };
    Policy { allowed_hosts }
}

/// The guards of a sync as text: another text is another limit.
pub(super) fn written(sync: &ResolvedSync) -> String {
    let Guards { max_added, max_changed, max_removed, max_invalid, min_rows } = &sync.guards;
    let words = [max_added, max_changed, max_removed, max_invalid].map(limit_words);
    format!("{} {}", words.join(" "), min_rows.unwrap_or(1))
}

/// The limits of the whole project as text.
pub(super) fn of_project(project: &Project) -> String {
    format!("{} {}", budget_words(&project.usage.monthly_queried_records), policy_words(&project.policy))
}

fn limit_words(limit: &Option<Limit>) -> String {
    limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
}

fn budget_words(budget: &Option<Budget>) -> String {
    match budget {
        Some(budget) if budget.on_exceed == OnExceed::Refuse => format!("{}, else refused", budget.limit),
        Some(budget) => format!("{}, else a warning", budget.limit),
        None => "no limit".to_owned(),
    }
}

fn policy_words(policy: &Policy) -> String {
    match &policy.allowed_hosts {
        Some(hosts) => format!("[{}]", hosts.join(", ")),
        None => "any host".to_owned(),
    }
}

/// All limits that are wider than they were.
pub(super) fn loosened(pairs: &Pairs) -> Vec<Loosened> {
    let mut out = Vec::new();
    for (sync, before) in pairs.syncs.iter().filter_map(|(sync, before)| Some((sync, (*before)?))) {
        let (now, was) = (&sync.guards, &before.guards);
        let effective = held(now, was);
        let limits = [
            ("max_added", now.max_added, was.max_added, effective.max_added),
            ("max_changed", now.max_changed, was.max_changed, effective.max_changed),
            ("max_removed", now.max_removed, was.max_removed, effective.max_removed),
            ("max_invalid", now.max_invalid, was.max_invalid, effective.max_invalid),
        ];
        let place = |guard: &str| sync.place(&format!("/guards/{guard}")).map(|place| place.to_string());
        let mut push = |guard: &str, before: String, after: String| {
            let sync = Some(sync.name.clone());
            out.push(Loosened { sync, limit: guard.into(), before, after, place: place(guard) });
        };
        for (guard, now, was, effective) in limits {
            if now != effective {
                push(guard, limit_words(&was), limit_words(&now));
            }
        }
        if now.min_rows < was.min_rows {
            push("min_rows", was.min_rows.unwrap_or(1).to_string(), now.min_rows.unwrap_or(1).to_string());
        }
    }
    if let Some(base) = pairs.base {
        let (now, was) = (&pairs.project.usage, &base.usage);
        let effective = budget(now, was).monthly_queried_records;
        if budget_words(&now.monthly_queried_records) != budget_words(&effective) {
            out.push(Loosened {
                sync: None,
                limit: "monthly_queried_records".into(),
                before: budget_words(&was.monthly_queried_records),
                after: budget_words(&now.monthly_queried_records),
                place: pairs.project.usage_place.clone(),
            });
        }
        let (now, was) = (&pairs.project.policy, &base.policy);
        if *now != policy(now, was) {
            out.push(Loosened {
                sync: None,
                limit: "policy.allowed_hosts".into(),
                before: policy_words(was),
                after: policy_words(now),
                place: None,
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Option<Limit> {
        match text.strip_suffix('%') {
            Some(percent) => Some(Limit::Percent(percent.parse().unwrap())),
            None if text == "none" => None,
            None => Some(Limit::Count(text.parse().unwrap())),
        }
    }

    #[test]
    fn a_limit_is_never_wider_than_it_was() {
        // now, before → what holds
        for (now, before, holds) in [
            ("5%", "5%", "5%"),
            ("50%", "5%", "5%"),
            ("1%", "5%", "1%"),
            ("100", "10", "10"),
            ("1", "10", "1"),
            ("100", "5%", "5%"),
            ("5%", "100", "100"),
            ("none", "5%", "5%"),
            ("5%", "none", "5%"),
            ("none", "none", "none"),
        ] {
            assert_eq!(stricter(limit(now), limit(before)), limit(holds), "{now} after {before}");
        }
        let hosts = |hosts: Option<&[&str]>| Policy {
            allowed_hosts: hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect()),
        };
        for (now, before, holds) in [
            (None, None, None),
            (Some(&["a"][..]), None, Some(&["a"][..])),
            (None, Some(&["a"][..]), Some(&["a"][..])),
            (Some(&["a", "evil"][..]), Some(&["a", "b"][..]), Some(&["a"][..])),
        ] {
            assert_eq!(policy(&hosts(now), &hosts(before)), hosts(holds));
        }
        let rows = |rows| Guards { min_rows: rows, ..Guards::default() };
        assert_eq!(held(&rows(Some(0)), &rows(Some(100))).min_rows, Some(100));
        assert_eq!(held(&rows(Some(200)), &rows(Some(100))).min_rows, Some(200));
    }
}
