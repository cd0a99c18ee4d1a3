//! Sources and destinations: Git Sync names them with a type, and nothing of how to reach them. Everything that has to
//! be said is taken from the environment.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::reader::Reader;
use crate::import::{Note, NoteKind};
use crate::manifest::connector::Connector;
use crate::manifest::{Kind, schema};
use crate::project;

/// Hightouch's type of a source, ours.
const SOURCES: &[(&str, &str)] = &[
    ("postgresql", "postgres"),
    ("postgres", "postgres"),
    ("redshift", "redshift"),
    ("snowflake", "snowflake"),
    ("bigquery", "bigquery"),
    ("databricks", "databricks"),
    ("mysql", "mysql"),
    ("sqlite", "sqlite"),
    ("duckdb", "duckdb"),
    ("spark", "spark"),
];

/// Where dbt leaves what it knows of its models.
pub(super) const DBT_MANIFEST: &str = "target/manifest.json";

/// What the connection of a type usually needs, beside what its schema requires.
const USUAL: &[(&str, &[&str])] = &[
    ("postgres", &["url"]),
    ("redshift", &["url"]),
    ("snowflake", &["account", "user", "private_key", "role", "warehouse", "database"]),
    ("bigquery", &["project", "location", "key"]),
    ("databricks", &["host", "http_path", "token"]),
    ("mysql", &["url"]),
    ("spark", &["url"]),
    ("duckdb", &["path"]),
];

/// A source or destination as the manifest of Git Sync names it.
pub(super) struct Named {
    pub slug: String,
    pub display: Option<String>,
    /// Hightouch's word; absent where only a model or sync names it.
    pub kind: Option<String>,
    pub from: String,
}

/// A source. `dbt` is there when models of it are dbt's: whether dbt's manifest is at hand.
pub(super) fn source(
    named: &Named,
    name: &str,
    dbt: Option<bool>,
    note: impl Fn(String, Option<String>) -> Note,
) -> Draft {
    let mut draft = Draft::new(Kind::Source, name, &named.from);
    display(&mut draft, named);
    let ours = named.kind.as_deref().and_then(|kind| SOURCES.iter().find(|(theirs, _)| *theirs == kind));
    let ours = ours.map(|(_, ours)| *ours).filter(|ours| offered().iter().any(|known| known == ours));
    let Some(kind) = ours else {
        let message = match &named.kind {
            Some(kind) => format!("syncline has no source of type `{kind}`"),
            None => "the manifest of Git Sync does not name this source".to_owned(),
        };
        draft.blocks(note(message, Some("write a `type` that there is, and its `connection`".into())));
        draft.entry("type", named.kind.as_deref().unwrap_or("TODO"));
        draft.entry("connection", json!({}));
        return draft;
    };
    draft.carried(format!("type `{kind}`"));
    draft.entry("type", kind);
    draft.comment("Git Sync files hold no connection: set these variables, or write what is no secret here.");
    let connection: Map<String, Value> =
        keys(kind).into_iter().map(|key| (key.clone(), variable(name, &key).into())).collect();
    draft.entry("connection", connection);
    match dbt {
        Some(true) => {
            draft.comment("Where dbt writes what it knows of its models.");
            draft.entry("dbt", json!({ "manifest": DBT_MANIFEST }));
        }
        Some(false) => {
            draft.comment(
                "Models of dbt need what dbt knows of them, which is not here yet: run `dbt parse`, and write",
            );
            draft.comment(&format!("dbt: {{ manifest: {DBT_MANIFEST} }}"));
        }
        None => {}
    }
    draft
}

