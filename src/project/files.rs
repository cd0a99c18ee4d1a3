//! Reading the manifests of a tree: each file on its own, so that a broken one never hides the others.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::tree::{Fault, Tree};
use crate::diagnostic::{Diagnostic, Place, SourceText};
use crate::manifest::document::{self, Document, Node, escape};
use crate::manifest::{Kind, schema};
use crate::render::{self, Block, Scope};

/// Name of the project file.
pub const PROJECT_FILE: &str = "syncline.yaml";

/// One manifest.
#[derive(Debug)]
pub(super) struct File {
    pub kind: Kind,
    /// File name without suffix.
    pub stem: String,
    /// `None` when it could not be parsed.
    pub document: Option<Arc<Document>>,
    /// Its values, rendered as far as they can be offline; null when it could not be parsed.
    pub value: Value,
    /// Pointers of scalars whose value is known only when connecting, or whose template is faulty.
    pub unknown: HashSet<String>,
    /// True when something is wrong with its shape: it has no typed form.
    pub faulty: bool,
}

impl File {
    /// The text at a pointer, when it is text and known.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        if self.unknown.contains(pointer) { None } else { self.value.pointer(pointer)?.as_str() }
    }

    /// The name it goes by: as written, else as the file is called.
    pub fn name(&self) -> &str {
        self.text("/name").unwrap_or(&self.stem)
    }

    /// The place of the value at a pointer.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        self.document.as_ref().map(|document| document.place(pointer))
    }

    /// The place of the key at a pointer.
    pub fn key_place(&self, pointer: &str) -> Option<Place> {
        self.document.as_ref().map(|document| document.key_place(pointer))
    }

    /// Renders what can be rendered offline and checks the shape. What this environment does not use may name variables that
    /// only others define.
    pub fn render(&mut self, scope: Option<&Scope>, used: bool, diagnostics: &mut Vec<Diagnostic>) {
        let Some(document) = self.document.clone() else { return };
        let before = diagnostics.len();
        let mut pass =
            Pass { kind: self.kind, document: &document, scope, used, unknown: &mut self.unknown, out: diagnostics };
        self.value = rendered(&document.root, "", &mut |text, pointer| pass.scalar(text, pointer));
        diagnostics.extend(schema::faults(self.kind, &document, &self.value, &self.unknown));
        self.faulty = diagnostics.len() > before;
    }
}

/// All manifests of a kind, parsed.
pub(super) fn read_kind(tree: &dyn Tree, kind: Kind, diagnostics: &mut Vec<Diagnostic>) -> Vec<File> {
    let Some(folder) = kind.folder() else { return Vec::new() };
    let names = tree.list(folder).unwrap_or_else(|fault| {
        diagnostics.push(unreadable(folder, &fault));
        Vec::new()
    });
    let mut files = Vec::new();
    for name in names {
        if let Some(stem) = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")) {
            files.push(read_file(tree, kind, stem, &format!("{folder}/{name}"), diagnostics));
        }
    }
    // By name, not by file name: `a-b.yaml` sorts before `a.yaml`.
    files.sort_by(|a, b| a.stem.cmp(&b.stem));
    files
}

/// One manifest, parsed.
pub(super) fn read_file(
    tree: &dyn Tree,
    kind: Kind,
    stem: &str,
    path: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> File {
    let document = read_text(tree, path)
        .map_err(|fault| vec![*fault])
        .and_then(Document::parse)
        .map_err(|faults| diagnostics.extend(faults))
        .ok()
        .map(Arc::new);
    let value = document.as_ref().map_or(Value::Null, |document| document.to_json());
    let faulty = document.is_none();
    File { kind, stem: stem.to_owned(), document, value, unknown: HashSet::new(), faulty }
}

/// The text of a file.
pub(super) fn read_text(tree: &dyn Tree, path: &str) -> Result<SourceText, Box<Diagnostic>> {
    let bytes = tree.read(path).map_err(|fault| unreadable(path, &fault))?;
    Document::decode(Path::new(path), &bytes)
}

/// The diagnostic for a file that cannot be read.
fn unreadable(path: &str, fault: &Fault) -> Diagnostic {
    let place = Place { source: SourceText { path: path.into(), text: "".into() }, span: 0..0 };
    match fault {
        Fault::Outside => {
            Diagnostic::error("outside-project", format!("`{path}` leads out of the project"), Some(place))
                .with_help("copy the file into the project; links and `..` must stay inside")
        }
        Fault::Missing if path == PROJECT_FILE => {
            Diagnostic::error("no-project", "there is no `syncline.yaml` here", None)
                .with_help("start a project with `syncline init`, or go to its folder")
        }
        fault => Diagnostic::error("unreadable-file", format!("cannot read `{path}`: {fault}"), Some(place)),
    }
}

/// One walk over a document, scalar by scalar.
struct Pass<'a> {
    kind: Kind,
    document: &'a Document,
    scope: Option<&'a Scope>,
    used: bool,
    unknown: &'a mut HashSet<String>,
    out: &'a mut Vec<Diagnostic>,
}

