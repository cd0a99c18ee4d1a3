//! Syncs to Marketo: leads in four modes, custom activities, a static list, program members, a custom object.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::world::{World, sync};
use super::{of, quiet, same};
use crate::project::number;

/// Rows of each sync in the first version of the source, and how many of them no lead belongs to.
pub const ROWS: [(&str, u64, u64); 8] = [
    ("leads", 120, 0),
    ("scores", 40, 10),
    ("fresh", 30, 0),
    ("followed", 20, 0),
    ("activities", 60, 6),
    ("webinar_list", 40, 4),
    ("members", 30, 3),
    ("cars", 20, 0),
];

fn text(lines: impl Iterator<Item = String>, head: &str) -> String {
    lines.fold(format!("{head}\n"), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

fn seats(i: u64, version: u64) -> u64 {
    i * 3 + if version == 2 && i == 7 { 1000 } else { 0 }
}

/// The source in a version, as files.
pub fn source(version: u64) -> Vec<(&'static str, String)> {
    let lead = |i: u64| {
        format!(
            "{i},Lead{i}@Example.com,Name {i},{},2024-03-{:02}T08:30:00Z,{}",
            seats(i, version),
            1 + i % 28,
            i.is_multiple_of(2)
        )
    };
    let activity = |i: u64| format!("{i},act{i}@example.com,2024-05-{:02}T10:00:00Z,premium,{i}", 1 + i % 28);
    let member =
        |i: u64| format!("{i},mem{i}@example.com,{},https://example.com/{i}", ["Invited", "Attended"][i as usize % 2]);
    let people = |name: &'static str, ids: std::ops::RangeInclusive<u64>| {
        text(ids.map(|i| format!("{i},{name}{i}@example.com,{i}")), "id,email,seats")
    };
    let later = u64::from(version == 2);
    vec![
        ("data/leads.csv", text((1..=120).map(lead), "id,email,name,seats,joined,active")),
        ("data/scores.csv", people("sco", 1..=40)),
        ("data/fresh.csv", people("fre", 1..=30)),
        ("data/followed.csv", people("fol", 1 + 5 * later..=20)),
        ("data/activities.csv", text((1..=60 + later).map(activity), "id,email,at,plan,score")),
        ("data/webinar_list.csv", people("lis", 1 + 5 * later..=40)),
        ("data/members.csv", text((1..=30).map(member), "id,email,status,url")),
        ("data/cars.csv", text((1..=20).map(|i| format!("{i},VIN{i},Colour {i}")), "id,vin,colour")),
    ]
}

/// Whom Marketo knows before anything is sent.
fn before() -> Vec<Value> {
    let lead = |email: String, i: u64| json!({ "email": email, "firstName": "Before", "seats": i });
    let some = |name: &'static str, count: u64, least: u64| {
        (1..=count).filter(move |i| i % 10 > least).map(move |i| lead(format!("{name}{i}@example.com"), i))
    };
    let mut leads: Vec<Value> =
        (1..=120).filter(|i| i % 2 == 0).map(|i| lead(format!("lead{i}@example.com"), i)).collect();
    leads.extend((1..=40).filter(|i| i % 4 != 0).map(|i| lead(format!("sco{i}@example.com"), i)));
    leads.extend(some("act", 65, 0).chain(some("lis", 40, 0)).chain(some("mem", 30, 0)));
    leads
}

