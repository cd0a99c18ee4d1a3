//! Diagnostics and errors as people and programs read them. The only place that turns one into text.

use std::collections::BTreeSet;
use std::fmt;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan,
    SpanContents, ThemeCharacters, ThemeStyles,
};

use super::answers::{Finding, Validation};
use super::escape::{is_hidden, visible};
use super::numbers::count;
use super::terminal::{Paint, Role};
use crate::diagnostic::{Diagnostic, Error, Place, Severity};

/// Columns a diagnostic may take; labels and help wrap there.
const WIDTH: usize = 100;
/// Bytes of a line that are shown at once; of a longer one only what stands around the place.
const LONG_LINE: usize = 240;

/// Diagnostics in the order given, each with its excerpt, and a last line that counts them. Empty for none.
pub fn text(diagnostics: &[Diagnostic], color: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let styles = if color { ThemeStyles::ansi() } else { ThemeStyles::none() };
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme { characters: ThemeCharacters::unicode(), styles })
        .with_links(false)
        .with_width(WIDTH)
        .with_context_lines(1);
    let mut out = String::new();
    for diagnostic in diagnostics {
        let mut one = String::new();
        // Writing to a string does not fail; an excerpt that cannot be drawn must not hide the message.
        if handler.render_report(&mut one, &Shown::of(diagnostic)).is_err() {
            one = plain(diagnostic);
        }
        for line in one.trim_matches('\n').lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
    out + &summary(diagnostics) + "\n"
}

/// `3 errors, 1 warning in 2 files`.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let files: BTreeSet<_> = diagnostics.iter().filter_map(|d| d.place.as_ref()).map(|p| &p.source.path).collect();
    let (errors, warnings) = totals(diagnostics);
    let mut parts = Vec::new();
    if errors > 0 || warnings == 0 {
        parts.push(count(errors, "error", "errors"));
    }
    if warnings > 0 {
        parts.push(count(warnings, "warning", "warnings"));
    }
    let files =
        if files.is_empty() { String::new() } else { format!(" in {}", count(files.len() as u64, "file", "files")) };
    parts.join(", ") + &files
}

/// Diagnostics as JSON: lines and columns count from 1, columns in characters; the end is the first place after.
pub fn validation(diagnostics: &[Diagnostic]) -> Validation {
    let (errors, warnings) = totals(diagnostics);
    let each = diagnostics.iter().map(|d| {
        let start = d.place.as_ref().map(Place::line_column);
        let end = d.place.as_ref().map(|p| end(p).line_column());
        Finding {
            severity: severity(d.severity),
            code: d.code.to_owned(),
            message: d.message.clone(),
            file: d.place.as_ref().map(file),
            line: start.map(|(line, _)| line),
            column: start.map(|(_, column)| column),
            end_line: end.map(|(line, _)| line),
            end_column: end.map(|(_, column)| column),
            label: d.label.clone(),
            help: d.help.clone(),
        }
    });
    Validation { format_version: "1.0", errors, warnings, diagnostics: each.collect() }
}

/// What ended a command, for stderr: `error: …`, and `hint: …` when there is something to do.
pub fn error_text(error: &Error, color: bool) -> String {
    if let Error::Invalid(diagnostics) = error {
        return text(diagnostics, color);
    }
    let paint = Paint { color };
    let mut out = lines(&paint.role(Role::Bad, "error:"), "error:", &error.to_string());
    if let Some(help) = error.help() {
        out.push('\n');
        out.push_str(&lines(&paint.role(Role::Hint, "hint:"), "hint:", help));
    }
    out
}

/// A word and a text after it; further lines of the text stand under its first.
fn lines(painted: &str, word: &str, text: &str) -> String {
    let mut out = String::new();
    for (n, line) in text.lines().enumerate() {
        let before = if n == 0 { painted.to_owned() } else { " ".repeat(word.len()) };
        out.push_str(format!("{before} {}", visible(line)).trim_end());
        out.push('\n');
    }
    out
}

pub(super) fn file(place: &Place) -> String {
    place.source.path.to_string_lossy().replace('\\', "/")
}

