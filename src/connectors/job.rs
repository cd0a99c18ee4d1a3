//! Jobs: a request that only begins something. What is needed to find its records again is written down in a ticket.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use tokio::sync::MutexGuard;

use super::account::{Exchange, failure, fatal, read_only};
use super::compile::{self, Job, JobResults};
use super::expression::Scope;
use super::outcome::{Each, Reader, Subject};
use super::request::Records;
use super::rules::{Answer, bounded};
use super::template::Layer;
use super::writer::HttpWriter;
use crate::destinations::{Outcome, SendError};
use crate::manifest::connector::api::Class;
use crate::manifest::connector::object::LostClass;
use crate::manifest::connector::operation::{By, Format};

/// What is journaled of a job: enough to settle it in a later run, and no personal data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ticket {
    operation: String,
    #[serde(default)]
    job: Json,
    /// How many records the batch has.
    count: usize,
    /// Positions of the records the job is about; all of them when empty.
    positions: Vec<usize>,
    removal: bool,
    /// Positions, within the job, that were in doubt.
    doubt: Vec<usize>,
    /// For each list of results, hashes of what names the records: 8 bytes each, 0 where there is none.
    names: Vec<String>,
    /// What was known of other records of the batch.
    known: Vec<(usize, Outcome)>,
}

impl Ticket {
    pub fn new(
        operation: &compile::Operation,
        positions: &[usize],
        count: usize,
        subjects: &[Subject],
        names: Vec<Vec<Option<u64>>>,
        known: Vec<(usize, Outcome)>,
    ) -> Self {
        let packed = |names: Vec<Option<u64>>| {
            if names.iter().all(Option::is_none) {
                return String::new();
            }
            STANDARD.encode(names.iter().flat_map(|name| name.unwrap_or(0).to_be_bytes()).collect::<Vec<u8>>())
        };
        let doubt = subjects.iter().enumerate().filter(|(_, subject)| subject.in_doubt).map(|(at, _)| at);
        Self {
            operation: operation.name.clone(),
            job: Json::Null,
            count,
            positions: if positions.len() == count { Vec::new() } else { positions.to_vec() },
            removal: subjects.first().is_some_and(|subject| subject.removal),
            doubt: doubt.collect(),
            names: names.into_iter().map(packed).collect(),
            known,
        }
    }

    fn subjects(&self) -> Vec<Subject> {
        let len = if self.positions.is_empty() { self.count } else { self.positions.len() };
        let doubt: std::collections::HashSet<usize> = self.doubt.iter().copied().collect();
        (0..len).map(|at| Subject { in_doubt: doubt.contains(&at), removal: self.removal }).collect()
    }

    fn names(&self, list: usize, len: usize) -> Vec<Option<u64>> {
        let bytes = self.names.get(list).and_then(|packed| STANDARD.decode(packed).ok()).unwrap_or_default();
        let name = |at: usize| {
            let bytes: [u8; 8] = bytes.get(at * 8..at * 8 + 8)?.try_into().ok()?;
            Some(u64::from_be_bytes(bytes)).filter(|name| *name != 0)
        };
        (0..len).map(name).collect()
    }

    /// The outcomes of the whole batch.
    fn outcomes(&self, each: Vec<Each>) -> Option<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; self.count];
        for (at, outcome) in &self.known {
            *outcomes.get_mut(*at)? = Some(outcome.clone());
        }
        for (number, each) in each.into_iter().enumerate() {
            let at = if self.positions.is_empty() { number } else { *self.positions.get(number)? };
            *outcomes.get_mut(at)? = Some(match each {
                Each::Done(outcome) => outcome,
                // The job is over, and it was not done.
                Each::Again => Outcome::Rejected {
                    code: "not_done".into(),
                    message: "the destination's job ended without doing this record".into(),
                },
            });
        }
        outcomes.into_iter().collect()
    }
}

