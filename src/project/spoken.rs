//! Destinations: what is spoken there, and whether their manifests fit it.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::connectors::{self, Catalog, KnownConnector};
use super::files::File;
use super::links::Files;
use super::offer::Offer;
use super::parameters::{FROM_OUTSIDE, Settings, quoted};
use crate::connectors::Compiled;
use crate::destinations::DestinationKind;
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::connector::{Parameter, ParameterType};
use crate::manifest::destination::{Destination, HTTP, NATIVE};
use crate::manifest::document::escape;
use crate::manifest::{Kind, schema};
use crate::{render, secret};

/// The connectors a sandbox can stand in for.
const SANDBOXED: [&str; 2] = ["iterable", "marketo"];
/// Keys that only destinations of type `http` have.
const INLINE: [&str; 3] = ["api", "objects", "requests"];

/// A destination and what is spoken there.
pub(super) enum Spoken {
    /// SQL, or files.
    Native(&'static str, DestinationKind),
    /// A connector of the catalog.
    Connector(KnownConnector),
    /// What the destination says itself; ready to be opened unless something in it is wrong.
    Inline(Box<Destination>, Option<Arc<Compiled>>),
    /// Nothing that is known.
    Unknown,
}

impl Spoken {
    /// Finds what is spoken at a destination and checks its manifest against that.
    pub fn new(file: &File, catalog: &mut Catalog, out: &mut Vec<Diagnostic>) -> Self {
        let Some(kind) = file.text("/type") else { return Self::Unknown };
        if kind != HTTP {
            for key in INLINE.into_iter().filter(|key| file.value.get(key).is_some()) {
                let message = format!("`{key}` goes only with `type: http`");
                let help = format!("a connector says it for all its destinations: write `connectors/{kind}.yaml`");
                out.push(Diagnostic::error("unknown-key", message, file.key_place(&format!("/{key}"))).with_help(help));
            }
        }
        match kind {
            "sqlite" => return Self::Native("sqlite", DestinationKind::Sqlite),
            "postgres" => return Self::Native("postgres", DestinationKind::Postgres),
            "mysql" => return Self::Native("mysql", DestinationKind::Mysql),
            "files" => return Self::Native("files", DestinationKind::Files),
            "command" => {
                literal_env(file, out);
                return Self::Native("command", DestinationKind::Command);
            }
            "singer" => {
                literal_env(file, out);
                return Self::Native("singer", DestinationKind::Singer);
            }
            HTTP => return inline(file, out),
            _ => catalog.need(kind),
        }
        match catalog.get(kind) {
            Some(known) => {
                let parameters = parameters(known);
                let whose = format!("a destination of type `{kind}`");
                let word = "connection key";
                Settings { file, at: "/connection", or_at: "/type", parameters: &parameters, whose, word }.check(out);
                base_url(file, out);
                Self::Connector(known.clone())
            }
            None => {
                if !catalog.is_broken(kind) {
                    out.push(unknown_type(file, kind, catalog));
                }
                Self::Unknown
            }
        }
    }

    /// What it offers syncs.
    pub fn offer<'a>(&'a self, file: &'a File) -> Option<Offer<'a>> {
        Some(match self {
            Self::Native(kind, _) => Offer::Native(kind),
            Self::Connector(known) => Offer::Objects(&known.connector.name, &known.connector.objects),
            Self::Inline(destination, _) => match (&destination.requests, &destination.objects) {
                (Some(requests), _) => Offer::Requests(requests),
                (None, Some(objects)) => Offer::Objects(file.name(), objects),
                (None, None) => return None,
            },
            Self::Unknown => return None,
        })
    }

