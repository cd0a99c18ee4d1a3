//! YAML text → a tree of values in which every key and value knows its bytes in the file.
//!
//! The only file that names `serde-saphyr`. The tree is built from its parser's events rather than through serde: that
//! gives the bytes of block scalars and collections, all duplicate keys of a file at once, and scalars that mean what
//! they look like (`no`, `0777`, `1_000`, `+15551234567` stay text).

mod align;
mod indent;
mod scalar;
mod tree;
mod write;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

use crate::diagnostic::{Diagnostic, Place, SourceText};
pub use tree::{Document, Key, Node, Style, Value, escape};
pub use write::Writer;

/// The largest manifest, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;
/// The deepest nesting, aliases expanded.
pub const MAX_DEPTH: usize = 64;
/// The most values in a file, aliases expanded.
pub const MAX_NODES: usize = 50_000;
/// The most aliases in a file.
pub const MAX_ALIASES: usize = 500;

impl Document {
    /// Reads the bytes of a file as UTF-8 within the size limit.
    ///
    /// # Errors
    /// A diagnostic when the file is too large or not UTF-8; the place is the first bad byte.
    pub fn decode(path: &std::path::Path, bytes: &[u8]) -> Result<SourceText, Box<Diagnostic>> {
        let source = |text: &str| SourceText { path: path.to_owned(), text: text.into() };
        if bytes.len() > MAX_BYTES {
            return Err(Box::new(too_large(&source(""))));
        }
        match std::str::from_utf8(bytes) {
            // A byte order mark, as some editors write it, is no part of what the file says.
            Ok(text) => Ok(source(text.strip_prefix('\u{feff}').unwrap_or(text))),
            Err(error) => {
                let start = error.valid_up_to();
                let good = String::from_utf8_lossy(bytes);
                // Lossy text has the same bytes up to the first fault, so the place holds in it too.
                let place = Place { source: source(&good), span: start..start + '\u{fffd}'.len_utf8() };
                Err(Box::new(
                    Diagnostic::error("invalid-utf8", "the file is not UTF-8 text", Some(place))
                        .with_label("these bytes are not UTF-8")
                        .with_help("save the file as UTF-8"),
                ))
            }
        }
    }

    /// Parses one manifest.
    ///
    /// # Errors
    /// The fault that stops the parser, or all duplicate keys and unusable scalars of the file.
    pub fn parse(source: SourceText) -> Result<Document, Vec<Diagnostic>> {
        if source.text.len() > MAX_BYTES {
            return Err(vec![too_large(&SourceText { text: "".into(), ..source })]);
        }
        let text = source.text.clone();
        let mut builder = Builder::new(&source);
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.flow_nesting_limit = MAX_DEPTH;
        options.block_nesting_limit = MAX_DEPTH;
        for event in Parser::new_from_str_with_options(&text, options) {
            let step = match event {
                Ok((event, span)) => builder.take(event, span),
                Err(error) => Err(Box::new(builder.syntax(&error))),
            };
            if let Err(fatal) = step {
                builder.faults.push(*fatal);
                return Err(builder.faults);
            }
        }
        let Builder { root, faults, .. } = builder;
        if !faults.is_empty() {
            return Err(faults);
        }
        match root {
            Some(root) if !matches!(root.value, Value::Null) => Ok(Document { source, root }),
            _ => Err(vec![
                Diagnostic::error("empty-file", "the file is empty", Some(Place { source, span: 0..0 }))
                    .with_help("a manifest needs at least a `name`"),
            ]),
        }
    }
}

fn too_large(source: &SourceText) -> Diagnostic {
    let message = format!("the file is larger than {} KiB", MAX_BYTES / 1024);
    Diagnostic::error("file-too-large", message, Some(Place { source: source.clone(), span: 0..0 }))
        .with_help("manifests are small; keep data in a source, and long SQL in a file named by `sql_file`")
}

/// A list or map that is not complete yet.
struct Open {
    node: Node,
    anchor: usize,
    flow: bool,
    /// The key that waits for its value.
    key: Option<Key>,
    /// That key is a bare `<<`.
    merging: bool,
    /// Where each key of the map is.
    keys: HashMap<String, Range<usize>>,
    /// Maps named by `<<`, to be merged when the map ends.
    merges: Vec<Node>,
}

