//! A Liquid template cut into text, values and tags.

use super::{Outcome, refused};

/// A part of a template. `left` and `right` say whether white space before and after it is cut (`{{-`, `-%}`).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece<'t> {
    /// What is shown as it is.
    Text(&'t str),
    /// `{{ … }}`
    Output { code: &'t str, left: bool, right: bool },
    /// `{% name … %}`
    Tag { name: &'t str, code: &'t str, left: bool, right: bool },
    /// What stands between `raw` and `endraw`.
    Raw { text: &'t str, left: bool, right: bool },
    /// What stands between `comment` and `endcomment`.
    Comment { left: bool, right: bool },
}

/// The pieces of a template.
///
/// # Errors
/// Something that is opened and never closed.
pub(super) fn pieces(template: &str) -> Outcome<Vec<Piece<'_>>> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(at) = opening(rest) {
        if at > 0 {
            out.push(Piece::Text(&rest[..at]));
        }
        let tag = rest[at..].starts_with("{%");
        let close = if tag { "%}" } else { "}}" };
        let Some(end) = closing(&rest[at + 2..], close) else {
            return refused(format!("`{}` that is never closed", &rest[at..at + 2]));
        };
        let (code, left, right) = trimmed(&rest[at + 2..at + 2 + end]);
        rest = &rest[at + 2 + end + 2..];
        if !tag {
            out.push(Piece::Output { code, left, right });
            continue;
        }
        let name_end = code.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(code.len());
        let (name, code) = (&code[..name_end], code[name_end..].trim());
        match name {
            "raw" | "comment" => {
                let ending = format!("end{name}");
                let Some((inner, right, after)) = upto(rest, &ending) else {
                    return refused(format!("`{name}` that is never closed"));
                };
                out.push(match name {
                    "raw" => Piece::Raw { text: inner, left, right },
                    _ => Piece::Comment { left, right },
                });
                rest = after;
            }
            "" => return refused("a tag without a name"),
            _ => out.push(Piece::Tag { name, code, left, right }),
        }
    }
    if !rest.is_empty() {
        out.push(Piece::Text(rest));
    }
    Ok(out)
}

fn opening(text: &str) -> Option<usize> {
    match (text.find("{{"), text.find("{%")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The end of code, which may hold the delimiter within quotes.
fn closing(code: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in code.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if code[at..].starts_with(close) => return Some(at),
            None if c == '\'' || c == '"' => quote = Some(c),
            None => {}
        }
    }
    None
}

/// Code without the marks that cut white space.
fn trimmed(code: &str) -> (&str, bool, bool) {
    let (left, code) = code.strip_prefix('-').map_or((false, code), |code| (true, code));
    let (right, code) = code.strip_suffix('-').map_or((false, code), |code| (true, code));
    (code.trim(), left, right)
}

/// The text up to the tag of a name, whether that cuts white space after it, and what follows.
fn upto<'t>(text: &'t str, ending: &str) -> Option<(&'t str, bool, &'t str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("{%").map(|at| from + at) {
        let end = at + 2 + text[at + 2..].find("%}")?;
        let (code, left, right) = trimmed(&text[at + 2..end]);
        if code == ending {
            let inner = &text[..at];
            return Some((if left { inner.trim_end() } else { inner }, right, &text[end + 2..]));
        }
        from = at + 2;
    }
    None
}
