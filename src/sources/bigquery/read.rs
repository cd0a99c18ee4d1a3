//! One statement: looked at, run, waited for, read page by page. A result that is not whole is an error.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_schema::{Field, Schema};

use super::answer::{Job, JobAnswer, Page, Statistics};
use super::api::{Api, page};
use super::decode::push;
use super::explain::{self, Refusal, Stage};
use super::patience::Patience;
use super::types::{Kind, columns};
use crate::diagnostic::{Error, Result};
use crate::sources::channel;
use crate::sources::columns::Rows;
use crate::sources::spelling::first_word;

/// How long a job may run: BigQuery itself ends it after six hours
/// (<https://cloud.google.com/bigquery/quotas#query_jobs>).
const LONGEST: Duration = Duration::from_secs(6 * 3600 + 600);

/// Waits between two questions whether a job is done, where BigQuery does not wait itself.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Pages without a row in a row after which nobody believes that there is an end.
const EMPTY_PAGES: u32 = 20;

/// A column of the result: its field, and how its values are read.
type Columns = Vec<(Field, Kind)>;

/// Looks at a statement without reading rows: its columns.
///
/// # Errors
/// It is none that can be run, no single `select`, or its columns cannot be read.
pub(super) async fn described(api: &Api<'_>, sql: &str) -> Result<Columns> {
    let one = "a model is one `select` (or `with … select`) statement";
    if !matches!(first_word(sql).as_str(), "select" | "with" | "from") {
        return Err(Error::failed_help("the SQL is not a `select`", one));
    }
    let (answer, _) = api.describe(sql).await.map_err(|refusal| refusal.error)?;
    let JobAnswer { status, statistics } = answer;
    if let Some(problem) = status.and_then(|status| status.error_result) {
        return Err(explain::problem(&problem, Stage::Describe).error);
    }
    let Some(found) = statistics.and_then(|Statistics { query }| query) else {
        return Err(Error::failed("it says nothing of the statement"));
    };
    // Several statements are a script, which could do anything.
    match found.statement_type.as_deref() {
        Some("SELECT") => {}
        Some(other) => {
            return Err(Error::failed_help(format!("the SQL is not a `select` but `{}`", other.to_lowercase()), one));
        }
        None => return Err(Error::failed_help("it does not say that the SQL is a `select`", one)),
    }
    tracing::debug!(bytes = found.total_bytes_processed, "the statement would read");
    columns(&found.schema.unwrap_or_default())
}

/// Reads a statement; of its columns only those in `hint`, where there is one.
///
/// # Errors
/// Whatever keeps it from being read whole.
pub(super) async fn read(api: &Api<'_>, sql: &str, hint: Option<&[String]>, out: &channel::Out) -> Result<()> {
    let all = described(api, sql).await?;
    let wanted: Vec<usize> = (0..all.len())
        .filter(|at| hint.is_none_or(|hint| all.get(*at).is_some_and(|(field, _)| hint.contains(field.name()))))
        .collect();
    if let Some(name) = hint.unwrap_or_default().iter().find(|name| all.iter().all(|(field, _)| field.name() != *name))
    {
        let names: Vec<&str> = all.iter().map(|(field, _)| field.name().as_str()).collect();
        let help = format!("its columns: {}", names.join(", "));
        return Err(Error::failed_help(format!("the result has no column `{name}`"), help));
    }
    let fields: Vec<Field> = wanted.iter().filter_map(|at| all.get(*at)).map(|(field, _)| field.clone()).collect();
    let schema = Arc::new(Schema::new(fields));
    if !out.schema(schema.clone()) {
        return Ok(());
    }
    let (job, first) = done(api, sql).await?;
    let rows = Rows::new(schema).map_err(crate::sources::failure)?;
    Reading { api, job, all, wanted, rows, number: 0, total: None }.pages(first, out).await
}

/// Runs the statement and waits until its first page is there. A job that failed by no fault of its own is begun anew.
async fn done(api: &Api<'_>, sql: &str) -> Result<(Job, Vec<u8>)> {
    let mut patience = Patience::default();
    loop {
        match once(api, sql).await {
            Ok(found) => return Ok(found),
            Err(refusal) if refusal.wants_new_job() => match patience.next(None) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(refusal.error),
            },
            Err(refusal) => return Err(refusal.error),
        }
    }
}

