//! The state in a bucket or a table: every store that is here, through the real binary. S3 is moto's server, Azure is
//! Azurite, PostgreSQL is real.

mod stores;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::project::{Project, Ran, number, people_csv};
use stores::{Store, stores};

const FIELDS: &str = "fields:\n  name: name\n  plan: plan\n  seats: seats\n";

/// A machine with the project on it, and nothing but the store to tell it what others have done.
struct Machine<'a> {
    project: Project,
    store: &'a Store,
}

impl<'a> Machine<'a> {
    /// `database` is where the records go.
    fn new(store: &'a Store, prefix: &str, database: &str, rows: usize) -> Self {
        let project = Project::people("mirror", &format!("{FIELDS}delivery: {{ batch_size: 5 }}\n"));
        project.write("data/people.csv", &people_csv(rows));
        let state = store.state(prefix);
        project.write(
            "syncline.yaml",
            &format!("name: test\nenvironments:\n  dev: {{ default: true }}\n  prod:\n    state: {state}\n"),
        );
        project.write(
            "destinations/crm.yaml",
            &format!("name: crm\ntype: sqlite\nconnection: {{ path: '{database}' }}\n"),
        );
        Self { project, store }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.project.command(arguments);
        command.args(["--env", "prod"]).envs(self.store.variables.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let ran = Ran::new(self.start(arguments).wait_with_output().expect("an end"));
        for (name, secret) in self.store.variables.iter().filter(|(name, _)| stores::is_secret(name)) {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{name} is shown");
        }
        ran
    }

    fn apply(&self) -> Ran {
        self.run(&["apply", "--auto-approve", "--format", "json"])
    }

    fn plan(&self) -> [u64; 3] {
        let plan = self.run(&["plan", "--format", "json"]).code(0).json();
        ["added", "changed", "removed"].map(|what| number(&plan, &format!("/totals/{what}")))
    }
}

fn each(test: impl Fn(&Store)) {
    for store in stores() {
        eprintln!("--- {}", store.name);
        test(store);
    }
}

#[test]
fn what_one_machine_has_done_every_other_knows() {
    each(|store| {
        let out = tempfile::tempdir().expect("a folder");
        let database = out.path().join("crm.db").display().to_string();
        let (one, other) = (Machine::new(store, "knows", &database, 40), Machine::new(store, "knows", &database, 40));
        assert_eq!(one.plan(), [40, 0, 0]);
        one.apply().code(0);
        assert_eq!(other.plan(), [0, 0, 0], "{}", store.name);
        let name = &store.name;
        other.project.write("data/people.csv", &people_csv(35));
        assert_eq!(other.plan(), [0, 0, 5], "{name}");
        other.apply().code(0);
        assert_eq!(one.plan(), [5, 0, 0], "{name}: here the five are still there");
        let runs = one.run(&["runs", "list"]).code(0).stdout;
        assert_eq!(runs.lines().count(), 2, "{name}: {runs}");
        let run = runs.split_whitespace().next().expect("a run");
        assert!(one.run(&["runs", "show", run]).code(0).stdout.contains("people"));
        // Out of one store into a file, and into an empty state of another.
        one.run(&["state", "pull", "state.zip"]).code(0);
        let third = Machine::new(store, "pushed", &database, 35);
        std::fs::copy(one.project.path("state.zip"), third.project.path("state.zip")).expect("a copy");
        let refused = third.run(&["state", "push", "state.zip", "--auto-approve"]).code(1);
        assert!(refused.stderr.contains("hash key"), "{name}: {}", refused.stderr);
        assert!(one.run(&["state", "list"]).code(0).stdout.contains("people"));
        one.run(&["state", "forget", "people", "--auto-approve"]).code(0);
        assert_eq!(other.plan(), [35, 0, 0], "{name}");
        // Nothing of people is left beside the project.
        for machine in [&one, &other] {
            let left: Vec<_> =
                std::fs::read_dir(machine.project.path(".syncline")).expect("a folder").flatten().collect();
            let names: Vec<_> = left.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            assert_eq!(names, [".gitignore"], "{name}");
        }
    });
}

/// A destination that takes its time, so that something is going on when it is looked at.
fn slow(machine: &Machine, rows: usize) {
    machine.project.sql(
        machine.project.read("destinations/crm.yaml").split('\'').nth(1).expect("a path"),
        "create table people (email text, name text, plan text, seats integer);
         create table writes (email text);
         create trigger i after insert on people begin insert into writes values (new.email); end;",
    );
    machine.project.edit("syncs/people.yaml", "batch_size: 5", "batch_size: 1");
    machine.project.edit("syncs/people.yaml", "mode: mirror", "mode: insert");
    machine.project.write("data/people.csv", &people_csv(rows));
}

fn written(machine: &Machine, database: &str) -> usize {
    machine.project.rows(database, "select count(*) from writes")[0].parse().expect("a number")
}

#[track_caller]
fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "it never came to it that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn of_two_machines_one_is_told_who_is_at_work_and_a_killed_one_is_taken_over() {
    const ROWS: usize = 600;
    std::thread::scope(|scope| {
        for store in stores() {
            scope.spawn(move || {
                let out = tempfile::tempdir().expect("a folder");
                let database = out.path().join("crm.db").display().to_string();
                let one = Machine::new(store, "two", &database, 0);
                let other = Machine::new(store, "two", &database, 0);
                slow(&one, ROWS);
                for name in ["syncs/people.yaml", "data/people.csv"] {
                    other.project.write(name, &one.project.read(name));
                }
                let name = &store.name;
                let first = one.start(&["apply", "--auto-approve"]);
                until("rows arrive", || written(&one, &database) >= 3);
                let refused = other.apply().code(6);
                let words = format!("process {}", first.id());
                assert!(refused.stderr.contains(&words), "{name}: `{words}` is not in {}", refused.stderr);
                let mut first = first;
                first.kill().expect("a kill");
                first.wait().expect("an end");
                assert!(written(&one, &database) < ROWS, "{name}: it ended too soon for this test");
                // Its lease must run out first: the store's clock tells.
                other.run(&["apply", "--auto-approve", "--lock-timeout", "100"]).code(0);
                assert_eq!(written(&one, &database), ROWS, "{name}: every row once");
                assert_eq!(one.plan(), [0, 0, 0], "{name}");
            });
        }
    });
}

#[test]
fn a_store_that_is_not_there_is_said_with_what_to_look_at() {
    for (state, variables, words) in [
        (
            "{ type: s3, bucket: none, region: eu-west-1, endpoint: 'http://127.0.0.1:9' }",
            vec![("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")],
            ["s3://none", "AWS_ACCESS_KEY_ID"],
        ),
        (
            "{ type: postgres, connection: { host: 127.0.0.1, port: 9, user: u } }",
            vec![("PGPASSWORD", "hunter2hunter2")],
            ["postgres://127.0.0.1/u", "PGPASSWORD"],
        ),
    ] {
        let project = Project::people("upsert", FIELDS);
        project.write("data/people.csv", &people_csv(1));
        project.write("syncline.yaml", &format!("name: test\nstate: {state}\n"));
        let output = project.command(&["plan"]).envs(variables).output().expect("the binary runs");
        let ran = Ran::new(output).code(1);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}
