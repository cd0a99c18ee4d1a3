//! What `syncline verify` found: counts of source, state and destination side by side, and records compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::escape::{visible, wrap_words};
use super::numbers::{count, group};
use super::terminal::{Paint, Role, Style};
use crate::mask;

/// What was found in an environment (`verify --format json`). Readers ignore keys they do not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// `1.0`. A new minor adds keys.
    pub format_version: String,
    /// Name of the environment; empty when the project has none.
    pub environment: String,
    /// True when every difference has a reason.
    pub explained: bool,
    /// The syncs, in the order they run.
    pub syncs: Vec<SyncCheck>,
}

/// What was found of one sync.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncCheck {
    /// Name of the sync.
    pub sync: String,
    /// Its model.
    pub model: String,
    /// Its destination.
    pub destination: String,
    /// Object at the destination.
    pub object: String,
    /// True when every key column is declared `sensitive: false`; otherwise keys are masked outside the terminal.
    #[serde(default)]
    pub key_open: bool,
    /// Rows of the model.
    pub source: u64,
    /// Of these, rows that can be sent.
    pub valid: u64,
    /// Rows of the snapshot: those the destination has acknowledged.
    pub acknowledged: u64,
    /// Why there are not as many acknowledged rows as rows of the model.
    pub source_reasons: Vec<Reason>,
    /// What there is at the destination.
    pub at_destination: AtDestination,
    /// Why what is there is not what was acknowledged.
    pub destination_reasons: Vec<Reason>,
    /// Records that are not as they were sent, the first ones.
    pub differences: Vec<RecordDifference>,
    /// Rows or records whose difference has no reason.
    pub unexplained: u64,
}

/// What there is at the destination.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtDestination {
    /// Records of the object, of whoever sent them; null where that cannot be asked.
    pub count: Option<u64>,
    /// Acknowledged records that were looked for: all, or a sample.
    pub looked_for: u64,
    /// Of these, records that are there.
    pub found: u64,
    /// Records that were compared field by field.
    pub compared: u64,
    /// Of these, records that are as they were sent.
    pub same: u64,
    /// Requests made to look, where there were any.
    pub requests: u64,
    /// Why it could not be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_looked: Option<String>,
}

/// Why two numbers differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// `invalid`, `rejected`, `no_match`, `in_doubt`, `pending_added`, `pending_removed`, `unseen`, `foreign`, `shared`; without a
    /// reason: `missing`, `changed`, `several`, `unreadable`, `unknown`.
    pub reason: String,
    /// How many rows or records.
    pub count: u64,
    /// False where nothing that is known explains it.
    pub explained: bool,
    /// A few keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// A record that is not as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordDifference {
    /// Key of its row.
    pub key: String,
    /// The fields that differ.
    pub fields: Vec<FieldDifference>,
}

/// A field that is not as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldDifference {
    /// Its name.
    pub name: String,
    /// What was sent and acknowledged.
    pub sent: Value,
    /// What is there.
    pub there: Value,
    /// True when the values come from columns that are not declared `sensitive: false`; masked outside the terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

impl Verification {
    /// The same without personal data: for wherever it leaves this machine.
    pub fn masked(mut self) -> Self {
        for sync in &mut self.syncs {
            let open = sync.key_open;
            let key = |key: &mut String| *key = mask::shown_key(key, open);
            let reasons = sync.source_reasons.iter_mut().chain(&mut sync.destination_reasons);
            reasons.flat_map(|reason| &mut reason.keys).for_each(key);
            for record in &mut sync.differences {
                key(&mut record.key);
                for field in record.fields.iter_mut().filter(|field| field.sensitive) {
                    field.sent = mask::value(&field.sent, false);
                    field.there = mask::value(&field.there, false);
                }
            }
        }
        self
    }
}

