//! A plan as the comment of a merge request: Markdown within a byte budget.
//!
//! The first line is hidden and says whose comment it is: `<!-- syncline:plan:ENVIRONMENT:PROJECT -->`. By it the comment
//! is found again (`forge`).
//!
//! What does not fit goes in a fixed order ([`Level`]) and a last line says what was left out. The verdict, warnings,
//! refusals and the table of changed syncs go last of all.

mod details;

use super::facts::{
    budget, by_state, changes, is_quiet, notice_text, refusals, refused_words, schedules, short_commit, verdict,
};
use super::mask::Masked;
use super::numbers::{count, group};
use super::prose::{code, marker, sentence};
use crate::plan::{Notice, Plan, SyncPlan};

/// Bytes of a comment unless told otherwise: below the 65 536 characters that GitHub takes.
pub const DEFAULT_BUDGET: usize = 60_000;

/// How much is shown. Each step of [`STEPS`] shows less than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    samples: usize,
    diffs: bool,
    details: bool,
    quiet_rows: bool,
    /// The list of changed manifests; their number always stays.
    manifests: bool,
    /// Rows of the table of changed syncs.
    rows: usize,
    /// Warnings and refusals, each.
    notices: usize,
}

const FULL: Level = Level {
    samples: 6,
    diffs: true,
    details: true,
    quiet_rows: true,
    manifests: true,
    rows: usize::MAX,
    notices: usize::MAX,
};

/// The fixed order in which things are left out.
const STEPS: [Level; 7] = [
    FULL,
    Level { samples: 2, ..FULL },
    Level { samples: 0, ..FULL },
    Level { samples: 0, diffs: false, ..FULL },
    Level { samples: 0, diffs: false, details: false, ..FULL },
    Level { samples: 0, diffs: false, details: false, quiet_rows: false, ..FULL },
    BARE,
];

const BARE: Level = Level { samples: 0, diffs: false, details: false, quiet_rows: false, manifests: false, ..FULL };

/// A plan as Markdown of at most `budget` bytes ([`DEFAULT_BUDGET`]). Below about 1 000 bytes the verdict and the line
/// that says what was left out may need more than the budget.
pub fn plan_markdown(plan: &Masked, budget: usize) -> String {
    for level in STEPS {
        let text = render(plan, level);
        if text.len() <= budget {
            return text;
        }
    }
    // The table is cut before any warning is.
    let syncs = plan.plan().syncs.len();
    let with_rows = |rows| render(plan, Level { rows, ..BARE });
    let rows = largest(syncs, |rows| with_rows(rows).len() <= budget);
    let text = with_rows(rows);
    if text.len() <= budget {
        return text;
    }
    let most = plan.plan().warnings.len().max(refusals(plan.plan()).len());
    let with_notices = |notices| render(plan, Level { rows: 0, notices, ..BARE });
    with_notices(largest(most, |notices| with_notices(notices).len() <= budget))
}

/// The largest number up to `most` that fits; 0 when none does. More never fits where less does not.
pub(super) fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

fn render(masked: &Masked, level: Level) -> String {
    let plan = masked.plan();
    let mark = format!("{}:{}", marker(&plan.environment), marker(&plan.project.name));
    let mut out = format!("<!-- syncline:plan:{mark} -->\n### {}\n\n", sentence(&verdict(plan)));
    out.push_str(&origin(plan));
    let refusals = refusals(plan);
    callouts(&mut out, "CAUTION", &refusals, level.notices, "refusals");
    callouts(&mut out, "WARNING", &plan.warnings, level.notices, "warnings");
    table(&mut out, plan, level);
    if level.manifests {
        details::configuration(&mut out, plan, level.diffs);
    }
    if level.details {
        for sync in plan.syncs.iter().filter(|s| !is_quiet(s)) {
            details::sync(&mut out, sync, level.samples);
        }
        details::schedules(&mut out, plan);
    }
    out.push_str(&last_lines(masked, level));
    out
}

/// The line below the verdict: where the plan comes from, and whether apply would refuse it.
fn origin(plan: &Plan) -> String {
    let mut parts = Vec::new();
    if !plan.project.name.is_empty() {
        parts.push(code(&plan.project.name, false));
    }
    match (&plan.project.commit, &plan.project.against) {
        (Some(commit), Some(against)) => {
            parts.push(format!("{} against {}", code(short_commit(commit), false), code(short_commit(against), false)));
        }
        (Some(commit), None) => parts.push(code(short_commit(commit), false)),
        (None, Some(against)) => parts.push(format!("against {}", code(short_commit(against), false))),
        (None, None) => {}
    }
    parts.extend(budget(plan));
    if !plan.configuration.is_empty() {
        parts.push(count(plan.configuration.len() as u64, "manifest changed", "manifests changed"));
    }
    if !plan.complete && !plan.syncs.is_empty() {
        parts.push("selected syncs only".into());
    }
    parts.extend(refused_words(plan).map(|words| format!("**apply would be refused: {words}**")));
    if parts.is_empty() { String::new() } else { parts.join(" · ") + "\n\n" }
}

