//! `apply --approved` through the real binary: what was approved goes ahead while the source moves on a little, and stops
//! when it moves on a lot.

use crate::project::{Project, number};

const FIELDS: &str = "fields:\n  name: name\n  seats: seats\n";

/// Forty people; those up to `changed` have a seat more than at first, and those beyond `there` are gone.
fn people(changed: usize, there: usize) -> String {
    let line = |id: usize| format!("{id},p{id}@example.com,Person {id},free,{}\n", if id <= changed { 2 } else { 1 });
    "id,email,name,plan,seats\n".to_owned() + &(1..=there).map(line).collect::<String>()
}

/// All forty are at the destination, and then one changes.
fn project(mode: &str) -> Project {
    let project = Project::people(mode, FIELDS);
    project.write("data/people.csv", &people(0, 40));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people(1, 40));
    project
}

/// Plans, and gives digest and id of the plan.
fn plan(project: &Project) -> (String, String) {
    let plan = project.run(&["plan", "--format", "json"]).code(0);
    project.write("plan.json", &plan.stdout);
    let text = |key: &str| plan.json()[key].as_str().expect("text").to_owned();
    (text("digest"), text("plan_id"))
}

fn with_two_seats(project: &Project) -> String {
    project.rows("out/crm.db", "select count(*) from people where seats = 2").concat()
}

#[test]
fn three_rows_more_go_ahead_and_a_third_of_all_does_not() {
    let project = project("upsert");
    let (digest, _) = plan(&project);
    project.write("data/people.csv", &people(4, 40));
    project.run(&["apply", "--approved", &digest]).code(0);
    assert_eq!(with_two_seats(&project), "4");

    project.write("data/people.csv", &people(5, 40));
    let (digest, _) = plan(&project);
    project.write("data/people.csv", &people(17, 40));
    let ran = project.run(&["apply", "--approved", &digest, "--report", "run.json"]).code(5);
    assert!(
        ran.stdout.ends_with(
            "Beyond what was approved\n  \
             sync    what     approved  at most  now\n  \
             people  changed         1        4   13\n"
        ),
        "{}",
        ran.stdout
    );
    let reason =
        "nothing was sent: more would change than was approved: `people` has 13 changed, approved were 1, at most 4";
    let words = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains(reason) && words.contains("plan again"), "{}", ran.stderr);
    assert_eq!(with_two_seats(&project), "4", "nothing was sent");
    let run: serde_json::Value = serde_json::from_str(&project.read("run.json")).expect("a report");
    assert_eq!(run["status"], "refused");
    // As JSON, stdout stays JSON.
    let ran = project.run(&["apply", "--approved", &digest, "--format", "json"]).code(5);
    assert_eq!(ran.json()["status"], "refused");
    assert!(ran.stderr.contains("Beyond what was approved"), "{}", ran.stderr);
}

#[test]
fn a_plan_is_approved_by_digest_by_id_or_as_a_file() {
    let project = project("upsert");
    project.run(&["plan", "--out", "small.slplan"]).code(0);
    let (digest, small) = plan(&project);
    project.write("small.json", &project.read("plan.json"));
    project.write("data/people.csv", &people(30, 40));
    // Somebody plans again: the newest plan of the digest is a larger one now, the one approved is not.
    let (_, large) = plan(&project);
    for approved in [format!("{digest}@{small}"), "small.json".into(), "small.slplan".into()] {
        project.run(&["apply", "--approved", &approved]).code(5);
    }
    assert_eq!(with_two_seats(&project), "0");
    project.run(&["apply", "--approved", &format!("{digest}@{large}")]).code(0);
    assert_eq!(with_two_seats(&project), "30");
    project.run(&["apply", "--approved", &digest]).code(0);
    let ran = project.run(&["apply", "--approved", "smal.json"]).code(1);
    assert!(ran.stderr.contains("neither a digest nor a file"), "{}", ran.stderr);
    project.apply(&["--report", "run.json"]).code(0);
    let ran = project.run(&["apply", "--approved", "run.json"]).code(1);
    assert!(ran.stderr.contains("is a run, not a plan"), "{}", ran.stderr);
}

