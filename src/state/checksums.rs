//! Checksums of what the state keeps: a bit that a disk, a copy or a transfer has turned over must end in a refusal, not in
//! a plan that is wrong.
//!
//! The document names the CRC-32 of every file that it names, and has its own in its first line. Nothing here protects
//! from people: whoever can write to the state can write checksums, too.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::backend::Backend;
use super::document::Document;
use super::local;
use super::recover::Find;
use crate::diagnostic::{Error, Result};

/// By the name of a file in the state, its CRC-32 as eight hexadecimal digits.
pub type Checksums = BTreeMap<String, String>;

/// The checksum of a file.
///
/// # Errors
/// It cannot be read.
pub(super) fn of_file(path: &Path) -> Result<String> {
    let failed = |e| local::failed("read", path, &e);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(text(hasher.finalize())),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

fn text(crc: u32) -> String {
    format!("{crc:08x}")
}

/// Finds files of the state, each held against its checksum. That is done once: files of the state never change, and a
/// snapshot can be large.
#[derive(Clone)]
pub(super) struct Files {
    backend: Arc<dyn Backend>,
    /// Names and checksums of those that were found to be what was written.
    sound: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Files {
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, sound: Arc::default() }
    }

    /// The file of this name. One without a checksum was written before there were any.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn find(&self, document: &Document, name: &str) -> Result<Option<PathBuf>> {
        let Some(path) = self.backend.get(name)? else { return Ok(None) };
        if let Some(written) = document.checksums.get(name) {
            let file = (name.to_owned(), written.clone());
            let sound = || self.sound.lock().unwrap_or_else(PoisonError::into_inner);
            if !sound().contains(&file) {
                check(&document.checksums, name, &path)?;
                sound().insert(file);
            }
        }
        Ok(Some(path))
    }
}

/// Holds a file against its checksum.
///
/// # Errors
/// It cannot be read, or is not what was written.
pub(super) fn check(checksums: &Checksums, name: &str, path: &Path) -> Result<()> {
    let Some(written) = checksums.get(name) else { return Ok(()) };
    let now = of_file(path)?;
    if now == *written {
        return Ok(());
    }
    Err(Error::failed_help(
        format!(
            "the file `{name}` of the state is damaged: its checksum is {now}, and it was written with {written} (`{}`)",
            path.display()
        ),
        "nothing was concluded from it and nothing was sent: put back a copy of the file, or of the whole state with \
         `syncline state push FILE`",
    ))
}

/// Holds the frozen operations that a run has copied against their checksums.
///
/// # Errors
/// One of them cannot be read, is gone, or is not what was written.
pub(super) fn check_below(document: &Document, folder: &str, find: Find<'_>) -> Result<()> {
    let prefix = format!("{folder}/");
    for name in document.checksums.keys().filter(|name| name.starts_with(&prefix)) {
        if find(name)?.is_none() {
            return Err(Error::failed_help(
                format!("the state is incomplete: its file `{name}` is missing"),
                "put back a copy of the state",
            ));
        }
    }
    Ok(())
}

/// What the first line of a sealed JSON document begins with, before the digits and the end of the line.
const BEFORE: &[u8] = b"{\n  \"checksum\": \"";
const AFTER: &[u8] = b"\",\n";
const DIGITS: usize = 8;

/// A JSON object over several lines, with the checksum of all that follows it as its first key.
pub(super) fn sealed(json: &[u8]) -> Vec<u8> {
    let Some(rest) = json.strip_prefix(b"{\n") else { return json.to_vec() };
    [BEFORE, text(crc32fast::hash(rest)).as_bytes(), AFTER, rest].concat()
}

/// Whether a JSON document is what was sealed: both checksums, as written and as it is, where they differ. One that does
/// not begin with a checksum was written by hand, or before there were any.
pub(super) fn broken(bytes: &[u8]) -> Option<(String, String)> {
    let (written, rest) = bytes.strip_prefix(BEFORE)?.split_at_checked(DIGITS)?;
    let rest = rest.strip_prefix(AFTER)?;
    let now = text(crc32fast::hash(rest));
    (now.as_bytes() != written).then(|| (String::from_utf8_lossy(written).into_owned(), now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_sealed_document_is_noticed_or_leaves_its_content_alone() {
        let json = b"{\n  \"serial\": 7,\n  \"syncs\": {}\n}\n";
        let whole = sealed(json);
        assert!(whole.starts_with(b"{\n  \"checksum\": \""));
        assert_eq!(broken(&whole), None);
        assert_eq!(broken(json), None, "one of an earlier version has none");
        for at in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let content = flipped.ends_with(&json[2..]);
            assert!(broken(&flipped).is_some() || content, "bit {at} is lost");
        }
    }

    #[test]
    fn files_are_held_against_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"123456789").unwrap();
        // The check value of CRC-32, as every table of checksums gives it.
        assert_eq!(of_file(&path).unwrap(), "cbf43926");
        let known = Checksums::from([("held/a".to_owned(), "cbf43926".to_owned())]);
        check(&known, "held/a", &path).unwrap();
        check(&known, "held/older", &path).unwrap();
        std::fs::write(&path, b"123456780").unwrap();
        let error = check(&known, "held/a", &path).unwrap_err().to_string();
        assert!(error.contains("`held/a` of the state is damaged: its checksum is"), "{error}");
    }
}
