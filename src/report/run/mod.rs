//! The faces of a run: they mirror those of its plan, with outcomes in the place of intentions.

mod html;
mod markdown;
mod terminal;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use html::run_html;
pub use markdown::run_markdown;
pub use terminal::run_text;

use super::facts::{held_reasons, not_acknowledged};
use super::numbers::{count, duration, group};
use crate::plan::{HeldCounts, OnRequest};

/// A run as its JSON form says it. Readers ignore keys they do not know; what is missing counts as nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Run {
    /// `1.0`. A new minor adds keys.
    pub format_version: String,
    /// Unique name of the run.
    pub run_id: String,
    /// The plan that was applied.
    pub plan_id: Option<String>,
    /// Name of the environment; empty when the project has none.
    pub environment: String,
    /// `succeeded`, `partial`, `failed`, `refused`; `running` while it is under way.
    pub status: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; absent while the run is under way.
    pub finished_at: Option<String>,
    /// Why the run failed or was refused as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The syncs, in the order they were applied.
    pub syncs: Vec<SyncRun>,
}

/// What happened in one sync.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SyncRun {
    /// Name of the sync.
    pub sync: String,
    /// `succeeded`, `partial`, `failed`, `refused`.
    pub status: String,
    /// Why the sync failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Rows that were to be dealt with.
    pub planned: Rows,
    /// Rows that the destination has taken.
    pub succeeded: Rows,
    /// Records refused by the destination.
    pub rejected: u64,
    /// Update-only records that the destination does not hold.
    pub no_match: u64,
    /// Records accepted without an answer for each.
    pub unverified: u64,
    /// Records sent whose answer was lost.
    pub in_doubt: u64,
    /// Rows that were not sent.
    pub pending: u64,
    /// Of `succeeded`: rows for which there was nothing to do at the destination.
    #[serde(skip_serializing_if = "is_none")]
    pub nothing_to_do: u64,
    /// Of `pending`: rows that no later plan has by itself.
    #[serde(skip_serializing_if = "OnRequest::is_empty")]
    pub pending_on_request: OnRequest,
    /// Rows that earlier runs have left held and that this one did not send; not part of `planned`.
    #[serde(skip_serializing_if = "HeldCounts::is_empty")]
    pub held: HeldCounts,
    /// Rows of the model that are as last acknowledged.
    #[serde(skip_serializing_if = "is_none")]
    pub unchanged: u64,
    /// Rows of the model that are never sent.
    #[serde(skip_serializing_if = "is_none")]
    pub invalid: u64,
    /// Operations that were left out on purpose (`--only-key`, `--limit`); the next plan has them again.
    #[serde(skip_serializing_if = "is_none")]
    pub left_out: u64,
    /// Requests, or transactions of a database.
    pub requests: u64,
    /// Requests that were repeated.
    pub retries: u64,
    /// True when keys may be read, as their columns are declared `sensitive: false`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub key_open: bool,
    /// Records refused, a few or all of them.
    pub rejections: Vec<Rejection>,
    /// What the destination let pass but did not do as asked, e.g. fields it left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What the sync used up.
    pub usage: Usage,
}

/// Rows by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rows {
    /// Added rows.
    pub added: u64,
    /// Changed rows.
    pub changed: u64,
    /// Removed rows.
    pub removed: u64,
}

/// A refused record, or several that were refused alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rejection {
    /// The record's key.
    pub key: String,
    /// The destination's code.
    pub code: String,
    /// The destination's words.
    pub message: String,
    /// How many records.
    pub count: u64,
}

/// Something a destination let pass but did not do as asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Warning {
    /// The destination's words, or the connector's.
    pub message: String,
    /// How many answers said so.
    pub count: u64,
}

impl Warning {
    /// The message with how often it came, where that was more than once.
    fn words(&self) -> String {
        match self.count {
            0 | 1 => self.message.clone(),
            count => format!("{} (in {} answers)", self.message, group(count)),
        }
    }
}

/// What a sync used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Distinct primary keys read: the measure of the monthly budget.
    pub queried_records: u64,
}

