//! What Git Sync writes: which files there are, and what each is.
//!
//! Layout: `models/SLUG.yaml`, `syncs/SLUG.yaml`, `manifest.yaml` or `manifest-WORKSPACE-ID.yaml`, `schema/` (Customer
//! Studio), `aliases-….yaml`. The manifest names sources and destinations; credentials are in none of them.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Error, Result};
use crate::manifest::document::{Document, MAX_BYTES};

/// Most files that are looked at.
const MAX_FILES: usize = 20_000;

/// A folder of Git Sync.
#[derive(Debug, Default)]
pub(super) struct Export {
    /// Files that name sources and destinations.
    pub manifests: Vec<Found>,
    /// One model each.
    pub models: Vec<Found>,
    /// One sync each.
    pub syncs: Vec<Found>,
    /// What is none of these: path, and why nothing is made of it.
    pub others: Vec<(String, &'static str)>,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Found {
    /// Its path below the folder, with `/`.
    pub path: String,
    /// The file name without its ending.
    pub slug: String,
    /// What it says, or why it cannot be read.
    pub document: std::result::Result<Document, Vec<Diagnostic>>,
}

/// Reads a folder.
///
/// # Errors
/// There is no such folder, or it holds nothing of Git Sync.
pub(super) fn read(folder: &Path) -> Result<Export> {
    let mut paths = Vec::new();
    walk(folder, folder, &mut paths)
        .map_err(|error| Error::failed(format!("cannot read `{}`: {error}", folder.display())))?;
    paths.sort();
    let mut export = Export::default();
    for path in paths {
        let (first, name) = (path.split('/').next().unwrap_or_default(), path.rsplit('/').next().unwrap_or_default());
        let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
        let below = path.contains('/');
        match (first, stem) {
            ("models", Some(stem)) if below => export.models.push(found(folder, &path, stem)),
            ("syncs", Some(stem)) if below => export.syncs.push(found(folder, &path, stem)),
            (_, Some(stem)) if !below && (stem == "manifest" || stem.starts_with("manifest-")) => {
                export.manifests.push(found(folder, &path, stem));
            }
            ("schema", _) if below => export.others.push((path, "Customer Studio has no counterpart here")),
            (_, Some(stem)) if !below && stem.starts_with("aliases") => {
                export.others.push((path, "aliases of a workspace are not documented by Hightouch"));
            }
            _ => export.others.push((path, "not a file of Git Sync")),
        }
    }
    if export.manifests.is_empty() && export.models.is_empty() && export.syncs.is_empty() {
        return Err(Error::failed_help(
            format!("`{}` holds nothing of Hightouch's Git Sync", folder.display()),
            "name the folder that holds `models/`, `syncs/` and `manifest.yaml`",
        ));
    }
    Ok(export)
}

fn walk(root: &Path, folder: &Path, out: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Links are not followed: they could lead round in circles, or anywhere.
        let kind = entry.file_type()?;
        if hidden || kind.is_symlink() || out.len() >= MAX_FILES {
            continue;
        }
        if kind.is_dir() {
            walk(root, &entry.path(), out)?;
        } else if let Ok(path) = entry.path().strip_prefix(root) {
            out.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

fn found(folder: &Path, path: &str, stem: &str) -> Found {
    let document = match bytes(&folder.join(path)) {
        Ok(bytes) => {
            Document::decode(&PathBuf::from(path), &bytes).map_err(|fault| vec![*fault]).and_then(Document::parse)
        }
        Err(error) => Err(vec![Diagnostic::error("unreadable-file", format!("cannot read it: {error}"), None)]),
    };
    Found { path: path.to_owned(), slug: stem.to_owned(), document }
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
