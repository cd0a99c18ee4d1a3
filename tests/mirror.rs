//! Mirror where rows are matched by something else than their key: what a row was matched by before goes, what another
//! row uses stays, and nothing is forgotten on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use proptest::prelude::*;

use crate::project::{Project, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n";

/// People as `id email name`, one a line.
fn csv(people: &str) -> String {
    let line = |line: &str| line.split_whitespace().chain(["free", "1"]).collect::<Vec<_>>().join(",") + "\n";
    "id,email,name,plan,seats\n".to_owned()
        + &people.lines().filter(|l| !l.trim().is_empty()).map(line).collect::<String>()
}

fn project(mode: &str, people: &str) -> Project {
    let project = Project::people(mode, FIELDS);
    project.write("data/people.csv", &csv(people));
    // Somebody else's: nothing of ours may touch it.
    project.sql("out/crm.db", "create table people (email text primary key, name text check (name <> 'refused'))");
    project.sql("out/crm.db", "insert into people values ('other@x', 'Other')");
    project
}

fn there(project: &Project) -> Vec<String> {
    project.rows("out/crm.db", "select email || ' ' || name from people where email <> 'other@x' order by email")
}

#[track_caller]
fn at_rest(project: &Project, what: &str) {
    let plan = project.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{what}: the next plan is not empty\n{}\n{}", plan.stdout, plan.stderr);
    assert_eq!(project.rows("out/crm.db", "select name from people where email = 'other@x'"), ["Other"], "{what}");
}

/// What happens, people before, people after, operations (send, delete, none), records at the destination, warnings.
type Case = (&'static str, &'static str, &'static str, [u64; 3], &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "one row is matched by another address",
        "1 a@x Ann\n2 b@x Ben",
        "1 z@x Ann\n2 b@x Ben",
        [1, 1, 0],
        &["b@x Ben", "z@x Ann"],
        &[],
    ),
    (
        "two rows swap theirs",
        "1 a@x Ann\n2 b@x Ben",
        "1 b@x Ann\n2 a@x Ben",
        [2, 0, 2],
        &["a@x Ben", "b@x Ann"],
        &["identifier_in_use"],
    ),
    (
        "each takes that of the next",
        "1 a@x Ann\n2 b@x Ben\n3 c@x Cid",
        "1 b@x Ann\n2 c@x Ben\n3 d@x Cid",
        [3, 1, 2],
        &["b@x Ann", "c@x Ben", "d@x Cid"],
        &["identifier_in_use"],
    ),
    (
        "a row leaves and a new one has its address",
        "1 a@x Ann\n2 b@x Ben",
        "2 b@x Ben\n3 a@x Ada",
        [1, 0, 1],
        &["a@x Ada", "b@x Ben"],
        &["identifier_in_use"],
    ),
    (
        "a row changes and a new one has its old address",
        "1 a@x Ann",
        "1 b@x Ann\n2 a@x Ada",
        [2, 0, 1],
        &["a@x Ada", "b@x Ann"],
        &["identifier_in_use"],
    ),
    (
        "a row comes to share the record of another",
        "1 a@x Ann\n2 b@x Ben",
        "1 b@x Ann\n2 b@x Ben",
        [1, 1, 0],
        &["b@x Ann"],
        &["duplicate_match"],
    ),
    (
        "both change from one shared address",
        "1 a@x Ann\n2 a@x Ben",
        "1 b@x Ann\n2 c@x Ben",
        [2, 1, 0],
        &["b@x Ann", "c@x Ben"],
        &[],
    ),
    ("a row leaves", "1 a@x Ann\n2 b@x Ben", "2 b@x Ben", [0, 1, 0], &["b@x Ben"], &[]),
    ("only a field changes", "1 a@x Ann", "1 a@x Anna", [1, 0, 0], &["a@x Anna"], &[]),
];

