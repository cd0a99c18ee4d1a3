//! `syncline import`: the files of another tool become manifests.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::{Global, terminal};
use crate::diagnostic::{Error, Result};
use crate::import::{File, FileState, Status};
use crate::{import, project, report};

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Hightouch: the folder that Git Sync writes
    Hightouch(Hightouch),
}

#[derive(Args)]
struct Hightouch {
    /// The folder with `models/`, `syncs/` and `manifest.yaml`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The project to write to; made if it is missing. Without it, the project here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How the report is written to stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program; see `schemas/import.schema.json`.
    Json,
}

/// Name of the page that says what carried over.
const PAGE: &str = "IMPORT.md";

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let Tool::Hightouch(options) = &options.tool;
    let root = match &options.out {
        Some(out) => out.clone(),
        None => project::find_root(&global.project).unwrap_or_else(|_| global.project.clone()),
    };
    let mut import = import::hightouch::import(&options.folder, &root)?;
    let page = report::import_markdown(&import);
    import.files.push(File { path: PAGE.into(), state: FileState::Written, text: page });
    // Somebody's own rules about what git ignores are no clash.
    import.files.retain(|file| file.path != ".gitignore" || !root.join(&file.path).exists());
    for file in &mut import.files {
        file.state = write(&root, file)?;
    }
    match options.format {
        Format::Text => {
            let page = root.join(PAGE);
            terminal::out(&report::import_text(&import, &page.display().to_string(), &terminal::style(false)))?;
        }
        Format::Json => terminal::out(&report::json::pretty(&import)?)?,
    }
    let unread = import.items.iter().any(|item| item.status == Status::Left && item.kind != "file");
    let kept = import.files.iter().any(|file| file.state == FileState::Kept);
    Ok(if unread || kept { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Writes a file unless there is one: that one is never touched.
fn write(root: &Path, file: &File) -> Result<FileState> {
    let path = root.join(&file.path);
    let failed = |error: std::io::Error| Error::failed(format!("cannot write `{}`: {error}", path.display()));
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    match fs::File::options().write(true).create_new(true).open(&path) {
        Ok(mut opened) => opened.write_all(file.text.as_bytes()).map(|()| FileState::Written).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let same = fs::read(&path).is_ok_and(|bytes| bytes == file.text.as_bytes());
            Ok(if same { FileState::Same } else { FileState::Kept })
        }
        Err(error) => Err(failed(error)),
    }
}
