//! `syncline completions` and `syncline man`: what a shell and `man` know of the commands, made from the commands
//! themselves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, terminal};
use crate::diagnostic::{Error, Result};

#[derive(Args)]
pub(super) struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub(super) struct ManOptions {
    /// The folder the pages are written to; made if it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the completions of a shell.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "syncline", &mut text);
    terminal::out(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes one page for each command.
pub(super) fn man(options: &ManOptions) -> Result<ExitCode> {
    let folder = &options.folder;
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|e| Error::failed(format!("cannot write the manual pages to `{}`: {e}", folder.display())))?;
    terminal::out(&format!("The manual pages are in `{0}`. Read one: man {0}/syncline.1\n", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
