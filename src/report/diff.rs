//! Lines and words of a difference.

/// What a line of a unified diff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// Only in the new text.
    Added,
    /// Only in the old text.
    Removed,
    /// In both.
    Same,
    /// `@@ … @@`: where the next lines stand.
    Place,
}

/// The lines of a unified diff without its file header.
pub(super) fn lines(diff: &str) -> Vec<(Line, &str)> {
    diff.lines()
        .enumerate()
        // A removed line may itself begin with `--`: only the first two lines can be the header.
        .filter(|(n, line)| !(*n < 2 && (line.starts_with("--- ") || line.starts_with("+++ "))))
        .filter(|(_, line)| !line.starts_with('\\'))
        .map(|(_, line)| match line.as_bytes().first() {
            Some(b'+') => (Line::Added, &line[1..]),
            Some(b'-') => (Line::Removed, &line[1..]),
            Some(b'@') => (Line::Place, line),
            Some(b' ') => (Line::Same, &line[1..]),
            _ => (Line::Same, line),
        })
        .collect()
}

/// Lines added or removed.
pub(super) fn changed_lines(diff: &str) -> u64 {
    lines(diff).iter().filter(|(line, _)| matches!(line, Line::Added | Line::Removed)).count() as u64
}

/// Splits two texts into what they begin with alike, what differs, and what they end with alike, at word borders.
pub(super) fn middle<'a>(before: &'a str, after: &'a str) -> ([&'a str; 3], [&'a str; 3]) {
    let (a, b) = (words(before), words(after));
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let most = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(x, y)| x == y).count();
    let size = |words: &[&str]| words.iter().map(|w| w.len()).sum::<usize>();
    let (start, end) = (size(&a[..head]), size(&a[a.len() - tail..]));
    let split = |text: &'a str| {
        let (first, rest) = text.split_at(start);
        let (mid, last) = rest.split_at(rest.len() - end);
        [first, mid, last]
    };
    (split(before), split(after))
}

/// Runs of letters and digits, and every other character by itself.
fn words(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        let word = c.is_alphanumeric();
        if !(word && in_word) && at > start {
            out.push(&text[start..at]);
            start = at;
        }
        in_word = word;
    }
    if start < text.len() {
        out.push(&text[start..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_that_differ_are_in_the_middle() {
        for (before, after, a, b) in [
            ("\"free plan\"", "\"premium plan\"", ["\"", "free", " plan\""], ["\"", "premium", " plan\""]),
            ("", "x", ["", "", ""], ["", "x", ""]),
            ("a a", "a a a", ["a a", "", ""], ["a a", " a", ""]),
            ("same", "same", ["same", "", ""], ["same", "", ""]),
            ("größe 1", "größe 2", ["größe ", "1", ""], ["größe ", "2", ""]),
        ] {
            assert_eq!(middle(before, after), (a, b));
        }
    }

    #[test]
    fn a_removed_comment_is_no_header() {
        let diff =
            "--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1 @@\n--- old comment\n select 1\n\\ No newline at end of file\n";
        assert_eq!(
            lines(diff),
            [(Line::Place, "@@ -1,2 +1 @@"), (Line::Removed, "-- old comment"), (Line::Same, "select 1")]
        );
        assert_eq!(changed_lines(diff), 1);
    }
}
