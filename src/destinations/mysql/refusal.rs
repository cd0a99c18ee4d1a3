//! What an error of MySQL or MariaDB means for a batch.
//!
//! Numbers and SQLSTATEs: <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html>,
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>.

use mysql_async::Error;

use crate::destinations::SendError;
use crate::mysql::{is_lost, said};

/// The meaning of an error before the commit: nothing was executed. `columns` are the names of the temporary table's
/// value columns, so that a value that does not fit is reported with its column.
pub(super) fn before_commit(error: &Error, columns: &[String]) -> SendError {
    match error {
        Error::Server(server) if !is_lost(error) => {
            by_code(server.code.into(), &server.state, &server.message, columns)
        }
        _ => transient(&said(error)),
    }
}

/// The meaning of an error of the commit itself: unless the server said that it rolled back, nobody knows.
pub(super) fn at_commit(error: &Error) -> SendError {
    match error {
        // ER_QUERY_INTERRUPTED: by a shutdown, or by somebody's `kill`.
        Error::Server(server) if !is_lost(error) && server.code != 1317 => {
            by_code(server.code.into(), &server.state, &server.message, &[])
        }
        _ => lost(&said(error)),
    }
}

/// The connection ended in the commit.
pub(super) fn lost(cause: &str) -> SendError {
    SendError::Lost { message: format!("MySQL: the connection ended while a batch was being committed: {cause}") }
}

/// The refusal of a value that the server would have stored otherwise than it is; `None` for other warnings.
pub(super) fn loss(code: usize, message: &str, columns: &[String]) -> Option<SendError> {
    let column = column(message, columns)?;
    let what = match code {
        // WARN_DATA_TRUNCATED
        1265 => "the value would be cut or rounded to fit".to_owned(),
        1264 | 1292 | 1366 | 1406 => head(message),
        _ => return None,
    };
    Some(SendError::Refused { code: code.to_string(), message: format!("column `{column}`: {what}") })
}

const CREDENTIALS: &str = "check `user`, `password` and `database` of the destination's `connection`";

fn by_code(code: usize, state: &str, message: &str, columns: &[String]) -> SendError {
    let message = without_values(code, state, message, columns);
    let fatal = |help: Option<&str>| SendError::Fatal {
        message: format!("MySQL: {message} ({code})"),
        help: help.map(Into::into),
    };
    match code {
        // Locks, deadlocks, memory, limits on connections and on time, a cluster that is not ready.
        1205 | 1213 | 1037 | 1038 | 1041 | 1040 | 1047 | 1203 | 1226 | 1317 | 1969 | 3024 => {
            transient(&format!("{message} ({code})"))
        }
        // ER_DISK_FULL, ER_RECORD_FILE_FULL
        1021 | 1114 => fatal(Some("free some space on the database server")),
        // ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE
        1290 | 1792 | 1836 => fatal(Some("the server is read-only: connect to the primary")),
        // ER_DBACCESS_DENIED_ERROR
        1044 => fatal(Some(
            "grant the user `create temporary tables` on the database: `grant create temporary tables on …`",
        )),
        1045 | 1049 | 1698 | 1820 | 1862 => fatal(Some(CREDENTIALS)),
        // ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR
        1142 | 1143 | 1227 => fatal(Some("grant the user SELECT, INSERT, UPDATE and DELETE on the table")),
        // ER_NO_SUCH_TABLE, ER_BAD_FIELD_ERROR
        1146 | 1054 => fatal(Some("the table was changed while the run was going on: plan again")),
        // ER_BINLOG_STMT_MODE_AND_ROW_ENGINE
        1665 => fatal(Some("set the server's `binlog_format` to `row` or `mixed`")),
        // Checks (MySQL has no state of its own for them), no default, no partition, a row that is too long, JSON.
        3819 | 4025 | 1364 | 1526 | 1118 | 1366 | 1265 => refused(code, message),
        _ => match state.get(..2).unwrap_or_default() {
            // Data, integrity, triggers, check options of views: the fault of some record.
            "21" | "22" | "23" | "44" | "45" => refused(code, message),
            _ => fatal(None),
        },
    }
}

fn refused(code: usize, message: String) -> SendError {
    SendError::Refused { code: code.to_string(), message }
}

