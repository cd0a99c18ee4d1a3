use std::time::Duration;

use super::*;
use crate::http::Part;
use crate::manifest::connector::api::Method;
use crate::secret::Secret;

/// Answers everything with this.
struct Script(Result<Reply, CallError>);

#[async_trait]
impl Transport for Script {
    async fn call(&self, _: Call) -> Result<Reply, CallError> {
        self.0.clone()
    }
}

fn call(url: &str, headers: &[(&str, &str)], body: Body) -> Call {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Call { method: Method::Post, url: url.into(), headers, body, timeout: Duration::from_secs(1), confidential: false }
}

fn bytes(content_type: &str, bytes: impl Into<Vec<u8>>) -> Body {
    Body::Bytes { content_type: content_type.into(), bytes: bytes.into().into() }
}

fn reply(body: impl Into<Vec<u8>>) -> Reply {
    let headers = [("content-type", "application/json"), ("set-cookie", "id=hunter2"), ("set-cookie", "b=hunter2")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Reply { status: 200, headers, body: body.into() }
}

/// What is written for one call: the text, and the lines as JSON.
async fn logged(call: Call, result: Result<Reply, CallError>) -> (String, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wire.jsonl");
    let log = Arc::new(WireLog::create(&path).unwrap());
    let transport = Logged::new(Script(result), Arc::clone(&log), Redactor::new([Secret::new("hunter2 & co")]));
    let _ = transport.call(call).await;
    assert_eq!(log.failure(), None);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (text, lines)
}

#[tokio::test]
async fn requests_and_answers_are_written_as_json() {
    let body = bytes("application/json", r#"{"email":"ann@example.com","n":1.0}"#);
    let (_, lines) = logged(call("https://a.example/v1/users?page=2", &[("x-a", "1")], body), Ok(reply("[1]"))).await;
    let [request, answer] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&request["number"], &answer["number"]), (&json!(1), &json!(1)));
    let expected = json!({
        "method": "POST", "url": "https://a.example/v1/users?page=2", "headers": { "x-a": "1" },
        "body": { "email": "ann@example.com", "n": 1.0 }
    });
    assert_eq!(request["request"], expected);
    assert_eq!((&answer["answer"]["status"], &answer["answer"]["body"]), (&json!(200), &json!([1])));
    assert!(answer["answer"]["milliseconds"].is_u64() && answer["time"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn what_gives_out_a_token_is_not_written_whatever_it_calls_it() {
    let asked = Call { confidential: true, ..call("https://a.example/grant", &[], Body::Empty) };
    let (text, lines) = logged(asked, Ok(reply(r#"{"granted":{"it":"canary"}}"#))).await;
    assert!(!text.contains("canary"), "{text}");
    assert_eq!((&lines[1]["answer"]["status"], &lines[1]["answer"]["body"]), (&json!(200), &json!("[secret]")));
}

#[tokio::test]
async fn no_credential_is_ever_written() {
    use base64::Engine;
    let basic = base64::prelude::BASE64_STANDARD.encode("user:hunter2 & co");
    let url = "https://u:hunter2@a.example/x/hunter2%20%26%20co?access_token=hunter2&key=hunter2&q=hunter2+%26+co";
    let headers = [
        ("Authorization", "Bearer hunter2"),
        ("Api-Key", "hunter2"),
        ("X-Shopify-Access-Token", "hunter2"),
        ("Cookie", "hunter2"),
        ("X-Other", "hunter2 & co"),
        ("X-Basic", &basic),
    ];
    let json = r#"{"client_secret":"hunter2","a":[{"Password":"hunter2"}],"note":"it is hunter2 & co","token":null}"#;
    let form = "grant_type=x&client_secret=hunter2&note=hunter2+%26+co";
    let part = |name: &str, bytes: &[u8]| Part {
        name: name.into(),
        filename: None,
        content_type: "text/csv".into(),
        bytes: bytes.into(),
    };
    let parts = vec![part("access_token", b"hunter2"), part("file", b"a,b\n1,hunter2 & co\n")];
    for body in [
        Body::Empty,
        bytes("application/json", json),
        bytes("application/x-www-form-urlencoded", form),
        Body::Parts(parts),
    ] {
        let token = r#"{"access_token":"hunter2","expires_in":3599,"scope":"ann@example.com"}"#;
        let (text, lines) = logged(call(url, &headers, body), Ok(reply(token))).await;
        assert_eq!(lines.len(), 2);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!text.contains(&basic) && text.contains("3599"), "{text}");
    }
    let error = CallError::Lost("the server said hunter2 & co".into());
    let (text, lines) = logged(call("https://a.example", &[], Body::Empty), Err(error)).await;
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(lines[1]["error"]["kind"], "lost");
}

#[tokio::test]
async fn long_bodies_are_cut_without_leaving_half_a_secret() {
    let mut long = "x".repeat((64 << 10) - 5);
    long.push_str("hunter2 & co and more");
    for body in [long.clone(), json!({ "a": long }).to_string()] {
        let (text, lines) =
            logged(call("https://a.example", &[], bytes("text/plain", body.clone())), Ok(reply(""))).await;
        assert!(!text.contains("hunt"), "half of it");
        let request = &lines[0]["request"];
        assert_eq!(request["note"], format!("cut: {} bytes in all", body.len()));
        assert!(request["body"].as_str().unwrap().len() <= 64 << 10);
        assert_eq!(lines[1]["answer"].get("body"), None);
    }
    let (_, lines) = logged(call("https://a.example", &[], bytes("x/y", [0xff, 0xfe])), Ok(reply(""))).await;
    assert_eq!(lines[0]["request"]["note"], "2 bytes that are not text");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it_and_it_is_appended_to() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wire.jsonl");
    std::fs::write(&path, "before\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    WireLog::create(&path).unwrap().write(1, "request", json!({}));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("before\n{"));
    let error = WireLog::create(&folder.path().join("no/where")).err().unwrap();
    assert!(error.to_string().contains("no/where"));
}
