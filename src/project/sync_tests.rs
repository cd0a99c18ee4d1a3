//! What a schema cannot say of the tests of syncs: which row is meant, whether there is something to be expected of it,
//! and whether the fields are those of the sync.

use std::collections::BTreeSet;

use super::files::File;
use super::links::Files;
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::Kind;
use crate::manifest::document::escape;
use crate::manifest::test::{Case, Expectation, State, Test};

/// Checks one file; `test` is its typed form, where it has one.
pub(super) fn check(files: &Files, file: &File, test: Option<&Test>, out: &mut Vec<Diagnostic>) {
    let Some(test) = test else { return };
    let sync = files.find(Kind::Sync, &test.sync);
    let keys = |pointer: &str| -> BTreeSet<&str> {
        let map = sync.and_then(|sync| sync.value.pointer(pointer)).and_then(|value| value.as_object());
        map.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    };
    // Of a sync that is faulty itself, not all fields may be known.
    let known = sync.filter(|sync| !sync.faulty).map(|_| &keys("/match") | &keys("/fields"));
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (at, case) in test.cases.iter().enumerate() {
        let pointer = format!("/cases/{at}");
        if !names.insert(&case.name) {
            let message = format!("there are two cases `{}`", case.name);
            let place = file.place(&format!("{pointer}/name"));
            out.push(Diagnostic::error("duplicate-name", message, place).with_help("give one of them another name"));
        }
        for (at, expectation) in case.expect.iter().enumerate() {
            let pointer = format!("{pointer}/expect/{at}");
            row(file, case, expectation, &pointer, out);
            contents(file, expectation, &pointer, out);
            if let Some(known) = &known {
                fields(file, expectation, &pointer, known, out);
            }
        }
    }
}

fn row(file: &File, case: &Case, expectation: &Expectation, pointer: &str, out: &mut Vec<Diagnostic>) {
    match (&expectation.key, expectation.row) {
        (None, None) => out.push(
            Diagnostic::error("missing-key", "which row is meant is not said", file.key_place(pointer))
                .with_help("add `key` with its primary key, or `row` with its place in `rows`"),
        ),
        (Some(_), Some(_)) => out.push(
            Diagnostic::error(
                "exclusive-keys",
                "only one of `key` and `row`",
                file.key_place(&format!("{pointer}/row")),
            )
            .with_help("remove one of them"),
        ),
        (None, Some(row)) if row as usize > case.rows.len() => {
            let message = format!("there is no row {row}: the case has {} `rows`", case.rows.len());
            let place = file.place(&format!("{pointer}/row"));
            out.push(Diagnostic::error("out-of-range", message, place).with_help("rows are counted from 1"));
        }
        _ => {}
    }
}

fn contents(file: &File, expectation: &Expectation, pointer: &str, out: &mut Vec<Diagnostic>) {
    let nothing = expectation.state.is_none()
        && expectation.operation.is_none()
        && expectation.reason.is_none()
        && expectation.record.is_empty()
        && expectation.absent.is_empty();
    if nothing {
        out.push(
            Diagnostic::error("empty", "nothing is expected of this row", file.key_place(pointer))
                .with_help("add `state`, `operation`, `record`, `absent` or `reason`"),
        );
    }
    let without = |state| matches!(state, State::Unchanged | State::Invalid);
    if let Some(state) = expectation.state.filter(|state| without(*state)) {
        for (key, used) in [("record", !expectation.record.is_empty()), ("absent", !expectation.absent.is_empty())] {
            if used {
                let message = format!("`{key}` of a row that is {}: nothing is sent", state.word());
                let place = file.key_place(&format!("{pointer}/{key}"));
                out.push(Diagnostic::error("exclusive-keys", message, place).with_help(format!("remove `{key}`")));
            }
        }
    }
    if let (Some(state), Some(_)) = (expectation.state, expectation.reason)
        && state != State::Invalid
    {
        let message = format!("`reason` of a row that is {}", state.word());
        let place = file.key_place(&format!("{pointer}/reason"));
        out.push(Diagnostic::error("exclusive-keys", message, place).with_help("only invalid rows have a reason"));
    }
}

fn fields(file: &File, expectation: &Expectation, pointer: &str, known: &BTreeSet<&str>, out: &mut Vec<Diagnostic>) {
    let mut unknown = |name: &str, place| {
        if known.contains(name) {
            return;
        }
        let help = match closest(name, known.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => {
                let names: Vec<_> = known.iter().take(12).map(|name| format!("`{name}`")).collect();
                format!("fields of the sync: {}", names.join(", "))
            }
        };
        out.push(Diagnostic::error("unknown-field", format!("the sync has no field `{name}`"), place).with_help(help));
    };
    for name in expectation.record.keys() {
        unknown(name, file.key_place(&format!("{pointer}/record/{}", escape(name))));
    }
    for (at, name) in expectation.absent.iter().enumerate() {
        unknown(name, file.place(&format!("{pointer}/absent/{at}")));
    }
}
