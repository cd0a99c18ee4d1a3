//! What a server says about a statement, as messages that say what to do.
//!
//! Numbers of errors: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>.

use mysql_async::{Error as Fault, ServerError};

use crate::diagnostic::Error;
use crate::mysql::{Server, is_lost, said};
use crate::sources::broken_off;

/// What went wrong with a statement, without secrets, with the server's name in front.
pub(super) fn explained(server: &Server, error: &Fault) -> Error {
    let error = match reading(error) {
        Error::Failed { message, help } => {
            Error::Failed { message: server.redact(&message), help: help.map(|help| server.redact(&help)) }
        }
        other => other,
    };
    error.context(server.name())
}

/// An error while preparing a statement or reading its rows.
fn reading(error: &Fault) -> Error {
    match error {
        Fault::Server(server) if !is_lost(error) => Error::failed_help(shown(server), help(server)),
        _ => broken_off(&said(error)),
    }
}

fn help(error: &ServerError) -> &'static str {
    match error.code {
        // ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR,
        // ER_SPECIFIC_ACCESS_DENIED_ERROR, ER_PROCACCESS_DENIED_ERROR
        1044 | 1142 | 1143 | 1227 | 1370 => {
            "give the user of the connection the right to read: `grant select on … to …`"
        }
        // ER_NO_DB_ERROR
        1046 => "set `database` of the connection, or write the database before the table: `shop.contacts`",
        // ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE
        1049 | 1146 => "check the name and its database, and the `database` of the connection",
        // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
        1792 => "a model only reads: it is one `select` (or `with … select`) statement",
        // ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT in MariaDB and ER_QUERY_TIMEOUT in MySQL
        1317 | 1969 | 3024 => "a time limit of the server or an administrator ended the statement",
        // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK
        1205 | 1213 => "run again",
        // ER_UNSUPPORTED_PS
        1295 => "a model is one `select` (or `with … select`) statement",
        _ => "correct the SQL of the model",
    }
}

/// The server's message; without the value it quotes where it is about one, and without where its manual is.
fn shown(error: &ServerError) -> String {
    let message = error.message.replace(
        "check the manual that corresponds to your MariaDB server version for the right syntax to use near",
        "it is near",
    );
    let message = message.replace(
        "check the manual that corresponds to your MySQL server version for the right syntax to use near",
        "it is near",
    );
    // Data exceptions, and what is wrong with a value: `Incorrect datetime value: 'x' for column …`.
    let of_values = error.state.starts_with("22") || matches!(error.code, 1292 | 1366 | 1411 | 1525);
    match (message.find('\''), message.rfind('\'')) {
        (Some(first), Some(last)) if of_values && first < last => {
            let (before, after) = (&message[..first], &message[last + 1..]);
            if after.is_empty() {
                before.trim_end_matches([':', ' ']).to_owned()
            } else {
                format!("{before}…{after}")
            }
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let error =
            |code, state: &str, message: &str| ServerError { code, state: state.into(), message: message.into() };
        let cases = [
            (error(1292, "22007", "Truncated incorrect DATE value: 'private'"), "Truncated incorrect DATE value"),
            (
                error(1366, "HY000", "Incorrect value: 'private' for column `s`.`t`.`n` at row 1"),
                "Incorrect value: … for column `s`.`t`.`n` at row 1",
            ),
            (error(1146, "42S02", "Table 's.nope' doesn't exist"), "Table 's.nope' doesn't exist"),
            (
                error(
                    1064,
                    "42000",
                    "You have an error in your SQL syntax; check the manual that corresponds to your \
                     MySQL server version for the right syntax to use near 'selekt 1' at line 1",
                ),
                "You have an error in your SQL syntax; it is near 'selekt 1' at line 1",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(shown(&error), expected);
        }
    }
}
