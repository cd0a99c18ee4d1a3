//! What is said to a program that takes records, and what it answers.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::destinations::{Action, Batch, Operation, Outcome, SendError, Sent, Target};
use crate::mapping;
use crate::process::lines::Lines;
use crate::process::{Program, Running};

/// Longest answer, in bytes.
const ANSWER: usize = 64 << 10;
/// Most lines that are read ahead of whoever looks at them: a program that says more than it is asked must not fill the
/// memory.
const AHEAD: usize = 1000;

/// A program that runs and is given records.
pub(super) struct Talk {
    program: Arc<Program>,
    running: Running,
    stdin: Option<ChildStdin>,
    said: Receiver<Result<String, String>>,
    /// Why nothing more can be sent; what it has said so far counts.
    over: Option<(String, Option<String>)>,
}

/// A line of the program about a record.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    n: u64,
    outcome: Word,
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Succeeded,
    Rejected,
    NoMatch,
    Unverified,
    Retry,
}

/// One entry a record, and why some have none.
type Answers = (Vec<Option<Outcome>>, Option<String>);

/// What a line says.
enum Line {
    Answer(Answer),
    Ready,
    /// It can do nothing more: message and help.
    Error(String, Option<String>),
}

impl Talk {
    /// Starts the program and waits until it is ready.
    ///
    /// # Errors
    /// It cannot be started, or says that it cannot do what is wanted. Nothing was sent.
    pub fn begin(program: Arc<Program>, target: &Target) -> Result<Self, SendError> {
        let fatal = |message: String, help: Option<String>| SendError::Fatal { message, help };
        let mut running = program.start(false).map_err(|e| fatal(e.to_string(), e.help().map(str::to_owned)))?;
        let (sender, said) = sync_channel(AHEAD);
        let stdout = running.stdout.take();
        let read = move || {
            let Some(stdout) = stdout else { return };
            let mut lines = Lines::new(stdout, ANSWER);
            loop {
                let line = match lines.next_line() {
                    Ok(Some(line)) if line.trim_ascii().is_empty() => continue,
                    Ok(Some(line)) => Ok(String::from_utf8_lossy(line).into_owned()),
                    Ok(None) => return,
                    Err(fault) => Err(fault.to_string()),
                };
                let last = line.is_err();
                if sender.send(line).is_err() || last {
                    return;
                }
            }
        };
        let reader = thread::Builder::new().name("answers".into()).spawn(read);
        reader.map_err(|e| fatal(format!("cannot start a thread: {e}"), None))?;
        let stdin = running.stdin.take();
        let mut talk = Self { program, running, stdin, said, over: None };
        // What keeps it from listening is said by how it ends.
        let _ = talk.tell(&[greeting(target)]);
        match talk.line() {
            Ok(Line::Ready) => Ok(talk),
            Ok(Line::Error(message, help)) => Err(fatal(talk.named(&message), help)),
            Ok(Line::Answer(_)) => Err(fatal(talk.named("it answers before it was asked"), Some(PROTOCOL.into()))),
            Err(what) => Err(fatal(talk.named(&format!("{what}, before it was ready")), Some(PROTOCOL.into()))),
        }
    }

    /// Sends a batch and collects the answers.
    pub fn send(&mut self, batch: &Batch, target: &Target) -> Result<Sent, SendError> {
        if let Some((message, help)) = &self.over {
            return Err(SendError::Fatal { message: message.clone(), help: help.clone() });
        }
        let mut records: Vec<Vec<u8>> = Vec::with_capacity(batch.operations.len() + 1);
        for (n, operation) in batch.operations.iter().enumerate() {
            records.push(record(n, operation, target));
        }
        records.push(b"[\"flush\"]\n".to_vec());
        // Written beside the reading: a program that answers as it goes must not wait for us to listen. When its input is
        // closed, the end of its answers says so.
        let written = self.stdin.take().map(|mut stdin| {
            thread::spawn(move || {
                let all = records.iter().try_for_each(|record| stdin.write_all(record)).and_then(|()| stdin.flush());
                all.map(|()| stdin)
            })
        });
        let answers = self.answers(batch.operations.len());
        if answers.is_err() {
            // Killed first: the thread may wait for it to read.
            self.running.stop();
        }
        self.stdin = written.and_then(|thread| thread.join().ok()).and_then(Result::ok);
        let (outcomes, why) = answers.map_err(|what| SendError::Lost { message: self.named(&what) })?;
        if outcomes.iter().all(Option::is_some) {
            return Ok(Sent::Outcomes(outcomes.into_iter().flatten().collect()));
        }
        let message = match (&self.over, why) {
            (Some((message, _)), _) => message.clone(),
            (None, why) => self.named(&why.unwrap_or_else(|| "it asks for another try".to_owned())),
        };
        Ok(Sent::Partly { outcomes, message, retry_after: None })
    }