    /// What to open, and what its connection may hold; `None` there where any key may stand, or where a schema says it.
    pub fn kind(&self) -> Option<(DestinationKind, Option<IndexMap<String, Parameter>>)> {
        Some(match self {
            Self::Native(_, kind) => (kind.clone(), None),
            Self::Connector(known) => (DestinationKind::Connector(known.compiled.clone()?), Some(parameters(known))),
            Self::Inline(_, compiled) => (DestinationKind::Connector(compiled.clone()?), None),
            Self::Unknown => return None,
        })
    }
}

/// What a connection to a connector may hold: what it says, an address that takes the place of its own, and whom to
/// trust there.
fn parameters(known: &KnownConnector) -> IndexMap<String, Parameter> {
    let mut parameters = known.connector.connection.clone();
    let text = Parameter { kind: ParameterType::String, ..Parameter::default() };
    for own in ["base_url", "ca_file"] {
        parameters.entry(own.into()).or_insert(text.clone());
    }
    parameters
}

fn unknown_type(file: &File, kind: &str, catalog: &Catalog) -> Diagnostic {
    let natives = || NATIVE.iter().map(|(name, _)| *name);
    let help = match closest(kind, natives().chain(catalog.names())) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => format!(
            "types: {}, and what `syncline connectors list` shows; or say how it is spoken in `connectors/{kind}.yaml`",
            quoted(natives())
        ),
    };
    let message = format!("there is no destination type or connector `{kind}`");
    Diagnostic::error("unknown-value", message, file.place("/type")).with_help(help)
}

/// A destination that describes its API itself.
fn inline(file: &File, out: &mut Vec<Diagnostic>) -> Spoken {
    let given = |pointer: &str| file.value.pointer(pointer).is_some_and(|value| !value.is_null());
    if !given("/objects") && !given("/requests") {
        let message = "a destination of type `http` says nothing of its requests";
        let help = "add `requests` (one for each row state), or `objects` as in a connector";
        out.push(Diagnostic::error("missing-key", message, file.place("/type")).with_help(help));
    }
    if given("/objects") && given("/requests") {
        let message = "`objects` and `requests` exclude each other";
        out.push(
            Diagnostic::error("exclusive-keys", message, file.key_place("/requests")).with_help("keep one of the two"),
        );
    }
    if !given("/api/base_url") && !given("/connection/base_url") {
        let message = "a destination of type `http` has no address";
        let help = "add `base_url` to `connection`, or to `api`";
        out.push(Diagnostic::error("missing-key", message, file.place("/type")).with_help(help));
    }
    base_url(file, out);
    for (name, value) in file.value.get("connection").and_then(Value::as_object).into_iter().flatten() {
        let pointer = format!("/connection/{}", escape(name));
        if value.is_string() && !file.unknown.contains(&pointer) && secret::names_credential(name) {
            out.push(literal(file, name, &pointer));
        }
    }
    literal_auth(file, out);
    let Some(document) = file.document.as_ref().filter(|_| !file.faulty) else { return Spoken::Unknown };
    // Only what the schema cannot say is left, and is said once: with the typed forms of all files.
    let Ok(destination) = schema::typed::<Destination>(document, &file.value) else { return Spoken::Unknown };
    let (none, objects) = (IndexMap::new(), destination.objects.as_ref());
    let api = destination.api.clone().unwrap_or_default();
    let compiled = Compiled::inline(&destination.name, &api, objects.unwrap_or(&none), destination.requests.as_ref())
        .map_err(|faults| out.extend(faults.iter().map(|fault| connectors::diagnostic(document, fault))))
        .ok()
        .map(Arc::new);
    Spoken::Inline(Box::new(destination), compiled)
}

fn base_url(file: &File, out: &mut Vec<Diagnostic>) {
    const POINTER: &str = "/connection/base_url";
    let Some(url) = file.text(POINTER) else { return };
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
        let message = format!("`{}` is not the address of an API", secret::blanked(url));
        let help = "it begins with `https://`, or with `http://` for tests on this machine";
        out.push(Diagnostic::error("invalid-value", message, file.place(POINTER)).with_help(help));
    }
}

