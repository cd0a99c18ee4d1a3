//! Reaching a server: by URL or by parts, with TLS that is always verified where it is used.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio_postgres::config::{Host, SslMode as Negotiate};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::refusal;
use crate::destinations::SendError;
use crate::secret::{Connection, Redactor, Secret};

/// `connection` of a PostgreSQL destination: `url`, or the parts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: Option<Secret>,
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    sslmode: Option<SslMode>,
    ca_file: Option<PathBuf>,
}

/// Whether TLS is used. The certificate is verified in every mode that uses TLS: encryption to nobody in particular
/// protects nothing.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
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
        let (mut config, mode_in_url) = match &settings.url {
            Some(url) => from_url(url)?,
            None => (Config::new(), None),
        };
        if let Some(host) = &settings.host {
            config.host(host);
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
        if config.get_hosts().is_empty() {
            return Err("connection: give `url`, or at least `host`".into());
        }
        let mode = settings.sslmode.or(mode_in_url);
        config.ssl_mode(match mode {
            Some(SslMode::Disable) => Negotiate::Disable,
            Some(SslMode::Allow | SslMode::Prefer) => Negotiate::Prefer,
            Some(SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => Negotiate::Require,
            None if is_local(&config) => Negotiate::Disable,
            None => Negotiate::Require,
        });
        config.application_name("syncline").connect_timeout(Duration::from_secs(10));
        config.keepalives_idle(Duration::from_secs(60));
        let mut redactor_secrets: Vec<Secret> = Vec::new();
        redactor_secrets.extend(settings.url);
        redactor_secrets.extend(settings.password);
        if let Some(password) = config.get_password() {
            redactor_secrets.push(Secret::new(String::from_utf8_lossy(password)));
        }
        Ok(Self { config, tls: tls(settings.ca_file.as_ref())?, redactor: Redactor::new(redactor_secrets) })
    }

    /// Opens a connection and sets the session: times in UTC, limits on waiting, commits that are durable.
    pub async fn connect(&self) -> Result<Client, SendError> {
        let connected = self.config.connect(self.tls.clone()).await;
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

/// The URL without its `sslmode`, whose stricter words the driver does not know.
fn from_url(url: &Secret) -> Result<(Config, Option<SslMode>), String> {
    let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
    let (mode, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|part| !part.is_empty()).partition(|part| part.starts_with("sslmode="));
    let mode = match mode.last().map(|part| part.trim_start_matches("sslmode=")) {
        None => None,
        Some(word) => Some(
            SslMode::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(word))
                .map_err(|e| format!("connection.url: sslmode: {e}"))?,
        ),
    };
    let text = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    // The driver's message is left out: it may quote parts of the URL.
    let config = text.parse().map_err(|_| {
        "connection.url: not a PostgreSQL URL; expected `postgres://user:password@host:port/database`".to_owned()
    })?;
    Ok((config, mode))
}

/// True when no host leaves this machine, so that there is nobody to listen.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

fn tls(ca_file: Option<&PathBuf>) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unreadable = |e: &dyn std::fmt::Display| format!("connection.ca_file: {}: {e}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|e| unreadable(&e))? {
                let certificate = certificate.map_err(|e| unreadable(&e))?;
                roots.add(certificate).map_err(|e| unreadable(&e))?;
            }
            if roots.is_empty() {
                return Err(unreadable(&"holds no certificate"));
            }
        }
        // Certificates of the system that cannot be read are left out, as every other client does.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(json: serde_json::Value) -> Result<Server, String> {
        let serde_json::Value::Object(values) = json else { panic!("an object") };
        Server::new(&Connection::new(values, vec![]))
    }

    #[test]
    fn tls_is_left_out_only_where_nobody_can_listen_or_by_word() {
        let cases = [
            (serde_json::json!({ "host": "localhost" }), Negotiate::Disable),
            (serde_json::json!({ "host": "/var/run/postgresql" }), Negotiate::Disable),
            (serde_json::json!({ "host": "db.example.com" }), Negotiate::Require),
            (serde_json::json!({ "host": "db.example.com", "sslmode": "disable" }), Negotiate::Disable),
            (serde_json::json!({ "url": "postgres://u:p@db.example.com/d" }), Negotiate::Require),
            (serde_json::json!({ "url": "postgres://u@localhost/d?sslmode=verify-full" }), Negotiate::Require),
            (serde_json::json!({ "url": "postgres://u@db/d?sslmode=prefer&connect_timeout=3" }), Negotiate::Prefer),
        ];
        for (connection, expected) in cases {
            let server = server(connection.clone()).expect("a connection");
            assert_eq!(server.config.get_ssl_mode(), expected, "{connection}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for connection in [
            serde_json::json!({ "url": "postgres://u:hunter22@h:notaport/d" }),
            serde_json::json!({ "url": "postgres://u:hunter22@h/d?sslmode=hunter22x" }),
            serde_json::json!({ "database": "d", "password": "hunter22" }),
            serde_json::json!({ "host": "h", "password": "hunter22", "ca_file": "/nowhere.pem" }),
        ] {
            let message = server(connection.clone()).err().expect("a fault");
            assert!(message.starts_with("connection"), "{message}");
            assert!(!message.contains("hunter22@") && !message.contains("notaport"), "{message}");
        }
    }
}
