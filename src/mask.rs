//! The words that stand for personal values where these may not be read: in whatever leaves the machine, and in the history
//! of runs.

use serde_json::Value;

/// A value of a sensitive field. `other` says that it is not the one before it, although both are masked alike.
pub fn value(value: &Value, other: bool) -> Value {
    let other_word = if other { "other " } else { "" };
    Value::String(match value {
        Value::Null => return Value::Null,
        Value::Bool(_) => "‹true or false›".into(),
        Value::Number(_) => format!("‹{other_word}number›"),
        Value::Array(items) => format!("‹{other_word}list of {}›", items.len()),
        Value::Object(_) => format!("‹{other_word}object›"),
        Value::String(text) if is_masked(text) => text.clone(),
        Value::String(text) => match email(text) {
            Some(masked) if other => format!("‹other {masked}›"),
            Some(masked) => masked,
            None => characters(text, other_word),
        },
    })
}

fn characters(text: &str, other: &str) -> String {
    match text.chars().count() {
        1 => format!("‹1 {other}character›"),
        n => format!("‹{n} {other}characters›"),
    }
}

/// A key as shown to people: its parts are masked one by one, so that a composite key keeps its shape.
pub fn key(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let end = [", ", " / ", " | ", " · "].iter().filter_map(|s| rest.find(s).map(|at| (at, s.len()))).min();
        let (part, separator, next) = match end {
            Some((at, len)) => (&rest[..at], &rest[at..at + len], &rest[at + len..]),
            None => (rest, "", ""),
        };
        out.push_str(&key_part(part));
        out.push_str(separator);
        if end.is_none() {
            return out;
        }
        rest = next;
    }
}

/// A key as it may be shown; `open`: as it is, as all its columns are declared `sensitive: false`.
pub fn shown_key(text: &str, open: bool) -> String {
    if open { text.to_owned() } else { key(text) }
}

fn key_part(part: &str) -> String {
    if part.is_empty() {
        return String::new();
    }
    if is_masked(part) {
        return part.to_owned();
    }
    if let Some(masked) = email(part) {
        return masked;
    }
    let number = part.strip_prefix('-').unwrap_or(part);
    if number.bytes().all(|b| b.is_ascii_digit()) { "‹number›".into() } else { characters(part, "") }
}

/// True for a text that is a mask and nothing else: a plan read from its masked JSON form is masked again, and must say
/// the same. Only texts that tell nothing are taken for masks.
fn is_masked(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('‹').and_then(|rest| rest.strip_suffix('›')) else { return false };
    if inner == "true or false" {
        return true;
    }
    let inner = inner.strip_prefix("other ").unwrap_or(inner);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let characters = inner.strip_suffix(" characters").or_else(|| inner.strip_suffix(" character"));
    let characters = characters.map(|n| n.strip_suffix(" other").unwrap_or(n));
    matches!(inner, "number" | "object" | "address")
        || inner.strip_prefix("list of ").is_some_and(digits)
        || characters.is_some_and(digits)
        || email(inner).is_some_and(|masked| masked == inner)
}

/// `ada@example.com` → `a…@e….com`; `None` for what is no address. Only a short, plain last label stays readable.
fn email(text: &str) -> Option<String> {
    let (local, domain) = text.split_once('@')?;
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '@' | '"' | '`' | '<' | '>' | ',' | ';' | '(' | ')');
    if !text.replacen('@', "", 1).chars().all(plain) {
        return None;
    }
    let (name, top) = domain.rsplit_once('.')?;
    let (first, first_of_name) = (local.chars().next()?, name.chars().next()?);
    let known = (2..=6).contains(&top.len()) && top.bytes().all(|b| b.is_ascii_alphabetic());
    Some(format!("{first}…@{first_of_name}….{}", if known { top } else { "…" }))
}

/// A message with every e-mail address in it masked; one that is masked already stays as it is.
pub fn addresses(text: &str) -> String {
    let part_of_address = |c: char| c.is_alphanumeric() || matches!(c, '@' | '.' | '_' | '%' | '+' | '-' | '…');
    runs(text, part_of_address, |word| {
        // Without a letter or digit it names nobody, as in `'ops'@'localhost'`.
        if !word.contains('@') || !word.contains(char::is_alphanumeric) {
            return None;
        }
        let bare = word.trim_end_matches('.');
        Some(email(bare).map_or_else(|| "‹address›".to_owned(), |masked| masked + &word[bare.len()..]))
    })
}

