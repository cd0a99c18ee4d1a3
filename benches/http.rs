//! Delivery over HTTP, whole command: 100 000 records, 100 a request, to a local server that reads the JSON.
//!
//! The bound is a bare `reqwest` client, a process of its own like the command, that does the same posts with the same
//! concurrency, once with the bodies ready beforehand and once making them. Client and server share this machine's cores,
//! so what counts beside the clock is the processor time of each, taken between the first request and the last answer.
//! Run with `cargo bench --bench http`; `SYNCLINE_BENCH_ROWS` sets the rows, `SYNCLINE_BENCH_ROUNDS` how often each is
//! measured: the fastest of them counts. `SYNCLINE_BENCH_BINARY` measures another build of the command.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::Value;

/// Records in a request.
const BATCH: usize = 100;

/// What the server has seen.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    records: AtomicU64,
    latency_ms: AtomicU64,
    keep: AtomicBool,
    bodies: Mutex<Vec<Bytes>>,
    /// The process that sends.
    client: AtomicU32,
    /// Records that make a whole.
    all: AtomicU64,
    /// When the first request came and the last was answered, and the processor time of client and server at both.
    span: Mutex<Option<(Moment, Moment)>>,
}

/// A moment, and the processor time used until then.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    client: Duration,
    server: Duration,
}

/// What it took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    client: Duration,
    server: Duration,
}

/// The processor time of all threads of a process that still live, as the kernel counts it.
fn processor(process: &str) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum::<u64>())
}

impl Seen {
    fn now(&self) -> Moment {
        let client = processor(&self.client.load(Ordering::SeqCst).to_string());
        Moment { at: Instant::now(), client, server: processor("self") }
    }

