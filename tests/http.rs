//! The HTTP client against real servers: good ones, broken ones, hostile ones.

mod certificates;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use syncline::http::{Body, Call, CallError, Client, Part, Reply, Settings, Transport};
use syncline::manifest::connector::api::Method;

use server::Server;

/// A call with a secret in its query, which no message may repeat.
fn get(base: &str) -> Call {
    let url = format!("{base}/v1/users?api_key=hunter2");
    let timeout = Duration::from_secs(5);
    Call { method: Method::Get, url, headers: Vec::new(), body: Body::Empty, timeout, confidential: false }
}

fn post(base: &str, bytes: &str) -> Call {
    let body = Body::Bytes { content_type: "application/json".into(), bytes: bytes.to_owned().into() };
    Call { method: Method::Post, body, ..get(base) }
}

async fn send(base: &str, call: Call) -> Result<Reply, CallError> {
    let result = Client::new(Settings::new([base])).unwrap().call(call).await;
    if let Err(error) = &result {
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    result
}

fn lost(result: Result<Reply, CallError>, words: &str) {
    match result {
        Err(CallError::Lost(message)) if message.contains(words) => {}
        other => panic!("not lost with `{words}`: {:?}", other.map(|reply| reply.status)),
    }
}

fn unreachable(result: Result<Reply, CallError>, words: &str) {
    match result {
        Err(CallError::Unreachable(message)) if message.contains(words) => {}
        other => panic!("not unreachable with `{words}`: {:?}", other.map(|reply| reply.status)),
    }
}

fn forbidden(result: Result<Reply, CallError>, words: &str) {
    match result {
        Err(CallError::Forbidden { message, help }) if message.contains(words) && !help.is_empty() => {}
        other => panic!("not forbidden with `{words}`: {:?}", other.map(|reply| reply.status)),
    }
}

#[tokio::test]
async fn what_is_sent_arrives_and_what_is_answered_comes_back() {
    let server = Server::answering(b"HTTP/1.1 201 Created\r\nX-One: 1\r\nContent-Length: 2\r\n\r\nok").await;
    let call = Call { headers: vec![("Api-Key".into(), "k\u{e4}y".into())], ..post(&server.base, "{}") };
    let reply = send(&server.base, call).await.unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (201, &b"ok"[..]));
    assert!(reply.headers.contains(&("x-one".into(), "1".into())), "{:?}", reply.headers);
    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /v1/users?api_key=hunter2 HTTP/1.1\r\n"), "{request}");
    for line in ["api-key: k\u{e4}y\r\n", "content-type: application/json\r\n", "content-length: 2\r\n"] {
        assert!(request.contains(line), "{request}");
    }
    assert!(request.contains("user-agent: syncline/") && request.contains("accept-encoding: gzip"), "{request}");
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
}

#[tokio::test]
async fn an_empty_post_says_so_and_parts_name_their_boundary() {
    let server = Server::answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    send(&server.base, Call { body: Body::Empty, ..post(&server.base, "") }).await.unwrap();
    let part = |name: &str, filename: Option<&str>, content_type: &str, bytes: &[u8]| Part {
        name: name.into(),
        filename: filename.map(Into::into),
        content_type: content_type.into(),
        bytes: bytes.into(),
    };
    let parts = vec![part("format", None, "text/plain", b"csv"), part("file", Some("a.csv"), "text/csv", b"id\n1\n")];
    let headers = vec![("Content-Type".into(), "multipart/form-data".into())];
    send(&server.base, Call { body: Body::Parts(parts), headers, ..post(&server.base, "") }).await.unwrap();
    let requests = server.requests();
    assert!(requests[0].contains("content-length: 0\r\n"), "{}", requests[0]);
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    let boundary = head.split("boundary=").nth(1).unwrap().lines().next().unwrap();
    assert!(body.starts_with(&format!("--{boundary}\r\n")), "{body}");
    assert!(body.contains("name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\nid\n1\n"), "{body}");
    assert_eq!(head.matches("content-type").count(), 1, "{head}");
}