#[test]
fn nothing_is_deleted_where_no_delete_was_approved() {
    let project = project("mirror");
    let (digest, _) = plan(&project);
    project.write("data/people.csv", &people(1, 39));
    let ran = project.run(&["apply", "--approved", &digest]).code(5);
    assert!(ran.stdout.contains("people  deletes         0        0    1"), "{}", ran.stdout);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["40"]);
    let (digest, _) = plan(&project);
    project.run(&["apply", "--approved", &digest]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["39"]);
}

#[test]
fn another_configuration_is_named_and_refused() {
    let project = project("upsert");
    let (digest, id) = plan(&project);
    project.edit("syncs/people.yaml", "  seats: seats\n", "");
    project.write(
        "models/people.yaml",
        &format!("{}description: words change nothing\n", project.read("models/people.yaml")),
    );
    for approved in [digest.clone(), format!("{digest}@{id}"), "plan.json".into()] {
        let ran = project.run(&["apply", "--approved", &approved]).code(5);
        let words = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words.contains("configuration has changed since the plan was approved: `syncs/people.yaml`"),
            "{words}"
        );
    }
    // What was never planned here cannot have been approved.
    let unknown = format!("sha256:{}", "0".repeat(64));
    let ran = project.run(&["apply", "--approved", &unknown]).code(5);
    assert!(ran.stderr.contains("is known in this state") && ran.stderr.contains("same state"), "{}", ran.stderr);
    project.run(&["apply", "--approved", &format!("{digest}@../state")]).code(5);
    assert_eq!(with_two_seats(&project), "0");
}

#[test]
fn an_approval_counts_for_a_week() {
    let project = project("upsert");
    plan(&project);
    let mut json: serde_json::Value = serde_json::from_str(&project.read("plan.json")).expect("a plan");
    let days_ago = |days: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).to_string();
    json["created_at"] = days_ago(7).into();
    project.write("plan.json", &json.to_string());
    let ran = project.run(&["apply", "--approved", "plan.json"]).code(5);
    assert!(ran.stderr.contains("a plan can be approved for 7 days"), "{}", ran.stderr);
    assert_eq!(with_two_seats(&project), "0");
    json["created_at"] = days_ago(6).into();
    project.write("plan.json", &json.to_string());
    project.run(&["apply", "--approved", "plan.json"]).code(0);
    assert_eq!(with_two_seats(&project), "1");
}

#[test]
fn a_sync_that_was_not_in_the_plan_must_do_nothing() {
    let project = project("upsert");
    project.write(
        "syncs/other.yaml",
        &project.read("syncs/people.yaml").replace("people", "other").replace("model: other", "model: people"),
    );
    let plan = project.run(&["plan", "--select", "people", "--format", "json"]).code(0).json();
    let digest = plan["digest"].as_str().expect("a digest");
    let ran = project.run(&["apply", "--approved", digest]).code(5);
    assert!(ran.stdout.contains("other  operations  not in it        0   40"), "{}", ran.stdout);
    let run = project.run(&["apply", "--approved", digest, "--select", "people", "--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/succeeded/changed"), 1);
}

#[test]
fn a_plan_that_cannot_be_remembered_says_so() {
    let project = project("upsert");
    // Where the folder should be is a file.
    std::fs::remove_dir_all(project.path(".syncline/default/planned")).ok();
    project.write(".syncline/default/planned", "");
    let plan = project.run(&["plan", "--format", "json"]).code(0).json();
    assert_eq!(plan["warnings"][0]["code"], "not_recorded", "{plan:#}");
    // The plan itself says all that is needed.
    project.write("plan.json", &plan.to_string());
    project.run(&["apply", "--approved", "plan.json"]).code(0);
    assert_eq!(with_two_seats(&project), "1");
}
