//! The house keeps its arrows: which module may know which, who prints, who reads the environment, how long files are.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder or file below `src/`, what must not appear in it, why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("diff", PURE, "the diff is pure and deterministic"),
    ("plan", PURE, "a plan is pure and deterministic"),
    ("mapping", PURE, "a mapping is pure and deterministic"),
    (
        "manifest",
        &["crate::project", "crate::cli", "crate::plan", "crate::deliver", "crate::state", "crate::report"],
        "a file says what it says, whoever asks",
    ),
    (
        "sources",
        &["crate::project", "crate::plan", "crate::cli", "crate::state", "crate::deliver", "crate::report"],
        "a source knows neither project nor plan",
    ),
    (
        "destinations",
        &["crate::project", "crate::plan", "crate::cli", "crate::state", "crate::deliver", "crate::report"],
        "a destination knows neither project nor plan",
    ),
    (
        "connectors",
        &[
            "crate::project",
            "crate::plan",
            "crate::cli",
            "crate::state",
            "crate::deliver",
            "crate::report",
            "crate::diff",
            "crate::sources",
            "crate::render",
        ],
        "a connector knows an API and what is sent to it, not why",
    ),
    (
        "process",
        &["crate::project", "crate::plan", "crate::cli", "crate::sources", "crate::destinations", "crate::state"],
        "a program is run, whatever it is for",
    ),
    (
        "dbt",
        &["crate::project", "crate::plan", "crate::cli", "crate::sources", "crate::state", "std::fs", "tokio"],
        "what dbt says is read from bytes, whoever has them",
    ),
    (
        "diff",
        &["crate::plan", "crate::state", "crate::project", "crate::cli", "crate::deliver", "crate::destinations"],
        "the diff stands before the plan",
    ),
    (
        "mapping",
        &["crate::diff", "crate::plan", "crate::state", "crate::project", "crate::cli", "crate::deliver"],
        "the mapping stands before the diff",
    ),
    (
        "plan",
        &["crate::cli", "crate::state", "crate::deliver", "crate::report", "crate::project"],
        "a plan is made, not fetched",
    ),
    (
        "project",
        &["crate::cli", "crate::plan", "crate::state", "crate::deliver", "crate::report", "crate::diff"],
        "the project comes first",
    ),
    ("schedule", PURE, "when something is due follows from what is given"),
    (
        "schedule",
        &["crate::project", "crate::cli", "crate::plan", "crate::state", "crate::deliver", "crate::report"],
        "a schedule knows what is written, not who asks",
    ),
    ("deliver", &["crate::cli", "crate::project", "crate::report"], "delivery carries out a plan, whoever made it"),
    (
        "notify",
        &["crate::cli", "crate::project", "crate::plan", "crate::deliver", "crate::report"],
        "who carries a message does not choose it",
    ),
    (
        "import",
        &[
            "tokio",
            "std::env",
            "reqwest",
            "crate::cli",
            "crate::report",
            "crate::plan",
            "crate::state",
            "crate::deliver",
            "crate::diff",
            "crate::http",
        ],
        "an import turns files into files",
    ),
    (
        "forge",
        &[
            "crate::project",
            "crate::plan",
            "crate::cli",
            "crate::state",
            "crate::deliver",
            "crate::report",
            "crate::notify",
            "crate::render",
        ],
        "who posts a comment does not know what it says",
    ),
    (
        "usage",
        &["crate::cli", "crate::project", "crate::plan", "crate::deliver", "crate::report", "crate::state"],
        "who counts keys does not know who reads them",
    ),
    ("state", &["crate::cli", "crate::report", "crate::sources"], "the state is below the commands"),
    (
        "sandbox",
        &["crate::project", "crate::plan", "crate::deliver", "crate::destinations", "crate::cli", "crate::state"],
        "a stand-in that knows the product would repeat its mistakes",
    ),
    (
        "report",
        &["crate::cli", "crate::project", "crate::state", "crate::deliver", "crate::sources"],
        "a report is made from the JSON form alone",
    ),
];

const PURE: &[&str] =
    &["tokio", "std::env", "SystemTime", "Instant::now", "Timestamp::now", "std::net", "println!", "reqwest"];

/// Only these may print, read the environment, or name the YAML parser.
const ONLY: &[(&str, &[&str])] = &[
    ("println!", &["cli/", "report/", "main.rs"]),
    ("print!(", &["cli/", "report/", "main.rs"]),
    ("std::env::var", &["render.rs", "render/", "secret.rs"]),
    ("env::vars", &["render.rs", "render/", "secret.rs"]),
    ("serde_saphyr", &["manifest/document.rs", "manifest/document/"]),
    ("git2", &["project/tree/"]),
];

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, files) } else { files.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
    let rust = files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| (name(path), fs::read_to_string(path).expect("a readable file"))).collect()
}

/// The text without comments and without its tests: both may name anything.
fn code(name: &str, text: &str) -> String {
    if name.ends_with("/tests.rs") || name.contains("/tests/") || name.ends_with("fixtures.rs") {
        return String::new();
    }
    let body = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn arrows_point_the_way_of_the_data() {
    let mut broken = Vec::new();
    for (name, text) in sources() {
        let code = code(&name, &text);
        for (room, words, why) in FORBIDDEN {
            if name.starts_with(&format!("{room}/")) || name == format!("{room}.rs") {
                let found = words.iter().filter(|word| code.contains(**word));
                broken.extend(found.map(|word| format!("src/{name} names `{word}`: {why}")));
            }
        }
        for (word, allowed) in ONLY {
            if code.contains(word) && !allowed.iter().any(|place| name.starts_with(place)) {
                broken.push(format!("src/{name} names `{word}`; only {} may", allowed.join(", ")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_stay_small() {
    let mut lengths: Vec<_> = sources().into_iter().map(|(name, text)| (text.lines().count(), name)).collect();
    lengths.sort();
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > 600).collect();
    assert!(long.is_empty(), "over 600 lines: {long:?}");
    let vague: Vec<_> = lengths
        .iter()
        .filter(|(_, name)| ["utils", "util", "common", "helpers", "manager"].iter().any(|word| name.contains(word)))
        .collect();
    assert!(vague.is_empty(), "a name that says nothing: {vague:?}");
}

#[test]
fn no_arrow_version_stands_twice() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("Cargo.lock");
    for name in ["arrow-array", "arrow-schema", "parquet"] {
        let count = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(count, 1, "{name} is in the tree {count} times");
    }
}
