//! A DuckDB database file. The driver is DuckDB's own library; its options are DuckDB's settings
//! (<https://duckdb.org/docs/stable/clients/adbc>).

use std::path::Path;

use super::{Ask, Session, Target, other};
use crate::diagnostic::{Error, Result};
use crate::manifest::connection::DuckdbConnection;
use crate::sources::Dialect;
use crate::sources::adbc::driver::Wanted;
use crate::sources::spelling::Spelling;

/// # Errors
/// The file is not there: DuckDB would make a new one.
pub(super) fn target(connection: DuckdbConnection) -> Result<Target> {
    let mut options = Vec::new();
    let name = match &connection.path {
        Some(path) if !Path::new(path).is_file() => {
            let help = "correct `connection.path`, or make the file first; a database of a newer DuckDB needs a driver \
                        of that version";
            return Err(Error::failed_help(format!("there is no database file `{path}`"), help));
        }
        Some(path) => {
            options.push(other("path", path));
            options.push(other("access_mode", "READ_ONLY"));
            format!("duckdb `{path}`")
        }
        None => "duckdb in memory".to_owned(),
    };
    options.extend(connection.options.iter().map(|(name, value)| other(name, value.expose())));
    Ok(Target {
        name,
        spelling: Spelling::Standard,
        dialect: Some(Dialect::Duckdb),
        driver: Wanted::of("duckdb", connection.driver),
        options,
        host: None,
        secrets: Vec::new(),
        session: vec![
            // JSON, UUIDs and big integers keep what they are.
            Session::needed("set arrow_lossless_conversion = true"),
            // Known only with DuckDB's extension for time zones.
            Session::wished("set TimeZone = 'UTC'"),
        ],
        infinite: true,
        ask: Ask::Both,
    })
}
