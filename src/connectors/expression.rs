//! Expressions and texts with templates: parsed once, evaluated often.
//!
//! Attributes of what is not there are undefined, never an error; a name that no scope knows is a fault when the
//! connector is compiled. A plain path (`body.result`) never enters the engine.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value as Mini};
use serde_json::Value as Json;

use super::value;
use crate::diagnostic::closest;
use crate::template::{self, Unknown};

/// Most bytes one template may make.
pub(super) const MAX_OUTPUT: usize = 64 << 20;
/// Most work of one evaluation, in engine instructions.
const FUEL: u64 = 2_000_000;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| engine(false));

fn engine(path: bool) -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(32);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }
    // It would print everything in scope.
    engine.remove_global("debug");
    engine.set_formatter(move |out, state, value| {
        let text = match value.kind() {
            ValueKind::Undefined | ValueKind::None if path => {
                return Err(Error::new(ErrorKind::InvalidOperation, MISSING_IN_PATH));
            }
            ValueKind::Undefined | ValueKind::None => return Ok(()),
            ValueKind::Bool => Mini::from(if value.is_true() { "true" } else { "false" }),
            _ if path => Mini::from(segment(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))?),
            _ => value.clone(),
        };
        minijinja::escape_formatter(out, state, &text)
    });
    super::filters::add(&mut engine);
    engine
}

const MISSING_IN_PATH: &str = "a value that goes into the path is missing";

/// A value as one segment of a path. What would leave its place in the path is refused.
fn segment(text: &str) -> Result<String, Error> {
    if matches!(text, "" | "." | "..") {
        return Err(Error::new(ErrorKind::InvalidOperation, "a value that goes into the path is empty or only dots"));
    }
    // What a segment may hold (RFC 3986, `pchar`) stays as it is: some servers look segments up as they came, not decoded.
    // Only `+`, which many servers read as a space, and `;`, at which some cut a segment, do not.
    Ok(percent(text, b"-._~!$&'()*,=:@"))
}

/// Percent-encodes all but unreserved characters: for queries and forms.
pub(super) fn escape(text: &str) -> String {
    percent(text, b"-._~")
}

/// Percent-encodes all but ASCII letters, digits and these.
fn percent(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What is wrong with a text.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub message: String,
    pub help: Option<String>,
    pub range: Option<Range<usize>>,
}

/// What names mean where something is evaluated.
pub(super) trait Scope: Sync {
    /// The value of a name as JSON, where it is that.
    fn json(&self, _name: &str) -> Option<&Json> {
        None
    }

    /// The value of a name.
    fn root(&self, name: &str) -> Option<Mini>;

    /// Writes what a path leads to as JSON without the engine: `Some(false)` where nothing is there, `None` where this
    /// scope cannot say.
    fn write(&self, _path: &[Box<str>], _out: &mut Vec<u8>) -> Option<bool> {
        None
    }
}

/// An expression.
#[derive(Debug)]
pub(super) struct Expression {
    names: Vec<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Constant(Mini, Option<Json>),
    Path(Vec<Box<str>>),
    Code(minijinja::Expression<'static, 'static>),
}

