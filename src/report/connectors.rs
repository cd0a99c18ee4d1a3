//! What connectors offer, for a person; made from the JSON form.

use std::fmt::Write;

use serde_json::Value;

/// The connectors there are: one block each.
pub fn list(connectors: &Value) -> String {
    let mut text = String::new();
    let items = connectors.as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return "There are no connectors.\n".into();
    }
    let width = items.iter().map(|item| word(item, "name").len()).max().unwrap_or(0);
    for item in items {
        let note = match word(item, "origin") {
            "built-in" => "",
            "replaces built-in" => " (of this project, in place of the built-in one)",
            _ => " (of this project)",
        };
        let _ =
            writeln!(text, "{:width$}  {}{note}", word(item, "name"), or(word(item, "description"), "no description"));
        let objects: Vec<&str> =
            item.get("objects").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let _ = writeln!(text, "{:width$}  {}", "", objects.join(", "));
    }
    text
}

/// One connector with all it offers.
pub fn detail(connector: &Value) -> String {
    let mut text = format!("{} ({})\n", word(connector, "name"), word(connector, "origin"));
    for line in ["description", "documentation"] {
        if let Some(words) = connector.get(line).and_then(Value::as_str) {
            let _ = writeln!(text, "{words}");
        }
    }
    text.push_str("\nconnection\n");
    settings(&mut text, connector.get("connection"), "  ");
    text.push_str("  base_url: text; takes the place of the address of the API\n");
    text.push_str("  ca_file: path; certificate authorities to trust beside the system's own\n");
    let limits: Vec<String> = entries(connector.get("limits")).map(|(name, limit)| limited(name, limit)).collect();
    if !limits.is_empty() {
        let _ = writeln!(text, "\nlimits\n  {}", limits.join("\n  "));
    }
    for (name, object) in entries(connector.get("objects")) {
        self::object(&mut text, name, object);
    }
    text
}

/// Cases that were run, and how many of them failed.
pub fn cases(results: &Value) -> (String, usize) {
    let (mut text, mut all, mut failed) = (String::new(), 0, 0);
    for result in results.as_array().map(Vec::as_slice).unwrap_or_default() {
        let cases = result.get("cases").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let _ = writeln!(text, "{}{}", word(result, "connector"), if cases.is_empty() { ": no cases" } else { "" });
        for case in cases {
            let failures = case.get("failures").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            all += 1;
            failed += usize::from(!failures.is_empty());
            let _ = writeln!(text, "  {}: {}", if failures.is_empty() { "ok" } else { "FAILED" }, word(case, "name"));
            for line in failures.iter().filter_map(Value::as_str).flat_map(str::lines) {
                let _ = writeln!(text, "      {line}");
            }
        }
    }
    let _ = writeln!(text, "{all} {}, {failed} failed.", if all == 1 { "case" } else { "cases" });
    (text, failed)
}

