//! From a program's output to a file, as far as it is the output of a program that ended well.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::diagnostic::{Error, Result};
use crate::process::lines::Lines;
use crate::process::{Program, Running};

/// Longest line, in bytes.
pub(in crate::sources) const LINE: usize = 64 << 20;
/// Most bytes of a whole output.
pub(in crate::sources) const MOST: u64 = 256 << 30;
/// Bytes between two looks at the clock.
const CHUNK: usize = 1 << 16;

const PROTOCOL: &str = "each line is a JSON object, and the last is `[\"end\", ROWS]`; see docs/custom-connectors.md";

/// Starts the program and tells it what is asked. It may end without having listened.
pub(in crate::sources) fn start(program: &Program, request: String) -> Result<Running> {
    let mut running = program.start(true)?;
    if let Some(mut stdin) = running.stdin.take() {
        let tell = move || drop(stdin.write_all(request.as_bytes()));
        let told = thread::Builder::new().name("request".into()).spawn(tell);
        told.map_err(|e| Error::failed(format!("cannot start a thread: {e}")))?;
    }
    Ok(running)
}

/// Writes the rows of a program that prints JSON lines to a file.
pub(super) fn lines(program: &Program, request: String, path: &Path, end_marker: bool) -> Result<()> {
    let mut running = start(program, request)?;
    let mut file = BufWriter::with_capacity(1 << 18, create(path)?);
    let (mut rows, mut bytes) = (0_u64, 0_u64);
    let mut end: Option<u64> = None;
    let Some(stdout) = running.stdout.take() else { return Err(program.fault("it has no output", PROTOCOL)) };
    let mut lines = Lines::new(stdout, LINE);
    loop {
        // A program that died cuts its last line: how it ended says more than that.
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(fault) => {
                let ended = matches!(fault, crate::process::lines::Fault::Cut { .. }).then(|| running.end()).flatten();
                return Err(program.fault(ended.map_or(fault.to_string(), |end| after(&end, rows)), PROTOCOL));
            }
        };
        running.heard();
        let text = line.trim_ascii();
        let number = rows + 1;
        match text.first() {
            None => continue,
            Some(_) if end.is_some() => return Err(program.fault("it prints more after `end`", PROTOCOL)),
            Some(b'{') => {
                rows += 1;
                bytes += text.len() as u64 + 1;
                if bytes > MOST {
                    return Err(program.fault(format!("it prints more than {} GiB", MOST >> 30), "print less"));
                }
                file.write_all(text).and_then(|()| file.write_all(b"\n")).map_err(|e| unwritable(&e))?;
            }
            Some(b'[') if end_marker => end = Some(word(program, text)?),
            Some(_) => {
                let what =
                    format!("line {} of its output is no row: row {number} would be a JSON object", lines.number());
                return Err(program.fault(what, PROTOCOL));
            }
        }
    }
    file.flush().map_err(|e| unwritable(&e))?;
    if let Some(end) = running.end() {
        return Err(program.fault(after(&end, rows), HAND));
    }
    match end {
        Some(said) if said != rows => {
            Err(program.fault(format!("it printed {rows} rows, and says that they are {said}"), PROTOCOL))
        }
        None if end_marker => {
            let help = "a program that is stopped half-way must not look like one that is done: print `[\"end\", ROWS]` last, \
                        or set `end_marker: false` where its exit code can be relied on";
            Err(program.fault(format!("it ended after {rows} rows without saying that these are all"), help))
        }
        _ => Ok(()),
    }
}

const HAND: &str = "run it by hand to see why; nothing was concluded from the rows that came";

fn after(end: &str, rows: u64) -> String {
    format!("after {rows} rows {end}")
}

/// What a line in brackets says: how many rows there were, or why there are not.
fn word(program: &Program, text: &[u8]) -> Result<u64> {
    let words: Vec<Value> = serde_json::from_slice(text).unwrap_or_default();
    let text = |at: usize| words.get(at).and_then(Value::as_str);
    match (text(0), words.get(1).and_then(Value::as_u64)) {
        (Some("end"), Some(rows)) => Ok(rows),
        (Some("error"), _) => {
            let message = program.words(text(1).unwrap_or("it does not say why it failed"));
            Err(program.fault(message, text(2).map_or_else(|| HAND.to_owned(), |help| program.words(help))))
        }
        _ => Err(program.fault("a line in brackets is neither `[\"end\", ROWS]` nor `[\"error\", MESSAGE]`", PROTOCOL)),
    }
}

/// Writes all that a program prints to a file.
pub(in crate::sources) fn bytes(program: &Program, request: String, path: &Path) -> Result<()> {
    let mut running = start(program, request)?;
    let mut file = create(path)?;
    let mut buffer = vec![0; CHUNK];
    let mut bytes = 0_u64;
    let Some(mut stdout) = running.stdout.take() else { return Err(program.fault("it has no output", PROTOCOL)) };
    loop {
        let read = match stdout.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(program.fault(format!("its output cannot be read: {error}"), HAND)),
        };
        running.heard();
        bytes += read as u64;
        if bytes > MOST {
            return Err(program.fault(format!("it prints more than {} GiB", MOST >> 30), "print less"));
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(|e| unwritable(&e))?;
    }
    match running.end() {
        Some(end) => Err(program.fault(format!("after {bytes} bytes {end}"), HAND)),
        None => Ok(()),
    }
}

fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|e| unwritable(&e))
}

fn unwritable(error: &std::io::Error) -> Error {
    let help = crate::diagnostic::space_help(error);
    Error::Failed { message: format!("cannot keep what a program prints: {error}"), help }
}
