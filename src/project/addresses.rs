//! Passwords and keys that are written out in addresses, wherever a manifest names one.

use serde_json::Value;

use super::files::File;
use super::parameters::FROM_OUTSIDE;
use crate::diagnostic::Diagnostic;
use crate::manifest::Kind;
use crate::manifest::document::escape;
use crate::secret;

/// Refuses addresses with a credential in them: in connections, in what is said of an API, in notifications and in the
/// place of the state. What has been refused already is not said twice.
pub(super) fn check(file: &File, out: &mut Vec<Diagnostic>) {
    let blocks: &[&str] = match file.kind {
        Kind::Project => &["/state", "/environments"],
        Kind::Source => &["/connection"],
        Kind::Destination => &["/connection", "/api", "/objects", "/requests"],
        Kind::Connector => &["/api", "/objects"],
        Kind::Sync => &["/notify"],
        _ => &[],
    };
    for block in blocks {
        if let Some(value) = file.value.pointer(block) {
            walk(file, value, block, out);
        }
    }
}

fn walk(file: &File, value: &Value, pointer: &str, out: &mut Vec<Diagnostic>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                walk(file, value, &format!("{pointer}/{}", escape(name)), out);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                walk(file, value, &format!("{pointer}/{at}"), out);
            }
        }
        Value::String(text) => {
            let mut found = secret::written(text);
            if pointer.ends_with("/path") && !pointer.starts_with("/connection") {
                found.extend(secret::written_in_path(text));
            }
            let Some(first) = found.first() else { return };
            let what =
                if text.get(..first.start).is_some_and(|before| before.ends_with('=')) { "key" } else { "password" };
            literal(file, what, pointer, out);
        }
        _ => {}
    }
}

fn literal(file: &File, what: &str, pointer: &str, out: &mut Vec<Diagnostic>) {
    let place = file.place(pointer);
    if out.iter().any(|known| known.code == "literal-secret" && known.place == place) {
        return;
    }
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let message = match name.parse::<usize>() {
        Ok(_) => format!("this address has a {what} written in it"),
        Err(_) => format!("`{name}` has a {what} written in it"),
    };
    let help = match file.kind {
        Kind::Project => "take it out, and change it: the credentials of a state come from the environment",
        _ if pointer.starts_with("/connection") || pointer.starts_with("/notify") => FROM_OUTSIDE,
        _ => "take it from the connection: `{{ connection.NAME }}`; and change the one that was written here",
    };
    out.push(
        Diagnostic::error("literal-secret", message, place).with_label("never write a secret here").with_help(help),
    );
}
