//! Sending: where records go. One file a destination.
//!
//! A destination knows neither project nor plan nor journal: it is given batches of operations and says, record by
//! record, what became of them. Order, retries, bisection and durability are [`crate::deliver`]'s. The shape fits local
//! databases and remote HTTP APIs alike: many batches may be in flight, an answer may come later
//! ([`Sent::Deferred`]), and each error says what may be done about it.

mod command;
mod dedupe;
mod files;
mod mysql;
mod postgres;
mod singer;
mod sqlite;
mod staged;
mod table;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use dedupe::{DedupeId, Origin};

use crate::connectors::{self, Compiled, Setup};
use crate::diagnostic::Result;
use crate::login::Account;
use crate::manifest::connector::object::FieldType;
use crate::manifest::sync::{Mode, OnNull, OnRemoved, Write};
use crate::mapping::{Payload, Value};
use crate::postgres::Server;
use crate::secret::Connection;

/// What is done to one record at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Insert, update or upsert, as the sync's mode says.
    Send,
    /// Empty the mapped fields (`on_removed: clear`).
    Clear,
    /// Delete the record (`mirror`, `on_removed: delete`).
    Delete,
}

/// Settings of an object, as in the sync's manifest.
pub type Options = serde_json::Map<String, serde_json::Value>;

/// What a sync wants of a destination: fixed for a whole run.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name of the sync.
    pub sync: String,
    /// The name it was first applied under: what ids of records are made of, so that a new name makes no new ones.
    pub identity: String,
    /// The object: a table, a file stem, `user`, …
    pub object: String,
    /// What may happen there.
    pub mode: Mode,
    /// What happens to records of removed rows.
    pub on_removed: OnRemoved,
    /// Names of the identifiers records are matched by; positions as in [`crate::mapping::Record::matching`].
    pub matching: Vec<TargetField>,
    /// The fields; positions as in [`crate::mapping::Record::fields`].
    pub fields: Vec<TargetField>,
    /// Settings of the object, as in the manifest.
    pub options: Options,
    /// Id of the run, for names of files and staging tables.
    pub run_id: String,
    /// Operations of the plan that do something at the destination: some have a way of their own for large loads.
    pub operations: u64,
}

/// One identifier or field of the destination.
#[derive(Debug, Clone)]
pub struct TargetField {
    /// Its name; dotted where nested.
    pub name: String,
    /// What null means for it.
    pub on_null: OnNull,
    /// When it is sent.
    pub write: Write,
    /// The Arrow type of the column it is made of, where it comes from a column without transforms; a hint for
    /// destinations that create tables or typed files.
    pub data_type: Option<arrow_schema::DataType>,
    /// What its text stands for, as far as manifest and model say.
    pub meaning: crate::mapping::Meaning,
}

/// One record on its way.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Position within the plan's operations of this sync: what journal and row log refer to.
    pub ordinal: u64,
    /// What to do.
    pub action: Action,
    /// True when the row is new to this sync, false when it was acknowledged before.
    pub added: bool,
    /// The row's primary key as shown to people: the value itself, or a JSON array for composite keys.
    pub key: SmolStr,
    /// Same for the same sync, key and payload after any retry, crash or re-plan.
    pub dedupe_id: DedupeId,
    /// The record; for deletes, the identifiers and the fields as last sent.
    pub record: Payload,
    /// True when an earlier attempt may already have arrived (in doubt): what is found there equal to the record counts
    /// as ours.
    pub in_doubt: bool,
}

/// Operations sent together.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Number of the batch within the run.
    pub id: u64,
    /// Never two with the same key, all of the same [`Action`].
    pub operations: Vec<Operation>,
}

/// What became of one record. It is written down as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The destination confirmed it.
    Succeeded,
    /// The destination refused this record; final for this payload.
    Rejected {
        /// Code in the destination's words, e.g. `not_null_violation`.
        code: String,
        /// Message in the destination's words, free of secrets.
        message: String,
    },
    /// Update-only, and the destination does not hold the record.
    NoMatch,
    /// Accepted without an answer per record.
    Unverified,
}

