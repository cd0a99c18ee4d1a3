//! The sandbox over a real socket: cases from `tests/sandbox/*.yaml`, faults, limits, persistence, the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use syncline::sandbox::{Options, Sandbox, Seed};

/// A file of `tests/sandbox`: what is there at the start, and steps that follow one another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    #[serde(default)]
    seed: Option<Value>,
    steps: Vec<Step>,
}

/// A request and its answer, or a look at what is held.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// What is shown, in words.
    step: String,
    /// Method and path: `POST /iterable/api/users/bulkUpdate`.
    send: Option<String>,
    /// The body, as JSON.
    json: Option<Value>,
    /// The body as text, with its type: `[application/json, "{"]`.
    raw: Option<(String, String)>,
    /// A file to upload as multipart.
    file: Option<String>,
    /// `none` or `wrong`; otherwise the credentials are right.
    auth: Option<String>,
    /// The HTTP status; 200 if nothing is said.
    status: Option<u16>,
    /// What the answer has to hold: other members are let be, lists are whole, `"*"` is anything.
    answer: Option<Value>,
    /// The answer as text.
    text: Option<String>,
    /// What is held after: JSON pointer to what has to be there; `null` where nothing may be.
    held: Option<serde_json::Map<String, Value>>,
}

/// Whether an answer holds what it has to.
fn holds(answer: &Value, wanted: &Value) -> bool {
    match (answer, wanted) {
        (_, Value::String(any)) if any == "*" => !answer.is_null(),
        (Value::Object(answer), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| holds(answer.get(name).unwrap_or(&Value::Null), value))
        }
        (Value::Array(answer), Value::Array(wanted)) => {
            answer.len() == wanted.len() && answer.iter().zip(wanted).all(|(a, b)| holds(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

fn client() -> reqwest::Client {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

struct Visitor {
    client: reqwest::Client,
    sandbox: Sandbox,
    token: String,
}

impl Visitor {
    async fn at(options: Options) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let mut visitor = Self { client: client(), sandbox, token: String::new() };
        visitor.renew().await;
        visitor
    }

    async fn seeded(seed: Value) -> Self {
        let seed = Some(Seed::parse(&seed.to_string()).unwrap());
        Self::at(Options { seed, limits: false, ..Options::default() }).await
    }

    async fn renew(&mut self) {
        let path = "/marketo/identity/oauth/token?grant_type=client_credentials&client_id=sandbox&client_secret=sandbox";
        if let Ok(answer) = self.client.get(format!("{}{path}", self.sandbox.url())).send().await {
            let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap_or_default()).unwrap_or_default();
            self.token = body["access_token"].as_str().unwrap_or("none").to_owned();
        }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.sandbox.url()));
        request.header("api-key", Sandbox::API_KEY).header("authorization", format!("Bearer {}", self.token))
    }

    /// Sends JSON; gives status and body.
    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), reqwest::Error> {
        let request = self.request(method, path);
        let request = match body {
            Value::Null => request,
            body => request.header("content-type", "application/json").body(body.to_string()),
        };
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn play(&self, place: &str, step: &Step) {
        let place = format!("{place}: {}", step.step);
        if let Some(send) = &step.send {
            let (method, path) = send.split_once(' ').expect("method and path");
            let mut request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.sandbox.url()));
            request = match step.auth.as_deref() {
                None => request.header("api-key", "sandbox").header("authorization", format!("Bearer {}", self.token)),
                Some("wrong") => request.header("api-key", "guess").header("authorization", "Bearer guess"),
                Some("none") => request,
                Some(other) => panic!("{place}: auth `{other}`"),
            };
            if let Some(json) = &step.json {
                request = request.header("content-type", "application/json").body(json.to_string());
            } else if let Some((kind, text)) = &step.raw {
                request = request.header("content-type", kind).body(text.clone());
            } else if let Some(file) = &step.file {
                let part = reqwest::multipart::Part::text(file.clone()).file_name("leads.csv");
                request = request.multipart(reqwest::multipart::Form::new().part("file", part));
            }
            let answer = request.send().await.unwrap_or_else(|e| panic!("{place}: {e}"));
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert_eq!(status, step.status.unwrap_or(200), "{place}: {text}");
            if let Some(wanted) = &step.answer {
                let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{place}: no JSON: {text}"));
                assert!(holds(&answer, wanted), "{place}\nanswered {answer:#}\nwanted {wanted:#}");
            }
            if let Some(wanted) = &step.text {
                assert_eq!(&text, wanted, "{place}");
            }
        }
        let state = step.held.as_ref().map(|_| self.sandbox.state()).unwrap_or_default();
        for (pointer, wanted) in step.held.iter().flatten() {
            let held = state.pointer(pointer).unwrap_or(&Value::Null);
            assert!(holds(held, wanted), "{place}\nheld at {pointer}: {held:#}\nwanted {wanted:#}");
        }
    }
}