impl Run {
    /// Reads the JSON form of a run.
    ///
    /// # Errors
    /// When it is not of this form, with the key that is not.
    pub fn read(json: &serde_json::Value) -> crate::diagnostic::Result<Self> {
        serde_path_to_error::deserialize(json).map_err(|e| {
            crate::diagnostic::Error::failed_help(
                format!("this is not a run: {e}"),
                "a run is what `syncline apply --report FILE` writes",
            )
        })
    }
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Rows {
    pub(super) fn sum(&self) -> u64 {
        self.added + self.changed + self.removed
    }
}

/// An outcome: word, symbol, colour by row state, number.
type Outcome = (&'static str, char, &'static str, u64);

/// The outcomes of some syncs, in a fixed order.
fn outcomes<'a>(syncs: impl IntoIterator<Item = &'a SyncRun>) -> [Outcome; 6] {
    let mut all = [
        ("succeeded", '✓', "added", 0),
        ("rejected", '✗', "removed", 0),
        ("no match", '!', "changed", 0),
        ("unverified", '?', "unchanged", 0),
        ("in doubt", '?', "invalid", 0),
        ("not sent", '=', "unchanged", 0),
    ];
    for s in syncs {
        let done = s.succeeded.sum().saturating_sub(s.nothing_to_do);
        let numbers = [done, s.rejected, s.no_match, s.unverified, s.in_doubt, s.pending];
        all.iter_mut().zip(numbers).for_each(|(outcome, n)| outcome.3 += n);
    }
    all
}

/// The verdict: one sentence, first and last of every face.
fn verdict(run: &Run) -> String {
    let place = if run.environment.is_empty() { String::new() } else { format!(" to `{}`", run.environment) };
    let [(.., succeeded), rest @ ..] = outcomes(&run.syncs);
    let mut numbers = format!("{} succeeded", group(succeeded));
    for (word, _, _, n) in rest.iter().filter(|(_, _, _, n)| *n > 0) {
        numbers.push_str(&format!(", {} {word}", group(*n)));
    }
    let sum = |count: fn(&SyncRun) -> u64| run.syncs.iter().map(count).sum::<u64>();
    let (planned, invalid, held) = (sum(|s| s.planned.sum()), sum(|s| s.invalid), held(run));
    for (n, word) in [
        (sum(|s| s.nothing_to_do), "with nothing to do".to_owned()),
        (held.total(), format!("held since earlier runs ({})", held_reasons(&held).join(", "))),
        (invalid, "invalid".to_owned()),
    ] {
        if n > 0 {
            numbers.push_str(&format!(", {} {word}", group(n)));
        }
    }
    match run.status.as_str() {
        "refused" => format!("Apply{place} was refused: nothing was sent"),
        "failed" => format!("Apply{place} failed: {numbers} of {}", count(planned, "row", "rows")),
        "running" => format!("Apply{place} is under way: {numbers} of {}", count(planned, "row", "rows")),
        "succeeded" if planned == 0 && held.total() + invalid > 0 => {
            format!("Nothing to apply{place}: {}", not_acknowledged(sum(|s| s.unchanged), &held, invalid))
        }
        "succeeded" if planned == 0 => format!("Nothing to apply{place}: every row is as last acknowledged"),
        "partial" => format!("Applied{place} in part: {numbers}"),
        _ => format!("Applied{place}: {numbers}"),
    }
}

/// Rows of all syncs that earlier runs have left held.
fn held(run: &Run) -> HeldCounts {
    let sum = |count: fn(&HeldCounts) -> u64| run.syncs.iter().map(|s| count(&s.held)).sum();
    HeldCounts { rejected: sum(|h| h.rejected), no_match: sum(|h| h.no_match), in_doubt: sum(|h| h.in_doubt) }
}

/// Planned rows of a sync in words.
fn planned_words(sync: &SyncRun) -> String {
    let p = &sync.planned;
    format!("{} added, {} changed, {} removed", group(p.added), group(p.changed), group(p.removed))
}

/// Requests and the budget.
fn cost_words(sync: &SyncRun) -> Vec<String> {
    let mut words = Vec::new();
    if sync.requests > 0 {
        words.push(count(sync.requests, "request", "requests"));
    }
    if sync.usage.queried_records > 0 {
        words.push(count(sync.usage.queried_records, "queried record", "queried records"));
    }
    words
}

/// Rows of a sync that no run sends by itself, with a word in front.
fn aside(sync: &SyncRun) -> Vec<(&'static str, String)> {
    let mut words = Vec::new();
    if sync.held.total() > 0 {
        words.push(("held", format!("{} since earlier runs", held_reasons(&sync.held).join(", "))));
    }
    if sync.invalid > 0 {
        words.push(("invalid", count(sync.invalid, "row, never sent", "rows, never sent")));
    }
    words
}

