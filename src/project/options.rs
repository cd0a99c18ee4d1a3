//! The options each type of destination knows.

use serde_json::Value;

use super::files::File;
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::document::escape;

/// What an option takes.
enum Takes {
    Boolean,
    Word(&'static [&'static str]),
}

const TABLES: [(&str, Takes); 1] = [("create", Takes::Boolean)];
const FILES: [(&str, Takes); 2] =
    [("format", Takes::Word(&["csv", "jsonl", "parquet"])), ("content", Takes::Word(&["all", "diff"]))];

/// Checks the `options` of a sync to a destination of this type.
pub(super) fn check(sync: &File, kind: &str, out: &mut Vec<Diagnostic>) {
    let known: &[(&str, Takes)] = match kind {
        "sqlite" | "postgres" => &TABLES,
        "files" => &FILES,
        _ => return,
    };
    for (name, value) in sync.value.get("options").and_then(Value::as_object).into_iter().flatten() {
        let pointer = format!("/options/{}", escape(name));
        let Some((_, takes)) = known.iter().find(|(option, _)| option == name) else {
            let names = || known.iter().map(|(option, _)| *option);
            let help = match closest(name, names()) {
                Some(guess) => format!("did you mean `{guess}`?"),
                None => format!("options here: {}", names().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
            };
            let message = format!("a destination of type `{kind}` has no option `{name}`");
            out.push(Diagnostic::error("unknown-key", message, sync.key_place(&pointer)).with_help(help));
            continue;
        };
        if sync.unknown.contains(&pointer) {
            continue;
        }
        match takes {
            Takes::Boolean if !value.is_boolean() => {
                let message = format!("`{name}` must be `true` or `false`");
                out.push(Diagnostic::error("wrong-type", message, sync.place(&pointer)));
            }
            Takes::Word(words) if !value.as_str().is_some_and(|value| words.contains(&value)) => {
                let all = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
                let guess = value.as_str().and_then(|value| closest(value, words.iter().copied()));
                let message = match value.as_str() {
                    Some(value) => format!("`{name}` cannot be `{value}`"),
                    None => format!("`{name}` must be one of {all}"),
                };
                let diagnostic = Diagnostic::error("unknown-value", message, sync.place(&pointer))
                    .with_label(format!("expected one of {all}"));
                out.push(match guess {
                    Some(guess) => diagnostic.with_help(format!("did you mean `{guess}`?")),
                    None => diagnostic,
                });
            }
            _ => {}
        }
    }
}
