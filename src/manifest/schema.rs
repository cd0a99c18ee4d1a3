//! The JSON Schemas of the manifests: made from the Rust shapes, used to check files, written out for editors.
//!
//! `connection` depends on `type`: that is said with `if`/`then`, never `oneOf`, so that an error names the one thing
//! that is wrong and an editor offers the one set of keys that fits.

mod editor;
mod examples;
mod faults;
mod pages;
mod words;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Kind, connection, connector, destination, model, program, project, source, sync, test};
use crate::diagnostic::{Error, Result};
pub use faults::{faults, typed};

/// The folder schemas are written to, within the project.
pub const FOLDER: &str = "schemas";
/// The page generated from the schemas, beside the folder.
pub const PAGE: &str = "docs/manifests.md";

/// The schema a kind of manifest is checked against. What an editor is given knows more: see [`files`].
pub fn schema(kind: Kind) -> &'static Value {
    static SCHEMAS: OnceLock<Vec<Value>> = OnceLock::new();
    &SCHEMAS.get_or_init(|| Kind::ALL.into_iter().map(generate).collect())[kind as usize]
}

/// Writes the schemas to `dir/schemas` and the page to `dir/docs/manifests.md`; gives the files it changed.
///
/// # Errors
/// A file cannot be written.
pub fn write(dir: &Path) -> Result<Vec<PathBuf>> {
    let stale = check_files(dir);
    for (path, text) in &stale {
        let full = dir.join(path);
        let folder = full.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&full, text))
            .map_err(|error| Error::failed(format!("cannot write `{}`: {error}", full.display())))?;
    }
    Ok(stale.into_iter().map(|(path, _)| path).collect())
}

/// The generated files below `dir` that are missing or not what [`write`] would write, relative to `dir`.
pub fn check(dir: &Path) -> Vec<PathBuf> {
    check_files(dir).into_iter().map(|(path, _)| path).collect()
}

fn check_files(dir: &Path) -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|(path, text)| std::fs::read(dir.join(path)).ok().as_deref() != Some(text.as_bytes()))
        .collect()
}

/// All generated files: path and text. The same bytes every time.
pub fn files() -> Vec<(PathBuf, String)> {
    let mut files: Vec<_> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let path = Path::new(FOLDER).join(format!("{}.schema.json", kind.word()));
            (path, format!("{:#}\n", editor::schema(kind)))
        })
        .collect();
    files.push((PathBuf::from(PAGE), pages::page()));
    files
}

fn generate(kind: Kind) -> Value {
    let mut schema = match kind {
        Kind::Project => shape::<project::Project>(),
        Kind::Source => shape::<source::Source>(),
        Kind::Model => shape::<model::Model>(),
        Kind::Destination => shape::<destination::Destination>(),
        Kind::Sync => shape::<sync::Sync>(),
        Kind::Connector => shape::<connector::Connector>(),
        Kind::Test => shape::<test::Test>(),
    };
    if matches!(kind, Kind::Connector | Kind::Destination) {
        mode_names(&mut schema);
    }
    let files = || shape::<connection::FilesConnection>();
    let sqlite = || shape::<connection::SqliteConnection>();
    match kind {
        Kind::Source => by_type(
            &mut schema,
            vec![
                ("files", files()),
                ("sqlite", sqlite()),
                ("postgres", postgres()),
                ("redshift", postgres()),
                ("duckdb", shape::<connection::DuckdbConnection>()),
                ("snowflake", shape::<connection::SnowflakeConnection>()),
                ("bigquery", shape::<connection::BigqueryConnection>()),
                ("databricks", shape::<connection::DatabricksConnection>()),
                ("spark", shape::<connection::SparkConnection>()),
                ("mysql", shape::<connection::MysqlSourceConnection>()),
                ("adbc", shape::<connection::AdbcConnection>()),
                ("command", shape::<program::CommandSource>()),
                ("singer", shape::<program::SingerTap>()),
            ],
        ),
        Kind::Destination => {
            let command = shape::<program::CommandDestination>();
            let singer = shape::<program::SingerTarget>();
            by_type(
                &mut schema,
                vec![
                    ("sqlite", sqlite()),
                    ("postgres", postgres()),
                    ("files", files()),
                    ("command", command),
                    ("singer", singer),
                ],
            );
        }
        _ => {}
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".into(), format!("syncline {}", kind.word()).into());
    }
    schema
}

/// Keys of an object's `modes` are modes: what schemars says of maps leaves their keys free.
fn mode_names(schema: &mut Value) {
    if let Some(modes) = schema.pointer_mut("/properties/objects/additionalProperties/properties/modes") {
        modes["propertyNames"] = shape::<sync::Mode>();
        if let Some(names) = modes["propertyNames"].as_object_mut() {
            names.retain(|key, _| matches!(key.as_str(), "enum" | "markdownEnumDescriptions"));
        }
    }
}

fn postgres() -> Value {
    let mut schema = shape::<connection::PostgresConnection>();
    schema["anyOf"] = json!([{ "required": ["url"] }, { "required": ["host"] }]);
    schema
}

/// What `connection` may hold, for each value of `type`.
fn by_type(schema: &mut Value, connections: Vec<(&str, Value)>) {
    let rules = connections.into_iter().map(|(name, mut connection)| {
        if let Some(map) = connection.as_object_mut() {
            map.shift_remove("$schema");
            map.shift_remove("title");
        }
        json!({
            "if": { "properties": { "type": { "const": name } }, "required": ["type"] },
            "then": { "properties": { "connection": connection }, "required": ["connection"] },
        })
    });
    let rules: Vec<Value> = rules.collect();
    match schema.get_mut("allOf") {
        Some(Value::Array(all)) => all.extend(rules),
        _ => schema["allOf"] = rules.into(),
    }
}

