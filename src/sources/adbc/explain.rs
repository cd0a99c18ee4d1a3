//! What a driver says, as messages that say what to do.

use adbc_core::error::{Error as DriverError, Status};
use arrow_schema::ArrowError;

use crate::diagnostic::Error;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Logging in.
    Connect,
    /// Preparing or running a statement.
    Statement,
}

/// Words of a message, and what to do about it; the first that fits counts.
const KNOWN: [(&[&str], &str); 10] = [
    (
        &["password has expired", "password expired"],
        "somebody who may manage users must set a new password (Snowflake: `alter user NAME set password = '…'`); put it \
         where the connection takes it from. A key pair does not expire",
    ),
    (
        &["incorrect username or password", "jwt token is invalid", "authentication failed", "access denied for user"],
        "check user and credential of the connection, and whether they have expired or were changed",
    ),
    (&["user is temporarily locked", "user access disabled"], "an administrator must unlock the user"),
    (
        &["no active warehouse", "cannot be resumed", "warehouse"],
        "check `warehouse` of the connection, and that the role may use it",
    ),
    (
        &[
            "insufficient privileges",
            "permission denied",
            "not authorized",
            "permission_denied",
            "insufficient_permissions",
        ],
        "give the role of the connection the right to read, or take another role",
    ),
    (
        &[
            "does not exist",
            "table_or_view_not_found",
            "not found in from clause",
            "unresolved_column",
            "doesn't exist",
        ],
        "check the names, and the database and schema of the connection",
    ),
    (
        &["x509", "certificate"],
        "the server's certificate is not trusted: check the host, and the authorities this machine trusts",
    ),
    (
        &["no such host", "name resolution", "lookup", "name or service not known"],
        "check the host or account of the connection: the name is not known",
    ),
    (
        &["connection refused", "connect: ", "deadline exceeded", "timed out", "timeout", "unavailable"],
        "check the address of the connection and the network",
    ),
    (
        &["storage version", "version number", "newer version of duckdb"],
        "the file was written by a newer DuckDB: install the driver of that version",
    ),
];

/// An error of a driver.
pub(super) fn driver(error: &DriverError, stage: Stage) -> Error {
    let said = shown(&error.message);
    let message = match stage {
        Stage::Connect => format!("cannot connect: {said}"),
        Stage::Statement => said.clone(),
    };
    let help = known(&said).unwrap_or(match (stage, error.status) {
        (_, Status::Unauthenticated) => "check user and credential of the connection",
        (_, Status::Unauthorized) => "give the role of the connection the right to read, or take another role",
        (Stage::Connect, _) => "check the connection",
        (Stage::Statement, _) => "correct the SQL of the model",
    });
    Error::failed_help(message, help)
}

/// An error in the middle of the rows.
pub(super) fn stream(error: &ArrowError) -> Error {
    let said = match error {
        ArrowError::CDataInterface(text) => shown(text),
        other => shown(&other.to_string()),
    };
    let help = known(&said).filter(|_| !said.to_lowercase().contains("warehouse"));
    Error::failed_help(
        format!("not all rows were read: {said}"),
        help.unwrap_or("correct the SQL if the message is about it, else run again; nothing is concluded from rows that did not come"),
    )
}

fn known(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    KNOWN.iter().find(|(words, _)| words.iter().any(|word| said.contains(word))).map(|(_, help)| *help)
}

/// Words that tell that a message is about a value, which it then may quote.
const ABOUT_A_VALUE: [&str; 6] = ["convert", "cast", " value", "is not recognized", "parse", "out of range"];

/// The driver's words on one line, without what it repeats of the SQL, and without a value of the data.
fn shown(message: &str) -> String {
    // DuckDB and Spark repeat the statement, or what they made of it, below the message.
    let end = ["\nLINE ", "\n== SQL", "\n'", ". Vendor code"].iter().filter_map(|mark| message.find(mark)).min();
    let text = message.get(..end.unwrap_or(message.len())).unwrap_or(message);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = text.to_lowercase();
    if ABOUT_A_VALUE.iter().any(|word| lower.contains(word)) {
        text = without_quotes(&text);
    }
    match text.char_indices().nth(600) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The text with everything between single quotes replaced by `…`.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split('\'').enumerate() {
        if at > 0 {
            out.push('\'');
        }
        out.push_str(if at % 2 == 1 { "…" } else { part });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drivers_say_and_what_to_do() {
        let cases = [
            (
                "[Snowflake] 390100 (08004): Incorrect username or password was specified.",
                Stage::Connect,
                "cannot connect: [Snowflake] 390100 (08004): Incorrect username or password was specified.",
                "check user and credential",
            ),
            (
                "[Snowflake] 390106 (08001): Specified password has expired. Password must be changed using the Snowflake web console.",
                Stage::Connect,
                "cannot connect: [Snowflake] 390106 (08001): Specified password has expired. Password must be changed using the Snowflake web console.",
                "somebody who may manage users must set a new password",
            ),
            (
                "Conversion Error: Could not convert string 'private' to INT32 when casting from source column x\n\nLINE 1: select x::int",
                Stage::Statement,
                "Conversion Error: Could not convert string '…' to INT32 when casting from source column x",
                "correct the SQL",
            ),
            (
                "Catalog Error: Table with name nope does not exist!\nDid you mean \"t\"?",
                Stage::Statement,
                "Catalog Error: Table with name nope does not exist! Did you mean \"t\"?",
                "check the names",
            ),
            (
                "dial tcp 127.0.0.1:1: connect: connection refused",
                Stage::Connect,
                "cannot connect: dial",
                "the network",
            ),
        ];
        for (said, stage, message, help) in cases {
            let error = driver(&DriverError::with_message_and_status(said, Status::Internal), stage);
            assert!(error.to_string().starts_with(message), "{error}");
            assert!(error.help().unwrap_or_default().contains(help), "{said}: {:?}", error.help());
        }
    }

    #[test]
    fn a_stream_that_ends_early_says_that_nothing_is_concluded() {
        let error = stream(&ArrowError::CDataInterface("read tcp: broken pipe".into()));
        assert_eq!(error.to_string(), "not all rows were read: read tcp: broken pipe");
        assert!(error.help().unwrap_or_default().contains("nothing is concluded"));
    }
}
