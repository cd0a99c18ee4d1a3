//! Applying: plan files, modes, rejected and missing records, what the next plan says.

use std::io::{Read, Write};

use crate::project::{Project, number, people_csv};

const FIELDS: &str = "fields:\n  name: name\n  plan: plan\n  seats: seats\n";

#[test]
fn a_plan_file_is_applied_exactly_once_and_only_while_it_fits() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(20));
    project.run(&["plan", "--out", "first.slplan"]).code(0);
    // The data moves on; the plan does not.
    project.write("data/people.csv", &people_csv(30));
    project.run(&["apply", "first.slplan"]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["20"]);
    let again = project.run(&["apply", "first.slplan"]).code(5);
    assert!(again.stderr.contains("already"), "{}", again.stderr);

    project.run(&["plan", "--out", "second.slplan"]).code(0);
    project.run(&["plan", "--out", "third.slplan"]).code(0);
    project.run(&["apply", "second.slplan"]).code(0);
    let stale = project.run(&["apply", "third.slplan"]).code(5);
    assert!(stale.stderr.contains("state"), "{}", stale.stderr);

    project.write("data/people.csv", &people_csv(31));
    project.run(&["plan", "--out", "fourth.slplan"]).code(0);
    project.edit("syncs/people.yaml", "  seats: seats\n", "");
    let stale = project.run(&["apply", "fourth.slplan"]).code(5);
    assert!(stale.stderr.contains("configuration"), "{}", stale.stderr);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["30"]);
}

/// A plan file with one of its files changed. `None` as the change leaves it out.
fn forged(project: &Project, file: &str, change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(project.path("p.slplan")).unwrap()).unwrap();
    let mut forged = zip::ZipWriter::new(std::fs::File::create(project.path(file)).unwrap());
    let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        if let Some(bytes) = change(&name, bytes) {
            forged.start_file(name, plain).unwrap();
            forged.write_all(&bytes).unwrap();
        }
    }
    forged.finish().unwrap();
}

#[test]
fn a_plan_file_that_was_changed_is_not_applied() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(20));
    project.run(&["plan", "--out", "p.slplan"]).code(0);
    let replaced = |bytes: Vec<u8>, from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let found = bytes.windows(from.len()).position(|part| part == from.as_bytes()).expect("the text is there");
        [&bytes[..found], to.as_bytes(), &bytes[found + from.len()..]].concat()
    };
    type Change<'a> = (&'a str, &'a str, &'a dyn Fn(Vec<u8>) -> Option<Vec<u8>>);
    let changes: [Change<'_>; 5] = [
        ("what is sent", "operations/people/0000.parquet", &|b| Some(replaced(b, "@example.com", "@elsewhere.x"))),
        ("what was reviewed", "plan.json", &|b| Some(replaced(b, "\"added\": 20", "\"added\":  2"))),
        ("how a record is made", "bound.json", &|b| Some(replaced(b, "\"column\": \"plan\"", "\"column\": \"name\""))),
        ("what is counted", "queried/people.keys", &|_| None),
        ("the seal itself", "seal", &|_| None),
    ];
    for (what, name, change) in changes {
        forged(&project, "forged.slplan", |file, bytes| if file == name { change(bytes) } else { Some(bytes) });
        let refused = project.run(&["apply", "forged.slplan"]).code(5);
        assert!(refused.stderr.contains("its content was changed after it was made"), "{what}: {}", refused.stderr);
        assert!(!project.path("out/crm.db").exists(), "{what}");
    }
    forged(&project, "copy.slplan", |_, bytes| Some(bytes));
    project.run(&["apply", "copy.slplan"]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["20"], "written anew, the content the same");
}

