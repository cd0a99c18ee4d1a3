//! A batch on its way: looked up where the mode wants it, sent, and each record's outcome found in the answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hasher as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use siphasher::sip::SipHasher13;

use super::account::{Account, Counter, fatal};
use super::compile::{self, Object};
use super::expression::Scope;
use super::lookup::{Found, Whole, there};
use super::outcome::{Each, Reader, Subject, name_hash, warnings, whole};
use super::record::{Layout, RecordScope};
use super::request::{Made, Records};
use super::settled::{Slots, sent, settle_found, verdicts};
use super::template::Layer;
use crate::destinations::{Action, Batch, Operation, Outcome, SendError, Sent, Warning, Writer};
use crate::manifest::connector::api::Class;
use crate::manifest::connector::object::{FieldType, Large, LostClass, ModeSteps, Step};
use crate::manifest::connector::operation::By;
use crate::mapping::{Record, Value};

/// Different warnings a run keeps.
const MAX_WARNINGS: usize = 50;

/// One object of an account, open to a sync.
pub(super) struct HttpWriter {
    pub account: Arc<Account>,
    /// Name of the object.
    pub object: String,
    pub steps: ModeSteps,
    /// What takes the place of `send`, where the load is large.
    pub large: Option<Large>,
    pub layout: Layout,
    /// What all templates see.
    pub globals: Layer<'static>,
    pub counter: Counter,
    /// Which identifiers take upper and lower case for the same.
    pub ignore_case: Vec<bool>,
    /// What each identifier must be.
    pub kinds: Vec<FieldType>,
    /// False where nothing keeps several records of the same identifiers from going at once: each row is a record of its
    /// own, and answers do not name records by them.
    pub matched: bool,
    /// Hash of the container, which is part of what a record is.
    pub container: u64,
    /// True where records are written beforehand.
    json: bool,
    /// What look-ups found for batches that could not go yet.
    pub found: Mutex<HashMap<(u64, String), Found>>,
    /// What look-ups found that ask for all there are.
    pub whole: tokio::sync::Mutex<HashMap<String, Arc<Whole>>>,
    /// Jobs that were begun and are not known to have come to their end, oldest first.
    pub begun: tokio::sync::Mutex<VecDeque<Json>>,
    warned: Mutex<BTreeMap<String, u64>>,
}

/// A request for some records of a batch.
struct Shot {
    /// Their positions in the batch.
    positions: Vec<usize>,
    group: Option<Json>,
    made: Made,
    records: Records,
}

/// How the request of a shot ended.
enum Landed {
    Each(Vec<Each>, Option<(String, Option<Duration>)>),
    Deferred(String),
}

