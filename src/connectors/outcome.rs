//! What an answer says of each record. Where it does not say it clearly, no success comes of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hasher as _;
use std::time::Duration;

use serde_json::{Value as Json, json};
use siphasher::sip::SipHasher13;

use super::compile::{List, Outcome as Words};
use super::expression::Scope;
use super::rules::{bounded, seconds};
use super::template::Layer;
use crate::destinations::Outcome;
use crate::manifest::connector::api::Class;
use crate::manifest::connector::operation::{By, Rest};

/// What is known of one record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Each {
    /// Its outcome.
    Done(Outcome),
    /// Nothing was done for it; worth another try.
    Again,
}

/// A name of a record as answers and records are compared by: the hash of its text, the same in every run.
pub(super) fn name_hash(text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// A record an answer may be about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Subject {
    /// True when an earlier attempt may have arrived.
    pub in_doubt: bool,
    /// True when it is to be gone: what is not there is done.
    pub removal: bool,
}

/// Reads the lists of one or several answers about the same records.
pub(super) struct Reader<'a> {
    subjects: &'a [Subject],
    each: Vec<Option<Each>>,
    /// Something was said of a record nobody knows, or of two at once.
    stray: bool,
    lost: Option<String>,
    again: Option<(String, Option<Duration>)>,
}

/// What became of the records of a request.
#[derive(Debug)]
pub(super) struct Read {
    pub each: Vec<Each>,
    /// Why some are worth another try, and when.
    pub again: Option<(String, Option<Duration>)>,
}

/// An item of a list, judged.
struct Judged {
    class: Class,
    code: String,
    message: String,
    wait: Option<Duration>,
}

impl<'a> Reader<'a> {
    /// A reader that knows nothing yet.
    pub fn new(subjects: &'a [Subject]) -> Self {
        Self { subjects, each: vec![None; subjects.len()], stray: false, lost: None, again: None }
    }

    /// Reads one list. `names` gives, for `by: key`, the name of each record in this list's words.
    pub fn list(&mut self, list: &List, by: By, scope: &dyn Scope, names: impl FnOnce() -> Vec<Option<u64>>) {
        let found = list.items.json(scope);
        let Some(items) = items(found.as_deref()) else {
            if by == By::Order {
                self.lost.get_or_insert_with(|| "the answer has no results".into());
            }
            return;
        };
        if by == By::Order && items.len() != self.subjects.len() {
            let (got, sent) = (items.len(), self.subjects.len());
            self.lost.get_or_insert_with(|| format!("the answer has {got} results for {sent} records"));
            return;
        }
        if items.is_empty() {
            return;
        }
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        if by == By::Key {
            for (position, name) in names().into_iter().enumerate() {
                known.entry(name.unwrap_or_default()).or_default().extend(name.map(|_| position));
            }
        }
        for (number, item) in items.iter().enumerate() {
            let scope = Layer::over(Some(scope)).with("item", item);
            let at = || match &list.at {
                Some(at) => at.json(&scope),
                None => Some(Cow::Borrowed(&**item)),
            };
            let positions: Vec<usize> = match by {
                By::Whole => (0..self.subjects.len()).collect(),
                By::Order => vec![number],
                By::Index => {
                    at().and_then(|at| position(&at)).filter(|at| *at < self.subjects.len()).into_iter().collect()
                }
                By::Key => {
                    let name = super::value::plain(at().as_deref()).map(|text| name_hash(&text));
                    name.and_then(|name| known.get(&name)).cloned().unwrap_or_default()
                }
            };
            let judged = judge(list, &scope);
            match (by, positions.as_slice()) {
                (By::Whole | By::Order, all) => all.iter().for_each(|at| self.put(*at, &judged)),
                (_, [only]) => self.put(*only, &judged),
                // Somebody was refused, and nobody knows who.
                (_, []) => self.stray |= judged.class != Class::Ok,
                // What is the matter with a name is the matter with all records that bear it: no two of a request have the
                // same identifiers, so it is a name such as that of a kind of event.
                (_, several) => several.iter().for_each(|at| self.put(*at, &judged)),
            }
        }
    }

    fn put(&mut self, at: usize, judged: &Judged) {
        let (Some(slot), Some(subject)) = (self.each.get_mut(at), self.subjects.get(at)) else { return };
        if slot.is_some() {
            return;
        }
        let Judged { class, code, message, wait } = judged;
        match single(*class, code, message, *subject) {
            Some(each) => {
                if each == Each::Again {
                    let again = self.again.get_or_insert_with(|| (message.clone(), *wait));
                    again.1 = again.1.max(*wait);
                }
                *slot = Some(each);
            }
            None => {
                self.lost.get_or_insert_with(|| message.clone());
            }
        }
    }

    /// How many records were named so far.
    pub fn named(&self) -> usize {
        self.each.iter().flatten().count()
    }