/// The answer to a batch.
#[derive(Debug)]
pub enum Sent {
    /// One outcome per operation, in their order.
    Outcomes(Vec<Outcome>),
    /// One entry per operation, in their order; where there is none, nothing was executed for that record and it is
    /// worth another try.
    Partly {
        /// What is known.
        outcomes: Vec<Option<Outcome>>,
        /// Why the others have none.
        message: String,
        /// When the destination said to come back.
        retry_after: Option<Duration>,
    },
    /// Taken, to be settled later; the handle is journaled so that a run after a crash can ask again.
    Deferred {
        /// What [`Writer::settle`] needs to find the batch again.
        handle: String,
    },
}

/// Why a batch has no outcomes.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nothing was executed; worth another try.
    #[error("{message}")]
    Transient {
        /// What happened.
        message: String,
        /// When the destination said to come back.
        retry_after: Option<Duration>,
    },
    /// The batch was refused as a whole because of some record in it, and nothing of it was executed: bisect.
    #[error("{code}: {message}")]
    Refused {
        /// Code in the destination's words.
        code: String,
        /// Message in the destination's words.
        message: String,
    },
    /// The batch is larger than one request may be, and nothing was sent.
    #[error("the first {fits} records of the batch fill a request")]
    Oversize {
        /// How many of its first records fit; 0 when the first alone is too large.
        fits: usize,
    },
    /// The destination could not be reached at all, and nothing was sent.
    #[error("{message}")]
    Unreachable {
        /// What happened.
        message: String,
    },
    /// It may or may not have been executed.
    #[error("{message}")]
    Lost {
        /// What happened.
        message: String,
    },
    /// Nothing more can be sent in this run: credentials refused, table gone, disk full, quota used up.
    #[error("{message}")]
    Fatal {
        /// What happened.
        message: String,
        /// What to do.
        help: Option<String>,
    },
}

/// How an operation whose answer was lost is resolved (DESIGN section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// Idempotent by key: sent again.
    A,
    /// The destination keeps a dedupe id: sent again with the same one.
    B,
    /// Readable by key: looked up, then decided. Sent again with [`Operation::in_doubt`].
    C,
    /// Append-only: `delivery.on_doubt` decides.
    D,
}

/// What a destination can do with an object.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// The modes the object takes.
    pub modes: Vec<Mode>,
    /// What may happen to records of removed rows.
    pub on_removed: Vec<OnRemoved>,
    /// How an answer that was lost is resolved.
    pub class: Class,
    /// Records per batch unless the manifest says otherwise.
    pub batch_size: u32,
    /// Batches in flight unless the manifest says otherwise.
    pub concurrency: u32,
    /// True when a run without changes still leaves something there, e.g. the three empty files of `content: diff`.
    pub always_opened: bool,
    /// True when added and changed rows are sent in different ways, so that a batch holds only the one or the other.
    pub by_state: bool,
    /// True when the identifiers name one record, so that two rows with the same ones would write the same record; false
    /// where each row is a record of its own, as with events.
    pub matched: bool,
}

/// A field of an object, as its destination knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldInfo {
    /// Its name; dotted where nested.
    pub name: String,
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// False when it can only be read.
    pub writable: bool,
}

/// The fields an object has at its destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// True when a field that is not among them is refused; false when it is made.
    pub complete: bool,
    /// True when the destination turns text, numbers and truth values into one another.
    pub converts: bool,
    /// The fields, in the destination's order.
    pub fields: Vec<FieldInfo>,
}

/// What a destination says of itself when it is asked and nothing is sent.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// True when an answer proves that the credentials hold.
    pub credentials: bool,
    /// What is left of limits that span a day, as far as the destination says.
    pub quotas: Vec<Quota>,
    /// Seconds its clock is ahead of ours; negative when it is behind. `None` where it does not say.
    pub clock_ahead: Option<i64>,
    /// The account that is used, where its password can end.
    pub account: Option<Account>,
    /// What else there is to know, each a sentence.
    pub remarks: Vec<String>,
}

