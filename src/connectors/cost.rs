//! What a load takes: requests, with look-ups and containers, and the seconds they take under the limits.

use std::collections::BTreeMap;

use super::account::Account;
use super::compile::Object;
use super::request::Request;
use super::template::Layer;
use crate::destinations::{Cost, Load};
use crate::manifest::connector::object::{ModeSteps, Step};
use crate::manifest::sync::Mode;

/// What a load of an object takes if nothing is refused and everything looked up is found. Batches are taken to be full.
pub(super) fn cost(
    account: &Account,
    object: &Object,
    steps: &ModeSteps,
    mode: Mode,
    globals: &Layer<'_>,
    load: &Load,
) -> Cost {
    let mut tally = Tally { object, batch: load.batch_size.max(1), requests: 0, by_limit: BTreeMap::new() };
    let large = object.large.get(&mode).filter(|when| when.truth(globals)).and(steps.large.as_ref());
    if let Some(large) = large {
        let step = Step { operation: large.operation.clone(), ..Step::default() };
        tally.step(Some(&step), load.added + load.changed);
    } else if steps.added.is_some() || steps.changed.is_some() {
        tally.step(steps.added.as_ref().or(steps.send.as_ref()), load.added);
        tally.step(steps.changed.as_ref().or(steps.send.as_ref()), load.changed);
    } else {
        tally.step(steps.send.as_ref(), load.added + load.changed);
    }
    tally.step(steps.clear.as_ref(), load.clear);
    tally.step(object.words.delete(mode), load.delete);
    if tally.requests > 0
        && let Some(container) = &object.container
        && let Some(find) = &container.find
        && (container.check_given
            || container.given.as_ref().and_then(|given| given.json(globals)).is_none_or(|given| given.is_null()))
    {
        tally.count(&find.request, 1);
    }
    Cost { requests: tally.requests, seconds: account.seconds(&tally.by_limit).ceil() as u64 }
}

struct Tally<'a> {
    object: &'a Object,
    batch: u64,
    requests: u64,
    /// Requests by the limits they count in.
    by_limit: BTreeMap<&'a str, u64>,
}

impl<'a> Tally<'a> {
    fn count(&mut self, request: &'a Request, times: u64) {
        self.requests += times;
        for limit in &request.limits {
            *self.by_limit.entry(limit).or_default() += times;
        }
    }

    /// Requests for records that come in batches, where a request takes so many of them.
    fn requests(&self, records: u64, most: usize) -> u64 {
        let (batch, most) = (self.batch, most.max(1) as u64);
        (records / batch) * batch.div_ceil(most) + (records % batch).div_ceil(most)
    }

    fn step(&mut self, step: Option<&Step>, records: u64) {
        let Some(step) = step.filter(|_| records > 0) else { return };
        let object = self.object;
        for lookup in [&step.find, &step.absent].into_iter().flatten().filter_map(|name| object.lookups.get(name)) {
            self.count(&lookup.request, self.requests(records, lookup.most));
        }
        for operation in [Some(&step.operation), step.then.as_ref()].into_iter().flatten() {
            let Some(operation) = object.operations.get(operation) else { continue };
            let requests = self.requests(records, operation.most);
            self.count(&operation.request, requests);
            if let Some(job) = &operation.job {
                // It is asked at least once whether it is done.
                self.count(&job.poll, requests);
                job.then.iter().for_each(|request| self.count(request, requests));
            }
        }
    }
}
