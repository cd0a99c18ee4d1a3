//! Finding and loading a driver.
//!
//! Looked for, in this order: the path in the connection; a manifest `NAME.toml` or a library `libNAME.so` in
//! `ADBC_DRIVER_PATH`, in the virtual environment (`$VIRTUAL_ENV`, `$CONDA_PREFIX`: `etc/adbc/drivers`), in the user's
//! folder (`~/.config/adbc/drivers`), in `/etc/adbc/drivers`; the library in the Python package `adbc_driver_NAME`; what
//! the system's loader finds by that name. The first places are those of the ADBC specification of driver manifests
//! (<https://arrow.apache.org/adbc/current/format/driver_manifests.html>), which `dbc` installs to.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use adbc_core::LOAD_FLAG_DEFAULT;
use adbc_core::options::AdbcVersion;
use adbc_driver_manager::ManagedDriver;

use crate::diagnostic::{Error, Result};
use crate::secret::variable;

/// The driver a connection needs.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Its name, `snowflake`, or a path.
    pub name: String,
    /// The function it starts with, where it is not derived from the name of the library.
    pub entrypoint: Option<String>,
    /// What installs it, as a whole sentence's end: `` `dbc install snowflake` ``.
    pub install: String,
}

impl Wanted {
    /// The driver of a type, unless the connection names another one.
    pub(super) fn of(name: &str, given: Option<String>) -> Self {
        let entrypoint = (name == "duckdb").then(|| "duckdb_adbc_init".to_owned());
        Self { name: given.unwrap_or_else(|| name.to_owned()), entrypoint, install: install(name) }
    }

    fn is_path(&self) -> bool {
        self.name.contains(['/', '\\'])
    }
}

/// Drivers that are Python packages, too: installed by `pip install adbc-driver-NAME`.
const PACKAGED: [&str; 6] = ["bigquery", "flightsql", "postgresql", "snowflake", "spark", "sqlite"];

/// What installs the driver of this name.
pub(super) fn install(name: &str) -> String {
    if PACKAGED.contains(&name) {
        return format!("install it: `dbc install {name}` or `pip install adbc-driver-{name}`");
    }
    if name == "duckdb" {
        return "install it: `dbc install duckdb`, or name the library of any DuckDB release in `connection.driver`: \
                `/path/to/libduckdb.so`"
            .to_owned();
    }
    format!("install it: `dbc install {name}`")
}

/// Where a driver is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A manifest that says where the library is.
    Manifest(PathBuf),
    /// The library itself.
    Library(PathBuf),
    /// Where the system's loader finds it by this name, if it does.
    Loader(String),
}

impl Place {
    /// The place in words.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Manifest(path) | Self::Library(path) => path.display().to_string(),
            Self::Loader(name) => format!("{name}, found by the system's loader"),
        }
    }
}

/// The folders that hold drivers or their manifests, in their order.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        variable("ADBC_DRIVER_PATH").iter().flat_map(|paths| std::env::split_paths(paths)).collect();
    let environments = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable);
    folders.extend(environments.map(|root| Path::new(&root).join("etc/adbc/drivers")));
    let home = variable("HOME").map(PathBuf::from);
    if cfg!(target_os = "macos") {
        folders.extend(home.map(|home| home.join("Library/Application Support/ADBC/Drivers")));
        folders.push("/Library/Application Support/ADBC/Drivers".into());
    } else {
        let config = variable("XDG_CONFIG_HOME").map(PathBuf::from).or(home.map(|home| home.join(".config")));
        folders.extend(config.map(|config| config.join("adbc/drivers")));
        folders.push("/etc/adbc/drivers".into());
    }
    folders
}

/// The folders Python packages are installed to, in their order.
fn packages() -> Vec<PathBuf> {
    let own = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable).map(PathBuf::from);
    let home = variable("HOME").map(|home| Path::new(&home).join(".local"));
    let roots = own.chain(home).chain(["/usr/local".into(), "/usr".into()]);
    let mut found = Vec::new();
    for root in roots {
        found.push(root.join("lib/python3/dist-packages"));
        let Ok(entries) = fs::read_dir(root.join("lib")) else { continue };
        let mut versions: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        versions.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3.")));
        versions.sort();
        found.extend(versions.iter().rev().flat_map(|v| [v.join("site-packages"), v.join("dist-packages")]));
    }
    found
}