/// A destination; `connector` is the one of its type.
pub(super) fn destination(
    named: &Named,
    name: &str,
    connector: Option<&Connector>,
    note: impl Fn(String, Option<String>) -> Note,
) -> Draft {
    let mut draft = Draft::new(Kind::Destination, name, &named.from);
    display(&mut draft, named);
    let native = named.kind.as_deref().and_then(|kind| match kind {
        "postgres" | "postgresql" => Some(("postgres", "url")),
        "mysql" | "mariadb" => Some(("mysql", "url")),
        "sqlite" => Some(("sqlite", "path")),
        _ => None,
    });
    match (connector, native) {
        (Some(connector), _) => {
            draft.carried(format!("type `{}`", connector.name));
            draft.entry("type", connector.name.as_str());
            // What the address is made of is needed too, unless another address is given.
            let base = connector.api.base_url.as_deref().unwrap_or_default();
            let needed = connector.connection.iter().filter(|(key, setting)| {
                setting.default.is_none() && (setting.required || base.contains(&format!("connection.{key}")))
            });
            let connection: Map<String, Value> =
                needed.map(|(key, _)| (key.clone(), variable(name, key).into())).collect();
            draft.entry("connection", connection);
            for (key, setting) in connector.connection.iter().filter(|(_, setting)| setting.values.is_some()) {
                let values = setting.values.iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
                let default = setting.default.as_ref().and_then(Value::as_str).map(|d| format!("; {d} when absent"));
                draft.comment(&format!("`{key}` in `connection`: {values}{}", default.unwrap_or_default()));
            }
        }
        (None, Some((kind, key))) => {
            draft.carried(format!("type `{kind}`"));
            draft.entry("type", kind);
            draft.entry("connection", json!({ key: variable(name, key) }));
        }
        (None, None) => {
            let message = match &named.kind {
                Some(kind) => format!("syncline has no connector `{kind}`"),
                None => "the manifest of Git Sync does not name this destination".to_owned(),
            };
            let help = "say how it is spoken in `connectors/`, or with `type: http` here; or take a type that \
                        `syncline connectors list` shows";
            draft.blocks(note(message, Some(help.into())));
            draft.entry("type", named.kind.as_deref().unwrap_or("TODO"));
            draft.entry("connection", json!({}));
        }
    }
    draft
}

/// The connector of Hightouch's type, if there is one of that name: built in, or in the project.
pub(super) fn connectors(root: &Path) -> impl Fn(&str) -> Option<std::sync::Arc<Connector>> {
    let (known, _) = project::known_connectors(Some(root).filter(|root| root.is_dir()));
    move |kind| known.get(kind).map(|known| known.connector.clone())
}

/// Types of source this version reads.
fn offered() -> Vec<String> {
    let schema = schema::schema(Kind::Source);
    let words = schema.pointer("/properties/type/enum").and_then(Value::as_array);
    words.into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// The keys a connection needs: what its schema requires, and what is usual and known to it.
fn keys(kind: &str) -> Vec<String> {
    let schema = schema::schema(Kind::Source);
    let rules = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    let connection = rules
        .filter(|rule| rule.pointer("/if/properties/type/const").and_then(Value::as_str) == Some(kind))
        .find_map(|rule| rule.pointer("/then/properties/connection"));
    let names = |at: &str| -> Vec<String> {
        let list = connection.and_then(|schema| schema.pointer(at)).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|key| Some(key.as_str()?.to_owned())).collect()
    };
    let known = |key: &str| connection.is_none_or(|schema| schema.pointer(&format!("/properties/{key}")).is_some());
    let mut keys = names("/required");
    let usual = USUAL.iter().find(|(name, _)| *name == kind).map_or(&[] as &[&str], |(_, keys)| keys);
    for key in usual.iter().filter(|key| known(key)) {
        if !keys.iter().any(|have| have == key) {
            keys.push((*key).to_owned());
        }
    }
    keys
}

/// `{{ env.NAME_KEY }}`
fn variable(name: &str, key: &str) -> String {
    let word: String = format!("{name}_{key}").to_uppercase();
    let mut word: String = word.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        word.insert(0, '_');
    }
    format!("{{{{ env.{word} }}}}")
}

fn display(draft: &mut Draft, named: &Named) {
    if let Some(display) = named.display.as_ref().filter(|display| **display != draft.name) {
        draft.comment(&format!("Called `{display}` in Hightouch."));
    }
}

/// What a manifest of Git Sync names, under `sources` or `destinations`.
pub(super) fn named(reader: &Reader<'_>, list: &str, from: &str) -> Vec<(String, Named)> {
    let Some(Value::Object(map)) = reader.look(list) else { return Vec::new() };
    let slugs: Vec<String> = map.keys().cloned().collect();
    slugs
        .into_iter()
        .map(|slug| {
            let pointer = format!("{list}/{}", crate::manifest::document::escape(&slug));
            let display = reader.text(&format!("{pointer}/name"));
            let kind = reader.text(&format!("{pointer}/type"));
            (pointer, Named { slug, display, kind, from: from.to_owned() })
        })
        .collect()
}

/// A note without a place: about what only other files name.
pub(super) fn nowhere(message: String, help: Option<String>) -> Note {
    Note { kind: NoteKind::Blocks, key: None, line: None, column: None, value: None, message, help }
}