/// Credentials that stand in the description of an API instead of coming with its connection.
pub(super) fn literal_auth(file: &File, out: &mut Vec<Diagnostic>) {
    let headers = file.value.pointer("/api/headers").and_then(Value::as_object);
    let headers = headers.into_iter().flatten().filter(|(name, _)| secret::names_credential(name));
    let headers = headers.map(|(name, _)| (name.as_str(), format!("/api/headers/{}", escape(name))));
    for (name, pointer) in headers.chain([("value", "/api/auth/value".to_owned())]) {
        if file.text(&pointer).is_some_and(|text| !render::is_template(text) && !text.trim().is_empty()) {
            let help =
                "take it from the connection: `{{ connection.token }}`; and change the one that was written here";
            out.push(literal(file, name, &pointer).with_help(help));
        }
    }
    literal_settings(file, out);
}

/// Settings that show who sends a request, where all of them are written out, by whatever name: a user's may be, beside a
/// password that is not. Those with the name of a credential are never written out.
fn literal_settings(file: &File, out: &mut Vec<Diagnostic>) {
    let (Some(auth), Some(settings)) =
        (file.value.pointer("/api/auth"), file.value.get("connection").and_then(Value::as_object))
    else {
        return;
    };
    let auth = auth.to_string();
    let used = |name: &str| {
        let name = format!("connection.{name}");
        let more = |c: char| c.is_ascii_alphanumeric() || c == '_';
        auth.match_indices(&name).any(|(at, _)| !auth.get(at + name.len()..).is_some_and(|rest| rest.starts_with(more)))
    };
    let used: Vec<(&String, &str)> = settings
        .iter()
        .filter(|(name, _)| used(name))
        .filter_map(|(name, value)| Some((name, value.as_str()?)))
        .collect();
    if used.iter().any(|(_, text)| render::is_template(text)) {
        return;
    }
    for (name, _) in used.iter().filter(|(name, text)| !text.trim().is_empty() && !secret::names_credential(name)) {
        out.push(literal(file, name, &format!("/connection/{}", escape(name))));
    }
}

/// Credentials among the variables and settings of a program that are written out.
pub(super) fn literal_env(file: &File, out: &mut Vec<Diagnostic>) {
    let of = |at: &'static str| {
        let map = file.value.pointer(at).and_then(Value::as_object);
        map.into_iter().flatten().map(move |(name, value)| (at, name, value))
    };
    for (at, name, value) in of("/connection/env").chain(of("/connection/config")) {
        let pointer = format!("{at}/{}", escape(name));
        let written = value.as_str().is_some_and(|text| !text.trim().is_empty() && !render::is_template(text));
        if written && !file.unknown.contains(&pointer) && secret::names_credential(name) {
            out.push(literal(file, name, &pointer));
        }
    }
}

fn literal(file: &File, name: &str, pointer: &str) -> Diagnostic {
    Diagnostic::error("literal-secret", format!("`{name}` is written in the file"), file.place(pointer))
        .with_label("never write a secret here")
        .with_help(FROM_OUTSIDE)
}

/// Sandboxes of all environments, also of those that are not chosen: only some APIs have one.
pub(super) fn sandboxes(files: &Files, out: &mut Vec<Diagnostic>) {
    let environments = files.project.value.get("environments").and_then(Value::as_object);
    for (environment, value) in environments.into_iter().flatten() {
        for (name, swap) in value.get("destinations").and_then(Value::as_object).into_iter().flatten() {
            if swap.get("sandbox").and_then(Value::as_bool) != Some(true) {
                continue;
            }
            let manifest = swap.get("use").and_then(Value::as_str).unwrap_or(name);
            let kind = files.find(Kind::Destination, manifest).and_then(|file| file.text("/type"));
            let Some(kind) = kind.filter(|kind| !SANDBOXED.contains(kind)) else { continue };
            let pointer = format!("/environments/{}/destinations/{}/sandbox", escape(environment), escape(name));
            let message = format!("there is no sandbox for `{manifest}`, which is of type `{kind}`");
            out.push(
                Diagnostic::error("no-sandbox", message, files.project.key_place(&pointer)).with_help(format!(
                    "there is one for {}; swap in another destination with `use`",
                    quoted(SANDBOXED)
                )),
            );
        }
    }
}
