//! What the tests need of others, and where it is: named in the environment by `.ci/run`.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port for a server that takes its time to listen. It lies below those the system gives to connections: one of these
/// would be somebody else's by then.
pub fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 12_000).unwrap_or(0);
    let tried = (0..500).map(|_| 20_000 + (first - 20_000 + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000);
    let mut free = tried.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a port that is free")
}

/// The file a variable names; `None`, loudly, where the variable is not set. In CI (`CI` is set) that is a failure.
pub fn named(variable: &str, what: &str) -> Option<PathBuf> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set, and CI must not skip the tests of {what}");
        eprintln!("SKIPPED: {what} (set {variable})");
        return None;
    };
    assert!(path.is_file(), "{variable} names no file: {}", path.display());
    Some(path)
}
