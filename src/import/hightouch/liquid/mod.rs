//! Liquid → minijinja, where the two say the same.
//!
//! Hightouch renders templates with LiquidJS. What is translated here gives the same text for the same row; where a rare
//! value is treated otherwise, that is said ([`Translated::remarks`]); everything else is refused by name. Nothing is
//! guessed: a field that is not made is seen, a field that is made wrongly is not.

mod code;
mod filters;
mod scan;
#[cfg(test)]
mod tests;
mod words;

use crate::manifest::sync::Transform;
use code::Code;
use scan::Piece;
use words::Words;

/// Longest template this makes, in bytes: a value that is used several times is written several times.
const MAX_LENGTH: usize = 16 * 1024;

/// What a template became.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Translated {
    /// What the field is made of.
    pub origin: Made,
    /// What is done to the value then.
    pub transform: Vec<Transform>,
    /// Where a value may be treated otherwise than by Hightouch.
    pub remarks: Vec<String>,
}

/// What a field is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// A column as it is.
    Column(String),
    /// A minijinja template.
    Template(String),
}

/// Why a template cannot be translated: what in it, in words that go on from "uses".
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refused(pub String);

type Outcome<T> = Result<T, Refused>;

fn refused<T>(what: impl Into<String>) -> Outcome<T> {
    Err(Refused(what.into()))
}

/// Translates one template.
///
/// # Errors
/// The first thing in it that has no exact counterpart.
pub(super) fn translate(template: &str) -> Outcome<Translated> {
    let pieces = scan::pieces(template)?;
    if let Some(whole) = whole_value(&pieces)? {
        return Ok(whole);
    }
    let mut writer = Writer::default();
    writer.pieces(&mut pieces.iter().peekable(), &[])?;
    writer.finish()
}

