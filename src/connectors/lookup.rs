//! Finding records before anything is done to them.

use std::collections::HashMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value as Json, json};

use super::account::failure;
use super::compile::Lookup;
use super::expression::Scope;
use super::outcome::name_hash;
use super::record::RecordScope;
use super::request::{Made, Records};
use super::rules::Answer;
use super::template::Layer;
use super::writer::HttpWriter;
use crate::destinations::{Operation, SendError};
use crate::manifest::connector::api::Class;
use crate::manifest::connector::operation::Several;

/// Requests of a batch's look-ups in flight at the same time.
const PARALLEL: usize = 8;

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
    /// Looks all these records up.
    pub(super) async fn look_up(&self, lookup: &Lookup, operations: &[Operation]) -> Result<Vec<Found>, SendError> {
        let mut parts = Vec::new();
        let mut waiting: Vec<&[Operation]> = operations.chunks(lookup.most.max(1)).rev().collect();
        while let Some(part) = waiting.pop() {
            let made = self.lookup_request(lookup, part)?;
            if part.len() > 1 && lookup.bytes.is_some_and(|most| made.size() > most) {
                let (first, second) = part.split_at(part.len() / 2);
                waiting.extend([second, first]);
            } else {
                parts.push((part, made));
            }
        }
        let parallel = if self.account.patient { PARALLEL } else { 1 };
        let mut asked = Vec::with_capacity(parts.len());
        for (part, made) in parts {
            asked.push(self.ask(lookup, part, made));
        }
        let found: Vec<Vec<Found>> = futures_util::stream::iter(asked).buffered(parallel).try_collect().await?;
        Ok(found.concat())
    }

    fn lookup_request(&self, lookup: &Lookup, part: &[Operation]) -> Result<Made, SendError> {
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

    async fn ask(&self, lookup: &Lookup, part: &[Operation], made: Made) -> Result<Vec<Found>, SendError> {
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
        let verdict = self.account.pages(&lookup.request, made, &lookup.errors, rules, &self.counter, collect).await?;
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

    fn assign(&self, lookup: &Lookup, part: &[Operation], items: Vec<(Option<u64>, Json)>) -> Vec<Found> {
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
