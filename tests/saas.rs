//! Iterable and Marketo, each played by a stand-in that was written from the vendors' documents and is strict about every
//! request. Afterwards it holds exactly what the source has, also under faults and after `kill -9`; no event twice.

mod held;
mod iterable;
mod kills;
mod marketo;
mod refusals;
mod world;

use serde_json::Value;

use crate::project::Ran;

/// What a run says of one sync.
#[track_caller]
fn of<'a>(run: &'a Value, sync: &str) -> &'a Value {
    let syncs = run["syncs"].as_array().expect("syncs");
    syncs.iter().find(|one| one["sync"] == sync).unwrap_or_else(|| panic!("no `{sync}` in\n{run:#}"))
}

/// Fails at the first place where two JSON values differ.
#[track_caller]
fn same(found: &Value, expected: &Value, what: &str) {
    if let Some(place) = difference(found, expected, String::new()) {
        panic!("{what}: {place}");
    }
}

fn difference(found: &Value, expected: &Value, at: String) -> Option<String> {
    match (found, expected) {
        (Value::Object(one), Value::Object(other)) => {
            let names = other.keys().chain(one.keys().filter(|name| !other.contains_key(*name)));
            names.into_iter().find_map(|name| match (one.get(name), other.get(name)) {
                (Some(one), Some(other)) => difference(one, other, format!("{at}/{name}")),
                (one, other) => Some(format!("{at}/{name} is {one:?}, expected {other:?}")),
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().find_map(|(n, (one, other))| difference(one, other, format!("{at}/{n}")))
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => None,
        _ if found == expected => None,
        _ => Some(format!("{at} is {found}, expected {expected}")),
    }
}

/// What was sent where nothing went wrong, and then nothing; what is looked at in every test.
#[track_caller]
fn quiet(world: &world::World, again: Ran) {
    assert_eq!(again.code, 0, "{}\n{}", again.stdout, again.stderr);
    assert_eq!(world.dump()["total"], 0, "requests of a second apply: {:#}", world.dump()["requests"]);
}
