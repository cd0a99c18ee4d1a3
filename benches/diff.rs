//! The diff against the bound it is measured by: a bare scan of the same file.
//!
//! ```text
//! cargo bench --bench diff                                  1 M rows × 10 columns, 1 % changed
//! SYNCLINE_BENCH_ROWS=10000000 cargo bench --bench diff     the scale of the aim: at most 1.5 × DuckDB's bare scan
//! ```
//!
//! Two versions of a table are generated, the first one is acknowledged, and the second one is compared with it: old and
//! new records of every changed row included. Every figure is taken in a process of its own, so that its peak of memory
//! is its own, and with the processor time of all threads, which says more than the clock where other work goes on. The
//! bounds are DuckDB's scan and hash of the same file and its comparison of both versions by value (if `python3` has the
//! module `duckdb`), and our own reading of it.

#[path = "diff/data.rs"]
mod data;
#[path = "diff/measure.rs"]
mod measure;

use std::path::PathBuf;
use std::process::Command;

/// Says which figure this process is to take.
const ROLE: &str = "SYNCLINE_BENCH_ROLE";
/// Runs of each figure; the best counts, as the others are disturbed.
const RUNS: usize = 3;

fn main() {
    let rows: u64 = std::env::var("SYNCLINE_BENCH_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("diff-{rows}"));
    match std::env::var(ROLE).as_deref() {
        Ok("prepare") => return measure::prepare(&folder, rows),
        Ok("scan") => return measure::scan(&folder),
        Ok("diff") => return measure::diff(&folder, rows),
        Ok("equal") => return measure::configuration(&folder, "trim"),
        Ok("configuration") => return measure::configuration(&folder, "upper"),
        _ => {}
    }
    println!("{rows} rows × 10 columns, 1 % changed, 0.1 % added, 0.1 % removed; {} threads", measure::threads());
    if !folder.join("ready").exists() {
        let first = child("prepare", 1);
        show("first diff and snapshot", &first, "all rows added, then acknowledged");
    }
    let files = [folder.join("data/before.parquet"), folder.join("data/after.parquet")];
    let scanned = duckdb(SCAN, &files);
    let scan = child("scan", RUNS);
    let diff = child("diff", RUNS);
    let joined = duckdb(JOIN, &files);
    match (&scanned, &joined) {
        (Some(scanned), Some(joined)) => {
            show("DuckDB, bare scan and hash", scanned, "");
            show("DuckDB, join and comparison of values", joined, "counts only");
        }
        _ => println!("DuckDB: SKIPPED, python3 has no module `duckdb` (pip install duckdb)"),
    }
    show("own bare scan", &scan, "every value decoded, nothing done with it");
    show("diff", &diff, "with old and new records of all changes");
    let ratio = |name: &str, a: &Figure, b: &Figure, aim: &str| {
        println!("{name:36} {:8.2} wall {:8.2} processor  {aim}", a.seconds / b.seconds, a.processor / b.processor);
    };
    ratio("diff / own bare scan", &diff, &scan, "");
    if let (Some(scanned), Some(joined)) = (scanned, joined) {
        ratio("diff / DuckDB bare scan and hash", &diff, &scanned, "aim: at most 1.5");
        ratio("DuckDB join of values / diff", &joined, &diff, "aim: at least 3.3");
    }
    println!("{:36} {:8.0} MiB  aim: at most 512", "peak memory of the diff", diff.mebibytes);
    show("diff after a change that alters no record", &child("equal", 1), "every record compared, none sent");
    show("diff after a change that alters all", &child("configuration", 1), "every record sent");
}

/// What one process measured.
struct Figure {
    seconds: f64,
    /// Seconds of all threads.
    processor: f64,
    mebibytes: f64,
}

fn show(name: &str, figure: &Figure, note: &str) {
    let Figure { seconds, processor, mebibytes } = figure;
    println!("{name:41} {seconds:7.3} s {processor:8.3} s processor {mebibytes:6.0} MiB  {note}");
}

/// Takes a figure in processes of its own and returns the fastest.
fn child(role: &str, runs: usize) -> Figure {
    let figures = (0..runs).map(|_| {
        let this = std::env::current_exe().expect("the running program has a path");
        let output = Command::new(this).env(ROLE, role).output().expect("the program can be started again");
        assert!(output.status.success(), "{role}: {}", String::from_utf8_lossy(&output.stderr));
        figure(&output.stdout).unwrap_or_else(|| panic!("{role}: no figure"))
    });
    figures.min_by(|a, b| a.seconds.total_cmp(&b.seconds)).expect("at least one run")
}

fn figure(output: &[u8]) -> Option<Figure> {
    let text = String::from_utf8_lossy(output);
    let mut numbers = text.trim().lines().last()?.split(' ').map(|number| number.parse().ok());
    Some(Figure { seconds: numbers.next()??, processor: numbers.next()??, mebibytes: numbers.next()?? })
}

/// Reads every value of the second version once.
const SCAN: &str = "select count(*), bit_xor(hash({all})) from '{after}'";
/// Counts what the diff counts.
const JOIN: &str = "select count(*) filter (b.email is null), count(*) filter (a.email is null), \
    count(*) filter (a.email is not null and b.email is not null and ({differ})) \
    from '{before}' b full join '{after}' a on a.email = b.email";

/// The fastest of some runs of a query in DuckDB.
fn duckdb(query: &str, files: &[PathBuf; 2]) -> Option<Figure> {
    let script = "
import duckdb, resource, sys, time
query, before, after, threads, runs = sys.argv[1:]
db = duckdb.connect()
db.execute(f'set threads={threads}')
columns = [r[0] for r in db.execute(f\"describe select * from '{after}'\").fetchall()]
differ = ' or '.join(f'a.{c} is distinct from b.{c}' for c in columns)
query = query.replace('{all}', ', '.join(columns)).replace('{differ}', differ)
query = query.replace('{before}', before).replace('{after}', after)
best = None
for _ in range(int(runs)):
    used, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    db.execute(query).fetchall()
    took, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    processor = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    best = min(best or (took, processor), (took, processor))
print(*best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
";
    let mut python = Command::new("python3");
    python.args(["-c", script, query]).args(files).args([measure::threads().to_string(), RUNS.to_string()]);
    figure(&python.output().ok().filter(|o| o.status.success())?.stdout)
}
