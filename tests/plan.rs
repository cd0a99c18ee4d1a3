//! Plans: exact counts, causes and fields; the same input gives the same bytes.

use serde_json::Value;

use crate::project::{Project, Ran, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n  plan: plan\n  seats: seats\n";

fn counts(plan: &Value) -> [u64; 6] {
    ["rows", "added", "changed", "removed", "unchanged", "invalid"]
        .map(|name| number(plan, &format!("/syncs/0/counts/{name}")))
}

fn causes(plan: &Value) -> [u64; 4] {
    ["data", "configuration", "first_run", "retry"].map(|name| number(plan, &format!("/syncs/0/causes/{name}")))
}

#[test]
fn the_first_plan_is_all_added_and_the_plan_after_apply_is_empty() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(1000));
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [1000, 1000, 0, 0, 0, 0]);
    assert_eq!(causes(&plan), [0, 0, 1000, 0]);
    assert_eq!(number(&plan, "/syncs/0/operations/send"), 1000);
    project.run(&["plan", "--detailed-exitcode"]).code(2);
    project.apply(&[]).code(0);
    assert_eq!(counts(&project.plan(&[])), [1000, 0, 0, 0, 1000, 0]);
    let ran = project.run(&["plan", "--detailed-exitcode"]).code(0);
    assert!(ran.stdout.contains("No changes"), "{}", ran.stdout);
}

#[test]
fn changed_deleted_and_added_rows_are_counted_exactly_and_field_by_field() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(1000));
    project.apply(&[]).code(0);
    let mut lines: Vec<String> = people_csv(1003).lines().map(str::to_owned).collect();
    for id in (100..=1000).step_by(100) {
        lines[id] = lines[id].replace(",free,", ",ultimate,");
    }
    lines.drain(501..505);
    project.write("data/people.csv", &(lines.join("\n") + "\n"));
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [999, 3, 10, 4, 986, 0]);
    assert_eq!(causes(&plan), [17, 0, 0, 0]);
    assert_eq!(plan.pointer("/syncs/0/fields").unwrap(), &serde_json::json!({ "plan": 10 }));
    let changed = plan["syncs"][0]["samples"].as_array().unwrap().iter().find(|s| s["state"] == "changed").unwrap();
    assert_eq!(changed["fields"][0]["name"], "plan");
    assert_eq!(changed["fields"][0]["before"], "free");
    assert_eq!(changed["fields"][0]["after"], "ultimate");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*), sum(plan = 'ultimate') from people"), ["999|10"]);
    assert_eq!(counts(&project.plan(&[])), [999, 0, 0, 0, 999, 0]);
}

#[test]
fn a_changed_mapping_changes_exactly_the_records_whose_output_differs() {
    let project = Project::people("upsert", FIELDS);
    let csv = people_csv(100).replace("Person 7,", "PERSON 7,").replace("Person 8,", "PERSON 8,");
    project.write("data/people.csv", &csv);
    project.apply(&[]).code(0);
    project.edit("syncs/people.yaml", "name: name\n  plan", "name: { column: name, transform: title }\n  plan");
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [100, 0, 2, 0, 98, 0]);
    assert_eq!(causes(&plan), [0, 2, 0, 0]);
    assert_eq!(plan.pointer("/syncs/0/fields").unwrap(), &serde_json::json!({ "name": 2 }));
    // Data and configuration at once: each row has one cause.
    project.write(
        "data/people.csv",
        &csv.replace("9,p9@example.com,Person 9,premium,", "9,p9@example.com,Person 9,free,"),
    );
    let plan = project.plan(&[]);
    assert_eq!((counts(&plan)[2], causes(&plan)), (3, [1, 2, 0, 0]));
    project.apply(&[]).code(0);
    assert_eq!(counts(&project.plan(&[])), [100, 0, 0, 0, 100, 0]);
    assert_eq!(project.rows("out/crm.db", "select name from people where email = 'p7@example.com'"), ["Person 7"]);
}

#[test]
fn a_new_field_is_a_change_of_every_record_and_a_dropped_one_of_none() {
    let project = Project::people("upsert", "fields:\n  name: name\n");
    project.write("data/people.csv", &people_csv(20));
    project.apply(&[]).code(0);
    project.edit("syncs/people.yaml", "  name: name\n", "  name: name\n  seats: seats\n");
    let plan = project.plan(&[]);
    assert_eq!((counts(&plan)[2], causes(&plan)), (20, [0, 20, 0, 0]));
    project.apply(&[]).code(0);
    project.edit("syncs/people.yaml", "  name: name\n", "");
    assert_eq!(counts(&project.plan(&[]))[2], 0, "leaving a field out clears nothing at the destination");
}

