//! Custom events and purchases. Both are told apart by `id`, if they have one: the same again is the same one.

use serde_json::{Map, Value, json};

use super::account::Account;
use super::answer::{Refusal, bad_params, done};
use super::fields::{self, Admission};
use super::identity::{Fault, Who};
use super::users::{self, Failures, data};
use super::{Body, Said, shape};
use crate::sandbox::store::Shelf;
use crate::sandbox::wire::Call;

/// Longest `id`, in bytes.
const MAX_ID: usize = 512;

fn name(event: &Value) -> &str {
    event.get("eventName").and_then(Value::as_str).unwrap_or("")
}

/// Looks at the fields of all events; those of one name share their types.
fn admit(account: &Account, events: &[(Who<'_>, &Value)]) -> Result<Admission, Refusal> {
    let mut all = Admission::default();
    let mut names: Vec<&str> = events.iter().map(|(_, event)| name(event)).collect();
    names.sort_unstable();
    names.dedup();
    for wanted in names {
        let usual = account.creates_fields();
        let create = |event: &Value| event.get("createNewFields").and_then(Value::as_bool).unwrap_or(usual);
        let same = events.iter().filter(|(_, event)| name(event) == wanted);
        let sent = same.map(|(_, event)| (data(event), create(event)));
        let admission = fields::admit(&account.event_fields, &format!("{wanted}\0"), "custom_event", sent)?;
        all.created.extend(admission.created);
        all.dropped.extend(admission.dropped);
    }
    Ok(all)
}

/// Takes one event.
fn take(account: &mut Account, call: &Call, who: Who<'_>, event: &Value, admission: &Admission) -> Result<(), Fault> {
    let key = account.find_or_create(who, call.now)?;
    let user = account.users.get(&key);
    let mut kept = Map::new();
    kept.insert("email".to_owned(), json!(user.and_then(|user| user.email.as_ref())));
    kept.insert("userId".to_owned(), json!(user.and_then(|user| user.user_id.as_ref())));
    for member in ["eventName", "id", "createdAt", "campaignId", "templateId"] {
        if let Some(value) = event.get(member).filter(|value| !value.is_null()) {
            kept.insert(member.to_owned(), value.clone());
        }
    }
    kept.entry("createdAt").or_insert_with(|| Value::from(call.now.as_second()));
    let mut written = Map::new();
    let scope = format!("{}\0", name(event));
    fields::write(&mut written, data(event), &scope, false, &account.event_fields, &admission.dropped);
    kept.insert("dataFields".to_owned(), Value::Object(written));
    put(&mut account.events, &mut account.events_by_id, kept);
    Ok(())
}

/// Keeps an event, in place of the one with the same `id`.
fn put(shelf: &mut Shelf<u64, Value>, by_id: &mut std::collections::HashMap<String, u64>, event: Map<String, Value>) {
    let id = event.get("id").and_then(Value::as_str).map(str::to_owned);
    let known = id.as_ref().and_then(|id| by_id.get(id).copied());
    match known {
        Some(key) => shelf.insert(key, Value::Object(event)),
        None => {
            let key = shelf.add(Value::Object(event));
            id.map(|id| by_id.insert(id, key));
        }
    }
}

fn check_id(event: &Value) -> Result<(), Refusal> {
    match event.get("id").and_then(Value::as_str) {
        Some(id) if id.len() > MAX_ID => Err(bad_params(format!("id is longer than {MAX_ID} bytes"))),
        _ => Ok(()),
    }
}

fn disallowed(account: &Account, event: &Value) -> bool {
    account.disallowed_events.contains(name(event))
}

/// Field names as people know them: without the event's name before.
fn shown<'a>(fields: impl Iterator<Item = &'a String>) -> Value {
    let names = fields.map(|field| field.split_once('\0').map_or(field.as_str(), |(_, name)| name));
    names.collect::<Vec<_>>().into()
}

fn make_fields(account: &mut Account, admission: &Admission) {
    for (field, kind) in &admission.created {
        account.event_fields.insert(field.clone(), kind.clone());
    }
}

/// POST /api/events/trackBulk
pub(super) fn track_bulk(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let body = body.read(shape::EVENTS)?;
    let events = users::records(body, "events")?;
    events.iter().try_for_each(|(_, event)| check_id(event))?;
    let allowed: Vec<_> = events.iter().filter(|(_, event)| !disallowed(account, event)).copied().collect();
    let admission = admit(account, &allowed)?;
    make_fields(account, &admission);
    let mut failures = Failures::default();
    let mut refused: Vec<&str> = Vec::new();
    for (position, (who, event)) in events.iter().enumerate() {
        if disallowed(account, event) {
            failures.failed += 1;
            if !refused.contains(&name(event)) {
                refused.push(name(event));
            }
            continue;
        }
        let outcome = match call.trouble.refuses(position) {
            true => Err(Fault::NotFound),
            false => take(account, call, *who, event, &admission),
        };
        failures.note(*who, outcome);
    }
    let mut more = Map::new();
    more.insert("createdFields".to_owned(), shown(admission.created.keys()));
    more.insert("filteredOutFields".to_owned(), shown(admission.dropped.iter()));
    more.insert("disallowedEventNames".to_owned(), json!(refused));
    Ok(failures.report(&["invalid", "notFound", "forgotten"], more))
}

/// POST /api/events/track: an event that is not allowed is refused in words only.
pub(super) fn track(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let event = Value::Object(body.read(shape::EVENT)?.clone());
    let who = users::who(&event)?;
    check_id(&event)?;
    if disallowed(account, &event) {
        let message = format!("Event with name \"{}\" is disallowed from tracking", name(&event));
        return Ok(done(&message).with_records(1));
    }
    let admission = admit(account, &[(who, &event)])?;
    make_fields(account, &admission);
    take(account, call, who, &event, &admission).map_err(|fault| users::refusal(fault, who))?;
    Ok(done(&format!("Event with id: {} tracked.", event.get("id").and_then(Value::as_str).unwrap_or("none")))
        .with_records(1))
}

/// POST /api/commerce/trackPurchase: the user is made or changed on the way.
pub(super) fn purchase(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let purchase = Value::Object(body.read(shape::PURCHASE)?.clone());
    let user = purchase.get("user").cloned().unwrap_or_default();
    let who = users::who(&user)?;
    check_id(&purchase)?;
    let create = account.creates_fields();
    let admission = fields::admit(&account.fields, "", "user", [(data(&user), create)].into_iter())?;
    users::settle(account, &admission);
    let key = users::write(account, call, who, &user, &admission.dropped).map_err(|f| users::refusal(f, who))?;
    let mut kept = purchase.as_object().cloned().unwrap_or_default();
    kept.entry("createdAt").or_insert_with(|| Value::from(call.now.as_second()));
    let user = account.users.get(&key);
    let (email, user_id) = (user.and_then(|u| u.email.clone()), user.and_then(|u| u.user_id.clone()));
    kept.insert("user".to_owned(), json!({ "email": email, "userId": user_id }));
    put(&mut account.purchases, &mut account.purchases_by_id, kept);
    Ok(done("").with_records(1))
}
