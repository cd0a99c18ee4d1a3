//! A table in PostgreSQL as a store of objects: a row for each part of one.

use std::path::Path;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::objects::{Fetched, Object, Objects, Tag, When};
use crate::diagnostic::{Error, Result};
use crate::manifest::connection::ServerConnection;
use crate::manifest::project::StateBackend;
use crate::postgres::{self, Server};
use crate::secret::{Redactor, Secret, variable};
use crate::state::local;

/// Bytes of an object in one row.
const PART: usize = 4 * 1024 * 1024;
/// The variable the password comes from, as for every tool of PostgreSQL.
const PASSWORD: &str = "PGPASSWORD";

/// A table.
pub struct Table {
    server: Server,
    /// Its name with that of its schema, quoted.
    table: String,
    schema: String,
    prefix: String,
    place: String,
    /// One connection: a row that is written waits for the one before, and nothing is ever sent twice.
    client: Mutex<Option<Client>>,
}

impl Table {
    /// The table of a manifest.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn new(config: &StateBackend, root: &Path) -> Result<Self> {
        let given = config.connection.clone().unwrap_or_default();
        let password = variable(PASSWORD).map(Secret::new);
        let connection = ServerConnection {
            url: None,
            host: given.host,
            port: given.port,
            user: given.user,
            password: password.clone(),
            database: given.database,
            sslmode: given.sslmode,
            ca_file: given.ca_file.map(|path| root.join(path).display().to_string()),
        };
        let server = Server::new(&connection, &Redactor::new(password))?;
        let schema = quoted(given.schema.as_deref().unwrap_or("syncline"));
        let prefix = config.prefix.as_deref().unwrap_or_default().trim_matches('/').to_owned();
        let (table, place) = (format!("{schema}.state_objects"), config.place());
        Ok(Self { server, table, schema, prefix, place, client: Mutex::default() })
    }

    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    /// The connection, made anew where it broke.
    async fn client(&self) -> Result<MutexGuard<'_, Option<Client>>> {
        let mut slot = self.client.lock().await;
        if slot.as_ref().is_none_or(Client::is_closed) {
            let client = self.server.connect().await.map_err(|failure| {
                Error::failed_help(
                    format!("the state in `{}` cannot be reached: {}", self.place, failure.message),
                    format!("the password comes from `{PASSWORD}`"),
                )
            })?;
            self.prepare(&client).await?;
            *slot = Some(client);
        }
        Ok(slot)
    }

    /// Makes the table where there is none.
    async fn prepare(&self, client: &Client) -> Result<()> {
        let there = client.query_one("select to_regclass($1) is not null", &[&self.table]).await;
        if there.is_ok_and(|row| row.get(0)) {
            return Ok(());
        }
        let (schema, table) = (&self.schema, &self.table);
        let sql = format!(
            "create schema if not exists {schema};\n\
             create sequence if not exists {schema}.state_tags;\n\
             create table if not exists {table} (name text not null, part int not null, tag bigint not null, \
             modified timestamptz not null, body bytea not null, primary key (name, part));"
        );
        // Two first uses at the same time: one of them finds the other's work.
        for last in [false, true] {
            match client.batch_execute(&sql).await {
                Ok(()) => break,
                Err(_) if !last => {}
                Err(e) => {
                    let message = format!("cannot make the table of the state in `{}`: {}", self.place, self.cause(&e));
                    return Err(Error::failed_help(message, format!("let somebody who may run it once:\n{sql}")));
                }
            }
        }
        Ok(())
    }

    fn cause(&self, error: &tokio_postgres::Error) -> String {
        self.server.redact(&postgres::cause(error))
    }

    fn failed(&self, verb: &str, name: &str, error: &tokio_postgres::Error) -> Error {
        Error::failed(format!("cannot {verb} `{name}` in the state in `{}`: {}", self.place, self.cause(error)))
    }

    async fn rows(&self, verb: &str, name: &str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let slot = self.client().await?;
        let Some(client) = slot.as_ref() else { return Ok(Vec::new()) };
        client.query(sql, values).await.map_err(|e| self.failed(verb, name, &e))
    }

    /// The pattern-free beginning of all names below a folder.
    fn below(&self, folder: &str) -> String {
        format!("{}/", self.key(folder))
    }
}

const NOW: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

#[async_trait]
impl Objects for Table {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn read(&self, name: &str) -> Result<Option<Object>> {
        let sql = format!(
            "select body, tag, (extract(epoch from modified) * 1000)::bigint from {} where name = $1 order by part",
            self.table
        );
        let rows = self.rows("read", name, &sql, &[&self.key(name)]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let (tag, modified) = (first.get::<_, i64>(1), first.get::<_, i64>(2));
        let bytes = rows.iter().flat_map(|row| row.get::<_, &[u8]>(0)).copied().collect();
        Ok(Some(Object {
            bytes,
            tag: tag_of(tag),
            modified: Timestamp::from_millisecond(modified).unwrap_or_default(),
        }))
    }

