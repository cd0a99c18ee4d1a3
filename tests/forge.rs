//! `comment` against stand-ins of GitHub's and GitLab's API: one comment for each environment, nobody else's touched, within
//! the limits, patient with limits, clear about refusals, and the token nowhere.

mod action;
mod github;
mod gitlab;
mod openapi;
mod server;

use serde_json::{Value, json};

use crate::project::{Project, Ran, people_csv};
use server::Server;

/// A token no output may have.
const TOKEN: &str = "ghp_canary/3f9a+Tok3n";
/// Where the API begins; not the root, as on a self-managed server.
const BASE: &str = "/api/v9";

/// A plan of a real project, as a file of each kind.
fn planned() -> Project {
    let project = Project::people("upsert", "fields: { name: name, plan: plan }\n");
    project.write("data/people.csv", &people_csv(40));
    project.run(&["plan", "--out", "p.slplan", "--write", "json=p.json", "--write", "markdown=p.md"]).code(0);
    project
}

/// A plan of so many syncs with all there is to say of each, for an environment.
fn many(syncs: usize, environment: &str) -> String {
    let value = |n: usize| json!({ "name": format!("field_{n}"), "before": "Größe alt", "after": "Größe neu" });
    let sample = |n: usize| json!({ "state": "changed", "key": format!("person{n}@example.com"), "fields": (0..6).map(value).collect::<Vec<_>>() });
    let sync = |n: usize| {
        json!({
            "sync": format!("sync_{n:03}"), "model": "people", "destination": "crm", "object": "people", "mode": "upsert",
            "counts": { "rows": 1000, "added": 0, "changed": 7, "removed": 0, "unchanged": 993, "invalid": 0 },
            "operations": { "send": 7, "delete": 0, "clear": 0, "none": 0 },
            "causes": { "data": 7, "configuration": 0, "first_run": 0, "retry": 0 }, "fields": { "field_0": 7, "field_1": 7 },
            "samples": (0..6).map(sample).collect::<Vec<_>>(), "invalid": [],
            "guards": [ { "name": "max_changed", "limit": "50%", "actual": 7, "ok": true } ],
            "estimate": { "requests": 1, "seconds": 1, "queried_records": 1000 },
        })
    };
    json!({
        "format_version": "1.0", "plan_id": "p", "digest": "sha256:1", "created_at": "2026-11-29T00:00:00Z",
        "environment": environment, "project": { "name": "acme" }, "complete": true, "configuration": [],
        "syncs": (0..syncs).map(sync).collect::<Vec<_>>(),
        "totals": { "added": 0, "changed": 7 * syncs, "removed": 0, "invalid": 0 }, "warnings": [], "refusals": [],
    })
    .to_string()
}

/// Runs `comment` with nothing of this machine's environment but what is given, and looks for the token in what it says.
#[track_caller]
fn comment(project: &Project, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut all = vec!["comment", "-vv"];
    all.extend(arguments);
    let mut command = project.command(&all);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GITHUB_") || name.starts_with("CI_")) {
        command.env_remove(name);
    }
    for name in ["GITLAB_CI", "GITLAB_TOKEN"] {
        command.env_remove(name);
    }
    let ran = Ran::new(command.envs(environment.iter().copied()).output().expect("the binary runs"));
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("canary"), "the token is printed: {text}");
    }
    ran
}

/// The texts of all comments there are.
fn bodies(server: &Server) -> Vec<String> {
    let text = |comment: &Value| comment["body"].as_str().expect("a text").to_owned();
    server.world().comments.iter().map(text).collect()
}

