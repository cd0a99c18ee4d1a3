//! The key of all hashes of a state.

use std::fs::OpenOptions;
use std::hash::Hasher;
use std::io::{ErrorKind, Write};
use std::path::Path;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::local::{failed, make_private, sync_folder};
use crate::diagnostic::{Error, Result};
use crate::diff::HashKey;

/// The variable a key may come from: then a stolen state folder does not hold it.
pub const VARIABLE: &str = "SYNCLINE_STATE_KEY";

/// Reads a key as it is written in files and variables: 32 hexadecimal digits. `place` is named in errors, the text never.
pub fn parse(text: &str, place: &str) -> Result<HashKey> {
    let mut key = [0; 16];
    hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
        Error::failed_help(
            format!("the hash key in `{place}` is not 32 hexadecimal digits"),
            "make one with `openssl rand -hex 16`",
        )
    })?;
    Ok(HashKey(key))
}

/// The key in `state.key` of a state folder; made on first use, together with the folder.
pub(super) fn of_folder(folder: &Path) -> Result<HashKey> {
    let path = folder.join("state.key");
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    make_private(folder)?;
    // Two first uses at the same time: whoever links the file first decides.
    let create = || -> std::io::Result<()> {
        let temporary = folder.join(format!("state.key.{}", uuid::Uuid::now_v7()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(random()?.as_bytes())?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&temporary, &path);
        std::fs::remove_file(&temporary)?;
        match linked {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
            _ => sync_folder(&path),
        }
    };
    create().map_err(|e| failed("write", &path, &e))?;
    read(&path)?.ok_or_else(|| Error::failed(format!("the hash key `{}` is gone", path.display())))
}

/// The key in `state.key` of a state folder; `None` where there is none, and then none is made.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn known(folder: &Path) -> Result<Option<HashKey>> {
    read(&folder.join("state.key"))
}

/// A new key, as it is written in files.
///
/// # Errors
/// The system gives no random numbers.
pub(super) fn new() -> Result<String> {
    random().map_err(|e| Error::failed(format!("no hash key can be made: {e}")))
}

fn random() -> std::io::Result<String> {
    let mut key = [0; 16];
    getrandom::fill(&mut key)?;
    Ok(hex::encode(key))
}

fn read(path: &Path) -> Result<Option<HashKey>> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &path.display().to_string()).map(Some),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path, &e)),
    }
}

/// What a key yields for a lineage: tells a wrong key from the right one, and nothing else.
pub(super) fn check(key: &HashKey, lineage: &str) -> String {
    let mut hasher = SipHasher13::new_with_key(&key.0);
    hasher.write(b"syncline state key");
    hasher.write(lineage.as_bytes());
    hex::encode(hasher.finish128().as_bytes())
}
