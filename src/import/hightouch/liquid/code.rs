//! Pieces of minijinja code that mean what Liquid's meant. The difference is mostly what nothing is: Liquid shows null as
//! nothing, takes only null and false for untrue, and compares null with anything without complaint.

use super::{Outcome, refused};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Code {
    /// The expression, as it can stand at the left of a filter.
    pub text: String,
    /// True when it may be null.
    pub nullable: bool,
    /// The text it is, when it is a literal text.
    pub literal_text: Option<String>,
    /// `nil`, `empty` or `blank`.
    pub special: Option<&'static str>,
    /// True for a literal.
    pub literal: bool,
    /// Where a value may be treated otherwise than by Hightouch.
    pub remarks: Vec<String>,
}

impl Code {
    fn new(text: impl Into<String>, nullable: bool) -> Self {
        let (literal_text, special, literal, remarks) = (None, None, false, Vec::new());
        Self { text: text.into(), nullable, literal_text, special, literal, remarks }
    }

    /// A column or a variable.
    pub fn value(text: impl Into<String>) -> Self {
        Self::new(text, true)
    }

    /// What is never null.
    pub fn sure(text: impl Into<String>) -> Self {
        Self::new(text, false)
    }

    /// What is never null, and is something else than Hightouch gave.
    pub fn remarked(text: &str, remark: &str) -> Self {
        Self { remarks: vec![remark.into()], ..Self::new(text, false) }
    }

    /// A number, a truth or a text in quotes.
    pub fn literal(text: impl Into<String>, literal_text: Option<String>) -> Self {
        Self { literal_text, literal: true, ..Self::new(text, false) }
    }

    /// `nil`
    pub fn nothing() -> Self {
        Self { special: Some("nil"), literal: true, ..Self::new("none", true) }
    }

    /// `empty` and `blank`: words that only comparisons know.
    pub fn emptiness(word: &str) -> Self {
        let special = if word == "empty" { "empty" } else { "blank" };
        Self { special: Some(special), literal: true, ..Self::new("''", false) }
    }

    /// The expression to stand alone: without brackets around all of it.
    pub fn text(&self) -> String {
        let text = &self.text;
        let whole = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        match whole.filter(|inner| closes_last(inner)) {
            Some(inner) => inner.to_owned(),
            None => text.clone(),
        }
    }

    /// The expression with empty text for null.
    pub fn filled(&self) -> String {
        if self.nullable { format!("('' if {0} is none else {0})", self.text) } else { self.text.clone() }
    }
}

/// True when the brackets around this text belong to each other.
fn closes_last(inner: &str) -> bool {
    let mut depth = 0_i32;
    let (mut quoted, mut escaped) = (false, false);
    for c in inner.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

/// What Liquid takes for true: all but null and false.
pub(super) fn truth(value: &Code) -> String {
    let text = &value.text;
    match value {
        Code { special: Some("nil"), .. } => "false".into(),
        Code { literal: true, .. } if text == "false" => "false".into(),
        Code { literal: true, .. } => "true".into(),
        Code { nullable: false, .. } => format!("{text} is not false"),
        _ => format!("({text} is not none and {text} is not false)"),
    }
}

/// `==`
pub(super) fn equals(left: &Code, right: &Code) -> String {
    match (left.special, right.special) {
        (_, Some(special)) => is_special(left, special),
        (Some(special), _) => is_special(right, special),
        _ => format!("{} == {}", left.text, right.text),
    }
}

fn is_special(value: &Code, special: &str) -> String {
    let text = &value.text;
    match special {
        "nil" => format!("{text} is none"),
        "empty" => format!("({text} is not none and {text} in ['', [], {{}}])"),
        _ => format!(
            "({text} is none or {text} is false or ({text} is string and not {text} | trim) or {text} in [[], {{}}])"
        ),
    }
}

/// `<`, `>`, `<=`, `>=`: with null always untrue; and never an order between kinds of values, which the engine has.
pub(super) fn compare(left: &Code, sign: &str, right: &Code) -> String {
    let (a, b) = (&left.text, &right.text);
    let numbers = format!("{a} is number and {b} is number");
    let texts = format!("{a} is string and {b} is string");
    let kinds = match (left, right) {
        (Code { special: Some(_), .. }, _) | (_, Code { special: Some(_), .. }) => return "false".into(),
        (Code { literal: true, literal_text: Some(_), .. }, _) => format!("{b} is string"),
        (_, Code { literal: true, literal_text: Some(_), .. }) => format!("{a} is string"),
        (Code { literal: true, .. }, _) => format!("{b} is number"),
        (_, Code { literal: true, .. }) => format!("{a} is number"),
        _ => format!("(({numbers}) or ({texts}))"),
    };
    format!("({kinds} and {a} {sign} {b})")
}

/// `contains`: a part of a text, or an item of a list.
pub(super) fn contains(left: &Code, right: &Code) -> Outcome<String> {
    let (Some(_), false) = (&right.literal_text, left.literal) else {
        return refused("`contains` with something else than a text in quotes");
    };
    let (whole, part) = (&left.text, &right.text);
    Ok(format!("(({whole} is string or {whole} is sequence) and {part} in {whole})"))
}
