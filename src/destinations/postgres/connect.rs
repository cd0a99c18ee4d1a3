//! Reaching a server, by URL or by parts; the same keys mean the same as in a PostgreSQL source.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::config::SslMode as Negotiate;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{refusal, tls};
use crate::destinations::SendError;
use crate::secret::{Connection, Redactor, Secret};

/// How long connecting may take, from the name's look-up to the first answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `connection` of a PostgreSQL destination: `url`, or the parts, which win over what the URL says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: Option<Secret>,
    host: Option<String>,
    #[serde(default, deserialize_with = "port")]
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    sslmode: Option<SslMode>,
    ca_file: Option<PathBuf>,
}

/// What comes out of the environment is text.
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

/// How the connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted where the server can, without checking who it is: keeps out listeners, not impostors.
    #[default]
    #[serde(alias = "allow")]
    Prefer,
    /// Encrypted, and the server's certificate is checked: a password sent to an impostor is lost.
    #[serde(alias = "verify-ca", alias = "verify-full")]
    Require,
}

/// A server and how to reach it.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    redactor: Redactor,
}

impl Server {
    /// A server of a rendered connection; offline.
    pub fn new(connection: &Connection) -> Result<Self, String> {
        let settings: Settings = connection.typed()?;
        let in_url = settings.url.as_ref().map(from_url).transpose()?.unwrap_or_default();
        let mut config = match settings.host {
            Some(host) => {
                let mut config = without_host(&in_url.config);
                config.host(host);
                config
            }
            None => in_url.config,
        };
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if let Some(port) = settings.port {
            config.port(port);
        }
        if let Some(user) = &settings.user {
            config.user(user);
        }
        if let Some(password) = &settings.password {
            config.password(password.expose());
        }
        if let Some(database) = &settings.database {
            config.dbname(database);
        }
        if config.get_user().is_none() {
            return Err("connection.user is missing: name the role to connect as".into());
        }
        let mode = settings.sslmode.or(in_url.sslmode).unwrap_or_default();
        config.ssl_mode(match mode {
            SslMode::Disable => Negotiate::Disable,
            SslMode::Prefer => Negotiate::Prefer,
            SslMode::Require => Negotiate::Require,
        });
        config.application_name("syncline").connect_timeout(TIMEOUT).keepalives_idle(Duration::from_secs(60));
        let ca_file = settings.ca_file.or(in_url.ca_file);
        let tls = tls::connector(mode, ca_file.as_deref())?;
        let password = config.get_password().map(|p| Secret::new(String::from_utf8_lossy(p)));
        let redactor = Redactor::new(settings.url.into_iter().chain(password));
        Ok(Self { config, tls, redactor })
    }

    /// Opens a connection and sets the session: times in UTC, limits on waiting, commits that are durable.
    pub async fn connect(&self) -> Result<Client, SendError> {
        let connected = tokio::time::timeout(TIMEOUT, self.config.connect(self.tls.clone())).await.map_err(|_| {
            let message = format!("PostgreSQL: no answer within {} s", TIMEOUT.as_secs());
            SendError::Transient { message, retry_after: None }
        })?;
        let (client, connection) = connected.map_err(|e| self.clean(refusal::connecting(&e)))?;
        // Ends when the client is dropped; what goes wrong in it comes back from the client's calls.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let session = "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET bytea_output = 'hex';
            SET standard_conforming_strings = on; SET client_min_messages = 'error';
            SET statement_timeout = '10min'; SET lock_timeout = '1min';
            SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";
        client.batch_execute(session).await.map_err(|e| self.clean(refusal::before_commit(&e, &[])))?;
        Ok(client)
    }

    fn clean(&self, error: SendError) -> SendError {
        match error {
            SendError::Transient { message, retry_after } => {
                SendError::Transient { message: self.redactor.redact(&message), retry_after }
            }
            SendError::Fatal { message, help } => SendError::Fatal { message: self.redactor.redact(&message), help },
            other => other,
        }
    }
}

