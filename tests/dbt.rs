//! Models by `dbt`, with a project that real dbt-core has built in a real PostgreSQL, and dbt reading the exposures back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::databases::postgres_yaml;
use crate::postgres::{Server, server};
use crate::project::{Project, Ran, number};

/// The dbt project: a seed, a staging model, a mart with a contract, one that is ephemeral, one that is disabled.
const DBT: &[(&str, &str)] = &[
    ("dbt/dbt_project.yml", "name: shop\nversion: '1.0'\nprofile: shop\nmodels: { shop: { +materialized: table } }\n"),
    (
        "dbt/profiles.yml",
        "shop:\n  target: dev\n  outputs:\n    dev: { type: postgres, host: 127.0.0.1, port: \"{{ env_var('PG_PORT') | int }}\", \
         user: postgres, password: \"{{ env_var('PG_PASSWORD') }}\", dbname: \"{{ env_var('PG_DATABASE') }}\", \
         schema: Marts, threads: 1 }\n",
    ),
    ("dbt/seeds/raw_contacts.csv", "id,email,plan,seats\n1,ann@x.io,free,1\n2,bob@x.io,premium,20\n3,cy@x.io,free,3\n"),
    ("dbt/macros/clean.sql", "{% macro clean(column) %}lower(trim({{ column }})){% endmacro %}\n"),
    ("dbt/models/stage.sql", "select id, {{ clean('email') }} as email, plan, seats from {{ ref('raw_contacts') }}\n"),
    ("dbt/models/contacts.sql", "select id, email, plan, seats from {{ ref('stage') }}\n"),
    ("dbt/models/inline.sql", "{{ config(materialized='ephemeral') }} select 1 as id\n"),
    ("dbt/models/retired.sql", "{{ config(enabled=false) }} select 1 as id\n"),
    (
        "dbt/models/schema.yml",
        "version: 2
models:
  - name: contacts
    config: { contract: { enforced: true } }
    columns:
      - { name: id, data_type: integer, data_tests: [unique, not_null] }
      - { name: email, data_type: text, description: Where they are written to. }
      - { name: plan, data_type: text, config: { meta: { sensitive: false } } }
      - { name: seats, data_type: integer }
",
    ),
];

const SYNCLINE: &[(&str, &str)] = &[
    ("syncline.yaml", "name: acme\nowner: { name: Marketing Operations, email: mops@example.com }\n"),
    ("models/people.yaml", "name: people\nsource: warehouse\ndbt: contacts\nprimary_key: [id]\n"),
    (
        "models/large.yaml",
        "name: large\nsource: warehouse\nsql: select * from {{ ref('people') }} where seats > 2\nprimary_key: [id]\n",
    ),
    ("destinations/crm.yaml", "name: crm\ntype: sqlite\nconnection: { path: out/crm.db }\n"),
    (
        "syncs/people.yaml",
        "name: people\ndescription: \"Everybody, {{ unlike this }}.\"\nmodel: people\ndestination: crm\nobject: people\nmode: upsert\n\
         match: { email: email }\nfields: { plan: plan, seats: seats }\noptions: { create: true }\n",
    ),
    (
        "syncs/large-ones.yaml",
        "name: large-ones\nmodel: large\ndestination: crm\nobject: large\nmode: upsert\nmatch: { email: email }\n\
         options: { create: true }\n",
    ),
    ("out/.keep", ""),
];

/// The program: what `SYNCLINE_DBT` names, else what PATH has, with its adapter for PostgreSQL. `None`, loudly, where
/// there is none; in CI (`CI` is set) that is a failure.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = PROGRAM.get_or_init(|| {
        let named = std::env::var_os("SYNCLINE_DBT").filter(|name| !name.is_empty()).map(PathBuf::from);
        let program = named.clone().unwrap_or_else(|| "dbt".into());
        let version = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let version = version.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
        let fits = version.contains("postgres:");
        assert!(fits || named.is_none(), "SYNCLINE_DBT names no dbt with dbt-postgres, but {program:?}: {version:?}");
        fits.then_some(program)
    });
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "dbt is not installed, and CI must not skip its tests");
        eprintln!("SKIPPED: `dbt` with dbt-postgres is neither in PATH nor named by SYNCLINE_DBT");
    }
    found.as_deref()
}

struct Scene {
    project: Project,
    program: &'static Path,
    server: &'static Server,
    database: String,
}

