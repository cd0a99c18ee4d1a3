//! The stand-in as a process, and a project that speaks to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::project::{Project, Ran};

/// Iterable and Marketo, and the project whose destinations they are.
pub struct World {
    child: Child,
    port: u16,
    pub project: Project,
}

impl Drop for World {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    /// Starts the stand-in with what it holds at first, and a project of these files.
    pub fn new(mut config: Value, files: &[(&str, String)]) -> Self {
        let project = Project::new(&[("syncline.yaml", "name: test\n")]);
        config["pid_file"] = json!(project.path("pid"));
        project.write("standin.json", &config.to_string());
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/saas/standin.py");
        let mut child = Command::new("python3")
            .arg("-B")
            .arg(script)
            .arg(project.path("standin.json"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed for this test");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the stand-in did not start: {line:?}"));
        let base = format!("http://127.0.0.1:{port}");
        project.write("sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n");
        project.write(
            "destinations/iterable.yaml",
            &format!(
                "name: iterable\ntype: iterable\nconnection: {{ api_key: \"{{{{ env.KEY }}}}\", base_url: \"{base}\" }}\n"
            ),
        );
        project.write(
            "destinations/marketo.yaml",
            &format!(
                "name: marketo\ntype: marketo\nconnection: {{ client_id: me, client_secret: \"{{{{ env.SECRET }}}}\", \
                 base_url: \"{base}\" }}\n"
            ),
        );
        for (name, text) in files {
            project.write(name, text);
        }
        Self { child, port, project }
    }

    /// Has the connector wait for an answer no longer than a second.
    pub fn impatient(&self, connector: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("connectors/{connector}.yaml"));
        let text = std::fs::read_to_string(path).expect("a connector");
        let text = text.replace("timeout: 90", "timeout: 1").replace("  timeout: 60", "  timeout: 1");
        assert!(text.contains("timeout: 1\n"));
        self.project.write(&format!("connectors/{connector}.yaml"), &text);
    }

    /// The command, with credentials.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.command(arguments);
        command.env("KEY", "key").env("SECRET", "secret");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(arguments).output().expect("the binary runs"))
    }

    /// Applies without questions.
    pub fn apply(&self, arguments: &[&str]) -> Ran {
        let all: Vec<&str> = ["apply", "--auto-approve", "--format", "json"].iter().chain(arguments).copied().collect();
        self.run(&all)
    }

    /// Runs a command that the stand-in kills by this fault; whether it did.
    pub fn killed(&self, fault: &Value, arguments: &[&str]) -> bool {
        self.faults(&json!([fault]));
        let _ = std::fs::remove_file(self.project.path("pid"));
        let child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the binary runs");
        self.project.write("pid.new", &child.id().to_string());
        std::fs::rename(self.project.path("pid.new"), self.project.path("pid")).expect("a file");
        let killed = child.wait_with_output().expect("an end").status.code().is_none();
        self.faults(&json!([]));
        killed
    }

    /// All the stand-in holds.
    pub fn dump(&self) -> Value {
        self.ask("GET", "/_dump", "")
    }

    /// Other faults from now on; requests so far are forgotten.
    pub fn faults(&self, faults: &Value) -> Value {
        self.ask("POST", "/_control", &json!({ "faults": faults, "forget": true }).to_string())
    }

    /// The type Iterable knows a field by.
    pub fn iterable_field(&self, name: &str, kind: &str) {
        self.ask("POST", "/_control", &json!({ "fields": { name: kind } }).to_string());
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the stand-in");
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let json = answer.split_once("\r\n\r\n").map(|(_, json)| json).unwrap_or_default();
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }
}

/// A model of one file, and a sync of it.
pub fn sync(destination: &str, name: &str, key: &str, rest: &str) -> Vec<(String, String)> {
    vec![
        (
            format!("models/{name}.yaml"),
            format!("name: {name}\nsource: files\ntable: {{ name: {name} }}\nprimary_key: [{key}]\n"),
        ),
        (
            format!("syncs/{name}.yaml"),
            format!("name: {name}\nmodel: {name}\ndestination: {destination}\nmatch: {{ email: email }}\n{rest}"),
        ),
    ]
}
