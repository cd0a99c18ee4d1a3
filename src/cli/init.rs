//! `syncline init`: a new project with a working example.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Global, terminal};
use crate::diagnostic::{Error, Result};
use crate::report;

#[derive(Args)]
pub(super) struct Options {
    /// The folder; made if it is missing
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// The files of a new project.
const FILES: &[(&str, &str)] = &[
    ("syncline.yaml", include_str!("init/syncline.yaml")),
    ("sources/files.yaml", include_str!("init/source.yaml")),
    ("models/contacts.yaml", include_str!("init/model.yaml")),
    ("destinations/local.yaml", include_str!("init/destination.yaml")),
    ("syncs/contacts_to_local.yaml", include_str!("init/sync.yaml")),
    ("tests/contacts_to_local.yaml", include_str!("init/test.yaml")),
    ("data/contacts.csv", include_str!("init/contacts.csv")),
    (".gitignore", "/.syncline/\n/out/\n*.slplan\n"),
];

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    // `-C DIR` is where to start from, as it is for every command.
    let folder = &match options.folder.as_os_str() == "." {
        true => global.project.clone(),
        false => global.project.join(&options.folder),
    };
    let folder = folder.strip_prefix(".").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(folder);
    // Nothing of the user's is ever overwritten, so all names are looked at before the first file is written.
    if let Some((name, _)) = FILES.iter().find(|(name, _)| folder.join(name).exists() && *name != ".gitignore") {
        return Err(Error::failed_help(
            format!("`{}` exists already; nothing was written", folder.join(name).display()),
            "choose an empty folder: syncline init NAME",
        ));
    }
    let schemas = crate::manifest::schema::files().into_iter().filter(|(path, _)| path.starts_with("schemas"));
    let schemas = schemas.map(|(path, text)| (path.to_string_lossy().into_owned(), text));
    let schemas = schemas.chain(report::json::schema_files());
    let files = FILES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).chain(schemas);
    for (name, text) in files {
        let path = folder.join(&name);
        if path.exists() {
            continue;
        }
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        written.map_err(|e| Error::failed(format!("cannot write `{}`: {e}", path.display())))?;
    }
    let there = if folder.as_os_str() == "." { String::new() } else { format!("cd {} && ", folder.display()) };
    terminal::out(&format!("A new project is in `{}`. Try it: {there}syncline plan\n", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
