//! Hightouch's Git Sync → a project.
//!
//! ```text
//!  folder ──► export ──► reader ──► connections, model, sync ──► draft ──► settle ──► Import
//!             (files)    (what was  (mapping, schedule, liquid)  (text,    (a project
//!                         read)                                   notes)    of it all)
//! ```
//!
//! What each file says is read key by key, and what nobody read is named in the end. Every manifest is then loaded with
//! the rest of the project, as `syncline validate` does it: one with a fault becomes a `.todo`, which nobody reads.
//! Facts about the format: <https://hightouch.com/docs/workspace-management/git-sync>, and files that teams published.

mod connections;
mod draft;
mod export;
mod liquid;
mod mapping;
mod model;
mod reader;
mod schedule;
mod settle;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{File, FileState, Import, Item, Note, NoteKind, Status};
use crate::diagnostic::{Diagnostic, Result};
use crate::manifest::document::Document;
use crate::manifest::{Kind, schema};
use connections::{Named, nowhere};
use draft::Draft;
use export::{Export, Found};
use reader::Reader;

/// What names of Git Sync became.
#[derive(Debug, Default)]
struct Slugs {
    names: BTreeMap<(Kind, String), String>,
}

impl Slugs {
    fn of(&self, kind: Kind, slug: &str) -> String {
        self.names.get(&(kind, slug.to_owned())).cloned().unwrap_or_else(|| name_of(slug))
    }

    fn source(&self, slug: &str) -> String {
        self.of(Kind::Source, slug)
    }

    fn destination(&self, slug: &str) -> String {
        self.of(Kind::Destination, slug)
    }

    fn model(&self, slug: &str) -> String {
        self.of(Kind::Model, slug)
    }
}

/// A slug with what no name may hold taken out.
fn name_of(slug: &str) -> String {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name: String = slug.trim().chars().map(|c| if fine(c) { c } else { '-' }).collect();
    if name.is_empty() { "unnamed".into() } else { name }
}

/// Reads a folder that Git Sync wrote and makes manifests for the project at `root`, which need not be there. Nothing is
/// written: that is left to the caller ([`File::text`]).
///
/// # Errors
/// The folder cannot be read, or holds nothing of Git Sync.
pub fn import(folder: &Path, root: &Path) -> Result<Import> {
    let export = export::read(folder)?;
    let mut work =
        Work { root, slugs: Slugs::default(), drafts: Vec::new(), items: Vec::new(), taken: BTreeSet::new() };
    work.alias(&export.models);
    work.connections(&export);
    work.models(&export);
    work.syncs(&export);
    let Work { mut drafts, mut items, .. } = work;
    let project = settle::project_file(root, folder);
    settle::settle(root, project.as_deref(), &mut drafts);
    // What is still in the way of a draft is of no interest where somebody has finished it.
    let (finished, drafts): (Vec<Draft>, Vec<Draft>) =
        drafts.into_iter().partition(|draft| draft.blocked() && root.join(draft.finished()).is_file());
    items.extend(finished.into_iter().map(|draft| Item {
        to: Some(draft.finished()),
        status: Status::Carried,
        carried: vec!["it was there already, and was left as it is".into()],
        notes: Vec::new(),
        ..draft.item
    }));
    let mut files: Vec<File> = Vec::new();
    if let Some(text) = project {
        files.push(file(crate::project::PROJECT_FILE.into(), text));
        files.push(file(".gitignore".into(), "/.syncline/\n*.slplan\n".into()));
        let schemas = schema::files().into_iter().filter(|(path, _)| path.starts_with(schema::FOLDER));
        files.extend(schemas.map(|(path, text)| file(path.to_string_lossy().replace('\\', "/"), text)));
    }
    files.extend(drafts.iter().map(|draft| file(draft.path(), draft.text())));
    let variables: BTreeSet<String> = drafts.iter().flat_map(|draft| variables(&draft.text())).collect();
    let mut made: Vec<Item> = drafts.into_iter().map(Draft::into_item).collect();
    made.append(&mut items);
    made.extend(export.others.into_iter().map(|(path, why)| Item {
        kind: "file".into(),
        from: path,
        to: None,
        status: Status::Left,
        carried: Vec::new(),
        notes: vec![Note { kind: NoteKind::Left, ..nowhere(why.into(), None) }],
    }));
    Ok(Import {
        format_version: "1.0".into(),
        tool: "hightouch".into(),
        items: made,
        variables: variables.into_iter().collect(),
        files,
    })
}

