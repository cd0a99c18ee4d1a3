//! 8 · The engine that speaks a connector.

use std::ops::Range;

use indexmap::IndexMap;

use crate::manifest::connector::Connector;
use crate::manifest::connector::api::Api;
use crate::manifest::connector::object::Object;
use crate::manifest::connector::operation::Requests;

/// Name and YAML text of the built-in connectors.
pub fn builtin() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::empty()
}

/// A connector made ready.
#[derive(Debug)]
pub struct Compiled(Connector);

/// What is wrong in a connector.
#[derive(Debug, Clone)]
pub struct Fault {
    /// JSON pointer of the value.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Bytes within the value.
    pub range: Option<Range<usize>>,
}

impl Compiled {
    /// Makes a connector ready.
    ///
    /// # Errors
    /// All that is wrong in it.
    pub fn new(connector: &Connector) -> Result<Self, Vec<Fault>> {
        Ok(Self(connector.clone()))
    }

    /// Makes a connector of what stands in a destination.
    ///
    /// # Errors
    /// All that is wrong in it.
    pub fn inline(
        name: &str,
        api: &Api,
        objects: &IndexMap<String, Object>,
        _requests: Option<&Requests>,
    ) -> Result<Self, Vec<Fault>> {
        Ok(Self(Connector {
            name: name.into(),
            description: None,
            documentation: None,
            connection: IndexMap::new(),
            api: api.clone(),
            objects: objects.clone(),
            cases: Vec::new(),
        }))
    }

    /// What it was made of.
    pub fn manifest(&self) -> &Connector {
        &self.0
    }
}

/// What connections share: clients, limits.
#[derive(Debug, Clone, Default)]
pub struct Setup;

/// The destination that a connector speaks to.
///
/// # Errors
/// The connection cannot be used.
pub fn open(
    _compiled: std::sync::Arc<Compiled>,
    _connection: &crate::secret::Connection,
    _setup: &Setup,
) -> crate::diagnostic::Result<Box<dyn crate::destinations::Destination>> {
    Err(crate::diagnostic::Error::failed("not built yet"))
}

/// What became of a case.
pub struct CaseResult {
    /// Its name.
    pub name: String,
    /// What differs.
    pub failures: Vec<String>,
}

/// Runs the cases.
pub async fn run_cases(_compiled: &std::sync::Arc<Compiled>) -> Vec<CaseResult> {
    Vec::new()
}