/// A limit that spans a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Its name.
    pub name: String,
    /// Requests of the day, of all who share it.
    pub limit: u64,
    /// Requests that are left to us today, without what is reserved for others.
    pub left: u64,
}

/// What a plan does at a destination, for an estimate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Records sent that are new to the sync.
    pub added: u64,
    /// Records sent that are not.
    pub changed: u64,
    /// Records whose fields are emptied.
    pub clear: u64,
    /// Records deleted.
    pub delete: u64,
    /// Most records of a batch, at least 1.
    pub batch_size: u64,
}

/// What a load takes, if all goes well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests, or transactions of a database.
    pub requests: u64,
    /// The least seconds that its limits allow; 0 where there are none.
    pub seconds: u64,
}

/// Something a destination let pass but did not do as asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What, free of secrets.
    pub message: String,
    /// How many answers said so.
    pub count: u64,
}

/// Somewhere records go.
#[async_trait]
pub trait Destination: Send + Sync {
    /// What it can do with this object in this mode and with these options; offline. The error names the modes or options
    /// that would work.
    fn capabilities(&self, object: &str, mode: Mode, options: &Options) -> Result<Capabilities>;

    /// Makes an identifier of an object, by its name, what the destination takes it for, e.g. lower case where case makes
    /// no difference: two rows whose identifiers are the same after this write the same record. Offline.
    fn normalise(&self, _object: &str, _identifier: &str, _value: &mut Value) {}

    /// What so many records of an object take; offline.
    ///
    /// # Errors
    /// As [`Destination::capabilities`].
    fn cost(&self, object: &str, mode: Mode, options: &Options, load: &Load) -> Result<Cost> {
        let _ = (object, mode, options);
        let sent = load.added + load.changed;
        let requests = [sent, load.clear, load.delete].map(|records| records.div_ceil(load.batch_size.max(1)));
        Ok(Cost { requests: requests.iter().sum(), seconds: 0 })
    }

    /// The fields an object has; `None` where the destination cannot be asked. Changes nothing there.
    ///
    /// # Errors
    /// The destination does not answer, or refuses.
    async fn fields(&self, object: &str, options: &Options) -> Result<Option<Discovered>, SendError> {
        let _ = (object, options);
        Ok(None)
    }

    /// What the account may not do that a sync to this object needs, each by the name of the privilege. Changes nothing
    /// there; nothing is said of an object that is not there yet, or where privileges cannot be asked for.
    ///
    /// # Errors
    /// The destination does not answer, or refuses.
    async fn missing_privileges(
        &self,
        object: &str,
        mode: Mode,
        on_removed: OnRemoved,
    ) -> Result<Vec<String>, SendError> {
        let _ = (object, mode, on_removed);
        Ok(Vec::new())
    }

    /// How many records an object holds, of whoever sent them; `None` where that cannot be asked, or there is no such
    /// object yet. Changes nothing there.
    ///
    /// # Errors
    /// The destination does not answer, or refuses.
    async fn count(&self, object: &str, options: &Options) -> Result<Option<u64>, SendError> {
        let _ = (object, options);
        Ok(None)
    }

    /// What reads records of an object back. Changes nothing there.
    ///
    /// # Errors
    /// The destination does not answer, or refuses, or the object is not there.
    async fn reader(&self, target: &Target) -> Result<Readable, SendError> {
        let _ = target;
        Ok(Readable::No("the destination cannot read these records back".into()))
    }

    /// Connects and says how it is. Changes nothing there.
    ///
    /// # Errors
    /// The destination does not answer, or refuses the credentials.
    async fn examine(&self) -> Result<Health, SendError> {
        Ok(Health::default())
    }

    /// Connects and checks that the object can take these fields (table and columns exist, types fit).
    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError>;
}

