//! What becomes of records at APIs: those whose rows left the model and are emptied, and those taken out of a list.

use serde_json::{Value, json};
use syncline::sandbox::{Options, Sandbox, Seed};

use crate::project::{Project, Ran, number, people_csv};

/// A sandbox where Ann to Eve are known, and a list at Iterable and one at Marketo hold them all.
fn sandbox() -> Sandbox {
    let people = || (1..=5).map(|n| format!("p{n}@example.com"));
    let known: Vec<Value> = people().map(|email| json!({ "email": email })).collect();
    let members: Vec<String> = people().collect();
    let seed = json!({
        "iterable": { "users": known, "lists": [{ "id": 7, "name": "customers", "members": members }] },
        "marketo": { "leads": known, "lists": [{ "id": 7, "name": "customers", "members": members }],
            "fields": [{ "name": "planName", "dataType": "string" }, { "name": "seats", "dataType": "integer" }] },
    });
    let seed = Seed::parse(&seed.to_string()).unwrap();
    Sandbox::launch(Options { seed: Some(seed), ..Options::default() }).unwrap()
}

/// Five people to one object; `fields` and what else the sync says.
fn project(sandbox: &Sandbox, destination: &str, sync: &str) -> Project {
    let project = Project::people("upsert", "fields: {}\n");
    project.write("data/people.csv", &people_csv(5));
    std::fs::remove_file(project.path("destinations/crm.yaml")).unwrap();
    let connection = match destination {
        "iterable" => format!("{{ api_key: \"{{{{ env.KEY }}}}\", base_url: \"{}\" }}", sandbox.iterable_url()),
        _ => format!(
            "{{ client_id: sandbox, client_secret: \"{{{{ env.SECRET }}}}\", base_url: \"{}\" }}",
            sandbox.marketo_url()
        ),
    };
    project.write("destinations/api.yaml", &format!("name: api\ntype: {destination}\nconnection: {connection}\n"));
    project.write("syncs/people.yaml", &format!("name: people\nmodel: people\ndestination: api\n{sync}"));
    project
}

fn apply(project: &Project) -> Value {
    let mut command = project.command(&["apply", "--auto-approve", "--format", "json"]);
    let output = command.env("KEY", Sandbox::API_KEY).env("SECRET", Sandbox::CLIENT).output().unwrap();
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    ran.code(0).json()
}

/// The record of an address, wherever a sandbox keeps it.
fn record(state: &Value, at: &str, email: &str) -> Value {
    let all: Vec<Value> = match state.pointer(at).unwrap() {
        Value::Array(records) => records.clone(),
        Value::Object(records) => records.values().cloned().collect(),
        other => panic!("no records: {other}"),
    };
    all.into_iter().find(|record| record["email"] == email).unwrap_or_else(|| panic!("{email} is not there: {state:#}"))
}

#[test]
fn fields_of_rows_that_left_are_emptied() {
    // Left out as it is null at the end: it is emptied all the same.
    let fields = "match: { email: email }\non_removed: clear\nfields:\n";
    let cases = [
        (
            "iterable",
            "object: user\nmode: upsert\n",
            "  plan: plan\n  company.seats: { column: seats, on_null: omit }\n",
        ),
        (
            "iterable",
            "object: user\nmode: update\n",
            "  plan: plan\n  company.seats: { column: seats, on_null: omit }\n",
        ),
        ("marketo", "object: lead\nmode: upsert\n", "  planName: plan\n  seats: { column: seats, on_null: omit }\n"),
    ];
    for (destination, sync, columns) in cases {
        let sandbox = sandbox();
        let project = project(&sandbox, destination, &format!("{sync}{fields}{columns}"));
        apply(&project);
        let (at, plan, seats) = match destination {
            "iterable" => ("/iterable/users", "/plan", "/company/seats"),
            _ => ("/marketo/leads", "/planName", "/seats"),
        };
        let values = |email: &str| {
            let record = record(&sandbox.state(), at, email);
            let fields = record.get("dataFields").unwrap_or(&record).clone();
            [plan, seats].map(|field| fields.pointer(field).cloned().unwrap_or_default())
        };
        let before = values("p2@example.com");
        assert!(before.iter().all(|value| !value.is_null()), "{destination} {sync}: {before:?}");
        project.edit("data/people.csv", &people_csv(5), &people_csv(1));
        let told = apply(&project);
        assert_eq!(number(&told, "/syncs/0/succeeded/removed"), 4, "{told:#}");
        assert_eq!(values("p2@example.com"), [Value::Null, Value::Null], "{destination} {sync}");
        assert!(values("p1@example.com").iter().all(|value| !value.is_null()), "{destination} {sync}");
    }
}

#[test]
fn rows_are_taken_out_of_lists() {
    for destination in ["iterable", "marketo"] {
        let sandbox = sandbox();
        let sync =
            "object: list_membership\nmode: remove\nmatch: { email: email }\noptions: { list_id: 7 }\nfields: {}\n";
        let project = project(&sandbox, destination, sync);
        project.write("data/people.csv", &people_csv(2));
        let members = || {
            let state = sandbox.state();
            let lists = state.pointer(&format!("/{destination}/lists")).unwrap().clone();
            let list = match lists {
                Value::Array(lists) => lists.into_iter().find(|list| list["id"] == 7).unwrap(),
                lists => lists["7"].clone(),
            };
            list["members"].as_array().map_or_else(|| list["members"].as_object().unwrap().len(), Vec::len)
        };
        assert_eq!(members(), 5);
        let told = apply(&project);
        assert_eq!(number(&told, "/syncs/0/succeeded/added"), 2, "{told:#}");
        assert_eq!(members(), 3, "{destination}");
        // A row that leaves the model puts nobody back.
        project.write("data/people.csv", &people_csv(1));
        apply(&project);
        assert_eq!(members(), 3, "{destination}");
    }
}
