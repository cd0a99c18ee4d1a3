//! Destination `command`: a program of one's own takes the records.
//!
//! The program is started once for a sync and is told in its first line what is wanted. Then it gets one record a line
//! and answers one line for each, in any order; what it has answered it has made durable. When it dies or says something
//! else, what has no answer is in doubt: `repeatable: true` has it sent again to a new one, else `delivery.on_doubt`
//! decides. The protocol is written down in `docs/custom-connectors.md`.

mod talk;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Batch, Capabilities, Class, Destination, Options, Outcome, Readable, SendError, Sent, Target, Writer, table,
};
use crate::diagnostic::Result;
use crate::manifest::program::CommandDestination;
use crate::manifest::sync::{Mode, OnRemoved};
use crate::process::Program;
use crate::secret::Connection;
use talk::Talk;

/// A program that takes records.
pub(super) struct Command {
    program: Arc<Program>,
    repeatable: bool,
}

impl Command {
    /// The program of a connection; started when a sync is opened.
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let CommandDestination { command, directory, env, repeatable, silence } = connection.typed()?;
        let env = env.into_iter().map(|(name, value)| (name, value.0));
        let silence = Duration::from_secs(u64::from(silence));
        let program = Program::new(command, directory.as_deref(), env, connection.redactor(), silence)?;
        Ok(Self { program: Arc::new(program), repeatable })
    }
}

/// What a program can do, nobody knows before it is asked: it refuses in its first line what it cannot.
pub(super) fn capabilities(repeatable: bool, batch_size: u32) -> Capabilities {
    Capabilities {
        modes: vec![Mode::Insert, Mode::Update, Mode::Upsert, Mode::Mirror, Mode::Add, Mode::Remove],
        on_removed: vec![OnRemoved::Keep, OnRemoved::Clear, OnRemoved::Delete],
        class: if repeatable { Class::A } else { Class::D },
        batch_size,
        concurrency: 1, // one program, and one line after the other
        always_opened: false,
        by_state: false,
        matched: true,
    }
}

#[async_trait]
impl Destination for Command {
    fn capabilities(&self, _: &str, _: Mode, _: &Options) -> Result<Capabilities> {
        Ok(capabilities(self.repeatable, 100))
    }

    async fn reader(&self, _: &Target) -> Result<Readable, SendError> {
        Ok(Readable::No("a program is given records and answers for each, but is not asked for them".into()))
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError> {
        let (program, target) = (self.program.clone(), Arc::new(target.clone()));
        let (begun, wanted) = (program.clone(), target.clone());
        let talk = table::blocking(move || Talk::begin(begun, &wanted)).await?;
        Ok(Box::new(CommandWriter { program, target, talk: Arc::new(Mutex::new(Some(talk))) }))
    }
}

struct CommandWriter {
    program: Arc<Program>,
    target: Arc<Target>,
    /// The program that runs; `None` after it has ended in the midst of something.
    talk: Arc<Mutex<Option<Talk>>>,
}

#[async_trait]
impl Writer for CommandWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        let (program, target) = (self.program.clone(), self.target.clone());
        let (talk, batch) = (self.talk.clone(), batch.clone());
        table::blocking(move || {
            let mut slot = talk.lock().unwrap_or_else(PoisonError::into_inner);
            let mut talk = match slot.take() {
                Some(talk) => talk,
                None => Talk::begin(program, &target)?,
            };
            let sent = talk.send(&batch, &target);
            // After anything but answers nobody knows what it would say next.
            if sent.is_ok() {
                *slot = Some(talk);
            }
            sent
        })
        .await
    }

    async fn settle(&self, _: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        let talk = self.talk.clone();
        table::blocking(move || {
            // Rows may come after this, where some waited: they get a program of their own.
            let talk = talk.lock().unwrap_or_else(PoisonError::into_inner).take();
            talk.map_or(Ok(()), Talk::end).map(|()| Vec::new())
        })
        .await
    }
}
