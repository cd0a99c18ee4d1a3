//! Singer: a real tap and a real target from PyPI, and taps and targets that die half-way.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::postgres::server;
use crate::project::{Project, Ran, number};

/// The folder of `tap-postgres` and `target-csv`: what `SYNCLINE_SINGER` names, else where PATH has them. `None`, loudly,
/// without; in CI (`CI` is set) that is a failure.
fn programs() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOLDER.get_or_init(|| {
        let named = std::env::var_os("SYNCLINE_SINGER").filter(|name| !name.is_empty()).map(PathBuf::from);
        let folders = named.clone().map_or_else(
            || std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect(),
            |named| vec![named],
        );
        let has = |folder: &PathBuf| {
            let works = |name: &str| {
                let ran = Command::new(folder.join(name))
                    .arg("--version")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status();
                ran.is_ok_and(|status| status.success())
            };
            folder.join("tap-postgres").is_file() && works("tap-postgres") && works("target-csv")
        };
        let found = folders.into_iter().find(has);
        assert!(
            found.is_some() || named.is_none(),
            "SYNCLINE_SINGER has no working tap-postgres and target-csv: {named:?}"
        );
        found
    });
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "Singer programs are not installed, and CI must not skip their tests"
        );
        eprintln!(
            "SKIPPED: `tap-postgres` and `target-csv` are neither in PATH nor in the folder SYNCLINE_SINGER names"
        );
    }
    found.as_deref()
}

fn project(source: &str, destination: &str, stream: &str) -> Project {
    Project::new(&[
        ("syncline.yaml", "name: test\n"),
        ("sources/app.yaml", &format!("name: app\n{source}")),
        ("models/people.yaml", &format!("name: people\nsource: app\ntable: {{ name: {stream} }}\nprimary_key: [id]\n")),
        ("destinations/out.yaml", &format!("name: out\n{destination}")),
        (
            "syncs/people.yaml",
            "name: people\nmodel: people\ndestination: out\nobject: people\nmode: upsert\nmatch: { email: email }\n\
             fields: { plan: plan, seats: seats }\n",
        ),
        ("data/people.csv", "id,email,plan,seats\n1,p1@x.io,free,1\n2,p2@x.io,premium,2\n3,p3@x.io,,3\n"),
        ("out/.keep", ""),
    ])
}

const FILES: &str = "type: files\nconnection: { path: data }\n";
const SQLITE: &str = "type: sqlite\nconnection: { path: out/crm.db }\n";

#[test]
fn a_real_tap_is_read_like_the_database_behind_it() {
    let (Some(folder), Some(server)) = (programs(), server()) else { return };
    let database = server.database(
        "create table people (id bigint primary key, email text, plan text, seats bigint, secret text);
         insert into people select i, 'p' || i || '@x.io', case when i % 5 <> 0 then 'free' end, 9007199254740993 + i, 'x'
           from generate_series(1, 50) t(i);
         create table other (id int)",
    );
    let tap = folder.join("tap-postgres").display().to_string();
    let source = format!(
        "type: singer\nconnection:\n  command: [\"{tap}\"]\n  config:\n    host: 127.0.0.1\n    port: {}\n    user: postgres\n    \
         password: \"{{{{ env.PG_PASSWORD }}}}\"\n    database: {database}\n    filter_schemas: [public]\n",
        server.port
    );
    let project = project(&source, SQLITE, "public-people");
    project.edit("syncs/people.yaml", "mode: upsert", "mode: upsert\noptions: { create: true }");
    let run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        let ran = Ran::new(command.env("PG_PASSWORD", &server.password).output().expect("the binary runs"));
        assert!(
            !ran.stdout.contains(&server.password) && !ran.stderr.contains(&server.password),
            "the password is printed"
        );
        ran
    };
    let plan = run(&["plan", "--format", "json", "--show-values"]).code(0).json();
    assert_eq!(number(&plan, "/syncs/0/counts/added"), 50);
    run(&["apply", "--auto-approve"]).code(0);
    let held = project.rows("out/crm.db", "select count(*), count(plan), min(seats), max(seats) from people");
    assert_eq!(held, ["50|40|9007199254740994|9007199254741043"]);
    server.run(&database, "delete from people where id > 45; update people set plan = 'gold' where id = 1");
    let plan = run(&["plan", "--format", "json"]).code(0).json();
    let counts = ["/syncs/0/counts/changed", "/syncs/0/counts/removed"].map(|at| number(&plan, at));
    assert_eq!(counts, [1, 5]);

    project.edit("models/people.yaml", "public-people", "public-peopel");
    let ran = run(&["plan"]).code(1);
    assert!(ran.stderr.contains("it has no stream `public-peopel`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `public-people`?"), "{}", ran.stderr);
    project.edit("models/people.yaml", "public-peopel", "public-people");
    project.edit("sources/app.yaml", "database: test", "database: no_such");
    let ran = run(&["plan"]).code(1);
    assert!(ran.stderr.contains("it ended with exit code"), "{}", ran.stderr);
}

