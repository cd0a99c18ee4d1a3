//! The real binary is killed at many points: nothing is lost, nothing is doubled, no lock stays behind.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::project::{Project, people_csv};

const ROWS: usize = 1500;

fn project(mode: &str) -> Project {
    let project =
        Project::people(mode, "fields:\n  name: name\n  plan: plan\n  seats: seats\ndelivery: { batch_size: 50 }\n");
    project.write("data/people.csv", &people_csv(ROWS));
    // No unique index: a record sent twice would stand there twice.
    project.sql("out/crm.db", "create table people (email text, name text, plan text, seats integer)");
    project
}

/// Everything of the model is at the destination, once; the next plan is empty and needs no help to get there.
fn check(project: &Project, expected: &str, what: &str) {
    let ran = project.apply(&[]);
    assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
    let rows = project
        .rows("out/crm.db", "select count(*), count(distinct email), sum(seats), sum(plan = 'free') from people");
    assert_eq!(rows, [expected], "{what}");
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    assert!(!project.path(".syncline/default/lock.json").exists(), "{what}: a lock stayed behind");
}

fn summary(n: usize) -> String {
    let seats: usize = (1..=n).map(|id| id % 50).sum();
    format!("{n}|{n}|{seats}|{}", n / 2)
}

#[test]
fn killed_at_any_time_and_run_again_the_destination_equals_the_source() {
    for mode in ["upsert", "insert", "mirror"] {
        let whole = {
            let project = project(mode);
            let start = Instant::now();
            project.apply(&[]).code(0);
            start.elapsed()
        };
        for point in 1..=12u32 {
            let project = project(mode);
            let mut child = project
                .command(&["apply", "--auto-approve"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary runs");
            std::thread::sleep(whole * point / 13);
            child.kill().expect("a kill");
            child.wait().expect("an end");
            check(&project, &summary(ROWS), &format!("{mode}, killed at {point}/13 of {whole:?}"));
        }
    }
}

#[test]
fn killed_again_and_again_it_still_gets_there() {
    let project = project("mirror");
    for round in 1..=10 {
        let mut child = project
            .command(&["apply", "--auto-approve"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        std::thread::sleep(Duration::from_millis(25 * round));
        child.kill().expect("a kill");
        child.wait().expect("an end");
    }
    check(&project, &summary(ROWS), "ten kills in a row");
    project.write("data/people.csv", &people_csv(ROWS - 40));
    let mut child =
        project.command(&["apply", "--auto-approve"]).stdout(Stdio::null()).spawn().expect("the binary runs");
    std::thread::sleep(Duration::from_millis(60));
    child.kill().expect("a kill");
    child.wait().expect("an end");
    check(&project, &summary(ROWS - 40), "killed while removing");
}