    fn reset(&self, latency: Duration) {
        self.requests.store(0, Ordering::SeqCst);
        self.records.store(0, Ordering::SeqCst);
        self.latency_ms.store(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        *self.span.lock().expect("a lock") = None;
    }

    fn took(&self) -> Took {
        let (first, last) = self.span.lock().expect("a lock").expect("requests");
        Took { wall: last.at - first.at, client: last.client - first.client, server: last.server - first.server }
    }
}

async fn take(State(seen): State<Arc<Seen>>, body: Bytes) -> (StatusCode, &'static str) {
    let came = Instant::now();
    if seen.requests.fetch_add(1, Ordering::SeqCst) == 0 {
        let now = seen.now();
        *seen.span.lock().expect("a lock") = Some((now, now));
    }
    let records = match serde_json::from_slice::<Value>(&body) {
        Ok(value) => value["records"].as_array().map_or(0, Vec::len),
        Err(_) => return (StatusCode::BAD_REQUEST, "{}"),
    };
    let arrived = seen.records.fetch_add(records as u64, Ordering::SeqCst) + records as u64;
    if seen.keep.load(Ordering::SeqCst) {
        seen.bodies.lock().expect("a lock").push(body);
    }
    let latency = seen.latency_ms.load(Ordering::SeqCst);
    if latency > 0 {
        tokio::time::sleep_until((came + Duration::from_millis(latency)).into()).await;
    }
    if arrived == seen.all.load(Ordering::SeqCst) {
        let now = seen.now();
        if let Some((_, last)) = &mut *seen.span.lock().expect("a lock") {
            *last = now;
        }
    }
    (StatusCode::OK, r#"{"ok":true}"#)
}

fn main() {
    if let Ok(order) = std::env::var(BARE) {
        return be_bare(&order);
    }
    // Else the server gives its memory back and takes it anew with each request, and that is measured.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
    }
    let number = |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let rows: usize = number("SYNCLINE_BENCH_ROWS", 100_000);
    let rounds: usize = number("SYNCLINE_BENCH_ROUNDS", 3);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let seen = Arc::new(Seen::default());
    let app = Router::new()
        .route("/records", post(take))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(Arc::clone(&seen));
    let base = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // Some platforms answer late otherwise, and that would be measured.
            let _ = stream.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        base
    });
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{rows} records, {BATCH} a request, best of {rounds}; load of the machine: {}", load.trim());

    let folder = tempfile::tempdir().expect("a temporary folder");
    let kept = folder.path().join("bodies");
    for (latency, concurrency) in [(0, 4), (0, 16), (50, 16)] {
        let latency = Duration::from_millis(latency);
        println!("\n{} ms latency, {concurrency} at a time", latency.as_millis());
        let mut ours: Vec<Took> = Vec::new();
        let mut wholes: Vec<Duration> = Vec::new();
        let (mut ready, mut making) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let folder = tempfile::tempdir().expect("a temporary folder");
            write_project(folder.path(), &base, rows, concurrency);
            seen.all.store(rows as u64, Ordering::SeqCst);
            seen.reset(latency);
            seen.keep.store(!kept.exists(), Ordering::SeqCst);
            wholes.push(run(folder.path(), &seen, &["apply", "--auto-approve"]));
            assert_eq!(seen.records.load(Ordering::SeqCst), rows as u64, "records that arrived");
            let requests = rows.div_ceil(BATCH) as u64;
            assert_eq!(seen.requests.load(Ordering::SeqCst), requests, "requests");
            ours.push(seen.took());
            if seen.keep.swap(false, Ordering::SeqCst) {
                let bodies = std::mem::take(&mut *seen.bodies.lock().expect("a lock"));
                fs::write(&kept, bodies.join(&b'\n')).expect("a written file");
            }
            for (make, took) in [(false, &mut ready), (true, &mut making)] {
                seen.reset(latency);
                let order = format!("{base} {concurrency} {make} {}", kept.display());
                let mut command = Command::new(std::env::current_exe().expect("a path"));
                wait(command.env(BARE, order), &seen, "the bare client");
                assert_eq!(seen.requests.load(Ordering::SeqCst), requests, "requests");
                took.push(seen.took());
            }
            if round + 1 == rounds && (latency.is_zero() && concurrency == 16) {
                again(folder.path(), &seen, rows);
            }
        }
        let best = |all: &[Took]| all.iter().min_by_key(|took| took.wall).copied().expect("a round");
        let million = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
        for (what, all) in [("delivery", &ours), ("bare, bodies ready", &ready), ("bare, making them", &making)] {
            let took = best(all);
            println!(
                "{what:<20} {:>7.3} s {:>9.0} records/s; processor s for a million: client {:>5.2}, server {:>5.2}",
                took.wall.as_secs_f64(),
                rows as f64 / took.wall.as_secs_f64(),
                million(took.client),
                million(took.server),
            );
        }
        let whole = wholes.iter().min().copied().unwrap_or_default();
        println!("{:<20} {:>7.3} s", "whole command", whole.as_secs_f64());
        let own = best(&ours).wall.as_secs_f64();
        if latency.is_zero() {
            println!(
                "rate against the bare client: {:.0} % of ready bodies, {:.0} % of making them (aim: 80)",
                100.0 * best(&ready).wall.as_secs_f64() / own,
                100.0 * best(&making).wall.as_secs_f64() / own
            );
        } else {
            let ideal = rows.div_ceil(BATCH) as f64 * latency.as_secs_f64() / concurrency as f64;
            println!("ideal {ideal:.3} s: {:.2} times that (aim: 1.2)", own / ideal);
        }
    }
}

/// Nothing has changed, and then one row in a hundred.
fn again(root: &Path, seen: &Seen, rows: usize) {
    seen.reset(Duration::ZERO);
    let time = run(root, seen, &["apply", "--auto-approve"]);
    let requests = seen.requests.load(Ordering::SeqCst);
    println!("{:<20} {:>7.3} s, {requests} requests (aim: 0)", "unchanged", time.as_secs_f64());
    write_rows(root, rows, 100);
    seen.reset(Duration::ZERO);
    let time = run(root, seen, &["apply", "--auto-approve"]);
    let (requests, records) = (seen.requests.load(Ordering::SeqCst), seen.records.load(Ordering::SeqCst));
    assert_eq!(records, rows.div_ceil(100) as u64, "changed records that arrived");
    let (least, time) = (rows.div_ceil(100 * BATCH), time.as_secs_f64());
    println!("{:<20} {time:>7.3} s, {requests} requests (least: {least})", "1 % changed");
}

/// Makes this process the bare client: address, concurrency, whether to make the bodies, the file that has them.
const BARE: &str = "SYNCLINE_BENCH_BARE";