#[test]
fn every_record_is_that_of_a_row() {
    for (what, before, after, operations, records, warnings) in CASES {
        let project = project("mirror", before);
        project.apply(&[]).code(0);
        project.write("data/people.csv", &csv(after));
        let plan = project.plan(&[]);
        let found = ["send", "delete", "none"].map(|name| number(&plan, &format!("/syncs/0/operations/{name}")));
        assert_eq!(found, *operations, "{what}: {plan:#}");
        let codes: BTreeSet<&str> =
            plan["warnings"].as_array().into_iter().flatten().filter_map(|w| w["code"].as_str()).collect();
        assert_eq!(codes, warnings.iter().copied().collect(), "{what}: {:#}", plan["warnings"]);
        let run = project.apply(&["--format", "json"]).code(0).json();
        let sync = &run["syncs"][0];
        assert_eq!((&run["status"], &sync["planned"]), (&"succeeded".into(), &sync["succeeded"]), "{what}: {run:#}");
        assert_eq!(number(&run, "/syncs/0/planned/changed"), number(&plan, "/syncs/0/counts/changed"), "{what}");
        assert_eq!(there(&project), *records, "{what}");
        at_rest(&project, what);
    }
}

#[test]
fn upsert_leaves_the_old_record_and_says_so() {
    let project = project("upsert", "1 a@x Ann");
    project.apply(&[]).code(0);
    project.write("data/people.csv", &csv("1 b@x Ann"));
    let plan = project.plan(&[]);
    assert_eq!(plan["warnings"][0]["code"], "identifier_changed");
    project.apply(&[]).code(0);
    assert_eq!(there(&project), ["a@x Ann", "b@x Ann"]);
}

#[test]
fn rows_that_share_a_record_are_named_in_the_first_plan() {
    let project = project("upsert", "1 a@x Ann\n2 a@x Ben\n3 c@x Cid");
    project.edit("models/people.yaml", "primary_key: [id]", "primary_key: [id]\ncolumns: { id: { sensitive: false } }");
    let plan = project.plan(&[]);
    let message = plan["warnings"][0]["message"].as_str().unwrap_or_default();
    assert_eq!(plan["warnings"][0]["code"], "duplicate_match");
    assert!(message.contains("2 rows") && message.contains("1, 2;"), "{message}");
}

#[test]
fn keys_in_warnings_are_masked_unless_values_are_asked_for() {
    let project = project("upsert", "1 a@x Ann\n2 a@x Ben\n3 c@x Cid");
    for (arguments, keys) in [
        (&["plan", "--format", "json", "--show-values"][..], "e.g. 1, 2;"),
        (&["plan", "--format", "json", "--out", "plan.bin"], "e.g. ‹number›, ‹number›;"),
        (&["show", "plan.bin", "--format", "json"], "e.g. ‹number›, ‹number›;"),
        (&["show", "plan.bin", "--format", "json", "--show-values"], "e.g. 1, 2;"),
        (&["plan"], "e.g. ‹number›, ‹number›;"),
        (&["plan", "--show-values"], "e.g. 1, 2;"),
        (&["plan", "--format", "markdown"], "e.g. ‹number›, ‹number›;"),
        (&["plan", "--format", "markdown", "--show-values"], "e.g. 1, 2;"),
    ] {
        let shown = project.run(arguments).code(0).stdout;
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(keys), "{arguments:?}: {shown}");
    }
}

/// Without the new record, the old one is all there is of the person.
#[test]
fn a_row_that_is_refused_under_its_new_address_keeps_its_old_record() {
    let project = project("mirror", "1 a@x Ann\n2 b@x Ben");
    project.apply(&[]).code(0);
    project.write("data/people.csv", &csv("1 z@x refused\n2 y@x Ben"));
    let run = project.apply(&["--format", "json"]).code(4).json();
    assert_eq!((number(&run, "/syncs/0/rejected"), number(&run, "/syncs/0/succeeded/changed")), (1, 1), "{run:#}");
    assert_eq!(number(&run, "/syncs/0/pending"), 0);
    assert_eq!(there(&project), ["a@x Ann", "y@x Ben"]);
    at_rest(&project, "held");
    project.write("data/people.csv", &csv("1 z@x Ann\n2 y@x Ben"));
    project.apply(&[]).code(0);
    assert_eq!(there(&project), ["y@x Ben", "z@x Ann"]);
    at_rest(&project, "mended");
}

