//! Whether it all holds together: the drafts and what is in the project already, loaded as one project. A draft with a
//! fault becomes a `.todo`; what refers to it then has a fault too, and so on until nothing is wrong with what is left.

use std::path::Path;

use super::connections::nowhere;
use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Severity};
use crate::import::{Note, NoteKind};
use crate::manifest::Kind;
use crate::manifest::document::Writer;
use crate::project::PROJECT_FILE;
use crate::project::tree::{Directory, Fault, Tree};

/// The project file for a folder that has none, named after the folder it is in.
pub(super) fn project_file(root: &Path, from: &Path) -> Option<String> {
    if root.join(PROJECT_FILE).exists() {
        return None;
    }
    let folder = std::path::absolute(root).ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = folder.or_else(|| from.file_name().map(|name| name.to_string_lossy().into_owned()));
    let mut writer = Writer::default();
    writer.line(0, "# yaml-language-server: $schema=schemas/project.schema.json");
    writer.entry(0, "name", &super::name_of(&name.unwrap_or_default()).into());
    writer.entry(0, "environments", &serde_json::json!({ "prod": { "default": true } }));
    writer.entry(0, "guards", &serde_json::json!({ "max_removed": "10%", "min_rows": 1 }));
    Some(writer.finish())
}

/// Puts every draft that does not hold aside, with the reason.
pub(super) fn settle(root: &Path, project: Option<&str>, drafts: &mut [Draft]) {
    loop {
        while waiting(root, drafts) {}
        let tree = Overlay::new(root, project, drafts);
        let loaded = crate::project::load_tree(&tree, root, None);
        let mut changed = false;
        for draft in drafts.iter_mut().filter(|draft| !draft.blocked()) {
            let path = draft.path();
            if tree.below.read(&path).is_ok() {
                // What is there counts, and is not ours to judge.
                continue;
            }
            let own = |d: &&Diagnostic| {
                d.severity == Severity::Error && d.place.as_ref().is_some_and(|p| p.source.path == Path::new(&path))
            };
            for fault in loaded.diagnostics.iter().filter(own) {
                draft.blocks(of_fault(fault));
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// Puts aside what needs something that is put aside; true when that was anything new.
fn waiting(root: &Path, drafts: &mut [Draft]) -> bool {
    let unfinished: Vec<(Kind, String, String)> = drafts
        .iter()
        .filter(|draft| draft.blocked() && !root.join(draft.finished()).is_file())
        .map(|draft| (draft.kind, draft.name.clone(), draft.path()))
        .collect();
    let known: Vec<(Kind, String)> = drafts.iter().map(|d| (d.kind, d.name.clone())).collect();
    let missing = |kind: Kind, name: &str| {
        let file = format!("{}/{name}.yaml", kind.folder().unwrap_or_default());
        !known.iter().any(|(of, known)| *of == kind && known == name) && !root.join(file).is_file()
    };
    let mut changed = false;
    for draft in drafts.iter_mut() {
        // Of what holds otherwise, the project says it, and what was meant.
        if draft.blocked() {
            let lost: Vec<_> = draft.refers.iter().filter(|(kind, name)| missing(*kind, name)).cloned().collect();
            draft.refers.retain(|reference| !lost.contains(reference));
            for (kind, name) in lost {
                let help = Some(format!("make `{}/{name}.yaml`", kind.folder().unwrap_or_default()));
                draft.blocks(nowhere(format!("there is no {} `{name}`", kind.word()), help));
                changed = true;
            }
        }
        let refers = std::mem::take(&mut draft.refers);
        let (waits, rest) = refers.into_iter().partition::<Vec<_>, _>(|(kind, name)| {
            unfinished.iter().any(|(of, unfinished, _)| of == kind && unfinished == name)
        });
        draft.refers = rest;
        for (kind, name) in waits {
            let path = unfinished.iter().find(|(of, unfinished, _)| *of == kind && *unfinished == name);
            let path = path.map(|(.., path)| path.as_str()).unwrap_or_default();
            let message = format!("it needs the {} `{name}`, which is not finished", kind.word());
            draft.blocks(nowhere(message, Some(format!("finish `{path}`"))));
            changed = true;
        }
    }
    changed
}

fn of_fault(fault: &Diagnostic) -> Note {
    let label = fault.label.as_ref().map(|label| format!(": {label}")).unwrap_or_default();
    Note { kind: NoteKind::Blocks, ..nowhere(format!("{}{label}", fault.message), fault.help.clone()) }
}

/// The type a manifest says.
pub(super) fn type_of(text: &str) -> Option<String> {
    let source = crate::diagnostic::SourceText { path: "manifest.yaml".into(), text: text.into() };
    let document = crate::manifest::document::Document::parse(source).ok()?;
    Some(document.to_json().get("type")?.as_str()?.to_owned())
}

/// The files of a folder, and drafts where it has none.
struct Overlay<'a> {
    below: Directory,
    files: Vec<(String, String)>,
    project: Option<&'a str>,
}

impl<'a> Overlay<'a> {
    fn new(root: &Path, project: Option<&'a str>, drafts: &[Draft]) -> Self {
        let ready = drafts.iter().filter(|draft| !draft.blocked());
        Self { below: Directory::new(root), files: ready.map(|d| (d.path(), d.text())).collect(), project }
    }
}

impl Tree for Overlay<'_> {
    fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
        // A project that is still to be made has no folder.
        let mut names = self.below.list(folder).or_else(|fault| match fault {
            Fault::Missing => Ok(Vec::new()),
            fault => Err(fault),
        })?;
        let made = self.files.iter().filter_map(|(path, _)| path.strip_prefix(&format!("{folder}/")));
        names.extend(made.filter(|name| !name.contains('/')).map(str::to_owned));
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Fault> {
        match self.below.read(path) {
            Err(Fault::Missing) => {}
            read => return read,
        }
        if let (PROJECT_FILE, Some(text)) = (path, self.project) {
            return Ok(text.as_bytes().to_vec());
        }
        let made = self.files.iter().find(|(made, _)| made == path);
        made.map(|(_, text)| text.as_bytes().to_vec()).ok_or(Fault::Missing)
    }

    fn artifact(&self, path: &str, most: usize) -> Result<Vec<u8>, Fault> {
        self.below.artifact(path, most)
    }

    fn is_past(&self) -> bool {
        false
    }
}
