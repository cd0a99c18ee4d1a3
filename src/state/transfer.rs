//! What `state pull|push` do: the whole state as one file, to keep a copy or to carry it elsewhere.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::checksums;
use super::document::Document;
use super::{Locked, State, key, local};
use crate::diagnostic::{Error, Result};

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

impl Locked {
    /// Replaces the state by one that was pulled. Refused when it is older than the state here, or another state
    /// altogether while this one holds anything; `force` overrules that. The hash key must be the one it was made with.
    pub fn push(&self, from: &Path, force: bool) -> Result<()> {
        self.recover()?;
        let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot read `{}`: {e}", from.display()));
        let file = File::open(from).map_err(|e| failed(&e))?;
        let other = || failed(&"it is not a state that was pulled, or it was cut off");
        let mut archive = ZipArchive::new(file).map_err(|_| other())?;
        let mut bytes = Vec::new();
        archive.by_name(DOCUMENT).map_err(|_| other())?.read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        let pushed = Document::parse(&bytes, &from.display().to_string())?;
        let here = self.document();
        if key::check(&self.state.key, &pushed.lineage) != pushed.key_check {
            return Err(Error::failed_help(
                format!("the state in `{}` was made with another hash key", from.display()),
                "set `SYNCLINE_STATE_KEY` to the key it was made with",
            ));
        }
        let other = pushed.lineage != here.lineage && !here.syncs.is_empty();
        if !force && (other || (pushed.lineage == here.lineage && pushed.serial < here.serial)) {
            let what = if other { "another state than" } else { "older than" };
            return Err(Error::failed_help(
                format!("`{}` is {what} the state in `{}`", from.display(), self.backend().place()),
                "pull and keep a copy of the state here, then force the push",
            ));
        }
        let out = self.scratch()?;
        let mut files = Vec::new();
        let names = pushed.syncs.values().flat_map(|entry| entry.files()).chain(pushed.usage.files());
        for (index, name) in names.enumerate() {
            // Names come from the archive: nothing may be written elsewhere than where the state keeps such files.
            let mut parts = name.split('/');
            let plain = matches!(parts.next(), Some("snapshots" | "held" | "usage"))
                && parts.next().is_some_and(|n| !n.is_empty() && !n.starts_with('.') && !n.contains(['\\', ':']))
                && parts.next().is_none();
            if !plain {
                return Err(failed(&format!("`{name}` is no name of a state file")));
            }
            let path = out.path().join(index.to_string());
            let mut entry = archive.by_name(name).map_err(|e| failed(&e))?;
            let mut file = File::create(&path).map_err(|e| local::failed("write", &path, &e))?;
            std::io::copy(&mut entry, &mut file).map_err(|e| failed(&e))?;
            checksums::check(&pushed.checksums, name, &path)?;
            files.push((name.clone(), path));
        }
        self.commit(|document| {
            for (name, file) in &files {
                self.backend().put(name, file)?;
            }
            let serial = document.serial.max(pushed.serial);
            *document = Document { serial, open_runs: Vec::new(), ..pushed };
            document.syncs.values_mut().for_each(|entry| entry.retired.clear());
            document.usage.retired.clear();
            Ok(())
        })
    }
}
