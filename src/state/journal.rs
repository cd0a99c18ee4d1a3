//! The journal of a run: what is about to be sent, and what came back, each durable before the next step relies on it.
//!
//! One line a record: length and CRC-32 in hexadecimal, then JSON, so that both machines and people can read it.
//! ```text
//! 0000003b 5d1f9a02 {"intent":{"sync":0,"batch":7,"action":"send","rows":[[0,999]]}}
//! ```
//! Rows are named by their position in the frozen operations of the run's plan, of which the run keeps a copy. Only a
//! whole prefix counts: reading ends at the first record that is torn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::backend::Append;
use super::document::SentTo;
use super::lease;
use crate::destinations::{Action, Class, Outcome};
use crate::diagnostic::{Error, Result};
use crate::manifest::sync::OnDoubt;
use crate::mapping::MappingSpec;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The run begins.
    Run {
        /// Version of this format.
        format_version: String,
        /// Id of the run.
        run_id: String,
        /// The plan it carries out.
        plan_id: String,
        /// Fencing token of the run's lock.
        token: u64,
    },
    /// A sync begins.
    Sync(Box<SyncRecord>),
    /// These rows are about to be sent.
    Intent {
        /// Number of the sync within the journal.
        sync: u32,
        /// Number of the batch within the run.
        batch: u64,
        /// What is done to them.
        action: Action,
        /// Ranges of positions, both ends included.
        rows: Vec<(u64, u64)>,
    },
    /// A batch was answered: outcomes in the order of its rows, equal neighbours counted.
    Ack {
        /// Number of the batch.
        batch: u64,
        /// How many of which outcome.
        outcomes: Vec<(u64, Outcome)>,
    },
    /// A batch was taken, its outcomes come later.
    Deferred {
        /// Number of the batch.
        batch: u64,
        /// What the destination needs to find it again.
        handle: String,
    },
    /// For certain nothing of a batch was executed.
    Void {
        /// Number of the batch.
        batch: u64,
    },
}

/// All a later run needs to know to take over what this one leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncRecord {
    /// Number of the sync within the journal, from 0.
    pub number: u32,
    /// Name of the sync.
    pub sync: String,
    /// The model its rows are of; empty in journals of earlier versions.
    #[serde(default)]
    pub model: String,
    /// The destination they go to.
    #[serde(default)]
    pub destination: String,
    /// Where exactly; unknown in journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<SentTo>,
    /// How lost answers are resolved.
    pub class: Class,
    /// What the sync wants done where they cannot be.
    pub on_doubt: Policy,
    /// True when the snapshot keeps values.
    pub values: bool,
    /// Key columns and their logical types.
    pub key: Vec<(String, String)>,
    /// True when keys may be read, as their columns are declared `sensitive: false`.
    #[serde(default)]
    pub key_open: bool,
    /// The mapping the rows are sent with.
    pub mapping: MappingSpec,
    /// Distinct keys the plan read.
    pub queried_records: u64,
    /// Rows the model had when the plan was made; unknown in journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_rows: Option<u64>,
    /// Digest of where and how the rows are sent beside the mapping: mode, destination, object, options; unknown in journals of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<u64>,
    /// Rows of the model that are as last acknowledged, held ones not among them.
    #[serde(default)]
    pub unchanged: u64,
    /// Rows of the model that are never sent.
    #[serde(default)]
    pub invalid: u64,
}

/// [`OnDoubt`] as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Wait for a human.
    Hold,
    /// Send again.
    Resend,
    /// Count as sent.
    Skip,
}

impl From<OnDoubt> for Policy {
    fn from(on_doubt: OnDoubt) -> Self {
        match on_doubt {
            OnDoubt::Hold => Self::Hold,
            OnDoubt::Resend => Self::Resend,
            OnDoubt::Skip => Self::Skip,
        }
    }
}

/// A batch that was taken and never settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Number of the sync within the journal.
    pub sync: u32,
    /// Number of the batch.
    pub batch: u64,
    /// What the destination needs to find it again.
    pub handle: String,
    /// What was done to its rows.
    pub action: Action,
    /// Ranges of positions, both ends included.
    pub rows: Vec<(u64, u64)>,
}

/// Batches without an answer.
#[derive(Debug, Default)]
pub struct OpenBatches(BTreeMap<u64, Unsettled>);

impl OpenBatches {
    /// Takes note of a record.
    pub fn see(&mut self, record: &Record) {
        match record {
            Record::Run { .. } | Record::Sync(_) => {}
            Record::Intent { sync, batch, action, rows } => {
                let (sync, batch, action, rows) = (*sync, *batch, *action, rows.clone());
                self.0.insert(batch, Unsettled { sync, batch, handle: String::new(), action, rows });
            }
            Record::Deferred { batch, handle } => {
                if let Some(open) = self.0.get_mut(batch) {
                    open.handle.clone_from(handle);
                }
            }
            Record::Ack { batch, .. } | Record::Void { batch } => {
                self.0.remove(batch);
            }
        }
    }