#[test]
fn the_same_input_gives_the_same_plan_bytes() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(500));
    let stable = |plan: Value| {
        let mut plan = plan;
        plan["plan_id"] = Value::Null;
        plan["created_at"] = Value::Null;
        plan.to_string()
    };
    let first = stable(project.plan(&[]));
    assert_eq!(first, stable(project.plan(&[])));
    std::fs::remove_dir_all(project.path(".syncline")).unwrap();
    assert_eq!(first, stable(project.plan(&[])), "another state has another hash key, and the plan does not show it");
}

#[test]
fn null_and_duplicate_keys_are_counted_and_never_sent() {
    let project = Project::people("upsert", FIELDS);
    project.write(
        "data/people.csv",
        "id,email,name,plan,seats\n1,a@example.com,A,free,1\n2,b@example.com,B,free,1\n2,c@example.com,C,free,1\n\
         ,d@example.com,D,free,1\n5,,E,free,1\n",
    );
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [5, 1, 0, 0, 0, 4]);
    let reasons: Vec<_> = plan["syncs"][0]["invalid"].as_array().unwrap().iter().collect();
    let count = |reason: &str| {
        reasons.iter().filter(|r| r["reason"] == reason).map(|r| r["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((count("null_key"), count("duplicate_key"), count("null_match")), (1, 2, 1));
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select email from people"), ["a@example.com"]);
    // Invalid today is neither changed nor removed.
    project.write("data/people.csv", "id,email,name,plan,seats\n1,a@example.com,A,free,1\n1,x@example.com,A,free,1\n");
    assert_eq!(counts(&project.plan(&[])), [2, 0, 0, 0, 0, 2]);
}

#[test]
fn fingerprint_state_says_unknown_and_never_none() {
    let project = Project::people("upsert", FIELDS);
    project.write("syncline.yaml", "name: test\nstate: { type: local, values: fingerprint }\n");
    project.write("data/people.csv", &people_csv(50));
    project.apply(&[]).code(0);
    assert_eq!(counts(&project.plan(&[])), [50, 0, 0, 0, 50, 0]);
    project.edit("data/people.csv", "Person 7,premium", "Person Seven,premium");
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan)[2], 1);
    assert_eq!(number(&plan, "/syncs/0/unknown_before"), 1);
    let text = project.run(&["plan"]).stdout;
    assert!(text.contains("unknown"), "{text}");
    project.edit("syncs/people.yaml", "name: name", "name: { column: name, transform: upper }");
    assert_eq!(number(&project.plan(&[]), "/syncs/0/unknown_before"), 50);
}

#[test]
fn a_changed_key_is_refused_with_a_way_out() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.apply(&[]).code(0);
    project.edit("models/people.yaml", "primary_key: [id]", "primary_key: [email]");
    let ran = project.run(&["plan"]).code(3);
    assert!(ran.stdout.contains("key changed") && ran.stdout.contains("--rekey"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("Apply refuses this plan: 1 primary key has changed.\n"), "{}", ran.stdout);
    project.apply(&[]).code(3);
    // The way out: what was acknowledged is carried over, and nothing is sent again.
    project.run(&["state", "move", "people", "--rekey", "--auto-approve"]).code(0);
    assert_eq!(counts(&project.plan(&[])), [10, 0, 0, 0, 10, 0]);
}

#[test]
fn a_key_that_changed_its_type_is_carried_over_too() {
    let project = Project::people("upsert", FIELDS);
    let numbers = people_csv(10);
    project.write("data/people.csv", &numbers);
    project.apply(&[]).code(0);
    // One key that is no number, and all of them are text.
    project.write(
        "data/people.csv",
        &(numbers.replace("8,free,", "8,ultimate,") + "x11,p11@example.com,Person 11,free,1\n"),
    );
    let ran = project.run(&["plan"]).code(3);
    assert!(ran.stdout.contains("now `id` (text), the state was made with `id`\n    (integer)"), "{}", ran.stdout);
    project.run(&["state", "move", "people", "--rekey", "--auto-approve"]).code(0);
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [11, 1, 1, 0, 9, 0], "one is new, one has changed, and nothing else is sent again");
    project.apply(&[]).code(0);
    // There is no way back for a key that is no number.
    project.write("data/people.csv", &numbers);
    project.run(&["plan"]).code(3);
    let refused = project.run(&["state", "move", "people", "--rekey", "--auto-approve"]).code(1).stderr;
    assert!(
        refused.contains("`id` is of type integer now, and a value in it was of type text") && !refused.contains("x11"),
        "{refused}"
    );
}

