//! A plan as one self-contained page: to be kept beside the pipeline, printed, or read on a telephone.

use serde::Serialize;

use super::diff::{Line, lines, middle};
use super::escape::visible;
use super::facts::{
    budget, by_state, cause_words, changes, drift_rows, estimate_words, held_words, invalid_reason, is_first_run,
    is_quiet, notice_text, operation_words, pick, refresh_words, refusals, refused_line, schedules, short_commit,
    symbol, test_rows, test_text, test_words, unknown_words, verdict,
};
use super::mask::Masked;
use super::numbers::{count, percent};
use super::page::{Part, Shown, headline, json_for_script, number, numbers_together, parts, parts_as_written, render};
use crate::diagnostic::Result;
use crate::plan::{Causes, ConfigurationChange, FieldChange, Notice, Plan, Sample, SyncPlan, TestResult};

/// Samples a sync that are drawn as cards.
const SAMPLES: usize = 12;

/// A plan as a page that needs neither network nor script. It holds the masked plan as JSON in the element `#plan`.
///
/// # Errors
/// None in practice: the templates are part of the program.
pub fn plan_html(plan: &Masked) -> Result<String> {
    let data = json_for_script(plan.plan())?;
    render("plan.html", Page::of(plan, data))
}

#[derive(Serialize)]
struct Page {
    title: String,
    verdict: Vec<Part>,
    refused: Option<String>,
    origin: Vec<String>,
    totals: Vec<Total>,
    notices: Vec<NoticeView>,
    syncs: Vec<SyncView>,
    quiet: Vec<String>,
    quiet_title: String,
    schedules: Vec<(String, Vec<Part>)>,
    configuration: Vec<ChangeView>,
    masked: bool,
    plan_id: String,
    digest: String,
    created_at: String,
    data: minijinja::Value,
}

#[derive(Serialize)]
struct Total {
    state: &'static str,
    symbol: char,
    count: String,
    zero: bool,
    percent: f64,
}

#[derive(Serialize)]
pub(super) struct NoticeView {
    pub class: &'static str,
    pub word: &'static str,
    pub message: Vec<Part>,
    pub place: Option<String>,
    pub help: Vec<Part>,
}