impl Expression {
    /// Parses an expression that may use these names.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Trouble> {
        if let Some(path) = path(text).filter(|path| known.contains(&&*path[0])) {
            return Ok(Self { names: vec![path[0].to_string()], kind: Kind::Path(path) });
        }
        let code = ENGINE.compile_expression_owned(text.to_owned()).map_err(|e| syntax(&e))?;
        let mut names: Vec<String> =
            code.undeclared_variables(false).into_iter().filter(|name| !global(name)).collect();
        names.sort();
        unknown(text, &names, known)?;
        missing(template::unknown_calls_in(text, &ENGINE, super::filters::OWN))?;
        if names.is_empty() {
            let constant = code.eval(()).map_err(|e| syntax(&e))?;
            let json = value::to_json(&constant).map_err(|e| syntax(&e))?;
            return Ok(Self { names, kind: Kind::Constant(constant, json) });
        }
        Ok(Self { names, kind: Kind::Code(code) })
    }

    /// An expression that gives nothing; stands where there was a fault.
    pub fn nothing() -> Self {
        Self { names: Vec::new(), kind: Kind::Constant(Mini::UNDEFINED, None) }
    }

    /// True when it uses the name.
    pub fn mentions(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// True when it uses the name for more than to write what a path leads to.
    pub fn computes(&self, name: &str) -> bool {
        matches!(self.kind, Kind::Code(_)) && self.mentions(name)
    }

    /// Its value.
    pub fn value(&self, scope: &dyn Scope) -> Result<Mini, String> {
        match &self.kind {
            Kind::Constant(value, _) => Ok(value.clone()),
            Kind::Path(path) => {
                if let Some(json) = scope.json(&path[0]) {
                    return Ok(walk(json, &path[1..]).map_or(Mini::UNDEFINED, value::from_json));
                }
                let mut value = scope.root(&path[0]).unwrap_or(Mini::UNDEFINED);
                for step in &path[1..] {
                    value = value.get_attr(step).unwrap_or(Mini::UNDEFINED);
                }
                Ok(value)
            }
            Kind::Code(code) => {
                let roots = self.names.iter().filter_map(|name| Some((name.as_str(), scope.root(name)?)));
                code.eval(Mini::from_pairs(roots)).map_err(|e| explain(&e))
            }
        }
    }

    /// Its value as JSON; `None` when it is undefined or cannot be had.
    pub fn json<'s>(&'s self, scope: &'s dyn Scope) -> Option<Cow<'s, Json>> {
        match &self.kind {
            Kind::Constant(_, json) => json.as_ref().map(Cow::Borrowed),
            Kind::Path(path) if scope.json(&path[0]).is_some() => {
                scope.json(&path[0]).and_then(|json| walk(json, &path[1..])).map(Cow::Borrowed)
            }
            _ => value::to_json(&self.value(scope).ok()?).ok()?.map(Cow::Owned),
        }
    }

    /// Its value as text; `None` when it is undefined, null or cannot be had.
    pub fn text(&self, scope: &dyn Scope) -> Option<String> {
        value::plain(self.json(scope).as_deref())
    }

    /// True when it is true; what cannot be had is not.
    pub fn truth(&self, scope: &dyn Scope) -> bool {
        self.value(scope).is_ok_and(|value| value.is_true())
    }

    /// Writes its value as JSON; false where it is undefined.
    pub fn write(&self, scope: &dyn Scope, out: &mut Vec<u8>) -> Result<bool, String> {
        if let Kind::Path(path) = &self.kind
            && let Some(written) = scope.write(path, out)
        {
            return Ok(written);
        }
        value::write(&self.value(scope)?, out).map_err(|e| explain(&e))
    }
}

/// What a path leads to.
pub(super) fn walk<'a>(json: &'a Json, path: &[Box<str>]) -> Option<&'a Json> {
    path.iter().try_fold(json, |json, step| json.get(&**step))
}

/// The parts of a plain path.
fn path(text: &str) -> Option<Vec<Box<str>>> {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let parts: Vec<Box<str>> = text.trim().split('.').map(Into::into).collect();
    parts.iter().all(|part| name(part)).then_some(parts)
}

fn global(name: &str) -> bool {
    ENGINE.globals().any(|(known, _)| known == name)
}