/// What only a rendering can tell is told of the template, not of the rows.
#[test]
fn a_template_that_cannot_work_ends_the_sync_and_makes_no_row_invalid() {
    let project = Project::people("upsert", "fields:\n  name: { template: \"{{ row.name | replace }}\" }\n");
    project.write("data/people.csv", &people_csv(3));
    let refused = project.run(&["validate"]).code(1).stdout;
    assert!(refused.contains("the filter `replace` is missing an argument"), "{refused}");
    project.edit("syncs/people.yaml", "row.name | replace", "row.seats is divisibleby");
    project.run(&["validate"]).code(0);
    let ran = project.run(&["plan"]).code(1);
    let said = [
        "template-failed",
        "missing argument at `divisibleby`",
        "syncs/people.yaml:",
        "name: { template: \"{{ row.seats",
    ];
    said.iter().for_each(|said| assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr));
    assert!(!ran.stdout.contains("invalid"), "{}", ran.stdout);
    // Where it is a row that does not fit, the row is invalid as before.
    project.edit("syncs/people.yaml", "row.seats is divisibleby", "row.name / 2");
    assert_eq!(counts(&project.plan(&[])), [3, 0, 0, 0, 0, 3]);
}

/// A key that was not kept is no value, and not masked as one.
#[test]
fn the_key_of_a_removed_row_that_was_not_kept_is_said_to_be_unknown() {
    let project = Project::people("mirror", FIELDS);
    project.write("syncline.yaml", "name: test\nstate: { type: local, path: .syncline, values: fingerprint }\n");
    project.write("data/people.csv", &people_csv(3));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(2));
    let plan = project.plan(&[]);
    let sample = &plan["syncs"][0]["samples"][0];
    assert_eq!(
        (&sample["state"], &sample["key"], &sample["key_unknown"]),
        (&"removed".into(), &"unknown".into(), &true.into())
    );
    // Nor in the faces that mask keys, as they are shown where other people look.
    for arguments in [["plan", "--format", "markdown"], ["plan", "--format", "html"], ["plan", "--format", "json"]] {
        let shown = Ran::new(project.command(&arguments).env("CI", "true").output().unwrap()).code(0).stdout;
        assert!(shown.contains("unknown") && !shown.contains("‹7 characters›"), "{arguments:?}: {shown}");
    }
}

#[test]
fn a_template_may_use_the_start_of_the_run_and_the_next_plan_is_still_empty() {
    let project = Project::people("upsert", "fields:\n  seen: { template: \"{{ run.started_at }}\" }\n  name: name\n");
    project.write("data/people.csv", &people_csv(3));
    project.apply(&[]).code(0);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    let seen = project.rows("out/crm.db", "select distinct length(seen) from people");
    assert_eq!(seen, ["20"], "an RFC 3339 second");
    project.edit("syncs/people.yaml", "template: \"", "value: \"");
    let ran = project.run(&["plan"]).code(1);
    assert!(ran.stderr.contains("`run` cannot be used here"), "{}", ran.stderr);
}

#[test]
fn a_plan_needs_no_secret_of_the_destination() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    for connection in [
        "type: sqlite\nconnection: { path: \"{{ env.CRM }}\" }",
        "type: postgres\nconnection: { url: \"{{ env.CRM }}\" }",
    ] {
        project.write("destinations/crm.yaml", &format!("name: crm\n{connection}\n"));
        let plan = project.plan(&[]);
        assert_eq!(counts(&plan), [3, 3, 0, 0, 0, 0]);
        assert_eq!(plan["warnings"][0]["code"], "destination_not_ready");
        assert!(plan["warnings"][0]["message"].as_str().unwrap().contains("`CRM` is not set"));
        project.apply(&[]).code(1);
    }
}

