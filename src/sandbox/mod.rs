//! A local, stateful Iterable and Marketo to rehearse syncs against.
//!
//! ```text
//!  connection ──► server ──► fault ──► iterable | marketo ──► record ──► answer
//!                                          │
//!                                        store (memory, written behind to SQLite)
//! ```
//! Both speak HTTP under one address: `/iterable` and `/marketo` are what connectors take as `base_url`, `/` is a page
//! that shows what arrived, `/_sandbox/` is for tests. Nothing here knows of projects, plans or connectors, so that a
//! mistake made there is not made here a second time.

mod control;
mod fault;
mod iterable;
mod limit;
mod marketo;
mod page;
mod record;
mod seed;
mod server;
mod store;
mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::{Value, json};

pub use fault::{Fault, Kind};
pub use seed::Seed;

use crate::diagnostic::{Error, Result};
use record::{Entry, Record};
use server::Api;
use wire::{Answer, Call};

/// How long a change may be unwritten.
const BEHIND: Duration = Duration::from_millis(200);

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; this machine only unless said otherwise.
    pub host: IpAddr,
    /// The port; 0 for one that is free.
    pub port: u16,
    /// A SQLite file that keeps everything between runs; without one nothing is kept.
    pub data: Option<PathBuf>,
    /// What is there at the start. With `data`, only when the file is new.
    pub seed: Option<Seed>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Whether rate limits, quotas and concurrency are kept to.
    pub limits: bool,
    /// Seconds a Marketo token lives.
    pub token_seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { host, port: 0, data: None, seed: None, faults: Vec::new(), limits: true, token_seconds: 3600 }
    }
}

/// A sandbox that runs until it is dropped.
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
    writer: Option<JoinHandle<()>>,
}

/// What all requests share.
struct Shared {
    iterable: Mutex<iterable::Iterable>,
    marketo: Mutex<marketo::Marketo>,
    faults: Mutex<fault::Faults>,
    record: Mutex<Record>,
    /// Requests each of the two is working on.
    busy: (AtomicUsize, AtomicUsize),
    stop: AtomicBool,
    address: SocketAddr,
}

/// A panic while something was held leaves it as it was at that moment; for a stand-in that is good enough.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sandbox {
    /// The key Iterable takes.
    pub const API_KEY: &'static str = iterable::API_KEY;
    /// The client id and the client secret Marketo takes.
    pub const CLIENT: &'static str = marketo::CLIENT;

    /// Starts a sandbox. It has threads of its own, so it neither needs the caller's runtime nor slows it down.
    ///
    /// # Errors
    /// The address is taken, the data cannot be read, or the seed makes no sense.
    pub async fn start(options: Options) -> Result<Self> {
        Self::launch(options)
    }

    /// As [`Sandbox::start`], for callers without a runtime.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub fn launch(options: Options) -> Result<Self> {
        let wanted = SocketAddr::new(options.host, options.port);
        let listening = |e: std::io::Error| {
            Error::failed_help(format!("the sandbox cannot listen on {wanted}: {e}"), "choose another port: --port 0")
        };
        let listener = TcpListener::bind(wanted).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;

        let mut iterable = iterable::Iterable::new(options.limits);
        let mut marketo = marketo::Marketo::new(options.limits, options.token_seconds);
        let file = options.data.as_deref().map(store::File::open).transpose()?;
        let mut fresh = true;
        if let Some(file) = &file {
            let known = file.load(&mut iterable.account.shelves())? + file.load(&mut marketo.account.shelves())?;
            iterable.account.reindex();
            marketo.account.reindex();
            fresh = known == 0;
        }
        if let Some(seed) = options.seed.as_ref().filter(|_| fresh) {
            sow(&mut iterable, &mut marketo, seed)
                .map_err(|e| Error::failed_help(format!("the seed cannot be used: {e}"), "see docs/sandbox.md"))?;
        }
        let mut faults = fault::Faults::default();
        faults.set(options.faults);
        let shared = Arc::new(Shared {
            iterable: Mutex::new(iterable),
            marketo: Mutex::new(marketo),
            faults: Mutex::new(faults),
            record: Mutex::new(Record::default()),
            busy: (AtomicUsize::new(0), AtomicUsize::new(0)),
            stop: AtomicBool::new(false),
            address,
        });

        let starting = |e: std::io::Error| Error::failed(format!("the sandbox cannot start: {e}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sandbox")
            .enable_all()
            .build()
            .map_err(starting)?;
        let entered = runtime.enter();
        let door = server::Door(tokio::net::TcpListener::from_std(listener).map_err(starting)?);
        let router = axum::Router::new().fallback(server::serve).with_state(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<server::Scissors>();
        runtime.spawn(async move { axum::serve(door, service).await });
        drop(entered);

        let writer = file.map(|file| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("sandbox-data".to_owned()).spawn(move || write_behind(&shared, file))
        });
        let writer = writer.transpose().map_err(starting)?;
        Ok(Self { shared, address, runtime: Some(runtime), writer })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a connector takes for Iterable's address.
    pub fn iterable_url(&self) -> String {
        format!("{}/iterable", self.url())
    }

    /// What a connector takes for Marketo's address; `/rest`, `/bulk` and `/identity` are below it.
    pub fn marketo_url(&self) -> String {
        format!("{}/marketo", self.url())
    }

    /// Everything it holds, and the requests that came, as `GET /_sandbox/state` gives it.
    pub fn state(&self) -> Value {
        self.shared.state()
    }

    /// Puts these faults in place of the ones before.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.faults().set(faults);
    }

    /// Back to how it was when it was empty: data, record of requests, faults.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Adds to what is there.
    ///
    /// # Errors
    /// Says which part of the seed makes no sense; what stands before it has been added.
    pub fn seed(&self, seed: &Seed) -> std::result::Result<(), String> {
        self.shared.seed(seed)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waited for: this may be dropped where waiting is not allowed.
            runtime.shutdown_background();
        }
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // It only ends early by a panic, and then there is nothing left to wait for.
            let _ = writer.join();
        }
    }
}

