//! The folded parts of a comment: configuration differences, and each sync's fields and samples.

use crate::plan::{Invalid, Plan, Sample, SyncPlan};
use crate::report::diff::{Line, changed_lines, lines};
use crate::report::escape::{cut, value_text, visible};
use crate::report::facts::{
    self, cause_words, changes, drift_rows, estimate_words, held, held_words, invalid_reason, is_first_run,
    operation_words, pick, refresh_words, symbol, test_rows, test_text, test_words, unknown_words,
};
use crate::report::numbers::{count, group};
use crate::report::prose::{code, fenced, html_code, sentence};

/// Columns of a value or key in a table; longer ones end in `…`.
const VALUE: usize = 120;

/// Configuration changes: what changed, whom it touches, and the difference itself or its size.
pub(super) fn configuration(out: &mut String, plan: &Plan, diffs: bool) {
    if plan.configuration.is_empty() {
        return;
    }
    let n = plan.configuration.len() as u64;
    out.push_str(&format!("<details><summary>Configuration: {}</summary>\n\n", count(n, "manifest", "manifests")));
    for change in &plan.configuration {
        let mut text = format!(
            "- {} {} {} {} in {}",
            symbol_text(&change.change),
            sentence(&change.change),
            sentence(&change.kind),
            code(&change.name, false),
            code(&change.file, false)
        );
        if !change.affects.is_empty() {
            let shown: Vec<String> = change.affects.iter().take(10).map(|s| code(s, false)).collect();
            text.push_str(&format!(", used by {}", shown.join(", ")));
            if change.affects.len() > shown.len() {
                text.push_str(&format!(" and {} more", change.affects.len() - shown.len()));
            }
        }
        if !diffs && !change.diff.is_empty() {
            text.push_str(&format!(": {} changed", count(changed_lines(&change.diff), "line", "lines")));
        }
        out.push_str(&text);
        out.push('\n');
    }
    out.push('\n');
    if diffs {
        for change in plan.configuration.iter().filter(|c| !c.diff.is_empty()) {
            let mut block = vec![format!("@@ {} @@", visible(&change.file))];
            block.extend(lines(&change.diff).into_iter().map(|(kind, text)| {
                let text = visible(&text.replace('\t', "    "));
                match kind {
                    Line::Added => format!("+{text}"),
                    Line::Removed => format!("-{text}"),
                    Line::Same => format!(" {text}"),
                    Line::Place => text,
                }
            }));
            out.push_str(&fenced("diff", &block));
            out.push('\n');
        }
    }
    out.push_str("</details>\n\n");
}

/// One sync: operations, causes, fields, invalid rows and samples.
pub(super) fn sync(out: &mut String, sync: &SyncPlan, samples: usize) {
    let picked = pick(&sync.samples, samples);
    let mut title = vec![count(changes(&sync.counts), "row", "rows")];
    if !sync.fields.is_empty() {
        title.push(count(sync.fields.len() as u64, "field", "fields"));
    }
    if !picked.is_empty() {
        title.push(count(picked.len() as u64, "sample", "samples"));
    }
    out.push_str(&format!("<details><summary>{}: {}</summary>\n\n", html_code(&sync.sync), title.join(", ")));
    out.push_str(&format!(
        "{} → {} {}, mode {}\n\n",
        code(&sync.model, false),
        code(&sync.destination, false),
        code(&sync.object, false),
        code(&sync.mode, false)
    ));
    for (label, words) in [
        ("operations", operation_words(sync)),
        ("causes", cause_words(sync)),
        ("held back", held_words(sync)),
        ("destination", refresh_words(sync)),
        ("estimate", estimate_words(sync)),
        ("tests", test_words(sync)),
    ] {
        if !words.is_empty() {
            out.push_str(&format!("- {label}: {}\n", words.join(" · ")));
        }
    }
    if is_first_run(sync) {
        out.push_str("- first run: every row is new to us\n");
    }
    if let Some(unknown) = unknown_words(sync) {
        out.push_str(&format!("- {}\n", sentence(&unknown)));
    }
    if held(sync) > 0 {
        out.push_str("- held rows are sent again when they change, or with `--retry`\n");
    }
    for test in sync.tests.iter().filter(|test| !test.ok) {
        out.push_str(&format!("- ! test {}", sentence(&test_text(test))));
        let rows: Vec<String> = test_rows(test).iter().map(|row| code(&cut(row, VALUE), false)).collect();
        if samples > 0 && !rows.is_empty() {
            out.push_str(&format!(" ({})", rows.join(", ")));
        }
        out.push('\n');
    }
    for row in drift_rows(sync) {
        out.push_str(&format!("- ≠ {}\n", code(&cut(&row, 4 * VALUE), false)));
    }
    for invalid in &sync.invalid {
        invalid_line(out, invalid, samples > 0);
    }
    out.push('\n');
    if !sync.fields.is_empty() {
        out.push_str("| field | rows in which it differs |\n|:--|--:|\n");
        for (name, n) in &sync.fields {
            out.push_str(&format!("| {} | {} |\n", code(&cut(&visible(name), VALUE), true), group(*n)));
        }
        out.push('\n');
    }
    for one in &picked {
        sample(out, one);
    }
    let more = changes(&sync.counts).saturating_sub(picked.len() as u64);
    if !picked.is_empty() && more > 0 {
        out.push_str(&format!("… and {}\n\n", count(more, "more row", "more rows")));
    }
    out.push_str("</details>\n\n");
}