/// What a URL says.
#[derive(Default)]
struct InUrl {
    config: Config,
    sslmode: Option<SslMode>,
    ca_file: Option<PathBuf>,
}

/// Reads a URL; `sslmode` and `sslrootcert` are read here, for the driver does not know all that they say.
fn from_url(url: &Secret) -> Result<InUrl, String> {
    let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
    let (mut sslmode, mut ca_file, mut rest) = (None, None, Vec::new());
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", word)) => {
                let word = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(word);
                sslmode = Some(SslMode::deserialize(word).map_err(|_| {
                    "connection.url: `sslmode` is one of `disable`, `prefer`, `require`, `verify-full`".to_owned()
                })?);
            }
            Some(("sslrootcert", path)) => ca_file = Some(path.into()),
            _ => rest.push(parameter),
        }
    }
    let text = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    // The driver's message is left out: it may quote parts of the URL.
    let config = text.parse().map_err(|_| {
        "connection.url: not a PostgreSQL URL; expected `postgres://user:password@host:5432/database`, with special \
         characters of the password percent-encoded"
            .to_owned()
    })?;
    Ok(InUrl { config, sslmode, ca_file })
}

/// Everything of a configuration but its hosts, which can only be added to.
fn without_host(from: &Config) -> Config {
    let mut to = Config::new();
    from.get_user().map(|user| to.user(user));
    from.get_password().map(|password| to.password(password));
    from.get_dbname().map(|name| to.dbname(name));
    from.get_options().map(|options| to.options(options));
    to.channel_binding(from.get_channel_binding()).target_session_attrs(from.get_target_session_attrs());
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(json: serde_json::Value) -> Result<Server, String> {
        let serde_json::Value::Object(values) = json else { panic!("an object") };
        Server::new(&Connection::new(values, vec![]))
    }

    #[test]
    fn the_words_of_sslmode() {
        let cases = [
            (serde_json::json!({ "host": "db", "user": "u" }), Negotiate::Prefer),
            (
                serde_json::json!({ "host": "db", "user": "u", "port": "5433", "sslmode": "disable" }),
                Negotiate::Disable,
            ),
            (serde_json::json!({ "url": "postgres://u:p@db/d?sslmode=verify-full" }), Negotiate::Require),
            (serde_json::json!({ "url": "postgres://u@db/d?sslmode=require&connect_timeout=3" }), Negotiate::Require),
            (
                serde_json::json!({ "url": "postgres://u@db/d?sslmode=require", "sslmode": "disable" }),
                Negotiate::Disable,
            ),
        ];
        for (connection, expected) in cases {
            let server = server(connection.clone()).expect("a connection");
            assert_eq!(server.config.get_ssl_mode(), expected, "{connection}");
        }
    }

    #[test]
    fn the_parts_win_over_the_url() {
        let connection = serde_json::json!({ "url": "postgres://u:p@db/d", "host": "other", "database": "e" });
        let server = server(connection).expect("a connection");
        assert_eq!(server.config.get_hosts(), [tokio_postgres::config::Host::Tcp("other".into())]);
        assert_eq!((server.config.get_user(), server.config.get_dbname()), (Some("u"), Some("e")));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for connection in [
            serde_json::json!({ "url": "postgres://u:hunter22@h:notaport/d" }),
            serde_json::json!({ "url": "postgres://u:hunter22@h/d?sslmode=hunter22x" }),
            serde_json::json!({ "database": "d", "password": "hunter22" }),
            serde_json::json!({ "host": "h", "user": "u", "password": "hunter22", "sslmode": "require", "ca_file": "/nowhere.pem" }),
        ] {
            let message = server(connection.clone()).err().expect("a fault");
            assert!(message.starts_with("connection"), "{message}");
            assert!(!message.contains("hunter22") && !message.contains("notaport"), "{message}");
        }
    }
}