#[test]
fn show_gives_every_face_of_a_plan_file() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(20));
    project.run(&["plan", "--out", "p.slplan"]).code(0);
    let planned = project.run(&["show", "p.slplan", "--format", "json", "--show-values"]).code(0).json();
    assert_eq!(number(&planned, "/totals/added"), 20);
    for (format, part) in [("text", "20"), ("markdown", "<!-- syncline:plan:"), ("html", "<!doctype html>")] {
        let shown = project.run(&["show", "p.slplan", "--format", format]).code(0).stdout;
        assert!(shown.to_lowercase().contains(part), "{format}: {shown}");
        assert!(!shown.contains("p10@example.com"), "{format} shows a personal value that was not asked for");
    }
    let run = "run.json";
    project.run(&["apply", "p.slplan", "--report", run]).code(0);
    for file in ["p.slplan", run] {
        let whole = project.run(&["show", file]).code(0).stdout;
        assert_eq!(project.run(&["show", file, "--sync", "people"]).code(0).stdout, whole);
        let unknown = project.run(&["show", file, "--sync", "poeple"]).code(1).stderr;
        assert!(unknown.contains("has no sync `poeple`") && unknown.contains("did you mean `people`?"), "{unknown}");
    }
    let cut = std::fs::read(project.path("p.slplan")).unwrap();
    std::fs::write(project.path("cut.slplan"), &cut[..cut.len() / 2]).unwrap();
    assert!(project.run(&["apply", "cut.slplan"]).code(1).stderr.contains("cut.slplan"));
}

#[test]
fn without_a_terminal_apply_needs_auto_approve() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(3));
    let ran = project.run(&["apply"]).code(1);
    assert!(ran.stderr.contains("--auto-approve"), "{}", ran.stderr);
    assert!(!project.path("out/crm.db").exists());
}

#[test]
fn update_only_counts_what_is_not_there_and_remembers_it() {
    let project = Project::people("update", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.sql(
        "out/crm.db",
        "create table people (email text primary key, name text, plan text, seats integer);
         insert into people (email) values ('p1@example.com'), ('p2@example.com');",
    );
    let run = project.apply(&["--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/succeeded/added"), 2);
    assert_eq!(number(&run, "/syncs/0/no_match"), 8);
    assert_eq!(project.rows("out/crm.db", "select count(*), count(name) from people"), ["2|2"]);
    let plan = project.plan(&[]);
    assert_eq!((number(&plan, "/syncs/0/counts/added"), number(&plan, "/syncs/0/held/no_match")), (0, 8));
    // It is sent again when the row changes, or on --retry.
    project.sql("out/crm.db", "insert into people (email) values ('p3@example.com'), ('p4@example.com')");
    project.edit("data/people.csv", "Person 3,", "Person Three,");
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/added"), 1);
    project.apply(&[]).code(0);
    let run = project.apply(&["--retry", "--format", "json"]).code(0).json();
    assert_eq!((number(&run, "/syncs/0/succeeded/added"), number(&run, "/syncs/0/no_match")), (1, 6));
    assert_eq!(project.rows("out/crm.db", "select name from people where email like 'p3@%'"), ["Person Three"]);
}

#[test]
fn one_poisoned_record_costs_nothing_but_itself() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(2500));
    project.sql(
        "out/crm.db",
        "create table people (email text primary key, name text check (name <> 'Person 1234'), plan text, seats integer)",
    );
    let run = project.apply(&["--format", "json"]).code(4).json();
    assert_eq!(run["status"], "partial");
    assert_eq!(number(&run, "/syncs/0/succeeded/added"), 2499);
    assert_eq!(number(&run, "/syncs/0/rejected"), 1);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["2499"]);
    // Final for that payload: not sent again until it changes.
    let plan = project.plan(&["--detailed-exitcode"]);
    assert_eq!((number(&plan, "/syncs/0/counts/added"), number(&plan, "/syncs/0/held/rejected")), (0, 1));
    let rejected = project.run(&["runs", "rejected", "--show-values"]).code(0).stdout;
    assert!(rejected.contains("1234"), "{rejected}");
    project.edit("data/people.csv", "Person 1234,", "Person Fixed,");
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["2500"]);
}

