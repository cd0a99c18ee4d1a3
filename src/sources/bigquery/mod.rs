//! Source `bigquery`: Google BigQuery by its REST API.
//!
//! ```text
//!  jobs.insert, dry run ──► columns, and that it is one `select`       (nothing is read or paid)
//!  jobs.query ──► a job ──► jobs.getQueryResults ──► pages ──► batches
//! ```
//!
//! Each read has a thread of its own and one page in memory. The number of rows that come must be the number BigQuery
//! says there are; a page that is missing, twice, or of another result fails the read. What fails for a moment is asked
//! again as BigQuery's documents say, and a job is not begun twice for that. Types are in [`types`], credentials in
//! [`account`].

mod account;
mod answer;
mod api;
mod decode;
mod explain;
mod patience;
mod read;
mod types;

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use serde_json::json;

use self::account::Account;
use self::api::{Api, Place};
use super::spelling::Spelling;
use super::{BatchStream, Dialect, Query, Source, channel};
use crate::diagnostic::{Error, Result};
use crate::http::guard;
use crate::login::Account as Role;
use crate::manifest::connection::BigqueryConnection;
use crate::secret::{Connection, Redactor};

/// Where the API is, unless the connection says otherwise.
const ENDPOINT: &str = "https://bigquery.googleapis.com";

/// A project of BigQuery.
pub(super) struct Bigquery {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    place: Place,
    account: Account,
    redactor: Redactor,
}

impl Bigquery {
    /// The source of a connection; nothing is asked before the first query.
    ///
    /// # Errors
    /// A key of the connection that is missing or of the wrong type, an endpoint that may not be gone to.
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let given: BigqueryConnection = connection.typed()?;
        let endpoint = given.endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/').to_owned();
        let help = "an endpoint is written `https://bigquery.example.com` or `http://127.0.0.1:9050`";
        let url = guard::read(&endpoint)
            .map_err(|error| Error::failed_help(format!("connection.endpoint: {error}"), help))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::failed_help("connection.endpoint: this is no address of an API", help));
        }
        let host = url.host_str().unwrap_or_default();
        connection.permit(host)?;
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        let local = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let redactor = connection.redactor();
        let account = Account::new(&given, local, connection, &redactor)?;
        let dataset = given.dataset.as_deref().map(|dataset| match dataset.rsplit_once('.') {
            Some((project, dataset)) => json!({ "projectId": project, "datasetId": dataset }),
            None => json!({ "projectId": given.project, "datasetId": dataset }),
        });
        let name = format!("bigquery project `{}`", given.project);
        let BigqueryConnection { project, location, maximum_bytes_billed, .. } = given;
        let place = Place { endpoint, project, location, dataset, maximum_bytes_billed };
        Ok(Self { inner: Arc::new(Inner { name, place, account, redactor }) })
    }

    /// Asks something, on a thread of its own: the caller may be within a runtime.
    fn ask<T: Send>(&self, question: impl AsyncFnOnce(&Api<'_>) -> Result<T> + Send) -> Result<T> {
        let inner = &*self.inner;
        let asking = || inner.runtime()?.block_on(async { question(&Api::new(&inner.place, &inner.account)?).await });
        let asked = std::thread::scope(|scope| scope.spawn(asking).join());
        let asked = asked.unwrap_or_else(|_| Err(Error::failed("the thread that was asking ended unexpectedly")));
        asked.map_err(|error| inner.fault(error))
    }
}

impl Source for Bigquery {
    fn schema(&self, query: &Query) -> Result<SchemaRef> {
        let sql = Spelling::Bigquery.statement(query, None);
        let columns = self.ask(async |api| read::described(api, &sql).await)?;
        let fields: Vec<Field> = columns.into_iter().map(|(field, _)| field).collect();
        Ok(Arc::new(Schema::new(fields)))
    }

    fn account(&self) -> Result<Option<Role>> {
        let now = jiff::Timestamp::now;
        let reply =
            self.ask(async |api| api.describe("select 1").await.map(|(_, reply)| reply).map_err(|r| r.error))?;
        let date = reply.headers.iter().find(|(name, _)| name == "date");
        let there = date.and_then(|(_, date)| httpdate::parse_http_date(date).ok());
        let there = there.and_then(|time| jiff::Timestamp::try_from(time).ok());
        // Tokens end and are renewed; what is left to say is whether the clocks agree, which signed statements need.
        Ok(there.map(|there| Role {
            role: self.inner.place.project.clone(),
            expires: None,
            renewal: String::new(),
            clock_ahead: there.as_second() - now().as_second(),
        }))
    }

    fn read(&self, query: &Query, columns: Option<&[String]>) -> Result<Vec<BatchStream>> {
        // What a column costs is paid for: of a table only those are asked for that are looked at.
        let sql = Spelling::Bigquery.statement(query, columns);
        let hint = matches!(query, Query::Sql(_)).then(|| columns.map(<[String]>::to_vec)).flatten();
        let inner = self.inner.clone();
        let stream = channel::spawn(&self.inner.name, move |out| {
            let reading = async {
                let api = Api::new(&inner.place, &inner.account)?;
                read::read(&api, &sql, hint.as_deref(), out).await
            };
            inner.runtime()?.block_on(reading).map_err(|error| inner.fault(error))
        })?;
        Ok(vec![stream])
    }

    fn dialect(&self) -> Option<Dialect> {
        Some(Dialect::Bigquery)
    }

    fn facts(&self) -> Vec<String> {
        vec![self.inner.account.shown()]
    }
}

impl Inner {
    fn runtime(&self) -> Result<tokio::runtime::Runtime> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| Error::failed(format!("cannot start asking: {e}")))
    }

    /// The error with the project's name and without credentials.
    fn fault(&self, error: Error) -> Error {
        let clean = match error {
            Error::Failed { message, help } => Error::Failed {
                message: self.redactor.redact(&message),
                help: help.map(|help| self.redactor.redact(&help)),
            },
            other => other,
        };
        clean.context(&self.name)
    }
}