    /// What holds for records no list named. The error says why nothing is known of the request.
    pub fn finish(self, words: &Words, scope: &dyn Scope) -> Result<Read, String> {
        if let Some(lost) = self.lost {
            return Err(lost);
        }
        let named = self.named();
        let scope = Layer::over(Some(scope)).owning("named", json!(named));
        let clear = !self.stray && words.check.as_ref().is_none_or(|check| check.truth(&scope));
        let rest = match words.rest {
            Rest::Ok if clear => Each::Done(Outcome::Succeeded),
            Rest::Ok | Rest::Unverified => Each::Done(Outcome::Unverified),
            Rest::Again => Each::Again,
        };
        let each: Vec<Each> = self.each.into_iter().map(|each| each.unwrap_or_else(|| rest.clone())).collect();
        Ok(Read { each, again: self.again })
    }
}

/// What a class means for a single record; `None` where nothing is known of it.
pub(super) fn single(class: Class, code: &str, message: &str, subject: Subject) -> Option<Each> {
    let rejected = || Each::Done(Outcome::Rejected { code: code.into(), message: message.into() });
    Some(match class {
        Class::Ok => Each::Done(Outcome::Succeeded),
        Class::Unverified => Each::Done(Outcome::Unverified),
        Class::RateLimited | Class::Transient | Class::QuotaExhausted => Each::Again,
        Class::Lost => return None,
        Class::NotFound if subject.removal => Each::Done(Outcome::Succeeded),
        Class::NotFound => Each::Done(Outcome::NoMatch),
        Class::Duplicate if subject.in_doubt => Each::Done(Outcome::Succeeded),
        Class::Duplicate | Class::Permanent | Class::Conflict => rejected(),
        Class::SplitBatch | Class::AuthFatal | Class::Reauth => rejected(),
    })
}

/// The items of a list; those of an object are `{key, value}`; `None` where there is nothing.
fn items(found: Option<&Json>) -> Option<Vec<Cow<'_, Json>>> {
    match found? {
        Json::Null => None,
        Json::Array(items) => Some(items.iter().map(Cow::Borrowed).collect()),
        Json::Object(entries) => {
            Some(entries.iter().map(|(key, value)| Cow::Owned(json!({"key": key, "value": value}))).collect())
        }
        other => Some(vec![Cow::Borrowed(other)]),
    }
}

fn position(at: &Json) -> Option<usize> {
    match at {
        Json::Number(number) => usize::try_from(number.as_u64()?).ok(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn judge(list: &List, scope: &Layer<'_>) -> Judged {
    let text = |expression: &Option<super::expression::Expression>, scope: &dyn Scope| {
        expression.as_ref().and_then(|e| e.text(scope)).filter(|text| !text.is_empty())
    };
    let uses = |name: &str| list.rules.iter().any(|rule| rule.when.mentions(name));
    let (mut code, mut message) = (None, None);
    if uses("code") || uses("message") {
        (code, message) = (text(&list.code, scope), text(&list.message, scope));
    }
    let over = Layer::over(Some(scope)).owning("code", json!(code)).owning("message", json!(message));
    let rule = list.rules.iter().find(|rule| rule.when.truth(&over));
    let class = rule.map_or(list.class, |rule| rule.class);
    if class == Class::Ok {
        return Judged { class, code: String::new(), message: String::new(), wait: None };
    }
    let label = if list.label.is_empty() { "rejected" } else { &list.label };
    let code = rule.and_then(|rule| text(&rule.code, &over)).or(code).or_else(|| text(&list.code, scope));
    let message = rule.and_then(|rule| text(&rule.message, &over)).or(message).or_else(|| text(&list.message, scope));
    Judged {
        class,
        code: code.map_or_else(|| label.to_owned(), |code| bounded(&code)),
        message: message.map_or_else(|| format!("the destination lists the record under `{label}`"), |m| bounded(&m)),
        wait: rule.and_then(|rule| seconds(rule.wait.as_ref(), &over)),
    }
}

/// What the lists of an answer for the whole request say: the class of the first item that is not `ok`.
pub(super) fn whole(words: &Words, scope: &dyn Scope) -> Option<super::rules::Verdict> {
    for list in &words.results {
        let found = list.items.json(scope);
        for item in items(found.as_deref()).unwrap_or_default() {
            let judged = judge(list, &Layer::over(Some(scope)).with("item", &item));
            if judged.class != Class::Ok {
                let Judged { class, code, message, wait } = judged;
                return Some(super::rules::Verdict { status: 200, class, code, message, wait, common: false });
            }
        }
    }
    None
}

/// The warnings of an answer, each text once.
pub(super) fn warnings(words: &Words, scope: &dyn Scope) -> Vec<String> {
    let mut texts = Vec::new();
    for (list, message) in &words.warnings {
        let found = list.json(scope);
        for item in items(found.as_deref()).unwrap_or_default() {
            let over = Layer::over(Some(scope)).with("item", &item);
            if let Ok(Some(text)) = message.render(&over) {
                let text = bounded(&text);
                if !texts.contains(&text) {
                    texts.push(text);
                }
            }
        }
    }
    texts
}
