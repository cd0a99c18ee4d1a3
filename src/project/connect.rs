//! Connections: checked offline, rendered with the real environment only when they are used.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::files::File;
use super::tree::{Fault, resolve};
use crate::diagnostic::{Diagnostic, Error, Place, Result};
use crate::manifest::document::{self, Document, Node, escape};
use crate::render::{self, Block, Outside, Scope};
use crate::secret::Connection;

/// Keys of a connection that hold a path.
const PATHS: [&str; 2] = ["path", "ca_file"];

/// Checks the connection of a source or destination as far as it is known.
pub(super) fn check(file: &File, root: Option<&Path>, out: &mut Vec<Diagnostic>) {
    let kind = file.text("/type").unwrap_or_default();
    if kind == "postgres" {
        postgres(file, out);
    }
    for key in PATHS {
        let pointer = format!("/connection/{key}");
        if let (Some(root), Some(path)) = (root, file.text(&pointer))
            && resolve(root, path) == Err(Fault::Outside)
        {
            out.push(
                Diagnostic::error(
                    "outside-project",
                    format!("`{path}` leads out of the project"),
                    file.place(&pointer),
                )
                .with_help("relative paths stay in the project; give an absolute path for a place elsewhere"),
            );
        }
    }
}

fn postgres(file: &File, out: &mut Vec<Diagnostic>) {
    let Some(connection) = file.value.get("connection").and_then(Value::as_object) else { return };
    let given = |key: &str| connection.get(key).is_some_and(|value| !value.is_null());
    if given("url") {
        for key in ["host", "port", "user", "password", "database"].into_iter().filter(|key| given(key)) {
            let message = format!("`url` and `{key}` exclude each other");
            let place = file.key_place(&format!("/connection/{key}"));
            out.push(
                Diagnostic::error("exclusive-keys", message, place).with_help("give the whole `url`, or its parts"),
            );
        }
    }
    // Also in a template: only the password itself must come from outside.
    if connection.get("url").and_then(Value::as_str).is_some_and(holds_password) {
        out.push(
            Diagnostic::error("literal-secret", "the `url` has a password written in it", file.place("/connection/url"))
                .with_label("never write a secret here")
                .with_help(
                    "take it from outside: `{{ env.NAME }}` or `{{ file('path') }}`; and change the one that was written here",
                ),
        );
    }
}

/// True when a connection string holds a password that is written out.
fn holds_password(url: &str) -> bool {
    let written = |password: &str| !password.is_empty() && !password.starts_with("{{") && !password.starts_with("{%");
    if let Some((_, rest)) = url.split_once("://") {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((_, password)) = user.split_once(':')
            && written(password)
        {
            return true;
        }
    }
    let mut pairs = url.split([' ', '?', '&']).filter_map(|pair| pair.split_once('='));
    pairs.any(|(key, value)| key.trim() == "password" && written(value.trim().trim_matches('\'')))
}

/// Blanks out secrets that are written in files, so that no diagnostic shows them in its excerpt.
pub(super) fn mask(diagnostics: &mut [Diagnostic]) {
    let secrets: Vec<Place> =
        diagnostics.iter().filter(|d| d.code == "literal-secret").filter_map(|d| d.place.clone()).collect();
    for secret in secrets {
        let text = &secret.source.text;
        let (Some(before), Some(hidden), Some(after)) =
            (text.get(..secret.span.start), text.get(secret.span.clone()), text.get(secret.span.end..))
        else {
            continue;
        };
        // As many bytes as before, so that all places stay true.
        let stars: String = hidden.bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
        let masked: std::sync::Arc<str> = format!("{before}{stars}{after}").into();
        for place in diagnostics.iter_mut().filter_map(|d| d.place.as_mut()) {
            if place.source.path == secret.source.path {
                place.source.text = masked.clone();
            }
        }
    }
}

/// The connection of a manifest with everything in it.
///
/// # Errors
/// A variable that is not set, a file that cannot be read, a path out of the project: all of them, each with its place.
pub(super) fn connect(document: &Document, scope: &Scope, root: &Path, outside: Outside) -> Result<Connection> {
    let scope = Scope { outside, ..scope.at(Block::Outside) };
    let mut live = Live { document, scope, root, secrets: Vec::new(), faults: Vec::new(), helps: HashSet::new() };
    let values = match document.root.find("/connection") {
        Some((node, _)) => live.node(node, "/connection"),
        None => Value::Null,
    };
    if !live.faults.is_empty() {
        let mut helps: Vec<String> = live.helps.into_iter().collect();
        helps.sort();
        return Err(Error::Failed { message: live.faults.join("\n"), help: helps.into_iter().next() });
    }
    let values = match values {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    Ok(Connection::new(values, live.secrets))
}

struct Live<'a> {
    document: &'a Document,
    scope: Scope,
    root: &'a Path,
    secrets: Vec<crate::secret::Secret>,
    faults: Vec<String>,
    helps: HashSet<String>,
}

impl Live<'_> {
    fn node(&mut self, node: &Node, pointer: &str) -> Value {
        let value = match &node.value {
            document::Value::List(items) => {
                items.iter().enumerate().map(|(at, item)| self.node(item, &format!("{pointer}/{at}"))).collect()
            }
            document::Value::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, node)| (key.text.clone(), self.node(node, &format!("{pointer}/{}", escape(&key.text)))))
                    .collect(),
            ),
            document::Value::Text(text) if render::is_template(text) => self.scalar(text, pointer),
            value => value.to_json(),
        };
        match (&value, PATHS.iter().any(|key| pointer == format!("/connection/{key}"))) {
            (Value::String(path), true) if !path.is_empty() => match resolve(self.root, path) {
                Ok(full) => Value::String(full.to_string_lossy().into_owned()),
                Err(_) => {
                    self.fault(self.document.place(pointer), "the path leads out of the project");
                    value
                }
            },
            _ => value,
        }
    }

    fn scalar(&mut self, text: &str, pointer: &str) -> Value {
        match render::render(text, &self.scope) {
            Ok(rendered) => {
                self.secrets.extend(rendered.secrets);
                rendered.value
            }
            Err(faults) => {
                for fault in faults {
                    self.fault(self.document.place_within(pointer, fault.range), &fault.message);
                    self.helps.extend(fault.help);
                }
                Value::Null
            }
        }
    }

    fn fault(&mut self, place: Place, message: &str) {
        let (line, column) = place.line_column();
        self.faults.push(format!("{}:{line}:{column}: {message}", place.source.path.display()));
    }
}
