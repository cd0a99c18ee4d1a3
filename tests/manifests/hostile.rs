//! Input made to break a parser: it must end in a diagnostic, soon, and never in a panic.

use std::fs;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use syncline::diagnostic::{Diagnostic, Severity, SourceText};
use syncline::manifest::document::Document;
use syncline::project;

fn parse(text: &str) -> Result<Document, Vec<Diagnostic>> {
    Document::parse(SourceText { path: "x.yaml".into(), text: text.into() })
}

/// The code of the only fault, and that it was found in time (generous: test machines are busy).
fn refused(text: &str) -> &'static str {
    let start = Instant::now();
    let faults = parse(text).expect_err("refused");
    assert!(start.elapsed() < Duration::from_secs(2), "took {:?}", start.elapsed());
    faults[0].code
}

#[test]
fn bombs_are_refused_quickly() {
    let lines = |n: usize, line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
    let nested = lines(120, &|i| format!("{}a:\n", " ".repeat(i)));
    let billion = lines(30, &|i| match i {
        0 => "a0: &a0 [x, x]\n".to_owned(),
        i => format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1),
    });
    let chain = lines(100, &|i| match i {
        0 => "a0: &a0 [x]\n".to_owned(),
        i => format!("a{i}: &a{i} [*a{}]\n", i - 1),
    });
    let cases = [
        ("a megabyte of brackets", "[".repeat(1 << 20), "file-too-large"),
        ("as many brackets as fit", "[".repeat(250_000), "too-deep"),
        ("as many braces as fit", "{a: ".repeat(60_000), "too-deep"),
        ("a deep block", nested, "too-deep"),
        ("dashes", "- ".repeat(100_000), "too-deep"),
        ("doubling aliases", billion, "too-many-values"),
        ("a chain of aliases", chain, "too-deep"),
        ("many aliases", format!("a: &a 1\nb: [{}]\n", "*a, ".repeat(1_000)), "too-many-aliases"),
        ("many values", format!("a: [{}]\n", "1,".repeat(100_000)), "too-many-values"),
        ("an alias of itself", "a: &a [*a]\n".to_owned(), "recursive-alias"),
    ];
    for (what, text, code) in cases {
        assert_eq!(refused(&text), code, "{what}");
    }
}

#[test]
fn many_keys_do_not_take_quadratic_time() {
    let text: String = (0..20_000).map(|i| format!("k{i}: 1\n")).collect();
    let start = Instant::now();
    assert!(parse(&text).is_ok());
    assert!(start.elapsed() < Duration::from_secs(3), "took {:?}", start.elapsed());
}

#[test]
fn a_huge_manifest_in_a_project_is_one_diagnostic() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("syncs")).unwrap();
    fs::write(dir.path().join("syncline.yaml"), "name: x\n").unwrap();
    fs::write(dir.path().join("syncs/big.yaml"), "[".repeat(1 << 20)).unwrap();
    let start = Instant::now();
    let loaded = project::load(dir.path(), None);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(loaded.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["file-too-large"]);
}

#[cfg(unix)]
#[test]
fn links_out_of_the_project_are_refused() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for folder in ["syncs", "models", "sources", "destinations"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    fs::write(outside.path().join("sync.yaml"), "name: sync\n").unwrap();
    fs::write(outside.path().join("secret.sql"), "select 1\n").unwrap();
    fs::write(root.join("syncline.yaml"), "name: x\n").unwrap();
    symlink(outside.path().join("sync.yaml"), root.join("syncs/sync.yaml")).unwrap();
    symlink(outside.path().join("secret.sql"), root.join("models/m.sql")).unwrap();
    symlink(outside.path(), root.join("data")).unwrap();
    fs::write(root.join("sources/s.yaml"), "name: s\ntype: files\nconnection: { path: data }\n").unwrap();
    fs::write(root.join("models/m.yaml"), "name: m\nsource: s\nsql_file: m.sql\nprimary_key: [id]\n").unwrap();
    let loaded = project::load(root, None);
    let found: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|d| (d.place.as_ref().unwrap().source.path.display().to_string(), d.code, d.severity))
        .collect();
    let expected = ["models/m.yaml", "sources/s.yaml", "syncs/sync.yaml"];
    assert_eq!(found, expected.map(|path| (path.to_owned(), "outside-project", Severity::Error)));
    // A link that stays inside is as good as the file.
    fs::remove_file(root.join("data")).unwrap();
    fs::remove_file(root.join("models/m.sql")).unwrap();
    fs::remove_file(root.join("syncs/sync.yaml")).unwrap();
    fs::write(root.join("real.sql"), "select 1 as id\n").unwrap();
    symlink(root.join("real.sql"), root.join("models/m.sql")).unwrap();
    assert!(project::load(root, None).project.is_some());
}