/// A template that is one value whose last filter makes something else than text of it.
fn whole_value(pieces: &[Piece<'_>]) -> Outcome<Option<Translated>> {
    let [Piece::Output { code, .. }] = pieces else { return Ok(None) };
    let mut words = Words::new(code)?;
    let column = words.column();
    let base = words.value()?;
    let Some(last) = words.filters()?.pop() else { return Ok(None) };
    let Some((transform, remark)) = filters::transform(&last) else { return Ok(None) };
    let mut words = Words::new(code)?;
    let (mut value, mut remarks, mut filters) = (words.value()?, Vec::new(), words.filters()?);
    filters.pop();
    let origin = match column.filter(|_| filters.is_empty()) {
        Some(column) => Made::Column(column),
        None if last.name == "parse" => {
            for filter in &filters {
                value = filters::apply(value, filter, &mut remarks)?;
            }
            Made::Template(format!("{{{{ {} }}}}", value.text()))
        }
        None => return Ok(None),
    };
    remarks.extend(base.remarks);
    remarks.push(remark.into());
    Ok(Some(Translated { origin, transform, remarks }))
}

/// A minijinja template in the making.
#[derive(Default)]
struct Writer {
    out: String,
    remarks: Vec<String>,
    /// Variables that are assigned; they begin as nothing, as Liquid's do.
    assigned: Vec<String>,
    /// True when the last piece was text of the template, which the engine may cut a line break from.
    ends_in_text: bool,
}

type Pieces<'p, 't> = std::iter::Peekable<std::slice::Iter<'p, Piece<'t>>>;

impl Writer {
    /// Pieces up to one of the tags in `until`, which is left there.
    fn pieces(&mut self, pieces: &mut Pieces<'_, '_>, until: &[&str]) -> Outcome<()> {
        while let Some(piece) = pieces.peek() {
            if let Piece::Tag { name, .. } = piece
                && until.contains(name)
            {
                return Ok(());
            }
            let piece = *piece;
            pieces.next();
            match piece {
                Piece::Text(text) => self.text(text),
                Piece::Output { code, left, right } => {
                    let value = self.filtered(code)?;
                    self.code("{{", *left, &value.text(), *right, "}}");
                }
                Piece::Raw { text, left, right } => {
                    self.code("{%", *left, "raw", false, "%}");
                    self.out.push_str(text);
                    self.code("{%", false, "endraw", *right, "%}");
                }
                Piece::Comment { left, right } => {
                    if *left || *right {
                        self.code("{#", *left, "", *right, "#}");
                    }
                }
                Piece::Tag { name, code, left, right } => self.tag(name, code, (*left, *right), pieces)?,
            }
            if self.out.len() > MAX_LENGTH {
                return refused("so much that the template would become too long");
            }
        }
        match until {
            [] => Ok(()),
            until => refused(format!("a block that is never closed: `{}` is missing", until[until.len() - 1])),
        }
    }

    fn tag(&mut self, name: &str, code: &str, (left, right): (bool, bool), pieces: &mut Pieces<'_, '_>) -> Outcome<()> {
        match name {
            "if" => {
                let condition = self.condition(code)?;
                self.code("{%", left, &format!("if {condition}"), right, "%}");
                self.branches(pieces, "endif")
            }
            "unless" => {
                let condition = self.condition(code)?;
                self.code("{%", left, &format!("if not ({condition})"), right, "%}");
                self.branches(pieces, "endunless")
            }
            "case" => self.case(code, left, pieces),
            "assign" => {
                let Some((name, value)) = code.split_once('=') else { return refused("`assign` without a value") };
                let name = self.declare(name.trim())?;
                let value = self.filtered(value)?;
                self.code("{%", left, &format!("set {name} = {}", value.text()), right, "%}");
                Ok(())
            }
            "capture" => {
                let name = self.declare(code.trim().trim_matches(['\'', '"']))?;
                self.code("{%", left, &format!("set {name}"), right, "%}");
                self.pieces(pieces, &["endcapture"])?;
                let (_, left, right) = next_tag(pieces);
                self.code("{%", left, "endset", right, "%}");
                Ok(())
            }
            "echo" => {
                let value = self.filtered(code)?;
                self.code("{{", left, &value.text(), right, "}}");
                Ok(())
            }
            name => refused(format!("the tag `{name}`")),
        }
    }

    fn branches(&mut self, pieces: &mut Pieces<'_, '_>, end: &str) -> Outcome<()> {
        loop {
            self.pieces(pieces, &["elsif", "else", end])?;
            let Some(Piece::Tag { name, code, left, right }) = pieces.next() else { return Ok(()) };
            match *name {
                "elsif" => {
                    let condition = self.condition(code)?;
                    self.code("{%", *left, &format!("elif {condition}"), *right, "%}");
                }
                "else" => self.code("{%", *left, "else", *right, "%}"),
                _ => {
                    self.code("{%", *left, "endif", *right, "%}");
                    return Ok(());
                }
            }
        }
    }

    fn case(&mut self, code: &str, mut left: bool, pieces: &mut Pieces<'_, '_>) -> Outcome<()> {
        let mut words = Words::new(code)?;
        let subject = words.value()?;
        words.end()?;
        let mut word = "if";
        // What stands before the first branch is shown by nobody.
        while matches!(pieces.peek(), Some(Piece::Text(_) | Piece::Comment { .. })) {
            pieces.next();
        }
        loop {
            self.pieces(pieces, &["when", "else", "endcase"])?;
            let Some(Piece::Tag { name, code, left: own, right }) = pieces.next() else { return Ok(()) };
            let (left_now, keyword) = (std::mem::replace(&mut left, false) || *own, *name);
            match keyword {
                "when" => {
                    let values = Words::new(code)?.list()?;
                    let tests: Vec<String> = values.iter().map(|value| code::equals(&subject, value)).collect();
                    self.code("{%", left_now, &format!("{word} {}", tests.join(" or ")), *right, "%}");
                    word = "elif";
                }
                "else" if word == "elif" => self.code("{%", left_now, "else", *right, "%}"),
                "else" => return refused("a `case` without `when`"),
                _ if word == "elif" => {
                    self.code("{%", left_now, "endif", *right, "%}");
                    return Ok(());
                }
                _ => return refused("a `case` without `when`"),
            }
        }
    }

    fn filtered(&mut self, code: &str) -> Outcome<Code> {
        let mut words = Words::with(code, &self.assigned)?;
        let mut value = words.value()?;
        self.remark(&value.remarks);
        for filter in words.filters()? {
            let mut remarks = Vec::new();
            value = filters::apply(value, &filter, &mut remarks)?;
            self.remark(&remarks);
        }
        if value.text.len() > MAX_LENGTH {
            return refused("so much that the template would become too long");
        }
        Ok(value)
    }

    fn condition(&mut self, code: &str) -> Outcome<String> {
        let mut words = Words::with(code, &self.assigned)?;
        let mut remarks = Vec::new();
        let condition = words.condition(&mut remarks)?;
        words.end()?;
        self.remark(&remarks);
        Ok(condition)
    }

    fn declare(&mut self, name: &str) -> Outcome<String> {
        let fine = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fine || matches!(name, "row" | "vars" | "environment" | "run" | "context" | "loop" | "self") {
            return refused(format!("a variable called `{name}`"));
        }
        if !self.assigned.iter().any(|known| known == name) {
            self.assigned.push(name.to_owned());
        }
        Ok(name.to_owned())
    }

    fn remark(&mut self, remarks: &[String]) {
        for remark in remarks {
            if !self.remarks.contains(remark) {
                self.remarks.push(remark.clone());
            }
        }
    }

    fn text(&mut self, text: &str) {
        // What Liquid takes for text must not begin code here.
        for (at, part) in text.split("{#").enumerate() {
            if at > 0 {
                self.out.push_str("{{ '{#' }}");
            }
            self.out.push_str(part);
        }
        self.ends_in_text = !text.is_empty();
    }

    fn code(&mut self, open: &str, left: bool, code: &str, right: bool, close: &str) {
        if self.out.ends_with('{') {
            self.out.pop();
            self.out.push_str("{{ '{' }}");
        }
        let (left, right) = (if left { "-" } else { "" }, if right { "-" } else { "" });
        let space = if code.is_empty() { "" } else { " " };
        self.out.push_str(&format!("{open}{left}{space}{code} {right}{close}"));
        self.ends_in_text = false;
    }

    fn finish(self) -> Outcome<Translated> {
        let Writer { mut out, remarks, assigned, ends_in_text } = self;
        // The engine cuts one line break from the end of a template.
        if ends_in_text && out.ends_with('\n') {
            out.push('\n');
        } else if ends_in_text && out.ends_with('\r') {
            out.pop();
            out.push_str("{{ '\\r' }}");
        }
        let begin: String = assigned.iter().map(|name| format!("{{% set {name} = none %}}")).collect();
        Ok(Translated { origin: Made::Template(begin + &out), transform: Vec::new(), remarks })
    }
}

/// The tag that [`Writer::pieces`] stopped at.
fn next_tag<'t>(pieces: &mut Pieces<'_, 't>) -> (&'t str, bool, bool) {
    match pieces.next() {
        Some(Piece::Tag { name, left, right, .. }) => (name, *left, *right),
        _ => ("", false, false),
    }
}
