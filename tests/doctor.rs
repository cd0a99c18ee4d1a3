//! What is known of a destination before anything is sent: its fields at plan, its health by `doctor`, what a load takes,
//! and what it let pass.

use std::net::TcpListener;

use serde_json::{Value, json};
use syncline::sandbox::{Options, Sandbox, Seed};

use crate::databases::postgres_yaml;
use crate::postgres::server;
use crate::project::{Project, Ran, number, people_csv};

fn sandbox(seed: Value) -> Sandbox {
    let seed = Seed::parse(&seed.to_string()).unwrap();
    Sandbox::launch(Options { seed: Some(seed), ..Options::default() }).unwrap()
}

/// People to Iterable and Marketo at these addresses; `fields` is that of the sync to Iterable.
fn project(iterable: &str, marketo: &str, fields: &str) -> Project {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(5));
    std::fs::remove_file(project.path("syncs/people.yaml")).unwrap();
    std::fs::remove_file(project.path("destinations/crm.yaml")).unwrap();
    project.write(
        "destinations/iterable.yaml",
        &format!(
            "name: iterable\ntype: iterable\nconnection: {{ api_key: \"{{{{ env.KEY }}}}\", base_url: \"{iterable}\" }}\n"
        ),
    );
    project.write(
        "destinations/marketo.yaml",
        &format!(
            "name: marketo\ntype: marketo\nconnection: {{ client_id: sandbox, client_secret: \"{{{{ env.SECRET }}}}\", \
             base_url: \"{marketo}\" }}\n"
        ),
    );
    project.write(
        "syncs/users.yaml",
        &format!(
            "name: users\nmodel: people\ndestination: iterable\nobject: user\nmode: update\nmatch: {{ email: email }}\n\
             fields:\n{fields}"
        ),
    );
    project
}

fn leads(project: &Project, fields: &str) {
    project.write(
        "syncs/leads.yaml",
        &format!(
            "name: leads\nmodel: people\ndestination: marketo\nobject: lead\nmode: upsert\nmatch: {{ email: email }}\n\
             fields:\n{fields}"
        ),
    );
}

