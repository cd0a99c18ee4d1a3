//! Records in doubt that nobody can look up are said as long as they are; and what destinations know records by stays the
//! same under a new name.

use serde_json::{Value, json};

use super::world::World;
use super::{iterable, marketo, of};
use crate::project::{Ran, number};

const ACTIVITIES: [&str; 3] = ["--auto-approve", "--select", "activities"];
/// The second batch never arrives, and nobody can know.
fn second_batch() -> Value {
    json!({ "kind": "kill", "path": "/rest/v1/activities/external.json", "after": 1, "times": 1 })
}

fn in_doubt(rejected: &Value) -> Vec<&Value> {
    rejected["rows"].as_array().expect("rows").iter().filter(|row| row["outcome"] == "in_doubt").collect()
}

/// One batch at a time.
fn world_of_activities() -> World {
    let world = marketo::world();
    world.project.edit("syncs/activities.yaml", "batch_size: 20", "batch_size: 20, concurrency: 1");
    world
}

fn apply_text(world: &World, arguments: &[&str]) -> Ran {
    world.run(&["apply"].iter().chain(arguments).copied().collect::<Vec<_>>())
}

#[test]
fn an_apply_that_finds_rows_in_doubt_says_so_and_so_does_every_later_one() {
    let world = world_of_activities();
    let arguments: Vec<&str> = ["apply"].into_iter().chain(ACTIVITIES).collect();
    assert!(world.killed(&second_batch(), &arguments), "it was not killed");

    // Nobody has cleaned up yet, and nobody says that it still runs.
    let runs = world.run(&["runs", "list"]).code(0).stdout;
    assert!(!runs.contains("running") && runs.contains("(interrupted)"), "{runs}");
    let listed = world.run(&["runs", "list", "--format", "json"]).code(0).json();
    assert_eq!(listed["runs"][0]["status"], "partial", "{listed:#}");
    let killed = listed["runs"][0]["run_id"].as_str().expect("an id").to_owned();
    let held = in_doubt(&world.run(&["runs", "rejected", &killed, "--format", "json"]).code(0).json()).len() as u64;
    assert!(held > 0, "nothing is in doubt");

    let ran = world.apply(&ACTIVITIES[1..]).code(4);
    assert!(ran.stderr.contains(&format!("{held} rows of it are in doubt")), "{}", ran.stderr);
    assert!(ran.stderr.contains("syncline runs rejected"), "{}", ran.stderr);
    assert_eq!(number(of(&ran.json(), "activities"), "/held/in_doubt"), held);

    // What was done about them is nothing; it stays said.
    for _ in 0..2 {
        let ran = apply_text(&world, &ACTIVITIES).code(0);
        let first = ran.stdout.lines().next().unwrap_or_default();
        assert!(first.contains(" are held (") && first.contains(&format!("{held} in doubt")), "{}", ran.stdout);
        assert!(!ran.stdout.contains("every row is as last acknowledged"), "{}", ran.stdout);
    }
    let rejected = world.run(&["runs", "rejected", "--format", "json"]).code(0).json();
    let since = in_doubt(&rejected).into_iter().filter(|row| row["held_since"] == killed.as_str());
    assert_eq!(since.count() as u64, held, "{rejected:#}");
    let shown = world.run(&["runs", "rejected"]).code(0).stdout;
    assert!(shown.contains(&format!("the answer was lost (held since run {killed})")), "{shown}");

    // Whoever has looked says so.
    world.run(&["state", "adopt", "activities", "--auto-approve"]).code(0);
    let plan = world.run(&["plan", "--select", "activities", "--format", "json"]).code(0).json();
    assert_eq!(number(of(&plan, "activities"), "/held/in_doubt"), 0);
    // What is known not to be there was not meant.
    assert!(number(of(&plan, "activities"), "/held/no_match") > 0, "{plan:#}");
}

