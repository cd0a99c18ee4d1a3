//! What credentials a manifest uses and where they go: a change of this is shown to whoever approves, before anything
//! is connected to.

use serde_json::{Value, json};

use super::digest;
use super::environment::EnvironmentInfo;
use super::files::File;

/// Keys of a manifest that say who is spoken to and with what.
const KEYS: [&str; 5] = ["type", "connection", "api", "requests", "objects"];

/// A digest over the credentials that a manifest names, as it is written, and over where they are sent. `more` counts,
/// too: a connector of the project, for one.
pub(super) fn of(file: &File, environment: &EnvironmentInfo, more: &Value) -> String {
    let written = file.document.as_ref().map_or(Value::Null, |document| document.to_json());
    let parts: Vec<Option<&Value>> = KEYS.iter().map(|key| written.get(key)).collect();
    of_value(&json!([parts, more]), environment)
}

/// The same for a part of a manifest.
pub(super) fn of_value(written: &Value, environment: &EnvironmentInfo) -> String {
    digest::digest(&json!([written, environment.vars_in(written)]))
}
