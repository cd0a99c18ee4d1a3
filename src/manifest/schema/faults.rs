//! Errors of the JSON Schema validator → diagnostics a person can act on, at the exact place.

use std::collections::HashSet;
use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind as Fault;
use jsonschema::{ValidationError, Validator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::words::{expected, found, is_percentage, quoted, types};
use super::{Kind, schema};
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::document::{Document, escape};

fn validator(kind: Kind) -> Option<&'static Validator> {
    static VALIDATORS: OnceLock<Vec<Option<Validator>>> = OnceLock::new();
    VALIDATORS
        .get_or_init(|| Kind::ALL.iter().map(|kind| jsonschema::draft202012::new(schema(*kind)).ok()).collect())
        .get(kind as usize)?
        .as_ref()
}

/// All faults of a manifest against the schema of its kind. `value` is the document with its templates rendered, as far
/// as they can be; `unknown` holds the pointers of those that cannot: what such a scalar will be is not judged.
pub fn faults(kind: Kind, document: &Document, value: &Value, unknown: &HashSet<String>) -> Vec<Diagnostic> {
    let Some(validator) = validator(kind) else {
        // Our own schema is broken; a test compiles all of them.
        return vec![Diagnostic::error("internal", "the schema of this kind of file cannot be used", None)];
    };
    let mut reader =
        Reader { kind, document, unknown, suggested: HashSet::new(), missing: Vec::new(), out: Vec::new() };
    let errors: Vec<_> = validator.iter_errors(value).collect();
    // Which keys an object has depends on its type: of a type there is not, nothing is known to be wrong with them.
    let strange: HashSet<&str> = errors.iter().filter_map(|error| strange_type(error)).collect();
    for error in &errors {
        let keys = matches!(error.kind(), Fault::AdditionalProperties { .. } | Fault::Required { .. });
        if !(keys && strange.contains(error.instance_path().as_str())) {
            reader.read(error);
        }
    }
    let Reader { suggested, missing, mut out, .. } = reader;
    // A misspelt key is one fault, not an unknown key and a missing one.
    out.extend(
        missing.into_iter().filter(|(pointer, _)| !suggested.contains(pointer)).map(|(_, diagnostic)| diagnostic),
    );
    out
}

/// The typed form of a rendered manifest that has passed [`faults`].
///
/// # Errors
/// What the schema cannot say, e.g. a number too large for the type, at its place.
pub fn typed<T: DeserializeOwned>(document: &Document, value: &Value) -> Result<T, Box<Diagnostic>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut pointer = String::new();
        for segment in error.path() {
            use serde_path_to_error::Segment;
            match segment {
                Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let message = error.into_inner().to_string();
        Box::new(Diagnostic::error("invalid-value", message, Some(document.place(&pointer))))
    })
}

/// The object within a manifest whose `type` is a word there is not.
fn strange_type<'e>(error: &'e ValidationError<'_>) -> Option<&'e str> {
    let is_word = matches!(error.kind(), Fault::Enum { .. }) && error.instance().is_string();
    error.instance_path().as_str().strip_suffix("/type").filter(|object| is_word && !object.is_empty())
}

