//! What came of the tests of syncs: for a person, and as JUnit XML; made from the JSON form.

use std::fmt::Write;

use serde_json::Value;

use super::escape::{is_hidden, visible};
use super::terminal::paint::{Paint, Role};

/// How many cases failed, those of connectors included.
pub fn failed(results: &Value) -> usize {
    let tests = list(results, "tests").iter().flat_map(|test| list(test, "cases")).filter(|case| !is_ok(case));
    let connectors = list(results, "connectors").iter().flat_map(|c| list(c, "cases"));
    tests.count() + connectors.filter(|case| !list(case, "failures").is_empty()).count()
}

/// For a person.
pub fn text(results: &Value, color: bool) -> String {
    let paint = Paint { color };
    let mut text = String::new();
    let (mut all, mut failed) = (0, 0);
    for test in list(results, "tests") {
        let _ = writeln!(text, "{} ({})", visible(word(test, "sync")), visible(word(test, "file")));
        for case in list(test, "cases") {
            all += 1;
            failed += usize::from(!is_ok(case));
            let mark = if is_ok(case) { paint.role(Role::Good, "ok    ") } else { paint.role(Role::Bad, "FAILED") };
            let _ = writeln!(text, "  {mark}  {}", visible(word(case, "name")));
            for line in details(case) {
                let _ = writeln!(text, "          {}", visible(&line));
            }
        }
    }
    let (mut connector_cases, mut connectors_failed) = (0, 0);
    for connector in list(results, "connectors") {
        let cases = list(connector, "cases");
        let wrong: Vec<&Value> = cases.iter().filter(|case| !list(case, "failures").is_empty()).collect();
        connector_cases += cases.len();
        connectors_failed += wrong.len();
        let verdict = match wrong.len() {
            0 => "all ok".to_owned(),
            n => paint.role(Role::Bad, &format!("{n} FAILED")),
        };
        let name = visible(word(connector, "connector"));
        let _ = writeln!(text, "connector {name}: {}, {verdict}", counted(cases.len()));
        for case in wrong {
            let _ = writeln!(text, "  {}  {}", paint.role(Role::Bad, "FAILED"), visible(word(case, "name")));
            for line in list(case, "failures").iter().filter_map(Value::as_str).flat_map(str::lines) {
                let _ = writeln!(text, "          {}", visible(line));
            }
        }
    }
    let untested: Vec<String> = list(results, "untested").iter().filter_map(Value::as_str).map(visible).collect();
    if !untested.is_empty() {
        let _ = writeln!(text, "without a test: {}", untested.join(", "));
    }
    let _ = write!(text, "{}, {failed} failed", counted(all));
    if connector_cases > 0 {
        let _ = write!(text, "; {} of connectors, {connectors_failed} failed", counted(connector_cases));
    }
    text.push_str(".\n");
    text
}

/// One line after the other about a case that failed.
fn details(case: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for error in list(case, "errors") {
        lines.push(format!("{}: {}", at(error), word(error, "message")));
        lines.extend(error.get("help").and_then(Value::as_str).map(|help| format!("  help: {help}")));
    }
    for mismatch in list(case, "mismatches") {
        lines.push(format!("{}: row `{}`, {}", at(mismatch), word(mismatch, "row"), word(mismatch, "what")));
        lines.push(format!("  expected  {}", word(mismatch, "expected")));
        lines.push(format!("  got       {}", word(mismatch, "got")));
        lines.extend(mismatch.get("note").and_then(Value::as_str).map(|note| format!("  {note}")));
    }
    lines
}

/// `file:line:column`
fn at(value: &Value) -> String {
    let Some(place) = value.get("place").filter(|place| place.is_object()) else { return "the project".into() };
    let number = |key: &str| place.get(key).and_then(Value::as_u64).unwrap_or_default();
    format!("{}:{}:{}", word(place, "file"), number("line"), number("column"))
}

/// JUnit XML, as test reports of CI systems read it.
pub fn junit(results: &Value) -> String {
    let mut suites = String::new();
    let (mut all, mut wrong) = (0, 0);
    let mut suite = |name: &str, file: Option<&str>, cases: Vec<(String, Vec<String>)>| {
        let failures = cases.iter().filter(|(_, lines)| !lines.is_empty()).count();
        (all, wrong) = (all + cases.len(), wrong + failures);
        let name = attribute(name);
        let _ = writeln!(suites, "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\">", cases.len());
        let file = file.map(|file| format!(" file=\"{}\"", attribute(file))).unwrap_or_default();
        for (case, lines) in cases {
            let _ = write!(suites, "    <testcase classname=\"{name}\" name=\"{}\"{file}", attribute(&case));
            match lines.first() {
                None => suites.push_str("/>\n"),
                Some(first) => {
                    let (first, lines) = (attribute(first), attribute(&lines.join("\n")));
                    let _ =
                        write!(suites, ">\n      <failure message=\"{first}\">{lines}</failure>\n    </testcase>\n");
                }
            }
        }
        suites.push_str("  </testsuite>\n");
    };
    for test in list(results, "tests") {
        let cases = list(test, "cases").iter().map(|case| (word(case, "name").to_owned(), details(case)));
        suite(word(test, "test"), Some(word(test, "file")), cases.collect());
    }
    for connector in list(results, "connectors") {
        let cases = list(connector, "cases").iter().map(|case| {
            let failures = list(case, "failures").iter().filter_map(Value::as_str).map(str::to_owned);
            (word(case, "name").to_owned(), failures.collect())
        });
        suite(&format!("connector {}", word(connector, "connector")), None, cases.collect());
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"syncline\" tests=\"{all}\" failures=\"{wrong}\">\n{suites}</testsuites>\n"
    )
}

/// Text for XML; what XML cannot hold becomes `\u{FFFD}`.
fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if is_hidden(c) || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

fn counted(cases: usize) -> String {
    format!("{cases} {}", if cases == 1 { "case" } else { "cases" })
}

fn is_ok(case: &Value) -> bool {
    case.get("ok").and_then(Value::as_bool) == Some(true)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