#[test]
fn all_variables_that_are_not_set_are_said_in_one_line_with_one_hint() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    project.write(
        "sources/files.yaml",
        "name: files\ntype: postgres\nconnection:\n  host: \"{{ env.PG_HOST_UNSET }}\"\n  user: \"{{ env.PG_USER_UNSET }}\"\n",
    );
    let plan = project.plan(&[]);
    let warning = &plan["warnings"][0];
    let (message, help) = (warning["message"].as_str().unwrap(), warning["help"].as_str().unwrap());
    assert!(message.contains("`PG_HOST_UNSET` is not set; sources/files.yaml:5:"), "{plan:#}");
    assert!(!message.contains('\n'), "{plan:#}");
    assert_eq!(help, "set them before the run: `export PG_HOST_UNSET=…`, `export PG_USER_UNSET=…`");
    for format in ["text", "markdown", "html"] {
        let text = project.run(&["plan", "--format", format]).stdout;
        assert!(text.contains("PG_USER_UNSET") && !text.contains("\\n"), "{format}: {text}");
    }
}

#[test]
fn a_guard_that_refuses_is_shown_where_it_is_written() {
    let settings = "name: test\nguards: { max_invalid: 0, max_added: 4 }\nenvironments:\n  prod:\n    default: true\n    guards: { max_added: 3 }\n";
    // What the sync says, and where the guard is that counts.
    for (guards, place) in [
        ("guards: { max_added: 2 }\n", "syncs/people.yaml:8:22"),
        ("", "syncline.yaml:6:26"),
        ("guards: { max_added: 5 }\n", ""),
    ] {
        let project = Project::people("upsert", &format!("{guards}{FIELDS}"));
        project.write("syncline.yaml", settings);
        project.write("data/people.csv", &people_csv(5));
        let plan = project.plan(&[]);
        assert_eq!(plan.pointer("/refusals/0/place").and_then(Value::as_str).unwrap_or_default(), place, "{guards}");
    }
    let project = Project::people("upsert", FIELDS);
    project.write("syncline.yaml", &settings.replace("guards: { max_added: 3 }", "guards: {}"));
    project.write("data/people.csv", &people_csv(5));
    assert_eq!(project.plan(&[])["refusals"][0]["place"], "syncline.yaml:2:38");
}

#[test]
fn a_sync_that_is_not_in_the_project_any_more_is_not_passed_over() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(5));
    project.apply(&[]).code(0);
    let manifest = project.read("syncs/people.yaml");
    std::fs::remove_file(project.path("syncs/people.yaml")).unwrap();
    let plan = project.run(&["plan", "--detailed-exitcode"]).code(0).stdout;
    assert!(plan.contains("no manifest names `people` any more; the 5 rows it has sent stay where they are"), "{plan}");
    // Neither under a new name, nor once it is forgotten.
    project.write("syncs/folk.yaml", &manifest.replace("name: people\n", "name: folk\nmoved_from: people\n"));
    assert_eq!(project.plan(&[])["warnings"], serde_json::json!([]));
    std::fs::remove_file(project.path("syncs/folk.yaml")).unwrap();
    project.run(&["state", "forget", "people", "--auto-approve"]).code(0);
    assert_eq!(project.plan(&[])["warnings"], serde_json::json!([]));
}

#[test]
fn a_promise_that_is_broken_is_shown_where_it_is_written() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    project.edit("models/people.yaml", "primary_key: [id]", "primary_key: [id]\ncolumns: { seats: { type: string } }");
    let ran = project.run(&["plan"]).code(1);
    assert!(ran.stderr.contains("models/people.yaml:5:27"), "{}", ran.stderr);
}

#[test]
fn a_changed_identifier_is_said_in_the_plan() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    project.apply(&[]).code(0);
    project.edit("data/people.csv", "p2@example.com", "q2@example.com");
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [3, 0, 1, 0, 2, 0]);
    assert_eq!(plan["warnings"][0]["code"], "identifier_changed");
}

/// With fingerprints alone nothing of a removed row is known, not even its key.
#[test]
fn fingerprint_state_counts_removed_rows_it_cannot_name() {
    let project = Project::people("mirror", FIELDS);
    project.write("syncline.yaml", "name: test\nstate: { type: local, values: fingerprint }\n");
    project.write("data/people.csv", &people_csv(50));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(47));
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [47, 0, 0, 3, 47, 0]);
    let operations = ["send", "delete", "clear", "none"].map(|n| number(&plan, &format!("/syncs/0/operations/{n}")));
    assert_eq!(operations, [0, 0, 0, 3]);
    assert!(project.run(&["plan"]).code(0).stdout.contains("3"), "the plan is still shown");
    project.apply(&[]).code(0);
    assert_eq!(counts(&project.plan(&[])), [47, 0, 0, 0, 47, 0]);
}

