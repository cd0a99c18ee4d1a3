//! What became of rows against what is expected of them.

use serde_json::Value as Json;

use super::rows::closest_key;
use super::{Became, Mismatch, World};
use crate::manifest::document::escape;
use crate::manifest::test::{Case, Expectation, State};
use crate::mapping::{Value, key_text};
use crate::project::ResolvedTest;

/// All expectations of the case at `pointer` that do not hold.
pub(super) fn compare(test: &ResolvedTest, pointer: &str, case: &Case, world: &World) -> Vec<Mismatch> {
    let mut out = Vec::new();
    for (at, expectation) in case.expect.iter().enumerate() {
        let pointer = format!("{pointer}/expect/{at}");
        let (key, named) = match (&expectation.key, expectation.row) {
            (Some(key), _) => (text_of(key), "key"),
            (None, row) => {
                let at = (row.unwrap_or(1) as usize).saturating_sub(1);
                (world.keys.get(at).cloned().unwrap_or_default(), "row")
            }
        };
        let Some(became) = world.rows.get(&key) else {
            let known: Vec<_> = world.rows.keys().take(8).map(|key| format!("`{key}`")).collect();
            let note = match closest_key(&key, &world.rows) {
                Some(guess) => format!("did you mean `{guess}`?"),
                None => format!("rows of the case: {}", known.join(", ")),
            };
            out.push(Mismatch {
                place: test.place(&format!("{pointer}/{named}")),
                row: key,
                what: "row".into(),
                expected: "a row with this key".into(),
                got: "none".into(),
                note: Some(note),
            });
            continue;
        };
        Check { test, pointer, key, expectation, became, out: &mut out }.all();
    }
    out
}

/// The key as plans show it.
fn text_of(key: &Json) -> String {
    match key {
        Json::Array(parts) => key_text(&parts.iter().map(Value::from_json).collect::<Vec<_>>()),
        one => key_text(&[Value::from_json(one)]),
    }
}

struct Check<'a> {
    test: &'a ResolvedTest,
    pointer: String,
    key: String,
    expectation: &'a Expectation,
    became: &'a Became,
    out: &'a mut Vec<Mismatch>,
}

impl Check<'_> {
    fn all(&mut self) {
        let (expectation, became) = (self.expectation, self.became);
        let why = became.reason.as_ref().map(|(reason, message)| format!("{reason}: {message}"));
        if let Some(state) = expectation.state.filter(|state| *state != became.state) {
            self.push("/state", "state".into(), state.word().into(), became.state.word().into(), why.clone());
        }
        if let Some(operation) = expectation.operation.filter(|operation| *operation != became.operation) {
            let note = why.clone().filter(|_| expectation.state.is_none());
            self.push("/operation", "operation".into(), operation.word().into(), became.operation.word().into(), note);
        }
        if let Some(reason) = expectation.reason {
            let got = became.reason.as_ref().map(|(reason, _)| reason.as_str());
            if got != Some(reason.word()) {
                let got = got.map_or_else(|| format!("none: the row is {}", became.state.word()), str::to_owned);
                self.push("/reason", "reason".into(), reason.word().into(), got, None);
            }
        }
        self.record();
    }

    fn record(&mut self) {
        let (expectation, became) = (self.expectation, self.became);
        let find =
            |name: &str| became.record.iter().flatten().rev().find(|(known, _)| known == name).map(|(_, value)| value);
        // Without a record, a wrong state says it all.
        if became.record.is_none() && expectation.state.is_some_and(|state| state != became.state) {
            return;
        }
        for (name, expected) in &expectation.record {
            let got = find(name);
            if got.is_some_and(|got| Value::from_json(expected).same(got) || got.to_json() == *expected) {
                continue;
            }
            let got = match got {
                Some(value) => value.json_text(),
                None if became.record.is_none() => no_record(became.state),
                None => "not sent".into(),
            };
            let pointer = format!("/record/{}", escape(name));
            self.push(&pointer, format!("field `{name}`"), expected.to_string(), got, None);
        }
        for (at, name) in expectation.absent.iter().enumerate() {
            let got = match find(name) {
                Some(value) => value.json_text(),
                None if became.record.is_none() => no_record(became.state),
                None => continue,
            };
            self.push(&format!("/absent/{at}"), format!("field `{name}`"), "not sent".into(), got, None);
        }
    }

    fn push(&mut self, pointer: &str, what: String, expected: String, got: String, note: Option<String>) {
        let place = self.test.place(&format!("{}{pointer}", self.pointer));
        self.out.push(Mismatch { place, row: self.key.clone(), what, expected, got, note });
    }
}

fn no_record(state: State) -> String {
    format!("no record: the row is {}", state.word())
}
