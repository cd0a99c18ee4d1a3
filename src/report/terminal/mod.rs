//! A plan on a terminal: at most 100 columns; symbols always with words; colour only doubles what words say.

pub(in crate::report) mod paint;
mod sync;

pub(super) use paint::{Paint, Role};

use super::diff::{Line, changed_lines, lines};
use super::escape::{cut, pad, visible, width, wrap, wrap_words};
use super::facts::{budget, is_quiet, notice_text, refusals, refused_line, schedules, short_commit, symbol, verdict};
use super::mask::Masked;
use super::numbers::count;
use crate::plan::{ConfigurationChange, Notice, Plan};

/// How a plan or a run is shown on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; used within 40 and 100.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// Whether values and keys are shown as they are; otherwise they are masked here.
    pub show_values: bool,
    /// Samples a sync, at most.
    pub samples: usize,
}

impl Default for Style {
    /// 100 columns, no colour, values shown, 6 samples.
    fn default() -> Self {
        Self { width: 100, color: false, show_values: true, samples: 6 }
    }
}

impl Style {
    pub(super) fn columns(&self) -> usize {
        self.width.clamp(40, 100)
    }
}

/// Lines of a configuration change that are shown before the rest is counted.
const DIFF_LINES: usize = 16;

/// A plan as text, ending in a line break.
pub fn plan_text(plan: &Plan, style: &Style) -> String {
    let masked = if style.show_values { Masked::shown_on_request(plan) } else { Masked::new(plan) };
    let mut page = Page { out: String::new(), style: *style, paint: Paint { color: style.color } };
    page.plan(masked.plan());
    page.out
}

/// A text in the making.
struct Page {
    out: String,
    style: Style,
    paint: Paint,
}

impl Page {
    fn line(&mut self, text: impl AsRef<str>) {
        self.out.push_str(text.as_ref().trim_end());
        self.out.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.line("");
        self.line(self.paint.role(Role::Strong, text));
    }

    /// Prose within the width, all lines indented, the first after `mark`.
    fn prose(&mut self, indent: usize, mark: &str, text: &str, role: Option<Role>) {
        let hanging = width(mark);
        for (n, line) in wrap_words(text, self.style.columns() - indent - hanging).iter().enumerate() {
            let mark = if n == 0 { mark.to_owned() } else { " ".repeat(hanging) };
            let text = format!("{mark}{line}");
            let text = role.map_or_else(|| text.clone(), |role| self.paint.role(role, &text));
            self.line(format!("{}{text}", " ".repeat(indent)));
        }
    }

    fn plan(&mut self, plan: &Plan) {
        let verdict = verdict(plan);
        self.prose(0, "", &verdict, Some(Role::Strong));
        self.prose(0, "", &project_line(plan), Some(Role::Faint));
        if let Some(budget) = budget(plan) {
            self.prose(0, "", &budget, Some(Role::Faint));
        }
        if let Some(refused) = refused_line(plan) {
            self.prose(0, "", &refused, Some(Role::Bad));
        }
        if !plan.configuration.is_empty() {
            self.heading("Configuration");
            for change in &plan.configuration {
                self.configuration(change);
            }
        }
        self.syncs(plan);
        self.schedules(plan);
        self.notices("Warnings", &plan.warnings, Role::Warn);
        let refusals = refusals(plan);
        self.notices("Refusals", &refusals, Role::Bad);
        self.line("");
        let sent = if verdict.ends_with('.') { "" } else { "." };
        self.prose(0, "", &format!("{verdict}{sent} Nothing was sent."), Some(Role::Strong));
        if let Some(refused) = refused_line(plan) {
            self.prose(0, "", &refused, Some(Role::Bad));
        }
    }

