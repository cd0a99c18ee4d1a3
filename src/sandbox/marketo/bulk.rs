//! Imports: a file is taken at once and worked on later; each look at it lets it come a step further.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Request;
use super::account::Account;
use super::answer::{Refusal, Said, result};
use super::leads::{Action, Way};
use super::multipart;
use crate::sandbox::wire::Answer;

/// Most jobs that wait or are worked on, and most that are worked on.
const MAX_JOBS: usize = 10;
const AT_ONCE: usize = 2;

/// An import of leads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    status: Status,
    separator: u8,
    lookup: String,
    list: Option<u64>,
    partition: Option<String>,
    file: String,
    processed: usize,
    failures: Vec<String>,
    warnings: Vec<String>,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Status {
    Queued,
    Importing,
    Complete,
    Failed,
}

impl Job {
    fn shown(&self, id: u64) -> Value {
        let mut shown = json!({ "batchId": id, "importId": id.to_string(), "status": self.status });
        if let (Status::Complete | Status::Failed, Value::Object(shown)) = (self.status, &mut shown) {
            shown.insert("numOfLeadsProcessed".to_owned(), self.processed.into());
            shown.insert("numOfRowsFailed".to_owned(), self.failures.len().saturating_sub(1).into());
            shown.insert("numOfRowsWithWarning".to_owned(), self.warnings.len().saturating_sub(1).into());
            shown.insert("message".to_owned(), self.message.clone().into());
        }
        shown
    }

    pub(super) fn state(&self, id: u64) -> Value {
        self.shown(id)
    }
}

pub(super) fn route(account: &mut Account, request: &Request<'_>, method: &str, path: &[&str]) -> Said {
    match (method, path) {
        ("POST", ["leads"]) => submit(account, request),
        ("GET", ["leads", "batch", id]) => {
            let id = existing(account, id)?;
            advance(account, id, request);
            Ok(result(account.jobs.get(&id).map(|job| job.shown(id)).into_iter().collect()))
        }
        ("GET", ["leads", "batch", id, kind @ ("failures" | "warnings")]) => {
            let job = existing(account, id)?;
            let job = account.jobs.get(&job).ok_or_else(|| Refusal::usual(1013))?;
            let rows = if *kind == "failures" { &job.failures } else { &job.warnings };
            Ok(Answer::text(200, "text/csv;charset=UTF-8", rows.concat()))
        }
        (_, ["leads", ..]) => Err(Refusal::usual(605)),
        _ => Err(Refusal::usual(610)),
    }
}

fn existing(account: &Account, id: &str) -> Result<u64, Refusal> {
    let id: u64 = id.parse().map_err(|_| Refusal::wrong(id, "integer"))?;
    if account.jobs.contains(&id) { Ok(id) } else { Err(Refusal::new(1013, format!("Batch '{id}' not found"))) }
}

/// POST /bulk/v1/leads.json
fn submit(account: &mut Account, request: &Request<'_>) -> Said {
    let parts = multipart::parts(request.call.header("content-type").unwrap_or(""), &request.call.body);
    let parts = parts.ok_or_else(|| Refusal::usual(613))?;
    let field = |name: &str| {
        let part = parts.iter().find(|part| part.name == name).and_then(|part| std::str::from_utf8(part.content).ok());
        request.query(name).or(part).map(str::to_owned)
    };
    let separator = match field("format").as_deref() {
        Some("csv") => b',',
        Some("tsv") => b'\t',
        Some("ssv") => b';',
        Some(other) => return Err(Refusal::wrong(other, "format")),
        None => return Err(Refusal::missing("format")),
    };
    let file = parts.iter().find(|part| part.name == "file").ok_or_else(|| Refusal::missing("file"))?;
    let file = std::str::from_utf8(file.content).map_err(|_| Refusal::new(1003, "The file is not UTF-8"))?.to_owned();
    let lookup = field("lookupField").unwrap_or_else(|| "email".to_owned());
    account.check_lookup(&lookup)?;
    let list = match field("listId") {
        None => None,
        Some(text) => {
            let id = text.parse().map_err(|_| Refusal::wrong(&text, "integer"))?;
            Some(account.lists.get(&id).map(|_| id).ok_or_else(|| Refusal::usual(1013))?)
        }
    };
    if account.jobs.values().filter(|job| is_open(job)).count() >= MAX_JOBS {
        return Err(Refusal::usual(1016));
    }
    let job = Job {
        status: Status::Queued,
        separator,
        lookup,
        list,
        partition: field("partitionName"),
        file,
        processed: 0,
        failures: Vec::new(),
        warnings: Vec::new(),
        message: String::new(),
    };
    let shown = job.shown(account.jobs.upcoming());
    account.jobs.add(job);
    Ok(result(vec![shown]))
}