/// What cannot be removed is remembered, is removed with --retry, and does not make every plan a new one.
#[test]
fn an_old_record_that_cannot_be_removed_is_remembered() {
    let project = project("mirror", "1 a@x Ann\n2 b@x Ben");
    project.apply(&[]).code(0);
    let trigger = "create trigger keep before delete on people when old.email = 'a@x' begin \
                   select raise(abort, 'not this one'); end";
    project.sql("out/crm.db", trigger);
    project.write("data/people.csv", &csv("1 c@x Ann\n2 d@x Ben"));
    let run = project.apply(&["--format", "json"]).code(4).json();
    assert_eq!((number(&run, "/syncs/0/rejected"), number(&run, "/syncs/0/succeeded/changed")), (1, 1), "{run:#}");
    assert_eq!(there(&project), ["a@x Ann", "c@x Ann", "d@x Ben"]);
    at_rest(&project, "refused");
    project.sql("out/crm.db", "drop trigger keep");
    at_rest(&project, "refused is final");
    // It changes again: the record of two changes ago is still known.
    project.write("data/people.csv", &csv("1 e@x Ann\n2 d@x Ben"));
    let run = project.apply(&["--retry", "--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/succeeded/removed"), 1, "{run:#}");
    assert_eq!(there(&project), ["d@x Ben", "e@x Ann"]);
    at_rest(&project, "retried");
}

#[test]
fn fingerprints_do_not_say_what_a_row_was_matched_by_and_the_plan_says_so() {
    let project = project("mirror", "1 a@x Ann\n2 b@x Ben");
    project.write("syncline.yaml", "name: test\nstate: { type: local, values: fingerprint }\n");
    project.apply(&[]).code(0);
    project.write("data/people.csv", &csv("1 z@x Ann\n2 b@x Ben"));
    let plan = project.plan(&[]);
    let codes: Vec<_> = plan["warnings"].as_array().into_iter().flatten().map(|w| w["code"].clone()).collect();
    assert!(codes.contains(&"nameless_former".into()), "{codes:?}");
    project.apply(&[]).code(0);
    assert_eq!(there(&project), ["a@x Ann", "b@x Ben", "z@x Ann"]);
    at_rest(&project, "fingerprints");
}

/// A row that left is named by what the sync matches by today, as far as it was sent with it.
#[test]
fn a_sync_that_matches_by_something_else_now_removes_the_right_records() {
    let project = project("mirror", "1 a@x Ann\n2 b@x Ben\n3 c@x Cid");
    project.sql("out/crm.db", "alter table people add column number integer; update people set number = 2");
    project.edit("syncs/people.yaml", "  name: name\n", "  name: name\n  number: id\n");
    project.apply(&[]).code(0);
    // Somebody else's record has the number that row 2 has as its place in the old list of identifiers.
    project.sql("out/crm.db", "update people set number = 77 where email = 'other@x'");
    project.edit("syncs/people.yaml", "match: { email: email }", "match: { number: id }");
    project.edit("syncs/people.yaml", "  number: id\n", "  email: email\n");
    project.write("data/people.csv", &csv("1 a@x Ann\n3 d@x Cid"));
    let plan = project.plan(&[]);
    let found = ["send", "delete"].map(|name| number(&plan, &format!("/syncs/0/operations/{name}")));
    assert_eq!(found, [1, 1], "{plan:#}");
    project.apply(&[]).code(0);
    assert_eq!(there(&project), ["a@x Ann", "d@x Cid"]);
    at_rest(&project, "renamed");
}

#[test]
fn held_rows_that_leave_the_model_are_forgotten() {
    let project = project("mirror", "1 a@x Ann\n2 b@x refused");
    project.apply(&[]).code(4);
    let held = |what: &str| {
        let shown = project.run(&["state", "show", "people", "--format", "json"]).code(0).json();
        assert!(shown["held"].is_u64(), "{what}: {shown:#}");
        number(&shown, "/held")
    };
    assert_eq!(held("refused"), 1);
    project.write("data/people.csv", &csv("1 a@x Ann\n2 b@x refused\n3 c@x Cid"));
    project.apply(&[]).code(0);
    assert_eq!(held("still there"), 1);
    project.write("data/people.csv", &csv("1 a@x Ann\n3 c@x Cid"));
    at_rest(&project, "nothing to do");
    project.apply(&[]).code(0);
    assert_eq!(held("gone"), 0);
    at_rest(&project, "forgotten");
}

