//! A first careful run: `apply --only-key` and `apply --limit` do a part of the plan and leave the rest as it was.

use crate::project::{Project, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n  plan: plan\n  seats: seats\n";

fn project(mode: &str, rows: usize) -> Project {
    let project = Project::people(mode, FIELDS);
    project.write("data/people.csv", &people_csv(rows));
    project
}

fn count(project: &Project) -> String {
    project.rows("out/crm.db", "select count(*) from people").remove(0)
}

#[test]
fn a_limit_delivers_so_many_and_the_next_plan_has_the_rest() {
    let project = project("upsert", 20);
    let run = project.apply(&["--limit", "5", "--format", "json"]).code(0).json();
    let told = ["/syncs/0/planned/added", "/syncs/0/succeeded/added", "/syncs/0/left_out"].map(|at| number(&run, at));
    assert_eq!(told, [5, 5, 15]);
    assert_eq!((number(&run, "/syncs/0/pending"), run["status"].as_str()), (0, Some("succeeded")));
    assert_eq!(count(&project), "5");
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/added"), 15);
    let ran = project.apply(&["--limit", "5"]).code(0);
    assert!(ran.stderr.contains("Of 15 operations") && ran.stderr.contains("5 are delivered"), "{}", ran.stderr);
    assert!(ran.stdout.contains("left out") && ran.stdout.contains("10 operations"), "{}", ran.stdout);
    let run = project.apply(&["--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/succeeded/added"), 10);
    assert!(run.pointer("/syncs/0/left_out").is_none(), "nothing was left out");
    assert_eq!(count(&project), "20");
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn keys_are_named_as_the_plan_shows_them() {
    let project = project("upsert", 20);
    let run = project.apply(&["--only-key", "7", "--only-key", "3", "--format", "json"]).code(0).json();
    assert_eq!((number(&run, "/syncs/0/succeeded/added"), number(&run, "/syncs/0/left_out")), (2, 18));
    let sent = project.rows("out/crm.db", "select name from people order by name");
    assert_eq!(sent, ["Person 3", "Person 7"]);
    let left = project.apply(&["--only-key", "8", "--limit", "1", "--format", "json"]).code(0).json();
    assert_eq!(number(&left, "/syncs/0/left_out"), 17);
    // What is there already has nothing to deliver, and neither has what does not exist.
    for unknown in ["3", "21", "p9@example.com"] {
        let ran = project.apply(&["--only-key", "9", "--only-key", unknown]).code(1);
        assert!(ran.stderr.contains(&format!("`{unknown}`")), "{}", ran.stderr);
        assert_eq!(count(&project), "3", "nothing was sent");
    }
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/added"), 17);
}

#[test]
fn keys_of_several_columns_are_json() {
    let project = project("upsert", 3);
    project.edit("models/people.yaml", "primary_key: [id]", "primary_key: [id, email]");
    let key = project.plan(&[])["syncs"][0]["samples"][0]["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with('['), "{key}");
    project.apply(&["--only-key", &key]).code(0);
    assert_eq!(count(&project), "1");
}

#[test]
fn removals_are_left_out_unless_they_are_named() {
    let project = project("mirror", 20);
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(18).replace("Person 3,", "Ada,"));
    let run = project.apply(&["--limit", "10", "--format", "json"]).code(0).json();
    assert_eq!((number(&run, "/syncs/0/succeeded/changed"), number(&run, "/syncs/0/left_out")), (1, 2));
    assert_eq!(count(&project), "20");
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/removed"), 2);
    let run = project.apply(&["--only-key", "20", "--format", "json"]).code(0).json();
    assert_eq!((number(&run, "/syncs/0/succeeded/removed"), number(&run, "/syncs/0/left_out")), (1, 1));
    assert_eq!(count(&project), "19");
    project.apply(&[]).code(0);
    assert_eq!(count(&project), "18");
}

#[test]
fn the_record_a_row_had_before_goes_with_its_row() {
    let project = project("mirror", 20);
    project.apply(&[]).code(0);
    let moved = people_csv(20).replace("p3@", "new3@").replace("p9@", "new9@").replace("Person 1,", "Ada,");
    project.write("data/people.csv", &moved);
    project.apply(&["--only-key", "9"]).code(0);
    let there = |names: &str| {
        let query = format!("select count(*) from people where email in ({names})");
        project.rows("out/crm.db", &query).remove(0)
    };
    assert_eq!([there("'new9@example.com'"), there("'p9@example.com'")], ["1", "0"]);
    assert_eq!([there("'new3@example.com'"), there("'p3@example.com'")], ["0", "1"]);
    project.apply(&["--limit", "2"]).code(0);
    assert_eq!([there("'new3@example.com'"), there("'p3@example.com'")], ["1", "0"]);
    assert_eq!(count(&project), "20");
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn guards_see_the_whole_plan() {
    let project = Project::people("upsert", &format!("guards: {{ max_added: 10 }}\n{FIELDS}"));
    project.write("data/people.csv", &people_csv(20));
    for narrow in [["--limit", "5"], ["--only-key", "7"]] {
        project.apply(&narrow).code(3);
        assert!(!project.path("out/crm.db").exists());
    }
}

#[test]
fn a_plan_file_is_never_applied_in_part() {
    let project = project("upsert", 20);
    project.run(&["plan", "--out", "p.slplan"]).code(0);
    for narrow in [["--limit", "5"], ["--only-key", "7"]] {
        let ran = project.apply(&["p.slplan", narrow[0], narrow[1]]).code(1);
        assert!(ran.stderr.contains("exactly as it was reviewed"), "{}", ran.stderr);
    }
    assert!(!project.path("out/crm.db").exists());
    project.apply(&["p.slplan"]).code(0);
    assert_eq!(count(&project), "20");
}

#[test]
fn every_sync_has_its_own_limit_and_one_that_has_nothing_is_still_a_first_run() {
    let project = project("upsert", 10);
    let second = project.read("syncs/people.yaml").replace("name: people\n", "name: second\n");
    project.write("syncs/second.yaml", &second.replace("object: people", "object: others"));
    let run = project.apply(&["--limit", "2", "--select", "people", "--format", "json"]).code(0).json();
    assert_eq!(run["syncs"].as_array().unwrap().len(), 1);
    // Key 1 is done in the one and new in the other.
    let plan = project.plan(&[]);
    let first = plan["syncs"][0]["samples"][0]["key"].as_str().unwrap().to_owned();
    let run = project.apply(&["--limit", "1", "--only-key", &first, "--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/succeeded/added"), 1);
    assert_eq!(number(&run, "/syncs/1/succeeded/added"), 1);
    assert_eq!(number(&run, "/syncs/0/left_out"), 7);
    assert_eq!(number(&run, "/syncs/1/left_out"), 9);
}
