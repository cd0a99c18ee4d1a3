//! A bit that has turned over in a file of the state: a disk, a copy or a transfer has damaged it. Whatever a plan reads
//! is what was written, or the plan says what is damaged and nothing is sent.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::project::{Project, people_csv};

/// A state with a snapshot, a row the destination refuses (which is held), and keys of the month.
fn applied() -> Project {
    let project = Project::people("mirror", "fields: { name: name, seats: seats }\n");
    let database = Connection::open(project.path("out/crm.db")).expect("a database");
    let table = "create table people (id integer primary key, email text, name text, seats integer check (seats < 90))";
    database.execute_batch(table).expect("a table");
    drop(database);
    project.write("data/people.csv", &(people_csv(40) + "41,p41@example.com,Person 41,free,99\n"));
    project.apply(&[]).code(4);
    // Somebody changes, so that a plan looks at old values too.
    project.edit("data/people.csv", "Person 3,", "Person Three,");
    project
}

/// The files of the state a plan reads.
fn files(project: &Project) -> Vec<PathBuf> {
    let state = project.path(".syncline/default");
    let below = |folder: &str| fs::read_dir(state.join(folder)).expect("a folder").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = ["snapshots", "held", "usage"].into_iter().flat_map(below).collect();
    files.push(state.join("state.json"));
    files.sort();
    files
}

/// What a plan says but for what is different each time.
fn plan(project: &Project) -> Result<serde_json::Value, String> {
    let ran = project.run(&["plan", "--format", "json", "--show-values"]);
    if ran.code != 0 {
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        return Err(ran.stderr);
    }
    let mut plan = ran.json();
    for own in ["plan_id", "created_at"] {
        plan[own] = "".into();
    }
    Ok(plan)
}

fn flip(path: &Path, bytes: &[u8], bit: usize) {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, flipped).expect("a file");
}

#[test]
fn a_flipped_bit_in_any_file_of_the_state_is_refused_and_never_a_wrong_plan() {
    let project = applied();
    let whole = plan(&project).expect("a plan");
    let files = files(&project);
    assert_eq!(files.len(), 4, "a snapshot, held rows, keys of the month, the document: {files:?}");
    for path in files {
        let bytes = fs::read(&path).expect("a file");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Bits all over the file, of every place in a byte.
        for bit in (0..12).map(|n| (n * bytes.len() / 12) * 8 + n % 8) {
            flip(&path, &bytes, bit);
            match plan(&project) {
                // Nothing but the checksum itself was hit.
                Ok(plan) => assert_eq!(plan, whole, "bit {bit} of {name} made another plan"),
                Err(error) => assert!(error.contains("damaged") && error.contains(&name), "bit {bit}: {error}"),
            }
        }
        fs::write(&path, &bytes).expect("a file");
        assert_eq!(plan(&project).as_ref(), Ok(&whole), "{name} is whole again");
    }
}

#[test]
fn a_damaged_state_is_neither_applied_nor_copied() {
    let project = applied();
    let held = project.rows("out/crm.db", "select count(*), group_concat(name) from people");
    project.run(&["state", "pull", "copy.zip"]).code(0);
    let snapshot = files(&project)
        .into_iter()
        .find(|path| path.ends_with("snapshots") || path.to_string_lossy().contains("snapshots"));
    let snapshot = snapshot.expect("a snapshot");
    let bytes = fs::read(&snapshot).expect("a file");
    flip(&snapshot, &bytes, bytes.len() * 4);
    for command in [&["apply", "--auto-approve"][..], &["state", "pull", "other.zip"]] {
        let ran = project.run(command).code(1);
        assert!(ran.stderr.contains("of the state is damaged"), "{command:?}: {}", ran.stderr);
    }
    assert!(!project.path("other.zip").exists());
    assert_eq!(project.rows("out/crm.db", "select count(*), group_concat(name) from people"), held);
    // What the message says helps.
    project.run(&["state", "push", "copy.zip", "--auto-approve", "--force"]).code(0);
    project.apply(&[]).code(0);
    assert_eq!(project.rows("out/crm.db", "select name from people where id = 3"), ["Person Three"]);
}

