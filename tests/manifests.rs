//! Projects with their diagnostics beside them: `tests/manifests/{valid,invalid}/*/`.
//!
//! Each folder is a project; `expected.txt` holds one line per diagnostic, `file:line:column severity code: message`,
//! the underlined text and the help below it. `UPDATE_EXPECTED=1` writes the files anew; without it they are compared,
//! and a missing one is a failure. An `environment.txt` names the environment to load the project for.

#[path = "manifests/hostile.rs"]
mod hostile;

#[path = "manifests/command.rs"]
mod command;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use syncline::diagnostic::{self, Diagnostic, Severity};
use syncline::project;

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(kind);
    let mut cases: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir()).collect();
    cases.sort();
    cases
}

/// A diagnostic as the expected files hold it.
fn show(diagnostic: &Diagnostic) -> String {
    let mut text = String::new();
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    match &diagnostic.place {
        Some(place) => {
            let (line, column) = place.line_column();
            let path = place.source.path.display();
            let _ = writeln!(text, "{path}:{line}:{column} {severity} {}: {}", diagnostic.code, diagnostic.message);
            let underlined =
                place.source.text.get(place.span.clone()).expect("the span lies on characters of the file");
            let _ = writeln!(
                text,
                "    here: {underlined:?}{}",
                diagnostic.label.as_ref().map(|l| format!(" ({l})")).unwrap_or_default()
            );
        }
        None => {
            let _ = writeln!(text, "{severity} {}: {}", diagnostic.code, diagnostic.message);
        }
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(text, "    help: {help}");
    }
    text
}

fn run(case: &Path) -> (project::Loaded, String) {
    let environment = std::fs::read_to_string(case.join("environment.txt")).ok();
    let loaded = project::load(case, environment.as_deref().map(str::trim));
    let shared = loaded.project.iter().flat_map(project::Project::shared_fields).map(|shared| shared.warning);
    let mut all: Vec<_> = loaded.diagnostics.iter().cloned().chain(shared).collect();
    diagnostic::sort(&mut all);
    let shown = all.iter().map(show).collect();
    (loaded, shown)
}

/// Compares with the expected file, or writes it.
fn compare(case: &Path, shown: &str) -> Result<(), String> {
    let path = case.join("expected.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, shown).map_err(|error| error.to_string())?;
    }
    let expected = std::fs::read_to_string(&path).map_err(|_| format!("{} is missing", path.display()))?;
    if expected == shown {
        return Ok(());
    }
    Err(format!("{}\n--- expected\n{expected}--- found\n{shown}", case.display()))
}

#[test]
fn valid_projects_load_with_no_error() {
    let mut failures = Vec::new();
    for case in cases("valid") {
        let (loaded, shown) = run(&case);
        if loaded.project.is_none() {
            failures.push(format!("{}: no project\n{shown}", case.display()));
        }
        failures.extend(compare(&case, &shown).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn invalid_projects_are_told_what_is_wrong_and_where() {
    let cases = cases("invalid");
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let mut failures = Vec::new();
    for case in cases {
        let (loaded, shown) = run(&case);
        if loaded.project.is_some() {
            failures.push(format!("{}: loads", case.display()));
        }
        failures.extend(compare(&case, &shown).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn twenty_faults_in_ten_files_are_twenty_diagnostics() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/invalid/twenty_faults");
    let (loaded, shown) = run(&case);
    assert_eq!(loaded.diagnostics.len(), 20, "{shown}");
    let files: std::collections::BTreeSet<_> =
        loaded.diagnostics.iter().filter_map(|d| Some(d.place.as_ref()?.source.path.clone())).collect();
    assert_eq!(files.len(), 10, "{files:?}");
}
