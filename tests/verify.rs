//! `verify`: counts side by side with their reasons; what was changed or deleted behind our back is found and named.

use serde_json::{Value, json};
use syncline::sandbox::{Options, Sandbox, Seed};

use crate::engines::Engine;
use crate::project::{Project, Ran, people_csv};

const FIELDS: &str = "fields: { name: name, seats: seats }\nguards: { max_removed: 100%, max_changed: 100% }\n";

/// Twenty people in a SQLite database, applied.
fn applied(mode: &str) -> Project {
    let project = Project::people(mode, FIELDS);
    project.write("data/people.csv", &people_csv(20));
    project.apply(&[]).code(0);
    project
}

fn verify(project: &Project, code: i32) -> Value {
    project.run(&["verify", "--format", "json"]).code(code).json()["syncs"][0].clone()
}

/// `reason count` of all reasons, in their order; without a reason, with an exclamation mark.
fn reasons(found: &Value) -> Vec<String> {
    let all = ["source_reasons", "destination_reasons"].map(|list| found[list].as_array().unwrap().clone());
    let word = |r: &Value| {
        let mark = if r["explained"] == true { "" } else { "!" };
        format!("{mark}{} {}", r["reason"].as_str().unwrap(), r["count"])
    };
    all.iter().flatten().map(word).collect()
}

