//! What a manifest must get right beside its shape: what fits the destination, what excludes what.

use std::collections::BTreeSet;

use serde_json::Value;

use super::files::File;
use super::offer::{self, Offer};
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::document::escape;
use crate::schedule;

/// Checks a model on its own.
pub(super) fn model(file: &File, out: &mut Vec<Diagnostic>) {
    repeated(file, "/primary_key", "the key column", out);
    repeated(file, "/table/columns", "the column", out);
    if file.text("/dbt_tests").is_some() && file.text("/dbt").is_none() {
        let message = "`dbt_tests` is for models by `dbt`, and this one is none";
        out.push(
            Diagnostic::error("dbt-unused", message, file.key_place("/dbt_tests"))
                .with_help("write the tests under `columns` and `tests` of this model"),
        );
    }
    let columns = file.value.pointer("/table/columns").and_then(Value::as_array);
    let keys = file.value.pointer("/primary_key").and_then(Value::as_array);
    if let (Some(columns), Some(keys)) = (columns, keys) {
        for (at, key) in keys.iter().enumerate().filter(|(_, key)| !columns.contains(key)) {
            let message =
                format!("the key column `{}` is not among the table's `columns`", key.as_str().unwrap_or_default());
            let help = closest(key.as_str().unwrap_or_default(), columns.iter().filter_map(Value::as_str));
            let help = help.map_or("add it to `columns`".to_owned(), |guess| format!("did you mean `{guess}`?"));
            let place = file.place(&format!("/primary_key/{at}"));
            out.push(Diagnostic::error("unknown-column", message, place).with_help(help));
        }
    }
}

/// Checks a sync; `offer` is what its destination has, if that is known.
pub(super) fn sync(file: &File, offer: Option<&Offer<'_>>, out: &mut Vec<Diagnostic>) {
    if let Some(offer) = offer {
        offer::check(file, offer, out);
    }
    on_removed(file, out);
    fields(file, out);
    schedule(file, out);
    repeated(file, "/tags", "the tag", out);
    notify(file, out);
}

/// Each entry of `notify` names one receiver.
fn notify(file: &File, out: &mut Vec<Diagnostic>) {
    let entries = file.value.get("notify").and_then(Value::as_array);
    for (at, entry) in entries.into_iter().flatten().enumerate() {
        let given = |key: &str| entry.get(key).is_some_and(|value| !value.is_null());
        let place = || file.place(&format!("/notify/{at}"));
        let named: Vec<&str> = ["webhook", "slack", "email"].into_iter().filter(|key| given(key)).collect();
        match named.as_slice() {
            [one, other, ..] => out.push(
                Diagnostic::error("exclusive-keys", format!("`{one}` and `{other}` exclude each other"), place())
                    .with_help("write an entry for each"),
            ),
            [] => out.push(
                Diagnostic::error("missing-key", "this entry of `notify` names nobody to tell", place())
                    .with_help("write `webhook`, `slack` or `email`"),
            ),
            ["slack" | "email"] if given("secret") => out.push(
                Diagnostic::error(
                    "exclusive-keys",
                    "`secret` goes only with `webhook`",
                    file.key_place(&format!("/notify/{at}/secret")),
                )
                .with_help("nobody else checks a signature: leave `secret` out"),
            ),
            _ => {}
        }
    }
}

fn on_removed(file: &File, out: &mut Vec<Diagnostic>) {
    match (file.text("/on_removed"), file.text("/mode")) {
        (Some("delete"), Some(mode @ ("add" | "remove"))) => {
            let message = format!("`on_removed: delete` does not go with `mode: {mode}`");
            out.push(
                Diagnostic::error("delete-without-mirror", message, file.place("/on_removed"))
                    .with_help("write `mode: mirror` to have memberships of removed rows end, or `on_removed: keep`"),
            );
        }
        (Some("keep"), Some("mirror")) => {
            let message = "`mirror` with `on_removed: keep` deletes nothing: it is the same as `upsert`";
            out.push(
                Diagnostic::warning("mirror-keeps", message, file.place("/on_removed"))
                    .with_help("write `mode: upsert`"),
            );
        }
        _ => {}
    }
}

fn fields(file: &File, out: &mut Vec<Diagnostic>) {
    let identifiers: BTreeSet<&str> =
        file.value.get("match").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let Some(fields) = file.value.get("fields").and_then(Value::as_object) else { return };
    for (name, field) in fields {
        let pointer = format!("/fields/{}", escape(name));
        if name.split('.').any(str::is_empty) {
            let message = format!("`{name}` is not a field name: a part between dots is empty");
            out.push(Diagnostic::error("bad-name", message, file.key_place(&pointer)));
        }
        if identifiers.contains(name.as_str()) {
            let message = format!("`{name}` is both an identifier in `match` and a field");
            out.push(
                Diagnostic::error("field-is-identifier", message, file.key_place(&pointer))
                    .with_help("identifiers are always sent: remove the field"),
            );
        }
        let parents = name.match_indices('.').map(|(at, _)| &name[..at]);
        for parent in parents.filter(|parent| fields.contains_key(*parent) || identifiers.contains(parent)) {
            let message = format!("`{name}` is a part of `{parent}`, which is a field itself");
            out.push(
                Diagnostic::error("field-clash", message, file.key_place(&pointer))
                    .with_help(format!("`{parent}` cannot be a value and an object: rename or remove one")),
            );
        }
        origin(file, field, &pointer, out);
    }
}

