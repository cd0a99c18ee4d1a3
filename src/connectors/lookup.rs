//! Finding records before anything is done to them.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};

use super::account::{failure, fatal};
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
    /// Nothing, in an answer that does not hold all there are.
    Unseen,
    One(Json),
    Several,
    /// The look-up itself was refused.
    Refused {
        code: String,
        message: String,
    },
}

/// A record that is looked up, with what was found of it before.
#[derive(Clone, Copy)]
struct Sought<'a> {
    operation: &'a Operation,
    found: Option<&'a Json>,
}

/// What one answer holds: what names each item, and the item; and whether that is all there is.
type Items = (Vec<(Option<u64>, Json)>, bool);

/// All there are, by what names them.
pub(super) type Whole = HashMap<u64, Vec<Json>>;

impl HttpWriter {
    /// Looks all these records up, those first that another look-up must find before.
    pub(super) async fn look_up(
        &self,
        name: &str,
        lookup: &Lookup,
        operations: &[Operation],
    ) -> Result<Vec<Found>, SendError> {
        let plain: Vec<Sought<'_>> = operations.iter().map(|operation| Sought { operation, found: None }).collect();
        let Some(first) = &lookup.after else { return self.find(name, lookup, &plain).await };
        let before = self.words()?.lookups.get(first);
        let before = before.ok_or_else(|| fatal(format!("the connector has no `{first}`")))?;
        let mut all = self.find(first, before, &plain).await?;
        let (mut sought, mut places) = (Vec::new(), Vec::new());
        for (at, (operation, found)) in operations.iter().zip(&all).enumerate() {
            if let Found::One(found) = found {
                sought.push(Sought { operation, found: Some(found) });
                places.push(at);
            }
        }
        let then = self.find(name, lookup, &sought).await?;
        for (at, found) in places.into_iter().zip(then) {
            if let Some(place) = all.get_mut(at) {
                *place = found;
            }
        }
        Ok(all)
    }