#[derive(Serialize)]
struct SyncView {
    name: String,
    model: String,
    destination: String,
    object: String,
    mode: String,
    open: bool,
    refused: bool,
    bar: Vec<Total>,
    facts: Vec<(&'static str, String)>,
    causes: Vec<CauseView>,
    unknown: Vec<Part>,
    fields: Vec<FieldView>,
    samples: Vec<SampleView>,
    more: Option<String>,
    invalid: Vec<InvalidView>,
    guards: Vec<GuardView>,
    tests: Vec<TestView>,
}

#[derive(Serialize)]
struct TestView {
    text: Vec<Part>,
    rows: Vec<String>,
}

/// A cause of changes; drawn when there is more than one, or when it is the configuration.
#[derive(Serialize)]
struct CauseView {
    word: &'static str,
    class: &'static str,
    count: String,
    percent: f64,
}

#[derive(Serialize)]
struct FieldView {
    name: String,
    count: String,
    percent: f64,
}

#[derive(Serialize)]
struct SampleView {
    state: String,
    symbol: char,
    key: String,
    fields: Vec<(String, Option<Shown>, Option<Shown>)>,
}

#[derive(Serialize)]
struct InvalidView {
    count: String,
    reason: Vec<Part>,
    message: Vec<Part>,
    keys: Vec<String>,
}

#[derive(Serialize)]
struct GuardView {
    name: String,
    limit: String,
    actual: String,
    ok: bool,
}

#[derive(Serialize)]
struct ChangeView {
    change: String,
    symbol: char,
    kind: String,
    name: String,
    file: String,
    affects: Vec<String>,
    /// Lines taken away and lines put in; nothing where there are none.
    size: Vec<(&'static str, String)>,
    lines: Vec<LineView>,
}

/// A line of a difference; the middle of its text is what another line has otherwise.
#[derive(Serialize)]
struct LineView {
    class: &'static str,
    mark: char,
    text: [String; 3],
}

impl Page {
    fn of(masked: &Masked, data: minijinja::Value) -> Self {
        let plan = masked.plan();
        let (quiet, loud): (Vec<_>, Vec<_>) = plan.syncs.iter().partition(|s| is_quiet(s));
        // A page of many syncs starts folded; a short one is read from top to bottom.
        let open = loud.len() <= 4;
        let refusals = refusals(plan);
        let notices = refusals.iter().map(|n| notice("refusal", "refused", n));
        Self {
            title: visible(&verdict(plan).replace('`', "")),
            verdict: headline(&verdict(plan)),
            refused: refused_line(plan),
            origin: origin(plan),
            totals: totals(plan),
            notices: notices.chain(plan.warnings.iter().map(|n| notice("warning", "warning", n))).collect(),
            syncs: loud.iter().map(|s| SyncView::of(s, open)).collect(),
            quiet_title: count(quiet.len() as u64, "unchanged sync", "unchanged syncs"),
            schedules: schedules(plan).iter().map(|(name, s)| (visible(name), parts_as_written(&s.text))).collect(),
            quiet: quiet.iter().map(|s| visible(&s.sync)).collect(),
            configuration: plan.configuration.iter().map(ChangeView::of).collect(),
            masked: !masked.shows_values(),
            plan_id: visible(&plan.plan_id),
            digest: visible(&plan.digest),
            created_at: visible(&plan.created_at),
            data,
        }
    }
}

fn origin(plan: &Plan) -> Vec<String> {
    let mut parts = vec![visible(&plan.project.name)];
    parts.push(plan.project.commit.as_deref().map(|c| visible(short_commit(c))).unwrap_or_default());
    parts.push(
        plan.project.against.as_deref().map(|a| format!("against {}", visible(short_commit(a)))).unwrap_or_default(),
    );
    parts.push(visible(&minute(&plan.created_at)));
    if !plan.complete && !plan.syncs.is_empty() {
        parts.push("selected syncs only".into());
    }
    parts.extend(budget(plan));
    parts.retain(|p| !p.is_empty());
    parts
}

/// `2026-11-22 06:00 UTC`, of a time in RFC 3339; anything else as it is.
fn minute(time: &str) -> String {
    match (time.get(..10), time.get(10..11), time.get(11..16), time.ends_with('Z')) {
        (Some(day), Some("T"), Some(clock), true) => format!("{day} {clock} UTC"),
        _ => time.to_owned(),
    }
}

fn totals(plan: &Plan) -> Vec<Total> {
    let t = &plan.totals;
    let unchanged = plan.syncs.iter().map(|s| s.counts.unchanged).sum();
    let counts = [
        ("added", t.added),
        ("changed", t.changed),
        ("removed", t.removed),
        ("unchanged", unchanged),
        ("invalid", t.invalid),
    ];
    shares(&counts)
}

fn shares(counts: &[(&'static str, u64)]) -> Vec<Total> {
    let whole = counts.iter().map(|(_, n)| n).sum();
    let share = |(state, n): &(&'static str, u64)| Total {
        state,
        symbol: symbol(state),
        count: number(*n),
        zero: *n == 0,
        percent: percent(*n, whole),
    };
    counts.iter().map(share).collect()
}

pub(super) fn notice(class: &'static str, word: &'static str, notice: &Notice) -> NoticeView {
    NoticeView {
        class,
        word,
        message: parts(&notice_text(notice)),
        place: notice.place.as_deref().map(visible),
        help: notice.help.as_deref().map(parts).unwrap_or_default(),
    }
}

impl SyncView {
    fn of(sync: &SyncPlan, open: bool) -> Self {
        let picked = pick(&sync.samples, SAMPLES);
        let more = changes(&sync.counts).saturating_sub(picked.len() as u64);
        let most = sync.fields.values().copied().max().unwrap_or(0);
        let mut facts = vec![
            ("operations", operation_words(sync).join(" · ")),
            ("held back", held_words(sync).join(" · ")),
            ("destination", refresh_words(sync).join(" · ")),
            ("drift", drift_rows(sync).join(" · ")),
            ("estimate", estimate_words(sync).join(" · ")),
            ("tests", test_words(sync).join(" · ")),
        ];
        if sync.without_change > 0 {
            // The bar below has the other causes; these rows are in no count.
            facts.extend(cause_words(sync).pop().map(|words| ("causes", words)));
        }
        if is_first_run(sync) {
            facts.push(("first run", "every row is new to us".into()));
        }
        facts.retain(|(_, words)| !words.is_empty());
        facts.iter_mut().for_each(|(_, words)| *words = numbers_together(words));
        let field = |(name, n): (&String, &u64)| FieldView {
            name: visible(name),
            count: number(*n),
            percent: percent(*n, most),
        };
        Self {
            name: visible(&sync.sync),
            model: visible(&sync.model),
            destination: visible(&sync.destination),
            object: visible(&sync.object),
            mode: visible(&sync.mode),
            open,
            refused: sync.guards.iter().any(|g| !g.ok) || sync.tests.iter().any(TestResult::refuses),
            bar: shares(&by_state(&sync.counts)),
            facts,
            causes: if cause_words(sync).is_empty() { Vec::new() } else { causes(&sync.causes) },
            unknown: unknown_words(sync).as_deref().map(parts).unwrap_or_default(),
            fields: sync.fields.iter().map(field).collect(),
            samples: picked.iter().map(|s| SampleView::of(s)).collect(),
            more: (more > 0).then(|| numbers_together(&count(more, "more row", "more rows"))),
            invalid: sync.invalid.iter().map(InvalidView::of).collect(),
            guards: sync.guards.iter().map(GuardView::of).collect(),
            tests: sync.tests.iter().filter(|test| !test.ok).map(TestView::of).collect(),
        }
    }
}

fn causes(causes: &Causes) -> Vec<CauseView> {
    let all = [
        ("the data", "data", causes.data),
        ("the configuration", "configuration", causes.configuration),
        ("the first run", "first", causes.first_run),
        ("sent again", "again", causes.retry.saturating_sub(causes.unanswered)),
        ("sent again or for the first time", "again", causes.unanswered),
        ("changed at the destination", "drift", causes.drift),
    ];
    let whole = all.iter().map(|(.., n)| n).sum();
    let view = |(word, class, n): &(&'static str, &'static str, u64)| CauseView {
        word,
        class,
        count: number(*n),
        percent: percent(*n, whole),
    };
    all.iter().filter(|(.., n)| *n > 0).map(view).collect()
}

impl TestView {
    fn of(test: &TestResult) -> Self {
        Self { text: parts(&test_text(test)), rows: test_rows(test) }
    }
}

impl InvalidView {
    fn of(invalid: &crate::plan::Invalid) -> Self {
        Self {
            count: number(invalid.count),
            reason: parts(&invalid_reason(invalid)),
            message: invalid.message.as_deref().map(parts).unwrap_or_default(),
            keys: invalid.keys.iter().map(|k| visible(k)).collect(),
        }
    }
}

impl GuardView {
    fn of(guard: &crate::plan::Guard) -> Self {
        Self { name: visible(&guard.name), limit: visible(&guard.limit), actual: number(guard.actual), ok: guard.ok }
    }
}

impl SampleView {
    fn of(sample: &Sample) -> Self {
        let field = |f: &FieldChange| {
            let (before, after) = values(f);
            match sample.state.as_str() {
                "added" => (visible(&f.name), None, Some(after)),
                "removed" => (visible(&f.name), Some(before), None),
                _ => (visible(&f.name), Some(before), Some(after)),
            }
        };
        Self {
            state: visible(&sample.state),
            symbol: symbol(&sample.state),
            key: visible(&sample.key),
            fields: sample.fields.iter().map(field).collect(),
        }
    }
}

fn values(field: &FieldChange) -> (Shown, Shown) {
    let after_word = || Shown::word("not sent");
    match (&field.before, &field.after) {
        (_, after) if field.before_unknown => {
            (Shown::word("unknown"), after.as_ref().map_or_else(after_word, Shown::value))
        }
        (Some(before), Some(after)) => Shown::pair(before, after),
        (before, after) => (
            before.as_ref().map_or_else(|| Shown::word("none"), Shown::value),
            after.as_ref().map_or_else(after_word, Shown::value),
        ),
    }
}

impl ChangeView {
    fn of(change: &ConfigurationChange) -> Self {
        let lines = lines(&change.diff);
        let counted = |kind: Line| lines.iter().filter(|(of, _)| *of == kind).count();
        let size = [("added", '+', counted(Line::Added)), ("removed", '−', counted(Line::Removed))];
        let size = size.into_iter().filter(|(.., n)| *n > 0).map(|(class, mark, n)| (class, format!("{mark}{n}")));
        Self {
            change: visible(&change.change),
            symbol: symbol(&change.change),
            kind: visible(&change.kind),
            name: visible(&change.name),
            file: visible(&change.file),
            affects: change.affects.iter().map(|s| visible(s)).collect(),
            size: size.collect(),
            lines: line_views(&lines),
        }
    }
}

/// Lines as they are drawn: where as many lines were put in as were taken away, each pair is compared word by word.
fn line_views(lines: &[(Line, &str)]) -> Vec<LineView> {
    let mut out: Vec<LineView> = lines
        .iter()
        .map(|(kind, text)| {
            let (class, mark) = match kind {
                Line::Added => ("added", '+'),
                Line::Removed => ("removed", '-'),
                Line::Same => ("same", ' '),
                Line::Place => ("place", ' '),
            };
            LineView { class, mark, text: [visible(&text.replace('\t', "    ")), String::new(), String::new()] }
        })
        .collect();
    let run = |from: usize, kind: Line| lines[from..].iter().take_while(|(of, _)| *of == kind).count();
    let mut at = 0;
    while at < lines.len() {
        let removed = run(at, Line::Removed);
        let added = run(at + removed, Line::Added);
        if removed == added {
            for n in at..at + removed {
                let (before, after) = (out[n].text[0].clone(), out[n + removed].text[0].clone());
                let (before, after) = middle(&before, &after);
                // Lines that have nothing in common are easier to read whole.
                if !before[0].trim().is_empty() || !before[2].trim().is_empty() {
                    (out[n].text, out[n + removed].text) = (before.map(str::to_owned), after.map(str::to_owned));
                }
            }
        }
        at += (removed + added).max(1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_lines_are_compared_word_by_word() {
        let drawn = |diff: &str| -> Vec<String> {
            let views = line_views(&lines(diff));
            views.iter().map(|v| format!("{}{}[{}]{}", v.mark, v.text[0], v.text[1], v.text[2])).collect()
        };
        assert_eq!(drawn("-where a > 1\n+where a > 2\n"), ["-where a > [1]", "+where a > [2]"]);
        assert_eq!(drawn("-a: b\n+c d\n"), ["-a: b[]", "+c d[]"]);
        assert_eq!(drawn(" x\n-a b\n+a c\n+d\n"), [" x[]", "-a b[]", "+a c[]", "+d[]"]);
        assert_eq!(drawn(""), Vec::<String>::new());
    }

    #[test]
    fn times_are_shown_to_the_minute() {
        assert_eq!(minute("2026-11-22T06:00:07.123Z"), "2026-11-22 06:00 UTC");
        assert_eq!(minute("yesterday"), "yesterday");
        assert_eq!(minute("2026-11-22T06:00:07+01:00"), "2026-11-22T06:00:07+01:00");
    }
}
