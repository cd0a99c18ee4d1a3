//! Diagnostics as GitLab's code quality report: findings beside the lines of a merge request.
//! <https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::diagnostics::file;
use super::escape::visible;
use crate::diagnostic::{Diagnostic, Place, Severity};

/// The findings. `below` is the way from the root of the repository to the project: GitLab names files from there.
///
/// A fingerprint is made of code, file and message and not of the line, so that a finding is the same one after lines were
/// put in above it; those that are alike are numbered. Of two with one fingerprint GitLab shows one.
pub fn findings(diagnostics: &[Diagnostic], below: &Path) -> Value {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let finding = |diagnostic: &Diagnostic| {
        let at = diagnostic.place.as_ref();
        // A fault that is nowhere, as that of an empty folder, must be somewhere here.
        let nowhere = || slashes(&below.join("syncline.yaml"));
        let file = at.map_or_else(nowhere, |place| path(place, below));
        let same = format!("{}\n{file}\n{}", diagnostic.code, diagnostic.message);
        let number = seen.entry(same.clone()).or_default();
        *number += 1;
        json!({
            "description": words(diagnostic, ". "),
            "check_name": diagnostic.code,
            "fingerprint": hex::encode(Sha256::digest(format!("{same}\n{number}"))),
            "severity": match diagnostic.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
            },
            "location": { "path": file, "lines": { "begin": at.map_or(1, |place| place.line_column().0) } },
        })
    };
    Value::Array(diagnostics.iter().map(finding).collect())
}

/// Message, label and help, without hidden characters.
pub(super) fn words(diagnostic: &Diagnostic, between: &str) -> String {
    let parts = [Some(&diagnostic.message), diagnostic.label.as_ref(), diagnostic.help.as_ref()];
    parts.into_iter().flatten().map(|part| visible(part)).collect::<Vec<_>>().join(between)
}

/// The file of a place, seen from the root of the repository.
pub(super) fn path(place: &Place, below: &Path) -> String {
    slashes(&below.join(file(place).trim_start_matches("./")))
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::place;

    fn fingerprints(report: &Value) -> Vec<String> {
        let all = report.as_array().expect("a list");
        all.iter().map(|finding| finding["fingerprint"].as_str().expect("a text").to_owned()).collect()
    }

    #[test]
    fn findings_say_what_gitlab_needs() {
        let text = "name: users\nmode: upsrt\n";
        let fault = Diagnostic::error("unknown-mode", "no mode `upsrt`", Some(place("./syncs/a.yaml", text, "upsrt")))
            .with_help("did you mean `upsert`?");
        let report = findings(&[fault, Diagnostic::warning("no-project", "nothing here", None)], Path::new("crm"));
        let mut first = report[0].clone();
        first.as_object_mut().expect("an object").remove("fingerprint");
        assert_eq!(
            first,
            json!({
                "description": "no mode `upsrt`. did you mean `upsert`?",
                "check_name": "unknown-mode",
                "severity": "major",
                "location": { "path": "crm/syncs/a.yaml", "lines": { "begin": 2 } },
            })
        );
        assert_eq!(report[1]["severity"], "minor");
        assert_eq!(report[1]["location"], json!({ "path": "crm/syncline.yaml", "lines": { "begin": 1 } }));
        assert_eq!(findings(&[], Path::new("")), json!([]));
    }

    #[test]
    fn fingerprints_outlive_lines_put_in_above_and_are_never_the_same() {
        let at =
            |text: &str, file: &str| Diagnostic::error("unknown-field", "no field `x`", Some(place(file, text, "x")));
        let before = findings(&[at("x: 1\n", "a.yaml"), at("x: 1\n", "a.yaml"), at("x: 1\n", "b.yaml")], Path::new(""));
        let after = findings(&[at("\n\n\nx: 1\n", "a.yaml")], Path::new(""));
        let all = fingerprints(&before);
        assert_eq!(all[0], fingerprints(&after)[0]);
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{all:?}");
    }
}
