//! What is held or invalid is not said to be acknowledged, what was not done is not said to have succeeded, and what no
//! later plan does by itself is not said to be done by it.

use serde_json::Value;

use crate::project::{Project, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n  plan: plan\n  seats: seats\n";

/// People go to a table that takes none of them.
fn refused() -> Project {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(5));
    project.sql(
        "out/crm.db",
        "create table people (email text primary key, name text check (name = 'nobody'), plan text, seats integer)",
    );
    project.apply(&[]).code(4);
    project
}

#[test]
fn rows_that_were_all_refused_are_not_as_last_acknowledged() {
    let project = refused();
    let said = "No changes. 0 rows are as last acknowledged; 5 are held (5 rejected)";
    for format in ["text", "markdown", "html"] {
        let plan = project.run(&["plan", "--format", format]).code(0).stdout;
        // Numbers on the page stay on a line with their word.
        let plan = plan.replace('\u{a0}', " ").replace("&nbsp;", " ").replace("&#160;", " ");
        let plan: String = plan.split("<wbr>").collect();
        assert!(plan.contains(said) || format == "html" && plan.contains("5 are held"), "{format}: {plan}");
        assert!(!plan.contains("5 rows are as last acknowledged"), "{format}: {plan}");
    }
    // The numbers are what they were.
    let plan = project.plan(&[]);
    assert_eq!((number(&plan, "/syncs/0/counts/unchanged"), number(&plan, "/syncs/0/held/rejected")), (5, 5));
    let ran = project.apply(&[]).code(0).stdout;
    let line = "Nothing to apply: 0 rows are as last acknowledged; 5 are held (5 rejected)";
    assert!(ran.contains(line) && ran.contains("5 rejected since earlier runs"), "{ran}");
    let rejected = project.run(&["runs", "rejected", "--format", "json"]).code(0).json();
    assert_eq!(number(&rejected, "/count"), 5);
    assert_eq!(rejected["rows"][0]["outcome"], "rejected");
    assert!(rejected["rows"][0]["held_since"].is_string(), "{rejected:#}");
    let last = project.run(&["runs", "rejected", "last"]).code(0).stdout;
    assert!(last.contains("had nothing to send") && last.contains("Held since earlier runs: 5"), "{last}");

    // A plan with changes says it, too.
    project.write("data/people.csv", &people_csv(6));
    let plan = project.run(&["plan"]).code(0).stdout;
    assert!(plan.starts_with("Plan: 1 added, 0 changed, 0 removed, 5 held\n"), "{plan}");
    let ran = project.apply(&["--format", "text"]).code(4).stdout;
    assert!(ran.contains("1 rejected, 5 held since earlier runs (5 rejected)"), "{ran}");
}

#[test]
fn rows_that_are_all_invalid_are_no_success_and_no_failure() {
    let project = Project::people("upsert", FIELDS);
    // Everybody has the same key.
    let row = |n: usize| format!("1,p{n}@example.com,Person {n},free,{n}\n");
    project.write("data/people.csv", &format!("id,email,name,plan,seats\n{}", (1..=4).map(row).collect::<String>()));
    // Never sent, as the design says: nothing to do. Who wants it refused sets a limit.
    let ran = project.apply(&[]).code(0).stdout;
    assert!(ran.contains("Nothing to apply: 0 rows are as last acknowledged, 4 are invalid"), "{ran}");
    let rejected = project.run(&["runs", "rejected"]).code(0).stdout;
    assert!(rejected.contains("4 rows are invalid and never sent"), "{rejected}");
    project.edit("syncs/people.yaml", "fields:", "guards: { max_invalid: 0 }\nfields:");
    project.apply(&[]).code(3);
}

#[test]
fn what_only_inserts_sends_nothing_again_and_says_so() {
    let project = Project::people("insert", FIELDS);
    project.write("data/people.csv", &people_csv(8));
    project.apply(&[]).code(0);
    let plan = project.plan(&["--full-refresh"]);
    assert_eq!((number(&plan, "/totals/changed"), number(&plan, "/syncs/0/counts/unchanged")), (0, 8));
    assert_eq!(plan["warnings"][0]["code"], "full_refresh_once", "{plan:#}");
    let ran = project.apply(&["--full-refresh"]).code(0).stdout;
    assert!(ran.contains("mode `insert` sends a row once") && !ran.contains("8 succeeded"), "{ran}");
    project.write("data/people.csv", &people_csv(6));
    let run = project.apply(&["--report", "r.json"]).code(0).stdout;
    assert!(run.contains("Applied: 0 succeeded, 2 with nothing to do"), "{run}");
    let report: Value = serde_json::from_str(&project.read("r.json")).expect("JSON");
    // The sum holds: planned = succeeded + …
    let numbers =
        ["planned/removed", "succeeded/removed", "nothing_to_do"].map(|n| number(&report, &format!("/syncs/0/{n}")));
    assert_eq!(numbers, [2, 2, 2]);
    // A row that was refused is tried again by `--full-refresh` in any mode.
    let project = Project::people("insert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    let table = "create table people (email text primary key, name text";
    project.sql("out/crm.db", &format!("{table} check (name <> 'Person 2'), plan text, seats integer)"));
    project.apply(&[]).code(4);
    assert_eq!(number(&project.plan(&["--full-refresh"]), "/totals/added"), 1);
}

#[test]
fn mending_the_cause_lifts_what_was_refused() {
    // Another mode: what was not there to be updated is made.
    let project = Project::people("update", FIELDS);
    project.write("data/people.csv", &people_csv(4));
    project.sql("out/crm.db", "create table people (email text primary key, name text, plan text, seats integer)");
    let run = project.apply(&["--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/no_match"), 4);
    assert_eq!(number(&project.plan(&[]), "/totals/added"), 0);
    project.edit("syncs/people.yaml", "mode: update", "mode: upsert");
    let plan = project.plan(&[]);
    assert_eq!((number(&plan, "/totals/added"), number(&plan, "/syncs/0/causes/configuration")), (4, 4), "{plan:#}");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["4"]);

    // Another object; what is no part of where and how rows are sent lifts nothing.
    let project = refused();
    project.sql("out/crm.db", "create table folk (email text primary key, name text, plan text, seats integer)");
    project.edit("syncs/people.yaml", "fields:", "delivery: { batch_size: 2 }\ntags: [other]\nfields:");
    assert_eq!(number(&project.plan(&[]), "/totals/added"), 0);
    project.edit("syncs/people.yaml", "object: people", "object: folk");
    let plan = project.plan(&[]);
    assert_eq!((number(&plan, "/totals/added"), number(&plan, "/syncs/0/held/rejected")), (5, 0), "{plan:#}");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from folk"), ["5"]);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}
