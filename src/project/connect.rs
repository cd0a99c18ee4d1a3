//! Connections: checked offline, rendered with the real environment only when they are used.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::files::{File, rendered};
use super::parameters::{self, FROM_OUTSIDE};
use super::tree::{Fault, resolve};
use crate::diagnostic::{Diagnostic, Error, Place, Result};
use crate::manifest::Kind;
use crate::manifest::connector::Parameter;
use crate::manifest::document::{Document, escape};
use crate::render::{self, Block, Outside, Scope};
use crate::secret::{self, Connection, Secret};

/// Keys of a connection that hold a path.
const PATHS: [&str; 5] = ["path", "ca_file", "catalog", "driver", DIRECTORY];
/// Where a program runs; the project's folder where it is not said.
const DIRECTORY: &str = "directory";
/// Types of destinations that have such keys; to an API, a `path` is its own affair.
const NATIVE_PATHS: [&str; 6] = ["sqlite", "postgres", "mysql", "files", "command", "singer"];

/// Checks the connection of a source or destination as far as it is known.
pub(super) fn check(file: &File, root: Option<&Path>, out: &mut Vec<Diagnostic>) {
    let kind = file.text("/type").unwrap_or_default();
    if matches!(kind, "postgres" | "redshift" | "mysql") {
        server(file, out);
    }
    if file.kind == Kind::Source {
        driver_options(file, out);
    }
    if file.kind == Kind::Destination && !NATIVE_PATHS.contains(&kind) {
        return;
    }
    for key in PATHS {
        let pointer = format!("/connection/{key}");
        if let (Some(root), Some(path)) = (root, file.text(&pointer))
            && is_path(kind, key, path)
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

fn server(file: &File, out: &mut Vec<Diagnostic>) {
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
            Diagnostic::error(
                "literal-secret",
                "the `url` has a password written in it",
                file.place("/connection/url"),
            )
            .with_label("never write a secret here")
            .with_help(FROM_OUTSIDE),
        );
    }
}

/// A driver is given by its name or by its path, and a catalog is a file to Singer alone; everything else under these keys
/// is a path.
fn is_path(kind: &str, key: &str, value: &str) -> bool {
    match key {
        "driver" => value.contains(['/', '\\']),
        "catalog" => kind == "singer",
        _ => true,
    }
}

/// Words in the names of options that hold credentials.
const CREDENTIALS: [&str; 6] = ["password", "secret", "token", "private_key", "credential", "passphrase"];