#[test]
fn not_utf_8_is_underlined_at_the_first_bad_byte() {
    let fault = Document::decode("x.yaml".as_ref(), b"name: ok\nother: \xff\xfe\n").unwrap_err();
    assert_eq!(fault.code, "invalid-utf8");
    assert_eq!(fault.place.unwrap().line_column(), (2, 8));
}

/// A fault's line with what is underlined below it, as a person sees it.
fn excerpt(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.place.as_ref().unwrap();
    let (line, column) = place.line_column();
    let text = place.source.text.lines().nth(line - 1).unwrap();
    let width = place.source.text[place.span.clone()].chars().count();
    format!("{text}\n{}{}", " ".repeat(column - 1), "^".repeat(width))
}

#[test]
fn a_template_error_in_a_sql_block_is_underlined_at_its_exact_column() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("models")).unwrap();
    fs::write(dir.path().join("syncline.yaml"), "name: x\nvars: { seats: 1 }\n").unwrap();
    let model = "name: m\nsource: s\nprimary_key: [id]\nsql: |\n    select 'ä' as a,\n      id\n    from t where seats > {{ vars.seat }} -- ä\n";
    fs::write(dir.path().join("models/m.yaml"), model).unwrap();
    let loaded = project::load(dir.path(), None);
    let fault = loaded.diagnostics.iter().find(|d| d.code == "undefined-name").unwrap();
    let expected = "    from t where seats > {{ vars.seat }} -- ä\n                            ^^^^^^^^^";
    assert_eq!(excerpt(fault), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(source) = Document::decode("x.yaml".as_ref(), &bytes) {
            let _ = Document::parse(source);
        }
    }

    /// Text that is nearly YAML gets further into the parser than noise does, and all its places must lie on characters.
    #[test]
    fn nearly_yaml_never_panics(parts in proptest::collection::vec(
        proptest::sample::select(vec![
            "name: x\n", "a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "'", "\"", "|\n", ">-\n", "&a ", "*a", "!!str ",
            "{{ vars.x }}", "{% if", "#", "ä", "\u{1F600}", "\t", "\r\n", "---\n", "<<: ", "\\u00e9", "1e9", "? ", "%",
        ]), 0..60)) {
        let text: String = parts.concat();
        if let Err(faults) = parse(&text) {
            for place in faults.iter().filter_map(|fault| fault.place.as_ref()) {
                prop_assert!(place.source.text.get(place.span.clone()).is_some(), "{text:?}: {:?}", place.span);
            }
        }
    }

    /// Whatever stands in a scalar, each of its bytes has a place within the file, in order.
    #[test]
    fn places_within_scalars_are_ordered(text in "[a-z ä\"'{}\\\\:#\n]{1,60}") {
        let quoted = serde_json::to_string(&text).unwrap();
        let block: String = text.lines().map(|line| format!("   {line}\n")).collect();
        for yaml in [format!("k: {quoted}\n"), format!("k: |2\n{block}"), format!("k: >\n{block}")] {
            let Ok(document) = parse(&yaml) else { continue };
            let Some(value) = document.to_json().get("k").and_then(|v| v.as_str().map(str::to_owned)) else { continue };
            let mut last = 0;
            for (at, c) in value.char_indices() {
                let place = document.place_within("/k", at..at + c.len_utf8());
                prop_assert!(place.span.start >= last && place.span.end <= yaml.len(), "{yaml:?} at {at}");
                prop_assert!(yaml.get(place.span.clone()).is_some());
                last = place.span.start;
            }
        }
    }
}