/// A destination's answer: it may quote the record. The key, addresses and long numbers (telephones, ids) go.
pub fn answer(text: &str, row_key: &str) -> String {
    let mut text = text.to_owned();
    if row_key.chars().count() >= 3 {
        text = text.replace(row_key, &key(row_key));
        for part in row_key.split([',', '/', '|', '·']).map(str::trim).filter(|p| p.chars().count() >= 4) {
            text = text.replace(part, &key_part(part));
        }
    }
    runs(&addresses(&text), |c| c.is_ascii_digit(), |digits| (digits.len() >= 7).then(|| "‹number›".to_owned()))
}

/// What a destination said of a record it refused. `open`: the key may be read, as all its columns are declared
/// `sensitive: false`.
pub fn rejection(row_key: &mut String, code: &mut String, message: &mut String, open: bool) {
    let quoted = if open { "" } else { row_key.as_str() };
    (*message, *code) = (answer(message, quoted), answer(code, quoted));
    *row_key = shown_key(row_key, open);
}

/// Replaces runs of characters of one kind.
fn runs(text: &str, kind: impl Fn(char) -> bool, replace: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(&kind) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(from.find(|c| !kind(c)).unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(&replace(run).unwrap_or_else(|| run.to_owned()));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_by_kind() {
        for (plain, masked) in [
            (json!("ada@example.com"), json!("a…@e….com")),
            (json!("ada@mail.example.co.uk"), json!("a…@m….uk")),
            (json!("ada@host.averylongname"), json!("a…@h….…")),
            (json!("two@at@example.com"), json!("‹18 characters›")),
            (json!("Ada Lovelace"), json!("‹12 characters›")),
            (json!("ü"), json!("‹1 character›")),
            (json!(""), json!("‹0 characters›")),
            (json!(42), json!("‹number›")),
            (json!(true), json!("‹true or false›")),
            (json!(["a", "b"]), json!("‹list of 2›")),
            (json!({"secret": 1}), json!("‹object›")),
            (json!(null), json!(null)),
        ] {
            assert_eq!(value(&plain, false), masked);
        }
    }

    #[test]
    fn what_is_masked_stays_as_it_is() {
        for plain in [
            json!("ada@example.com"),
            json!("Ada Lovelace"),
            json!("ü"),
            json!(42),
            json!(true),
            json!(["a"]),
            json!({"secret": 1}),
            json!(null),
        ] {
            for other in [false, true] {
                let once = value(&plain, other);
                assert_eq!(value(&once, false), once);
            }
            let once = value(&plain, true);
            let text = once.as_str().unwrap_or_default();
            assert_eq!(key(text), text, "also where it is a key");
        }
        assert_eq!(value(&json!("‹other a…@e….com›"), false), json!("‹other a…@e….com›"));
        for word in ["‹Ada Lovelace›", "‹other Ada›", "‹list of people›", "‹ characters›", "‹ada@example.com›", "‹›"]
        {
            assert_ne!(value(&json!(word), false), json!(word), "it would be shown");
        }
    }

    #[test]
    fn keys_keep_their_shape() {
        for (plain, masked) in [
            ("ada@example.com", "a…@e….com"),
            ("ada@example.com, 1234", "a…@e….com, ‹number›"),
            ("GB / ada", "‹2 characters› / ‹3 characters›"),
            ("-17", "‹number›"),
            ("", ""),
        ] {
            assert_eq!(key(plain), masked);
        }
    }

    #[test]
    fn answers_do_not_quote_the_record() {
        for (plain, key, masked) in [
            ("no user ada@example.com at all", "ada@example.com", "no user a…@e….com at all"),
            ("no record with email:ada@example.com.", "7", "no record with email:a…@e….com."),
            ("phone +491701234567 is not valid", "7", "phone +‹number› is not valid"),
            ("user grace-hopper is gone", "grace-hopper", "user ‹12 characters› is gone"),
            ("code 1006: limit is 1 000", "7", "code 1006: limit is 1 000"),
            ("odd @@ address x@y", "7", "odd @@ address ‹address›"),
            ("no access for 'ops'@'localhost'", "7", "no access for 'ops'@'localhost'"),
        ] {
            assert_eq!(answer(plain, key), masked);
        }
    }
}
