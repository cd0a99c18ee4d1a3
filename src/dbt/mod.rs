//! dbt's `manifest.json`: which relation a dbt model is, what is promised about its columns, what it is made of.
//!
//! The file is what `dbt compile`, `build` or `parse` writes into `target/`. Its keys are those of dbt's own description
//! (<https://docs.getdbt.com/reference/artifacts/manifest-json>, schemas at `schemas.getdbt.com/dbt/manifest/`), from
//! v10 (dbt 1.6) on; keys that are not used here are skipped, so that a newer version is read as long as it keeps these.
//! Nothing is compiled or run, and no SQL is taken from it: `relation_name` is how dbt's adapter itself writes the table.

mod declared;
mod find;
mod lineage;
mod types;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

pub use declared::{Declared, Promise};
pub use find::Fault;
pub use types::data_type;

/// The largest manifest that is read, in bytes; that of a project of ten thousand models is about half of it.
pub const MAX_BYTES: usize = 256 << 20;

/// The oldest version of the schema of manifests that is read: dbt 1.6's.
pub const OLDEST: u32 = 10;

/// A manifest, as far as it is used here.
#[derive(Debug)]
pub struct Manifest {
    /// The adapter dbt ran with: `postgres`, `snowflake`, …
    pub adapter: String,
    /// Name of the dbt project; its package is called the same.
    pub project: String,
    /// What holds rows, and tests and all else that has a unique id, by that.
    nodes: BTreeMap<String, Node>,
    disabled: BTreeMap<String, Node>,
    macros: BTreeMap<String, Macro>,
    /// The tests of single nodes.
    tests: Vec<declared::Attached>,
}

/// A model, seed, snapshot or source table; also what has no rows.
#[derive(Debug, Clone)]
pub struct Node {
    /// `model.shop.contacts`
    pub unique_id: String,
    /// Its name; of a source table, that of the table.
    pub name: String,
    /// The name of the source it is a table of.
    pub source_name: Option<String>,
    /// `model`, `seed`, `snapshot`, `source`; or something without rows.
    pub resource_type: String,
    /// The package it is in.
    pub package: String,
    /// The table or view, quoted as the adapter does; `None` where there is none.
    pub relation: Option<String>,
    /// The bare name of the table or view.
    pub alias: String,
    /// What dbt knows of its columns.
    pub columns: IndexMap<String, Column>,
    /// True when the columns are exactly those, with their types: dbt enforces its contract.
    pub exact: bool,
    /// The columns dbt takes for its key; empty when it knows none.
    pub primary_key: Vec<String>,
    /// Its version, where there are several of it.
    pub version: Option<String>,
    /// True when it is the version that `ref` without one means.
    pub latest: bool,
    materialized: String,
    checksum: String,
    upstream: Vec<String>,
    macros: Vec<String>,
}

/// A column as dbt's properties describe it.
#[derive(Debug, Clone, Default)]
pub struct Column {
    /// What a reader should know about it.
    pub description: Option<String>,
    /// Its type, in words of the warehouse.
    pub data_type: Option<String>,
    /// `meta: { sensitive: … }`
    pub sensitive: Option<bool>,
}

#[derive(Debug)]
struct Macro {
    package: String,
    sql: String,
    macros: Vec<String>,
}

/// Why a file is not a manifest that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON, or not that of a manifest.
    #[error("it is not dbt's manifest: {0}")]
    Not(String),
    /// It is of an older version than [`OLDEST`].
    #[error("it is of version v{version}{}", dbt.as_ref().map(|dbt| format!(", written by dbt {dbt}")).unwrap_or_default())]
    Old {
        /// The version of its schema.
        version: u32,
        /// The version of dbt.
        dbt: Option<String>,
    },
}

impl Manifest {
    /// Reads the text of a `manifest.json`.
    ///
    /// # Errors
    /// What is not a manifest, or too old a one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        // What it is comes first: the keys of an old version, or of another artifact, are others.
        let head: Head = serde_json::from_slice(bytes).map_err(|error| Unreadable::Not(error.to_string()))?;
        let schema = head.metadata.dbt_schema_version.unwrap_or_default();
        let version = schema.split("/manifest/v").nth(1).and_then(|rest| rest.trim_end_matches(".json").parse().ok());
        let Some(version) = version else {
            let what = match schema.trim_end_matches(".json").rsplit('/').nth(1) {
                Some(artifact) => format!("its `metadata.dbt_schema_version` says `{artifact}`"),
                None => "it has no `metadata.dbt_schema_version`".to_owned(),
            };
            return Err(Unreadable::Not(what));
        };
        if version < OLDEST {
            return Err(Unreadable::Old { version, dbt: head.metadata.dbt_version });
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let raw: Raw = serde_path_to_error::deserialize(&mut json).map_err(|e| Unreadable::Not(e.to_string()))?;
        let (mut nodes, mut tests) = (BTreeMap::new(), Vec::new());
        for (id, node) in raw.nodes.into_iter().chain(raw.sources) {
            if node.resource_type == "test" {
                tests.extend(node.attached());
            }
            nodes.insert(id.clone(), node.node(id));
        }
        let disabled = raw.disabled.unwrap_or_default().into_iter();
        let disabled = disabled.filter_map(|(id, all)| Some((id.clone(), all.into_iter().next()?.node(id))));
        let of = |on: Option<DependsOn>| on.and_then(|on| on.macros).unwrap_or_default();
        let macros = raw.macros.into_iter().map(|(id, raw)| {
            (
                id,
                Macro { package: raw.package_name, sql: raw.macro_sql.unwrap_or_default(), macros: of(raw.depends_on) },
            )
        });
        Ok(Self {
            adapter: head.metadata.adapter_type.unwrap_or_default(),
            project: head.metadata.project_name.unwrap_or_default(),
            nodes,
            disabled: disabled.collect(),
            macros: macros.collect(),
            tests,
        })
    }
}

