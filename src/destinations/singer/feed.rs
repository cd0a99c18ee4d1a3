//! A target that runs: what it is fed, and how far it says it is.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::schema;
use crate::destinations::{Batch, Outcome, SendError, Target};
use crate::manifest::program::Settings;
use crate::mapping;
use crate::process::lines::Lines;
use crate::process::spool::Spool;
use crate::process::{Program, Running};

/// Longest line a target may print, in bytes.
const LINE: usize = 16 << 20;
/// The key of a STATE of ours.
const OURS: &str = "syncline";

/// Said of a target that died.
const UNCONFIRMED: &str = "what it was given and did not confirm is in doubt";

/// Outcomes by batch.
type Settled = Vec<(u64, Vec<Outcome>)>;

/// A target that runs.
pub(super) struct Feed {
    program: Arc<Program>,
    /// Its own name, as a run has several where rows had to wait.
    name: String,
    running: Running,
    stdin: Option<ChildStdin>,
    /// Numbers of batches up to which it has written everything.
    written: Receiver<Result<u64, String>>,
    silence: Duration,
    /// What it was given: rows by batch.
    taken: BTreeMap<u64, usize>,
    /// Keeps its settings.
    _spool: Spool,
}

impl Feed {
    /// Starts the target and tells it what is to come.
    ///
    /// # Errors
    /// It cannot be started, or has ended already. Nothing was sent.
    pub fn begin(program: &Arc<Program>, config: &Settings, target: &Target) -> Result<Self, SendError> {
        let fatal = |message: String, help: Option<String>| SendError::Fatal { message, help };
        let unwritable = |e: std::io::Error| fatal(format!("cannot write the settings of a target: {e}"), None);
        let spool = Spool::new().map_err(unwritable)?;
        let path = spool.path("config.json");
        std::fs::write(&path, Value::Object(config.0.clone()).to_string()).map_err(unwritable)?;
        let named = program.with(["--config".to_owned(), path.display().to_string()]);
        let mut running = named.start(false).map_err(|e| fatal(e.to_string(), e.help().map(str::to_owned)))?;
        let (sender, written) = sync_channel(1000);
        let stdout = running.stdout.take();
        let read = move || {
            let Some(stdout) = stdout else { return };
            let mut lines = Lines::new(stdout, LINE);
            loop {
                let said = match lines.next_line() {
                    // What is no state of ours is said to somebody else.
                    Ok(Some(line)) => match state(line) {
                        Some(batch) => Ok(batch),
                        None => continue,
                    },
                    Ok(None) => return,
                    Err(fault) => Err(fault.to_string()),
                };
                let last = said.is_err();
                if sender.send(said).is_err() || last {
                    return;
                }
            }
        };
        let reader = thread::Builder::new().name("states".into()).spawn(read);
        reader.map_err(|e| fatal(format!("cannot start a thread: {e}"), None))?;
        let stdin = running.stdin.take();
        let name = uuid::Uuid::now_v7().to_string();
        let (silence, taken) = (program.silence(), BTreeMap::new());
        let program = program.clone();
        let mut feed = Self { program, name, running, stdin, written, silence, taken, _spool: spool };
        let greeting = format!("{}\n", schema::message(target)).into_bytes();
        match feed.tell(&[greeting]) {
            Ok(()) => Ok(feed),
            Err(_) => {
                let how = feed.running.end().unwrap_or_else(|| "it ended at once".into());
                Err(fatal(feed.named(&how), Some("see that it can be started by hand with these settings".into())))
            }
        }
    }

