//! A throw-away project and the real binary to run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::Connection;
use serde_json::Value;

/// A project in a folder of its own; gone when dropped.
pub struct Project {
    folder: tempfile::TempDir,
}

/// What a command left behind.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test, with all that was printed, unless the exit code is this.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("not JSON ({e}):\n{}", self.stdout))
    }
}

impl Project {
    /// Files as `path → text`; folders are made.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// People of `data/people.csv` go to table `people` of `out/crm.db`; `sync` is put into the sync manifest.
    pub fn people(mode: &str, sync: &str) -> Self {
        let sync = format!(
            "name: people\nmodel: people\ndestination: crm\nobject: people\nmode: {mode}\nmatch: {{ email: email }}\n\
             options: {{ create: true }}\n{sync}"
        );
        Self::new(&[
            ("syncline.yaml", "name: test\n"),
            ("sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n"),
            (
                "models/people.yaml",
                "name: people\nsource: files\nsql: select id, email, name, plan, seats from people\nprimary_key: [id]\n",
            ),
            ("destinations/crm.yaml", "name: crm\ntype: sqlite\nconnection: { path: out/crm.db }\n"),
            ("syncs/people.yaml", &sync),
            ("out/.keep", ""),
        ])
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a written file");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a readable file")
    }

    /// Replaces text in a file; fails when it is not there.
    #[track_caller]
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, &text.replace(from, to));
    }

    /// The binary, ready to run in the project without anything of this machine's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(arguments).current_dir(self.root());
        for name in ["CI", "NO_COLOR", "SYNCLINE_ENV", "SYNCLINE_LOG", "SYNCLINE_STATE_KEY", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(arguments).output().expect("the binary runs"))
    }

    /// The plan as JSON, with values.
    #[track_caller]
    pub fn plan(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["plan", "--format", "json", "--show-values"];
        all.extend(arguments);
        self.run(&all).json()
    }

    /// Applies without questions.
    #[track_caller]
    pub fn apply(&self, arguments: &[&str]) -> Ran {
        let mut all = vec!["apply", "--auto-approve"];
        all.extend(arguments);
        self.run(&all)
    }

    /// Rows of a query on a SQLite file, each joined by `|`, null as `NULL`.
    pub fn rows(&self, database: &str, sql: &str) -> Vec<String> {
        let connection = Connection::open(self.path(database)).expect("a database");
        let mut statement = connection.prepare(sql).expect("a query");
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|i| {
                Ok(match row.get_ref(i)? {
                    rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                    rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                    rusqlite::types::ValueRef::Real(n) => n.to_string(),
                    rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
                    rusqlite::types::ValueRef::Blob(b) => format!("{} bytes", b.len()),
                })
            });
            Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
        });
        rows.expect("rows").collect::<rusqlite::Result<_>>().expect("rows")
    }

    /// Runs statements on a SQLite file.
    pub fn sql(&self, database: &str, statements: &str) {
        let path = self.path(database);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        Connection::open(path).and_then(|c| c.execute_batch(statements)).expect("statements that work");
    }
}

/// `id,email,name,plan,seats` for ids `1..=n`.
pub fn people_csv(n: usize) -> String {
    let rows =
        (1..=n).map(|id| format!("{id},p{id}@example.com,Person {id},{},{}\n", ["free", "premium"][id % 2], id % 50));
    "id,email,name,plan,seats\n".chars().chain(rows.collect::<String>().chars()).collect()
}

/// A number inside a JSON value, by pointer.
#[track_caller]
pub fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {pointer} in\n{value:#}"))
}
