//! What a plan says, in words: shared by all faces, so that they cannot disagree.

use super::escape::{value_text, visible};
use super::numbers::{count, duration, group};
use crate::plan::{
    Counts, Drifted, DriftedField, HeldCounts, Notice, Plan, Sample, Scheduled, SyncPlan, TestResult, TestSample,
    model_tests,
};

/// The five row states with their symbols. A symbol never stands without its word.
pub(super) const STATES: [(&str, char); 5] =
    [("added", '+'), ("changed", '~'), ("removed", '-'), ("unchanged", '='), ("invalid", '!')];

/// The symbol of a state; `?` for a word this version does not know.
pub(super) fn symbol(state: &str) -> char {
    STATES.iter().find(|(name, _)| *name == state).map_or('?', |(_, symbol)| *symbol)
}

/// Rows that differ from what was last acknowledged.
pub(super) fn changes(counts: &Counts) -> u64 {
    counts.added + counts.changed + counts.removed
}

/// The row states of a sync, in the order of [`STATES`].
pub(super) fn by_state(counts: &Counts) -> [(&'static str, u64); 5] {
    [
        ("added", counts.added),
        ("changed", counts.changed),
        ("removed", counts.removed),
        ("unchanged", counts.unchanged),
        ("invalid", counts.invalid),
    ]
}

/// True when there is nothing to say of a sync but its name.
pub(super) fn is_quiet(sync: &SyncPlan) -> bool {
    changes(&sync.counts) + sync.counts.invalid + held(sync) == 0
        && sync.refresh.is_none()
        && sync.guards.iter().all(|g| g.ok)
        && sync.tests.iter().all(|t| t.ok)
}

/// Rows held back because the destination has already answered for them.
pub(super) fn held(sync: &SyncPlan) -> u64 {
    sync.held.total()
}

/// The verdict: one sentence, first and last of every face.
pub(super) fn verdict(plan: &Plan) -> String {
    let t = &plan.totals;
    if t.added + t.changed + t.removed == 0 {
        return no_changes(plan);
    }
    let place = if plan.environment.is_empty() { String::new() } else { format!(" for `{}`", plan.environment) };
    let mut text =
        format!("Plan{place}: {} added, {} changed, {} removed", group(t.added), group(t.changed), group(t.removed));
    let held: u64 = plan.syncs.iter().map(held).sum();
    for (n, word) in [(t.invalid, "invalid"), (held, "held")] {
        if n > 0 {
            text.push_str(&format!(", {} {word}", group(n)));
        }
    }
    text
}

/// What the plan makes of the month's records, where the project has a limit.
pub(super) fn budget(plan: &Plan) -> Option<String> {
    let usage = &plan.usage;
    let limit = usage.limit.filter(|_| !usage.models.is_empty())?;
    let share = super::usage::share(usage.after_this_run, limit);
    Some(format!(
        "queried records of the month: {} after this run, {share} of {} ({} so far)",
        group(usage.after_this_run),
        group(limit),
        group(usage.queried_so_far)
    ))
}

fn no_changes(plan: &Plan) -> String {
    if plan.syncs.is_empty() {
        return "No syncs were planned.".into();
    }
    let sum = |count: fn(&SyncPlan) -> u64| plan.syncs.iter().map(count).sum::<u64>();
    let held = HeldCounts {
        rejected: sum(|s| s.held.rejected),
        no_match: sum(|s| s.held.no_match),
        in_doubt: sum(|s| s.held.in_doubt),
    };
    // Held rows are among the unchanged ones, as nothing is done about them; acknowledged they are not.
    let acknowledged = sum(|s| s.counts.unchanged).saturating_sub(held.total());
    let way = ": `syncline runs rejected` lists them, `--retry` sends them again";
    let way = if held.total() > 0 { way } else { "" };
    format!("No changes. {}{way}.", not_acknowledged(acknowledged, &held, plan.totals.invalid))
}

/// Rows that nothing is done about: how many are as last acknowledged, and how many are not.
pub(super) fn not_acknowledged(acknowledged: u64, held: &HeldCounts, invalid: u64) -> String {
    let mut text = format!("{} {} as last acknowledged", count(acknowledged, "row", "rows"), are(acknowledged));
    if invalid > 0 {
        text.push_str(&format!(", {} {} invalid", group(invalid), are(invalid)));
    }
    let n = held.total();
    if n > 0 {
        text.push_str(&format!("; {} {} held ({})", group(n), are(n), held_reasons(held).join(", ")));
    }
    text
}

fn are(n: u64) -> &'static str {
    if n == 1 { "is" } else { "are" }
}

