//! What an import made, what it could not, and what is left to do: for a terminal, and as the page that stays with the
//! project (`IMPORT.md`).

use super::escape::{visible, wrap_words};
use super::numbers::count;
use super::prose::{code, sentence};
use super::terminal::{Paint, Role, Style};
use crate::import::{FileState, Import, Item, Note, NoteKind, Status};

/// Longest value shown on the page, in characters.
const MAX_VALUE: usize = 2000;

/// An import for a person at a terminal, ending in a line break. `page` is where the whole report is.
pub fn import_text(import: &Import, page: &str, style: &Style) -> String {
    let paint = Paint { color: style.color };
    let columns = style.columns();
    let mut lines = Vec::new();
    for item in &import.items {
        let (word, role) = match item.status {
            Status::Carried => ("carried", Role::Good),
            Status::Check => ("check", Role::Warn),
            Status::Todo => ("to do", Role::Bad),
            Status::Left => ("left", Role::Warn),
        };
        let to = item.to.as_ref().map(|to| format!(" → {to}")).unwrap_or_default();
        let what = match item.kind.as_str() {
            "file" => String::new(),
            kind => format!("{kind} "),
        };
        let title = format!("{what}{}{to}", item.from);
        lines.push(format!("{}  {}", paint.role(role, &format!("{word:7}")), visible(&title)));
        let mut say = |role: Option<Role>, text: &str| {
            for line in wrap_words(text, columns.saturating_sub(9).max(20)) {
                let line = role.map_or_else(|| line.clone(), |role| paint.role(role, &line));
                lines.push(format!("         {line}"));
            }
        };
        for note in &item.notes {
            say(None, &format!("{}{}", place(item, note), note.message));
            if let Some(help) = &note.help {
                say(Some(Role::Hint), &format!("to do: {help}"));
            }
        }
    }
    let kept: Vec<&str> = paths(import, FileState::Kept);
    for path in &kept {
        let words = format!("{path} was there already and says something else: it was left as it is");
        lines.push(format!("{}  {}", paint.role(Role::Warn, "kept   "), visible(&words)));
    }
    let (written, same) = (paths(import, FileState::Written).len(), paths(import, FileState::Same).len());
    let mut told = vec![format!("{} written", count(written as u64, "file", "files"))];
    if same > 0 {
        told.push(format!("{same} there already, the same"));
    }
    if !kept.is_empty() {
        told.push(format!("{} left as they were", kept.len()));
    }
    lines.push(String::new());
    lines.push(paint.role(Role::Strong, &format!("{}: {}.", tally(import), told.join(", "))));
    lines.push(format!("What carried over, what did not and what is left to do is in `{}`.", visible(page)));
    lines.join("\n") + "\n"
}

/// The page that stays with the project. It depends on the files that were read alone, and so does its every byte.
pub fn import_markdown(import: &Import) -> String {
    let mut out = String::from("# What came from Hightouch\n\n");
    out.push_str(&format!("{}.\n\n", tally(import)));
    out.push_str("| | it came over whole | look at it | finish it first | nothing was made of it |\n");
    out.push_str("|:--|--:|--:|--:|--:|\n");
    for (kind, title) in TITLES {
        let items: Vec<&Item> = import.items.iter().filter(|item| item.kind == kind).collect();
        if !items.is_empty() {
            let with = |status| items.iter().filter(|item| item.status == status).count();
            let counts = [Status::Carried, Status::Check, Status::Todo, Status::Left].map(|s| with(s).to_string());
            out.push_str(&format!("| {title} | {} |\n", counts.join(" | ")));
        }
    }
    out.push_str("\nFiles that end in `.todo` are read by nobody: the words at their beginning say what is missing.\n");
    steps(import, &mut out);
    out.push_str(UNSAID);
    for (kind, title) in TITLES {
        let items: Vec<&Item> = import.items.iter().filter(|item| item.kind == kind).collect();
        if items.is_empty() {
            continue;
        }
        out.push_str(&format!("\n## {title}\n"));
        for item in items {
            section(item, &mut out);
        }
    }
    out
}

