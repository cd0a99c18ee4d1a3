//! What `state pull|push` do: the whole state as one file, to keep a copy or to carry it elsewhere.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::checksums;
use super::document::Document;
use super::lease::{Lease, LockRequest};
use super::{Locked, State, key, local};
use crate::diagnostic::{Error, Result};
use crate::diff::HashKey;

const DOCUMENT: &str = "state.json";

impl State {
    /// Writes document, snapshots, held rows and the keys of the month into one zip archive; run history stays where it is.
    pub fn pull(&self, to: &Path) -> Result<()> {
        let document = self.document()?;
        let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot write `{}`: {e}", to.display()));
        let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = tempfile::NamedTempFile::new_in(folder).map_err(|e| failed(&e))?;
        let mut archive = ZipWriter::new(temporary);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(true)
            .unix_permissions(0o600);
        archive.start_file(DOCUMENT, options).map_err(|e| failed(&e))?;
        archive.write_all(&document.to_bytes()?).map_err(|e| failed(&e))?;
        for name in document.syncs.values().flat_map(|entry| entry.files()).chain(document.usage.files()) {
            let path = self
                .files
                .find(&document, name)?
                .ok_or_else(|| failed(&format!("the state's file `{name}` is missing")))?;
            let mut file = File::open(&path).map_err(|e| local::failed("read", &path, &e))?;
            archive.start_file(name.as_str(), options).map_err(|e| failed(&e))?;
            std::io::copy(&mut file, &mut archive).map_err(|e| failed(&e))?;
        }
        let temporary = archive.finish().map_err(|e| failed(&e))?;
        temporary.as_file().sync_all().map_err(|e| failed(&e))?;
        temporary.persist(to).map_err(|e| failed(&e.error))?;
        Ok(())
    }
}

/// A state that was pulled, in its file.
pub struct Pulled {
    path: PathBuf,
    document: Document,
}

impl Pulled {
    /// Looks into the file, whole: one that was cut off or has turned bits is none.
    ///
    /// # Errors
    /// It cannot be read, is no state that was pulled, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let mut archive = archive(path)?;
        let mut bytes = Vec::new();
        let document = archive.by_name(DOCUMENT).map_err(|_| other(path))?;
        std::io::BufReader::new(document).read_to_end(&mut bytes).map_err(|e| failed(path, &e))?;
        let copy = Self { path: path.to_owned(), document: Document::parse(&bytes, &path.display().to_string())? };
        for name in copy.files() {
            // Names come from the archive: nothing may be written elsewhere than where the state keeps such files.
            let mut parts = name.split('/');
            let plain = matches!(parts.next(), Some("snapshots" | "held" | "usage"))
                && parts.next().is_some_and(|n| !n.is_empty() && !n.starts_with('.') && !n.contains(['\\', ':']))
                && parts.next().is_none();
            if !plain {
                return Err(failed(path, &format!("`{name}` is no name of a state file")));
            }
            let mut entry = archive.by_name(name).map_err(|e| failed(path, &e))?;
            std::io::copy(&mut entry, &mut std::io::sink()).map_err(|e| failed(path, &e))?;
        }
        Ok(copy)
    }

    /// The key, where it is the one the state was made with. `place` is where it is, or would be.
    ///
    /// # Errors
    /// There is none, or it is another one.
    pub(super) fn check_key(&self, key: Option<HashKey>, place: &str) -> Result<HashKey> {
        let help =
            format!("put the `state.key` it was made with into `{place}`, or set `{}` to what is in it", key::VARIABLE);
        let path = self.path.display();
        match key {
            Some(key) if key::check(&key, &self.document.lineage) == self.document.key_check => Ok(key),
            Some(_) if place == key::VARIABLE => Err(Error::failed_help(
                format!("the state in `{path}` was made with another hash key than that in `{place}`"),
                format!("set `{place}` to the key it was made with"),
            )),
            Some(_) => Err(Error::failed_help(
                format!("the state in `{path}` was made with another hash key than that in `{place}`"),
                help,
            )),
            None => Err(Error::failed_help(
                format!(
                    "the state in `{path}` is of no use without the hash key it was made with, and there is none here"
                ),
                help,
            )),
        }
    }

    fn files(&self) -> impl Iterator<Item = &String> {
        self.document.syncs.values().flat_map(|entry| entry.files()).chain(self.document.usage.files())
    }

    /// Unpacks all files but the document: their names in the state, and where they are now.
    fn unpack(&self, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
        let mut archive = archive(&self.path)?;
        let mut files = Vec::new();
        for (index, name) in self.files().enumerate() {
            let path = folder.join(index.to_string());
            let mut entry = archive.by_name(name).map_err(|e| failed(&self.path, &e))?;
            let mut file = File::create(&path).map_err(|e| local::failed("write", &path, &e))?;
            std::io::copy(&mut entry, &mut file).map_err(|e| failed(&self.path, &e))?;
            checksums::check(&self.document.checksums, name, &path)?;
            files.push((name.clone(), path));
        }
        Ok(files)
    }

    /// The document as it is in the place of one with this serial number.
    fn document(&self, serial: u64) -> Document {
        let serial = serial.max(self.document.serial);
        let mut document = Document { serial, open_runs: Vec::new(), ..self.document.clone() };
        document.syncs.values_mut().for_each(|entry| entry.retired.clear());
        document.usage.retired.clear();
        document
    }
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::failed(format!("cannot read `{}`: {why}", path.display()))
}

