//! Subscriptions: each array that is sent takes the place of the one before.

use serde_json::{Map, Value, json};

use super::account::Account;
use super::answer::{self, bad_params, done};
use super::identity::{Fault, Who};
use super::{Body, MAX_RECORDS, Said, shape, users};
use crate::sandbox::wire::{Answer, Call};

const KEPT: [&str; 3] = ["unsubscribedChannelIds", "unsubscribedMessageTypeIds", "subscribedMessageTypeIds"];

fn write(account: &mut Account, call: &Call, who: Who<'_>, record: &Map<String, Value>) -> Result<(), Fault> {
    let key = account.find(who)?.ok_or(Fault::NotFound)?;
    let wanted = record.get("emailListIds").and_then(Value::as_array);
    let wanted: Option<Vec<u64>> = wanted.map(|ids| ids.iter().filter_map(Value::as_u64).collect());
    if wanted.iter().flatten().any(|id| !account.lists.contains(id)) {
        return Err(Fault::InvalidData);
    }
    if let Some(wanted) = wanted {
        let all: Vec<u64> = account.lists.iter().map(|(id, _)| *id).collect();
        for id in all {
            let is_in = account.lists.get(&id).is_some_and(|list| list.members.contains(&key));
            let Some(list) = account.lists.get_mut(&id).filter(|_| is_in != wanted.contains(&id)) else { continue };
            if is_in {
                list.members.shift_remove(&key)
            } else {
                list.members.insert(key)
            };
        }
    }
    if let Some(user) = account.users.get_mut(&key) {
        for name in KEPT {
            if let Some(ids) = record.get(name).filter(|ids| !ids.is_null()) {
                user.subscriptions.insert(name.to_owned(), ids.clone());
            }
        }
        user.updated = call.now;
    }
    Ok(())
}

/// POST /api/users/bulkUpdateSubscriptions
pub(super) fn bulk(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let body = body.read(shape::SUBSCRIPTIONS)?;
    let requests = body.get("updateSubscriptionsRequests").and_then(Value::as_array).cloned().unwrap_or_default();
    if requests.len() > MAX_RECORDS {
        return Err(answer::too_many(requests.len()));
    }
    let mut lists: [Vec<Value>; 4] = Default::default();
    let (mut succeeded, mut failed) = (0, 0);
    for (position, request) in requests.iter().enumerate() {
        let who = Who::of(request).ok_or_else(|| bad_params("Either email or userId must be specified"))?;
        let outcome = match (call.trouble.refuses(position), request.as_object()) {
            (false, Some(record)) => write(account, call, who, record),
            _ => Err(Fault::InvalidData),
        };
        let Err(fault) = outcome else {
            succeeded += 1;
            continue;
        };
        failed += 1;
        let identifier = Value::from(who.email.or(who.user_id));
        let [invalid_emails, invalid_ids, failed_emails, failed_ids] = &mut lists;
        match (fault, who.email.is_some()) {
            (Fault::InvalidEmail, _) => invalid_emails.push(identifier),
            (Fault::InvalidUserId, _) => invalid_ids.push(Value::from(who.user_id)),
            (_, true) => failed_emails.push(identifier),
            (_, false) => failed_ids.push(identifier),
        }
    }
    let [invalid_emails, invalid_ids, failed_emails, failed_ids] = lists;
    let body = json!({ "successCount": succeeded, "failCount": failed, "invalidEmails": invalid_emails,
        "invalidUserIds": invalid_ids, "validEmailFailures": failed_emails, "validUserIdFailures": failed_ids });
    Ok(Answer::json(200, &body).with_records(requests.len()))
}

/// POST /api/users/updateSubscriptions
pub(super) fn one(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let record = Value::Object(body.read(shape::SUBSCRIPTION)?.clone());
    let who = users::who(&record)?;
    let object = record.as_object().cloned().unwrap_or_default();
    write(account, call, who, &object).map_err(|fault| users::refusal(fault, who))?;
    Ok(done("").with_records(1))
}
