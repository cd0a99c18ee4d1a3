//! Diagnostics as SARIF 2.1.0, for code scanning of forges.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::diagnostics::{end, file, severity};
use crate::diagnostic::{Diagnostic, Place};

/// One SARIF log with one run. Columns are UTF-16 code units; artifact URIs are relative to the project root.
pub fn sarif(diagnostics: &[Diagnostic]) -> Value {
    let mut rules: BTreeMap<&str, usize> = diagnostics.iter().map(|d| (d.code, 0)).collect();
    rules.values_mut().enumerate().for_each(|(n, index)| *index = n);
    let results: Vec<Value> = diagnostics.iter().map(|d| result(d, &rules)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "syncline",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.keys().map(|code| json!({ "id": code })).collect::<Vec<_>>(),
            } },
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    })
}

fn result(d: &Diagnostic, rules: &BTreeMap<&str, usize>) -> Value {
    let mut text = d.message.clone();
    for more in [&d.label, &d.help].into_iter().flatten() {
        text.push('\n');
        text.push_str(more);
    }
    let mut result = json!({
        "ruleId": d.code,
        "ruleIndex": rules.get(d.code),
        "level": severity(d.severity),
        "message": { "text": text },
    });
    if let (Some(place), Some(object)) = (&d.place, result.as_object_mut()) {
        let (start, end) = (line_column(place), line_column(&end(place)));
        object.insert(
            "locations".into(),
            json!([{ "physicalLocation": {
                "artifactLocation": { "uri": uri(&file(place)), "uriBaseId": "%SRCROOT%" },
                "region": { "startLine": start.0, "startColumn": start.1, "endLine": end.0, "endColumn": end.1 },
            } }]),
        );
    }
    result
}

/// Line and column from 1, the column in UTF-16 code units.
fn line_column(place: &Place) -> (usize, usize) {
    let (line, column) = place.line_column();
    let text = place.source.text.split('\n').nth(line - 1).unwrap_or("");
    (line, text.chars().take(column - 1).map(char::len_utf16).sum::<usize>() + 1)
}

/// A relative path as a URI: everything but unreserved characters and `/` is percent-encoded.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::place;

    #[test]
    fn columns_count_utf16_units() {
        let text = "name: 👩 x\n";
        let d = Diagnostic::error("unknown-field", "no field `x`", Some(place("syncs/größe 1.yaml", text, "x")))
            .with_help("remove it");
        let log = sarif(&[d.clone(), Diagnostic::warning("empty", "nothing here", None), d]);
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"], json!([{ "id": "empty" }, { "id": "unknown-field" }]));
        let result = &run["results"][0];
        assert_eq!((&result["ruleIndex"], &result["level"]), (&json!(1), &json!("error")));
        assert_eq!(result["message"]["text"], "no field `x`\nremove it");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "syncs/gr%C3%B6%C3%9Fe%201.yaml");
        // The woman is two units: characters would say 9.
        assert_eq!(place["region"], json!({ "startLine": 1, "startColumn": 10, "endLine": 1, "endColumn": 11 }));
        assert_eq!(run["results"][1]["level"], "warning");
        assert!(run["results"][1].get("locations").is_none());
    }
}
