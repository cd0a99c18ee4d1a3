//! A run on a terminal.

use serde_json::Value;

use super::{Run, SyncRun, alike, aside, cost_words, is_quiet, next_steps, origin, outcomes, planned_words, verdict};
use crate::diagnostic::Result;
use crate::report::escape::{cut, pad, visible, width, wrap, wrap_words};
use crate::report::mask::MaskedRun;
use crate::report::numbers::{count, group};
use crate::report::terminal::{Paint, Role, Style};

/// Groups of rejections and keys of one group that are shown before the rest is counted.
const GROUPS: usize = 8;
const KEYS: usize = 5;

/// A run (its JSON form) as text, ending in a line break.
///
/// # Errors
/// When the JSON is not that of a run.
pub fn run_text(run: &Value, style: &Style) -> Result<String> {
    let run = Run::read(run)?;
    let masked = if style.show_values { MaskedRun::shown_on_request(&run) } else { MaskedRun::new(&run) };
    Ok(text(masked.run(), style))
}

fn text(run: &Run, style: &Style) -> String {
    let paint = Paint { color: style.color };
    let columns = style.columns();
    let role = match run.status.as_str() {
        "failed" | "refused" => Role::Bad,
        "partial" => Role::Warn,
        _ => Role::Good,
    };
    let mut lines: Vec<String> = wrap_words(&verdict(run), columns).iter().map(|l| paint.role(role, l)).collect();
    lines.extend(wrap_words(&origin(run).join(" · "), columns).iter().map(|l| paint.role(Role::Faint, l)));
    if let Some(error) = &run.error {
        lines.extend(wrap_words(error, columns - 2).iter().map(|l| format!("  {}", paint.role(Role::Bad, l))));
    }
    for sync in run.syncs.iter().filter(|s| !is_quiet(s)) {
        lines.push(String::new());
        one(&mut lines, sync, paint, columns);
    }
    let quiet: Vec<String> = run.syncs.iter().filter(|s| is_quiet(s)).map(|s| visible(&s.sync)).collect();
    if !quiet.is_empty() {
        lines.push(String::new());
        let title = format!("= nothing to do  {}", count(quiet.len() as u64, "sync", "syncs"));
        lines.push(format!("  {}", paint.state("unchanged", &title)));
        lines.extend(wrap(&quiet, ", ", columns - 8).iter().map(|l| format!("        {l}")));
    }
    let steps = next_steps(run);
    if !steps.is_empty() {
        lines.push(String::new());
    }
    for step in steps {
        let wrapped = wrap_words(&format!("hint: {step}"), columns);
        lines.extend(wrapped.iter().map(|l| paint.role(Role::Hint, l)));
    }
    if run.syncs.iter().any(|s| !is_quiet(s)) {
        lines.push(String::new());
        lines.extend(wrap_words(&format!("{}.", verdict(run)), columns).iter().map(|l| paint.role(role, l)));
    }
    lines.join("\n") + "\n"
}

fn one(lines: &mut Vec<String>, sync: &SyncRun, paint: Paint, columns: usize) {
    let name = cut(&visible(&sync.sync), columns.saturating_sub(20));
    let status = visible(&sync.status);
    lines.push(format!("  {}   {status}", paint.role(Role::Strong, &name)));
    lines.push(format!("        {}{}", paint.role(Role::Faint, &pad("planned", 12)), planned_words(sync)));
    for (title, words) in aside(sync) {
        let title = paint.role(Role::Faint, &pad(title, 12));
        lines.push(format!("        {title}{words}"));
    }
    if sync.left_out > 0 {
        let title = paint.role(Role::Faint, &pad("left out", 12));
        lines.push(format!("        {title}{}", count(sync.left_out, "operation", "operations")));
    }
    // Succeeded, rejected, no match and in doubt are always said: a zero is what one looks for.
    let shown =
        outcomes([sync]).into_iter().filter(|(word, _, _, n)| *n > 0 || !matches!(*word, "unverified" | "not sent"));
    let words: Vec<String> = shown
        .map(|(word, symbol, _, n)| match symbol {
            '✓' | '✗' => format!("{symbol} {word} {}", group(n)),
            _ => format!("{word} {}", group(n)),
        })
        .chain((sync.nothing_to_do > 0).then(|| format!("nothing to do {}", group(sync.nothing_to_do))))
        .chain([format!("retries {}", group(sync.retries))])
        .collect();
    lines.extend(wrap(&words, " · ", columns - 8).iter().map(|l| format!("        {l}")));
    if let Some(error) = &sync.error {
        lines.extend(wrap_words(error, columns - 8).iter().map(|l| format!("        {}", paint.role(Role::Bad, l))));
    }
    let groups = alike(sync);
    for group_of in groups.iter().take(GROUPS) {
        let head = format!("✗ {} ×{}  ", visible(group_of.code), group(group_of.count));
        let hanging = " ".repeat(width(&head));
        let room = columns.saturating_sub(8 + width(&head)).max(20);
        for (n, line) in wrap_words(group_of.message, room).iter().enumerate() {
            let before = if n == 0 { paint.state("removed", &head) } else { hanging.clone() };
            lines.push(format!("        {before}{line}"));
        }
        let mut keys: Vec<String> = group_of.keys.iter().take(KEYS).map(|k| visible(k)).collect();
        if group_of.count > keys.len() as u64 && !keys.is_empty() {
            keys.push("…".into());
        }
        lines.extend(
            wrap(&keys, ", ", columns - 12).iter().map(|l| format!("            {}", paint.role(Role::Faint, l))),
        );
    }
    if groups.len() > GROUPS {
        lines.push(format!("        … and {}", count((groups.len() - GROUPS) as u64, "more reason", "more reasons")));
    }
    for warning in &sync.warnings {
        let wrapped = wrap_words(&format!("warning: {}", warning.words()), columns - 8);
        lines.extend(wrapped.iter().map(|line| format!("        {}", paint.role(Role::Warn, line))));
    }
    let cost = cost_words(sync);
    if !cost.is_empty() {
        lines.push(format!("        {}{}", paint.role(Role::Faint, &pad("cost", 12)), cost.join(" · ")));
    }
}
