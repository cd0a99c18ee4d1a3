//! Queried records: counted once a month each, kept within a budget, shown with what was sent.

use serde_json::Value;

use crate::project::{Project, people_csv};

const FIELDS: &str = "fields: { name: name, seats: seats }\nguards: { max_removed: 100%, max_changed: 100% }\n";

/// People with ids `from..=to`.
fn people(project: &Project, from: usize, to: usize) {
    let all = people_csv(to);
    let rows: Vec<&str> = all.lines().skip(from).collect();
    project.write("data/people.csv", &format!("id,email,name,plan,seats\n{}\n", rows.join("\n")));
}

fn project(budget: &str) -> Project {
    let project = Project::people("upsert", FIELDS);
    project.write("syncline.yaml", &format!("name: test\n{budget}"));
    project
}

#[track_caller]
fn usage(project: &Project) -> Value {
    project.run(&["usage", "--format", "json"]).code(0).json()
}

#[test]
fn a_key_counts_once_a_month_whatever_becomes_of_its_row() {
    /// Ids of the people in the model, what else is done, different keys so far, new ones in the plan.
    type Step = (&'static str, (usize, usize), fn(&Project), u64, u64);
    let steps: &[Step] = &[
        ("all are new", (1, 10), |_| {}, 10, 10),
        ("nothing has changed", (1, 10), |_| {}, 10, 0),
        ("half are gone, some are new", (6, 15), |_| {}, 15, 5),
        ("those who were gone are back", (1, 15), |_| {}, 15, 0),
        ("nobody can be sent: the identifier is null", (1, 20), |p| p.write("data/people.csv", &nameless()), 40, 25),
    ];
    fn nameless() -> String {
        people_csv(40).lines().map(|line| line.replace("@example.com", "")).fold(String::new(), |text, line| {
            let cells: Vec<&str> = line.split(',').collect();
            let email = if cells[0] == "id" { "email" } else { "" };
            text + &format!("{},{email},{},{},{}\n", cells[0], cells[2], cells[3], cells[4])
        })
    }
    let project = project("");
    for (n, (what, (from, to), change, so_far, new)) in steps.iter().enumerate() {
        people(&project, *from, *to);
        change(&project);
        let plan = project.plan(&[]);
        let before = so_far - new;
        assert_eq!(plan["usage"]["queried_so_far"], before, "{what}");
        assert_eq!(plan["usage"]["after_this_run"], *so_far, "{what}");
        assert_eq!(plan["usage"]["models"][0]["new"], *new, "{what}");
        let ran = project.apply(&[]);
        assert!(ran.code == 0, "{what}: {}", ran.stderr);
        let usage = usage(&project);
        assert_eq!(usage["queried_records"], *so_far, "{what}");
        assert_eq!(usage["models"][0]["runs"], n as u64 + 1, "{what}");
        assert_eq!(usage["limit"], Value::Null);
    }
}

#[test]
fn syncs_of_one_model_share_its_keys_and_models_do_not() {
    let project = project("");
    people(&project, 1, 10);
    let sync = project.read("syncs/people.yaml");
    project.write(
        "syncs/again.yaml",
        &sync.replace("name: people\n", "name: again\n").replace("object: people", "object: again"),
    );
    project.write("models/few.yaml", "name: few\nsource: files\nsql: select id, email, name, plan, seats from people where id <= 4\nprimary_key: [id]\n");
    let few = sync.replace("name: people\n", "name: few\n").replace("model: people", "model: few");
    project.write("syncs/few.yaml", &few.replace("object: people", "object: few"));
    project.apply(&[]).code(0);
    let usage = usage(&project);
    assert_eq!(usage["queried_records"], 14);
    let models: Vec<_> = usage["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["model"].as_str().unwrap(), &m["queried_records"], &m["runs"]))
        .collect();
    assert_eq!(format!("{models:?}"), r#"[("people", Number(10), Number(1)), ("few", Number(4), Number(1))]"#);
    assert_eq!(usage["requests"]["crm"], 3, "one transaction a sync: {usage:#}");
}

#[test]
fn a_plan_over_the_budget_is_refused_or_warned_of() {
    let refuse = "usage:\n  monthly_queried_records: { limit: 12, on_exceed: refuse }\n";
    let project = project(refuse);
    people(&project, 1, 10);
    project.apply(&[]).code(0);
    people(&project, 1, 15);
    let ran = project.run(&["plan"]).code(3);
    for words in [
        "queried records of the month: 15 after this run, 125.0 % of 12 (10 so far)",
        "this plan would make it 15 queried records in 20",
        "5 of them new; the limit is 12. Most weigh `people` 15",
        "at syncline.yaml:3:37",
        "--select '!model:NAME'",
    ] {
        let text = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "no `{words}` in\n{}", ran.stdout);
    }
    project.apply(&[]).code(3);
    assert_eq!(project.rows("out/crm.db", "select count(*) from people"), ["10"]);
    assert_eq!(usage(&project)["queried_records"], 10, "what was refused is not counted");
    // What the month knows already costs nothing.
    people(&project, 3, 10);
    project.apply(&[]).code(0);
    project.edit("syncline.yaml", "refuse", "warn");
    people(&project, 1, 15);
    let plan = project.plan(&[]);
    assert_eq!(plan["refusals"], serde_json::json!([]));
    assert_eq!(plan["warnings"][0]["code"], "budget");
    project.apply(&[]).code(0);
    // Over it, a plan that adds nothing is still only warned of.
    project.edit("syncline.yaml", "warn", "refuse");
    let plan = project.plan(&[]);
    assert_eq!((plan["refusals"].as_array().unwrap().len(), plan["warnings"][0]["code"].as_str()), (0, Some("budget")));
}

#[test]
fn the_files_of_a_month_stay_few_and_its_number_exact() {
    let project = project("");
    for n in 1..=12 {
        people(&project, n, n + 1);
        project.apply(&[]).code(0);
    }
    assert_eq!(usage(&project)["queried_records"], 13);
    let files = std::fs::read_dir(project.path(".syncline/default/usage"))
        .unwrap()
        .flatten()
        .map(|f| f.metadata().unwrap().len());
    let files: Vec<u64> = files.collect();
    assert!(files.len() <= 8, "{files:?}");
    assert_eq!(files.iter().sum::<u64>(), 13 * 8, "eight bytes a key, each once: {files:?}");
}

#[test]
fn a_plan_file_is_counted_when_it_is_applied() {
    let project = project("");
    people(&project, 1, 10);
    project.run(&["plan", "--out", "first.plan"]).code(0);
    assert_eq!(usage(&project)["queried_records"], 0, "a plan writes nothing");
    project.apply(&["first.plan"]).code(0);
    assert_eq!(usage(&project)["queried_records"], 10);
}

#[test]
fn the_count_goes_where_the_state_goes() {
    let project = project("");
    people(&project, 1, 10);
    project.apply(&[]).code(0);
    project.run(&["state", "pull", "copy.zip"]).code(0);
    let key = project.read(".syncline/state.key");
    std::fs::remove_dir_all(project.path(".syncline")).unwrap();
    std::fs::create_dir(project.path(".syncline")).unwrap();
    project.write(".syncline/state.key", &key);
    project.run(&["state", "push", "copy.zip", "--auto-approve"]).code(0);
    people(&project, 5, 12);
    project.apply(&[]).code(0);
    assert_eq!(usage(&project)["queried_records"], 12);
}

#[test]
fn a_month_is_shown_by_name_and_its_keys_go_when_it_is_over() {
    let project = project("usage: { monthly_queried_records: { limit: 1500000 } }\n");
    people(&project, 1, 10);
    project.apply(&[]).code(0);
    let month = usage(&project)["month"].as_str().unwrap().to_owned();
    // As who edits it on purpose does: without the line of the checksum.
    let state = project.read(".syncline/default/state.json").replace(&format!("\"{month}\""), "\"2025-03\"");
    let lines = state.lines().filter(|line| !line.contains("\"checksum\":"));
    project.write(".syncline/default/state.json", &lines.collect::<Vec<_>>().join("\n"));
    let expected = "\
Queried records of 2025-03 (UTC)

  model   queried     of the limit  runs  requests
  people       10  less than 0.1 %     1  crm 1

10 queried records, less than 0.1 % of the limit of 1 500 000.
";
    assert_eq!(project.run(&["usage", "--month", "2025-03"]).code(0).stdout, expected);
    assert_eq!(usage(&project)["queried_records"], 0, "another month begins anew");
    // Two runs: the first lets go of the keys, the second removes their file.
    project.apply(&[]).code(0);
    project.apply(&[]).code(0);
    assert_eq!(usage(&project)["queried_records"], 10);
    assert_eq!(usage(&project)["other_months"], serde_json::json!(["2025-03"]));
    let names: Vec<_> =
        std::fs::read_dir(project.path(".syncline/default/usage")).unwrap().flatten().map(|f| f.file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(project.run(&["usage", "--month", "2025-3"]).code(1).stdout, "");
}
