//! Reading records back: they are copied beside the table as for a merge, the server compares, and all is rolled back.

use async_trait::async_trait;
use serde_json::Value as Json;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::merge::Merge;
use super::schema::{self, Table};
use crate::destinations::table::Columns;
use crate::destinations::{Action, Held, Operation, Reader, SendError, Target, There};

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
        let numbered: Vec<(usize, &Operation)> = operations.iter().enumerate().collect();
        let merge = Merge::new(&client, &self.table, Action::Send, &numbered);
        let found = merge.compare(&numbered).await;
        // The temporary table goes with the transaction.
        let rolled_back = client.batch_execute("ROLLBACK").await;
        let found = found?;
        rolled_back.map_err(|e| super::refusal::before_commit(&e, &[]))?;
        let Columns { fields, .. } = &self.table.columns;
        let mut held = vec![Held::Absent; operations.len()];
        for (n, row) in found {
            let Some((slot, operation)) = held.get_mut(n).zip(operations.get(n)) else { continue };
            if *slot != Held::Absent {
                *slot = Held::Several;
                continue;
            }
            let differs = row.into_iter().filter_map(|(name, same, value)| {
                let column = fields.iter().find(|column| column.name == name)?;
                let compared = column.field(&operation.record).is_some() && !column.if_added;
                let value = value.map_or(Json::Null, Json::String);
                (compared && !same).then_some(There { field: name, value })
            });
            *slot = Held::There(differs.collect());
        }
        Ok(held)
    }
}
