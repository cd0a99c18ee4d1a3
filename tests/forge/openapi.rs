//! What is sent to GitHub, held against the description GitHub publishes of its API (npm `@octokit/openapi`), as served by
//! Prism (npm `@stoplight/prism-cli`): a request the description does not allow is answered with an error.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use syncline::forge::{Asked, Forge, Poster, Target};
use syncline::secret::Secret;

/// Prism while it runs.
struct Prism {
    url: String,
    /// Its input is a pipe from this process: when that closes, in whatever way we end, it stops the server.
    watch: Child,
}

impl Drop for Prism {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
    }
}

const SCRIPT: &str = r#"
"$MODULES/.bin/prism" mock --port "$PORT" --errors "$MODULES/@octokit/openapi/generated/api.github.com.json" > "$LOG" 2>&1 < /dev/null &
SERVER=$!
cat > /dev/null
kill $SERVER
wait $SERVER
"#;

/// `None`, loudly, where it is not installed: half a gigabyte of npm packages is asked of nobody.
fn start() -> Option<Prism> {
    let Some(modules) = std::env::var_os("SYNCLINE_PRISM").filter(|name| !name.is_empty()).map(PathBuf::from) else {
        eprintln!("SKIPPED: SYNCLINE_PRISM does not name a `node_modules` with Prism and GitHub's OpenAPI description");
        return None;
    };
    assert!(modules.join(".bin/prism").exists(), "there is no Prism in SYNCLINE_PRISM={}", modules.display());
    let log = tempfile::NamedTempFile::new().expect("a file").into_temp_path().keep().expect("a file");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let mut watch = Command::new("sh")
        .args(["-c", SCRIPT])
        .env("MODULES", &modules)
        .env("PORT", port.to_string())
        .env("LOG", &log)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let deadline = Instant::now() + Duration::from_secs(180);
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    while !said().contains("Prism is listening on") {
        let ended = watch.try_wait().expect("a process");
        assert!(ended.is_none() && Instant::now() < deadline, "Prism did not start: {}", said());
        std::thread::sleep(Duration::from_millis(200));
    }
    Some(Prism { url: format!("http://127.0.0.1:{port}"), watch })
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_what_github_describes() {
    let Some(prism) = start() else { return };
    let asked = Asked {
        forge: Some(Forge::GitHub),
        repository: Some("octocat/Hello-World".into()),
        number: Some(1347),
        api: Some(prism.url.clone()),
    };
    let target = Target::find(&asked, &|_| None).expect("a target");
    let poster = Poster::new(target, Secret::new("ghp_0123456789"), None).expect("a poster");
    // The list of the description has one comment, by octocat, who is also the user of the description: `Me too`.
    let new = poster.post("<!-- syncline:plan:prod:acme -->\n### Plan").await.expect("a new comment");
    assert!(new.new && new.url.is_some_and(|url| url.contains("#issuecomment-1")));
    let old = poster.post("Me too\nand more").await.expect("an edited comment");
    assert!(!old.new && old.url.is_some_and(|url| url.contains("#issuecomment-1")));
    // And the description is looked at: what it does not allow is refused.
    let wrong = r#"{"text":"no body"}"#;
    let head = format!(
        "POST /repos/octocat/Hello-World/issues/1347/comments HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                        Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        wrong.len()
    );
    let mut stream = TcpStream::connect(prism.url.trim_start_matches("http://")).expect("a connection");
    write!(stream, "{head}{wrong}").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
}
