//! A run as one self-contained page.

use serde::Serialize;

use super::{Alike, SyncRun, alike, aside, cost_words, is_quiet, next_steps, origin, outcomes, planned_words, verdict};
use crate::diagnostic::Result;
use crate::plan::Notice;
use crate::report::escape::visible;
use crate::report::html::{NoticeView, notice};
use crate::report::mask::MaskedRun;
use crate::report::numbers::{count, percent};
use crate::report::page::{Part, headline, json_for_script, number, numbers_together, parts, render};

/// Keys of records that were refused alike, before the rest is counted.
const KEYS: usize = 20;

/// A run as a page that needs neither network nor script. It holds the masked run as JSON in the element `#run`.
///
/// # Errors
/// None in practice: the templates are part of the program.
pub fn run_html(run: &MaskedRun) -> Result<String> {
    let data = json_for_script(run.run())?;
    render("run.html", Page::of(run, data))
}

#[derive(Serialize)]
struct Page {
    title: String,
    verdict: Vec<Part>,
    origin: Vec<String>,
    totals: Vec<OutcomeView>,
    notices: Vec<NoticeView>,
    syncs: Vec<SyncView>,
    masked: bool,
    run_id: String,
    plan_id: String,
    data: minijinja::Value,
}

#[derive(Serialize)]
struct OutcomeView {
    word: &'static str,
    symbol: char,
    class: &'static str,
    count: String,
    zero: bool,
    percent: f64,
}

#[derive(Serialize)]
struct SyncView {
    name: String,
    status: String,
    tag: &'static str,
    planned: String,
    open: bool,
    outcomes: Vec<OutcomeView>,
    facts: Vec<(&'static str, String)>,
    error: Vec<Part>,
    warnings: Vec<Vec<Part>>,
    rejections: Vec<RejectionView>,
}

#[derive(Serialize)]
struct RejectionView {
    count: String,
    code: String,
    message: Vec<Part>,
    keys: Vec<String>,
    more: bool,
}

impl Page {
    fn of(masked: &MaskedRun, data: minijinja::Value) -> Self {
        let run = masked.run();
        let mut notices: Vec<NoticeView> = Vec::new();
        if let Some(error) = &run.error {
            notices.push(notice("refusal", "error", &Notice { message: error.clone(), ..Notice::default() }));
        }
        for message in next_steps(run) {
            notices.push(notice("warning", "next", &Notice { message, ..Notice::default() }));
        }
        Self {
            title: visible(&verdict(run).replace('`', "")),
            verdict: headline(&verdict(run)),
            origin: origin(run).iter().map(|p| visible(p)).collect(),
            totals: outcome_views(&run.syncs),
            notices,
            syncs: run.syncs.iter().map(SyncView::of).collect(),
            masked: !masked.shows_values(),
            run_id: visible(&run.run_id),
            plan_id: visible(run.plan_id.as_deref().unwrap_or_default()),
            data,
        }
    }
}

fn outcome_views<'a>(syncs: impl IntoIterator<Item = &'a SyncRun>) -> Vec<OutcomeView> {
    let all = outcomes(syncs);
    let whole = all.iter().map(|(.., n)| n).sum();
    all.into_iter()
        .map(|(word, symbol, class, n)| OutcomeView {
            word,
            symbol,
            class,
            count: number(n),
            zero: n == 0,
            percent: percent(n, whole),
        })
        .collect()
}

impl SyncView {
    fn of(sync: &SyncRun) -> Self {
        let mut cost = cost_words(sync);
        if sync.retries > 0 {
            cost.push(count(sync.retries, "retry", "retries"));
        }
        let cost = numbers_together(&cost.join(" · "));
        Self {
            name: visible(&sync.sync),
            status: visible(&sync.status),
            tag: match sync.status.as_str() {
                "succeeded" => "good",
                "failed" | "refused" => "bad",
                "partial" => "warn",
                _ => "calm",
            },
            planned: numbers_together(&format!("planned: {}", planned_words(sync))),
            open: !is_quiet(sync) && sync.status != "succeeded",
            outcomes: outcome_views([sync]),
            facts: aside(sync).into_iter().chain((!cost.is_empty()).then_some(("cost", cost))).collect(),
            error: sync.error.as_deref().map(parts).unwrap_or_default(),
            warnings: sync.warnings.iter().map(|warning| parts(&warning.words())).collect(),
            rejections: alike(sync).iter().map(RejectionView::of).collect(),
        }
    }
}

impl RejectionView {
    fn of(alike: &Alike<'_>) -> Self {
        let keys: Vec<String> = alike.keys.iter().take(KEYS).map(|k| visible(k)).collect();
        Self {
            count: number(alike.count),
            code: visible(alike.code),
            message: parts(alike.message),
            more: alike.count > keys.len() as u64,
            keys,
        }
    }
}