async fn once(api: &Api<'_>, sql: &str) -> Result<(Job, Vec<u8>), Refusal> {
    let other = |what: &str| Refusal::other(Error::failed(what));
    let began = Instant::now();
    let mut wait = SHORTEST_WAIT;
    let mut body = api.run(sql, &uuid::Uuid::now_v7().to_string()).await?;
    let mut known: Option<Job> = None;
    loop {
        let answer = page(&body)?;
        let job = match (&answer.job_reference, known) {
            (Some(job), None) => job.clone(),
            // Later answers may leave out where it runs.
            (_, Some(job)) => job,
            (None, None) => return Err(other("it does not say which job runs the statement")),
        };
        if job.job_id.is_none() {
            return Err(other("it does not say which job runs the statement"));
        }
        if !answer.errors.is_empty() {
            // Errors and warnings look the same here: the job itself knows.
            let JobAnswer { status, .. } = api.outcome(&job).await?;
            if let Some(problem) = status.and_then(|status| status.error_result) {
                return Err(explain::problem(&problem, Stage::Run));
            }
            let said: Vec<&str> = answer.errors.iter().map(|error| error.reason.as_str()).collect();
            tracing::debug!(reasons = said.join(", "), "warnings");
        }
        if answer.job_complete {
            tracing::debug!(job = job.job_id, rows = answer.total_rows, "the statement has run");
            return Ok((job, body));
        }
        if began.elapsed() > LONGEST {
            return Err(other("the job has run for more than six hours"));
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        body = api.page(&job, None).await?;
        known = Some(job);
    }
}

/// The pages of a job's result.
struct Reading<'a> {
    api: &'a Api<'a>,
    job: Job,
    all: Columns,
    /// Positions of the columns that are read.
    wanted: Vec<usize>,
    rows: Rows,
    /// Rows so far.
    number: u64,
    /// Rows there are.
    total: Option<u64>,
}

impl Reading<'_> {
    async fn pages(mut self, first: Vec<u8>, out: &channel::Out) -> Result<()> {
        let mut tokens: HashSet<String> = HashSet::new();
        let (mut body, mut empty) = (first, 0);
        loop {
            let mut answer = page(&body).map_err(|refusal| refusal.error)?;
            self.check(&answer)?;
            let token = answer.page_token.take().filter(|token| !token.is_empty());
            empty = if answer.rows.is_empty() { empty + 1 } else { 0 };
            if !self.take(&answer, out)? {
                return Ok(());
            }
            let Some(token) = token else { break };
            if !tokens.insert(token.clone()) {
                return Err(short("the same page was to be read twice"));
            }
            if empty >= EMPTY_PAGES {
                return Err(short("page after page had no row"));
            }
            body = self.api.page(&self.job, Some(&token)).await.map_err(|refusal| {
                let Refusal { error, .. } = refusal;
                let help = error.help().map(str::to_owned);
                let message = format!("not all rows were read, {} came: {error}", self.number);
                Error::Failed { message, help }
            })?;
        }
        if self.total != Some(self.number) {
            let total = self.total.unwrap_or_default();
            return Err(short(&format!("there are {total} rows, and {} came", self.number)));
        }
        out.rows(&mut self.rows).map(|_| ())
    }

    /// Whether a page is one of the result that was looked at.
    fn check(&mut self, answer: &Page<'_>) -> Result<()> {
        if !answer.job_complete {
            return Err(short("the job was done, and then it was not"));
        }
        let Some(total) = answer.total_rows else { return Err(short("it does not say how many rows there are")) };
        if *self.total.get_or_insert(total) != total {
            return Err(short("the number of rows changed while they were read"));
        }
        if let Some(shape) = &answer.schema {
            let now = columns(shape)?;
            let same = |((a, _), (b, _)): (&(Field, Kind), &(Field, Kind))| {
                a.name() == b.name() && a.data_type() == b.data_type() && a.metadata() == b.metadata()
            };
            if now.len() != self.all.len() || !now.iter().zip(&self.all).all(same) {
                return Err(short("the columns are not those the statement was said to have"));
            }
        }
        Ok(())
    }

    /// Takes the rows of a page; false when nobody listens any more.
    fn take(&mut self, answer: &Page<'_>, out: &channel::Out) -> Result<bool> {
        for row in &answer.rows {
            self.number += 1;
            if self.total.is_some_and(|total| self.number > total) {
                return Err(short("more rows came than there are"));
            }
            if row.cells.len() != self.all.len() {
                return Err(short(&format!("row {} does not have a value for each column", self.number)));
            }
            let mut size = 0;
            for (at, column) in self.wanted.iter().zip(&mut self.rows.columns) {
                let (Some(boxed), Some((field, kind))) = (row.cells.get(*at), self.all.get(*at)) else { continue };
                size += boxed.cell.size();
                push(column, kind, &boxed.cell).map_err(|what| {
                    let name = field.name();
                    let message = format!("column `{name}`, row {} of the result: {what}", self.number);
                    let help = format!("cast it in the SQL: `cast({name} as string) as {name}`");
                    Error::failed_help(message, help)
                })?;
            }
            if self.rows.end_row(size) && !out.rows(&mut self.rows)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A result that is not whole.
fn short(what: &str) -> Error {
    Error::failed_help(
        format!("not all rows were read: {what}"),
        "run again; nothing is concluded from rows that did not come",
    )
}