/// Options of a driver are free text, but credentials among them are not, and neither is a password in an address.
fn driver_options(file: &File, out: &mut Vec<Diagnostic>) {
    let Some(connection) = file.value.get("connection").and_then(Value::as_object) else { return };
    let written = |text: &str| !text.is_empty() && !text.contains("{{") && !text.contains("{%");
    let literal = |what: &str, pointer: &str| {
        Diagnostic::error("literal-secret", format!("{what} is written in the file"), file.place(pointer))
            .with_label("never write a secret here")
            .with_help(FROM_OUTSIDE)
    };
    if connection.get("uri").and_then(Value::as_str).is_some_and(holds_password) {
        out.push(literal("a password", "/connection/uri"));
    }
    for (name, value) in connection.get("options").and_then(Value::as_object).into_iter().flatten() {
        let secret = CREDENTIALS.iter().any(|word| name.to_ascii_lowercase().contains(word));
        let address = name == "uri" && value.as_str().is_some_and(holds_password);
        if address || (secret && value.as_str().is_some_and(written)) {
            out.push(literal(&format!("`{name}`"), &format!("/connection/options/{}", escape(name))));
        }
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
    // As the drivers of MySQL take it: `me:hunter2@tcp(host)/db`.
    if !url.contains("://")
        && let Some((user, _)) = url.rsplit_once('@')
        && let Some((name, password)) = user.split_once(':')
        && !name.contains([' ', '=', '{'])
        && written(password)
    {
        return true;
    }
    let mut pairs = url.split([' ', '?', '&']).filter_map(|pair| pair.split_once('='));
    pairs.any(|(key, value)| key.trim() == "password" && written(value.trim().trim_matches('\'')))
}

/// Blanks out secrets that are written in files, so that no diagnostic shows them in its excerpt.
pub(super) fn mask(diagnostics: &mut [Diagnostic]) {
    let secrets: Vec<Place> =
        diagnostics.iter().filter(|d| d.code == "literal-secret").filter_map(|d| d.place.clone()).collect();
    let mut masked: HashMap<PathBuf, String> = HashMap::new();
    for secret in secrets {
        let text = masked.entry(secret.source.path.clone()).or_insert_with(|| secret.source.text.as_ref().to_owned());
        let (Some(before), Some(hidden), Some(after)) =
            (text.get(..secret.span.start), text.get(secret.span.clone()), text.get(secret.span.end..))
        else {
            continue;
        };
        // As many bytes as before, so that all places stay true.
        let stars: String = hidden.bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
        *text = format!("{before}{stars}{after}");
    }
    let masked: HashMap<PathBuf, std::sync::Arc<str>> = masked.into_iter().map(|(p, t)| (p, t.into())).collect();
    for place in diagnostics.iter_mut().filter_map(|d| d.place.as_mut()) {
        if let Some(text) = masked.get(&place.source.path) {
            place.source.text = text.clone();
        }
        // Also in a file too broken to be looked at closely.
        if !secret::written(&place.source.text).is_empty() {
            place.source.text = secret::blanked(&place.source.text).into();
        }
    }
}

/// The connection of a source, or of a destination that is no connector, with everything in it.
///
/// # Errors
/// A variable that is not set, a file that cannot be read, a path out of the project: all of them, each with its place.
pub(super) fn connect(document: &Document, scope: &Scope, root: &Path, outside: Outside) -> Result<Connection> {
    let mut live = Live::new(document, scope, root, outside);
    let mut values = live.values();
    if values.contains_key("command") && values.get(DIRECTORY).is_none_or(Value::is_null) {
        values.insert(DIRECTORY.into(), ".".into());
    }
    live.resolve_paths(&mut values);
    live.finish(values)
}

/// One entry of `notify`, with everything in it.
///
/// # Errors
/// A variable that is not set, or a file that cannot be read, with its place.
pub(super) fn receiver(document: &Document, entry: usize, scope: &Scope, root: &Path) -> Result<Connection> {
    let mut live = Live::new(document, scope, root, Outside::real(root));
    let values = live.values_at(&format!("/notify/{entry}"));
    live.finish(values)
}

/// The connection of an API: defaults are filled in, and what came from outside as text is what the setting takes.
/// `settings` is `None` where any key may stand.
///
/// # Errors
/// As for [`connect`], and a value from outside that the setting does not take.
pub(super) fn connect_api(
    document: &Document,
    settings: Option<&IndexMap<String, Parameter>>,
    scope: &Scope,
    root: &Path,
    outside: Outside,
) -> Result<Connection> {
    let mut live = Live::new(document, scope, root, outside);
    let mut values = live.values();
    for (name, parameter) in settings.into_iter().flatten() {
        let Some(value) = values.get_mut(name).filter(|value| !value.is_null()) else { continue };
        match parameters::settle(name, parameter, value.take()) {
            Ok(settled) => *value = settled,
            // What could not be rendered has been said.
            Err(_) if !live.faults.is_empty() => {}
            Err(message) => live.fault(document.place(&format!("/connection/{name}")), &message),
        }
        if let (true, Some(text)) = (parameter.secret, value.as_str()) {
            live.secrets.push(Secret::new(text));
        }
    }
    if let Some(settings) = settings {
        parameters::fill(settings, &mut values);
    }
    live.finish(values)
}

/// What stands for credentials at a sandbox.
pub const SANDBOX_CREDENTIAL: &str = "sandbox";

/// The connection of an API to something that stands in for it at an address: no credential is taken from outside, and
/// what is not set is made up, so that it never fails.
pub(super) fn connect_stand_in(
    document: &Document,
    settings: Option<&IndexMap<String, Parameter>>,
    scope: &Scope,
    root: &Path,
    base_url: &str,
) -> Connection {
    let Outside::Real { lookup, root: files } = Outside::real(root) else { return Connection::default() };
    let lookup = std::sync::Arc::new(move |name: &str| lookup(name).or_else(|| Some(SANDBOX_CREDENTIAL.to_owned())));
    let mut live = Live::new(document, scope, root, Outside::Real { root: files, lookup });
    live.withheld = settings.into_iter().flatten().filter(|(_, p)| p.secret).map(|(name, _)| name.clone()).collect();
    let mut values = live.values();
    for (name, parameter) in settings.into_iter().flatten() {
        let given = values.get(name).filter(|value| !value.is_null()).cloned();
        let settled = given.map(|value| parameters::settle(name, parameter, value));
        match settled {
            Some(Ok(value)) => drop(values.insert(name.clone(), value)),
            Some(Err(_)) => drop(values.insert(name.clone(), parameters::made_up(parameter, SANDBOX_CREDENTIAL))),
            None if parameter.required => {
                drop(values.insert(name.clone(), parameters::made_up(parameter, SANDBOX_CREDENTIAL)));
            }
            None => {}
        }
    }
    if let Some(settings) = settings {
        parameters::fill(settings, &mut values);
    }
    values.insert("base_url".into(), base_url.into());
    values.shift_remove("ca_file");
    Connection::new(values, live.secrets)
}

/// What to do about all faults, each thing once.
fn together(helps: HashSet<String>) -> Option<String> {
    const SET: &str = "set it before the run: ";
    let mut helps: Vec<String> = helps.into_iter().collect();
    helps.sort();
    // Variables that are not set: all of them in one sentence.
    let plain = |help: &&String| help.strip_prefix(SET).is_some_and(|rest| !rest.contains(';'));
    let variables: Vec<String> = helps.iter().filter(plain).map(|help| help.replacen(SET, "", 1)).collect();
    if variables.len() > 1 {
        helps.retain(|help| !plain(&help));
        helps.insert(0, format!("set them before the run: {}", variables.join(", ")));
    }
    (!helps.is_empty()).then(|| helps.join("; "))
}

struct Live<'a> {
    document: &'a Document,
    scope: Scope,
    root: &'a Path,
    /// Keys that are not rendered: a credential stands in for theirs.
    withheld: HashSet<String>,
    secrets: Vec<Secret>,
    faults: Vec<String>,
    helps: HashSet<String>,
}