pub fn world() -> World {
    let config = json!({ "marketo": {
        "leads": before(), "lists": [77], "programs": [{ "id": 5, "statuses": ["Invited", "Attended"], "fields": ["webinarUrl"] }],
        "fields": { "firstName": "string", "seats": "integer", "joined": "datetime", "active": "boolean" },
        "activity_types": [{ "id": 100_001, "apiName": "trial", "attributes": { "score": "integer", "note": "string" } }],
        "objects": { "car": { "dedupe": ["vin"], "names": ["vin", "colour"] } },
    } });
    let mut files: Vec<(String, String)> = source(1).into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    let rest = [
        "object: lead\nmode: upsert\nfields: { firstName: name, seats: seats, joined: { column: joined, transform: iso8601 }, \
         active: { column: active, transform: boolean } }\ndelivery: { batch_size: 40, concurrency: 3 }\n",
        "object: lead\nmode: update\nfields: { seats: seats }\n",
        "object: lead\nmode: insert\nfields: { seats: seats }\ndelivery: { batch_size: 15 }\n",
        "object: lead\nmode: mirror\nfields: { seats: seats }\n",
        "object: custom_activity\nmode: insert\noptions: { activity_type: trial }\ndelivery: { batch_size: 20 }\n\
         fields: { activityDate: { column: at, transform: iso8601 }, primaryAttributeValue: plan, score: score, note: { value: n } }\n",
        "object: list_membership\nmode: mirror\noptions: { list_id: 77 }\nfields: {}\n",
        "object: program_member\nmode: upsert\noptions: { program_id: 5 }\nfields: { statusName: status, webinarUrl: url }\n",
        "object: custom_object\nmode: upsert\noptions: { object_name: car }\nfields: { colour: colour }\n",
    ];
    for ((name, ..), rest) in ROWS.iter().zip(rest) {
        let mut one = sync("marketo", name, "id", rest);
        if *name == "cars" {
            one[1].1 = one[1].1.replace("email: email", "vin: vin");
        }
        files.extend(one);
    }
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    World::new(config, &files)
}

/// What Marketo must hold, by address instead of its own numbers.
pub fn expected(version: u64, refused: &dyn Fn(&str) -> bool) -> Value {
    let mut leads: Map<String, Value> = Map::new();
    for lead in before() {
        leads.insert(lead["email"].as_str().expect("an address").to_owned(), lead);
    }
    let mut put = |email: String, fields: Value| {
        if !refused(&email) {
            let lead = leads.entry(email.clone()).or_insert_with(|| json!({ "email": email }));
            fields.as_object().expect("fields").iter().for_each(|(name, value)| lead[name] = value.clone());
        }
    };
    for i in 1..=120 {
        let joined = format!("2024-03-{:02}T08:30:00Z", 1 + i % 28);
        put(
            format!("lead{i}@example.com"),
            json!({ "firstName": format!("Name {i}"), "seats": seats(i, version), "joined": joined, "active": i % 2 == 0 }),
        );
    }
    (1..=40).filter(|i| i % 4 != 0).for_each(|i| put(format!("sco{i}@example.com"), json!({ "seats": i })));
    (1..=30).for_each(|i| put(format!("fre{i}@example.com"), json!({ "seats": i })));
    let gone = if version == 2 { 5 } else { 0 };
    (gone + 1..=20).for_each(|i| put(format!("fol{i}@example.com"), json!({ "seats": i })));
    let there = |i: &u64| !i.is_multiple_of(10);
    let activity = |i: u64| {
        let at = format!("2024-05-{:02}T10:00:00Z", 1 + i % 28);
        let values = json!({ "score": i, "note": "n" });
        json!({ "email": format!("act{i}@example.com"), "values": values, "activityDate": at, "activityTypeId": 100_001, "primaryAttributeValue": "premium" })
    };
    let taken = |record: &Value| !refused(record["email"].as_str().unwrap_or_default());
    let activities = sorted((1..=59 + version).filter(there).map(activity).filter(taken).collect());
    let listed = (gone + 1..=40).filter(there).map(|i| json!(format!("lis{i}@example.com")));
    let listed = sorted(listed.filter(|email| !refused(email.as_str().unwrap_or_default())).collect());
    let member = |i: u64| {
        (
            format!("mem{i}@example.com"),
            json!({ "statusName": (["Invited", "Attended"][i as usize % 2]), "webinarUrl": format!("https://example.com/{i}") }),
        )
    };
    let members: Map<String, Value> = (1..=30).filter(there).map(member).collect();
    let cars = sorted((1..=20).map(|i| json!({ "vin": format!("VIN{i}"), "colour": format!("Colour {i}") })).collect());
    json!({ "leads": leads, "activities": activities, "lists": { "77": listed }, "programs": { "5": members }, "objects": { "car": cars } })
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_cached_key(Value::to_string);
    values
}