/// Exactly one of `column`, `value`, `template`.
fn origin(file: &File, field: &Value, pointer: &str, out: &mut Vec<Diagnostic>) {
    const ORIGINS: [&str; 3] = ["column", "value", "template"];
    let Some(field) = field.as_object() else { return };
    // `value: null` is a constant null; the others are as good as absent when empty.
    let given: Vec<&str> =
        ORIGINS.into_iter().filter(|key| field.get(*key).is_some_and(|v| *key == "value" || !v.is_null())).collect();
    match given.as_slice() {
        [_] => {}
        [] => {
            let misspelt = field.keys().any(|key| !ORIGINS.contains(&key.as_str()) && closest(key, ORIGINS).is_some());
            if !misspelt {
                let message = "the field does not say what it is made of";
                out.push(
                    Diagnostic::error("missing-key", message, file.key_place(pointer))
                        .with_help("add one of `column`, `value`, `template`"),
                );
            }
        }
        [first, rest @ ..] => {
            for other in rest {
                let message = format!("`{first}` and `{other}` exclude each other");
                let place = file.key_place(&format!("{pointer}/{other}"));
                out.push(Diagnostic::error("exclusive-keys", message, place).with_help("keep one of the two"));
            }
        }
    }
}

fn schedule(file: &File, out: &mut Vec<Diagnostic>) {
    let Some(schedule_value) = file.value.get("schedule").and_then(Value::as_object) else { return };
    let given = |key: &&str| schedule_value.get(*key).is_some_and(|value| !value.is_null());
    let forms: Vec<&str> = ["every", "cron", "after"].into_iter().filter(given).collect();
    match forms.as_slice() {
        [] if schedule_value.keys().all(|key| matches!(key.as_str(), "timezone" | "on_upstream_failure")) => {
            let place = file.key_place("/schedule");
            let help = "add one of `every`, `cron`, `after`, or remove it to run by hand";
            out.push(Diagnostic::error("missing-key", "`schedule` does not say when", place).with_help(help));
        }
        [first, rest @ ..] => {
            for other in rest {
                let message = format!("`{first}` and `{other}` exclude each other");
                let place = file.key_place(&format!("/schedule/{other}"));
                out.push(Diagnostic::error("exclusive-keys", message, place).with_help("keep one of the two"));
            }
        }
        [] => {}
    }
    let mut wrong = |key: &str, read: Result<(), schedule::Wrong>| {
        let Err(wrong) = read else { return };
        let pointer = format!("/schedule/{key}");
        let place = match (&file.document, wrong.range) {
            (Some(document), Some(range)) => Some(document.place_within(&pointer, range)),
            _ => file.place(&pointer),
        };
        out.push(Diagnostic::error("bad-schedule", wrong.message, place).with_help(wrong.help));
    };
    if let Some(every) = file.text("/schedule/every") {
        wrong("every", schedule::span(every).map(drop));
    }
    if let Some(cron) = file.text("/schedule/cron") {
        wrong("cron", schedule::cron(cron).map(drop));
    }
    if let Some(zone) = file.text("/schedule/timezone").filter(|_| given(&"cron")) {
        wrong("timezone", schedule::zone(zone).map(drop));
    }
    for (key, with) in [("timezone", "cron"), ("on_upstream_failure", "after")] {
        if given(&key) && !given(&with) {
            let message = format!("`{key}` goes only with `{with}`");
            out.push(Diagnostic::error("bad-schedule", message, file.key_place(&format!("/schedule/{key}"))));
        }
    }
    if schedule_value.get("after").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        let message = "`after` names no sync";
        out.push(
            Diagnostic::error("bad-schedule", message, file.place("/schedule/after"))
                .with_help("name the syncs to wait for, or remove `schedule` to run by hand"),
        );
    }
    repeated(file, "/schedule/after", "the sync", out);
}

/// Texts given twice in a list.
pub(super) fn repeated(file: &File, pointer: &str, what: &str, out: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    let items = file.value.pointer(pointer).and_then(Value::as_array);
    for (at, item) in items.into_iter().flatten().enumerate() {
        if let Some(item) = item.as_str()
            && !seen.insert(item)
        {
            let message = format!("{what} `{item}` is listed twice");
            out.push(Diagnostic::error("listed-twice", message, file.place(&format!("{pointer}/{at}"))));
        }
    }
}