/// Everything that makes `apply` refuse: the plan's refusals, and guards that refuse without one. Each has a way out.
pub(super) fn refusals(plan: &Plan) -> Vec<Notice> {
    let mut all = plan.refusals.clone();
    for sync in &plan.syncs {
        for guard in sync.guards.iter().filter(|g| !g.ok) {
            let way =
                format!("to go ahead once: `syncline apply --allow {}:{}={}`", sync.sync, guard.name, guard.actual);
            let same = |n: &&mut Notice| n.code == guard.name && n.sync.as_deref() == Some(&sync.sync);
            match all.iter_mut().find(same) {
                Some(notice) => {
                    notice.help.get_or_insert(way);
                }
                None => all.push(Notice {
                    code: guard.name.clone(),
                    sync: Some(sync.sync.clone()),
                    message: format!("`{}` counts {}, the limit is {}", guard.name, group(guard.actual), guard.limit),
                    help: Some(way),
                    ..Notice::default()
                }),
            }
        }
    }
    all
}

/// The line that says `apply` refuses, and why; `None` when it does not.
pub(super) fn refused_line(plan: &Plan) -> Option<String> {
    refused_words(plan).map(|words| format!("Apply refuses this plan: {words}."))
}

/// Why `apply` refuses, by kind of reason and how often; `None` when it does not.
pub(super) fn refused_words(plan: &Plan) -> Option<String> {
    let all = refusals(plan);
    let of = |kind: &dyn Fn(&str) -> bool| all.iter().filter(|notice| kind(&notice.code)).count() as u64;
    let (tests, keys) = (of(&|code| code == model_tests::FAILED), of(&|code| code == "key_changed"));
    let (targets, types) = (of(&|code| code == "target_changed"), of(&|code| code == "type_changed"));
    let approvals = of(&|code| code == "credential_surface");
    let limits = all.len() as u64 - tests - keys - targets - types - approvals;
    let reasons = [
        (limits, "limit is exceeded", "limits are exceeded"),
        (tests, "test fails", "tests fail"),
        (keys, "primary key has changed", "primary keys have changed"),
        (targets, "sync goes elsewhere", "syncs go elsewhere"),
        (types, "column has another type", "columns have other types"),
        (approvals, "sync waits for approval", "syncs wait for approval"),
    ];
    let reasons = reasons.into_iter().filter(|(number, ..)| *number > 0);
    let words: Vec<String> = reasons.map(|(number, one, more)| count(number, one, more)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// How many tests of the model hold and fail; nothing where it has none.
pub(super) fn test_words(sync: &SyncPlan) -> Vec<String> {
    let failed = sync.tests.iter().filter(|t| !t.ok).count() as u64;
    present([("passed", sync.tests.len() as u64 - failed), ("failed", failed)])
}

/// A test that fails, in words: which, and what is wrong.
pub(super) fn test_text(test: &TestResult) -> String {
    let word = if test.refuses() { "failed" } else { "warns" };
    format!("{word}: {}: {}", test.title(), test.message.as_deref().unwrap_or("it does not hold"))
}

/// The rows named of a test that fails: keys, with the value where there is one.
pub(super) fn test_rows(test: &TestResult) -> Vec<String> {
    let row = |sample: &TestSample| match &sample.value {
        Some(value) if !value.is_null() => format!("{} ({})", visible(&sample.key), value_text(value)),
        _ => visible(&sample.key),
    };
    test.samples.iter().map(row).collect()
}

/// The notice's message with the sync it is about in front, unless the message names it itself.
pub(super) fn notice_text(notice: &Notice) -> String {
    match &notice.sync {
        Some(sync) if !notice.message.contains(&format!("`{sync}`")) => format!("`{sync}`: {}", notice.message),
        _ => notice.message.clone(),
    }
}

/// Held rows by reason: `12 rejected`, `2 no match`.
pub(super) fn held_words(sync: &SyncPlan) -> Vec<String> {
    held_reasons(&sync.held)
}

/// Held rows by reason.
pub(super) fn held_reasons(h: &HeldCounts) -> Vec<String> {
    present([("rejected", h.rejected), ("no match", h.no_match), ("in doubt", h.in_doubt)])
}

/// The schedules of a plan's syncs, by sync.
pub(super) fn schedules(plan: &Plan) -> Vec<(&str, &Scheduled)> {
    plan.syncs.iter().filter_map(|sync| Some((sync.sync.as_str(), sync.schedule.as_ref()?))).collect()
}

/// Causes, when there is more than one or the configuration is among them; otherwise nothing needs saying.
pub(super) fn cause_words(sync: &SyncPlan) -> Vec<String> {
    let c = &sync.causes;
    let words = present([
        ("data", c.data),
        ("configuration", c.configuration),
        ("first run", c.first_run),
        ("sent again", c.retry.saturating_sub(c.unanswered)),
        ("sent again or for the first time, as a run ended without their answer", c.unanswered),
        ("changed at the destination", c.drift),
    ]);
    let mut words = if words.len() > 1 || c.configuration + c.retry + c.drift > 0 { words } else { Vec::new() };
    if sync.without_change > 0 {
        words.push(format!(
            "{} no longer",
            count(sync.without_change, "row that would change does", "rows that would change do")
        ));
    }
    words
}

/// True when the sync never ran: every row is new to us.
pub(super) fn is_first_run(sync: &SyncPlan) -> bool {
    sync.causes.first_run > 0 && sync.counts.changed + sync.counts.removed == 0
}

/// What would be done at the destination.
pub(super) fn operation_words(sync: &SyncPlan) -> Vec<String> {
    let o = &sync.operations;
    present([("to send", o.send), ("to delete", o.delete), ("to clear", o.clear), ("with nothing to do", o.none)])
}

/// What applying costs.
pub(super) fn estimate_words(sync: &SyncPlan) -> Vec<String> {
    let e = &sync.estimate;
    let mut words = Vec::new();
    if e.requests > 0 {
        words.push(count(e.requests, "request", "requests"));
    }
    if e.seconds > 0 {
        words.push(format!("about {}", duration(e.seconds)));
    }
    if e.queried_records > 0 {
        words.push(count(e.queried_records, "queried record", "queried records"));
    }
    words
}

/// What the destination was found to hold; nothing where nobody looked.
pub(super) fn refresh_words(sync: &SyncPlan) -> Vec<String> {
    let Some(r) = &sync.refresh else { return Vec::new() };
    let mut words = Vec::new();
    if r.looked_for > 0 {
        words.push(format!("{} looked for", count(r.looked_for, "record", "records")));
        words.extend(present([
            ("as acknowledged", r.same),
            ("gone", r.missing),
            ("changed", r.changed),
            ("there more than once", r.several),
            ("not to be read", r.unreadable),
        ]));
    }
    if r.new.looked_for > 0 {
        words.push(format!("{} looked for", count(r.new.looked_for, "new one", "new ones")));
        words.push(format!("{} of them there already", group(r.new.found)));
    }
    words
}

/// Records that are not as they were acknowledged, each in words.
pub(super) fn drift_rows(sync: &SyncPlan) -> Vec<String> {
    let Some(refresh) = &sync.refresh else { return Vec::new() };
    let row = |drifted: &Drifted| {
        let key = visible(&drifted.key);
        if drifted.fields.is_empty() {
            let word = match drifted.found.as_str() {
                "missing" => "gone",
                "several" => "there more than once",
                "unreadable" => "not to be read",
                other => other,
            };
            return format!("{key}: {word}");
        }
        let field = |field: &DriftedField| {
            let (acknowledged, there) = (value_text(&field.acknowledged), value_text(&field.there));
            format!("{} was {acknowledged}, is {there}", visible(&field.name))
        };
        format!("{key}: {}", drifted.fields.iter().map(field).collect::<Vec<_>>().join(", "))
    };
    let mut rows: Vec<String> = refresh.drift.iter().map(row).collect();
    if refresh.drifted() > rows.len() as u64 {
        rows.push("…".into());
    }
    rows
}

fn present<const N: usize>(words: [(&str, u64); N]) -> Vec<String> {
    words.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{} {word}", group(*n))).collect()
}

/// Why rows are invalid, in words; a reason this version does not know is shown as it is.
pub(super) fn invalid_reason(invalid: &crate::plan::Invalid) -> String {
    let words = match invalid.reason.as_str() {
        "null_key" => "without a key".to_owned(),
        "duplicate_key" => "share a key".to_owned(),
        "null_match" => "without a value to match by".to_owned(),
        "unmappable" => "cannot be mapped".to_owned(),
        other => other.to_owned(),
    };
    match &invalid.field {
        Some(field) => format!("{words} (field `{field}`)"),
        None => words,
    }
}

/// What is said of rows whose old values were not kept.
pub(super) fn unknown_words(sync: &SyncPlan) -> Option<String> {
    (sync.unknown_before > 0).then(|| {
        format!(
            "{} with unknown old values (`state.values: fingerprint`): which fields differ cannot be said",
            count(sync.unknown_before, "row", "rows")
        )
    })
}

/// Up to `n` samples, in turn from the changed, the added and the removed, so that few of them still show every kind.
pub(super) fn pick(samples: &[Sample], n: usize) -> Vec<&Sample> {
    let kinds = ["changed", "added", "removed"];
    let kind = |s: &Sample| kinds.iter().position(|k| *k == s.state).unwrap_or(kinds.len());
    let mut ranked: Vec<(usize, usize, &Sample)> = Vec::new();
    let mut seen = [0; 4];
    for sample in samples {
        let kind = kind(sample);
        if let Some(turn) = seen.get_mut(kind) {
            ranked.push((*turn, kind, sample));
            *turn += 1;
        }
    }
    ranked.sort_by_key(|(turn, kind, _)| (*turn, *kind));
    ranked.truncate(n);
    ranked.sort_by_key(|(turn, kind, _)| (*kind, *turn));
    ranked.into_iter().map(|(_, _, sample)| sample).collect()
}

/// The first characters of a commit; other names as they are.
pub(super) fn short_commit(commit: &str) -> &str {
    if commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()) { &commit[..7] } else { commit }
}
