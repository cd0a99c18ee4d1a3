//! Reaching a PostgreSQL server: the same for sources and destinations.
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | never | |
//! | `prefer` (default) | where the server offers it | not checked: keeps out listeners, not impostors |
//! | `require`, `verify-full` | always | must be signed by an authority of the system or of `ca_file`, for this host |
//!
//! libpq's `require` checks nothing; ours does, because a password sent to an impostor is lost. Who names a `ca_file`
//! wants it checked: `prefer` becomes `require`. A Unix socket does not leave the machine and has no TLS. In a `url`,
//! the parameters `sslmode` (also `allow`, read as `prefer`, and `verify-ca`, read as `verify-full`) and `sslrootcert`
//! mean the keys.

pub mod account;
mod failure;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode as Negotiate};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

pub use failure::cause;

use crate::diagnostic::{Error, Result};
use crate::login::{self, Failure, TIMEOUT};
use crate::manifest::connection::{ServerConnection, SslMode};
use crate::secret::{Connection, Redactor, Secret};

/// A server and how to reach it.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    redactor: Redactor,
    /// What messages call it.
    kind: &'static str,
}

impl Server {
    /// The server of a connection; offline. `redactor` knows the secrets that were put into the connection.
    ///
    /// # Errors
    /// A `url` that is none (it is not quoted), parts beside a `url`, a role that is missing, a `ca_file` that cannot be
    /// used.
    pub fn new(connection: &ServerConnection, redactor: &Redactor) -> Result<Self> {
        let InUrl { mut config, sslmode, ca_file } = match &connection.url {
            Some(url) => {
                login::beside_url(connection)?;
                from_url(url)?
            }
            None => InUrl { config: from_parts(connection), sslmode: None, ca_file: None },
        };
        if config.get_hosts().is_empty() {
            // The address is then the name that the certificate is checked for.
            let addresses: Vec<String> = config.get_hostaddrs().iter().map(ToString::to_string).collect();
            if addresses.is_empty() {
                config.host("localhost");
            }
            for address in &addresses {
                config.host(address);
            }
        }
        if config.get_user().is_none() {
            return Err(Error::failed_help("connection.user is missing", "name the role to connect as"));
        }
        let ca_file = connection.ca_file.as_ref().map(PathBuf::from).or(ca_file);
        let mode = login::settled(connection.sslmode.or(sslmode).unwrap_or_default(), ca_file.as_deref())?;
        let local = config.get_hosts().iter().all(|host| !matches!(host, Host::Tcp(_)));
        config.application_name("syncline").keepalives_idle(Duration::from_secs(60)).ssl_mode(match mode {
            _ if local => Negotiate::Disable,
            SslMode::Disable => Negotiate::Disable,
            SslMode::Prefer => Negotiate::Prefer,
            SslMode::Require | SslMode::VerifyFull => Negotiate::Require,
        });
        let checked = matches!(mode, SslMode::Require | SslMode::VerifyFull);
        let tls = tls::connector(checked, ca_file.as_deref())?;
        let password = config.get_password().map(|p| Secret::new(String::from_utf8_lossy(p)));
        let redactor = redactor.with(connection.url.clone().into_iter().chain(password));
        Ok(Self { config, tls, redactor, kind: "postgres" })
    }

    /// The server of a connection, if it may lead there; offline.
    ///
    /// # Errors
    /// As for [`Server::new`], a connection of another shape, and a host that the project does not allow.
    pub fn of(connection: &Connection) -> Result<Self> {
        Self::of_port(connection, None)
    }

    /// The same, with another port where the connection has none beside its `host`.
    ///
    /// # Errors
    /// As for [`Server::of`].
    pub fn of_port(connection: &Connection, port: Option<u16>) -> Result<Self> {
        let mut parts: ServerConnection = connection.typed()?;
        if parts.url.is_none() {
            parts.port = parts.port.or(port);
        }
        let server = Self::new(&parts, &connection.redactor())?;
        for host in server.config.get_hosts() {
            // A socket does not leave this machine.
            if let Host::Tcp(host) = host {
                connection.permit(host)?;
            }
        }
        // They are what is connected to, whatever the names are.
        server.config.get_hostaddrs().iter().try_for_each(|address| connection.permit(&address.to_string()))?;
        Ok(server)
    }

    /// The server as messages name it: `postgres at db.example.com:5432`.
    pub fn name(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("{} at {host}:{port}", self.kind)
    }

    /// The same server under another name: one that speaks PostgreSQL's protocol and is none.
    pub fn called(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// The text without any secret of the connection.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// Opens a connection, which runs as a task of the current runtime until the client is dropped.
    ///
    /// # Errors
    /// What kept from connecting: the server is named, and no secret is in it.
    pub async fn connect(&self) -> Result<Client, Failure> {
        self.connect_to_any().await.map(|(client, _)| client)
    }

    /// The same, and whether the text of the database may be any bytes: the encoding `SQL_ASCII` checks nothing.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub async fn connect_to_any(&self) -> Result<(Client, bool), Failure> {
        let limit = self.config.get_connect_timeout().copied().unwrap_or(TIMEOUT);
        let failure = match tokio::time::timeout(limit, self.config.connect(self.tls.clone())).await {
            Ok(Ok((client, connection))) => {
                let any_bytes = connection.parameter("server_encoding") == Some("SQL_ASCII");
                // What goes wrong in the task reaches the client as a closed connection, which is where it is told.
                tokio::spawn(connection);
                return Ok((client, any_bytes));
            }
            Ok(Err(error)) => failure::failure(&error),
            Err(_) => Failure::timeout(limit),
        };
        Err(Failure { message: format!("{}: {}", self.name(), self.redact(&failure.message)), ..failure })
    }
}

/// What a URL says.
struct InUrl {
    config: Config,
    sslmode: Option<SslMode>,
    ca_file: Option<PathBuf>,
}

/// Reads a URL; `sslmode` and `sslrootcert` are read here, for the driver does not know all that they say.
fn from_url(url: &Secret) -> Result<InUrl> {
    let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
    let (mut sslmode, mut ca_file, mut rest) = (None, None, Vec::new());
    for parameter in query.split('&').filter(|p| !p.is_empty()) {
        match parameter.split_once('=') {
            Some(("sslmode", word)) => sslmode = Some(login::sslmode(word)?),
            Some(("sslrootcert", path)) => ca_file = Some(path.into()),
            _ => rest.push(parameter),
        }
    }
    let text = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    // The driver's message is left out: it may quote parts of the URL.
    let config = text.parse().map_err(|_| {
        Error::failed_help(
            "connection.url is not a PostgreSQL URL",
            "it looks like `postgres://user:password@host:5432/database`; special characters in the password are \
             percent-encoded",
        )
    })?;
    Ok(InUrl { config, sslmode, ca_file })
}

fn from_parts(connection: &ServerConnection) -> Config {
    let mut config = Config::new();
    connection.host.as_ref().map(|host| config.host(host));
    connection.port.map(|port| config.port(port));
    connection.user.as_ref().map(|user| config.user(user));
    connection.password.as_ref().map(|password| config.password(password.expose()));
    connection.database.as_ref().map(|database| config.dbname(database));
    config
}

#[cfg(test)]
mod tests;
