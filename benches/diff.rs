//! The diff against the bound it is measured by: a bare scan of the same file.
//!
//! ```text
//! cargo bench --bench diff                                  1 M rows × 10 columns, 1 % changed
//! SYNCLINE_BENCH_ROWS=10000000 cargo bench --bench diff     the scale of the aim: at most 1.5 × DuckDB's bare scan
//! ```
//!
//! Two versions of a table are generated, the first one is acknowledged, and the second one is compared with it: old and
//! new records of every changed row included. Every figure is taken in a process of its own, so that its peak of memory
//! is its own. The bounds are DuckDB's scan and hash of the same file (if `python3` has the module `duckdb`), and our
//! own reading of it.

#[path = "diff/data.rs"]
mod data;
#[path = "diff/measure.rs"]
mod measure;

use std::path::{Path, PathBuf};
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
        Ok("configuration") => return measure::configuration(&folder),
        _ => {}
    }
    println!("{rows} rows × 10 columns, 1 % changed, 0.1 % added, 0.1 % removed; {} threads", measure::threads());
    if !folder.join("ready").exists() {
        let first = child("prepare", 1);
        show("first diff and snapshot", &first, "all rows added, then acknowledged");
    }
    let duckdb = duckdb(&folder.join("after.parquet"));
    let scan = child("scan", RUNS);
    let diff = child("diff", RUNS);
    match &duckdb {
        Some(duckdb) => show("DuckDB, bare scan and hash", duckdb, ""),
        None => println!("DuckDB's bare scan: SKIPPED, python3 has no module `duckdb` (pip install duckdb)"),
    }
    show("own bare scan", &scan, "every value decoded, nothing done with it");
    show("diff", &diff, "with old and new records of all changes");
    println!("diff / own bare scan     {:.2}", diff.seconds / scan.seconds);
    if let Some(duckdb) = duckdb {
        println!("diff / DuckDB bare scan  {:.2} (aim: at most 1.5)", diff.seconds / duckdb.seconds);
    }
    show("diff after a change of the mapping", &child("configuration", 1), "every record compared");
}

/// What one process measured.
struct Figure {
    seconds: f64,
    mebibytes: f64,
}

fn show(name: &str, figure: &Figure, note: &str) {
    println!("{name:36} {:8.3} s {:8.0} MiB  {note}", figure.seconds, figure.mebibytes);
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
    let (seconds, mebibytes) = text.trim().lines().last()?.split_once(' ')?;
    Some(Figure { seconds: seconds.parse().ok()?, mebibytes: mebibytes.parse().ok()? })
}

fn duckdb(file: &Path) -> Option<Figure> {
    let script = "
import duckdb, resource, sys, time
db = duckdb.connect()
db.execute(f'set threads={sys.argv[2]}')
columns = ', '.join(r[0] for r in db.execute(f\"describe select * from '{sys.argv[1]}'\").fetchall())
best = None
for _ in range(3):
    start = time.perf_counter()
    db.execute(f\"select count(*), bit_xor(hash({columns})) from '{sys.argv[1]}'\").fetchall()
    took = time.perf_counter() - start
    best = took if best is None else min(best, took)
print(best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
";
    let output = Command::new("python3").args(["-c", script]).arg(file).arg(measure::threads().to_string()).output();
    figure(&output.ok().filter(|o| o.status.success())?.stdout)
}
