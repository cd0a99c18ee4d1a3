//! A connection as a batch needs it: a strict session, limits on waiting, and answers as text.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};

use super::refusal;
use crate::destinations::SendError;
use crate::mysql::Server;

/// How long one statement may take. MySQL has no limit of its own for what writes.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a session of ours begins with, whatever the server is set to.
///
/// `strict_all_tables` and its kin: what does not fit is refused. `no_auto_value_on_zero`: 0 is a value like any other.
/// `read committed`: each statement sees what others have committed, as in PostgreSQL, and no gaps are locked that two
/// batches would wait in for each other. `sql_safe_updates` and `sql_big_selects` would forbid statements that join.
const SESSION: [&str; 2] = [
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
     ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', autocommit = 1,
     sql_safe_updates = 0, sql_big_selects = 1, innodb_lock_wait_timeout = 60, lock_wait_timeout = 60",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/// An open connection.
pub(super) struct Link {
    connection: Conn,
    /// A statement was given up half-way: nothing can be asked any more.
    given_up: bool,
    /// The longest statement the server takes, in bytes.
    pub packet: usize,
    /// It is MariaDB and not MySQL.
    pub mariadb: bool,
}

impl Link {
    /// Connects and sets the session.
    pub(super) async fn open(server: &Server) -> Result<Self, SendError> {
        let connection = server.connect().await.map_err(|failure| match failure.transient {
            true => SendError::Transient { message: failure.message, retry_after: None },
            false => SendError::Fatal { message: failure.message, help: Some(failure.help.into()) },
        })?;
        let mut link = Self { connection, given_up: false, packet: 0, mariadb: false };
        for statement in SESSION {
            link.run(statement, &[]).await?;
        }
        if let [row] = link.rows("SELECT @@max_allowed_packet, version()", &[]).await?.as_slice() {
            link.packet = number(row, 0);
            link.mariadb = text(row, 1).is_some_and(|version| version.contains("MariaDB"));
        }
        Ok(link)
    }

    /// Makes a database the one that statements are about. MySQL looks for the alias of a table that is deleted from in
    /// that database alone (<https://dev.mysql.com/doc/refman/8.4/en/delete.html>). `database` is quoted.
    pub(super) async fn enter(&mut self, database: &str) -> Result<(), SendError> {
        self.define(&format!("USE {database}")).await
    }

    /// The connection itself.
    pub(super) fn connection(&mut self) -> &mut Conn {
        &mut self.connection
    }

    /// False when nothing can be asked any more; one question.
    pub(super) async fn alive(&mut self) -> bool {
        !self.given_up && matches!(tokio::time::timeout(PATIENCE, self.connection.ping()).await, Ok(Ok(())))
    }

    /// Runs a statement; the rows it touched. `columns` are the names of the temporary table's value columns, see
    /// [`refusal::before_commit`].
    pub(super) async fn run(&mut self, sql: &str, columns: &[String]) -> Result<u64, SendError> {
        self.ask(sql).await.map_err(|e| e.before_commit(columns))?;
        Ok(self.connection.affected_rows())
    }

    /// Runs a statement that defines something: what it is refused for is no record's fault.
    pub(super) async fn define(&mut self, sql: &str) -> Result<(), SendError> {
        self.run(sql, &[]).await.map(drop).map_err(|error| match error {
            SendError::Refused { code, message } => {
                SendError::Fatal { message: format!("MySQL: {message} ({code})"), help: None }
            }
            other => other,
        })
    }

    /// The rows of a query.
    pub(super) async fn rows(&mut self, sql: &str, columns: &[String]) -> Result<Vec<Row>, SendError> {
        self.ask(sql).await.map_err(|e| e.before_commit(columns))
    }

    /// Runs a statement that must not lose a digit or a letter: what the server lets pass with a note is refused.
    pub(super) async fn run_exactly(&mut self, sql: &str, columns: &[String]) -> Result<(), SendError> {
        self.run(sql, columns).await?;
        if self.connection.get_warnings() == 0 {
            return Ok(());
        }
        for row in self.rows("SHOW WARNINGS", &[]).await? {
            let (code, message) = (number(&row, 1), text(&row, 2).unwrap_or_default());
            if let Some(refused) = refusal::loss(code, &message, columns) {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Commits; an error of the connection means that nobody knows.
    pub(super) async fn commit(&mut self) -> Result<(), SendError> {
        self.ask("COMMIT").await.map(drop).map_err(|e| match e {
            Asked::Failed(error) => refusal::at_commit(&error),
            Asked::Late => refusal::lost("no answer in time"),
        })
    }

    /// What keeps a commit of this server from being durable, if anything does.
    pub(super) async fn volatile(&mut self) -> Result<Option<String>, SendError> {
        let rows = self.rows("SELECT @@innodb_flush_log_at_trx_commit", &[]).await?;
        let set = rows.first().map(|row| number(row, 0)).filter(|set| *set != 1);
        Ok(set.map(|set| {
            format!(
                "`innodb_flush_log_at_trx_commit` is {set}: if the server's machine fails, it may lose the last second of \
                 what it has acknowledged; with 1 it loses nothing"
            )
        }))
    }

    async fn ask(&mut self, sql: &str) -> Result<Vec<Row>, Asked> {
        if self.given_up {
            return Err(Asked::Late);
        }
        match tokio::time::timeout(PATIENCE, self.connection.query(sql)).await {
            Ok(answer) => answer.map_err(Asked::Failed),
            Err(_) => {
                self.given_up = true;
                Err(Asked::Late)
            }
        }
    }
}

/// Why there is no answer.
enum Asked {
    Failed(Error),
    Late,
}

impl Asked {
    fn before_commit(&self, columns: &[String]) -> SendError {
        match self {
            Self::Failed(error) => refusal::before_commit(error, columns),
            Self::Late => {
                let message = format!("MySQL: no answer within {} s", PATIENCE.as_secs());
                SendError::Transient { message, retry_after: None }
            }
        }
    }
}

/// A whole number of a row; the server never sends anything else where it is used.
pub(super) fn number(row: &Row, column: usize) -> usize {
    text(row, column).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The text of a cell; `None` where it is null.
pub(super) fn text(row: &Row, column: usize) -> Option<String> {
    bytes(row, column).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The bytes of a cell; `None` where it is null. What is asked as text is answered as text.
pub(super) fn bytes(row: &Row, column: usize) -> Option<&[u8]> {
    match row.as_ref(column) {
        Some(Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}
