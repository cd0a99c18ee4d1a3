//! Six syncs to Iterable: update-only users, users with nested fields, events, a list, purchases, subscriptions.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::world::{World, sync};
use super::{of, quiet, same};
use crate::project::number;

const LIST: &str = "Buyers";
/// Rows of each sync in the first version of the source.
pub const ROWS: [(&str, u64); 6] =
    [("profiles", 40), ("details", 130), ("joined", 150), ("buyers", 60), ("orders", 9), ("choices", 20)];

/// Some values are others in version 2: one row in a hundred, or a few.
fn seats(i: u64, version: u64) -> u64 {
    i * 3 + if version == 2 && i == 7 { 1000 } else { 0 }
}

fn text(lines: impl Iterator<Item = String>, head: &str) -> String {
    lines.fold(format!("{head}\n"), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// The source in a version, as files.
pub fn source(version: u64) -> Vec<(&'static str, String)> {
    let profile = |i| {
        format!("{i},Upd{i}@Example.com,Ann,Person {i},{},{}", ["free", "premium"][i as usize % 2], seats(i, version))
    };
    let detail = |i: u64| {
        let city = if i.is_multiple_of(5) { String::new() } else { format!("City {i}") };
        format!(
            "{i},det{i}@example.com,{city},0{i:04},{}.5,{},2024-03-{:02}T08:30:00Z,{}",
            i,
            i.is_multiple_of(3),
            1 + i % 28,
            seats(i, version)
        )
    };
    let event = |i: u64| {
        let (person, day) = (i / 3, 1 + i % 28);
        format!("{i},evt{person}@example.com,2024-05-{day:02} 10:00:0{},plan {i},{}", i % 10, i * 2)
    };
    let order = |i: u64| {
        let items = json!([{ "id": format!("sku{i}"), "name": "Seat", "price": 9.5, "quantity": i }]).to_string();
        format!("{i},ord{i}@example.com,{}.5,\"{}\"", i * 9, items.replace('"', "\"\""))
    };
    let choice = |i: u64| format!("{i},cho{i}@example.com,\"[{i}, 500]\"");
    let events = if version == 2 { 151 } else { 150 };
    let members = if version == 2 { 6..=60 } else { 1..=60 };
    vec![
        ("data/profiles.csv", text((1..=40).map(profile), "id,email,first,last,plan,seats")),
        ("data/details.csv", text((1..=130).map(detail), "id,email,city,zip,ratio,active,joined,seats")),
        ("data/joined.csv", text((1..=events).map(event), "id,email,at,plan,amount")),
        ("data/buyers.csv", text(members.map(|i| format!("{i},buy{i}@example.com")), "id,email")),
        ("data/orders.csv", text((1..=9).map(order), "id,email,total,items")),
        ("data/choices.csv", text((1..=20).map(choice), "id,email,lists")),
    ]
}

fn known(i: u64) -> bool {
    !i.is_multiple_of(4)
}

/// Who Iterable knows before anything is sent.
fn before() -> Vec<Value> {
    let profiles = (1..=40)
        .filter(|i| known(*i))
        .map(|i| json!({ "email": format!("upd{i}@example.com"), "dataFields": { "before": i } }));
    let details = (1..=130).filter(|i| i % 2 == 0).map(|i| {
        let fields = json!({ "own": i, "address": { "street": "kept", "city": "old" } });
        json!({ "email": format!("det{i}@example.com"), "dataFields": fields })
    });
    profiles.chain(details).collect()
}

pub fn world() -> World {
    let config = json!({ "iterable": { "api_key": "key", "users": before(), "fields": { "seats": "long" } } });
    let mut files: Vec<(String, String)> = source(1).into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    let rest = [
        "object: user\nmode: update\nfields: { plan: plan, seats: seats, full_name: { template: '{{ row.first }} {{ row.last }}' } }\n",
        "object: user\nmode: upsert\nfields: { address.city: city, address.zip: zip, ratio: ratio, active: { column: active, \
         transform: boolean }, joined: { column: joined, transform: iso8601 }, seats: seats }\ndelivery: { batch_size: 50 }\n",
        "object: event\nmode: insert\nfields: { eventName: { value: joined }, createdAt: { column: at, transform: epoch_s }, \
         plan: plan, amount: amount }\ndelivery: { batch_size: 50 }\n",
        "object: list_membership\nmode: mirror\noptions: { list: Buyers }\ndelivery: { batch_size: 40 }\n",
        "object: purchase\nmode: insert\nfields: { total: total, items: { column: items, transform: json } }\n",
        "object: subscription\nmode: upsert\nfields: { emailListIds: { column: lists, transform: json } }\n",
    ];
    for ((name, _), rest) in ROWS.iter().zip(rest) {
        files.extend(sync("iterable", name, "id", rest));
    }
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    World::new(config, &files)
}

/// What Iterable must hold: exactly the rows that map to something, and what was there before.
pub fn expected(version: u64, refused: &dyn Fn(&str) -> bool) -> Value {
    let mut users: Map<String, Value> = Map::new();
    for user in before() {
        users.insert(user["email"].as_str().expect("an address").to_owned(), user);
    }
    let mut put = |email: String, fields: Value| {
        let user = users.entry(email.clone()).or_insert_with(|| json!({ "email": email, "dataFields": {} }));
        for (name, value) in fields.as_object().expect("fields") {
            match (&mut user["dataFields"][name], value) {
                (Value::Object(old), Value::Object(new)) => new.iter().for_each(|(name, value)| {
                    if value.is_null() {
                        old.remove(name);
                    } else {
                        old.insert(name.clone(), value.clone());
                    }
                }),
                (slot, Value::Object(new)) => {
                    let new = new.iter().filter(|(_, value)| !value.is_null());
                    *slot = new.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into();
                }
                (slot, value) => *slot = value.clone(),
            }
        }
    };
    for i in (1..=40).filter(|i| known(*i)) {
        let email = format!("upd{i}@example.com");
        if !refused(&email) {
            let plan = ["free", "premium"][i as usize % 2];
            put(email, json!({ "plan": plan, "seats": seats(i, version), "full_name": format!("Ann Person {i}") }));
        }
    }
    for i in 1..=130 {
        let email = format!("det{i}@example.com");
        if !refused(&email) {
            let city = if i % 5 == 0 { Value::Null } else { json!(format!("City {i}")) };
            let joined = format!("2024-03-{:02}T08:30:00Z", 1 + i % 28);
            let address = json!({ "city": city, "zip": format!("0{i:04}") });
            let ratio = i as f64 + 0.5;
            put(
                email,
                json!({ "address": address, "ratio": ratio, "active": i % 3 == 0, "joined": joined, "seats": seats(i, version) }),
            );
        }
    }
    let mut events = Vec::new();
    for i in 1..=(if version == 2 { 151 } else { 150 }) {
        let email = format!("evt{}@example.com", i / 3);
        if !refused(&email) {
            put(email.clone(), json!({}));
            // 2024-05-01T10:00:00Z
            let at = 1_714_557_600 + (i % 28) * 86_400 + i % 10;
            let data = json!({ "plan": format!("plan {i}"), "amount": i * 2 });
            events.push(json!({ "email": email, "eventName": "joined", "createdAt": at, "dataFields": data }));
        }
    }
    let mut members = Vec::new();
    for i in 1..=60 {
        let email = format!("buy{i}@example.com");
        if !refused(&email) {
            put(email.clone(), json!({}));
            if version == 1 || i > 5 {
                members.push(json!(email));
            }
        }
    }
    let mut purchases = Vec::new();
    for i in 1..=9 {
        let email = format!("ord{i}@example.com");
        if !refused(&email) {
            put(email.clone(), json!({}));
            let items = json!([{ "id": format!("sku{i}"), "name": "Seat", "price": 9.5, "quantity": i }]);
            purchases.push(
                json!({ "user": { "email": email }, "items": items, "total": (i * 9) as f64 + 0.5, "dataFields": {} }),
            );
        }
    }
    let choices = (1..=20).map(|i| (format!("cho{i}@example.com"), json!({ "emailListIds": [i, 500] })));
    let subscriptions: Map<String, Value> = choices.filter(|(email, _)| !refused(email)).collect();
    json!({ "users": users, "events": sorted(events), "lists": [{ "id": 101, "name": LIST, "members": sorted(members) }],
        "purchases": sorted(purchases), "subscriptions": subscriptions, "catalogs": {} })
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_cached_key(Value::to_string);
    values
}

/// What it holds, in an order, and without the ids of events, which must all differ.
pub fn held(dump: &Value) -> Value {
    let mut held = dump["iterable"].clone();
    for name in ["events", "purchases"] {
        let mut records = held[name].as_array().expect("a list").clone();
        let mut ids: Vec<String> =
            records.iter().map(|record| record["id"].as_str().expect("an id").to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), records.len(), "{name}: each with an id of its own");
        for record in &mut records {
            record.as_object_mut().expect("a record").shift_remove("id");
        }
        held[name] = sorted(records).into();
    }
    for list in held["lists"].as_array_mut().expect("lists") {
        list["members"] = sorted(list["members"].as_array().expect("members").clone()).into();
    }
    held
}

#[track_caller]
pub fn check(world: &World, version: u64, refused: &dyn Fn(&str) -> bool, what: &str) {
    let dump = world.dump();
    assert_eq!(dump["violations"], json!([]), "{what}");
    same(&held(&dump), &expected(version, refused), what);
}

fn none(_: &str) -> bool {
    false
}

#[test]
fn it_holds_exactly_the_rows_and_changes_alone_follow() {
    let world = world();
    let ran = world.apply(&[]).code(0).json();
    check(&world, 1, &none, "the first apply");
    for (sync, rows) in ROWS {
        let unknown = if sync == "profiles" { 10 } else { 0 };
        let one = of(&ran, sync);
        assert_eq!((number(one, "/no_match"), number(one, "/succeeded/added")), (unknown, rows - unknown), "{sync}");
    }
    let plan = world.run(&["plan", "--format", "json"]).code(0).json();
    assert_eq!(number(of(&plan, "profiles"), "/held/no_match"), 10);
    let shown = world.run(&["plan"]).code(0).stdout;
    assert!(shown.contains("10 no match"), "{shown}");
    world.faults(&json!([]));
    quiet(&world, world.apply(&[]));

    for (name, text) in source(2) {
        world.project.write(name, &text);
    }
    world.apply(&["--allow", "buyers:max_removed=10"]).code(0);
    check(&world, 2, &none, "the second version");
    let requests = world.dump()["requests"].clone();
    let least = json!({ "GET /api/users/getByEmail": 1, "POST /api/users/bulkUpdate": 2, "POST /api/events/trackBulk": 1,
        "GET /api/lists": 1, "POST /api/lists/unsubscribe": 1 });
    same(&requests, &least, "requests for the changes");
}

/// Everything, while every third request (or so) ends like this.
fn under(kind: &str, fault: Value) {
    let world = world();
    if kind.starts_with("timeout") {
        world.impatient("iterable");
    }
    world.faults(&fault);
    let refused = |email: &str| kind == "partial" && email.contains("7@");
    let code = if kind == "partial" { 4 } else { 0 };
    let ran = world.apply(&[]).code(code).json();
    check(&world, 1, &refused, kind);
    assert!(number(&world.dump(), &format!("/fired/{kind}")) >= 3, "{kind}: {:#}", world.dump()["fired"]);
    assert_eq!(number(of(&ran, "profiles"), "/no_match"), 10);
    if kind == "partial" {
        let rejected: u64 = ROWS.iter().map(|(sync, _)| number(of(&ran, sync), "/rejected")).sum();
        // 4 profiles, 13 details, 5 people with 3 events, 6 buyers, an order, 2 choices.
        assert_eq!(rejected, 4 + 13 + 15 + 6 + 1 + 2);
    }
    world.faults(&json!([]));
    quiet(&world, world.apply(&[]));
}

#[test]
fn while_it_wants_fewer_requests() {
    under("429", json!([{ "kind": "429", "every": 4, "times": 6 }]));
}

#[test]
fn while_it_fails() {
    under("500", json!([{ "kind": "500", "share": 0.2 }]));
}

#[test]
fn while_it_fails_after_it_has_done_the_work() {
    under("500_after", json!([{ "kind": "500_after", "share": 0.2 }]));
}

#[test]
fn while_it_never_answers() {
    under("timeout", json!([{ "kind": "timeout", "every": 9, "times": 6 }]));
}

#[test]
fn while_it_never_answers_and_has_done_the_work() {
    under("timeout_after", json!([{ "kind": "timeout_after", "every": 2, "times": 6, "method": "POST" }]));
}

#[test]
fn while_connections_break() {
    under("reset", json!([{ "kind": "reset", "share": 0.2 }]));
}

#[test]
fn while_connections_break_after_it_has_done_the_work() {
    under("reset_after", json!([{ "kind": "reset_after", "share": 0.2 }]));
}

#[test]
fn while_answers_are_cut() {
    under("truncated", json!([{ "kind": "truncated", "share": 0.2 }]));
}

#[test]
fn while_it_refuses_some_records() {
    under("partial", json!([{ "kind": "partial", "contains": "7@" }]));
}
