//! How an API is reached, and what its answers mean.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::manifest::sync::Limit;

/// How the API is reached and what its answers mean.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Template of the address all paths are appended to, e.g. `https://api.example.com/v1`. A destination's
    /// `connection.base_url` takes its place.
    pub base_url: Option<String>,
    /// Headers of every request; templates.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// How requests show who sends them.
    pub auth: Option<Auth>,
    /// Limits by name. A request counts in those it names; all syncs of one account share them.
    #[serde(default)]
    pub limits: IndexMap<String, Bucket>,
    /// Requests in flight unless the sync says otherwise.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: u32,
    /// Seconds to wait for an answer.
    #[serde(default = "sixty")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout: u32,
    /// What answers mean; the first rule that matches counts, and after the last one the common meaning of the status.
    #[serde(default)]
    pub errors: Vec<Rule>,
    /// A cheap request that succeeds only with valid credentials; `syncline doctor` makes it.
    pub check: Option<Request>,
}

impl Default for Api {
    /// What holds where a destination says nothing of its API: the same as where it says only some of it.
    fn default() -> Self {
        Self {
            base_url: None,
            headers: IndexMap::new(),
            auth: None,
            limits: IndexMap::new(),
            concurrency: four(),
            timeout: sixty(),
            errors: Vec::new(),
            check: None,
        }
    }
}

fn four() -> u32 {
    4
}

fn sixty() -> u32 {
    60
}

/// How requests show who sends them: one value in a header, the query or the body. Keys, bearer tokens, basic
/// authentication and the OAuth grants are all of this form.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Where the value goes.
    #[serde(rename = "in", default)]
    pub place: AuthPlace,
    /// Name of the header, of the parameter in the query, or of the key of the JSON body.
    #[serde(default = "authorization")]
    pub name: String,
    /// Template of the value, e.g. `Bearer {{ connection.token }}`, `Basic {{ (connection.user ~ ":" ~
    /// connection.password) | base64 }}`, or, with `token`, `Bearer {{ token }}`.
    pub value: String,
    /// The access token, where one must be fetched first. It is fetched again before it expires and when an answer is of
    /// class `reauth`.
    pub token: Option<Token>,
}

fn authorization() -> String {
    "Authorization".into()
}

/// Where credentials go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthPlace {
    /// A header.
    #[default]
    Header,
    /// The query.
    Query,
    /// A key of the JSON body.
    Body,
}

/// An access token that is fetched.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Template of the address of the server that gives it, e.g. `https://login.example.com`, where it is not the one of
    /// the API. Nothing but this request goes there, and `connection.base_url` does not take its place.
    pub base_url: Option<String>,
    /// The request that gives it; sent without `auth`. Its templates see as `rotated` what `rotates` gave last.
    pub request: Request,
    /// Expression of a new refresh token in the answer, for servers that give another one with each access token. It is used
    /// until the run ends, and kept nowhere.
    pub rotates: Option<String>,
    /// Expression of the token in the answer.
    #[serde(default = "access_token")]
    pub value: String,
    /// Expression of the seconds it is valid.
    #[serde(default = "expires_in")]
    pub expires_in: String,
}

fn access_token() -> String {
    "body.access_token".into()
}

fn expires_in() -> String {
    "body.expires_in".into()
}

/// One limit: so many requests in a time, or so many at once.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Most requests within `per`.
    #[schemars(range(min = 1))]
    pub requests: Option<u32>,
    /// The time: `1s`, `20s`, `1m`, `1h`, or `day` for a calendar day.
    #[serde(default = "second")]
    pub per: String,
    /// Most requests in flight at the same time.
    #[schemars(range(min = 1))]
    pub concurrent: Option<u32>,
    /// With `per: day`: where the day begins at midnight, e.g. `America/Chicago`; UTC when absent.
    pub timezone: Option<String>,
    /// With `per: day`: requests left to others: `5000` or `10%`.
    pub reserve: Option<Limit>,
    /// With `per: day`: asks how many were used today, by whomever.
    pub used: Option<Asked>,
}

fn second() -> String {
    "1s".into()
}

/// A request for one value.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// Expression of the value in the answer.
    pub value: String,
}

/// One request. All texts are templates.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET`, `POST`, …
    #[serde(default)]
    pub method: Method,
    /// What is appended to `base_url`; begins with a slash. Values within it are escaped as what a path is made of; values
    /// that are parameters go into `query`.
    pub path: String,
    /// The query.
    #[serde(default)]
    pub query: IndexMap<String, Value>,
    /// Headers of this request alone.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// A JSON body. `{{ records }}` alone is the list of records.
    pub json: Option<Value>,
    /// A body as HTML forms send it.
    pub form: Option<IndexMap<String, Value>>,
    /// A body in parts.
    pub multipart: Option<IndexMap<String, Part>>,
    /// The records as CSV; their keys are the columns.
    #[serde(default)]
    pub csv: bool,
    /// The limits it counts in.
    #[serde(default)]
    pub limits: Vec<String>,
    /// Seconds to wait for an answer, where it is not the `timeout` of the API.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout: Option<u32>,
    /// How to get the next page, for requests whose answer is a list.
    pub next: Option<Next>,
}

/// What is done to what the path names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    #[default]
    Get,
    /// Create, or do.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Delete.
    Delete,
}

/// One part of a body in parts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Template of its text.
    pub text: Option<String>,
    /// The records as CSV; their keys are the columns.
    #[serde(default)]
    pub csv: bool,
    /// Its file name.
    pub filename: Option<String>,
}

/// How to get the next page.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Name of the parameter in the query that `value` goes to; without it, `value` is the whole address.
    pub query: Option<String>,
    /// Expression of what leads to the next page; undefined, null or empty on the last one.
    pub value: String,
}

/// What an answer means.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Expression over `status`, `headers` (names in lower case) and `body`; in rules of an outcome over `item`, `code` and
    /// `message` as well.
    pub when: String,
    /// What it means.
    pub class: Class,
    /// Expression of the code shown to people.
    pub code: Option<String>,
    /// Expression of the message shown to people.
    pub message: Option<String>,
    /// Expression of the seconds to wait before another try, where there is no `Retry-After`.
    pub wait: Option<String>,
}

/// What an answer, or one item of it, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It was done.
    Ok,
    /// It was taken, and nobody will say what became of it.
    Unverified,
    /// Too many requests; nothing was done. All requests pause.
    RateLimited,
    /// No more requests today; nothing was done. The run of the sync ends.
    QuotaExhausted,
    /// Nothing was done; worth another try.
    Transient,
    /// It may have been done, or not.
    Lost,
    /// Refused because of some record in it, nothing was done: it is halved until the bad record stands alone.
    SplitBatch,
    /// The access token is no longer valid; nothing was done.
    Reauth,
    /// The credentials are refused, or not allowed to do this. The run of the sync ends.
    AuthFatal,
    /// Refused, finally for this payload. A request for several records is halved as with `split_batch`.
    Permanent,
    /// The record is not there: `no_match`; a delete has nothing to do.
    NotFound,
    /// The record clashes with another one: refused.
    Conflict,
    /// The record is there already: refused; done where an earlier attempt may have arrived.
    Duplicate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_of_which_nothing_is_said_is_like_one_of_which_too_little_is_said() {
        let empty: Api = serde_json::from_str("{}").expect("nothing is required");
        assert_eq!(format!("{empty:?}"), format!("{:?}", Api::default()));
        assert_eq!((empty.concurrency, empty.timeout), (4, 60));
    }
}
