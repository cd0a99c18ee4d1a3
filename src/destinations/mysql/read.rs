//! Reading records back: they are put beside the table as for a merge, the server compares, and all is rolled back.

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::catalog;
use super::link::{Link, number};
use super::merge::{self, Merge};
use super::schema::{self, Table};
use crate::destinations::staged::{self, Numbered};
use crate::destinations::{Action, Held, Operation, Reader, SendError, Target};

/// A table, open to read.
pub(super) struct MysqlReader {
    link: Mutex<Link>,
    table: Table,
}

impl MysqlReader {
    /// Opens a target's table. It is never made.
    pub(super) async fn open(mut link: Link, target: &Target) -> Result<Self, SendError> {
        let mut target = target.clone();
        target.options.remove("create");
        let table = schema::open(&mut link, &target).await?;
        Ok(Self { link: Mutex::new(link), table })
    }
}

/// Rows of a table; `None` where it is not there yet.
pub(super) async fn count(link: &mut Link, object: &str) -> Result<Option<u64>, SendError> {
    let place = catalog::place(link, object).await?;
    if !catalog::exists(link, &place).await? {
        return Ok(None);
    }
    let rows = link.rows(&format!("SELECT count(*) FROM {}", place.quoted()), &[]).await?;
    Ok(rows.first().map(|row| number(row, 0) as u64))
}

#[async_trait]
impl Reader for MysqlReader {
    fn reads_all(&self) -> bool {
        true
    }

    async fn read(&self, operations: &[Operation]) -> Result<Vec<Held>, SendError> {
        let mut link = self.link.lock().await;
        let numbered: Vec<Numbered<'_>> = operations.iter().enumerate().collect();
        let found = Merge::new(&mut link, &self.table, Action::Send, &numbered).compare(&numbered).await;
        let undone = merge::undo(&mut link, &self.table).await;
        let found = found?;
        if !undone {
            let message = "MySQL: the connection ended while records were read back".into();
            return Err(SendError::Transient { message, retry_after: None });
        }
        Ok(staged::held(&self.table.columns, operations, found))
    }
}
