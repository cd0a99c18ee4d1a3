//! A sync that sends its records elsewhere than before: what is known of them is not taken for what is there.

use syncline::sandbox::{Options, Sandbox};

use crate::project::Project;

const FIELDS: &str = "fields:\n  name: name\n";

fn flat(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

fn people(project: &Project, table: &str) -> Vec<String> {
    project.rows("out/crm.db", &format!("select email from {table} order by email"))
}

/// A project of two rows, applied.
fn applied() -> Project {
    let project = Project::people("mirror", FIELDS);
    project.write("data/people.csv", "id,email,name,plan,seats\n1,a@x.org,Ann,free,1\n2,b@x.org,Ben,free,2\n");
    project.sql("out/crm.db", "create table people (email text primary key, name text)");
    project.sql("out/crm.db", "create table clients (email text primary key, name text)");
    project.sql("out/crm.db", "insert into clients values ('b@x.org', 'Somebody else''s')");
    project.run(&["apply", "--auto-approve"]).code(0);
    project
}

#[test]
fn nothing_is_sent_nor_deleted_where_records_never_were() {
    let project = applied();
    project.edit("syncs/people.yaml", "object: people", "object: clients");
    // The row that leaves would be deleted there.
    project.edit("data/people.csv", "2,b@x.org,Ben,free,2\n", "");
    for arguments in [&["plan"][..], &["apply", "--auto-approve"], &["apply", "--auto-approve", "--full-refresh"]] {
        let ran = project.run(arguments).code(3);
        for part in [
            "sync `people` goes elsewhere: its 2 rows are known at `crm`, object `people`, and it now sends to `crm`, object \
             `clients`",
            "syncs/people.yaml:4:9",
            "syncline state forget people",
            "syncline state adopt people",
        ] {
            let told = flat(&format!("{}{}", ran.stdout, ran.stderr));
            assert!(told.contains(part), "`{part}` is not in\n{told}");
        }
    }
    assert_eq!(people(&project, "clients"), ["b@x.org"]);
    // Back again, all is as it was.
    project.edit("syncs/people.yaml", "object: clients", "object: people");
    project.run(&["apply", "--auto-approve"]).code(0);
    assert_eq!(people(&project, "people"), ["a@x.org"]);
}

#[test]
fn forgotten_everything_is_sent_and_adopted_nothing() {
    let project = applied();
    project.edit("syncs/people.yaml", "object: people", "object: clients");
    project.run(&["state", "forget", "people", "--auto-approve"]).code(0);
    project.run(&["apply", "--auto-approve"]).code(0);
    assert_eq!(people(&project, "clients"), ["a@x.org", "b@x.org"]);
    // Renamed.
    let other = std::fs::read_to_string(project.path("destinations/crm.yaml")).unwrap();
    std::fs::remove_file(project.path("destinations/crm.yaml")).unwrap();
    project.write("destinations/sales.yaml", &other.replace("name: crm", "name: sales"));
    project.edit("syncs/people.yaml", "destination: crm", "destination: sales");
    let ran = project.run(&["plan"]).code(3);
    let told = flat(&format!("{}{}", ran.stdout, ran.stderr));
    assert!(told.contains("known at `crm`, object `clients`, and it now sends to `sales`"), "{told}");
    project.run(&["state", "adopt", "people", "--auto-approve"]).code(0);
    project.run(&["plan", "--detailed-exitcode"]).code(0);
    let shown = project.run(&["state", "show", "people"]).code(0);
    assert!(shown.stdout.contains("sent to    `sales`, object `clients`"), "{}", shown.stdout);
}

#[test]
fn a_state_of_before_knows_no_place_and_learns_it() {
    let project = applied();
    let state = project.path(".syncline/default/state.json");
    let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    document.as_object_mut().unwrap().remove("checksum");
    document["syncs"]["people"].as_object_mut().unwrap().remove("sent_to").expect("it was noted");
    std::fs::write(&state, document.to_string()).unwrap();
    project.edit("data/people.csv", "Ben", "Benjamin");
    project.run(&["apply", "--auto-approve"]).code(0);
    project.edit("syncs/people.yaml", "object: people", "object: clients");
    project.run(&["plan"]).code(3);
}

#[test]
fn a_rehearsal_in_a_sandbox_is_no_delivery() {
    let sandbox = Sandbox::launch(Options::default()).unwrap();
    let project = Project::people("upsert", FIELDS);
    std::fs::remove_file(project.path("destinations/crm.yaml")).unwrap();
    let connection = format!("{{ api_key: \"{{{{ env.KEY }}}}\", base_url: \"{}\" }}", sandbox.iterable_url());
    project.write("destinations/crm.yaml", &format!("name: crm\ntype: iterable\nconnection: {connection}\n"));
    project.edit("syncs/people.yaml", "object: people", "object: user");
    project.edit("syncs/people.yaml", "options: { create: true }\n", "");
    project.write("data/people.csv", "id,email,name,plan,seats\n1,a@x.org,Ann,free,1\n");
    let manifest = std::fs::read_to_string(project.path("syncline.yaml")).unwrap();
    let rehearsed = format!(
        "{manifest}environments:\n  dev:\n    default: true\n    destinations: {{ crm: {{ sandbox: true }} }}\n"
    );
    project.write("syncline.yaml", &rehearsed);
    project.run(&["apply", "--auto-approve"]).code(0);
    project.write("syncline.yaml", &format!("{manifest}environments:\n  dev: {{ default: true }}\n"));
    let mut command = project.command(&["apply", "--auto-approve"]);
    let output = command.env("KEY", Sandbox::API_KEY).output().unwrap();
    let told = flat(&String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("known at the sandbox of `crm`, object `user`, and it now sends to `crm`"), "{told}");
}