    /// Those of a sync that the destination took.
    pub fn unsettled(&self, sync: u32) -> Vec<Unsettled> {
        self.0.values().filter(|open| open.sync == sync && !open.handle.is_empty()).cloned().collect()
    }
}

/// Equal neighbours counted.
pub fn runs_of(outcomes: &[Outcome]) -> Vec<(u64, Outcome)> {
    outcomes.chunk_by(|a, b| a == b).filter_map(|run| Some((run.len() as u64, run.first()?.clone()))).collect()
}

/// Ascending positions as ranges, both ends included.
pub fn ranges_of(ordinals: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for ordinal in ordinals {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == ordinal => *last = ordinal,
            _ => ranges.push((ordinal, ordinal)),
        }
    }
    ranges
}

/// Appends a record to a buffer.
fn encode(record: &Record, buffer: &mut Vec<u8>) -> Result<()> {
    let json = serde_json::to_vec(record).map_err(|e| Error::failed(format!("cannot write the journal: {e}")))?;
    buffer.extend_from_slice(format!("{:08x} {:08x} ", json.len(), crc32fast::hash(&json)).as_bytes());
    buffer.extend_from_slice(&json);
    buffer.push(b'\n');
    Ok(())
}

/// The records of the longest whole prefix, and the length of it in bytes.
pub fn decode(bytes: &[u8]) -> (Vec<Record>, usize) {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((record, length)) = bytes.get(at..).and_then(decode_one) {
        records.push(record);
        at += length;
    }
    (records, at)
}

fn decode_one(bytes: &[u8]) -> Option<(Record, usize)> {
    let hex = |from: usize| -> Option<u32> {
        let digits = bytes.get(from..from + 8)?;
        let strict = digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(digits).ok().filter(|_| strict && bytes.get(from + 8) == Some(&b' '))?;
        u32::from_str_radix(text, 16).ok()
    };
    let (length, crc) = (hex(0)? as usize, hex(9)?);
    let json = bytes.get(18..18usize.checked_add(length)?)?;
    if bytes.get(18 + length) != Some(&b'\n') || crc32fast::hash(json) != crc {
        return None;
    }
    Some((serde_json::from_slice(json).ok()?, 18 + length + 1))
}

/// The journal being written. Many batches in flight share it: whoever comes first writes what all of them have to
/// say, with one sync to disk.
pub struct Journal {
    queue: Arc<Mutex<Queue>>,
    file: Arc<tokio::sync::Mutex<Box<dyn Append>>>,
    lost: Arc<AtomicBool>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Records queued so far.
    queued: u64,
    /// Records of these that are durable.
    durable: u64,
    open: OpenBatches,
    /// Set by the first write that failed: what came after it is not known to be durable.
    failed: Option<String>,
}

impl Journal {
    /// A journal that writes to `file` until `lost` says that the lock is somebody else's.
    pub fn new(file: Box<dyn Append>, lost: Arc<AtomicBool>) -> Self {
        Self { queue: Arc::default(), file: Arc::new(tokio::sync::Mutex::new(file)), lost }
    }

    /// Writes a record; it is durable when this returns.
    pub async fn write(&self, record: &Record) -> Result<()> {
        let mine = self.queue(record)?;
        // Others that are about to write do so now, and share the sync.
        tokio::task::yield_now().await;
        self.flush(mine).await
    }

    /// Queues a record to be written with the next one that must be durable. Returns its number.
    pub fn queue(&self, record: &Record) -> Result<u64> {
        let mut queue = lock(&self.queue);
        encode(record, &mut queue.waiting)?;
        queue.open.see(record);
        queue.queued += 1;
        Ok(queue.queued)
    }

    /// Batches of a sync that were taken and have not been settled.
    pub fn unsettled(&self, sync: u32) -> Vec<Unsettled> {
        lock(&self.queue).open.unsettled(sync)
    }

    /// Waits until all that was queued is durable.
    pub async fn sync(&self) -> Result<()> {
        let last = lock(&self.queue).queued;
        self.flush(last).await
    }

    async fn flush(&self, mine: u64) -> Result<()> {
        let mut file = self.file.clone().lock_owned().await;
        if self.lost.load(Ordering::SeqCst) {
            return Err(lease::lost(None));
        }
        let (bytes, upto) = {
            let mut queue = lock(&self.queue);
            if let Some(message) = &queue.failed {
                return Err(Error::failed(message.clone()));
            }
            if queue.durable >= mine {
                return Ok(());
            }
            (std::mem::take(&mut queue.waiting), queue.queued)
        };
        let queue = self.queue.clone();
        // The outcome is noted by the writing thread itself: this future may be dropped while it writes.
        let write = move || {
            let result = file.append(&bytes);
            let mut queue = lock(&queue);
            match &result {
                Ok(()) => queue.durable = upto,
                Err(e) => queue.failed = Some(e.to_string()),
            }
            result
        };
        let write = tokio::task::spawn_blocking(write);
        write.await.map_err(|e| Error::failed(format!("the journal's writer ended: {e}")))?
    }
}

fn lock(queue: &Mutex<Queue>) -> std::sync::MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
