//! One sync of a plan on a terminal.

use super::{Page, Role};
use crate::plan::{FieldChange, Sample, SyncPlan};
use crate::report::escape::{cut, pad, pad_left, value_text, visible, width, wrap};
use crate::report::facts::{
    by_state, cause_words, changes, drift_rows, estimate_words, held, held_words, invalid_reason, is_first_run,
    operation_words, pick, refresh_words, symbol, test_rows, test_text, test_words, unknown_words,
};
use crate::report::numbers::{count, group};

/// Fields of one sample that are shown before the rest is counted.
const SAMPLE_FIELDS: usize = 12;
/// Columns before the notes beside the counts: indent, mark, word.
const NOTES: usize = 8 + 12;

impl Page {
    pub(super) fn sync(&mut self, sync: &SyncPlan) {
        let name = visible(&sync.sync);
        let way = visible(&format!("{} → {} {}, mode {}", sync.model, sync.destination, sync.object, sync.mode));
        if 2 + width(&name) + 3 + width(&way) <= self.style.columns() {
            self.line(format!("  {}   {way}", self.paint.role(Role::Strong, &name)));
        } else {
            let room = self.style.columns();
            self.line(format!("  {}", self.paint.role(Role::Strong, &cut(&name, room - 2))));
            self.line(format!("      {}", cut(&way, room - 6)));
        }
        self.counts(sync);
        self.labelled("causes", &cause_words(sync));
        self.labelled("operations", &operation_words(sync));
        self.labelled("held back", &held_words(sync));
        if let Some(unknown) = unknown_words(sync) {
            self.prose(8, "? ", &unknown, Some(Role::Warn));
        }
        self.labelled("destination", &refresh_words(sync));
        self.labelled("estimate", &estimate_words(sync));
        self.labelled("tests", &test_words(sync));
        for guard in sync.guards.iter().filter(|g| !g.ok) {
            let text = format!("`{}` counts {}, the limit is {}", guard.name, group(guard.actual), guard.limit);
            self.prose(8, "! refused  ", &text, Some(Role::Bad));
        }
        self.tests(sync);
        for row in drift_rows(sync) {
            self.prose(8, "≠ ", &row, Some(Role::Warn));
        }
        self.samples(sync);
        self.invalid(sync);
    }

    fn counts(&mut self, sync: &SyncPlan) {
        let digits = by_state(&sync.counts).iter().map(|(_, n)| group(*n).len()).max().unwrap_or(0).max(5);
        for (state, n) in by_state(&sync.counts) {
            let worth_a_line = n > 0 || matches!(state, "added" | "changed" | "removed");
            if !worth_a_line {
                continue;
            }
            let mark = format!("{} {}", symbol(state), pad(state, 10));
            let mark = if n > 0 { self.paint.state(state, &mark) } else { self.paint.role(Role::Faint, &mark) };
            let room = self.style.columns().saturating_sub(NOTES + digits + 3);
            let notes = wrap(&notes(sync, state), " · ", room);
            let mut notes = notes.iter();
            let first = notes.next().map_or("", String::as_str);
            self.line(format!("        {mark}{}   {first}", pad_left(&group(n), digits)));
            for line in notes {
                self.line(format!("{}{line}", " ".repeat(NOTES + digits + 3)));
            }
        }
    }

    fn tests(&mut self, sync: &SyncPlan) {
        for test in sync.tests.iter().filter(|test| !test.ok) {
            let role = if test.refuses() { Role::Bad } else { Role::Warn };
            self.prose(8, "! test ", &test_text(test), Some(role));
            let mut rows = test_rows(test);
            if !rows.is_empty() && test.failures > rows.len() as u64 {
                rows.push("…".into());
            }
            for line in wrap(&rows, ", ", self.style.columns() - 18) {
                self.line(format!("               {}", self.paint.role(Role::Faint, &line)));
            }
        }
    }

