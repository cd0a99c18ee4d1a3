//! Markdown that says what it is given and does nothing else: no link, no mention, no markup comes out of data.

use super::escape::visible;

/// Text as a code span: nothing inside is markup, mention or link. `in_table` escapes the cell border too.
pub(super) fn code(text: &str, in_table: bool) -> String {
    let text = visible(text);
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    // Spaces keep a back-tick at the edge away from the fence; the reader's Markdown takes one off each side.
    let edge = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let space = if edge && !text.trim().is_empty() { " " } else { "" };
    // In a table the border is found before code spans are, so it must be escaped even here.
    let text = if in_table { text.replace('|', "\\|") } else { text };
    format!("{fence}{space}{text}{space}{fence}")
}

/// A sentence: code spans stay code spans, words that would become links, mentions, references or markup become code.
pub(super) fn sentence(text: &str) -> String {
    let text = visible(text);
    let parts: Vec<&str> = text.split('`').collect();
    // With an odd number of back-ticks none of them can be trusted to open or close.
    if parts.len().is_multiple_of(2) {
        return plain(&text);
    }
    let part = |(n, part): (usize, &&str)| if n % 2 == 1 { code(part, true) } else { plain(part) };
    parts.iter().enumerate().map(part).collect()
}

fn plain(text: &str) -> String {
    text.split_inclusive(' ').map(word).collect()
}

fn word(word: &str) -> String {
    let (bare, space) = word.strip_suffix(' ').map_or((word, ""), |bare| (bare, " "));
    let active = bare.chars().any(|c| matches!(c, '@' | '#' | '<' | '>' | '[' | ']' | '~' | '$' | '&' | '`' | '^'));
    let lower = bare.to_ascii_lowercase();
    let link = bare.contains("://") || lower.contains("www.") || lower.starts_with("gh-") || reference(bare);
    if active || link {
        return code(bare, true) + space;
    }
    let mut out = String::new();
    for c in bare.chars() {
        if matches!(c, '*' | '_' | '\\' | '|') {
            out.push('\\');
        }
        out.push(c);
    }
    out + space
}

/// `!12` and `%name`: how some forges refer to merge requests and milestones. `5%` is none.
fn reference(word: &str) -> bool {
    let after = |mark: char| word.find(mark).and_then(|at| word[at + 1..].chars().next());
    after('!').is_some_and(char::is_alphanumeric) || after('%').is_some_and(char::is_alphabetic)
}

/// Text inside HTML that stands in Markdown.
pub(super) fn html_code(text: &str) -> String {
    let text = visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    format!("<code>{text}</code>")
}

/// A fenced block; the fence is longer than any run of back-ticks inside.
pub(super) fn fenced(language: &str, lines: &[String]) -> String {
    let longest = lines.iter().map(|l| longest_run(l, '`')).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", lines.join("\n"))
}

/// A name inside an HTML comment: only what cannot end the comment.
pub(super) fn marker(name: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' };
    let mut out: String = name.chars().take(100).map(safe).collect();
    while out.contains("--") {
        out = out.replace("--", "-");
    }
    out.trim_matches('-').to_owned()
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|c| c != of).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_spans_hold_anything() {
        for (text, markdown) in [
            ("plan", "`plan`"),
            ("a|b", "`a\\|b`"),
            ("a`b", "``a`b``"),
            ("`a``", "``` `a`` ```"),
            ("@team #12 <b>", "`@team #12 <b>`"),
            ("two\nlines", "`two\\nlines`"),
            ("", ""),
        ] {
            assert_eq!(code(text, true), markdown);
        }
    }

    #[test]
    fn words_that_would_act_become_code() {
        for (text, markdown) in [
            ("`users` would remove 5% of rows", "`users` would remove 5% of rows"),
            ("ask @team about #12", "ask `@team` about `#12`"),
            ("see https://evil.example now", "see `https://evil.example` now"),
            ("[x](y) <!-- hidden --> *bold* a_b", "`[x](y)` `<!--` hidden `-->` \\*bold\\* a\\_b"),
            ("odd ` back-tick | border", "odd `` ` `` back-tick \\| border"),
            ("merge !12 for %later", "merge `!12` for `%later`"),
            ("gone! at 5%.", "gone! at 5%."),
        ] {
            assert_eq!(sentence(text), markdown);
        }
    }

    #[test]
    fn a_comment_cannot_be_left() {
        assert_eq!(marker("prod --> <script>"), "prod-script");
        assert_eq!(marker("eu_west.1"), "eu_west.1");
    }
}
