//! The destinations of a command: each is opened once, at its sandbox where the environment says so.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use super::terminal;
use crate::connectors::Setup;
use crate::destinations::{self, Destination, DestinationKind};
use crate::diagnostic::Result;
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
        let sandbox = rehearsed.then(|| start(project)).transpose()?;
        let wire_log = wire_log.map(WireLog::create).transpose()?.map(Arc::new);
        let setup = Setup { wire_log, ..Setup::default() };
        Ok(Self { project, setup, sandbox, opened: HashMap::new() })
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
                            DestinationKind::Connector(spoken) if spoken.manifest().name == "marketo" => sandbox.marketo_url(),
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

fn start(project: &Project) -> Result<Sandbox> {
    let seed = Some(project.root.join(SEED)).filter(|path| path.exists());
    let state = project.root.join(project.environment.state.path.as_deref().unwrap_or(".syncline"));
    Sandbox::launch(sandbox::Options {
        data: Some(state.join(DATA)),
        seed: seed.as_deref().map(Seed::read).transpose()?,
        ..sandbox::Options::default()
    })
}