#[tokio::test]
async fn connections_are_kept() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let client = Client::new(Settings::new([&server.base])).unwrap();
    for _ in 0..20 {
        client.clone().call(post(&server.base, "{}")).await.unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 20));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let other = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: {}/x\r\nContent-Length: 0\r\n\r\n", other.base);
        let server = Server::answering(answer.as_bytes()).await;
        let call = Call { headers: vec![("Authorization".into(), "Bearer x".into())], ..post(&server.base, "{}") };
        assert_eq!(send(&server.base, call).await.unwrap().status, status);
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn requests_only_go_to_the_hosts_of_the_account() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let other = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = Client::new(Settings::new([format!("{}/some/path", server.base)])).unwrap();
    assert_eq!(client.call(get(&server.base)).await.unwrap().status, 200);
    forbidden(client.call(get(&other.base)).await, "the credentials are for");
    forbidden(client.call(get(&server.base.replace("http:", "https:"))).await, "the credentials are for");
    forbidden(client.call(get(&server.base.replace("127.0.0.1", "localhost"))).await, "the credentials are for");
    assert!(client.allowed(&format!("{}/next?page=2", server.base)).is_ok());
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_does_not_end_in_time_is_lost() {
    let short = |base: &str| Call { timeout: Duration::from_millis(300), ..post(base, "{}") };
    let silent = Server::answering(b"").await;
    lost(send(&silent.base, short(&silent.base)).await, "within 0.3 s");
    let head = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345").await;
    lost(send(&head.base, short(&head.base)).await, "within 0.3 s");
    // A drop now and then is no answer either.
    let drip = Server::dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", Duration::from_millis(50)).await;
    lost(send(&drip.base, short(&drip.base)).await, "within 0.3 s");
    assert_eq!((silent.requests().len(), head.requests().len(), drip.requests().len()), (1, 1, 1));
}

#[tokio::test]
async fn a_connection_that_breaks_is_lost() {
    for (answer, reset) in [
        (&b""[..], false),
        (b"", true),
        (b"HTTP/1.1 20", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", false),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123", true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n12345", false),
        (b"SMTP ready\r\n\r\n", false),
    ] {
        let server = Server::breaking(answer, reset).await;
        lost(send(&server.base, post(&server.base, "{}")).await, "no answer from `127.0.0.1:");
        // Nobody but the caller decides whether it is sent again.
        assert_eq!(server.requests().len(), 1, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn where_nothing_listens_nothing_is_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    unreachable(send(&base, post(&base, "{}")).await, "connection refused");
    let base = "https://no-such-host.invalid";
    unreachable(
        send(base, post(base, "{}")).await,
        "cannot reach `no-such-host.invalid:443`: the name cannot be resolved",
    );
}

#[tokio::test]
async fn answers_that_are_too_large_are_not_read() {
    use std::io::Write;
    let mebibyte = vec![b'x'; 1 << 20];
    let plain = |size: usize| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", size << 20).into_bytes();
        (0..size).for_each(|_| answer.extend_from_slice(&mebibyte));
        answer
    };
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..100).for_each(|_| bomb.write_all(&mebibyte).unwrap());
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let mut zipped = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    zipped.extend_from_slice(format!("{:x}\r\n", bomb.len()).as_bytes());
    zipped.extend_from_slice(&bomb);
    zipped.extend_from_slice(b"\r\n0\r\n\r\n");
    for answer in [plain(40), zipped] {
        let server = Server::answering(&answer).await;
        lost(send(&server.base, get(&server.base)).await, "larger than 32 MiB");
    }
    let server = Server::answering(&plain(32)).await;
    assert_eq!(send(&server.base, get(&server.base)).await.unwrap().body.len(), 32 << 20);
}

#[tokio::test]
async fn headers_that_cannot_be_sent_are_named_but_not_shown() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let call = Call { headers: vec![("Authorization".into(), "hunter2\n".into())], ..get(&server.base) };
    forbidden(send(&server.base, call).await, "`Authorization`");
    assert_eq!(server.connections(), 0);
}

/// Resolves every name to these addresses; none: never.
struct Names(Vec<SocketAddr>);

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let found = self.0.clone();
        Box::pin(async move {
            if found.is_empty() {
                std::future::pending::<()>().await;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

async fn resolved(base: &str, addresses: &[&str]) -> Result<Reply, CallError> {
    let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
    let connect_timeout = Duration::from_millis(300);
    let settings =
        Settings { resolver: Arc::new(Names(addresses)), connect_timeout, proxy: false, ..Settings::new([base]) };
    Client::new(settings).unwrap().call(get(base)).await
}

#[tokio::test]
async fn names_that_resolve_to_forbidden_addresses_are_refused() {
    for base in ["https://innocent.example", "http://innocent.example"] {
        for address in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"]
        {
            forbidden(resolved(base, &[address]).await, "`innocent.example` is the address");
        }
    }
    forbidden(resolved("http://innocent.example", &["93.184.215.14"]).await, "clear text");
    let error = Client::new(Settings::new(["http://169.254.169.254/latest"])).err().unwrap();
    assert!(error.to_string().contains("no request may go to"), "{error}");
}

#[tokio::test]
async fn of_several_addresses_only_the_good_ones_are_connected_to() {
    let server = Server::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let base = server.base.replace("127.0.0.1", "innocent.example");
    let reply = resolved(&base, &["169.254.169.254", "93.184.215.14", "127.0.0.1"]).await.unwrap();
    assert_eq!((reply.status, server.connections()), (200, 1));
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_unreachable() {
    unreachable(resolved("https://innocent.example", &[]).await, "no connection within 0.3 s");
}
