//! The command line itself: a new project works, the example at the root is valid, help and errors are in their place.

use crate::project::Project;

#[test]
fn a_new_project_works_at_once() {
    let project = Project::new(&[]);
    project.run(&["init", "mine"]).code(0);
    project.run(&["-C", "mine", "validate"]).code(0);
    project.run(&["-C", "mine", "test"]).code(0);
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
fn the_tests_of_the_example_hold() {
    let project = Project::new(&[]);
    let ran = project.run(&["-C", env!("CARGO_MANIFEST_DIR"), "test"]).code(0);
    assert!(ran.stdout.contains("iterable_production"), "{}", ran.stdout);
    let ran = project.run(&["-C", env!("CARGO_MANIFEST_DIR"), "test", "--env", "prod", "marketo_activities"]).code(0);
    assert!(!ran.stdout.contains("iterable"), "{}", ran.stdout);
}

#[test]
fn shells_complete_every_command_and_each_has_its_manual_page() {
    let project = Project::new(&[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = project.run(&["completions", shell]).code(0).stdout;
        for word in ["validate", "apply", "graph", "--auto-approve"] {
            assert!(text.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
    }
    // Where a bash is at hand, it must take what is made for it, and offer a command by its first letters.
    let completions = project.run(&["completions", "bash"]).code(0).stdout;
    project.write("completions.bash", &completions);
    let script = "source completions.bash && COMP_WORDS=(syncline val) COMP_CWORD=1 && _syncline syncline val syncline \
                  && echo \"${COMPREPLY[@]}\"";
    if let Ok(bash) = std::process::Command::new("bash").args(["-c", script]).current_dir(project.root()).output() {
        assert_eq!(String::from_utf8_lossy(&bash.stdout), "validate\n", "{}", String::from_utf8_lossy(&bash.stderr));
    }
    project.run(&["man", "pages"]).code(0);
    let page = project.read("pages/syncline-plan.1");
    assert!(page.contains("detailed\\-exitcode") || page.contains("detailed-exitcode"), "{page}");
    assert!(project.read("pages/syncline.1").contains("syncline\\-doctor"), "{}", project.read("pages/syncline.1"));
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

#[test]
fn a_wrong_command_line_exits_with_1_and_never_with_the_2_of_changes() {
    let project = Project::new(&[]);
    for wrong in [
        &["valdate"][..],
        &["plan", "--detailed-exitcod"],
        &["plan", "--format", "xml"],
        &["plan", "--allow", "people"],
        &["state"],
        &[],
    ] {
        let ran = project.run(wrong).code(1);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{wrong:?}: {}", ran.stdout);
    }
    for right in [&["--help"][..], &["--version"], &["help", "plan"], &["state", "move", "--help"]] {
        assert!(!project.run(right).code(0).stdout.is_empty(), "{right:?}");
    }
}

#[test]
fn schemas_are_written_into_the_project_and_a_page_of_the_user_is_left_alone() {
    let project =
        Project::new(&[("syncline.yaml", "name: test\n"), ("docs/manifests.md", "# Ours\n"), ("syncs/a", "")]);
    let below = |arguments: &[&str]| {
        let code = project.command(arguments).current_dir(project.path("syncs")).status().unwrap().code();
        code.unwrap()
    };
    assert_eq!(below(&["schema", "--check"]), 1, "none is there");
    assert_eq!(below(&["schema"]), 0);
    assert_eq!(below(&["schema", "--check"]), 0);
    assert!(project.path("schemas/sync.schema.json").exists() && !project.path("syncs/schemas").exists());
    assert_eq!(project.read("docs/manifests.md"), "# Ours\n");
    project.write("schemas/plan.schema.json", "{}");
    let stale = project.run(&["schema", "--check"]).code(1).stderr;
    assert!(stale.contains("`schemas/plan.schema.json`") && !stale.contains("manifests.md"), "{stale}");
}

#[test]
fn init_starts_from_the_folder_given() {
    let project = Project::new(&[]);
    project.run(&["-C", "here", "init"]).code(0);
    project.run(&["-C", "here", "init", "below"]).code(0);
    project.run(&["-C", "here/below", "schema", "--check"]).code(0);
    assert!(project.path("here/syncline.yaml").exists() && project.path("here/below/syncline.yaml").exists());
    assert!(!project.path("syncline.yaml").exists());
}

#[test]
fn an_empty_environment_variable_is_no_environment() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("syncline.yaml", "name: test\nenvironments: { dev: { default: true }, prod: {} }\n");
    let validate = |environment: &str| {
        let status = project.command(&["validate"]).env("SYNCLINE_ENV", environment).output().unwrap().status;
        status.code().unwrap()
    };
    assert_eq!([validate(""), validate("prod"), validate("nope")], [0, 0, 1]);
}

#[test]
fn selectors_choose_syncs_and_never_everything_by_accident() {
    let project = Project::people("upsert", "fields: { name: name }\ntags: [a]\n");
    let second = project.read("syncs/people.yaml").replace("name: people\n", "name: second\n").replace("[a]", "[b]");
    project.write("syncs/second.yaml", &second);
    project.write("data/people.csv", &crate::project::people_csv(3));
    for (selector, expected) in [
        ("people", &["people"][..]),
        ("s*", &["second"]),
        ("tag:a", &["people"]),
        ("!tag:a", &["second"]),
        ("model:people,!second", &["people"]),
        ("destination:crm", &["people", "second"]),
    ] {
        let plan = project.plan(&["--select", selector]);
        let names: Vec<_> = plan["syncs"].as_array().unwrap().iter().map(|s| s["sync"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{selector}");
        assert_eq!(plan["complete"], expected.len() == 2, "{selector}");
    }
    for (selector, part) in [
        ("peple", "did you mean `people`?"),
        ("tag:zzzz", "`a`, `b`"),
        ("owner:me", "no selector `owner:`"),
        ("", "empty"),
        (",", "empty"),
        ("!*", "selects no sync"),
    ] {
        let ran = project.run(&["plan", "--select", selector]).code(1);
        assert!(ran.stderr.contains(part) && ran.stdout.is_empty(), "{selector}: {}", ran.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &crate::project::people_csv(3));
    let mut child = project
        .command(&["apply", "--auto-approve"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["3"]);
    let next = project.run(&["plan", "--detailed-exitcode"]).code(0);
    assert!(!next.stderr.contains("lock"), "{}", next.stderr);
}

/// A killed command leaves a plan with personal data in the making; the next one takes it away, but never a living one's.
#[test]
fn what_a_killed_plan_left_behind_is_removed() {
    let project = Project::people("upsert", "fields: { name: name }\n");
    project.write("data/people.csv", &crate::project::people_csv(3));
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let leave = |name: &str| {
        project.write(&format!(".syncline/{name}/alive"), "");
        project.write(&format!(".syncline/{name}/plan/plan.json"), "{}");
        let alive =
            std::fs::File::options().write(true).open(project.path(&format!(".syncline/{name}/alive"))).unwrap();
        alive.set_modified(long_ago).unwrap();
        alive
    };
    drop(leave("plan-dead"));
    let living = leave("plan-living");
    living.lock().unwrap();
    project.run(&["plan"]).code(0);
    assert!(!project.path(".syncline/plan-dead").exists());
    assert!(project.path(".syncline/plan-living/plan/plan.json").exists());
}

#[test]
fn what_is_answered_as_json_is_as_its_schema_says() {
    let project = Project::new(&[]);
    project.run(&["init", "mine"]).code(0);
    project.run(&["-C", "mine", "apply", "--auto-approve"]).code(0);
    let run = project.run(&["-C", "mine", "runs", "list", "--format", "json"]).code(0).json();
    let run = run["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let sync = project.run(&["-C", "mine", "state", "list", "--format", "json"]).code(0).json();
    let sync = sync["syncs"][0]["sync"].as_str().unwrap().to_owned();
    let commands: [(&str, &[&str]); 16] = [
        ("plan", &["plan"]),
        ("run", &["runs", "show", &run]),
        ("runs-list", &["runs", "list"]),
        ("runs-rejected", &["runs", "rejected", &run]),
        ("doctor", &["doctor"]),
        ("usage", &["usage"]),
        ("verify", &["verify"]),
        ("validate", &["validate"]),
        ("state-list", &["state", "list"]),
        ("state-show", &["state", "show", &sync]),
        ("graph", &["graph"]),
        ("test-result", &["test"]),
        ("connectors-list", &["connectors", "list"]),
        ("connectors-show", &["connectors", "show", "iterable"]),
        ("connectors-show", &["connectors", "show", "marketo"]),
        ("connectors-test", &["connectors", "test", "slack"]),
    ];
    for (name, command) in commands {
        let answer = project.run(&[&["-C", "mine"], command, &["--format", "json"]].concat()).code(0).json();
        let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> = schema.iter_errors(&answer).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{command:?} against {path}: {faults:?}\n{answer:#}");
    }
}
