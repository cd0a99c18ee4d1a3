//! Stands between the binary and Datasette: passes on what is said, and loses an answer or gives out a token where a test
//! wants it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What happens on the way.
#[derive(Default)]
pub struct Plan {
    /// The answers to so many of the first requests that write are lost, after Datasette has done what they say.
    pub lost: usize,
    /// What a request to `/grant` is answered.
    pub grant: Option<String>,
    /// How long each answer is held back.
    pub delay: Duration,
}

/// A listening wire.
pub struct Wire {
    pub url: String,
    requests: Arc<AtomicUsize>,
}

impl Wire {
    /// A wire to this address. It is there until the process ends.
    pub fn to(url: &str, plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let wire =
            Self { url: format!("http://{}", listener.local_addr().expect("an address")), requests: Arc::default() };
        let (requests, plan) = (Arc::clone(&wire.requests), Arc::new(plan));
        let upstream = url.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (requests, plan, upstream) = (Arc::clone(&requests), Arc::clone(&plan), upstream.clone());
                // A client that was killed is no fault of the wire's.
                std::thread::spawn(move || drop(pass(client, &upstream, &plan, &requests)));
            }
        });
        wire
    }

    /// How many requests that write came this way.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// One request and its answer; then the connection ends.
fn pass(client: TcpStream, upstream: &str, plan: &Plan, requests: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let number = if head.starts_with("POST ") { requests.fetch_add(1, Ordering::SeqCst) } else { usize::MAX };
    let mut client = client;
    let path = head.split(' ').nth(1).unwrap_or_default();
    if let (Some(grant), true) = (&plan.grant, path.ends_with("/grant")) {
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length:";
        return write!(client, "{head} {}\r\n\r\n{grant}", grant.len());
    }
    let mut server = TcpStream::connect(upstream)?;
    write!(server, "{head}Connection: close\r\n\r\n")?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    std::thread::sleep(plan.delay);
    if number >= plan.lost {
        client.write_all(&answer)?;
    }
    Ok(())
}
