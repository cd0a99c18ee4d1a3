//! What PostgreSQL and the network say, as messages that say what to do.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

use crate::diagnostic::Error;

/// An error while connecting.
pub(super) fn connecting(error: &tokio_postgres::Error) -> Error {
    if let Some(db) = error.as_db_error() {
        let help = match db.code() {
            code if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "check `user` and `password` of the connection, and whether the password has expired"
            }
            code if *code == SqlState::INVALID_CATALOG_NAME => "check `database` of the connection",
            code if *code == SqlState::TOO_MANY_CONNECTIONS => "wait until others have ended, or raise the limit",
            _ => "check the connection of the source",
        };
        return Error::failed_help(format!("the server refuses the connection: {}", db.message()), help);
    }
    let cause = cause(error);
    let help = match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => "check `host` and `port`: nothing listens there",
        Some(io::ErrorKind::InvalidData) if cause.contains("certificate") => {
            "name the authority that signed the server's certificate in `ca_file`, and the host as in the certificate"
        }
        _ if cause.contains("lookup") || cause.contains("resolve") => "check `host`: the name is not known",
        _ if cause.contains("TLS") => "the server offers no TLS: `sslmode: disable` connects without, in clear text",
        _ if cause.contains("password missing") => "the server asks for a password: set `password`",
        _ => "check `host`, `port` and the network",
    };
    Error::failed_help(format!("cannot connect: {cause}"), help)
}

/// An error while preparing a statement or reading its rows.
pub(super) fn reading(error: &tokio_postgres::Error, sql: &str) -> Error {
    let Some(db) = error.as_db_error() else {
        return broken(&cause(error));
    };
    let code = db.code();
    let shutdown = [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN, &SqlState::CANNOT_CONNECT_NOW];
    if shutdown.contains(&code) {
        return broken(db.message());
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

fn broken(cause: &str) -> Error {
    Error::failed_help(
        format!("the connection broke before all rows were read: {cause}"),
        "run again; nothing is concluded from rows that did not come",
    )
}

/// The server's message; without the value it quotes where it is about one (class 22, data exceptions).
fn shown(db: &DbError) -> &str {
    match db.message().split_once(": \"") {
        Some((before, _)) if db.code().code().starts_with("22") => before,
        _ => db.message(),
    }
}

fn place(db: &DbError, sql: &str) -> String {
    let Some(ErrorPosition::Original(position)) = db.position() else { return String::new() };
    // The server counts characters, from 1.
    let at = usize::try_from(*position).unwrap_or_default().saturating_sub(1);
    let byte = sql.char_indices().nth(at).map_or(sql.len(), |(byte, _)| byte);
    crate::sources::place_in(sql, byte)
}

/// The innermost cause: the outer ones only say `error connecting to server`.
fn cause(error: &tokio_postgres::Error) -> String {
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
