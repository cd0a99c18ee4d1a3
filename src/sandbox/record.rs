//! The requests that came, for people and tests.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;

use super::fault::{Fate, Kind};
use super::wire::{Answer, Call};

/// Requests that are kept, and bytes of each body.
const KEPT: usize = 1000;
const BODY: usize = 8 << 10;

/// One request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    /// Counted from the start or the last reset.
    pub number: u64,
    pub at: Timestamp,
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub content_type: Option<String>,
    /// Bytes of the body, and its beginning as text.
    pub bytes: usize,
    pub body: String,
    /// Nothing when no answer was sent.
    pub status: Option<u16>,
    /// Error code in the answer.
    pub code: Option<String>,
    pub records: usize,
    /// What went wrong on purpose.
    pub fault: Option<Kind>,
    pub milliseconds: u64,
}

impl Entry {
    /// A request that was answered, or at least carried out.
    pub fn of(call: &Call, path: &str, fate: Fate, started: Instant, answer: &Answer) -> Self {
        let lost = matches!(fate.kind, Some(Kind::TimeoutAfterCommit | Kind::ResetAfterCommit));
        Self {
            status: (!lost).then_some(answer.status),
            code: answer.code.clone(),
            records: answer.records,
            ..Self::lost(call, path, fate, started)
        }
    }

    /// A request nothing was done with.
    pub fn lost(call: &Call, path: &str, fate: Fate, started: Instant) -> Self {
        let begin = call.body.get(..BODY.min(call.body.len())).unwrap_or_default();
        let secret = |(name, value): &(String, String)| {
            let value =
                if matches!(name.as_str(), "client_secret" | "access_token" | "api_key") { "…" } else { value };
            (name.clone(), value.to_owned())
        };
        Self {
            number: 0,
            at: call.now,
            method: call.method.to_string(),
            path: path.to_owned(),
            query: call.query.iter().map(secret).collect(),
            content_type: call.header("content-type").map(str::to_owned),
            bytes: call.body.len(),
            body: String::from_utf8_lossy(begin).into_owned(),
            status: None,
            code: None,
            records: 0,
            fault: fate.kind,
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The last requests, and counts of all.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub entries: VecDeque<Entry>,
    pub total: u64,
    /// By path and status; 0 stands for no answer.
    pub counts: BTreeMap<String, BTreeMap<u16, u64>>,
}

/// Different paths that are counted on their own.
const PATHS: usize = 500;

impl Record {
    pub fn add(&mut self, mut entry: Entry) {
        self.total += 1;
        entry.number = self.total;
        let path = match self.counts.contains_key(&entry.path) || self.counts.len() < PATHS {
            true => entry.path.clone(),
            false => "(other paths)".to_owned(),
        };
        *self.counts.entry(path).or_default().entry(entry.status.unwrap_or(0)).or_default() += 1;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}