    /// One entry a record, `None` where it asks for another try; and why it does.
    fn answers(&mut self, count: usize) -> Result<Answers, String> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; count];
        let mut answered = vec![false; count];
        let (mut open, mut why) = (count, None);
        while open > 0 {
            let answer = match self.line()? {
                Line::Answer(answer) => answer,
                Line::Ready => return Err("it says `ready` once more".into()),
                Line::Error(message, help) => {
                    // What it has not answered it has not done: it says so by this word.
                    self.over = Some((self.named(&message), help));
                    break;
                }
            };
            let place = usize::try_from(answer.n).ok().filter(|n| *n < count);
            let known = place.and_then(|n| answered.get_mut(n).map(|answered| (n, answered)));
            let Some((n, seen)) = known else {
                return Err(format!("it answers for record {}, and has got {count}", answer.n));
            };
            if std::mem::replace(seen, true) {
                return Err(format!("it answers twice for record {n}"));
            }
            open -= 1;
            let text = |text: Option<String>| text.map(|text| self.program.words(&text)).unwrap_or_default();
            let outcome = match answer.outcome {
                Word::Succeeded => Some(Outcome::Succeeded),
                Word::NoMatch => Some(Outcome::NoMatch),
                Word::Unverified => Some(Outcome::Unverified),
                Word::Rejected => {
                    let code = text(answer.code);
                    let code = if code.is_empty() { "rejected".to_owned() } else { code };
                    Some(Outcome::Rejected { code, message: text(answer.message) })
                }
                Word::Retry => {
                    let message = text(answer.message);
                    why = why.or(Some(message)).filter(|message| !message.is_empty());
                    None
                }
            };
            if let Some(entry) = outcomes.get_mut(n) {
                *entry = outcome;
            }
        }
        Ok((outcomes, why))
    }

    /// Closes its input and waits for its end.
    pub fn end(mut self) -> Result<(), SendError> {
        self.stdin = None;
        // What it still says is nobody's answer.
        while let Ok(Ok(_)) = self.said.recv_timeout(self.program.silence()) {}
        match self.running.end() {
            None => Ok(()),
            Some(what) => {
                let message = self.named(&format!("all records were answered, but {what}"));
                Err(SendError::Fatal { message, help: Some("see what it does after its input has ended".into()) })
            }
        }
    }

    fn tell(&mut self, lines: &[Vec<u8>]) -> std::io::Result<()> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        lines.iter().try_for_each(|line| stdin.write_all(line)).and_then(|()| stdin.flush())
    }

    /// The next line it says. The error is what became of it.
    fn line(&mut self) -> Result<Line, String> {
        let text = match self.said.recv_timeout(self.program.silence()) {
            Ok(Ok(text)) => text,
            Ok(Err(fault)) => return Err(fault),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("it did not answer within {} s", self.program.silence().as_secs()));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(self.running.end().unwrap_or_else(|| "it ended without an answer".to_owned()));
            }
        };
        let words = |value: Option<&Value>| value.and_then(Value::as_str).map(|text| self.program.words(text));
        match text.trim_start().starts_with('[') {
            true => {
                let list: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
                match list.first().and_then(Value::as_str) {
                    Some("ready") => Ok(Line::Ready),
                    Some("error") => {
                        let message = words(list.get(1)).unwrap_or_else(|| "it does not say why it failed".to_owned());
                        Ok(Line::Error(message, words(list.get(2))))
                    }
                    _ => Err("it says a line in brackets that is neither `ready` nor `error`".into()),
                }
            }
            // Not quoted: it may hold anything.
            false => serde_json::from_str(&text).map(Line::Answer).map_err(|e| format!("its answer is none: {e}")),
        }
    }

    fn named(&self, what: &str) -> String {
        format!("`{}`: {what}", self.program.name())
    }
}

const PROTOCOL: &str = "it says `[\"ready\"]` first, then one line for each record; see docs/custom-connectors.md";

/// The first line.
fn greeting(target: &Target) -> Vec<u8> {
    let names = |fields: &[crate::destinations::TargetField]| -> Vec<String> {
        fields.iter().map(|field| field.name.clone()).collect()
    };
    let greeting = json!({
        "syncline": 1,
        "operation": "write",
        "sync": target.sync,
        "object": target.object,
        "mode": target.mode.word(),
        "match": names(&target.matching),
        "fields": names(&target.fields),
        "options": target.options,
        "run_id": target.run_id,
    });
    format!("{greeting}\n").into_bytes()
}

/// One record: numbers with all their digits, dotted fields as objects.
fn record(n: usize, operation: &Operation, target: &Target) -> Vec<u8> {
    let action = match operation.action {
        Action::Send => "send",
        Action::Clear => "clear",
        Action::Delete => "delete",
    };
    let head = json!({
        "n": n, "action": action, "added": operation.added, "key": operation.key.as_str(), "id": operation.dedupe_id.text(),
    });
    let mut line = head.to_string().into_bytes();
    // Without its closing bracket: what follows is written from values, not from a JSON tree.
    line.pop();
    let record = &operation.record;
    let matching = target.matching.iter().zip(&record.matching).map(|(field, value)| (field.name.as_str(), value));
    let fields = target.fields.iter().zip(&record.fields);
    let fields = fields.filter_map(|(field, value)| Some((field.name.as_str(), value.as_ref()?)));
    line.extend_from_slice(b",\"match\":");
    mapping::nested_json(matching).write_json(&mut line);
    line.extend_from_slice(b",\"fields\":");
    mapping::nested_json(fields).write_json(&mut line);
    line.extend_from_slice(b"}\n");
    line
}
