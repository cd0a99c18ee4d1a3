//! Guards, and bad input of every kind: one clear message, a non-zero exit, nothing lost.

use crate::project::{Project, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n  seats: seats\n";

#[test]
fn a_guard_refuses_with_exit_3_and_names_the_way_to_go_ahead() {
    let project = Project::people("mirror", &format!("guards: {{ max_removed: 10% }}\n{FIELDS}"));
    project.write("data/people.csv", &people_csv(100));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(80));
    let planned = project.run(&["plan"]).code(3);
    assert!(planned.stdout.contains("--allow people:max_removed=20"), "the plan is printed: {}", planned.stdout);
    project.apply(&[]).code(3);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["100"]);
    project.apply(&["--allow", "people:max_removed=19"]).code(3);
    project.apply(&["--allow", "people:max_removed=20"]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["80"]);
}

#[test]
fn several_guards_that_refuse_are_let_pass_by_one_line_of_the_hint() {
    let project = Project::people("mirror", &format!("guards: {{ max_added: 3 }}\n{FIELDS}"));
    let other = project.read("syncs/people.yaml").replace("name: people\nmodel", "name: others\nmodel");
    project.write("syncs/others.yaml", &other.replace("object: people", "object: others"));
    project.write("data/people.csv", &people_csv(5));
    let ran = project.apply(&[]).code(3);
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("--allow others:max_added=5 --allow people:max_added=5"), "{}", ran.stderr);
    assert_eq!(said.matches("--allow").count(), 2, "{}", ran.stderr);
    project.apply(&["--allow", "others:max_added=5", "--allow", "people:max_added=5"]).code(0);
}

#[test]
fn an_empty_model_is_refused_unless_it_is_allowed() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.apply(&[]).code(0);
    project.write("data/people.csv", "id,email,name,plan,seats\n");
    let planned = project.run(&["plan"]).code(3);
    assert!(planned.stdout.contains("empty"), "{}", planned.stdout);
    project.edit("syncs/people.yaml", "fields:", "guards: { min_rows: 0 }\nfields:");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["0"]);
}

#[test]
fn a_json_lines_file_without_a_line_is_an_empty_model() {
    let project = Project::people("mirror", FIELDS);
    let lines = |rows: std::ops::Range<u32>| -> String {
        let line = |id: u32| {
            format!("{{\"id\": {id}, \"email\": \"p{id}@example.com\", \"name\": \"Person {id}\", \"seats\": {id}}}\n")
        };
        rows.map(line).collect()
    };
    project.write(
        "models/people.yaml",
        "name: people\nsource: files\ntable: { name: people, columns: [id, email, name, seats] }\nprimary_key: [id]\n\
         columns:\n  seats: { type: integer }\n",
    );
    project.write("data/people.jsonl", "");
    let first = project.run(&["plan"]).code(3);
    assert!(first.stdout.contains("the model is empty") && first.stderr.is_empty(), "{}", first.stdout + &first.stderr);
    project.write("data/people.jsonl", &lines(0..10));
    project.apply(&[]).code(0);
    project.write("data/people.jsonl", "\n");
    let planned = project.run(&["plan"]).code(3);
    assert!(planned.stdout.contains("the model is empty"), "{}", planned.stdout);
    project.edit("syncs/people.yaml", "fields:", "guards: { min_rows: 0 }\nfields:");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["0"]);
    project.write("data/people.jsonl", &lines(5..8));
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select sum(seats) from people"), ["18"]);
}