fn transient(message: &str) -> SendError {
    SendError::Transient { message: format!("MySQL: {message}"), retry_after: None }
}

/// The message without the value it quotes, and with the name of the column that the temporary table stands for.
fn without_values(code: usize, state: &str, message: &str, columns: &[String]) -> String {
    match column(message, columns) {
        Some(column) => return format!("column `{column}`: {}", head(message)),
        // What the target's own columns refuse is named in full, behind the value.
        // ER_NO_PARTITION_FOR_GIVEN_VALUE: the value is not even in quotes.
        None if code == 1526 => return "the table has no partition for the value".to_owned(),
        None if state.starts_with("22") || code == 1366 => {
            let of = message.rfind(" for column ").and_then(|at| message.get(at..));
            return format!("{}{}", head(message), of.unwrap_or_default());
        }
        None => {}
    }
    // ER_DUP_ENTRY, ER_DUP_ENTRY_WITH_KEY_NAME
    match message.rfind(" for key ") {
        Some(at) if code == 1062 || code == 1586 => {
            format!("another row has the same value{}", message.get(at..).unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

/// What a message says before it names anything: `Incorrect integer value`.
fn head(message: &str) -> String {
    let end = message.find(['\'', '"', '`', ':']).unwrap_or(message.len());
    let head = message.get(..end).unwrap_or_default().trim_end();
    let head = head.strip_suffix(" for column").or(head.strip_suffix(" for value")).unwrap_or(head);
    let mut letters = head.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// The column of the target that a message about the temporary table means: it ends in ``for column 'c2' at row 3``, with
/// the names of database and table before it in MariaDB's.
fn column<'a>(message: &str, columns: &'a [String]) -> Option<&'a str> {
    let at = message.rfind(" for column ").or_else(|| message.rfind(" value in column "))?;
    let name = message.get(at..)?.split(" at row ").next()?.trim_end_matches(['\'', '`', '.', ' ']);
    let name = name.rsplit(['\'', '`', '.']).next()?;
    let position: usize = name.strip_prefix('c')?.parse().ok()?;
    columns.get(position).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_get_into_messages() {
        let columns = ["email".to_owned(), "seats".to_owned()];
        let cases = [
            (
                1366,
                "22007",
                "Incorrect integer value: 'ann@x.io' for column `d`.`_syncline_batch`.`c1` at row 3",
                "column `seats`: incorrect integer value",
            ),
            (
                1366,
                "HY000",
                "Incorrect integer value: 'it''s for column 'c0' at row 1' for column 'c1' at row 3",
                "column `seats`: incorrect integer value",
            ),
            (1406, "22001", "Data too long for column 'c0' at row 1", "column `email`: data too long"),
            (1264, "22003", "Out of range value for column 'c1' at row 1", "column `seats`: out of range value"),
            (
                1292,
                "22007",
                "Incorrect datetime value: 'ann' for column `d`.`users`.`at` at row 1",
                "incorrect datetime value for column `d`.`users`.`at` at row 1",
            ),
            (
                3140,
                "22032",
                "Invalid JSON text: \"Invalid value.\" at position 0 in value for column '_syncline_batch.c1'.",
                "column `seats`: invalid JSON text",
            ),
            (
                1062,
                "23000",
                "Duplicate entry 'ann for key x' for key 'PRIMARY'",
                "another row has the same value for key 'PRIMARY'",
            ),
            (1048, "23000", "Column 'plan' cannot be null", "Column 'plan' cannot be null"),
            (1526, "HY000", "Table has no partition for value 42", "the table has no partition for the value"),
        ];
        for (code, state, message, expected) in cases {
            assert_eq!(without_values(code, state, message, &columns), expected);
        }
    }

    #[test]
    fn only_a_loss_is_refused() {
        let columns = ["email".to_owned()];
        let cases = [
            (1265, "Data truncated for column 'c0' at row 7", true),
            (1265, "Data truncated for column 'plan' at row 7", false),
            (1681, "Integer display width is deprecated", false),
        ];
        for (code, message, expected) in cases {
            assert_eq!(loss(code, message, &columns).is_some(), expected, "{message}");
        }
    }
}
