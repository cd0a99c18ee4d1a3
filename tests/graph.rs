//! `graph`: how a project hangs together, in every format, the same every time.

use crate::project::Project;

fn project() -> Project {
    let project = Project::people("upsert", "fields: { name: name }\nschedule: { every: 24h }\n");
    project.write(
        "models/members.yaml",
        "name: members\nsource: files\nsql: select * from {{ ref('people') }} where seats > 1\nprimary_key: [id]\n",
    );
    project.write("sources/spare.yaml", "name: spare\ntype: files\nconnection: { path: data }\n");
    project.write("destinations/other.yaml", "name: other\ntype: sqlite\nconnection: { path: out/other.db }\n");
    let sync =
        project.read("syncs/people.yaml").replace("name: people\nmodel: people", "name: members\nmodel: members");
    project.write("syncs/members.yaml", &sync.replace("{ every: 24h }", "{ after: [people] }"));
    project
}

#[test]
fn the_tree_shows_what_is_made_of_what() {
    let expected = "\
source files
└─ model people
   ├─ model members
   │  └─ sync members (upsert) → crm people, after people
   └─ sync people (upsert) → crm people
source spare
destination other (no sync goes there)
";
    assert_eq!(project().run(&["graph"]).code(0).stdout, expected);
}

#[test]
fn mermaid_draws_every_edge() {
    let expected = r#"flowchart LR
  n0[("files")]
  n1[("spare")]
  n2["members"]
  n3["people"]
  n4(["members"])
  n5(["people"])
  n6[["crm"]]
  n7[["other"]]
  n0 --> n2
  n3 -- ref --> n2
  n0 --> n3
  n2 --> n4
  n4 --> n6
  n5 -. after .-> n4
  n3 --> n5
  n5 --> n6
"#;
    assert_eq!(project().run(&["graph", "--format", "mermaid"]).code(0).stdout, expected);
}

#[test]
fn json_has_the_same_edges() {
    let graph = project().run(&["graph", "--format", "json"]).code(0).json();
    let edges: Vec<String> = graph["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|edge| format!("{} {} {}", edge["kind"], edge["from"], edge["to"]).replace('"', ""))
        .collect();
    let expected = [
        "reads source:files model:members",
        "ref model:people model:members",
        "reads source:files model:people",
        "rows model:members sync:members",
        "records sync:members destination:crm",
        "after sync:people sync:members",
        "rows model:people sync:people",
        "records sync:people destination:crm",
    ];
    assert_eq!(edges, expected);
}

#[test]
fn graphviz_takes_the_dot_form() {
    let project = project();
    let dot = project.run(&["graph", "--format", "dot"]).code(0).stdout;
    assert!(dot.contains(r#""sync:people" -> "sync:members" [style=dashed, label=after, constraint=false];"#), "{dot}");
    project.write("graph.dot", &dot);
    let drawn = std::process::Command::new("dot").args(["-Tplain", "graph.dot"]).current_dir(project.root()).output();
    if let Ok(drawn) = drawn {
        let text = String::from_utf8_lossy(&drawn.stdout);
        assert_eq!(text.lines().filter(|line| line.starts_with("edge ")).count(), 8, "{text}");
    }
}
