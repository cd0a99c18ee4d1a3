//! `strace` ends or fails the real binary at chosen system calls: every write, sync, rename and removal is a point.
//!
//! Points are spread evenly over all of them; `SYNCLINE_POINTS=all` takes every single one.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{at_rest, check, copy, count, project, tool};
use crate::project::{Project, Ran, people_csv};

/// Calls that change what a disk or a peer has.
pub(super) const CALLS: &[&str] =
    &["fsync", "fdatasync", "rename", "renameat2", "unlink", "linkat", "pwrite64", "write", "ftruncate", "openat"];
/// Calls a full or broken disk fails. Plain `write` is not among them: it is also how threads wake
/// each other, and no disk makes that fail.
const DISK: &[&str] = &["fsync", "fdatasync", "rename", "pwrite64", "linkat"];

/// One point: the `n`-th call of this name of some thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point(String, usize);

fn traced(project: &Project, arguments: &[&str], strace: &[&str]) -> Command {
    let binary = project.command(arguments);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq"]).args(strace).arg(binary.get_program()).args(binary.get_args());
    command.current_dir(project.root());
    for (name, value) in binary.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// All points of a command, in a copy of the project.
pub(super) fn points(project: &Project, arguments: &[&str], calls: &[&str]) -> Vec<Point> {
    let project = copy(project);
    let trace = project.path("trace");
    let set = format!("trace={}", calls.join(","));
    let ran = traced(&project, arguments, &["-o", &trace.display().to_string(), "-e", &set]).output();
    assert!(ran.expect("strace runs").status.success(), "the command works when it is left alone");
    // `strace` counts each call of each thread for itself.
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in std::fs::read_to_string(trace).expect("a trace").lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((call, _)) = call.trim_start().split_once('(') else { continue };
        if calls.contains(&call) {
            *counts.entry((call.to_owned(), thread.to_owned())).or_default() += 1;
        }
    }
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for ((call, _), n) in counts {
        let slot = most.entry(call).or_default();
        *slot = n.max(*slot);
    }
    most.into_iter().flat_map(|(call, most)| (1..=most).map(move |n| Point(call.clone(), n))).collect()
}

/// About `share` of the points, evenly spread.
pub(super) fn spread(points: Vec<Point>, share: usize) -> Vec<Point> {
    if std::env::var("SYNCLINE_POINTS").is_ok_and(|all| all == "all") {
        return points;
    }
    let step = (points.len() / share).max(1);
    points.into_iter().skip(step / 2).step_by(step).collect()
}

/// Runs the command with a fault at each point, each in its own copy of the project, and hands over what is left.
pub(super) fn at_each(
    project: &Project,
    arguments: &[&str],
    points: &[Point],
    fault: &str,
    look: impl Fn(&Project, &Ran, &str) + Sync,
) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(Point(call, n)) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
            let project = copy(project);
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}:when={n}"));
            let output = traced(&project, arguments, &["-o", "/dev/null", "-e", &trace, "-e", &inject]).output();
            let output = output.expect("strace runs");
            let ran = Ran {
                code: output.status.code().unwrap_or(-1),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            };
            look(&project, &ran, &format!("{fault} at {call} number {n}"));
        }
    };
    // As many as the smallest runners have cores.
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
}

pub(super) const APPLY: &[&str] = &["apply", "--auto-approve"];

/// 60 people. For `mirror` 45 others are there before, of whom 15 are to be removed and 30 stay.
fn prepared(mode: &str) -> (Project, usize) {
    let project = project(mode, 45, 10);
    if mode != "mirror" {
        project.write("data/people.csv", &people_csv(60));
        return (project, 60);
    }
    project.apply(&[]).code(0);
    let rest: String = people_csv(60).lines().enumerate().filter(|(i, _)| *i == 0 || *i > 15).fold(
        String::new(),
        |mut text, (_, line)| {
            text.push_str(&line.replace("Person 2", "Citizen 2"));
            text.push('\n');
            text
        },
    );
    project.write("data/people.csv", &rest);
    (project, 45)
}

