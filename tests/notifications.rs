//! Messages about runs, to a real HTTP server: once per change, signed, without personal data, and never in the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::project::{Project, Ran, people_csv};

const FIELDS: &str = "fields:\n  name: name\n  seats: seats\n";
const SECRET: &str = "whsec-canary-5d41";

/// A request as it came.
struct Message {
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// Takes posts and answers them with the status in their path: `/200/x`.
struct Hook {
    base: String,
    came: Receiver<Message>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (send, came) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                let mut line = String::new();
                reader.read_line(&mut line).expect("a request");
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                let mut headers = Vec::new();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a header");
                    let Some((key, value)) = line.trim_end().split_once(": ") else { break };
                    headers.push((key.to_lowercase(), value.to_owned()));
                }
                let length = headers.iter().find(|(key, _)| key == "content-length");
                let mut body = vec![0; length.and_then(|(_, n)| n.parse().ok()).unwrap_or(0)];
                reader.read_exact(&mut body).expect("a body");
                let status = path.split('/').nth(1).unwrap_or("200").to_owned();
                let body = String::from_utf8(body).expect("text");
                if send.send(Message { path, headers, body }).is_err() {
                    return;
                }
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { base, came }
    }

    /// What came since the last look.
    fn messages(&self) -> Vec<Message> {
        self.came.try_iter().collect()
    }

    fn events(&self) -> Vec<String> {
        self.messages().iter().map(|message| message.json()["event"].as_str().expect("an event").to_owned()).collect()
    }
}

fn project(notify: &str) -> Project {
    let project = Project::people("mirror", &format!("guards: {{ max_removed: 10% }}\nnotify: {notify}\n{FIELDS}"));
    good(&project);
    project
}

fn good(project: &Project) {
    project.write("data/people.csv", &people_csv(100));
}

/// The source cannot be read.
fn broken(project: &Project) {
    project.write("data/people.csv", "id,email,name,plan,seats\n1,p1@example.com\n");
}

/// A guard refuses.
fn shrunk(project: &Project) {
    project.write("data/people.csv", &people_csv(50));
}

/// Of two changed records, the destination refuses one: another has its name and number.
fn partly(project: &Project) {
    project.sql("out/crm.db", "create unique index if not exists one on people (seats, name)");
    let csv = people_csv(100).replace("Person 7,premium,7\n", "Person 8,free,8\n");
    let csv = csv.replace("Person 9,premium,9\n", "Person 9,premium,10\n");
    project.write("data/people.csv", &csv);
}

fn apply(project: &Project, hook: &Hook) -> Ran {
    let mut command = project.command(&["apply", "--auto-approve"]);
    command.env("HOOK", &hook.base).env("HOOK_SECRET", SECRET);
    Ran::new(command.output().expect("the binary runs"))
}

#[test]
fn each_change_is_told_once() {
    /// What is done to the data, exit code, what is told.
    type Step = (fn(&Project), i32, &'static [&'static str]);
    let hook = Hook::start();
    let project = project("[ { webhook: '{{ env.HOOK }}/200/all', secret: '{{ env.HOOK_SECRET }}' } ]");
    let steps: &[Step] = &[
        (good, 0, &[]),
        (broken, 1, &["failed"]),
        (broken, 1, &[]),
        (good, 0, &["recovered"]),
        (good, 0, &[]),
        (shrunk, 3, &["refused"]),
        (shrunk, 3, &[]),
        (broken, 1, &["failed"]),
        (partly, 4, &["partial"]),
        (good, 0, &["recovered"]),
    ];
    for (at, (change, code, told)) in steps.iter().enumerate() {
        change(&project);
        let ran = apply(&project, &hook).code(*code);
        assert!(!ran.stderr.contains("nobody was told"), "step {at}: {}", ran.stderr);
        assert_eq!(hook.events(), *told, "step {at}: {}", ran.stderr);
    }
}

