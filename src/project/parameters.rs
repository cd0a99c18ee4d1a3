//! Settings, of a connection or of an object, against what is known of them.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::files::File;
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::connector::{Parameter, ParameterType};
use crate::manifest::document::escape;

/// What to do about a secret in a file.
pub(super) const FROM_OUTSIDE: &str =
    "take it from outside: `{{ env.NAME }}` or `{{ file('path') }}`; and change the one that was written here";

/// A block of settings in a manifest.
pub(super) struct Settings<'a> {
    /// The manifest.
    pub file: &'a File,
    /// Where the block is: `/options`.
    pub at: &'a str,
    /// What a missing setting is shown at when there is no block.
    pub or_at: &'a str,
    /// What they may be.
    pub parameters: &'a IndexMap<String, Parameter>,
    /// Whose settings they are, for messages: ``object `event` ``.
    pub whose: String,
    /// What one of them is called in messages: `option`.
    pub word: &'a str,
}

impl Settings<'_> {
    /// Finds what is unknown, missing or of the wrong kind, and secrets that are written out.
    pub fn check(&self, out: &mut Vec<Diagnostic>) {
        let block = self.file.value.pointer(self.at);
        if self.file.unknown.contains(self.at) || block.is_some_and(|block| !block.is_object()) {
            return;
        }
        let given = block.and_then(Value::as_object);
        let mut misspelt = Vec::new();
        for (name, value) in given.into_iter().flatten() {
            let pointer = format!("{}/{}", self.at, escape(name));
            match self.parameters.get(name) {
                None => misspelt.extend(self.unknown(name, &pointer, out)),
                Some(_) if value.is_null() || self.file.unknown.contains(&pointer) => {}
                Some(parameter) => out.extend(self.fault(name, parameter, value, &pointer)),
            }
        }
        self.either(given, &misspelt, out);
        for (name, parameter) in self.parameters.iter().filter(|(_, p)| p.required && p.default.is_none()) {
            let is_given = given.and_then(|given| given.get(name)).is_some_and(|value| !value.is_null());
            // A misspelt key is one fault, not an unknown key and a missing one.
            if is_given || misspelt.iter().any(|guess| guess == name) {
                continue;
            }
            let place = match block {
                Some(_) => self.file.key_place(self.at),
                None => self.file.place(self.or_at),
            };
            let message = format!("{} needs the {} `{name}`", self.whose, self.word);
            let diagnostic = Diagnostic::error("missing-key", message, place).with_label(format!("needs `{name}`"));
            out.push(Diagnostic { help: parameter.description.as_deref().map(about), ..diagnostic });
        }
    }

    /// Finds pairs of settings of which exactly one must be given, and none or both are. A misspelt one has been told.
    fn either(&self, given: Option<&Map<String, Value>>, misspelt: &[String], out: &mut Vec<Diagnostic>) {
        let is_given = |name: &str| given.and_then(|given| given.get(name)).is_some_and(|value| !value.is_null());
        for (name, parameter) in self.parameters {
            let Some(other) = &parameter.instead_of else { continue };
            let both = [other.as_str(), name.as_str()];
            if both.iter().all(|name| is_given(name)) {
                let message = format!("{} takes `{other}` or `{name}`, not both", self.whose);
                let place = self.file.key_place(&format!("{}/{}", self.at, escape(name)));
                out.push(Diagnostic::error("exclusive-keys", message, place).with_help("keep the one that is meant"));
            } else if !both.iter().any(|name| is_given(name) || misspelt.iter().any(|guess| guess == name)) {
                let at = given.map(|_| self.at);
                let place = at.map_or_else(|| self.file.place(self.or_at), |at| self.file.key_place(at));
                let message = format!("{} needs the {} `{other}` or `{name}`", self.whose, self.word);
                let label = format!("needs `{other}` or `{name}`");
                out.push(Diagnostic::error("missing-key", message, place).with_label(label));
            }
        }
    }

    /// Gives what was meant, if that can be guessed.
    fn unknown(&self, name: &str, pointer: &str, out: &mut Vec<Diagnostic>) -> Option<String> {
        let names = || self.parameters.keys().map(String::as_str);
        let guess = closest(name, names());
        let help = match guess {
            Some(guess) => format!("did you mean `{guess}`?"),
            None if self.parameters.is_empty() => format!("it has no {}s", self.word),
            None => format!("{}s here: {}", self.word, quoted(names())),
        };
        let message = format!("{} has no {} `{name}`", self.whose, self.word);
        out.push(Diagnostic::error("unknown-key", message, self.file.key_place(pointer)).with_help(help));
        guess.map(str::to_owned)
    }

    fn fault(&self, name: &str, parameter: &Parameter, value: &Value, pointer: &str) -> Option<Diagnostic> {
        let error = |code, message: String| Diagnostic::error(code, message, self.file.place(pointer));
        if parameter.secret {
            return Some(
                error("literal-secret", format!("`{name}` is written in the file"))
                    .with_label("never write a secret here")
                    .with_help(FROM_OUTSIDE),
            );
        }
        if let Some(values) = &parameter.values
            && !values.contains(value)
        {
            let all = quoted(values.iter().map(shown).collect::<Vec<_>>().iter().map(String::as_str));
            let message = match value.as_str() {
                Some(value) => format!("`{name}` cannot be `{value}`"),
                None => format!("`{name}` must be one of {all}"),
            };
            let guess = value.as_str().and_then(|value| closest(value, values.iter().filter_map(Value::as_str)));
            let diagnostic = error("unknown-value", message).with_label(format!("expected one of {all}"));
            return Some(match guess {
                Some(guess) => diagnostic.with_help(format!("did you mean `{guess}`?")),
                None => diagnostic,
            });
        }
        if !fits(parameter.kind, value) {
            let diagnostic = error("wrong-type", format!("`{name}` must be {}", words(parameter.kind)));
            let number = value.is_number() || value.is_boolean();
            return Some(if parameter.kind == ParameterType::String && number {
                diagnostic.with_help("put it in quotes to have it as text")
            } else {
                diagnostic
            });
        }
        None
    }
}

