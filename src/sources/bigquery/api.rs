//! Requests to the API, with credentials, and again when they may pass the next time.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::account::Account;
use super::answer::{Job, JobAnswer, Page};
use super::explain::{self, Refusal, Stage};
use super::patience::Patience;
use crate::diagnostic::{Error, Result};
use crate::http::{Body, Call, CallError, Client, Reply, Settings, Transport};
use crate::manifest::connector::api::Method;

/// How long one answer may take: a page has up to 10 MB, and a wait for a job up to [`WAIT`].
const TIMEOUT: Duration = Duration::from_secs(180);

/// How long BigQuery is to wait for a job before it says that it still runs.
pub(super) const WAIT: Duration = Duration::from_secs(20);

/// Most rows of a page; BigQuery gives fewer where they would be more than 10 MB.
pub(super) const PAGE_ROWS: u32 = 50_000;

/// Most bytes of an answer. A single row may be larger than a page should be.
const MOST: usize = 128 << 20;

/// What may stand in a part of a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// What every request says.
pub(super) struct Place {
    /// The endpoint, without a slash at its end.
    pub endpoint: String,
    pub project: String,
    pub location: Option<String>,
    /// `{"projectId": …, "datasetId": …}`
    pub dataset: Option<Value>,
    pub maximum_bytes_billed: Option<u64>,
}

/// The API, for the requests of one read: connections belong to the runtime they were opened in.
pub(super) struct Api<'a> {
    client: Client,
    place: &'a Place,
    account: &'a Account,
}

impl<'a> Api<'a> {
    /// # Errors
    /// The endpoint is an address no request may go to.
    pub(super) fn new(place: &'a Place, account: &'a Account) -> Result<Self> {
        let settings = Settings { max_body: MOST, ..Settings::new([&place.endpoint]) };
        Ok(Self { client: Client::new(settings)?, place, account })
    }

    /// Looks at a statement without running it: its columns, what kind it is, and whether it may be run.
    pub(super) async fn describe(&self, sql: &str) -> Result<(JobAnswer, Reply), Refusal> {
        let mut query = json!({ "query": sql, "useLegacySql": false });
        self.details(&mut query);
        let mut body = json!({ "configuration": { "dryRun": true, "query": query } });
        if let Some(location) = &self.place.location {
            body["jobReference"] = json!({ "projectId": self.place.project, "location": location });
        }
        let reply = self.send(Method::Post, "jobs", &[], Some(&body), Stage::Describe).await?;
        let answer = read(&reply.body, "what it says of the statement")?;
        Ok((answer, reply))
    }

    /// Begins to run a statement. Asked again with the same `request`, no second job is made.
    pub(super) async fn run(&self, sql: &str, request: &str) -> Result<Vec<u8>, Refusal> {
        let mut body = json!({
            "query": sql,
            "useLegacySql": false,
            "maxResults": PAGE_ROWS,
            "timeoutMs": WAIT.as_millis() as u64,
            // As a floating point number of seconds, an instant would lose digits.
            "formatOptions": { "useInt64Timestamp": true },
            "requestId": request,
        });
        if let Some(location) = &self.place.location {
            body["location"] = location.as_str().into();
        }
        self.details(&mut body);
        Ok(self.send(Method::Post, "queries", &[], Some(&body), Stage::Run).await?.body)
    }

    fn details(&self, query: &mut Value) {
        if let Some(dataset) = &self.place.dataset {
            query["defaultDataset"] = dataset.clone();
        }
        if let Some(bytes) = self.place.maximum_bytes_billed {
            query["maximumBytesBilled"] = bytes.to_string().into();
        }
    }

