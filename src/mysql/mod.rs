//! Reaching a MySQL or MariaDB server: the same for sources and destinations.
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | never | |
//! | `prefer` (default) | where the server offers it | not checked: keeps out listeners, not impostors |
//! | `require`, `verify-full` | always | must be signed by an authority of the system or of `ca_file`, for this host |
//!
//! Who names a `ca_file` wants it checked: `prefer` becomes `require`. A Unix socket (a `host` that begins with `/`) does
//! not leave the machine and has no TLS. In a `url`, the parameters `sslmode` and `ssl-mode` (with MySQL's words, too),
//! `sslrootcert` and `ssl-ca` mean the keys.
//!
//! A session speaks `utf8mb4` and is in UTC, whatever the server's own settings are. The server may not ask for files of
//! this machine (`load data local`): the driver has no handler that would give it one.

pub mod account;
mod failure;

use std::path::PathBuf;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error as Fault, Opts, OptsBuilder, SslOpts};

pub use failure::{is_lost, said};

use crate::diagnostic::{Error, Result};
use crate::login::{self, Failure, TIMEOUT};
use crate::manifest::connection::{ServerConnection, SslMode};
use crate::secret::{Connection, Redactor, Secret};
use crate::tls;

/// Where a server listens unless told otherwise.
const PORT: u16 = 3306;

/// What every session begins with: a server may be set to ignore the character set a client asks for, and have any zone.
const SESSION: [&str; 2] = ["set names utf8mb4", "set session time_zone = '+00:00'"];

/// A server and how to reach it.
#[derive(Clone)]
pub struct Server {
    /// Without TLS.
    options: OptsBuilder,
    /// `None` where it is never encrypted.
    tls: Option<SslOpts>,
    /// Whether a server without TLS will do.
    clear: bool,
    host: String,
    port: u16,
    redactor: Redactor,
}

/// A name as the server takes it literally.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl Server {
    /// The server of a connection; offline. `redactor` knows the secrets that were put into the connection.
    ///
    /// # Errors
    /// A `url` that is none (it is not quoted), parts beside a `url`, a user that is missing, a `ca_file` that cannot be
    /// used.
    pub fn new(connection: &ServerConnection, redactor: &Redactor) -> Result<Self> {
        login::beside_url(connection)?;
        let parts = match &connection.url {
            Some(url) => Parts::of_url(url)?,
            None => Parts::of_keys(connection),
        };
        let Some(user) = parts.user.filter(|user| !user.is_empty()) else {
            return Err(Error::failed_help("connection.user is missing", "name the user to log in as"));
        };
        let ca_file = connection.ca_file.as_ref().map(PathBuf::from).or(parts.ca_file);
        let mode = connection.sslmode.or(parts.sslmode).unwrap_or_default();
        let mode = login::settled(mode, ca_file.as_deref())?;
        let (host, port) = (parts.host.unwrap_or_else(|| "localhost".into()), parts.port.unwrap_or(PORT));
        let local = host.starts_with('/');
        let checked = matches!(mode, SslMode::Require | SslMode::VerifyFull);
        let encrypted = mode != SslMode::Disable && !local;
        let tls = match (encrypted, checked) {
            (false, _) => None,
            (true, false) => Some(SslOpts::default().with_danger_accept_invalid_certs(true)),
            (true, true) => {
                let authorities = tls::authorities(ca_file.as_deref())?;
                let authorities = authorities.into_iter().map(|c| c.to_vec().into()).collect();
                Some(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(authorities))
            }
        };
        let options = OptsBuilder::default()
            .user(Some(user))
            .pass(parts.password.as_ref().map(|password| password.expose().to_owned()))
            .db_name(parts.database)
            .tcp_keepalive(Some(Duration::from_secs(60)))
            // A server names its socket: what is connected to is what the connection says, and nothing else.
            .prefer_socket(false);
        let options = if local {
            options.socket(Some(host.clone()))
        } else {
            options.ip_or_hostname(host.clone()).tcp_port(port)
        };
        let redactor = redactor.with(connection.url.clone().into_iter().chain(parts.password));
        Ok(Self { options, tls, clear: mode == SslMode::Prefer, host, port, redactor })
    }

    /// The server of a connection, if it may lead there; offline.
    ///
    /// # Errors
    /// As for [`Server::new`], a connection of another shape, and a host that the project does not allow.
    pub fn of(connection: &Connection) -> Result<Self> {
        let server = Self::new(&connection.typed()?, &connection.redactor())?;
        if !server.host.starts_with('/') {
            connection.permit(&server.host)?;
        }
        Ok(server)
    }

    /// The server as messages name it: `mysql at db.example.com:3306`.
    pub fn name(&self) -> String {
        match self.host.starts_with('/') {
            true => format!("mysql at {}", self.host),
            false => format!("mysql at {}:{}", self.host, self.port),
        }
    }

    /// The text without any secret of the connection.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// Opens a connection, whose session speaks `utf8mb4` and is in UTC.
    ///
    /// # Errors
    /// What kept from connecting: the server is named, and no secret is in it.
    pub async fn connect(&self) -> Result<Conn, Failure> {
        let failure = match tokio::time::timeout(TIMEOUT, self.open()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => failure::failure(&error),
            Err(_) => Failure::timeout(TIMEOUT),
        };
        Err(Failure { message: format!("{}: {}", self.name(), self.redact(&failure.message)), ..failure })
    }

    async fn open(&self) -> Result<Conn, Fault> {
        let options = |tls: Option<SslOpts>| Opts::from(self.options.clone().ssl_opts(tls));
        let mut connection = match Conn::new(options(self.tls.clone())).await {
            Err(Fault::Driver(DriverError::NoClientSslFlagFromServer)) if self.clear => {
                Conn::new(options(None)).await?
            }
            opened => opened?,
        };
        for statement in SESSION {
            connection.query_drop(statement).await?;
        }
        Ok(connection)
    }
}