impl HttpWriter {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        account: Arc<Account>,
        object: String,
        steps: ModeSteps,
        large: Option<Large>,
        layout: Layout,
        globals: Layer<'static>,
        identifiers: Vec<(bool, FieldType)>,
        matched: bool,
        container: u64,
        json: bool,
    ) -> Self {
        let (ignore_case, kinds) = identifiers.into_iter().unzip();
        Self {
            account,
            object,
            steps,
            large,
            layout,
            globals,
            counter: Counter::default(),
            ignore_case,
            kinds,
            matched,
            container,
            json,
            found: Mutex::default(),
            whole: tokio::sync::Mutex::default(),
            begun: tokio::sync::Mutex::default(),
            warned: Mutex::default(),
        }
    }

    pub(super) fn words(&self) -> Result<&Object, SendError> {
        let object = self.account.compiled.object(&self.object);
        object.ok_or_else(|| fatal(format!("the connector has no object `{}`", self.object)))
    }

    /// The step for these records.
    fn step(&self, action: Action, added: bool) -> Option<Step> {
        let steps = &self.steps;
        match action {
            Action::Clear => steps.clear.clone(),
            Action::Delete => steps.delete.clone(),
            Action::Send => match &self.large {
                Some(Large { operation, first, .. }) => {
                    Some(Step { operation: operation.clone(), first: first.clone(), ..Step::default() })
                }
                None if added => steps.added.clone().or_else(|| steps.send.clone()),
                None => steps.changed.clone().or_else(|| steps.send.clone()),
            },
        }
    }

    /// The operations with identifiers of the type they must be; `None` where they are that already.
    pub(super) fn typed(&self, operations: &[Operation]) -> Option<Vec<Operation>> {
        let fits = |operation: &Operation| {
            operation.record.matching().iter().zip(&self.kinds).all(|(value, kind)| identifier(*kind, value).is_none())
        };
        if operations.iter().all(fits) {
            return None;
        }
        let mut typed = operations.to_vec();
        for operation in &mut typed {
            let mut record = Record::clone(&operation.record);
            for (value, kind) in record.matching.iter_mut().zip(&self.kinds) {
                if let Some(turned) = identifier(*kind, value) {
                    *value = turned;
                }
            }
            operation.record = record.into();
        }
        Some(typed)
    }

    async fn deliver(&self, batch: &Batch) -> Result<Sent, SendError> {
        let typed = self.typed(&batch.operations);
        let operations = typed.as_deref().unwrap_or(&batch.operations);
        let Some(first) = operations.first() else { return Ok(Sent::Outcomes(Vec::new())) };
        let same = operations.iter().take_while(|o| o.action == first.action && o.added == first.added).count();
        if same < operations.len() && (self.steps.added.is_some() || self.steps.changed.is_some()) {
            return Err(SendError::Oversize { fits: same });
        }
        let Some(step) = self.step(first.action, first.added) else {
            return Err(fatal(format!("`{}` has no way to do this in this mode", self.object)));
        };
        let object = self.words()?;
        let gone = |name: &str| fatal(format!("the connector has no `{name}`"));
        let operation = object.operations.get(&step.operation).ok_or_else(|| gone(&step.operation))?;
        if operations.len() > operation.most {
            return Err(SendError::Oversize { fits: operation.most });
        }
        let looked_up = if step.find.is_some() || step.absent.is_some() { operations.len() } else { 0 };
        let mut slots = Slots { outcomes: vec![None; operations.len()], found: vec![None; looked_up], again: None };
        let mut kept: Vec<(u64, Found)> = Vec::new();
        for (name, must_be) in [(&step.find, true), (&step.absent, false)] {
            let Some(name) = name else { continue };
            let lookup = object.lookups.get(name).ok_or_else(|| gone(name))?;
            let found = self.look_up(name, lookup, operations).await?;
            if must_be {
                // Who is there stays there: a request that fails has nobody looked up again.
                kept = operations.iter().map(|operation| operation.ordinal).zip(found.iter().cloned()).collect();
            }
            settle_found(found, must_be, operations, &mut slots);
        }
        if let Some(first) = &step.first {
            let first = object.operations.get(first).ok_or_else(|| gone(first))?;
            self.precede(first, operations, &mut slots).await?;
        }
        let acted = self.act(operation, operations, slots.open(), &mut slots).await;
        if let (Err(SendError::Transient { .. } | SendError::Lost { .. } | SendError::Unreachable { .. }), Some(name)) =
            (&acted, &step.find)
        {
            self.remember(name, kept.into_iter());
        }
        if let Some(handle) = acted? {
            return Ok(Sent::Deferred { handle });
        }
        // Also where others must be sent again: what was only half done is not done.
        if let Some(then) = &step.then {
            let then = object.operations.get(then).ok_or_else(|| gone(then))?;
            self.follow(then, operations, &mut slots).await?;
        }
        sent(slots)
    }

    /// Carries an operation out for these records of the batch. Returns the handle where it only began.
    pub(super) async fn act(
        &self,
        operation: &compile::Operation,
        operations: &[Operation],
        positions: Vec<usize>,
        slots: &mut Slots,
    ) -> Result<Option<String>, SendError> {
        // All requests are made before the first is sent: what does not fit is known in time.
        let mut shots = Vec::new();
        for (group, positions) in self.groups(operation, operations, positions, slots) {
            shots.push(self.shot(operation, operations, positions, group, slots)?);
        }
        let before = slots.outcomes.iter().any(Option::is_some);
        let mut reached = before;
        for shot in shots {
            match self.fire(operation, operations, &shot, slots).await {
                Ok(Landed::Each(each, again)) => {
                    for (at, each) in shot.positions.iter().zip(each) {
                        if let (Some(slot), Each::Done(outcome)) = (slots.outcomes.get_mut(*at), each) {
                            *slot = Some(outcome);
                        }
                    }
                    if again.is_some() && slots.again.is_none() {
                        slots.again = again;
                    }
                    reached = true;
                }
                Ok(Landed::Deferred(handle)) => return Ok(Some(handle)),
                Err(error) => {
                    let known = matches!(self.steps.class, LostClass::C | LostClass::D);
                    if !reached || known && matches!(error, SendError::Lost { .. }) {
                        return Err(error);
                    }
                    let wait = match &error {
                        SendError::Transient { retry_after, .. } => *retry_after,
                        _ => None,
                    };
                    // What is known is told; the others are tried again and meet the error alone.
                    if slots.outcomes.iter().any(Option::is_some) {
                        slots.again.get_or_insert((error.to_string(), wait));
                        return Ok(None);
                    }
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// The records by the requests they go into; those nothing is sent for are done.
    fn groups(
        &self,
        operation: &compile::Operation,
        operations: &[Operation],
        positions: Vec<usize>,
        slots: &mut Slots,
    ) -> Vec<(Option<Json>, Vec<usize>)> {
        if operation.group.is_none() && operation.when.is_none() {
            return if positions.is_empty() { Vec::new() } else { vec![(None, positions)] };
        }
        let mut groups: IndexMap<String, (Option<Json>, Vec<usize>)> = IndexMap::new();
        for at in positions {
            let Some(record) = operations.get(at) else { continue };
            let found = slots.found.get(at).and_then(Option::as_ref);
            let scope = RecordScope { parent: &self.globals, layout: &self.layout, operation: record, found };
            if operation.when.as_ref().is_some_and(|when| !when.truth(&scope)) {
                if let Some(slot) = slots.outcomes.get_mut(at) {
                    *slot = Some(Outcome::Succeeded);
                }
                continue;
            }
            let group = operation.group.as_ref().and_then(|group| group.json(&scope)).map(std::borrow::Cow::into_owned);
            let name = group.as_ref().map(Json::to_string).unwrap_or_default();
            groups.entry(name).or_insert_with(|| (group, Vec::new())).1.push(at);
        }
        groups.into_values().collect()
    }

    /// A request for some records, made ready.
    fn shot(
        &self,
        operation: &compile::Operation,
        operations: &[Operation],
        positions: Vec<usize>,
        group: Option<Json>,
        slots: &Slots,
    ) -> Result<Shot, SendError> {
        let refused = |message| SendError::Refused { code: "template".into(), message };
        let scope = self.scope(positions.len(), group.as_ref());
        let mut records = Records::new(operation.record_key.is_some(), positions.len());
        let record = |at: usize| {
            let found = slots.found.get(at).and_then(Option::as_ref);
            operations.get(at).map(|operation| RecordScope { parent: &scope, layout: &self.layout, operation, found })
        };
        if operation.request.mentions("records") || operation.job.is_some() {
            for at in &positions {
                let Some(record) = record(*at) else { continue };
                let key = match &operation.record_key {
                    Some(key) => key.render(&record).map_err(refused)?,
                    None => None,
                };
                records.push(key, |out| record.put(operation.record.as_ref(), out)).map_err(refused)?;
            }
        }
        let only = positions.first().filter(|_| operation.most == 1).and_then(|at| record(*at));
        let made = match &only {
            Some(record) => operation.request.make(record, Some(&records)),
            None => operation.request.make(&scope, Some(&records)),
        }
        .map_err(refused)?;
        if let Some(most) = operation.bytes.filter(|most| made.size() > *most) {
            let fits = if positions.len() > 1 { records.fitting(made.size(), most) } else { 0 };
            // Records before the first that does not fit may be settled already, and go with it.
            return Err(SendError::Oversize { fits: positions.get(fits).copied().unwrap_or(fits) });
        }
        Ok(Shot { positions, group, made, records })
    }

    fn scope<'a>(&'a self, count: usize, group: Option<&'a Json>) -> Layer<'a> {
        let scope = Layer::over(Some(&self.globals)).owning("count", json!(count));
        match group {
            Some(group) => scope.with("group", group),
            None => scope,
        }
    }

    /// Sends one request and reads its answer.
    async fn fire(
        &self,
        operation: &compile::Operation,
        operations: &[Operation],
        shot: &Shot,
        slots: &Slots,
    ) -> Result<Landed, SendError> {
        let scope = self.scope(shot.positions.len(), shot.group.as_ref());
        let record = |at: usize| {
            let found = slots.found.get(at).and_then(Option::as_ref);
            operations.get(at).map(|operation| RecordScope { parent: &scope, layout: &self.layout, operation, found })
        };
        let only = shot.positions.first().filter(|_| operation.most == 1).and_then(|at| record(*at));
        let rules: &dyn Scope = match &only {
            Some(record) => record,
            None => &scope,
        };
        let mut room = match &operation.job {
            Some(job) => self.room(job).await?,
            None => None,
        };
        let exchange = loop {
            let exchange =
                self.account.call(&shot.made, &operation.errors, rules, self.steps.class, &self.counter).await?;
            match (&operation.job, &mut room) {
                // Others fill the queue, too: what is there of our own makes room when it is done.
                (Some(job), Some(begun)) if exchange.verdict.later() && !begun.is_empty() => {
                    self.outwait(job, begun).await?;
                }
                _ => break exchange,
            }
        };
        let (answer, mut verdict) = (exchange.answer, exchange.verdict);
        let over = answer.scope(Some(&scope));
        if verdict.class == Class::Ok
            && operation.outcome.by == By::Whole
            && let Some(mut other) = whole(&operation.outcome, &over)
        {
            other.message = self.account.redact(&other.message);
            verdict = other;
        }
        if operation.most > 1 {
            there(&verdict, &shot.made)?;
        }
        let subjects: Vec<Subject> = shot.positions.iter().filter_map(|at| operations.get(*at)).map(subject).collect();
        if verdict.class != Class::Ok {
            return verdicts(verdict, &subjects).map(|each| Landed::Each(each, None));
        }
        self.warn(&operation.outcome, &over);
        if let Some(job) = &operation.job {
            let (handle, id) = self.begin(job, operation, &answer, shot, operations, slots, rules).await?;
            if let Some(mut begun) = room {
                begun.push_back(id);
            }
            return Ok(Landed::Deferred(handle));
        }
        let words = &operation.outcome;
        if words.by != By::Whole && answer.raw.is_empty() && answer.status == 200 {
            return Err(SendError::Lost { message: "the answer is empty".into() });
        }
        let mut reader = Reader::new(&subjects);
        if words.by != By::Whole {
            for list in &words.results {
                reader.list(list, words.by, &over, || {
                    let name = |at: &usize| Some(name_hash(&list.is.as_ref()?.text(&record(*at)?)?));
                    shot.positions.iter().map(name).collect()
                });
            }
        }
        let read = reader.finish(words, &over).map_err(|message| SendError::Lost { message })?;
        let each = read.each.into_iter().map(|each| self.clean(each)).collect();
        Ok(Landed::Each(each, read.again.map(|(message, wait)| (self.account.redact(&message), wait))))
    }

    /// Hashes of what names each record in the words of each list, for a job whose results come when the records are gone.
    pub(super) fn names(
        &self,
        lists: &[&compile::List],
        operations: &[Operation],
        positions: &[usize],
        found: &[Option<Json>],
    ) -> Vec<Vec<Option<u64>>> {
        let of = |list: &&compile::List| {
            let name = |at: &usize| {
                let found = found.get(*at).and_then(Option::as_ref);
                let operation = operations.get(*at)?;
                let scope = RecordScope { parent: &self.globals, layout: &self.layout, operation, found };
                Some(name_hash(&list.is.as_ref()?.text(&scope)?))
            };
            positions.iter().map(name).collect()
        };
        lists.iter().map(of).collect()
    }

    /// The outcome without secrets.
    pub(super) fn clean(&self, each: Each) -> Each {
        match each {
            Each::Done(Outcome::Rejected { code, message }) => Each::Done(Outcome::Rejected {
                code: self.account.redact(&code),
                message: self.account.redact(&message),
            }),
            other => other,
        }
    }

    /// Takes note of what the answer warns of, and tells each once a run.
    pub(super) fn warn(&self, words: &compile::Outcome, scope: &dyn Scope) {
        for text in warnings(words, scope) {
            let text = self.account.redact(&text);
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            // A text that differs from answer to answer must not fill the memory.
            let known = warned.len() < MAX_WARNINGS || warned.contains_key(&text);
            let text = if known { text } else { "and others".to_owned() };
            let count = warned.entry(text.clone()).or_default();
            *count += 1;
            if *count == 1 {
                tracing::warn!(connector = %self.account.compiled.manifest().name, object = %self.object, "{text}");
            }
        }
    }

    /// The warnings so far, each once.
    pub(super) fn warned(&self) -> Vec<String> {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(super) fn known(&self, shot: &[usize], slots: &[Option<Outcome>]) -> Vec<(usize, Outcome)> {
        let known = |(at, outcome): (usize, &Option<Outcome>)| Some((at, outcome.clone()?));
        slots.iter().enumerate().filter_map(known).filter(|(at, _)| !shot.contains(at)).collect()
    }

    #[allow(clippy::too_many_arguments)]
    async fn begin(
        &self,
        job: &compile::Job,
        operation: &compile::Operation,
        answer: &super::rules::Answer,
        shot: &Shot,
        operations: &[Operation],
        slots: &Slots,
        scope: &dyn Scope,
    ) -> Result<(String, Json), SendError> {
        let lists: Vec<&compile::List> = job.results.iter().map(|result| &result.list).collect();
        let names = self.names(&lists, operations, &shot.positions, &slots.found);
        let known = self.known(&shot.positions, &slots.outcomes);
        let subjects: Vec<Subject> = shot.positions.iter().filter_map(|at| operations.get(*at)).map(subject).collect();
        let ticket = super::job::Ticket::new(operation, &shot.positions, operations.len(), &subjects, names, known);
        self.submit(job, ticket, answer, &shot.records, scope).await
    }
}

/// The identifier as what it must be, where it is something else: an id from a column of numbers is text all the same.
pub(super) fn identifier(kind: FieldType, value: &Value) -> Option<Value> {
    match (kind, value) {
        (_, Value::Null)
        | (FieldType::String, Value::Text(_))
        | (FieldType::Integer, Value::Int(_) | Value::UInt(_)) => None,
        (FieldType::String, value) => Some(Value::Text(value.text().into())),
        (FieldType::Integer, value) => {
            // Only what says the same as a number: `007` stays what it is.
            let text = value.text();
            text.parse::<i64>().ok().filter(|int| int.to_string() == *text).map(Value::Int)
        }
        _ => None,
    }
}

fn subject(operation: &Operation) -> Subject {
    Subject { in_doubt: operation.in_doubt, removal: operation.action != Action::Send }
}

#[async_trait]
impl Writer for HttpWriter {
    async fn send(&self, batch: &Batch) -> Result<Sent, SendError> {
        self.deliver(batch).await
    }

    async fn settle(&self, deferred: &[(u64, String)]) -> Result<Vec<(u64, Vec<Outcome>)>, SendError> {
        self.settle_jobs(deferred).await
    }

    fn identity(&self, operation: &Operation) -> Option<u64> {
        if !self.matched {
            return None;
        }
        let mut hasher = SipHasher13::new();
        for (at, value) in operation.record.matching().iter().enumerate().filter(|(_, value)| !value.is_null()) {
            let part = value.text();
            let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
            let folded = self.ignore_case.get(at).copied().unwrap_or_default() && !lower(&part);
            hasher.write_usize(at);
            hasher.write(if folded { Cow::Owned(part.to_lowercase()) } else { part }.as_bytes());
            // Stands in no text.
            hasher.write_u8(0xff);
        }
        Some(hasher.finish() ^ self.container)
    }

    fn takes_json(&self) -> bool {
        self.json
    }

    fn requests(&self) -> Option<u64> {
        Some(self.counter.get())
    }

    fn warnings(&self) -> Vec<Warning> {
        let warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        warned.iter().map(|(message, count)| Warning { message: message.clone(), count: *count }).collect()
    }
}
