//! 3 · All manifests of one tree, linked: every fault of a project at once, or a project that can be planned.

mod addresses;
pub mod changes;
mod checks;
mod connect;
mod connectors;
mod dbt;
mod dbt_tests;
mod digest;
mod environment;
mod fields;
mod files;
mod links;
mod misplaced;
mod model_tests;
mod offer;
mod parameters;
mod queries;
mod resolve;
mod select;
mod shared;
mod spoken;
mod state;
mod surface;
mod sync_tests;
pub mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::destinations::DestinationKind;
use crate::diagnostic::{Diagnostic, Error, Place, Result};
use crate::manifest::connector::Parameter;
use crate::manifest::document::{Document, escape};
use crate::manifest::model::Column;
use crate::manifest::project::{Owner, Policy, Usage};
use crate::manifest::source::SourceType;
use crate::manifest::sync::{Guards, OnRemoved, Sync};
use crate::manifest::test::Test;
use crate::mapping::{self, MappingSpec};
use crate::model_test;
use crate::render::{Outside, Scope};
use crate::secret::Connection;
use crate::sources::Query;

pub use connect::SANDBOX_CREDENTIAL;
pub use connectors::{KnownConnector, Origin, known as known_connectors};
pub use dbt::DbtModel;
pub use environment::EnvironmentInfo;
pub use files::PROJECT_FILE;
pub use select::Sets;
pub use shared::Shared;

/// What loading a project gives.
#[derive(Debug)]
pub struct Loaded {
    /// All faults and warnings, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The project; only when there are no errors.
    pub project: Option<Project>,
}

/// A project without errors, for one environment.
#[derive(Debug)]
pub struct Project {
    /// Name in `syncline.yaml`.
    pub name: String,
    /// The folder it is in.
    pub root: PathBuf,
    /// The environment it was loaded for.
    pub environment: EnvironmentInfo,
    /// Who answers for it, where that is said.
    pub owner: Option<Owner>,
    /// Budgets.
    pub usage: Usage,
    /// `file:line:column` of them in `syncline.yaml`.
    pub usage_place: Option<String>,
    /// `syncline.yaml`.
    settings: Option<Arc<Document>>,
    /// What no manifest may do.
    pub policy: Policy,
    /// Syncs by name, sorted.
    pub syncs: IndexMap<String, ResolvedSync>,
    /// Models by name, sorted.
    pub models: IndexMap<String, ResolvedModel>,
    /// Sources by name, sorted; also those that this environment swaps away.
    pub sources: IndexMap<String, ResolvedSource>,
    /// Destinations by name, sorted; also those that this environment swaps away.
    pub destinations: IndexMap<String, ResolvedDestination>,
    /// Tests of syncs by name, sorted.
    pub tests: IndexMap<String, ResolvedTest>,
    /// `sha256:` over all manifests as rendered without secrets, their SQL and the environment. Comments, formatting and
    /// the order of files and keys do not count.
    pub digest: String,
    /// File → `sha256:` over what it says for this environment, SQL beside a model included: the parts of `digest`.
    pub files: BTreeMap<String, String>,
    scope: Scope,
}

impl Project {
    /// Where a guard of a sync is written: in its manifest, for the environment, or for the whole project. Where it is not
    /// written at all, the place is that of the sync.
    pub fn guard_place(&self, sync: &ResolvedSync, guard: &str) -> Option<Place> {
        let written =
            |document: &Arc<Document>, pointer: String| document.key_span(&pointer).map(|_| document.place(&pointer));
        let settings = |pointer: String| self.settings.as_ref().and_then(|document| written(document, pointer));
        let environment = escape(&self.environment.name);
        written(&sync.document, format!("/guards/{guard}"))
            .or_else(|| settings(format!("/environments/{environment}/guards/{guard}")))
            .or_else(|| settings(format!("/guards/{guard}")))
            .or_else(|| sync.place("/guards"))
    }
}