impl Pass<'_> {
    fn scalar(&mut self, text: &str, pointer: &str) -> Value {
        let literal = Value::String(text.to_owned());
        let Some(block) = block_of(self.kind, pointer) else { return literal };
        if self.kind == Kind::Project {
            let place = self.document.place(pointer);
            self.out.push(
                Diagnostic::error("template-here", "templates are not rendered in `syncline.yaml`", Some(place))
                    .with_help("write the value itself; other manifests can use it as `{{ vars.NAME }}`"),
            );
            self.unknown.insert(pointer.to_owned());
            return literal;
        }
        let Some(scope) = self.scope else {
            self.unknown.insert(pointer.to_owned());
            return literal;
        };
        let scope = scope.at(block);
        let mut faults = render::check(text, &scope);
        if faults.is_empty() && !matches!(block, Block::Row | Block::Sql) {
            match render::render(text, &scope) {
                Ok(rendered) if !rendered.outside => return rendered.value,
                Ok(_) => {}
                Err(found) if !self.used && found.iter().all(|fault| fault.code == "undefined-name") => {
                    self.unknown.insert(pointer.to_owned());
                }
                // What fails with a placeholder may well work with the real value.
                Err(found) if block == Block::Outside => {
                    faults = found.into_iter().filter(|fault| fault.code != "template-failed").collect();
                }
                Err(found) => faults = found,
            }
        }
        if !faults.is_empty() || block == Block::Outside {
            self.unknown.insert(pointer.to_owned());
        }
        self.out.extend(faults.into_iter().map(|fault| template_fault(self.document, pointer, fault)));
        literal
    }
}

/// A fault in a template, at its exact place.
pub(super) fn template_fault(document: &Document, pointer: &str, fault: render::Fault) -> Diagnostic {
    let place = document.place_within(pointer, fault.range);
    let diagnostic = Diagnostic::error(fault.code, fault.message, Some(place));
    Diagnostic { help: fault.help, ..diagnostic }
}

/// What a template at this pointer can see; `None` where texts are taken as they are.
fn block_of(kind: Kind, pointer: &str) -> Option<Block> {
    let mut parts = pointer.split('/').skip(1);
    let (first, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if pointer == "/name" || pointer.ends_with("/description") || (kind == Kind::Test && is_case_name(pointer)) {
        return None;
    }
    Some(match (kind, first) {
        // The language of connectors: its templates are rendered when records are sent.
        (Kind::Connector, _) | (Kind::Destination, "api" | "objects" | "requests") => return None,
        (Kind::Source | Kind::Destination, "connection") | (Kind::Sync, "notify") => Block::Outside,
        (Kind::Model, "sql") => Block::Sql,
        (Kind::Model, "tests") if third == Some("sql") => Block::Sql,
        (Kind::Sync, "fields") if second.is_some() && third == Some("template") => Block::Row,
        _ => Block::Plain,
    })
}

/// True for `/cases/N/name`.
fn is_case_name(pointer: &str) -> bool {
    let rest = pointer.strip_prefix("/cases/").and_then(|rest| rest.strip_suffix("/name"));
    rest.is_some_and(|at| !at.contains('/'))
}

/// The value of a node, its templates rendered by `scalar`, which is given each text and its pointer.
pub(super) fn rendered(node: &Node, pointer: &str, scalar: &mut dyn FnMut(&str, &str) -> Value) -> Value {
    match &node.value {
        document::Value::List(items) => {
            items.iter().enumerate().map(|(at, item)| rendered(item, &format!("{pointer}/{at}"), scalar)).collect()
        }
        document::Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| {
                (key.text.clone(), rendered(node, &format!("{pointer}/{}", escape(&key.text)), scalar))
            });
            Value::Object(entries.collect())
        }
        document::Value::Text(text) if render::is_template(text) => scalar(text, pointer),
        value => value.to_json(),
    }
}