/// Where the driver is; `None` when only the system's loader could still know it.
pub(super) fn find(wanted: &Wanted) -> Option<Place> {
    let name = &wanted.name;
    if wanted.is_path() {
        let path = PathBuf::from(name);
        let manifest = path.extension().is_some_and(|extension| extension == "toml");
        return Some(if manifest { Place::Manifest(path) } else { Place::Library(path) });
    }
    let library = |name: &str| format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let packaged = format!("adbc_driver_{}", name.replace('-', "_"));
    for folder in folders() {
        let manifest = folder.join(format!("{name}.toml"));
        if manifest.is_file() {
            return Some(Place::Manifest(manifest));
        }
        let libraries = [library(name), library(&packaged)].map(|file| folder.join(file));
        if let Some(path) = libraries.into_iter().find(|path| path.is_file()) {
            return Some(Place::Library(path));
        }
    }
    // The packages name their library alike on all systems.
    let in_package = |folder: PathBuf| folder.join(&packaged).join(format!("lib{packaged}.so"));
    packages().into_iter().map(in_package).find(|path| path.is_file()).map(Place::Library)
}

/// Drivers once loaded stay: a library written in Go cannot be unloaded.
static LOADED: Mutex<Option<HashMap<Loaded, ManagedDriver>>> = Mutex::new(None);

/// Where a driver was loaded from, and the function it was started with.
type Loaded = (Place, Option<String>);

/// Loads the driver.
///
/// # Errors
/// It is not there, with the command that installs it, or it cannot be used on this machine.
pub(super) fn load(wanted: &Wanted) -> Result<ManagedDriver> {
    let found = find(wanted);
    if let Some(Place::Manifest(path) | Place::Library(path)) = &found
        && !path.is_file()
    {
        let message = format!("there is no ADBC driver at `{}`", path.display());
        return Err(Error::failed_help(message, format!("correct `connection.driver`, or {}", wanted.install)));
    }
    let place = found.clone().unwrap_or_else(|| Place::Loader(wanted.name.clone()));
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    let key = (place, wanted.entrypoint.clone());
    if let Some(driver) = loaded.get(&key) {
        return Ok(driver.clone());
    }
    let driver = fresh(&key.0, wanted).map_err(|error| match found {
        None => {
            Error::failed_help(format!("the ADBC driver `{}` is not installed", wanted.name), wanted.install.clone())
        }
        Some(place) => Error::failed_help(
            format!("the ADBC driver at `{}` cannot be loaded: {}", place.shown(), error.message.trim()),
            "it must be a driver for this system and processor; install it anew, or correct its manifest",
        ),
    })?;
    tracing::debug!(driver = wanted.name, place = key.0.shown(), "driver loaded");
    loaded.insert(key, driver.clone());
    Ok(driver)
}

fn fresh(place: &Place, wanted: &Wanted) -> adbc_core::error::Result<ManagedDriver> {
    let entrypoint = wanted.entrypoint.as_deref().map(str::as_bytes);
    let by_name = |name: &str, entrypoint| {
        ManagedDriver::load_from_name(name, entrypoint, AdbcVersion::V110, LOAD_FLAG_DEFAULT, None)
    };
    match place {
        // A manifest that names its function knows better than we do.
        Place::Manifest(path) => {
            let path = path.to_string_lossy();
            by_name(&path, None)
                .or_else(|error| if entrypoint.is_some() { by_name(&path, entrypoint) } else { Err(error) })
        }
        Place::Library(path) => ManagedDriver::load_dynamic_from_filename(path, entrypoint, AdbcVersion::V110),
        Place::Loader(name) => by_name(name, entrypoint)
            .or_else(|_| by_name(&format!("adbc_driver_{}", name.replace('-', "_")), entrypoint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_installs_a_driver() {
        let cases = [
            ("snowflake", "install it: `dbc install snowflake` or `pip install adbc-driver-snowflake`"),
            ("spark", "install it: `dbc install spark` or `pip install adbc-driver-spark`"),
            ("databricks", "install it: `dbc install databricks`"),
            ("trino", "install it: `dbc install trino`"),
        ];
        for (name, expected) in cases {
            assert_eq!(install(name), expected);
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_or_to_no_driver() {
        let folder = tempfile::tempdir().unwrap();
        let junk = folder.path().join("libjunk.so");
        fs::write(&junk, "no library").unwrap();
        let manifest = folder.path().join("m.toml");
        fs::write(&manifest, "manifest_version = 1\n[Driver]\nshared = '/nowhere/lib.so'\n").unwrap();
        let cases = [
            (folder.path().join("missing.so"), "there is no ADBC driver at", "dbc install duckdb"),
            (junk, "cannot be loaded", "this system and processor"),
            (manifest, "cannot be loaded", "correct its manifest"),
        ];
        for (path, message, help) in cases {
            let wanted = Wanted::of("duckdb", Some(path.display().to_string()));
            let error = load(&wanted).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.help().unwrap_or_default().contains(help), "{:?}", error.help());
        }
    }

    #[test]
    fn a_driver_nobody_has() {
        let wanted = Wanted::of("no-such-system", None);
        let error = load(&wanted).unwrap_err();
        assert_eq!(error.to_string(), "the ADBC driver `no-such-system` is not installed");
        assert_eq!(error.help(), Some("install it: `dbc install no-such-system`"));
    }
}
