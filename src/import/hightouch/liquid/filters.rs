//! Liquid's filters, one by one: what each is here, or that it is nothing.

use super::code::Code;
use super::{Outcome, refused};
use crate::manifest::sync::Transform;

/// A filter as written.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// Its name.
    pub name: String,
    /// What stands behind the colon.
    pub arguments: Vec<Code>,
}

impl Filter {
    fn text(&self, at: usize) -> Option<&str> {
        self.arguments.get(at)?.literal_text.as_deref()
    }

    fn whole(&self, at: usize) -> Option<usize> {
        self.arguments.get(at).filter(|argument| argument.literal)?.text.parse().ok().filter(|n| *n <= 100_000)
    }
}

/// The transforms a filter is when it comes last in a template that is one column, and what to know of them.
pub(super) fn transform(filter: &Filter) -> Option<(Vec<Transform>, &'static str)> {
    let null = "null stays null; Hightouch made empty text of it";
    match (filter.name.as_str(), filter.text(0), filter.arguments.len()) {
        ("parse", None, 0) => Some((vec![Transform::Json], "text that is not JSON makes the row invalid here")),
        ("date", Some("%Y-%m-%d"), 1) => Some((vec![Transform::Date, Transform::String], null)),
        ("date", Some("%s"), 1) => Some((vec![Transform::EpochS, Transform::String], null)),
        _ => None,
    }
}

/// A value behind a filter.
///
/// # Errors
/// A filter, or a use of it, that has no exact counterpart.
pub(super) fn apply(value: Code, filter: &Filter, remarks: &mut Vec<String>) -> Outcome<Code> {
    let name = filter.name.as_str();
    if value.special.is_some_and(|special| special != "nil") {
        return refused("`empty` or `blank` as a value");
    }
    let argument = |at: usize| filter.arguments.get(at);
    remarks.extend(filter.arguments.iter().flat_map(|argument| argument.remarks.iter().cloned()));
    let piped = |word: &str| Code { text: format!("{} | {word}", value.text), ..Code::value("") };
    Ok(match (name, filter.arguments.len()) {
        ("upcase", 0) => Code { nullable: value.nullable, ..piped("upper") },
        ("downcase", 0) => Code { nullable: value.nullable, ..piped("lower") },
        ("strip", 0) => Code { nullable: value.nullable, ..piped("trim") },
        ("capitalize", 0) => Code::sure(format!("{} | string | capitalize", value.filled())),
        ("append", 1) => Code::sure(format!("({} ~ {})", value.filled(), given(argument(0)))),
        ("prepend", 1) => Code::sure(format!("({} ~ {})", given(argument(0)), value.filled())),
        ("replace", 2) => match (filter.text(0), filter.text(1)) {
            (Some(from), Some(_)) if !from.is_empty() => {
                let words = format!("replace({}, {})", given(argument(0)), given(argument(1)));
                Code::sure(format!("{} | string | {words}", value.filled()))
            }
            _ => return refused("`replace` with something else than two texts in quotes"),
        },
        ("remove", 1) => match filter.text(0) {
            Some(from) if !from.is_empty() => {
                Code::sure(format!("{} | string | replace({}, '')", value.filled(), given(argument(0))))
            }
            _ => return refused("`remove` with something else than a text in quotes"),
        },
        ("strip_newlines", 0) => {
            Code::sure(format!("{} | string | replace('\\r\\n', '') | replace('\\n', '')", value.filled()))
        }
        ("default", 1) => {
            let (text, instead) = (&value.text, argument(0).map(|a| a.text.clone()).unwrap_or_default());
            let nullable = argument(0).is_some_and(|argument| argument.nullable);
            let condition = format!("{text} is none or {text} is false or {text} in ['', []]");
            Code { nullable, ..Code::value(format!("({instead} if {condition} else {text})")) }
        }
        ("size", 0) => {
            remarks.push("`size` counts characters; Hightouch counted some emoji and rare characters twice".into());
            Code::sure(format!("{} | length", value.filled()))
        }
        ("slice", 1 | 2) => match (filter.whole(0), filter.arguments.get(1).map(|_| filter.whole(1))) {
            (Some(from), None) => slice(&value, from, 1),
            (Some(from), Some(Some(length))) => slice(&value, from, length),
            _ => return refused("`slice` with something else than whole numbers from the beginning"),
        },
        ("truncate", 1 | 2) => {
            let (length, end) =
                (filter.whole(0), if filter.arguments.len() == 2 { filter.text(1) } else { Some("...") });
            let (Some(length), Some(end)) = (length, end) else {
                return refused("`truncate` with something else than a number and a text in quotes");
            };
            let kept = length.saturating_sub(end.chars().count());
            let text = format!("({} | string)", value.filled());
            let shortened = format!("({text}[:{kept}] ~ {})", super::words::quoted(end));
            Code::sure(format!("({text} if {text} | length <= {length} else {shortened})"))
        }
        ("split", 1) => match filter.text(0) {
            Some(by) if !by.is_empty() && by != " " => {
                remarks.push("`split` keeps an empty part at the end; Hightouch dropped it".into());
                Code::sure(format!("{} | string | split({})", value.filled(), given(argument(0))))
            }
            _ => return refused("`split` by something else than a text in quotes that is not a space"),
        },
        ("first" | "last", 0) if value.text.contains("| split(") => Code::sure(format!("{} | {name}", value.text)),
        ("join", 1) if value.text.contains("| split(") && filter.text(0).is_some() => {
            Code::sure(format!("{} | join({})", value.text, given(argument(0))))
        }
        ("date", _) => return refused("the filter `date` within more than one column, or with this format"),
        (name, _) => return refused(format!("the filter `{name}`")),
    })
}

fn slice(value: &Code, from: usize, length: usize) -> Code {
    Code::sure(format!("({} | string)[{from}:{}]", value.filled(), from + length))
}

/// An argument, with empty text for null.
fn given(argument: Option<&Code>) -> String {
    argument.map(Code::filled).unwrap_or_default()
}