impl<'a> Live<'a> {
    fn new(document: &'a Document, scope: &Scope, root: &'a Path, outside: Outside) -> Self {
        let scope = Scope { outside, ..scope.at(Block::Outside) };
        let (withheld, secrets, faults, helps) = Default::default();
        Self { document, scope, root, withheld, secrets, faults, helps }
    }

    fn values(&mut self) -> Map<String, Value> {
        self.values_at("/connection")
    }

    fn values_at(&mut self, pointer: &str) -> Map<String, Value> {
        let found = self.document.root.find(pointer);
        match found.map(|(node, _)| rendered(node, pointer, &mut |text, pointer| self.scalar(text, pointer))) {
            Some(Value::Object(values)) => values,
            _ => Map::new(),
        }
    }

    fn finish(self, values: Map<String, Value>) -> Result<Connection> {
        if self.faults.is_empty() {
            return Ok(Connection::new(values, self.secrets));
        }
        // In one line: it goes into plans, reports and messages.
        Err(Error::Failed { message: self.faults.join("; "), help: together(self.helps) })
    }

    /// Makes the paths of a connection absolute.
    fn resolve_paths(&mut self, values: &mut Map<String, Value>) {
        let kind = self.document.to_json().get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        for key in PATHS {
            let Some(Value::String(path)) = values.get_mut(key).filter(|path| **path != "") else { continue };
            if !is_path(&kind, key, path) {
                continue;
            }
            match resolve(self.root, path) {
                Ok(full) => *path = full.to_string_lossy().into_owned(),
                Err(_) => {
                    self.fault(self.document.place(&format!("/connection/{key}")), "the path leads out of the project");
                }
            }
        }
    }

    fn scalar(&mut self, text: &str, pointer: &str) -> Value {
        if pointer.strip_prefix("/connection/").is_some_and(|key| self.withheld.contains(key)) {
            return SANDBOX_CREDENTIAL.into();
        }
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
        self.faults.push(format!("{place}: {message}"));
    }
}
