//! A Snowflake account. Options of the driver: <https://arrow.apache.org/adbc/current/driver/snowflake.html>.

use adbc_core::options::{OptionDatabase, OptionValue};

use super::{Ask, Session, Target, other};
use crate::diagnostic::{Error, Result};
use crate::manifest::connection::{Authenticator, Protocol, SnowflakeConnection};
use crate::secret::variable;
use crate::sources::Dialect;
use crate::sources::adbc::driver::Wanted;
use crate::sources::spelling::Spelling;

/// Seconds a login may take; the driver's own limit is five minutes.
const LOGIN: &str = "60s";

/// # Errors
/// What the way to log in needs is missing, or it needs a person where there is none.
pub(super) fn target(connection: SnowflakeConnection) -> Result<Target> {
    let how = way(&connection)?;
    let mut options = login(&connection, how)?;
    let named = |key: &str, value: &Option<String>| value.as_ref().map(|value| other(key, value));
    options.push(other("adbc.snowflake.sql.account", &connection.account));
    options.extend(named("adbc.snowflake.sql.role", &connection.role));
    options.extend(named("adbc.snowflake.sql.warehouse", &connection.warehouse));
    options.extend(named("adbc.snowflake.sql.db", &connection.database));
    options.extend(named("adbc.snowflake.sql.schema", &connection.schema));
    options.extend(named("adbc.snowflake.sql.uri.host", &connection.host));
    options.extend(connection.port.map(|port| other("adbc.snowflake.sql.uri.port", &port.to_string())));
    options.extend(connection.protocol.map(|protocol| {
        let word = match protocol {
            Protocol::Https => "https",
            Protocol::Http => "http",
        };
        other("adbc.snowflake.sql.uri.protocol", word)
    }));
    options.push(other("adbc.snowflake.sql.client_option.app_name", "syncline"));
    options.push(other("adbc.snowflake.sql.client_option.login_timeout", LOGIN));
    // Nanoseconds reach from 1677 to 2262 only, and `9999-12-31` stands for "never" in many a table.
    options.push(other("adbc.snowflake.sql.client_option.max_timestamp_precision", "microseconds"));
    options.extend(connection.options.iter().map(|(name, value)| other(name, value.expose())));
    let own = format!("{}.snowflakecomputing.com", connection.account);
    let host = connection.host.unwrap_or(own);
    let secrets = [connection.password, connection.private_key, connection.private_key_passphrase, connection.token];
    Ok(Target {
        name: format!("snowflake account `{}`", connection.account),
        spelling: Spelling::Snowflake,
        dialect: Some(Dialect::Snowflake),
        driver: Wanted::of("snowflake", connection.driver),
        options,
        host: Some(host),
        secrets: secrets.into_iter().flatten().collect(),
        session: vec![Session::wished("alter session set timezone = 'UTC'")],
        infinite: false,
        ask: Ask::Bracketed,
    })
}

/// The way to log in: the one named, or the one there is everything for.
fn way(connection: &SnowflakeConnection) -> Result<Authenticator> {
    if let Some(how) = connection.authenticator {
        return Ok(how);
    }
    let given = [
        (Authenticator::KeyPair, connection.private_key.is_some()),
        (Authenticator::AccessToken, connection.token.is_some()),
        (Authenticator::Password, connection.password.is_some()),
    ];
    match given.iter().filter(|(_, given)| *given).map(|(how, _)| *how).collect::<Vec<_>>().as_slice() {
        [how] => Ok(*how),
        [] => Err(Error::failed_help(
            "the connection does not say how to log in",
            "give `private_key`, `token` or `password`; a key pair is what Snowflake wants for programs",
        )),
        _ => Err(Error::failed_help(
            "the connection gives several ways to log in",
            "keep one of `private_key`, `token` and `password`, or say which counts in `authenticator`",
        )),
    }
}

