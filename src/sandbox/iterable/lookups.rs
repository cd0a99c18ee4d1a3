//! What can be asked: users, fields, channels, message types.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Said;
use super::account::{Account, User};
use super::answer::{Refusal, bad_params};
use super::identity::is_email;
use super::users::invalid_email;
use crate::sandbox::wire::{Answer, Call};

fn moment(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S +00:00").to_string()
}

/// A profile as it is read back: what was sent, and what Iterable adds of its own.
pub(super) fn profile(account: &Account, key: u64, user: &User) -> Value {
    let mut data = user.data.clone();
    let member = account.lists.iter().filter(|(_, list)| list.members.contains(&key)).map(|(id, _)| *id);
    let lists: Vec<u64> = member.collect();
    if let Some(email) = &user.email {
        data.insert("email".to_owned(), Value::from(email.clone()));
    }
    if let Some(user_id) = &user.user_id {
        data.insert("userId".to_owned(), Value::from(user_id.clone()));
        data.insert("itblUserId".to_owned(), Value::from(user_id.clone()));
    }
    data.insert("signupDate".to_owned(), Value::from(moment(user.signup)));
    data.insert("profileUpdatedAt".to_owned(), Value::from(moment(user.updated)));
    data.insert("signupSource".to_owned(), Value::from(user.source.clone()));
    data.insert("emailListIds".to_owned(), json!(lists));
    data.extend(user.subscriptions.clone());
    let mut profile = Map::new();
    profile.insert("email".to_owned(), Value::from(user.email.clone()));
    if let Some(user_id) = &user.user_id {
        profile.insert("userId".to_owned(), Value::from(user_id.clone()));
    }
    profile.insert("dataFields".to_owned(), Value::Object(data));
    Value::Object(profile)
}

/// GET /api/users/getByEmail and /api/users/{email}: an unknown user is an empty answer, not an error.
pub(super) fn by_email(account: &Account, email: &str) -> Said {
    if !is_email(email) {
        return Err(invalid_email(email));
    }
    let found = account.by_email.get(&email.to_lowercase()).and_then(|key| Some((*key, account.users.get(key)?)));
    let body = found.map_or_else(|| json!({}), |(key, user)| json!({ "user": profile(account, key, user) }));
    Ok(Answer::json(200, &body).with_records(1))
}

/// GET /api/users/byUserId: an unknown user is an error.
pub(super) fn by_user_id(account: &Account, user_id: &str) -> Said {
    if user_id.is_empty() {
        return Err(bad_params("userId must be specified"));
    }
    match account.by_user_id.get(user_id).and_then(|key| Some((*key, account.users.get(key)?))) {
        Some((key, user)) => Ok(Answer::json(200, &json!({ "user": profile(account, key, user) })).with_records(1)),
        None => {
            let message = format!("No user exists with userId {user_id}");
            Err(Refusal::new(400, "error.users.noUserWithIdExists", message).with_params(json!({ "userId": user_id })))
        }
    }
}

/// GET /api/users/getFields
pub(super) fn fields(account: &Account) -> Said {
    let fields: Map<String, Value> =
        account.fields.iter().map(|(name, kind)| (name.clone(), Value::from(kind.clone()))).collect();
    Ok(Answer::json(200, &json!({ "fields": fields })))
}

/// GET /api/users/forgotten: hashes, as the names themselves are to be forgotten.
pub(super) fn forgotten(account: &Account, kind: &str, list: &str) -> Said {
    let names = account.forgotten.iter().filter_map(|(key, _)| key.strip_prefix(kind));
    let hashes: Vec<String> = names.map(|name| hex::encode(Sha256::digest(name.as_bytes()))).collect();
    Ok(Answer::json(200, &json!({ list: hashes })))
}

/// Most events of a person that are shown.
const MOST_EVENTS: usize = 200;

/// GET /api/events/{email} and /api/events/byUserId/{userId}: the latest first. Whose they are is `email` or `userId`.
pub(super) fn events(account: &Account, whose: &str, name: &str, call: &Call) -> Said {
    let limit = call.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(30_usize).min(MOST_EVENTS);
    let name = if whose == "email" { name.to_lowercase() } else { name.to_owned() };
    let his = account.events.values().rev().filter(|event| event.get(whose).and_then(Value::as_str) == Some(&name));
    Ok(Answer::json(200, &json!({ "events": his.take(limit).map(event).collect::<Vec<_>>() })))
}

/// An event as it is read back: moments are texts, and the `id` it was sent with is not among its members.
fn event(event: &Value) -> Value {
    let mut shown = event.as_object().cloned().unwrap_or_default();
    shown.remove("id");
    let created = shown.get("createdAt").and_then(Value::as_i64).and_then(|at| Timestamp::from_second(at).ok());
    if let Some(created) = created.map(moment) {
        shown.insert("createdAt".to_owned(), Value::from(created.clone()));
        shown.insert("eventUpdatedAt".to_owned(), Value::from(created));
    }
    shown.insert("eventType".to_owned(), Value::from("customEvent"));
    shown.retain(|_, value| !value.is_null());
    Value::Object(shown)
}

/// GET /api/channels
pub(super) fn channels(account: &Account) -> Said {
    let usual = json!([
        { "id": 1, "name": "Marketing", "channelType": "Marketing", "messageMedium": "Email" },
        { "id": 2, "name": "Transactional", "channelType": "Transactional", "messageMedium": "Email" },
    ]);
    Ok(Answer::json(200, &json!({ "channels": account.setting("channels").unwrap_or(&usual) })))
}

/// GET /api/messageTypes
pub(super) fn message_types(account: &Account) -> Said {
    let usual = json!([
        { "id": 1, "name": "Newsletter", "channelId": 1, "subscriptionPolicy": "OptOut", "createdAt": 0, "updatedAt": 0 },
        { "id": 2, "name": "Receipts", "channelId": 2, "subscriptionPolicy": "OptOut", "createdAt": 0, "updatedAt": 0 },
    ]);
    Ok(Answer::json(200, &json!({ "messageTypes": account.setting("message_types").unwrap_or(&usual) })))
}
