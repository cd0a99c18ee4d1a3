//! A run as a comment: Markdown within a byte budget.

use super::{SyncRun, alike, is_quiet, next_steps, origin, outcomes, verdict};
use crate::report::escape::{cut, visible};
use crate::report::markdown::largest;
use crate::report::mask::MaskedRun;
use crate::report::numbers::{count, group};
use crate::report::prose::{code, html_code, marker, sentence};

/// What is shown: rejection groups a sync, their keys, rows of the table.
#[derive(Clone, Copy)]
struct Level {
    groups: usize,
    keys: usize,
    rows: usize,
}

const STEPS: [Level; 4] = [
    Level { groups: 20, keys: 6, rows: usize::MAX },
    Level { groups: 20, keys: 0, rows: usize::MAX },
    Level { groups: 3, keys: 0, rows: usize::MAX },
    Level { groups: 0, keys: 0, rows: usize::MAX },
];

/// A run as Markdown of at most `budget` bytes: keys go first, then the reasons of rejections, then rows of the table;
/// a last line says what was left out.
pub fn run_markdown(run: &MaskedRun, budget: usize) -> String {
    for level in STEPS {
        let text = render(run, level);
        if text.len() <= budget {
            return text;
        }
    }
    let bare = |rows| render(run, Level { groups: 0, keys: 0, rows });
    bare(largest(run.run().syncs.len(), |rows| bare(rows).len() <= budget))
}

fn render(masked: &MaskedRun, level: Level) -> String {
    let run = masked.run();
    let mut out = format!("<!-- syncline:run:{} -->\n### {}\n\n", marker(&run.environment), sentence(&verdict(run)));
    let origin: Vec<String> = origin(run).iter().map(|part| code(part, false)).collect();
    if !origin.is_empty() {
        out.push_str(&format!("{}\n\n", origin.join(" · ")));
    }
    if let Some(error) = &run.error {
        out.push_str(&format!("> [!CAUTION]\n> {}\n\n", sentence(&cut(&visible(error), 600))));
    }
    let (quiet, loud): (Vec<&SyncRun>, Vec<&SyncRun>) = run.syncs.iter().partition(|s| is_quiet(s));
    table(&mut out, &loud, level.rows);
    if !quiet.is_empty() {
        out.push_str(&format!("{} with nothing to do\n\n", count(quiet.len() as u64, "sync", "syncs")));
    }
    for sync in loud.iter().take(level.rows) {
        details(&mut out, sync, level);
    }
    for step in next_steps(run) {
        out.push_str(&format!("- {}\n", sentence(&step)));
    }
    let shown = if masked.shows_values() { "keys are shown" } else { "keys are masked" };
    out.push_str(&format!("\n<sub>{shown}</sub>\n"));
    let missing = left_out(&loud, level);
    if !missing.is_empty() {
        out.push_str(&format!("\n<sub>Left out to stay within the size of a comment: {}.</sub>\n", missing.join("; ")));
    }
    out
}

fn table(out: &mut String, syncs: &[&SyncRun], rows: usize) {
    if syncs.is_empty() {
        return;
    }
    out.push_str("| sync | status | succeeded | rejected | no match | unverified | in doubt | not sent | retries |\n");
    out.push_str("|:--|:--|--:|--:|--:|--:|--:|--:|--:|\n");
    for sync in syncs.iter().take(rows) {
        out.push_str(&format!("| {} | {} |", code(&sync.sync, true), sentence(&sync.status)));
        for (.., n) in outcomes([*sync]) {
            out.push_str(&format!(" {} |", group(n)));
        }
        out.push_str(&format!(" {} |\n", group(sync.retries)));
    }
    if syncs.len() > rows {
        out.push_str(&format!("\nand {}\n", count((syncs.len() - rows) as u64, "more sync", "more syncs")));
    }
    out.push('\n');
}

fn details(out: &mut String, sync: &SyncRun, level: Level) {
    if let Some(error) = &sync.error {
        out.push_str(&format!(
            "> [!CAUTION]\n> {}: {}\n\n",
            code(&sync.sync, false),
            sentence(&cut(&visible(error), 600))
        ));
    }
    for warning in sync.warnings.iter().take(level.groups) {
        let message = sentence(&cut(&visible(&warning.words()), 300));
        out.push_str(&format!("> [!WARNING]\n> {}: {message}\n\n", code(&sync.sync, false)));
    }
    let groups = alike(sync);
    if groups.is_empty() || level.groups == 0 {
        return;
    }
    let title = count(sync.rejected, "rejected record", "rejected records");
    out.push_str(&format!("<details><summary>{}: {title}</summary>\n\n", html_code(&sync.sync)));
    for alike in groups.iter().take(level.groups) {
        let message = sentence(&cut(&visible(alike.message), 300));
        out.push_str(&format!("- {} ×{}: {message}", code(alike.code, false), group(alike.count)));
        let keys: Vec<String> =
            alike.keys.iter().take(level.keys).map(|k| code(&cut(&visible(k), 120), false)).collect();
        if !keys.is_empty() {
            let more = if alike.count > keys.len() as u64 { ", …" } else { "" };
            out.push_str(&format!(" ({}{more})", keys.join(", ")));
        }
        out.push('\n');
    }
    if groups.len() > level.groups {
        out.push_str(&format!("- and {} more reasons\n", groups.len() - level.groups));
    }
    out.push_str("\n</details>\n\n");
}

fn left_out(loud: &[&SyncRun], level: Level) -> Vec<String> {
    let most = loud.iter().map(|s| alike(s).len()).max().unwrap_or(0);
    let mut missing = Vec::new();
    if level.keys == 0 && most > 0 {
        missing.push("keys of rejected records".to_owned());
    }
    if most > level.groups {
        missing.push("reasons of rejections".to_owned());
    }
    if loud.iter().any(|s| s.warnings.len() > level.groups) {
        missing.push("warnings".to_owned());
    }
    if loud.len() > level.rows {
        missing.push(count((loud.len() - level.rows) as u64, "row of the table", "rows of the table"));
    }
    missing
}
