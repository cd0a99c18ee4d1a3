//! Tests of models through the real binary: what fails refuses the sync, with the place in the YAML and what to do.

use serde_json::json;

use crate::databases::postgres_yaml;
use crate::postgres::server;
use crate::project::{Project, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n";

/// People with `columns` and `tests` in the manifest of their model.
fn people(model: &str) -> Project {
    let project = Project::people("upsert", FIELDS);
    let manifest = project.read("models/people.yaml");
    project.write("models/people.yaml", &format!("{manifest}{model}"));
    project.write("data/people.csv", &people_csv(20));
    project
}

#[test]
fn five_things_that_go_wrong_upstream_are_five_clear_refusals() {
    /// What happened, what the model promises, how it is broken, the exit code, what is said.
    type Case = (&'static str, &'static str, fn(&Project), i32, &'static [&'static str]);
    let cases: &[Case] = &[
        (
            "a column was renamed, and the query names it",
            "",
            |p| p.edit("data/people.csv", "name,plan", "full_name,plan"),
            1,
            &["models/people.yaml:3:6", "no such column: name"],
        ),
        (
            "a column was renamed, and the query takes all",
            "columns:\n  plan: { type: string }\n",
            |p| {
                p.edit("models/people.yaml", "select id, email, name, plan, seats from", "select * from");
                p.edit("data/people.csv", "name,plan,", "name,plans,");
            },
            1,
            &["models/people.yaml:6:3", "the model has no column `plan`", "did you mean `plans`?"],
        ),
        (
            "a type has changed",
            "columns:\n  seats: { type: integer }\n",
            |p| p.edit("data/people.csv", "Person 5,premium,5", "Person 5,premium,five"),
            1,
            &["models/people.yaml:6:18", "declared as `integer`, but the model gives text", "change the type here"],
        ),
        (
            "the key has duplicates",
            "columns:\n  id: { tests: [unique] }\n",
            |p| p.edit("data/people.csv", "\n7,", "\n6,"),
            3,
            &[
                "test `unique` of `people.id` fails: 2 rows share their `id` with another",
                "models/people.yaml:6:17",
                "correct the rows",
            ],
        ),
        (
            "the model is empty",
            "tests: [ { row_count: { min: 10 } } ]\n",
            |p| p.write("data/people.csv", "id,email,name,plan,seats\n"),
            3,
            &["test `row_count` of `people` fails: the model is empty", "models/people.yaml:5:12", "--no-tests"],
        ),
        (
            "the model is stale",
            "tests: [ { freshness: { column: updated_at, max_age: 36h } } ]\n",
            |p| {
                p.edit("models/people.yaml", "seats from", "seats, updated_at from");
                let dated = p.read("data/people.csv").replace('\n', ",2020-01-01T00:00:00Z\n");
                p.write("data/people.csv", &dated.replacen("2020-01-01T00:00:00Z", "updated_at", 1));
            },
            3,
            &[
                "test `freshness` of `people.updated_at` fails: the newest `updated_at` is 2020-01-01 00:00:00 UTC",
                "models/people.yaml:5:12",
                "the most is 36h",
            ],
        ),
    ];
    for (what, model, break_it, code, said) in cases {
        let project = people(model);
        break_it(&project);
        for command in [&["plan"][..], &["apply", "--auto-approve"]] {
            let ran = project.run(command);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(ran.code, *code, "{what}:\n{all}");
            for text in *said {
                // Lines are wrapped at words.
                let flat = all.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(flat.contains(text), "{what}: `{text}` is not said in\n{all}");
            }
            assert!(!project.path("out/crm.db").exists(), "{what}: something was sent");
        }
    }
}

