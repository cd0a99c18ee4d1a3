//! The real binary is killed, starved and told to stop at many points: nothing is lost, nothing is doubled, no lock
//! stays behind.

mod holders;
mod identifiers;
mod places;
mod room;
mod signals;
mod strace;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::project::{Project, Ran, number, people_csv};

/// `rows` people go to a SQLite table in batches of `batch`. The table has no unique index, so that a record sent twice
/// would stand there twice; `writes` counts what was ever written.
fn project(mode: &str, rows: usize, batch: usize) -> Project {
    let project = Project::people(
        mode,
        &format!("fields:\n  name: name\n  plan: plan\n  seats: seats\ndelivery: {{ batch_size: {batch} }}\n"),
    );
    project.write("data/people.csv", &people_csv(rows));
    project.sql(
        "out/crm.db",
        "create table people (email text, name text, plan text, seats integer);
         create table writes (email text);
         create trigger i after insert on people begin insert into writes values (new.email); end;
         create trigger u after update on people begin insert into writes values (new.email); end;
         create trigger d after delete on people begin insert into writes values (old.email); end;",
    );
    project
}

/// `project`, where writing a row takes some milliseconds: a run of many rows can be met in its middle.
fn slow_project(mode: &str, rows: usize) -> Project {
    let project = project(mode, rows, 1);
    project.sql(
        "out/crm.db",
        "create table steps (n integer);
         insert into steps with recursive c(n) as (select 1 union all select n + 1 from c where n < 400) select n from c;
         create trigger slow after insert on people begin select count(*) from steps a, steps b; end;",
    );
    project
}

/// What the table of `project` must say of all `n` people.
fn summary(n: usize) -> String {
    let seats: usize = (1..=n).map(|id| id % 50).sum();
    format!("{n}|{n}|{seats}|{}", n / 2)
}

fn contents(project: &Project) -> Vec<String> {
    project.rows("out/crm.db", "select count(*), count(distinct email), sum(seats), sum(plan = 'free') from people")
}

fn count(project: &Project, table: &str) -> usize {
    project.rows("out/crm.db", &format!("select count(*) from {table}"))[0].parse().expect("a number")
}

/// One more apply, and everything of the model is at the destination, once; the next plan is empty, no lock is left.
#[track_caller]
fn check(project: &Project, rows: usize, what: &str) {
    let ran = project.apply(&[]);
    assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
    assert_eq!(contents(project), [summary(rows)], "{what}");
    at_rest(project, what);
}

/// The next plan is empty, no lock is left, and no run says that it is still going on.
#[track_caller]
fn at_rest(project: &Project, what: &str) {
    let plan = project.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{what}: the next plan is not empty\n{}\n{}", plan.stdout, plan.stderr);
    assert!(!project.path(".syncline/default/lock.json").exists(), "{what}: a lock stayed behind");
    let runs = project.run(&["runs", "list"]);
    assert!(!runs.stdout.contains("running"), "{what}: {}", runs.stdout);
}

/// Starts a command and lets it run.
fn start(project: &Project, arguments: &[&str]) -> Child {
    let mut command = project.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

fn kill(mut child: Child) {
    child.kill().expect("a kill");
    child.wait().expect("an end");
}

/// Waits until something is so; fails after half a minute.
#[track_caller]
fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < deadline, "it never came to it that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// True when the tool is there; in CI it must be. `None` is said loudly.
fn tool(name: &str) -> bool {
    let there = std::process::Command::new(name).arg("-V").output().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "`{name}` is not installed, and CI must not skip its tests");
        eprintln!("SKIPPED: `{name}` is not installed");
    }
    there
}

/// A copy of a project with all it has done so far.
fn copy(project: &Project) -> Project {
    fn walk(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                walk(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).expect("a copied file");
            }
        }
    }
    let new = Project::new(&[]);
    walk(project.root(), new.root());
    new
}

