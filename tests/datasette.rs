//! `type: http` against Datasette's JSON write API: a server none of us wrote, and none we could have written the manifest
//! for. The destinations are in `tests/datasette/destinations`, as a user would write them.

mod faults;
mod modes;
mod refused;
mod secrets;
mod server;
mod wire;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::project::{Project, Ran, number};
use server::Server;

/// The destinations, with `requests` and with `objects`.
const OBJECTS: &str = include_str!("datasette/destinations/objects.yaml");
const BATCHES: &str = include_str!("datasette/destinations/batches.yaml");
const STATES: &str = include_str!("datasette/destinations/states.yaml");
const TOKEN: &str = include_str!("datasette/destinations/token.yaml");

/// A person as the source has it: email, name, plan, seats. Without a name Datasette's table refuses it.
type Person = (String, String, &'static str, usize);

/// So many people.
fn people(n: usize) -> Vec<Person> {
    let person = |id| (format!("p{id}@example.com"), format!("Person {id}"), ["free", "premium"][id % 2], id % 50);
    (1..=n).map(person).collect()
}

/// A project whose people go to a table of their own.
struct Scene {
    project: Project,
    server: &'static Server,
    table: String,
    /// What the manifest finds in its environment.
    url: String,
    token: String,
}

impl Scene {
    /// `None`, loudly, without Datasette.
    fn new(destination: &str, mode: &str, more: &str) -> Option<Self> {
        let server = server::server()?;
        let table = server.table();
        let sync = format!(
            "name: people\nmodel: people\ndestination: datasette\nobject: row\nmode: {mode}\nmatch: {{ email: email }}\n\
             fields: {{ name: name, plan: plan, seats: seats }}\noptions: {{ table: {table} }}\n{more}"
        );
        let project = Project::new(&[
            ("syncline.yaml", "name: test\n"),
            ("sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n"),
            (
                "models/people.yaml",
                "name: people\nsource: files\n\
                 sql: select email, nullif(name, '') as name, plan, seats from people\nprimary_key: [email]\n",
            ),
            ("destinations/datasette.yaml", destination),
            ("syncs/people.yaml", &sync),
        ]);
        Some(Self { project, server, table, url: server.url.clone(), token: server.token.clone() })
    }

    /// What the source holds from now on.
    fn source(&self, people: &[Person]) {
        let line = |(email, name, plan, seats): &Person| format!("\"{email}\",{name},{plan},{seats}\n");
        let lines: String = people.iter().map(line).collect();
        self.project.write("data/people.csv", &format!("email,name,plan,seats\n{lines}"));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command.env("DATASETTE_URL", &self.url).env("DATASETTE_TOKEN", &self.token);
        command
    }

    /// Runs the binary; whatever it does, it never prints the token.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        let ran = Ran { code, stdout: text(output.stdout), stderr: text(output.stderr) };
        for token in [&self.token, &self.server.token] {
            assert!(
                !ran.stdout.contains(token.as_str()) && !ran.stderr.contains(token.as_str()),
                "the token is printed"
            );
        }
        ran
    }

    /// Applies without questions; the sync of the run as JSON.
    #[track_caller]
    fn apply(&self, arguments: &[&str], code: i32) -> Value {
        let mut all = vec!["apply", "--auto-approve", "--format", "json"];
        all.extend(arguments);
        self.run(&all).code(code).json()["syncs"][0].take()
    }

    #[track_caller]
    fn plan(&self, code: i32) -> Value {
        self.run(&["plan", "--detailed-exitcode", "--format", "json"]).code(code).json()["syncs"][0].take()
    }

    /// Who was not taken by the last run: key, outcome and message, in order.
    #[track_caller]
    fn refused(&self) -> Vec<String> {
        let shown = self.run(&["runs", "rejected", "--show-values", "--format", "json"]).code(0).json();
        let rows = shown["rows"].as_array().cloned().unwrap_or_default();
        let line = |row: &Value| {
            ["key", "outcome", "message"].map(|at| row[at].as_str().unwrap_or_default()).join(" ").trim().to_owned()
        };
        let mut lines: Vec<String> = rows.iter().map(line).collect();
        lines.sort();
        lines
    }

    /// What Datasette holds.
    fn held(&self) -> Vec<String> {
        let columns = "email || '|' || name || '|' || coalesce(plan, 'null') || '|' || coalesce(seats, 'null')";
        self.server.rows(&format!("select {columns} from {} order by email", self.table))
    }

    /// Fails unless Datasette holds these people and nobody else.
    #[track_caller]
    fn holds(&self, people: &[Person], what: &str) {
        let line = |(email, name, plan, seats): &Person| format!("{email}|{name}|{plan}|{seats}");
        let mut expected: Vec<String> = people.iter().map(line).collect();
        expected.sort();
        let held = self.held();
        let odd = |a: &[String], b: &[String]| a.iter().find(|line| !b.contains(line)).cloned();
        let (missing, more) = (odd(&expected, &held), odd(&held, &expected));
        assert_eq!((missing, more, held.len()), (None, None, expected.len()), "{what}");
    }

    /// What became of records: succeeded (added, changed, removed), rejected, no match.
    #[track_caller]
    fn told(run: &Value) -> [u64; 5] {
        ["/succeeded/added", "/succeeded/changed", "/succeeded/removed", "/rejected", "/no_match"]
            .map(|at| number(run, at))
    }

    /// Datasette's own count of the requests that wrote to the table, `upsert 200` or so, since the last so many.
    fn log(&self, after: usize) -> Vec<String> {
        self.server.log(&self.table).split_off(after)
    }
}

/// The lines of a wire log that are requests which write.
fn requests(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON").get("request").cloned();
    text.lines().filter_map(line).filter(|request| request["method"] == "POST").collect()
}

/// So many times the same.
fn times(n: usize, what: &str) -> Vec<String> {
    vec![what.to_owned(); n]
}

#[test]
fn the_manifests_are_valid_and_offline() {
    for destination in [OBJECTS, BATCHES, STATES, TOKEN] {
        let Some(scene) = Scene::new(destination, "upsert", "") else { return };
        let ran = scene.run(&["validate", "--format", "json"]).code(0);
        assert_eq!(ran.json()["diagnostics"], json!([]), "{}", ran.stdout);
        assert_eq!(scene.log(0), Vec::<String>::new());
    }
}
