//! Characters that must not reach a reader as they are, and the width of those that do.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// True for characters that change how a text is shown without being seen: control characters, bidirectional
/// controls, zero-width and tag characters, line separators.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with every hidden character written out (`\n`, `\u{202e}`), so that it can neither move a cursor nor
/// reorder what stands around it.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Columns a text takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// The text within `columns`; a longer one ends in `…`.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The text followed by spaces up to `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text after spaces up to `columns`.
pub(super) fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Joins pieces by `separator` into lines of at most `columns`; a piece is never broken, only cut when it is longer
/// than a line.
pub(super) fn wrap(pieces: &[String], separator: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if width(line) + width(separator) + width(piece) <= columns => {
                line.push_str(separator);
                line.push_str(piece);
            }
            last => {
                if let Some(line) = last {
                    line.push_str(separator.trim_end());
                }
                lines.push(cut(piece, columns.saturating_sub(width(separator.trim_end()))));
            }
        }
    }
    lines
}

/// Wraps prose at spaces into lines of at most `columns`; a grouped number (`1 204`) stays together.
pub(super) fn wrap_words(text: &str, columns: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in visible(text).split(' ').filter(|w| !w.is_empty()) {
        match words.last_mut() {
            Some(last) if ends_in_digit(last) && word.starts_with(|c: char| c.is_ascii_digit()) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    wrap(&words, " ", columns)
}

fn ends_in_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// A JSON value as people read it: compact JSON with hidden characters written out; a masked value without quotes.
pub(super) fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(s) if s.starts_with('‹') && s.ends_with('›') => visible(s),
        other => visible(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_written_out() {
        for (text, shown) in [
            ("plain ü 漢字 👩‍👩‍👧", "plain ü 漢字 👩‍👩‍👧"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
            ("c1 \u{9b}2J", "c1 \\u{9b}2J"),
            ("\u{e0041}tag", "\\u{e0041}tag"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn cutting_counts_columns_not_characters() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!(cut("ab", 0), "");
    }

    #[test]
    fn wrapped_lines_stay_within_their_columns() {
        let pieces: Vec<String> = (0..40).map(|n| format!("field_{n} {n}")).collect();
        let lines = wrap(&pieces, " · ", 50);
        assert!(lines.iter().all(|l| width(l) <= 52), "{lines:?}");
        assert_eq!(lines.join(" ").matches("field_").count(), 40);
    }
}