fn be_bare(order: &str) {
    let mut words = order.splitn(4, ' ');
    let mut word = || words.next().expect("a word");
    let (base, concurrency, make) = (word(), word().parse().expect("a number"), word() == "true");
    let text = fs::read(word()).expect("a file");
    let bodies: Vec<Bytes> = text.split(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect();
    let records: Option<Vec<Vec<Value>>> = make.then(|| bodies.iter().map(parsed).collect());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(bare(base, &bodies, records.as_ref(), concurrency));
}

fn parsed(body: &Bytes) -> Vec<Value> {
    let mut value: Value = serde_json::from_slice(body).expect("JSON");
    match value["records"].take() {
        Value::Array(records) => records,
        _ => Vec::new(),
    }
}

/// A body being made.
#[derive(Serialize)]
struct Made<'a> {
    records: &'a [Value],
}

/// The same posts, without anything around them.
async fn bare(base: &str, bodies: &[Bytes], records: Option<&Vec<Vec<Value>>>, concurrency: usize) {
    // The only thing that can fail is that it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{base}/records");
    let posts = (0..bodies.len()).map(|at| {
        let (client, url) = (client.clone(), url.clone());
        let body = match records {
            Some(records) => Bytes::from(serde_json::to_vec(&Made { records: &records[at] }).expect("JSON")),
            None => bodies[at].clone(),
        };
        async move {
            let sent = client.post(url).header("content-type", "application/json").body(body).send().await;
            let answer = sent.expect("an answer");
            assert_eq!(answer.status().as_u16(), 200);
            answer.bytes().await.expect("a body")
        }
    });
    futures_util::stream::iter(posts).buffer_unordered(concurrency).for_each(|_| async {}).await;
}

fn write_project(root: &Path, base: &str, rows: usize, concurrency: usize) {
    let destination = format!(
        "name: crm\ntype: http\nconnection: {{ base_url: \"{base}\" }}\napi: {{ concurrency: {concurrency} }}\n\
         requests:\n  send:\n    request: {{ method: POST, path: /records, json: {{ records: \"{{{{ records }}}}\" }} }}\n    \
         batch: {{ records: {BATCH} }}\n"
    );
    let files = [
        ("syncline.yaml", "name: bench\n"),
        ("sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n"),
        ("models/contacts.yaml", "name: contacts\nsource: files\ntable: { name: contacts }\nprimary_key: [id]\n"),
        ("destinations/crm.yaml", destination.as_str()),
        (
            "syncs/contacts.yaml",
            "name: contacts\nmodel: contacts\ndestination: crm\nobject: contact\nmode: upsert\nmatch: { email: email }\n\
             fields: { name: name, country: country, plan: plan, seats: seats, phone: phone, created: created_at, score: score }\n",
        ),
        ("data/.keep", ""),
    ];
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a written file");
    }
    write_rows(root, rows, 0);
}

/// Every `changed`th row is another one than with 0.
fn write_rows(root: &Path, rows: usize, changed: usize) {
    let mut text = String::from("id,email,name,country,plan,seats,phone,created_at,score\n");
    for id in 0..rows {
        let mixed = (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seats = (mixed >> 24) % 500 + if changed > 0 && id % changed == 0 { 1000 } else { 0 };
        let _ = writeln!(
            text,
            "{id},person{id}@example.com,Person {:x},{},{},{seats},+4930{:07},2024-{:02}-{:02}T08:30:00Z,{}.{:02}",
            mixed >> 40,
            ["DE", "FR", "US", "GB", "JP"][(mixed >> 8) as usize % 5],
            ["free", "premium", "ultimate"][(mixed >> 16) as usize % 3],
            (mixed >> 32) % 10_000_000,
            1 + (mixed >> 12) % 12,
            1 + (mixed >> 20) % 28,
            (mixed >> 28) % 100,
            (mixed >> 36) % 100,
        );
    }
    fs::write(root.join("data/contacts.csv"), text).expect("a written file");
}

/// Wall time of a command that must succeed.
fn run(root: &Path, seen: &Seen, arguments: &[&str]) -> Duration {
    let binary = std::env::var("SYNCLINE_BENCH_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_syncline").into());
    let mut command = Command::new(binary);
    wait(command.args(arguments).current_dir(root), seen, &format!("{arguments:?}"))
}

fn wait(command: &mut Command, seen: &Seen, what: &str) -> Duration {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    seen.client.store(child.id(), Ordering::SeqCst);
    let ended = child.wait().expect("an end");
    assert!(ended.success(), "{what} failed: {ended}");
    start.elapsed()
}
