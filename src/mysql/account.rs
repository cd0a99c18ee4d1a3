//! What a server says of the user a connection has: its name, when its password ends, and what time it is.

use jiff::Timestamp;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};

use crate::login::Account;

/// Where the end of a password stands; each of it is there on some servers, and only some users may read it.
///
/// MySQL keeps when the password was changed and for how many days it holds; without days the server's own number holds,
/// and 0 is for ever (<https://dev.mysql.com/doc/refman/8.4/en/password-management.html>). MariaDB has the same as JSON,
/// and from 11.5 on a table that everybody may read for themselves
/// (<https://mariadb.com/kb/en/information-schema-users-table/>).
const ENDS: [&str; 3] = [
    "select unix_timestamp(password_expiration_time) from information_schema.users
     where user = concat('''', replace(current_user(), '@', '''@'''), '''')",
    "select unix_timestamp(password_last_changed)
         + nullif(coalesce(password_lifetime, @@default_password_lifetime), 0) * 86400
     from mysql.user where concat(user, '@', host) = current_user()",
    "select cast(json_value(priv, '$.password_last_changed') as signed)
         + nullif(cast(coalesce(nullif(json_value(priv, '$.password_lifetime'), -1), @@default_password_lifetime)
           as signed), 0) * 86400
     from mysql.global_priv where concat(user, '@', host) = current_user()",
];

/// Asks the server.
///
/// # Errors
/// The connection broke.
pub async fn look(connection: &mut Conn) -> Result<Account, Error> {
    let now: Option<(String, i64)> =
        connection.query_first("select current_user(), cast(unix_timestamp() as signed)").await?;
    let (role, seconds) = now.unwrap_or_default();
    let clock_ahead = seconds - Timestamp::now().as_second();
    let mut expires = None;
    for sql in ENDS {
        match connection.query_first::<Option<f64>, _>(sql).await {
            Ok(Some(Some(second))) => {
                // What is beyond our calendar never ends. Seconds of this age are exact in a float.
                expires = Timestamp::from_second(second as i64).ok();
                break;
            }
            // There is no such table here, or it is not for this user's eyes.
            Ok(_) | Err(Error::Server(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let (user, host) = role.rsplit_once('@').unwrap_or((&role, "%"));
    let renewal = format!("alter user '{user}'@'{host}' identified by '…'");
    Ok(Account { role, expires, renewal, clock_ahead })
}
