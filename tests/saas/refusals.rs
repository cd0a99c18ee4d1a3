//! Where a destination does not want us: credentials, bad records.

use serde_json::json;

use super::world::World;
use super::{iterable, marketo, of};
use crate::project::number;

#[test]
fn refused_credentials_end_a_run_after_a_couple_of_requests() {
    for (name, world) in [("iterable", iterable::world()), ("marketo", marketo::world())] {
        let mut command = world.command(&["apply", "--auto-approve"]);
        let output =
            command.env("KEY", "wrong-key-1").env("SECRET", "wrong-secret-1").output().expect("the binary runs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("credentials"), "{said}");
        assert!(!said.contains("wrong-key-1") && !said.contains("wrong-secret-1"), "{said}");
        let dump = world.dump();
        assert!(number(&dump, "/total") <= 2, "{name}: {:#}", dump["requests"]);
    }
}

#[test]
fn one_wrongly_typed_field_costs_its_own_record_alone() {
    let world: World = iterable::world();
    // Since the plan asked for the fields, somebody has made `ratio` a text; all but one of the rows have none.
    let source = iterable::source(1);
    let details = source[1].1.lines().map(|line| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if cells[0] != "id" && cells[0] != "9" {
            cells[4] = "";
        }
        cells.join(",")
    });
    world.project.write("data/details.csv", &details.collect::<Vec<_>>().join("\n"));
    let planned = world.command(&["plan", "--select", "details"]).output().expect("the binary runs");
    assert_eq!(planned.status.code(), Some(0), "{}", String::from_utf8_lossy(&planned.stderr));
    world.iterable_field("ratio", "string");
    let ran = world.apply(&["--select", "details"]).code(4).json();
    assert_eq!((number(of(&ran, "details"), "/rejected"), number(of(&ran, "details"), "/succeeded/added")), (1, 129));
    assert!(number(of(&ran, "details"), "/requests") <= 16, "{ran:#}");
    let dump = world.dump();
    assert_eq!(dump["violations"], json!([]));
    let users = dump["iterable"]["users"].as_object().expect("users");
    let (there, details) = (users.contains_key("det9@example.com"), users.keys().filter(|key| key.starts_with("det")));
    assert!(!there && details.count() == 129);
}
