//! Destination `singer`: a Singer target writes the records.
//!
//! The target is started when a sync is opened. It gets a SCHEMA made of the sync's identifiers (its key) and fields, a
//! RECORD for each row, and after each batch a STATE that says how far it is. A target prints a STATE once all before it
//! is written: that is the acknowledgement (<https://hub.meltano.com/singer/spec>). Most targets write when they have
//! enough or at their end, so that batches are handed over and settled when the input was closed and the target has ended.

mod feed;
mod schema;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Batch, Capabilities, Class, Destination, Options, Outcome, Readable, SendError, Sent, Target, Warning, Writer,
    table,
};
use crate::diagnostic::Result;
use crate::manifest::program::{Settings, SingerTarget};
use crate::manifest::sync::{Mode, OnRemoved};
use crate::process::Program;
use crate::secret::Connection;
use feed::Feed;

/// A target.
pub(super) struct Singer {
    program: Arc<Program>,
    config: Settings,
    repeatable: bool,
}

impl Singer {
    /// The target of a connection; started when a sync is opened.
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let SingerTarget { command, config, directory, env, repeatable, silence } = connection.typed()?;
        let env = env.into_iter().map(|(name, value)| (name, value.0));
        let silence = Duration::from_secs(u64::from(silence));
        let program = Program::new(command, directory.as_deref(), env, connection.redactor(), silence)?;
        Ok(Self { program: Arc::new(program), config, repeatable })
    }
}

#[async_trait]
impl Destination for Singer {
    fn capabilities(&self, object: &str, mode: Mode, _: &Options) -> Result<Capabilities> {
        let modes = vec![Mode::Insert, Mode::Upsert];
        table::check_mode(&format!("stream `{object}` of a Singer target"), mode, &modes)?;
        Ok(Capabilities {
            modes,
            on_removed: vec![OnRemoved::Keep],
            class: if self.repeatable { Class::A } else { Class::D },
            batch_size: 1000,
            concurrency: 1, // one target, and one line after the other
            always_opened: false,
            by_state: false,
            matched: true,
        })
    }

    async fn reader(&self, _: &Target) -> Result<Readable, SendError> {
        Ok(Readable::No("a Singer target takes records and gives none back".into()))
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError> {
        let start =
            Start { program: self.program.clone(), config: self.config.clone(), target: Arc::new(target.clone()) };
        let begun = start.clone();
        let feed = table::blocking(move || begun.feed()).await?;
        Ok(Box::new(SingerWriter { start, feed: Arc::new(Mutex::new(Some(feed))), faults: Arc::default() }))
    }
}

/// What a target is started with.
#[derive(Clone)]
struct Start {
    program: Arc<Program>,
    config: Settings,
    target: Arc<Target>,
}

impl Start {
    fn feed(&self) -> Result<Feed, SendError> {
        Feed::begin(&self.program, &self.config, &self.target)
    }
}

struct SingerWriter {
    start: Start,
    /// The target that runs; `None` after it has ended.
    feed: Arc<Mutex<Option<Feed>>>,
    /// What was wrong with targets that had confirmed something before.
    faults: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Writer for SingerWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let (start, slot, batch) = (self.start.clone(), self.feed.clone(), batch.clone());
        table::blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let mut feed = match slot.take() {
                Some(feed) => feed,
                // After it was settled, for rows that had to wait.
                None => start.feed()?,
            };
            let sent = feed.send(&batch, &start.target);
            // What it has taken is settled all the same.
            *slot = Some(feed);
            sent.map(|handle| Sent::Deferred { handle })
        })
        .await
    }

    async fn settle(&self, deferred: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        let (slot, faults, deferred) = (self.feed.clone(), self.faults.clone(), deferred.to_vec());
        table::blocking(move || {
            // Nothing was asked of it yet: what an earlier run handed over, its target has taken with it.
            let Some(feed) = slot.lock().unwrap_or_else(PoisonError::into_inner).take_if(|feed| feed.has_taken())
            else {
                return Ok(Vec::new());
            };
            let (settled, fault) = feed.settle(&deferred)?;
            faults.lock().unwrap_or_else(PoisonError::into_inner).extend(fault);
            Ok(settled)
        })
        .await
    }

    fn warnings(&self) -> Vec<Warning> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().map(|message| Warning { message: message.clone(), count: 1 }).collect()
    }
}