#[test]
fn a_real_target_confirms_what_it_has_written() {
    let Some(folder) = programs() else { return };
    let target = folder.join("target-csv").display().to_string();
    let destination =
        format!("type: singer\nconnection: {{ command: [\"{target}\"], config: {{ output_path: out }} }}\n");
    let project = project(FILES, &destination, "people");
    project.edit("syncs/people.yaml", "fields:", "delivery: { batch_size: 2 }\nfields:");
    let run = applied(&project, 0);
    assert_eq!((number(&run, "/succeeded/added"), number(&run, "/in_doubt")), (3, 0), "{run}");
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let expected = ["email,plan,seats", "p1@x.io,free,1", "p2@x.io,premium,2", "p3@x.io,,3"];
    assert_eq!(lines(project.read("out/people.csv")), expected);
    assert_eq!(project.run(&["plan", "--detailed-exitcode"]).code, 0, "nothing is left to do");

    // With no folder to write to, it says so, and nothing counts as sent.
    project.edit("destinations/out.yaml", "output_path: out", "output_path: /proc/none");
    project.edit("data/people.csv", "p3@x.io,,3", "p3@x.io,,4");
    let run = applied(&project, 1);
    assert_eq!((number(&run, "/succeeded/changed"), number(&run, "/in_doubt")), (0, 1), "{run}");
}

fn applied(project: &Project, code: i32) -> Value {
    project.apply(&["--format", "json"]).code(code).json()["syncs"][0].take()
}

/// A tap that is a shell script: its catalog has `people` and `orders`; what it prints else is `then`.
fn tap(then: &str) -> Project {
    let project = project(
        "type: singer\nconnection: { command: [sh, tap.sh], config: { token: \"{{ file('token') }}\" }, silence: 3 }\n",
        SQLITE,
        "people",
    );
    project.edit(
        "syncs/people.yaml",
        "mode: upsert",
        "mode: mirror\noptions: { create: true }\nguards: { max_removed: 100% }",
    );
    project.write("token", "canary-token-77aa");
    told(&project, then);
    project
}

fn told(project: &Project, then: &str) {
    let catalog = r#"{"streams": [{"tap_stream_id": "people", "stream": "people", "schema": {"properties": {"id": {}, "email": {}}}}, {"tap_stream_id": "orders", "stream": "orders", "schema": {}}]}"#;
    let schema = r#"{"type": "SCHEMA", "stream": "people", "schema": {"properties": {}}, "key_properties": ["id"]}"#;
    project.write(
        "tap.sh",
        &format!(
            "case \"$*\" in *--discover*) cat <<'END'\n{catalog}\nEND\nexit 0;; esac\ncp \"$4\" selected.json\n\
             stat -c %a \"$(dirname \"$2\")\" > mode\n\
             record() {{ echo '{{\"type\": \"RECORD\", \"stream\": \"people\", \"record\": {{\"id\": '$1', \"email\": \"p'$1'@x.io\", \"plan\": \"free\", \"seats\": 9007199254740993}}}}'; }}\n\
             cat <<'END'\n{schema}\nEND\n{then}\n"
        ),
    );
}

