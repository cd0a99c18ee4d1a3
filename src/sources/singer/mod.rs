//! Source `singer`: a Singer tap prints the records of a stream.
//!
//! The tap is asked for its catalog (`--discover`), unless one is given; the model's table is selected in it and nothing
//! else, and it is run with it and without a state, so that it prints all there is. SCHEMA, RECORD and STATE are those of
//! the Singer specification (<https://hub.meltano.com/singer/spec>). As in [`super::command`], what it prints is looked at
//! only once it has ended with exit code 0, which is all that Singer has to say that an output is whole.

mod catalog;
mod messages;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_schema::SchemaRef;
use serde_json::Value;

use super::command::{Held, print, renamed};
use super::files::{Printed, positions};
use super::{BatchStream, Query, Source};
use crate::diagnostic::{Error, Result};
use crate::manifest::program::{Settings, SingerTap};
use crate::process::Program;
use crate::process::spool::Spool;
use crate::secret::Connection;

/// Largest catalog, in bytes.
const CATALOG: u64 = 64 << 20;

/// A tap.
pub(super) struct Singer {
    program: Program,
    config: Settings,
    catalog: Option<String>,
    /// What the tap says of its streams, once it was asked.
    found: Mutex<Option<Arc<Value>>>,
    printed: Mutex<Vec<(Stream, Arc<Output>)>>,
}

/// What is read of a tap: a stream, and its columns unless they are all.
type Stream = (String, Option<Vec<String>>);

struct Output {
    name: String,
    rows: Printed,
    _spool: Spool,
}

impl Singer {
    /// The tap of a connection; started with the first query.
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let SingerTap { command, config, catalog, directory, env, silence } = connection.typed()?;
        let env = env.into_iter().map(|(name, value)| (name, value.0));
        let silence = Duration::from_secs(u64::from(silence));
        let program = Program::new(command, directory.as_deref(), env, connection.redactor(), silence)?;
        Ok(Self { program, config, catalog, found: Mutex::default(), printed: Mutex::default() })
    }

    fn stream(&self, query: &Query) -> Result<Stream> {
        match query {
            Query::Table { name, columns, filter: None } => Ok((name.clone(), columns.clone())),
            Query::Table { .. } | Query::Sql(_) => {
                let help = "give the model a `table` with the name of a stream, without `where`";
                Err(self.program.fault("a tap is asked for a stream, and knows no SQL", help))
            }
        }
    }

    fn output(&self, wanted: &Stream) -> Result<Arc<Output>> {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = printed.iter().find(|(stream, _)| stream == wanted) {
            return Ok(known.clone());
        }
        let made = Arc::new(self.run(wanted)?);
        printed.push((wanted.clone(), made.clone()));
        Ok(made)
    }

    fn run(&self, (stream, columns): &Stream) -> Result<Output> {
        let spool = Spool::new().map_err(unwritable)?;
        let config = spool.path("config.json");
        write(&config, &Value::Object(self.config.0.clone()))?;
        let config = vec!["--config".to_owned(), config.display().to_string()];
        let found = self.streams(&spool, &config)?;
        let selected = catalog::select(&found, stream, columns.as_deref())
            .map_err(|fault| self.program.fault(fault.message, fault.help))?;
        let path = spool.path("catalog.json");
        write(&path, &selected.catalog)?;
        // Old taps know a catalog as `--properties`; they say in their help which of the two it is.
        let arguments = config.into_iter().chain(["--catalog".to_owned(), path.display().to_string()]);
        let program = self.program.with(arguments);
        let path = spool.path("output.jsonl");
        messages::records(&program, &self.program, &selected.stream, &path)?;
        let name = format!("output of `{}`", self.program.name());
        let rows = Printed::survey(&path).map_err(|error| renamed(error, &path, &name))?;
        Ok(Output { name, rows, _spool: spool })
    }

    /// The catalog: the file that is named, or what the tap says.
    fn streams(&self, spool: &Spool, config: &[String]) -> Result<Arc<Value>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found.as_ref() {
            return Ok(found.clone());
        }
        let (path, whose) = match &self.catalog {
            Some(path) => (path.into(), format!("the catalog `{path}`")),
            None => {
                let path = spool.path("discovered.json");
                let program = self.program.with(config.iter().cloned().chain(["--discover".to_owned()]));
                print::bytes(&program, String::new(), &path).map_err(|error| {
                    let help = "a tap that cannot tell its streams needs a file of them: `connection.catalog`";
                    Error::failed_help(
                        error.to_string(),
                        error.help().map_or(help.to_owned(), |h| format!("{h}; {help}")),
                    )
                })?;
                (path, format!("the catalog of `{}`", self.program.name()))
            }
        };
        let fault =
            |what: String| Error::failed_help(format!("{whose} {what}"), "see what the tap prints with `--discover`");
        let length = std::fs::metadata(&path).map_err(|e| fault(format!("cannot be read: {e}")))?.len();
        if length > CATALOG {
            return Err(fault(format!("is larger than {} MiB", CATALOG >> 20)));
        }
        let bytes = std::fs::read(&path).map_err(|e| fault(format!("cannot be read: {e}")))?;
        let catalog: Value = serde_json::from_slice(&bytes).map_err(|e| fault(format!("is not JSON: {e}")))?;
        let catalog = Arc::new(catalog);
        *found = Some(catalog.clone());
        Ok(catalog)
    }
}

impl Source for Singer {
    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        let (stream, columns) = self.stream(query)?;
        let output = self.output(&(stream, columns.clone()))?;
        let schema = output.rows.schema();
        if schema.fields().is_empty() {
            return Ok(schema);
        }
        let chosen = output.columns(columns.as_deref(), None)?;
        Ok(Arc::new(schema.project(&chosen).map_err(super::failure)?))
    }

    fn read(&self, query: &Query, hint: Option<&[String]>) -> Result<Vec<BatchStream>> {
        let (stream, columns) = self.stream(query)?;
        let output = self.output(&(stream, columns.clone()))?;
        if output.rows.schema().fields().is_empty() {
            return Ok(Vec::new());
        }
        let streams = output.rows.streams(&output.columns(columns.as_deref(), hint)?)?;
        Ok(streams.into_iter().map(|stream| Held::keep(stream, output.clone())).collect())
    }
}

impl Output {
    /// Positions of the columns of the model, and of those only the ones looked at.
    fn columns(&self, named: Option<&[String]>, hint: Option<&[String]>) -> Result<Vec<usize>> {
        let schema = self.rows.schema();
        let of = |names: Option<&[String]>| match names {
            Some(names) => positions(&schema, names, &self.name),
            None => Ok((0..schema.fields().len()).collect()),
        };
        let kept: BTreeSet<usize> = of(hint)?.into_iter().collect();
        Ok(of(named)?.into_iter().filter(|at| kept.contains(at)).collect())
    }
}

fn write(path: &std::path::Path, value: &Value) -> Result<()> {
    std::fs::write(path, value.to_string()).map_err(unwritable)
}

fn unwritable(error: std::io::Error) -> Error {
    let help = crate::diagnostic::space_help(&error);
    Error::Failed { message: format!("cannot write what a tap needs: {error}"), help }
}