/// A source, not yet connected.
#[derive(Debug)]
pub struct ResolvedSource {
    /// What kind of system it is.
    pub kind: SourceType,
    /// `sha256:` over its manifest, as rendered without secrets.
    pub digest: String,
    /// What its credentials are and where they go.
    surface: String,
    document: Arc<Document>,
}

impl ResolvedSource {
    /// Its manifest, relative to the project.
    pub fn file(&self) -> PathBuf {
        self.document.place("").source.path.clone()
    }
}

/// A destination, not yet connected.
#[derive(Debug)]
pub struct ResolvedDestination {
    /// What kind of system it is.
    pub kind: DestinationKind,
    /// True when this environment sends to a sandbox instead: never to the real system.
    pub sandbox: bool,
    /// `sha256:` over its manifest, as rendered without secrets, and what its connector asks for fields by.
    pub digest: String,
    /// `sha256:` over its manifest and that of the project's own connector, as rendered without secrets.
    pub meaning: String,
    /// What its credentials are and where they go.
    surface: String,
    /// What its connection may hold, where a connector says so.
    settings: Option<IndexMap<String, Parameter>>,
    document: Arc<Document>,
}

impl ResolvedDestination {
    /// Its manifest, relative to the project.
    pub fn file(&self) -> PathBuf {
        self.document.place("").source.path.clone()
    }
}

/// An address where nobody listens: connections that are only asked what they offer lead there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A model with its query.
#[derive(Debug)]
pub struct ResolvedModel {
    /// Its name.
    pub name: String,
    /// The source it is read from, after swaps.
    pub source: String,
    /// What is read.
    pub query: Query,
    /// The models it is made of by `ref`, sorted.
    pub refs: Vec<String>,
    /// What dbt says of it, where it is read by its name there.
    pub dbt: Option<DbtModel>,
    /// The columns that identify a row.
    pub primary_key: Vec<String>,
    /// What is promised about columns; below that, what dbt says of them.
    pub columns: IndexMap<String, Column>,
    /// What must hold of its rows before anything is planned with them.
    pub tests: Vec<model_test::Test>,
    /// `sha256:` over its manifest as rendered, its SQL with that of the models it is made of, and all that a dbt model is
    /// made of.
    pub digest: String,
    /// The file its statement is in, relative to the project, when it is not the manifest.
    pub sql_file: Option<PathBuf>,
    document: Arc<Document>,
}

impl ResolvedModel {
    /// Its manifest, relative to the project.
    pub fn file(&self) -> PathBuf {
        self.document.place("").source.path.clone()
    }

    /// The place of the value at a JSON pointer in its manifest, or of the nearest value above it.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        Some(self.document.place(pointer))
    }

    /// The place of the key at a JSON pointer in its manifest; of the item, in a list.
    pub fn key_place(&self, pointer: &str) -> Option<Place> {
        Some(self.document.key_place(pointer))
    }

    /// The place of the value at a JSON pointer in its manifest, if it is there.
    pub fn place_of(&self, pointer: &str) -> Option<Place> {
        self.document.key_span(pointer).map(|_| self.document.place(pointer))
    }
}

/// A sync with all that it refers to.
#[derive(Debug)]
pub struct ResolvedSync {
    /// Its name.
    pub name: String,
    /// The manifest, rendered; `notify` as written, and so are row templates.
    pub sync: Sync,
    /// Its model.
    pub model: String,
    /// Its destination, after swaps.
    pub destination: String,
    /// What decides what a row becomes.
    pub mapping: MappingSpec,
    /// Its guards over those of the environment over those of the project; `min_rows` is always set.
    pub guards: Guards,
    /// What happens to records of removed rows.
    pub on_removed: OnRemoved,
    /// `sha256:` over this sync, its model, source and destination, as rendered without secrets.
    pub digest: String,
    /// `sha256:` over its manifest alone.
    pub meaning: String,
    document: Arc<Document>,
}

