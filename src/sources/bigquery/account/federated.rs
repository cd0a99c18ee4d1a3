//! Workload identity federation: what a CI service says of a job is exchanged for an access token, without any key
//! (<https://google.aip.dev/auth/4117>). The file is the one `google-github-actions/auth` and
//! `gcloud iam workload-identity-pools create-cred-config` make.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::exchange::{self, Granted};
use super::key::SCOPE;
use crate::diagnostic::{Error, Result};
use crate::http::Body;
use crate::manifest::connector::api::Method;
use crate::secret::{Connection, Redactor, Secret};

/// What is asked for where the token is only used to get another one.
const ALL: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Most bytes of a file with a token.
const MOST: u64 = 64 << 10;

/// Who it is, in messages.
const WHO: &str = "workload identity federation";

/// A file of type `external_account`.
#[derive(Deserialize)]
pub(super) struct Federated {
    audience: String,
    subject_token_type: String,
    #[serde(default = "sts")]
    token_url: String,
    /// Where the token becomes one of a service account, if it is to.
    service_account_impersonation_url: Option<String>,
    credential_source: Origin,
}

fn sts() -> String {
    "https://sts.googleapis.com/v1/token".to_owned()
}

/// Where the CI service's own token is.
#[derive(Deserialize)]
struct Origin {
    file: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
struct Format {
    #[serde(rename = "type", default)]
    kind: String,
    subject_token_field_name: Option<String>,
}

impl Federated {
    /// A token for BigQuery.
    ///
    /// # Errors
    /// The CI service gives none, Google does not take it, or a host is one the project does not allow.
    pub(super) async fn token(&self, connection: &Connection, redactor: &Redactor) -> Result<Granted> {
        let subject = self.subject(connection, redactor).await?;
        redactor.add(subject.clone());
        let scope = if self.service_account_impersonation_url.is_some() { ALL } else { SCOPE };
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", self.audience.as_str()),
            ("scope", scope),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", self.subject_token_type.as_str()),
            ("subject_token", subject.expose()),
        ];
        let granted = exchange::token(&self.token_url, &form, WHO, connection, redactor).await?;
        let Some(url) = &self.service_account_impersonation_url else { return Ok(granted) };
        redactor.add(granted.token.clone());
        let body = json!({ "scope": [SCOPE], "lifetime": "3600s" }).to_string();
        let body = Body::Bytes { content_type: "application/json".to_owned(), bytes: body.into() };
        let headers = vec![("authorization".to_owned(), format!("Bearer {}", granted.token.expose()))];
        let reply = exchange::ask(Method::Post, url, headers, body, WHO, connection, redactor).await?;
        impersonated(&reply).ok_or_else(|| Error::failed(format!("{WHO}: what the service account gave is no token")))
    }

    /// The CI service's own token.
    async fn subject(&self, connection: &Connection, redactor: &Redactor) -> Result<Secret> {
        let help = "the job needs the right to have a token: `permissions: { id-token: write }` on GitHub, `id_tokens` on \
                    GitLab";
        let fault = |what: String| Error::failed_help(format!("{WHO}: {what}"), help);
        let origin = &self.credential_source;
        let body = match (&origin.file, &origin.url) {
            (Some(path), _) => {
                let size = std::fs::metadata(path).map_err(|e| fault(format!("cannot read `{path}`: {e}")))?.len();
                if size > MOST {
                    return Err(fault(format!("`{path}` is too large to be a token")));
                }
                std::fs::read(path).map_err(|e| fault(format!("cannot read `{path}`: {e}")))?
            }
            (None, Some(url)) => {
                origin.headers.values().for_each(|value| redactor.add(value.clone()));
                let headers = origin.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
                exchange::ask(Method::Get, url, headers.collect(), Body::Empty, WHO, connection, redactor).await?
            }
            (None, None) => {
                return Err(Error::failed_help(
                    format!("{WHO}: tokens from a program or from AWS are not read here"),
                    "get an access token and give it as `token`: `gcloud auth print-access-token`",
                ));
            }
        };
        let text = String::from_utf8(body).map_err(|_| fault("the token is not text".to_owned()))?;
        let token = if origin.format.kind == "json" {
            let name = origin.format.subject_token_field_name.as_deref().unwrap_or("access_token");
            let value: serde_json::Value =
                serde_json::from_str(&text).map_err(|_| fault("what should hold the token is not JSON".to_owned()))?;
            let token = value.get(name).and_then(|token| token.as_str()).map(str::to_owned);
            token.ok_or_else(|| fault(format!("there is no token under `{name}`")))?
        } else {
            text.trim().to_owned()
        };
        if token.is_empty() { Err(fault("the token is empty".to_owned())) } else { Ok(Secret::new(token)) }
    }
}

/// A service account's token: it says when it ends, and not how long it lives.
fn impersonated(body: &[u8]) -> Option<Granted> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        access_token: Secret,
        expire_time: Option<jiff::Timestamp>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let left = answer.expire_time.map(|end| end.duration_since(jiff::Timestamp::now()));
    let lives = left.map_or(Duration::from_secs(3600), |left| Duration::try_from(left).unwrap_or_default());
    let there = !answer.access_token.expose().is_empty();
    there.then_some(Granted { token: answer.access_token, lives })
}