fn sow(
    iterable: &mut iterable::Iterable,
    marketo: &mut marketo::Marketo,
    seed: &Seed,
) -> std::result::Result<(), String> {
    let now = jiff::Timestamp::now();
    iterable.account.sow(&seed.iterable, now)?;
    marketo.account.sow(&seed.marketo, now)
}

impl Shared {
    fn faults(&self) -> MutexGuard<'_, fault::Faults> {
        lock(&self.faults)
    }

    fn record(&self, entry: Entry) {
        lock(&self.record).add(entry);
    }

    fn answer(&self, api: Api, call: &Call) -> Answer {
        // Read outside of the lock: this is most of the work.
        let form = call.content_is("application/x-www-form-urlencoded") || call.content_is("multipart/form-data");
        let body = if form { None } else { serde_json::from_slice(&call.body).ok() };
        match api {
            Api::Iterable => lock(&self.iterable).answer(call, body),
            Api::Marketo => lock(&self.marketo).answer(call, body),
        }
    }

    fn state(&self) -> Value {
        let iterable = lock(&self.iterable).account.state();
        let marketo = lock(&self.marketo).account.state();
        let faults = self.faults().list();
        let record = lock(&self.record);
        json!({ "iterable": iterable, "marketo": marketo, "requests": record.entries, "total_requests": record.total,
            "counts": record.counts, "faults": faults })
    }

    fn reset(&self) {
        lock(&self.iterable).account.reset();
        lock(&self.marketo).account.reset();
        *lock(&self.record) = Record::default();
        self.faults().set(Vec::new());
    }

    fn seed(&self, seed: &Seed) -> std::result::Result<(), String> {
        sow(&mut lock(&self.iterable), &mut lock(&self.marketo), seed)
    }

    /// Whether a request for the page or the control API comes from here, and not from a page of somebody else's that
    /// the browser has open.
    ///
    /// # Errors
    /// Why it is not let in.
    fn is_own(&self, headers: &HeaderMap) -> std::result::Result<(), String> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let own = |authority: &str| {
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
            local || !self.address.ip().is_loopback()
        };
        let host = text("host").unwrap_or("");
        let origin = text("origin").map(|origin| origin.trim_start_matches("http://"));
        if !own(host) || origin.is_some_and(|origin| origin != host) {
            return Err("this sandbox is for this machine only".to_owned());
        }
        Ok(())
    }

    /// Writes what has changed; false when there was nothing.
    fn flush(&self, file: &mut store::File) -> bool {
        let mut changes = store::changes(&mut lock(&self.iterable).account.shelves());
        changes.extend(store::changes(&mut lock(&self.marketo).account.shelves()));
        let any = !changes.is_empty();
        if let (true, Err(error)) = (any, file.write(changes)) {
            tracing::warn!("the sandbox's data could not be written: {error}");
        }
        any
    }
}

fn write_behind(shared: &Shared, mut file: store::File) {
    loop {
        let stopping = shared.stop.load(Ordering::Relaxed);
        while shared.flush(&mut file) {}
        if stopping {
            return;
        }
        std::thread::park_timeout(BEHIND);
    }
}