const TITLES: [(&str, &str); 5] = [
    ("source", "Sources"),
    ("destination", "Destinations"),
    ("model", "Models"),
    ("sync", "Syncs"),
    ("file", "Other files"),
];

const UNSAID: &str = "
## What is not in the files of Git Sync

- How sources and destinations are reached, and with which credentials.
- What becomes of records whose rows left the model. Syncs that update leave them as they are (`on_removed: keep`).
- What Hightouch has sent so far. To syncline every row of a new sync is an added one, until `state adopt` says otherwise.
- Sequences of syncs: write `schedule: { after: [OTHER_SYNC] }`.
- Alerts: write `notify`.
- Types of columns. In a template true is shown as `True` and the floating-point number 1 as `1.0`; Hightouch shows `true`
  and `1`. Where that matters, make text of the column in the model.
";

fn steps(import: &Import, out: &mut String) {
    let with = |status| import.items.iter().filter(move |item| item.status == status);
    let mut steps = Vec::new();
    if with(Status::Todo).next().is_some() {
        steps.push("Finish the `.todo` files, sources and destinations first; rename each when it is done.".to_owned());
    }
    if with(Status::Check).next().is_some() {
        steps.push("Look at what is marked `CHECK` and `TODO` in the manifests; all of it is listed below.".to_owned());
    }
    if !import.variables.is_empty() {
        let names: Vec<String> = import.variables.iter().map(|name| code(name, false)).collect();
        steps.push(format!("Set these environment variables: {}.", names.join(", ")));
    }
    steps.push("Run `syncline validate`, then `syncline doctor`, then `syncline plan`.".into());
    steps.push(
        "For each sync that Hightouch has run: `syncline state adopt SYNC`, so that nothing is sent twice.".into(),
    );
    steps.push(
        "Stop the sync in Hightouch before the first `syncline apply`: two tools must not write one field.".into(),
    );
    out.push_str("\n## What to do, in this order\n\n");
    for (at, step) in steps.iter().enumerate() {
        out.push_str(&format!("{}. {step}\n", at + 1));
    }
}

fn section(item: &Item, out: &mut String) {
    let to = item.to.as_ref().map(|to| format!(" → {}", code(to, false))).unwrap_or_default();
    out.push_str(&format!("\n### {}{to}\n\n", code(&item.from, false)));
    if !item.carried.is_empty() {
        let carried: Vec<String> = item.carried.iter().map(|words| sentence(words)).collect();
        out.push_str(&format!("Carried over: {}.\n", carried.join("; ")));
    }
    if !item.carried.is_empty() && !item.notes.is_empty() {
        out.push('\n');
    }
    for note in &item.notes {
        let word = match note.kind {
            NoteKind::Differs => "Look at it",
            NoteKind::Left => "Not carried over",
            NoteKind::Blocks => "In the way",
        };
        let key = note.key.as_ref().map(|key| format!(" {}", code(key, false))).unwrap_or_default();
        let line = note.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        out.push_str(&format!("- **{word}**{key}{line}: {}.", sentence(&note.message)));
        if let Some(help) = &note.help {
            out.push_str(&format!(" To do: {}.", sentence(help)));
        }
        out.push('\n');
        if let Some(value) = &note.value {
            out.push_str(&format!("  It said {}.\n", code(&shortened(&value.to_string()), false)));
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn tally(import: &Import) -> String {
    let of = |kind: &str| import.items.iter().filter(|item| item.kind == kind).count() as u64;
    format!(
        "{}, {}, {} and {}",
        count(of("source"), "source", "sources"),
        count(of("destination"), "destination", "destinations"),
        count(of("model"), "model", "models"),
        count(of("sync"), "sync", "syncs")
    )
}

fn paths(import: &Import, state: FileState) -> Vec<&str> {
    import.files.iter().filter(|file| file.state == state).map(|file| file.path.as_str()).collect()
}

/// `syncs/x.yaml:12:5: config.mode: `
fn place(item: &Item, note: &Note) -> String {
    let at = match (note.line, note.column) {
        (Some(line), Some(column)) => format!("{}:{line}:{column}: ", item.from),
        _ => String::new(),
    };
    let key = note.key.as_ref().map(|key| format!("`{key}`: ")).unwrap_or_default();
    at + &key
}
