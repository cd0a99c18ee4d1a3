//! Values that a source has and no record can hold: the row that has one is invalid, and nothing else is lost.

use serde_json::Value;

use crate::project::{Project, Ran};

/// People of a real SQLite, where a column of dates takes any text. `note` is used by no field.
fn people(sync: &str) -> Project {
    let project = Project::people("mirror", &format!("fields: {{ name: name, born: born }}\n{sync}"));
    project.write("sources/files.yaml", "name: files\ntype: sqlite\nconnection: { path: data/shop.db }\n");
    let model = "name: people\nsource: files\nsql: select id, email, name, born, note from people order by rowid\n\
                 primary_key: [id]\n";
    project.write("models/people.yaml", model);
    project.sql(
        "data/shop.db",
        "create table people (id integer, email text, name text, born date, note date);
         insert into people values (1, 'a@x.io', 'Ann', '1990-01-01', null), (2, 'b@x.io', 'Bob', '1991-01-01', null),
             (3, 'c@x.io', 'Cid', null, null)",
    );
    project
}

const ARRIVED: &str = "select email, name, born from people order by email";
const MESSAGE: &str = "column `born` holds text instead of dates, `2026-11-22`; correct the value, or take the column as \
                       it is stored: `cast(born as text) as born`";

/// `rows added changed removed unchanged invalid`
fn counts(plan: &Value) -> String {
    let counts = &plan["syncs"][0]["counts"];
    let words = ["rows", "added", "changed", "removed", "unchanged", "invalid"];
    words.map(|word| counts[word].to_string()).join(" ")
}

/// The words of what was printed, however it was wrapped.
fn flat(ran: &Ran) -> String {
    format!("{} {}", ran.stdout, ran.stderr).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_row_that_was_sent_stays_until_it_can_be_read_again() {
    let project = people("guards: { max_removed: 100%, max_changed: 100% }\n");
    project.apply(&[]).code(0);
    let before = project.rows("out/crm.db", ARRIVED);
    // One has a birthday that is none, one is as null would be, one has left, one has a note that nobody reads.
    project.sql(
        "data/shop.db",
        "update people set born = 'infinity', name = 'Anna' where id = 1; update people set born = 'soon' where id = 3;
         update people set note = 'infinity', name = 'Bert' where id = 2",
    );
    let plan = project.plan(&[]);
    assert_eq!(counts(&plan), "3 0 1 0 0 2");
    let invalid = &plan["syncs"][0]["invalid"];
    assert_eq!(invalid.as_array().map(Vec::len), Some(1), "{invalid}");
    let [reason, field, message, keys] =
        ["reason", "field", "message", "keys"].map(|name| invalid[0][name].to_string());
    assert_eq!((reason.as_str(), field.as_str(), keys.as_str()), ("\"unmappable\"", "\"born\"", "[\"1\",\"3\"]"));
    assert_eq!(message, format!("\"{MESSAGE}\""));
    for face in ["text", "markdown", "html"] {
        let shown = flat(&project.run(&["plan", "--format", face]));
        let told = ["instead of dates", "correct the value", "cast(born as text) as born"];
        assert!(told.iter().all(|part| shown.contains(part)), "{face}: {shown}");
    }

    let run = project.apply(&["--format", "json"]).code(0).json();
    assert_eq!(run["syncs"][0]["succeeded"]["changed"], 1, "{run:#}");
    let after = project.rows("out/crm.db", ARRIVED);
    assert_eq!((&after[0], after[1].as_str(), &after[2]), (&before[0], "b@x.io|Bert|1991-01-01", &before[2]));
    assert_eq!(counts(&project.plan(&[])), "3 0 0 0 1 2", "nothing is left to do");
    let verified = project.run(&["verify", "--format", "json"]).code(0).json();
    assert!(verified.to_string().contains("\"reason\":\"invalid\""), "{verified:#}");

    project.sql("data/shop.db", "update people set born = '1990-01-02' where id = 1; delete from people where id = 3");
    assert_eq!(counts(&project.plan(&[])), "2 0 1 1 1 0");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", ARRIVED), ["a@x.io|Anna|1990-01-02", "b@x.io|Bert|1991-01-01"]);
}

#[test]
fn guards_count_it_as_any_invalid_row() {
    let project = people("guards: { max_invalid: 1, max_removed: 100% }\n");
    project.sql("data/shop.db", "update people set born = 'x' where id = 1");
    project.apply(&[]).code(0);
    project.sql("data/shop.db", "update people set born = 'x' where id = 2");
    let plan = project.run(&["plan", "--format", "json"]).code(3).json();
    let guards = plan["syncs"][0]["guards"].as_array().unwrap().clone();
    let broken: Vec<&Value> = guards.iter().filter(|guard| guard["ok"] == false).map(|guard| &guard["name"]).collect();
    assert_eq!(broken, ["max_invalid"], "{guards:?}");
}

#[test]
fn a_key_that_cannot_be_read_is_as_one_that_is_null() {
    let project = people("guards: { max_removed: 100% }\n");
    project.edit("models/people.yaml", "primary_key: [id]", "primary_key: [born]");
    project.edit("syncs/people.yaml", "match: { email: email }", "match: { born: born }");
    project.edit("syncs/people.yaml", "name: name, born: born", "name: name, email: email");
    project.sql("data/shop.db", "update people set born = '1992-01-01' where id = 3");
    project.apply(&[]).code(0);
    project.sql(
        "data/shop.db",
        "update people set born = 'infinity' where id = 2; update people set born = null where id = 3",
    );
    let plan = project.run(&["plan", "--format", "json"]).json();
    assert_eq!(counts(&plan), "3 0 0 2 1 2");
    let invalid: Vec<String> = plan["syncs"][0]["invalid"]
        .as_array()
        .unwrap()
        .iter()
        .map(|invalid| format!("{} {} {} {}", invalid["reason"], invalid["count"], invalid["keys"], invalid["message"]))
        .collect();
    assert_eq!(
        invalid,
        [
            "\"null_key\" 1 [\"row 3\"] \"a column of the primary key is null\"".to_owned(),
            format!("\"null_key\" 1 [\"row 2\"] \"{MESSAGE}\""),
        ]
    );
    // Who has no key may be whoever is missing.
    let codes: Vec<&Value> = plan["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert_eq!(codes, ["keyless"], "{:#}", plan["warnings"]);
}

#[test]
fn two_plans_of_one_read_and_two_reads_of_one_plan_agree() {
    let project = people("");
    project.sql("data/shop.db", "update people set born = 'infinity' where id = 1");
    let stable = project.run(&["plan", "--check-stable"]).code(0);
    assert!(flat(&stable).contains("1 invalid"), "{}", stable.stdout);

    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
        assert!(command.current_dir(project.root()).output().unwrap().status.success(), "{arguments:?}");
    };
    project.sql("data/shop.db", "update people set born = '1990-01-01' where id = 1");
    project.apply(&[]).code(0);
    project.sql("data/shop.db", "update people set born = 'infinity' where id = 1");
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "before"]);
    // Both plans are made of one reading, in which what cannot be read must stay so.
    project.edit("syncs/people.yaml", "name: name,", "name: { column: name, transform: upper },");
    let plan = project.plan(&["--against", "HEAD"]);
    assert_eq!(counts(&plan), "3 0 2 0 0 1");
    assert_eq!(plan["syncs"][0]["causes"]["configuration"], 2, "{:#}", plan["syncs"][0]["causes"]);
}

