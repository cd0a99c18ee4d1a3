//! The connectors a project can name: those built in, and its own, which take their place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::files::{File, read_kind};
use super::links;
use super::tree::{Directory, Tree};
use crate::connectors::{self, Compiled, Fault};
use crate::diagnostic::{self, Diagnostic, SourceText};
use crate::manifest::connector::Connector;
use crate::manifest::document::Document;
use crate::manifest::{Kind, schema};

/// A connector that destinations can name.
#[derive(Debug, Clone)]
pub struct KnownConnector {
    /// What it says.
    pub connector: Arc<Connector>,
    /// Ready to be opened; `None` when something in it is wrong.
    pub compiled: Option<Arc<Compiled>>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a connector comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is part of this version of syncline.
    BuiltIn,
    /// It stands in `connectors/` of the project.
    Project,
    /// It stands in `connectors/` of the project and takes the place of a built-in one.
    Replaces,
}

/// The connectors of the project in a folder, or only the built-in ones, by name; and what is wrong with them.
pub fn known(root: Option<&Path>) -> (BTreeMap<String, KnownConnector>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut files = match root {
        Some(root) => read(&Directory::new(root), &mut diagnostics),
        None => Vec::new(),
    };
    files.iter_mut().for_each(|file| file.render(None, true, &mut diagnostics));
    links::names(&files, &mut diagnostics);
    let mut catalog = Catalog::new(&files, &mut diagnostics);
    for (name, _) in connectors::builtin() {
        catalog.need(name);
    }
    diagnostic::sort(&mut diagnostics);
    (catalog.known, diagnostics)
}

/// The connectors of a tree, parsed. A copy of a built-in one is nothing of its own.
pub(super) fn read(tree: &dyn Tree, out: &mut Vec<Diagnostic>) -> Vec<File> {
    let mut files = read_kind(tree, Kind::Connector, out);
    files.retain(|file| {
        let text = file.document.as_ref().map(|document| document.source.text.as_ref());
        !connectors::builtin().any(|(name, builtin)| name == file.stem && Some(builtin) == text)
    });
    files
}

/// The connectors of a project, as far as they are needed.
#[derive(Debug)]
pub(super) struct Catalog {
    known: BTreeMap<String, KnownConnector>,
    /// Those of the project that have no readable form.
    broken: Vec<String>,
}

impl Catalog {
    /// The project's own connectors; `files` are rendered.
    pub fn new(files: &[File], out: &mut Vec<Diagnostic>) -> Self {
        let mut catalog = Self { known: BTreeMap::new(), broken: Vec::new() };
        for file in files {
            match own(file, out) {
                Some(known) => drop(catalog.known.insert(file.stem.clone(), known)),
                None => catalog.broken.push(file.stem.clone()),
            }
        }
        catalog
    }

    /// Sees to it that a built-in connector is there, unless the project has its own.
    pub fn need(&mut self, name: &str) {
        if self.known.contains_key(name) || self.broken.iter().any(|broken| broken == name) {
            return;
        }
        if let Some((_, text)) = connectors::builtin().find(|(builtin, _)| *builtin == name)
            && let Some(known) = built_in(name, text)
        {
            self.known.insert(name.to_owned(), known);
        }
    }

    /// The connector of a name, if it can be read; built-in ones after [`Catalog::need`].
    pub fn get(&self, name: &str) -> Option<&KnownConnector> {
        self.known.get(name)
    }

    /// True when the project has a connector of that name that cannot be read.
    pub fn is_broken(&self, name: &str) -> bool {
        self.broken.iter().any(|broken| broken == name)
    }

    /// All names: built-in ones, and those of the project, broken or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.known.keys().chain(&self.broken).map(String::as_str);
        connectors::builtin().map(|(name, _)| name).chain(own)
    }
}

/// A connector of the project.
fn own(file: &File, out: &mut Vec<Diagnostic>) -> Option<KnownConnector> {
    let document = file.document.as_ref().filter(|_| !file.faulty)?;
    let connector: Connector = schema::typed(document, &file.value).map_err(|fault| out.push(*fault)).ok()?;
    let replaces = connectors::builtin().any(|(name, _)| name == file.stem);
    let origin = if replaces { Origin::Replaces } else { Origin::Project };
    let compiled = Compiled::new(&connector)
        .map_err(|faults| out.extend(faults.iter().map(|fault| diagnostic(document, fault))))
        .ok()
        .map(Arc::new);
    Some(KnownConnector { connector: Arc::new(connector), compiled, origin })
}

/// A built-in connector; tests see to it that each can be read.
fn built_in(name: &str, text: &str) -> Option<KnownConnector> {
    let path = format!("connectors/{name}.yaml").into();
    let document = Document::parse(SourceText { path, text: text.into() }).ok()?;
    let connector: Connector = schema::typed(&document, &document.to_json()).ok()?;
    let compiled = Compiled::new(&connector).ok().map(Arc::new);
    Some(KnownConnector { connector: Arc::new(connector), compiled, origin: Origin::BuiltIn })
}

/// A fault of the connector language, at its exact place.
pub(super) fn diagnostic(document: &Document, fault: &Fault) -> Diagnostic {
    let place = match fault.range.clone() {
        Some(range) => document.place_within(&fault.pointer, range),
        None => document.place(&fault.pointer),
    };
    let diagnostic = Diagnostic::error("bad-connector", fault.message.clone(), Some(place));
    Diagnostic { help: fault.help.clone(), ..diagnostic }
}
