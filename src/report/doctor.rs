//! What `syncline doctor` found.

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::{visible, wrap_words};
use super::numbers::count;
use super::terminal::{Paint, Role, Style};

/// What was looked at in an environment, and what was found.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Examination {
    /// `1.0`. A new minor adds keys.
    pub format_version: String,
    /// Name of the environment; empty when the project has none.
    pub environment: String,
    /// The worst of what was found: `ok`, `warning` or `broken`.
    pub status: Status,
    /// The sources, then the destinations, by name.
    pub subjects: Vec<Subject>,
}

/// How something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// It works, and something should be looked at.
    Warning,
    /// It does not work.
    Broken,
}

/// A source or a destination.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Subject {
    /// `source` or `destination`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its manifest, relative to the project.
    pub file: String,
    /// How it is.
    pub status: Status,
    /// Models that read it or syncs that send to it.
    pub used_by: Vec<String>,
    /// What was found to be well.
    pub facts: Vec<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something that is wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Finding {
    /// `warning` or `broken`.
    pub status: Status,
    /// What it is, for programs: `unreachable`, `refused`, `not_ready`, `model`, `quota`, `clock`, `expired`,
    /// `expires`, `rights`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Subject {
    /// Notes something that is wrong.
    pub fn find(&mut self, status: Status, code: &str, message: String, help: Option<String>) {
        self.status = self.status.max(status);
        self.findings.push(Finding { status, code: code.into(), message, help });
    }
}

/// The examination as text, ending in a line break.
pub fn doctor_text(examination: &Examination, style: &Style) -> String {
    let paint = Paint { color: style.color };
    let columns = style.columns();
    let mut lines = Vec::new();
    for subject in &examination.subjects {
        let (word, role) = match subject.status {
            Status::Ok => ("ok", Role::Good),
            Status::Warning => ("warning", Role::Warn),
            Status::Broken => ("broken", Role::Bad),
        };
        let title = format!("{} `{}`", subject.kind, visible(&subject.name));
        lines.push(format!("{}  {}", paint.role(role, &format!("{word:7}")), paint.role(Role::Strong, &title)));
        let mut say = |role: Option<Role>, text: &str| {
            for line in wrap_words(text, columns.saturating_sub(9).max(20)) {
                let line = role.map_or_else(|| line.clone(), |role| paint.role(role, &line));
                lines.push(format!("         {line}"));
            }
        };
        for finding in &subject.findings {
            let (word, role) = match finding.status {
                Status::Broken => ("error", Role::Bad),
                _ => ("warning", Role::Warn),
            };
            say(Some(role), &format!("{word}: {}", finding.message));
            if let Some(help) = &finding.help {
                say(Some(Role::Hint), &format!("help: {help}"));
            }
        }
        if !subject.facts.is_empty() {
            say(None, &subject.facts.join(" · "));
        }
        let users = match (subject.used_by.as_slice(), subject.kind.as_str()) {
            ([], _) => "nothing uses it here".to_owned(),
            (users, kind) => {
                let names: Vec<String> = users.iter().map(|user| format!("`{user}`")).collect();
                format!("{}: {}", if kind == "source" { "read by" } else { "used by" }, names.join(", "))
            }
        };
        say(Some(Role::Faint), &users);
    }
    let with = |status| examination.subjects.iter().filter(|subject| subject.status == status).count() as u64;
    let place = match examination.environment.as_str() {
        "" => String::new(),
        name => format!(" in `{name}`"),
    };
    let verdict = match (with(Status::Broken), with(Status::Warning)) {
        (0, 0) => format!("All is well{place}."),
        (0, warned) => format!("All works{place}; {} to look at.", count(warned, "thing", "things")),
        (broken, _) => {
            let them = count(broken, "source or destination does", "sources and destinations do");
            format!("{them} not work{place}.")
        }
    };
    let role = match examination.status {
        Status::Ok => Role::Good,
        Status::Warning => Role::Warn,
        Status::Broken => Role::Bad,
    };
    lines.push(String::new());
    lines.push(paint.role(role, &verdict));
    lines.join("\n") + "\n"
}