struct Reader<'a> {
    kind: Kind,
    document: &'a Document,
    unknown: &'a HashSet<String>,
    /// Pointers of keys that were offered as "did you mean".
    suggested: HashSet<String>,
    /// Missing keys: their pointers and what to say.
    missing: Vec<(String, Diagnostic)>,
    out: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn read(&mut self, error: &ValidationError<'_>) {
        let pointer = error.instance_path().as_str().to_owned();
        if self.unknown.contains(&pointer) {
            return;
        }
        let rule = error.schema_path().as_str();
        let parent = rule.rfind('/').map_or("", |end| &rule[..end]);
        let rules = schema(self.kind).pointer(parent).cloned().unwrap_or_default();
        let value = error.instance().as_ref();
        match error.kind() {
            Fault::AdditionalProperties { unexpected } => self.unknown_keys(&pointer, unexpected, &rules),
            Fault::Required { property } => self.missing_key(&pointer, property.as_str().unwrap_or_default()),
            Fault::Enum { .. } if matches!(value, Value::String(_)) => self.unknown_word(&pointer, value, &rules),
            Fault::AnyOf { context } => self.any_of(&pointer, value, &rules, context),
            // Both are said by the type error of the same place.
            Fault::Enum { .. } if !types(&rules).is_empty() => {}
            Fault::Pattern { .. } if is_secret(&rules) => self.literal_secret(&pointer),
            Fault::Type { .. } | Fault::Enum { .. } => self.wrong_type(&pointer, value, &rules),
            Fault::Pattern { .. } if is_percentage(&rules) => self.wrong_type(&pointer, value, &rules),
            Fault::MinItems { .. } | Fault::MinProperties { .. } | Fault::MinLength { .. } => {
                let message = format!("{} must not be empty", subject(&pointer));
                self.push("empty", message, &pointer, None);
            }
            Fault::PropertyNames { error } => {
                let key = error.instance().as_ref().as_str().unwrap_or_default().to_owned();
                let names = rules.get("propertyNames").unwrap_or(&rules).clone();
                self.unknown_names(&pointer, &key, &names);
            }
            Fault::Minimum { limit } => {
                let message = format!("{} must be at least {limit}", subject(&pointer));
                self.push("out-of-range", message, &pointer, None);
            }
            Fault::Maximum { limit } => {
                let message = format!("{} must be at most {limit}", subject(&pointer));
                self.push("out-of-range", message, &pointer, None);
            }
            _ => {
                let message = format!("{}: {}", subject(&pointer), error.masked());
                self.push("invalid-value", message, &pointer, None);
            }
        }
    }

    fn push(&mut self, code: &'static str, message: String, pointer: &str, help: Option<String>) -> &mut Diagnostic {
        let diagnostic = Diagnostic::error(code, message, Some(self.document.place(pointer)));
        self.out.push(Diagnostic { help, ..diagnostic });
        let last = self.out.len() - 1;
        &mut self.out[last]
    }

    fn unknown_keys(&mut self, pointer: &str, unexpected: &[String], rules: &Value) {
        let known: Vec<&str> = rules
            .get("properties")
            .and_then(Value::as_object)
            .map(|p| p.keys().map(String::as_str).collect())
            .unwrap_or_default();
        for key in unexpected {
            // What is already there is not what was meant.
            let present = |known: &&str| self.document.key_span(&format!("{pointer}/{known}")).is_some();
            let guess = closest(key, known.iter().copied().filter(|known| !present(known)));
            let help = match guess {
                Some(guess) => {
                    self.suggested.insert(format!("{pointer}/{guess}"));
                    format!("did you mean `{guess}`?")
                }
                None => format!("known here: {}", quoted(known.iter().copied())),
            };
            let at = format!("{pointer}/{}", escape(key));
            let place = self.document.key_place(&at);
            let message = match last(pointer) {
                Some(parent) if parent.parse::<usize>().is_err() => format!("unknown key `{key}` in `{parent}`"),
                _ => format!("unknown key `{key}`"),
            };
            self.out.push(
                Diagnostic::error("unknown-key", message, Some(place)).with_label("not known here").with_help(help),
            );
        }
    }

    /// A key that is not one of the words keys may be there.
    fn unknown_names(&mut self, pointer: &str, key: &str, names: &Value) {
        let known: Vec<&str> =
            names.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let help = match closest(key, known.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("known here: {}", quoted(known.iter().copied())),
        };
        let message = format!("unknown key `{key}` in {}", subject(pointer));
        let place = self.document.key_place(&format!("{pointer}/{}", escape(key)));
        self.out
            .push(Diagnostic::error("unknown-key", message, Some(place)).with_label("not known here").with_help(help));
    }

    fn missing_key(&mut self, pointer: &str, key: &str) {
        let message = match last(pointer) {
            Some(parent) if parent.parse::<usize>().is_err() => format!("`{key}` is missing in `{parent}`"),
            Some(_) => format!("`{key}` is missing in this item"),
            None => format!("`{key}` is missing"),
        };
        let diagnostic = Diagnostic::error("missing-key", message, Some(self.document.key_place(pointer)))
            .with_label(format!("needs `{key}`"));
        self.missing.push((format!("{pointer}/{key}"), diagnostic));
    }

    fn unknown_word(&mut self, pointer: &str, value: &Value, rules: &Value) {
        let word = value.as_str().unwrap_or_default();
        let known: Vec<&str> =
            rules.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let help = match closest(word, known.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("available in this version: {}", quoted(known.iter().copied())),
        };
        let message = match last(pointer).filter(|key| key.parse::<usize>().is_err()).or_else(|| last(above(pointer))) {
            Some(key) => format!("`{key}` cannot be `{word}`"),
            None => format!("unexpected `{word}`"),
        };
        let label = expected(rules);
        self.push("unknown-value", message, pointer, Some(help)).label = Some(format!("expected {label}"));
    }

    fn wrong_type(&mut self, pointer: &str, value: &Value, rules: &Value) {
        let expected = expected(rules);
        let found = match value {
            Value::String(text) if is_percentage(rules) || rules.get("anyOf").is_some() => format!("`{text}`"),
            value => found(value).to_owned(),
        };
        let types = types(rules);
        let help = match value {
            Value::String(_) if types.contains(&"boolean") => Some("write `true` or `false`, without quotes".into()),
            Value::String(text) if types.contains(&"array") => Some(format!("a list of one: `[{text}]`")),
            Value::String(_) if types.contains(&"integer") || types.contains(&"number") => {
                Some("write the number without quotes".into())
            }
            Value::String(text) if types.contains(&"object") => {
                let required = rules.get("required").and_then(Value::as_array).map(Vec::as_slice);
                let key = required.and_then(|required| if let [only] = required { only.as_str() } else { None });
                key.map(|key| format!("a block: `{{ {key}: {text} }}`"))
            }
            Value::Number(_) | Value::Bool(_) if types.contains(&"string") => {
                Some("put it in quotes to have it as text".into())
            }
            _ => None,
        };
        let message = format!("{} must be {expected}, found {found}", subject(pointer));
        self.push("wrong-type", message, pointer, help).label = Some(format!("expected {expected}"));
    }

    fn literal_secret(&mut self, pointer: &str) {
        let key = last(pointer).unwrap_or("secret").to_owned();
        let message = format!("`{key}` is written in the file");
        let help =
            "take it from outside: `{{ env.NAME }}` or `{{ file('path') }}`; and change the one that was written here";
        self.push("literal-secret", message, pointer, Some(help.into())).label =
            Some("never write a secret here".into());
    }

    /// Several forms are allowed: speak of the one that was meant, which is the one whose type fits.
    fn any_of(&mut self, pointer: &str, value: &Value, rules: &Value, context: &[Vec<ValidationError<'static>>]) {
        let required: Option<Vec<&str>> = context
            .iter()
            .map(|branch| match branch.as_slice() {
                [only] => match only.kind() {
                    Fault::Required { property } => property.as_str(),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        if let Some(keys) = required {
            let key = last(pointer).unwrap_or_default();
            let message = format!("`{key}` needs one of {}", quoted(keys));
            let place = self.document.key_place(pointer);
            self.out.push(Diagnostic::error("missing-key", message, Some(place)));
            return;
        }
        let fits = |branch: &&Vec<ValidationError<'static>>| {
            !branch.iter().any(|error| {
                error.instance_path().as_str() == pointer
                    && !matches!(
                        error.kind(),
                        Fault::AdditionalProperties { .. } | Fault::Required { .. } | Fault::MinItems { .. }
                    )
            })
        };
        match context.iter().find(fits) {
            Some(branch) => branch.iter().for_each(|error| self.read(error)),
            None if value.is_string() && context.iter().flatten().any(|e| matches!(e.kind(), Fault::Enum { .. })) => {
                let branches = rules.get("anyOf").and_then(Value::as_array);
                let words = branches.into_iter().flatten().find(|branch| branch.get("enum").is_some());
                self.unknown_word(pointer, value, words.unwrap_or(rules));
            }
            None => self.wrong_type(pointer, value, &serde_json::json!({ "anyOf": rules["anyOf"] })),
        }
    }
}

fn is_secret(rules: &Value) -> bool {
    rules.get("pattern").and_then(Value::as_str).is_some_and(|pattern| pattern.contains("\\{\\{"))
}

fn above(pointer: &str) -> &str {
    pointer.rfind('/').map_or("", |end| &pointer[..end])
}

/// The last key of a pointer; `None` for the whole file.
fn last(pointer: &str) -> Option<&str> {
    pointer.rsplit_once('/').map(|(_, last)| last)
}

/// `` `primary_key` ``, ``an item of `tags` ``, `the file`.
fn subject(pointer: &str) -> String {
    match last(pointer) {
        None => "the file".into(),
        Some(key) if key.parse::<usize>().is_err() => format!("`{}`", key.replace("~1", "/").replace("~0", "~")),
        Some(_) => match last(above(pointer)) {
            Some(list) => format!("an item of `{list}`"),
            None => "an item".into(),
        },
    }
}
