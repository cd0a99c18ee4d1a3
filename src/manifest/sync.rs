//! `syncs/NAME.yaml`: a model, a destination object, and how the one becomes the other.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::Secret;

/// A sync: which model goes to which destination object, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// Name of the sync; the same as the file name.
    pub name: String,
    /// What a reader should know about it.
    pub description: Option<String>,
    /// The model whose rows are sent.
    pub model: String,
    /// The destination they are sent to.
    pub destination: String,
    /// What the destination offers: a table, a file, `user`, `event`, …
    pub object: String,
    /// What may happen at the destination.
    pub mode: Mode,
    /// Record matching: destination identifier → model column.
    #[serde(rename = "match")]
    #[schemars(extend("minProperties" = 1))]
    pub matching: IndexMap<String, String>,
    /// Destination field → how it is made. A dotted name is a nested object.
    #[serde(default)]
    pub fields: IndexMap<String, Field>,
    /// What happens to records whose rows left the model.
    #[serde(default)]
    pub on_removed: Option<OnRemoved>,
    /// Settings of the destination object.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// When it runs; absent means by hand.
    pub schedule: Option<Schedule>,
    /// Limits that make `apply` refuse.
    #[serde(default)]
    pub guards: Guards,
    /// How records are sent.
    #[serde(default)]
    pub delivery: Delivery,
    /// Who is told about a run.
    #[serde(default)]
    pub notify: Vec<Notify>,
    /// Words to select syncs by: `--select tag:x`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The name this sync had before: its state is taken over and nothing is sent again.
    pub moved_from: Option<String>,
}

/// What may happen at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Sends added rows only.
    Insert,
    /// Sends added and changed rows as update-only: what the destination does not hold is `no_match`.
    Update,
    /// Sends added and changed rows; creates or updates.
    Upsert,
    /// Upsert, and records of removed rows are deleted.
    Mirror,
    /// Adds added rows to a membership.
    Add,
    /// Removes added rows from a membership.
    Remove,
}

impl Mode {
    /// The word in manifests, plans and messages.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Insert => "insert",
            Mode::Update => "update",
            Mode::Upsert => "upsert",
            Mode::Mirror => "mirror",
            Mode::Add => "add",
            Mode::Remove => "remove",
        }
    }

    /// True when a row that was acknowledged is ever sent again; the others send a row once.
    pub fn sends_changed(self) -> bool {
        matches!(self, Mode::Update | Mode::Upsert | Mode::Mirror)
    }
}

/// What happens to records whose rows left the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRemoved {
    /// They stay as they are.
    Keep,
    /// The mapped fields are emptied.
    Clear,
    /// They are deleted; only records this sync itself has sent.
    Delete,
}

/// How one destination field is made: a column name, or an object with exactly one of `column`, `value`, `template`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "FieldForm", into = "FieldObject")]
#[schemars(with = "FieldForm")]
pub struct Field {
    /// Where the value comes from.
    pub origin: Origin,
    /// Applied to the value in this order.
    pub transform: Vec<Transform>,
    /// What to do when the value is null.
    pub on_null: OnNull,
    /// When the field is sent.
    pub write: Write,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A column of the model.
    Column(String),
    /// A constant.
    Value(Value),
    /// A template rendered per row: `{{ row.first_name }}`.
    Template(String),
}

/// The two ways to write a field.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum FieldForm {
    /// A column, taken as it is.
    Column(String),
    /// The long form.
    Object(FieldObject),
}

impl TryFrom<FieldForm> for Field {
    type Error = String;

    fn try_from(form: FieldForm) -> Result<Self, String> {
        let object = match form {
            FieldForm::Column(column) => FieldObject { column: Some(column), ..FieldObject::default() },
            FieldForm::Object(object) => object,
        };
        let origin = match (object.column, object.value, object.template) {
            (Some(column), None, None) => Origin::Column(column),
            (None, Some(value), None) => Origin::Value(value),
            (None, None, Some(template)) => Origin::Template(template),
            (None, None, None) => return Err("a field needs one of `column`, `value`, `template`".into()),
            _ => return Err("a field takes only one of `column`, `value`, `template`".into()),
        };
        Ok(Field { origin, transform: object.transform.0, on_null: object.on_null, write: object.write })
    }
}

impl From<Field> for FieldObject {
    fn from(field: Field) -> Self {
        let mut object = FieldObject {
            transform: Transforms(field.transform),
            on_null: field.on_null,
            write: field.write,
            ..FieldObject::default()
        };
        match field.origin {
            Origin::Column(column) => object.column = Some(column),
            Origin::Value(value) => object.value = Some(value),
            Origin::Template(template) => object.template = Some(template),
        }
        object
    }
}