/// The place right after a place.
pub(super) fn end(place: &Place) -> Place {
    let end = place.span.end.max(place.span.start);
    Place { source: place.source.clone(), span: end..end }
}

pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn totals(diagnostics: &[Diagnostic]) -> (u64, u64) {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    (errors as u64, (diagnostics.len() - errors) as u64)
}

fn plain(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.place.as_ref().map(|p| {
        let (line, column) = p.line_column();
        format!("{}:{line}:{column}: ", visible(&file(p)))
    });
    format!("{}{}: {}", place.unwrap_or_default(), severity(diagnostic.severity), visible(&diagnostic.message))
}

/// A diagnostic in miette's terms.
#[derive(Debug)]
struct Shown {
    severity: Severity,
    code: &'static str,
    message: String,
    label: Option<String>,
    help: Option<String>,
    excerpt: Option<Excerpt>,
}

impl Shown {
    fn of(d: &Diagnostic) -> Self {
        Self {
            severity: d.severity,
            code: d.code,
            message: visible(&d.message),
            label: d.label.as_deref().map(visible),
            help: d.help.as_deref().map(|h| h.lines().map(visible).collect::<Vec<_>>().join("\n")),
            excerpt: d.place.as_ref().map(Excerpt::of),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl miette::Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|e| e as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let excerpt = self.excerpt.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(self.label.clone(), excerpt.span))))
    }
}

/// The lines around a place, at most three, and of a very long line only a part: a file of one endless line must not
/// flood the terminal.
#[derive(Debug)]
struct Excerpt {
    name: String,
    /// Shown text: as long in bytes as that of the file, but without hidden characters.
    data: String,
    /// Where `data` starts in the file.
    offset: usize,
    /// Line of the start of `data`, from 0.
    first_line: usize,
    /// Line and column of the place, from 0.
    at: (usize, usize),
    span: SourceSpan,
}

impl Excerpt {
    fn of(place: &Place) -> Self {
        let text: &str = &place.source.text;
        let start = boundary(text, place.span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        // A place of several lines is underlined in its first.
        let end = boundary(text, place.span.end).clamp(start, line_end);
        let (line, column) = place.line_column();
        let (mut from, mut to, mut first_line) = (line_start, line_end, line - 1);
        if line_end - line_start > LONG_LINE {
            from = boundary(text, start.saturating_sub(LONG_LINE / 4)).max(line_start);
            to = boundary(text, start + LONG_LINE / 2).min(line_end);
        } else {
            let before = text[..line_start.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
            if line_start > 0 && line_start - before <= LONG_LINE {
                from = before;
                first_line -= 1;
            }
            let after = text.get(line_end + 1..).map(|rest| rest.find('\n').map_or(text.len(), |at| line_end + 1 + at));
            if let Some(after) = after.filter(|after| after - line_end <= LONG_LINE) {
                to = after;
            }
        }
        let end = end.min(to);
        Self {
            name: visible(&file(place)),
            data: same_length(&text[from..to]),
            offset: from,
            first_line,
            at: (line - 1, column - 1),
            span: SourceSpan::from(start..end),
        }
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let start = span.offset().checked_sub(self.offset).ok_or(MietteError::OutOfBounds)?;
        let end = start + span.len();
        // Without context the header is asked for: the place itself, in the file's own lines and characters.
        let (data, offset, (line, column)) = if before + after == 0 {
            let part = self.data.get(start..end).ok_or(MietteError::OutOfBounds)?;
            (part, span.offset(), self.at)
        } else {
            (self.data.as_str(), self.offset, (self.first_line, 0))
        };
        let contents = MietteSpanContents::new_named(
            self.name.clone(),
            data.as_bytes(),
            SourceSpan::from(offset..offset + data.len()),
            line,
            column,
            data.lines().count(),
        );
        Ok(Box::new(contents))
    }
}

/// The text with every hidden character but line breaks and tabs replaced by visible ones of the same number of bytes.
fn same_length(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if chars.peek() == Some(&'\n') => out.push(' '),
            c if is_hidden(c) => out.push_str(match c.len_utf8() {
                1 => "?",
                2 => "·",
                3 => "\u{fffd}",
                _ => "????",
            }),
            c => out.push(c),
        }
    }
    out
}

/// The next character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests;
