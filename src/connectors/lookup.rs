//! Finding records before anything is done to them.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};

use super::account::failure;
use super::compile::Lookup;
use super::expression::Scope;
use super::outcome::name_hash;
use super::record::RecordScope;
use super::request::{Made, Records};
use super::rules::{ADDRESS, Answer, Verdict};
use super::template::Layer;
use super::writer::HttpWriter;
use crate::destinations::{Operation, SendError};
use crate::manifest::connector::api::Class;
use crate::manifest::connector::operation::Several;

/// Requests of a batch's look-ups in flight at the same time.
const PARALLEL: usize = 8;

/// How often what failed is asked again, as long as something else was answered.
const ROUNDS: u32 = 6;
/// The pause before the first of these.
const PAUSE: Duration = Duration::from_millis(200);

/// True where another try may do, and nobody said when.
fn passing(error: &SendError) -> bool {
    matches!(error, SendError::Transient { retry_after: None, .. })
}

/// What a look-up found.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Nothing,
    One(Json),
    Several,
    /// The look-up itself was refused.
    Refused {
        code: String,
        message: String,
    },
}

impl HttpWriter {
    /// Looks all these records up. What was found before a request failed is remembered until all are found, so that one
    /// lost answer in hundreds does not have them all asked again.
    pub(super) async fn look_up(
        &self,
        name: &str,
        lookup: &Lookup,
        operations: &[Operation],
    ) -> Result<Vec<Found>, SendError> {
        let mut known: HashMap<u64, Found> = {
            let mut remembered = self.remembered();
            let take = |o: &Operation| Some((o.ordinal, remembered.remove(&(o.ordinal, name.to_owned()))?));
            operations.iter().filter_map(take).collect()
        };
        let mut round = 0;
        let failure = loop {
            let open: Vec<&Operation> = operations.iter().filter(|o| !known.contains_key(&o.ordinal)).collect();
            let (asked, failure) = self.ask_all(lookup, &open).await;
            let progress = !asked.is_empty();
            known.extend(asked);
            match failure {
                // Who gets an answer now and then is patient; where there is none at all, the whole batch is.
                Some(error) if progress && passing(&error) && round < ROUNDS && self.account.patient => {
                    round += 1;
                    tokio::time::sleep(PAUSE * round).await;
                }
                failure => break failure,
            }
        };
        if let Some(error) = failure {
            self.remember(name, known.into_iter());
            return Err(error);
        }
        let missing = || SendError::Transient { message: "a record was not looked up".into(), retry_after: None };
        operations.iter().map(|operation| known.remove(&operation.ordinal).ok_or_else(missing)).collect()
    }

    /// Keeps what was found for when the same records come again.
    pub(super) fn remember(&self, name: &str, found: impl Iterator<Item = (u64, Found)>) {
        self.remembered().extend(found.map(|(ordinal, found)| ((ordinal, name.to_owned()), found)));
    }

    /// What was found, by the position of the rows, and the first failure.
    async fn ask_all(&self, lookup: &Lookup, open: &[&Operation]) -> (Vec<(u64, Found)>, Option<SendError>) {
        let mut parts = Vec::new();
        let mut waiting: Vec<&[&Operation]> = open.chunks(lookup.most.max(1)).rev().collect();
        while let Some(part) = waiting.pop() {
            match self.lookup_request(lookup, part) {
                Ok(made) if part.len() > 1 && lookup.bytes.is_some_and(|most| made.size() > most) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    waiting.extend([second, first]);
                }
                Ok(made) => parts.push((part, made)),
                Err(error) => return (Vec::new(), Some(error)),
            }
        }
        let parallel = if self.account.patient { PARALLEL } else { 1 };
        let mut asked = Vec::with_capacity(parts.len());
        for (part, made) in parts {
            asked.push(async move { (part, self.ask(lookup, part, made).await) });
        }
        let mut answers = futures_util::stream::iter(asked).buffered(parallel);
        let (mut found, mut failure, mut failures) = (Vec::new(), None, 0);
        while let Some((part, answer)) = answers.next().await {
            match answer {
                Ok(answer) => {
                    failures = 0;
                    found.extend(part.iter().map(|operation| operation.ordinal).zip(answer));
                }
                Err(error) => {
                    failures += 1;
                    let passing = passing(&error);
                    // What does not pass by itself is what must be told.
                    if failure.is_none() || !passing {
                        failure = Some(error);
                    }
                    // Where nothing goes through, or a pause is asked for, the rest is not tried.
                    if !passing || failures >= PARALLEL {
                        break;
                    }
                }
            }
        }
        (found, failure)
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<(u64, String), Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookup_request(&self, lookup: &Lookup, part: &[&Operation]) -> Result<Made, SendError> {
        let scope = Layer::over(Some(&self.globals)).owning("count", json!(part.len()));
        let record = |operation| RecordScope { parent: &scope, layout: &self.layout, operation, found: None };
        let mut records = Records::new(false);
        let refused = |message| SendError::Refused { code: "template".into(), message };
        if lookup.request.mentions("records") {
            for operation in part {
                records.push(None, |out| record(operation).put(lookup.record.as_ref(), out)).map_err(refused)?;
            }
        }
        match part {
            [only] => lookup.request.make(&record(only), Some(&records)),
            _ => lookup.request.make(&scope, Some(&records)),
        }
        .map_err(refused)
    }