impl Node {
    /// How dbt's own files refer to it, seen from the project: `ref('contacts')`, `source('crm', 'contacts')`.
    pub fn reference(&self, project: &str) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        if let Some(source) = &self.source_name {
            return format!("source({}, {})", quoted(source), quoted(&self.name));
        }
        let package = if self.package == project { String::new() } else { format!("{}, ", quoted(&self.package)) };
        let version = match &self.version {
            Some(version) if version.parse::<u32>().is_ok() => format!(", v={version}"),
            Some(version) => format!(", v={}", quoted(version)),
            None => String::new(),
        };
        format!("ref({package}{}{version})", quoted(&self.name))
    }
}

#[derive(Deserialize)]
struct Head {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    dbt_schema_version: Option<String>,
    dbt_version: Option<String>,
    adapter_type: Option<String>,
    project_name: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    nodes: BTreeMap<String, RawNode>,
    sources: BTreeMap<String, RawNode>,
    #[serde(default)]
    disabled: Option<BTreeMap<String, Vec<RawNode>>>,
    #[serde(default)]
    macros: BTreeMap<String, RawMacro>,
}

#[derive(Deserialize)]
struct RawNode {
    name: String,
    resource_type: String,
    package_name: String,
    source_name: Option<String>,
    relation_name: Option<String>,
    alias: Option<String>,
    identifier: Option<String>,
    columns: Option<IndexMap<String, RawColumn>>,
    config: Option<RawConfig>,
    checksum: Option<RawChecksum>,
    depends_on: Option<DependsOn>,
    contract: Option<RawContract>,
    primary_key: Option<Vec<String>>,
    version: Option<Value>,
    latest_version: Option<Value>,
    // What only tests have; others may have anything of these names.
    attached_node: Option<Value>,
    column_name: Option<Value>,
    test_metadata: Option<Value>,
}

#[derive(Deserialize)]
struct RawColumn {
    name: Option<String>,
    description: Option<String>,
    data_type: Option<String>,
    meta: Option<Value>,
    config: Option<Value>,
}

#[derive(Default, Deserialize)]
struct RawConfig {
    materialized: Option<String>,
    contract: Option<RawContract>,
    severity: Option<Value>,
    #[serde(rename = "where")]
    filter: Option<Value>,
    error_if: Option<Value>,
}

#[derive(Deserialize)]
struct RawContract {
    enforced: Option<bool>,
}

#[derive(Deserialize)]
struct RawChecksum {
    name: Option<String>,
    checksum: Option<String>,
}

#[derive(Default, Deserialize)]
struct DependsOn {
    nodes: Option<Vec<String>>,
    macros: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawMacro {
    package_name: String,
    macro_sql: Option<String>,
    depends_on: Option<DependsOn>,
}

impl RawNode {
    /// The test, where it is one of a single node.
    fn attached(&self) -> Option<declared::Attached> {
        let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        let config = self.config.as_ref();
        Some(declared::Attached {
            node: text(&self.attached_node)?,
            name: self.name.clone(),
            column: text(&self.column_name),
            metadata: self.test_metadata.clone().unwrap_or_default(),
            severity: config.and_then(|config| text(&config.severity)),
            filter: config.and_then(|config| text(&config.filter)),
            error_if: config.and_then(|config| text(&config.error_if)),
            upstream: self.depends_on.as_ref().and_then(|on| on.nodes.clone()).unwrap_or_default(),
        })
    }

    fn node(self, unique_id: String) -> Node {
        let config = self.config.unwrap_or_default();
        let contracts = [self.contract, config.contract];
        let depends_on = self.depends_on.unwrap_or_default();
        let version = self.version.as_ref().and_then(version);
        let columns = self.columns.unwrap_or_default().into_iter();
        // A snapshot's checksum and a source's are of other kinds; the name of the hash is part of what it says.
        let checksum = self.checksum.map(|sum| [sum.name, sum.checksum].map(Option::unwrap_or_default).join(":"));
        Node {
            source_name: self.source_name.filter(|_| self.resource_type == "source"),
            relation: self.relation_name.filter(|name| !name.trim().is_empty()),
            alias: self.alias.or(self.identifier).unwrap_or_else(|| self.name.clone()),
            columns: columns.map(|(key, column)| (column.name.clone().unwrap_or(key), column.column())).collect(),
            exact: contracts.into_iter().flatten().any(|contract| contract.enforced == Some(true)),
            primary_key: self.primary_key.unwrap_or_default(),
            latest: version.is_none() || version == self.latest_version.as_ref().and_then(self::version),
            version,
            materialized: config.materialized.unwrap_or_default(),
            checksum: checksum.unwrap_or_default(),
            upstream: depends_on.nodes.unwrap_or_default(),
            macros: depends_on.macros.unwrap_or_default(),
            name: self.name,
            resource_type: self.resource_type,
            package: self.package_name,
            unique_id,
        }
    }
}

impl RawColumn {
    fn column(self) -> Column {
        // dbt 1.10 moved `meta` into `config` and keeps a copy.
        let config = self.config.as_ref().and_then(|config| config.get("meta"));
        let sensitive = |meta: &Value| meta.get("sensitive").and_then(Value::as_bool);
        Column {
            sensitive: self.meta.as_ref().and_then(sensitive).or_else(|| config.and_then(sensitive)),
            description: self.description.filter(|text| !text.trim().is_empty()),
            data_type: self.data_type,
        }
    }
}

/// A version as it is written: a number or a word.
fn version(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