    fn labelled(&mut self, label: &str, words: &[String]) {
        for (n, line) in wrap(words, " · ", self.style.columns() - NOTES - 1).iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            self.line(format!("        {}{line}", self.paint.role(Role::Faint, &pad(label, 12))));
        }
    }

    fn samples(&mut self, sync: &SyncPlan) {
        let picked = pick(&sync.samples, self.style.samples);
        if picked.is_empty() {
            return;
        }
        self.line("");
        for sample in &picked {
            self.sample(sample);
        }
        let more = changes(&sync.counts).saturating_sub(picked.len() as u64);
        if more > 0 {
            self.line(format!("        … and {}", count(more, "more row", "more rows")));
        }
    }

    fn sample(&mut self, sample: &Sample) {
        let mark = format!("{} {}", symbol(&sample.state), pad(&sample.state, 8));
        let key = cut(&visible(&sample.key), self.style.columns() - 8 - width(&mark));
        self.line(format!("        {}{key}", self.paint.state(&sample.state, &mark)));
        let fields = sample.fields.get(..SAMPLE_FIELDS).unwrap_or(&sample.fields);
        let names =
            fields.iter().map(|f| width(&visible(&f.name))).max().unwrap_or(0).min((self.style.columns() - 14) / 3);
        let room = self.style.columns().saturating_sub(14 + names + 2);
        let half = room.saturating_sub(3) / 2;
        let befores: Vec<String> = fields.iter().map(|f| cut(&before(f), half)).collect();
        let column = befores.iter().map(|b| width(b)).max().unwrap_or(0);
        for (field, before) in fields.iter().zip(&befores) {
            let name = pad(&cut(&visible(&field.name), names), names);
            let values = match sample.state.as_str() {
                "added" => cut(&after(field), room),
                "removed" => cut(before, room),
                _ => format!("{} → {}", pad(before, column), cut(&after(field), room.saturating_sub(column + 3))),
            };
            self.line(format!("              {name}  {values}"));
        }
        if sample.fields.len() > fields.len() {
            let more = (sample.fields.len() - fields.len()) as u64;
            self.line(format!("              … and {}", count(more, "more field", "more fields")));
        }
    }

    fn invalid(&mut self, sync: &SyncPlan) {
        if sync.invalid.is_empty() {
            return;
        }
        self.line("");
        for invalid in &sync.invalid {
            let text = format!("{} {}", group(invalid.count), invalid_reason(invalid));
            let text = match &invalid.message {
                Some(message) => format!("{text}: {message}"),
                None => text,
            };
            let mark = self.paint.state("invalid", "! invalid ");
            // The mark is painted by itself, so that the words after it wrap by their own width.
            let mut lines = crate::report::escape::wrap_words(&text, self.style.columns() - 18).into_iter();
            self.line(format!("        {mark}{}", lines.next().unwrap_or_default()));
            for line in lines {
                self.line(format!("                  {line}"));
            }
            let mut keys: Vec<String> = invalid.keys.iter().map(|k| visible(k)).collect();
            if !keys.is_empty() && invalid.count > keys.len() as u64 {
                keys.push("…".into());
            }
            for line in wrap(&keys, ", ", self.style.columns() - 18) {
                self.line(format!("                  {}", self.paint.role(Role::Faint, &line)));
            }
        }
    }
}

/// What stands beside a count.
fn notes(sync: &SyncPlan, state: &str) -> Vec<String> {
    match state {
        "added" if is_first_run(sync) => vec!["first run: every row is new to us".into()],
        "changed" => sync.fields.iter().map(|(name, n)| format!("{} {}", visible(name), group(*n))).collect(),
        "unchanged" if held(sync) > 0 => vec![format!("{} of them held back", group(held(sync)))],
        _ => Vec::new(),
    }
}

fn before(field: &FieldChange) -> String {
    match &field.before {
        _ if field.before_unknown => "(unknown)".into(),
        Some(value) => value_text(value),
        None => "(none)".into(),
    }
}

fn after(field: &FieldChange) -> String {
    field.after.as_ref().map_or_else(|| "(not sent)".into(), value_text)
}
