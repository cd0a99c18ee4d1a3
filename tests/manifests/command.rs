//! `syncline connectors`: in a project, with its own connectors, and outside of one.

use crate::project::Project;

const CRM: &str = include_str!("valid/own_connector/connectors/crm.yaml");

const CASE: &str = "cases:
  - name: a person is sent
    object: person
    mode: upsert
    records: [ { match: { email: a@example.com }, fields: { name: Ann } } ]
    exchanges:
      - request: { method: POST, path: /people, json: { people: [ { email: a@example.com, name: Ann } ] } }
    outcomes: [succeeded]
";

#[test]
fn a_project_shows_its_own_connectors_beside_the_built_in_ones() {
    let project = Project::new(&[("syncline.yaml", "name: shop\n"), ("connectors/crm.yaml", CRM)]);
    let text = project.run(&["connectors"]).code(0).stdout;
    assert!(text.contains("People and their lists, as a small CRM has them. (of this project)"), "{text}");
    let list = project.run(&["connectors", "list", "--format", "json"]).code(0).json();
    let of = |name: &str| list.as_array().unwrap().iter().find(|c| c["name"] == name).cloned();
    assert_eq!(of("crm").unwrap()["objects"], serde_json::json!(["person", "visit", "member"]));
    assert_eq!(of("hubspot").unwrap()["origin"], "built-in");

    let show = project.run(&["connectors", "show", "crm", "--format", "json"]).code(0).json();
    let upsert = &show["objects"]["person"]["modes"]["upsert"];
    assert_eq!(
        (upsert["batch_size"].as_u64(), upsert["on_removed"].clone()),
        (Some(100), serde_json::json!(["keep", "clear", "delete"]))
    );
    assert_eq!(show["limits"]["account"]["requests"], 10);
    let text = project.run(&["connectors", "show", "crm"]).code(0).stdout;
    for line in [
        "  token: string, required, secret – An access token.",
        "  region: us | eu, us when absent – Where the account is.",
        "  match: person and day",
        "    insert  1 record a request; class D:",
        "    kind: string, required – What was done.",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    let stderr = project.run(&["connectors", "show", "cmr"]).code(1).stderr;
    assert!(stderr.contains("did you mean `crm`?"), "{stderr}");
}

#[test]
fn outside_of_a_project_there_are_the_built_in_ones() {
    let folder = Project::new(&[]);
    let list = folder.run(&["connectors", "list", "--format", "json"]).code(0).json();
    assert!(list.as_array().unwrap().iter().all(|c| c["origin"] == "built-in"), "{list:#}");
    assert!(folder.run(&["connectors", "show", "hubspot"]).code(0).stdout.contains("object contact"));
}

#[test]
fn cases_are_run_and_a_difference_is_shown() {
    let project = Project::new(&[("syncline.yaml", "name: shop\n"), ("connectors/crm.yaml", &format!("{CRM}{CASE}"))]);
    let ran = project.run(&["connectors", "test", "crm"]).code(0);
    assert!(ran.stdout.contains("  ok: a person is sent\n1 case, 0 failed."), "{}", ran.stdout);
    project.edit("connectors/crm.yaml", "name: Ann } ] } }", "name: Bob } ] } }");
    let ran = project.run(&["connectors", "test", "crm"]).code(1);
    assert!(ran.stdout.contains("  FAILED: a person is sent") && ran.stdout.contains("Bob"), "{}", ran.stdout);
}

#[test]
fn a_faulty_connector_is_said_at_its_line() {
    let faulty = CRM.replace("send: post", "send: psot");
    let project = Project::new(&[("syncline.yaml", "name: shop\n"), ("connectors/crm.yaml", &faulty)]);
    let stderr = project.run(&["connectors", "list"]).code(1).stderr;
    assert!(stderr.contains("psot") && stderr.contains("connectors/crm.yaml"), "{stderr}");
}

/// The YAML block of a page that begins, after its schema line, with `name: NAME`.
fn block<'a>(page: &'a str, name: &str) -> &'a str {
    let mut blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let starts = format!("\nname: {name}\n");
    blocks.find(|block| block.contains(&starts)).unwrap_or_else(|| panic!("the page has no block with `{starts}`"))
}

#[test]
fn the_examples_of_the_page_work_as_they_stand_there() {
    let page = include_str!("../../docs/connectors.md");
    let project = Project::people("upsert", "");
    project.write("data/people.csv", "id,email,name,plan,seats\n1,p1@example.com,Person,free,3\n");
    project.write("connectors/postbox.yaml", block(page, "postbox"));
    project.write("destinations/hooks.yaml", block(page, "hooks"));
    project.run(&["validate"]).code(0);
    let ran = project.run(&["connectors", "test", "postbox"]).code(0);
    assert!(ran.stdout.contains("1 case, 0 failed."), "{}", ran.stdout);
    project.write(
        "syncs/people.yaml",
        "name: people\nmodel: people\ndestination: hooks\nobject: person\nmode: mirror\nmatch: { email: email }\n\
         fields: { name: name }\n",
    );
    project.run(&["validate"]).code(0);
}
