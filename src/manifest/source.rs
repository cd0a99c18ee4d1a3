//! `sources/NAME.yaml`: where rows come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A source: where rows come from.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the source; the same as the file name.
    pub name: String,
    /// What kind of system it is.
    #[serde(rename = "type")]
    pub kind: SourceType,
    /// What a reader should know about it.
    pub description: Option<String>,
    /// How to reach it; the keys depend on `type`.
    #[serde(default)]
    pub connection: Map<String, Value>,
    /// Where the diff is computed.
    #[serde(default)]
    pub planning: Planning,
    /// The dbt project whose models this source holds.
    pub dbt: Option<Dbt>,
}

/// What kind of system a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceType {
    /// A folder of CSV, JSON lines and Parquet files.
    Files,
    /// A SQLite database file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// An Amazon Redshift cluster or workgroup.
    Redshift,
    /// A DuckDB database file.
    Duckdb,
    /// A Snowflake account.
    Snowflake,
    /// Google BigQuery.
    Bigquery,
    /// A Databricks SQL warehouse or cluster.
    Databricks,
    /// An Apache Spark cluster, by its Spark Connect server.
    Spark,
    /// A MySQL or MariaDB server.
    Mysql,
    /// Any system an ADBC driver reaches.
    Adbc,
    /// A program of one's own that prints rows.
    Command,
    /// A Singer tap.
    Singer,
}

/// Where the diff of rows against the snapshot is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Planning {
    /// On this machine, streaming the model.
    #[default]
    Local,
}

/// A dbt project.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dbt {
    /// Path of dbt's `manifest.json`, from dbt 1.6 on: relative to the project, or absolute. Read when a model of this
    /// source is given by `dbt`.
    #[schemars(length(min = 1))]
    pub manifest: String,
    /// Path of the manifest that what is in production was built with: what `plan --against` compares with where
    /// `manifest` is not in git.
    pub base: Option<String>,
    /// Whether the tests dbt declares of a model (`not_null`, `unique`, `accepted_values`, `relationships`) are run
    /// before a plan, beside those of the model's manifest. A model can say otherwise.
    #[serde(default)]
    pub tests: DbtTests,
}

/// What is done with the tests dbt declares of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DbtTests {
    /// Nothing: dbt runs them itself, when it builds.
    #[default]
    Off,
    /// They are run, and the plan warns where one fails.
    Warn,
    /// They are run, and are as grave as dbt says (`severity`).
    Declared,
}
