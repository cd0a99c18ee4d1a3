//! A stand-in of a forge: an HTTP server that keeps comments, gives them in pages, and is as strict about requests as the
//! real one. Written from the documentation of both APIs, without a look at who asks.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Below the base of the API, without the query.
    pub path: String,
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Value,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A number in the query.
    pub fn number(&self, name: &str) -> Option<usize> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse().ok()
    }

    /// `POST /user`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// An answer: status, headers, body.
pub struct Answer(pub u16, pub Vec<(String, String)>, pub String);

impl Answer {
    pub fn new(status: u16, body: &Value) -> Self {
        Self(status, Vec::new(), body.to_string())
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.1.push((name.into(), value.into()));
        self
    }
}

/// What goes wrong with the next request of this method: an answer in its place, or none at all after it was carried out.
pub enum Fault {
    Answer(Answer),
    Lost,
}

/// What the forge holds.
#[derive(Default)]
pub struct World {
    pub comments: Vec<Value>,
    pub next_id: u64,
    pub requests: Vec<Request>,
    pub faults: VecDeque<(&'static str, Fault)>,
    /// Whether the token is told whose it is.
    pub known: bool,
    /// `Link` or `X-Next-Page` are left out, as some proxies do.
    pub bare: bool,
}

impl World {
    /// The requests that change something.
    pub fn writes(&self) -> Vec<String> {
        self.requests.iter().filter(|request| request.method != "GET").map(Request::line).collect()
    }
}

type Handler = fn(&mut World, &Request, &str) -> Answer;

pub struct Server {
    /// `http://127.0.0.1:PORT` and the base.
    pub url: String,
    world: Arc<Mutex<World>>,
}

impl Server {
    pub fn start(base: &'static str, handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}{base}", listener.local_addr().expect("an address"));
        let world = Arc::new(Mutex::new(World { next_id: 1, ..World::default() }));
        let (shared, own) = (Arc::clone(&world), url.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                answer(stream, base, &own, &shared, handler);
            }
        });
        Self { url, world }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no panic in the server")
    }
}

fn answer(mut stream: TcpStream, base: &str, url: &str, world: &Mutex<World>, handler: Handler) {
    let Some(mut request) = read(&stream) else { return };
    let mut world = world.lock().expect("no panic in the server");
    let Some(path) = request.path.strip_prefix(base) else {
        return send(&mut stream, &Answer(404, vec![], "no API".into()));
    };
    request.path = path.to_owned();
    world.requests.push(request.clone());
    let due = world.faults.front().is_some_and(|(method, _)| *method == request.method);
    match due.then(|| world.faults.pop_front()).flatten() {
        Some((_, Fault::Answer(answer))) => send(&mut stream, &answer),
        Some((_, Fault::Lost)) => drop(handler(&mut world, &request, url)),
        None => send(&mut stream, &handler(&mut world, &request, url)),
    }
}

fn send(stream: &mut TcpStream, Answer(status, headers, body): &Answer) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    // That nobody reads the answer is for the other side to notice.
    let _ = write!(stream, "{head}Connection: close\r\n\r\n{body}");
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((key, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((key.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(key, _)| key == "content-length").and_then(|(_, n)| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).ok()? };
    Some(Request { method, path: path.into(), query: query.into(), headers, body })
}
