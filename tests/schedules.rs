//! Schedules through the real binary: what is due runs once, what follows it follows, and nothing else is touched.

use serde_json::Value;

use crate::project::{Project, people_csv};

/// Three syncs of the same people to tables of their own: `first` every day, `second` after it, `third` after that.
/// `extra` is put into `second`.
fn chain(extra: &str) -> Project {
    let project = Project::people("upsert", "fields: { name: name }\n");
    std::fs::remove_file(project.path("syncs/people.yaml")).expect("the sync of the template");
    project.write("data/people.csv", &people_csv(3));
    let after = format!("after: [first]{extra}");
    for (name, schedule) in [("first", "every: 24h"), ("second", after.as_str()), ("third", "after: [second]")] {
        project.write(
            &format!("syncs/{name}.yaml"),
            &format!(
                "name: {name}\nmodel: people\ndestination: crm\nobject: {name}\nmode: upsert\nmatch: {{ email: email }}\n\
                 options: {{ create: true }}\nfields: {{ name: name }}\nschedule: {{ {schedule} }}\n"
            ),
        );
    }
    project
}

/// What a call at this time runs, as `sync status`.
fn due(project: &Project, now: &str, code: i32) -> Vec<String> {
    let run = project.apply(&["--due", "--now", now, "--format", "json"]).code(code).json();
    let syncs = run["syncs"].as_array().into_iter().flatten();
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    syncs.map(|sync| format!("{} {}", word(&sync["sync"]), word(&sync["status"]))).collect()
}

#[test]
fn what_is_due_runs_once_and_what_follows_it_follows() {
    let project = chain("");
    let all = ["first succeeded", "second succeeded", "third succeeded"];
    // When, and what runs then. A job that calls every five minutes does all of this.
    let calls: &[(&str, &[&str])] = &[
        ("2026-03-10T06:00:00Z", &all),
        ("2026-03-10T06:05:00Z", &[]),
        ("2026-03-11T05:59:59Z", &[]),
        ("2026-03-11T06:00:00Z", &all),
        // Nobody called for days: once, and then a day later.
        ("2026-03-15T12:00:00Z", &all),
        ("2026-03-15T12:05:00Z", &[]),
        ("2026-03-16T06:00:00Z", &[]),
        ("2026-03-16T12:00:00Z", &all),
    ];
    for (now, expected) in calls {
        assert_eq!(due(&project, now, 0), *expected, "{now}");
    }
    assert_eq!(project.rows("out/crm.db", "select count(*) from third"), ["3"]);
}

