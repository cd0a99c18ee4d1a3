//! `tests` of a model and of its columns: what must hold of the rows before anything is planned with them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::sync::Limit;

/// How grave it is when a test fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The syncs of the model are refused; the default.
    #[default]
    Error,
    /// The plan warns, and goes on.
    Warn,
}

impl Severity {
    /// The word in manifests and plans.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warn => "warn",
        }
    }
}

/// A test of one column: its name alone, or its name with settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ColumnTest {
    /// The name of a test that needs no settings.
    Name(ColumnTestName),
    /// One test with its settings.
    Settings(Box<ColumnTestSettings>),
}

/// The tests of a column that need no settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnTestName {
    /// No row is without a value.
    NotNull,
    /// No two rows have the same value; rows without one do not count.
    Unique,
}

/// A test of one column with its settings. Exactly one of `not_null`, `unique`, `accepted_values`, `relationships`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnTestSettings {
    /// No row is without a value.
    pub not_null: Option<Options>,
    /// No two rows have the same value; rows without one do not count.
    pub unique: Option<Options>,
    /// Every value is one of these; rows without one do not count.
    pub accepted_values: Option<AcceptedValues>,
    /// Every value is in a column of another model; rows without one do not count.
    pub relationships: Option<Relationships>,
}

/// What every test of rows can be told.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How grave it is when it fails.
    pub severity: Option<Severity>,
    /// Only rows for which this condition holds are looked at; in the source's SQL dialect.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// The values a column may have: a list, or an object with `values`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AcceptedValues {
    /// The values.
    List(#[schemars(length(min = 1))] Vec<Scalar>),
    /// The values with settings.
    Settings(AcceptedValuesSettings),
}

/// The values a column may have, with settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptedValuesSettings {
    /// The values.
    #[schemars(length(min = 1))]
    pub values: Vec<Scalar>,
    /// How grave it is when it fails.
    pub severity: Option<Severity>,
    /// Only rows for which this condition holds are looked at; in the source's SQL dialect.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// Text, a number, or true or false.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Scalar(pub Value);

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The column of another model that holds every value.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relationships {
    /// The other model. It may be read from another source.
    pub model: Option<String>,
    /// The other model, as dbt writes it: its name, or `ref('name')`. The same as `model`.
    pub to: Option<String>,
    /// Its column.
    pub column: Option<String>,
    /// Its column, as dbt writes it. The same as `column`.
    pub field: Option<String>,
    /// How grave it is when it fails.
    pub severity: Option<Severity>,
    /// Only rows for which this condition holds are looked at; in the source's SQL dialect.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

impl Relationships {
    /// The name of the other model, however it is written.
    pub fn target(&self) -> Option<&str> {
        self.model.as_deref().or_else(|| self.to.as_deref().map(unwrapped))
    }

    /// The other model's column, however it is written.
    pub fn target_column(&self) -> Option<&str> {
        self.column.as_deref().or(self.field.as_deref())
    }
}

/// The name in `ref('name')`; any other text as it is.
pub fn unwrapped(text: &str) -> &str {
    let inner = text.trim().strip_prefix("ref(").and_then(|rest| rest.strip_suffix(')'));
    inner.map_or(text, |inner| inner.trim().trim_matches(['\'', '"']))
}

/// A test of a whole model. Exactly one of `row_count`, `freshness`, `unique`, `sql`, `sql_file`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelTest {
    /// What it is called in plans; without it, what it tests.
    pub name: Option<String>,
    /// How many rows there are.
    pub row_count: Option<RowCount>,
    /// How old the newest row is.
    pub freshness: Option<Freshness>,
    /// No two rows have the same values in all of these columns; rows without a value in one of them do not count.
    pub unique: Option<UniqueTogether>,
    /// A `select` in the source's dialect that gives the rows that are wrong. `{{ ref('model') }}` stands for a model.
    pub sql: Option<String>,
    /// Path of a file that holds such a `select`, relative to this manifest.
    pub sql_file: Option<String>,
    /// How grave it is when it fails.
    pub severity: Option<Severity>,
}

/// How many rows a model has.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// Fewest rows.
    pub min: Option<u64>,
    /// Most rows.
    pub max: Option<u64>,
    /// Most rows more or fewer than in the last run of a sync of this model: `20%`, or a number of rows. Before the first
    /// run there is nothing to compare with.
    pub max_change: Option<Limit>,
    /// How grave it is when it fails.
    pub severity: Option<Severity>,
}

/// How old the newest row of a model may be.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The column that says when a row was made or changed: a date, a timestamp, ISO text, or Unix seconds. Without a
    /// zone it is UTC.
    pub column: String,
    /// How long ago that may be: `36h`, `2d`, `90m`. A day has 24 hours.
    pub max_age: String,
    /// How grave it is when it fails.
    pub severity: Option<Severity>,
    /// Only rows for which this condition holds are looked at; in the source's SQL dialect.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// Columns that are unique together: a list, or an object with `columns`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UniqueTogether {
    /// The columns.
    List(#[schemars(length(min = 1))] Vec<String>),
    /// The columns with settings.
    Settings(UniqueTogetherSettings),
}

/// Columns that are unique together, with settings.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniqueTogetherSettings {
    /// The columns.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// How grave it is when it fails.
    pub severity: Option<Severity>,
    /// Only rows for which this condition holds are looked at; in the source's SQL dialect.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// The span of time in a `max_age`; `None` when it is none, is not positive, or counts months, which have no one length.
pub fn age(text: &str) -> Option<jiff::SignedDuration> {
    let span: jiff::Span = text.parse().ok()?;
    let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    age.is_positive().then_some(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_hours_days_and_minutes() {
        for (text, seconds) in [
            ("36h", Some(129_600)),
            ("2d", Some(172_800)),
            ("1w", Some(604_800)),
            ("90m", Some(5_400)),
            ("1d 12h", Some(129_600)),
            ("1mo", None),
            ("0h", None),
            ("-1h", None),
            ("36", None),
            ("soon", None),
        ] {
            assert_eq!(age(text).map(|age| age.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn a_model_may_be_named_as_dbt_names_it() {
        for (text, name) in [("people", "people"), ("ref('people')", "people"), ("ref( \"people\" )", "people")] {
            assert_eq!(unwrapped(text), name);
        }
    }
}