/// Puts in the defaults of what is absent.
pub(super) fn fill(parameters: &IndexMap<String, Parameter>, values: &mut Map<String, Value>) {
    for (name, parameter) in parameters {
        if let Some(default) = &parameter.default
            && values.get(name).is_none_or(Value::is_null)
        {
            values.insert(name.clone(), default.clone());
        }
    }
}

/// A value that came from outside, where all is text, as what the setting takes.
///
/// # Errors
/// What it must be, in words; the value itself may be a secret and is not in them.
pub(super) fn settle(name: &str, parameter: &Parameter, value: Value) -> Result<Value, String> {
    let value = match (&value, parameter.kind) {
        (Value::String(text), ParameterType::Integer) => {
            text.trim().parse::<i64>().map_or_else(|_| value.clone(), Value::from)
        }
        (Value::String(text), ParameterType::Boolean) => {
            text.trim().parse::<bool>().map_or_else(|_| value.clone(), Value::from)
        }
        (Value::Number(number), ParameterType::String) => Value::String(number.to_string()),
        _ => value,
    };
    if !fits(parameter.kind, &value) {
        return Err(format!("`{name}` must be {}", words(parameter.kind)));
    }
    if value.as_str().is_some_and(|text| text.trim().is_empty()) && parameter.required {
        return Err(format!("`{name}` is empty"));
    }
    match &parameter.values {
        Some(values) if !values.contains(&value) => {
            let all: Vec<String> = values.iter().map(shown).collect();
            Err(format!("`{name}` must be one of {}", quoted(all.iter().map(String::as_str))))
        }
        _ => Ok(value),
    }
}

/// Something the setting takes, where nobody looks at it.
pub(super) fn made_up(parameter: &Parameter, text: &str) -> Value {
    let first = parameter.values.as_ref().and_then(|values| values.first());
    parameter.default.clone().or_else(|| first.cloned()).unwrap_or_else(|| match parameter.kind {
        ParameterType::String | ParameterType::Id => text.into(),
        ParameterType::Integer => 1.into(),
        ParameterType::Boolean => false.into(),
    })
}

fn fits(kind: ParameterType, value: &Value) -> bool {
    match kind {
        ParameterType::String => value.is_string(),
        ParameterType::Integer => value.is_i64() || value.is_u64(),
        ParameterType::Boolean => value.is_boolean(),
        ParameterType::Id => value.is_string() || value.is_i64() || value.is_u64(),
    }
}

fn words(kind: ParameterType) -> &'static str {
    match kind {
        ParameterType::String => "text",
        ParameterType::Integer => "a whole number",
        ParameterType::Boolean => "`true` or `false`",
        ParameterType::Id => "text or a whole number",
    }
}

/// A description as the help of a message: without its full stop.
fn about(description: &str) -> String {
    let text = description.trim();
    format!("it is: {}", text.strip_suffix('.').unwrap_or(text))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `` `a`, `b`, `c` ``
pub(super) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_from_outside_becomes_what_the_setting_takes() {
        let parameter =
            |kind, values: Option<Vec<Value>>| Parameter { kind, values, required: true, ..Default::default() };
        let words = Some(vec![json!("us"), json!("eu")]);
        let cases = [
            (ParameterType::Integer, None, json!("12"), Ok(json!(12))),
            (ParameterType::Integer, None, json!("12x"), Err("`p` must be a whole number")),
            (ParameterType::Boolean, None, json!(" true"), Ok(json!(true))),
            (ParameterType::Boolean, None, json!("yes"), Err("`p` must be `true` or `false`")),
            (ParameterType::String, None, json!(7), Ok(json!("7"))),
            (ParameterType::String, None, json!(""), Err("`p` is empty")),
            (ParameterType::String, words.clone(), json!("eu"), Ok(json!("eu"))),
            (ParameterType::String, words, json!("de"), Err("`p` must be one of `us`, `eu`")),
            (ParameterType::Id, None, json!(7), Ok(json!(7))),
            (ParameterType::Id, None, json!(true), Err("`p` must be text or a whole number")),
        ];
        for (kind, values, value, expected) in cases {
            let settled = settle("p", &parameter(kind, values), value.clone());
            assert_eq!(settled, expected.map_err(str::to_owned), "{kind:?} {value}");
        }
    }

    #[test]
    fn defaults_take_the_place_of_what_is_absent_or_null() {
        let parameter = Parameter { default: Some(json!(5)), ..Default::default() };
        let parameters = IndexMap::from([("a".to_owned(), parameter.clone()), ("b".to_owned(), parameter)]);
        let mut values = Map::from_iter([("a".to_owned(), Value::Null), ("c".to_owned(), json!(1))]);
        fill(&parameters, &mut values);
        assert_eq!(Value::Object(values), json!({ "a": 5, "c": 1, "b": 5 }));
    }
}