/// The long form of a field. Exactly one of `column`, `value`, `template`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldObject {
    /// A column of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// A constant; any YAML value.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// A template rendered per row: `{{ row.first_name }} {{ row.last_name | title }}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// One transform or several, applied in order.
    #[serde(default)]
    pub transform: Transforms,
    /// What to do when the value is null: send null (default), leave the field out, or clear it at the destination.
    #[serde(default)]
    pub on_null: OnNull,
    /// When the field is sent: always (default), or only with added rows, so that later edits are never overwritten.
    #[serde(default)]
    pub write: Write,
}

/// `value: null` is a constant null, not an absent key.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// One transform or a list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "TransformsForm")]
#[schemars(with = "TransformsForm")]
pub struct Transforms(pub Vec<Transform>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum TransformsForm {
    One(Transform),
    Many(Vec<Transform>),
}

impl From<TransformsForm> for Transforms {
    fn from(form: TransformsForm) -> Self {
        Transforms(match form {
            TransformsForm::One(t) => vec![t],
            TransformsForm::Many(ts) => ts,
        })
    }
}

/// A change of one value on its way into a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Removes white space at both ends.
    Trim,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// First letter of each word in upper case.
    Title,
    /// As text.
    String,
    /// As a number; text is parsed.
    Number,
    /// As a whole number; text is parsed.
    Integer,
    /// As true or false; `true false yes no 1 0 t f y n on off` are parsed.
    Boolean,
    /// Text that holds JSON becomes the value it says.
    Json,
    /// Hex SHA-256 of the text.
    Sha256,
    /// Hex MD5 of the text.
    Md5,
    /// A phone number as `+` and digits.
    E164,
    /// Whole seconds since 1970-01-01 UTC.
    EpochS,
    /// Whole milliseconds since 1970-01-01 UTC.
    EpochMs,
    /// ISO 8601 text.
    Iso8601,
    /// A calendar date.
    Date,
}

/// What to do when a field's value is null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNull {
    /// The field is left out of the record.
    Omit,
    /// Null is sent.
    #[default]
    Send,
    /// The destination's own way of emptying a field is used.
    Clear,
}

/// When a field is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// With added and changed rows.
    #[default]
    Always,
    /// Only with added rows: later edits at the destination are never overwritten.
    IfAdded,
}

/// When a sync runs. Exactly one of `every`, `cron`, `after`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// A span of time such as `24h` or `15m`, at least a minute: so long after the last run began.
    pub every: Option<String>,
    /// A cron expression of five parts: minute, hour, day of month, month, day of week.
    pub cron: Option<String>,
    /// Time zone of `cron`; UTC when absent.
    pub timezone: Option<String>,
    /// It runs when one of these syncs has run.
    pub after: Option<Vec<String>>,
    /// What a failed run of a sync in `after` means for this one.
    pub on_upstream_failure: Option<OnUpstreamFailure>,
}

/// What a failed upstream means for a sync that runs after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUpstreamFailure {
    /// It does not run when an upstream did not come to its end; rejected records are no failure.
    #[default]
    Stop,
    /// It does not run when an upstream failed, or had records rejected or in doubt.
    StopOnRejects,
    /// It runs however its upstreams ended.
    Continue,
}

impl OnUpstreamFailure {
    /// The word in manifests.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::StopOnRejects => "stop_on_rejects",
            Self::Continue => "continue",
        }
    }
}

/// A number of rows, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "LimitForm")]
#[schemars(with = "LimitForm")]
pub enum Limit {
    /// So many rows.
    Count(u64),
    /// So many percent, 0 to 100.
    Percent(f64),
}

/// The two ways to write a limit.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum LimitForm {
    /// So many rows: `1000`.
    Count(u64),
    /// A share: `5%`.
    Percent(#[schemars(regex(pattern = r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)\s*%$"))] String),
}

impl TryFrom<LimitForm> for Limit {
    type Error = String;

    fn try_from(form: LimitForm) -> Result<Self, String> {
        match form {
            LimitForm::Count(count) => Ok(Limit::Count(count)),
            LimitForm::Percent(text) => text
                .strip_suffix('%')
                .and_then(|number| number.trim().parse().ok())
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Limit::Percent)
                .ok_or_else(|| format!("`{text}` is neither a number of rows nor a percentage such as `5%`")),
        }
    }
}

