//! Sources and destinations that are programs: the examples of `docs/custom-connectors.md` as they stand there, and
//! programs that die, lie and flood.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::project::{Project, Ran, number};

const PAGE: &str = include_str!("../docs/custom-connectors.md");
const TOKEN: &str = "canary-token-8d1f";

/// The Python blocks of the page, in order.
fn example(at: usize) -> &'static str {
    let block = PAGE.split("```python\n").nth(at + 1).and_then(|rest| rest.split("```").next());
    block.unwrap_or_else(|| panic!("the page has no example {at}"))
}

fn python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "python3 is not installed, and CI must not skip its tests");
    if !found {
        eprintln!("SKIPPED: `python3` is not in PATH");
    }
    found
}

/// People of a program go to a program's or SQLite's people.
fn project(source: &str, destination: &str, mode: &str) -> Project {
    Project::new(&[
        ("syncline.yaml", "name: test\n"),
        ("sources/crm.yaml", &format!("name: crm\ntype: command\nconnection:\n{source}")),
        ("models/people.yaml", "name: people\nsource: crm\ntable: { name: people }\nprimary_key: [id]\n"),
        ("destinations/out.yaml", &format!("name: out\n{destination}")),
        (
            "syncs/people.yaml",
            &format!(
                "name: people\nmodel: people\ndestination: out\nobject: member\nmode: {mode}\nmatch: {{ email: email }}\n\
                 fields: {{ plan: plan, seats: seats }}\n"
            ),
        ),
        ("out/.keep", ""),
    ])
}

const SQLITE: &str = "type: sqlite\nconnection: { path: out/crm.db }\n";

/// A source that runs a shell script beside the project.
fn script(project: &Project, text: &str) {
    project.write("print.sh", text);
}

const SCRIPT: &str = "  command: [sh, print.sh]\n";

fn row(id: usize) -> String {
    format!(r#"{{"id":{id},"email":"p{id}@x.io","plan":"free","seats":{}}}"#, 9_007_199_254_740_993_u64 + id as u64)
}

/// A script that prints so many people and then does something.
fn printing(people: usize, then: &str) -> String {
    let rows: String = (1..=people).map(|id| format!("{}\n", row(id))).collect();
    format!("cat <<'ROWS'\n{rows}ROWS\n{then}\n")
}

/// Runs with the secrets in the environment; whatever it does, it never prints them.
#[track_caller]
fn run(project: &Project, arguments: &[&str], more: &[(&str, &str)]) -> Ran {
    let mut command = project.command(arguments);
    command.env("CRM_TOKEN", TOKEN).envs(more.iter().copied()).env("SYNCLINE_LOG", "info");
    let ran = Ran::new(command.output().expect("the binary runs"));
    assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "the token is printed");
    ran
}

/// A paged API of two pages that wants the token.
fn api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let own = url.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = [0; 4096];
            let length = stream.read(&mut head).expect("a request");
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            assert!(head.contains(&format!("Bearer {TOKEN}")), "{head}");
            let body = match head.contains("page=1") {
                true => format!(r#"{{"items":[{},{}],"next":"{own}/people?page=2"}}"#, row(1), row(2)),
                false => format!(r#"{{"items":[{}],"next":null}}"#, row(3)),
            };
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).expect("an answer");
        }
    });
    url
}

#[test]
fn the_examples_of_the_page_read_and_write() {
    if !python() {
        return;
    }
    let url = api();
    let destination = "type: command\nconnection:\n  command: [python3, scripts/write.py]\n  env: { MEMBERS: out/members.json }\n  \
                       repeatable: true\n";
    let source = format!(
        "  command: [python3, scripts/read.py]\n  env: {{ CRM_URL: \"{url}\", CRM_TOKEN: \"{{{{ env.CRM_TOKEN }}}}\" }}\n"
    );
    let project = project(&source, destination, "mirror");
    for (name, at) in [("read", 0), ("write", 1)] {
        let text = example(at);
        assert!(text.lines().count() <= 30, "the example `{name}` has grown");
        project.write(&format!("scripts/{name}.py"), text);
    }
    let applied = run(&project, &["apply", "--auto-approve", "--format", "json"], &[]).code(0).json();
    assert_eq!(number(&applied, "/syncs/0/succeeded/added"), 3);
    // Whole numbers beyond 2^53 keep their digits through both programs.
    let held = project.read("out/members.json");
    let expected = r#"{"p1@x.io": {"plan": "free", "seats": 9007199254740994}, "p2@x.io": {"plan": "free", "seats": 9007199254740995}, "p3@x.io": {"plan": "free", "seats": 9007199254740996}}"#;
    assert_eq!(held, expected);
    assert_eq!(run(&project, &["plan", "--detailed-exitcode"], &[]).code, 0, "nothing is left to do");

    run(&project, &["state", "forget", "people", "--auto-approve"], &[]).code(0);
    project.edit("syncs/people.yaml", "object: member", "object: group");
    project.edit("syncs/people.yaml", "plan: plan,", "plan: id,");
    let refused = run(&project, &["apply", "--auto-approve"], &[]).code(1);
    let all = format!("{}{}", refused.stdout, refused.stderr);
    assert!(all.contains("there are only members"), "{all}");
    assert_eq!(project.read("out/members.json"), expected);

    project.edit("models/people.yaml", "name: people }", "name: people, where: id > 1 }");
    let refused = run(&project, &["plan"], &[]).code(1);
    assert!(refused.stderr.contains("only whole tables can be read"), "{}", refused.stderr);
}

