//! What an error of SQLite means for a batch.

use rusqlite::{Error, ErrorCode};

use crate::destinations::SendError;

/// The meaning of an error before the commit: nothing was executed.
pub(super) fn before_commit(error: &Error) -> SendError {
    let Error::SqliteFailure(failure, message) = error else {
        return SendError::Fatal { message: format!("SQLite cannot be used as expected: {error}"), help: None };
    };
    let message = message.clone().unwrap_or_else(|| failure.to_string());
    let fatal = |message: String, help: &str| SendError::Fatal { message, help: Some(help.into()) };
    match failure.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted => {
            SendError::Transient { message: format!("SQLite: {message}"), retry_after: None }
        }
        ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig => {
            SendError::Refused { code: word(failure.extended_code).into(), message }
        }
        // What SQLite has no code for: a table or column that is gone, or an expression of the schema that a value broke.
        ErrorCode::Unknown if !gone(&message) => SendError::Refused { code: "SQLITE_ERROR".into(), message },
        ErrorCode::DiskFull => fatal(format!("SQLite: {message}"), "free some space where the database file lies"),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => fatal(
            format!("SQLite: {message}"),
            "the database file and its folder must be writable: SQLite keeps its journal beside the file",
        ),
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => {
            fatal(format!("SQLite: {message}"), "`connection.path` must name an intact SQLite database file")
        }
        _ => SendError::Fatal { message: format!("SQLite: {message}"), help: None },
    }
}

/// The meaning of an error of the commit itself. An I/O error may come after the point of no return.
pub(super) fn at_commit(error: &Error) -> SendError {
    match error {
        Error::SqliteFailure(failure, _) if failure.code == ErrorCode::SystemIoFailure => {
            SendError::Lost { message: format!("SQLite could not finish the commit: {error}") }
        }
        _ => before_commit(error),
    }
}

fn gone(message: &str) -> bool {
    message.starts_with("no such") || message.contains("has no column named")
}

/// SQLite's own word for an extended result code.
fn word(extended: i32) -> &'static str {
    match extended {
        275 => "SQLITE_CONSTRAINT_CHECK",
        531 => "SQLITE_CONSTRAINT_COMMITHOOK",
        787 => "SQLITE_CONSTRAINT_FOREIGNKEY",
        1043 => "SQLITE_CONSTRAINT_FUNCTION",
        1299 => "SQLITE_CONSTRAINT_NOTNULL",
        1555 => "SQLITE_CONSTRAINT_PRIMARYKEY",
        1811 => "SQLITE_CONSTRAINT_TRIGGER",
        2067 => "SQLITE_CONSTRAINT_UNIQUE",
        2323 => "SQLITE_CONSTRAINT_VTAB",
        2579 => "SQLITE_CONSTRAINT_ROWID",
        3091 => "SQLITE_CONSTRAINT_DATATYPE",
        18 => "SQLITE_TOOBIG",
        20 => "SQLITE_MISMATCH",
        _ => "SQLITE_CONSTRAINT",
    }
}
