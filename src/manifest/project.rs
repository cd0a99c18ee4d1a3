//! `syncline.yaml`: the project file.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::connection::SslMode;
use super::sync::Guards;

/// The project file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Name of the project.
    pub name: String,
    /// Who answers for the syncs; told to dbt with its exposures.
    pub owner: Option<Owner>,
    /// Values for templates: `{{ vars.NAME }}`.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// Where the state is kept.
    #[serde(default)]
    pub state: StateBackend,
    /// Environments by name; what an environment says goes over what the project says.
    #[serde(default)]
    pub environments: IndexMap<String, Environment>,
    /// Guards for every sync that does not set its own.
    #[serde(default)]
    pub guards: Guards,
    /// Budgets.
    #[serde(default)]
    pub usage: Usage,
    /// What no manifest may do.
    #[serde(default)]
    pub policy: Policy,
}

/// A person or a team.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Name of the person or the team.
    #[schemars(length(min = 1))]
    pub name: String,
    /// An address to write to.
    pub email: Option<String>,
}

/// What no manifest may do, whoever writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Hosts that sources, destinations and notifications may lead to: names, or `*.example.com` for all below a name.
    /// Absent: any. Not held to it are programs (`command`, `singer`) and sandboxes. With `plan --against`, a host counts
    /// only if it was allowed before.
    pub allowed_hosts: Option<Vec<String>>,
}

/// One environment.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Used when no `--env` is given. At most one environment is the default.
    #[serde(default)]
    pub default: bool,
    /// Values that go over the project's `vars`.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// Where the state of this environment is kept.
    pub state: Option<StateBackend>,
    /// Sources to swap: name used in models → manifest used in this environment.
    #[serde(default)]
    pub sources: IndexMap<String, String>,
    /// Destinations to swap: name used in syncs → manifest used in this environment, or what is done with it.
    #[serde(default)]
    pub destinations: IndexMap<String, Swap>,
    /// Guards that go over the project's.
    #[serde(default)]
    pub guards: Guards,
}

/// What an environment takes for a destination: the name of another manifest, or what to do with the one there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "SwapForm")]
#[schemars(with = "SwapForm")]
pub struct Swap {
    /// The manifest used instead; the same one when absent.
    pub to: Option<String>,
    /// True when a local stand-in takes the records.
    pub sandbox: bool,
}

/// The two ways to write a swap.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum SwapForm {
    /// The manifest used in this environment.
    Name(String),
    /// The long form.
    Keys(SwapKeys),
}

/// The long form of a swap.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SwapKeys {
    /// The manifest used in this environment; the one of that name when absent.
    #[serde(rename = "use")]
    to: Option<String>,
    /// True to send to a sandbox on this machine, which runs as long as the command, and never to the real system. Its
    /// credentials need not be there. For Iterable and Marketo.
    #[serde(default)]
    sandbox: bool,
}

impl From<SwapForm> for Swap {
    fn from(form: SwapForm) -> Self {
        match form {
            SwapForm::Name(to) => Swap { to: Some(to), sandbox: false },
            SwapForm::Keys(SwapKeys { to, sandbox }) => Swap { to, sandbox },
        }
    }
}

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateBackend {
    /// The kind of store.
    #[serde(rename = "type")]
    pub kind: StateType,
    /// `local`: the folder, relative to the project; `.syncline` when absent.
    pub path: Option<String>,
    /// `s3`, `gcs`: the bucket; `azure`: the container. It must exist.
    #[schemars(length(min = 1))]
    pub bucket: Option<String>,
    /// What all names in the store begin with, as a folder.
    pub prefix: Option<String>,
    /// `s3`: the region of the bucket; from `AWS_REGION` when absent.
    pub region: Option<String>,
    /// `azure`: the storage account; from `AZURE_STORAGE_ACCOUNT_NAME` when absent.
    pub account: Option<String>,
    /// `s3`, `gcs`, `azure`: address of a server that speaks the same protocol. It must be `https`, unless it is on this
    /// machine.
    pub endpoint: Option<String>,
    /// `postgres`: the server. Its password comes from `PGPASSWORD`.
    pub connection: Option<StateServer>,
    /// What the snapshot keeps of each row: all used values, or fingerprints alone.
    #[serde(default)]
    pub values: StateValues,
    /// Runs whose reports, row logs and plans are kept, the newest first. The last run of each sync is kept whatever its
    /// age.
    #[serde(default = "keep_runs")]
    #[schemars(range(min = 1))]
    pub keep_runs: u32,
}