fn login(connection: &SnowflakeConnection, how: Authenticator) -> Result<Vec<(OptionDatabase, OptionValue)>> {
    let missing = |key: &str| {
        let help = format!("add `{key}` to the connection, or choose another `authenticator`");
        Error::failed_help(format!("connection.{key} is missing"), help)
    };
    let kind = |word: &str| other("adbc.snowflake.sql.auth_type", word);
    let token = || connection.token.as_ref().ok_or_else(|| missing("token"));
    let mut options = Vec::new();
    match (&connection.user, how) {
        (Some(user), _) => options.push((OptionDatabase::Username, user.as_str().into())),
        (None, Authenticator::Oauth) => {}
        (None, _) => return Err(missing("user")),
    }
    match how {
        Authenticator::Password => {
            let password = connection.password.as_ref().ok_or_else(|| missing("password"))?;
            options.push(kind("auth_snowflake"));
            options.push((OptionDatabase::Password, password.expose().into()));
        }
        Authenticator::KeyPair => {
            let key = connection.private_key.as_ref().ok_or_else(|| missing("private_key"))?;
            options.push(kind("auth_jwt"));
            options.push(other("adbc.snowflake.sql.client_option.jwt_private_key_pkcs8_value", key.expose()));
            options.extend(connection.private_key_passphrase.as_ref().map(|passphrase| {
                other("adbc.snowflake.sql.client_option.jwt_private_key_pkcs8_password", passphrase.expose())
            }));
        }
        Authenticator::Oauth => {
            options.push(kind("auth_oauth"));
            options.push(other("adbc.snowflake.sql.client_option.auth_token", token()?.expose()));
        }
        Authenticator::AccessToken => {
            options.push(kind("auth_pat"));
            options.push(other("adbc.snowflake.sql.client_option.auth_token", token()?.expose()));
        }
        Authenticator::ExternalBrowser => {
            if variable("CI").is_some_and(|ci| !matches!(ci.as_str(), "" | "0" | "false")) {
                return Err(Error::failed_help(
                    "`authenticator: external_browser` needs a person at a browser, and `CI` is set",
                    "use a key pair in CI: `private_key: \"{{ env.SNOWFLAKE_PRIVATE_KEY }}\"`",
                ));
            }
            options.push(kind("auth_ext_browser"));
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(yaml: serde_json::Value) -> Result<Vec<String>> {
        let connection: SnowflakeConnection = serde_json::from_value(yaml).unwrap();
        let shown = |(name, value): &(OptionDatabase, OptionValue)| match value {
            OptionValue::String(text) => format!("{}={text}", name.as_ref()),
            _ => String::new(),
        };
        target(connection).map(|target| target.options.iter().map(shown).collect())
    }

    #[test]
    fn ways_to_log_in() {
        let with = |more: serde_json::Value| {
            let mut all = serde_json::json!({ "account": "acme-eu", "user": "SYNC" });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            said(all)
        };
        let cases = [
            (serde_json::json!({ "password": "pw" }), "auth_snowflake", "password=pw"),
            (serde_json::json!({ "private_key": "PEM" }), "auth_jwt", "jwt_private_key_pkcs8_value=PEM"),
            (serde_json::json!({ "token": "tok" }), "auth_pat", "auth_token=tok"),
            (serde_json::json!({ "token": "tok", "authenticator": "oauth" }), "auth_oauth", "auth_token=tok"),
        ];
        for (more, kind, needed) in cases {
            let options = with(more).unwrap();
            assert!(options.contains(&format!("adbc.snowflake.sql.auth_type={kind}")), "{options:?}");
            assert!(options.iter().any(|option| option.ends_with(needed)), "{options:?}");
            assert!(options.contains(&"username=SYNC".to_owned()), "{options:?}");
        }
        let refused = [
            (serde_json::json!({}), "does not say how to log in"),
            (serde_json::json!({ "password": "pw", "token": "tok" }), "several ways"),
            (serde_json::json!({ "authenticator": "key_pair" }), "connection.private_key is missing"),
            (serde_json::json!({ "authenticator": "password", "token": "t" }), "connection.password is missing"),
        ];
        for (more, message) in refused {
            let error = with(more).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