#[test]
fn a_document_that_was_edited_on_purpose_is_read_without_its_checksum() {
    let project = applied();
    let path = ".syncline/default/state.json";
    project.edit(path, "\"moved\": {}", "\"moved\": { \"old\": \"people\" }");
    let ran = project.run(&["plan"]).code(1);
    assert!(
        ran.stderr.contains("state.json` is") && ran.stderr.contains("take its line `checksum` out"),
        "{}",
        ran.stderr
    );
    let text = project.read(path);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"checksum\": ")).collect();
    project.write(path, &lines.join("\n"));
    project.run(&["plan"]).code(0);
}

#[test]
fn a_state_without_its_document_is_no_new_state() {
    let project = applied();
    project.run(&["state", "pull", "copy.zip"]).code(0);
    fs::remove_file(project.path(".syncline/default/state.json")).expect("a document");
    for command in [&["plan"][..], &["apply", "--auto-approve"], &["state", "list"], &["state", "pull", "other.zip"]] {
        let ran = project.run(command).code(1);
        let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in
            ["`state.json` is missing", "1 snapshot in `snapshots/`", "1 run in `runs/`", "syncline state push FILE"]
        {
            assert!(said.contains(part), "`{part}` is not said by {command:?}: {}", ran.stderr);
        }
    }
    // What the message says helps: a copy, or another beginning.
    project.run(&["state", "push", "copy.zip", "--auto-approve"]).code(0);
    assert_eq!(plan(&project).expect("a plan")["totals"]["changed"], 1);
    fs::remove_dir_all(project.path(".syncline/default")).expect("a folder");
    assert_eq!(plan(&project).expect("a plan")["totals"]["added"], 41);
}

#[test]
fn a_push_that_fails_makes_nothing_and_its_hint_helps() {
    let project = applied();
    project.run(&["state", "pull", "copy.zip"]).code(0);
    let key = project.read(".syncline/state.key");
    fs::rename(project.path(".syncline"), project.path("gone")).expect("a folder");
    let push = |key: Option<&str>, file: &str| {
        let mut command = project.command(&["state", "push", file, "--auto-approve"]);
        key.map(|key| command.env("SYNCLINE_STATE_KEY", key));
        crate::project::Ran::new(command.output().expect("the binary runs"))
    };
    let nothing =
        || assert!(!project.path(".syncline/state.key").exists() && !project.path(".syncline/default").exists());
    let refused = push(None, "copy.zip").code(1);
    assert!(refused.stderr.contains("SYNCLINE_STATE_KEY"), "{}", refused.stderr);
    nothing();
    push(Some("00112233445566778899aabbccddeeff"), "copy.zip").code(1);
    nothing();
    // A copy that was cut off, or in which a bit has turned.
    let copy = fs::read(project.path("copy.zip")).expect("a file");
    fs::write(project.path("cut.zip"), &copy[..copy.len() / 2]).expect("a file");
    flip(&project.path("flipped.zip"), &copy, 8 * 4000);
    for file in ["cut.zip", "flipped.zip", "none.zip"] {
        push(Some(key.trim()), file).code(1);
        nothing();
    }
    push(Some(key.trim()), "copy.zip").code(0);
    // The other way the hint names: the file itself. A state that was born here meanwhile and holds nothing is in no way.
    fs::remove_dir_all(project.path(".syncline")).expect("a folder");
    project.run(&["plan"]).code(0);
    push(None, "copy.zip").code(1);
    project.write(".syncline/state.key", &key);
    push(None, "copy.zip").code(0);
    assert_eq!(plan(&project).expect("a plan")["totals"]["changed"], 1);
}