#[tokio::test]
async fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "the cases are gone");
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let story: Story = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|e| panic!("tests/sandbox/{name}: {e}"));
        let visitor = Visitor::seeded(story.seed.unwrap_or_else(|| json!({}))).await;
        for step in &story.steps {
            visitor.play(&name, step).await;
        }
    }
}

const BULK: &str = "/iterable/api/users/bulkUpdate";

fn users(names: &[&str]) -> Value {
    let users: Vec<Value> = names.iter().map(|name| json!({ "email": format!("{name}@example.com") })).collect();
    json!({ "users": users })
}

fn count(sandbox: &Sandbox, pointer: &str) -> usize {
    sandbox.state().pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len)
}

#[tokio::test]
async fn faults_before_and_after_the_work() {
    let mut visitor = Visitor::seeded(json!({})).await;
    let set = |sandbox: &Sandbox, fault: &str| sandbox.set_faults(vec![fault.parse().unwrap()]);
    let mut expected = 0;
    for (fault, answered, done) in [
        ("503,times=1", Some(503), false),
        ("429@*bulkUpdate,times=1", Some(429), false),
        ("quota,times=1", Some(429), false),
        ("token_expired,times=1", Some(401), false),
        ("reset,times=1", None, false),
        ("reset_after_commit,times=1", None, true),
        ("truncate,times=1", None, true),
        ("503@/marketo/*", Some(200), true),
        ("503,after=1", Some(200), true),
    ] {
        set(&visitor.sandbox, fault);
        let name = format!("u{expected}");
        let answer = visitor.send("POST", BULK, &users(&[&name])).await;
        assert_eq!(answer.as_ref().ok().map(|(status, _)| *status), answered, "{fault}: {answer:?}");
        expected += usize::from(done);
        assert_eq!(count(&visitor.sandbox, "/iterable/users"), expected, "{fault}");
    }
    set(&visitor.sandbox, "slow:300");
    let started = Instant::now();
    visitor.send("POST", BULK, &users(&["slow"])).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(300));

    set(&visitor.sandbox, "partial:3");
    let (_, body) = visitor.send("POST", BULK, &users(&["p1", "p2", "p3", "p4"])).await.unwrap();
    assert_eq!((&body["successCount"], &body["failCount"]), (&json!(3), &json!(1)));
    assert_eq!(body["failedUpdates"]["invalidDataEmails"], json!(["p3@example.com"]));

    set(&visitor.sandbox, "code:713,times=1");
    let leads = json!({ "input": [{ "email": "a@example.com" }, { "email": "b@example.com" }] });
    let (status, body) = visitor.send("POST", "/marketo/rest/v1/leads.json", &leads).await.unwrap();
    assert_eq!((status, &body["errors"][0]["code"]), (200, &json!("713")));
    set(&visitor.sandbox, "token_expired,times=1");
    for code in ["602", "602"] {
        let (_, body) = visitor.send("POST", "/marketo/rest/v1/leads.json", &leads).await.unwrap();
        assert_eq!(body["errors"][0]["code"], code);
    }
    visitor.renew().await;
    set(&visitor.sandbox, "partial");
    let (_, body) = visitor.send("POST", "/marketo/rest/v1/leads.json", &leads).await.unwrap();
    assert_eq!((&body["result"][0]["status"], &body["result"][1]["status"]), (&json!("created"), &json!("skipped")));
}

#[tokio::test]
async fn a_timeout_never_answers() {
    let visitor = Visitor::seeded(json!({})).await;
    for (fault, done) in [("timeout", 0), ("timeout_after_commit", 1)] {
        visitor.sandbox.set_faults(vec![fault.parse().unwrap()]);
        let request = visitor.request("POST", BULK).header("content-type", "application/json");
        let answer = request.body(users(&["a"]).to_string()).timeout(Duration::from_millis(300)).send().await;
        assert!(answer.unwrap_err().is_timeout());
        assert_eq!(count(&visitor.sandbox, "/iterable/users"), done, "{fault}");
    }
}

#[tokio::test]
async fn limits_are_kept_to() {
    let visitor = Visitor::at(Options::default()).await;
    let mut refused = 0;
    for _ in 0..7 {
        let (status, body) = visitor.send("POST", BULK, &users(&["a"])).await.unwrap();
        if status == 429 {
            refused += 1;
            assert_eq!(body["msg"], "Exceeded rate limit for endpoint: /api/users/bulkUpdate, project: 1");
            assert_eq!((&body["code"], &body["params"]), (&json!("RateLimitExceeded"), &json!({})));
        }
    }
    assert!((1..=2).contains(&refused), "{refused} of 7 were refused at 5 a second");
    let mut codes = Vec::new();
    for _ in 0..102 {
        let (_, body) = visitor.send("GET", "/marketo/rest/v1/stats/usage.json", &Value::Null).await.unwrap();
        codes.push(body["errors"][0]["code"].as_str().unwrap_or("").to_owned());
    }
    assert_eq!(codes.iter().filter(|code| *code == "606").count(), 2, "{codes:?}");
}

