//! MySQL and MariaDB: a batch is written into a temporary table typed like the target, then merged with a few
//! statements, all in one transaction. The server parses every value, in strict mode: what it would cut or round is
//! refused.
//!
//! Every statement is one that MySQL 8.0 and MariaDB 10.5 both know: there is no `insert … as new`, no `returning`, and a
//! temporary table is named once in a statement, for MySQL cannot open one twice.

mod catalog;
mod declare;
mod link;
mod literal;
mod merge;
mod read;
mod refusal;
mod schema;
mod stage;

use std::sync::Arc;

use async_trait::async_trait;

use self::link::Link;
use super::staged::{Session, Sessions, privileges};
use super::{
    Batch, Capabilities, Destination, Health, Options, Outcome, Readable, SendError, Sent, Target, Writer, table,
};
use crate::diagnostic::Result;
use crate::manifest::sync::{Mode, OnRemoved};
use crate::mysql::{Server, account};

/// A MySQL or MariaDB server; objects are its tables, `database.table`.
pub(super) struct Mysql {
    server: Server,
}

impl Mysql {
    /// A destination on this server.
    pub fn new(server: Server) -> Self {
        Self { server }
    }
}

#[async_trait]
impl Destination for Mysql {
    fn capabilities(&self, object: &str, mode: Mode, _: &Options) -> Result<Capabilities> {
        let capabilities = table::capabilities(&format!("table `{object}` of a MySQL database"), mode)?;
        Ok(Capabilities { batch_size: 5_000, concurrency: 2, ..capabilities })
    }

    async fn missing_privileges(
        &self,
        object: &str,
        mode: Mode,
        on_removed: OnRemoved,
    ) -> Result<Vec<String>, SendError> {
        let mut link = Link::open(&self.server).await?;
        catalog::missing(&mut link, object, &privileges(mode, on_removed)).await
    }

    async fn count(&self, object: &str, _: &Options) -> Result<Option<u64>, SendError> {
        read::count(&mut Link::open(&self.server).await?, object).await
    }

    async fn reader(&self, target: &Target) -> Result<Readable, SendError> {
        let link = Link::open(&self.server).await?;
        Ok(Readable::Yes(Box::new(read::MysqlReader::open(link, target).await?)))
    }

    async fn examine(&self) -> Result<Health, SendError> {
        let mut link = Link::open(&self.server).await?;
        let account = account::look(link.connection()).await.map_err(|e| refusal::before_commit(&e, &[]))?;
        let clock_ahead = Some(account.clock_ahead);
        let remarks = link.volatile().await?.into_iter().collect();
        Ok(Health { credentials: true, clock_ahead, account: Some(account), remarks, ..Health::default() })
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError> {
        let mut link = Link::open(&self.server).await?;
        let table = Arc::new(schema::open(&mut link, target).await?);
        let sessions = Sessions::new(MysqlSession { link, table: Arc::clone(&table) });
        Ok(Box::new(MysqlWriter { server: self.server.clone(), table, sessions }))
    }
}

struct MysqlWriter {
    server: Server,
    table: Arc<schema::Table>,
    sessions: Sessions<MysqlSession>,
}

struct MysqlSession {
    link: Link,
    table: Arc<schema::Table>,
}

#[async_trait]
impl Session for MysqlSession {
    async fn alive(&mut self) -> bool {
        self.link.alive().await
    }

    async fn send(&mut self, batch: &Batch) -> Result<Vec<Outcome>, SendError> {
        merge::send(&mut self.link, &self.table, batch).await
    }

    async fn undo(&mut self) -> bool {
        merge::undo(&mut self.link, &self.table).await
    }

    // ER_DUP_ENTRY
    const TAKEN: &'static str = "1062";
}

#[async_trait]
impl Writer for MysqlWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let new = async {
            let mut link = Link::open(&self.server).await?;
            link.enter(&self.table.database).await?;
            Ok(MysqlSession { link, table: Arc::clone(&self.table) })
        };
        self.sessions.send(batch, new).await
    }

    async fn settle(&self, _: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        Ok(Vec::new()) // nothing is ever deferred
    }
}