impl HttpWriter {
    /// Waits until one more job may be begun. While what is returned is held, no other one is; `None` where there is no
    /// limit.
    pub(super) async fn room(&self, job: &Job) -> Result<Option<MutexGuard<'_, VecDeque<Json>>>, SendError> {
        let Some(most) = job.open else { return Ok(None) };
        let mut begun = self.begun.lock().await;
        while begun.len() >= most {
            self.outwait(job, &mut begun).await?;
        }
        Ok(Some(begun))
    }

    /// Waits until the oldest of the jobs has come to its end, so that there is room for another one.
    pub(super) async fn outwait(&self, job: &Job, begun: &mut VecDeque<Json>) -> Result<(), SendError> {
        let Some(oldest) = begun.front() else { return Ok(()) };
        let scope = Layer::over(Some(&self.globals)).with("job", oldest);
        // Nothing of the batch that waits was sent.
        self.poll(job, &scope).await.map_err(read_only)?;
        begun.pop_front();
        Ok(())
    }

    /// Completes a job that was begun with this answer. Returns the handle to find it by, and its id.
    pub(super) async fn submit(
        &self,
        job: &Job,
        mut ticket: Ticket,
        answer: &Answer,
        records: &Records,
        scope: &dyn Scope,
    ) -> Result<(String, Json), SendError> {
        let id = {
            let over = answer.scope(Some(scope));
            job.id.json(&over).map(std::borrow::Cow::into_owned).filter(|id| !id.is_null())
        };
        let Some(id) = id else { return Err(SendError::Lost { message: "the answer does not name the job".into() }) };
        ticket.job = id.clone();
        let over = Layer::over(Some(scope)).with("job", &id);
        for request in &job.then {
            let made = request.make(&over, Some(records)).map_err(fatal)?;
            let Exchange { verdict, .. } =
                self.account.call(&made, &[], &over, self.steps.class, &self.counter).await?;
            if verdict.class != Class::Ok {
                return Err(match verdict.class {
                    Class::Lost => SendError::Lost { message: verdict.message },
                    _ => failure(verdict),
                });
            }
        }
        let handle = serde_json::to_string(&ticket);
        Ok((handle.map_err(|e| fatal(format!("the job cannot be written down: {e}")))?, id))
    }

    /// Settles jobs, all at the same time. What cannot be settled is left out.
    pub(super) async fn settle_jobs(&self, deferred: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        let settled = deferred.iter().map(|(batch, handle)| async move {
            match self.settle_job(handle).await {
                Ok(outcomes) => Some((*batch, outcomes)),
                Err(error) => {
                    tracing::warn!(object = %self.object, "a job could not be settled: {error}");
                    None
                }
            }
        });
        Ok(futures_util::future::join_all(settled).await.into_iter().flatten().collect())
    }

    async fn settle_job(&self, handle: &str) -> Result<Vec<Outcome>, SendError> {
        let ticket: Ticket =
            serde_json::from_str(handle).map_err(|_| fatal("the handle of the job cannot be read".into()))?;
        let object = self.words()?;
        let operation = object.operations.get(&ticket.operation);
        let Some((operation, job)) = operation.and_then(|operation| Some((operation, operation.job.as_ref()?))) else {
            return Err(fatal(format!("the connector no longer has the operation `{}`", ticket.operation)));
        };
        let scope = Layer::over(Some(&self.globals)).with("job", &ticket.job);
        let answer = self.poll(job, &scope).await?;
        let subjects = ticket.subjects();
        {
            let over = answer.scope(Some(&scope));
            if job.failed.as_ref().is_some_and(|failed| failed.truth(&over)) {
                let message = job.message.as_ref().and_then(|message| message.text(&over));
                let message = message.map_or_else(|| "the destination's job has failed".into(), |text| bounded(&text));
                let message = self.account.redact(&message);
                let rejected = Each::Done(Outcome::Rejected { code: "job_failed".into(), message });
                let outcomes = ticket.outcomes(vec![rejected; subjects.len()]);
                return outcomes.ok_or_else(|| fatal("the handle of the job does not fit".into()));
            }
        }
        let mut reader = Reader::new(&subjects);
        for (number, result) in job.results.iter().enumerate() {
            let asked = {
                let over = answer.scope(Some(&scope));
                result.when.as_ref().is_none_or(|when| when.truth(&over))
            };
            if !asked {
                continue;
            }
            let read = self.results(result, &scope).await?;
            let over = read.scope(Some(&scope));
            let by = match operation.outcome.by {
                By::Whole if result.list.is.is_some() => By::Key,
                by => by,
            };
            reader.list(&result.list, by, &over, || ticket.names(number, subjects.len()));
        }
        let over = answer.scope(Some(&scope));
        let read = reader.finish(&operation.outcome, &over).map_err(|message| SendError::Lost { message })?;
        self.warn(&operation.outcome, &over);
        let each = read.each.into_iter().map(|each| self.clean(each)).collect();
        ticket.outcomes(each).ok_or_else(|| fatal("the handle of the job does not fit".into()))
    }

    /// Asks until the job has come to its end.
    async fn poll(&self, job: &Job, scope: &Layer<'_>) -> Result<Answer, SendError> {
        let until = Instant::now() + Duration::from_secs(u64::from(job.timeout));
        loop {
            match self.read(&job.poll, scope).await {
                Ok(answer) => {
                    if job.done.truth(&answer.scope(Some(scope))) {
                        return Ok(answer);
                    }
                }
                Err(SendError::Transient { .. } | SendError::Unreachable { .. }) if self.account.patient => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= until {
                return Err(fatal(format!("it did not end within {} s", job.timeout)));
            }
            if self.account.patient {
                tokio::time::sleep(Duration::from_secs(u64::from(job.every))).await;
            }
        }
    }

    async fn results(&self, result: &JobResults, scope: &Layer<'_>) -> Result<Answer, SendError> {
        let mut left = 5;
        let mut answer = loop {
            match self.read(&result.request, scope).await {
                Err(SendError::Transient { retry_after, .. }) if left > 0 && self.account.patient => {
                    left -= 1;
                    tokio::time::sleep(retry_after.unwrap_or(Duration::from_secs(2))).await;
                }
                other => break other?,
            }
        };
        match result.format {
            Format::Json => {}
            Format::Jsonl => answer.body = lines(&answer.raw)?,
            Format::Csv => answer.body = rows(&answer.raw)?,
        }
        Ok(answer)
    }

    /// A request that only reads.
    async fn read(&self, request: &super::request::Request, scope: &Layer<'_>) -> Result<Answer, SendError> {
        let made = request.make(scope, None).map_err(fatal)?;
        let exchange = self.account.call(&made, &[], scope, LostClass::A, &self.counter).await;
        let Exchange { answer, verdict } = exchange.map_err(read_only)?;
        if verdict.class == Class::Ok { Ok(answer) } else { Err(failure(verdict)) }
    }
}

fn lines(raw: &[u8]) -> Result<Json, SendError> {
    let lines = raw.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let items: Result<Vec<Json>, _> = lines.map(serde_json::from_slice).collect();
    items.map(Json::Array).map_err(|_| transient("the results of the job are not valid JSON lines"))
}

fn rows(raw: &[u8]) -> Result<Json, SendError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(raw);
    let failed = |_| transient("the results of the job are not valid CSV");
    let header = reader.byte_headers().map_err(failed)?.clone();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let names: Vec<String> = header.iter().map(|name| text(name).trim_start_matches('\u{feff}').to_owned()).collect();
    let mut items = Vec::new();
    for row in reader.byte_records() {
        let row = row.map_err(failed)?;
        let cells = names.iter().zip(row.iter()).map(|(name, cell)| (name.clone(), Json::String(text(cell))));
        items.push(Json::Object(cells.collect::<Map<String, Json>>()));
    }
    Ok(Json::Array(items))
}

fn transient(message: &str) -> SendError {
    SendError::Transient { message: message.into(), retry_after: None }
}