    async fn write(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<Option<Tag>> {
        let (table, schema, key) = (&self.table, &self.schema, self.key(name));
        let insert = format!(
            "insert into {table} (name, part, tag, modified, body) \
             values ($1, 0, nextval('{schema}.state_tags'), clock_timestamp(), $2)"
        );
        let rows = match when {
            When::Always => {
                let sql = format!(
                    "with gone as (delete from {table} where name = $1 and part > 0) {insert} on conflict (name, part) do \
                     update set body = excluded.body, tag = excluded.tag, modified = excluded.modified returning tag"
                );
                self.rows("write", name, &sql, &[&key, &bytes]).await?
            }
            When::Absent => {
                let sql = format!("{insert} on conflict do nothing returning tag");
                self.rows("write", name, &sql, &[&key, &bytes]).await?
            }
            When::Is(tag) => {
                let known = tag.id.and_then(|id| id.parse::<i64>().ok()).unwrap_or(-1);
                let sql = format!(
                    "update {table} set body = $2, tag = nextval('{schema}.state_tags'), modified = clock_timestamp() \
                     where name = $1 and part = 0 and tag = $3 returning tag"
                );
                self.rows("write", name, &sql, &[&key, &bytes, &known]).await?
            }
        };
        Ok(rows.first().map(|row| tag_of(row.get(0))))
    }

    async fn upload(&self, name: &str, file: &Path) -> Result<Tag> {
        let unread = |e| local::failed("read", file, &e);
        let mut from = tokio::fs::File::open(file).await.map_err(unread)?;
        let (key, failed) = (self.key(name), |e| self.failed("write", name, &e));
        let mut slot = self.client().await?;
        let client = slot.as_mut().ok_or_else(|| Error::failed("no connection"))?;
        let whole = client.transaction().await.map_err(failed)?;
        let next = format!("select nextval('{}.state_tags')", self.schema);
        let tag: i64 = whole.query_one(&next, &[]).await.map_err(failed)?.get(0);
        let delete = format!("delete from {} where name = $1", self.table);
        whole.execute(&delete, &[&key]).await.map_err(failed)?;
        let insert = format!("insert into {} values ($1, $2, $3, clock_timestamp(), $4)", self.table);
        let insert = whole.prepare(&insert).await.map_err(failed)?;
        let mut part = 0_i32;
        loop {
            let mut body = Vec::new();
            (&mut from).take(PART as u64).read_to_end(&mut body).await.map_err(unread)?;
            if body.is_empty() && part > 0 {
                break;
            }
            whole.execute(&insert, &[&key, &part, &tag, &body]).await.map_err(failed)?;
            part += 1;
        }
        whole.commit().await.map_err(failed)?;
        Ok(tag_of(tag))
    }

    async fn download(&self, name: &str, file: &Path, known: Option<&Tag>) -> Result<Fetched> {
        let (key, failed) = (self.key(name), |e| self.failed("read", name, &e));
        let slot = self.client().await?;
        let client = slot.as_ref().ok_or_else(|| Error::failed("no connection"))?;
        let sql = format!("select tag from {} where name = $1 and part = 0", self.table);
        let Some(row) = client.query_opt(&sql, &[&key]).await.map_err(failed)? else { return Ok(Fetched::Absent) };
        let tag = row.get::<_, i64>(0);
        if known == Some(&tag_of(tag)) {
            return Ok(Fetched::Same);
        }
        let unwritten = |e| local::failed("write", file, &e);
        let mut to = tokio::fs::File::create(file).await.map_err(unwritten)?;
        // One statement sees one content, whatever is written meanwhile.
        let sql = format!("select body, tag from {} where name = $1 order by part", self.table);
        let parts = client.query_raw(&sql, [&key]).await.map_err(failed)?;
        let mut parts = std::pin::pin!(parts);
        let mut tag = tag;
        while let Some(row) = parts.try_next().await.map_err(failed)? {
            tag = row.get(1);
            to.write_all(row.get(0)).await.map_err(unwritten)?;
        }
        to.flush().await.map_err(unwritten)?;
        Ok(Fetched::New(tag_of(tag)))
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let sql = format!(
            "select distinct split_part(substr(name, length($1) + 1), '/', 1) as entry from {} \
             where starts_with(name, $1) and part = 0",
            self.table
        );
        let rows = self.rows("list", folder, &sql, &[&self.below(folder)]).await?;
        let mut names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        names.sort();
        Ok(names)
    }

    async fn tree(&self, folder: &str) -> Result<Vec<(String, Tag)>> {
        let sql = format!("select name, tag from {} where starts_with(name, $1) and part = 0", self.table);
        let rows = self.rows("list", folder, &sql, &[&self.below(folder)]).await?;
        let prefix = self.key("");
        let name = |row: &Row| {
            let name: &str = row.get(0);
            name.strip_prefix(&prefix).unwrap_or(name).to_owned()
        };
        let mut found: Vec<_> = rows.iter().map(|row| (name(row), tag_of(row.get(1)))).collect();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    async fn remove(&self, names: Vec<String>) -> Result<()> {
        let keys: Vec<String> = names.iter().map(|name| self.key(name)).collect();
        let sql = format!("delete from {} where name = any($1)", self.table);
        self.rows("remove", names.first().map_or("", String::as_str), &sql, &[&keys]).await.map(|_| ())
    }

    async fn now(&self) -> Result<Timestamp> {
        let rows = self.rows("read", "the clock", &format!("select {NOW}"), &[]).await?;
        let now = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        Ok(Timestamp::from_millisecond(now).unwrap_or_default())
    }
}

fn tag_of(number: i64) -> Tag {
    Tag { id: Some(number.to_string()), version: None }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
