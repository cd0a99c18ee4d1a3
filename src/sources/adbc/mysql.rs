//! A MySQL or MariaDB server. The driver takes one address, with the parameters of Go's MySQL driver
//! (<https://docs.adbc-drivers.org/drivers/mysql>, <https://github.com/go-sql-driver/mysql#parameters>).

use adbc_core::options::OptionDatabase;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Ask, Session, Target, other};
use crate::manifest::connection::{MysqlSourceConnection, SslMode};
use crate::sources::Dialect;
use crate::sources::adbc::driver::Wanted;
use crate::sources::spelling::Spelling;

pub(super) fn target(connection: MysqlSourceConnection) -> Target {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (host, port) = (&connection.host, connection.port.unwrap_or(3306));
    let password = connection.password.as_ref().map(|p| format!(":{}", encoded(p.expose()))).unwrap_or_default();
    let tls = match connection.sslmode.unwrap_or_default() {
        SslMode::Disable => "false",
        SslMode::Prefer => "preferred",
        SslMode::Require | SslMode::VerifyFull => "true",
    };
    let database = connection.database.as_deref().map(encoded).unwrap_or_default();
    let uri = format!("mysql://{}{password}@{host}:{port}/{database}?tls={tls}", encoded(&connection.user));
    let mut options = vec![(OptionDatabase::Uri, uri.into())];
    options.extend(connection.options.iter().map(|(name, value)| other(name, value.expose())));
    Target {
        name: format!("mysql at {host}:{port}"),
        spelling: Spelling::Backticks,
        dialect: Some(Dialect::Mysql),
        driver: Wanted::of("mysql", connection.driver),
        options,
        host: Some(connection.host.clone()),
        secrets: connection.password.into_iter().collect(),
        session: vec![
            Session::needed("set time_zone = '+00:00'"),
            Session::needed("set session transaction read only"),
        ],
        infinite: false,
        ask: Ask::Bracketed,
    }
}