/// What it holds, by address.
pub fn held(dump: &Value) -> Value {
    let marketo = &dump["marketo"];
    let mut leads: Map<String, Value> = Map::new();
    let mut emails: Map<String, Value> = Map::new();
    for lead in marketo["leads"].as_array().expect("leads") {
        let mut lead = lead.as_object().expect("a lead").clone();
        let number = lead.shift_remove("id").expect("an id");
        let email = lead["email"].as_str().expect("an address").to_lowercase();
        emails.insert(number.to_string(), json!(email));
        lead.insert("email".into(), json!(email));
        assert!(leads.insert(email.clone(), lead.into()).is_none(), "two leads of {email}");
    }
    let activity = |activity: &Value| {
        let mut activity = activity.as_object().expect("an activity").clone();
        activity.shift_remove("id");
        activity.shift_remove("leadId");
        Value::from(activity)
    };
    let activities = marketo["activities"].as_array().expect("activities").iter().map(activity).collect();
    let named = |number: &Value| emails.get(&number.to_string()).cloned().unwrap_or_default();
    let listed = marketo["lists"]["77"].as_array().expect("members").iter().map(named).collect();
    let program = marketo["programs"]["5"].as_object().expect("members");
    let members: Map<String, Value> = program
        .iter()
        .map(|(number, member)| (emails[number].as_str().unwrap_or_default().to_owned(), member.clone()))
        .collect();
    let cars = marketo["objects"]["car"].as_array().expect("cars").clone();
    json!({ "leads": leads, "activities": sorted(activities), "lists": { "77": sorted(listed) }, "programs": { "5": members },
        "objects": { "car": sorted(cars) } })
}

#[track_caller]
pub fn check(world: &World, version: u64, refused: &dyn Fn(&str) -> bool, what: &str) {
    let dump = world.dump();
    assert_eq!(dump["violations"], json!([]), "{what}");
    same(&held(&dump), &expected(version, refused), what);
}

/// Activities are in doubt where an answer was lost: each of the others is there once, and those are there or not.
#[track_caller]
pub fn check_but_doubtful(world: &World, in_doubt: u64, what: &str) {
    let dump = world.dump();
    assert_eq!(dump["violations"], json!([]), "{what}");
    let (mut held, mut expected) = (held(&dump), expected(1, &none));
    let there = held["activities"].take();
    let wanted = expected["activities"].take();
    same(&held, &expected, what);
    let (there, wanted) = (there.as_array().expect("a list"), wanted.as_array().expect("a list"));
    let mut once = there.clone();
    once.dedup();
    assert_eq!(once.len(), there.len(), "{what}: an activity is there twice");
    assert!(there.iter().all(|activity| wanted.contains(activity)), "{what}: an activity nobody asked for");
    let missing = (wanted.len() - there.len()) as u64;
    assert!(missing <= in_doubt, "{what}: {missing} activities are not there, and {in_doubt} in doubt");
}

fn none(_: &str) -> bool {
    false
}

