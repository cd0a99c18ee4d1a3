//! `import hightouch`: each folder of `tests/import/` is a case. `in/` is what Git Sync wrote; `expected/` is the project
//! that comes of it, file by file, with the report (`IMPORT.md`), without the schemas every new project gets.
//! To add one, make a folder with `in/`, run the tests with `UPDATE_EXPECTED=1`, and read what was written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::project::Project;

/// Files below a folder: path → text.
fn files(folder: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, out: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, out);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                out.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(folder, folder, &mut out);
    out
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

#[test]
fn every_case_becomes_the_project_beside_it_and_is_valid() {
    let mut wrong = Vec::new();
    for case in cases() {
        let project = Project::new(&[]);
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let input = case.join("in");
        let ran = project.run(&["import", "hightouch", &input.to_string_lossy(), "--out", "made"]);
        project.run(&["-C", "made", "validate"]).code(0);
        let mut made = files(&project.path("made"));
        made.retain(|path, _| !path.starts_with("schemas/"));
        made.insert("exit-code.txt".into(), format!("{}\n", ran.code));
        let expected = case.join("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            let _ = fs::remove_dir_all(&expected);
            for (path, text) in &made {
                fs::create_dir_all(expected.join(path).parent().unwrap()).unwrap();
                fs::write(expected.join(path), text).unwrap();
            }
        }
        let expected = files(&expected);
        for path in made.keys().chain(expected.keys().filter(|path| !made.contains_key(*path))) {
            match (made.get(path), expected.get(path)) {
                (Some(made), Some(expected)) if made == expected => {}
                (Some(made), Some(_)) => wrong.push(format!("{name}: {path} is another one:\n{made}")),
                (Some(_), None) => wrong.push(format!("{name}: {path} was made and is not expected")),
                _ => wrong.push(format!("{name}: {path} is expected and was not made")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Words of Git Sync that have a meaning of their own: they come over as that meaning, and not as words.
const MEANT: &[&str] = &[
    "name",
    "source",
    "sources",
    "destination",
    "destinations",
    "model",
    "type",
    "raw_sql",
    "rawSql",
    "custom",
    "table",
    "dbt_model",
    "modelId",
    "primaryKey",
    "description",
    "config",
    "mode",
    "object",
    "mappings",
    "customMappings",
    "aliasMappings",
    "externalIdMapping",
    "to",
    "from",
    "standard",
    "template",
    "variable",
    "static",
    "value",
    "sync-run-id",
    "sync-id",
    "configVersion",
    "schedule",
    "schedulePaused",
    "interval",
    "unit",
    "quantity",
    "hour",
    "day",
    "cron",
    "expression",
    "true",
    "false",
    "model-slug",
    "slug",
    "tags",
    "users",
    "postgresql",
    "capitalize",
    "parse",
    "endif",
    "ignoreNull",
    "aliases",
    "sql",
    "row",
];

/// Every word of every file is in a manifest or in the report, unless it is one of those above.
#[test]
fn nothing_is_dropped_silently() {
    for case in cases() {
        let project = Project::new(&[]);
        let input = case.join("in");
        project.run(&["import", "hightouch", &input.to_string_lossy(), "--out", "made"]);
        let mut made = files(&project.path("made"));
        made.retain(|path, _| !path.starts_with("schemas/"));
        let everything = made.values().cloned().collect::<Vec<_>>().join("\n");
        for (path, text) in files(&input) {
            assert!(made["IMPORT.md"].contains(&path), "{}: the report does not name {path}", case.display());
            // What cannot be read, and what is none of ours, is named as a file.
            if path.starts_with("schema/") || path.contains("broken") {
                continue;
            }
            for word in text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-')) {
                let begins = word.starts_with(char::is_alphabetic);
                if begins && !MEANT.contains(&word) {
                    assert!(everything.contains(word), "{}: `{word}` of {path} is nowhere", case.display());
                }
            }
        }
    }
}

#[test]
fn credentials_in_the_files_are_nowhere_in_what_is_made_or_said() {
    let project = Project::new(&[
        ("in/manifest.yaml", "destinations: { crm: { name: Crm, type: iterable, apiKey: canary-1 } }\n"),
        ("in/models/m.yaml", "name: M\nsource: s\ntype: raw_sql\nrawSql: select 1 as id\nprimaryKey: id\n"),
        (
            "in/syncs/s.yaml",
            "model: m\ndestination: crm\nconfig:\n  type: object\n  object: user\n  mode: upsert\n  externalIdMapping: { to: email, from: id, type: standard }\n  mappings: []\n  headers: [ { name: Authorization, value: canary-2 } ]\n  auth: { password: canary-3 }\n  url: https://me:canary-4@a.example/\n",
        ),
    ]);
    for format in ["text", "json"] {
        let ran = project.run(&["import", "hightouch", "in", "--out", format, "--format", format]);
        let mut all = files(&project.path(format)).into_values().collect::<Vec<_>>();
        all.extend([ran.stdout, ran.stderr]);
        assert!(all.iter().any(|text| text.contains("config.headers") || text.contains("headers")));
        assert!(!all.iter().any(|text| text.contains("canary")), "a credential came out");
    }
}

#[test]
fn what_is_there_is_never_overwritten_and_is_named() {
    let project = Project::new(&[
        ("in/manifest.yaml", "sources: { pg: { name: Pg, type: postgres } }\n"),
        ("in/models/people.yaml", "name: People\nsource: pg\ntype: raw_sql\nrawSql: select 1 as id\nprimaryKey: id\n"),
    ]);
    let import = || project.run(&["import", "hightouch", "in", "--out", "made"]);
    assert!(import().code(0).stdout.contains("carried"));
    let again = import().code(0);
    assert!(
        again.stdout.contains("0 files written") && again.stdout.contains("there already, the same"),
        "{}",
        again.stdout
    );
    project.write("made/models/people.yaml", "name: people\nsource: pg\nsql: select 2 as id\nprimary_key: [id]\n");
    let kept = import().code(1);
    assert!(kept.stdout.contains("models/people.yaml was there already and says something else"), "{}", kept.stdout);
    assert!(project.read("made/models/people.yaml").contains("select 2"));
    project.run(&["-C", "made", "validate"]).code(0);
}

/// A `.todo` is finished by hand and renamed; another import then makes the syncs that waited for it.
#[test]
fn an_import_goes_on_where_a_person_has_finished_something() {
    let project = Project::new(&[
        ("in/manifest.yaml", "sources: { pg: { type: postgres } }\ndestinations: { lake: { name: Lake, type: s3 } }\n"),
        ("in/models/people.yaml", "source: pg\ntype: raw_sql\nrawSql: select 1 as id\nprimaryKey: id\n"),
        (
            "in/syncs/out.yaml",
            "model: people\ndestination: lake\nconfig: { object: people, mode: insert, externalIdMapping: { to: id, from: id } }\n",
        ),
    ]);
    project.run(&["import", "hightouch", "in", "--out", "made"]).code(0);
    assert!(
        project.path("made/destinations/lake.yaml.todo").exists() && project.path("made/syncs/out.yaml.todo").exists()
    );
    let todo = project.read("made/syncs/out.yaml.todo");
    assert!(todo.contains("Nobody reads this file yet") && todo.contains("lake"), "{todo}");
    project.write("made/destinations/lake.yaml", "name: lake\ntype: files\nconnection: { path: out }\n");
    project.run(&["import", "hightouch", "in", "--out", "made"]);
    assert!(project.path("made/syncs/out.yaml").exists(), "the sync can be made now");
    let valid = project.run(&["-C", "made", "validate"]).code(0);
    assert!(valid.stdout.contains("1 sync"), "{}", valid.stdout);
}

#[test]
fn a_folder_of_something_else_is_said() {
    let project = Project::new(&[("in/readme.md", "hello")]);
    let ran = project.run(&["import", "hightouch", "in"]).code(1);
    assert!(ran.stderr.contains("nothing of Hightouch's Git Sync") && ran.stderr.contains("models/"), "{}", ran.stderr);
    let ran = project.run(&["import", "hightouch", "nowhere"]).code(1);
    assert!(ran.stderr.contains("cannot read `nowhere`"), "{}", ran.stderr);
    assert!(!project.path("IMPORT.md").exists(), "nothing is written");
}

#[test]
fn the_json_report_fits_its_schema() {
    let project = Project::new(&[]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read_to_string(root.join("schemas/import.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for (at, case) in cases().iter().enumerate() {
        let (input, out) = (case.join("in"), format!("out{at}"));
        let ran = project.run(&["import", "hightouch", &input.to_string_lossy(), "--out", &out, "--format", "json"]);
        let report = ran.json();
        let faults: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}");
        assert!(report["items"].as_array().is_some_and(|items| !items.is_empty()));
    }
}
