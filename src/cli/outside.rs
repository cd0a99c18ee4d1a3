//! The destinations of a command: each is opened once, at its sandbox where the environment says so.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::OpenFlags;

use super::terminal;
use crate::connectors::Setup;
use crate::destinations::{self, Destination, DestinationKind, SendError};
use crate::diagnostic::{Error, Result};
use crate::http::WireLog;
use crate::project::Project;
use crate::sandbox::{self, Sandbox, Seed};
use crate::secret::Redactor;

/// What a sandbox holds at first, beside the project file.
const SEED: &str = "sandbox.json";
/// What a sandbox keeps, beside the state.
const DATA: &str = "sandbox.db";

/// A destination, and what takes its secrets out of messages.
#[derive(Clone)]
pub(super) struct Opened {
    pub destination: Arc<dyn Destination>,
    pub redactor: Redactor,
}

/// Where records go. Syncs to one destination share its account, with tokens, rate limits and connections.
pub(super) struct Outside<'p> {
    project: &'p Project,
    setup: Setup,
    sandbox: Option<Sandbox>,
    /// Holds the sandbox's data where it is a copy.
    _copy: Option<tempfile::TempDir>,
    opened: HashMap<String, Opened>,
}

impl<'p> Outside<'p> {
    /// Of these destinations; a sandbox runs when one of them asks for it. Blocks: not for use within a runtime.
    ///
    /// # Errors
    /// The sandbox cannot start, or the wire log not be written.
    pub fn new<'n>(
        project: &'p Project,
        mut names: impl Iterator<Item = &'n str>,
        wire_log: Option<&Path>,
    ) -> Result<Self> {
        let rehearsed = names.any(|name| project.destinations.get(name).is_some_and(|one| one.sandbox));
        let sandbox = rehearsed.then(|| start(project, data(project))).transpose()?;
        let wire_log = wire_log.map(WireLog::create).transpose()?.map(Arc::new);
        let setup = Setup { wire_log, ..Setup::default() };
        Ok(Self { project, setup, sandbox, _copy: None, opened: HashMap::new() })
    }

    /// The same to look only: a sandbox works on a copy of its data, so that a run that is on is not disturbed.
    ///
    /// # Errors
    /// The sandbox cannot start, or its data not be copied.
    pub fn to_look<'n>(project: &'p Project, mut names: impl Iterator<Item = &'n str>) -> Result<Self> {
        let rehearsed = names.any(|name| project.destinations.get(name).is_some_and(|one| one.sandbox));
        let (sandbox, copy) = if rehearsed {
            let failed =
                |e: &dyn std::fmt::Display| Error::failed(format!("the sandbox's data cannot be looked at: {e}"));
            let folder = tempfile::tempdir().map_err(|e| failed(&e))?;
            let (from, to) = (data(project), folder.path().join(DATA));
            if from.exists() {
                let connection = rusqlite::Connection::open_with_flags(&from, OpenFlags::SQLITE_OPEN_READ_ONLY);
                let copied = connection.and_then(|c| c.execute("vacuum into ?1", [to.to_string_lossy()]));
                copied.map_err(|e| failed(&e))?;
            }
            (Some(start(project, to)?), Some(folder))
        } else {
            (None, None)
        };
        Ok(Self { project, setup: Setup::default(), sandbox, _copy: copy, opened: HashMap::new() })
    }

    /// The destination of this name, opened when it is first asked for. Offline.
    ///
    /// # Errors
    /// A secret is not there, or the connection does not fit.
    pub fn destination(&mut self, name: &str) -> Result<Opened> {
        Ok(match self.opened.entry(name.to_owned()) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let rehearsed = self.project.destinations.get(name).filter(|destination| destination.sandbox);
                let (kind, connection) = match (rehearsed, &self.sandbox) {
                    (Some(destination), Some(sandbox)) => {
                        let url = match &destination.kind {
                            DestinationKind::Connector(spoken) if spoken.manifest().name == "marketo" => {
                                sandbox.marketo_url()
                            }
                            _ => sandbox.iterable_url(),
                        };
                        self.project.destination_connection_at(name, &url)?
                    }
                    _ => self.project.destination_connection(name)?,
                };
                let destination = Arc::from(destinations::open(&kind, &connection, &self.setup)?);
                new.insert(Opened { destination, redactor: connection.redactor() }).clone()
            }
        })
    }

    /// Says what the wire log has not got.
    pub fn close(self) {
        if let Some(failure) = self.setup.wire_log.as_ref().and_then(|log| log.failure()) {
            terminal::note(&format!("warning: {failure}"));
        }
    }
}

/// The file in which a project's sandbox keeps what it holds.
fn data(project: &Project) -> PathBuf {
    project.root.join(project.environment.state.folder()).join(DATA)
}

fn start(project: &Project, data: PathBuf) -> Result<Sandbox> {
    let seed = Some(project.root.join(SEED)).filter(|path| path.exists());
    Sandbox::launch(sandbox::Options {
        data: Some(data),
        seed: seed.as_deref().map(Seed::read).transpose()?,
        ..sandbox::Options::default()
    })
}

/// What went wrong with a destination, and what to do.
pub(super) fn words(error: &SendError) -> (String, Option<String>) {
    let help = match error {
        SendError::Fatal { help, .. } => help.clone(),
        SendError::Unreachable { .. } => Some("check the address in the `connection`, and the network".into()),
        _ => None,
    };
    (error.to_string(), help)
}

/// What asks destinations from a command that is not asynchronous.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(|e| Error::failed(format!("cannot ask the destinations: {e}")))
}
