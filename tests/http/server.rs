//! A server that answers every request with the same bytes, whatever they are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens after the bytes.
#[derive(Clone, Copy)]
enum Then {
    /// The next request is waited for.
    Keep,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
    /// One more byte in such a time, for ever.
    Drip(Duration),
}

pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Keeps connections open.
    pub async fn answering(bytes: &[u8]) -> Self {
        Self::start(bytes, Then::Keep).await
    }

    /// Closes or resets the connection after the bytes.
    pub async fn breaking(bytes: &[u8], reset: bool) -> Self {
        Self::start(bytes, if reset { Then::Reset } else { Then::Close }).await
    }

    /// Sends another byte now and then.
    pub async fn dripping(bytes: &[u8], pause: Duration) -> Self {
        Self::start(bytes, Then::Drip(pause)).await
    }

    /// Connections that were opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests that arrived whole: head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn start(bytes: &[u8], then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (count, seen, bytes) = (Arc::clone(&connections), Arc::clone(&requests), bytes.to_vec());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, bytes.clone(), then, Arc::clone(&seen)));
            }
        });
        Self { base, connections, requests }
    }
}

async fn serve(mut stream: TcpStream, bytes: Vec<u8>, then: Then, seen: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = read(&mut stream).await {
        seen.lock().unwrap().push(request);
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => {
                // What was written is on its way before the reset overtakes it.
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.set_zero_linger().unwrap();
                return;
            }
            Then::Drip(pause) => {
                while stream.write_all(b".").await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// One request with its body, whose length is either told or chunked.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&all);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            let chunked = lower.contains("transfer-encoding: chunked");
            if if chunked { body.ends_with("0\r\n\r\n") } else { body.len() >= length } {
                return Some(text.into_owned());
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => all.extend_from_slice(&buffer[..read]),
        }
    }
}
