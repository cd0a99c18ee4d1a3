//! What a server says of the role a connection has: when its password ends, what it may do, and what time it is.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use crate::login::Account;

/// Asks the server. `pg_roles` may be read by everybody.
///
/// # Errors
/// The connection broke, or the server is none that has `pg_roles`.
pub async fn look(client: &Client) -> Result<Account, Error> {
    let sql = "select session_user::text, floor(extract(epoch from clock_timestamp()))::bigint,
        (select case when isfinite(rolvaliduntil) then floor(extract(epoch from rolvaliduntil))::bigint end
         from pg_roles where rolname = session_user)";
    let row = client.query_one(sql, &[]).await?;
    let ends: Option<i64> = row.try_get(2)?;
    let role: String = row.try_get(0)?;
    Ok(Account {
        renewal: format!("alter role \"{role}\" password '…' valid until '…'"),
        role,
        // What is beyond our calendar never ends.
        expires: ends.and_then(|second| Timestamp::from_second(second).ok()),
        clock_ahead: row.try_get::<_, i64>(1)? - Timestamp::now().as_second(),
    })
}

/// Those of the privileges the role does not have on a table; `None` where there is no such table. `table` is quoted.
///
/// # Errors
/// The connection broke.
pub async fn missing(client: &Client, table: &str, privileges: &[&str]) -> Result<Option<Vec<String>>, Error> {
    let sql = "select p from unnest($2::text[]) as p
        where to_regclass($1) is not null and not has_table_privilege(to_regclass($1)::oid, p)";
    let there = client.query_one("select to_regclass($1::text) is not null", &[&table]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let rows = client.query(sql, &[&table, &privileges]).await?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map(Some)
}
