//! No secret and no personal value leaves: every secret and every personal field holds a canary, the destination is
//! hostile and repeats all it is told, and everything a command writes is searched.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::{Project, Ran};

const SECRETS: [&str; 3] = ["apikey-canary-71f0", "hookkey-canary-9d3c", "hookpath-canary-55aa"];
/// In keys, in values that are sent, and in columns that are only used to make one.
const PERSONAL: [&str; 4] = ["mail-canary", "Name-Canary", "Phone-Canary", "Note-Canary"];

/// Answers every request with a refusal that repeats its headers and its body.
fn hostile() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let length =
                        head.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok());
                    let mut body = vec![0; length.unwrap_or(0)];
                    if reader.read_exact(&mut body).is_err() {
                        return;
                    }
                    let told = format!("{head}{}", String::from_utf8_lossy(&body));
                    let answer =
                        serde_json::json!({ "code": "BadParams", "msg": told, "params": { "all": told } }).to_string();
                    let answer = format!(
                        "HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                        answer.len()
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    base
}

fn project(base: &str) -> Project {
    let project = Project::new(&[
        ("syncline.yaml", "name: test\n"),
        (".gitignore", ".syncline/\ndata/\nout/\n"),
        ("sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n"),
        (
            "models/people.yaml",
            "name: people\nsource: files\nsql: select email, name, phone, note, seats from people where seats >= 1\n\
             primary_key: [email]\n",
        ),
        (
            "destinations/api.yaml",
            &format!(
                "name: api\ntype: iterable\nconnection: {{ api_key: \"{{{{ env.API_KEY }}}}\", base_url: \"{base}\" }}\n"
            ),
        ),
        (
            "syncs/people.yaml",
            &format!(
                "name: people\nmodel: people\ndestination: api\nobject: user\nmode: upsert\nmatch: {{ email: email }}\n\
                 fields:\n  name: name\n  phone: phone\n  seats: seats\n  \
                 greeting: {{ template: \"Dear {{{{ row.name }}}}, {{{{ row.note }}}}\" }}\n\
                 delivery: {{ max_rejected: 100% }}\n\
                 notify:\n  - webhook: \"{base}/{{{{ env.HOOK }}}}\"\n    secret: \"{{{{ env.HOOK_KEY }}}}\"\n    on: [failed, partial]\n"
            ),
        ),
        ("out/.keep", ""),
    ]);
    let row = |n: usize| format!("mail-canary{n}@example.com,Name-Canary {n},Phone-Canary {n},Note-Canary {n},{n}\n");
    let rows: String = (1..=9).map(row).collect();
    project.write("data/people.csv", &format!("email,name,phone,note,seats\n{rows}"));
    project
}

fn run(project: &Project, arguments: &[&str]) -> Ran {
    let mut command = project.command(arguments);
    for (name, secret) in ["API_KEY", "HOOK_KEY", "HOOK"].iter().zip(SECRETS) {
        command.env(name, secret);
    }
    Ran::new(command.output().expect("the binary runs"))
}

fn git(project: &Project, arguments: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(project.root())
        .status();
    assert!(status.expect("git runs").success(), "git {arguments:?}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The canaries in some bytes.
fn canaries(bytes: &[u8], which: &[&'static str]) -> BTreeSet<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    which.iter().copied().filter(|canary| text.contains(canary)).collect()
}

#[test]
fn no_secret_and_no_personal_value_is_in_anything_that_is_written() {
    let base = hostile();
    let project = project(&base);
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-q", "-m", "first"]);
    project.edit("syncs/people.yaml", "seats: seats", "seats: { column: seats, transform: string }");
    project.edit("models/people.yaml", "seats >= 1", "seats >= 2");
    let all: Vec<&'static str> = SECRETS.into_iter().chain(PERSONAL).collect();
    let mut commands: Vec<Vec<&str>> = Vec::new();
    for format in ["text", "json", "markdown", "html"] {
        commands.push(vec!["plan", "--format", format]);
        commands.push(vec!["plan", "--against", "main", "--format", format, "-vv"]);
    }
    commands.push(vec!["plan", "--against", "main", "--offline", "--format", "json"]);
    commands.push(vec!["doctor"]);
    commands.push(vec!["apply", "--auto-approve", "--format", "json", "--report", "out/report.json", "-vv"]);
    commands.push(vec!["runs", "rejected"]);
    commands.push(vec!["runs"]);
    commands.push(vec!["state", "show", "people"]);
    commands.push(vec!["usage"]);
    commands.push(vec!["graph", "--format", "json"]);
    for command in commands {
        let ran = run(&project, &command);
        assert!(ran.code >= 0 && !ran.stderr.contains("panicked"), "{command:?}: {}", ran.stderr);
        for (what, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
            let found = canaries(text.as_bytes(), &all);
            assert!(found.is_empty(), "{command:?} writes {found:?} to {what}:\n{text}");
        }
    }
    let report = std::fs::read(project.path("out/report.json")).expect("a report");
    assert_eq!(canaries(&report, &all), BTreeSet::new(), "{}", String::from_utf8_lossy(&report));
    // Snapshots, frozen operations and row logs are the state's own record of rows. Secrets are in nothing, and personal
    // values in nothing else.
    let mut searched = 0;
    for path in files(&project.path(".syncline")) {
        let bytes = std::fs::read(&path).expect("a file of the state");
        let rows = path.extension().is_some_and(|kind| kind == "parquet");
        let allowed = |canary: &&&str| rows && PERSONAL.contains(canary);
        let found = canaries(&bytes, &all);
        let found: Vec<_> = found.iter().filter(|canary| !allowed(canary)).collect();
        assert!(found.is_empty(), "{} holds {found:?}", path.display());
        searched += 1;
    }
    assert!(searched > 3, "only {searched} files of a state were searched");
}
