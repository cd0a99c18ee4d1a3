//! Which tables a folder holds.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Error, Result, closest};

/// Folders are looked into this deep: enough for `schema/table/part`, and an end for circular links.
const DEPTH: usize = 4;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    JsonLines,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// What makes up one table: a file, or the files of a folder in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) name: String,
    pub(super) format: Format,
    pub(super) files: Vec<PathBuf>,
}

/// Everything below a folder that could be a table: `NAME.csv` is `NAME`, `sub/NAME.csv` is `sub.NAME`, and a folder
/// `NAME/` that holds data files is `NAME` too.
pub(super) struct Catalog {
    root: PathBuf,
    entries: BTreeMap<String, Vec<Entry>>,
}

struct Entry {
    path: PathBuf,
    files: Vec<(PathBuf, Format)>,
}

impl Catalog {
    /// Looks at the folder.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut catalog = Self { root: root.to_owned(), entries: BTreeMap::new() };
        catalog.walk(root, "", DEPTH)?;
        Ok(catalog)
    }

    fn walk(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<Vec<(PathBuf, Format)>> {
        let failed = |e: std::io::Error| {
            Error::failed_help(
                format!("cannot read the folder `{}`: {e}", folder.display()),
                "`connection.path` of the source names the folder that holds the files",
            )
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.sort();
        let mut own = Vec::new();
        for path in paths {
            let Some(stem) = path.file_stem().and_then(|s| s.to_str()).map(str::to_owned) else { continue };
            if stem.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                let name = path.file_name().and_then(|s| s.to_str()).unwrap_or(&stem).to_owned();
                let name = format!("{prefix}{name}");
                if depth > 1 {
                    let files = self.walk(&path, &format!("{name}."), depth - 1)?;
                    if !files.is_empty() {
                        self.entries.entry(name).or_default().push(Entry { path, files });
                    }
                }
            } else if let Some(format) = Format::of(&path) {
                own.push((path.clone(), format));
                let entry = Entry { path: path.clone(), files: vec![(path, format)] };
                self.entries.entry(format!("{prefix}{stem}")).or_default().push(entry);
            }
        }
        Ok(own)
    }

    /// The table of this name; with `any_case`, as SQL compares names.
    pub(super) fn find(&self, name: &str, any_case: bool) -> Result<Listing> {
        let found = self
            .entries
            .get_key_value(name)
            .or_else(|| self.entries.iter().find(|(known, _)| any_case && known.eq_ignore_ascii_case(name)));
        let found = match found {
            None => self.below(name)?,
            found => found,
        };
        let Some((name, entries)) = found else { return Err(self.unknown(name)) };
        let [entry] = entries.as_slice() else {
            let paths: Vec<_> = entries.iter().map(|e| format!("`{}`", self.shown(&e.path))).collect();
            return Err(Error::failed_help(
                format!("table `{name}` is ambiguous: {} all give it", paths.join(", ")),
                "rename or move all but one of them",
            ));
        };
        let mut formats = entry.files.iter().map(|(_, format)| *format);
        let Some(format) = formats.next() else { return Err(self.unknown(name)) };
        if formats.any(|other| other != format) {
            return Err(Error::failed_help(
                format!("folder `{}` mixes formats, so it is not a table", self.shown(&entry.path)),
                "keep one format in a folder, or name one file",
            ));
        }
        let files = entry.files.iter().map(|(path, _)| path.clone()).collect();
        Ok(Listing { name: name.clone(), format, files })
    }

    /// The one table of this name in the folders below, where the folder itself has none.
    fn below(&self, name: &str) -> Result<Option<(&String, &Vec<Entry>)>> {
        let called = |entry: &Entry| {
            let own = if entry.path.is_dir() { entry.path.file_name() } else { entry.path.file_stem() };
            own.is_some_and(|own| own == name)
        };
        let mut found = self.entries.iter().filter(|(_, entries)| entries.iter().any(called));
        match (found.next(), found.next()) {
            (Some((first, _)), Some((second, _))) => Err(Error::failed_help(
                format!("table `{name}` is ambiguous: it is in several folders"),
                format!("name one of them, such as `{first}` or `{second}`"),
            )),
            (first, _) => Ok(first),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let names: Vec<&str> = self.entries.keys().map(String::as_str).collect();
        let help = match (closest(name, names.iter().copied()), names.as_slice()) {
            (Some(close), _) => format!("did you mean `{close}`?"),
            (None, []) => "the folder holds no `.csv`, `.jsonl`, `.ndjson` or `.parquet` file".to_owned(),
            (None, [few @ .., last]) if few.len() < 12 => {
                let all: Vec<_> = few.iter().chain([last]).map(|n| format!("`{n}`")).collect();
                format!("its tables: {}", all.join(", "))
            }
            (None, many) => format!("it holds {} other tables", many.len()),
        };
        Error::failed_help(format!("no table `{name}` in `{}`", self.root.display()), help)
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}
