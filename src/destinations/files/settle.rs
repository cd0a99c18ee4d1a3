//! The end of a run: what was staged becomes the file, or the three files of a diff.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Open;
use super::changes::{Index, Listed};
use super::format::Changes;
use super::stage::{failed, sync_folder};
use crate::destinations::{Action, Outcome, SendError};

/// `options.content`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    /// One file with all current records.
    #[default]
    All,
    /// Three files with the records of this run: added, changed, removed.
    Diff,
}

/// Where the files are.
pub(super) struct Paths {
    folder: PathBuf,
    stem: String,
    extension: &'static str,
}

impl Paths {
    /// The paths for a stem.
    pub fn new(folder: &Path, stem: &str, extension: &'static str) -> Self {
        Self { folder: folder.to_owned(), stem: stem.to_owned(), extension }
    }

    /// The file of `content: all`.
    pub fn all(&self) -> PathBuf {
        self.folder.join(format!("{}.{}", self.stem, self.extension))
    }

    /// One of the files of `content: diff`.
    fn part(&self, part: &str) -> PathBuf {
        self.folder.join(format!("{}_{part}.{}", self.stem, self.extension))
    }

    /// The staging folder: hidden, and on the same file system, so that a rename out of it is atomic.
    pub fn stage(&self) -> PathBuf {
        self.folder.join(format!(".{}.{}.syncline", self.stem, self.extension))
    }
}

/// Applies the batches in the order given and says what became of their records.
pub(super) fn settle(open: &Open, deferred: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
    let mut index = Index::new(open);
    let mut batches = Vec::new();
    let mut start = 0;
    for (id, handle) in deferred {
        let Some(segment) = open.stage.read(handle) else { continue };
        let Some(count) = index.add(&segment)? else { continue };
        batches.push((*id, start..start + count));
        start += count;
    }
    match open.content {
        Content::All => all(open, &mut index)?,
        Content::Diff => diff(open, &mut index)?,
    }
    let outcomes = batches.into_iter().map(|(id, range)| (id, index.outcomes(range))).collect();
    open.stage.clear()?;
    Ok(outcomes)
}

fn all(open: &Open, index: &mut Index<'_>) -> Result<(), SendError> {
    let path = open.paths.all();
    let old = path.exists().then_some(path.as_path());
    if let Some(old) = old {
        open.format.scan(old, &mut |identity| index.seen(identity))?;
    }
    index.seal();
    let new = Replacement::write(open, &path, old, index)?;
    if new.differs { new.publish() } else { Ok(()) }
}

fn diff(open: &Open, index: &mut Index<'_>) -> Result<(), SendError> {
    let part = |action: Action, added: bool| match (action, added) {
        (Action::Send, true) => "added",
        (Action::Send, false) | (Action::Clear, _) => "changed",
        (Action::Delete, _) => "removed",
    };
    let mut parts = Vec::new();
    for name in ["added", "changed", "removed"] {
        let operations = index.select(|action, added| part(action, added) == name).into_iter();
        let mut listed = Listed { index, operations };
        parts.push(Replacement::write(open, &open.paths.part(name), None, &mut listed)?);
    }
    parts.into_iter().try_for_each(Replacement::publish)
}

/// A new version of a file, complete and durable, not yet in its place.
struct Replacement {
    new: PathBuf,
    path: PathBuf,
    differs: bool,
}

impl Replacement {
    fn write(open: &Open, path: &Path, old: Option<&Path>, changes: &mut dyn Changes) -> Result<Self, SendError> {
        let folder = open.stage.folder();
        fs::create_dir_all(folder).map_err(|e| failed(&e, folder))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let new = folder.join(format!("{name}.new"));
        let create = || {
            let file = File::create(&new)?;
            if let Some(old) = old {
                file.set_permissions(fs::metadata(old)?.permissions())?;
            }
            file.try_clone().map(|written| (file, written))
        };
        let (file, written) = create().map_err(|e| failed(&e, &new))?;
        let differs = open.format.rewrite(old, file, changes)?;
        written.sync_all().map_err(|e| failed(&e, &new))?;
        Ok(Self { new, path: path.to_owned(), differs })
    }

    fn publish(self) -> Result<(), SendError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::rename(&self.new, &self.path).and_then(|()| sync_folder(folder)).map_err(|e| failed(&e, &self.path))
    }
}
