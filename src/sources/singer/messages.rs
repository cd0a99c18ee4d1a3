//! The messages of a tap: the records of one stream go to a file, a JSON object a line.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::command::print;
use crate::diagnostic::{Error, Result};
use crate::process::Program;
use crate::process::lines::{Fault, Lines};

const SPEC: &str = "a tap prints SCHEMA, RECORD and STATE, each a JSON object a line; logs go to standard error";

/// A message, as far as it is looked at. What is in a record stays as it is written, with all digits.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
}

/// Runs the tap and writes the records of a stream. `shown` is the tap by the name people know it by.
pub(super) fn records(program: &Program, shown: &Program, stream: &str, path: &Path) -> Result<()> {
    let unwritable = |error: std::io::Error| {
        let help = crate::diagnostic::space_help(&error);
        Error::Failed { message: format!("cannot keep what a tap prints: {error}"), help }
    };
    let mut running = print::start(program, String::new())?;
    let mut file = BufWriter::with_capacity(1 << 18, File::create(path).map_err(unwritable)?);
    let (mut rows, mut bytes, mut known) = (0_u64, 0_u64, false);
    let Some(stdout) = running.stdout.take() else { return Err(shown.fault("it has no output", SPEC)) };
    let mut lines = Lines::new(stdout, print::LINE);
    loop {
        let line = match lines.next_line() {
            Ok(Some(line)) if line.trim_ascii().is_empty() => continue,
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(fault) => {
                // A tap that died cuts its last line: how it ended says more than that.
                let ended = matches!(fault, Fault::Cut { .. }).then(|| running.end()).flatten();
                let what = ended.map_or(fault.to_string(), |end| format!("after {rows} records {end}"));
                return Err(shown.fault(what, SPEC));
            }
        };
        running.heard();
        let message = match serde_json::from_slice::<Message<'_>>(line) {
            Ok(message) => message,
            Err(error) => return Err(shown.fault(format!("line {} is no message: {error}", lines.number()), SPEC)),
        };
        if message.stream.as_deref() != Some(stream) {
            // A stream that has others below it prints these, too.
            continue;
        }
        match (message.kind.as_ref(), message.record) {
            ("SCHEMA", _) => known = true,
            ("RECORD", Some(record)) if record.get().starts_with('{') => {
                rows += 1;
                bytes += record.get().len() as u64 + 1;
                if bytes > print::MOST {
                    return Err(shown.fault(format!("it prints more than {} GiB", print::MOST >> 30), "select less"));
                }
                file.write_all(record.get().as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(unwritable)?;
            }
            ("RECORD", _) => return Err(shown.fault(format!("line {} is a RECORD without one", lines.number()), SPEC)),
            _ => {}
        }
    }
    file.flush().map_err(unwritable)?;
    if let Some(end) = running.end() {
        let help = "run it by hand to see why; nothing was concluded from the records that came";
        return Err(shown.fault(format!("after {rows} records {end}"), help));
    }
    if !known {
        // Not even the columns came, so this is no stream that is empty.
        let help = "see that the stream is one the tap may read with these settings";
        return Err(shown.fault(format!("it ended well, and printed no SCHEMA of `{stream}`"), help));
    }
    Ok(())
}
