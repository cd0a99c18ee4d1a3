//! What stands in `connection` where a program of one's own is the other side.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// A program that prints rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSource {
    /// The program and its arguments, one a line. They are started as they are: no shell reads them.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// The folder it runs in: relative to the project, or absolute; the project's own when absent.
    pub directory: Option<String>,
    /// Variables it finds in its environment, beside PATH, HOME and LANG. Nothing else of this command's environment
    /// reaches it.
    #[serde(default)]
    pub env: IndexMap<String, Setting>,
    /// What it prints.
    #[serde(default)]
    pub format: PrintFormat,
    /// Whether its output must end with a word that says so. Without, exit code 0 is all that tells a whole output from
    /// half of one.
    #[serde(default = "yes")]
    pub end_marker: bool,
    /// Seconds it may be silent; then it is stopped, and the read fails.
    #[serde(default = "silence")]
    #[schemars(range(min = 1))]
    pub silence: u32,
}

/// What a program prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrintFormat {
    /// One JSON object a line.
    #[default]
    Jsonl,
    /// A stream of Arrow record batches, as Arrow IPC has it.
    Arrow,
}

/// A program that takes records and says what became of each.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandDestination {
    /// The program and its arguments, one a line. They are started as they are: no shell reads them.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// The folder it runs in: relative to the project, or absolute; the project's own when absent.
    pub directory: Option<String>,
    /// Variables it finds in its environment, beside PATH, HOME and LANG. Nothing else of this command's environment
    /// reaches it.
    #[serde(default)]
    pub env: IndexMap<String, Setting>,
    /// True when a record sent twice does no harm, so that it is sent again when an answer was lost. Else
    /// `delivery.on_doubt` of the sync decides.
    #[serde(default)]
    pub repeatable: bool,
    /// Seconds it may take to answer; then it is stopped, and what has no answer is in doubt.
    #[serde(default = "silence")]
    #[schemars(range(min = 1))]
    pub silence: u32,
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn silence() -> u32 {
    600
}

/// The value of a variable: text, a number, true or false. It may hold a credential, so it is never printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting(pub Secret);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => value.to_string(),
            _ => return Err(serde::de::Error::custom("expected text, a number, true or false")),
        };
        Ok(Self(Secret::new(text)))
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Setting".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "The value. A credential is never written here: `{{ env.NAME }}` or `{{ file('path') }}`."
        })
    }
}

/// A Singer tap: a program that reads an application and prints its records.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SingerTap {
    /// The tap and its arguments, one a line. It is started as it is: no shell reads them.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Its settings, as its documentation has them; given to it as a file that only this user may read.
    #[serde(default)]
    pub config: Settings,
    /// A catalog file that takes the place of what the tap itself says of its streams: relative to the project, or
    /// absolute.
    pub catalog: Option<String>,
    /// The folder it runs in: relative to the project, or absolute; the project's own when absent.
    pub directory: Option<String>,
    /// Variables it finds in its environment, beside PATH, HOME and LANG.
    #[serde(default)]
    pub env: IndexMap<String, Setting>,
    /// Seconds it may be silent; then it is stopped, and the read fails.
    #[serde(default = "silence")]
    #[schemars(range(min = 1))]
    pub silence: u32,
}

/// A Singer target: a program that takes records and writes them somewhere.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SingerTarget {
    /// The target and its arguments, one a line. It is started as it is: no shell reads them.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Its settings, as its documentation has them; given to it as a file that only this user may read.
    #[serde(default)]
    pub config: Settings,
    /// The folder it runs in: relative to the project, or absolute; the project's own when absent.
    pub directory: Option<String>,
    /// Variables it finds in its environment, beside PATH, HOME and LANG.
    #[serde(default)]
    pub env: IndexMap<String, Setting>,
    /// True when the target updates by key, so that a record may be sent again when it is not known whether it arrived.
    /// Else `delivery.on_doubt` of the sync decides.
    #[serde(default)]
    pub repeatable: bool,
    /// Seconds it may take to write what it was given; then it is stopped, and what it has not confirmed is in doubt.
    #[serde(default = "silence")]
    #[schemars(range(min = 1))]
    pub silence: u32,
}

/// Settings of a program as its own documentation has them. They may hold credentials, so they are never printed.
#[derive(Clone, Default, Deserialize)]
pub struct Settings(pub serde_json::Map<String, serde_json::Value>);

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Settings({} keys)", self.0.len())
    }
}

impl JsonSchema for Settings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "Settings by name. A credential is never written here: `{{ env.NAME }}` or `{{ file('path') }}`."
        })
    }
}
