//! What stands in `connection` of a warehouse.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::number_or_text;
use crate::secret::Secret;

/// A DuckDB database file, through DuckDB's own library as ADBC driver.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuckdbConnection {
    /// The database file: relative to the project, or absolute. Without it the database is empty and in memory, for SQL
    /// that reads files itself.
    #[schemars(length(min = 1))]
    pub path: Option<String>,
    /// The driver: its name, or the path of its library or manifest; found by the name `duckdb` when absent.
    pub driver: Option<String>,
    /// Settings of DuckDB by name, such as `memory_limit` or `threads`.
    #[serde(default)]
    pub options: BTreeMap<String, Setting>,
}

/// A Snowflake account.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnowflakeConnection {
    /// Identifier of the account, `organisation-account`.
    #[schemars(length(min = 1))]
    pub account: String,
    /// The user to log in as.
    pub user: Option<String>,
    /// The user's password. Never written here: `{{ env.NAME }}` or `{{ file('path') }}`.
    pub password: Option<Secret>,
    /// The user's private key in PEM (PKCS#8). Never written here: `{{ file('key.p8') }}`.
    pub private_key: Option<Secret>,
    /// What the private key is encrypted with. Never written here.
    pub private_key_passphrase: Option<Secret>,
    /// A programmatic access token or an OAuth token. Never written here.
    pub token: Option<Secret>,
    /// How to log in; by what is given (`private_key`, `token`, `password`) when absent.
    pub authenticator: Option<Authenticator>,
    /// The role to take; the user's own when absent.
    pub role: Option<String>,
    /// The warehouse that computes; the user's own when absent.
    pub warehouse: Option<String>,
    /// The database that names without one are looked up in.
    pub database: Option<String>,
    /// The schema that names without one are looked up in.
    pub schema: Option<String>,
    /// The server, where it is not the account's own: a private link, an emulator.
    pub host: Option<String>,
    /// Port of that server; 443 when absent.
    #[serde(default, deserialize_with = "number_or_text")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// How that server is spoken to; `https` when absent.
    pub protocol: Option<Protocol>,
    /// The driver: its name, or the path of its library or manifest; found by the name `snowflake` when absent.
    pub driver: Option<String>,
    /// Further options of the driver by name (`adbc.snowflake.…`).
    #[serde(default)]
    pub options: BTreeMap<String, Setting>,
}

/// How to log in to Snowflake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authenticator {
    /// With `user` and `password`.
    Password,
    /// With `user` and `private_key`.
    KeyPair,
    /// With an OAuth access token in `token`.
    Oauth,
    /// With `user` and a programmatic access token in `token`.
    AccessToken,
    /// In a browser on this machine: for people, refused in CI.
    ExternalBrowser,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Encrypted.
    Https,
    /// In clear text: for emulators on this machine.
    Http,
}

/// A Databricks SQL warehouse or cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabricksConnection {
    /// Name of the workspace's server, `dbc-a1b2345c-d6e7.cloud.databricks.com`.
    #[schemars(length(min = 1))]
    pub host: String,
    /// Port of the server; 443 when absent.
    #[serde(default, deserialize_with = "number_or_text")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// HTTP path of the warehouse or cluster, `/sql/1.0/warehouses/abc123def456`.
    #[schemars(length(min = 1))]
    pub http_path: String,
    /// A personal access token. Never written here: `{{ env.NAME }}` or `{{ file('path') }}`.
    pub token: Option<Secret>,
    /// Application id of a service principal, instead of `token`.
    pub client_id: Option<String>,
    /// The service principal's OAuth secret. Never written here.
    pub client_secret: Option<Secret>,
    /// The catalog that names without one are looked up in.
    pub catalog: Option<String>,
    /// The schema that names without one are looked up in.
    pub schema: Option<String>,
    /// The driver: its name, or the path of its library or manifest; found by the name `databricks` when absent.
    pub driver: Option<String>,
    /// Further options of the driver by name.
    #[serde(default)]
    pub options: BTreeMap<String, Setting>,
}

/// An Apache Spark cluster, by its Spark Connect server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SparkConnection {
    /// Name or address of the Spark Connect server.
    #[schemars(length(min = 1))]
    pub host: String,
    /// Port of the server; 15002 when absent.
    #[serde(default, deserialize_with = "number_or_text")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The user the session is for.
    pub user: Option<String>,
    /// A bearer token; with it the connection is always encrypted. Never written here.
    pub token: Option<Secret>,
    /// Whether the connection is encrypted; only with a `token` when absent.
    pub tls: Option<bool>,
    /// The driver: its name, or the path of its library or manifest; found by the name `spark` when absent.
    pub driver: Option<String>,
    /// Further options of the driver by name (`adbc.spark.…`).
    #[serde(default)]
    pub options: BTreeMap<String, Setting>,
}

/// Any system an ADBC driver reaches.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdbcConnection {
    /// The driver: its name (`flightsql`), or the path of its library or manifest.
    #[schemars(length(min = 1))]
    pub driver: String,
    /// Name of the function the driver starts with, where its library has an unusual one.
    pub entrypoint: Option<String>,
    /// The address, in the driver's own form. A password in it must come from outside.
    #[schemars(with = "Option<String>")]
    pub uri: Option<Secret>,
    /// The user to log in as.
    pub user: Option<String>,
    /// The user's password. Never written here: `{{ env.NAME }}` or `{{ file('path') }}`.
    pub password: Option<Secret>,
    /// Further options of the driver by name.
    #[serde(default)]
    pub options: BTreeMap<String, Setting>,
    /// How the system quotes names; `double` when absent.
    pub quotes: Option<Quotes>,
}

/// How a system quotes names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quotes {
    /// `"name"`, as the standard has it.
    Double,
    /// `` `name` ``, as MySQL and Spark have it.
    Backticks,
}

/// An option of a driver: text, a number or a boolean. It may be a credential, so it cannot be printed.
#[derive(Clone)]
pub struct Setting(String);

impl Setting {
    /// The option as the driver takes it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[setting]")
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Bool(truth) => Ok(Self(truth.to_string())),
            Value::Number(number) => Ok(Self(number.to_string())),
            _ => Err(serde::de::Error::custom("expected a text, a number or a boolean")),
        }
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Setting".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let schema = json!({ "type": ["string", "number", "boolean"], "description": "An option of the driver." });
        schema.try_into().unwrap_or_default()
    }
}