fn is_open(job: &Job) -> bool {
    matches!(job.status, Status::Queued | Status::Importing)
}

/// A step: from waiting to working, from working to done. Two are worked on at once.
fn advance(account: &mut Account, id: u64, request: &Request<'_>) {
    let importing = account.jobs.values().filter(|job| job.status == Status::Importing).count();
    let Some(job) = account.jobs.get_mut(&id).filter(|job| is_open(job)) else { return };
    if job.status == Status::Queued {
        if importing < AT_ONCE {
            job.status = Status::Importing;
        }
        return;
    }
    let mut job = job.clone();
    import(account, &mut job, request);
    job.file = String::new();
    account.jobs.insert(id, job);
}

/// Works on the file; rows that are not taken are kept with the reason beside.
fn import(account: &mut Account, job: &mut Job, request: &Request<'_>) {
    let mut reader = csv::ReaderBuilder::new().delimiter(job.separator).flexible(true).from_reader(job.file.as_bytes());
    let header = reader.headers().cloned().unwrap_or_default();
    if let Some(unknown) = header.iter().find(|name| !account.lead_fields.contains(*name)) {
        job.status = Status::Failed;
        job.message = format!("Import failed: field '{unknown}' not found");
        return;
    }
    let action = if job.lookup == "id" { Action::UpdateOnly } else { Action::CreateOrUpdate };
    let partition = job.partition.clone();
    let lookup = job.lookup.clone();
    let way = Way { action, lookup: &lookup, partition: partition.as_deref(), now: request.call.now };
    let line = |row: &csv::StringRecord, more: &str| {
        let mut writer = csv::WriterBuilder::new().delimiter(job.separator).from_writer(Vec::new());
        let written = writer.write_record(row.iter().chain([more]));
        written.ok().and_then(|()| writer.into_inner().ok()).and_then(|b| String::from_utf8(b).ok()).unwrap_or_default()
    };
    let mut failures = Vec::new();
    for (position, row) in reader.records().enumerate() {
        let Ok(row) = row else { continue };
        let named = header.iter().zip(row.iter()).map(|(name, value)| (name.to_owned(), Value::from(value)));
        // An empty cell clears nothing.
        let record: Map<String, Value> = named.filter(|(_, value)| value != "").collect();
        let taken = match request.call.trouble.refuses(position) {
            _ if row.len() != header.len() => Err(Refusal::new(1003, "Wrong number of columns")),
            true => Err(Refusal::usual(1003)),
            false => account.take_lead(&record, &way),
        };
        match taken {
            Ok((lead, _)) => {
                job.processed += 1;
                let list = job.list.and_then(|list| account.lists.get_mut(&list));
                list.map(|list| list.members.insert(lead));
            }
            Err(refusal) => failures.push(line(&row, &refusal.message)),
        }
    }
    if !failures.is_empty() {
        failures.insert(0, line(&header, "Import Failure Reason"));
    }
    let failed = failures.len().saturating_sub(1);
    job.failures = failures;
    job.status = Status::Complete;
    let n = job.processed;
    job.message = match failed {
        0 => format!("Import succeeded, {n} records imported ({n} members)"),
        _ => format!("Import completed with errors, {n} records imported ({n} members), {failed} failed"),
    };
}
