//! Where the files of a project are read from: a folder, or a commit in git.

mod git;

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::manifest::document::MAX_BYTES;

pub use git::{Commit, commit};

/// The files of a project. Paths are relative to its root, with `/` as separator.
pub trait Tree {
    /// Names of the files directly in a folder (`""` is the root), sorted; empty when there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<String>, Fault>;

    /// Names of the folders directly in a folder, sorted; those that begin with a dot, and links, are left out. A tree that
    /// is only compared with gives none.
    fn folders(&self, folder: &str) -> Vec<String> {
        let _ = folder;
        Vec::new()
    }

    /// The bytes of a file. What is larger than [`MAX_BYTES`] comes cut to one byte more.
    fn read(&self, path: &str) -> Result<Vec<u8>, Fault>;

    /// The bytes of a file that another program has made, such as dbt's manifest; its path may be absolute. What is
    /// larger than `most` comes cut to one byte more. A tree that keeps none says [`Fault::Missing`].
    fn artifact(&self, path: &str, most: usize) -> Result<Vec<u8>, Fault> {
        let _ = (path, most);
        Err(Fault::Missing)
    }

    /// True when the tree is not what is on disk now, but what was: a commit.
    fn is_past(&self) -> bool {
        true
    }
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// The path, or a link in it, leads out of the project.
    #[error("it is outside the project")]
    Outside,
    /// The system refuses.
    #[error("{0}")]
    Failed(String),
}

/// A folder on this machine.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// The folder at a path.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where a path really leads, links followed; it must stay in the project.
    fn inside(&self, path: &str) -> Result<PathBuf, Fault> {
        let root = self.root.canonicalize().map_err(fault)?;
        let mut depth = 0_i32;
        for part in Path::new(path).components() {
            depth += if part == std::path::Component::ParentDir { -1 } else { 1 };
            if depth < 0 {
                return Err(Fault::Outside);
            }
        }
        let full = root.join(path).canonicalize().map_err(fault)?;
        if full.starts_with(&root) { Ok(full) } else { Err(Fault::Outside) }
    }
}

impl Tree for Directory {
    fn list(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let folder = match self.inside(folder) {
            Err(Fault::Missing) => return Ok(Vec::new()),
            folder => folder?,
        };
        let mut names = Vec::new();
        for entry in folder.read_dir().map_err(fault)? {
            let entry = entry.map_err(fault)?;
            if entry.file_type().map_err(fault)?.is_dir() {
                continue;
            }
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn folders(&self, folder: &str) -> Vec<String> {
        let Some(entries) = self.inside(folder).ok().and_then(|folder| folder.read_dir().ok()) else {
            return Vec::new();
        };
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut names: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Fault> {
        bytes_of(&self.inside(path)?, MAX_BYTES)
    }

    fn artifact(&self, path: &str, most: usize) -> Result<Vec<u8>, Fault> {
        let given = Path::new(path);
        let full = if given.is_absolute() { given.canonicalize().map_err(fault)? } else { self.inside(path)? };
        bytes_of(&full, most)
    }

    fn is_past(&self) -> bool {
        false
    }
}

/// The bytes of a file, at most one more than `most`.
fn bytes_of(path: &Path, most: usize) -> Result<Vec<u8>, Fault> {
    if !path.is_file() {
        return Err(Fault::Failed("it is not a file".into()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

fn fault(error: std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Failed(error.to_string()),
    }
}

/// Where a relative path of a connection leads: below the project, even when the file is still to be made.
///
/// # Errors
/// [`Fault::Outside`] when `..` or a link leads out of the project; absolute paths are taken as they are.
pub fn resolve(root: &Path, path: &str) -> Result<PathBuf, Fault> {
    let given = Path::new(path);
    if given.is_absolute() {
        return Ok(given.to_owned());
    }
    let root = root.canonicalize().map_err(fault)?;
    let mut full = root.clone();
    for part in given.components() {
        match part {
            std::path::Component::ParentDir => {
                full.pop();
            }
            std::path::Component::Normal(name) => full.push(name),
            _ => {}
        }
        // Links are followed as far as the path is there; what is not there yet cannot be one.
        if let Ok(real) = full.canonicalize() {
            full = real;
        } else if full.is_symlink() {
            return Err(Fault::Outside);
        }
        if !full.starts_with(&root) {
            return Err(Fault::Outside);
        }
    }
    Ok(full)
}