#[test]
fn insert_sends_added_rows_and_nothing_else() {
    let project = Project::people("insert", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.apply(&[]).code(0);
    project.write("data/people.csv", &people_csv(12).replace("Person 5,", "Person Five,"));
    let plan = project.plan(&[]);
    assert_eq!((number(&plan, "/syncs/0/operations/send"), number(&plan, "/syncs/0/operations/none")), (2, 1));
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["12"]);
    assert_eq!(project.rows("out/crm.db", "select name from people where email like 'p5@%'"), ["Person 5"]);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn mirror_deletes_only_what_it_has_sent() {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.apply(&[]).code(0);
    project.sql("out/crm.db", "insert into people (email, name) values ('foreign@example.com', 'Foreign')");
    project.write("data/people.csv", &people_csv(7));
    let run = project.apply(&["--format", "json"]).code(0).json();
    assert_eq!(number(&run, "/syncs/0/succeeded/removed"), 3);
    assert_eq!(project.rows("out/crm.db", "select count(*), sum(name = 'Foreign') from people"), ["8|1"]);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn removed_rows_are_kept_cleared_or_deleted_as_the_sync_says() {
    for (on_removed, expected) in [("keep", "10|10"), ("clear", "10|7"), ("delete", "7|7")] {
        let project = Project::people("upsert", &format!("on_removed: {on_removed}\n{FIELDS}"));
        project.write("data/people.csv", &people_csv(10));
        project.apply(&[]).code(0);
        project.write("data/people.csv", &people_csv(7));
        project.apply(&[]).code(0);
        assert_eq!(project.rows("out/crm.db", "select count(*), count(name) from people"), [expected], "{on_removed}");
        project.run(&["plan", "--detailed-exitcode"]).code(0);
        // A row that comes back is added again.
        project.write("data/people.csv", &people_csv(8));
        assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/added"), 1);
    }
}

#[test]
fn what_was_inserted_or_updated_can_be_deleted_too_and_nothing_else_is() {
    // p1 to p3 are there before: `insert` is refused for them, `update` finds no others.
    for (mode, left) in [("insert", "p1 p2 p3 p9"), ("update", "")] {
        let project = Project::people(mode, &format!("on_removed: delete\n{FIELDS}"));
        project.sql(
            "out/crm.db",
            "create table people (email text primary key, name text, plan text, seats integer);
             insert into people (email) values ('p1@example.com'), ('p2@example.com'), ('p3@example.com')",
        );
        project.write("data/people.csv", &people_csv(6));
        project.apply(&[]);
        project.write("data/people.csv", "id,email,name,plan,seats\n9,p9@example.com,Person 9,free,9\n");
        assert_eq!(number(&project.plan(&[]), "/syncs/0/operations/delete"), 3, "{mode}: what it has sent");
        project.apply(&[]).code(0);
        let rows = project.rows("out/crm.db", "select replace(email, '@example.com', '') from people order by email");
        assert_eq!(rows.join(" "), left, "{mode}");
        project.run(&["plan", "--detailed-exitcode"]).code(0);
    }
}

#[test]
fn if_added_fields_are_never_overwritten() {
    let project = Project::people("upsert", "fields:\n  name: name\n  plan: { column: plan, write: if_added }\n");
    project.write("data/people.csv", &people_csv(5));
    project.apply(&[]).code(0);
    project.sql("out/crm.db", "update people set plan = 'edited by sales'");
    project.write("data/people.csv", &people_csv(5).replace(",free,", ",ultimate,").replace("Person 1,", "Ada,"));
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/changed"), 1);
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select distinct plan from people"), ["edited by sales"]);
    assert_eq!(project.rows("out/crm.db", "select name from people where email like 'p1@%'"), ["Ada"]);
}

#[test]
fn files_hold_all_records_or_the_three_differences() {
    let project = Project::people("mirror", FIELDS);
    project.write("destinations/crm.yaml", "name: crm\ntype: files\nconnection: { path: out }\n");
    for (format, content) in [("csv", "all"), ("jsonl", "all"), ("csv", "diff")] {
        std::fs::remove_dir_all(project.path(".syncline")).ok();
        project.write(
            "syncs/people.yaml",
            &format!(
                "name: people\nmodel: people\ndestination: crm\nobject: {format}_{content}\nmode: mirror\nmatch: {{ email: email }}\n\
                 options: {{ format: {format}, content: {content} }}\n{FIELDS}"
            ),
        );
        project.write("data/people.csv", &people_csv(10));
        project.apply(&[]).code(0);
        project.write("data/people.csv", &people_csv(9).replace("Person 3,", "Person Three,"));
        project.apply(&["--allow", "people:max_removed=1"]).code(0);
        let lines = |name: &str| project.read(&format!("out/{format}_{content}{name}.{format}")).lines().count();
        match (format, content) {
            ("csv", "all") => assert_eq!(lines(""), 1 + 9),
            ("jsonl", "all") => assert_eq!(lines(""), 9),
            _ => assert_eq!([lines("_added"), lines("_changed"), lines("_removed")], [1, 2, 2]),
        }
        project.run(&["plan", "--detailed-exitcode"]).code(0);
    }
}

#[test]
fn state_can_be_adopted_moved_and_forgotten() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(10));
    project.run(&["state", "adopt", "people", "--auto-approve"]).code(0);
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/unchanged"), 10);
    assert!(!project.path("out/crm.db").exists(), "adopting sends nothing");
    let listed = project.run(&["state", "list"]).code(0).stdout;
    assert!(listed.contains("people") && listed.contains("10"), "{listed}");

    let sync = project.read("syncs/people.yaml").replace("name: people\n", "name: persons\nmoved_from: people\n");
    std::fs::remove_file(project.path("syncs/people.yaml")).unwrap();
    project.write("syncs/persons.yaml", &sync);
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/unchanged"), 10, "a rename sends nothing");
    project.apply(&[]).code(0);
    assert!(project.run(&["state", "list"]).code(0).stdout.contains("persons"));

    project.run(&["state", "forget", "persons"]).code(1);
    project.run(&["state", "forget", "persons", "--auto-approve"]).code(0);
    assert_eq!(number(&project.plan(&[]), "/syncs/0/counts/added"), 10);
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_anything_is_done() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(5));
    for arguments in [
        &["apply", "--auto-approve", "--report", "nowhere/r.json"][..],
        &["apply", "--auto-approve", "--report", "out"],
        &["plan", "--out", "nowhere/plan.bin"],
        &["plan", "--write", "html=nowhere/plan.html"],
    ] {
        let ran = project.run(arguments).code(1);
        let path = arguments.last().unwrap().trim_start_matches("html=");
        assert!(ran.stderr.contains(path) && ran.stderr.contains("cannot write"), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!project.path("out/crm.db").exists() && !project.path(".syncline").exists(), "{arguments:?}");
    }
    // What is refused leaves no empty report; a report that was there is replaced whole.
    project.run(&["apply", "--report", "report.json"]).code(1);
    assert!(!project.path("report.json").exists());
    project.write("report.json", &"x".repeat(100_000));
    project.apply(&["--report", "report.json"]).code(0);
    let report: serde_json::Value = serde_json::from_str(&project.read("report.json")).expect("JSON and nothing else");
    assert_eq!(report["status"], "succeeded");
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_sent_is_said_although_the_report_cannot_be_written() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(5));
    // A disk that is full.
    let ran = project.apply(&["--report", "/dev/full", "--format", "json"]).code(1);
    assert_eq!(ran.json()["status"], "succeeded", "{}", ran.stdout);
    assert!(ran.stderr.contains("cannot write the report `/dev/full`"), "{}", ran.stderr);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["5"]);
}

#[test]
fn a_plan_file_is_applied_by_the_command_that_is_printed() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(2));
    project.write("syncline.yaml", "name: test\nenvironments: { dev: { default: true }, prod: {} }\n");
    let ran = project.run(&["plan", "--env", "prod", "--out", "p.slplan"]).code(0);
    let command = "apply exactly it with: syncline apply p.slplan --env prod\n";
    assert!(ran.stderr.ends_with(command), "{}", ran.stderr);
    let stale = project.run(&["apply", "p.slplan"]).code(5);
    let said = "cannot be applied here: it is for environment `prod`, not `dev`";
    assert!(stale.stderr.contains(said) && stale.stderr.contains("run it with `--env prod`"), "{}", stale.stderr);
    project.run(&["apply", "p.slplan", "--env", "prod"]).code(0);
}
