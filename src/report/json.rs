//! What commands answer as JSON, and the JSON Schemas of it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::answers;
use super::doctor::Examination;
use super::run::Run;
use super::usage::Statement;
use super::verify::Verification;
use crate::diagnostic::{Error, Result};
use crate::import::Import;
use crate::plan::Plan;

/// What a command answers as pretty JSON with a line break at the end: keys in a fixed order, the same answer the same
/// bytes.
///
/// # Errors
/// None in practice: every key of an answer is a string.
pub fn pretty<T: Serialize>(answer: &T) -> Result<String> {
    serde_json::to_string_pretty(answer).map(|text| text + "\n").map_err(|e| unwritable(&e))
}

/// The same as a tree, for the forms that are made of it.
///
/// # Errors
/// As [`pretty`].
pub fn value<T: Serialize>(answer: &T) -> Result<Value> {
    serde_json::to_value(answer).map_err(|e| unwritable(&e))
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::failed(format!("cannot write the answer as JSON: {error}"))
}

/// The JSON Schemas of what scripts read, by name: `schemas/NAME.schema.json`.
pub fn schemas() -> Vec<(&'static str, Value)> {
    fn of<T: JsonSchema>() -> Value {
        schemars::schema_for!(T).to_value()
    }
    vec![
        ("plan", of::<Plan>()),
        ("run", of::<Run>()),
        ("doctor", of::<Examination>()),
        ("import", of::<Import>()),
        ("usage", of::<Statement>()),
        ("verify", of::<Verification>()),
        ("validate", of::<answers::Validation>()),
        ("runs-list", of::<answers::Runs>()),
        ("runs-rejected", of::<answers::Rejected>()),
        ("state-list", of::<answers::States>()),
        ("state-show", of::<answers::OneState>()),
        ("graph", of::<answers::Graph>()),
        ("test-result", of::<answers::Tested>()),
        ("connectors-list", of::<Vec<answers::ConnectorLine>>()),
        ("connectors-show", of::<answers::ConnectorDetail>()),
        ("connectors-test", of::<Vec<answers::ConnectorCases>>()),
    ]
}

/// The generated files of this module: path and text.
pub fn schema_files() -> Vec<(String, String)> {
    let file = |(name, schema): (&str, Value)| (format!("schemas/{name}.schema.json"), format!("{schema:#}\n"));
    schemas().into_iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                if property.get("description").is_none() {
                    found.push(format!("{path}.{name}"));
                }
            }
        }
        for (name, definition) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            undescribed(definition, name, found);
        }
    }

    #[test]
    fn every_property_is_described() {
        let mut found = Vec::new();
        for (name, schema) in schemas() {
            undescribed(&schema, name, &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }

    fn schema(name: &str) -> jsonschema::Validator {
        let (_, schema) = schemas().into_iter().find(|(known, _)| *known == name).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn plans_and_runs_fit_their_schemas() {
        let plan: Value = serde_json::from_str(&pretty(&fixtures::typical()).unwrap()).unwrap();
        let plans = schema("plan");
        assert!(plans.is_valid(&plan), "{:?}", plans.iter_errors(&plan).map(|e| e.to_string()).collect::<Vec<_>>());
        assert!(!plans.is_valid(&serde_json::json!({ "format_version": 1 })));
        assert!(schema("run").is_valid(&fixtures::partial_run()));
    }

    #[test]
    fn a_plan_survives_the_way_through_json() {
        let plan = fixtures::typical();
        assert_eq!(serde_json::from_str::<Plan>(&pretty(&plan).unwrap()).unwrap(), plan);
    }
}
