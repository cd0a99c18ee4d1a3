//! What keeps from connecting, and what ends a connection, as messages that say what to do.
//!
//! Numbers of errors: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>.

use mysql_async::{DriverError, Error, ServerError};

use crate::login::{self, Failure};

/// What an error while connecting means.
pub(super) fn failure(error: &Error) -> Failure {
    if let Error::Server(server) = error {
        let (help, transient) = refused(server);
        return Failure { message: format!("the server refuses the connection: {}", server.message), help, transient };
    }
    let cause = login::cause(error);
    let (help, transient) = match (login::network(error, &cause), error) {
        (Some(known), _) => known,
        (None, Error::Driver(DriverError::NoClientSslFlagFromServer)) => {
            ("the server offers no TLS: `sslmode: disable` connects without, in clear text", false)
        }
        (None, Error::Driver(DriverError::UnknownAuthPlugin { .. } | DriverError::CleartextPluginDisabled)) => (
            "give the user a password of `caching_sha2_password`, `mysql_native_password` or `ed25519`: `alter user …`",
            false,
        ),
        (None, Error::Io(_) | Error::Driver(DriverError::ConnectionClosed)) => {
            ("check `host`, `port` and the network", true)
        }
        (None, _) => ("check `host` and `port`: is it a MySQL or MariaDB server?", false),
    };
    Failure { message: format!("cannot connect: {cause}"), help, transient }
}

/// What to do about a server that lets nobody in, and whether it may pass.
fn refused(error: &ServerError) -> (&'static str, bool) {
    match error.code {
        // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR
        1045 | 1698 => (
            "check `user` and `password` of the connection, and that the user may come from this machine \
             (`select user, host from mysql.user`)",
            false,
        ),
        // ER_DBACCESS_DENIED_ERROR
        1044 => ("check `database` of the connection, and give the user rights in it: `grant select on …`", false),
        // ER_BAD_DB_ERROR
        1049 => ("check `database` of the connection", false),
        // ER_MUST_CHANGE_PASSWORD, ER_MUST_CHANGE_PASSWORD_LOGIN
        1820 | 1862 => (
            "the password has expired: who administers the server renews it with `alter user … identified by …`",
            false,
        ),
        // ER_ACCOUNT_HAS_BEEN_LOCKED in MySQL and in MariaDB
        3118 | 4151 => ("who administers the server unlocks it with `alter user … account unlock`", false),
        // ER_SECURE_TRANSPORT_REQUIRED
        3159 => ("the server wants TLS: set `sslmode: require`", false),
        // ER_HOST_IS_BLOCKED
        1129 => ("who administers the server lifts it with `flush hosts`", false),
        // ER_HOST_NOT_PRIVILEGED
        1130 => ("let the user come from this machine: `create user …@'this host'`", false),
        // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
        1040 | 1203 | 1226 => ("wait until others have ended, or raise the limit", true),
        _ => ("check the server and the connection", is_lost(&Error::Server(error.clone()))),
    }
}

/// True when an error means that the connection is gone, and not that a statement was refused.
pub fn is_lost(error: &Error) -> bool {
    match error {
        // ER_SERVER_SHUTDOWN, ER_FORCING_CLOSE, ER_ABORTING_CONNECTION, ER_NEW_ABORTING_CONNECTION, ER_NET_READ_ERROR
        // and its kin, ER_CONNECTION_KILLED in MariaDB and ER_CLIENT_INTERACTION_TIMEOUT in MySQL
        Error::Server(server) => {
            matches!(server.code, 1053 | 1079 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031)
                || server.state.starts_with("08")
        }
        Error::Driver(driver) => matches!(
            driver,
            DriverError::ConnectionClosed | DriverError::PacketOutOfOrder | DriverError::UnexpectedPacket { .. }
        ),
        Error::Io(_) => true,
        Error::Other(_) | Error::Url(_) => false,
    }
}

/// What an error says, without the driver's own words around it.
pub fn said(error: &Error) -> String {
    match error {
        Error::Server(server) => server.message.clone(),
        _ => login::cause(error),
    }
}