#[test]
fn what_is_wrong_with_a_source_is_said_once_with_the_file_that_names_it() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", "id,email,name,plan,seats\n1,a@example.com\n");
    let place = "sync `people`: source `files` (sources/files.yaml), model `people` (models/people.yaml:3:6): file";
    for command in [&["plan"][..], &["apply", "--auto-approve"]] {
        let ran = project.run(command).code(1);
        assert!(ran.stderr.contains(place), "{}", ran.stderr);
        assert_eq!(ran.stderr.matches("sync `people`").count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn bad_input_ends_in_one_clear_message_and_nothing_is_lost() {
    /// What is broken, how, what the message names.
    type Case = (&'static str, fn(&Project), &'static [&'static str]);
    let cases: &[Case] = &[
        ("a file is missing", |p| std::fs::remove_file(p.path("data/people.csv")).unwrap(), &["people"]),
        ("a column is gone", |p| p.edit("data/people.csv", "name,plan", "nom,plan"), &["name"]),
        ("a row is cut", |p| p.edit("data/people.csv", "Person 5,premium,5", "Person 5"), &["people.csv"]),
        ("the folder is gone", |p| p.edit("sources/files.yaml", "data", "nowhere"), &["nowhere"]),
        ("the SQL is wrong", |p| p.edit("models/people.yaml", "select id", "selec id"), &["selec"]),
        (
            "the SQL writes",
            |p| p.edit("models/people.yaml", "select id, email, name, plan, seats from people", "drop table people"),
            &["select"],
        ),
        (
            "a field names no column",
            |p| p.edit("syncs/people.yaml", "name: name", "name: nam"),
            &["nam", "syncs/people.yaml:"],
        ),
        (
            "the destination is no database",
            |p| {
                p.edit("destinations/crm.yaml", "out/crm.db", "data/people.csv");
                p.edit("data/people.csv", "Person 5,", "Person Five,");
            },
            &["people.csv"],
        ),
    ];
    for (what, break_it, named) in cases {
        let project = Project::people("mirror", FIELDS);
        project.write("data/people.csv", &people_csv(10));
        project.apply(&[]).code(0);
        break_it(&project);
        let ran = project.apply(&[]);
        assert!(ran.code == 1, "{what}: exit {}\n{}\n{}", ran.code, ran.stdout, ran.stderr);
        for name in *named {
            assert!(ran.stderr.contains(name), "{what}: `{name}` is not named in\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
        assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["10"], "{what}");
    }
}

#[test]
fn a_changed_column_type_is_refused_until_it_is_declared_and_then_a_change_of_rows() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.apply(&[]).code(0);
    project.edit("data/people.csv", "Person 5,premium,5", "Person 5,premium,many");
    let refused = project.apply(&[]).code(3);
    assert!(refused.stderr.contains("column `seats` of model `people` was integer"), "{}", refused.stderr);
    assert_eq!(project.rows("out/crm.db", "select seats from people where email like 'p5@%'"), ["5"]);
    let model = project.read("models/people.yaml");
    project.write("models/people.yaml", &format!("{model}columns: {{ seats: {{ type: string }} }}\n"));
    let plan = project.plan(&[]);
    assert_eq!(number(&plan, "/syncs/0/counts/rows"), 10);
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select seats from people where email like 'p5@%'"), ["many"]);
}

#[test]
fn secrets_appear_nowhere() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    project.write(
        "sources/files.yaml",
        "name: files\ntype: postgres\nconnection: { host: 127.0.0.1, port: 1, user: u, database: d, password: \"{{ env.CANARY }}\" }\n",
    );
    let ran = project.command(&["plan", "-vv"]).env("CANARY", "s3cr3t-canary").output().unwrap();
    let all = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(ran.status.code(), Some(1), "{all}");
    assert!(!all.contains("s3cr3t-canary"), "{all}");
    let unset = project.run(&["plan"]).code(1).stderr;
    assert!(unset.contains("CANARY") && unset.contains("sources/files.yaml:3"), "{unset}");
}

#[test]
fn a_full_disk_is_a_clear_error_and_the_state_stays_whole() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.apply(&[]).code(0);
    project.edit("data/people.csv", "Person 5,", "Person Five,");
    let ran = project.run(&["plan", "--out", "/dev/full/x.slplan"]).code(1);
    assert!(ran.stderr.contains("/dev/full"), "{}", ran.stderr);
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/changed"), 1);
}

#[test]
fn a_plan_file_keeps_what_was_allowed_and_says_why_it_is_refused() {
    let project = Project::people("upsert", &format!("guards: {{ max_added: 1 }}\n{FIELDS}"));
    project.write("data/people.csv", &people_csv(2));
    project.run(&["plan", "--out", "refused.slplan"]).code(3);
    let refused = project.run(&["apply", "refused.slplan"]).code(3);
    assert!(refused.stdout.contains("2 rows would be added"), "the plan is printed: {}", refused.stdout);
    let run = project.run(&["apply", "refused.slplan", "--format", "json", "--report", "run.json"]).code(3).json();
    assert_eq!((run["status"].as_str(), number(&run, "/syncs/0/planned/added")), (Some("refused"), 2));
    assert!(!run["run_id"].as_str().unwrap().is_empty());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&project.read("run.json")).unwrap(), run);
    let misspelt = project.run(&["plan", "--allow", "peple:max_added=2"]).code(1);
    assert!(misspelt.stderr.contains("did you mean `people`?"), "{}", misspelt.stderr);
    project.run(&["plan", "--out", "allowed.slplan", "--allow", "people:max_added=2"]).code(0);
    project.run(&["apply", "allowed.slplan"]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["2"]);
}

#[test]
fn half_a_plan_is_never_written_to_a_file() {
    let project = Project::people("upsert", FIELDS);
    let ran = project.run(&["plan", "--out", "p.slplan"]).code(1);
    assert!(ran.stderr.contains("No plan file `p.slplan` was written"), "{}", ran.stderr);
    assert!(!project.path("p.slplan").exists());
}

#[test]
fn rows_without_a_key_stand_for_nobody_known() {
    let project = Project::people("mirror", "fields:\n  name: name\n");
    project.write("models/people.yaml", "name: people\nsource: files\ntable: { name: people }\nprimary_key: [email]\n");
    let people = |rows: &str| project.write("data/people.csv", &format!("email,name\n{rows}"));
    people("a@x.org,Ann\nb@x.org,Ben\n");
    project.run(&["apply", "--auto-approve"]).code(0);
    // All keys are gone: that is an empty model, whatever else there is in it.
    people(",Ann\n,Ben\n");
    let ran = project.run(&["apply", "--auto-approve"]).code(3);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    let told = told.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert!(told.contains("of the model's 2 rows, only 0 have a key; the fewest allowed is 1"), "{told}");
    assert_eq!(project.rows("out/crm.db", "select email from people order by email"), ["a@x.org", "b@x.org"]);
    // One of them: it may be the one whose record goes.
    people("a@x.org,Ann\n,Ben\n");
    let planned = project.run(&["plan", "--format", "json"]).code(0).json();
    let warning = &planned["warnings"][0];
    assert_eq!(warning["code"], "keyless", "{planned:#}");
    assert_eq!(
        warning["message"],
        "`people`: 1 row of the model has no key, and 1 record is to be deleted: they may be whom it stood for"
    );
}