    /// What was found before a request failed is remembered until all are found, so that one lost answer in hundreds does
    /// not have them all asked again.
    async fn find(&self, name: &str, lookup: &Lookup, sought: &[Sought<'_>]) -> Result<Vec<Found>, SendError> {
        if lookup.whole {
            let whole = self.whole(name, lookup).await?;
            return Ok(self.pick_all(lookup, sought, &whole, true));
        }
        let mut known: HashMap<u64, Found> = {
            let mut remembered = self.remembered();
            let take = |s: &Sought<'_>| {
                let ordinal = s.operation.ordinal;
                Some((ordinal, remembered.remove(&(ordinal, name.to_owned()))?))
            };
            sought.iter().filter_map(take).collect()
        };
        let mut round = 0;
        let failure = loop {
            let open: Vec<Sought<'_>> =
                sought.iter().filter(|s| !known.contains_key(&s.operation.ordinal)).copied().collect();
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
        sought.iter().map(|s| known.remove(&s.operation.ordinal).ok_or_else(missing)).collect()
    }

    /// All there are, asked for once.
    async fn whole(&self, name: &str, lookup: &Lookup) -> Result<Arc<Whole>, SendError> {
        let mut asked = self.whole.lock().await;
        if let Some(whole) = asked.get(name) {
            return Ok(Arc::clone(whole));
        }
        let mut round = 0;
        let items = loop {
            let made = lookup.request.make(&self.globals, None).map_err(fatal)?;
            match self.items(lookup, made, &self.globals).await {
                Err(error) if passing(&error) && round < ROUNDS && self.account.patient => {
                    round += 1;
                    tokio::time::sleep(PAUSE * round).await;
                }
                Err(error) => return Err(error),
                Ok(Err(verdict)) if verdict.class == Class::NotFound => break Vec::new(),
                Ok(Err(verdict)) => return Err(failure(verdict)),
                Ok(Ok((items, _))) => break items,
            }
        };
        let mut whole = Whole::new();
        items.into_iter().filter_map(|(at, item)| Some((at?, item))).for_each(|(at, item)| {
            whole.entry(at).or_default().push(item);
        });
        let whole = Arc::new(whole);
        asked.insert(name.to_owned(), Arc::clone(&whole));
        Ok(whole)
    }

    /// Keeps what was found for when the same records come again.
    pub(super) fn remember(&self, name: &str, found: impl Iterator<Item = (u64, Found)>) {
        self.remembered().extend(found.map(|(ordinal, found)| ((ordinal, name.to_owned()), found)));
    }

    /// What was found, by the position of the rows, and the first failure.
    async fn ask_all(&self, lookup: &Lookup, open: &[Sought<'_>]) -> (Vec<(u64, Found)>, Option<SendError>) {
        let mut parts = Vec::new();
        let mut waiting: Vec<&[Sought<'_>]> = open.chunks(lookup.most.max(1)).rev().collect();
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
                    found.extend(part.iter().map(|s| s.operation.ordinal).zip(answer));
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

    fn record<'a>(&'a self, parent: &'a dyn Scope, sought: &Sought<'a>) -> RecordScope<'a> {
        RecordScope { parent, layout: &self.layout, operation: sought.operation, found: sought.found }
    }

    fn lookup_request(&self, lookup: &Lookup, part: &[Sought<'_>]) -> Result<Made, SendError> {
        let scope = Layer::over(Some(&self.globals)).owning("count", json!(part.len()));
        let mut records = Records::new(false, part.len());
        let refused = |message| SendError::Refused { code: "template".into(), message };
        if lookup.request.mentions("records") {
            for sought in part {
                let record = self.record(&scope, sought);
                records.push(None, |out| record.put(lookup.record.as_ref(), out)).map_err(refused)?;
            }
        }
        match part {
            [only] => lookup.request.make(&self.record(&scope, only), Some(&records)),
            _ => lookup.request.make(&scope, Some(&records)),
        }
        .map_err(refused)
    }

    async fn ask(&self, lookup: &Lookup, part: &[Sought<'_>], made: Made) -> Result<Vec<Found>, SendError> {
        let scope = Layer::over(Some(&self.globals)).owning("count", json!(part.len()));
        let only = part.first().map(|sought| self.record(&scope, sought));
        let rules: &dyn Scope = match &only {
            Some(record) if lookup.most == 1 => record,
            _ => &scope,
        };
        let verdict = match self.items(lookup, made, rules).await? {
            Ok((items, complete)) => return Ok(self.assign(lookup, part, items, complete)),
            Err(verdict) => verdict,
        };
        match verdict.class {
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

    /// What an answer holds, with all its pages, or what else it says.
    async fn items(&self, lookup: &Lookup, made: Made, rules: &dyn Scope) -> Result<Result<Items, Verdict>, SendError> {
        let mut items: Vec<(Option<u64>, Json)> = Vec::new();
        let mut complete = true;
        let collect = |answer: &Answer| {
            let over = answer.scope(Some(rules));
            complete &= lookup.complete.as_ref().is_none_or(|complete| complete.truth(&over));
            for item in &answer.list(&lookup.items, &over)? {
                let over = Layer::over(Some(&over)).with("item", item);
                let at = lookup.at.as_ref().and_then(|at| at.text(&over)).map(|text| name_hash(&text));
                let value = match &lookup.value {
                    Some(value) => value.json(&over).map(std::borrow::Cow::into_owned),
                    None => Some(item.clone()),
                };
                items.extend(value.map(|value| (at, value)));
            }
            Ok(())
        };
        let address = made.clone();
        let verdict = self.account.pages(&lookup.request, made, &lookup.errors, rules, &self.counter, collect).await?;
        if lookup.most > 1 || lookup.whole {
            there(&verdict, &address)?;
        }
        Ok(if verdict.class == Class::Ok { Ok((items, complete)) } else { Err(verdict) })
    }

    fn assign(
        &self,
        lookup: &Lookup,
        part: &[Sought<'_>],
        items: Vec<(Option<u64>, Json)>,
        complete: bool,
    ) -> Vec<Found> {
        let (Some(_), Some(_)) = (&lookup.at, &lookup.is) else {
            // One record a request: whatever is there, is it.
            return vec![pick(lookup, items.into_iter().map(|(_, value)| value).collect(), complete)];
        };
        let mut known = Whole::new();
        for (at, value) in items {
            known.entry(at.unwrap_or_default()).or_default().extend(at.map(|_| value));
        }
        self.pick_all(lookup, part, &known, complete)
    }

    fn pick_all(&self, lookup: &Lookup, part: &[Sought<'_>], known: &Whole, complete: bool) -> Vec<Found> {
        let one = |sought: &Sought<'_>| {
            let scope = self.record(&self.globals, sought);
            let name = lookup.is.as_ref().and_then(|is| is.text(&scope)).map(|text| name_hash(&text));
            pick(lookup, name.and_then(|name| known.get(&name)).cloned().unwrap_or_default(), complete)
        };
        part.iter().map(one).collect()
    }
}

fn pick(lookup: &Lookup, mut found: Vec<Json>, complete: bool) -> Found {
    match (found.len(), lookup.several) {
        (0, _) if complete => Found::Nothing,
        (0, _) => Found::Unseen,
        (1, _) | (_, Several::First) => Found::One(found.swap_remove(0)),
        _ => Found::Several,
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
