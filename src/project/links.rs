//! References between manifests: names, duplicates, what refers to what.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::environment::EnvironmentInfo;
use super::files::File;
use crate::diagnostic::{Diagnostic, Place, closest};
use crate::manifest::Kind;
use crate::manifest::document::escape;

/// The files of a project by kind.
#[derive(Debug)]
pub(super) struct Files {
    pub project: File,
    pub sources: Vec<File>,
    pub models: Vec<File>,
    pub destinations: Vec<File>,
    pub syncs: Vec<File>,
    pub connectors: Vec<File>,
    pub tests: Vec<File>,
}

impl Files {
    pub fn of(&self, kind: Kind) -> &[File] {
        match kind {
            Kind::Project => std::slice::from_ref(&self.project),
            Kind::Source => &self.sources,
            Kind::Model => &self.models,
            Kind::Destination => &self.destinations,
            Kind::Sync => &self.syncs,
            Kind::Connector => &self.connectors,
            Kind::Test => &self.tests,
        }
    }

    /// The file that goes by a name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&File> {
        self.of(kind).iter().find(|file| file.stem == name)
    }

    /// All names that may be meant by a reference: also those of broken files, and both names of a misnamed one, so
    /// that one fault is said once.
    pub fn names(&self, kind: Kind) -> BTreeSet<&str> {
        self.of(kind).iter().flat_map(|file| [file.stem.as_str(), file.name()]).collect()
    }
}

/// Checks all names and references.
pub(super) fn check(files: &Files, environment: Option<&EnvironmentInfo>, out: &mut Vec<Diagnostic>) {
    for kind in [Kind::Source, Kind::Model, Kind::Destination, Kind::Sync, Kind::Connector, Kind::Test] {
        names(files.of(kind), out);
    }
    environment_names(&files.project, out);
    let swap = |kind: Kind, name: &str| -> String {
        let swaps = environment.map(|e| if kind == Kind::Source { &e.sources } else { &e.destinations });
        swaps.and_then(|swaps| swaps.get(name)).cloned().unwrap_or_else(|| name.to_owned())
    };
    for model in &files.models {
        reference(files, model, "/source", Kind::Source, &swap, out);
    }
    for sync in &files.syncs {
        reference(files, sync, "/model", Kind::Model, &|_, name| name.to_owned(), out);
        reference(files, sync, "/destination", Kind::Destination, &swap, out);
        let after = sync.value.pointer("/schedule/after").and_then(|a| a.as_array()).map_or(0, Vec::len);
        for at in 0..after {
            reference(files, sync, &format!("/schedule/after/{at}"), Kind::Sync, &|_, name| name.to_owned(), out);
        }
    }
    for test in &files.tests {
        reference(files, test, "/sync", Kind::Sync, &|_, name| name.to_owned(), out);
    }
    swaps(files, out);
    moves(files, out);
    cycles(files, out);
}

/// Checks that files are called what they say.
pub(super) fn names(files: &[File], out: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<&str, &File> = BTreeMap::new();
    for file in files {
        let shown =
            |file: &File| file.document.as_ref().map(|d| d.source.path.display().to_string()).unwrap_or_default();
        if let Some(first) = seen.insert(&file.stem, file) {
            let message = format!("there are two files for the {} `{}`", file.kind.word(), file.stem);
            let diagnostic = Diagnostic::error("duplicate-name", message, file.place("/name"));
            out.push(diagnostic.with_help(format!("remove this file or `{}`", shown(first))));
        }
        let Some(name) = file.text("/name") else { continue };
        if name != file.stem {
            let message = format!("the name is `{name}`, but the file is called `{}`", file.stem);
            let folder = file.kind.folder().unwrap_or_default();
            let help = format!("write `name: {}`, or rename the file to `{folder}/{name}.yaml`", file.stem);
            out.push(Diagnostic::error("name-mismatch", message, file.place("/name")).with_help(help));
        } else if !is_name(name) {
            out.push(bad_name(name, file.place("/name")));
        }
    }
}

/// Bytes of a name: a file of the state has a run id beside it, and no file system takes more than 255.
const LONGEST: usize = 128;

/// Whether a text can be a name: files and folders of the state are called by it.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn bad_name(name: &str, place: Option<Place>) -> Diagnostic {
    Diagnostic::error("bad-name", format!("`{name}` cannot be a name"), place).with_help(match name.len() > LONGEST {
        true => {
            format!("it is {} bytes long, and the most is {LONGEST}: files of the state are called by it", name.len())
        }
        false => "names are made of letters, digits, `_`, `-` and `.`, and do not begin with `.`".to_owned(),
    })
}

/// Checks the names of environments.
fn environment_names(project: &File, out: &mut Vec<Diagnostic>) {
    let environments = project.value.get("environments").and_then(Value::as_object);
    for name in environments.into_iter().flat_map(|environments| environments.keys()).filter(|name| !is_name(name)) {
        out.push(bad_name(name, project.key_place(&format!("/environments/{}", escape(name)))));
    }
}

fn reference(
    files: &Files,
    file: &File,
    pointer: &str,
    kind: Kind,
    swap: &dyn Fn(Kind, &str) -> String,
    out: &mut Vec<Diagnostic>,
) {
    let Some(written) = file.text(pointer) else { return };
    let name = swap(kind, written);
    let known = files.names(kind);
    if known.contains(name.as_str()) {
        return;
    }
    if name != written {
        // The swap is at fault, and is reported there.
        return;
    }
    out.push(unknown(kind, &name, known, file.place(pointer)));
}

