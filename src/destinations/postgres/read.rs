//! Reading records back: they are copied beside the table as for a merge, the server compares, and all is rolled back.

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::merge::Merge;
use super::schema::{self, Table};
use crate::destinations::staged::{self, Numbered};
use crate::destinations::{Action, Held, Operation, Reader, SendError, Target};

/// A table, open to read.
pub(super) struct PostgresReader {
    client: Mutex<Client>,
    table: Table,
}

impl PostgresReader {
    /// Opens a target's table. It is never made.
    pub(super) async fn open(client: Client, target: &Target) -> Result<Self, SendError> {
        let mut target = target.clone();
        target.options.remove("create");
        let table = schema::open(&client, &target).await?;
        Ok(Self { client: Mutex::new(client), table })
    }
}

/// Rows of a table; `None` where it is not there yet.
pub(super) async fn count(client: &Client, object: &str) -> Result<Option<u64>, SendError> {
    let failed = |e: tokio_postgres::Error| super::refusal::before_commit(&e, &[]);
    let name = schema::table_name(object);
    let known = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&name]).await.map_err(failed)?;
    if !known.try_get::<_, bool>(0).map_err(failed)? {
        return Ok(None);
    }
    let row = client.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await.map_err(failed)?;
    Ok(u64::try_from(row.try_get::<_, i64>(0).map_err(failed)?).ok())
}

#[async_trait]
impl Reader for PostgresReader {
    fn reads_all(&self) -> bool {
        true
    }

    async fn read(&self, operations: &[Operation]) -> Result<Vec<Held>, SendError> {
        let client = self.client.lock().await;
        let numbered: Vec<Numbered<'_>> = operations.iter().enumerate().collect();
        let mut merge = Merge::new(&client, &self.table, Action::Send, &numbered);
        let found = merge.compare(&numbered).await;
        // The temporary table goes with the transaction.
        let rolled_back = client.batch_execute("ROLLBACK").await;
        let found = found?;
        rolled_back.map_err(|e| super::refusal::before_commit(&e, &[]))?;
        Ok(staged::held(&self.table.columns, operations, found))
    }
}