#[test]
fn a_plan_file_that_goes_on_says_what_is_in_doubt() {
    let world = world_of_activities();
    world.run(&["plan", "--select", "activities", "--out", "p.slplan"]).code(0);
    assert!(world.killed(&second_batch(), &["apply", "p.slplan"]), "it was not killed");
    let ran = world.run(&["apply", "p.slplan"]).code(4);
    assert!(ran.stderr.contains("in doubt") && ran.stderr.contains("held"), "{}", ran.stderr);
    assert!(ran.stdout.contains("held since earlier runs") && ran.stdout.contains("in doubt"), "{}", ran.stdout);
    // Sent again by the very apply that finds them, they are in doubt no more.
    let other = world_of_activities();
    let arguments: Vec<&str> = ["apply"].into_iter().chain(ACTIVITIES).collect();
    assert!(other.killed(&second_batch(), &arguments), "it was not killed");
    let ran = other.apply(&["--select", "activities", "--retry"]);
    assert_eq!(of(&ran.json(), "activities").pointer("/held/in_doubt"), None, "{}", ran.stdout);
    let marked = other.run(&["apply", "--auto-approve", "--select", "activities"]).code(0).stdout;
    assert!(!marked.contains("in doubt)"), "{marked}");
}

/// The manifest of a sync under another name.
fn renamed(world: &World, from: &str, to: &str, moved: bool) {
    let text = world.project.read(&format!("syncs/{from}.yaml"));
    let moved = if moved { format!("moved_from: {from}\n") } else { String::new() };
    let text = text.replace(&format!("name: {from}\n"), &format!("name: {to}\n{moved}"));
    std::fs::remove_file(world.project.path(&format!("syncs/{from}.yaml"))).expect("its file");
    world.project.write(&format!("syncs/{to}.yaml"), &text);
}

fn events(world: &World) -> usize {
    world.dump()["iterable"]["events"].as_array().expect("events").len()
}

#[test]
fn a_renamed_sync_sends_no_event_twice() {
    for moved in [true, false] {
        let world = iterable::world();
        let fault = json!({ "kind": "kill_after", "path": "/api/events/trackBulk", "times": 1 });
        assert!(world.killed(&fault, &["apply", "--auto-approve", "--select", "joined"]), "it was not killed");
        assert!(events(&world) > 0, "nothing had arrived");
        if !moved {
            world.run(&["state", "move", "joined", "signups", "--auto-approve"]).code(0);
        }
        renamed(&world, "joined", "signups", moved);
        let ran = world.apply(&["--select", "signups"]).code(0);
        assert_eq!(events(&world), 150, "{}", ran.stdout);

        // An event that changes later replaces the one that is there, also under a third name.
        world.project.edit("syncs/signups.yaml", "mode: insert", "mode: upsert");
        world.run(&["state", "move", "signups", "third", "--auto-approve"]).code(0);
        renamed(&world, "signups", "third", false);
        world.project.edit("data/joined.csv", "plan 7,", "plan seven,");
        world.apply(&["--select", "third"]).code(0);
        assert_eq!(events(&world), 150, "moved_from: {moved}");
        assert!(world.dump()["iterable"]["events"].to_string().contains("plan seven"));

        // A new sync under the first name has events of its own.
        let third = world.project.read("syncs/third.yaml").replace("moved_from: joined\n", "");
        world.project.write("syncs/third.yaml", &third);
        world.project.write("syncs/joined.yaml", &third.replace("name: third\n", "name: joined\n"));
        world.apply(&["--select", "joined"]).code(0);
        assert_eq!(events(&world), 300, "moved_from: {moved}");
        world.project.edit("data/joined.csv", "plan 9,", "plan nine,");
        world.apply(&["--select", "joined,third"]).code(0);
        assert_eq!(events(&world), 300, "moved_from: {moved}");
    }
}

#[test]
fn another_key_is_said_to_make_other_ids_and_no_row_in_doubt_is_taken_along() {
    let world = iterable::world();
    world.apply(&["--select", "joined"]).code(0);
    world.project.edit("models/joined.yaml", "primary_key: [id]", "primary_key: [id, email]");
    let said = world.run(&["state", "move", "joined", "--rekey", "--auto-approve"]).code(0).stdout;
    assert!(said.contains("id made of the key"), "{said}");

    let world = world_of_activities();
    let arguments: Vec<&str> = ["apply"].into_iter().chain(ACTIVITIES).collect();
    assert!(world.killed(&second_batch(), &arguments), "it was not killed");
    world.project.edit("models/activities.yaml", "primary_key: [id]", "primary_key: [id, email]");
    let said = world.run(&["state", "move", "activities", "--rekey", "--auto-approve"]).code(1).stderr;
    assert!(said.contains("held rows in doubt") && said.contains("state adopt activities"), "{said}");
}