/// A column of whole numbers in which a fraction turns up, a column of dates in which something else does.
#[test]
fn other_rows_of_a_file_do_not_make_a_row_changed() {
    let project = Project::people("upsert", "fields:\n  name: name\n  seats: seats\n  plan: plan\n");
    project.write("data/people.csv", "id,email,name,plan,seats\n1,a@x.com,A,2026-01-01,5\n2,b@x.com,B,2026-01-02,7\n");
    project.apply(&[]).code(0);
    project.write(
        "data/people.csv",
        "id,email,name,plan,seats\n1,a@x.com,A,2026-01-01,5\n2,b@x.com,B,2026-01-02,7\n3,c@x.com,C,soon,7.5\n",
    );
    assert_eq!(counts(&project.plan(&[])), [3, 1, 0, 0, 2, 0]);
}

#[test]
fn a_mapping_that_was_corrected_sends_what_was_rejected() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(20));
    project.sql(
        "out/crm.db",
        "create table people (email text primary key, name text check (name <> 'Person 7'), plan text, seats integer)",
    );
    project.apply(&[]).code(4);
    let plan = project.plan(&[]);
    assert_eq!((counts(&plan)[1], number(&plan, "/syncs/0/held/rejected")), (0, 1));
    project.edit("syncs/people.yaml", "name: name\n  plan", "name: { column: name, transform: upper }\n  plan");
    let plan = project.plan(&[]);
    assert_eq!((counts(&plan)[1], number(&plan, "/syncs/0/held/rejected")), (1, 0));
    assert_eq!(causes(&plan), [0, 20, 0, 0]);
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select name from people where email like 'p7@%'"), ["PERSON 7"]);
    assert_eq!(counts(&project.plan(&[])), [20, 0, 0, 0, 20, 0]);
}

/// Rows removed after only some of the others were sent with a new mapping: old and new columns side by side.
#[test]
fn mapping_changed_rows_removed_and_rows_added_at_once() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(200));
    project.apply(&[]).code(0);
    // Rows whose record stays the same keep the mapping they were sent with.
    project.edit("syncs/people.yaml", "  name: name\n  plan", "  name: { column: name, transform: trim }\n  plan");
    project.edit("data/people.csv", "Person 7,", "Person Seven,");
    project.edit("data/people.csv", "Person 8,", "Person Eight,");
    project.apply(&[]).code(0);
    project.edit("syncs/people.yaml", "  seats: seats\n", "");
    let rest: Vec<String> = people_csv(203).lines().map(str::to_owned).collect();
    let rest: Vec<&str> =
        rest.iter().enumerate().filter(|(i, _)| *i == 0 || *i > 100).map(|(_, l)| l.as_str()).collect();
    project.write("data/people.csv", &(rest.join("\n") + "\n"));
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), [103, 3, 0, 100, 100, 0]);
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["103"]);
    assert_eq!(counts(&project.plan(&[])), [103, 0, 0, 0, 103, 0]);
}

#[test]
fn applying_nothing_remembers_that_a_new_mapping_changes_no_record() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(20));
    project.apply(&[]).code(0);
    project.edit("syncs/people.yaml", "  name: name\n  plan", "  name: { column: name, transform: trim }\n  plan");
    assert_eq!(counts(&project.plan(&[])), [20, 0, 0, 0, 20, 0]);
    // The snapshots that know the new mapping.
    let trimmed = || {
        let mut folders = vec![project.path(".syncline")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match syncline::diff::snapshot::Snapshot::open(&entry) {
                    _ if entry.is_dir() => folders.push(entry),
                    Ok(snapshot) if format!("{:?}", snapshot.meta().mappings).contains("Trim") => found.push(entry),
                    _ => {}
                }
            }
        }
        found
    };
    assert_eq!(trimmed().len(), 0);
    project.apply(&[]).code(0);
    let found = trimmed();
    assert_eq!(found.len(), 1, "{found:?}");
    project.apply(&[]).code(0);
    assert_eq!(trimmed(), found, "once is enough");
    assert_eq!(counts(&project.plan(&[])), [20, 0, 0, 0, 20, 0]);
}