fn other(path: &Path) -> Error {
    failed(path, &"it is not a state that was pulled, or it was cut off")
}

fn archive(path: &Path) -> Result<ZipArchive<File>> {
    let file = File::open(path).map_err(|e| failed(path, &e))?;
    ZipArchive::new(file).map_err(|_| other(path))
}

impl State {
    /// Puts a copy in the place of this state; see [`Locked::push`]. Where there is none yet, the document comes last, so
    /// that what is cut off is no state.
    ///
    /// # Errors
    /// As for [`Locked::push`], and it is locked.
    pub fn replace(&self, copy: &Pulled, force: bool) -> Result<()> {
        let request = LockRequest::new("state push");
        if self.backend.load()?.is_some() {
            return self.lock(&request)?.push(copy, force);
        }
        let scratch = self.backend.scratch()?;
        let lease = Lease::take(self.backend.clone(), &request, copy.document.token)?;
        let out = tempfile::tempdir_in(&scratch).map_err(|e| local::failed("write to", &scratch, &e))?;
        for (name, file) in copy.unpack(out.path())? {
            self.backend.put(&name, &file)?;
        }
        let document = Document { token: lease.token(), ..copy.document(0) };
        self.backend.create(&document.to_bytes()?)?;
        match self.document()?.lineage == document.lineage {
            true => Ok(()),
            false => Err(Error::Stale {
                message: format!("the state in `{}` was made by somebody else meanwhile", self.backend.place()),
                help: Some("run the command again".into()),
            }),
        }
    }
}

impl Locked {
    /// Replaces the state by one that was pulled. Refused when it is older than the state here, or another state
    /// altogether while this one holds anything; `force` overrules that. The hash key must be the one it was made with.
    ///
    /// # Errors
    /// It is refused, or something cannot be read or written.
    pub fn push(&self, copy: &Pulled, force: bool) -> Result<()> {
        self.recover()?;
        copy.check_key(Some(self.state.key.clone()), "state.key")?;
        let (pushed, here) = (&copy.document, self.document());
        let other = pushed.lineage != here.lineage && !here.syncs.is_empty();
        if !force && (other || (pushed.lineage == here.lineage && pushed.serial < here.serial)) {
            let what = if other { "another state than" } else { "older than" };
            return Err(Error::failed_help(
                format!("`{}` is {what} the state in `{}`", copy.path.display(), self.backend().place()),
                "pull and keep a copy of the state here, then push again with `--force`",
            ));
        }
        let out = self.scratch()?;
        let files = copy.unpack(out.path())?;
        self.commit(|document| {
            for (name, file) in &files {
                self.backend().put(name, file)?;
            }
            *document = copy.document(document.serial);
            Ok(())
        })
    }
}
