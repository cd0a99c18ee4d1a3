//! The engine as a whole. Most of what it does is shown by cases, which anybody can read and extend: those of the
//! connectors themselves, and those in `tests/connectors/`.

mod laws;
mod server;
mod tokens;
mod written;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Compiled, Fault, builtin, run_cases};
use crate::diagnostic::SourceText;
use crate::manifest::connector::Connector;
use crate::manifest::document::Document;

fn parse(name: &str, text: &str) -> Connector {
    let source = SourceText { path: PathBuf::from(name), text: text.into() };
    let document = Document::parse(source).unwrap_or_else(|faults| {
        let told = |d: &crate::diagnostic::Diagnostic| {
            format!("{:?}: {}", d.place.as_ref().map(|p| p.line_column()), d.message)
        };
        panic!("{name}: {:#?}", faults.iter().map(told).collect::<Vec<_>>())
    });
    serde_path_to_error::deserialize(document.to_json()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn compile(name: &str, text: &str) -> Arc<Compiled> {
    Arc::new(Compiled::new(&parse(name, text)).unwrap_or_else(|faults| panic!("{name}: {faults:#?}")))
}

/// The YAML files of a folder of the repository.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn connectors_do_what_their_cases_say() {
    let mut failed = Vec::new();
    for (name, text) in files("connectors").into_iter().chain(files("tests/connectors")) {
        let results = run_cases(&compile(&name, &text)).await;
        assert!(!results.is_empty(), "{name} has no cases");
        for result in results.into_iter().filter(|result| !result.failures.is_empty()) {
            failed.push(format!("{name}: {}\n    {}", result.name, result.failures.join("\n    ")));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn all_connectors_are_in_the_binary() {
    let there: Vec<String> = files("connectors").into_iter().map(|(name, _)| name).collect();
    let mut known: Vec<&str> = builtin().map(|(name, _)| name).collect();
    known.sort_unstable();
    assert_eq!(known, there);
    for (name, text) in builtin() {
        assert_eq!(parse(name, text).name, name);
    }
}

/// A case can fail: each of these says something that is not so.
#[tokio::test]
async fn a_case_that_is_not_so_fails() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connectors/shapes.yaml")).unwrap();
    for (right, wrong) in [
        ("outcomes: [succeeded, \"rejected: 1003\"]", "outcomes: [succeeded, succeeded]"),
        ("{ id: a, size: 1 }, { id: b", "{ id: a, size: 2 }, { id: b"),
        ("error: lost", "error: refused"),
        ("path: /order", "path: /orders"),
    ] {
        let at = text.rfind("cases:").unwrap();
        let broken = format!("{}{}", &text[..at], text[at..].replacen(right, wrong, 1));
        assert_ne!(broken, text, "{right}");
        let results = run_cases(&compile("shapes", &broken)).await;
        assert!(results.iter().any(|result| !result.failures.is_empty()), "{wrong}");
    }
}

/// `tests/connectors/invalid/`: each file ends with the faults it has, as comments.
#[test]
fn faults_are_found_before_anything_is_sent() {
    for (name, text) in files("tests/connectors/invalid") {
        let expected: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# fault: ")).collect();
        let found = Compiled::new(&parse(&name, &text)).err().unwrap_or_default();
        let shown = |Fault { pointer, message, help, .. }: Fault| match help {
            Some(help) => format!("{pointer}: {message} ({help})"),
            None => format!("{pointer}: {message}"),
        };
        let found: Vec<String> = found.into_iter().map(shown).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn faults_within_a_template_have_their_place() {
    let text = "name: x\napi: { base_url: 'https://{{ conection.host }}' }\nobjects: {}\n";
    let faults = Compiled::new(&parse("x", text)).unwrap_err();
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    assert_eq!(fault.range.clone().map(|range| &"https://{{ conection.host }}"[range]), Some("conection"));
    assert_eq!(fault.help.as_deref(), Some("did you mean `connection`?"));
}

#[test]
fn authorities_of_a_connection_are_read_before_anything_is_sent() {
    let open = |ca_file: &str| {
        let values = serde_json::json!({ "api_key": "k", "ca_file": ca_file });
        let values = values.as_object().cloned().unwrap_or_default();
        let connection = crate::secret::Connection::new(values, Vec::new());
        let (_, text) = builtin().find(|(name, _)| *name == "iterable").expect("it is built in");
        super::open(compile("iterable", text), &connection, &super::Setup::default()).map(drop)
    };
    let error = open("/nowhere/authorities.pem").expect_err("there is no such file").to_string();
    assert!(error.contains("/nowhere/authorities.pem"), "{error}");
}
