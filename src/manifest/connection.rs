//! What stands in `connection`, by type. Sources and destinations take these typed forms once everything is rendered.

mod bigquery;
mod warehouse;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::secret::Secret;
pub use bigquery::{BigqueryAuthenticator, BigqueryConnection};
pub use warehouse::{
    AdbcConnection, Authenticator, DatabricksConnection, DuckdbConnection, Protocol, Quotes, Setting,
    SnowflakeConnection, SparkConnection,
};

/// A folder of data files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesConnection {
    /// The folder: relative to the project, or absolute.
    #[schemars(length(min = 1))]
    pub path: String,
}

/// A SQLite database file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteConnection {
    /// The database file: relative to the project, or absolute.
    #[schemars(length(min = 1))]
    pub path: String,
}

/// A database server, PostgreSQL, Redshift, MySQL or MariaDB: one `url`, or its parts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerConnection {
    /// The whole address, `postgres://user@host:5432/database` or `mysql://user@host:3306/database`. A password in it must
    /// come from outside.
    #[schemars(with = "Option<String>")]
    pub url: Option<Secret>,
    /// Name or address of the server.
    pub host: Option<String>,
    /// Port of the server; when absent 5432, for Redshift 5439, for MySQL 3306.
    #[serde(default, deserialize_with = "number_or_text")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The role or user to log in as.
    pub user: Option<String>,
    /// Its password. Never written here: `{{ env.NAME }}` or `{{ file('path') }}`.
    pub password: Option<Secret>,
    /// Name of the database; in PostgreSQL the same as the role when absent.
    pub database: Option<String>,
    /// Whether the connection is encrypted and what is checked; `prefer` when absent, `require` with a `ca_file`.
    pub sslmode: Option<SslMode>,
    /// A PEM file of certificate authorities to trust beside the system's own: relative to the project, or absolute.
    /// The server's certificate is then always checked.
    pub ca_file: Option<String>,
}

/// Whether a connection is encrypted and what is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server offers it; who the server is, is not checked.
    #[default]
    Prefer,
    /// Always encrypted; certificate and host name are checked, unlike in `libpq`.
    Require,
    /// The same, by the name `libpq` has for it.
    VerifyFull,
}

impl SslMode {
    /// The word in manifests, the same as in `libpq`.
    pub fn word(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// What comes from the environment is text: `port: "{{ env.PGPORT }}"` is a number all the same.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u16),
        Text(String),
    }
    match Option::<Form>::deserialize(deserializer)
        .map_err(|_| serde::de::Error::custom("expected a number from 1 to 65535"))?
    {
        None => Ok(None),
        Some(Form::Number(port)) => Ok(Some(port)),
        Some(Form::Text(text)) => match text.trim().parse() {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(serde::de::Error::custom("expected a number from 1 to 65535")),
        },
    }
}
