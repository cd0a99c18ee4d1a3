use serde_json::{Value, json};

use super::*;
use crate::report::fixtures::place;

const SYNC: &str =
    "name: users\nmodel: contacts\nmode: upsrt\nfields:\n  größe: { column: \"größe\" }\n  plan: plann\n";

fn some() -> Vec<Diagnostic> {
    vec![
        Diagnostic::error("unknown-value", "`upsrt` is no mode", Some(place("syncs/users.yaml", SYNC, "upsrt")))
            .with_label("expected one of `insert`, `update`, `upsert`, `mirror`")
            .with_help("did you mean `upsert`?"),
        Diagnostic::warning(
            "unused-column",
            "column `größe` is not in the model",
            Some(place("syncs/users.yaml", SYNC, "\"größe\"")),
        ),
        Diagnostic::error("no-project", "there is no `syncline.yaml` here", None)
            .with_help("make one: `syncline init`"),
    ]
}

#[test]
fn each_has_its_place_underlined_and_the_last_line_counts() {
    insta::assert_snapshot!("text", text(&some(), false));
}

#[test]
fn no_diagnostics_no_text() {
    assert_eq!(text(&[], false), "");
    assert_eq!(summary(&[]), "0 errors");
}

#[test]
fn colour_only_doubles_the_words() {
    let coloured = text(&some(), true);
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), text(&some(), false));
}

#[test]
fn one_endless_line_does_not_flood_the_terminal() {
    let long = format!("a: {}x{}", "[".repeat(500_000), "]".repeat(500_000));
    let d = Diagnostic::error("too-deep", "nested too deeply", Some(place("a.yaml", &long, "x"))).with_label("here");
    let shown = text(&[d], false);
    assert!(shown.len() < 2_000, "{} bytes", shown.len());
    assert!(shown.contains("a.yaml:1:500004"), "{shown}");
}

#[test]
fn a_file_cannot_steer_the_terminal() {
    let evil = "x: \u{1b}]0;owned\u{7}\u{202e}evil\r\nnext: 1\r\n";
    let shown = text(&[Diagnostic::error("bad", "not \u{1b}[2J good", Some(place("e.yaml", evil, "evil")))], false);
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}', '\r']), "{shown:?}");
    assert!(shown.contains("evil"));
}

#[test]
fn any_span_is_shown() {
    let texts = ["", "\n", "a", "ü\n", "a\nb\nc", "a\n\n\nb\r\n", "👩👩\nx"];
    for source in texts {
        for start in 0..source.len() + 2 {
            for end in 0..source.len() + 3 {
                let mut at = place("t.yaml", source, "");
                at.span = start..end;
                let d = Diagnostic::error("any", "any", Some(at)).with_label("here");
                let shown = text(std::slice::from_ref(&d), false);
                assert!(shown.contains("[t.yaml:"), "{source:?} {start}..{end}: {shown}");
                validation(std::slice::from_ref(&d));
                crate::report::sarif::sarif(&[d]);
            }
        }
    }
}

#[test]
fn json_has_exact_places() {
    let all = serde_json::to_value(validation(&some())).unwrap();
    assert_eq!((&all["errors"], &all["warnings"]), (&json!(2), &json!(1)));
    assert_eq!(
        all["diagnostics"][1],
        json!({
            "severity": "warning", "code": "unused-column", "message": "column `größe` is not in the model",
            "file": "syncs/users.yaml", "line": 5, "column": 20, "end_line": 5, "end_column": 27,
            "label": null, "help": null
        })
    );
    assert_eq!(all["diagnostics"][2]["file"], Value::Null);
}

#[test]
fn errors_speak_in_two_lines() {
    let error = Error::Locked {
        message: "run `r1` on host a holds the lock of `prod`\nsince 12:00".into(),
        help: Some("wait, or `syncline state unlock`".into()),
    };
    assert_eq!(
        error_text(&error, false),
        "error: run `r1` on host a holds the lock of `prod`\n       since 12:00\n\nhint: wait, or `syncline state unlock`\n"
    );
    assert_eq!(error_text(&Error::failed("disk \u{1b}[31mfull"), false), "error: disk \\u{1b}[31mfull\n");
    assert!(error_text(&Error::Invalid(some()), false).ends_with("2 errors, 1 warning in 1 file\n"));
}