#[tokio::test]
async fn ten_at_once_and_a_quota_a_day() {
    let seed = Seed::parse(r#"{ "marketo": { "daily_quota": 11 } }"#).unwrap();
    let faults = vec!["slow:400@/marketo/rest/*".parse().unwrap()];
    let visitor = Visitor::at(Options { seed: Some(seed), faults, ..Options::default() }).await;
    let path = "/marketo/rest/v1/stats/usage.json";
    let calls = (0..12).map(|_| visitor.send("GET", path, &Value::Null));
    let answers = futures_util::future::join_all(calls).await;
    let code = |body: &Value| body["errors"][0]["code"].as_str().unwrap_or("").to_owned();
    let codes: Vec<String> = answers.into_iter().map(|answer| code(&answer.unwrap().1)).collect();
    assert_eq!(codes.iter().filter(|code| *code == "615").count(), 2, "{codes:?}");
    visitor.sandbox.set_faults(Vec::new());
    assert_eq!(code(&visitor.send("GET", path, &Value::Null).await.unwrap().1), "");
    assert_eq!(code(&visitor.send("GET", path, &Value::Null).await.unwrap().1), "607");
}

#[tokio::test]
async fn tokens_run_out() {
    let mut visitor = Visitor::at(Options { token_seconds: 1, limits: false, ..Options::default() }).await;
    let path = "/marketo/rest/v1/leads/describe.json";
    assert_eq!(visitor.send("GET", path, &Value::Null).await.unwrap().1["success"], true);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(visitor.send("GET", path, &Value::Null).await.unwrap().1["errors"][0]["code"], "602");
    visitor.renew().await;
    assert_eq!(visitor.send("GET", path, &Value::Null).await.unwrap().1["success"], true);
}

#[tokio::test]
async fn everything_is_kept_between_runs() {
    let folder = tempfile::tempdir().unwrap();
    let seed = json!({ "iterable": { "users": [{ "email": "seed@example.com" }], "lists": [{ "name": "all" }] },
        "marketo": { "leads": [{ "email": "lead@example.com" }] } });
    let options = || Options {
        data: Some(folder.path().join("sandbox.db")),
        seed: Some(Seed::parse(&seed.to_string()).unwrap()),
        ..Options::default()
    };
    let visitor = Visitor::at(options()).await;
    visitor.send("POST", BULK, &users(&["kept"])).await.unwrap();
    visitor.send("DELETE", "/iterable/api/users/seed@example.com", &Value::Null).await.unwrap();
    let event = json!({ "email": "kept@example.com", "eventName": "seen", "id": "e1" });
    visitor.send("POST", "/iterable/api/events/track", &event).await.unwrap();
    let before = visitor.sandbox.state();
    drop(visitor);

    let visitor = Visitor::at(options()).await;
    let after = visitor.sandbox.state();
    for part in ["/iterable", "/marketo/leads", "/marketo/lists", "/marketo/calls"] {
        assert_eq!(after.pointer(part), before.pointer(part), "{part}");
    }
    assert_eq!(count(&visitor.sandbox, "/iterable/users"), 1);
    // The same event again is the same one, also after a restart.
    visitor.send("POST", "/iterable/api/events/track", &event).await.unwrap();
    assert_eq!(count(&visitor.sandbox, "/iterable/events"), 1);
}

#[tokio::test]
async fn tests_look_and_change_over_http() {
    let visitor = Visitor::seeded(json!({})).await;
    let seed = json!({ "iterable": { "users": [{ "email": "a@example.com", "dataFields": { "plan": "free" } }] } });
    assert_eq!(visitor.send("POST", "/_sandbox/seed", &seed).await.unwrap().0, 200);
    let (_, plan) = visitor.send("GET", "/_sandbox/state/iterable/users/0/dataFields/plan", &Value::Null).await.unwrap();
    assert_eq!(plan, "free");
    let wrong = json!({ "iterable": { "usres": [] } });
    let (status, body) = visitor.send("POST", "/_sandbox/seed", &wrong).await.unwrap();
    assert!(status == 400 && body["error"].as_str().unwrap().contains("usres"), "{body}");
    let faults = json!(["500,times=1", { "kind": "slow", "value": 1 }]);
    assert_eq!(visitor.send("POST", "/_sandbox/faults", &faults).await.unwrap().0, 200);
    assert_eq!(visitor.send("POST", BULK, &users(&["b"])).await.unwrap().0, 500);
    assert_eq!(visitor.send("POST", "/_sandbox/faults", &json!(["nonsense"])).await.unwrap().0, 400);
    let (_, requests) = visitor.send("GET", "/_sandbox/state/requests", &Value::Null).await.unwrap();
    let last = requests.as_array().unwrap().last().unwrap();
    assert_eq!((&last["status"], &last["fault"], &last["path"]), (&json!(500), &json!("status"), &json!(BULK)));
    assert_eq!(visitor.send("POST", "/_sandbox/reset", &Value::Null).await.unwrap().0, 200);
    assert_eq!(count(&visitor.sandbox, "/iterable/users"), 0);

    // A page of somebody else's cannot ask, whatever name it goes by.
    let state = format!("{}/_sandbox/state", visitor.sandbox.url());
    for (header, value) in [("host", "evil.example:80"), ("origin", "http://evil.example")] {
        let answer = visitor.client.get(&state).header(header, value).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{header}");
    }
}

/// Not a benchmark, but it notices when the sandbox becomes what limits a sync.
#[tokio::test]
async fn it_is_fast_enough() {
    let visitor = Visitor::seeded(json!({})).await;
    let batches: Vec<Value> = (0..50)
        .map(|batch| {
            let user = |n: u32| {
                let data = json!({ "plan": "free", "seats": n, "city": "Rome", "score": 1.5, "active": true });
                json!({ "email": format!("u{batch}-{n}@example.com"), "dataFields": data })
            };
            json!({ "users": (0..100).map(user).collect::<Vec<_>>() })
        })
        .collect();
    let started = Instant::now();
    for batch in &batches {
        assert_eq!(visitor.send("POST", BULK, batch).await.unwrap().0, 200);
    }
    let rate = 5000.0 / started.elapsed().as_secs_f64();
    eprintln!("{rate:.0} records a second, one request after the other");
    assert!(rate > 2000.0, "{rate:.0} records a second");
    assert_eq!(count(&visitor.sandbox, "/iterable/users"), 5000);
}

#[tokio::test]
async fn the_page_shows_what_arrived() {
    let visitor = Visitor::seeded(json!({})).await;
    let nasty = "<script>document.title='owned'</script><img src=x>";
    let body = json!({ "users": [{ "email": "ada@example.com", "dataFields": { "bio": nasty } }] });
    visitor.send("POST", BULK, &body).await.unwrap();
    let leads = json!({ "input": [{ "email": "bob@example.com", "firstName": "Bob" }, { "firstName": "Nobody" }] });
    visitor.send("POST", "/marketo/rest/v1/leads.json", &leads).await.unwrap();
    visitor.send("GET", "/iterable/api/nowhere/<b>", &Value::Null).await.unwrap();

    let page = visitor.client.get(visitor.sandbox.url()).send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let html = page.text().await.unwrap();
    assert!(!html.contains("<script") && !html.contains("<img"), "a value became an element");
    assert!(!html.contains("https:") && !html.contains(" src="), "the page asks for something from outside");
    let Some(browser) = super::html::browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}/", visitor.sandbox.url());
    let profile = format!("--user-data-dir={}", folder.path().display());
    let output = tokio::task::spawn_blocking(move || {
        Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"])
            .args(["--enable-logging=stderr", "--v=0", "--dump-dom", &profile, &url])
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "the browser failed");
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let loud: Vec<&str> = log.lines().filter(|l| l.contains("Content Security Policy") || l.contains("CONSOLE")).collect();
    assert!(loud.iter().all(|line| line.contains("favicon")), "{loud:#?}");
    assert!(dom.contains("<h1 id=\"verdict\">Sandbox: 4 requests</h1>"), "{dom}");
    for (id, number) in [("iterable-users", 1), ("marketo-leads", 1), ("iterable-events", 0)] {
        assert!(dom.contains(&format!("<strong id=\"count-{id}\">{number}</strong>")), "{id}: {dom}");
    }
    assert!(dom.contains("ada@example.com") && dom.contains("firstName: Bob") && dom.contains("404 NotFound"), "{dom}");
    assert!(dom.contains("bio: &lt;script&gt;") && !dom.contains("<img") && !dom.contains("owned</title>"), "{dom}");
}

#[test]
fn the_command_says_where_it_is_and_ends_when_told() {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(["sandbox", "--format", "json", "--fault", "503@*/users/*"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let url = said["iterable"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/iterable"), "{line}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let get = |path: &str| client().get(format!("{url}{path}")).header("api-key", "sandbox").send();
    assert_eq!(runtime.block_on(get("/api/lists")).unwrap().status().as_u16(), 200);
    assert_eq!(runtime.block_on(get("/api/users/getFields")).unwrap().status().as_u16(), 503);
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());

    let wrong = Command::new(env!("CARGO_BIN_EXE_syncline")).args(["sandbox", "--fault", "often"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("`often` is no kind of fault"));
}
