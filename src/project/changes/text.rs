//! The texts of two trees, and how they differ.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use similar::TextDiff;

use super::Change;
use crate::diagnostic::Diagnostic;
use crate::manifest::Kind;
use crate::project::Project;
use crate::project::files::PROJECT_FILE;
use crate::project::tree::Tree;
use crate::secret;

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;
/// Kinds whose changes are shown; tests send nothing.
const KINDS: [Kind; 6] = [Kind::Project, Kind::Source, Kind::Model, Kind::Destination, Kind::Sync, Kind::Connector];

/// File → text, of one manifest: its own file first, then its statement's, or what dbt says of it.
type Files = IndexMap<String, String>;

/// The texts of all manifests of a tree.
pub(super) struct Texts(BTreeMap<(Kind, String), Files>);

impl Texts {
    /// Reads them. What cannot be read is not there: it has been reported where the project was loaded.
    pub fn of(tree: &dyn Tree, project: &Project) -> Self {
        let mut texts: BTreeMap<(Kind, String), Files> = BTreeMap::new();
        let read = |path: &str| tree.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        for kind in KINDS {
            let Some(folder) = kind.folder() else {
                if let Some(text) = read(PROJECT_FILE) {
                    let files = Files::from_iter([(PROJECT_FILE.to_owned(), text)]);
                    texts.insert((kind, project.name.clone()), files);
                }
                continue;
            };
            for name in tree.list(folder).unwrap_or_default() {
                let Some(stem) = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")) else { continue };
                let path = format!("{folder}/{name}");
                let Some(text) = read(&path) else { continue };
                let mut files = Files::from_iter([(path, text)]);
                let statement = project.models.get(stem).filter(|_| kind == Kind::Model);
                if let Some(path) = statement.and_then(|model| model.sql_file.as_ref()) {
                    let path = path.display().to_string();
                    files.extend(read(&path).map(|text| (path, text)));
                }
                let dbt = project.models.get(stem).filter(|_| kind == Kind::Model).and_then(|model| model.dbt.as_ref());
                files.extend(dbt.map(|dbt| (dbt.manifest.clone(), dbt.summary())));
                texts.insert((kind, stem.to_owned()), files);
            }
        }
        Self(texts)
    }

    /// The same with secrets that are written in files blanked out, as diagnostics show them.
    pub fn masked(mut self, faults: &[Diagnostic]) -> Self {
        let masked = faults.iter().filter_map(|fault| fault.place.as_ref());
        let masked: BTreeMap<String, &str> =
            masked.map(|place| (place.source.path.display().to_string(), place.source.text.as_ref())).collect();
        for files in self.0.values_mut() {
            for (path, text) in files {
                if let Some(clean) = masked.get(path) {
                    *text = (*clean).to_owned();
                }
            }
        }
        self
    }

    /// What is other in `after`, in data order. `renamed`: new names of syncs → old ones.
    pub fn changes(&self, after: &Texts, renamed: &IndexMap<String, String>) -> Vec<Change> {
        let none = Files::new();
        let old = |kind: Kind, name: &str| -> (Kind, String) {
            let before = renamed.get(name).filter(|_| kind == Kind::Sync);
            (kind, before.map_or(name, String::as_str).to_owned())
        };
        let mut changes = Vec::new();
        for ((kind, name), files) in &after.0 {
            let before = match kind {
                // The project may have another name; its file is one.
                Kind::Project => self.0.iter().find(|((kind, _), _)| *kind == Kind::Project).map(|(_, files)| files),
                _ => self.0.get(&old(*kind, name)),
            };
            let change = if before.is_some() { "changed" } else { "added" };
            changes.extend(difference(*kind, name, change, before.unwrap_or(&none), files));
        }
        let known = |key: &(Kind, String)| {
            key.0 == Kind::Project || after.0.keys().any(|(kind, name)| old(*kind, name) == *key)
        };
        for (key, files) in self.0.iter().filter(|(key, _)| !known(key)) {
            changes.extend(difference(key.0, &key.1, "removed", files, &none));
        }
        changes.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        changes
    }
}