impl ResolvedSync {
    /// A digest of where and how its rows are sent: mode, destination, object, options. What was refused under another one may be
    /// taken now.
    pub fn way(&self) -> u64 {
        let way = serde_json::json!([self.sync.mode.word(), self.destination, self.sync.object, self.sync.options]);
        digest::short(&way)
    }

    /// Its manifest, relative to the project.
    pub fn file(&self) -> PathBuf {
        self.document.place("").source.path.clone()
    }

    /// The place of the value at a JSON pointer in its manifest, or of the nearest value above it.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        Some(self.document.place(pointer))
    }
}

/// A test of a sync.
#[derive(Debug)]
pub struct ResolvedTest {
    /// The manifest, rendered.
    pub test: Test,
    document: Arc<Document>,
}

impl ResolvedTest {
    /// The place of the value at a JSON pointer in its manifest, or of the nearest value above it.
    pub fn place(&self, pointer: &str) -> Place {
        self.document.place(pointer)
    }

    /// The place of the key at a JSON pointer in its manifest.
    pub fn key_place(&self, pointer: &str) -> Place {
        self.document.key_place(pointer)
    }
}

/// Loads the project in a folder for an environment (`None`: the default one). Offline: no environment variable is read
/// and nothing is connected to.
pub fn load(root: &Path, environment: Option<&str>) -> Loaded {
    resolve::load(&tree::Directory::new(root), root, environment)
}

/// Like [`load`], from any tree. `root` is where relative paths of connections lead.
pub fn load_tree(tree: &dyn tree::Tree, root: &Path, environment: Option<&str>) -> Loaded {
    resolve::load(tree, root, environment)
}

/// The project folder that holds `start`: the nearest folder upwards with a `syncline.yaml`.
///
/// # Errors
/// There is none.
pub fn find_root(start: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
    absolute.ancestors().find(|folder| folder.join(files::PROJECT_FILE).is_file()).map(Path::to_owned).ok_or_else(
        || {
            Error::failed_help(
                format!("there is no `{}` in `{}` or above it", files::PROJECT_FILE, start.display()),
                "start a project with `syncline init`, or go to its folder",
            )
        },
    )
}

impl Project {
    /// Type and connection of a source, rendered with the environment of this process.
    ///
    /// # Errors
    /// No such source, a variable that is not set or a file that cannot be read, with `file:line:column`.
    pub fn source_connection(&self, name: &str) -> Result<(SourceType, Connection)> {
        let source = self.sources.get(name).ok_or_else(|| Error::failed(format!("there is no source `{name}`")))?;
        let connection = connect::connect(&source.document, &self.scope, &self.root, Outside::real(&self.root))?;
        Ok((source.kind, connection.only_to(self.policy.allowed_hosts.as_deref())))
    }

    /// An entry of a sync's `notify`, rendered with the environment of this process.
    ///
    /// # Errors
    /// A variable that is not set or a file that cannot be read, with `file:line:column`.
    pub fn receiver(&self, sync: &ResolvedSync, entry: usize) -> Result<Connection> {
        let connection = connect::receiver(&sync.document, entry, &self.scope, &self.root)?;
        Ok(connection.only_to(self.policy.allowed_hosts.as_deref()))
    }

    /// Kind of a destination and a connection that leads nowhere: enough to ask what it offers, where its secrets are
    /// not at hand.
    ///
    /// # Errors
    /// No such destination.
    pub fn destination_offline(&self, name: &str) -> Result<(DestinationKind, Connection)> {
        let destination = self.destination(name)?;
        let keys = match destination.kind {
            DestinationKind::Postgres | DestinationKind::Mysql => ["host", "user"].as_slice(),
            DestinationKind::Sqlite | DestinationKind::Files => &["path"],
            DestinationKind::Command | DestinationKind::Singer => {
                let nowhere = [("command".to_owned(), serde_json::json!(["/offline"]))];
                let connection = Connection::new(nowhere.into_iter().collect(), Vec::new());
                return Ok((destination.kind.clone(), connection));
            }
            DestinationKind::Connector(_) => return self.destination_connection_at(name, NOWHERE),
        };
        let nowhere = keys.iter().map(|key| ((*key).to_owned(), serde_json::Value::from("/offline")));
        Ok((destination.kind.clone(), Connection::new(nowhere.into_iter().collect(), Vec::new())))
    }

