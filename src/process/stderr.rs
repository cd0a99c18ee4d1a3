//! What a program says on its standard error.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::secret::Redactor;

/// Bytes of one line that are looked at.
const LINE: usize = 8 << 10;
/// Characters of a text of the program's own in a message.
const WORDS: usize = 400;
/// Lines that are kept for a message.
const KEPT: usize = 3;
/// Lines that are logged; a program that goes on is not followed.
const LOGGED: u64 = 10_000;
/// How long its last words are waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The last lines.
pub(super) struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Tail {
    /// Reads along until the program closes it.
    pub(super) fn follow(input: ChildStderr, name: String, redactor: Redactor) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = lines.clone();
        let read = move || {
            let mut input = BufReader::new(input);
            let mut count = 0_u64;
            while let Some(line) = next(&mut input) {
                let line = words(&redactor, &line);
                if line.is_empty() {
                    continue;
                }
                count += 1;
                match count {
                    ..LOGGED => tracing::info!("`{name}`: {line}"),
                    LOGGED => {
                        tracing::warn!("`{name}`: more than {LOGGED} lines on standard error; they are not logged")
                    }
                    _ => {}
                }
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(line);
                if kept.len() > KEPT {
                    kept.pop_front();
                }
            }
        };
        // Without the thread nothing is logged, and a program that says much waits: it is stopped when it is silent.
        Self { lines, reader: thread::Builder::new().name("stderr".into()).spawn(read).ok() }
    }

    /// The last lines, joined.
    pub(super) fn last(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        while self.reader.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" / ")
    }
}

/// The next line; what is too long of it is read and left out.
fn next(input: &mut BufReader<ChildStderr>) -> Option<String> {
    let mut bytes = Vec::new();
    input.by_ref().take(LINE as u64).read_until(b'\n', &mut bytes).ok().filter(|length| *length > 0)?;
    while !bytes.ends_with(b"\n") {
        let mut rest = Vec::new();
        if input.by_ref().take(LINE as u64).read_until(b'\n', &mut rest).ok()? == 0 {
            break;
        }
        if rest.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A text fit to be shown: without secrets and control characters, and not too long.
pub(super) fn words(redactor: &Redactor, text: &str) -> String {
    let plain: String = redactor.redact(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = plain.trim();
    match plain.char_indices().nth(WORDS) {
        Some((at, _)) => format!("{}…", plain.get(..at).unwrap_or_default()),
        None => plain.to_owned(),
    }
}