#[test]
fn a_message_is_signed_and_holds_neither_personal_data_nor_secrets() {
    let hook = Hook::start();
    let project =
        project("[ { webhook: '{{ env.HOOK }}/200/all', secret: '{{ env.HOOK_SECRET }}', on: [refused, partial] } ]");
    apply(&project, &hook).code(0);
    shrunk(&project);
    apply(&project, &hook).code(3);
    partly(&project);
    apply(&project, &hook).code(4);
    let messages = hook.messages();
    assert_eq!(messages.len(), 2);
    for message in &messages {
        let signature = message.header("syncline-signature").expect("a signature");
        let seconds = signature.strip_prefix("t=").and_then(|s| s.split(',').next()?.parse().ok()).expect("a time");
        assert_eq!(signature, syncline::notify::sign(SECRET, seconds, &message.body));
        assert_eq!(message.header("content-type"), Some("application/json"));
        for canary in [SECRET, "example.com", "Person"] {
            assert!(!message.body.contains(canary), "{}", message.body);
        }
    }
    let (refused, partial) = (messages[0].json(), messages[1].json());
    assert_eq!(messages[0].header("syncline-event"), Some("refused"));
    assert_eq!(refused["sync"], "people");
    assert_eq!(refused["previous_status"], "succeeded");
    assert_eq!(refused["planned"]["removed"], 50);
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("max_removed")), "{refused}");
    assert_eq!((&partial["status"], &partial["rejected"]), (&"partial".into(), &1.into()), "{partial}");
}

#[test]
fn slack_gets_text_and_only_what_it_asked_for() {
    let hook = Hook::start();
    let project = project("[ { slack: '{{ env.HOOK }}/200/T1', on: [recovered] } ]");
    broken(&project);
    apply(&project, &hook).code(1);
    assert!(hook.messages().is_empty());
    good(&project);
    apply(&project, &hook).code(0);
    let messages = hook.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].path, "/200/T1");
    let text = messages[0].json()["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with("syncline: people: recovered (100 succeeded)\nrun "), "{text}");
}

#[test]
fn what_does_not_arrive_is_a_warning_and_is_told_again() {
    /// `notify`, what the warning says.
    type Case = (&'static str, &'static str);
    let cases: &[Case] = &[
        ("[ { webhook: '{{ env.HOOK }}/500/x' } ]", "the answer was 500"),
        ("[ { webhook: '{{ env.HOOK }}/302/x' } ]", "the answer was 302"),
        ("[ { webhook: 'http://127.0.0.1:9/x' } ]", "127.0.0.1:9"),
        ("[ { webhook: 'https://169.254.169.254/latest' } ]", "no request may go to"),
        ("[ { webhook: 'http://metadata.google.internal/x' } ]", "no request may go to"),
        ("[ { slack: '{{ env.HOOK_IS_NOT_SET }}' } ]", "HOOK_IS_NOT_SET"),
    ];
    for (notify, words) in cases {
        let hook = Hook::start();
        let project = project(notify);
        broken(&project);
        for _ in 0..2 {
            let ran = apply(&project, &hook).code(1);
            let warning = ran.stderr.lines().find(|line| line.contains("warning: nobody was told"));
            assert!(warning.is_some_and(|line| line.contains("sync `people` failed")), "{notify}: {}", ran.stderr);
            assert!(ran.stderr.contains(words), "{notify}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_first_careful_run_tells_nobody() {
    let hook = Hook::start();
    let project = project("[ { webhook: '{{ env.HOOK }}/200/all' } ]");
    broken(&project);
    apply(&project, &hook).code(1);
    assert_eq!(hook.events(), ["failed"]);
    good(&project);
    let mut command = project.command(&["apply", "--auto-approve", "--limit", "1"]);
    Ran::new(command.env("HOOK", &hook.base).output().expect("the binary runs")).code(0);
    assert!(hook.messages().is_empty());
}

/// A mail server that takes what comes and hands it on as it was said; addresses with `nobody` are refused.
fn mail_server() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (send, came) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let (mut said, mut data) = (String::new(), false);
            let _ = stream.write_all(b"220 stand-in\r\n");
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                said.push_str(&line);
                let answer = match line.trim_end() {
                    "." if data => {
                        data = false;
                        "250 taken\r\n"
                    }
                    _ if data => continue,
                    "DATA" => {
                        data = true;
                        "354 go on\r\n"
                    }
                    "QUIT" => "221 bye\r\n",
                    line if line.starts_with("RCPT") && line.contains("nobody") => "550 no such mailbox\r\n",
                    _ => "250 ok\r\n",
                };
                let _ = stream.write_all(answer.as_bytes());
                if answer.starts_with("221") {
                    break;
                }
            }
            if send.send(said).is_err() {
                return;
            }
        }
    });
    (port, came)
}

