//! The way from a connection to a stand-in and back, with the faults in between.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::fault::{Fate, Kind};
use super::record::Entry;
use super::wire::{Answer, Call, pairs, segments};
use super::{Shared, control, page};

/// Largest body that is read at all.
const MAX_BODY: usize = 16 << 20;
/// How long a request that never gets an answer is held.
const FOREVER: Duration = Duration::from_secs(600);

/// A connection that can be cut from within.
pub(super) struct Line {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl Line {
    fn is_cut(&self) -> io::Result<()> {
        if !self.cut.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Without lingering, what closes the connection is a reset. When that cannot be had, it is closed all the same.
        let _ = self.stream.set_zero_linger();
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.is_cut()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.is_cut()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_cut()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where connections come from.
pub(super) struct Door(pub TcpListener);

impl Listener for Door {
    type Io = Line;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                Ok((stream, address)) => {
                    // Only slower without it.
                    let _ = stream.set_nodelay(true);
                    return (Line { stream, cut: Arc::default() }, address);
                }
                // Out of file handles, or a client that gave up: the next one may be luckier.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// What cuts the connection a request came by.
#[derive(Clone)]
pub(super) struct Scissors(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Door>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(Arc::clone(&stream.io().cut))
    }
}

impl Scissors {
    /// The answer of a connection that is cut before a byte of it is sent.
    fn cut(&self) -> Response {
        self.0.store(true, Ordering::Relaxed);
        Response::new(Body::empty())
    }
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Iterable,
    Marketo,
}

/// Counts a request while it is worked on.
struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers a request, whoever it is for.
pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let (api, rest) = match (path.strip_prefix("/iterable"), path.strip_prefix("/marketo")) {
        (Some(rest), _) if rest.starts_with('/') => (Api::Iterable, rest.to_owned()),
        (_, Some(rest)) if rest.starts_with('/') => (Api::Marketo, rest.to_owned()),
        _ => return house(&shared, request, &path).await,
    };
    let busy = match api {
        Api::Iterable => &shared.busy.0,
        Api::Marketo => &shared.busy.1,
    };
    let at_once = busy.fetch_add(1, Ordering::Relaxed) + 1;
    let _busy = Busy(busy);
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return response(Answer::text(413, "text/plain", "")) };
    let fate = shared.faults().fate(&path);
    let call = Call {
        method: parts.method,
        segments: segments(&rest),
        path: rest,
        query: pairs(parts.uri.query().unwrap_or("").as_bytes()),
        headers: parts.headers,
        body,
        now: jiff::Timestamp::now(),
        trouble: fate.trouble,
        busy: at_once,
        uri_length: parts.uri.path_and_query().map_or(0, |uri| uri.as_str().len()),
    };
    match fate.kind {
        Some(Kind::Slow) => tokio::time::sleep(Duration::from_millis(fate.value)).await,
        Some(Kind::Timeout | Kind::Reset) => {
            shared.record(Entry::lost(&call, &path, fate, started));
            return vanish(fate, &scissors).await;
        }
        _ => {}
    }
    let answer = shared.answer(api, &call);
    shared.record(Entry::of(&call, &path, fate, started, &answer));
    match fate.kind {
        Some(Kind::TimeoutAfterCommit | Kind::ResetAfterCommit) => vanish(fate, &scissors).await,
        Some(Kind::Truncate) => halved(answer),
        _ => response(answer),
    }
}

/// No answer: at once, or never.
async fn vanish(fate: Fate, scissors: &Scissors) -> Response {
    if matches!(fate.kind, Some(Kind::Timeout | Kind::TimeoutAfterCommit)) {
        tokio::time::sleep(FOREVER).await;
    }
    scissors.cut()
}

/// The page and the control API.
async fn house(shared: &Arc<Shared>, request: Request, path: &str) -> Response {
    if let Err(refused) = shared.is_own(request.headers()) {
        return response(Answer::text(403, "text/plain; charset=utf-8", refused));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return response(Answer::text(413, "text/plain", "")) };
    let query = pairs(parts.uri.query().unwrap_or("").as_bytes());
    let answer = match (parts.method.as_str(), path.strip_prefix("/_sandbox/")) {
        ("GET", None) if path == "/" => page::answer(shared, &query),
        (method, Some(rest)) => control::answer(shared, method, rest, &body),
        _ => Answer::text(
            404,
            "text/plain; charset=utf-8",
            "nothing is here: see /, /iterable/, /marketo/, /_sandbox/state",
        ),
    };
    response(answer)
}

fn response(answer: Answer) -> Response {
    built(&answer, answer.body.len(), Body::from(answer.body.clone()))
}

fn built(answer: &Answer, length: usize, body: Body) -> Response {
    let made = Response::builder()
        .status(answer.status)
        .header("content-type", answer.content_type)
        .header("content-length", length)
        .header("cache-control", "no-store");
    let made = match answer.content_type.starts_with("text/html") {
        true => made.header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
        false => made,
    };
    // A status outside 100..1000 is the only thing that can be wrong here, and faults are checked for it.
    made.body(body).unwrap_or_default()
}

/// Half the answer, then the end of the connection.
fn halved(answer: Answer) -> Response {
    let half = Bytes::copy_from_slice(answer.body.get(..answer.body.len() / 2).unwrap_or_default());
    let pieces = futures_util::stream::unfold(0_u8, move |step| {
        let half = half.clone();
        async move {
            match step {
                0 => Some((Ok(half), 1)),
                _ => {
                    // Time for the first half to leave.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), 2))
                }
            }
        }
    });
    built(&answer, answer.body.len(), Body::from_stream(pieces))
}