/// A text with templates in it.
#[derive(Debug)]
pub(super) enum Text {
    /// Nothing to render.
    Constant(String),
    /// One template and nothing else.
    Single(Expression),
    /// Anything else; the engine has it under the name `t`.
    Mixed(Arc<Environment<'static>>, Vec<String>),
}

impl Text {
    /// Parses a text that may use these names.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Trouble> {
        if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
            return Ok(Text::Constant(text.to_owned()));
        }
        match single(text) {
            Some(range) => Expression::parse(&text[range.clone()], known).map(Text::Single).map_err(|mut trouble| {
                trouble.range = trouble.range.map(|r| r.start + range.start..r.end + range.start);
                trouble
            }),
            None => Self::mixed(text, known, false),
        }
    }

    /// Parses a path: values within it are escaped.
    pub fn path(text: &str, known: &[&str]) -> Result<Self, Trouble> {
        if text.contains("{{") || text.contains("{%") || text.contains("{#") {
            Self::mixed(text, known, true)
        } else {
            Ok(Text::Constant(text.to_owned()))
        }
    }

    fn mixed(text: &str, known: &[&str], path: bool) -> Result<Self, Trouble> {
        let mut engine = engine(path);
        engine.add_template_owned("t", text.to_owned()).map_err(|e| syntax(&e))?;
        let names = engine.get_template("t").map(|t| t.undeclared_variables(false)).unwrap_or_default();
        let mut names: Vec<String> = names.into_iter().filter(|name| !global(name)).collect();
        names.sort();
        unknown(text, &names, known)?;
        missing(template::unknown_calls(text, &engine, super::filters::OWN))?;
        Ok(Text::Mixed(Arc::new(engine), names))
    }

    /// True when it uses the name.
    pub fn mentions(&self, name: &str) -> bool {
        match self {
            Text::Constant(_) => false,
            Text::Single(expression) => expression.mentions(name),
            Text::Mixed(_, names) => names.iter().any(|known| known == name),
        }
    }

    /// The text; `None` when it is a single template that gives undefined or null.
    pub fn render(&self, scope: &dyn Scope) -> Result<Option<String>, String> {
        match self {
            Text::Constant(text) => Ok(Some(text.clone())),
            Text::Single(expression) => {
                let json = value::to_json(&expression.value(scope)?).map_err(|e| explain(&e))?;
                Ok(value::plain(json.as_ref()))
            }
            Text::Mixed(engine, names) => {
                let roots = names.iter().filter_map(|name| Some((name.as_str(), scope.root(name)?)));
                let template = engine.get_template("t").map_err(|e| explain(&e))?;
                template.render(Mini::from_pairs(roots)).map(Some).map_err(|e| explain(&e))
            }
        }
    }
}

/// The bytes between the braces, where a text is one template and nothing else.
pub(super) fn single(text: &str) -> Option<Range<usize>> {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix("{{")?.strip_suffix("}}")?;
    let (mut quote, mut depth) = (None, 0_i32);
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
        if depth < 0 {
            return None;
        }
    }
    let start = text.len() - text.trim_start().len() + 2;
    Some(start..start + inner.len())
}

fn unknown(text: &str, names: &[String], known: &[&str]) -> Result<(), Trouble> {
    let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let words = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let range = text.match_indices(name.as_str()).find(|(at, found)| {
        !text[..*at].ends_with(words) && !text[at + found.len()..].starts_with(|c: char| words(c) && c != '.')
    });
    let help = match closest(name, known.iter().copied()) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => format!("known here: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    Err(Trouble {
        message: format!("`{name}` is not defined here"),
        help: Some(help),
        range: range.map(|(at, found)| at..at + found.len()),
    })
}

/// The first filter, test or method that is not there.
fn missing(found: Vec<Unknown>) -> Result<(), Trouble> {
    let first = found.into_iter().next();
    first.map_or(Ok(()), |Unknown { message, help, range }| Err(Trouble { message, help, range: Some(range) }))
}

fn syntax(error: &Error) -> Trouble {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Trouble { message: format!("the template cannot be read: {detail}"), help: None, range: error.range() }
}

/// The engine's details can quote values; its kinds cannot.
fn explain(error: &Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => "a template of the connector does too much work".to_owned(),
        ErrorKind::InvalidOperation
            if error.detail().is_some_and(|d| d.starts_with("a value that goes into the path")) =>
        {
            error.detail().unwrap_or_default().to_owned()
        }
        kind => format!("a template of the connector fails: {kind}"),
    }
}
