//! Source `command`: a program of one's own prints the rows.
//!
//! The program is started anew for each query and told on its standard input, in one line of JSON, what is asked for.
//! What it prints goes into a file first and is looked at only when the program has ended well and has said that this is
//! all (`["end", ROWS]`): a program that dies half-way is an error before any row is compared, so that no row can seem
//! removed that was merely not printed. The file also tells the types, as one of JSON lines does in
//! [`crate::sources::files`]. The protocol is written down in `docs/custom-connectors.md`.

mod arrow;
pub(super) mod print;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_schema::{ArrowError, SchemaRef};
use serde_json::json;

use super::files::{Printed, positions};
use super::{Batch, BatchReader, BatchStream, Query, Source};
use crate::diagnostic::{Error, Result};
use crate::manifest::program::{CommandSource, PrintFormat};
use crate::process::Program;
use crate::process::spool::Spool;
use crate::secret::Connection;

/// A program that prints rows.
pub(super) struct Command {
    program: Program,
    format: PrintFormat,
    end_marker: bool,
    /// What it has printed, by what it was asked: a model is read after its columns were looked at, and by several syncs.
    printed: Mutex<Vec<(Query, Arc<Output>)>>,
}

/// What a program has printed to the end.
struct Output {
    name: String,
    rows: Rows,
    /// Keeps the file.
    _spool: Spool,
}

enum Rows {
    Lines(Printed),
    Arrow(arrow::Batches),
}

impl Command {
    /// The program of a connection; started with the first query.
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let CommandSource { command, directory, env, format, end_marker, silence } = connection.typed()?;
        let env = env.into_iter().map(|(name, value)| (name, value.0));
        let silence = Duration::from_secs(u64::from(silence));
        let program = Program::new(command, directory.as_deref(), env, connection.redactor(), silence)?;
        Ok(Self { program, format, end_marker, printed: Mutex::default() })
    }

    fn output(&self, query: &Query) -> Result<Arc<Output>> {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = printed.iter().find(|(asked, _)| asked == query) {
            return Ok(known.clone());
        }
        let made = Arc::new(self.run(query)?);
        printed.push((query.clone(), made.clone()));
        Ok(made)
    }

    /// What the program is told.
    fn request(&self, query: &Query) -> Result<String> {
        let plain = matches!(query, Query::Table { filter: None, .. });
        if !self.end_marker && !plain {
            let help = "give the model a `table` without `where`, or write a program that ends with `[\"end\", ROWS]`";
            return Err(self.program.fault("with `end_marker: false` it is asked nothing but a whole table", help));
        }
        let asked = match query {
            Query::Sql(sql) => json!({ "syncline": 1, "operation": "read", "sql": sql }),
            Query::Table { name, columns, filter } => {
                json!({ "syncline": 1, "operation": "read", "table": name, "columns": columns, "where": filter })
            }
        };
        Ok(format!("{asked}\n"))
    }

    fn run(&self, query: &Query) -> Result<Output> {
        let request = self.request(query)?;
        let unwritable = |e: std::io::Error| Error::failed(format!("cannot keep what a program prints: {e}"));
        let spool = Spool::new().map_err(unwritable)?;
        let name = format!("output of `{}`", self.program.name());
        let rows = match self.format {
            PrintFormat::Jsonl => {
                let path = spool.path("output.jsonl");
                print::lines(&self.program, request, &path, self.end_marker)?;
                Rows::Lines(Printed::survey(&path).map_err(|error| renamed(error, &path, &name))?)
            }
            PrintFormat::Arrow => {
                let path = spool.path("output.arrows");
                print::bytes(&self.program, request, &path)?;
                Rows::Arrow(arrow::Batches::check(&path, self.end_marker).map_err(|e| e.context(&name))?)
            }
        };
        Ok(Output { name, rows, _spool: spool })
    }
}

/// What is wrong with the file is wrong with what was printed.
pub(super) fn renamed(error: Error, path: &std::path::Path, name: &str) -> Error {
    let message = error.to_string().replace(&format!("file `{}`", path.display()), name);
    Error::Failed { message, help: error.help().map(str::to_owned) }
}

impl Output {
    fn schema(&self) -> SchemaRef {
        match &self.rows {
            Rows::Lines(printed) => printed.schema(),
            Rows::Arrow(batches) => batches.schema(),
        }
    }

    fn is_unknown(&self) -> bool {
        self.schema().fields().is_empty()
    }

    /// Positions of the columns that a query gives, and of those only the ones looked at.
    fn columns(&self, query: &Query, hint: Option<&[String]>) -> Result<Vec<usize>> {
        let schema = self.schema();
        let mut chosen: Vec<usize> = match query {
            Query::Table { columns: Some(names), .. } => positions(&schema, names, &self.name)?,
            _ => (0..schema.fields().len()).collect(),
        };
        if let Some(hint) = hint {
            let kept = positions(&schema, hint, &self.name)?;
            chosen.retain(|at| kept.contains(at));
        }
        Ok(chosen)
    }
}

impl Source for Command {
    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        let output = self.output(query)?;
        if output.is_unknown() {
            return Ok(output.schema());
        }
        let columns = output.columns(query, None)?;
        Ok(Arc::new(output.schema().project(&columns).map_err(super::failure)?))
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        let output = self.output(query)?;
        if output.is_unknown() {
            return Ok(Vec::new());
        }
        let chosen = output.columns(query, columns)?;
        let streams = match &output.rows {
            Rows::Lines(printed) => printed.streams(&chosen)?,
            Rows::Arrow(batches) => vec![batches.stream(&chosen)?],
        };
        Ok(streams.into_iter().map(|stream| Held::keep(stream, output.clone())).collect())
    }
}

/// A stream that keeps the file it reads.
pub(super) struct Held<T> {
    stream: BatchStream,
    _output: Arc<T>,
}

impl<T: Send + Sync + 'static> Held<T> {
    /// The stream of what is kept in an output.
    pub(super) fn keep(stream: BatchStream, output: Arc<T>) -> BatchStream {
        Box::new(Self { stream, _output: output })
    }
}

impl<T> Iterator for Held<T> {
    type Item = Result<Batch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stream.next()
    }
}

impl<T> BatchReader for Held<T> {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }
}