#[test]
fn people_are_told_by_mail_once_per_change() {
    let (port, came) = mail_server();
    let project = project(
        "[ { email: { to: [ops@example.com, crm@example.com], from: syncline@example.com, smtp: '{{ env.SMTP_URL }}' } } ]",
    );
    let apply = |project: &Project| {
        let mut command = project.command(&["apply", "--auto-approve"]);
        command.env("SMTP_URL", format!("smtp://127.0.0.1:{port}"));
        Ran::new(command.output().expect("the binary runs"))
    };
    apply(&project).code(0);
    shrunk(&project);
    apply(&project).code(3);
    apply(&project).code(3);
    good(&project);
    apply(&project).code(0);
    let mails: Vec<String> = came.try_iter().collect();
    assert_eq!(mails.len(), 2, "{mails:#?}");
    for (mail, word) in mails.iter().zip(["refused", "recovered"]) {
        let subject = format!("Subject: syncline: people: {word}");
        for part in
            ["MAIL FROM:<syncline@example.com>", "RCPT TO:<ops@example.com>", "RCPT TO:<crm@example.com>", &subject]
        {
            assert!(mail.contains(part), "no `{part}` in\n{mail}");
        }
        assert!(!mail.contains("p1@example.com"), "no personal data:\n{mail}");
    }
}

#[test]
fn mail_that_is_not_taken_is_a_warning_without_the_password() {
    let (port, _came) = mail_server();
    let project = project("[ { email: { to: nobody@example.com, from: a@example.com, smtp: '{{ env.SMTP_URL }}' } } ]");
    broken(&project);
    for (url, words) in [
        (format!("smtp://127.0.0.1:{port}"), "the mail server did not take it: "),
        ("smtp://u:pw-canary@mail.example.com?tls=none".to_owned(), "mail goes without TLS only to this machine"),
        ("pw-canary".to_owned(), "`smtp` is no address of a mail server"),
    ] {
        let mut command = project.command(&["apply", "--auto-approve"]);
        command.env("SMTP_URL", url);
        let ran = Ran::new(command.output().expect("the binary runs")).code(1);
        let told = ran.stderr.lines().find(|line| line.starts_with("warning: nobody was told")).expect(&ran.stderr);
        assert!(told.contains(words) && told.contains("syncs/people.yaml:"), "{told}");
        assert!(!ran.stderr.contains("pw-canary"), "{}", ran.stderr);
    }
}

#[test]
fn nobody_is_told_where_the_policy_does_not_let_it() {
    let hook = Hook::start();
    let project = project("[ { webhook: '{{ env.HOOK }}/200/all', secret: '{{ env.HOOK_SECRET }}' } ]");
    let text = project.read("syncline.yaml");
    project.write("syncline.yaml", &format!("{text}policy: {{ allowed_hosts: [hooks.example.com] }}\n"));
    broken(&project);
    let ran = apply(&project, &hook).code(1);
    assert!(ran.stderr.contains("leads to `127.0.0.1`, which the project does not allow"), "{}", ran.stderr);
    assert_eq!(hook.events(), Vec::<String>::new());
    project.write("syncline.yaml", &format!("{text}policy: {{ allowed_hosts: [127.0.0.1] }}\n"));
    apply(&project, &hook).code(1);
    assert_eq!(hook.events(), ["failed"]);
}