#[test]
fn killed_again_and_again_it_still_gets_there() {
    const ROWS: usize = 1500;
    let project = project("mirror", ROWS, 50);
    for round in 1..=8 {
        let child = start(&project, &["apply", "--auto-approve"]);
        std::thread::sleep(Duration::from_millis(25 * round));
        kill(child);
    }
    check(&project, ROWS, "eight kills in a row");
    project.write("data/people.csv", &people_csv(ROWS - 40));
    let child = start(&project, &["apply", "--auto-approve"]);
    std::thread::sleep(Duration::from_millis(60));
    kill(child);
    check(&project, ROWS - 40, "killed while removing");
}

#[test]
fn a_plan_file_whose_apply_was_killed_is_resumed_and_then_used_up() {
    for (mode, after) in [("insert", 0), ("insert", 1), ("upsert", 60), ("mirror", 120)] {
        let what = format!("{mode}, killed after {after} rows");
        let project = slow_project(mode, 200);
        project.run(&["plan", "--out", "p.slplan"]).code(0);
        let child = start(&project, &["apply", "p.slplan"]);
        match after {
            0 => until("the run begins", || open_runs(&project) > 0),
            _ => until("rows arrive", || count(&project, "people") >= after),
        }
        kill(child);
        assert!(count(&project, "people") < 200, "{what}: it was done before the kill");
        // What is in the model now is none of the plan's business.
        project.write("data/people.csv", &people_csv(210));
        let ran: Ran = project.run(&["apply", "p.slplan"]);
        assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
        assert_eq!(contents(&project), [summary(200)], "{what}");
        // Only batches whose answer was lost may be written a second time, and only where that changes nothing: the one in
        // flight, and two whose intents were written down with its own.
        let again = count(&project, "writes") - 200;
        assert!(again <= if mode == "insert" { 0 } else { 3 }, "{what}: {again} rows were written again");
        let third = project.run(&["apply", "p.slplan"]).code(5);
        assert!(third.stderr.contains("already applied"), "{what}: {}", third.stderr);
        check(&project, 210, &what);
    }
}

#[test]
fn after_a_kill_the_plan_says_what_it_knows_of_rows_without_an_answer() {
    let project = slow_project("upsert", 200);
    let child = start(&project, &["apply", "--auto-approve"]);
    until("rows arrive", || count(&project, "people") >= 40);
    let runs = project.run(&["runs", "list"]).code(0).stdout;
    assert!(runs.contains("running") && !runs.contains("interrupted"), "it is at work: {runs}");
    kill(child);
    let runs = project.run(&["runs", "list"]).code(0).stdout;
    assert!(runs.contains("(interrupted)") && !runs.contains("running"), "{runs}");
    let shown = project.run(&["runs", "show"]).code(0).stdout;
    assert!(shown.contains("interrupted: the process ended") && !shown.contains("under way"), "{shown}");
    let plan = project.plan(&[]);
    let [retry, unanswered] = ["retry", "unanswered"].map(|name| number(&plan, &format!("/syncs/0/causes/{name}")));
    assert!(retry > 0 && unanswered == retry, "{plan:#}");
    let text = project.run(&["plan"]).code(0).stdout;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&format!("{retry} sent again or for the first time")), "{text}");
    check(&project, 200, "killed");
    // What is asked for is no doubt.
    let plan = project.plan(&["--full-refresh"]);
    assert_eq!(number(&plan, "/syncs/0/causes/retry"), 200);
    assert_eq!(plan.pointer("/syncs/0/causes/unanswered"), None, "{plan:#}");
}

fn open_runs(project: &Project) -> usize {
    let text = std::fs::read_to_string(project.path(".syncline/default/state.json")).unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    document.pointer("/open_runs").and_then(|runs| runs.as_array()).map_or(0, Vec::len)
}

/// What the last run says became of its first sync: planned, succeeded, not yet sent, in doubt.
fn last_run(project: &Project) -> (serde_json::Value, [u64; 4]) {
    let run = project.run(&["runs", "show", "last", "--format", "json"]).code(0).json();
    let numbers = ["planned/added", "succeeded/added", "pending", "in_doubt"]
        .map(|name| number(&run, &format!("/syncs/0/{name}")));
    (run, numbers)
}
