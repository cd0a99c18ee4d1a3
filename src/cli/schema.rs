//! `syncline schema`: the JSON Schemas and the manifest reference, written or checked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Global, terminal};
use crate::diagnostic::{Error, Result};
use crate::manifest::schema::PAGE_HEAD;
use crate::{manifest, report};

#[derive(Args)]
pub(super) struct Options {
    /// Write nothing; fail when a file is missing or out of date
    #[arg(long)]
    check: bool,
    /// The folder that holds `schemas/`; the project's own when absent
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let folder = match &options.folder {
        Some(folder) => folder.clone(),
        // Schemas can be had without a project, too.
        None => crate::project::find_root(&global.project).unwrap_or_else(|_| global.project.clone()),
    };
    let mut files = manifest::schema::files();
    files.extend(report::json::schema_files().into_iter().map(|(path, text)| (PathBuf::from(path), text)));
    // The page is kept up where it is kept: in syncline's own repository. What a project has in `docs/` is the project's.
    files.retain(|(path, _)| path.starts_with("schemas") || is_page(&folder.join(path)));
    if options.check {
        let stale: Vec<_> = files.iter().filter(|(path, text)| !is_current(&folder.join(path), text)).collect();
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
        let path = folder.join(path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|e| Error::failed(format!("cannot write `{}`: {e}", path.display())))?;
        terminal::out(&format!("{}\n", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a file is the page that this command writes.
fn is_page(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(PAGE_HEAD))
}

fn is_current(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|current| current == text)
}
