//! Values → YAML text, with comments: what commands that make manifests write.
//!
//! Serialisers put comments nowhere or behind values, and write texts that only their own reader takes for text. Here
//! the rule is the other way round: a text stands without quotes only where no reader could take it for anything else.
//! A property test reads back everything that is written.

use std::fmt::Write as _;

use serde_json::Value;

/// Longest line of a comment or of a collection on one line, in characters.
const WIDTH: usize = 116;

/// A manifest in the making.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// A comment of one line or more, wrapped at spaces. Characters that move a cursor are written out.
    pub fn comment(&mut self, indent: usize, text: &str) {
        let room = WIDTH.saturating_sub(indent + 2).max(20);
        let mut line = String::new();
        let visible: String =
            text.chars().flat_map(|c| if printable(c) { vec![c] } else { c.escape_default().collect() }).collect();
        for word in visible.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                self.line(indent, &format!("# {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(indent, format!("# {line}").trim_end());
    }

    /// A line as it is: only for texts without a line break that are YAML already.
    pub fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.text, "{:indent$}{text}", "");
    }

    /// A key whose values follow, deeper by two.
    pub fn open(&mut self, indent: usize, key: &str) {
        let key = plain_or_quoted(key, true);
        self.line(indent, &format!("{key}:"));
    }

    /// A key and its value: on one line where that is readable.
    pub fn entry(&mut self, indent: usize, key: &str, value: &Value) {
        let key = plain_or_quoted(key, true);
        if let Value::String(text) = value
            && let Some(header) = literal_header(text)
        {
            self.line(indent, &format!("{key}: {header}"));
            for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                if line.is_empty() { self.text.push('\n') } else { self.line(indent + 2, line) }
            }
            return;
        }
        let one = flow(value, false);
        if is_scalar(value) || indent + key.chars().count() + 2 + one.chars().count() <= WIDTH {
            self.line(indent, &format!("{key}: {one}"));
            return;
        }
        self.line(indent, &format!("{key}:"));
        self.block(indent + 2, value);
    }

    fn block(&mut self, indent: usize, value: &Value) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| self.entry(indent, key, value)),
            Value::Array(items) => items.iter().for_each(|item| self.line(indent, &format!("- {}", flow(item, true)))),
            scalar => self.line(indent, &flow(scalar, false)),
        }
    }

    /// The text so far.
    pub fn finish(self) -> String {
        self.text
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

/// A value on one line; `within` brackets more characters need quotes.
fn flow(value: &Value, within: bool) -> String {
    match value {
        Value::String(text) => plain_or_quoted(text, within),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| flow(item, true)).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", plain_or_quoted(key, true), flow(value, true)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// `|` or `|-` where a block of lines says exactly this text.
fn literal_header(text: &str) -> Option<&'static str> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let first = body.split('\n').next().unwrap_or_default();
    let fits = body.contains('\n')
        && !body.ends_with('\n')
        && !first.trim().is_empty()
        && !first.starts_with([' ', '\t'])
        && !body.split('\n').any(|line| !line.is_empty() && line.trim().is_empty())
        && text.chars().all(|c| c == '\n' || c == '\t' || printable(c));
    fits.then_some(if text.len() == body.len() { "|-" } else { "|" })
}

fn plain_or_quoted(text: &str, within: bool) -> String {
    if is_plain(text, within) {
        return text.to_owned();
    }
    let single = (text.contains('"') || text.contains('\\')) && !text.contains('\'') && text.chars().all(printable);
    if single {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if printable(c) => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// True for characters that can stand in YAML as they are and are seen.
fn printable(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e007f}'))
}

/// True where every reader of YAML, of version 1.1 too, takes the bare text for this text.
fn is_plain(text: &str, within: bool) -> bool {
    const WORDS: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    let Some(first) = text.chars().next() else { return false };
    let span = first.is_ascii_digit()
        && text.ends_with(['m', 'h', 'd', '%'])
        && text[..text.len() - 1].bytes().all(|b| b.is_ascii_digit());
    let safe = |c: char| {
        c.is_alphanumeric()
            || matches!(c, ' ' | '_' | '-' | '.' | '/' | '%' | '(' | ')' | '+' | '=' | '@' | '$' | '<' | '>' | ';')
            || (!within && matches!(c, ',' | '\'' | '!' | '?' | '&' | '*' | '[' | ']'))
    };
    // A colon ends a key only before a space; a `#` begins a comment only after one.
    (span || first.is_alphabetic() || matches!(first, '_' | '/' | '('))
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_lowercase().as_str())
        && text.char_indices().all(|(at, c)| {
            let next = text[at + c.len_utf8()..].chars().next();
            safe(c) || (c == ':' && !within && next.is_some_and(|next| safe(next) && next != ' '))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceText;
    use crate::manifest::document::Document;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        let source = SourceText { path: "written.yaml".into(), text: text.into() };
        Document::parse(source).unwrap_or_else(|faults| panic!("{faults:?}\n{text}")).to_json()
    }

    #[test]
    fn only_a_bare_merge_key_merges() {
        let text = "all: &all { x: 1, y: 1 }\none: { <<: *all, y: 2 }\nother: { \"<<\": 3, '<<<': 4 }\n";
        let expected = json!({ "all": { "x": 1, "y": 1 }, "one": { "y": 2, "x": 1 }, "other": { "<<": 3, "<<<": 4 } });
        assert_eq!(read(text), expected);
    }

    #[test]
    fn texts_stand_without_quotes_only_where_nobody_takes_them_for_something_else() {
        for (text, written) in [
            ("plan", "plan"),
            ("24h", "24h"),
            ("5%", "5%"),
            ("a b, c", "a b, c"),
            ("https://a.example/b", "https://a.example/b"),
            ("12", "\"12\""),
            ("2026-01-01", "\"2026-01-01\""),
            ("No", "\"No\""),
            ("null", "\"null\""),
            ("", "\"\""),
            (" a", "\" a\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("- a", "\"- a\""),
            ("{{ env.KEY }}", "\"{{ env.KEY }}\""),
            ("say \"x\"", "'say \"x\"'"),
            ("bell\u{7}", "\"bell\\U00000007\""),
        ] {
            assert_eq!(plain_or_quoted(text, false), written);
        }
    }

    #[test]
    fn a_manifest_reads_as_one() {
        let mut writer = Writer::default();
        writer.comment(0, "From elsewhere.");
        writer.entry(0, "name", &json!("users"));
        writer.entry(0, "sql", &json!("select 1\n\n  from t"));
        writer.open(0, "fields");
        writer.entry(2, "a.b", &json!({ "column": "B", "transform": ["trim", "lower"] }));
        writer.comment(2, &format!("TODO {}", "word ".repeat(30)));
        let text = writer.finish();
        let expected = format!(
            "# From elsewhere.\nname: users\nsql: |-\n  select 1\n\n    from t\nfields:\n  a.b: {{ column: B, transform: [trim, lower] }}\n  # TODO {}\n  # {}\n",
            "word ".repeat(21).trim_end(),
            "word ".repeat(9).trim_end()
        );
        assert_eq!(text, expected);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[ -~]{0,12}", "[a-z \n\t:#'\"-]{0,24}", any::<String>()];
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        scalar.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[ -~]{0,9}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_value(), comment in any::<String>()) {
            let mut writer = Writer::default();
            writer.comment(0, &comment);
            writer.open(0, "open");
            writer.comment(2, &comment);
            writer.entry(2, "value", &value);
            writer.entry(0, "after", &json!("x"));
            let text = writer.finish();
            prop_assert_eq!(read(&text), json!({ "open": { "value": value }, "after": "x" }), "{}", text);
        }
    }
}
