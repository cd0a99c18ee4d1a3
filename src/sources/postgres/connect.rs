//! Connecting, with TLS by rustls.
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | never | |
//! | `prefer` (default) | where the server can | not checked: keeps out listeners, not impostors |
//! | `require`, `verify-full` | always | must be signed by an authority of the system or of `ca_file`, for this host |
//!
//! libpq's `require` checks nothing; ours does, because a password sent to an impostor is lost. In a `url`, the
//! parameters `sslmode` (also `verify-ca`, read as `verify-full`) and `sslrootcert` are taken as well.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::{Host, SslMode as Tls};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::explain;
use crate::diagnostic::{Error, Result};
use crate::secret::{Redactor, Secret};
use crate::sources::connection::{PostgresConnection, SslMode};

/// How long connecting may take, from the name's look-up to the first prompt.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server and how to connect to it.
pub(super) struct Server {
    config: Config,
    sslmode: SslMode,
    ca_file: Option<PathBuf>,
    redactors: [Redactor; 2],
}

impl Server {
    /// Puts the keys of a connection together; fails on a `url` that is none, without quoting it.
    pub(super) fn new(connection: &PostgresConnection, redactor: Redactor) -> Result<Self> {
        let (mut sslmode, mut ca_file) = (connection.sslmode, connection.ca_file.clone());
        let mut config = match &connection.url {
            None => Config::new(),
            Some(url) => {
                let (url, parameters) = split(url.expose());
                for (name, value) in parameters {
                    match (name.as_str(), value.as_str()) {
                        ("sslrootcert", _) => ca_file = ca_file.or(Some(value.into())),
                        (_, "disable") => sslmode = sslmode.or(Some(SslMode::Disable)),
                        (_, "allow" | "prefer") => sslmode = sslmode.or(Some(SslMode::Prefer)),
                        (_, "require") => sslmode = sslmode.or(Some(SslMode::Require)),
                        (_, "verify-ca" | "verify-full") => sslmode = sslmode.or(Some(SslMode::VerifyFull)),
                        _ => {
                            return Err(Error::failed_help(
                                "connection.url: `sslmode` is not known",
                                "it is one of `disable`, `prefer`, `require`, `verify-full`",
                            ));
                        }
                    }
                }
                url.parse().map_err(|_| {
                    Error::failed_help(
                        "connection.url is not a PostgreSQL URL",
                        "it looks like `postgres://user:password@host:5432/database`; special characters in the \
                         password are percent-encoded",
                    )
                })?
            }
        };
        if let Some(host) = &connection.host {
            let mut other = Config::new();
            copy(&config, &mut other);
            other.host(host);
            config = other;
        } else if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if let Some(port) = connection.port {
            config.port(port);
        }
        if let Some(user) = &connection.user {
            config.user(user);
        }
        if let Some(password) = &connection.password {
            config.password(password.expose());
        }
        if let Some(database) = &connection.database {
            config.dbname(database);
        }
        if config.get_user().is_none() {
            return Err(Error::failed_help("connection.user is missing", "name the role to connect as"));
        }
        let sslmode = sslmode.unwrap_or_default();
        config.application_name("syncline").keepalives_idle(Duration::from_secs(60)).ssl_mode(match sslmode {
            SslMode::Disable => Tls::Disable,
            SslMode::Prefer => Tls::Prefer,
            SslMode::Require | SslMode::VerifyFull => Tls::Require,
        });
        let password = config.get_password().map(|p| Secret::new(String::from_utf8_lossy(p)));
        Ok(Self { config, sslmode, ca_file, redactors: [redactor, Redactor::new(password)] })
    }

    /// The server as messages name it.
    pub(super) fn name(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => self.config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("postgres at {host}:{port}")
    }

    /// The error without any secret of the connection.
    pub(super) fn redact(&self, error: Error) -> Error {
        let redact = |text: &str| self.redactors.iter().fold(text.to_owned(), |text, r| r.redact(&text));
        match error {
            Error::Failed { message, help } => {
                Error::Failed { message: redact(&message), help: help.as_deref().map(redact) }
            }
            other => other,
        }
    }

    /// Connects; the connection itself runs as a task of the current runtime.
    pub(super) async fn connect(&self) -> Result<Client> {
        let failed = |error| self.redact(error).context(self.name());
        let timeout = |_| {
            let what = format!("no answer within {} s", TIMEOUT.as_secs());
            failed(Error::failed_help(what, "check `host`, `port`, the network and the firewall"))
        };
        let explain = |e: tokio_postgres::Error| failed(explain::connecting(&e));
        // Errors of the task reach the client as a closed connection, which is where they are told.
        if self.sslmode == SslMode::Disable {
            let connecting = tokio::time::timeout(TIMEOUT, self.config.connect(NoTls));
            let (client, connection) = connecting.await.map_err(timeout)?.map_err(explain)?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let tls = MakeRustlsConnect::new(self.tls().map_err(failed)?);
        let connecting = tokio::time::timeout(TIMEOUT, self.config.connect(tls));
        let (client, connection) = connecting.await.map_err(timeout)?.map_err(explain)?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn tls(&self) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::failed(format!("TLS cannot be used: {e}")))?;
        if self.sslmode == SslMode::Prefer {
            let unchecked = Arc::new(Unchecked(provider));
            return Ok(builder.dangerous().with_custom_certificate_verifier(unchecked).with_no_client_auth());
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &self.ca_file {
            let fault = |what: String| {
                Error::failed_help(
                    format!("cannot use `ca_file` `{}`: {what}", path.display()),
                    "it holds the certificate of an authority in PEM form",
                )
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|e| fault(e.to_string()))?;
            let mut found = false;
            for certificate in certificates {
                let certificate = certificate.map_err(|e| fault(e.to_string()))?;
                roots.add(certificate).map_err(|e| fault(e.to_string()))?;
                found = true;
            }
            if !found {
                return Err(fault("there is no certificate in it".into()));
            }
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// The URL without the parameters that are ours to read, and these.
fn split(url: &str) -> (String, Vec<(String, String)>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), Vec::new()) };
    let (mut own, mut rest) = (Vec::new(), Vec::new());
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some((name @ ("sslmode" | "sslrootcert"), value)) => own.push((name.to_owned(), value.to_owned())),
            _ => rest.push(parameter),
        }
    }
    let rest = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    (format!("{base}{rest}"), own)
}

/// Everything of a configuration but its hosts, which can only be added to.
fn copy(from: &Config, to: &mut Config) {
    from.get_user().map(|user| to.user(user));
    from.get_password().map(|password| to.password(password));
    from.get_dbname().map(|name| to.dbname(name));
    from.get_options().map(|options| to.options(options));
    to.channel_binding(from.get_channel_binding()).target_session_attrs(from.get_target_session_attrs());
}

/// Takes any certificate, as `sslmode: prefer` promises no more than encryption; signatures are still checked.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
