//! Manifests where nobody reads them: in the root, below the folders of manifests, in a folder with a name of its own.

use std::collections::BTreeMap;

use super::files::{File, PROJECT_FILE, read_file};
use super::tree::Tree;
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::Kind;

/// How deep below the folders of manifests it is looked for misplaced ones.
const DEPTH: usize = 3;
/// So many files at most are looked at for it.
const MOST_FILES: usize = 1000;
/// Folders in which what looks like a manifest is there for something else.
const OTHERS: [&str; 14] = [
    "archive",
    "data",
    "dbt",
    "dbt_packages",
    "disabled",
    "doc",
    "docs",
    "examples",
    "fixtures",
    "node_modules",
    "schemas",
    "target",
    "templates",
    "vendor",
];

/// Warns of files that look like manifests and are read by nobody.
pub(super) fn check(tree: &dyn Tree, out: &mut Vec<Diagnostic>) {
    let known: Vec<&str> = Kind::ALL.iter().filter_map(|kind| kind.folder()).collect();
    let mut paths = tree.list("").unwrap_or_default();
    let mut folders: Vec<String> = known.iter().map(|folder| (*folder).to_owned()).collect();
    for _ in 0..DEPTH {
        folders = folders.iter().flat_map(|folder| within(folder, tree.folders(folder))).collect();
        paths.extend(folders.iter().flat_map(|folder| within(folder, tree.list(folder).unwrap_or_default())));
    }
    let beside = tree.folders("").into_iter().filter(|folder| !is_other(folder) && !known.contains(&folder.as_str()));
    let mut beside: BTreeMap<String, Vec<Found>> = beside.map(|folder| (folder, Vec::new())).collect();
    paths.extend(beside.keys().flat_map(|folder| within(folder, tree.list(folder).unwrap_or_default())));
    for path in paths.into_iter().take(MOST_FILES) {
        if path == PROJECT_FILE || !(path.ends_with(".yaml") || path.ends_with(".yml")) {
            continue;
        }
        let mut ignored = Vec::new();
        let file = read_file(tree, Kind::Project, "", &path, &mut ignored);
        let Some(folders) = belongs(&path, &file) else { continue };
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        match parent.and_then(|parent| beside.get_mut(parent)) {
            Some(found) => found.push(Found { path, file, folders }),
            None => out.push(alone(&path, &file, folders)),
        }
    }
    out.extend(beside.into_iter().filter_map(|(folder, found)| together(&folder, &found)));
}

/// What looks like a manifest, in a folder that is none of those of manifests.
struct Found {
    path: String,
    file: File,
    folders: &'static [&'static str],
}

fn within(folder: &str, names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|name| format!("{folder}/{name}")).collect()
}

fn is_other(folder: &str) -> bool {
    folder.starts_with(['.', '_']) || OTHERS.contains(&folder.to_lowercase().as_str())
}

/// The folders a file may belong to, by what it says; `None` where it looks like no manifest.
fn belongs(path: &str, file: &File) -> Option<&'static [&'static str]> {
    let has = |key: &str| file.value.get(key).is_some();
    let test = has("sync") && has("cases");
    match () {
        () if !has("name") => None,
        // Whatever else is tested has its files there, too.
        () if path.starts_with("tests/") && !test => None,
        () if has("model") && has("destination") => Some(&["syncs"]),
        () if has("api") && has("objects") && !has("type") => Some(&["connectors"]),
        () if has("primary_key") => Some(&["models"]),
        () if test => Some(&["tests"]),
        () if has("type") && has("connection") => Some(&["sources", "destinations"]),
        () => None,
    }
}

/// A file in the root, or in a folder below one of manifests.
fn alone(path: &str, file: &File, folders: &[&str]) -> Diagnostic {
    let folder = folders.join("` or `");
    let message = format!("`{path}` looks like a manifest, but is not read here");
    Diagnostic::warning("misplaced-manifest", message, file.key_place("/name")).with_help(match path.contains('/') {
        true => format!("move it to `{folder}` itself; manifests are not looked for in folders below"),
        false => format!("move it to `{folder}`"),
    })
}

/// All files of a folder beside those of manifests: one warning, whose help names the folder that was meant.
fn together(folder: &str, found: &[Found]) -> Option<Diagnostic> {
    let first = found.first()?;
    let message = match found.len() {
        1 => format!("`{}` looks like a manifest, but nothing in `{folder}/` is read", first.path),
        n => format!("`{}` and {} more in `{folder}/` look like manifests, but are not read there", first.path, n - 1),
    };
    let meant: Vec<&str> = first.folders.to_vec();
    let guess = closest(folder, meant.iter().copied());
    let help = match guess {
        Some(guess) => format!("did you mean `{guess}/`?"),
        None => format!("move them to `{}/`, where manifests of this kind are read", meant.join("/` or `")),
    };
    Some(Diagnostic::warning("misplaced-manifest", message, first.file.key_place("/name")).with_help(help))
}
