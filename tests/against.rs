//! `plan --against`: what a merge request changes in the configuration, and what that changes in the records.

use std::process::Command;

use serde_json::{Value, json};

use crate::project::{Project, Ran, number, people_csv};

/// A project in git with its first commit on `main`, applied; work goes on in a branch.
struct Repository(Project);

const FIELDS: &str = "fields:\n  name: name\n  plan: plan\n  seats: seats\n";

impl Repository {
    fn new() -> Self {
        let project = Project::people("mirror", FIELDS);
        project.write(".gitignore", ".syncline/\nout/\ndata/\n");
        project.write("data/people.csv", &people_csv(100));
        project.write("models/heavy.yaml", "name: heavy\nsource: files\nsql_file: heavy.sql\nprimary_key: [id]\n");
        project.write("models/heavy.sql", "select id, email, seats\nfrom people\nwhere seats >= 40\n");
        for (sync, model) in [("heavy", "heavy"), ("plain", "people")] {
            project.write(
                &format!("syncs/{sync}.yaml"),
                &format!(
                    "name: {sync}\nmodel: {model}\ndestination: crm\nobject: {sync}\nmode: mirror\n\
                     match: {{ email: email }}\noptions: {{ create: true }}\nfields: {{ seats: seats }}\n"
                ),
            );
        }
        let repository = Self(project);
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit("first");
        repository.0.apply(&[]).code(0);
        repository.git(&["checkout", "-q", "-b", "change"]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.0.root())
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    fn plan(&self, more: &[&str]) -> Value {
        let mut arguments = vec!["--against", "main"];
        arguments.extend(more);
        self.0.plan(&arguments)
    }

    fn run(&self, more: &[&str]) -> Ran {
        let mut arguments = vec!["plan", "--against", "main"];
        arguments.extend(more);
        self.0.run(&arguments)
    }
}

/// kind, name, change, file and affected syncs of every change.
fn changes(plan: &Value) -> Vec<String> {
    let changes = plan["configuration"].as_array().expect("changes");
    let words = |change: &Value, key: &str| change[key].as_str().unwrap_or_default().to_owned();
    let one = |change: &Value| {
        let affects: Vec<_> = change["affects"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!(
            "{} {} {} in {}: {}",
            words(change, "kind"),
            words(change, "name"),
            words(change, "change"),
            words(change, "file"),
            affects.join(" ")
        )
    };
    changes.iter().map(one).collect()
}

/// Added, changed, removed, and what caused them, of one sync.
fn counted(plan: &Value, sync: &str) -> ([u64; 3], [u64; 3]) {
    let found = plan["syncs"].as_array().unwrap().iter().find(|part| part["sync"] == sync);
    let part = found.unwrap_or_else(|| panic!("`{sync}` is not in\n{plan:#}"));
    (
        ["added", "changed", "removed"].map(|name| number(part, &format!("/counts/{name}"))),
        ["data", "configuration", "first_run"].map(|name| number(part, &format!("/causes/{name}"))),
    )
}

fn codes(plan: &Value, what: &str) -> Vec<String> {
    plan[what].as_array().unwrap().iter().map(|notice| notice["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_change_of_a_mapping_a_statement_and_a_new_sync_are_named_with_what_each_causes() {
    let repository = Repository::new();
    let project = &repository.0;
    project.edit("syncs/people.yaml", "name: name\n", "name: { column: name, transform: upper }\n");
    project.edit("models/heavy.sql", ">= 40", ">= 45");
    project.edit("syncs/people.yaml", "name: people\nmodel", "# said anew\nname: people\nmodel");
    project.write(
        "syncs/new.yaml",
        "name: new\nmodel: people\ndestination: crm\nobject: fresh\nmode: upsert\nmatch: { email: email }\n\
         options: { create: true }\nfields: { plan: plan }\n",
    );
    // Five rows change by themselves: seats, which all but the new sync send.
    let mut lines: Vec<String> = people_csv(100).lines().map(str::to_owned).collect();
    for line in &mut lines[11..=15] {
        let (head, _) = line.rsplit_once(',').unwrap();
        *line = format!("{head},46");
    }
    project.write("data/people.csv", &(lines.join("\n") + "\n"));
    let plan = repository.plan(&[]);
    assert_eq!(
        changes(&plan),
        [
            "model heavy changed in models/heavy.sql: heavy",
            "sync new added in syncs/new.yaml: new",
            "sync people changed in syncs/people.yaml: people",
        ]
    );
    let diff = plan["configuration"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("-where seats >= 40\n+where seats >= 45\n"), "{diff}");
    // Every name is written in another way; the five rows would change anyway, but not like this.
    assert_eq!(counted(&plan, "people"), ([0, 100, 0], [0, 100, 0]));
    // 40 to 44 twice leave, which only the statement causes; 5 rows come by their own.
    assert_eq!(counted(&plan, "heavy"), ([5, 0, 10], [5, 10, 0]));
    assert_eq!(counted(&plan, "plain"), ([0, 5, 0], [5, 0, 0]));
    assert_eq!(counted(&plan, "new"), ([100, 0, 0], [0, 0, 100]));
    assert_eq!(plan["project"]["against"], json!(repository.git(&["rev-parse", "main"])));
    let narrowed = repository.plan(&["--select", "changed"]);
    let names: Vec<_> = narrowed["syncs"].as_array().unwrap().iter().map(|s| s["sync"].clone()).collect();
    assert_eq!(names, [json!("heavy"), json!("new"), json!("people")]);
    for format in ["text", "markdown", "html"] {
        let ran = repository.run(&["--format", format]).code(0);
        assert!(ran.stdout.contains("models/heavy.sql"), "{format}: {}", ran.stdout);
    }
}

#[test]
fn rows_that_the_change_keeps_from_changing_are_counted() {
    let repository = Repository::new();
    let project = &repository.0;
    project.edit("models/heavy.sql", ">= 40", ">= 0");
    project.write(
        "data/people.csv",
        &people_csv(100)
            .replace("Person 49,free,49", "Person 49,free,3")
            .replace("Person 49,premium,49", "Person 49,premium,3"),
    );
    let plan = repository.plan(&["--select", "heavy"]);
    // 80 rows come by the statement. One would have left by its own data, and stays because of the statement.
    assert_eq!(counted(&plan, "heavy"), ([80, 1, 0], [0, 81, 0]));
    project.edit("models/heavy.sql", ">= 0", ">= 40 or id = 49");
    let plan = repository.plan(&["--select", "heavy"]);
    assert_eq!(counted(&plan, "heavy"), ([0, 1, 0], [0, 1, 0]));
    project.edit("models/heavy.sql", "id, email, seats", "id, email, case id when 49 then 49 else seats end as seats");
    let plan = repository.plan(&["--select", "heavy"]);
    assert_eq!(counted(&plan, "heavy"), ([0, 0, 0], [0, 0, 0]));
    assert_eq!(number(&plan, "/syncs/0/without_change"), 1);
}

#[test]
fn what_changes_nothing_touches_no_sync() {
    let repository = Repository::new();
    let project = &repository.0;
    project.edit("syncs/people.yaml", "name: people\n", "# a remark\nname: people\n");
    project.edit("models/people.yaml", "name: people\n", "name: people\ndescription: Everybody.\n");
    project.write("README.md", "not a manifest");
    let plan = repository.plan(&["--select", "changed"]);
    assert_eq!(
        changes(&plan),
        ["model people changed in models/people.yaml: ", "sync people changed in syncs/people.yaml: "]
    );
    assert_eq!(plan["syncs"], json!([]));
    repository.run(&["--select", "changed", "--detailed-exitcode"]).code(0);
    repository.run(&["--select", "!changed"]).code(0);
}

#[test]
fn a_renamed_sync_costs_no_record_and_a_removed_one_is_said() {
    let repository = Repository::new();
    let project = &repository.0;
    repository.git(&["mv", "syncs/people.yaml", "syncs/persons.yaml"]);
    project.edit("syncs/persons.yaml", "name: people\n", "name: persons\nmoved_from: people\n");
    repository.git(&["rm", "-q", "syncs/plain.yaml"]);
    let plan = repository.plan(&[]);
    assert_eq!(
        changes(&plan),
        ["sync persons changed in syncs/persons.yaml: ", "sync plain removed in syncs/plain.yaml: "]
    );
    assert_eq!(counted(&plan, "persons"), ([0, 0, 0], [0, 0, 0]));
    assert_eq!(codes(&plan, "warnings"), ["sync_removed"]);
}

#[test]
fn variables_and_models_of_models_touch_who_uses_them() {
    let repository = Repository::new();
    let project = &repository.0;
    repository.git(&["checkout", "-q", "main"]);
    project.write("syncline.yaml", "name: test\nvars: { least: 40, greeting: Dear }\n");
    project.edit(
        "models/heavy.sql",
        "from people\nwhere seats >= 40",
        "from {{ ref('people') }}\nwhere seats >= {{ vars.least }}",
    );
    project.edit(
        "syncs/plain.yaml",
        "{ seats: seats }",
        "{ seats: seats, hello: { template: '{{ vars.greeting }} {{ row.name }}' } }",
    );
    repository.commit("with variables");
    project.apply(&[]).code(0);
    repository.git(&["checkout", "-q", "-B", "change"]);

    project.edit("syncline.yaml", "Dear", "Hello");
    let plan = repository.plan(&[]);
    assert_eq!(changes(&plan), ["project test changed in syncline.yaml: plain"]);
    assert_eq!(counted(&plan, "plain"), ([0, 100, 0], [0, 100, 0]));

    project.edit("syncline.yaml", "least: 40", "least: 45");
    let plan = repository.plan(&["--select", "changed"]);
    assert_eq!(changes(&plan), ["project test changed in syncline.yaml: heavy plain"]);
    assert_eq!(counted(&plan, "heavy"), ([0, 0, 10], [0, 10, 0]));

    repository.git(&["checkout", "-q", "syncline.yaml"]);
    project.edit("models/people.yaml", "from people", "from people where id <> 49");
    let plan = repository.plan(&["--select", "changed"]);
    assert_eq!(changes(&plan), ["model people changed in models/people.yaml: heavy people plain"]);
    assert_eq!(counted(&plan, "heavy"), ([0, 0, 1], [0, 1, 0]));
}

#[test]
fn a_change_is_judged_by_the_limits_it_found() {
    let repository = Repository::new();
    let project = &repository.0;
    repository.git(&["checkout", "-q", "main"]);
    project.write(
        "syncline.yaml",
        "name: test\nguards: { max_removed: 5% }\nusage: { monthly_queried_records: { limit: 100000 } }\n",
    );
    repository.commit("guards");
    repository.git(&["checkout", "-q", "-B", "change"]);
    project.edit("syncline.yaml", "5%", "100%");
    project.edit("syncline.yaml", "100000", "900000");
    project.edit("models/heavy.sql", ">= 40", ">= 45");
    let plan = repository.plan(&[]);
    assert_eq!(codes(&plan, "refusals"), ["max_removed"]);
    let loosened = codes(&plan, "warnings").iter().filter(|code| *code == "guard_loosened").count();
    assert_eq!(loosened, 4, "three syncs and the budget: {:#}", plan["warnings"]);
    let ran = repository.run(&[]).code(3);
    assert!(ran.stdout.contains("from 5% to 100%"), "{}", ran.stdout);
}

#[test]
fn new_credentials_and_addresses_wait_for_approval_and_nothing_is_connected_to() {
    let repository = Repository::new();
    let project = &repository.0;
    project.write("other/people.csv", "id,email,name,plan,seats\n1,stolen@example.com,x,free,1\n");
    project.edit("sources/files.yaml", "path: data", "path: \"{{ env.ELSEWHERE }}\"");
    project.edit("destinations/crm.yaml", "out/crm.db", "out/other.db");
    // A variable that is not set would be an error as soon as anything were opened.
    let plan = repository.plan(&[]);
    assert_eq!(plan["syncs"], json!([]));
    assert_eq!(codes(&plan, "refusals"), ["credential_surface"; 3]);
    let help = plan["refusals"][0]["help"].as_str().unwrap();
    let digest = help.rsplit(' ').next().unwrap();
    assert!(digest.starts_with("sha256:"), "{help}");
    repository.run(&["--approved-surface", "sha256:0000"]).code(3);
    let mut approved =
        project.command(&["plan", "--against", "main", "--approved-surface", digest, "--format", "json"]);
    approved.env("ELSEWHERE", project.path("data"));
    let approved = Ran::new(approved.output().unwrap()).code(0).json();
    assert_eq!(approved["syncs"].as_array().unwrap().len(), 3);
    assert_eq!(codes(&approved, "warnings").iter().filter(|code| *code == "credential_surface").count(), 3);
}

#[test]
fn offline_compares_the_configuration_alone() {
    let repository = Repository::new();
    let project = &repository.0;
    std::fs::remove_dir_all(project.path("data")).unwrap();
    project.edit("models/heavy.sql", ">= 40", ">= 45");
    let plan = repository.plan(&["--offline"]);
    assert_eq!(changes(&plan), ["model heavy changed in models/heavy.sql: heavy"]);
    assert_eq!((&plan["complete"], &plan["syncs"]), (&json!(false), &json!([])));
    assert_eq!(codes(&plan, "warnings"), ["offline"]);
    repository.run(&["--offline", "--detailed-exitcode"]).code(2);
    project.run(&["plan", "--offline"]).code(1);
}

#[test]
fn a_base_that_cannot_be_read_or_planned_is_said_and_secrets_in_it_are_not_shown() {
    let repository = Repository::new();
    let project = &repository.0;
    repository.git(&["checkout", "-q", "main"]);
    project.write(
        "destinations/pg.yaml",
        "name: pg\ntype: postgres\nconnection: { host: db.internal, user: u, database: d, password: hunter2hunter2 }\n",
    );
    repository.commit("a secret");
    repository.git(&["checkout", "-q", "-B", "change"]);
    project.edit("destinations/pg.yaml", "password: hunter2hunter2", "password: \"{{ env.PG }}\"");
    // Nothing is known of what stood before: nobody's connections and limits are let through by that.
    let ran = repository.run(&["--format", "json"]).code(3);
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(codes(&ran.json(), "warnings"), ["base_unreadable", "offline"]);
    assert_eq!(codes(&ran.json(), "refusals"), ["credential_surface"; 3]);
    assert!(ran.stdout.contains("*****"), "the place of the secret is shown: {}", ran.stdout);
    let digest = approval(&ran.json());
    let approved = |code: i32| repository.run(&["--format", "json", "--approved-surface", &digest]).code(code).json();
    assert_eq!(codes(&approved(0), "warnings").iter().filter(|code| *code == "credential_surface").count(), 3);
    // Who approves has seen the limits, too: others are approved anew.
    project.edit("syncs/plain.yaml", "name: plain\n", "name: plain\nguards: { max_removed: 100% }\n");
    assert_eq!(codes(&approved(3), "refusals"), ["credential_surface"; 3]);

    let repository = Repository::new();
    let project = &repository.0;
    repository.git(&["checkout", "-q", "main"]);
    project.edit("models/heavy.sql", "seats\nfrom", "gone as seats\nfrom");
    repository.commit("a column that is not there");
    repository.git(&["checkout", "-q", "-B", "change"]);
    project.edit("models/heavy.sql", "gone as seats", "seats");
    let plan = repository.plan(&["--select", "changed"]);
    assert_eq!(codes(&plan, "warnings"), ["causes_unknown"]);
    assert_eq!(counted(&plan, "heavy"), ([0, 0, 0], [0, 0, 0]));
}

#[test]
fn a_password_in_an_address_is_refused_and_shown_nowhere() {
    let repository = Repository::new();
    let project = &repository.0;
    let iterable = |user: &str| {
        project.write(
            "destinations/iterable.yaml",
            &format!(
                "name: iterable\ntype: iterable\nconnection:\n  api_key: \"{{{{ env.KEY }}}}\"\n  \
                 base_url: \"http://{user}@127.0.0.1:8198/iterable\"\n"
            ),
        );
    };
    iterable("svc:hunter2hunter2");
    let commands: [&[&str]; 5] = [
        &["validate"],
        &["validate", "--format", "json"],
        &["plan", "--against", "HEAD", "--offline", "--format", "markdown"],
        &["plan", "--against", "HEAD", "--offline", "--format", "html"],
        &["plan"],
    ];
    for command in commands {
        let ran = project.run(command).code(1);
        let all = ran.stdout + &ran.stderr;
        assert!(
            !all.contains("hunter2") && all.contains("`base_url` has a password written in it"),
            "{command:?}: {all}"
        );
    }
    // Taken out of a base that had it, it is not shown either.
    repository.commit("a password");
    iterable("svc:{{ env.PASSWORD }}");
    for format in ["markdown", "html", "json", "text"] {
        let ran = project.run(&["plan", "--against", "HEAD", "--offline", "--format", format]);
        assert!(!(ran.stdout.clone() + &ran.stderr).contains("hunter2"), "{format}: {}", ran.stdout);
        assert!(ran.stdout.contains("env.PASSWORD"), "{format}: {}", ran.stdout + &ran.stderr);
    }
}

/// What `--approved-surface` takes, as the first refusal says.
fn approval(plan: &Value) -> String {
    let help = plan["refusals"][0]["help"].as_str().expect("a refusal with a way out");
    help.rsplit(' ').next().expect("a word").to_owned()
}

#[test]
fn an_environment_of_another_name_is_held_to_what_stood_before() {
    let repository = Repository::new();
    let project = &repository.0;
    repository.git(&["checkout", "-q", "main"]);
    let manifest = |environment: &str, guard: &str| {
        format!("name: test\nguards: {{ max_removed: {guard} }}\nenvironments:\n  {environment}: {{ default: true }}\n")
    };
    project.write("syncline.yaml", &manifest("prod", "5"));
    repository.commit("an environment");
    repository.git(&["checkout", "-q", "-B", "change"]);
    // The command line names no environment, and the new default one is wide open.
    project.write("syncline.yaml", &manifest("live", "100%"));
    project.write(
        "destinations/crm.yaml",
        "name: crm\ntype: postgres\nconnection: { host: db.evil.example, user: u, database: d }\n",
    );
    let plan = repository.run(&["--format", "json"]).code(3).json();
    assert_eq!(codes(&plan, "refusals"), ["credential_surface"; 3]);
    let warnings = codes(&plan, "warnings");
    assert_eq!(warnings[0], "environment_new", "{warnings:?}");
    assert_eq!(warnings.iter().filter(|code| *code == "guard_loosened").count(), 3, "{warnings:?}");
    let message = plan["warnings"][0]["message"].as_str().unwrap();
    assert_eq!(message, "there is no environment `live` at `main`: it is compared with `prod` there");
}

#[test]
fn a_state_elsewhere_is_not_asked_before_it_is_approved() {
    let repository = Repository::new();
    let project = &repository.0;
    // Nothing answers there.
    project.write(
        "syncline.yaml",
        "name: test\nstate: { type: s3, bucket: theirs, region: eu-west-1, endpoint: \"http://127.0.0.1:9\" }\n",
    );
    let plan = repository.run(&["--format", "json"]).code(3).json();
    assert_eq!(codes(&plan, "refusals"), ["credential_surface"; 3]);
    let message = plan["refusals"][0]["message"].as_str().unwrap();
    assert!(message.ends_with("its state is kept in `s3://theirs`, which is new"), "{message}");
    let ran = repository.run(&["--approved-surface", &approval(&plan)]).code(1);
    assert!(ran.stderr.contains("s3://theirs"), "{}", ran.stderr);
}

#[test]
fn what_is_not_in_git_is_said_with_a_way_out() {
    let project = Project::people("upsert", FIELDS);
    project.write("data/people.csv", &people_csv(1));
    let ran = project.run(&["plan", "--against", "main"]).code(1);
    assert!(ran.stderr.contains("not in a git repository"), "{}", ran.stderr);
    let repository = Repository::new();
    let ran = repository.0.run(&["plan", "--against", "mian"]).code(1);
    assert!(
        ran.stderr.contains("git knows no `mian`") && ran.stderr.contains("did you mean `main`?"),
        "{}",
        ran.stderr
    );
    let ran = repository.0.run(&["plan", "--select", "changed"]).code(1);
    assert!(ran.stderr.contains("--against"), "{}", ran.stderr);
}

#[test]
fn no_connection_leads_where_the_policy_does_not_let_it() {
    let repository = Repository::new();
    let project = &repository.0;
    repository.git(&["checkout", "-q", "main"]);
    project.write("syncline.yaml", "name: test\npolicy: { allowed_hosts: [api.example.com] }\n");
    repository.commit("a policy");
    repository.git(&["checkout", "-q", "-B", "change"]);
    // Nothing answers there; what is not allowed is not even asked.
    project.write(
        "destinations/crm.yaml",
        "name: crm\ntype: postgres\nconnection: { host: db.evil.example, user: u, database: d }\n",
    );
    project.edit("syncline.yaml", "api.example.com", "api.example.com, db.evil.example");
    let digest = approval(&repository.plan(&[]));
    let ran = repository.run(&["--approved-surface", &digest]).code(1);
    assert!(ran.stderr.contains("leads to `db.evil.example`, which the project does not allow"), "{}", ran.stderr);
    assert!(ran.stdout.contains("policy.allowed_hosts"), "{}", ran.stdout);
    repository.git(&["checkout", "-q", "syncline.yaml"]);
    let ran = project.run(&["doctor"]).code(1);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("does not allow"), "{}{}", ran.stdout, ran.stderr);
}
