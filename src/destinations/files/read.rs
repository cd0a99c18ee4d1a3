//! Reading records back: the file is read as it is before a merge, and what would not be changed is the same.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::cell::Cell;
use super::format::{Format, Identity, Kind};
use super::settle::{Content, Paths};
use super::{OPTIONS, Options};
use crate::destinations::table::{self, Columns};
use crate::destinations::{Action, Batch, Held, Operation, Outcome, Readable, Reader, SendError, Target, There};

/// Records looked for in one reading of the file.
const TOGETHER: usize = 100_000;

/// A file, to be read.
struct FileReader(Arc<Open>);

struct Open {
    columns: Columns,
    kind: Kind,
    format: Box<dyn Format>,
    /// `None` where there is no file.
    file: Option<PathBuf>,
}

/// Rows of a file; `None` where it is not there, or holds the records of one run only.
pub(super) fn count(
    folder: &Path,
    object: &str,
    options: &crate::destinations::Options,
) -> Result<Option<u64>, SendError> {
    let options: Options = table::typed(object, options, OPTIONS)?;
    let path = Paths::new(folder, object, options.format.extension()).all();
    if options.content == Content::Diff || !path.exists() {
        return Ok(None);
    }
    let nobody = Columns { matching: Vec::new(), fields: Vec::new() };
    let format = options.format.open(&nobody, Some(&path))?;
    let mut rows = 0;
    format.scan(&path, &mut |_| rows += 1)?;
    Ok(Some(rows))
}

/// What reads a target's file.
pub(super) fn open(folder: &Path, target: &Target) -> Result<Readable, SendError> {
    let options: Options = table::options(target, OPTIONS)?;
    if options.content == Content::Diff {
        return Ok(Readable::No("files of `content: diff` hold the records of the last run only".into()));
    }
    let columns = Columns::of(target);
    let file = Some(Paths::new(folder, &target.object, options.format.extension()).all()).filter(|path| path.exists());
    let format = options.format.open(&columns, file.as_deref())?;
    Ok(Readable::Yes(Box::new(FileReader(Arc::new(Open { columns, kind: options.format, format, file })))))
}

impl Open {
    fn read(&self, operations: Vec<Operation>) -> Result<Vec<Held>, SendError> {
        let Some(file) = &self.file else { return Ok(vec![Held::Absent; operations.len()]) };
        let batch = Batch { id: 0, operations };
        let sent = self.format.cells(&batch, &self.columns);
        let identity = |cells: &Result<Vec<Cell>, Outcome>| cells.as_ref().ok().map(|c| self.format.identity(c));
        let identities: Vec<Option<Identity>> = sent.iter().map(identity).collect();
        let mut there: HashMap<Identity, Option<Vec<Cell>>> =
            identities.iter().flatten().map(|identity| (*identity, None)).collect();
        let mut several: HashSet<Identity> = HashSet::new();
        let wanted: HashSet<Identity> = there.keys().copied().collect();
        self.format.look(file, &|identity| wanted.contains(&identity), &mut |identity, cells| match there
            .get_mut(&identity)
        {
            Some(Some(_)) => {
                several.insert(identity);
            }
            Some(place) => *place = Some(cells),
            None => {}
        })?;
        let held = sent.into_iter().zip(identities).map(|(sent, identity)| match (sent, identity) {
            (Ok(sent), Some(identity)) => match there.get(&identity) {
                _ if several.contains(&identity) => Held::Several,
                Some(Some(cells)) => Held::There(self.differences(&sent, cells)),
                _ => Held::Absent,
            },
            (Err(Outcome::Rejected { code, message }), _) => Held::Unreadable(format!("{code}: {message}")),
            _ => Held::Absent,
        });
        Ok(held.collect())
    }

    fn differences(&self, sent: &[Cell], there: &[Cell]) -> Vec<There> {
        let identifiers = self.columns.matching.len();
        let pairs = sent.iter().zip(there).skip(identifiers).zip(&self.columns.fields);
        let compared = pairs.filter(|((sent, _), column)| **sent != Cell::Absent && !column.if_added);
        let differs = compared.filter(|((sent, there), _)| !self.same(sent, there));
        differs.map(|((_, there), column)| There { field: column.name.clone(), value: self.json(there) }).collect()
    }

    fn same(&self, sent: &Cell, there: &Cell) -> bool {
        match (sent.text(), there.text()) {
            (None, None) => true,
            // Another writer may spell the same value otherwise.
            (Some(_), Some(_)) if self.kind == Kind::Jsonl => self.json(sent) == self.json(there),
            (sent, there) => sent == there,
        }
    }

    fn json(&self, cell: &Cell) -> Json {
        let Some(text) = cell.text() else { return Json::Null };
        let parsed = (self.kind == Kind::Jsonl).then(|| serde_json::from_str(text).ok()).flatten();
        parsed.unwrap_or_else(|| text.into())
    }
}

#[async_trait]
impl Reader for FileReader {
    fn reads_all(&self) -> bool {
        true
    }

    fn together(&self) -> usize {
        TOGETHER
    }

    async fn read(&self, operations: &[Operation]) -> Result<Vec<Held>, SendError> {
        let (open, mut operations) = (Arc::clone(&self.0), operations.to_vec());
        // As what is sent, so that a value the format cannot hold is told.
        operations.iter_mut().for_each(|operation| operation.action = Action::Send);
        table::blocking(move || open.read(operations)).await
    }
}
