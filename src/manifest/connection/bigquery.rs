//! What stands in `connection` of BigQuery.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// BigQuery, spoken to by its REST API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BigqueryConnection {
    /// The Google Cloud project that runs the queries and pays for them.
    #[schemars(length(min = 1))]
    pub project: String,
    /// The data set that tables without one are looked up in: `marts`, or `other-project.marts`.
    pub dataset: Option<String>,
    /// Where the data are, `EU` or `europe-west3`; found by BigQuery from the tables of a query when absent.
    pub location: Option<String>,
    /// Key of a service account: all of the JSON file. Never written here: `{{ file('key.json') }}`.
    pub key: Option<Secret>,
    /// An OAuth access token, such as one that CI got by workload identity federation; it lives for an hour. Never
    /// written here.
    pub token: Option<Secret>,
    /// How to log in; by what is given (`key`, `token`) when absent, else `none` for an endpoint on this machine and
    /// `application_default` for all others.
    pub authenticator: Option<BigqueryAuthenticator>,
    /// Most bytes one query may be billed for. BigQuery refuses a query that would read more, at no cost.
    #[serde(default, deserialize_with = "bytes")]
    #[schemars(range(min = 1))]
    pub maximum_bytes_billed: Option<u64>,
    /// Address of the API, where it is not Google's own: a private endpoint, an emulator.
    pub endpoint: Option<String>,
}

/// How to log in to BigQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BigqueryAuthenticator {
    /// As the service account of `key`.
    Key,
    /// With the access token in `token`.
    Token,
    /// With Google's application default credentials: the file `GOOGLE_APPLICATION_CREDENTIALS` names, else the one
    /// `gcloud auth application-default login` makes.
    ApplicationDefault,
    /// As the service account of the Google Cloud machine this runs on.
    Metadata,
    /// Not at all: for emulators on this machine.
    None,
}

/// What comes from the environment is text: `maximum_bytes_billed: "{{ env.LIMIT }}"` is a number all the same.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u64),
        Text(String),
    }
    let fault = || serde::de::Error::custom("expected a number of bytes");
    match Option::<Form>::deserialize(deserializer).map_err(|_| fault())? {
        None => Ok(None),
        Some(Form::Number(bytes)) => Ok(Some(bytes)),
        Some(Form::Text(text)) => text.trim().parse().map(Some).map_err(|_| fault()),
    }
}