/// Warnings and refusals as callouts. A message longer than 600 characters is cut.
pub(super) fn callouts(out: &mut String, kind: &str, notices: &[Notice], most: usize, name: &str) {
    if notices.is_empty() {
        return;
    }
    out.push_str(&format!("> [!{kind}]\n"));
    for notice in notices.iter().take(most) {
        out.push_str(&format!("> - {}", sentence(&shortened(&notice_text(notice)))));
        if let Some(place) = &notice.place {
            out.push_str(&format!(" ({})", code(&shortened(place), false)));
        }
        if let Some(help) = &notice.help {
            out.push_str(&format!("<br>hint: {}", sentence(&shortened(help))));
        }
        out.push('\n');
    }
    if notices.len() > most {
        out.push_str(&format!("> - and {} more {name}\n", notices.len() - most));
    }
    out.push('\n');
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 600 { text.to_owned() } else { text.chars().take(600).chain(['…']).collect() }
}

fn table(out: &mut String, plan: &Plan, level: Level) {
    let (quiet, loud): (Vec<_>, Vec<_>) = plan.syncs.iter().partition(|s| is_quiet(s));
    if plan.syncs.is_empty() || (loud.is_empty() && !level.quiet_rows) {
        return;
    }
    out.push_str("| sync | destination | added | changed | removed | unchanged | invalid |\n");
    out.push_str("|:--|:--|--:|--:|--:|--:|--:|\n");
    let quiet = if level.quiet_rows { quiet } else { Vec::new() };
    for sync in loud.iter().take(level.rows).chain(&quiet) {
        out.push_str(&row(sync));
    }
    out.push('\n');
    if loud.len() > level.rows {
        let cut = loud.get(level.rows..).unwrap_or_default();
        let rows = cut.iter().map(|s| changes(&s.counts)).sum();
        let syncs = count(cut.len() as u64, "more sync", "more syncs");
        out.push_str(&format!("and {syncs} with {}\n\n", count(rows, "row to change", "rows to change")));
    }
}

fn row(sync: &SyncPlan) -> String {
    let mut row =
        format!("| {} | {} {} |", code(&sync.sync, true), code(&sync.destination, true), code(&sync.object, true));
    for (_, n) in by_state(&sync.counts) {
        row.push_str(&format!(" {} |", group(n)));
    }
    row + "\n"
}

/// What this is, and what was left out to stay within the budget.
fn last_lines(masked: &Masked, level: Level) -> String {
    let plan = masked.plan();
    let mut facts = vec!["nothing was sent".to_owned()];
    if !plan.plan_id.is_empty() {
        facts.insert(0, format!("plan {}", code(&plan.plan_id, false)));
    }
    if !plan.digest.is_empty() {
        facts.push(format!("configuration {}", code(&plan.digest, false)));
    }
    facts.push(if masked.shows_values() { "values are shown" } else { "keys and sensitive values are masked" }.into());
    let mut out = format!("<sub>{}</sub>\n", facts.join(" · "));
    let missing = left_out(plan, level);
    if !missing.is_empty() {
        out.push_str(&format!("\n<sub>Left out to stay within the size of a comment: {}. ", missing.join("; ")));
        out.push_str("The whole plan: `syncline plan --format html`.</sub>\n");
    }
    out
}

fn left_out(plan: &Plan, level: Level) -> Vec<String> {
    let loud = plan.syncs.iter().filter(|s| !is_quiet(s)).count();
    let had = |samples: usize| plan.syncs.iter().any(|s| s.samples.len() > samples);
    let mut missing = Vec::new();
    if level.samples < FULL.samples && had(level.samples) {
        missing.push(match level.samples {
            0 => "samples".to_owned(),
            n => format!("samples beyond {n} a sync"),
        });
    }
    if !level.diffs && plan.configuration.iter().any(|c| !c.diff.is_empty()) {
        missing.push("configuration differences".into());
    }
    if !level.details && loud > 0 {
        missing.push("details of each sync".into());
    }
    if !level.details && !schedules(plan).is_empty() {
        missing.push("schedules".into());
    }
    if !level.quiet_rows && loud < plan.syncs.len() {
        missing.push(count((plan.syncs.len() - loud) as u64, "unchanged sync", "unchanged syncs"));
    }
    if !level.manifests && !plan.configuration.is_empty() {
        missing.push("the list of changed manifests".into());
    }
    if loud > level.rows {
        missing.push(count((loud - level.rows) as u64, "row of the table", "rows of the table"));
    }
    if plan.warnings.len().max(refusals(plan).len()) > level.notices {
        missing.push("warnings and refusals".into());
    }
    missing
}
