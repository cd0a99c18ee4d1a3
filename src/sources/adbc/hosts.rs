//! Where a connection leads, held to the hosts the project allows.
//!
//! A driver is told where to go by the keys of its connection and by options of its own, so both are looked at. What the
//! SQL of a model makes a system read by itself (`read_parquet('https://…')` in DuckDB) is not known here.

use adbc_core::options::OptionValue;

use super::Target;
use crate::diagnostic::{Error, Result};
use crate::secret::Connection;

/// Words in the names of options that say where to go.
const PLACES: [&str; 7] = ["host", "uri", "url", "server", "proxy", "endpoint", "region"];

/// Refuses a connection that leads where the project does not let it.
///
/// # Errors
/// A host that is not allowed, or is no host but part of an address.
pub(super) fn permit(target: &Target, connection: &Connection) -> Result<()> {
    if let Some(host) = &target.host {
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)) {
            let help = "give the name or the address of the server alone";
            return Err(Error::failed_help(format!("connection.host: `{host}` is not the name of a host"), help));
        }
        connection.permit(host)?;
    }
    for (at, (name, value)) in target.options.iter().enumerate() {
        // Two keys for one thing: the later would quietly win. Settings of a client are there to be set.
        let twice = target.options.iter().take(at).any(|(other, _)| other.as_ref() == name.as_ref());
        if twice && !name.as_ref().contains("client_option") {
            let message = format!("connection.options: `{}` is said by the connection already", name.as_ref());
            return Err(Error::failed_help(message, "remove it from `options`"));
        }
        let says_where = PLACES.iter().any(|word| name.as_ref().to_ascii_lowercase().contains(word));
        if let (true, OptionValue::String(text)) = (says_where, value)
            && let Some(host) = host_in(text)
        {
            connection.permit(host)?;
        }
    }
    Ok(())
}

/// The host in an address, `grpc://user:word@host:443/path?x=y`, or in what is but a host and a port.
fn host_in(text: &str) -> Option<&str> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', ';']).next()?;
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    // `user@tcp(host:port)` is how Go's MySQL driver has it.
    let place = place.split_once('(').map_or(place, |(_, inner)| inner.trim_end_matches(')'));
    let host = match place.strip_prefix('[') {
        Some(six) => six.split(']').next()?,
        None => place.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::source::SourceType;

    #[test]
    fn hosts_are_found_in_addresses() {
        for (text, host) in [
            ("grpc+tls://lake.example.com:443", Some("lake.example.com")),
            ("sc://127.0.0.1:15002/;token=x", Some("127.0.0.1")),
            ("mysql://me:p%40ss@db/shop?tls=true", Some("db")),
            ("me:word@tcp(db.example.com:3306)/shop", Some("db.example.com")),
            ("grpc://[::1]:443", Some("::1")),
            ("db.example.com:5432", Some("db.example.com")),
            ("", None),
        ] {
            assert_eq!(host_in(text), host, "{text}");
        }
    }

    #[test]
    fn a_warehouse_is_only_reached_where_the_policy_lets_it() {
        let allowed = ["acme-eu.snowflakecomputing.com".to_owned(), "*.example.com".to_owned()];
        let snowflake = |more: serde_json::Value| {
            let mut all = json!({ "account": "acme-eu", "user": "S", "password": "word-of-it" });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            (SourceType::Snowflake, all)
        };
        let cases = [
            (snowflake(json!({})), None),
            (snowflake(json!({ "account": "other" })), Some("other.snowflakecomputing.com")),
            (snowflake(json!({ "host": "evil.com" })), Some("evil.com")),
            (snowflake(json!({ "host": "evil.com/x.example.com" })), Some("is not the name of a host")),
            (snowflake(json!({ "options": { "adbc.snowflake.sql.uri.host": "evil.com" } })), Some("evil.com")),
            (
                snowflake(json!({ "options": { "adbc.snowflake.sql.account": "evil" } })),
                Some("`adbc.snowflake.sql.account` is said by the connection already"),
            ),
            (snowflake(json!({ "options": { "adbc.snowflake.sql.client_option.login_timeout": "2s" } })), None),
            ((SourceType::Spark, json!({ "host": "spark.example.com" })), None),
            ((SourceType::Spark, json!({ "host": "spark.evil.com" })), Some("spark.evil.com")),
            (
                (SourceType::Adbc, json!({ "driver": "mysql", "uri": "u@tcp(db.evil.com:3306)/shop" })),
                Some("db.evil.com"),
            ),
            (
                (SourceType::Adbc, json!({ "driver": "flightsql", "uri": "grpc://lake.evil.com:1" })),
                Some("lake.evil.com"),
            ),
            ((SourceType::Adbc, json!({ "driver": "flightsql", "uri": "grpc://lake.example.com:1" })), None),
            ((SourceType::Duckdb, json!({})), None),
        ];
        for ((kind, connection), refused) in cases {
            let serde_json::Value::Object(values) = connection.clone() else { continue };
            let opened = super::super::open(kind, &Connection::new(values, Vec::new()).only_to(Some(&allowed)));
            match refused {
                None => assert!(opened.is_ok(), "{connection}"),
                Some(words) => {
                    let message = opened.err().map(|e| e.to_string()).unwrap_or_default();
                    assert!(message.contains(words), "{connection}: {message}");
                }
            }
        }
    }
}
