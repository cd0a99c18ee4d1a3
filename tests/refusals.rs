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

/// What is broken, what the message must name.
#[test]
fn bad_input_ends_in_one_clear_message_and_nothing_is_lost() {
    let cases: &[(&str, fn(&Project), &[&str])] = &[
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
fn a_changed_column_type_is_a_change_of_rows_and_not_a_failure() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.apply(&[]).code(0);
    project.edit("data/people.csv", "Person 5,premium,5", "Person 5,premium,many");
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
