//! Files: CSV, JSON lines and Parquet in a folder. Batches are staged durably; the files themselves change only at the
//! end of the run, each by one atomic rename, so that nobody ever sees half of one.
//!
//! `content: all` keeps `STEM.EXT` equal to all current records: the changes are merged into the file that is there.
//! `content: diff` writes `STEM_added.EXT`, `STEM_changed.EXT` and `STEM_removed.EXT` with the records of this run.

mod cell;
mod changes;
mod csv;
mod format;
mod jsonl;
mod parquet;
mod read;
mod settle;
mod stage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::table::{self, Columns};
use super::{Batch, Capabilities, Class, Destination, Health, Outcome, Readable, SendError, Sent, Target, Writer};
use crate::diagnostic::Result;
use crate::manifest::connection::FilesConnection;
use crate::manifest::sync::{Mode, OnRemoved};

/// A folder; objects are the stems of its files.
pub(super) struct Files {
    folder: PathBuf,
}

/// The options there are, for messages.
const OPTIONS: &str = "`format` (`csv`, `jsonl`, `parquet`), `content` (`all`, `diff`)";

/// `options` of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    format: format::Kind,
    #[serde(default)]
    content: settle::Content,
}

impl Files {
    /// The destination of a connection.
    pub fn new(connection: FilesConnection) -> Self {
        Self { folder: connection.path.into() }
    }
}

#[async_trait]
impl Destination for Files {
    fn capabilities(&self, object: &str, mode: Mode, _: &super::Options) -> Result<Capabilities> {
        let modes = vec![Mode::Insert, Mode::Upsert, Mode::Mirror];
        table::check_mode(&format!("file `{object}`"), mode, &modes)?;
        Ok(Capabilities {
            modes,
            on_removed: vec![OnRemoved::Keep, OnRemoved::Clear, OnRemoved::Delete],
            // An insert that may have arrived must be told apart from a record that was there before.
            class: if mode == Mode::Insert { Class::C } else { Class::A },
            batch_size: 10_000,
            concurrency: 1,
            always_opened: true,
            by_state: false,
            matched: true,
        })
    }

    async fn examine(&self) -> Result<Health, SendError> {
        let shown = self.folder.display();
        match std::fs::metadata(&self.folder) {
            Ok(metadata) if !metadata.is_dir() => Err(SendError::Fatal {
                message: format!("`{shown}` is no folder"),
                help: Some("name a folder in `connection.path`".into()),
            }),
            Ok(metadata) if metadata.permissions().readonly() => Err(SendError::Fatal {
                message: format!("the folder `{shown}` cannot be written to"),
                help: Some("give whoever runs this the right to write there".into()),
            }),
            Ok(_) => Ok(Health::default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let remarks = vec![format!("the folder `{shown}` is made by the first apply")];
                Ok(Health { remarks, ..Health::default() })
            }
            Err(error) => Err(stage::failed(&error, &self.folder)),
        }
    }

    async fn count(&self, object: &str, options: &super::Options) -> Result<Option<u64>, SendError> {
        let (folder, object, options) = (self.folder.clone(), object.to_owned(), options.clone());
        table::blocking(move || read::count(&folder, &object, &options)).await
    }

    async fn reader(&self, target: &Target) -> Result<Readable, SendError> {
        let (folder, target) = (self.folder.clone(), target.clone());
        table::blocking(move || read::open(&folder, &target)).await
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError> {
        let (folder, target) = (self.folder.clone(), target.clone());
        let file = table::blocking(move || Open::new(&folder, &target)).await?;
        Ok(Box::new(FilesWriter { file: Arc::new(file) }))
    }
}

/// An open file: everything that does not change during a run.
struct Open {
    mode: Mode,
    columns: Columns,
    content: settle::Content,
    format: Box<dyn format::Format>,
    paths: settle::Paths,
    stage: stage::Stage,
}

impl Open {
    fn new(folder: &Path, target: &Target) -> Result<Self, SendError> {
        let options: Options = table::options(target, OPTIONS)?;
        let stem = &target.object;
        if stem.is_empty() || stem.starts_with('.') || stem.contains(['/', '\\', '\0']) {
            return Err(SendError::Fatal {
                message: format!("`{stem}` cannot be the stem of a file"),
                help: Some("name the sync's `object` without folder, extension or leading point".into()),
            });
        }
        std::fs::create_dir_all(folder).map_err(|e| stage::failed(&e, folder))?;
        let columns = Columns::of(target);
        let paths = settle::Paths::new(folder, stem, options.format.extension());
        let existing = match options.content {
            settle::Content::All => Some(paths.all()).filter(|path| path.exists()),
            settle::Content::Diff => None,
        };
        let format = options.format.open(&columns, existing.as_deref())?;
        let stage = stage::Stage::open(paths.stage(), &target.run_id)?;
        Ok(Self { mode: target.mode, columns, content: options.content, format, paths, stage })
    }

    fn stage(&self, batch: &Batch) -> Result<Sent, SendError> {
        let cells = self.format.cells(batch, &self.columns);
        let staged = batch.operations.iter().zip(cells).map(|(operation, cells)| {
            let cells = match table::unmatchable(operation, &self.columns) {
                Some(rejected) => Err(rejected),
                None => cells,
            };
            cell::Staged { action: operation.action, added: operation.added, in_doubt: operation.in_doubt, cells }
        });
        Ok(Sent::Deferred { handle: self.stage.append(staged)? })
    }
}

struct FilesWriter {
    file: Arc<Open>,
}

#[async_trait]
impl Writer for FilesWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let (file, batch) = (Arc::clone(&self.file), batch.clone());
        table::blocking(move || file.stage(&batch)).await
    }

    /// Batches staged by an earlier run that ended early can be settled as well. A handle whose batch is not (or not
    /// whole) on disk is left out of the answer: it was never applied and is to be sent again.
    async fn settle(&self, deferred: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        let (file, deferred) = (Arc::clone(&self.file), deferred.to_vec());
        table::blocking(move || settle::settle(&file, &deferred)).await
    }
}