/// The model is at the destination, row by row, once.
#[track_caller]
fn equal(project: &Project, mode: &str, rows: usize, what: &str) {
    if mode != "mirror" {
        return check(project, rows, what);
    }
    let ran = project.apply(&[]);
    assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
    let mut there = project.rows("out/crm.db", "select email, name, plan, seats from people");
    let text = project.read("data/people.csv");
    let mut wanted: Vec<String> =
        text.lines().skip(1).filter_map(|line| line.split_once(',')).map(|(_, rest)| rest.replace(',', "|")).collect();
    there.sort();
    wanted.sort();
    assert_eq!(there, wanted, "{what}");
    at_rest(project, what);
}

#[test]
fn killed_at_any_system_call_and_run_again_the_destination_equals_the_source() {
    if !tool("strace") {
        return;
    }
    for mode in ["upsert", "insert", "mirror"] {
        let (project, rows) = prepared(mode);
        let points = spread(points(&project, APPLY, CALLS), 24);
        let killed = AtomicUsize::new(0);
        at_each(&project, APPLY, &points, "signal=SIGKILL", |project, ran, point| {
            killed.fetch_add(usize::from(ran.code == -1), Ordering::SeqCst);
            equal(project, mode, rows, &format!("{mode}, {point}"));
            if mode == "insert" {
                assert_eq!(count(project, "writes"), rows, "{point}: something was written twice");
            }
        });
        let killed = killed.into_inner();
        assert!(killed * 10 >= points.len() * 8, "{mode}: only {killed} of {} points were reached", points.len());
    }
}

#[test]
fn a_disk_that_fails_or_fills_up_ends_in_a_clear_message_and_the_next_run_gets_there() {
    if !tool("strace") {
        return;
    }
    for (mode, fault) in [("insert", "error=ENOSPC"), ("upsert", "error=EIO"), ("mirror", "error=ENOSPC")] {
        let (project, rows) = prepared(mode);
        let points = spread(points(&project, APPLY, DISK), 16);
        let failed = AtomicUsize::new(0);
        at_each(&project, APPLY, &points, fault, |project, ran, point| {
            let what = format!("{mode}, {point}");
            assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
            // What fails after all is done and noted (an old file that stays) is no failure.
            assert!((0..=6).contains(&ran.code), "{what}: exit code {}\n{}", ran.code, ran.stderr);
            if ran.code != 0 {
                failed.fetch_add(1, Ordering::SeqCst);
                let all = format!("{}{}", ran.stdout, ran.stderr);
                let words = ["os error", "disk is full", "disk I/O error"];
                assert!(words.iter().any(|word| all.contains(word)), "{what}: no reason in {all}");
            }
            equal(project, mode, rows, &what);
            if mode == "insert" {
                assert_eq!(count(project, "writes"), rows, "{what}: something was written twice");
            }
        });
        let failed = failed.into_inner();
        assert!(failed * 2 >= points.len(), "{mode}: only {failed} of {} points mattered", points.len());
    }
}

#[test]
fn a_plan_file_killed_at_any_system_call_can_still_be_applied() {
    if !tool("strace") {
        return;
    }
    let (project, rows) = prepared("insert");
    project.run(&["plan", "--out", "p.slplan"]).code(0);
    let apply = &["apply", "p.slplan"];
    let calls = ["fsync", "fdatasync", "rename", "pwrite64"];
    let points = spread(points(&project, apply, &calls), 14);
    at_each(&project, apply, &points, "signal=SIGKILL", |project, _, point| {
        let again = project.run(apply);
        // All was done and noted before it died: then the plan is used up.
        let over = again.code == 5 && again.stderr.contains("already applied");
        assert!(again.code == 0 || over, "{point}: exit code {}\n{}", again.code, again.stderr);
        assert_eq!(count(project, "writes"), rows, "{point}: not everything, or something twice");
        project.run(apply).code(5);
        equal(project, "insert", rows, point);
    });
}
