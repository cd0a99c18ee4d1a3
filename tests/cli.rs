//! The command line itself: a new project works, the example at the root is valid, help and errors are in their place.

use crate::project::Project;

#[test]
fn a_new_project_works_at_once() {
    let project = Project::new(&[]);
    project.run(&["init", "mine"]).code(0);
    project.run(&["-C", "mine", "validate"]).code(0);
    project.run(&["-C", "mine", "apply", "--auto-approve"]).code(0);
    assert_eq!(
        project.rows("mine/out/local.db", "select first_name from contacts order by email"),
        ["Ada", "Grace", "Linus"]
    );
    project.run(&["-C", "mine", "plan", "--detailed-exitcode"]).code(0);
    let again = project.run(&["init", "mine"]).code(1);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn the_example_at_the_root_is_valid() {
    let project = Project::new(&[]);
    project.run(&["-C", env!("CARGO_MANIFEST_DIR"), "validate"]).code(0);
}

#[test]
fn outside_a_project_the_message_says_what_to_do() {
    let project = Project::new(&[]);
    let ran = project.run(&["plan"]).code(1);
    assert!(ran.stderr.contains("syncline.yaml") && ran.stderr.contains("syncline init"), "{}", ran.stderr);
}

#[test]
fn data_goes_to_stdout_and_everything_else_to_stderr() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &crate::project::people_csv(3));
    let ran = project.run(&["plan", "--format", "json", "--out", "p.slplan"]).code(0);
    ran.json();
    assert!(ran.stderr.contains("p.slplan"));
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "no colour where there is no terminal");
}
