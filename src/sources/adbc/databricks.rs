//! A Databricks SQL warehouse or cluster. The driver takes one address
//! (<https://docs.adbc-drivers.org/drivers/databricks>).

use adbc_core::options::OptionDatabase;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Ask, Target, other};
use crate::diagnostic::{Error, Result};
use crate::manifest::connection::DatabricksConnection;
use crate::sources::Dialect;
use crate::sources::adbc::driver::Wanted;
use crate::sources::spelling::Spelling;

/// # Errors
/// Neither a token nor a service principal is given, or both.
pub(super) fn target(connection: DatabricksConnection) -> Result<Target> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (user, mut parameters) = match (&connection.token, &connection.client_id, &connection.client_secret) {
        (Some(token), None, None) => (format!("token:{}@", encoded(token.expose())), Vec::new()),
        (None, Some(id), Some(secret)) => {
            let parameters = [("authType", "OAuthM2M"), ("clientID", id), ("clientSecret", secret.expose())];
            (String::new(), parameters.map(|(name, value)| format!("{name}={}", encoded(value))).to_vec())
        }
        (None, None, None) => {
            let help = "add `token`, or `client_id` and `client_secret` of a service principal";
            return Err(Error::failed_help("the connection does not say how to log in", help));
        }
        _ => {
            let help = "give `token` alone, or `client_id` and `client_secret` together";
            return Err(Error::failed_help("the connection gives half of one way to log in, or two", help));
        }
    };
    let named = [("catalog", &connection.catalog), ("schema", &connection.schema)];
    parameters.extend(named.iter().filter_map(|(n, value)| Some(format!("{n}={}", encoded(value.as_ref()?)))));
    // What a session's text of an instant is must not depend on where the warehouse stands.
    parameters.push("timezone=UTC".to_owned());
    let (host, port) = (&connection.host, connection.port.unwrap_or(443));
    let path = connection.http_path.trim_start_matches('/');
    let uri = format!("databricks://{user}{host}:{port}/{path}?{}", parameters.join("&"));
    let mut options = vec![(OptionDatabase::Uri, uri.into())];
    options.extend(connection.options.iter().map(|(name, value)| other(name, value.expose())));
    Ok(Target {
        name: format!("databricks at {host}:{port}"),
        spelling: Spelling::Backticks,
        dialect: Some(Dialect::Spark),
        driver: Wanted::of("databricks", connection.driver),
        options,
        host: Some(connection.host.clone()),
        secrets: connection.token.into_iter().chain(connection.client_secret).collect(),
        session: Vec::new(),
        infinite: false,
        ask: Ask::Bracketed,
    })
}
