//! Lines that are not indented as they should be, and texts with a `: ` in them: what the parser stops at is often not the
//! line that is wrong.

use std::ops::Range;

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

/// What is wrong, where, and what to do.
pub(super) struct Fault {
    /// Bytes of the file.
    pub span: Range<usize>,
    pub message: String,
    pub help: String,
}

/// What stopped the parser at a byte, where it is the indentation or a `: ` within a text.
pub(super) fn explain(text: &str, at: usize, error: &ScanError) -> Option<Fault> {
    let lines = lines(text);
    let here = lines.iter().position(|line| line.start <= at && at <= line.end)?;
    let line = lines.get(here)?;
    match error.kind() {
        ErrorKind::MappingValueNotAllowed => {
            // A colon behind another one stands in a value.
            if let Some((key, value)) = line.pair().filter(|(key, _)| line.content() + key.len() < at) {
                return Some(needs_quotes(key, line.end - value.len()..line.end));
            }
            let before = lines.get(here.checked_sub(1)?)?;
            match line.pair() {
                Some((key, _)) if key.contains(' ') => {
                    let (key, _) = before.pair()?;
                    Some(needs_quotes(key, line.content()..line.end))
                }
                _ if line.indent > before.indent => Some(deeper(&lines, here)),
                _ => None,
            }
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            let before = lines.get(here.checked_sub(1)?)?;
            if line.content() != at {
                None
            } else if line.indent > before.indent {
                Some(deeper(&lines, here))
            } else if line.indent < before.indent {
                Some(shallower(&lines, here))
            } else {
                None
            }
        }
        _ => None,
    }
}

fn needs_quotes(key: &str, span: Range<usize>) -> Fault {
    Fault {
        span,
        message: "a text with `: ` in it needs quotes".into(),
        help: format!("put the whole text in quotes: `{key}: \"…\"`, or write it below `{key}: >-`"),
    }
}

/// A line that is deeper than the one before, which has a value already.
fn deeper(lines: &[Line<'_>], here: usize) -> Fault {
    let (line, before) = (&lines[here], &lines[here - 1]);
    let above = here.checked_sub(2).and_then(|at| lines.get(at));
    // `fields:`, then `plan: plan` in the same column, then this one: the line between was meant to be part of `fields`.
    if let Some(key) = above.filter(|above| above.indent == before.indent).and_then(Line::opens) {
        return Fault {
            span: before.content()..before.end,
            message: format!("this line is indented as `{key}`, and the one after it is deeper"),
            help: format!(
                "is it part of `{key}`? then it begins in column {}, as line {} does",
                line.column(),
                line.number
            ),
        };
    }
    Fault {
        span: line.content()..line.end,
        message: "this line is indented deeper than the one before it, which has its value already".into(),
        help: format!("{}; is the line before indented as this one should be?", columns(before, line)),
    }
}

/// A line that begins where no block does.
fn shallower(lines: &[Line<'_>], here: usize) -> Fault {
    let (line, before) = (&lines[here], &lines[here - 1]);
    let above = here.checked_sub(2).and_then(|at| lines.get(at));
    let after = lines.get(here + 1);
    let opened = above.is_some_and(|above| above.opens().is_some() && above.indent < line.indent);
    // The first line of a block against at least two others.
    if opened && after.is_some_and(|after| after.indent == line.indent) {
        return Fault {
            span: before.content()..before.end,
            message: "this line is indented deeper than those after it".into(),
            help: columns(before, line),
        };
    }
    Fault {
        span: line.content()..line.content() + line.text.chars().next().map_or(0, char::len_utf8),
        message: "this does not fit the lines above it".into(),
        help: columns(before, line),
    }
}

fn columns(before: &Line<'_>, line: &Line<'_>) -> String {
    format!(
        "keys of one block start in the same column: line {} starts in column {}, line {} in column {}",
        before.number,
        before.column(),
        line.number,
        line.column()
    )
}

/// A line that says something.
struct Line<'a> {
    /// From 1.
    number: usize,
    /// Its bytes in the file, without what ends it.
    start: usize,
    end: usize,
    /// Spaces before it.
    indent: usize,
    /// What stands behind them.
    text: &'a str,
}

impl<'a> Line<'a> {
    fn content(&self) -> usize {
        self.start + self.indent
    }

    fn column(&self) -> usize {
        self.indent + 1
    }

    /// Key and value, of a line that is `key: value`.
    fn pair(&self) -> Option<(&'a str, &'a str)> {
        self.text.split_once(": ").map(|(key, value)| (key, value.trim_start()))
    }

    /// The key of a line that is nothing else: what is below belongs to it.
    fn opens(&self) -> Option<&'a str> {
        self.text.strip_suffix(':').filter(|key| !key.contains(": "))
    }
}

/// The lines that are neither empty nor remarks.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    let mut lines = Vec::new();
    for (at, whole) in text.split_inclusive('\n').enumerate() {
        let line = whole.trim_end();
        let said = line.trim_start_matches(' ');
        if !said.is_empty() && !said.starts_with('#') {
            let (end, indent) = (start + line.len(), line.len() - said.len());
            lines.push(Line { number: at + 1, start, end, indent, text: said });
        }
        start += whole.len();
    }
    lines
}
