//! `/_sandbox/`: what tests ask and change.

use serde_json::{Value, json};

use super::wire::Answer;
use super::{Fault, Seed, Shared};

pub(super) fn answer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> Answer {
    match (method, path) {
        ("GET", "state") => Answer::json(200, &shared.state()),
        ("GET", _) if path.starts_with("state/") => {
            let state = shared.state();
            let pointer = path.trim_start_matches("state").to_owned();
            match state.pointer(&pointer) {
                Some(part) => Answer::json(200, part),
                None => wrong(404, format!("nothing is at `{pointer}`")),
            }
        }
        ("GET", "faults") => Answer::json(200, &json!(shared.faults().list())),
        ("POST", "reset") => {
            shared.reset();
            done()
        }
        ("POST", "seed") => {
            let seed = std::str::from_utf8(body).map_err(|e| e.to_string()).and_then(Seed::parse);
            seed.and_then(|seed| shared.seed(&seed)).map_or_else(|e| wrong(400, e), |()| done())
        }
        ("POST", "faults") => faults(body).map_or_else(
            |e| wrong(400, e),
            |faults| {
                shared.faults().set(faults);
                done()
            },
        ),
        (_, "state" | "faults" | "reset" | "seed") => wrong(405, "see docs/sandbox.md".to_owned()),
        _ => wrong(404, "expected `state`, `faults`, `reset` or `seed`".to_owned()),
    }
}

fn done() -> Answer {
    Answer::json(200, &json!({ "ok": true }))
}

fn wrong(status: u16, message: String) -> Answer {
    Answer::json(status, &json!({ "ok": false, "error": message }))
}

/// Faults as a list of texts as on the command line, of objects, or of both; an empty list turns all off.
fn faults(body: &[u8]) -> Result<Vec<Fault>, String> {
    let list: Vec<Value> = serde_json::from_slice(body).map_err(|e| format!("expected a list of faults: {e}"))?;
    let one = |value: Value| match value {
        Value::String(text) => text.parse(),
        other => {
            let fault: Fault = serde_json::from_value(other).map_err(|e| e.to_string())?;
            fault.check().map(|()| fault)
        }
    };
    list.into_iter().map(one).collect()
}
