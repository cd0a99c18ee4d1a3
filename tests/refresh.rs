//! `plan --refresh`: what somebody else has deleted or changed at a destination is found, shown, and planned against.

use serde_json::{Value, json};

use crate::engines::Engine;
use crate::project::{Project, people_csv};
use crate::verify::{behind_our_back, run, users_and_leads};

const FIELDS: &str =
    "fields: { name: name, seats: seats }\nguards: { max_removed: 100%, max_changed: 100%, max_added: 100% }\n";

/// Twenty people in a SQLite database, applied.
fn applied(mode: &str) -> Project {
    let project = Project::people(mode, FIELDS);
    project.write("data/people.csv", &people_csv(20));
    project.apply(&[]).code(0);
    project
}

/// `added changed removed unchanged` of the only sync.
fn counts(plan: &Value) -> String {
    let counts = &plan["syncs"][0]["counts"];
    ["added", "changed", "removed", "unchanged"].map(|state| counts[state].to_string()).join(" ")
}

/// `looked_for same missing changed` and `new.found of new.looked_for`.
fn found(plan: &Value) -> String {
    let refresh = &plan["syncs"][0]["refresh"];
    let numbers = ["looked_for", "same", "missing", "changed"].map(|name| refresh[name].to_string()).join(" ");
    format!("{numbers}, {} of {}", refresh["new"]["found"], refresh["new"]["looked_for"])
}

