//! `syncline schema`: the JSON Schemas and the manifest reference, written or checked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::terminal;
use crate::diagnostic::{Error, Result};
use crate::{manifest, report};

#[derive(Args)]
pub(super) struct Options {
    /// Write nothing; fail when a file is missing or out of date
    #[arg(long)]
    check: bool,
    /// The folder that holds `schemas/` and `docs/`
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let mut files = manifest::schema::files();
    files.extend(report::json::schema_files().into_iter().map(|(path, text)| (PathBuf::from(path), text)));
    if options.check {
        let stale: Vec<_> = files.iter().filter(|(path, text)| !is_current(&options.folder.join(path), text)).collect();
        if stale.is_empty() {
            terminal::out(&format!("{} generated files are up to date.\n", files.len()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let names: Vec<_> = stale.iter().map(|(path, _)| format!("`{}`", path.display())).collect();
        return Err(Error::failed_help(
            format!("out of date: {}", names.join(", ")),
            "run `syncline schema` and commit the result",
        ));
    }
    for (path, text) in &files {
        let path = options.folder.join(path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|e| Error::failed(format!("cannot write `{}`: {e}", path.display())))?;
        terminal::out(&format!("{}\n", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_current(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|current| current == text)
}