#[test]
fn an_output_that_is_not_whole_removes_nobody() {
    let project = project(SCRIPT, SQLITE, "mirror");
    project.edit("syncs/people.yaml", "match:", "options: { create: true }\nguards: { max_removed: 100% }\nmatch:");
    script(&project, &printing(20, r#"echo '["end", 20]'"#));
    run(&project, &["apply", "--auto-approve"], &[]).code(0);
    let held = || project.rows("out/crm.db", "select count(*), sum(seats) from member");
    let before = held();
    assert_eq!(before, ["20|180143985094820070"]);
    for (then, expected) in [
        ("exit 7", "after 10 rows it ended with exit code 7"),
        ("kill -9 $$", "after 10 rows it was killed by signal 9"),
        ("kill -TERM $$", "after 10 rows it was killed by signal 15"),
        ("exit 0", "it ended after 10 rows without saying that these are all"),
        (r#"echo '["end", 11]'"#, "it printed 10 rows, and says that they are 11"),
        (r#"echo '["end", 10]'; exit 3"#, "after 10 rows it ended with exit code 3"),
        (r#"echo '["end", 10]'; echo '{}'"#, "it prints more after `end`"),
        (r#"printf '{"id": 1'"#, "line 11 of its output, the last, is not complete"),
        (
            r#"printf '{"id": 1'; echo "no $CRM_TOKEN" >&2; kill -9 $$"#,
            "after 10 rows it was killed by signal 9; it said: no [secret]",
        ),
        (r#"echo '["error", "quota of '$CRM_TOKEN' used up", "wait a day"]'"#, "quota of [secret] used up"),
        ("echo hello", "line 11 of its output is no row: row 11 would be a JSON object"),
        ("echo '{\"id\": 1,}'", "output of `sh print.sh`, line 11: column 10: trailing comma"),
        ("sleep 600", "it was silent for too long, and was stopped"),
        ("head -c 70000000 /dev/zero | tr '\\0' x", "line 11 of its output is longer than 67108864 bytes"),
    ] {
        project.write(
            "sources/crm.yaml",
            &format!("name: crm\ntype: command\nconnection:\n{SCRIPT}  silence: 2\n  env: {{ CRM_TOKEN: \"{{{{ env.CRM_TOKEN }}}}\" }}\n"),
        );
        let then =
            if then.starts_with("echo '{\"id\"") { format!("{then}; echo '[\"end\", 11]'") } else { then.to_owned() };
        script(&project, &printing(10, &then));
        let ran = run(&project, &["apply", "--auto-approve"], &[]).code(1);
        assert!(ran.stderr.contains(expected), "{then}: {}", ran.stderr);
        assert_eq!(held(), before, "{then}");
    }
    // Whole again, the half that is gone is removed.
    script(&project, &printing(10, r#"echo '["end", 10]'"#));
    run(&project, &["apply", "--auto-approve"], &[]).code(0);
    assert_eq!(held(), ["10|90071992547409985"]);
}

#[test]
fn a_program_that_knows_nothing_of_all_this_is_read_by_its_exit_code() {
    let project = project("  command: [cat, data.jsonl]\n  end_marker: false\n", SQLITE, "upsert");
    let rows: String = (1..=3).map(|id| format!("{}\n", row(id))).collect();
    project.write("data.jsonl", &rows);
    let plan = project.plan(&[]);
    assert_eq!(number(&plan, "/syncs/0/counts/added"), 3);
    project.edit("models/people.yaml", "table: { name: people }", "sql: select 1");
    let ran = project.run(&["plan"]).code(1);
    assert!(ran.stderr.contains("with `end_marker: false` it is asked nothing but a whole table"), "{}", ran.stderr);
    project.edit("sources/crm.yaml", "cat, data.jsonl", "cat, none.jsonl");
    project.edit("models/people.yaml", "sql: select 1", "table: { name: people }");
    let ran = project.run(&["plan"]).code(1);
    assert!(ran.stderr.contains("after 0 rows it ended with exit code 1; it said: cat: none.jsonl"), "{}", ran.stderr);
}

/// The same people as an Arrow stream.
fn arrow(people: usize) -> Vec<u8> {
    let lines: String = (1..=people).map(|id| format!("{}\n", row(id))).collect();
    let fields = [("id", "Int64"), ("email", "Utf8"), ("plan", "Utf8"), ("seats", "Int64")];
    let kind = |kind| if kind == "Utf8" { arrow_schema::DataType::Utf8 } else { arrow_schema::DataType::Int64 };
    let fields = fields.map(|(name, word)| arrow_schema::Field::new(name, kind(word), true)).to_vec();
    let schema = Arc::new(arrow_schema::Schema::new(fields));
    let reader = arrow_json::ReaderBuilder::new(schema.clone()).with_batch_size(4).build(lines.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &schema).unwrap();
    reader.for_each(|batch| writer.write(&batch.unwrap()).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

#[test]
fn arrow_gives_the_plan_that_json_lines_give() {
    let lines = project(SCRIPT, SQLITE, "upsert");
    script(&lines, &printing(10, r#"echo '["end", 10]'"#));
    let batches = project("  command: [cat, people.arrows]\n  format: arrow\n", SQLITE, "upsert");
    let bytes = arrow(10);
    std::fs::write(batches.path("people.arrows"), &bytes).unwrap();
    let part = |project: &Project| project.plan(&["--samples", "10"])["syncs"][0].clone();
    assert_eq!(part(&lines), part(&batches));
    for cut in [0, 4, bytes.len() / 2, bytes.len() - 8, bytes.len() - 1] {
        std::fs::write(batches.path("people.arrows"), &bytes[..cut]).unwrap();
        let ran = batches.run(&["plan"]).code(1);
        assert!(ran.stderr.contains("output of `cat people.arrows`: "), "{cut}: {}", ran.stderr);
    }
}

/// A destination that is a shell script: it says it is ready, and then `then` for each record, whose number is `$n`.
fn taking(then: &str, repeatable: bool) -> Project {
    let destination =
        format!("type: command\nconnection: {{ command: [sh, take.sh], repeatable: {repeatable}, silence: 5 }}\n");
    let project = project(SCRIPT, &destination, "upsert");
    script(&project, &printing(4, r#"echo '["end", 4]'"#));
    project.write(
        "take.sh",
        &format!(
            "read greeting; echo \"$greeting\" >> greetings; echo '[\"ready\"]'\nn=0\nwhile read line; do\ncase \"$line\" in\n\
             '[\"flush\"]') n=0; continue;; esac\necho \"$line\" >> taken\n{then}\nn=$((n+1))\ndone\n"
        ),
    );
    project
}

fn applied(project: &Project, code: i32) -> Value {
    run(project, &["apply", "--auto-approve", "--format", "json"], &[]).code(code).json()["syncs"][0].take()
}

#[test]
fn every_outcome_is_what_it_says() {
    let outcome = |words: &str| {
        format!(
            "case $n in 0) echo '{{\"n\":0,\"outcome\":\"succeeded\"}}';; 1) echo '{{\"n\":1,{words}}}';; \
        *) echo \"{{\\\"n\\\":$n,\\\"outcome\\\":\\\"unverified\\\"}}\";; esac"
        )
    };
    for (words, expected) in [
        (r#""outcome":"no_match""#, [1, 0, 1, 2]),
        (r#""outcome":"rejected","code":"odd","message":"not this one""#, [1, 1, 0, 2]),
    ] {
        let project = taking(&outcome(words), true);
        let run = applied(&project, if expected[1] > 0 { 4 } else { 0 });
        let told = ["/succeeded/added", "/rejected", "/no_match", "/unverified"].map(|at| number(&run, at));
        assert_eq!(told, expected, "{words}: {run}");
        let greeting: Value = serde_json::from_str(&project.read("greetings")).unwrap();
        assert_eq!((&greeting["object"], &greeting["fields"][1]), (&"member".into(), &"seats".into()));
        let first: Value = serde_json::from_str(project.read("taken").lines().next().unwrap()).unwrap();
        assert_eq!((&first["action"], &first["match"]["email"]), (&"send".into(), &"p1@x.io".into()));
        assert_eq!(first["fields"]["seats"].to_string(), "9007199254740994");
    }
}

#[test]
fn a_record_that_is_not_done_yet_is_sent_again() {
    let then = "if [ -e again ]; then echo \"{\\\"n\\\":$n,\\\"outcome\\\":\\\"succeeded\\\"}\"; else \
                echo \"{\\\"n\\\":$n,\\\"outcome\\\":\\\"retry\\\",\\\"message\\\":\\\"busy\\\"}\"; [ $n = 3 ] && touch again; fi";
    let project = taking(then, false);
    let run = applied(&project, 0);
    assert_eq!(number(&run, "/succeeded/added"), 4);
    assert_eq!(project.read("taken").lines().count(), 8);
    assert_eq!(project.read("greetings").lines().count(), 1, "one program took them all");
}

#[test]
fn what_a_dying_program_leaves_is_in_doubt_or_sent_again() {
    let dying = |word: &str| {
        format!(
            "if [ $n = 2 ] && ! [ -e dead ]; then touch dead; {word}; fi; \
                         echo \"{{\\\"n\\\":$n,\\\"outcome\\\":\\\"succeeded\\\"}}\""
        )
    };
    for word in [
        "kill -9 $$",
        "exit 0",
        "exit 1",
        "echo nonsense",
        "echo '{\"n\":0,\"outcome\":\"succeeded\"}'",
        "echo '{\"n\":9,\"outcome\":\"succeeded\"}'",
        "sleep 600",
    ] {
        let project = taking(&dying(word), true);
        let run = applied(&project, 0);
        assert_eq!(number(&run, "/succeeded/added"), 4, "{word}: {run}");
        assert_eq!(project.read("greetings").lines().count(), 2, "{word}: a new one took over");
        let project = taking(&dying(word), false);
        let run = applied(&project, 4);
        assert_eq!((number(&run, "/in_doubt"), number(&run, "/succeeded/added")), (4, 0), "{word}: {run}");
    }
    // It says itself that what it has not answered it has not done: nothing is in doubt.
    let project = taking(&dying("echo '[\"error\", \"the disk is full\", \"make room\"]'; continue"), false);
    let run = applied(&project, 1);
    assert_eq!((number(&run, "/in_doubt"), number(&run, "/succeeded/added")), (0, 2), "{run}");
    assert!(run.to_string().contains("the disk is full"), "{run}");
    let run = applied(&project, 0);
    assert_eq!(number(&run, "/succeeded/added"), 2);
}

#[test]
fn a_stopped_command_leaves_no_program_behind() {
    let project = project(SCRIPT, SQLITE, "upsert");
    script(&project, "echo $$ > pid; sleep 600");
    let mut child = project.command(&["plan"]).spawn().expect("the binary runs");
    let deadline = Instant::now() + Duration::from_secs(30);
    let pid = loop {
        if let Some(pid) =
            std::fs::read_to_string(project.path("pid")).ok().and_then(|text| text.trim().parse::<i32>().ok())
        {
            break pid;
        }
        assert!(Instant::now() < deadline, "the program was not started");
        std::thread::sleep(Duration::from_millis(20));
    };
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let alive = || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    while alive() {
        assert!(Instant::now() < deadline, "the program runs on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_secret_that_is_written_out_and_an_unknown_key_are_faults_at_their_place() {
    let project =
        project("  command: [sh, print.sh]\n  env: { CRM_TOKEN: abcdefgh }\n  shell: true\n", SQLITE, "upsert");
    let ran = project.run(&["validate", "--format", "json"]).code(1);
    let codes: Vec<String> =
        ran.json()["diagnostics"].as_array().unwrap().iter().map(|d| format!("{} {}", d["line"], d["code"])).collect();
    assert_eq!(codes, [r#"5 "literal-secret""#, r#"6 "unknown-key""#], "{}", ran.stdout);
    assert!(!ran.stdout.contains("abcdefgh"));
}
