//! What is settled of the records of a batch: by looking them up, by a verdict on their request, by the answers.

use std::time::Duration;

use serde_json::Value as Json;

use super::lookup::Found;
use super::outcome::{Each, Subject, single};
use super::rules::Verdict;
use crate::destinations::{Action, Operation, Outcome, SendError, Sent};
use crate::manifest::connector::api::Class;

/// What is known of the records of a batch so far.
#[derive(Default)]
pub(super) struct Slots {
    pub outcomes: Vec<Option<Outcome>>,
    /// What looking up found; empty where nothing was looked up.
    pub found: Vec<Option<Json>>,
    /// Why some have no outcome, and when to come back.
    pub again: Option<(String, Option<Duration>)>,
}

impl Slots {
    /// Positions of the records nothing is known of yet.
    pub fn open(&self) -> Vec<usize> {
        self.outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_none()).map(|(at, _)| at).collect()
    }
}

/// What looking up settles. `must_be`: the record must be there; otherwise it must not.
pub(super) fn settle_found(found: Vec<Found>, must_be: bool, operations: &[Operation], slots: &mut Slots) {
    for (at, (found, operation)) in found.into_iter().zip(operations).enumerate() {
        let (Some(slot), Some(place)) = (slots.outcomes.get_mut(at), slots.found.get_mut(at)) else { continue };
        let rejected = |code: &str, message: String| Some(Outcome::Rejected { code: code.into(), message });
        let outcome = match found {
            Found::Refused { code, message } => rejected(&code, message),
            Found::Unseen => rejected("unseen", "the destination does not show whether it holds the record".into()),
            Found::Nothing if must_be && operation.action == Action::Send => Some(Outcome::NoMatch),
            // What is not there needs no removal.
            Found::Nothing if must_be => Some(Outcome::Succeeded),
            Found::Nothing => None,
            Found::Several if must_be => {
                rejected("multiple_match", "the destination holds more than one such record".into())
            }
            Found::One(value) if must_be => {
                *place = Some(value);
                None
            }
            Found::One(_) | Found::Several if operation.in_doubt => Some(Outcome::Succeeded),
            Found::One(_) | Found::Several => {
                rejected("already_exists", "the destination holds the record already".into())
            }
        };
        if slot.is_none() {
            *slot = outcome;
        }
    }
}

/// What a verdict on a whole request means for its records.
pub(super) fn verdicts(verdict: Verdict, subjects: &[Subject]) -> Result<Vec<Each>, SendError> {
    let help = verdict.help();
    let Verdict { class, code, message, wait, .. } = verdict;
    let transient = |message| SendError::Transient { message, retry_after: wait };
    match class {
        Class::Ok | Class::Unverified => {
            let outcome = if class == Class::Ok { Outcome::Succeeded } else { Outcome::Unverified };
            Ok(vec![Each::Done(outcome); subjects.len()])
        }
        Class::RateLimited | Class::Transient => Err(transient(message)),
        Class::QuotaExhausted => Err(SendError::Fatal {
            message,
            help: Some("the quota is used up: what is left is sent by the next run".into()),
        }),
        Class::Lost => Err(SendError::Lost { message }),
        Class::Reauth | Class::AuthFatal => Err(SendError::Fatal { message, help: Some(help.into()) }),
        Class::SplitBatch | Class::Permanent | Class::NotFound | Class::Conflict | Class::Duplicate => match subjects {
            [only] => Ok(single(class, &code, &message, *only).into_iter().collect()),
            _ => Err(SendError::Refused { code, message }),
        },
    }
}

/// The answer to the batch.
pub(super) fn sent(slots: Slots) -> Result<Sent, SendError> {
    let Slots { outcomes, again, .. } = slots;
    if outcomes.iter().all(Option::is_some) {
        return Ok(Sent::Outcomes(outcomes.into_iter().flatten().collect()));
    }
    let (message, retry_after) =
        again.unwrap_or_else(|| ("the destination has not done all of the records".into(), None));
    if outcomes.iter().all(Option::is_none) {
        return Err(SendError::Transient { message, retry_after });
    }
    Ok(Sent::Partly { outcomes, message, retry_after })
}