fn codes(plan: &Value) -> Vec<&str> {
    plan["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[test]
fn what_somebody_else_did_is_planned_where_the_mode_allows_it() {
    /// Mode, what is done behind our back, what is found, the plan with and without --refresh.
    type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);
    const DELETED: &str = "delete from people where email = 'p3@example.com'";
    const CHANGED: &str = "update people set seats = 99 where email = 'p4@example.com'";
    let cases: &[Case] = &[
        ("upsert", "", "20 20 0 0, 0 of 0", "0 0 0 20", "0 0 0 20"),
        ("upsert", DELETED, "20 19 1 0, 0 of 0", "1 0 0 19", "0 0 0 20"),
        ("upsert", CHANGED, "20 19 0 1, 0 of 0", "0 1 0 19", "0 0 0 20"),
        ("mirror", CHANGED, "20 19 0 1, 0 of 0", "0 1 0 19", "0 0 0 20"),
        // An update makes no record, and an insert is done once.
        ("insert", DELETED, "20 19 1 0, 0 of 0", "0 0 0 20", "0 0 0 20"),
        ("insert", CHANGED, "20 20 0 0, 0 of 0", "0 0 0 20", "0 0 0 20"),
        ("upsert", "drop table people", "20 0 20 0, 0 of 0", "20 0 0 0", "0 0 0 20"),
    ];
    for (mode, sql, expected, with, without) in cases {
        let project = applied(mode);
        project.sql("out/crm.db", sql);
        let plan = project.plan(&["--refresh"]);
        assert_eq!(found(&plan), *expected, "{mode}, {sql}: {plan:#}");
        assert_eq!(counts(&plan), *with, "{mode}, {sql}");
        let usual = project.plan(&[]);
        assert_eq!(counts(&usual), *without, "{mode}, {sql}");
        assert_eq!(usual["syncs"][0].get("refresh"), None);
    }
}

#[test]
fn an_update_makes_no_record_and_says_beforehand_who_has_none() {
    let project = Project::people("update", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    let people: Vec<String> = (1..=8).map(|n| format!("('p{n}@example.com', 'Person {n}', {n})")).collect();
    project.sql(
        "out/crm.db",
        &format!(
            "create table people (email text primary key, name text, seats integer); insert into people values {}",
            people.join(", ")
        ),
    );
    let plan = project.plan(&["--refresh"]);
    assert_eq!(found(&plan), "0 0 0 0, 8 of 10");
    assert_eq!(codes(&plan), ["new_records"]);
    assert_eq!(plan["warnings"][0]["message"], "`people`: 2 of 10 new rows have no record to update");
    project.apply(&[]).code(0);
    project.sql("out/crm.db", "delete from people where email = 'p3@example.com'; update people set name = 'Else' where email = 'p4@example.com'");
    let plan = project.plan(&["--refresh"]);
    assert_eq!((found(&plan).as_str(), counts(&plan).as_str()), ("8 6 1 1, 0 of 0", "0 1 0 9"), "{plan:#}");
}

#[test]
fn the_plan_shows_the_way_from_what_is_there_and_applying_it_ends_the_drift() {
    let project = applied("upsert");
    project.edit("data/people.csv", "p5@example.com,Person 5", "p5@example.com,Fifth");
    project.sql("out/crm.db", "delete from people where email = 'p3@example.com'; update people set seats = 99 where email in ('p4@example.com', 'p5@example.com')");
    let serial = project.read(".syncline/default/state.json");
    let plan = project.plan(&["--refresh", "--out", "plan.bin"]);
    assert_eq!(project.read(".syncline/default/state.json"), serial, "nothing was changed");
    assert_eq!(
        project.rows("out/crm.db", "select count(*), sum(seats = 99) from people"),
        ["19|2"],
        "nothing was sent"
    );
    let part = &plan["syncs"][0];
    assert_eq!(counts(&plan), "1 2 0 17");
    assert_eq!(part["causes"], json!({ "data": 1, "configuration": 0, "first_run": 0, "retry": 0, "drift": 2 }));
    assert_eq!(part["fields"], json!({ "name": 1, "seats": 2 }));
    assert_eq!(part["refresh"]["fields"], json!({ "seats": 2 }));
    assert_eq!(codes(&plan), ["drift"]);
    let samples = part["samples"].as_array().unwrap();
    let of =
        |key: &str| samples.iter().find(|sample| sample["key"] == key).unwrap_or_else(|| panic!("{key}: {part:#}"));
    assert_eq!(of("3")["state"], "added");
    assert_eq!(of("4")["fields"], json!([{ "name": "seats", "before": 99, "after": 4, "sensitive": true }]));
    assert_eq!(
        of("5")["fields"],
        json!([
            { "name": "name", "before": "Person 5", "after": "Fifth", "sensitive": true },
            { "name": "seats", "before": 99, "after": 5, "sensitive": true }
        ])
    );
    // Exactly this plan is what a plan file does.
    project.run(&["apply", "plan.bin"]).code(0);
    project.run(&["verify"]).code(0);
    let plan = project.plan(&["--refresh"]);
    assert_eq!((found(&plan).as_str(), counts(&plan).as_str()), ("20 20 0 0, 0 of 0", "0 0 0 20"));
    // And so does an apply that looks by itself.
    project.sql("out/crm.db", "update people set seats = 98 where email = 'p6@example.com'");
    let run = project.apply(&["--refresh", "--format", "json"]).code(0).json();
    assert_eq!(run["syncs"][0]["succeeded"]["changed"], 1, "{run:#}");
    project.run(&["verify"]).code(0);
}

#[test]
fn a_person_reads_it_and_personal_data_is_masked() {
    let project = applied("upsert");
    project.sql("out/crm.db", "delete from people where email = 'p3@example.com'; update people set name = 'Somebody' where email = 'p4@example.com'");
    let shown = project.run(&["plan", "--refresh", "--show-values"]).code(0).stdout;
    for part in [
        "destination 20 records looked for · 18 as acknowledged · 1 gone · 1 changed",
        "causes      2 changed at the destination",
        "≠ 3: gone",
        "≠ 4: name was \"Person 4\", is \"Somebody\"",
        "2 records are not as acknowledged: 1 gone, 1 changed; e.g. ",
        "this plan puts right what is gone and changed",
    ] {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
    assert!(shown.contains("e.g. 3, 4") || shown.contains("e.g. 4, 3"), "{shown}");
    for format in ["markdown", "html", "json"] {
        let text = project.run(&["plan", "--refresh", "--format", format]).code(0).stdout;
        assert!(!text.contains("Somebody") && !text.contains("Person 4"), "{format}:\n{text}");
        assert!(text.contains("as acknowledged") || format == "json", "{format}:\n{text}");
        assert!(text.contains("e.g. ‹number›, ‹number›"), "{format}:\n{text}");
    }
}

#[test]
fn where_nothing_can_be_read_back_it_is_refused_and_beside_others_it_is_said() {
    let project = applied("upsert");
    // Files that hold what one run has changed say nothing of what went before.
    project.write("destinations/folder.yaml", "name: folder\ntype: files\nconnection: { path: out/files }\n");
    project.write(
        "syncs/export.yaml",
        "name: export\nmodel: people\ndestination: folder\nobject: people\nmode: upsert\nmatch: { email: email }\n\
         options: { content: diff }\nfields: { name: name }\n",
    );
    let refused = project.run(&["plan", "--refresh", "--select", "export"]).code(1).stderr;
    let refused = refused.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        refused.contains("--refresh: the records of sync `export` cannot be read back: files of `content: diff` hold"),
        "{refused}"
    );
    let plan = project.plan(&["--refresh"]);
    assert_eq!(codes(&plan), ["not_refreshed"], "{plan:#}");
    let parts = plan["syncs"].as_array().unwrap();
    let export = parts.iter().find(|part| part["sync"] == "export").unwrap();
    assert!(export["refresh"]["not_looked"].as_str().unwrap().contains("content: diff"), "{export:#}");
    // What is not known is not nothing: a state without values cannot be looked for.
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    project.write("syncline.yaml", "name: test\nstate: { type: local, values: fingerprint }\n");
    project.apply(&[]).code(0);
    let plan = project.plan(&["--refresh"]);
    assert_eq!(codes(&plan), ["not_refreshed"]);
    assert!(plan["warnings"][0]["message"].as_str().unwrap().contains("fingerprints"), "{plan:#}");
    // A destination that is not there fails the plan: it was asked for.
    let project = applied("upsert");
    project.edit(
        "destinations/crm.yaml",
        "type: sqlite\nconnection: { path: out/crm.db }",
        "type: postgres\nconnection: { url: \"postgres://nobody@127.0.0.1:1/none\" }",
    );
    project.run(&["plan", "--refresh"]).code(1);
    project.run(&["plan"]).code(0);
}

#[test]
fn files_are_read_back_in_each_format() {
    for format in ["csv", "jsonl", "parquet"] {
        let project = Project::people("upsert", FIELDS);
        project.write("data/people.csv", &people_csv(20));
        project.write("destinations/crm.yaml", "name: crm\ntype: files\nconnection: { path: out }\n");
        project.edit("syncs/people.yaml", "options: { create: true }", &format!("options: {{ format: {format} }}"));
        project.apply(&[]).code(0);
        let plan = project.plan(&["--refresh"]);
        assert_eq!((found(&plan).as_str(), counts(&plan).as_str()), ("20 20 0 0, 0 of 0", "0 0 0 20"), "{format}");
        std::fs::remove_file(project.path(&format!("out/people.{format}"))).unwrap();
        let plan = project.plan(&["--refresh"]);
        assert_eq!((found(&plan).as_str(), counts(&plan).as_str()), ("20 0 20 0, 0 of 0", "20 0 0 0"), "{format}");
    }
}

#[test]
fn what_the_configuration_causes_is_told_from_what_drifted() {
    let project = applied("upsert");
    project.sql("out/crm.db", "update people set seats = 99 where email = 'p4@example.com'");
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
            .args(arguments)
            .current_dir(project.root());
        assert!(command.output().expect("git runs").status.success(), "{arguments:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "syncline.yaml", "sources", "models", "destinations", "syncs", "data"]);
    git(&["commit", "-q", "-m", "first"]);
    project.edit("syncs/people.yaml", "name: name,", "name: { template: \"{{ row.name | upper }}\" },");
    let plan = project.plan(&["--refresh", "--against", "HEAD"]);
    let causes = &plan["syncs"][0]["causes"];
    assert_eq!((causes["configuration"].as_u64(), causes["drift"].as_u64()), (Some(20), None), "{plan:#}");
    project.edit("syncs/people.yaml", "name: { template: \"{{ row.name | upper }}\" },", "name: name, ");
    let plan = project.plan(&["--refresh", "--against", "HEAD"]);
    let causes = &plan["syncs"][0]["causes"];
    assert_eq!((causes["configuration"].as_u64(), causes["drift"].as_u64()), (Some(0), Some(1)), "{plan:#}");
}

#[test]
fn databases_are_read_back_in_their_own_types() {
    for engine in Engine::all() {
        let database = engine.database(engine.either(
        "create table people (email text primary key, name varchar(40), seats numeric(10, 2), at timestamptz)",
        "create table people (email varchar(100) primary key, name varchar(40), seats decimal(10, 2), at timestamp null)",
    ));
        let project = Project::people(
            "upsert",
            "fields: { name: name, seats: seats, at: { value: '2026-01-02T10:00:00+01:00' } }\n\
         guards: { max_changed: 100%, max_added: 100% }\n",
        );
        project.write("data/people.csv", &people_csv(20));
        project.write("password", engine.password());
        project.write("destinations/crm.yaml", &engine.yaml("crm", &database));
        project.apply(&[]).code(0);
        assert_eq!(counts(&project.plan(&["--refresh"])), "0 0 0 20");
        engine.run(&database, "delete from people where email = 'p3@example.com'; update people set seats = 12.5 where email = 'p4@example.com'");
        let plan = project.plan(&["--refresh"]);
        assert_eq!((found(&plan).as_str(), counts(&plan).as_str()), ("20 18 1 1, 0 of 0", "1 1 0 18"), "{plan:#}");
        project.apply(&["--refresh"]).code(0);
        project.run(&["verify"]).code(0);
    }
}

#[test]
fn iterable_and_marketo_are_read_back_by_key() {
    let (sandbox, project) = users_and_leads();
    let plan = || run(&project, &["plan", "--refresh", "--format", "json", "--show-values"]).code(0).json();
    let of = |plan: &Value, name: &str| {
        plan["syncs"].as_array().unwrap().iter().find(|s| s["sync"] == name).unwrap().clone()
    };
    let first = plan();
    assert_eq!(of(&first, "users")["refresh"]["new"], json!({ "looked_for": 10, "found": 8 }), "{first:#}");
    assert_eq!(of(&first, "leads")["refresh"]["new"], json!({ "looked_for": 10, "found": 0 }));
    assert_eq!(codes(&first), ["new_records"]);
    run(&project, &["apply", "--auto-approve"]).code(0);
    behind_our_back(&sandbox);
    let drifted = plan();
    let (users, leads) = (of(&drifted, "users"), of(&drifted, "leads"));
    assert_eq!((users["refresh"]["missing"].as_u64(), users["refresh"]["changed"].as_u64()), (Some(1), Some(1)));
    assert!(users["refresh"]["requests"].as_u64() >= Some(8), "{users:#}");
    // An update makes no user who is gone.
    assert_eq!(
        (users["counts"]["added"].as_u64(), users["counts"]["changed"].as_u64()),
        (Some(0), Some(1)),
        "{users:#}"
    );
    assert_eq!(
        users["samples"][0]["fields"],
        json!([{ "name": "seats", "before": 77, "after": 4, "sensitive": true }])
    );
    assert_eq!(leads["refresh"]["fields"], json!({ "firstName": 1 }));
    assert_eq!(leads["counts"]["changed"], 1);
    run(&project, &["apply", "--auto-approve", "--refresh"]).code(0);
    let after = plan();
    for (sync, changed) in [("users", 0), ("leads", 0)] {
        assert_eq!(of(&after, sync)["counts"]["changed"], changed, "{after:#}");
    }
}