impl Limit {
    /// Whether `actual` rows are within the limit; a percentage is of `whole` rows, to the row: compared in whole numbers
    /// of the decimal that stands in the manifest, so that no rounding lets one through or holds one up.
    pub fn allows(self, actual: u64, whole: u64) -> bool {
        let percent = match self {
            Limit::Count(most) => return actual <= most,
            Limit::Percent(percent) => percent,
        };
        // The shortest decimal that is this number, without an exponent.
        let decimal = percent.to_string();
        let (units, decimals) = decimal.split_once('.').unwrap_or((&decimal, ""));
        let digits: u128 = format!("{units}{decimals}").parse().unwrap_or(0);
        let scale = u32::try_from(decimals.len()).ok().and_then(|decimals| 10_u128.checked_pow(decimals));
        // 17 digits times a number of rows always fit. What does not is a share of next to nothing.
        let left = scale.and_then(|scale| (u128::from(actual) * 100).checked_mul(scale));
        left.map_or(actual == 0, |left| left <= digits.saturating_mul(u128::from(whole)))
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Limit::Count(count) => write!(f, "{count}"),
            Limit::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Limits that make `apply` refuse. Absent keys fall back to the project's `guards`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Guards {
    /// Most added rows; a percentage counts against the rows of the model, and does not hold for the first run of a sync.
    pub max_added: Option<Limit>,
    /// Most changed rows; a percentage counts against the rows last acknowledged.
    pub max_changed: Option<Limit>,
    /// Most removed rows; a percentage counts against the rows last acknowledged.
    pub max_removed: Option<Limit>,
    /// Most invalid rows; a percentage counts against the rows of the model.
    pub max_invalid: Option<Limit>,
    /// Fewest rows with a key the model must have. The default is 1; 0 allows an empty model.
    pub min_rows: Option<u64>,
}

/// How records are sent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// Records in one request or transaction; the destination's own limit when absent.
    #[schemars(range(min = 1))]
    pub batch_size: Option<u32>,
    /// Requests in flight at the same time.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: Option<u32>,
    /// The sync ends when more records than this are rejected: an error (exit code 1), and what was not sent yet waits.
    pub max_rejected: Option<Limit>,
    /// What to do with records whose answer was lost and that cannot be looked up.
    #[serde(default)]
    pub on_doubt: OnDoubt,
}

/// What to do with records whose answer was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDoubt {
    /// Wait for a human: nothing is sent again.
    #[default]
    Hold,
    /// Send again: at least once.
    Resend,
    /// Count as sent: at most once.
    Skip,
}

/// Who is told about a run: a `webhook`, a `slack` channel, or people by `email`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Address a JSON message is posted to.
    pub webhook: Option<String>,
    /// Key that messages to the `webhook` are signed with (HMAC-SHA256). Never written here: `{{ env.NAME }}`.
    pub secret: Option<Secret>,
    /// Address of an incoming webhook of Slack. It is a credential, so never written here: `{{ env.NAME }}`.
    pub slack: Option<Secret>,
    /// People who are sent an e-mail.
    pub email: Option<Email>,
    /// On which results; on all of them when absent.
    #[serde(default)]
    pub on: Vec<NotifyOn>,
}

/// People who are sent an e-mail.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// Their addresses: one, or a list.
    pub to: Addresses,
    /// The address it comes from.
    pub from: String,
    /// The server that takes the mail: `smtps://user:password@host`, or `smtp://user:password@host:587`, which changes to
    /// TLS before anything is said. It holds a credential, so never written here: `{{ env.NAME }}`.
    pub smtp: Secret,
}

/// Addresses: one, or a list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(from = "AddressesForm")]
#[schemars(with = "AddressesForm")]
pub struct Addresses(pub Vec<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum AddressesForm {
    One(String),
    Many(#[schemars(length(min = 1))] Vec<String>),
}

impl From<AddressesForm> for Addresses {
    fn from(form: AddressesForm) -> Self {
        Addresses(match form {
            AddressesForm::One(one) => vec![one],
            AddressesForm::Many(many) => many,
        })
    }
}

impl Notify {
    /// Whether this result is one to be told of.
    pub fn wants(&self, result: NotifyOn) -> bool {
        self.on.is_empty() || self.on.contains(&result)
    }
}

/// Results someone is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyOn {
    /// Nothing could be done.
    Failed,
    /// Some records were rejected, are in doubt or were not reached.
    Partial,
    /// A guard refused; nothing was sent.
    Refused,
    /// It succeeded after one of the others.
    Recovered,
}

impl NotifyOn {
    /// The word in manifests and messages.
    pub fn word(self) -> &'static str {
        match self {
            NotifyOn::Failed => "failed",
            NotifyOn::Partial => "partial",
            NotifyOn::Refused => "refused",
            NotifyOn::Recovered => "recovered",
        }
    }
}
