//! Where names stand in a template. The engine knows which names are free, but not where they are written.

use std::ops::Range;

/// A name with its attributes, as written: `vars.min_seats`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The name and its attributes; at least one.
    pub path: Vec<String>,
    /// Bytes from the first to the last of them.
    pub range: Range<usize>,
    /// True when it is called: `ref(…)`. The last attribute is then a function or method.
    pub called: bool,
    /// True when the template provides for its absence: `| default(…)`, `is defined`.
    pub guarded: bool,
}

impl Occurrence {
    /// The first name.
    pub fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

/// A call of `ref` or `file` with its first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The text in quotes; `None` when the argument is not a plain text.
    pub name: Option<String>,
    /// Bytes of the text within its quotes, or of the function's name.
    pub range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Symbol(char),
}

/// The single expression a scalar consists of (`{{ … }}` and nothing else): its bytes between the braces.
pub fn single_expression(text: &str) -> Option<Range<usize>> {
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len();
    let code = segments(text);
    let [(range, '{')] = code.as_slice() else { return None };
    if range.start != start + 2 || range.end + 2 != end {
        return None;
    }
    let inner = &text[range.clone()];
    let left = usize::from(inner.starts_with(['-', '+']));
    let right = usize::from(inner.len() > left && inner.ends_with(['-', '+']));
    Some(range.start + left..range.end - right)
}

/// The parts of a template that are code: their bytes without delimiters, and `{` for expressions or `%` for statements.
pub(super) fn segments(text: &str) -> Vec<(Range<usize>, char)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find('{').map(|i| at + i) {
        let (kind, close) = match text.as_bytes().get(start + 1) {
            Some(b'{') => ('{', "}}"),
            Some(b'%') => ('%', "%}"),
            Some(b'#') => ('#', "#}"),
            _ => {
                at = start + 1;
                continue;
            }
        };
        let inner = start + 2;
        let end =
            if kind == '#' { text[inner..].find(close).map(|i| inner + i) } else { end_of_code(text, inner, close) };
        let Some(end) = end else { break };
        at = end + 2;
        if kind == '%' && text[inner..end].trim_matches(['-', '+', ' ']) == "raw" {
            // Nothing up to `endraw` is code.
            at = text[at..]
                .find("endraw")
                .and_then(|i| text[at + i..].find("%}").map(|j| at + i + j + 2))
                .unwrap_or(text.len());
            continue;
        }
        if kind != '#' {
            out.push((inner..end, kind));
        }
    }
    out
}

/// The end of code that may hold the delimiter within quotes or braces.
fn end_of_code(text: &str, start: usize, close: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (start, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => depth += 1,
            _ if depth == 0 && bytes[at..].starts_with(close.as_bytes()) => return Some(at),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

pub(super) fn tokens(text: &str, range: Range<usize>) -> Vec<(Token, Range<usize>)> {
    let mut out = Vec::new();
    let code = &text[range.clone()];
    let mut chars = code.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let start = range.start + at;
        if c.is_whitespace() {
            continue;
        }
        if c == '_' || c.is_alphanumeric() {
            let mut end = at + c.len_utf8();
            while let Some((next, c)) = chars.next_if(|(_, c)| *c == '_' || c.is_alphanumeric()) {
                end = next + c.len_utf8();
            }
            out.push((Token::Name(code[at..end].to_owned()), start..range.start + end));
        } else if c == '"' || c == '\'' {
            let mut content = String::new();
            let mut end = at + 1;
            while let Some((next, inner)) = chars.next() {
                end = next + inner.len_utf8();
                if inner == c {
                    break;
                }
                if inner == '\\'
                    && let Some((next, escaped)) = chars.next()
                {
                    end = next + escaped.len_utf8();
                    content.push(escaped);
                } else if inner != '\\' {
                    content.push(inner);
                }
            }
            out.push((Token::Text(content), start..range.start + end));
        } else {
            out.push((Token::Symbol(c), start..start + c.len_utf8()));
        }
    }
    out
}

/// All names in the code of a template, in order. Which of them are free variables the engine says.
pub fn occurrences(text: &str) -> Vec<Occurrence> {
    let mut out = Vec::new();
    for (range, _) in segments(text) {
        let tokens = tokens(text, range);
        let is = |at: usize, symbol: char| matches!(tokens.get(at), Some((Token::Symbol(s), _)) if *s == symbol);
        let named = |at: usize, names: &[&str]| matches!(tokens.get(at), Some((Token::Name(name), _)) if names.contains(&name.as_str()));
        let mut at = 0;
        while at < tokens.len() {
            let (Token::Name(name), span) = &tokens[at] else {
                at += 1;
                continue;
            };
            // An attribute, a filter, a test or a named argument is no name of a value.
            let filter = at > 0 && (is(at - 1, '.') || (is(at - 1, '|') && !(at > 1 && is(at - 2, '|'))));
            let argument = is(at + 1, '=') && !is(at + 2, '=');
            if filter || (argument && at > 0) || name.starts_with(|c: char| c.is_ascii_digit()) {
                at += 1;
                continue;
            }
            let mut name = Occurrence { path: vec![name.clone()], range: span.clone(), called: false, guarded: false };
            at += 1;
            loop {
                if is(at, '.')
                    && let Some((Token::Name(attribute), span)) = tokens.get(at + 1)
                {
                    name.path.push(attribute.clone());
                    name.range.end = span.end;
                    at += 2;
                } else if is(at, '[')
                    && is(at + 2, ']')
                    && let (Some((Token::Text(attribute), _)), Some((_, end))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                {
                    name.path.push(attribute.clone());
                    name.range.end = end.end;
                    at += 3;
                } else {
                    break;
                }
            }
            name.called = is(at, '(');
            let tested = if named(at + 1, &["not"]) { at + 2 } else { at + 1 };
            name.guarded = (is(at, '|') && named(at + 1, &["default", "d"]))
                || (named(at, &["is"]) && named(tested, &["defined", "undefined"]));
            out.push(name);
        }
    }
    out
}

/// The calls of a function, with their first argument.
pub fn references(text: &str, function: &str) -> Vec<Reference> {
    let mut out = Vec::new();
    for (range, _) in segments(text) {
        let tokens = tokens(text, range);
        for (at, (token, span)) in tokens.iter().enumerate() {
            let attribute = at > 0 && tokens[at - 1].0 == Token::Symbol('.');
            if *token != Token::Name(function.to_owned())
                || attribute
                || tokens.get(at + 1).map(|t| &t.0) != Some(&Token::Symbol('('))
            {
                continue;
            }
            out.push(match (tokens.get(at + 2), tokens.get(at + 3)) {
                (Some((Token::Text(name), quoted)), Some((Token::Symbol(')'), _))) => Reference {
                    name: Some(name.clone()),
                    range: quoted.start + 1..quoted.end.max(quoted.start + 2) - 1,
                },
                _ => Reference { name: None, range: span.clone() },
            });
        }
    }
    out
}