/// What a connection says, in a `url` or in its parts.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    sslmode: Option<SslMode>,
    ca_file: Option<PathBuf>,
}

impl Parts {
    fn of_keys(connection: &ServerConnection) -> Self {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            host: given(&connection.host),
            port: connection.port,
            user: given(&connection.user),
            password: connection.password.clone(),
            database: given(&connection.database),
            ..Self::default()
        }
    }

    fn of_url(url: &Secret) -> Result<Self> {
        let (base, query) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
        // MariaDB's own clients write it so; the driver knows the one name.
        let base = base.strip_prefix("mariadb://").map_or(base.to_owned(), |rest| format!("mysql://{rest}"));
        // The driver's message is left out: it may quote parts of the URL.
        let options = Opts::from_url(&base).map_err(|_| {
            Error::failed_help(
                "connection.url is not a MySQL URL",
                "it looks like `mysql://user:password@host:3306/database`; special characters in the password are \
                 percent-encoded",
            )
        })?;
        // An address of version 6 is in brackets in a URL alone.
        let host = options.ip_or_hostname().trim_start_matches('[').trim_end_matches(']').to_owned();
        let mut parts = Self {
            host: Some(host),
            port: Some(options.tcp_port()),
            user: options.user().map(str::to_owned),
            password: options.pass().map(Secret::new),
            database: options.db_name().filter(|name| !name.is_empty()).map(str::to_owned),
            ..Self::default()
        };
        for parameter in query.split('&').filter(|p| !p.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode" | "ssl-mode", word)) => parts.sslmode = Some(login::sslmode(word)?),
                Some(("sslrootcert" | "ssl-ca", path)) => parts.ca_file = Some(path.into()),
                _ => {
                    return Err(Error::failed_help(
                        "connection.url has a parameter that is not known",
                        "the parameters are `sslmode` and `sslrootcert`",
                    ));
                }
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests;
