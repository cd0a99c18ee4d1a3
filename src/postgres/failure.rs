//! What keeps from connecting, as messages that say what to do.

use tokio_postgres::error::SqlState;

use crate::login::{self, Failure};

/// What an error of the driver means.
pub(super) fn failure(error: &tokio_postgres::Error) -> Failure {
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
            _ if *code == SqlState::TOO_MANY_CONNECTIONS => ("wait until others have ended, or raise the limit", true),
            // The server is starting, stopping, or in trouble.
            _ => ("check the server and the connection", ["08", "53", "57"].iter().any(|c| code.code().starts_with(c))),
        };
        return Failure { message: format!("the server refuses the connection: {}", db.message()), help, transient };
    }
    let cause = cause(error);
    let (help, transient) = match login::network(error, &cause) {
        Some(known) => known,
        None if cause.contains("TLS") => {
            ("the server offers no TLS: `sslmode: disable` connects without, in clear text", false)
        }
        None if cause.contains("password missing") => ("the server asks for a password: set `password`", false),
        None => ("check `host`, `port` and the network", login::io_kind(error).is_some() || error.is_closed()),
    };
    Failure { message: format!("cannot connect: {cause}"), help, transient }
}

/// The innermost cause of an error: the outer ones only say `error connecting to server`.
pub fn cause(error: &tokio_postgres::Error) -> String {
    login::cause(error)
}
