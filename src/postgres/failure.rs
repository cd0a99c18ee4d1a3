//! What keeps from connecting, as messages that say what to do.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::diagnostic::Error;

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
    /// What an error of the driver means.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            let code = db.code();
            let (help, transient) = match code {
                _ if [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(code) => (
                    "check `user` and `password` of the connection; if both are right, the password may have expired: \
                         who administers the server sees when with `select rolname, rolvaliduntil from pg_roles`, and \
                         renews it with `alter role … password … valid until …`",
                    false,
                ),
                _ if *code == SqlState::INVALID_CATALOG_NAME => ("check `database` of the connection", false),
                _ if *code == SqlState::TOO_MANY_CONNECTIONS => {
                    ("wait until others have ended, or raise the limit", true)
                }
                // The server is starting, stopping, or in trouble.
                _ => (
                    "check the server and the connection",
                    ["08", "53", "57"].iter().any(|c| code.code().starts_with(c)),
                ),
            };
            return Self { message: format!("the server refuses the connection: {}", db.message()), help, transient };
        }
        let cause = cause(error);
        let (help, transient) = match io_kind(error) {
            Some(io::ErrorKind::ConnectionRefused) => ("check `host` and `port`: nothing listens there", true),
            Some(io::ErrorKind::InvalidData) if cause.contains("certificate") => (
                "name the authority that signed the server's certificate in `ca_file`, and the host as in the certificate",
                false,
            ),
            _ if cause.contains("lookup") || cause.contains("resolve") => ("check `host`: the name is not known", true),
            _ if cause.contains("TLS") => {
                ("the server offers no TLS: `sslmode: disable` connects without, in clear text", false)
            }
            _ if cause.contains("password missing") => ("the server asks for a password: set `password`", false),
            Some(_) => ("check `host`, `port` and the network", true),
            None => ("check `host`, `port` and the network", error.is_closed()),
        };
        Self { message: format!("cannot connect: {cause}"), help, transient }
    }

    /// No answer in time.
    pub(super) fn timeout(limit: Duration) -> Self {
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

/// The innermost cause of an error: the outer ones only say `error connecting to server`.
pub fn cause(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        text = error.to_string();
        inner = error.source();
    }
    text
}

fn io_kind(error: &tokio_postgres::Error) -> Option<io::ErrorKind> {
    let mut inner = error.source();
    while let Some(error) = inner {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        inner = error.source();
    }
    None
}