fn unknown(kind: Kind, name: &str, known: BTreeSet<&str>, place: Option<crate::diagnostic::Place>) -> Diagnostic {
    let folder = kind.folder().unwrap_or_default();
    let help = match closest(name, known.iter().copied()) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None if known.is_empty() => format!("create `{folder}/{name}.yaml`"),
        None => {
            let all: Vec<_> = known.iter().take(8).map(|name| format!("`{name}`")).collect();
            format!("{folder} of this project: {}", all.join(", "))
        }
    };
    let message = format!("there is no {} `{name}`", kind.word());
    Diagnostic::error("unknown-reference", message, place).with_help(help)
}

/// Swaps of all environments, also of those that are not chosen.
fn swaps(files: &Files, out: &mut Vec<Diagnostic>) {
    let environments = files.project.value.pointer("/environments").and_then(|e| e.as_object());
    for (environment, value) in environments.into_iter().flatten() {
        for (key, kind, users) in [
            ("sources", Kind::Source, (&files.models, "/source")),
            ("destinations", Kind::Destination, (&files.syncs, "/destination")),
        ] {
            for (from, to) in value.get(key).and_then(|swaps| swaps.as_object()).into_iter().flatten() {
                let pointer = format!("/environments/{}/{key}/{}", escape(environment), escape(from));
                let known = files.names(kind);
                let (to, at) = match to.get("use") {
                    Some(to) => (to.as_str(), format!("{pointer}/use")),
                    None => (to.as_str(), pointer.clone()),
                };
                if let Some(to) = to.filter(|to| !known.contains(to)) {
                    out.push(unknown(kind, to, known.clone(), files.project.place(&at)));
                }
                let used = users.0.iter().any(|file| file.text(users.1) == Some(from));
                if !known.contains(from.as_str()) && !used {
                    out.push(unknown(kind, from, known, files.project.key_place(&pointer)));
                }
            }
        }
    }
}

fn moves(files: &Files, out: &mut Vec<Diagnostic>) {
    let mut taken: BTreeMap<&str, &File> = BTreeMap::new();
    for sync in &files.syncs {
        let Some(old) = sync.text("/moved_from") else { continue };
        if files.names(Kind::Sync).contains(old) {
            let message = format!("`moved_from` names the sync `{old}`, which is still there");
            let help = "it names what this sync was called before; remove the old file or this line";
            out.push(Diagnostic::error("bad-move", message, sync.place("/moved_from")).with_help(help));
        }
        if let Some(first) = taken.insert(old, sync) {
            let message = format!("`{}` has already moved from `{old}`", first.name());
            out.push(
                Diagnostic::error("bad-move", message, sync.place("/moved_from"))
                    .with_help("only one sync can take over a state"),
            );
        }
    }
}

/// `schedule.after` in a circle.
fn cycles(files: &Files, out: &mut Vec<Diagnostic>) {
    let after = |sync: &File| -> Vec<(String, String)> {
        let list = sync.value.pointer("/schedule/after").and_then(|a| a.as_array());
        let items = list.into_iter().flatten().enumerate();
        items.filter_map(|(at, v)| Some((v.as_str()?.to_owned(), format!("/schedule/after/{at}")))).collect()
    };
    let graph: BTreeMap<&str, Vec<(String, String)>> =
        files.syncs.iter().map(|sync| (sync.stem.as_str(), after(sync))).collect();
    for (circle, pointer) in circles(&graph) {
        let Some(sync) = files.find(Kind::Sync, &circle[0]) else { continue };
        let message = format!("these syncs wait for each other: {}", arrows(&circle));
        let help = "remove one `after`, so that one of them can be first";
        out.push(Diagnostic::error("cycle", message, sync.place(&pointer)).with_help(help));
    }
}

/// `` `a` → `b` → `a` ``
pub(super) fn arrows(circle: &[String]) -> String {
    let names = circle.iter().chain(circle.first());
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" → ")
}

/// Every circle of a graph once, beginning with its smallest name, with the mark of the edge that leaves that name.
pub(super) fn circles<M: Clone>(graph: &BTreeMap<&str, Vec<(String, M)>>) -> Vec<(Vec<String>, M)> {
    let mut found: Vec<(Vec<String>, M)> = Vec::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    for start in graph.keys() {
        // Depth first, with an explicit path: names may be thousands.
        let mut path: Vec<(String, usize)> = vec![((*start).to_owned(), 0)];
        while let Some((name, next)) = path.last_mut() {
            let edges = graph.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let Some((to, _)) = edges.get(*next).filter(|_| !done.contains(name.as_str())) else {
                done.insert(name.clone());
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(at) = path.iter().position(|(name, _)| name == to) {
                let mut circle: Vec<String> = path[at..].iter().map(|(name, _)| name.clone()).collect();
                let smallest = (0..circle.len()).min_by_key(|i| &circle[*i]).unwrap_or(0);
                circle.rotate_left(smallest);
                let second = circle.get(1).unwrap_or(&circle[0]);
                let mark = graph.get(circle[0].as_str()).and_then(|edges| edges.iter().find(|(to, _)| to == second));
                if let Some((_, mark)) = mark
                    && !found.iter().any(|(known, _)| *known == circle)
                {
                    found.push((circle, mark.clone()));
                }
            } else if !done.contains(to) && graph.contains_key(to.as_str()) {
                let to = to.clone();
                path.push((to, 0));
            }
        }
    }
    found
}
