//! What PostgreSQL says about a statement, as messages that say what to do.

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use crate::diagnostic::Error;
use crate::postgres::cause;
use crate::sources::broken_off;

/// An error while preparing a statement or reading its rows.
pub(super) fn reading(error: &tokio_postgres::Error, sql: &str) -> Error {
    let Some(db) = error.as_db_error() else {
        return broken_off(&cause(error));
    };
    let code = db.code();
    let shutdown = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW];
    if shutdown.contains(&code) {
        return broken_off(db.message());
    }
    // Bytes that the server cannot make UTF-8 of: those of a database in `SQL_ASCII` are asked for as they are.
    if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE {
        return Error::failed_help(
            "the result has text that is not UTF-8",
            "correct the value, or take the bytes of its column: `convert_to(name, 'SQL_ASCII') as name`",
        );
    }
    let message = format!("{}{}", shown(db), place(db, sql));
    let help = match code {
        _ if db.hint().is_some() => db.hint().unwrap_or_default().to_owned(),
        code if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            "give the role of the connection the right to read: `grant select on … to …`".to_owned()
        }
        code if *code == SqlState::UNDEFINED_TABLE => {
            "check the name and its schema, and the `database` of the connection".to_owned()
        }
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
            "a model only reads: it is one `select` (or `with … select`) statement".to_owned()
        }
        code if *code == SqlState::QUERY_CANCELED => {
            "a time limit of the server or an administrator ended the statement".to_owned()
        }
        _ => "correct the SQL of the model".to_owned(),
    };
    Error::failed_help(message, help)
}

/// The server's message; without the value it quotes where it is about one (class 22, data exceptions).
fn shown(db: &DbError) -> String {
    let message = db.message();
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if db.code().code().starts_with("22") && first < last => {
            let (before, after) = (&message[..first], &message[last + 1..]);
            // `…: "value"` ends with it; `value "…" is out of range` goes on.
            if after.is_empty() {
                before.trim_end_matches([':', ' ']).to_owned()
            } else {
                format!("{before}…{after}")
            }
        }
        _ => message.to_owned(),
    }
}

fn place(db: &DbError, sql: &str) -> String {
    let Some(ErrorPosition::Original(position)) = db.position() else { return String::new() };
    // The server counts characters, from 1.
    let at = usize::try_from(*position).unwrap_or_default().saturating_sub(1);
    let byte = sql.char_indices().nth(at).map_or(sql.len(), |(byte, _)| byte);
    crate::sources::place_in(sql, byte)
}
