//! Personal values made unreadable, in one place: before a plan or a run leaves the machine.
//!
//! [`Masked`] can be made only here, and Markdown and HTML take nothing else: a face that leaks cannot be written by
//! forgetting a call.

use super::run::Run;
use crate::mask::{addresses, answer, key, rejection, value};
use crate::plan::{Notice, Plan};

/// A plan that may be shown to everyone who can read the merge request.
#[derive(Debug, Clone, PartialEq)]
pub struct Masked {
    plan: Plan,
    shown: bool,
}

impl Masked {
    /// Masks values of sensitive fields, keys unless they are declared `sensitive: false`, and addresses quoted in
    /// messages: the default outside a terminal.
    pub fn new(plan: &Plan) -> Self {
        Self { plan: mask_plan(plan), shown: false }
    }

    /// Nothing is masked: only for a person who asked for it (`--show-values`).
    pub fn shown_on_request(plan: &Plan) -> Self {
        Self { plan: plan.clone(), shown: true }
    }

    /// The plan as it may be shown; for the terminal and JSON in CI.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// True when the values were asked for and are shown.
    pub fn shows_values(&self) -> bool {
        self.shown
    }
}

/// A run that may be shown to everyone who can read the merge request.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskedRun {
    run: Run,
    shown: bool,
}

impl MaskedRun {
    /// Masks keys of rejected records unless they are declared `sensitive: false`, and keys, addresses and long numbers
    /// quoted in their messages.
    pub fn new(run: &Run) -> Self {
        let mut run = run.clone();
        run.error = run.error.as_deref().map(addresses);
        for sync in &mut run.syncs {
            sync.error = sync.error.as_deref().map(addresses);
            for warning in &mut sync.warnings {
                warning.message = answer(&warning.message, "");
            }
            for one in &mut sync.rejections {
                rejection(&mut one.key, &mut one.code, &mut one.message, sync.key_open);
            }
        }
        Self { run, shown: false }
    }

    /// Nothing is masked: only for a person who asked for it (`--show-values`).
    pub fn shown_on_request(run: &Run) -> Self {
        Self { run: run.clone(), shown: true }
    }

    /// The run as it may be shown.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// True when the values were asked for and are shown.
    pub fn shows_values(&self) -> bool {
        self.shown
    }
}

fn mask_plan(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for sync in &mut plan.syncs {
        let keys = !sync.key_open;
        for sample in &mut sync.samples {
            if keys && !sample.key_unknown {
                sample.key = key(&sample.key);
            }
            for field in sample.fields.iter_mut().filter(|f| f.sensitive) {
                let differ = field.before != field.after;
                let before = field.before.as_ref().map(|v| value(v, false));
                let mut after = field.after.as_ref().map(|v| value(v, false));
                if differ && before.is_some() && before == after {
                    // Both mask to the same text: without a word it would look as if nothing changed.
                    after = field.after.as_ref().map(|v| value(v, true));
                }
                (field.before, field.after) = (before, after);
            }
        }
        for drifted in sync.refresh.iter_mut().flat_map(|refresh| &mut refresh.drift) {
            if keys {
                drifted.key = key(&drifted.key);
            }
            for field in drifted.fields.iter_mut().filter(|field| field.sensitive) {
                let differ = field.acknowledged != field.there;
                let acknowledged = value(&field.acknowledged, false);
                let there = value(&field.there, false);
                let same = differ && acknowledged == there && !there.is_null();
                field.there = if same { value(&field.there, true) } else { there };
                field.acknowledged = acknowledged;
            }
        }
        for sample in sync.tests.iter_mut().flat_map(|test| &mut test.samples) {
            if keys {
                sample.key = key(&sample.key);
            }
            if sample.sensitive {
                sample.value = sample.value.as_ref().map(|v| value(v, false));
            }
        }
        for invalid in &mut sync.invalid {
            if keys {
                // A row without a key is named by its number in the model, which is nobody's.
                let open = |k: &str| {
                    let number = k.strip_prefix("row ").filter(|_| invalid.reason == "null_key");
                    number.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
                };
                invalid.keys.iter_mut().filter(|k| !open(k)).for_each(|k| *k = key(k));
            }
            invalid.message = invalid.message.as_deref().map(addresses);
        }
    }
    let open = |name: &Option<String>| plan.syncs.iter().any(|sync| sync.key_open && Some(&sync.sync) == name.as_ref());
    for told in plan.warnings.iter_mut().chain(&mut plan.refusals) {
        let open = open(&told.sync);
        notice(told, open);
    }
    plan
}

fn notice(notice: &mut Notice, open: bool) {
    if !open && !notice.keys.is_empty() {
        let keys: Vec<String> = notice.keys.iter().map(|plain| key(plain)).collect();
        notice.message = notice.message.replacen(&Notice::quoted(&notice.keys), &Notice::quoted(&keys), 1);
        notice.keys = keys;
    }
    notice.message = addresses(&notice.message);
    notice.help = notice.help.as_deref().map(addresses);
}
