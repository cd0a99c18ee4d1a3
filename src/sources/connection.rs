//! The typed `connection` block of each source.

use std::path::PathBuf;

use serde::Deserialize;

use crate::secret::Secret;

/// `type: files`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesConnection {
    /// The folder that holds the tables.
    pub(super) path: PathBuf,
}

/// `type: sqlite`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqliteConnection {
    /// The database file.
    pub(super) path: PathBuf,
}

/// `type: postgres`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresConnection {
    /// `postgres://user:password@host:port/database`; the other keys win over what it says.
    pub(super) url: Option<Secret>,
    /// Host name, address or folder of a Unix socket; `localhost` unless given.
    pub(super) host: Option<String>,
    /// TCP port; 5432 unless given. What comes out of the environment is text.
    #[serde(default, deserialize_with = "port")]
    pub(super) port: Option<u16>,
    /// Role to connect as.
    pub(super) user: Option<String>,
    /// Password of the role.
    pub(super) password: Option<Secret>,
    /// Database; the user's name unless given.
    pub(super) database: Option<String>,
    /// How the connection is protected.
    pub(super) sslmode: Option<SslMode>,
    /// PEM file of certificate authorities to trust beside those of the system.
    pub(super) ca_file: Option<PathBuf>,
}

/// How a PostgreSQL connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can, without checking who it is: keeps out listeners, not impostors.
    #[default]
    Prefer,
    /// Encrypted, and the server's certificate is checked. Stricter than libpq's `require`, which checks nothing.
    Require,
    /// The same as `require`, by the name libpq has for it.
    VerifyFull,
}

fn port<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u16),
        Text(String),
    }
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Number(port)) => Ok(Some(port)),
        Some(Written::Text(text)) => text.parse().map(Some).map_err(|_| serde::de::Error::custom("not a port number")),
    }
}
