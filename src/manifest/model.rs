//! `models/NAME.yaml`: rows to sync and their primary key.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::model_test::{ColumnTest, ModelTest};
use super::source::DbtTests;

/// A model: rows to sync and their primary key. Exactly one of `sql`, `sql_file`, `table`, `dbt`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name of the model; the same as the file name.
    pub name: String,
    /// The source it is read from.
    pub source: String,
    /// What a reader should know about it.
    pub description: Option<String>,
    /// One `select` statement in the source's own dialect; on `files`, SQLite's. Templates are rendered.
    pub sql: Option<String>,
    /// Path of a file that holds the statement, relative to this manifest. Templates in it are rendered.
    pub sql_file: Option<String>,
    /// A table, whole or cut to columns and rows.
    pub table: Option<Table>,
    /// A dbt model, seed, snapshot or source table of the source's dbt project: `NAME`, `PACKAGE.NAME`, `NAME.v2`,
    /// `SOURCE.TABLE` or a unique id.
    #[schemars(length(min = 1))]
    pub dbt: Option<String>,
    /// Whether the tests dbt declares of it are run before a plan; what the source's `dbt.tests` says when absent.
    pub dbt_tests: Option<DbtTests>,
    /// The column or columns that identify a row; never null, never twice.
    #[schemars(length(min = 1))]
    pub primary_key: Vec<String>,
    /// What is promised about columns; checked at plan.
    #[serde(default)]
    pub columns: IndexMap<String, Column>,
    /// Tests over the whole model, run before a plan.
    #[serde(default)]
    pub tests: Vec<ModelTest>,
}

/// A table to read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name of the table, with its schema where there is one.
    pub name: String,
    /// The columns to read; all when absent.
    pub columns: Option<Vec<String>>,
    /// A condition in the source's SQL dialect.
    #[serde(rename = "where")]
    pub filter: Option<String>,
}

/// What is promised about one column.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What a reader should know about it.
    pub description: Option<String>,
    /// The type it must have.
    #[serde(rename = "type")]
    pub kind: Option<ColumnType>,
    /// Whether its values are personal data. Values are masked outside the terminal unless this is `false`.
    pub sensitive: Option<bool>,
    /// Tests of the column, run before a plan.
    #[serde(default)]
    pub tests: Vec<ColumnTest>,
}

/// The types a column can be promised to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number; floating point or decimal.
    Number,
    /// True or false.
    Boolean,
    /// A calendar date.
    Date,
    /// A point in time, with or without zone.
    Timestamp,
    /// A time of day.
    Time,
    /// Bytes.
    Binary,
    /// A list or an object.
    Json,
}