#[test]
fn it_holds_exactly_the_rows_and_changes_alone_follow() {
    let world = world();
    let ran = world.apply(&[]).code(0).json();
    check(&world, 1, &none, "the first apply");
    for (sync, rows, unknown) in ROWS {
        let one = of(&ran, sync);
        assert_eq!((number(one, "/no_match"), number(one, "/succeeded/added")), (unknown, rows - unknown), "{sync}");
    }
    let plan = world.run(&["plan", "--format", "json"]).code(0).json();
    assert_eq!(number(of(&plan, "scores"), "/held/no_match"), 10);
    world.faults(&json!([]));
    quiet(&world, world.apply(&[]));

    for (name, text) in source(2) {
        world.project.write(name, &text);
    }
    world.apply(&["--allow", "followed:max_removed=10", "--allow", "webinar_list:max_removed=10"]).code(0);
    check(&world, 2, &none, "the second version");
    let requests = world.dump()["requests"].clone();
    let least = json!({ "GET /identity/oauth/token": 1, "GET /rest/v1/stats/usage.json": 1, "POST /rest/v1/leads.json": 1,
        "GET /rest/v1/leads.json": 3, "POST /rest/v1/leads/delete.json": 1, "GET /rest/v1/activities/external/types.json": 1,
        "POST /rest/v1/activities/external.json": 1, "DELETE /rest/v1/lists/77/leads.json": 1 });
    same(&requests, &least, "requests for the changes");
}

/// Everything, while requests end like this. Answers about activities that are lost leave them in doubt.
fn under(kind: &str, fault: Value, loses: bool) {
    let world = world();
    if kind.starts_with("timeout") {
        world.impatient("marketo");
    }
    let lost = json!({ "kind": kind, "path": "*/activities/external.json", "times": if loses { 1 } else { 0 } });
    world.faults(&json!([lost, fault]));
    let refused = |email: &str| kind == "partial" && email.contains("7@");
    let ran = world.apply(&[]).code(if kind == "partial" || loses { 4 } else { 0 }).json();
    let in_doubt = number(of(&ran, "activities"), "/in_doubt");
    assert_eq!(in_doubt > 0, loses, "{kind}");
    if loses {
        check_but_doubtful(&world, in_doubt, kind);
        let plan = world.run(&["plan", "--format", "json"]).code(0).json();
        assert_eq!(number(of(&plan, "activities"), "/held/in_doubt"), in_doubt, "{kind}: told by the next plan");
    } else {
        check(&world, 1, &refused, kind);
    }
    let fired = number(&world.dump(), &format!("/fired/{kind}"));
    assert!(fired >= 2, "{kind}: {fired}");
    assert_eq!(number(of(&ran, "scores"), "/no_match"), 10);
    world.faults(&json!([]));
    quiet(&world, world.apply(&[]));
}

#[test]
fn while_tokens_expire() {
    under("expired", json!({ "kind": "expired", "path": "/rest/*", "every": 4 }), false);
}

#[test]
fn while_it_is_not_available_for_a_moment() {
    under("608", json!({ "kind": "608", "path": "/rest/*", "share": 0.2 }), false);
}

/// A plain 500 or 503 is taken for one that says no, also where nobody can tell whether it was done.
#[test]
fn while_it_fails() {
    under("500", json!({ "kind": "500", "path": "/rest/*", "share": 0.2 }), false);
}

#[test]
fn while_it_fails_after_it_has_done_the_work() {
    let fault = json!({ "kind": "500_after", "path": "/rest/v1/[lpc]*", "share": 0.3 });
    under("500_after", fault, false);
}

#[test]
fn while_it_never_answers() {
    under("timeout", json!({ "kind": "timeout", "path": "/rest/*", "every": 7, "times": 3 }), true);
}

#[test]
fn while_it_never_answers_and_has_done_the_work() {
    under("timeout_after", json!({ "kind": "timeout_after", "path": "/rest/*", "every": 7, "times": 3 }), true);
}

#[test]
fn while_connections_break() {
    under("reset", json!({ "kind": "reset", "share": 0.2 }), true);
}

#[test]
fn while_connections_break_after_it_has_done_the_work() {
    under("reset_after", json!({ "kind": "reset_after", "share": 0.2 }), true);
}

#[test]
fn while_answers_are_cut() {
    under("truncated", json!({ "kind": "truncated", "share": 0.2 }), true);
}

#[test]
fn while_it_refuses_some_records() {
    under("partial", json!({ "kind": "partial", "contains": "7@" }), false);
}