/// Runs with the credentials the sandbox takes, or with another key for Iterable.
fn run(project: &Project, arguments: &[&str], key: &str) -> Ran {
    let mut command = project.command(arguments);
    command.env("KEY", key).env("SECRET", Sandbox::CLIENT);
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The words alone, however the lines were broken.
fn flat(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

fn plan(project: &Project) -> Ran {
    run(project, &["plan", "--format", "json"], Sandbox::API_KEY)
}

fn requests(sandbox: &Sandbox, path: &str) -> usize {
    let state = sandbox.state();
    let all = state.pointer("/requests").and_then(Value::as_array).cloned().unwrap_or_default();
    all.iter().filter(|request| request["path"].as_str().is_some_and(|asked| asked.ends_with(path))).count()
}

#[test]
fn a_field_of_another_type_is_found_at_its_line() {
    let sandbox = sandbox(json!({ "iterable": { "fields": { "plan": "string", "seats": "string", "name": "long" } } }));
    let project =
        project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  plan: plan\n  seats: seats\n  name: name\n");
    let ran = plan(&project).code(1);
    for part in [
        "the field `seats` of object `user` of `iterable` takes text, and column `seats` holds whole numbers",
        "syncs/users.yaml:9",
        "seats: { column: seats, transform: string }",
        "the field `name` of object `user` of `iterable` takes a whole number, and column `name` holds text",
        "syncs/users.yaml:10",
        "name: { column: name, transform: integer }",
    ] {
        assert!(flat(&ran.stderr).contains(part), "`{part}` is not in\n{}", ran.stderr);
    }
    assert!(!flat(&ran.stderr).contains("field `plan`"), "{}", ran.stderr);
    // What the help says is what helps; a field that is not known there is made.
    project.edit(
        "syncs/users.yaml",
        "  seats: seats\n  name: name\n",
        "  seats: { column: seats, transform: string }\n  full: name\n",
    );
    plan(&project).code(0);
    // Where the sync says that none are made, it would be dropped.
    project.edit("syncs/users.yaml", "  full: name\n", "  full: name\noptions: { create_new_fields: false }\n");
    let ran = plan(&project).code(1);
    assert!(flat(&ran.stderr).contains("object `user` of `iterable` has no field `full`"), "{}", ran.stderr);
    assert!(flat(&ran.stderr).contains("syncs/users.yaml:10"), "{}", ran.stderr);
}

#[test]
fn a_field_marketo_does_not_have_is_found_before_anything_is_sent() {
    let fields = json!([{ "name": "planName", "dataType": "string" }, { "name": "score", "dataType": "integer", "readOnly": true }]);
    let sandbox = sandbox(json!({ "marketo": { "fields": fields } }));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  plan: plan\n");
    leads(&project, "  planNmae: plan\n  score: seats\n  firstName: name\n");
    let ran = plan(&project).code(1);
    for part in [
        "object `lead` of `marketo` has no field `planNmae`",
        "did you mean `planName`?",
        "syncs/leads.yaml:8",
        "the field `score` of object `lead` of `marketo` can only be read",
    ] {
        assert!(flat(&ran.stderr).contains(part), "`{part}` is not in\n{}", ran.stderr);
    }
    leads(&project, "  planName: seats\n  firstName: name\n");
    plan(&project).code(0);
}

#[test]
fn an_attribute_an_activity_type_does_not_have_is_found_before_anything_is_sent() {
    let attributes = json!([{ "name": "seats", "dataType": "integer" }, { "name": "plan" }]);
    let types = json!([{ "id": 100_007, "apiName": "seen", "attributes": attributes }, { "apiName": "heard" }]);
    let sandbox = sandbox(json!({ "marketo": { "activity_types": types } }));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  seats: seats\n");
    let activities = |kind: &str, fields: &str| {
        project.write(
            "syncs/seen.yaml",
            &format!(
                "name: seen\nmodel: people\ndestination: marketo\nobject: custom_activity\nmode: insert\nmatch: {{ email: email }}\n\
                 options: {{ activity_type: {kind} }}\nfields:\n  activityDate: {{ value: 2026-01-01T00:00:00Z }}\n  \
                 primaryAttributeValue: name\n{fields}"
            ),
        );
    };
    // By its API name and by its id alike.
    for kind in ["seen", "100007"] {
        activities(kind, "  plna: plan\n  seats: seats\n");
        let ran = plan(&project).code(1);
        for part in
            ["object `custom_activity` of `marketo` has no field `plna`", "did you mean `plan`?", "syncs/seen.yaml:11"]
        {
            assert!(flat(&ran.stderr).contains(part), "`{part}` is not in\n{}", ran.stderr);
        }
        activities(kind, "  plan: plan\n  seats: seats\n");
        let planned = plan(&project).code(0).json();
        assert_eq!(planned["warnings"], json!([]), "{planned:#}");
    }
    activities("sene", "  plan: plan\n");
    let planned = plan(&project).code(0).json();
    let told = planned["warnings"][0]["message"].as_str().unwrap();
    assert!(told.contains("the destination has no `sene`"), "{planned:#}");
}

#[test]
fn a_list_iterable_does_not_have_ends_the_sync_before_anything_is_sent() {
    let sandbox = sandbox(json!({ "iterable": { "lists": [{ "id": 7, "name": "Trials" }] } }));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  plan: plan\n");
    let list = |id: &str| {
        project.write(
            "syncs/users.yaml",
            &format!(
                "name: users\nmodel: people\ndestination: iterable\nobject: list_membership\nmode: mirror\n\
                 match: {{ email: email }}\noptions: {{ list_id: {id} }}\n"
            ),
        );
    };
    list("9999");
    let ran = run(&project, &["apply", "--auto-approve"], Sandbox::API_KEY).code(1);
    assert!(flat(&ran.stderr).contains("the destination has no `9999`"), "{}", ran.stderr);
    assert_eq!((requests(&sandbox, "/lists"), requests(&sandbox, "/subscribe")), (1, 0), "{:#}", sandbox.state());
    list("7");
    run(&project, &["apply", "--auto-approve"], Sandbox::API_KEY).code(0);
    assert_eq!(requests(&sandbox, "/subscribe"), 1);
}

#[test]
fn fields_are_asked_for_once_a_day() {
    let sandbox = sandbox(json!({ "iterable": { "fields": { "seats": "long" } } }));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  seats: seats\n");
    plan(&project).code(0);
    assert_eq!(requests(&sandbox, "getFields"), 1);
    plan(&project).code(0);
    assert_eq!(requests(&sandbox, "getFields"), 1, "the cache was not used");
    // A fault is not said because of what the destination once said.
    project.edit("syncs/users.yaml", "  seats: seats\n", "  seats: name\n");
    plan(&project).code(1);
    assert_eq!(requests(&sandbox, "getFields"), 2);
}

#[test]
fn a_refusal_of_credentials_is_not_remembered_and_another_one_says_when_it_was_said() {
    let fields = json!([{ "name": "planName", "dataType": "string" }]);
    let sandbox = sandbox(json!({ "marketo": { "fields": fields } }));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  plan: plan\n");
    leads(&project, "  planNmae: plan\n");
    let with = |secret: &str| {
        let mut command = project.command(&["plan", "--format", "json"]);
        Ran::new(command.env("KEY", Sandbox::API_KEY).env("SECRET", secret).output().unwrap())
    };
    let refused = with("bad").code(0).json();
    assert!(refused["warnings"][0]["message"].as_str().unwrap().contains("no access token was given"), "{refused:#}");
    let right = with(Sandbox::CLIENT).code(1);
    assert!(flat(&right.stderr).contains("has no field `planNmae`"), "{}", right.stderr);

    // There is no such catalog: that is remembered for a while.
    project.write(
        "syncs/users.yaml",
        "name: users\nmodel: people\ndestination: iterable\nobject: catalog_item\nmode: upsert\nmatch: { id: email }\n\
         options: { catalog: nowhere }\nfields: { plan: plan }\n",
    );
    std::fs::remove_file(project.path("syncs/leads.yaml")).unwrap();
    let told = |planned: Value| planned["warnings"][0]["message"].as_str().unwrap_or_default().to_owned();
    let first = told(plan(&project).code(0).json());
    assert!(!first.is_empty() && !first.contains("said"), "{first}");
    assert_eq!(told(plan(&project).code(0).json()), format!("{first} (said less than a minute ago)"));
}

#[test]
fn a_destination_that_does_not_answer_is_a_warning_of_the_plan() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nowhere = format!("http://127.0.0.1:{port}");
    let project = project(&nowhere, &nowhere, "  seats: seats\n");
    let planned = plan(&project).code(0).json();
    assert_eq!(planned["warnings"][0]["code"], "discovery_failed", "{planned:#}");
    assert_eq!(planned["warnings"].as_array().unwrap().len(), 1, "{planned:#}");
    // Without credentials nothing is asked: that alone is said.
    let planned = project.run(&["plan", "--format", "json"]).code(0).json();
    let codes: Vec<&str> = planned["warnings"].as_array().unwrap().iter().filter_map(|w| w["code"].as_str()).collect();
    assert_eq!(codes, ["destination_not_ready"]);
}

#[test]
fn estimates_know_look_ups_and_containers() {
    let types = json!([{ "apiName": "seen", "attributes": [{ "name": "plan" }] }]);
    let sandbox = sandbox(json!({ "marketo": { "activity_types": types } }));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  seats: seats\n");
    project.write("data/people.csv", &people_csv(2853));
    project.write(
        "syncs/seen.yaml",
        "name: seen\nmodel: people\ndestination: marketo\nobject: custom_activity\nmode: insert\nmatch: { email: email }\n\
         options: { activity_type: seen }\nfields:\n  activityDate: { value: 2026-01-01T00:00:00Z }\n  \
         primaryAttributeValue: name\n  plan: plan\n",
    );
    let planned = plan(&project).code(0).json();
    let estimate = |sync: &str| {
        let part = planned["syncs"].as_array().unwrap().iter().find(|part| part["sync"] == sync).unwrap();
        [number(part, "/estimate/requests"), number(part, "/estimate/seconds")]
    };
    assert_eq!(estimate("seen")[0], 10 + 10 + 1, "look-ups, sends, and the list of types");
    let [requests, seconds] = estimate("users");
    assert_eq!(requests, 2853 + 3);
    assert!((27..=30).contains(&seconds), "{seconds} s");
}

#[test]
fn what_a_destination_leaves_out_is_in_the_report() {
    let users: Vec<Value> = (1..=5).map(|n| json!({ "email": format!("p{n}@example.com") })).collect();
    let sandbox =
        sandbox(json!({ "iterable": { "create_new_fields": false, "fields": { "plan": "string" }, "users": users } }));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  plan: plan\n  colour: name\n");
    let ran = run(&project, &["apply", "--auto-approve", "--format", "json", "--report", "run.json"], Sandbox::API_KEY);
    let told = ran.code(0).json();
    let warning = &told["syncs"][0]["warnings"][0];
    assert!(warning["message"].as_str().unwrap().contains("colour"), "{told:#}");
    assert_eq!(warning["count"], 1);
    for format in ["text", "markdown", "html"] {
        let shown = run(&project, &["show", "run.json", "--format", format], Sandbox::API_KEY).code(0);
        assert!(shown.stdout.contains("colour"), "{format}:\n{}", shown.stdout);
    }
}

#[test]
fn the_doctor_finds_what_is_broken_and_looks_at_all_the_rest() {
    let sandbox = sandbox(json!({}));
    let project = project(&sandbox.iterable_url(), &sandbox.marketo_url(), "  seats: seats\n");
    leads(&project, "  firstName: name\n");
    let before = sandbox.state();
    let told = run(&project, &["doctor"], Sandbox::API_KEY).code(0);
    for part in
        ["ok       source `files`", "ok       destination `iterable`", "credentials are accepted", "50000 requests"]
    {
        assert!(told.stdout.contains(part), "`{part}` is not in\n{}", told.stdout);
    }
    let after = sandbox.state();
    for part in ["/iterable", "/marketo/leads", "/marketo/lists"] {
        assert_eq!(after.pointer(part), before.pointer(part), "{part}");
    }
    assert!(!project.path(".syncline").exists(), "the doctor changes nothing");

    project.edit("models/people.yaml", "select id", "select idd, id");
    let told = run(&project, &["doctor", "--format", "json"], "a-wrong-key-of-somebody").code(1).json();
    let status: Vec<_> =
        told["subjects"].as_array().unwrap().iter().map(|s| (s["name"].clone(), s["status"].clone())).collect();
    let expected = [("files", "broken"), ("iterable", "broken"), ("marketo", "ok")];
    assert_eq!(status, expected.map(|(name, status)| (json!(name), json!(status))), "{told:#}");
    assert_eq!(told["subjects"][1]["findings"][0]["code"], "refused");
    assert_eq!(told["subjects"][1]["used_by"], json!(["users"]));
    assert!(told["subjects"][1]["findings"][0]["help"].as_str().unwrap().contains("credentials"), "{told:#}");
    assert!(!told.to_string().contains("a-wrong-key-of-somebody"));
}

#[test]
fn the_doctor_says_when_the_day_is_used_up_and_when_nobody_answers() {
    let sandbox = sandbox(json!({ "marketo": { "daily_quota": 1 } }));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = project(&format!("http://127.0.0.1:{port}"), &sandbox.marketo_url(), "  seats: seats\n");
    leads(&project, "  firstName: name\n");
    let told = run(&project, &["doctor", "--format", "json"], Sandbox::API_KEY).code(1).json();
    assert_eq!(told["subjects"][0]["status"], "ok");
    assert_eq!(told["subjects"][1]["findings"][0]["code"], "unreachable", "{told:#}");
    let quota = &told["subjects"][2]["findings"][0];
    assert!(quota["help"].as_str().unwrap().contains("quota is used up"), "{told:#}");
    let shown = run(&project, &["doctor"], Sandbox::API_KEY).code(1).stdout;
    assert!(shown.contains("2 sources and destinations do not work"), "{shown}");
}

#[test]
fn the_doctor_says_when_a_password_ends_and_which_rights_are_missing() {
    let Some(server) = server() else { return };
    let database = server.database(
        "create table people (email text primary key, name text, seats bigint); create table secret (id bigint)",
    );
    let role = format!("verify_{}", std::process::id());
    server.run(&database, &format!("create role {role} login password 'pw-canary-1' valid until '2031-01-01 00:00:00+00'; grant select on people to {role}"));
    let project = Project::people("mirror", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(2));
    project.write("password", "pw-canary-1");
    let yaml = |name: &str| postgres_yaml(server, name, &database).replace("user: postgres", &format!("user: {role}"));
    project.write("destinations/crm.yaml", &yaml("crm"));
    project.write("sources/warehouse.yaml", &yaml("warehouse"));
    project.write(
        "models/secret.yaml",
        "name: secret\nsource: warehouse\nsql: select id from secret\nprimary_key: [id]\n",
    );
    let finding = |told: &Value, subject: &str| -> Vec<String> {
        let all = told["subjects"].as_array().unwrap().iter().find(|s| s["name"] == subject).unwrap().clone();
        all["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| format!("{}: {}", f["code"].as_str().unwrap(), f["message"].as_str().unwrap()))
            .collect()
    };
    let told = project.run(&["doctor", "--format", "json"]).code(1).json();
    assert_eq!(
        finding(&told, "crm"),
        ["rights: sync `people` may not do all it needs on `people`: INSERT, UPDATE, DELETE is missing"]
    );
    let source = finding(&told, "warehouse");
    assert!(
        source.len() == 1
            && source[0].starts_with("model: model `secret`: ")
            && source[0].contains("permission denied"),
        "{source:?}"
    );
    assert!(
        told.to_string().contains(&format!("the password of role `{role}` is valid until 2031-01-01 00:00 UTC")),
        "{told:#}"
    );
    server
        .run(&database, &format!("grant insert, update, delete on people to {role}; grant select on secret to {role}"));
    for (until, code, word) in [
        ("now() + interval '3 days 1 hour'", "expires", "in 3 days"),
        ("now() - interval '1 hour'", "expired", "has expired"),
    ] {
        server.run(
            &database,
            &format!("do $$ begin execute format('alter role {role} valid until %L', {until}); end $$"),
        );
        // The server of the tests lets in whoever has a role, so that also what has expired can be told.
        let told = project.run(&["doctor", "--format", "json"]);
        if told.code == 1 {
            assert!(told.stdout.contains("the password may have expired"), "{}", told.stdout);
            continue;
        }
        let told = told.json();
        for subject in ["crm", "warehouse"] {
            let found = finding(&told, subject);
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("{code}: ")) && found[0].contains(word),
                "{found:?}"
            );
        }
        assert!(told.to_string().contains("who administers the server runs `alter role"), "{told:#}");
    }
    server.run(&database, &format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn the_doctor_says_what_a_mysql_user_may_not_do() {
    let Some(server) = crate::mysql::server() else { return };
    let database = server.database("create table people (email varchar(100) primary key, name text, seats bigint)");
    let user = format!("writer_{}", std::process::id());
    let grant = |rights: &str, on: &str| server.run(&database, &format!("grant {rights} on {on} to {user}"));
    server.run(&database, &format!("create user {user} identified by 'pw-canary-2'"));
    grant("select", "people");
    let project = Project::people("mirror", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(2));
    project.write("password", "pw-canary-2");
    project.write(
        "destinations/crm.yaml",
        &server.yaml("crm", &database).replace("user: tester", &format!("user: {user}")),
    );
    let findings = |code: i32| -> Vec<String> {
        let told = project.run(&["doctor", "--format", "json"]).code(code).json();
        assert!(!told.to_string().contains("pw-canary-2"), "{told:#}");
        let crm = told["subjects"].as_array().unwrap().iter().find(|s| s["name"] == "crm").unwrap().clone();
        let text = |f: &Value, key: &str| f[key].as_str().unwrap_or_default().to_owned();
        crm["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| format!("{}: {} {}", text(f, "code"), text(f, "message"), text(f, "help")))
            .collect()
    };
    let temporary = findings(1);
    assert!(temporary.len() == 1 && temporary[0].contains("grant create temporary tables on"), "{temporary:?}");
    grant("create temporary tables", &format!("{database}.*"));
    let rights = findings(1);
    assert!(
        rights.len() == 1
            && rights[0].starts_with(
                "rights: sync `people` may not do all it needs on `people`: INSERT, UPDATE, DELETE is missing"
            ),
        "{rights:?}"
    );
    grant("insert, update, delete", "people");
    assert_eq!(findings(0), [""; 0]);
    project.apply(&[]).code(0);
    assert_eq!(server.rows(&database, "select count(*) from people"), ["2"]);
    let shown = project.run(&["doctor"]).code(0).stdout;
    assert!(shown.contains("the clocks agree") && shown.contains("innodb_flush_log_at_trx_commit"), "{shown}");
}

#[test]
fn the_doctor_says_the_same_of_a_mysql_source() {
    let Some(server) = crate::mysql::server() else { return };
    let database = server.database("create table secret (id bigint)");
    let user = format!("doctor_{}", std::process::id());
    server.run(
        &database,
        &format!("create user {user}@'%' identified by 'pw-canary-1' password expire interval 400 day"),
    );
    server.run(
        &database,
        &format!("grant select on mysql.global_priv to {user}@'%'; grant create on {database}.* to {user}@'%'"),
    );
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(2));
    project.write("password", "pw-canary-1");
    let yaml = server.yaml("warehouse", &database).replace("user: tester", &format!("user: {user}"));
    project.write("sources/warehouse.yaml", &yaml);
    project.write(
        "models/secret.yaml",
        "name: secret\nsource: warehouse\nsql: select id from secret\nprimary_key: [id]\n",
    );
    let warehouse = |told: &Value| -> Value {
        let all = told["subjects"].as_array().unwrap().iter().find(|s| s["name"] == "warehouse");
        all.expect("the source").clone()
    };
    let told = warehouse(&project.run(&["doctor", "--format", "json"]).code(1).json());
    let finding = &told["findings"][0];
    let message = finding["message"].as_str().unwrap();
    assert!(message.starts_with("model `secret`: ") && message.contains("denied"), "{told:#}");
    assert!(finding["help"].as_str().unwrap().contains("grant select"), "{told:#}");
    assert!(told["facts"].to_string().contains(&format!("the password of role `{user}@%` is valid until")), "{told:#}");
    assert!(told["facts"].to_string().contains("the clocks agree"), "{told:#}");

    server.run(
        &database,
        &format!("grant select on secret to {user}@'%'; alter user {user}@'%' password expire interval 3 day"),
    );
    let told = warehouse(&project.run(&["doctor", "--format", "json"]).json());
    let finding = &told["findings"][0];
    assert_eq!((told["findings"].as_array().unwrap().len(), &finding["code"]), (1, &json!("expires")), "{told:#}");
    let help = finding["help"].as_str().unwrap();
    assert!(help.contains(&format!("`alter user '{user}'@'%' identified by '…'`")), "{help}");

    server.run(&database, &format!("alter user {user}@'%' identified by 'another'"));
    let told = warehouse(&project.run(&["doctor", "--format", "json"]).code(1).json());
    assert!(told.to_string().contains("Access denied"), "{told:#}");
    assert!(!told.to_string().contains("pw-canary-1"), "{told:#}");
}

/// Whoever asks about one environment reaches nothing of another.
#[test]
fn what_the_environment_swaps_away_is_not_connected_to() {
    let (real, other) = (sandbox(json!({})), sandbox(json!({})));
    let project = project(&real.iterable_url(), &other.marketo_url(), "  name: name\n");
    let manifest = |name: &str, url: &str| {
        format!("name: {name}\ntype: iterable\nconnection: {{ api_key: \"{{{{ env.KEY }}}}\", base_url: \"{url}\" }}\n")
    };
    project.write("destinations/rehearsal.yaml", &manifest("rehearsal", &other.iterable_url()));
    // A source that is nowhere, in the place of one that is there.
    project.write("sources/lake.yaml", "name: lake\ntype: files\nconnection: { path: nowhere }\n");
    project.edit("models/people.yaml", "source: files", "source: lake");
    project.write(
        "syncline.yaml",
        "name: test\nenvironments:\n  prod: { default: true }\n  \
         rehearsal: { destinations: { iterable: rehearsal }, sources: { lake: files } }\n  \
         crossed: { destinations: { iterable: rehearsal, rehearsal: iterable }, sources: { lake: files } }\n",
    );
    let look = |environment: &str| -> Vec<String> {
        let arguments = ["doctor", "--format", "json", "--env", environment];
        let all = run(&project, &arguments, Sandbox::API_KEY).json()["subjects"].as_array().unwrap().clone();
        let told = |subject: &Value| {
            let fact =
                subject["facts"].as_array().and_then(|facts| facts.first()).and_then(Value::as_str).unwrap_or("");
            format!("{} {}: {fact}", subject["name"].as_str().unwrap(), subject["status"].as_str().unwrap())
        };
        all.iter().map(told).filter(|line| !line.starts_with("marketo")).collect()
    };
    let asked = |sandbox: &Sandbox| sandbox.state()["requests"].as_array().map_or(0, Vec::len);
    let fine = "the credentials are accepted";
    assert_eq!(
        look("rehearsal"),
        [
            "files ok: 1 model can be read".to_owned(),
            "lake ok: not looked at: in `rehearsal` it is `files`".to_owned(),
            "iterable ok: not looked at: in `rehearsal` it is `rehearsal`".to_owned(),
            format!("rehearsal ok: {fine}"),
        ]
    );
    assert_eq!(asked(&real), 0, "production was asked");
    // Two that change places are both used.
    assert_eq!(look("crossed")[2..], [format!("iterable ok: {fine}"), format!("rehearsal ok: {fine}")]);
    assert!(asked(&real) > 0);
    assert_eq!(look("prod")[2..], [format!("iterable ok: {fine}"), format!("rehearsal ok: {fine}")]);
    assert!(look("prod")[1].starts_with("lake broken"), "{:?}", look("prod"));
}