#[test]
fn results_are_part_of_the_plan_with_rows_that_fail() {
    let project = people(
        "columns:\n  plan: { sensitive: false, tests: [ { accepted_values: { values: [free], severity: warn } } ] }\n  \
         email: { tests: [not_null] }\ntests:\n  - name: nobody has more than 15 seats\n    sql: select * from {{ \
         ref('people') }} where seats > 15\n",
    );
    let plan = project.plan(&[]);
    let tests = plan["syncs"][0]["tests"].as_array().unwrap();
    assert_eq!(tests.len(), 3);
    assert_eq!(
        tests[0],
        json!({
            "model": "people", "test": "accepted_values", "column": "plan", "severity": "warn", "failures": 10, "ok": false,
            "message": "10 rows have another `plan` than `free`", "place": "models/people.yaml:6:40",
            "samples": [
                { "key": "1", "value": "premium" }, { "key": "3", "value": "premium" }, { "key": "5", "value": "premium" },
            ],
        })
    );
    assert_eq!((tests[1]["ok"].as_bool(), tests[1]["failures"].as_u64()), (Some(true), Some(0)));
    assert_eq!(tests[2]["test"], "nobody has more than 15 seats");
    assert_eq!(tests[2]["samples"], json!([{ "key": "16" }, { "key": "17" }, { "key": "18" }]));
    assert_eq!(plan["warnings"].as_array().unwrap().len(), 1, "{}", plan["warnings"]);
    assert_eq!(plan["refusals"].as_array().unwrap().len(), 1, "{}", plan["refusals"]);
    // The whole plan is there for all that.
    assert_eq!(number(&plan, "/totals/added"), 20);
    let text = project.run(&["plan"]).code(3).stdout;
    for said in ["1 passed · 2 failed", "Apply refuses this plan: 1 test fails.", "5 rows"] {
        assert!(text.contains(said), "{text}");
    }
    for format in ["markdown", "html"] {
        let page = project.run(&["plan", "--format", format]).code(3).stdout;
        assert!(page.contains("nobody has more than 15 seats"), "{page}");
    }
    // Keys are personal data as long as nobody says otherwise.
    let masked = project.run(&["plan", "--format", "json"]).code(3).json();
    assert_eq!(masked["syncs"][0]["tests"][2]["samples"][0]["key"], "‹number›");
    assert_eq!(masked["syncs"][0]["tests"][0]["samples"][0]["value"], "premium");
}

#[test]
fn a_warning_lets_the_plan_pass_and_tests_can_be_left_out_once() {
    let project = people("tests: [ { row_count: { min: 100 }, severity: warn } ]\n");
    let ran = project.apply(&[]).code(0);
    assert!(ran.stdout.contains("the model has 20 rows, the fewest are 100"), "{}", ran.stdout);
    project.edit("models/people.yaml", "severity: warn", "severity: error");
    project.edit("data/people.csv", "Person 5,", "Person Five,");
    project.run(&["plan", "--out", "refused.slplan"]).code(3);
    let refused = project.run(&["apply", "refused.slplan"]).code(3);
    assert!(refused.stderr.contains("test `row_count` of `people` fails"), "{}", refused.stderr);
    project.apply(&[]).code(3);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people where name = 'Person Five'"), ["0"]);
    let ran = project.apply(&["--no-tests"]).code(0);
    assert!(ran.stdout.contains("the tests of model `people` were not run"), "{}", ran.stdout);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people where name = 'Person Five'"), ["1"]);
}

#[test]
fn the_number_of_rows_is_compared_with_the_last_run() {
    let project = people("tests: [ { row_count: { max_change: 20% } } ]\n");
    // Before the first run there is nothing to compare with.
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(24));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(19));
    let ran = project.run(&["plan"]).code(3);
    let said = "the model has 19 rows, 5 fewer than the 24 of the last run; the most is 20%";
    let flat = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(said), "{}", ran.stdout);
    // A refused run is none.
    project.apply(&[]).code(3);
    project.write("data/people.csv", &people_csv(20));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(24));
    project.apply(&[]).code(0);
}