impl Scene {
    /// A database that dbt has built, and a project that reads it.
    fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// The same with more files.
    fn with(files: &[(&str, &str)]) -> Option<Self> {
        let (program, server) = (program()?, server()?);
        let database = server.database("select 1");
        let project = Project::new(&[DBT, SYNCLINE, files].concat());
        let source = postgres_yaml(server, "warehouse", &database);
        project.write("sources/warehouse.yaml", &format!("{source}dbt: {{ manifest: dbt/target/manifest.json }}\n"));
        project.write("password", &server.password);
        let scene = Self { project, program, server, database };
        scene.dbt(&["build"]);
        Some(scene)
    }

    /// Runs dbt in its project; it must succeed.
    #[track_caller]
    fn dbt(&self, arguments: &[&str]) -> String {
        let output = Command::new(self.program)
            .args(["--no-use-colors", "--no-send-anonymous-usage-stats", "--no-version-check"])
            .args(arguments)
            .args(["--project-dir", "dbt", "--profiles-dir", "dbt", "--target-path", "target"])
            .current_dir(self.project.root())
            .env("PG_PORT", self.server.port.to_string())
            .env("PG_PASSWORD", &self.server.password)
            .env("PG_DATABASE", &self.database)
            .env("DBT_STATIC_ANALYSIS", "off")
            .stdin(Stdio::null())
            .output()
            .expect("dbt runs");
        let ran = Ran::new(output);
        assert_eq!(ran.code, 0, "dbt {arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// What `validate` says: code and place, one a fault.
    #[track_caller]
    fn validate(&self, code: i32) -> Vec<String> {
        let said = self.project.run(&["validate", "--format", "json"]).code(code).json();
        let line = |d: &Value| {
            let part = |at: &str| d[at].to_string().trim_matches('"').to_owned();
            format!("{}:{}:{} {}: {}", part("file"), part("line"), part("column"), part("code"), part("message"))
        };
        said["diagnostics"].as_array().expect("diagnostics").iter().map(line).collect()
    }
}

#[test]
fn what_dbt_has_built_is_planned_applied_and_shown_in_its_lineage() {
    let Some(scene) = Scene::new() else { return };
    let project = &scene.project;
    assert_eq!(scene.validate(0), Vec::<String>::new());
    let plan = project.plan(&["--select", "people"]);
    assert_eq!(number(&plan, "/syncs/0/counts/added"), 3);
    project.apply(&[]).code(0);
    let held = ["ann@x.io|free|1", "bob@x.io|premium|20", "cy@x.io|free|3"];
    assert_eq!(project.rows("out/crm.db", "select email, plan, seats from people order by email"), held);
    assert_eq!(project.rows("out/crm.db", "select count(*) from large"), ["2"]);

    // What dbt calls `sensitive: false` is shown, and nothing else.
    scene.server.run(&scene.database, "update \"Marts\".contacts set plan = 'ultimate', seats = 4711 where id = 1");
    let markdown = project.run(&["plan", "--select", "people", "--format", "markdown"]).code(0).stdout;
    assert!(markdown.contains("ultimate") && !markdown.contains("4711"), "{markdown}");

    let tree = project.run(&["graph"]).code(0).stdout;
    assert!(tree.contains("└─ model people (dbt model.shop.contacts)\n"), "{tree}");
    let ran = project.run(&["graph", "--dbt-exposures", "dbt/models/syncline.yml"]).code(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    let listed = scene.dbt(&[
        "ls",
        "--resource-type",
        "exposure",
        "--output",
        "json",
        "--output-keys",
        "name label description depends_on owner config",
    ]);
    assert!(!listed.contains("Deprecat") && !listed.contains("WARN"), "{listed}");
    let listed: Vec<Value> = listed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let shown: Vec<String> = listed
        .iter()
        .map(|e| {
            format!("{} | {} | {} | {}", e["name"], e["description"], e["depends_on"]["nodes"], e["owner"]["email"])
        })
        .collect();
    let expected = [
        r#""large_ones" | "" | ["model.shop.contacts"] | "mops@example.com""#,
        r#""people" | "Everybody, {{ unlike this }}." | ["model.shop.contacts"] | "mops@example.com""#,
    ];
    assert_eq!(shown, expected, "{listed:?}");
    assert_eq!(listed[1]["config"]["meta"]["syncline"]["destination"], "crm");
    // dbt's own selection goes from a sync to what it is made of.
    let upstream = scene.dbt(&["--quiet", "ls", "--select", "+exposure:people", "--resource-type", "seed"]);
    assert_eq!(upstream.trim(), "shop.raw_contacts");
}

#[test]
fn what_changes_in_dbt_is_noticed_at_the_line_that_names_it() {
    let Some(scene) = Scene::new() else { return };
    let project = &scene.project;
    for (name, expected) in [
        ("inline", "dbt-no-rows: `model.shop.inline` is ephemeral: dbt makes no table or view of it"),
        ("retired", "dbt-disabled: `model.shop.retired` is disabled in dbt: it is not built any more"),
        ("contact", "dbt-unknown: dbt has no model, seed, snapshot or source table `contact`"),
    ] {
        project
            .write("models/people.yaml", &format!("name: people\nsource: warehouse\ndbt: {name}\nprimary_key: [id]\n"));
        let said = scene.validate(1);
        assert_eq!(said.first(), Some(&format!("models/people.yaml:3:6 {expected}")), "{said:?}");
    }
    project.write("models/people.yaml", SYNCLINE[1].1);

    // The digest follows everything that the model is made of, and nothing that is only written about it.
    let digests = || {
        let loaded = syncline::project::load(project.root(), None);
        let loaded = loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        [&loaded.models["people"].digest, &loaded.models["large"].digest].map(String::clone)
    };
    let mut before = digests();
    for (file, from, to, same) in [
        ("dbt/macros/clean.sql", "lower(", "upper(", false),
        ("dbt/seeds/raw_contacts.csv", "cy@x.io", "cyd@x.io", false),
        ("dbt/models/stage.sql", "plan, seats from", "plan, seats + 1 as seats from", false),
        ("dbt/models/schema.yml", "Where they are written to.", "Their address.", true),
        ("dbt/models/inline.sql", "select 1 as id", "select 2 as id", true),
    ] {
        project.edit(file, from, to);
        scene.dbt(&["parse"]);
        let now = digests();
        assert_eq!([now[0] == before[0], now[1] == before[1]], [same, same], "{file}");
        before = now;
    }

    // A comparison names what is made of it; the manifest of the past is where `base` says, as git seldom has it.
    project.write(".gitignore", "dbt/target\ndbt/base.json\n.syncline\nout\npassword\n");
    project.edit("sources/warehouse.yaml", "manifest.json }", "manifest.json, base: dbt/base.json }");
    std::fs::copy(project.path("dbt/target/manifest.json"), project.path("dbt/base.json")).expect("a copy");
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"];
        let ran = Command::new("git").args(identity).args(arguments).current_dir(project.root()).output();
        assert!(ran.expect("git runs").status.success(), "git {arguments:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "first"]);
    let affected = || {
        let plan = project.plan(&["--against", "main"]);
        let changes = plan["configuration"].as_array().expect("changes").iter();
        let warnings = plan["warnings"].as_array().expect("warnings").iter();
        let changes =
            changes.map(|c| format!("{} {} in {} touches {}", c["name"], c["change"], c["file"], c["affects"]));
        let unseen = warnings.filter(|w| w["code"] == "dbt_not_compared").map(|w| w["place"].to_string());
        changes.chain(unseen).collect::<Vec<_>>().join("\n").replace('"', "")
    };
    assert_eq!(affected(), "");
    project.edit("dbt/models/stage.sql", "seats + 1", "seats + 2");
    scene.dbt(&["parse"]);
    let noticed = "people changed in dbt/target/manifest.json touches [large-ones,people]";
    assert_eq!(affected(), noticed);
    let text = project.run(&["plan", "--against", "main"]).code(0).stdout;
    assert!(text.contains("- made of model.shop.stage "), "{text}");
    // Without it nothing is noticed, and that is said.
    git(&["checkout", "-q", "-b", "without"]);
    project.edit("sources/warehouse.yaml", ", base: dbt/base.json }", " }");
    git(&["commit", "-q", "-a", "-m", "no base"]);
    let plan = project.plan(&["--against", "without"]);
    let place = plan["warnings"].as_array().expect("warnings").iter().find(|w| w["code"] == "dbt_not_compared");
    assert_eq!(place.map(|w| w["place"].clone()), Some("sources/warehouse.yaml:9:18".into()), "{plan:#}");

    // A column that the contract drops is missed before anything is connected to.
    project.edit("dbt/models/contacts.sql", "plan, seats from", "plan as tier, seats from");
    project.edit("dbt/models/schema.yml", "name: plan", "name: tier");
    scene.dbt(&["parse"]);
    project.edit("sources/warehouse.yaml", "host: 127.0.0.1", "host: unreachable.invalid");
    let said = scene.validate(1);
    assert_eq!(said, ["syncs/people.yaml:8:17 unknown-column: the model has no column `plan`"]);
}

#[test]
fn tests_that_dbt_declares_are_run_where_the_project_asks_for_it() {
    let Some(scene) = Scene::with(&[
        ("dbt/models/plans.sql", "select distinct plan from {{ ref('stage') }}\n"),
        (
            "dbt/models/more.yml",
            "version: 2
models:
  - name: plans
    columns: [ { name: plan, data_tests: [unique] } ]
  - name: stage
    columns:
      - name: plan
        data_tests:
          - accepted_values: { arguments: { values: [free, premium] }, config: { severity: warn } }
          - relationships: { arguments: { to: ref('plans'), field: plan } }
      - { name: email, data_tests: [ { not_null: { config: { where: seats > 2 } } } ] }
",
        ),
        (
            "dbt/tests/generic/is_short.sql",
            "{% test is_short(model, column_name) %} select 1 as n where false {% endtest %}\n",
        ),
        ("models/staged.yaml", "name: staged\nsource: warehouse\ndbt: stage\nprimary_key: [id]\n"),
        ("models/plans.yaml", "name: plans\nsource: warehouse\ndbt: plans\nprimary_key: [plan]\n"),
        (
            "syncs/staged.yaml",
            "name: staged\nmodel: staged\ndestination: crm\nobject: staged\nmode: upsert\nmatch: { email: email }\n\
             fields: { plan: plan }\noptions: { create: true }\n",
        ),
    ]) else {
        return;
    };
    let project = &scene.project;
    let tests = |code: i32| -> Vec<String> {
        let plan = project.run(&["plan", "--select", "staged", "--format", "json", "--show-values"]).code(code).json();
        let tests = plan["syncs"][0]["tests"].as_array().cloned().unwrap_or_default();
        let word = |test: &Value| {
            let ok = if test["ok"] == true { "holds" } else { "fails" };
            format!("{} {} {ok} at {}", test["test"], test["severity"], test["place"]).replace('"', "")
        };
        let mut words: Vec<String> = tests.iter().map(word).collect();
        words.sort();
        words
    };
    assert_eq!(tests(0), [""; 0], "dbt runs them itself");
    let asked = |how: &str| {
        let source = project.read("sources/warehouse.yaml");
        let at = source.find("dbt: {").expect("dbt");
        project.write(
            "sources/warehouse.yaml",
            &format!("{}dbt: {{ manifest: dbt/target/manifest.json, tests: {how} }}\n", &source[..at]),
        );
    };
    asked("declared");
    let expected = |related: &str, accepted: &str, related_severity: &str| {
        [
            format!("accepted_values_stage_plan__free__premium warn {accepted} at models/staged.yaml:3:1"),
            format!("not_null_stage_email {related_severity} holds at models/staged.yaml:3:1"),
            format!(
                "relationships_stage_plan__plan__ref_plans_ {related_severity} {related} at models/staged.yaml:3:1"
            ),
        ]
    };
    assert_eq!(tests(0), expected("holds", "holds", "error"));
    // A row of another plan: dbt only warns of the one, and the other is an error.
    scene.server.run(
        &scene.database,
        "update \"Marts\".stage set plan = 'gold' where id = 1; update \"Marts\".stage set email = null where id = 1",
    );
    assert_eq!(tests(3), expected("fails", "fails", "error"));
    asked("warn");
    assert_eq!(tests(0), expected("fails", "fails", "warn"));
    // What the manifest says itself comes once, and what a model says of itself holds.
    project.edit("models/staged.yaml", "primary_key: [id]", "primary_key: [id]\ndbt_tests: off");
    assert_eq!(tests(0), [""; 0]);
    project.edit("models/staged.yaml", "dbt_tests: off", "dbt_tests: declared\ncolumns: { plan: { tests: [ { accepted_values: { values: [free, premium], severity: error } } ] } }");
    assert_eq!(
        tests(3),
        [
            "accepted_values error fails at models/staged.yaml:6:31",
            "not_null_stage_email error holds at models/staged.yaml:3:1",
            "relationships_stage_plan__plan__ref_plans_ error fails at models/staged.yaml:3:1"
        ]
    );
    // What cannot be run here is said, and does not fail.
    project.edit(
        "dbt/models/more.yml",
        "- { name: email,",
        "- { name: seats, data_tests: [is_short] }\n      - { name: email,",
    );
    scene.dbt(&["parse"]);
    std::fs::remove_file(project.path("models/plans.yaml")).expect("a file");
    let said = scene.validate(0);
    assert_eq!(
        said,
        [
            "models/staged.yaml:3:6 dbt-test-left-out: 2 tests that dbt declares of `model.shop.stage` cannot be run here: \
          `is_short_stage_seats`: `is_short` is a test of the project, which only dbt can run; \
          `relationships_stage_plan__plan__ref_plans_`: `model.shop.plans` is no model of this project"
        ]
    );
    project.edit("models/large.yaml", "primary_key", "dbt_tests: warn\nprimary_key");
    assert_eq!(
        scene.validate(1)[0],
        "models/large.yaml:4:1 dbt-unused: `dbt_tests` is for models by `dbt`, and this one is none"
    );
}
