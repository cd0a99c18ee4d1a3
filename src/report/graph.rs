//! The graph of a project as a tree, for Graphviz and for Mermaid; made from its JSON form.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::escape::visible;

/// A tree: below every source its models, below these the models made of them, and the syncs with their destinations.
pub fn text(graph: &Value) -> String {
    let mut tree = Tree { graph, shown: BTreeSet::new(), text: String::new() };
    for source in nodes(graph, "source") {
        let _ = writeln!(tree.text, "source {}", name(source));
        let id = word(source, "id");
        // A model that is made of others stands below these.
        let made = |model: &str| edges(graph, "ref").any(|edge| word(edge, "to") == model);
        let models = edges(graph, "reads").filter(|edge| word(edge, "from") == id && !made(word(edge, "to")));
        tree.children(&models.map(|edge| word(edge, "to")).collect::<Vec<_>>(), "");
    }
    let used: BTreeSet<&str> = edges(graph, "records").map(|edge| word(edge, "to")).collect();
    for destination in nodes(graph, "destination").filter(|node| !used.contains(word(node, "id"))) {
        let _ = writeln!(tree.text, "destination {} (no sync goes there)", name(destination));
    }
    tree.text
}

struct Tree<'a> {
    graph: &'a Value,
    shown: BTreeSet<&'a str>,
    text: String,
}

impl<'a> Tree<'a> {
    fn children(&mut self, ids: &[&'a str], indent: &str) {
        for (at, id) in ids.iter().enumerate() {
            let last = at + 1 == ids.len();
            let (branch, rest) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let Some(node) = list(self.graph, "nodes").iter().find(|node| word(node, "id") == *id) else { continue };
            if word(node, "kind") == "sync" {
                let _ = writeln!(self.text, "{indent}{branch}{}", self.sync(node));
                continue;
            }
            let again = !self.shown.insert(id);
            let note = if again { " (see above)" } else { "" };
            let dbt = node.pointer("/dbt/unique_id").and_then(Value::as_str);
            let dbt = dbt.map(|id| format!(" (dbt {})", visible(id))).unwrap_or_default();
            let _ = writeln!(self.text, "{indent}{branch}model {}{dbt}{note}", name(node));
            if again {
                continue;
            }
            let below = |kind| edges(self.graph, kind).filter(|edge| word(edge, "from") == *id);
            let below: Vec<&str> = below("ref").chain(below("rows")).map(|edge| word(edge, "to")).collect();
            self.children(&below, &format!("{indent}{rest}"));
        }
    }

    fn sync(&self, node: &Value) -> String {
        let id = word(node, "id");
        let bare = |id: &str| visible(id.split_once(':').map_or(id, |(_, name)| name));
        let to = edges(self.graph, "records").find(|edge| word(edge, "from") == id).map_or("", |edge| word(edge, "to"));
        let sandbox = list(self.graph, "nodes")
            .iter()
            .any(|node| word(node, "id") == to && node.get("sandbox").and_then(Value::as_bool) == Some(true));
        let mut line = format!(
            "sync {} ({}) → {} {}{}",
            name(node),
            word(node, "mode"),
            bare(to),
            visible(word(node, "object")),
            if sandbox { " in a sandbox" } else { "" }
        );
        let after: Vec<String> =
            edges(self.graph, "after").filter(|e| word(e, "to") == id).map(|e| bare(word(e, "from"))).collect();
        if !after.is_empty() {
            let _ = write!(line, ", after {}", after.join(", "));
        }
        line
    }
}

/// For Graphviz: `syncline graph --format dot | dot -Tsvg`.
pub fn dot(graph: &Value) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n", quoted(word(graph, "project")));
    for node in list(graph, "nodes") {
        let shape = match word(node, "kind") {
            "source" => "cylinder",
            "model" => "box",
            "sync" => "cds",
            _ => "component",
        };
        let (id, label) = (quoted(word(node, "id")), quoted(word(node, "name")));
        let _ = writeln!(text, "  {id} [label={label}, shape={shape}];");
    }
    for edge in list(graph, "edges") {
        let style = match word(edge, "kind") {
            "after" => " [style=dashed, label=after, constraint=false]",
            "ref" => " [label=ref]",
            _ => "",
        };
        let _ = writeln!(text, "  {} -> {}{style};", quoted(word(edge, "from")), quoted(word(edge, "to")));
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", visible(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// For Mermaid, which GitHub and GitLab draw in Markdown pages.
pub fn mermaid(graph: &Value) -> String {
    let mut text = String::from("flowchart LR\n");
    let nodes = list(graph, "nodes");
    let place = |id: &str| nodes.iter().position(|node| word(node, "id") == id).unwrap_or_default();
    for (at, node) in nodes.iter().enumerate() {
        let (open, close) = match word(node, "kind") {
            "source" => ("[(", ")]"),
            "model" => ("[", "]"),
            "sync" => ("([", "])"),
            _ => ("[[", "]]"),
        };
        let label: String = visible(word(node, "name")).chars().map(entity).collect();
        let _ = writeln!(text, "  n{at}{open}\"{label}\"{close}");
    }
    for edge in list(graph, "edges") {
        let arrow = match word(edge, "kind") {
            "after" => "-. after .->",
            "ref" => "-- ref -->",
            _ => "-->",
        };
        let _ = writeln!(text, "  n{} {arrow} n{}", place(word(edge, "from")), place(word(edge, "to")));
    }
    text
}

/// A character of a label: what means something to Mermaid or HTML as a numbered entity.
fn entity(c: char) -> String {
    match c {
        '"' | '#' | '&' | '<' | '>' | ';' | '\\' | '`' => format!("#{};", u32::from(c)),
        c => c.to_string(),
    }
}

fn nodes<'a>(graph: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    list(graph, "nodes").iter().filter(move |node| word(node, "kind") == kind)
}

fn edges<'a>(graph: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    list(graph, "edges").iter().filter(move |edge| word(edge, "kind") == kind)
}

fn name(node: &Value) -> String {
    visible(word(node, "name"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        let evil = "a\"]; b [label=\"x\\";
        let graph = json!({
            "project": evil,
            "nodes": [{ "id": format!("source:{evil}"), "kind": "source", "name": evil }],
            "edges": [],
        });
        let drawn = dot(&graph);
        assert!(drawn.contains(r#""a\"]; b [label=\"x\\""#), "{drawn}");
        assert_eq!(mermaid(&graph), "flowchart LR\n  n0[(\"a#34;]#59; b [label=#34;x#92;\")]\n");
    }
}
