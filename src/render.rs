//! 2 · Templates: rendered scalar by scalar, after the parse, never on the text of a file.
//!
//! Undefined names are errors, work is limited by fuel, output by a cap, and there is nothing to include. `env` and
//! `file` exist only where a connection or a notification is described, and every value they give is a [`Secret`].

mod scope;

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value;

pub use crate::template::{Occurrence, Reference, occurrences, references};
pub use scope::{Block, Outside, Scope};

use crate::diagnostic::closest;
use crate::secret::Secret;
use crate::template;

/// The most one scalar may become, in bytes.
pub const MAX_OUTPUT: usize = 1024 * 1024;
/// The most work for one scalar, in engine instructions.
pub const FUEL: u64 = 200_000;

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Stable code: `template-syntax`, `undefined-name`, `template-failed`.
    pub code: &'static str,
    /// What is wrong, free of secrets.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Bytes within the scalar's value.
    pub range: Range<usize>,
}

/// What a scalar became.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The value; native where the scalar is exactly one expression.
    pub value: Value,
    /// The secrets that went in, whether or not they show in the value.
    pub secrets: Vec<Secret>,
    /// True when `env` or `file` was asked, so that the value is known only where it runs.
    pub outside: bool,
}

/// True when a text has anything to render in it.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// Finds what can be found without rendering: syntax, and names, filters, tests and methods that are not there. What only another environment
/// defines is no fault here.
pub fn check(text: &str, scope: &Scope) -> Vec<Fault> {
    names(text, scope, false)
}

fn names(text: &str, scope: &Scope, here: bool) -> Vec<Fault> {
    let engine = engine(scope, None);
    let parsed = match engine.template_from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => return vec![fault(&error, 0, text.len(), &[])],
    };
    let roots = parsed.undeclared_variables(false);
    let mut faults = Vec::new();
    for name in occurrences(text).into_iter().filter(|name| roots.contains(name.root())) {
        faults.extend(scope.complaint(&name, here));
    }
    let unknown = template::unknown_calls(text, &engine, &[]).into_iter();
    faults.extend(unknown.map(|template::Unknown { message, help, range }| Fault {
        code: "unknown-function",
        message,
        help,
        range,
    }));
    faults
}

/// Renders a text. Faults carry exact ranges.
pub fn render(text: &str, scope: &Scope) -> Result<Rendered, Vec<Fault>> {
    let asked = Arc::new(scope::Asked::default());
    let engine = engine(scope, Some(asked.clone()));
    let context = scope.context(&asked);
    let (result, offset) = match template::single_expression(text) {
        Some(range) => (expression(&engine, &text[range.clone()], context), range.start),
        None => (whole(&engine, text, context), 0),
    };
    let secrets = asked.secrets();
    match result {
        Ok(value) => {
            let empty = if value.as_str() == Some("") { asked.empty(text) } else { Vec::new() };
            if !empty.is_empty() {
                return Err(empty);
            }
            Ok(Rendered { value, secrets, outside: asked.any() })
        }
        Err(error) => {
            let missing = asked.missing(text);
            if !missing.is_empty() {
                return Err(missing);
            }
            let found = if error.kind() == ErrorKind::UndefinedError { names(text, scope, true) } else { Vec::new() };
            Err(if found.is_empty() { vec![fault(&error, offset, text.len(), &secrets)] } else { found })
        }
    }
}

fn engine<'a>(scope: &Scope, asked: Option<Arc<scope::Asked>>) -> Environment<'a> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(32);
    engine.set_debug(true);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }
    // It would print everything in scope.
    engine.remove_global("debug");
    scope.add_functions(&mut engine, asked);
    engine
}

fn expression(engine: &Environment<'_>, text: &str, context: minijinja::Value) -> Result<Value, Error> {
    let value = engine.compile_expression_owned(text.to_owned())?.eval(context)?;
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "undefined value"));
    }
    let mut out = Capped(Vec::new());
    serde_json::to_writer(&mut out, &value).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, if error.is_io() { TOO_LONG } else { "not a plain value" })
    })?;
    serde_json::from_slice(&out.0).map_err(|_| Error::new(ErrorKind::BadSerialization, "not a plain value"))
}

fn whole(engine: &Environment<'_>, text: &str, context: minijinja::Value) -> Result<Value, Error> {
    let mut out = Capped(Vec::new());
    engine.template_from_named_str("template", text)?.render_captured_to(context, &mut out)?;
    Ok(Value::String(String::from_utf8_lossy(&out.0).into_owned()))
}

const TOO_LONG: &str = "the result is longer than 1 MiB";

/// Takes no more than [`MAX_OUTPUT`].
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(std::io::Error::other(TOO_LONG));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The engine's error as ours.
fn fault(error: &Error, offset: usize, length: usize, secrets: &[Secret]) -> Fault {
    let range = error.range().map_or(0..length, |range| {
        let start = (range.start + offset).min(length);
        start..(range.end + offset).clamp(start, length)
    });
    let redactor = crate::secret::Redactor::new(secrets.iter().cloned());
    let detail = redactor.redact(error.detail().unwrap_or_default());
    let (code, message) = match error.kind() {
        ErrorKind::SyntaxError | ErrorKind::BadEscape | ErrorKind::InvalidDelimiter => {
            ("template-syntax", format!("the template cannot be read: {}", or(&detail, "syntax error")))
        }
        ErrorKind::UndefinedError => ("undefined-name", "this is not defined".to_owned()),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            ("unknown-function", detail)
        }
        ErrorKind::OutOfFuel => ("template-failed", "the template does too much work".to_owned()),
        ErrorKind::WriteFailure => ("template-failed", TOO_LONG.to_owned()),
        kind => ("template-failed", format!("the template fails: {}", or(&detail, &kind.to_string()))),
    };
    Fault { code, message, help: None, range }
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// `did you mean …`, when something is close.
fn did_you_mean<'a>(word: &str, prefix: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, known).map(|guess| format!("did you mean `{prefix}{guess}`?"))
}

#[cfg(test)]
mod tests;
