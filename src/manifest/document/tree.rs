//! The tree of values, and how to find a place in it.

use std::ops::Range;

use serde_json::{Map, Number};

use super::align;
use crate::diagnostic::{Place, SourceText};

/// One parsed file.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file.
    pub source: SourceText,
    /// Its value; never null.
    pub root: Node,
}

/// A value and its bytes in the file.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Bytes of the scalar or of the flow collection; for a block collection, of its first key or item.
    pub span: Range<usize>,
    /// How it is written.
    pub style: Style,
    /// Number of values in it, itself included.
    pub(super) size: usize,
    /// Levels below it.
    pub(super) height: usize,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and its bytes in the file.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key.
    pub text: String,
    /// Where it is written.
    pub span: Range<usize>,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In `'`.
    SingleQuoted,
    /// In `"`.
    DoubleQuoted,
    /// A `|` block.
    Literal,
    /// A `>` block.
    Folded,
}

impl Value {
    /// The value without places.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(*value),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::Text(text) => serde_json::Value::String(text.clone()),
            Value::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Value::Map(entries) => {
                let map: Map<_, _> = entries.iter().map(|(k, v)| (k.text.clone(), v.value.to_json())).collect();
                serde_json::Value::Object(map)
            }
        }
    }
}

impl Node {
    /// The value at a JSON pointer below this one, with the key it stands under.
    pub fn find(&self, pointer: &str) -> Option<(&Node, Option<&Key>)> {
        let (mut node, mut key) = (self, None);
        for token in pointer.split('/').skip(1) {
            (node, key) = node.step(token)?;
        }
        Some((node, key))
    }

    fn step(&self, token: &str) -> Option<(&Node, Option<&Key>)> {
        match &self.value {
            Value::List(items) => Some((items.get(token.parse::<usize>().ok()?)?, None)),
            Value::Map(entries) => {
                let name = unescape(token);
                entries.iter().find(|(key, _)| key.text == name).map(|(key, node)| (node, Some(key)))
            }
            _ => None,
        }
    }

    pub(super) fn first_span(&self) -> Option<Range<usize>> {
        match &self.value {
            Value::List(items) => items.first().map(|item| item.span.clone()),
            Value::Map(entries) => entries.first().map(|(key, _)| key.span.clone()),
            _ => None,
        }
    }

    fn is_collection(&self) -> bool {
        matches!(self.value, Value::List(_) | Value::Map(_))
    }
}

impl Document {
    /// The values of the file without places.
    pub fn to_json(&self) -> serde_json::Value {
        self.root.value.to_json()
    }

    /// A place in this file.
    pub fn at(&self, span: Range<usize>) -> Place {
        Place { source: self.source.clone(), span }
    }

    /// The bytes of the value at a JSON pointer: scalars and one-line flow collections whole, anything longer by the
    /// key it stands under. `None` when there is no such value.
    pub fn span(&self, pointer: &str) -> Option<Range<usize>> {
        let (node, key) = self.root.find(pointer)?;
        let text = self.source.text.get(node.span.clone()).unwrap_or_default();
        let block = matches!(node.style, Style::Literal | Style::Folded);
        let flow = node.is_collection() && text.starts_with(['[', '{']);
        let awkward = text.is_empty() || block || (node.is_collection() && !flow) || (flow && text.contains('\n'));
        match key {
            Some(key) if awkward => Some(key.span.clone()),
            _ => Some(node.span.clone()),
        }
    }

    /// The bytes of the key at a JSON pointer; for list items, of the item.
    pub fn key_span(&self, pointer: &str) -> Option<Range<usize>> {
        let (node, key) = self.root.find(pointer)?;
        Some(key.map_or_else(|| node.span.clone(), |key| key.span.clone()))
    }

    /// The place of the value at a pointer, or of the nearest value above it that is in the file.
    pub fn place(&self, pointer: &str) -> Place {
        self.at(self.nearest(pointer, Self::span))
    }

    /// The place of the key at a pointer, or of the nearest value above it that is in the file.
    pub fn key_place(&self, pointer: &str) -> Place {
        self.at(self.nearest(pointer, Self::key_span))
    }

    fn nearest(&self, pointer: &str, find: impl Fn(&Self, &str) -> Option<Range<usize>>) -> Range<usize> {
        let mut pointer = pointer;
        loop {
            if let Some(span) = find(self, pointer) {
                return span;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = &pointer[..end],
                None => return 0..0,
            }
        }
    }

    /// The place of a byte range *within the value* of the scalar at a pointer, however the scalar is written: escapes,
    /// folding and the indentation of blocks are taken into account. An empty range becomes one character.
    pub fn place_within(&self, pointer: &str, range: Range<usize>) -> Place {
        if let Some((node, _)) = self.root.find(pointer)
            && let Value::Text(value) = &node.value
            && let Some(raw) = self.source.text.get(node.span.clone())
        {
            let before = &self.source.text[..node.span.start];
            let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
            let offsets = align::offsets(node.style, raw, column, value);
            let at = |offset: usize| node.span.start + offsets[offset.min(offsets.len() - 1)];
            let start = at(range.start);
            // The end is that of the last byte, so that indentation of a next line is not underlined with it.
            let end = if range.end > range.start { at(range.end - 1) + 1 } else { start + 1 };
            let mut end = end.max(start + 1).min(self.source.text.len()).max(start);
            while !self.source.text.is_char_boundary(end) {
                end += 1;
            }
            return self.at(start..end);
        }
        self.place(pointer)
    }
}

/// A key as one token of a JSON pointer.
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// One token of a JSON pointer as a key.
fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