#[test]
fn every_difference_has_its_reason_or_none() {
    /// What is done behind our back or to the model, exit code, reasons, unexplained.
    type Case = (&'static str, fn(&Project), i32, &'static [&'static str], u64);
    let cases: &[Case] = &[
        ("nothing", |_| {}, 0, &[], 0),
        (
            "a deleted record",
            |p| p.sql("out/crm.db", "delete from people where email = 'p3@example.com'"),
            4,
            &["!missing 1"],
            1,
        ),
        (
            "a changed field",
            |p| p.sql("out/crm.db", "update people set seats = 99 where email = 'p3@example.com'"),
            4,
            &["!changed 1"],
            1,
        ),
        (
            "a record of others",
            |p| p.sql("out/crm.db", "insert into people (email) values ('other@example.com')"),
            0,
            &["foreign 1"],
            0,
        ),
        (
            "a record twice",
            |p| {
                p.sql("out/crm.db", "create table freely as select * from people; drop table people; alter table freely rename to people; insert into people (email) values ('p3@example.com')")
            },
            4,
            &["!several 1", "foreign 1"],
            1,
        ),
        (
            "rows that wait for the next apply",
            |p| p.write("data/people.csv", &people_csv(22).replace("\n3,", "\n33,")),
            0,
            &["pending_added 3", "pending_removed 1"],
            0,
        ),
        (
            "a changed row that waits",
            |p| p.write("data/people.csv", &people_csv(20).replace("Person 3,", "Other,")),
            0,
            &[],
            0,
        ),
        (
            "rows that cannot be sent",
            |p| p.write("data/people.csv", &(people_csv(20) + "21,,Nobody,free,1\n,x@example.com,No key,free,1\n")),
            0,
            &["invalid 2"],
            0,
        ),
        (
            "a row whose key came twice",
            |p| p.write("data/people.csv", &(people_csv(20) + "3,p3@example.com,Twice,free,1\n")),
            0,
            &["invalid 2"],
            0,
        ),
    ];
    for (what, change, code, expected, unexplained) in cases {
        let project = applied("upsert");
        change(&project);
        let found = verify(&project, *code);
        assert_eq!(reasons(&found), *expected, "{what}: {found:#}");
        assert_eq!(found["unexplained"], *unexplained, "{what}");
        assert_eq!(found["acknowledged"], 20, "{what}");
    }
}

#[test]
fn the_counts_stand_side_by_side_and_personal_data_is_masked() {
    let project = applied("upsert");
    project.sql("out/crm.db", "update people set name = 'Somebody' where email = 'p3@example.com'");
    project.sql("out/crm.db", "delete from people where email = 'p4@example.com'");
    let expected = "\
differs  people  people → crm people
         rows of the model              20
         valid                          20
         acknowledged                   20
         at the destination             19
         looked for 20 records, found 19; compared 19 field by field, 18 the same
         ! 1 was acknowledged and is not there: ‹number›
         ! 1 is not as it was sent: ‹number›
         ‹number› · name: sent \"‹8 characters›\", there is \"‹8 characters›\"

1 sync with differences that have no reason.
";
    assert_eq!(project.run(&["verify"]).code(4).stdout, expected);
    let shown = project.run(&["verify", "people", "--show-values"]).code(4).stdout;
    for part in ["is not there: 4", "3 · name: sent \"Person 3\", there is \"Somebody\""] {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
    let serial = project.read(".syncline/default/state.json");
    project.run(&["verify"]).code(4);
    assert_eq!(project.read(".syncline/default/state.json"), serial, "it changes nothing");
    // The next full refresh puts right what was changed.
    project.apply(&["--full-refresh"]).code(0);
    project.run(&["verify"]).code(0);
}

#[test]
fn a_sample_is_as_large_as_asked_for_and_always_the_same() {
    let project = applied("upsert");
    project.sql("out/crm.db", "update people set name = 'Somebody'");
    let sample = || project.run(&["verify", "--sample", "5", "--format", "json", "--show-values"]).code(4).json();
    let first = sample();
    assert_eq!(first["syncs"][0]["at_destination"]["compared"], 5);
    assert_eq!(first["syncs"][0]["at_destination"]["looked_for"], 20, "all are looked for where that costs nothing");
    assert_eq!(first["syncs"][0]["differences"].as_array().unwrap().len(), 5);
    assert_eq!(first, sample());
}

#[test]
fn before_the_first_run_and_without_values_there_is_nothing_to_look_for() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    let found = verify(&project, 0);
    assert_eq!(reasons(&found), ["pending_added 3"]);
    assert_eq!(found["at_destination"]["not_looked"], "nothing was acknowledged yet");
    project.write("syncline.yaml", "name: test\nstate: { type: local, values: fingerprint }\n");
    project.apply(&[]).code(0);
    let found = verify(&project, 0);
    assert!(found["at_destination"]["not_looked"].as_str().unwrap().contains("fingerprints"), "{found:#}");
    assert_eq!(found["at_destination"]["count"], 3);
}

#[test]
fn databases_compare_with_their_own_types() {
    for engine in Engine::all() {
        let database = engine.database(engine.either(
        "create table people (email text primary key, name varchar(40), seats numeric(10, 2), at timestamptz)",
        "create table people (email varchar(100) primary key, name varchar(40), seats decimal(10, 2), at timestamp null)",
    ));
        let project = Project::people(
            "upsert",
            "fields: { name: name, seats: seats, at: { value: '2026-01-02T10:00:00+01:00' } }\n",
        );
        project.write("data/people.csv", &people_csv(20));
        project.write("password", engine.password());
        project.write("destinations/crm.yaml", &engine.yaml("crm", &database));
        project.apply(&[]).code(0);
        assert_eq!(reasons(&verify(&project, 0)), [""; 0]);
        engine.run(&database, "delete from people where email = 'p3@example.com'; update people set seats = 12.5 where email = 'p4@example.com'; insert into people (email) values ('other@example.com')");
        let found = project.run(&["verify", "--show-values", "--format", "json"]).code(4).json()["syncs"][0].clone();
        assert_eq!(reasons(&found), ["!missing 1", "!changed 1", "foreign 1"], "{found:#}");
        assert_eq!(
            found["differences"][0]["fields"],
            json!([{ "name": "seats", "sent": 4, "there": "12.50", "sensitive": true }])
        );
    }
}

/// Runs with the credentials the sandbox takes.
pub(crate) fn run(project: &Project, arguments: &[&str]) -> Ran {
    let mut command = project.command(arguments);
    command.env("KEY", Sandbox::API_KEY).env("SECRET", Sandbox::CLIENT);
    Ran::new(command.output().expect("the binary runs"))
}

/// What somebody else does at Iterable and Marketo.
pub(crate) fn behind_our_back(sandbox: &Sandbox) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (iterable, marketo) = (sandbox.iterable_url(), sandbox.marketo_url());
    runtime.block_on(async {
        let key = |request: reqwest::RequestBuilder| request.header("Api-Key", Sandbox::API_KEY);
        let deleted = key(client.delete(format!("{iterable}/api/users/p3@example.com"))).send().await.unwrap();
        assert!(deleted.status().is_success(), "{deleted:?}");
        let body = json!({ "email": "p4@example.com", "dataFields": { "seats": 77 } });
        let changed = key(client.post(format!("{iterable}/api/users/update"))).header("Content-Type", "application/json").body(body.to_string()).send().await.unwrap();
        assert!(changed.status().is_success(), "{changed:?}");
        let token = format!("{marketo}/identity/oauth/token?grant_type=client_credentials&client_id={0}&client_secret={0}", Sandbox::CLIENT);
        let token = client.get(token).send().await.unwrap().text().await.unwrap();
        let token: Value = serde_json::from_str(&token).unwrap();
        let token = token["access_token"].as_str().unwrap();
        let body = json!({ "action": "updateOnly", "lookupField": "email", "input": [{ "email": "p5@example.com", "firstName": "Somebody" }] });
        let changed = client.post(format!("{marketo}/rest/v1/leads.json")).bearer_auth(token).header("Content-Type", "application/json").body(body.to_string()).send().await.unwrap();
        let changed: Value = serde_json::from_str(&changed.text().await.unwrap()).unwrap();
        assert_eq!(changed["result"][0]["status"], "updated", "{changed}");
    });
}

#[test]
fn iterable_and_marketo_are_read_back_by_key() {
    let (sandbox, project) = users_and_leads();
    run(&project, &["apply", "--auto-approve"]).code(0);
    let of = |found: &Value, name: &str| {
        found["syncs"].as_array().unwrap().iter().find(|s| s["sync"] == name).unwrap().clone()
    };
    let found = run(&project, &["verify", "--format", "json"]).code(0).json();
    assert_eq!(reasons(&of(&found, "users")), ["no_match 2"], "{found:#}");
    assert_eq!(of(&found, "users")["acknowledged"], 8);
    for (sync, compared) in [("users", 8), ("leads", 10)] {
        assert_eq!(of(&found, sync)["at_destination"]["same"], compared, "{found:#}");
    }
    behind_our_back(&sandbox);
    let found = run(&project, &["verify", "--format", "json", "--show-values"]).code(4).json();
    assert_eq!(reasons(&of(&found, "users")), ["no_match 2", "!missing 1", "!changed 1"], "{found:#}");
    assert_eq!(
        of(&found, "users")["differences"],
        json!([{ "key": "4", "fields": [{ "name": "seats", "sent": 4, "there": 77, "sensitive": true }] }])
    );
    let leads = json!([{ "key": "5", "fields": [{ "name": "firstName", "sent": "Person 5", "there": "Somebody", "sensitive": true }] }]);
    assert_eq!(of(&found, "leads")["differences"], leads);
}

/// A sandbox in which Iterable knows eight of ten people, and a project that sends them there and to Marketo.
pub(crate) fn users_and_leads() -> (Sandbox, Project) {
    let users: Vec<Value> = (1..=8).map(|n| json!({ "email": format!("p{n}@example.com") })).collect();
    let syncs = [
        ("users", "destination: iterable\nobject: user\nmode: update\nfields: { seats: seats, address.plan: plan }\n"),
        ("leads", "destination: marketo\nobject: lead\nmode: upsert\nfields: { firstName: name }\n"),
    ];
    sandboxed(json!({ "iterable": { "users": users } }), &syncs)
}

/// A sandbox with a project of people that goes there, applied once.
fn with_sandbox(seed: Value, syncs: &[(&str, &str)]) -> (Sandbox, Project) {
    let (sandbox, project) = sandboxed(seed, syncs);
    run(&project, &["apply", "--auto-approve"]).code(0);
    (sandbox, project)
}

/// A sandbox, and a project of people that goes there.
fn sandboxed(seed: Value, syncs: &[(&str, &str)]) -> (Sandbox, Project) {
    let seed = Seed::parse(&seed.to_string()).unwrap();
    let sandbox = Sandbox::launch(Options { seed: Some(seed), ..Options::default() }).unwrap();
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    std::fs::remove_file(project.path("syncs/people.yaml")).unwrap();
    std::fs::remove_file(project.path("destinations/crm.yaml")).unwrap();
    let (iterable, marketo) = (sandbox.iterable_url(), sandbox.marketo_url());
    project.write("destinations/iterable.yaml", &format!("name: iterable\ntype: iterable\nconnection: {{ api_key: \"{{{{ env.KEY }}}}\", base_url: \"{iterable}\" }}\n"));
    project.write("destinations/marketo.yaml", &format!("name: marketo\ntype: marketo\nconnection: {{ client_id: sandbox, client_secret: \"{{{{ env.SECRET }}}}\", base_url: \"{marketo}\" }}\n"));
    for (name, text) in syncs {
        project.write(
            &format!("syncs/{name}.yaml"),
            &format!("name: {name}\nmodel: people\nmatch: {{ email: email }}\n{text}"),
        );
    }
    (sandbox, project)
}

fn verified(project: &Project, code: i32) -> impl Fn(&str) -> Value {
    let found = run(project, &["verify", "--format", "json", "--show-values"]).code(code).json();
    move |name: &str| found["syncs"].as_array().unwrap().iter().find(|s| s["sync"] == name).unwrap().clone()
}

/// Sends JSON to the sandbox's Iterable, or to its Marketo.
fn send(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let method: reqwest::Method = method.parse().unwrap();
    runtime.block_on(async {
        let request = if path.starts_with("/rest") {
            let marketo = sandbox.marketo_url();
            let token = format!(
                "{marketo}/identity/oauth/token?grant_type=client_credentials&client_id={0}&client_secret={0}",
                Sandbox::CLIENT
            );
            let token: Value =
                serde_json::from_str(&client.get(token).send().await.unwrap().text().await.unwrap()).unwrap();
            client.request(method, format!("{marketo}{path}")).bearer_auth(token["access_token"].as_str().unwrap())
        } else {
            client.request(method, format!("{}{path}", sandbox.iterable_url())).header("Api-Key", Sandbox::API_KEY)
        };
        let request = request.header("Content-Type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    })
}

#[test]
fn who_is_on_a_list_is_read_back() {
    let users: Vec<Value> = (1..=10).map(|n| json!({ "email": format!("p{n}@example.com") })).collect();
    let lists = json!([{ "id": 7, "name": "customers", "members": [] }]);
    let seed = json!({
        "iterable": { "users": users, "lists": lists },
        "marketo": { "leads": users, "lists": [{ "id": 10, "name": "static", "members": [] }] },
    });
    let (sandbox, project) = with_sandbox(
        seed,
        &[
            ("on_list", "destination: iterable\nobject: list_membership\nmode: mirror\noptions: { list_id: 7 }\n"),
            ("on_static", "destination: marketo\nobject: list_membership\nmode: mirror\noptions: { list_id: 10 }\n"),
        ],
    );
    let found = verified(&project, 0);
    for sync in ["on_list", "on_static"] {
        assert_eq!(
            (&found(sync)["acknowledged"], &found(sync)["at_destination"]["found"]),
            (&json!(10), &json!(10)),
            "{:#}",
            found(sync)
        );
    }
    assert_eq!(found("on_list")["at_destination"]["count"], 10);
    let requests = &found("on_list")["at_destination"]["requests"];
    assert_eq!(*requests, 2, "one to see that it is there, one for the whole list");
    // Somebody takes one person off each list, and puts another on one.
    send(
        &sandbox,
        "POST",
        "/api/lists/unsubscribe",
        &json!({ "listId": 7, "subscribers": [{ "email": "p3@example.com" }], "channelUnsubscribe": false }),
    );
    send(
        &sandbox,
        "POST",
        "/api/lists/subscribe",
        &json!({ "listId": 7, "subscribers": [{ "email": "other@example.com" }] }),
    );
    let lead = send(&sandbox, "GET", "/rest/v1/leads.json?filterType=email&filterValues=p4@example.com", &json!({}));
    let id = lead["result"][0]["id"].as_u64().unwrap();
    send(&sandbox, "DELETE", &format!("/rest/v1/lists/10/leads.json?id={id}"), &json!({ "input": [{ "id": id }] }));
    let found = verified(&project, 4);
    let keys = |sync: &str| found(sync)["destination_reasons"].clone();
    assert_eq!(
        keys("on_list"),
        json!([
            { "reason": "missing", "count": 1, "explained": false, "keys": ["3"] },
            { "reason": "foreign", "count": 1, "explained": true }
        ])
    );
    assert_eq!(keys("on_static"), json!([{ "reason": "missing", "count": 1, "explained": false, "keys": ["4"] }]));
    // And the plan against what is there puts them back.
    let plan = run(&project, &["plan", "--refresh", "--format", "json"]).code(0).json();
    for part in plan["syncs"].as_array().unwrap() {
        assert_eq!((&part["counts"]["added"], &part["counts"]["changed"]), (&json!(1), &json!(0)), "{part:#}");
    }
    run(&project, &["apply", "--auto-approve", "--refresh"]).code(0);
    assert_eq!(verified(&project, 0)("on_list")["at_destination"]["found"], 10);
}

#[test]
fn items_of_a_catalog_are_read_back() {
    let (sandbox, project) = sandboxed(json!({}), &[]);
    send(&sandbox, "POST", "/api/catalogs/people", &json!({}));
    project.write(
        "syncs/items.yaml",
        "name: items\nmodel: people\ndestination: iterable\nobject: catalog_item\nmode: mirror\nmatch: { id: id }\n\
         options: { catalog: people }\nfields: { name: name, seats: seats }\n",
    );
    // Iterable says nothing of each item, so none counts as succeeded: reading them back does.
    run(&project, &["apply", "--auto-approve"]).code(0);
    assert_eq!(verified(&project, 0)("items")["at_destination"]["same"], 10);
    send(&sandbox, "PATCH", "/api/catalogs/people/items/5", &json!({ "update": { "seats": 77 } }));
    send(&sandbox, "DELETE", "/api/catalogs/people/items/4", &json!({}));
    let found = verified(&project, 4)("items");
    assert_eq!(reasons(&found), ["!missing 1", "!changed 1"], "{found:#}");
    let seats = json!([{ "name": "seats", "sent": 5, "there": 77, "sensitive": true }]);
    assert_eq!(found["differences"], json!([{ "key": "5", "fields": seats }]));
}

#[test]
fn companies_cars_members_of_programs_and_subscriptions_are_read_back() {
    let people: Vec<Value> = (1..=10).map(|n| json!({ "email": format!("p{n}@example.com") })).collect();
    let seed = json!({
        "iterable": { "users": people },
        "marketo": {
            "leads": people,
            "custom_objects": [{ "name": "car", "dedupeFields": ["vin", "owner"], "fields": [{ "name": "vin" }, { "name": "owner" }, { "name": "seats", "dataType": "integer" }] }],
            "programs": [{ "id": 5, "name": "Webinar", "statuses": { "Invited": 1 }, "memberFields": [{ "name": "seat", "dataType": "integer" }] }],
        },
    });
    let (sandbox, project) = sandboxed(
        seed,
        &[
            ("companies", "destination: marketo\nobject: company\nmode: upsert\nfields: { company: name }\n"),
            (
                "cars",
                "destination: marketo\nobject: custom_object\nmode: upsert\noptions: { object_name: car }\nfields: { seats: seats }\n",
            ),
            (
                "members",
                "destination: marketo\nobject: program_member\nmode: upsert\noptions: { program_id: 5 }\nfields: { statusName: { value: Invited }, seat: seats }\n",
            ),
            (
                "subscriptions",
                "destination: iterable\nobject: subscription\nmode: upsert\nfields: { unsubscribedChannelIds: { value: [12, 7] }, subscribedMessageTypeIds: { value: [] } }\n",
            ),
        ],
    );
    project.edit("syncs/companies.yaml", "match: { email: email }", "match: { externalCompanyId: id }");
    // Commas, quotes and other letters in what they are known by.
    project.edit("syncs/cars.yaml", "match: { email: email }", "match: { vin: name, owner: email }");
    project.write("data/people.csv", &people_csv(10).replace("Person 3,", "\"Größe, \"\"drei\"\"\","));
    run(&project, &["apply", "--auto-approve"]).code(0);
    let all = ["companies", "cars", "members", "subscriptions"];
    let found = verified(&project, 0);
    for sync in all {
        assert_eq!(found(sync)["at_destination"]["same"], 10, "{:#}", found(sync));
    }
    let input = json!([{ "externalCompanyId": "4", "company": "Somebody's" }]);
    send(&sandbox, "POST", "/rest/v1/companies.json", &json!({ "action": "updateOnly", "input": input }));
    let input = json!([{ "vin": "Größe, \"drei\"", "owner": "p3@example.com" }]);
    let body = json!({ "deleteBy": "dedupeFields", "input": input });
    send(&sandbox, "POST", "/rest/v1/customobjects/car/delete.json", &body);
    let lead = send(&sandbox, "GET", "/rest/v1/leads.json?filterType=email&filterValues=p5@example.com", &json!({}));
    let lead = lead["result"][0]["id"].as_u64().unwrap();
    let body = json!({ "input": [{ "leadId": lead, "seat": 99 }] });
    send(&sandbox, "POST", "/rest/v1/programs/5/members.json", &body);
    let changed = json!([{ "email": "p6@example.com", "unsubscribedChannelIds": [7] }]);
    let body = json!({ "updateSubscriptionsRequests": changed });
    send(&sandbox, "POST", "/api/users/bulkUpdateSubscriptions", &body);
    let found = verified(&project, 4);
    for (sync, expected, field) in [
        (
            "companies",
            "!changed 1",
            json!({ "name": "company", "sent": "Person 4", "there": "Somebody's", "sensitive": true }),
        ),
        ("cars", "!missing 1", json!(null)),
        ("members", "!changed 1", json!({ "name": "seat", "sent": 5, "there": 99, "sensitive": true })),
        ("subscriptions", "!changed 1", json!({ "name": "unsubscribedChannelIds", "sent": [12, 7], "there": [7] })),
    ] {
        assert_eq!(reasons(&found(sync)), [expected], "{sync}: {:#}", found(sync));
        assert_eq!(found(sync)["differences"][0]["fields"][0], field, "{sync}");
    }
    // A plan that looks puts it right.
    run(&project, &["apply", "--auto-approve", "--refresh"]).code(0);
    let found = verified(&project, 0);
    for sync in all {
        assert_eq!(found(sync)["at_destination"]["same"], 10, "{:#}", found(sync));
    }
}

#[test]
fn events_are_found_by_name_and_time_as_far_as_iterable_shows_them() {
    let events = "destination: iterable\nobject: event\nmode: insert\nfields: { eventName: { value: joined }, createdAt: seats, plan: plan }\n";
    let (sandbox, project) = with_sandbox(json!({}), &[("events", events)]);
    let found = verified(&project, 0)("events");
    assert_eq!(
        (&found["at_destination"]["looked_for"], &found["at_destination"]["found"]),
        (&json!(10), &json!(10)),
        "{found:#}"
    );
    assert_eq!(reasons(&found), [""; 0]);
    // 200 later events hide one person's: that is no fault of anybody.
    let later = |n: u64| json!({ "email": "p4@example.com", "eventName": "clicked", "createdAt": 1_700_000_000 + n, "id": format!("later-{n}") });
    let later: Vec<Value> = (0..200).map(later).collect();
    send(&sandbox, "POST", "/api/events/trackBulk", &json!({ "events": later }));
    let found = verified(&project, 0)("events");
    assert_eq!(reasons(&found), ["unseen 1"]);
    assert_eq!(found["destination_reasons"][0]["keys"], json!(["4"]));
    // Another project of Iterable's has none of them.
    let other = Sandbox::launch(Options::default()).unwrap();
    project.edit("destinations/iterable.yaml", &sandbox.iterable_url(), &other.iterable_url());
    assert_eq!(reasons(&verified(&project, 4)("events")), ["!missing 10"]);
}

#[test]
fn files_are_counted_and_compared_in_each_format() {
    /// Format, what somebody makes of the file's text, reasons, what is there.
    type Case = (&'static str, fn(String) -> String, &'static [&'static str], Value);
    let cases: &[Case] = &[
        ("csv", |text| text, &[], json!(null)),
        ("csv", |text| text.replace("Person 4,", "\"Some, body\","), &["!changed 1"], json!("Some, body")),
        ("csv", |text| text.replace("p3@example.com,Person 3,3\n", ""), &["!missing 1"], json!(null)),
        ("csv", |text| text + "other@example.com,Other,1\n", &["foreign 1"], json!(null)),
        ("csv", |text| text + "p3@example.com,Person 3,3\n", &["!several 1", "foreign 1"], json!(null)),
        ("jsonl", |text| text, &[], json!(null)),
        // The same in another spelling is the same.
        ("jsonl", |text| text.replace("\"seats\":4", "\"seats\" : 4, \"more\":true"), &[], json!(null)),
        ("jsonl", |text| text.replace("\"Person 4\"", "null"), &["!changed 1"], json!(null)),
        ("parquet", |text| text, &[], json!(null)),
    ];
    for (format, edit, expected, there) in cases {
        let project = Project::people("upsert", FIELDS);
        project.write("data/people.csv", &people_csv(20));
        project.write("destinations/crm.yaml", "name: crm\ntype: files\nconnection: { path: out }\n");
        project.edit("syncs/people.yaml", "options: { create: true }", &format!("options: {{ format: {format} }}"));
        project.apply(&[]).code(0);
        let path = format!("out/people.{format}");
        if *format != "parquet" {
            project.write(&path, &edit(project.read(&path)));
        }
        let code = if expected.iter().any(|reason| reason.starts_with('!')) { 4 } else { 0 };
        let found = project.run(&["verify", "--format", "json", "--show-values"]).code(code).json()["syncs"][0].clone();
        assert_eq!(reasons(&found), *expected, "{format}: {found:#}");
        assert_eq!(found["at_destination"]["looked_for"], 20, "{format}");
        if expected.contains(&"!changed 1") {
            assert_eq!(found["differences"][0]["fields"][0]["there"], *there, "{found:#}");
        }
    }
}

#[test]
fn what_cannot_be_read_back_says_why() {
    let purchases =
        "destination: iterable\nobject: purchase\nmode: insert\nfields: { total: seats, items: { value: [] } }\n";
    let (_sandbox, project) = with_sandbox(json!({}), &[("purchases", purchases)]);
    let found = verified(&project, 0)("purchases");
    let why = "Iterable gives purchases back only in exports of a whole period, four a minute";
    assert_eq!(found["at_destination"]["not_looked"], why, "{found:#}");
    let shown = run(&project, &["verify"]).code(0).stdout;
    assert!(
        shown
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains(&format!("not looked at record by record: {why}")),
        "{shown}"
    );
}