#[test]
fn what_is_not_there_is_said_before_anything_is_sent() {
    let project = planned();
    project.write("not.json", "{}");
    let github = [("GITHUB_TOKEN", TOKEN)];
    let at = ["--repo", "acme/syncs", "--pr", "1", "--api-url", "http://127.0.0.1:9"];
    let with = |first: &[&'static str]| first.iter().copied().chain(at).collect::<Vec<_>>();
    /// Arguments, variables, words on stderr.
    type Case<'c> = (Vec<&'static str>, &'c [(&'c str, &'c str)], &'c [&'c str]);
    let cases: &[Case] = &[
        (vec!["p.json"], &github, &["neither GitHub Actions nor GitLab CI", "--forge"]),
        (with(&["none.json", "--forge", "github"]), &github, &["none.json"]),
        (with(&["not.json", "--forge", "github"]), &github, &["not.json", "format_version"]),
        (with(&["p.json", "p.slplan", "--forge", "github"]), &github, &["p.slplan", "same environment and project"]),
        (with(&["p.json", "--forge", "github"]), &[], &["there is no token in `GITHUB_TOKEN`", "github.token"]),
        (with(&["p.json", "--forge", "github"]), &[("GITHUB_TOKEN", "")], &["there is no token in `GITHUB_TOKEN`"]),
        (
            with(&["p.json", "--forge", "gitlab"]),
            &[("CI_JOB_TOKEN", TOKEN)],
            &["there is no token in `GITLAB_TOKEN`", "no CI_JOB_TOKEN write notes", "project access token"],
        ),
        (
            vec!["p.json", "--forge", "github", "--repo", "a/b", "--pr", "1", "--api-url", "http://169.254.169.254"],
            &github,
            &["no request may go to"],
        ),
        (
            vec!["p.json", "--forge", "github", "--repo", "a/b", "--pr", "1", "--api-url", "http://8.8.8.8"],
            &github,
            &["clear text"],
        ),
    ];
    for (arguments, variables, words) in cases {
        let ran = comment(&project, arguments, variables).code(1);
        for word in *words {
            assert!(ran.stderr.contains(word), "{arguments:?}: no `{word}` in {}", ran.stderr);
        }
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.stdout);
    }
}

#[test]
fn a_plan_is_written_in_many_forms_at_once() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &people_csv(40));
    let forms =
        ["markdown=a.md", "html=a.html", "json=a.json", "terraform-report=a.tf.json", "dotenv=a.env", "text=a.txt"];
    let mut arguments = vec!["plan", "--color", "always"];
    for form in forms {
        arguments.extend(["--write", form]);
    }
    let printed = project.run(&arguments).code(0).stdout;
    assert!(printed.contains('\u{1b}'), "{printed}");
    assert_eq!(project.read("a.tf.json"), "{\"create\":40,\"update\":0,\"delete\":0}\n");
    assert!(project.read("a.env").contains("SYNCLINE_DIGEST=sha256:"), "{}", project.read("a.env"));
    let plan: Value = serde_json::from_str(&project.read("a.json")).expect("JSON");
    let id = plan["plan_id"].as_str().expect("an id");
    for file in ["a.md", "a.html", "a.env"] {
        assert!(project.read(file).contains(id), "{file} is of another plan");
    }
    assert!(project.read("a.txt").contains("40 added") && !project.read("a.txt").contains('\u{1b}'));
    for file in ["a.md", "a.html", "a.json", "a.txt"] {
        assert!(!project.read(file).contains("p1@example.com"), "{file} shows values");
    }
    // The same from the plan's JSON, read again.
    let shown = project.run(&["show", "a.json", "--format", "terraform-report"]).code(0);
    assert_eq!(shown.stdout, project.read("a.tf.json"));
    let again = project.run(&["show", "a.json", "--format", "markdown"]).code(0);
    assert_eq!(again.stdout, project.read("a.md"), "masking what is masked changes nothing");
    for (wrong, words) in
        [("html", "a format and a file"), ("pdf=a.pdf", "no format `pdf`"), ("html=", "a format and a file")]
    {
        let ran = project.run(&["plan", "--write", wrong]).code(1);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let ran = project.run(&["plan", "--write", "html=no/such/folder/a.html"]).code(1);
    assert!(ran.stderr.contains("no/such/folder/a.html"), "{}", ran.stderr);
    project.apply(&["--report", "run.json"]).code(0);
    let run = project.run(&["show", "run.json", "--format", "terraform-report"]).code(0);
    assert_eq!(run.stdout, "{\"create\":40,\"update\":0,\"delete\":0}\n");
}

#[test]
fn faults_are_annotated_where_they_are_in_the_repository() {
    let project = Project::new(&[]);
    project.write(".git/HEAD", "");
    for (path, text) in [
        ("crm/syncline.yaml", "name: test\n"),
        ("crm/sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n"),
        ("crm/models/people.yaml", "name: people\nsource: filez\nsql: select 1\nprimary_key: [id]\n"),
    ] {
        project.write(path, text);
    }
    let annotations = project.run(&["-C", "crm", "validate", "--format", "github"]).code(1).stdout;
    let line = annotations.lines().find(|line| line.contains("filez")).expect("an annotation");
    assert!(
        line.starts_with("::error file=crm/models/people.yaml,line=2,endLine=2,col=9,endColumn=14,title="),
        "{line}"
    );
    let report = project.run(&["-C", "crm", "validate", "--format", "codequality"]).code(1).json();
    let finding =
        report.as_array().and_then(|all| all.iter().find(|one| one["location"]["path"] == "crm/models/people.yaml"));
    assert_eq!(finding.expect("a finding")["location"]["lines"]["begin"], 2, "{report:#}");
    project.edit("crm/models/people.yaml", "filez", "files");
    let good = project.run(&["-C", "crm", "validate", "--format", "github"]).code(0).stdout;
    assert!(!good.contains("::error"), "{good}");
    assert_eq!(project.run(&["-C", "crm", "validate", "--format", "codequality"]).code(0).json(), json!([]));
}