fn shape<T: JsonSchema>() -> Value {
    generated::<T>(true)
}

/// The schema of a shape; its parts in place, or under `$defs` by name.
fn generated<T: JsonSchema>(inline: bool) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = inline;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

/// Makes what schemars gives plainer: enums as `enum`, no `null` branches, no Rust number formats.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(map) => {
            map.values_mut().for_each(tidy);
            if map.get("format").and_then(Value::as_str) == Some("uint32") {
                map.entry("maximum").or_insert_with(|| u32::MAX.into());
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint") || f.starts_with("int"))
            {
                map.shift_remove("format");
            }
            if map.get("default") == Some(&Value::Null) {
                map.shift_remove("default");
            }
            enum_of_constants(map);
            nullable(map);
        }
        _ => {}
    }
}

/// `oneOf: [{const, description}…]` → `enum`, with the descriptions where editors look for them.
fn enum_of_constants(map: &mut Map<String, Value>) {
    let Some(branches) = map.get("oneOf").and_then(Value::as_array) else { return };
    let constants: Option<Vec<Value>> = branches.iter().map(|branch| branch.get("const").cloned()).collect();
    let Some(constants) = constants else { return };
    let descriptions: Vec<Value> =
        branches.iter().map(|branch| branch.get("description").cloned().unwrap_or_default()).collect();
    map.shift_remove("oneOf");
    map.insert("type".into(), "string".into());
    map.insert("enum".into(), constants.into());
    map.insert("markdownEnumDescriptions".into(), descriptions.into());
}

/// `anyOf: [X, null]` → X that may also be null; an `anyOf` within it is lifted.
fn nullable(map: &mut Map<String, Value>) {
    let null = json!({ "type": "null" });
    let Some(branches) = map.get("anyOf").and_then(Value::as_array) else { return };
    let [Value::Object(inner), last] = branches.as_slice() else { return };
    if *last != null {
        return;
    }
    let mut inner = inner.clone();
    if let Some(Value::Array(lifted)) = inner.get_mut("anyOf") {
        lifted.push(null);
    } else {
        if let Some(kind @ Value::String(_)) = inner.get("type").cloned() {
            inner.insert("type".into(), json!([kind, "null"]));
        }
        if let Some(Value::Array(constants)) = inner.get_mut("enum") {
            constants.push(Value::Null);
        }
        if let Some(Value::Array(descriptions)) = inner.get_mut("markdownEnumDescriptions") {
            descriptions.push("The same as leaving it out.".into());
        }
    }
    map.shift_remove("anyOf");
    for (key, value) in inner {
        map.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_schema(schema: &Value, at: &str, visit: &mut impl FnMut(&Value, &str)) {
        visit(schema, at);
        match schema {
            Value::Object(map) => map.iter().for_each(|(key, value)| each_schema(value, &format!("{at}/{key}"), visit)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, value)| each_schema(value, &format!("{at}/{i}"), visit));
            }
            _ => {}
        }
    }

    #[test]
    fn every_property_is_described_and_no_object_takes_unknown_keys_by_accident() {
        for kind in Kind::ALL {
            each_schema(editor::schema(kind), kind.word(), &mut |node, at| {
                if at.contains("/if/") || at.ends_with("/if") || at.ends_with("/then") {
                    return;
                }
                for (name, property) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    if at.ends_with("/then") {
                        continue;
                    }
                    assert!(property.get("description").is_some(), "{at}: `{name}` has no description");
                }
                if node.get("properties").is_some() {
                    assert_eq!(node.get("additionalProperties"), Some(&json!(false)), "{at}");
                }
                if let Some(constants) = node.get("enum").and_then(Value::as_array) {
                    let described = node.get("markdownEnumDescriptions").and_then(Value::as_array);
                    assert_eq!(described.map(Vec::len), Some(constants.len()), "{at}");
                }
                assert!(node.get("oneOf").is_none(), "{at} has oneOf");
                assert!(node.get("$ref").is_none(), "{at} has $ref");
            });
        }
    }

    #[test]
    fn generated_files_are_the_same_every_time_and_found_stale_when_changed() {
        assert_eq!(files(), Kind::ALL.map(|_| ()).map(|()| files())[0]);
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check(dir.path()).len(), 8);
        assert_eq!(write(dir.path()).unwrap().len(), 8);
        assert!(check(dir.path()).is_empty());
        std::fs::write(dir.path().join("schemas/sync.schema.json"), "{}").unwrap();
        assert_eq!(check(dir.path()), [PathBuf::from("schemas/sync.schema.json")]);
    }

    #[test]
    fn the_committed_files_are_fresh() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            write(root).unwrap();
        }
        let stale = check(root);
        assert!(stale.is_empty(), "stale, run `syncline schema`: {stale:?}");
    }

    #[test]
    fn the_examples_of_the_page_are_valid() {
        for kind in Kind::ALL {
            let text = examples::example(kind);
            let source = crate::diagnostic::SourceText { path: kind.word().into(), text: text.into() };
            let document = super::super::document::Document::parse(source).unwrap();
            let value = document.to_json();
            let faults = faults(kind, &document, &value, &Default::default());
            let unexpected: Vec<_> = faults.iter().filter(|d| !text.contains("{{") || d.code != "wrong-type").collect();
            assert!(unexpected.is_empty(), "{}: {unexpected:?}", kind.word());
        }
    }
}