#[test]
fn a_tap_that_does_not_come_to_its_end_removes_nobody() {
    let all = "for i in 1 2 3 4 5 6; do record $i; done; echo '{\"type\": \"STATE\", \"value\": {}}'";
    let project =
        tap(&format!("echo '{{\"type\": \"RECORD\", \"stream\": \"orders\", \"record\": {{\"id\": 9}}}}'; {all}"));
    project.apply(&[]).code(0);
    let held = || project.rows("out/crm.db", "select count(*), max(seats) from people");
    assert_eq!(held(), ["6|9007199254740993"]);
    let selected: Value = serde_json::from_str(&project.read("selected.json")).expect("a catalog");
    let told = |at: usize| selected["streams"][at]["metadata"][0]["metadata"]["selected"].clone();
    assert_eq!((told(0), told(1)), (true.into(), false.into()));
    assert_eq!(project.read("mode").trim(), "700", "nobody else may read its settings");
    for (then, expected) in [
        ("record 1; exit 2", "after 1 records it ended with exit code 2"),
        ("record 1; kill -9 $$", "after 1 records it was killed by signal 9"),
        (
            "record 1; printf '{\"type\"'; echo \"token $(cat token)\" >&2; exit 1",
            "it ended with exit code 1; it said: token [secret]",
        ),
        ("record 1; echo hello", "line 3 is no message"),
        ("echo '{\"type\": \"RECORD\", \"stream\": \"people\"}'", "line 2 is a RECORD without one"),
        ("record 1; sleep 600", "it was silent for too long, and was stopped"),
    ] {
        self::told(&project, then);
        let ran = project.apply(&[]).code(1);
        assert!(ran.stderr.contains(expected), "{then}: {}", ran.stderr);
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
        assert_eq!(held(), ["6|9007199254740993"], "{then}");
    }
    self::told(&project, "record 1; record 2");
    project.apply(&[]).code(0);
    assert_eq!(held(), ["2|9007199254740993"]);
}

#[test]
fn a_target_that_dies_leaves_in_doubt_what_it_has_not_confirmed() {
    // It confirms what it has got, and dies when a person comes whose number is in the file `poison`.
    let script = "read schema; echo \"$schema\" >> schemas\nwhile read line; do\ncase \"$line\" in\n\
        *STATE*) echo '{\"syncline\": '$(echo \"$line\" | tr -dc 0-9)'}';;\n\
        *p\"$(cat poison)\"@*) kill -9 $$;;\n*) echo \"$line\" >> taken;;\nesac\ndone\n";
    for (repeatable, poison, succeeded, in_doubt, code) in
        [(false, "9", 3, 0, 0), (false, "3", 2, 1, 1), (false, "1", 0, 2, 1)]
    {
        let destination =
            format!("type: singer\nconnection: {{ command: [sh, target.sh], repeatable: {repeatable} }}\n");
        let project = project(FILES, &destination, "people");
        project.edit("syncs/people.yaml", "fields:", "delivery: { batch_size: 1 }\nfields:");
        project.write("target.sh", script);
        project.write("poison", poison);
        let run = applied(&project, code);
        let told = [number(&run, "/succeeded/added"), number(&run, "/in_doubt")];
        assert!(told[0] == succeeded && (told[1] >= 1) == (in_doubt > 0), "poison {poison}: {run}");
        assert_eq!(run.to_string().contains("it was killed by signal 9"), in_doubt > 0, "poison {poison}: {run}");
        let schema: Value =
            serde_json::from_str(project.read("schemas").lines().next().expect("a line")).expect("JSON");
        assert_eq!(schema["key_properties"], serde_json::json!(["email"]));
        assert_eq!(schema["schema"]["properties"]["seats"]["type"], serde_json::json!(["integer", "null"]));
    }
}

#[test]
fn what_singer_cannot_do_is_said_before() {
    let destination = "type: singer\nconnection: { command: [target-csv], config: { api_token: abcdefgh } }\n";
    let project = project(FILES, destination, "people");
    project.edit("syncs/people.yaml", "mode: upsert", "mode: mirror");
    let ran = project.run(&["validate", "--format", "json"]).code(1);
    let codes: Vec<&str> = ran.stdout.split("\"code\": \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(codes, ["literal-secret", "mode-not-offered"], "{}", ran.stdout);
}
