//! Static lists and who is in them.

use indexmap::IndexSet;
use serde_json::{Map, Value, json};

use super::account::{Account, List, ProjectType};
use super::answer::{Refusal, bad_params, done};
use super::fields;
use super::identity::Fault;
use super::users::{self, Failures, USER_REASONS, data, records};
use super::{Body, Said, shape};
use crate::sandbox::wire::{Answer, Call};

/// GET /api/lists
pub(super) fn all(account: &Account) -> Said {
    let lists = account.lists.iter().map(|(id, list)| {
        json!({ "id": id, "name": list.name, "description": list.description,
            "createdAt": list.created.as_millisecond(), "listType": list.list_type })
    });
    Ok(Answer::json(200, &json!({ "lists": lists.collect::<Vec<_>>() })))
}

/// POST /api/lists
pub(super) fn create(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let body = body.read(shape::NEW_LIST)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let name = text("name").filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| bad_params("List name must not be empty"))?;
    let list = List {
        name,
        description: text("description"),
        created: call.now,
        list_type: "Standard".to_owned(),
        members: IndexSet::new(),
    };
    let id = account.lists.add(list);
    Ok(Answer::json(200, &json!({ "listId": id })))
}

fn unknown(list: impl std::fmt::Display) -> Refusal {
    bad_params(format!("List {list} does not exist"))
}

fn existing(account: &Account, list: &str) -> Result<u64, Refusal> {
    let id = list.parse().map_err(|_| unknown(list))?;
    if account.lists.contains(&id) { Ok(id) } else { Err(unknown(list)) }
}

/// DELETE /api/lists/{id}
pub(super) fn delete(account: &mut Account, list: &str) -> Said {
    let id = existing(account, list)?;
    account.lists.remove(&id);
    Ok(done(""))
}

/// GET /api/lists/{id}/size: a number, as text.
pub(super) fn size(account: &Account, list: &str) -> Said {
    let id = existing(account, list)?;
    let size = account.lists.get(&id).map_or(0, |list| list.members.len());
    Ok(Answer::text(200, "text/plain; charset=utf-8", size.to_string()))
}

/// GET /api/lists/getUsers: one identifier a line.
pub(super) fn members(account: &Account, call: &Call) -> Said {
    let id = existing(account, call.query("listId").unwrap_or(""))?;
    let prefer_user_id = call.query("preferUserId") == Some("true") || account.project() == ProjectType::UserId;
    let mut text = String::new();
    for user in account.lists.get(&id).into_iter().flat_map(|list| &list.members).filter_map(|k| account.users.get(k)) {
        let (first, second) = match prefer_user_id {
            true => (&user.user_id, &user.email),
            false => (&user.email, &user.user_id),
        };
        text.push_str(first.as_ref().or(second.as_ref()).map_or("", String::as_str));
        text.push('\n');
    }
    Ok(Answer::text(200, "text/plain; charset=utf-8", text))
}

/// The static list of a request.
fn listed(account: &Account, body: &Map<String, Value>) -> Result<u64, Refusal> {
    let id = body.get("listId").and_then(Value::as_u64).unwrap_or(0);
    match account.lists.get(&id) {
        None => Err(unknown(id)),
        Some(list) if list.list_type != "Standard" => Err(bad_params(format!("List {id} is not a static list"))),
        Some(_) => Ok(id),
    }
}

/// POST /api/lists/subscribe: makes users that are not there; `updateExistingUsersOnly` counts where users are told
/// apart by userId only.
pub(super) fn subscribe(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let body = body.read(shape::SUBSCRIBE)?;
    let list = listed(account, body)?;
    let records = records(body, "subscribers")?;
    let create = account.creates_fields();
    let sent = records.iter().map(|(_, record)| (data(record), create));
    let admission = fields::admit(&account.fields, "", "user", sent)?;
    let more = users::settle(account, &admission);
    let only = body.get("updateExistingUsersOnly").and_then(Value::as_bool).unwrap_or(false);
    let only = only && account.project() != ProjectType::Email;
    let mut failures = Failures::default();
    for (position, (who, record)) in records.into_iter().enumerate() {
        let outcome = match account.find(who) {
            _ if call.trouble.refuses(position) => Err(Fault::InvalidData),
            Err(fault) => Err(fault),
            Ok(None) if only => Err(Fault::NotFound),
            Ok(_) => users::write(account, call, who, record, &admission.dropped),
        };
        if let (Ok(key), Some(list)) = (outcome, account.lists.get_mut(&list)) {
            list.members.insert(key);
        }
        failures.note(who, outcome.map(|_| ()));
    }
    Ok(failures.report(USER_REASONS, more))
}

/// POST /api/lists/unsubscribe: unknown users are not found; users that are not in the list stay so.
pub(super) fn unsubscribe(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let body = body.read(shape::UNSUBSCRIBE)?;
    let list = listed(account, body)?;
    let everything = body.get("channelUnsubscribe").and_then(Value::as_bool).unwrap_or(false);
    let mut failures = Failures::default();
    for (position, (who, _)) in records(body, "subscribers")?.into_iter().enumerate() {
        let outcome = match account.find(who) {
            _ if call.trouble.refuses(position) => Err(Fault::InvalidData),
            Err(fault) => Err(fault),
            Ok(None) => Err(Fault::NotFound),
            Ok(Some(key)) => Ok(key),
        };
        if let Ok(key) = outcome {
            if let Some(list) = account.lists.get_mut(&list) {
                list.members.shift_remove(&key);
            }
            if everything && let Some(user) = account.users.get_mut(&key) {
                user.subscriptions.insert("unsubscribedChannelIds".to_owned(), json!([1]));
            }
        }
        failures.note(who, outcome.map(|_| ()));
    }
    Ok(failures.report(USER_REASONS, Map::new()))
}