/// One manifest, before and after; `None` when nothing differs.
fn difference(kind: Kind, name: &str, change: &'static str, before: &Files, after: &Files) -> Option<Change> {
    // By role, so that a renamed file is shown by what changed in it.
    let at = |files: &Files, index: usize| files.get_index(index).map(|(path, text)| (path.clone(), text.clone()));
    let mut changed: Vec<(String, String)> = Vec::new();
    for index in 0..before.len().max(after.len()) {
        let (old, new) = (at(before, index), at(after, index));
        let path = new.as_ref().or(old.as_ref()).map(|(path, _)| path.clone())?;
        let renamed = matches!((&old, &new), (Some((old, _)), Some((new, _))) if old != new);
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        if old.1 == new.1 && !renamed {
            continue;
        }
        let diff = TextDiff::from_lines(&old.1, &new.1);
        let header = |there: &(String, String)| {
            if there.0.is_empty() { "/dev/null".to_owned() } else { there.0.clone() }
        };
        let mut unified = diff.unified_diff();
        let (from, to) = (header(&old), header(&new));
        let unified = unified.context_radius(CONTEXT).header(&from, &to).to_string();
        // Such a manifest is refused; should one come this far all the same, its password does not go on to a report.
        changed.push((path, secret::blanked(&unified)));
    }
    let (file, _) = changed.first()?.clone();
    let diff = match changed.as_slice() {
        [(_, diff)] => diff.clone(),
        // Each after the first keeps its name as a line of its own, as faces drop the header of the whole.
        several => several.iter().map(|(path, diff)| format!("@@ {path} @@\n{}", without_header(diff))).collect(),
    };
    Some(Change { kind, name: name.to_owned(), change, file, diff, affects: Vec::new() })
}

fn without_header(diff: &str) -> String {
    diff.lines().skip(2).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_manifest_and_its_statement_are_one_change() {
        let before = files(&[("models/a.yaml", "name: a\n"), ("models/a.sql", "select 1\nfrom t\n")]);
        let after = files(&[("models/a.yaml", "name: a\n"), ("models/a.sql", "select 2\nfrom t\n")]);
        let change = difference(Kind::Model, "a", "changed", &before, &after).unwrap();
        assert_eq!(change.file, "models/a.sql");
        assert_eq!(change.diff, "--- models/a.sql\n+++ models/a.sql\n@@ -1,2 +1,2 @@\n-select 1\n+select 2\n from t\n");
        let after = files(&[("models/a.yaml", "name: a\n\n"), ("models/a.sql", "select 2\nfrom t\n")]);
        let change = difference(Kind::Model, "a", "changed", &before, &after).unwrap();
        assert_eq!(change.file, "models/a.yaml");
        assert!(change.diff.starts_with("@@ models/a.yaml @@\n"), "{}", change.diff);
        assert!(change.diff.contains("@@ models/a.sql @@\n"), "{}", change.diff);
        assert_eq!(difference(Kind::Model, "a", "changed", &before, &before), None);
    }

    #[test]
    fn a_password_in_an_address_is_in_no_difference() {
        let at = |text: &str| files(&[("destinations/a.yaml", text)]);
        let before = at("name: a\nurl: https://me:hunter2@host/?api_key=abcd\n");
        let after = at("name: a\nurl: https://me:{{ env.PW }}@host/\n");
        let change = difference(Kind::Destination, "a", "changed", &before, &after).unwrap();
        assert!(change.diff.contains("-url: https://me:*******@host/?api_key=****\n"), "{}", change.diff);
        assert!(change.diff.contains("+url: https://me:{{ env.PW }}@host/\n"), "{}", change.diff);
        // Another password is a change all the same.
        let other = at("name: a\nurl: https://me:hunter3@host/?api_key=abcd\n");
        assert!(difference(Kind::Destination, "a", "changed", &before, &other).is_some());
    }
}
