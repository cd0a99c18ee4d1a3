//! What a destination answers may quote the records it was sent. Such quotes are taken out before the answer is written
//! down or shown anywhere: reports, comments and the history of runs hold no personal values.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::destinations::{Batch, Outcome, SendError, Sent};
use crate::mapping::{Record, Value};

/// What stands for a value that was quoted.
const QUOTED: &str = "‹value›";
/// What stands for an answer of which nobody can say what it quotes.
const LEFT_OUT: &str = "the answer may quote the record, and is left out";
/// Shorter values are everywhere, in words of any answer.
const SHORTEST: usize = 4;
/// Numbers with fewer digits are limits and codes of errors as often as they are values.
const DIGITS: usize = 7;

/// Takes the values of a batch out of its answer.
pub(super) fn remove(answer: &mut Result<Sent, SendError>, batch: &Batch) {
    let records = batch.operations.iter().map(|operation| (operation.key.as_str(), &*operation.record));
    remove_all(messages(answer), records);
}

/// Takes the values of one record out of what became of it.
pub(super) fn remove_from(outcome: &mut Outcome, key: &str, record: &Record) {
    remove_all(rejection(outcome).into_iter().flatten().collect(), std::iter::once((key, record)));
}

/// Leaves out what was said of a record that cannot be read any more.
pub(super) fn leave_out(outcome: &mut Outcome) {
    if let Outcome::Rejected { message, .. } = outcome {
        *message = LEFT_OUT.into();
    }
}

fn remove_all<'a>(texts: Vec<&mut String>, records: impl Iterator<Item = (&'a str, &'a Record)>) {
    if texts.iter().all(|text| text.is_empty()) {
        return;
    }
    let values = values(records);
    // Without a table that can be searched nothing is let through.
    let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&values);
    for text in texts {
        *text = match &search {
            Ok(search) => clean(text, search, &values),
            Err(_) => LEFT_OUT.to_owned(),
        };
    }
}

fn messages(answer: &mut Result<Sent, SendError>) -> Vec<&mut String> {
    match answer {
        Ok(Sent::Outcomes(outcomes)) => outcomes.iter_mut().filter_map(rejection).flatten().collect(),
        Ok(Sent::Partly { outcomes, message, .. }) => {
            let outcomes = outcomes.iter_mut().flatten().filter_map(rejection).flatten();
            outcomes.chain([message]).collect()
        }
        Ok(Sent::Deferred { .. }) | Err(SendError::Oversize { .. }) => Vec::new(),
        Err(SendError::Refused { code, message }) => vec![code, message],
        Err(
            SendError::Transient { message, .. }
            | SendError::Unreachable { message }
            | SendError::Lost { message }
            | SendError::Fatal { message, .. },
        ) => vec![message],
    }
}

fn rejection(outcome: &mut Outcome) -> Option<[&mut String; 2]> {
    match outcome {
        Outcome::Rejected { code, message } => Some([code, message]),
        _ => None,
    }
}

/// The texts of records in the spellings an answer may have them in.
fn values<'a>(records: impl Iterator<Item = (&'a str, &'a Record)>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (key, record) in records {
        found.insert(key.to_owned());
        for value in record.matching.iter().chain(record.fields.iter().flatten()) {
            texts(value, &mut found);
        }
    }
    let json: Vec<String> = found.iter().filter_map(|text| serde_json::to_string(text).ok()).collect();
    found.extend(json.iter().filter_map(|text| text.get(1..text.len().saturating_sub(1)).map(str::to_owned)));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.'));
    found.retain(|text| text.chars().count() >= if number(text) { DIGITS } else { SHORTEST });
    found.into_iter().collect()
}

fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Text(text) => drop(found.insert(text.to_string())),
        Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(entries) => entries.iter().for_each(|(_, value)| texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Float(_) => {}
        other => drop(found.insert(other.to_json().to_string())),
    }
}

/// The text without the values. A value of letters alone goes only where it stands as a word.
fn clean(text: &str, search: &AhoCorasick, values: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for found in search.find_iter(text) {
        let (start, end) = (found.start(), found.end());
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let word = &text[start..end];
        let within = letter(text[..start].chars().next_back()) || letter(text[end..].chars().next());
        if within && word.chars().all(char::is_alphanumeric) {
            continue;
        }
        out.push_str(&text[from..start]);
        out.push_str(QUOTED);
        from = end;
    }
    out.push_str(&text[from..]);
    without_half(out, values)
}

/// An answer that was cut short may end within a value.
fn without_half(text: String, values: &[String]) -> String {
    let Some(whole) = text.strip_suffix('…') else { return text };
    let half = |value: &String| {
        let ends = value.char_indices().map(|(at, _)| at).filter(|at| *at >= SHORTEST).collect::<Vec<_>>();
        ends.into_iter().rev().find(|at| whole.ends_with(&value[..*at]))
    };
    match values.iter().filter_map(half).max() {
        Some(bytes) => format!("{}{QUOTED}…", &whole[..whole.len() - bytes]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destinations::{Action, Operation};

    fn batch(texts: &[&str]) -> Batch {
        let record = Record {
            matching: vec![Value::Text("ada@example.com".into())],
            fields: texts.iter().map(|text| Some(Value::Text((*text).into()))).chain([None]).collect(),
        };
        let operation = Operation {
            ordinal: 0,
            action: Action::Send,
            added: true,
            key: "k-1815".into(),
            dedupe_id: "".into(),
            record: record.into(),
            in_doubt: false,
        };
        Batch { id: 1, operations: vec![operation] }
    }

    #[test]
    fn values_that_are_quoted_go_and_the_rest_of_the_answer_stays() {
        // what the destination said → what is written down; the record holds Lovelace, London, +44 20, "a \"b\" c" and 12
        for (said, kept) in [
            ("", ""),
            ("no such field `plan`", "no such field `plan`"),
            ("last name Lovelace is too long", "last name ‹value› is too long"),
            ("ada@example.com is not known", "‹value› is not known"),
            ("row k-1815: bad", "row ‹value›: bad"),
            // Within another word it is no value.
            ("Londoners only", "Londoners only"),
            ("city=London", "city=‹value›"),
            ("bad phone +44 20", "bad phone ‹value›"),
            ("the limit is 12", "the limit is 12"),
            ("{\"note\":\"a \\\"b\\\" c\"}", "{\"note\":\"‹value›\"}"),
            ("cut within Lovel…", "cut within ‹value›…"),
            ("cut after it…", "cut after it…"),
        ] {
            let mut answer = Ok(Sent::Outcomes(vec![
                Outcome::Succeeded,
                Outcome::Rejected { code: "bad".into(), message: said.into() },
            ]));
            remove(&mut answer, &batch(&["Lovelace", "London", "+44 20", "a \"b\" c", "12"]));
            let Ok(Sent::Outcomes(outcomes)) = answer else { panic!("another answer") };
            assert_eq!(outcomes[1], Outcome::Rejected { code: "bad".into(), message: kept.into() });
        }
    }
}