#[test]
fn tests_of_models_do_not_take_it_for_null() {
    let project = people("");
    project.sql(
        "data/shop.db",
        "update people set born = 'infinity' where id = 1; update people set born = '1980-01-01' where id = 3",
    );
    let with = |tests: &str| {
        let model = project.read("models/people.yaml");
        let own = model.split("columns:").next().unwrap().to_owned();
        project.write("models/people.yaml", &format!("{own}columns:\n  {tests}\n"));
    };
    // In the source it is a value like any other.
    with("born: { tests: [not_null] }");
    project.run(&["plan"]).code(0);
    with("born: { tests: [ { accepted_values: ['1991-01-01', '1980-01-01'] } ] }");
    let shown = flat(&project.run(&["plan", "--show-values"]).code(3));
    assert!(shown.contains("(text instead of dates, `2026-11-22`)"), "{shown}");

    // Over copies, where it is not, its column cannot be tested; the others can.
    project.write("sources/days.yaml", "name: days\ntype: files\nconnection: { path: days }\n");
    project.write("models/days.yaml", "name: days\nsource: days\ntable: { name: days }\nprimary_key: [day]\n");
    project.write("days/days.csv", "day,who\n1990-01-01,a@x.io\n1991-01-01,b@x.io\n1980-01-01,c@x.io\n");
    with("email: { tests: [ { relationships: { model: days, column: who } } ] }");
    project.run(&["plan"]).code(0);
    with("born: { tests: [ { relationships: { model: days, column: day } } ] }");
    let refused = flat(&project.run(&["plan"]).code(1));
    assert!(refused.contains("test: column `born` holds text instead of dates"), "{refused}");
    assert!(refused.contains("cast(born as text) as born"), "{refused}");
}
