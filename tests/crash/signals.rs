//! SIGINT and SIGTERM: what is on its way lands, what was done is kept, and the next apply goes on from there.

use std::process::Command;
use std::time::{Duration, Instant};

use super::{check, contents, count, last_run, project, slow_project, start, summary, until};
use crate::project::number;

const ROWS: usize = 500;

#[test]
fn a_signal_ends_a_slow_delivery_soon_and_what_was_done_is_kept() {
    for (mode, signal, with_plan) in [("insert", "TERM", false), ("upsert", "INT", true), ("mirror", "TERM", true)] {
        let what = format!("{mode}, SIG{signal}");
        let project = slow_project(mode, ROWS);
        let apply: &[&str] = if with_plan { &["apply", "p.slplan"] } else { &["apply", "--auto-approve"] };
        if with_plan {
            project.run(&["plan", "--out", "p.slplan"]).code(0);
        }
        let child = start(&project, apply);
        until("rows arrive", || count(&project, "people") >= 20);
        let since = Instant::now();
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let output = child.wait_with_output().expect("an end");
        let (took, stderr) = (since.elapsed(), String::from_utf8_lossy(&output.stderr));
        assert!(took < Duration::from_secs(5), "{what}: it took {took:?} to end");
        assert_eq!(output.status.code(), Some(1), "{what}: {stderr}");
        assert!(stderr.contains("stopping"), "{what}: {stderr}");
        assert!(!project.path(".syncline/default/lock.json").exists(), "{what}: a lock stayed behind");

        let there = count(&project, "people");
        assert!(there < ROWS, "{what}: it was done before the signal came");
        let (run, [planned, succeeded, pending, in_doubt]) = last_run(&project);
        assert_eq!(run["status"], "partial", "{what}");
        assert!(run["error"].as_str().is_some_and(|e| e.contains("signal")), "{what}: {run:#}");
        assert_eq!((planned, succeeded, in_doubt), (ROWS as u64, there as u64, 0), "{what}");
        assert_eq!(pending, (ROWS - there) as u64, "{what}");

        project.run(apply).code(0);
        assert_eq!(contents(&project), [summary(ROWS)], "{what}");
        assert_eq!(count(&project, "writes"), ROWS, "{what}: something was written twice");
        if with_plan {
            project.run(apply).code(5);
        }
        check(&project, ROWS, &what);
    }
}

#[test]
fn of_rows_that_were_to_be_sent_once_more_nobody_says_that_the_next_apply_sends_them() {
    let project = slow_project("upsert", 300);
    project.apply(&[]).code(0);
    // What is there already is not written again.
    project.sql(
        "out/crm.db",
        "update people set plan = 'other';
         create trigger slow_u after update on people begin select count(*) from steps a, steps b; end;",
    );
    let child = start(&project, &["apply", "--auto-approve", "--full-refresh"]);
    until("rows are written again", || count(&project, "writes") >= 620);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let output = child.wait_with_output().expect("an end");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let (run, [.., pending, _]) = last_run(&project);
    assert!(pending > 0, "it was done before the signal came");
    assert_eq!(number(&run, "/syncs/0/pending_on_request/full_refresh"), pending, "{run:#}");
    let flat = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&format!("{pending} rows were not sent, and no later plan has them by itself")), "{stdout}");
    assert!(flat.contains("give `--full-refresh` again") && !flat.contains("goes on"), "{stdout}");
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    let again = project.apply(&["--full-refresh"]).code(0).stdout;
    assert!(again.contains("300 succeeded"), "{again}");
}

#[test]
fn a_signal_also_ends_an_apply_that_waits_for_a_locked_database() {
    let project = project("upsert", 50, 10);
    let other = rusqlite::Connection::open(project.path("out/crm.db")).expect("a database");
    other.execute_batch("begin immediate").expect("a transaction");
    let child = start(&project, &["apply", "--auto-approve"]);
    until("something is about to be sent", || super::open_runs(&project) > 0);
    std::thread::sleep(Duration::from_millis(300));
    let since = Instant::now();
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
    let output = child.wait_with_output().expect("an end");
    assert!(since.elapsed() < Duration::from_secs(5), "it took {:?} to end", since.elapsed());
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(count(&project, "people"), 0);
    drop(other);
    check(&project, 50, "the database is free again");
    assert_eq!(count(&project, "writes"), 50);
}

#[test]
fn a_signal_while_planning_gives_the_lock_back_and_leaves_nothing() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let project = project("upsert", 5, 10);
        // A query that would take hours.
        let slow = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 100000000000) \
                    select id, email, name, plan, seats from people where (select count(*) from c) > 0";
        project.edit("models/people.yaml", "select id, email, name, plan, seats from people", &format!("\"{slow}\""));
        let child = start(&project, &["apply", "--auto-approve"]);
        until("it plans", || {
            std::fs::read_dir(project.path(".syncline")).is_ok_and(|entries| {
                entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("plan-"))
            })
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(project.path(".syncline/default/lock.json").exists(), "it holds the lock while it plans");
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!project.path(".syncline/default/lock.json").exists(), "SIG{signal}: a lock stayed behind");
        let left = std::fs::read_dir(project.path(".syncline")).expect("a folder").flatten();
        let left: Vec<_> = left.filter(|e| e.file_name().to_string_lossy().starts_with("plan-")).collect();
        assert!(left.is_empty(), "SIG{signal}: {left:?}");
        project.edit("models/people.yaml", slow, "select id, email, name, plan, seats from people");
        check(&project, 5, signal);
    }
}