#[test]
fn a_relationship_may_lead_to_another_source() {
    let project = people("columns:\n  plan: { tests: [ { relationships: { to: ref('plans'), field: name } } ] }\n");
    project.write("sources/book.yaml", "name: book\ntype: sqlite\nconnection: { path: plans.db }\n");
    project.write("models/plans.yaml", "name: plans\nsource: book\nsql: select name from plans\nprimary_key: [name]\n");
    project.sql("plans.db", "create table plans (name text); insert into plans values ('free')");
    let ran = project.run(&["plan"]).code(3);
    let flat = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("the `plan` of 10 rows is no `name` of model `plans`"), "{}", ran.stdout);
    project.sql("plans.db", "insert into plans values ('premium')");
    project.run(&["plan"]).code(0);
    project.edit("models/people.yaml", "field: name", "field: nam");
    let ran = project.run(&["plan"]).code(1);
    for said in ["model `plans` has no column `nam`", "did you mean `name`?", "models/people.yaml:6:"] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn a_test_that_cannot_be_run_is_an_error_at_its_place() {
    let project = people("columns:\n  plan: { tests: [ { not_null: { where: \"plam = 'free'\" } } ] }\n");
    let ran = project.run(&["plan"]).code(1);
    for said in
        ["test `not_null` of model `people` cannot be run", "plam", "models/people.yaml:6:22", "correct the `where`"]
    {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn postgres_runs_the_same_tests_itself() {
    let Some(server) = server() else { return };
    let project = people(
        "columns:\n  id: { tests: [not_null, unique] }\n  email: { tests: [ { unique: { where: \"id < 100\" } } ] }\n  \
         plan: { tests: [ { accepted_values: [free, premium] }, { relationships: { model: plans, column: name } } ] }\n  \
         active: { tests: [ { accepted_values: [true] } ] }\n  price: { tests: [ { accepted_values: [9.5] } ] }\n\
         tests:\n  - row_count: { min: 3 }\n  - freshness: { column: updated_at, max_age: 36h }\n  - freshness: { column: \
         since, max_age: 36h }\n  - unique: [plan, active]\n  - { name: own, sql: \"select * from {{ ref('people') }} as p \
         where id > 2\" }\n",
    );
    let database = server.database(
        "create table people (id bigint, email text, name text, plan text, active boolean, price numeric(9, 2), \
         updated_at timestamptz, since date); create table plans (name text); insert into plans values ('free');
         insert into people values (1, 'a@x.io', 'A', 'free', true, 9.50, '2020-01-01T00:00:00Z', '2020-01-02'), \
         (2, 'b@x.io', 'B', 'premium', false, 9.5, null, null), (2, 'a@x.io', 'C', 'gold', true, 8, null, null)",
    );
    project.write("sources/files.yaml", &postgres_yaml(server, "files", &database));
    project.write("password", &server.password);
    project.edit("models/people.yaml", "select id, email, name, plan, seats from people", "select * from people");
    project.write("models/plans.yaml", "name: plans\nsource: files\ntable: { name: plans }\nprimary_key: [name]\n");
    let plan = project.plan(&[]);
    let shown = |test: &serde_json::Value| {
        let name = format!("{} {}", test["test"].as_str().unwrap(), test["column"].as_str().unwrap_or("-"));
        let keys: Vec<&str> = test["samples"].as_array().unwrap().iter().map(|s| s["key"].as_str().unwrap()).collect();
        format!("{name}: {} [{}]", test["failures"], keys.join(" "))
    };
    let tests: Vec<String> = plan["syncs"][0]["tests"].as_array().unwrap().iter().map(shown).collect();
    assert_eq!(
        tests,
        [
            "not_null id: 0 []",
            "unique id: 2 [2 2]",
            "unique email: 2 [1 2]",
            "accepted_values plan: 1 [2]",
            "relationships plan: 2 [2 2]",
            "accepted_values active: 1 [2]",
            "accepted_values price: 1 [2]",
            "row_count -: 0 []",
            "freshness updated_at: 1 []",
            "freshness since: 1 []",
            "unique plan, active: 0 []",
            "own -: 0 []",
        ]
    );
}

#[test]
fn a_model_that_changes_between_two_reads_is_named_with_its_columns() {
    let project = people("");
    let ran = project.run(&["plan", "--check-stable"]).code(0);
    assert!(ran.stderr.contains("the same both times"), "{}", ran.stderr);
    assert!(ran.stdout.contains("20 added"), "the plan follows: {}", ran.stdout);
    project.edit("models/people.yaml", "plan, seats from", "plan, abs(random()) as seats from");
    let ran = project.run(&["plan", "--check-stable"]).code(1);
    for said in [
        "these models do not give the same rows",
        "model `people` (models/people.yaml:3:6): of 20 rows, 20 rows have other values; columns: `seats` (20); keys such as \
         ‹number›",
        "`random()`",
    ] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    project.edit("models/people.yaml", "select id, email", "select abs(random()) as id, email");
    let ran = project.run(&["plan", "--check-stable", "--show-values"]).code(1);
    assert!(ran.stderr.contains("of 20 rows, 20 rows are gone, 20 rows are new; keys such as "), "{}", ran.stderr);
}