    async fn ask(&self, lookup: &Lookup, part: &[&Operation], made: Made) -> Result<Vec<Found>, SendError> {
        let scope = Layer::over(Some(&self.globals)).owning("count", json!(part.len()));
        let only =
            part.first().map(|operation| RecordScope { parent: &scope, layout: &self.layout, operation, found: None });
        let rules: &dyn Scope = match &only {
            Some(record) if lookup.most == 1 => record,
            _ => &scope,
        };
        let mut items: Vec<(Option<u64>, Json)> = Vec::new();
        let collect = |answer: &Answer| {
            let over = answer.scope(Some(&scope));
            let Some(list) = lookup.items.json(&over) else { return };
            for item in list.as_array().into_iter().flatten() {
                let over = Layer::over(Some(&over)).with("item", item);
                let at = lookup.at.as_ref().and_then(|at| at.text(&over)).map(|text| name_hash(&text));
                let value = match &lookup.value {
                    Some(value) => value.json(&over).map(std::borrow::Cow::into_owned),
                    None => Some(item.clone()),
                };
                items.extend(value.map(|value| (at, value)));
            }
        };
        let address = made.clone();
        let verdict = self.account.pages(&lookup.request, made, &lookup.errors, rules, &self.counter, collect).await?;
        if lookup.most > 1 {
            there(&verdict, &address)?;
        }
        match verdict.class {
            Class::Ok => Ok(self.assign(lookup, part, items)),
            Class::NotFound => Ok(vec![Found::Nothing; part.len()]),
            Class::Permanent | Class::Conflict | Class::Duplicate | Class::SplitBatch | Class::Unverified => {
                let (code, message) = (verdict.code, verdict.message);
                match part {
                    [_] => Ok(vec![Found::Refused { code, message }]),
                    _ => Err(SendError::Refused { code, message }),
                }
            }
            _ => Err(failure(verdict)),
        }
    }

    fn assign(&self, lookup: &Lookup, part: &[&Operation], items: Vec<(Option<u64>, Json)>) -> Vec<Found> {
        let pick = |mut found: Vec<Json>| match (found.len(), lookup.several) {
            (0, _) => Found::Nothing,
            (1, _) | (_, Several::First) => Found::One(found.swap_remove(0)),
            _ => Found::Several,
        };
        let (Some(_), Some(is)) = (&lookup.at, &lookup.is) else {
            // One record a request: whatever is there, is it.
            return vec![pick(items.into_iter().map(|(_, value)| value).collect())];
        };
        let mut known: HashMap<u64, Vec<Json>> = HashMap::new();
        for (at, value) in items {
            known.entry(at.unwrap_or_default()).or_default().extend(at.map(|_| value));
        }
        part.iter()
            .map(|operation| {
                let scope = RecordScope { parent: &self.globals, layout: &self.layout, operation, found: None };
                let name = is.text(&scope).map(|text| name_hash(&text));
                pick(name.and_then(|name| known.get(&name)).cloned().unwrap_or_default())
            })
            .collect()
    }
}

/// A plain 404 to a request for many records is not about one of them: there is no such address.
pub(super) fn there(verdict: &Verdict, made: &Made) -> Result<(), SendError> {
    if verdict.class != Class::NotFound || !verdict.common {
        return Ok(());
    }
    let path = made.url.split('?').next().unwrap_or_default();
    Err(SendError::Fatal {
        message: format!("the destination has no `{path}`: {}", verdict.message),
        help: Some(ADDRESS.into()),
    })
}
