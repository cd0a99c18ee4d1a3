//! A stand-in of BigQuery's API that answers as it is told. Written from Google's documents of the API.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// A field of a form.
    pub fn field(&self, name: &str) -> String {
        let mut pairs = form_urlencoded::parse(self.body.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    }

    /// `GET queries/j`: the method, and the path below the project.
    pub fn line(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        let path = path.strip_prefix("/bigquery/v2/projects/acme/").unwrap_or(path);
        format!("{} {path}", self.method)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Status, further headers, body.
    With(u16, Vec<(&'static str, String)>, String),
    /// The connection is closed without a word.
    Cut,
}

impl Answer {
    pub fn ok(body: Value) -> Self {
        Self::With(200, Vec::new(), body.to_string())
    }

    /// A refusal in the form of the API, to be tried again at once if at all.
    pub fn refused(status: u16, reason: &str) -> Self {
        let message = format!("{reason} it is");
        let body = json!({ "error": { "code": status, "message": message, "errors": [{ "reason": reason, "message": message }] } });
        Self::With(status, vec![("retry-after", "0".to_owned())], body.to_string())
    }
}

pub type Handler = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

/// The stand-in.
pub struct StandIn {
    /// `http://127.0.0.1:PORT`
    pub base: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl StandIn {
    pub fn new(handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, handler) = (requests.clone(), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, handler) = (seen.clone(), handler.clone());
                std::thread::spawn(move || while serve(&stream, &seen, &handler).is_some() {});
            }
        });
        Self { base, requests }
    }

    /// Answers what is asked of the statement itself with these columns, and all else with these answers, one by one.
    pub fn scripted(columns: Value, answers: Vec<Answer>) -> Self {
        let answers = Mutex::new(VecDeque::from(answers));
        Self::new(Box::new(move |request| match request.line().as_str() {
            "POST jobs" => Answer::ok(looked_at("SELECT", &columns)),
            _ => answers.lock().unwrap().pop_front().unwrap_or_else(|| Answer::refused(400, "scriptIsOver")),
        }))
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// What was asked, in short.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }
}

/// The answer to a dry run.
pub fn looked_at(statement: &str, columns: &Value) -> Value {
    json!({
        "jobReference": { "projectId": "acme" }, "status": { "state": "DONE" },
        "statistics": { "query": { "statementType": statement, "schema": { "fields": columns }, "totalBytesProcessed": "0" } },
    })
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<Request>>, handler: &Handler) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut parts = line.split_whitespace().map(str::to_owned);
    let (method, target) = (parts.next()?, parts.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, length)| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let request = Request { method, target, headers, body: String::from_utf8(body).ok()? };
    seen.lock().unwrap().push(request.clone());
    let Answer::With(status, more, body) = handler(&request) else { return None };
    let mut head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in more {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = stream;
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).ok()
}