fn file(path: String, text: String) -> File {
    File { path, state: FileState::Written, text }
}

/// Names of environment variables in a manifest.
fn variables(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let parts = lines.flat_map(|line| line.split("{{ env.").skip(1).map(str::to_owned).collect::<Vec<_>>());
    parts.filter_map(|part| part.split_once(" }}").map(|(name, _)| name.to_owned())).collect()
}

/// Where a manifest of Git Sync names something: which manifest, and the pointer in it.
type Written = (usize, String);

/// An import on its way.
struct Work<'a> {
    root: &'a Path,
    slugs: Slugs,
    drafts: Vec<Draft>,
    items: Vec<Item>,
    /// Kinds and names that are taken.
    taken: BTreeSet<(Kind, String)>,
}

impl Work<'_> {
    /// Models go by the names of their files, and by what they say of themselves.
    fn alias(&mut self, models: &[Found]) {
        for found in models {
            let name = name_of(&found.slug);
            if let Ok(document) = &found.document
                && let Some(alias) = document.to_json().get("model-slug").and_then(|slug| slug.as_str())
            {
                self.slugs.names.entry((Kind::Model, alias.to_owned())).or_insert_with(|| name.clone());
            }
        }
        for found in models {
            self.slugs.names.insert((Kind::Model, found.slug.clone()), name_of(&found.slug));
        }
    }

    /// True when a name was free; when it was not, that is said.
    fn take(&mut self, kind: Kind, name: &str, from: &str) -> bool {
        if self.taken.insert((kind, name.to_owned())) {
            return true;
        }
        let message = format!("there is another {} that would be called `{name}`; this one was left out", kind.word());
        self.lost(
            kind.word(),
            from,
            vec![nowhere(message, Some("rename one of the two files, and import again".into()))],
        );
        false
    }

    fn lost(&mut self, kind: &str, from: &str, notes: Vec<Note>) {
        let (kind, from) = (kind.to_owned(), from.to_owned());
        self.items.push(Item { kind, from, to: None, status: Status::Left, carried: Vec::new(), notes });
    }

    /// The readable ones of some files; the others are noted.
    fn readable<'e>(&mut self, kind: &str, files: &'e [Found]) -> Vec<(&'e Found, &'e Document)> {
        let mut out = Vec::new();
        for found in files {
            match &found.document {
                Ok(document) => out.push((found, document)),
                Err(faults) => self.lost(kind, &found.path, faults.iter().map(of_diagnostic).collect()),
            }
        }
        out
    }

    fn connections(&mut self, export: &Export) {
        let mut named: Vec<(Kind, Option<Written>, Named)> = Vec::new();
        let manifests = self.readable("file", &export.manifests);
        let readers: Vec<Reader<'_>> = manifests.iter().map(|(_, document)| Reader::new(document)).collect();
        for (at, (found, _)) in manifests.iter().enumerate() {
            for (kind, list) in [(Kind::Source, "/sources"), (Kind::Destination, "/destinations")] {
                let found = connections::named(&readers[at], list, &found.path);
                named.extend(found.into_iter().map(|(pointer, named)| (kind, Some((at, pointer)), named)));
            }
        }
        for (kind, slug, from) in mentioned(export) {
            if !named.iter().any(|(of, _, known)| *of == kind && known.slug == slug) {
                named.push((kind, None, Named { slug, display: None, kind: None, from }));
            }
        }
        let uses_dbt = |source: &str| {
            export.models.iter().filter_map(|found| found.document.as_ref().ok()).any(|document| {
                let model = document.to_json();
                model.get("modelId").is_some() && model.get("source").is_none_or(|s| s.as_str() == Some(source))
            })
        };
        let connector = connections::connectors(self.root);
        let mut handled: BTreeMap<(Kind, String), Option<String>> = BTreeMap::new();
        for (kind, place, named) in named {
            let name = name_of(&named.slug);
            let slug = (kind, named.slug.clone());
            self.slugs.names.insert(slug.clone(), name.clone());
            // Each manifest of a workspace lists what it uses: the same one twice is no clash.
            if handled.get(&slug).is_some_and(|known| *known == named.kind) || !self.take(kind, &name, &named.from) {
                continue;
            }
            handled.insert(slug, named.kind.clone());
            let note = |message: String, help: Option<String>| match &place {
                Some((at, pointer)) => readers[*at].note(NoteKind::Blocks, pointer, message, help),
                None => nowhere(message, help),
            };
            let draft = match kind {
                Kind::Source => {
                    let there = self.root.join(connections::DBT_MANIFEST).is_file();
                    connections::source(&named, &name, uses_dbt(&named.slug).then_some(there), note)
                }
                _ => {
                    let connector = named.kind.as_deref().and_then(&connector);
                    connections::destination(&named, &name, connector.as_deref(), note)
                }
            };
            self.drafts.push(draft);
        }
        self.drafts.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        for ((found, _), reader) in manifests.iter().zip(&readers) {
            let left = |pointer: &String| reader.note(NoteKind::Left, pointer, "syncline has no such setting", None);
            let notes: Vec<Note> = reader.rest().iter().map(left).collect();
            if !notes.is_empty() {
                self.lost("file", &found.path, notes);
            }
        }
    }

    fn models(&mut self, export: &Export) {
        let sources: Vec<String> = self
            .slugs
            .names
            .iter()
            .filter(|((kind, _), _)| *kind == Kind::Source)
            .map(|(_, name)| name.clone())
            .collect();
        for (found, document) in self.readable("model", &export.models) {
            let name = name_of(&found.slug);
            if self.take(Kind::Model, &name, &found.path) {
                let reader = Reader::new(document);
                let draft = model::model(&reader, &name, &found.path, &sources, &self.slugs);
                self.drafts.push(draft);
            }
        }
    }

    fn syncs(&mut self, export: &Export) {
        let known = self.drafts.iter().filter(|draft| draft.kind == Kind::Destination);
        let mut kinds: BTreeMap<String, Option<String>> =
            known.map(|draft| (draft.name.clone(), settle::type_of(&draft.text()))).collect();
        for ((kind, _), name) in self.slugs.names.iter().filter(|((kind, _), _)| *kind == Kind::Destination) {
            let path = self.root.join(kind.folder().unwrap_or_default()).join(format!("{name}.yaml"));
            if let Ok(text) = std::fs::read_to_string(path) {
                kinds.insert(name.clone(), settle::type_of(&text));
            }
        }
        let keys: BTreeMap<String, Vec<String>> = export
            .models
            .iter()
            .filter_map(|found| {
                let key = found.document.as_ref().ok()?.to_json().get("primaryKey").cloned()?;
                let columns = key.as_array().cloned().unwrap_or_else(|| vec![key]);
                let columns = columns.iter().filter_map(|column| column.as_str().map(str::to_owned)).collect();
                Some((name_of(&found.slug), columns))
            })
            .collect();
        for (found, document) in self.readable("sync", &export.syncs) {
            let name = name_of(&found.slug);
            if self.take(Kind::Sync, &name, &found.path) {
                let reader = Reader::new(document);
                let draft = sync::sync(&reader, &name, &found.path, &self.slugs, &kinds, &keys);
                self.drafts.push(draft);
            }
        }
    }
}

/// Sources and destinations that models and syncs name: kind, slug, and the first file that names it.
fn mentioned(export: &Export) -> Vec<(Kind, String, String)> {
    let mut out: Vec<(Kind, String, String)> = Vec::new();
    for (files, key, kind) in
        [(&export.models, "source", Kind::Source), (&export.syncs, "destination", Kind::Destination)]
    {
        for found in files {
            let Ok(document) = &found.document else { continue };
            let Some(slug) = document.to_json().get(key).and_then(|slug| slug.as_str().map(str::to_owned)) else {
                continue;
            };
            if !out.iter().any(|(of, known, _)| *of == kind && *known == slug) {
                out.push((kind, slug, found.path.clone()));
            }
        }
    }
    out
}

fn of_diagnostic(diagnostic: &Diagnostic) -> Note {
    let place = diagnostic.place.as_ref().map(|place| place.line_column());
    Note {
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column),
        ..nowhere(diagnostic.message.clone(), diagnostic.help.clone())
    }
}