    /// A page of a job's result; without a token the first one, when the job is done.
    pub(super) async fn page(&self, job: &Job, token: Option<&str>) -> Result<Vec<u8>, Refusal> {
        let mut query = vec![
            ("maxResults", PAGE_ROWS.to_string()),
            ("timeoutMs", WAIT.as_millis().to_string()),
            ("formatOptions.useInt64Timestamp", "true".to_owned()),
        ];
        query.extend(self.location(job));
        query.extend(token.map(|token| ("pageToken", token.to_owned())));
        Ok(self.send(Method::Get, &format!("queries/{}", id(job)), &query, None, Stage::Run).await?.body)
    }

    /// Whether a job has failed.
    pub(super) async fn outcome(&self, job: &Job) -> Result<JobAnswer, Refusal> {
        let query: Vec<_> = self.location(job).into_iter().collect();
        let reply = self.send(Method::Get, &format!("jobs/{}", id(job)), &query, None, Stage::Run).await?;
        read(&reply.body, "what it says of the job")
    }

    fn location(&self, job: &Job) -> Option<(&'static str, String)> {
        let location = job.location.clone().or_else(|| self.place.location.clone());
        location.map(|location| ("location", location))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
        stage: Stage,
    ) -> Result<Reply, Refusal> {
        let project = utf8_percent_encode(&self.place.project, PLAIN);
        let mut url = format!("{}/bigquery/v2/projects/{project}/{path}", self.place.endpoint);
        if !query.is_empty() {
            let mut pairs = form_urlencoded::Serializer::new(String::new());
            url = format!("{url}?{}", pairs.extend_pairs(query).finish());
        }
        let body = match body {
            None => Body::Empty,
            Some(value) => Body::Bytes { content_type: "application/json".to_owned(), bytes: value.to_string().into() },
        };
        let mut patience = Patience::default();
        let mut renewed = false;
        loop {
            let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
            if let Some(pass) = self.account.pass().await.map_err(Refusal::other)? {
                headers.push(("authorization".to_owned(), format!("Bearer {}", pass.token.expose())));
                headers.extend(pass.quota_project.map(|project| ("x-goog-user-project".to_owned(), project)));
            }
            let (url, body) = (url.clone(), body.clone());
            let call = Call { method, url, headers, body, timeout: TIMEOUT, confidential: false };
            let (refusal, reply) = match self.client.call(call).await {
                Ok(reply) if reply.status == 200 => return Ok(reply),
                Ok(reply) => (explain::request(reply.status, &reply.body, stage), Some(reply)),
                Err(error) => (unanswered(error), None),
            };
            if reply.as_ref().is_some_and(|reply| reply.status == 401) && self.account.renews() && !renewed {
                renewed = true;
                self.account.forget();
                continue;
            }
            if !refusal.passing {
                return Err(refusal);
            }
            let Some(wait) = patience.next(reply.as_ref()) else { return Err(refusal) };
            tracing::debug!(path, reason = refusal.reason, wait = wait.as_secs_f64(), "asked again");
            tokio::time::sleep(wait).await;
        }
    }
}

/// A page, read.
pub(super) fn page(body: &[u8]) -> Result<Page<'_>, Refusal> {
    read(body, "a page of the result")
}

fn read<'de, T: serde::Deserialize<'de>>(body: &'de [u8], what: &str) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        // The message of the parser may repeat what stands there; its place does not.
        let place = format!("line {}, column {}", error.line(), error.column());
        let help = "check `endpoint` of the connection; if it is BigQuery's own, this is a fault of syncline: please report it";
        Refusal::other(Error::failed_help(format!("{what} cannot be read: unexpected JSON at {place}"), help))
    })
}

fn id(job: &Job) -> String {
    utf8_percent_encode(job.job_id.as_deref().unwrap_or_default(), PLAIN).to_string()
}

/// No answer: the same request may be sent again, because none of them changes anything twice.
fn unanswered(error: CallError) -> Refusal {
    let passing = !matches!(error, CallError::Forbidden { .. });
    let error = match error {
        CallError::Forbidden { message, help } => Error::failed_help(message, help),
        other => Error::failed_help(other.to_string(), "check `endpoint` of the connection and the network"),
    };
    Refusal { reason: String::new(), passing, error }
}
