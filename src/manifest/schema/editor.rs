//! What editors are given beyond what is checked by schema: the built-in connectors, by name and with their connections.
//!
//! A project may have connectors of its own, also ones that take the place of a built-in one, so that a destination is
//! checked against the connector itself; this schema is for completion.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::{Kind, by_type};
use crate::connectors;
use crate::manifest::connector::{Connector, Parameter, ParameterType};
use crate::manifest::destination::NATIVE;
use crate::manifest::document::Document;

/// The schema of a kind of manifest, as it is written out.
pub(super) fn schema(kind: Kind) -> &'static Value {
    static DESTINATION: OnceLock<Value> = OnceLock::new();
    match kind {
        Kind::Destination => DESTINATION.get_or_init(destination),
        kind => super::schema(kind),
    }
}

fn destination() -> Value {
    let mut schema = super::schema(Kind::Destination).clone();
    let connectors: Vec<Connector> = connectors::builtin().filter_map(|(name, text)| read(name, text)).collect();
    let (mut names, mut descriptions): (Vec<&str>, Vec<String>) =
        NATIVE.iter().map(|(name, about)| (*name, (*about).to_owned())).unzip();
    for connector in &connectors {
        names.push(&connector.name);
        descriptions.push(connector.description.clone().unwrap_or_default());
    }
    if let Some(kind) = schema.pointer_mut("/properties/type").and_then(Value::as_object_mut) {
        kind.shift_remove("type");
        let listed = json!({ "type": "string", "enum": names, "markdownEnumDescriptions": descriptions });
        kind.insert("anyOf".into(), json!([listed, { "type": "string", "pattern": r"^[\w.-]+$" }]));
    }
    by_type(&mut schema, connectors.iter().map(|c| (c.name.as_str(), connection(c))).collect());
    schema
}

/// A built-in connector; tests see to it that all can be read.
fn read(name: &str, text: &str) -> Option<Connector> {
    let path = format!("connectors/{name}.yaml").into();
    let document = Document::parse(crate::diagnostic::SourceText { path, text: text.into() }).ok()?;
    super::typed(&document, &document.to_json()).ok()
}

/// What `connection` may hold for a connector.
fn connection(connector: &Connector) -> Value {
    let mut properties: Map<String, Value> =
        connector.connection.iter().map(|(name, parameter)| (name.clone(), property(parameter))).collect();
    if !properties.contains_key("base_url") {
        let about = "The address that takes the place of the API's own: of a proxy, or for tests.";
        properties.insert("base_url".into(), json!({ "type": ["string", "null"], "description": about }));
    }
    if !properties.contains_key("ca_file") {
        let about = "A PEM file of certificate authorities to trust beside the system's own: relative to the project, or absolute.";
        properties.insert("ca_file".into(), json!({ "type": ["string", "null"], "description": about }));
    }
    let required: Vec<&String> =
        connector.connection.iter().filter(|(_, p)| p.required && p.default.is_none()).map(|(name, _)| name).collect();
    json!({
        "type": "object",
        "description": connector.description.clone().unwrap_or_default(),
        "properties": properties,
        "additionalProperties": false,
        "required": required,
    })
}

fn property(parameter: &Parameter) -> Value {
    let mut property = Map::new();
    let mut about = parameter.description.clone().unwrap_or_default();
    if parameter.secret {
        about = format!("{about} Never written here: `{{{{ env.NAME }}}}` or `{{{{ file('path') }}}}`.").trim().into();
        property.insert("pattern".into(), r"\{\{.*\}\}".into());
    }
    let kind = match parameter.kind {
        ParameterType::String => json!(["string", "null"]),
        ParameterType::Integer => json!(["integer", "null"]),
        ParameterType::Boolean => json!(["boolean", "null"]),
        ParameterType::Id => json!(["string", "integer", "null"]),
    };
    property.insert("type".into(), kind);
    property.insert("description".into(), about.into());
    if let Some(default) = &parameter.default {
        property.insert("default".into(), default.clone());
    }
    if let Some(values) = &parameter.values {
        let words: Vec<String> = values.iter().map(|value| format!("`{}`", super::words::bare(value))).collect();
        property.insert("enum".into(), values.clone().into());
        property.insert("markdownEnumDescriptions".into(), words.into());
    }
    Value::Object(property)
}
