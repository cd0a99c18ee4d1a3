//! What all HTML pages share: one file, no network, no script; the templates of this folder with escaping always on.

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use super::diff::middle;
use super::escape::{is_hidden, value_text, visible};
use crate::diagnostic::{Error, Result};

/// Renders one of the pages.
pub(super) fn render(template: &str, context: impl Serialize) -> Result<String> {
    page(template, context).map_err(|e| Error::failed(format!("cannot make the HTML page: {e}")))
}

fn page(template: &str, context: impl Serialize) -> std::result::Result<String, minijinja::Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    env.add_template("page.html", include_str!("page.html"))?;
    env.add_template("page.css", include_str!("page.css"))?;
    env.add_template("plan.html", include_str!("plan.html"))?;
    env.add_template("run.html", include_str!("run.html"))?;
    env.get_template(template)?.render(Value::from(Serde(context)))
}

/// Data as JSON that can stand inside `<script type="application/json">`: nothing in it can end the element or hide.
pub(super) fn json_for_script(data: &impl Serialize) -> Result<Value> {
    let json = serde_json::to_string(data)
        .map_err(|e| Error::failed(format!("cannot write the data of the HTML page as JSON: {e}")))?;
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        // Outside strings JSON has none of these, inside them an escape means the same.
        if matches!(c, '<' | '>' | '&') || is_hidden(c) {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    Ok(Value::from_safe_string(out))
}

/// A number whose groups stay on one line: narrow no-break spaces instead of plain ones.
pub(super) fn number(n: u64) -> String {
    super::numbers::group(n).replace(' ', "\u{202f}")
}

/// A sentence whose grouped numbers stay on one line.
pub(super) fn numbers_together(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let digit = |at: Option<usize>| at.and_then(|n| chars.get(n)).is_some_and(char::is_ascii_digit);
    let between = |n: usize| digit(n.checked_sub(1)) && digit(Some(n + 1));
    chars.iter().enumerate().map(|(n, c)| if *c == ' ' && between(n) { '\u{202f}' } else { *c }).collect()
}

/// A verdict as parts; a number stays on one line with the word after it.
pub(super) fn headline(text: &str) -> Vec<Part> {
    let mut parts = parts(text);
    for part in parts.iter_mut().filter(|p| !p.code) {
        let mut out = String::with_capacity(part.text.len());
        for c in part.text.chars() {
            let after_number = c == ' ' && out.ends_with(|c: char| c.is_ascii_digit());
            out.push(if after_number { '\u{a0}' } else { c });
        }
        part.text = out;
    }
    parts
}

/// A sentence as parts: text and code (between back-ticks).
pub(super) fn parts(text: &str) -> Vec<Part> {
    split(numbers_together(&visible(text)))
}

/// As [`parts`], where numbers beside each other are not one: a cron expression is copied as it is written.
pub(super) fn parts_as_written(text: &str) -> Vec<Part> {
    split(visible(text))
}

fn split(text: String) -> Vec<Part> {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return vec![Part { code: false, text }];
    }
    let part = |(n, text): (usize, &&str)| Part { code: n % 2 == 1, text: (*text).to_owned() };
    pieces.iter().enumerate().map(part).filter(|p| !p.text.is_empty()).collect()
}

/// A piece of a sentence.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Part {
    pub code: bool,
    pub text: String,
}

/// A value as it is shown: what both sides begin with, what differs, what they end with; or a word when there is none.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Shown {
    pub word: Option<&'static str>,
    pub text: [String; 3],
}

impl Shown {
    /// No value, but a word that says why.
    pub fn word(word: &'static str) -> Self {
        Self { word: Some(word), text: Default::default() }
    }

    /// A value by itself.
    pub fn value(value: &serde_json::Value) -> Self {
        Self { word: None, text: [value_text(value), String::new(), String::new()] }
    }

    /// Two values, split where they differ.
    pub fn pair(before: &serde_json::Value, after: &serde_json::Value) -> (Self, Self) {
        let (before, after) = (value_text(before), value_text(after));
        let (b, a) = middle(&before, &after);
        let shown = |text: [&str; 3]| Self { word: None, text: text.map(str::to_owned) };
        (shown(b), shown(a))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_end_its_element() {
        let text =
            json_for_script(&serde_json::json!({ "a": "</script><!-- \u{202e}\u{e0041}&" })).unwrap().to_string();
        assert_eq!(text, r#"{"a":"\u003c/script\u003e\u003c!-- \u202e\udb40\udc41\u0026"}"#);
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["a"], "</script><!-- \u{202e}\u{e0041}&");
    }

    #[test]
    fn grouped_numbers_stay_together() {
        assert_eq!(numbers_together("1 204 added, 17"), "1\u{202f}204 added, 17");
    }
}
