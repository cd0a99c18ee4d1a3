//! `kill -9` at the very moment a request arrives, or has been carried out and not yet answered; then another apply.

use std::process::Stdio;

use serde_json::{Value, json};

use super::world::World;
use super::{iterable, marketo, of, quiet};
use crate::project::number;

/// Applies until nothing kills it any more: at request `at` of a run, again and again. Returns how often it died, and
/// how many activities were in doubt when it did not.
fn killed(world: &World, kind: &str, moments: &[u64]) -> (u32, u64) {
    let mut deaths = 0;
    for at in moments {
        world.faults(&json!([{ "kind": kind, "path": "/[ar]*", "after": at, "times": 1 }]));
        let _ = std::fs::remove_file(world.project.path("pid"));
        let mut command = world.command(&["apply", "--auto-approve", "--format", "json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        world.project.write("pid.new", &child.id().to_string());
        std::fs::rename(world.project.path("pid.new"), world.project.path("pid")).expect("a file");
        let output = child.wait_with_output().expect("an end");
        match output.status.code() {
            None => deaths += 1,
            Some(0 | 4) => break,
            Some(code) => panic!("{code}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
    world.faults(&json!([]));
    let ran = world.apply(&[]);
    assert!(matches!(ran.code, 0 | 4), "{}", ran.stderr);
    let plan = world.run(&["plan", "--format", "json"]).code(0).json();
    let held = plan["syncs"].as_array().expect("syncs").iter();
    let in_doubt = held.map(|sync| number(sync, "/held/in_doubt")).sum();
    (deaths, in_doubt)
}

fn iterable(kind: &str, moments: &[u64]) {
    let world = iterable::world();
    let (deaths, in_doubt) = killed(&world, kind, moments);
    assert!(deaths >= 5, "it was killed {deaths} times");
    assert_eq!(in_doubt, 0);
    iterable::check(&world, 1, &|_| false, kind);
    let plan: Value = world.run(&["plan", "--format", "json"]).code(0).json();
    assert_eq!(number(of(&plan, "profiles"), "/held/no_match"), 10);
    world.faults(&json!([]));
    quiet(&world, world.apply(&[]));
}

fn marketo(kind: &str, moments: &[u64]) {
    let world = marketo::world();
    let (deaths, in_doubt) = killed(&world, kind, moments);
    assert!(deaths >= 5, "it was killed {deaths} times");
    marketo::check_but_doubtful(&world, in_doubt, kind);
    world.faults(&json!([]));
    quiet(&world, world.apply(&[]));
}

#[test]
fn iterable_before_the_work_is_done() {
    iterable("kill", &[2, 1, 3, 2, 1, 3, 2, 4, 5, 30, 38]);
}

#[test]
fn iterable_after_the_work_was_done() {
    iterable("kill_after", &[0, 1, 0, 1, 2, 0, 1, 2, 4, 20, 39, 40]);
}

#[test]
fn marketo_before_the_work_is_done() {
    marketo("kill", &[2, 3, 5, 4, 3, 6, 2]);
}

#[test]
fn marketo_after_the_work_was_done() {
    marketo("kill_after", &[2, 2, 3, 4, 5, 3, 4, 3]);
}
