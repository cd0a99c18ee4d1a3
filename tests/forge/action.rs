//! The script of the GitHub action, run as a runner does: what it writes for later steps, and how it ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::TOKEN;
use crate::project::{Project, Ran, people_csv};

/// Runs the action with these inputs (`select=people`) in a project.
fn act(project: &Project, inputs: &[&str]) -> Ran {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ci/action.sh");
    let binaries = PathBuf::from(env!("CARGO_BIN_EXE_syncline"));
    let path = format!("{}:{}", binaries.parent().expect("a folder").display(), std::env::var("PATH").expect("a PATH"));
    let mut command = Command::new("bash");
    command.arg(script).current_dir(project.root()).env("PATH", path).env("RUNNER_TEMP", project.path("temp"));
    command.env("GITHUB_OUTPUT", project.path("output")).env("GITHUB_STEP_SUMMARY", project.path("summary"));
    for name in ["SYNCLINE_ENV", "GITHUB_TOKEN", "GITHUB_ACTIONS", "GITHUB_REPOSITORY", "GITHUB_REF"] {
        command.env_remove(name);
    }
    command.env("INPUT_TOKEN", TOKEN);
    for (name, value) in inputs.iter().filter_map(|input| input.split_once('=')) {
        command.env(format!("INPUT_{}", name.to_uppercase().replace('-', "_")), value);
    }
    for file in ["output", "summary"] {
        project.write(file, "");
    }
    project.write("temp/.keep", "");
    let ran = Ran::new(command.output().expect("bash"));
    assert!(!ran.stdout.contains("canary") && !ran.stderr.contains("canary"), "{}\n{}", ran.stdout, ran.stderr);
    ran
}

/// An output of the last run.
fn output(project: &Project, name: &str) -> String {
    let text = project.read("output");
    let value = text.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
    value.unwrap_or_else(|| panic!("no `{name}` in {text}")).1.to_owned()
}

fn people(sync: &str) -> Project {
    let project = Project::people("mirror", &format!("{sync}fields: {{ name: name }}\n"));
    project.write("data/people.csv", &people_csv(100));
    project
}

#[test]
fn a_plan_and_its_apply() {
    let project = people("");
    let ran = act(&project, &["command=plan"]).code(0);
    assert!(ran.stdout.contains("100 added"), "{}", ran.stdout);
    for (name, value) in [("exit-code", "2"), ("SYNCLINE_ADDED", "100"), ("SYNCLINE_VERDICT", "changes")] {
        assert_eq!(output(&project, name), value);
    }
    assert!(output(&project, "SYNCLINE_DIGEST").starts_with("sha256:"));
    let folder = PathBuf::from(output(&project, "directory"));
    for file in ["plan.html", "plan.json", "plan.md"] {
        assert!(folder.join(file).exists(), "{file}");
    }
    assert!(project.read("summary").contains("### Plan: 100 added"), "{}", project.read("summary"));
    act(&project, &["command=apply"]).code(0);
    assert_eq!((output(&project, "exit-code"), output(&project, "SYNCLINE_STATUS")), ("0".into(), "succeeded".into()));
    assert!(project.read("summary").contains("### Applied: 100 succeeded"), "{}", project.read("summary"));
    act(&project, &["command=plan", "select=people"]).code(0);
    assert_eq!((output(&project, "exit-code"), output(&project, "SYNCLINE_VERDICT")), ("0".into(), "unchanged".into()));
}

#[test]
fn what_goes_wrong_fails_the_job_and_says_where() {
    let project = people("guards: { max_removed: 10% }\n");
    act(&project, &["command=apply"]).code(0);
    project.write("data/people.csv", &people_csv(50));
    let ran = act(&project, &["command=plan"]).code(3);
    assert!(ran.stdout.contains("::error title=syncline::apply would refuse this plan"), "{}", ran.stdout);
    assert!(project.read("summary").contains("50 removed"), "the reviewer sees what is refused");
    assert_eq!((output(&project, "exit-code"), output(&project, "SYNCLINE_VERDICT")), ("3".into(), "refused".into()));
    act(&project, &["command=apply", "arguments=--allow\npeople:max_removed=50\n"]).code(0);

    let ran = act(&project, &["command=plan", "comment=true"]).code(1);
    assert!(ran.stdout.contains("::error title=syncline::the comment could not be written"), "{}", ran.stdout);
    assert!(ran.stderr.contains("neither GitHub Actions nor GitLab CI"), "{}", ran.stderr);

    project.edit("syncs/people.yaml", "mode: mirror", "mode: mirorr");
    let ran = act(&project, &["command=plan"]).code(1);
    assert!(ran.stdout.contains("::error file=syncs/people.yaml,line=5,"), "{}", ran.stdout);
    act(&project, &["command=validate"]).code(1);
    let ran = act(&project, &["command=$(touch pwned)"]).code(1);
    assert!(ran.stdout.contains("there is no command"), "{}", ran.stdout);
    assert!(!project.path("pwned").exists());
}
