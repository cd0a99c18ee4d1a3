//! The sources of a plan, each opened once.

use std::collections::HashMap;

use arrow_schema::SchemaRef;

use super::planner::{origin, source_text};
use crate::diagnostic::{Error, Result};
use crate::project::{Project, ResolvedModel};
use crate::sources::{self, Source};

/// The sources opened so far.
pub(super) struct Sources<'a> {
    project: &'a Project,
    opened: HashMap<String, Box<dyn Source>>,
    /// Columns of the models asked for so far: to ask again may cost a connection.
    schemas: HashMap<String, SchemaRef>,
}

impl<'a> Sources<'a> {
    /// No source yet.
    pub fn new(project: &'a Project) -> Self {
        Self { project, opened: HashMap::new(), schemas: HashMap::new() }
    }

    /// Opens a source, unless it is open.
    pub fn open(&mut self, name: &str) -> Result<()> {
        if !self.opened.contains_key(name) {
            let (kind, connection) = self.project.source_connection(name)?;
            let opened = sources::open(kind, &connection).map_err(|e| e.context(source_text(self.project, name)))?;
            self.opened.insert(name.to_owned(), opened);
        }
        Ok(())
    }

    /// A source that is open.
    pub fn get(&self, name: &str) -> Option<&dyn Source> {
        self.opened.get(name).map(|source| &**source)
    }

    /// The columns of a model, as its source gives them; see [`sources::is_unknown`].
    pub fn schema(&mut self, model: &ResolvedModel) -> Result<SchemaRef> {
        if let Some(known) = self.schemas.get(&model.name) {
            return Ok(known.clone());
        }
        self.open(&model.source)?;
        let source = self.get(&model.source).ok_or_else(|| Error::failed("its source is gone"))?;
        let schema = source.schema(&model.query).map_err(|e| e.context(origin(self.project, model)))?;
        self.schemas.insert(model.name.clone(), schema.clone());
        Ok(schema)
    }
}