/// What reads records back, or why nothing can.
pub enum Readable {
    /// This does.
    Yes(Box<dyn Reader>),
    /// Nothing can; the reason, as part of a sentence.
    No(String),
}

/// What a destination holds for one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// Nothing.
    Absent,
    /// More than one record with its identifiers.
    Several,
    /// A record; in these fields it is not as it was sent.
    There(Vec<There>),
    /// The destination would not say, in its words.
    Unreadable(String),
    /// It is not among the records the destination shows, which are not all there are.
    Unseen,
}

/// A field that is not as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct There {
    /// Its name.
    pub field: String,
    /// What is there.
    pub value: serde_json::Value,
}

/// Reads records of one object back.
#[async_trait]
pub trait Reader: Send + Sync {
    /// True where reading back every record costs little.
    fn reads_all(&self) -> bool {
        false
    }

    /// Records that are best looked for together, at least 1.
    fn together(&self) -> usize {
        1000
    }

    /// What there is for these records, by their identifiers, in their order. Fields that are left out of a record, or are
    /// only written with new ones, are not compared.
    async fn read(&self, operations: &[Operation]) -> Result<Vec<Held>, SendError>;

    /// Requests made so far; 0 for a database.
    fn requests(&self) -> u64 {
        0
    }
}

/// An open connection to one object of a destination.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Sends a batch. With `Outcomes`, the destination has made them durable.
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError>;

    /// Ends the run's sending and settles what was deferred: outcomes by batch id, one per operation.
    /// Called once after the last batch; also after a failure, so that what was sent is not left half-way. Only where rows
    /// wait for a deferred batch with the same [`Writer::identity`] is it called before them, too. A handle may come from
    /// an earlier run that was killed: it must say all that is needed.
    async fn settle(&self, deferred: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError>;

    /// What must not be twice in a batch, nor in two batches in flight, beside the row's key: a hash of the identifiers as
    /// the destination compares them. `None` where the row's key says it all.
    fn identity(&self, _operation: &Operation) -> Option<u64> {
        None
    }

    /// True where records are sent as JSON, so that it saves time to write them beforehand, see [`Payload::written`].
    fn takes_json(&self) -> bool {
        false
    }

    /// Requests made so far, where a batch may take several (look-ups, credentials); `None` where a batch is a request.
    fn requests(&self) -> Option<u64> {
        None
    }

    /// What the destination let pass so far but did not do as asked, each once, e.g. fields it left out.
    fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }
}

/// What kind of system a destination is.
#[derive(Debug, Clone)]
pub enum DestinationKind {
    /// A SQLite database file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// A MySQL or MariaDB server.
    Mysql,
    /// A folder of CSV, JSON lines or Parquet files.
    Files,
    /// A program of one's own.
    Command,
    /// A Singer target.
    Singer,
    /// An HTTP API that a connector describes, or the destination itself.
    Connector(Arc<Compiled>),
}

/// The destination of a manifest's `type` and rendered `connection`; paths in it are absolute. Offline: nothing is
/// connected to before [`Destination::open`].
///
/// # Errors
/// The connection lacks a key, holds one of the wrong type, or names a certificate file that cannot be read.
pub fn open(kind: &DestinationKind, connection: &Connection, setup: &Setup) -> Result<Box<dyn Destination>> {
    Ok(match kind {
        DestinationKind::Sqlite => Box::new(sqlite::Sqlite::new(connection.typed()?)),
        DestinationKind::Postgres => Box::new(postgres::Postgres::new(Server::of(connection)?)),
        DestinationKind::Mysql => Box::new(mysql::Mysql::new(crate::mysql::Server::of(connection)?)),
        DestinationKind::Files => Box::new(files::Files::new(connection.typed()?)),
        DestinationKind::Command => Box::new(command::Command::new(connection)?),
        DestinationKind::Singer => Box::new(singer::Singer::new(connection)?),
        DestinationKind::Connector(compiled) => connectors::open(compiled.clone(), connection, setup)?,
    })
}
