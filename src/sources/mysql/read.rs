//! One statement and its rows, from the server to Arrow.

use arrow_schema::Field;
use futures_util::TryStreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, Row, Statement};

use super::{decode, explain, json, types};
use crate::diagnostic::{Error, Result};
use crate::mysql::Server;
use crate::sources::batch::Fault;
use crate::sources::columns::Rows;
use crate::sources::wanted::{self, Wanted};
use crate::sources::{broken_off, channel};

/// What a read begins with.
///
/// A server may be set to end results after so many rows, to cut the texts of `group_concat`, or to hang up on who takes
/// no rows for a minute; and a backslash in a text may be one or not. None of that may depend on where it runs. Only a
/// transaction of this level has a snapshot.
const BEGIN: [&str; 3] = [
    "set session sql_select_limit = 18446744073709551615, group_concat_max_len = 1073741824, net_write_timeout = 86400,
     sql_mode = trim(both ',' from replace(replace(@@sql_mode, 'NO_BACKSLASH_ESCAPES', ''), ',,', ','))",
    "set session transaction isolation level repeatable read",
    "start transaction with consistent snapshot, read only",
];

/// One statement on its way.
pub(super) struct Read<'a> {
    pub connection: Conn,
    pub server: &'a Server,
    pub sql: String,
}

impl Read<'_> {
    /// Announces the columns and hands over the rows, if they are wanted.
    pub async fn run(mut self, hint: Option<&[String]>, rows: bool, out: &channel::Out) -> Result<()> {
        for statement in BEGIN {
            self.connection.query_drop(statement).await.map_err(|e| self.explain(&e))?;
        }
        let statement = self.prepare().await?;
        let columns = statement.columns();
        let json = json::columns(&mut self.connection, &columns).await.map_err(|e| self.explain(&e))?;
        let prepared = fields(&columns, &json)?;
        let Wanted { schema, places } = wanted::columns(prepared.clone(), hint)?;
        if !out.schema(schema.clone()) || !rows {
            leave(self.connection).await;
            return Ok(());
        }
        let mut batch = Rows::new(schema.clone()).map_err(crate::sources::failure)?;
        let Self { mut connection, server, .. } = self;
        let explained = |e| explain::explained(server, &e);
        let mut result = connection.exec_iter(&statement, ()).await.map_err(explained)?;
        // A server prepares a statement again by itself when a table has been altered meanwhile.
        if fields(result.columns_ref(), &json).ok().as_ref() != Some(&prepared) {
            let message = "a table was altered while it was about to be read";
            return Err(Error::failed_help(message, "run again").context(server.name()));
        }
        let Some(mut stream) = result.stream::<Row>().await.map_err(explained)? else {
            return Err(broken_off("the statement has no result").context(server.name()));
        };
        let mut number = 0_u64;
        while let Some(row) = stream.try_next().await.map_err(explained)? {
            number += 1;
            let mut values = row.unwrap_raw();
            let mut size = 0;
            let Rows { columns, flaws, .. } = &mut batch;
            for ((at, place), column) in places.iter().enumerate().zip(columns.iter_mut()) {
                let Some(value) = values.get_mut(place.at).and_then(Option::take) else {
                    return Err(broken_off("a row has not all columns").context(server.name()));
                };
                size += decode::size(&value);
                match decode::push(column, value) {
                    Ok(()) => {}
                    Err(Fault::Unreadable(why)) => flaws.add(at, why),
                    Err(Fault::Malformed) => {
                        let name = &place.name;
                        let what = "the value has another form than MySQL documents for the column's type";
                        let message = format!("column `{name}`, row {number} of the result: {what}");
                        return Err(Error::failed_help(message, decode::unreadable(name)).context(server.name()));
                    }
                }
            }
            if batch.end_row(size) && !out.rows(&mut batch)? {
                return Ok(());
            }
        }
        drop(stream);
        drop(result);
        leave(connection).await;
        out.rows(&mut batch)?;
        Ok(())
    }

    async fn prepare(&mut self) -> Result<Statement> {
        let sql = self.sql.trim_end().trim_end_matches(';').to_owned();
        let statement = self.connection.prep(sql).await.map_err(|e| self.explain(&e))?;
        // The driver makes parameters of names, and counts them.
        if statement.num_params() > 0 {
            let help = "write the values into the SQL";
            return Err(Error::failed_help("the SQL holds parameters such as `?` or `:name`", help));
        }
        Ok(statement)
    }

    fn explain(&self, error: &mysql_async::Error) -> Error {
        explain::explained(self.server, error)
    }
}

/// The fields of a result; `json` says of each column whether its text is JSON.
fn fields(columns: &[Column], json: &[bool]) -> Result<Vec<Field>> {
    let field = |(at, column): (usize, &Column)| {
        types::field(column, json.get(at).is_some_and(|json| *json)).ok_or_else(|| {
            let name = column.name_str();
            let message = format!("column `{name}` is of a type that cannot be read");
            Error::failed_help(message, decode::unreadable(&name))
        })
    };
    columns.iter().enumerate().map(field).collect()
}

/// Takes leave of the server, which else counts a client that broke off. All that was asked for is there by then, so that
/// it does not matter whether the word still arrives.
async fn leave(connection: Conn) {
    let _ = connection.disconnect().await;
}
