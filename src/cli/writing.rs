//! Files that options name: that they can be written is known before anything else is done. And `--write FORMAT=FILE`:
//! further forms of what is printed, from one and the same plan.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;

use super::Format;
use crate::diagnostic::{Error, Result};

/// A form, and the file it goes to.
#[derive(Clone)]
pub(super) struct Written {
    pub format: Format,
    file: PathBuf,
}

impl FromStr for Written {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || {
            let names: Vec<_> = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
            names.iter().map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let Some((format, file)) = text.split_once('=').filter(|(_, file)| !file.is_empty()) else {
            return Err(format!("a format and a file are expected: `html=plan.html`; the formats: {}", words()));
        };
        let known = Format::from_str(format, true);
        let format = known.map_err(|_| format!("there is no format `{format}`; the formats: {}", words()))?;
        Ok(Self { format, file: file.into() })
    }
}

impl Written {
    /// Opens the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(&self) -> Result<Output> {
        Output::open(&self.file, "file")
    }
}

/// A file that will be written when the work is done. One that was made for it and is not written after all is removed.
pub(super) struct Output {
    path: PathBuf,
    what: &'static str,
    /// Open since the beginning; `None` for what is no plain file (a pipe, a terminal), which is opened when it is written.
    file: Option<RefCell<File>>,
    /// It was not there before.
    fresh: bool,
    written: RefCell<bool>,
}

impl Output {
    /// Opens a file to write to later; what is in it stays until then. `what` is what it is called in messages.
    ///
    /// # Errors
    /// It cannot be written: its folder is not there, or may not be written to.
    pub fn open(path: &Path, what: &'static str) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Display| failed(what, path, e);
        let there = fs::metadata(path).ok();
        if there.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(failed(&"it is a folder"));
        }
        let plain = there.as_ref().is_none_or(fs::Metadata::is_file);
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(path).map(RefCell::new);
        let file = plain.then(open).transpose().map_err(|e| failed(&e))?;
        let (path, fresh) = (path.to_owned(), there.is_none());
        Ok(Self { path, what, file, fresh, written: RefCell::new(false) })
    }

    /// Writes the text in the place of what was in the file, without escapes of a terminal.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        let plain = anstream::adapter::strip_str(text).to_string();
        self.written.replace(true);
        let written = match &self.file {
            None => fs::write(&self.path, plain),
            Some(file) => {
                let mut file = file.borrow_mut();
                file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(plain.as_bytes()))
            }
        };
        written.map_err(|e| failed(self.what, &self.path, &e))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.fresh && !*self.written.borrow() {
            // An empty file that stays does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a file can be made in the place of this one: it is written beside and renamed.
///
/// # Errors
/// Its folder is not there, or may not be written to.
pub(super) fn can_be_made(path: &Path, what: &'static str) -> Result<()> {
    if path.is_dir() {
        return Err(failed(what, path, &"it is a folder"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::NamedTempFile::new_in(folder).map(drop).map_err(|e| failed(what, path, &e.kind()))
}

fn failed(what: &str, path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::failed_help(
        format!("cannot write the {what} `{}`: {why}", path.display()),
        "name a file in a folder that is there and may be written to",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_to_be_writable_before_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for wrong in ["nowhere/a.json", "."] {
            assert!(Output::open(&path(wrong), "report").is_err(), "{wrong}");
            assert!(can_be_made(&path(wrong), "plan file").is_err(), "{wrong}");
        }
        drop(Output::open(&path("a.json"), "report").unwrap());
        assert!(!path("a.json").exists(), "nothing is left of what was not written");
        fs::write(path("b.json"), "what was there before").unwrap();
        drop(Output::open(&path("b.json"), "report").unwrap());
        assert_eq!(fs::read_to_string(path("b.json")).unwrap(), "what was there before");
        for name in ["a.json", "b.json"] {
            Output::open(&path(name), "report").unwrap().write("short").unwrap();
            assert_eq!(fs::read_to_string(path(name)).unwrap(), "short");
            assert!(can_be_made(&path(name), "plan file").is_ok());
        }
    }
}