    /// Kind and connection of a destination, rendered with the environment of this process. One that is sandboxed leads
    /// nowhere: where its sandbox runs is said to [`Project::destination_connection_at`].
    ///
    /// # Errors
    /// No such destination, a variable that is not set, a value from outside that the destination does not take, or a
    /// file that cannot be read, with `file:line:column`.
    pub fn destination_connection(&self, name: &str) -> Result<(DestinationKind, Connection)> {
        let destination = self.destination(name)?;
        if destination.sandbox {
            return self.destination_connection_at(name, NOWHERE);
        }
        let (document, settings) = (&destination.document, destination.settings.as_ref());
        let outside = Outside::real(&self.root);
        let connection = match destination.kind {
            DestinationKind::Connector(_) => {
                connect::connect_api(document, settings, &self.scope, &self.root, outside)?
            }
            _ => connect::connect(document, &self.scope, &self.root, outside)?,
        };
        Ok((destination.kind.clone(), connection.only_to(self.policy.allowed_hosts.as_deref())))
    }

    /// Kind of a destination that speaks HTTP, and a connection to what stands in for it at `base_url`. Credentials are
    /// [`SANDBOX_CREDENTIAL`] and never the real ones; variables that are not set are made up.
    ///
    /// # Errors
    /// No such destination, or one that does not speak HTTP.
    pub fn destination_connection_at(&self, name: &str, base_url: &str) -> Result<(DestinationKind, Connection)> {
        let destination = self.destination(name)?;
        if !matches!(destination.kind, DestinationKind::Connector(_)) {
            return Err(Error::failed(format!("the destination `{name}` has no address that could be another one")));
        }
        let (document, settings) = (&destination.document, destination.settings.as_ref());
        let connection = connect::connect_stand_in(document, settings, &self.scope, &self.root, base_url);
        Ok((destination.kind.clone(), connection))
    }

    fn destination(&self, name: &str) -> Result<&ResolvedDestination> {
        self.destinations.get(name).ok_or_else(|| Error::failed(format!("there is no destination `{name}`")))
    }

    /// The syncs that selectors name, in the order they run; all when there are no selectors.
    ///
    /// A selector is a name, a glob, `tag:x`, `model:x`, `destination:x`, `changed` or `due`; commas and several selectors
    /// mean *or*, a leading `!` takes away. What `changed` and `due` mean is in `sets`; they may name nothing.
    ///
    /// # Errors
    /// A selector that names nothing.
    pub fn select(&self, selectors: &[String], sets: &Sets) -> Result<Vec<String>> {
        select::select(self, selectors, sets)
    }

    /// All syncs in the order they run: after those named by `schedule.after`, else by name.
    pub fn order(&self) -> Vec<String> {
        select::order(self)
    }

    /// Faults of a mapping, at their exact places in the sync's manifest.
    pub fn mapping_faults(&self, sync: &ResolvedSync, faults: &[mapping::Fault]) -> Vec<Diagnostic> {
        // The key, and what is promised about columns, stand in the model.
        let model = self.models.get(&sync.model).map(|model| &model.document);
        let diagnostic = |fault: &mapping::Fault| {
            let place = match fault.range.clone() {
                None if ["/columns/", "/primary_key/"].iter().any(|own| fault.pointer.starts_with(own)) => {
                    model.unwrap_or(&sync.document).place(&fault.pointer)
                }
                Some(range) => sync.document.place_within(&fault.pointer, range),
                None => sync.document.place(&fault.pointer),
            };
            let diagnostic = Diagnostic::error(fault.code, fault.message.clone(), Some(place));
            Diagnostic { help: fault.help.clone(), ..diagnostic }
        };
        faults.iter().map(diagnostic).collect()
    }
}

#[cfg(test)]
mod tests;