fn words(reason: &Reason) -> String {
    let n = reason.count;
    let (one, many) = match reason.reason.as_str() {
        "invalid" => ("is invalid and never sent", "are invalid and never sent"),
        "rejected" => ("was rejected", "were rejected"),
        "no_match" => ("has no match there", "have no match there"),
        "in_doubt" => ("is in doubt", "are in doubt"),
        "pending_added" => ("waits for the next apply", "wait for the next apply"),
        "pending_removed" => {
            ("has left the model and waits for the next apply", "have left the model and wait for the next apply")
        }
        "foreign" => ("is not of this sync", "are not of this sync"),
        "unseen" => (
            "is not among the records the destination shows, which are not all",
            "are not among the records the destination shows, which are not all",
        ),
        "shared" => ("shares its record with another row", "share their record with another row"),
        "missing" => ("was acknowledged and is not there", "were acknowledged and are not there"),
        "changed" => ("is not as it was sent", "are not as they were sent"),
        "several" => ("is there more than once", "are there more than once"),
        "unreadable" => ("could not be read", "could not be read"),
        _ => ("has no reason that is known", "have no reason that is known"),
    };
    let keys = match reason.keys.as_slice() {
        [] => String::new(),
        keys => {
            let more = if reason.count > keys.len() as u64 { ", …" } else { "" };
            let keys: Vec<String> = keys.iter().map(|key| visible(key)).collect();
            format!(": {}{more}", keys.join(", "))
        }
    };
    format!("{} {}{keys}", group(n), if n == 1 { one } else { many })
}

/// The verification as text, ending in a line break.
pub fn verify_text(found: &Verification, style: &Style) -> String {
    let paint = Paint { color: style.color };
    let mut lines = Vec::new();
    for sync in &found.syncs {
        let (word, role) = if sync.unexplained == 0 { ("ok", Role::Good) } else { ("differs", Role::Bad) };
        let way = format!("{} → {} {}", visible(&sync.model), visible(&sync.destination), visible(&sync.object));
        lines.push(format!(
            "{}  {}  {}",
            paint.role(role, &format!("{word:7}")),
            paint.role(Role::Strong, &visible(&sync.sync)),
            paint.role(Role::Faint, &way)
        ));
        let mut number = |name: &str, value: &str| lines.push(format!("         {name:<21}{value:>12}"));
        number("rows of the model", &group(sync.source));
        number("valid", &group(sync.valid));
        number("acknowledged", &group(sync.acknowledged));
        let there = &sync.at_destination;
        number("at the destination", &there.count.map_or_else(|| "not counted".to_owned(), group));
        let mut say = |role: Option<Role>, text: &str| {
            for line in wrap_words(text, style.columns().saturating_sub(9).max(20)) {
                let line = role.map_or_else(|| line.clone(), |role| paint.role(role, &line));
                lines.push(format!("         {line}"));
            }
        };
        match &there.not_looked {
            Some(why) => say(Some(Role::Faint), &format!("not looked at record by record: {why}")),
            None => say(
                None,
                &format!(
                    "looked for {}, found {}; compared {} field by field, {} the same",
                    count(there.looked_for, "record", "records"),
                    group(there.found),
                    group(there.compared),
                    group(there.same)
                ),
            ),
        }
        for reason in sync.source_reasons.iter().chain(&sync.destination_reasons) {
            let role = if reason.explained { None } else { Some(Role::Bad) };
            say(role, &format!("{} {}", if reason.explained { "·" } else { "!" }, words(reason)));
        }
        for record in &sync.differences {
            for field in &record.fields {
                let key = visible(&record.key);
                let text = format!("{key} · {}: sent {}, there is {}", visible(&field.name), field.sent, field.there);
                say(None, &visible(&text));
            }
        }
    }
    let differing = found.syncs.iter().filter(|sync| sync.unexplained > 0).count() as u64;
    let (verdict, role) = match differing {
        0 if found.syncs.is_empty() => ("There are no syncs.".to_owned(), Role::Strong),
        0 => ("Every difference has a reason.".to_owned(), Role::Good),
        n => (format!("{} with differences that have no reason.", count(n, "sync", "syncs")), Role::Bad),
    };
    lines.push(String::new());
    lines.push(paint.role(role, &verdict));
    lines.join("\n") + "\n"
}
