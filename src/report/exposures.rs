//! Syncs as dbt exposures, so that dbt's lineage shows where its models go; made from the graph's JSON form.
//!
//! The file goes below `model-paths` of the dbt project (<https://docs.getdbt.com/docs/build/exposures>). Strings are
//! JSON, which is YAML too. dbt renders them as templates, so what would begin one is written as a template that gives it
//! back.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value, json};

/// The text of the file, and the syncs that are not in it because they read no dbt model.
pub fn exposures(graph: &Value) -> (String, Vec<String>) {
    let mut text = String::from(
        "# Written by `syncline graph --dbt-exposures`: change the syncs, not this file.\nversion: 2\n\nexposures:",
    );
    let (mut left_out, mut names) = (Vec::new(), BTreeSet::new());
    for node in list(graph, "nodes").iter().filter(|node| word(node, "kind") == "sync") {
        let depends_on = references(graph, word(node, "id"));
        if depends_on.is_empty() {
            left_out.push(word(node, "name").to_owned());
            continue;
        }
        let mut name = identifier(word(node, "name"));
        while !names.insert(name.clone()) {
            name.push('_');
        }
        let _ = write!(text, "\n  - name: {name}\n    label: {}\n    type: application\n", label(graph, node));
        if let Some(description) = node.get("description").and_then(Value::as_str) {
            let _ = writeln!(text, "    description: {}", quoted(description));
        }
        text.push_str("    depends_on:\n");
        for reference in &depends_on {
            let _ = writeln!(text, "      - {}", Value::from(reference.as_str()));
        }
        text.push_str("    owner:\n");
        let owner = graph.get("owner").unwrap_or(&Value::Null);
        // dbt wants a name or an address: where nobody is named, the project is.
        let name = owner.get("name").and_then(Value::as_str).unwrap_or_else(|| word(graph, "project"));
        let _ = writeln!(text, "      name: {}", quoted(name));
        if let Some(email) = owner.get("email").and_then(Value::as_str) {
            let _ = writeln!(text, "      email: {}", quoted(email));
        }
        let _ = writeln!(text, "    config:\n      meta: {}", quoted_value(&meta(graph, node)));
    }
    text.push_str(if names.is_empty() { " []\n" } else { "" });
    (text, left_out)
}

/// What a program finds in `meta`.
fn meta(graph: &Value, node: &Value) -> Value {
    let mut meta = Map::new();
    meta.insert("tool".into(), "syncline".into());
    // A project without environments has none to name.
    for key in ["project", "environment"].into_iter().filter(|key| !word(graph, key).is_empty()) {
        meta.insert(key.into(), word(graph, key).into());
    }
    meta.insert("sync".into(), word(node, "name").into());
    meta.insert("destination".into(), destination(graph, node).into());
    for key in ["object", "mode"] {
        meta.insert(key.into(), word(node, key).into());
    }
    json!({ "syncline": meta })
}

/// `iterable_production → iterable user`
fn label(graph: &Value, node: &Value) -> String {
    quoted(&format!("{} → {} {}", word(node, "name"), destination(graph, node), word(node, "object")))
}

fn destination<'a>(graph: &'a Value, sync: &Value) -> &'a str {
    let mut records = list(graph, "edges").iter().filter(|edge| word(edge, "kind") == "records");
    let to = records.find(|edge| word(edge, "from") == word(sync, "id")).map_or("", |edge| word(edge, "to"));
    to.split_once(':').map_or(to, |(_, name)| name)
}

/// The dbt models a sync reads, through the models that are made of others.
fn references(graph: &Value, sync: &str) -> BTreeSet<String> {
    let (mut pending, mut seen, mut found) = (vec![sync], BTreeSet::new(), BTreeSet::new());
    while let Some(id) = pending.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = list(graph, "nodes").iter().find(|node| word(node, "id") == id);
        found.extend(node.and_then(|node| Some(node.pointer("/dbt/reference")?.as_str()?.to_owned())));
        let above = list(graph, "edges").iter().filter(|edge| matches!(word(edge, "kind"), "rows" | "ref"));
        pending.extend(above.filter(|edge| word(edge, "to") == id).map(|edge| word(edge, "from")));
    }
    found
}

/// A name as dbt takes it: letters, digits and underscores.
fn identifier(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn quoted(text: &str) -> String {
    quoted_value(&text.into())
}

/// A value as JSON in which no text is a template to dbt.
fn quoted_value(value: &Value) -> String {
    fn plain(value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let mut safe = String::with_capacity(text.len());
                let mut rest = text.as_str();
                while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min() {
                    let (before, after) = rest.split_at(at);
                    let (open, after) = after.split_at(2);
                    let _ = write!(safe, "{before}{{{{ '{open}' }}}}");
                    rest = after;
                }
                safe.push_str(rest);
                safe.into()
            }
            Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), plain(value))).collect()),
            other => other.clone(),
        }
    }
    plain(value).to_string()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(description: &str) -> Value {
        json!({
            "project": "acme", "environment": "prod", "owner": null,
            "nodes": [
                { "id": "model:base", "kind": "model", "name": "base", "dbt": { "reference": "ref('contacts')" } },
                { "id": "model:top", "kind": "model", "name": "top" },
                { "id": "model:plain", "kind": "model", "name": "plain" },
                { "id": "sync:1-a", "kind": "sync", "name": "1-a", "object": "user", "mode": "upsert", "description": description },
                { "id": "sync:1.a", "kind": "sync", "name": "1.a", "object": "user", "mode": "upsert" },
                { "id": "sync:none", "kind": "sync", "name": "none", "object": "user", "mode": "upsert" },
            ],
            "edges": [
                { "kind": "ref", "from": "model:base", "to": "model:top" },
                { "kind": "rows", "from": "model:top", "to": "sync:1-a" },
                { "kind": "rows", "from": "model:base", "to": "sync:1.a" },
                { "kind": "rows", "from": "model:plain", "to": "sync:none" },
                { "kind": "records", "from": "sync:1-a", "to": "destination:crm" },
                { "kind": "after", "from": "sync:1-a", "to": "sync:1.a" },
            ],
        })
    }

    #[test]
    fn every_sync_of_a_dbt_model_is_one_however_it_is_made() {
        let (text, left_out) = exposures(&graph("Says {{ env_var('X') }} and {% raw %}."));
        assert_eq!(left_out, ["none"]);
        let expected = r#"# Written by `syncline graph --dbt-exposures`: change the syncs, not this file.
version: 2

exposures:
  - name: _1_a
    label: "1-a → crm user"
    type: application
    description: "Says {{ '{{' }} env_var('X') }} and {{ '{%' }} raw %}."
    depends_on:
      - "ref('contacts')"
    owner:
      name: "acme"
    config:
      meta: {"syncline":{"tool":"syncline","project":"acme","environment":"prod","sync":"1-a","destination":"crm","object":"user","mode":"upsert"}}

  - name: _1_a_
    label: "1.a →  user"
"#;
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn without_dbt_the_list_is_empty_and_still_yaml() {
        let (text, left_out) = exposures(&json!({ "nodes": [{ "id": "sync:a", "kind": "sync", "name": "a" }] }));
        assert!(text.ends_with("exposures: []\n"), "{text}");
        assert_eq!(left_out, ["a"]);
    }
}