fn keep_runs() -> u32 {
    200
}

impl Default for StateBackend {
    fn default() -> Self {
        Self {
            kind: StateType::Local,
            path: None,
            bucket: None,
            prefix: None,
            region: None,
            account: None,
            endpoint: None,
            connection: None,
            values: StateValues::Full,
            keep_runs: keep_runs(),
        }
    }
}

impl StateBackend {
    /// The folder beside the project in which commands write what is in the making; a local state is in it, too.
    pub fn folder(&self) -> &str {
        self.path.as_deref().unwrap_or(".syncline")
    }

    /// True when both are the same place, reached in the same way.
    pub fn leads_to(&self, other: &Self) -> bool {
        let place = |of: &Self| Self { values: StateValues::Full, keep_runs: keep_runs(), ..of.clone() };
        place(self) == place(other)
    }

    /// Where it is, for messages: `s3://bucket/prefix`.
    pub fn place(&self) -> String {
        let below = |start: String| match self.prefix.as_deref().map(|prefix| prefix.trim_matches('/')) {
            Some(prefix) if !prefix.is_empty() => format!("{start}/{prefix}"),
            _ => start,
        };
        let bucket = self.bucket.as_deref().unwrap_or_default();
        match self.kind {
            StateType::Local => self.folder().to_owned(),
            StateType::S3 => below(format!("s3://{bucket}")),
            StateType::Gcs => below(format!("gs://{bucket}")),
            StateType::Azure => below(format!("azure://{}/{bucket}", self.account.as_deref().unwrap_or_default())),
            StateType::Postgres => {
                let server = self.connection.clone().unwrap_or_default();
                let host = server.host.unwrap_or_else(|| "localhost".into());
                let database = server.database.or(server.user).unwrap_or_default();
                below(format!("postgres://{host}/{database}"))
            }
        }
    }
}

/// Kinds of state store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateType {
    /// A folder on this machine.
    Local,
    /// A bucket of Amazon S3, or of a server that speaks its protocol and writes on condition.
    S3,
    /// A bucket of Google Cloud Storage.
    Gcs,
    /// A container of Azure Blob Storage.
    Azure,
    /// A table in PostgreSQL.
    Postgres,
}

/// A PostgreSQL server that keeps a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateServer {
    /// Name or address of the server.
    pub host: Option<String>,
    /// Port of the server; 5432 when absent.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// The role to log in as.
    pub user: Option<String>,
    /// Name of the database; the same as the role when absent.
    pub database: Option<String>,
    /// Schema of the table; `syncline` when absent. It is made where the role may.
    pub schema: Option<String>,
    /// Whether the connection is encrypted and what is checked; `prefer` when absent, `require` with a `ca_file`.
    pub sslmode: Option<SslMode>,
    /// A PEM file of certificate authorities to trust beside the system's own: relative to the project, or absolute.
    pub ca_file: Option<String>,
}

/// What the snapshot keeps of each row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateValues {
    /// Key, fingerprint and the values of all used columns: plans show old and new values.
    #[default]
    Full,
    /// Key and fingerprint alone: no personal data but the key's hash; plans show old values as unknown.
    Fingerprint,
}

/// Budgets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Distinct primary keys read per model and calendar month.
    pub monthly_queried_records: Option<Budget>,
}

/// A budget and what happens at its end.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The most that may be used in a calendar month.
    pub limit: u64,
    /// What happens when a plan would go over it.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// What happens when a plan would go over a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// A warning in the plan.
    #[default]
    Warn,
    /// The plan is refused.
    Refuse,
}