    fn configuration(&mut self, change: &ConfigurationChange) {
        let columns = self.style.columns() - 10;
        let mark = format!("{} {}", symbol(&change.change), pad(&cut(&visible(&change.change), 8), 8));
        let kind = pad(&cut(&visible(&change.kind), 11), 11);
        let name = cut(&visible(&change.name), columns - width(&mark) - 14);
        let head =
            format!("  {}  {kind}  {}", self.paint.state(&change.change, &mark), self.paint.role(Role::Strong, &name));
        let file = visible(&change.file);
        let used = 2 + width(&mark) + 2 + width(&kind) + 2 + width(&name);
        // Files stand in one column as long as names allow it.
        let gap = 50_usize.saturating_sub(used).max(3);
        if used + gap + width(&file) <= self.style.columns() {
            self.line(format!("{head}{}{}", " ".repeat(gap), self.paint.role(Role::Faint, &file)));
        } else {
            self.line(head);
            self.line(format!("        {}", self.paint.role(Role::Faint, &cut(&file, columns))));
        }
        let all = lines(&change.diff);
        let touched = all.iter().filter(|(kind, _)| matches!(kind, Line::Added | Line::Removed));
        for (kind, text) in touched.take(DIFF_LINES) {
            let (mark, state) = if *kind == Line::Added { ('+', "added") } else { ('-', "removed") };
            let text = cut(&visible(&text.replace('\t', "    ")), columns);
            self.line(format!("        {}", self.paint.state(state, &format!("{mark} {text}"))));
        }
        let more = changed_lines(&change.diff).saturating_sub(DIFF_LINES as u64);
        if more > 0 {
            self.line(format!("        … {} changed", count(more, "more line", "more lines")));
        }
        let used: Vec<String> = change.affects.iter().map(|name| visible(name)).collect();
        for (n, line) in wrap(&used, ", ", columns - 10).iter().enumerate() {
            self.line(format!("        {} {line}", if n == 0 { "used by" } else { "       " }));
        }
    }

    fn syncs(&mut self, plan: &Plan) {
        let (quiet, loud): (Vec<_>, Vec<_>) = plan.syncs.iter().partition(|s| is_quiet(s));
        if !loud.is_empty() {
            self.heading("Syncs");
            for (n, sync) in loud.iter().enumerate() {
                if n > 0 {
                    self.line("");
                }
                self.sync(sync);
            }
        }
        if !quiet.is_empty() {
            self.line("");
            let names: Vec<String> = quiet.iter().map(|s| visible(&s.sync)).collect();
            let title = format!("= unchanged  {}", count(quiet.len() as u64, "sync", "syncs"));
            self.line(format!("  {}", self.paint.state("unchanged", &title)));
            for line in wrap(&names, ", ", self.style.columns() - 8) {
                self.line(format!("        {line}"));
            }
        }
    }

    fn schedules(&mut self, plan: &Plan) {
        let all = schedules(plan);
        if all.is_empty() {
            return;
        }
        self.heading("Schedule");
        let columns = all.iter().map(|(name, _)| width(&visible(name))).max().unwrap_or(0).min(32);
        for (name, schedule) in all {
            let name = pad(&cut(&visible(name), columns), columns);
            self.prose(2, &format!("{name}  "), &schedule.text, None);
        }
    }

    fn notices(&mut self, title: &str, notices: &[Notice], role: Role) {
        if notices.is_empty() {
            return;
        }
        self.heading(title);
        for notice in notices {
            self.prose(2, "! ", &notice_text(notice), Some(role));
            if let Some(place) = &notice.place {
                self.prose(4, "at ", place, Some(Role::Faint));
            }
            if let Some(help) = &notice.help {
                self.prose(4, "hint: ", help, Some(Role::Hint));
            }
        }
    }
}

/// Where a plan comes from: project, commit, what it is compared with.
fn project_line(plan: &Plan) -> String {
    let mut parts = Vec::new();
    if !plan.project.name.is_empty() {
        parts.push(plan.project.name.clone());
    }
    match (&plan.project.commit, &plan.project.against) {
        (Some(commit), Some(against)) => {
            parts.push(format!("{} against {}", short_commit(commit), short_commit(against)))
        }
        (Some(commit), None) => parts.push(short_commit(commit).to_owned()),
        (None, Some(against)) => parts.push(format!("against {}", short_commit(against))),
        (None, None) => {}
    }
    if !plan.configuration.is_empty() {
        parts.push(count(plan.configuration.len() as u64, "manifest changed", "manifests changed"));
    }
    if !plan.complete && !plan.syncs.is_empty() {
        parts.push("selected syncs only".into());
    }
    parts.join(" · ")
}
