//! Any system an ADBC driver reaches.

use adbc_core::options::OptionDatabase;

use super::{Ask, Target, other};
use crate::manifest::connection::{AdbcConnection, Quotes};
use crate::secret::Secret;
use crate::sources::adbc::driver::{Wanted, install};
use crate::sources::spelling::Spelling;

pub(super) fn target(connection: AdbcConnection) -> Target {
    let mut options = Vec::new();
    options.extend(connection.uri.as_ref().map(|uri| (OptionDatabase::Uri, uri.expose().into())));
    options.extend(connection.user.as_ref().map(|user| (OptionDatabase::Username, user.as_str().into())));
    options.extend(connection.password.as_ref().map(|p| (OptionDatabase::Password, p.expose().into())));
    options.extend(connection.options.iter().map(|(name, value)| other(name, value.expose())));
    let name = connection.driver;
    let stem = name.rsplit(['/', '\\']).next().unwrap_or(&name);
    let install = if stem == name { install(&name) } else { "install the driver there".to_owned() };
    let secrets: Vec<Secret> = connection.uri.into_iter().chain(connection.password).collect();
    Target {
        name: format!("the system behind the ADBC driver `{stem}`"),
        spelling: match connection.quotes {
            Some(Quotes::Backticks) => Spelling::Backticks,
            Some(Quotes::Double) | None => Spelling::Standard,
        },
        dialect: None,
        driver: Wanted { name, entrypoint: connection.entrypoint, install },
        options,
        host: None,
        secrets,
        session: Vec::new(),
        infinite: false,
        ask: Ask::Plain,
    }
}
