//! PostgreSQL: a batch is copied as text into a temporary table typed like the target, then merged with a few
//! statements, all in one transaction. The server parses every value, so every type it has works.

mod copy;
mod merge;
mod read;
mod refusal;
mod schema;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Client;

use super::staged::{self, Session, Sessions};
use super::{
    Batch, Capabilities, Destination, Health, Options, Outcome, Readable, SendError, Sent, Target, Writer, table,
};
use crate::diagnostic::Result;
use crate::manifest::sync::{Mode, OnRemoved};
use crate::postgres::Server;

/// A PostgreSQL server; objects are its tables, `schema.table`.
pub(super) struct Postgres {
    server: Server,
}

impl Postgres {
    /// A destination on this server.
    pub fn new(server: Server) -> Self {
        Self { server }
    }
}

#[async_trait]
impl Destination for Postgres {
    fn capabilities(&self, object: &str, mode: Mode, _: &Options) -> Result<Capabilities> {
        let capabilities = table::capabilities(&format!("table `{object}` of a PostgreSQL database"), mode)?;
        Ok(Capabilities { batch_size: 5_000, concurrency: 2, ..capabilities })
    }

    async fn missing_privileges(
        &self,
        object: &str,
        mode: Mode,
        on_removed: OnRemoved,
    ) -> Result<Vec<String>, SendError> {
        let needed = staged::privileges(mode, on_removed);
        let client = connect(&self.server).await?;
        let missing = crate::postgres::account::missing(&client, &schema::table_name(object), &needed).await;
        Ok(missing.map_err(|e| refusal::before_commit(&e, &[]))?.unwrap_or_default())
    }

    async fn count(&self, object: &str, _: &Options) -> Result<Option<u64>, SendError> {
        read::count(&connect(&self.server).await?, object).await
    }

    async fn reader(&self, target: &Target) -> Result<Readable, SendError> {
        let client = connect(&self.server).await?;
        Ok(Readable::Yes(Box::new(read::PostgresReader::open(client, target).await?)))
    }

    async fn examine(&self) -> Result<Health, SendError> {
        let client = connect(&self.server).await?;
        let account = crate::postgres::account::look(&client).await;
        let account = account.map_err(|e| refusal::before_commit(&e, &[]))?;
        let clock_ahead = Some(account.clock_ahead);
        Ok(Health { credentials: true, clock_ahead, account: Some(account), ..Health::default() })
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError> {
        let client = connect(&self.server).await?;
        let table = schema::open(&client, target).await?;
        let table = Arc::new(table);
        let sessions = Sessions::new(PostgresSession { client, table: Arc::clone(&table) });
        Ok(Box::new(PostgresWriter { server: self.server.clone(), table, sessions }))
    }
}

struct PostgresWriter {
    server: Server,
    table: Arc<schema::Table>,
    sessions: Sessions<PostgresSession>,
}

struct PostgresSession {
    client: Client,
    table: Arc<schema::Table>,
}

#[async_trait]
impl Session for PostgresSession {
    async fn alive(&mut self) -> bool {
        !self.client.is_closed()
    }

    async fn send(&mut self, batch: &Batch) -> Result<Vec<Outcome>, SendError> {
        merge::send(&self.client, &self.table, batch).await
    }

    async fn undo(&mut self) -> bool {
        !self.client.is_closed() && self.client.batch_execute("ROLLBACK").await.is_ok()
    }

    const TAKEN: &'static str = "23505";
}

#[async_trait]
impl Writer for PostgresWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let new = async {
            let client = connect(&self.server).await?;
            Ok(PostgresSession { client, table: Arc::clone(&self.table) })
        };
        self.sessions.send(batch, new).await
    }

    async fn settle(&self, _: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        Ok(Vec::new()) // nothing is ever deferred
    }
}

/// Opens a connection and sets the session: times in UTC, limits on waiting, commits that are durable.
async fn connect(server: &Server) -> Result<Client, SendError> {
    let client = server.connect().await.map_err(|failure| match failure.transient {
        true => SendError::Transient { message: failure.message, retry_after: None },
        false => SendError::Fatal { message: failure.message, help: Some(failure.help.into()) },
    })?;
    let session = "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET bytea_output = 'hex';
        SET standard_conforming_strings = on; SET client_min_messages = 'error';
        SET statement_timeout = '10min'; SET lock_timeout = '1min';
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";
    client.batch_execute(session).await.map_err(|e| refusal::before_commit(&e, &[]))?;
    Ok(client)
}
