//! What a plain scalar means, and the parser's complaints in plain words.

use serde_json::Number;
use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::tree::Value;
use crate::diagnostic::Diagnostic;

/// The value of an unquoted scalar: YAML 1.2's core schema without its surprises. Numbers are those of JSON; everything
/// else that some YAML reads as a number or as true and false (`0777`, `1_000`, `+1555`, `0x1F`, `no`, `on`) is text.
///
/// # Errors
/// A number that cannot be held exactly enough to be meant, with the reason.
pub(super) fn typed(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!("`{text}` is not a number that can be sent"));
        }
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole_end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(whole_end);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return Ok(Value::Text(text.to_owned()));
    }
    if rest.is_empty() {
        let number = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
        return number.map(Value::Number).map_err(|_| format!("`{text}` is too large for a whole number"));
    }
    if !is_fraction(rest) {
        return Ok(Value::Text(text.to_owned()));
    }
    match text.parse::<f64>().ok().and_then(Number::from_f64) {
        Some(number) => Ok(Value::Number(number)),
        None => Err(format!("`{text}` is too large for a number")),
    }
}

/// `.5`, `.5e3`, `e-3`: what may follow the whole part of a JSON number.
fn is_fraction(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (fraction, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let fraction = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits);
    fraction && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

/// How much is underlined for a complaint.
pub(super) enum Extent {
    /// The character the parser stopped at.
    Character,
    /// The tab before it.
    Tab,
    /// The first tab after it.
    LaterTab,
    /// The rest of the line.
    Line,
}

pub(super) fn extent(error: &ScanError) -> Extent {
    match error.kind() {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => Extent::Tab,
        ErrorKind::TabInPlainScalar | ErrorKind::TabAtBlockScalarStart => Extent::LaterTab,
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => Extent::Line,
        _ => Extent::Character,
    }
}

/// Words for what stopped the parser.
pub(super) fn complaint(
    error: &ScanError,
    make: impl FnOnce(&'static str, String, Option<&'static str>) -> Diagnostic,
) -> Diagnostic {
    let say = |message: &str| message.to_owned();
    let (code, message, help) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => {
            ("too-deep", format!("nested deeper than {} levels", super::MAX_DEPTH), None)
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => {
            ("yaml-syntax", say("a tab stands where YAML takes only spaces"), Some("indent with spaces"))
        }
        ErrorKind::UnknownAnchor => (
            "yaml-syntax",
            say("an alias (`*name`) names an anchor that is not there"),
            Some("text that starts with `*` needs quotes"),
        ),
        ErrorKind::UnclosedQuotedScalar => {
            ("yaml-syntax", say("a quoted text is never closed"), Some("add the closing quote"))
        }
        ErrorKind::UnclosedFlowCollection { open } => (
            "yaml-syntax",
            format!("the `{open}` is never closed"),
            Some("add the closing bracket; a template that starts a value needs quotes: \"{{ … }}\""),
        ),
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            ("yaml-syntax", say("the file ends inside brackets that are never closed"), Some("add the closing bracket"))
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("yaml-syntax", say("expected `key: value` here"), Some("is a `:` missing, or the indentation wrong?"))
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => (
            "yaml-syntax",
            say("this does not fit the lines above it"),
            Some("check the indentation; keys of one block start in the same column"),
        ),
        ErrorKind::MappingValueNotAllowed => (
            "yaml-syntax",
            say("a `: ` stands where no key can be"),
            Some("check the indentation of this line and of the one before; a text with `: ` in it needs quotes"),
        ),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => (
            "yaml-syntax",
            say("expected `,` or the closing bracket here"),
            Some("a template that starts a value needs quotes: \"{{ … }}\""),
        ),
        ErrorKind::UnexpectedCharacter { character } => (
            "yaml-syntax",
            format!("a value cannot start with `{character}`"),
            Some("put the value in quotes; a template that starts a value needs them too: \"{% … %}\""),
        ),
        _ => {
            let words = error.info();
            let words = words.lines().next().unwrap_or_default();
            ("yaml-syntax", format!("not valid YAML: {words}"), None)
        }
    };
    make(code, message, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_they_look_like() {
        let cases = [
            ("12", "12"),
            ("-3", "-3"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("true", "true"),
            ("FALSE", "false"),
            ("~", "null"),
            ("", "null"),
            ("no", "\"no\""),
            ("on", "\"on\""),
            ("0777", "\"0777\""),
            ("1_000", "\"1_000\""),
            ("+15551234567", "\"+15551234567\""),
            ("0x1F", "\"0x1F\""),
            ("0o17", "\"0o17\""),
            (".5", "\".5\""),
            ("5.", "\"5.\""),
            ("1.2.3", "\"1.2.3\""),
            ("2026-11-22", "\"2026-11-22\""),
            ("5%", "\"5%\""),
            ("-", "\"-\""),
            ("1e", "\"1e\""),
        ];
        for (text, expected) in cases {
            assert_eq!(typed(text).unwrap().to_json().to_string(), expected, "{text}");
        }
        for text in [".nan", "-.inf", "123456789012345678901234567890", "1e999"] {
            assert!(typed(text).is_err(), "{text}");
        }
    }
}