/// True when there is nothing to say of a sync but its name.
fn is_quiet(sync: &SyncRun) -> bool {
    let outcomes: u64 = outcomes([sync]).iter().map(|(_, _, _, n)| n).sum();
    let told = sync.held.total() + sync.invalid + sync.nothing_to_do;
    sync.status == "succeeded" && sync.planned.sum() + outcomes + told + sync.left_out + sync.warnings.len() as u64 == 0
}

/// Refused records that were refused alike.
struct Alike<'a> {
    code: &'a str,
    message: &'a str,
    count: u64,
    keys: Vec<&'a str>,
}

/// Rejections by code and message, most frequent first.
fn alike(sync: &SyncRun) -> Vec<Alike<'_>> {
    let mut groups: IndexMap<(&str, &str), Alike> = IndexMap::new();
    for r in &sync.rejections {
        let alike = Alike { code: &r.code, message: &r.message, count: 0, keys: Vec::new() };
        let group = groups.entry((&r.code, &r.message)).or_insert(alike);
        group.count += r.count.max(1);
        if !r.key.is_empty() {
            group.keys.push(&r.key);
        }
    }
    let mut groups: Vec<Alike> = groups.into_values().collect();
    groups.sort_by_key(|g| std::cmp::Reverse(g.count));
    groups
}

/// How long the run took, when both ends are known and in order.
fn took(run: &Run) -> Option<String> {
    let start: jiff::Timestamp = run.started_at.parse().ok()?;
    let end: jiff::Timestamp = run.finished_at.as_deref()?.parse().ok()?;
    u64::try_from(end.as_second() - start.as_second()).ok().map(duration)
}

/// Id, time and length of a run.
fn origin(run: &Run) -> Vec<String> {
    let started =
        run.started_at.parse().map_or_else(|_| run.started_at.clone(), |at: jiff::Timestamp| format!("{at:.0}"));
    let mut parts = vec![run.run_id.clone(), started];
    parts.extend(took(run).map(|t| format!("took {t}")));
    parts.retain(|p| !p.is_empty());
    parts
}

/// Rows that come again only on request, by option.
fn on_request(run: &Run) -> [(u64, &'static str); 3] {
    let sum = |count: fn(&OnRequest) -> u64| run.syncs.iter().map(|s| count(&s.pending_on_request)).sum();
    [(sum(|r| r.full_refresh), "--full-refresh"), (sum(|r| r.retry), "--retry"), (sum(|r| r.refresh), "--refresh")]
}

/// What to do after a run, by its outcomes.
fn next_steps(run: &Run) -> Vec<String> {
    let [_, rejected, no_match, _, in_doubt, pending] = outcomes(&run.syncs).map(|(_, _, _, n)| n);
    let id = if run.run_id.is_empty() { "ID" } else { &run.run_id };
    let mut steps = Vec::new();
    if rejected > 0 {
        steps.push(format!("rejected rows are sent again when they change or with `syncline apply --retry`; all of them: `syncline runs rejected {id}`"));
    }
    if no_match > 0 {
        steps.push(
            "rows with no match are not at the destination; they are sent again when they change or with `--retry`"
                .into(),
        );
    }
    if in_doubt > 0 {
        steps.push("rows in doubt were sent, but the answer was lost; `delivery.on_doubt` of the sync decides what happens to them".into());
    }
    let left_out: u64 = run.syncs.iter().map(|s| s.left_out).sum();
    if left_out > 0 {
        let them = count(left_out, "operation was", "operations were");
        steps.push(format!("{them} left out on purpose; the next plan has what was left out again"));
    }
    let held = held(run);
    if held.total() > 0 {
        steps.push("held rows of earlier runs are sent again when they change, or with `syncline apply --retry`; `syncline runs rejected` lists them".into());
    }
    if held.in_doubt > 0 {
        steps.push("of held rows in doubt nobody can say whether they arrived: look, then `syncline state adopt SYNC` takes them as synced, or `--retry` sends them again".into());
    }
    let asked = on_request(run);
    for (rows, option) in asked.into_iter().filter(|(rows, _)| *rows > 0) {
        steps.push(format!(
            "{} not sent, and no later plan has {}: give `{option}` again, or, where it was a plan file, apply that again",
            count(rows, "row was", "rows were"),
            if rows == 1 { "it by itself" } else { "them by itself" }
        ));
    }
    let asked: u64 = asked.iter().map(|(rows, _)| rows).sum();
    if (run.status == "failed" && rejected + pending == 0) || pending > asked {
        steps.push("nothing is lost: the next `syncline apply` goes on where this one stopped".into());
    }
    steps
}
