//! The plan as JSON, and the JSON Schemas of what scripts read.

use serde_json::Value;

use super::doctor::Examination;
use super::run::Run;
use super::usage::Statement;
use super::verify::Verification;
use crate::import::Import;
use crate::plan::Plan;

/// A plan as pretty JSON with a line break at the end: keys in a fixed order, the same plan the same bytes.
///
/// # Errors
/// None in practice: every key of a plan is a string.
pub fn plan_json(plan: &Plan) -> crate::diagnostic::Result<String> {
    serde_json::to_string_pretty(plan)
        .map(|text| text + "\n")
        .map_err(|e| crate::diagnostic::Error::failed(format!("cannot write the plan as JSON: {e}")))
}

/// The JSON Schema of a plan (`schemas/plan.schema.json`).
pub fn plan_schema() -> Value {
    schemars::schema_for!(Plan).to_value()
}

/// The JSON Schema of a run (`schemas/run.schema.json`).
pub fn run_schema() -> Value {
    schemars::schema_for!(Run).to_value()
}

/// What the doctor found as pretty JSON with a line break at the end.
///
/// # Errors
/// None in practice: every key of it is a string.
pub fn doctor_json(examination: &Examination) -> crate::diagnostic::Result<String> {
    serde_json::to_string_pretty(examination)
        .map(|text| text + "\n")
        .map_err(|e| crate::diagnostic::Error::failed(format!("cannot write the examination as JSON: {e}")))
}

/// The JSON Schema of what the doctor found (`schemas/doctor.schema.json`).
pub fn doctor_schema() -> Value {
    schemars::schema_for!(Examination).to_value()
}

/// The JSON Schema of what an import made (`schemas/import.schema.json`).
pub fn import_schema() -> Value {
    schemars::schema_for!(Import).to_value()
}

/// The JSON Schema of what a month used (`schemas/usage.schema.json`).
pub fn usage_schema() -> Value {
    schemars::schema_for!(Statement).to_value()
}

/// What a month used as pretty JSON with a line break at the end.
///
/// # Errors
/// None in practice: every key of it is a string.
pub fn usage_json(statement: &Statement) -> crate::diagnostic::Result<String> {
    serde_json::to_string_pretty(statement)
        .map(|text| text + "\n")
        .map_err(|e| crate::diagnostic::Error::failed(format!("cannot write the usage as JSON: {e}")))
}

/// The JSON Schema of what `verify` found (`schemas/verify.schema.json`).
pub fn verify_schema() -> Value {
    schemars::schema_for!(Verification).to_value()
}

/// What `verify` found as pretty JSON with a line break at the end.
///
/// # Errors
/// None in practice: every key of it is a string.
pub fn verify_json(found: &Verification) -> crate::diagnostic::Result<String> {
    serde_json::to_string_pretty(found)
        .map(|text| text + "\n")
        .map_err(|e| crate::diagnostic::Error::failed(format!("cannot write the verification as JSON: {e}")))
}

/// The generated files of this module: path and text.
pub fn schema_files() -> Vec<(String, String)> {
    let file = |name: &str, schema: Value| (format!("schemas/{name}.schema.json"), format!("{schema:#}\n"));
    vec![
        file("plan", plan_schema()),
        file("run", run_schema()),
        file("doctor", doctor_schema()),
        file("import", import_schema()),
        file("usage", usage_schema()),
        file("verify", verify_schema()),
    ]
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
        undescribed(&plan_schema(), "plan", &mut found);
        undescribed(&run_schema(), "run", &mut found);
        undescribed(&doctor_schema(), "doctor", &mut found);
        undescribed(&import_schema(), "import", &mut found);
        undescribed(&usage_schema(), "usage", &mut found);
        undescribed(&verify_schema(), "verify", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn plans_and_runs_fit_their_schemas() {
        let plan: Value = serde_json::from_str(&plan_json(&fixtures::typical()).unwrap()).unwrap();
        let schema = jsonschema::validator_for(&plan_schema()).unwrap();
        assert!(schema.is_valid(&plan), "{:?}", schema.iter_errors(&plan).map(|e| e.to_string()).collect::<Vec<_>>());
        assert!(!schema.is_valid(&serde_json::json!({ "format_version": 1 })));
        let schema = jsonschema::validator_for(&run_schema()).unwrap();
        assert!(schema.is_valid(&fixtures::partial_run()));
    }

    #[test]
    fn a_plan_survives_the_way_through_json() {
        let plan = fixtures::typical();
        assert_eq!(serde_json::from_str::<Plan>(&plan_json(&plan).unwrap()).unwrap(), plan);
    }
}