    /// Whether it was given anything.
    pub fn has_taken(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Hands a batch over. What comes back finds it again.
    ///
    /// # Errors
    /// The target has died since it was given another one: nothing of this one was sent.
    pub fn send(&mut self, batch: &Batch, target: &Target) -> Result<String, SendError> {
        if self.stdin.is_none() {
            let how = self.running.end().unwrap_or_else(|| "it takes no more".into());
            return Err(SendError::Fatal { message: self.named(&how), help: Some(UNCONFIRMED.into()) });
        }
        let mut lines: Vec<Vec<u8>> = Vec::with_capacity(batch.operations.len() + 1);
        for operation in &batch.operations {
            let record = &operation.record;
            let matching = target.matching.iter().map(|field| field.name.as_str()).zip(&record.matching);
            let fields = target.fields.iter().zip(&record.fields);
            let fields = fields.filter_map(|(field, value)| Some((field.name.as_str(), value.as_ref()?)));
            let mut line =
                format!("{{\"type\":\"RECORD\",\"stream\":{},\"record\":", Value::from(target.object.as_str()));
            line.push_str(&mapping::nested_json(matching.chain(fields)).json_text());
            line.push_str("}\n");
            lines.push(line.into_bytes());
        }
        lines.push(format!("{}\n", json!({ "type": "STATE", "value": { OURS: batch.id } })).into_bytes());
        self.taken.insert(batch.id, batch.operations.len());
        if self.tell(&lines).is_err() {
            // It may have taken some of it, which is told like all it was given before: when it is settled.
            self.stdin = None;
        }
        Ok(self.name.clone())
    }

    /// Closes its input and waits for its end: outcomes of the batches it was given, and what was wrong with it where it had
    /// confirmed some of them before.
    pub fn settle(mut self, deferred: &[(u64, String)]) -> Result<(Settled, Option<String>), SendError> {
        self.stdin = None;
        let mut up_to: Option<u64> = None;
        let mut fault = None;
        loop {
            match self.written.recv_timeout(self.silence) {
                Ok(Ok(batch)) => up_to = up_to.max(Some(batch)),
                Ok(Err(what)) => {
                    fault = Some(what);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    fault = Some(format!("it was silent for {} s after its input had ended", self.silence.as_secs()));
                    break;
                }
            }
        }
        if fault.is_some() {
            self.running.stop();
        }
        let fault = fault.or(self.running.end());
        let outcome = |batch: u64| match (up_to, &fault) {
            (Some(up_to), _) if batch <= up_to => Some(Outcome::Succeeded),
            // It ended well and has nothing to say of how far it came.
            (None, None) => Some(Outcome::Unverified),
            _ => None,
        };
        let ours = deferred.iter().filter(|(_, handle)| *handle == self.name);
        let settled: Settled =
            ours.filter_map(|(batch, _)| Some((*batch, vec![outcome(*batch)?; *self.taken.get(batch)?]))).collect();
        match fault {
            // What it has written before is known all the same; the rest has no answer, which is told.
            Some(fault) if settled.is_empty() => {
                Err(SendError::Fatal { message: self.named(&fault), help: Some(UNCONFIRMED.into()) })
            }
            fault => Ok((settled, fault.map(|fault| self.named(&fault)))),
        }
    }

    fn tell(&mut self, lines: &[Vec<u8>]) -> std::io::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        lines.iter().try_for_each(|line| stdin.write_all(line)).and_then(|()| stdin.flush())
    }

    fn named(&self, what: &str) -> String {
        format!("`{}`: {what}", self.program.name())
    }
}

/// The batch a line says everything is written up to: the value of a STATE of ours, bare or as a message.
fn state(line: &[u8]) -> Option<u64> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let value = if value.get("type").and_then(Value::as_str) == Some("STATE") { value.get("value")? } else { &value };
    value.get(OURS)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_ours_are_known_and_nothing_else() {
        for (line, expected) in [
            (r#"{"syncline": 7}"#, Some(7)),
            (r#"{"type": "STATE", "value": {"syncline": 8}}"#, Some(8)),
            (r#"{"bookmarks": {}}"#, None),
            (r#"{"syncline": "7"}"#, None),
            ("wrote 7 rows", None),
            ("", None),
        ] {
            assert_eq!(state(line.as_bytes()), expected, "{line}");
        }
    }
}