struct Builder<'a> {
    source: &'a SourceText,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    aliases: usize,
    faults: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a SourceText) -> Self {
        Self {
            source,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            aliases: 0,
            faults: Vec::new(),
        }
    }

    fn fault(&self, code: &'static str, message: impl Into<String>, span: Range<usize>) -> Diagnostic {
        Diagnostic::error(code, message, Some(Place { source: self.source.clone(), span }))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        let range = span.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let end = (range.start + 3).min(self.source.text.len()).max(range.start);
                    return Err(Box::new(
                        self.fault("second-document", "a second document starts here", range.start..end)
                            .with_help("one manifest a file: move the second one to a file of its own"),
                    ));
                }
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.spend(1, &range)?;
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::SingleQuoted,
                    ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                let text = self.has_text_tag(tag.as_deref(), &span);
                let value = if style != Style::Plain || text || self.expects_key() {
                    Value::Text(value.into_owned())
                } else {
                    match scalar::typed(&value) {
                        Ok(value) => value,
                        Err(message) => {
                            let fault = self.fault("unusable-number", message, range.clone());
                            self.faults.push(fault.with_help("put it in quotes to have it as text"));
                            Value::Null
                        }
                    }
                };
                self.complete(Node { value, span: range, style, size: 1, height: 0 }, anchor)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.has_text_tag(tag.as_deref(), &span);
                self.begin(Value::List(Vec::new()), style, anchor, range)?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.has_text_tag(tag.as_deref(), &span);
                self.begin(Value::Map(Vec::new()), style, anchor, range)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(range)?,
            Event::Alias(id) => {
                self.aliases += 1;
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Box::new(self.fault("recursive-alias", "this alias contains itself", range)));
                };
                if self.aliases > MAX_ALIASES {
                    return Err(Box::new(self.fault(
                        "too-many-aliases",
                        format!("more than {MAX_ALIASES} aliases"),
                        range,
                    )));
                }
                let (size, height) = (node.size, node.height);
                self.spend(size, &range)?;
                self.deepen(height, &range)?;
                if let Some(node) = self.anchors.get(&id).cloned() {
                    self.complete(node, 0)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts values against the budget, before they are made.
    fn spend(&mut self, nodes: usize, range: &Range<usize>) -> Result<(), Box<Diagnostic>> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(Box::new(self.fault(
                "too-many-values",
                format!("more than {MAX_NODES} values in one file"),
                range.clone(),
            )));
        }
        Ok(())
    }

    fn deepen(&self, height: usize, range: &Range<usize>) -> Result<(), Box<Diagnostic>> {
        if self.open.len() + height > MAX_DEPTH {
            return Err(Box::new(self.too_deep(range.clone())));
        }
        Ok(())
    }

    fn too_deep(&self, range: Range<usize>) -> Diagnostic {
        self.fault("too-deep", format!("nested deeper than {MAX_DEPTH} levels"), range)
    }

    /// True for `!!str`. Tags that would make something else of a value are refused.
    fn has_text_tag(&mut self, tag: Option<&Tag>, span: &Span) -> bool {
        match tag.map(|tag| (tag, tag.core_suffix())) {
            Some((_, Some("str"))) => true,
            None | Some((_, Some("int" | "float" | "bool" | "null" | "map" | "seq"))) => false,
            Some((tag, _)) => {
                let range = span.tag_span().and_then(|span| span.byte_range()).or_else(|| span.byte_range());
                let message = format!("the tag `{tag}` means nothing here");
                let fault = self.fault("unknown-tag", message, range.unwrap_or(0..0));
                self.faults.push(fault.with_help("remove the tag"));
                false
            }
        }
    }

    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| matches!(open.node.value, Value::Map(_)) && open.key.is_none())
    }

    fn begin(
        &mut self,
        value: Value,
        style: StructureStyle,
        anchor: usize,
        range: Range<usize>,
    ) -> Result<(), Box<Diagnostic>> {
        self.spend(1, &range)?;
        if self.expects_key() {
            if self.source.text.get(..range.start).is_some_and(|before| before.ends_with('{')) {
                let template = range.start - 1..range.start + 1;
                return Err(Box::new(
                    self.fault("yaml-syntax", "a value that starts with a template needs quotes", template)
                        .with_help("write \"{{ … }}\""),
                ));
            }
            return Err(Box::new(
                self.fault("complex-key", "a key must be text", range).with_help("write the key as plain text"),
            ));
        }
        self.deepen(1, &range)?;
        let node = Node { value, span: range, style: Style::Plain, size: 1, height: 1 };
        let flow = style == StructureStyle::Flow;
        let (keys, merges) = (HashMap::new(), Vec::new());
        self.open.push(Open { node, anchor, flow, key: None, merging: false, keys, merges });
        Ok(())
    }

    fn end(&mut self, range: Range<usize>) -> Result<(), Box<Diagnostic>> {
        let Some(mut open) = self.open.pop() else { return Ok(()) };
        if open.flow {
            open.node.span.end = range.end.max(open.node.span.start);
        } else {
            // A block has no brackets to point at: its first key or item stands for it.
            open.node.span = open.node.first_span().unwrap_or(open.node.span);
        }
        for merged in open.merges {
            merge(&mut open.node, merged);
        }
        self.complete(open.node, open.anchor)
    }

    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Box<Diagnostic>> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.node.size = open.node.size.saturating_add(node.size);
        open.node.height = open.node.height.max(node.height + 1);
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match open.key.take() {
                None => {
                    let Value::Text(text) = node.value else {
                        return Err(Box::new(self.fault("complex-key", "a key must be text", node.span)));
                    };
                    let merge = text == "<<" && node.style == Style::Plain;
                    if !merge && let Some(first) = open.keys.insert(text.clone(), node.span.clone()) {
                        let place = Place { source: self.source.clone(), span: first };
                        let message = format!("the key `{text}` is given twice");
                        let place_again = Place { source: self.source.clone(), span: node.span.clone() };
                        self.faults.push(
                            Diagnostic::error("duplicate-key", message, Some(place_again))
                                .with_label(format!("already given in line {}", place.line_column().0))
                                .with_help("keep one of the two"),
                        );
                    }
                    open.key = Some(Key { text, span: node.span });
                    open.merging = merge;
                }
                Some(key) if open.merging => match node.value {
                    Value::Map(_) => open.merges.push(node),
                    Value::List(maps) => open.merges.extend(maps),
                    _ => return Err(Box::new(self.fault("bad-merge", "`<<` takes a map or a list of maps", key.span))),
                },
                Some(key) => entries.push((key, node)),
            },
            _ => {}
        }
        Ok(())
    }

    /// The parser's complaint in words of ours, at its exact byte.
    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let text = &self.source.text;
        let start = error.marker().byte_offset().unwrap_or_else(|| {
            text.char_indices().nth(error.marker().index()).map_or(text.len(), |(offset, _)| offset)
        });
        let mut start = start.min(text.len());
        if let Some(indent::Fault { span, message, help }) = indent::explain(text, start, error) {
            return self.fault("yaml-syntax", message, span).with_help(help);
        }
        let rest = text.get(start..).unwrap_or_default();
        let mut width = rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        match scalar::extent(error) {
            // The parser stops behind the tab.
            scalar::Extent::Tab if text.get(..start).is_some_and(|before| before.ends_with('\t')) => {
                start -= 1;
                width = 1;
            }
            // The parser stops where the text begins that a tab is in.
            scalar::Extent::LaterTab => {
                if let Some(at) = rest.find('\t') {
                    start += at;
                    width = 1;
                }
            }
            scalar::Extent::Line => width = rest.lines().next().map_or(0, |line| line.trim_end().len()),
            _ => {}
        }
        scalar::complaint(error, |code, message, help| {
            let fault = self.fault(code, message, start..start + width);
            match help {
                Some(help) => fault.with_help(help),
                None => fault,
            }
        })
    }
}

/// YAML's `<<`: keys of the other map, where this one does not have them.
fn merge(into: &mut Node, from: Node) {
    if let (Value::Map(entries), Value::Map(others)) = (&mut into.value, from.value) {
        let have: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
        entries.extend(others.into_iter().filter(|(key, _)| !have.contains(&key.text)));
    }
}
