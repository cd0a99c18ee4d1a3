//! JSON with templates in it, and the scopes templates see.

use std::sync::OnceLock;

use minijinja::Value as Mini;
use serde_json::Value as Json;

use super::expression::{Expression, Scope, Text, Trouble, walk};
use super::value;

/// A JSON template.
#[derive(Debug)]
pub(super) enum Node {
    /// JSON as it is.
    Raw(Vec<u8>),
    /// One template and nothing else: keeps its type.
    Single(Expression),
    /// Text with templates in it.
    Mixed(Text),
    /// A list.
    List(Vec<Node>),
    /// An object: each key as JSON text with its colon, and its value.
    Object(Vec<(Vec<u8>, Node)>),
}

impl Node {
    /// Parses a JSON template that may use these names. Faults are reported with their pointer.
    pub fn parse(json: &Json, known: &[&str], pointer: &str, fault: &mut dyn FnMut(&str, Trouble)) -> Self {
        let raw = |json: &Json| Node::Raw(json.to_string().into_bytes());
        match json {
            Json::String(text) => match Text::parse(text, known) {
                Ok(Text::Constant(_)) => raw(json),
                Ok(Text::Single(expression)) => Node::Single(expression),
                Ok(mixed) => Node::Mixed(mixed),
                Err(trouble) => {
                    fault(pointer, trouble);
                    raw(&Json::Null)
                }
            },
            Json::Array(items) => {
                let parse = |(at, item)| Node::parse(item, known, &format!("{pointer}/{at}"), fault);
                Node::List(items.iter().enumerate().map(parse).collect())
            }
            Json::Object(entries) => Node::Object(
                entries
                    .iter()
                    .map(|(name, item)| {
                        let mut key = Vec::new();
                        value::text(&mut key, name);
                        key.push(b':');
                        let step = name.replace('~', "~0").replace('/', "~1");
                        (key, Node::parse(item, known, &format!("{pointer}/{step}"), fault))
                    })
                    .collect(),
            ),
            other => raw(other),
        }
    }

    /// True when it uses the name.
    pub fn mentions(&self, name: &str) -> bool {
        self.any(&|expression| expression.mentions(name), &|text| text.mentions(name))
    }

    /// True when it uses the name for more than to write what a path leads to.
    pub fn computes(&self, name: &str) -> bool {
        self.any(&|expression| expression.computes(name), &|text| text.mentions(name))
    }

    fn any(&self, single: &dyn Fn(&Expression) -> bool, mixed: &dyn Fn(&Text) -> bool) -> bool {
        match self {
            Node::Raw(_) => false,
            Node::Single(expression) => single(expression),
            Node::Mixed(text) => mixed(text),
            Node::List(items) => items.iter().any(|item| item.any(single, mixed)),
            Node::Object(entries) => entries.iter().any(|(_, item)| item.any(single, mixed)),
        }
    }

    /// Writes it as JSON. False, and nothing is written, where it is undefined; what is undefined within it is left out.
    pub fn write(&self, scope: &dyn Scope, out: &mut Vec<u8>) -> Result<bool, String> {
        match self {
            Node::Raw(bytes) => out.extend_from_slice(bytes),
            Node::Single(expression) => return expression.write(scope, out),
            Node::Mixed(text) => match text.render(scope)? {
                Some(text) => value::text(out, text.as_str()),
                None => return Ok(false),
            },
            Node::List(items) => {
                out.push(b'[');
                let mut first = true;
                for item in items {
                    let start = out.len();
                    if !first {
                        out.push(b',');
                    }
                    if item.write(scope, out)? { first = false } else { out.truncate(start) }
                }
                out.push(b']');
            }
            Node::Object(entries) => {
                out.push(b'{');
                let mut first = true;
                for (key, item) in entries {
                    let start = out.len();
                    if !first {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    if item.write(scope, out)? { first = false } else { out.truncate(start) }
                }
                out.push(b'}');
            }
        }
        Ok(true)
    }

    /// Its value as JSON; `None` where it is undefined.
    pub fn json(&self, scope: &dyn Scope) -> Result<Option<Json>, String> {
        let mut out = Vec::new();
        if !self.write(scope, &mut out)? {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&out).ok())
    }
}

/// Names with JSON values, before those of another scope.
pub(super) struct Layer<'a> {
    parent: Option<&'a dyn Scope>,
    own: Vec<Name<'a>>,
}

struct Name<'a> {
    name: &'static str,
    json: std::borrow::Cow<'a, Json>,
    shown: OnceLock<Mini>,
}

impl<'a> Layer<'a> {
    /// A layer without names of its own.
    pub fn over(parent: Option<&'a dyn Scope>) -> Self {
        Self { parent, own: Vec::new() }
    }

    /// Adds a name.
    pub fn with(mut self, name: &'static str, json: &'a Json) -> Self {
        self.own.push(Name { name, json: std::borrow::Cow::Borrowed(json), shown: OnceLock::new() });
        self
    }

    /// Adds a name with a value of its own.
    pub fn owning(mut self, name: &'static str, json: Json) -> Self {
        self.own.push(Name { name, json: std::borrow::Cow::Owned(json), shown: OnceLock::new() });
        self
    }
}

impl Scope for Layer<'_> {
    fn json(&self, name: &str) -> Option<&Json> {
        match self.own.iter().find(|own| own.name == name) {
            Some(own) => Some(&own.json),
            None => self.parent?.json(name),
        }
    }

    fn root(&self, name: &str) -> Option<Mini> {
        match self.own.iter().find(|own| own.name == name) {
            Some(own) => Some(own.shown.get_or_init(|| value::from_json(&own.json)).clone()),
            None => self.parent?.root(name),
        }
    }

    fn write(&self, path: &[Box<str>], out: &mut Vec<u8>) -> Option<bool> {
        match self.own.iter().find(|own| *own.name == *path[0]) {
            Some(own) => Some(match walk(&own.json, &path[1..]) {
                Some(json) => {
                    value::text(out, json);
                    true
                }
                None => false,
            }),
            None => self.parent?.write(path, out),
        }
    }
}
