//! The first plan of a large model, whole command: wall time and peak memory, against a named rival.
//!
//! The rival: drt 1.2.1, `drt plan` of 1 000 000 new rows took 75.3 s and 1.98 GB (its own plan file: 151 MB), measured
//! on two cores from PostgreSQL. Run with `cargo bench --bench plan`; `SYNCLINE_BENCH_ROWS` sets the rows.
//!
//! On a machine that is busy with other work, wall time says little: run the built benchmark with `chrt -r 1`.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RIVAL_SECONDS_PER_MILLION: f64 = 75.3;
const RIVAL_MIB_PER_MILLION: f64 = 1.98 * 1024.0;

fn main() {
    let rows: u64 = std::env::var("SYNCLINE_BENCH_ROWS").ok().and_then(|r| r.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_project(folder.path(), rows);
    println!("{rows} rows, CSV of {} MiB", size(&folder.path().join("data/contacts.csv")));
    let (first, first_memory) = run(folder.path(), &["plan", "--out", "p.slplan", "--format", "json"]);
    let (apply, apply_memory) = run(folder.path(), &["apply", "p.slplan"]);
    let (second, second_memory) = run(folder.path(), &["plan", "--format", "json"]);
    let millions = rows as f64 / 1e6;
    let row = |what: &str, wall: Duration, memory: u64| {
        println!(
            "{what:<28} {:>7.2} s {memory:>6} MiB {:>9.0} rows/s",
            wall.as_secs_f64(),
            rows as f64 / wall.as_secs_f64()
        );
    };
    row("first plan, --out", first, first_memory);
    row("apply to SQLite", apply, apply_memory);
    row("plan without changes", second, second_memory);
    println!("plan file: {} MiB", size(&folder.path().join("p.slplan")));
    println!(
        "against drt 1.2.1: {:.1} times faster (aim: 20), {:.0} % of its memory (aim: under 300 MiB in all)",
        RIVAL_SECONDS_PER_MILLION * millions / first.as_secs_f64(),
        100.0 * first_memory as f64 / (RIVAL_MIB_PER_MILLION * millions),
    );
}

fn write_project(root: &Path, rows: u64) {
    let files = [
        ("syncline.yaml", "name: bench\n"),
        ("sources/files.yaml", "name: files\ntype: files\nconnection: { path: data }\n"),
        ("models/contacts.yaml", "name: contacts\nsource: files\ntable: { name: contacts }\nprimary_key: [id]\n"),
        ("destinations/crm.yaml", "name: crm\ntype: sqlite\nconnection: { path: out/crm.db }\n"),
        (
            "syncs/contacts.yaml",
            "name: contacts\nmodel: contacts\ndestination: crm\nobject: contacts\nmode: upsert\nmatch: { email: email }\n\
             fields: { name: name, country: country, plan: plan, seats: seats, phone: phone, created: created_at, score: score }\n\
             options: { create: true }\ndelivery: { batch_size: 10000 }\n",
        ),
        ("out/.keep", ""),
        ("data/.keep", ""),
    ];
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a written file");
    }
    let mut out = BufWriter::new(fs::File::create(root.join("data/contacts.csv")).expect("a file"));
    out.write_all(b"id,email,name,country,plan,seats,phone,created_at,score\n").expect("a written line");
    let mut line = String::new();
    for id in 0..rows {
        line.clear();
        let mixed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let _ = writeln!(
            line,
            "{id},person{id}@example.com,Person {:x},{},{},{},+4930{:07},2024-{:02}-{:02}T08:30:00Z,{}.{:02}",
            mixed >> 40,
            ["DE", "FR", "US", "GB", "JP"][(mixed >> 8) as usize % 5],
            ["free", "premium", "ultimate"][(mixed >> 16) as usize % 3],
            (mixed >> 24) % 500,
            (mixed >> 32) % 10_000_000,
            1 + (mixed >> 12) % 12,
            1 + (mixed >> 20) % 28,
            (mixed >> 28) % 100,
            (mixed >> 36) % 100,
        );
        out.write_all(line.as_bytes()).expect("a written line");
    }
    out.flush().expect("a written file");
}

/// Wall time and peak resident memory in MiB.
fn run(root: &Path, arguments: &[&str]) -> (Duration, u64) {
    let start = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(arguments)
        .current_dir(root)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("a child") {
            break ended;
        }
        // The high-water mark only grows, so the last reading before the end is the one that counts.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).and_then(|l| l.trim().strip_suffix(" kB"));
        peak = mark.and_then(|kib| kib.trim().parse().ok()).unwrap_or(peak).max(peak);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(ended.success(), "{arguments:?} failed: {ended}");
    (start.elapsed(), peak / 1024)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len() / 1024 / 1024)
}
