//! Logging in to a database server, whichever it is: what a connection says of it, what keeps from it, and what the
//! server says of the account.

use std::error::Error as Cause;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::diagnostic::{Error, Result};
use crate::manifest::connection::{ServerConnection, SslMode};

/// How long connecting may take, from the name's look-up to the first answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The account of a connection, as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub role: String,
    /// When its password ends, if it does.
    pub expires: Option<Timestamp>,
    /// The statement that renews it; empty where it never ends.
    pub renewal: String,
    /// Seconds the server's clock is ahead of ours; negative when it is behind.
    pub clock_ahead: i64,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub message: String,
    /// What to do.
    pub help: &'static str,
    /// True when the same connection may work a little later.
    pub transient: bool,
}

impl Failure {
    /// No answer in time.
    pub fn timeout(limit: Duration) -> Self {
        Self {
            message: format!("no answer within {} s", limit.as_secs()),
            help: "check `host`, `port`, the network and the firewall",
            transient: true,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::failed_help(failure.message, failure.help)
    }
}

/// The innermost cause of an error: the outer ones only say that there is one.
pub fn cause(error: &(dyn Cause + 'static)) -> String {
    let mut inner = error;
    while let Some(error) = inner.source() {
        inner = error;
    }
    inner.to_string()
}

/// What kind of error the system reports within an error, if it does.
pub fn io_kind(error: &(dyn Cause + 'static)) -> Option<io::ErrorKind> {
    let mut inner = Some(error);
    while let Some(error) = inner {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        inner = error.source();
    }
    None
}

/// What to do about what the network or the server's certificate keeps from, and whether it may pass; `cause` is the
/// innermost cause.
pub fn network(error: &(dyn Cause + 'static), cause: &str) -> Option<(&'static str, bool)> {
    match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => Some(("check `host` and `port`: nothing listens there", true)),
        _ if cause.contains("certificate") => Some((
            "name the authority that signed the server's certificate in `ca_file`, and the host as in the certificate",
            false,
        )),
        _ if cause.contains("lookup") || cause.contains("resolve") => {
            Some(("check `host`: the name is not known", true))
        }
        _ => None,
    }
}

/// Refuses parts that stand beside a URL: nobody could tell which of them counts.
///
/// # Errors
/// There is a `url`, and one of the parts.
pub fn beside_url(connection: &ServerConnection) -> Result<()> {
    let parts = [
        ("host", connection.host.is_some()),
        ("port", connection.port.is_some()),
        ("user", connection.user.is_some()),
        ("password", connection.password.is_some()),
        ("database", connection.database.is_some()),
    ];
    match parts.iter().find(|(_, given)| *given && connection.url.is_some()) {
        None => Ok(()),
        Some((part, _)) => Err(Error::failed_help(
            format!("connection: `url` and `{part}` exclude each other"),
            "give the whole `url`, or its parts",
        )),
    }
}

/// The `sslmode` of a URL.
///
/// # Errors
/// A word that is none; it is not quoted, for it is a piece of the URL.
pub fn sslmode(word: &str) -> Result<SslMode> {
    match word.to_ascii_lowercase().as_str() {
        "disable" | "disabled" => Ok(SslMode::Disable),
        "allow" | "prefer" | "preferred" => Ok(SslMode::Prefer),
        "require" | "required" => Ok(SslMode::Require),
        "verify-ca" | "verify-full" | "verify_ca" | "verify_identity" => Ok(SslMode::VerifyFull),
        _ => Err(Error::failed_help(
            "connection.url: `sslmode` is not known",
            "it is one of `disable`, `prefer`, `require`, `verify-full`",
        )),
    }
}

/// What holds of an `sslmode` and a `ca_file` together: who names an authority wants it checked.
///
/// # Errors
/// Both, and no encryption.
pub fn settled(mode: SslMode, ca_file: Option<&Path>) -> Result<SslMode> {
    match (mode, ca_file) {
        (SslMode::Disable, Some(_)) => {
            let message = "connection: `sslmode: disable` and `ca_file` exclude each other";
            Err(Error::failed_help(message, "remove one of them"))
        }
        (SslMode::Prefer, Some(_)) => Ok(SslMode::Require),
        (mode, _) => Ok(mode),
    }
}