#[test]
fn nothing_due_is_one_line_that_says_what_is_next() {
    let project = chain("");
    due(&project, "2026-03-10T06:00:00Z", 0);
    let ran = project.run(&["apply", "--due", "--now", "2026-03-10T09:00:00Z"]).code(0);
    assert_eq!(ran.stdout, "Nothing is due. Next: `first` on Wed 11 Mar 2026, 06:00 UTC (in 21 h).\n");
    assert_eq!(ran.stderr, "");
    let ran = project.run(&["plan", "--select", "due", "--now", "2026-03-10T09:00:00Z"]).code(0);
    assert_eq!(ran.stderr, "Nothing is due. Next: `first` on Wed 11 Mar 2026, 06:00 UTC (in 21 h).\n");
    let planned = project.plan(&["--select", "due", "--now", "2026-03-11T06:00:00Z"]);
    assert_eq!(planned["syncs"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_run_by_hand_counts_and_a_part_of_one_does_not() {
    let project = chain("");
    let apply = |arguments: &[&str]| project.apply(arguments).code(0);
    apply(&["--select", "first", "--limit", "1", "--now", "2026-03-10T06:00:00Z"]);
    let line = project.run(&["plan", "--now", "2026-03-10T06:01:00Z"]).stdout;
    assert!(line.contains("first   every 24 hours; due now: it has not run yet"), "{line}");
    apply(&["--select", "first", "--now", "2026-03-10T07:00:00Z"]);
    // The second has not run since, so it is due, and the third follows.
    assert_eq!(due(&project, "2026-03-10T07:05:00Z", 0), ["second succeeded", "third succeeded"]);
    assert_eq!(due(&project, "2026-03-11T06:59:00Z", 0), [""; 0]);
    assert_eq!(due(&project, "2026-03-11T07:00:00Z", 0).len(), 3);
    // A reviewed plan file counts, too.
    project.run(&["plan", "--select", "first", "--out", "p.slplan", "--now", "2026-03-12T01:00:00Z"]).code(0);
    project.run(&["apply", "p.slplan", "--now", "2026-03-12T02:00:00Z"]).code(0);
    assert_eq!(due(&project, "2026-03-12T07:00:00Z", 0), ["second succeeded", "third succeeded"]);
}

#[test]
fn only_what_is_selected_of_what_is_due_runs() {
    let project = chain("");
    let run = |selectors: &str, now: &str| {
        let ran = project.apply(&["--select", selectors, "--due", "--now", now, "--format", "json"]).code(0).json();
        ran["syncs"].as_array().expect("syncs").len()
    };
    assert_eq!(run("second", "2026-03-10T06:00:00Z"), 0, "it waits for one that is not selected");
    assert_eq!(run("first,second", "2026-03-10T06:00:00Z"), 2);
    assert_eq!(run("!first", "2026-03-10T06:05:00Z"), 1, "the third follows the second");
    assert_eq!(run("due,!third", "2026-03-11T06:00:00Z"), 2);
}

/// What `first` is at the destination before anything runs: a view takes no records, and the table not all of them.
const NO_TABLE: &str = "create view first as select 'somebody' as email";
const PARTICULAR: &str = "create table first (email text primary key, name text check (name <> 'Person 2'))";

fn prepared(extra: &str, first: &str) -> Project {
    let project = chain(extra);
    project.sql("out/crm.db", first);
    project
}

#[test]
fn a_failed_upstream_stops_what_follows_and_the_report_says_so() {
    let project = prepared("", NO_TABLE);
    let ran = project.apply(&["--due", "--now", "2026-03-10T06:00:00Z", "--format", "json"]).code(1);
    let run = ran.json();
    let error = |at: usize| {
        run["syncs"]
            .as_array()
            .expect("syncs")
            .iter()
            .map(|s| s["error"].as_str().unwrap_or(""))
            .nth(at)
            .unwrap_or("")
            .to_owned()
    };
    assert_eq!(due_names(&run), ["first", "second", "third"]);
    assert_eq!(error(1), "not run: `first` before it failed (`on_upstream_failure: stop`, syncs/second.yaml:9:11)");
    assert_eq!(
        error(2),
        "not run: `second` before it was not run (`on_upstream_failure: stop`, syncs/third.yaml:9:11)"
    );
    assert!(project.rows("out/crm.db", "select name from sqlite_master where name in ('second', 'third')").is_empty());
    // The failed one has begun, and what follows it waits for it.
    let line = project.run(&["apply", "--due", "--now", "2026-03-10T06:05:00Z"]).code(0).stdout;
    assert_eq!(
        line,
        "Nothing is due. Next: `first` on Wed 11 Mar 2026, 06:00 UTC (in 23 h 55 min). Held up: `second`, as the last run \
         of `first` failed.\n"
    );
    // Mended and run by hand: the rest follows.
    project.sql("out/crm.db", "drop view first");
    project.apply(&["--select", "first", "--now", "2026-03-10T07:00:00Z"]).code(0);
    assert_eq!(due(&project, "2026-03-10T07:05:00Z", 0), ["second succeeded", "third succeeded"]);
}

fn due_names(run: &Value) -> Vec<&str> {
    run["syncs"].as_array().into_iter().flatten().filter_map(|sync| sync["sync"].as_str()).collect()
}

#[test]
fn rejected_records_stop_what_follows_only_where_it_says_so() {
    let cases: [(&str, &str, &[&str]); 3] = [
        ("", PARTICULAR, &["second succeeded", "third succeeded"]),
        (", on_upstream_failure: stop_on_rejects", PARTICULAR, &["second failed", "third failed"]),
        (", on_upstream_failure: continue", NO_TABLE, &["second succeeded", "third succeeded"]),
    ];
    for (extra, first, expected) in cases {
        let project = prepared(extra, first);
        let run = project.apply(&["--due", "--now", "2026-03-10T06:00:00Z", "--format", "json"]).json();
        let found: Vec<String> = run["syncs"]
            .as_array()
            .expect("syncs")
            .iter()
            .filter(|s| s["sync"] != "first")
            .map(|s| format!("{} {}", s["sync"].as_str().unwrap_or(""), s["status"].as_str().unwrap_or("")))
            .collect();
        assert_eq!(found, expected, "`{extra}`: {run:#}");
    }
}

#[test]
fn a_sync_that_a_guard_refuses_is_left_out_and_stays_due() {
    let project = chain("");
    project.write(
        "syncs/other.yaml",
        &project
            .read("syncs/first.yaml")
            .replace("first", "other")
            .replace("schedule:", "guards: { min_rows: 5 }\nschedule:"),
    );
    let ran = project.apply(&["--due", "--now", "2026-03-10T06:00:00Z", "--format", "json"]).code(3);
    let run = ran.json();
    let refused =
        run["syncs"].as_array().expect("syncs").iter().find(|s| s["sync"] == "other").expect("the refused one").clone();
    assert_eq!(refused["status"], "refused", "{run:#}");
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("min_rows")), "{run:#}");
    assert_eq!(project.rows("out/crm.db", "select count(*) from third"), ["3"]);
    // Alone in the plan, it is the whole plan that is refused.
    project.apply(&["--due", "--now", "2026-03-10T06:05:00Z"]).code(3);
    project.write("data/people.csv", &people_csv(5));
    assert_eq!(due(&project, "2026-03-10T06:10:00Z", 0), ["other succeeded"]);
}

#[test]
fn a_source_that_cannot_be_read_stays_due() {
    let project = chain("");
    std::fs::rename(project.path("data/people.csv"), project.path("away.csv")).expect("moved");
    project.apply(&["--due", "--now", "2026-03-10T06:00:00Z"]).code(1);
    std::fs::rename(project.path("away.csv"), project.path("data/people.csv")).expect("moved back");
    assert_eq!(due(&project, "2026-03-10T06:05:00Z", 0).len(), 3);
}

#[test]
fn a_locked_state_is_exit_code_6_also_for_what_is_due() {
    let project = chain("");
    project.run(&["plan"]).code(0);
    let holder = serde_json::json!({ "token": 5, "pid": 1, "host": "far-away", "operation": "apply",
        "started": "2026-01-01T00:00:00Z", "expires": "2999-01-01T00:00:00Z" });
    project.write(".syncline/default/lock.json", &holder.to_string());
    project.apply(&["--due"]).code(6);
}

#[test]
fn the_same_moment_gives_the_same_words() {
    let project = chain("");
    let plan = || project.plan(&["--now", "2026-03-10T06:00:00Z"])["syncs"].clone();
    assert_eq!(plan(), plan());
    let schedule = &plan()[0]["schedule"];
    assert_eq!(schedule["due"], true);
    assert_eq!(schedule["next"], "2026-03-11T06:00:00Z");
    assert_eq!(schedule["text"], "every 24 hours; due now: it has not run yet");
    assert_eq!(plan()[1]["schedule"]["text"], "after `first`; due now, once `first` has run");
}
