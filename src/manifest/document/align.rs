//! Where the bytes of a scalar's value are in the file.
//!
//! The parser gives the value and the bytes of the whole token. Walking both at the same time, by the rules of the
//! token's style, tells for every byte of the value which byte of the token it comes from. The token of a block begins
//! with its content, after the header and the first line's indentation.

use super::tree::Style;

/// For every byte of `value`, and for its end, the offset within `raw` it comes from. Never empty. `column` is the
/// number of bytes before `raw` in its line.
pub(super) fn offsets(style: Style, raw: &str, column: usize, value: &str) -> Vec<usize> {
    let mut walk = Walk { raw, at: 0, indent: 0, block: false, out: Vec::with_capacity(value.len() + 1) };
    match style {
        Style::Literal | Style::Folded => walk.enter_block(column, value),
        Style::SingleQuoted | Style::DoubleQuoted => walk.at = usize::from(!raw.is_empty()),
        Style::Plain => {}
    }
    for c in value.chars() {
        let from = match style {
            Style::DoubleQuoted => walk.escaped(c),
            Style::SingleQuoted if c == '\'' && walk.rest().starts_with("''") => walk.jump(2),
            _ => walk.follow(c),
        };
        walk.out.extend(std::iter::repeat_n(from, c.len_utf8()));
        // All bytes of a character but the first are found at their own distance when it is written as itself.
        if raw.get(from..).is_some_and(|rest| rest.starts_with(c)) {
            let first = walk.out.len() - c.len_utf8();
            for (distance, offset) in walk.out.iter_mut().skip(first).enumerate() {
                *offset = from + distance;
            }
        }
    }
    walk.out.push(walk.at.min(raw.len()));
    walk.out
}

struct Walk<'a> {
    raw: &'a str,
    at: usize,
    /// Spaces every line of the block starts with.
    indent: usize,
    block: bool,
    out: Vec<usize>,
}

impl Walk<'_> {
    fn rest(&self) -> &str {
        self.raw.get(self.at..).unwrap_or_default()
    }

    fn jump(&mut self, bytes: usize) -> usize {
        let from = self.at;
        self.at += bytes;
        from
    }

    /// Finds the indentation of a block.
    fn enter_block(&mut self, column: usize, value: &str) {
        self.block = true;
        let leading = |text: &str| {
            let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            line.len() - line.trim_start_matches(' ').len()
        };
        // A block that begins with blank lines has its first indentation further down.
        let blank = self.raw.lines().next().is_none_or(|line| line.trim().is_empty());
        self.indent = if blank { leading(self.raw).saturating_sub(leading(value)) } else { column };
        if blank && column == 0 {
            self.dedent();
        }
    }

    fn dedent(&mut self) {
        let spaces = self.rest().bytes().take(self.indent).take_while(|b| *b == b' ').count();
        self.at += spaces;
    }

    /// Past a line break and what the next line's indentation is.
    fn next_line(&mut self) {
        if self.rest().starts_with('\r') {
            self.at += 1;
        }
        if self.rest().starts_with('\n') {
            self.at += 1;
        }
        if self.block {
            self.dedent();
        } else {
            self.at += self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
        }
    }

    fn at_break(&self) -> bool {
        self.rest().starts_with(['\n', '\r'])
    }

    /// The offset of the next character of the value, written as itself or as a line break that was folded away.
    fn follow(&mut self, c: char) -> usize {
        if !self.at_break() && self.rest().starts_with(c) {
            return self.jump(c.len_utf8());
        }
        if !self.block && !self.at_break() {
            // White space before a line break inside a flow scalar is no content.
            let blank = self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
            if self.raw.get(self.at + blank..).is_some_and(|rest| rest.starts_with(['\n', '\r'])) {
                self.at += blank;
            }
        }
        if self.at_break() && matches!(c, ' ' | '\n') {
            let from = self.at;
            self.next_line();
            return from;
        }
        while self.at_break() {
            self.next_line();
        }
        if self.rest().starts_with(c) { self.jump(c.len_utf8()) } else { self.at }
    }

    /// Like [`Self::follow`], in double quotes.
    fn escaped(&mut self, c: char) -> usize {
        while self.rest().starts_with("\\\n") || self.rest().starts_with("\\\r") {
            self.at += 1;
            self.next_line();
        }
        if !self.rest().starts_with('\\') {
            return self.follow(c);
        }
        let width = |rest: &str| match rest.as_bytes().get(1) {
            Some(b'x') => 4,
            Some(b'u') => 6,
            Some(b'U') => 10,
            _ => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
        };
        let first = width(self.rest());
        let pair = c > '\u{ffff}' && first == 6;
        self.jump(if pair { 12 } else { first })
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::SourceText;
    use crate::manifest::document::{Document, Value};

    /// What is underlined in the file for `needle` in the value of `key`.
    fn underlined(yaml: &str, needle: &str) -> String {
        let source = SourceText { path: "x.yaml".into(), text: yaml.into() };
        let document = Document::parse(source).unwrap();
        let (node, _) = document.root.find("/k").unwrap();
        let Value::Text(value) = &node.value else { panic!("not text") };
        let start = value.find(needle).unwrap_or_else(|| panic!("{needle:?} is not in {value:?}"));
        let place = document.place_within("/k", start..start + needle.len());
        yaml[place.span].to_owned()
    }

    #[test]
    fn every_style_of_scalar_points_to_its_own_bytes() {
        let cases = [
            ("k: plain {x} y\n", "{x}"),
            ("k: plain\n  and {x} y\n", "{x}"),
            ("k: plain\n\n\n  and {x} y\nz: 1\n", "{x}"),
            ("k: 'it''s {x}'\n", "{x}"),
            ("k: 'two   \n   lines {x}'\n", "{x}"),
            ("k: \"tab\\t {x} \\u00e9\"\n", "{x}"),
            ("k: \"\\u00e9\\U0001F600 {x}\"\n", "{x}"),
            ("k: \"\\uD83D\\uDE00 {x}\"\n", "{x}"),
            ("k: \"one \\\n   two {x}\"\n", "{x}"),
            ("k: |\n  first ä\n    deeper\n  {x} last\n", "{x}"),
            ("k: |2\n    starts deep {x}\n  b\n", "{x}"),
            ("k: |-\n\n\n  after blanks {x}\n", "{x}"),
            ("k: >\n  folded\n  to one {x}\n\n  para\n", "{x}"),
            ("k: >\n  para one\n\n  para two {x}\n", "{x}"),
            ("k: |\r\n  crlf\r\n  line {x}\r\n", "{x}"),
            ("a:\n - 1\nk: | # comment\n      far in {x}\n", "{x}"),
            ("k: ä {x}\n", "{x}"),
        ];
        for (yaml, needle) in cases {
            assert_eq!(underlined(yaml, needle), needle, "{yaml:?}");
        }
    }
}
