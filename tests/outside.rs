//! What the tests need of others, and where it is: named in the environment by `.ci/run`.

use std::path::PathBuf;

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
