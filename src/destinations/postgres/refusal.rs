//! What an error of PostgreSQL means for a batch.

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::destinations::SendError;

/// The meaning of an error while connecting.
pub(super) fn connecting(error: &Error) -> SendError {
    if let Some(db) = error.as_db_error() {
        return by_state(db, &[]);
    }
    let text = with_causes(error);
    let tls = ["tls", "certificate", "ssl"].iter().any(|word| text.to_lowercase().contains(word));
    if tls {
        return SendError::Fatal {
            message: format!("PostgreSQL: {text}"),
            help: Some(
                "give the server's certificate authority as `ca_file`, or set `sslmode: disable` to go without TLS"
                    .into(),
            ),
        };
    }
    if text.contains("password missing") || text.contains("invalid configuration") {
        return SendError::Fatal { message: format!("PostgreSQL: {text}"), help: Some(CREDENTIALS.into()) };
    }
    SendError::Transient { message: format!("PostgreSQL: {text}"), retry_after: None }
}

/// The meaning of an error before the commit: nothing was executed. `columns` are the names of the temporary table's
/// value columns, so that a value that does not fit is reported with its column.
pub(super) fn before_commit(error: &Error, columns: &[String]) -> SendError {
    match error.as_db_error() {
        Some(db) => by_state(db, columns),
        None => SendError::Transient { message: format!("PostgreSQL: {}", with_causes(error)), retry_after: None },
    }
}

/// The meaning of an error of the commit itself: unless the server said that it rolled back, nobody knows.
pub(super) fn at_commit(error: &Error) -> SendError {
    match error.as_db_error() {
        // The server went down while it was committing.
        Some(db) if !db.code().code().starts_with("57P") => by_state(db, &[]),
        _ => SendError::Lost {
            message: format!(
                "PostgreSQL: the connection ended while a batch was being committed: {}",
                with_causes(error)
            ),
        },
    }
}

const CREDENTIALS: &str = "check `user`, `password` and `database` of the destination's `connection`";

fn by_state(db: &DbError, columns: &[String]) -> SendError {
    let code = db.code().code();
    let message = match (column(db, columns), without_values(code, db.message())) {
        (Some(column), message) => format!("column `{column}`: {message}"),
        (None, message) => message,
    };
    let fatal = |help: Option<&str>| SendError::Fatal {
        message: format!("PostgreSQL: {message} ({code})"),
        help: help.map(Into::into),
    };
    match code {
        "57014" | "55P03" | "53200" | "53300" | "40001" | "40P01" | "40003" => transient(&message, code),
        "53100" => fatal(Some("free some space on the database server")),
        "25006" => fatal(Some("the server or the session is read-only: connect to the primary")),
        "3D000" => fatal(Some(CREDENTIALS)),
        "42501" => {
            fatal(Some("grant the user SELECT, INSERT, UPDATE and DELETE on the table, and TEMPORARY on the database"))
        }
        "42P01" | "42703" => fatal(Some("the table was changed while the run was going on: plan again")),
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "57" => transient(&message, code),
            "28" => fatal(Some(CREDENTIALS)),
            // Data, integrity, triggers, check options of views, limits: the fault of some record.
            "21" | "22" | "23" | "27" | "2F" | "38" | "39" | "44" | "54" | "P0" => {
                SendError::Refused { code: code.into(), message }
            }
            _ => fatal(None),
        },
    }
}

fn transient(message: &str, code: &str) -> SendError {
    SendError::Transient { message: format!("PostgreSQL: {message} ({code})"), retry_after: None }
}

/// The column a COPY stumbled over: its context ends in `line 3, column c2: …`.
fn column<'a>(db: &DbError, columns: &'a [String]) -> Option<&'a str> {
    let (_, rest) = db.where_()?.split_once(", column c")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    columns.get(digits.parse::<usize>().ok()?).map(String::as_str)
}

/// The message without the value it quotes. Errors about data (class 22) quote values, the other classes only names.
fn without_values(code: &str, message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if code.starts_with("22") && first < last => {
            let cut = format!("{}…{}", &message[..first], &message[last + 1..]);
            cut.trim_end_matches([':', ' ', '…']).to_owned()
        }
        _ => message.to_owned(),
    }
}

/// The driver's message with what caused it, which it leaves out itself.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn values_do_not_get_into_messages() {
        let cases = [
            (
                "22P02",
                r#"invalid input syntax for type integer: "ann@example.com""#,
                "invalid input syntax for type integer",
            ),
            ("22P02", r#"invalid input value for enum mood: "a "quoted" one""#, "invalid input value for enum mood"),
            (
                "22003",
                r#"value "99999999999" is out of range for type integer"#,
                "value … is out of range for type integer",
            ),
            ("22001", "value too long for type character varying(5)", "value too long for type character varying(5)"),
            (
                "23502",
                r#"null value in column "name" of relation "users" violates not-null constraint"#,
                r#"null value in column "name" of relation "users" violates not-null constraint"#,
            ),
        ];
        for (code, message, expected) in cases {
            assert_eq!(without_values(code, message), expected);
        }
    }
}