fn object(text: &mut String, name: &str, object: &Value) {
    let _ = writeln!(text, "\nobject {name}");
    if let Some(words) = object.get("description").and_then(Value::as_str) {
        let _ = writeln!(text, "  {words}");
    }
    let identifier = |(name, facts): (&str, &Value)| {
        let modes: Vec<&str> =
            facts.get("modes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if modes.is_empty() { name.to_owned() } else { format!("{name} (mode {})", modes.join(", ")) }
    };
    let mut identifiers: Vec<String> = entries(object.get("identifiers")).map(identifier).collect();
    if is(object, "open_identifiers") {
        identifiers.push("any other name".to_owned());
    }
    let join = if word(object, "match") == "one" { " or " } else { " and " };
    let _ = writeln!(text, "  match: {}", or(&identifiers.join(join), "–"));
    text.push_str("  modes:\n");
    for (mode, facts) in entries(object.get("modes")) {
        let removed: Vec<&str> =
            facts.get("on_removed").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut words = Vec::new();
        if let Some(records) = facts.get("batch_size").and_then(Value::as_u64) {
            words.push(if records == 1 { "1 record a request".into() } else { format!("{records} records a request") });
        }
        if let Some(bytes) = facts.get("batch_bytes").and_then(Value::as_u64) {
            words.push(format!("{bytes} bytes"));
        }
        if is(facts, "looks_up_first") {
            words.push("looked up first".into());
        }
        words.push(format!("class {}: {}", word(facts, "class"), class(word(facts, "class"))));
        words.push(format!("removed rows: {}", removed.join(", ")));
        let _ = writeln!(text, "    {mode:7} {}", words.join("; "));
    }
    let fields: Vec<_> = entries(object.get("fields")).collect();
    if !fields.is_empty() || is(object, "open_fields") {
        text.push_str("  fields:\n");
    }
    for (name, field) in fields {
        let required = if is(field, "required") { ", required" } else { "" };
        let about = about(field);
        let _ = writeln!(text, "    {name}: {}{required}{about}", word(field, "type"));
    }
    if is(object, "open_fields") {
        text.push_str("    any other name\n");
    }
    if entries(object.get("options")).next().is_some() {
        text.push_str("  options:\n");
        settings(text, object.get("options"), "    ");
    }
    if let Some(why) = object.get("unreadable").and_then(Value::as_str) {
        let _ = writeln!(text, "  not read back by `verify`: {why}");
    } else if !is(object, "reads_back") {
        text.push_str("  not read back by `verify`: the connector does not say how\n");
    }
}

/// How an answer that was lost is dealt with.
fn class(class: &str) -> &'static str {
    match class {
        "A" => "safe to send again",
        "B" => "sent again with the same id, which is dropped there",
        "C" => "looked up when an answer was lost",
        _ => "`delivery.on_doubt` decides when an answer was lost",
    }
}

fn settings(text: &mut String, settings: Option<&Value>, indent: &str) {
    for (name, setting) in entries(settings) {
        let mut words = match setting.get("enum").and_then(Value::as_array) {
            Some(values) => values.iter().map(bare).collect::<Vec<_>>().join(" | "),
            None => word(setting, "type").to_owned(),
        };
        for flag in ["required", "secret"] {
            if is(setting, flag) {
                let _ = write!(words, ", {flag}");
            }
        }
        if let Some(default) = setting.get("default").filter(|default| !default.is_null()) {
            let _ = write!(words, ", {} when absent", bare(default));
        }
        let _ = writeln!(text, "{indent}{name}: {words}{}", about(setting));
    }
}

fn limited(name: &str, limit: &Value) -> String {
    let mut words = Vec::new();
    if let Some(requests) = limit.get("requests").and_then(Value::as_u64) {
        words.push(format!("{requests} requests per {}", word(limit, "per")));
    }
    if let Some(concurrent) = limit.get("concurrent").and_then(Value::as_u64) {
        words.push(format!("{concurrent} at once"));
    }
    if let Some(reserve) = limit.get("reserve").and_then(Value::as_str) {
        words.push(format!("{reserve} left to others"));
    }
    format!("{name}: {}", words.join(", "))
}

fn about(value: &Value) -> String {
    value.get("description").and_then(Value::as_str).map(|text| format!(" – {text}")).unwrap_or_default()
}

fn entries(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_project_s_own_connector_in_place_of_a_built_in_one_is_noted() {
        let text = list(&json!([
            { "name": "crm", "origin": "project", "description": "People.", "objects": ["person", "list"] },
            { "name": "hubspot", "origin": "replaces built-in", "objects": ["contact"] },
        ]));
        let expected = "crm      People. (of this project)\n         person, list\n\
                        hubspot  no description (of this project, in place of the built-in one)\n         contact\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn failed_cases_say_what_differs() {
        let results = json!([
            { "connector": "crm", "cases": [
                { "name": "a person", "failures": [] },
                { "name": "a list", "failures": ["request 1: the body differs\n  expected {}\n  found []"] },
            ] },
            { "connector": "chat", "cases": [] },
        ]);
        let (text, failed) = cases(&results);
        let expected = "crm\n  ok: a person\n  FAILED: a list\n      request 1: the body differs\n        expected {}\n        \
                        found []\nchat: no cases\n2 cases, 1 failed.\n";
        assert_eq!((text.as_str(), failed), (expected, 1));
    }
}