/// When syncs run by themselves.
pub(super) fn schedules(out: &mut String, plan: &Plan) {
    let all = facts::schedules(plan);
    if all.is_empty() {
        return;
    }
    let due = all.iter().filter(|(_, schedule)| schedule.due).count() as u64;
    let title = count(all.len() as u64, "sync", "syncs");
    out.push_str(&format!("<details><summary>Schedule: {title}, {} due now</summary>\n\n", group(due)));
    out.push_str("| sync | when |\n|:--|:--|\n");
    for (name, schedule) in all {
        out.push_str(&format!("| {} | {} |\n", code(name, true), sentence(&schedule.text)));
    }
    out.push_str("\n</details>\n\n");
}

fn invalid_line(out: &mut String, invalid: &Invalid, keys: bool) {
    out.push_str(&format!("- ! {} {}", group(invalid.count), sentence(&invalid_reason(invalid))));
    if let Some(message) = &invalid.message {
        out.push_str(&format!(": {}", sentence(message)));
    }
    if keys && !invalid.keys.is_empty() {
        let keys: Vec<String> = invalid.keys.iter().map(|k| code(&cut(&visible(k), VALUE), false)).collect();
        out.push_str(&format!(" ({})", keys.join(", ")));
    }
    out.push('\n');
}

fn sample(out: &mut String, sample: &Sample) {
    let key = code(&cut(&visible(&sample.key), VALUE), true);
    let head = format!("{} {} {key}", symbol_text(&sample.state), sentence(&sample.state));
    match sample.state.as_str() {
        "added" => {
            out.push_str(&format!("| {head} | value |\n|:--|:--|\n"));
            for f in &sample.fields {
                out.push_str(&format!("| {} | {} |\n", name(&f.name), value(f.after.as_ref(), "*not sent*")));
            }
        }
        "removed" => {
            out.push_str(&format!("| {head} | last sent |\n|:--|:--|\n"));
            for f in &sample.fields {
                let missing = if f.before_unknown { "*unknown*" } else { "*none*" };
                out.push_str(&format!("| {} | {} |\n", name(&f.name), value(f.before.as_ref(), missing)));
            }
        }
        _ => {
            out.push_str(&format!("| {head} | before | after |\n|:--|:--|:--|\n"));
            for f in &sample.fields {
                let missing = if f.before_unknown { "*unknown*" } else { "*none*" };
                let before = value(f.before.as_ref().filter(|_| !f.before_unknown), missing);
                out.push_str(&format!(
                    "| {} | {before} | {} |\n",
                    name(&f.name),
                    value(f.after.as_ref(), "*not sent*")
                ));
            }
        }
    }
    out.push('\n');
}

fn name(field: &str) -> String {
    code(&cut(&visible(field), VALUE), true)
}

fn value(value: Option<&serde_json::Value>, missing: &str) -> String {
    value.map_or_else(|| missing.to_owned(), |v| code(&cut(&value_text(v), VALUE), true))
}

/// The symbol as text: `-`, `+` and `~` at the start of a cell or item are markup otherwise.
fn symbol_text(state: &str) -> String {
    format!("`{}`", symbol(state))
}
