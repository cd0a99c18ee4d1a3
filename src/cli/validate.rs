//! `syncline validate`: every fault of the project at once, offline.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Global, terminal};
use crate::diagnostic::{self, Result};
use crate::{project, report};

#[derive(Args)]
pub(super) struct Options {
    /// How the faults are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
    /// For code scanning.
    Sarif,
    /// Annotations of a GitHub workflow, at file and line.
    Github,
    /// GitLab's code quality report.
    #[value(alias = "code-quality")]
    Codequality,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let root = project::find_root(&global.project)?;
    let loaded = project::load(&root, global.environment());
    let mut diagnostics = loaded.diagnostics;
    let shared = loaded.project.iter().flat_map(project::Project::shared_fields);
    diagnostics.extend(shared.map(|shared| shared.warning));
    diagnostic::sort(&mut diagnostics);
    match options.format {
        Format::Text | Format::Github if diagnostics.is_empty() => {
            let syncs = loaded.project.map_or(0, |p| p.syncs.len());
            terminal::out(&format!("The project is valid: {syncs} {}.\n", if syncs == 1 { "sync" } else { "syncs" }))?;
        }
        Format::Text => terminal::out(&report::diagnostics::text(&diagnostics, terminal::stdout_color()))?,
        Format::Json => terminal::out(&report::json::pretty(&report::diagnostics::validation(&diagnostics))?)?,
        Format::Github => {
            terminal::out(&report::annotations::github(&diagnostics, &below_repository(&root)))?;
            terminal::out(&format!("{}\n", report::diagnostics::summary(&diagnostics)))?;
        }
        Format::Codequality => {
            let findings = report::codequality::findings(&diagnostics, &below_repository(&root));
            terminal::out(&format!("{findings:#}\n"))?;
        }
        Format::Sarif => terminal::out(&format!("{:#}\n", report::sarif::sarif(&diagnostics)))?,
    }
    Ok(if diagnostic::has_errors(&diagnostics) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The way from the root of the repository to the project: forges name files from there. Empty where the project is the
/// repository, or in none.
fn below_repository(root: &Path) -> PathBuf {
    let Ok(root) = root.canonicalize() else { return PathBuf::new() };
    // A worktree and a submodule have a file of this name.
    let repository = root.ancestors().find(|folder| folder.join(".git").exists());
    repository.and_then(|repository| root.strip_prefix(repository).ok()).unwrap_or(Path::new("")).to_owned()
}