#[test]
fn the_newest_runs_are_kept_and_what_a_kill_left_is_swept() {
    let project = Project::people("upsert", FIELDS);
    project.write("syncline.yaml", "name: test\nstate: { type: local, keep_runs: 3 }\n");
    let folders = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(project.path(".syncline/default/runs")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    };
    project.write("data/people.csv", &people_csv(3));
    project.apply(&[]).code(0);
    // As a kill leaves them: without a record, and with one that nobody ended.
    let orphans = ["0198aaaa-0000-7000-8000-000000000001", "0198aaaa-0000-7000-8000-000000000002"];
    let record = r#"{"format_version":"1.0","run_id":"0198aaaa-0000-7000-8000-000000000002","plan_id":"p","environment":"",
                     "status":"running","started_at":"2026-01-01T00:00:00Z","finished_at":null,"syncs":[]}"#;
    project.write(&format!(".syncline/default/runs/{}/plan/plan.json", orphans[0]), "{}");
    project.write(&format!(".syncline/default/runs/{}/run.json", orphans[1]), record);
    project.write(".syncline/default/runs/README", "not ours");
    for rows in 4..9 {
        project.write("data/people.csv", &people_csv(rows));
        project.apply(&[]).code(0);
        assert!(!orphans.iter().any(|orphan| folders().contains(*orphan)), "{rows}: {:?}", folders());
    }
    assert_eq!(folders().len(), 4, "three runs and a file: {:?}", folders());
    let runs = project.run(&["runs", "list"]).code(0).stdout;
    assert_eq!(runs.lines().count(), 3, "{runs}");
    let snapshots = std::fs::read_dir(project.path(".syncline/default/snapshots")).expect("a folder").count();
    assert!(snapshots <= 2, "{snapshots} snapshots for one sync");
}

/// An edit: of which row, to which address, whether it leaves, whether its name changes.
#[derive(Debug, Clone)]
struct Round {
    edits: Vec<(u8, u8, bool, bool)>,
    kill: Option<u64>,
}

fn round() -> impl Strategy<Value = Round> {
    let edit = (0..5u8, 0..7u8, prop::bool::weighted(0.2), any::<bool>());
    (prop::collection::vec(edit, 1..4), prop::option::weighted(0.7, 15..120u64))
        .prop_map(|(edits, kill)| Round { edits, kill })
}

fn written(people: &BTreeMap<u8, (u8, u32)>) -> String {
    csv(&people.iter().map(|(id, (email, name))| format!("{id} e{email}@x N{name}\n")).collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Rows change their addresses, swap and share them, come and go; applies are killed. In the end the destination has
    /// the records of the model and no other, and with the values of the model unless rows shared one.
    #[test]
    fn whatever_happens_the_destination_comes_to_equal_the_model(rounds in prop::collection::vec(round(), 2..6)) {
        let project = project("mirror", "");
        project.write("syncline.yaml", "name: test\nguards: { min_rows: 0 }\n");
        let mut people: BTreeMap<u8, (u8, u32)> = BTreeMap::new();
        let (mut version, mut shared) = (0, false);
        for round in &rounds {
            for (id, email, leaves, renamed) in &round.edits {
                if *leaves {
                    people.remove(id);
                    continue;
                }
                version += 1;
                let name = people.get(id).map(|(_, name)| *name).filter(|_| !renamed).unwrap_or(version);
                people.insert(*id, (*email, name));
            }
            shared |= people.values().map(|(email, _)| email).collect::<BTreeSet<_>>().len() < people.len();
            project.write("data/people.csv", &written(&people));
            let mut command = project.command(&["apply", "--auto-approve"]);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
            if let Some(after) = round.kill {
                std::thread::sleep(Duration::from_millis(after));
                child.kill().expect("a kill");
            }
            child.wait().expect("an end");
        }
        let ran = project.apply(&[]);
        prop_assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        let emails = |rows: Vec<String>| -> BTreeSet<String> {
            rows.iter().filter_map(|row| Some(row.split_once(' ')?.0.to_owned())).collect()
        };
        let model: Vec<String> = people.values().map(|(email, name)| format!("e{email}@x N{name}")).collect();
        prop_assert_eq!(emails(there(&project)), emails(model.clone()));
        if !shared {
            prop_assert_eq!(there(&project).into_iter().collect::<BTreeSet<_>>(), model.into_iter().collect());
        }
        at_rest(&project, "at the end");
    }
}
