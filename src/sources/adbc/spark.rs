//! An Apache Spark cluster by its Spark Connect server. The address is Spark's own
//! (<https://github.com/apache/spark/blob/master/sql/connect/docs/client-connection-string.md>).

use adbc_core::options::OptionDatabase;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Ask, Session, Target, other};
use crate::diagnostic::{Error, Result};
use crate::manifest::connection::SparkConnection;
use crate::sources::Dialect;
use crate::sources::adbc::driver::Wanted;
use crate::sources::spelling::Spelling;

/// # Errors
/// A token that would go over the network in clear text.
pub(super) fn target(connection: SparkConnection) -> Result<Target> {
    if connection.token.is_some() && connection.tls == Some(false) {
        let help = "remove `tls: false`: a token is only sent encrypted";
        return Err(Error::failed_help("connection: `token` and `tls: false` exclude each other", help));
    }
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (host, port) = (&connection.host, connection.port.unwrap_or(15002));
    let mut uri = format!("sc://{host}:{port}");
    let mut parameters = Vec::new();
    parameters.extend(connection.user.as_deref().map(|user| format!("user_id={}", encoded(user))));
    parameters.extend(connection.token.as_ref().map(|token| format!("token={}", encoded(token.expose()))));
    parameters.extend((connection.tls == Some(true) || connection.token.is_some()).then(|| "use_ssl=true".to_owned()));
    if !parameters.is_empty() {
        uri.push_str(&format!("/;{}", parameters.join(";")));
    }
    let mut options = vec![(OptionDatabase::Uri, uri.into())];
    options.extend(connection.options.iter().map(|(name, value)| other(name, value.expose())));
    Ok(Target {
        name: format!("spark at {host}:{port}"),
        spelling: Spelling::Backticks,
        dialect: Some(Dialect::Spark),
        driver: Wanted::of("spark", connection.driver),
        options,
        host: Some(connection.host.clone()),
        secrets: connection.token.into_iter().collect(),
        session: vec![Session::wished("set time zone 'UTC'")],
        infinite: false,
        ask: Ask::Bracketed,
    })
}
