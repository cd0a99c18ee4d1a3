//! The lock of a state kept remotely: one object, changed only by compare-and-swap. It is never removed, so its token only
//! grows; and whether a holder is dead is told by the store's clock alone, as those of two machines may differ.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Remote;
use super::objects::{Object, When};
use crate::diagnostic::{Error, Result};
use crate::state::backend::{Acquired, Holder};
use crate::state::checksums;
use crate::state::lease;

const LOCK: &str = "lock.json";
/// How often a change is tried again when others are quicker.
const TRIES: usize = 20;

/// What the object says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    /// The last token that was given out.
    token: u64,
    /// Who has it; `None` when it was given back.
    holder: Option<Holder>,
    /// How long the holder may be silent, in seconds.
    lease: u64,
}

impl Remote {
    fn lock(&self) -> Result<(Lock, Option<Object>)> {
        let Some(object) = self.read(LOCK)? else { return Ok((Lock::default(), None)) };
        let lock = serde_json::from_slice(&object.bytes).map_err(|e| {
            Error::failed_help(
                format!("the lock of the state in `{}` cannot be read: {e}", self.place),
                "make sure nobody applies, then run `syncline state unlock`",
            )
        })?;
        Ok((lock, Some(object)))
    }

    /// Writes the lock if it still is what was read.
    fn write_lock(&self, lock: &Lock, read: Option<Object>) -> Result<bool> {
        let bytes = serde_json::to_vec_pretty(lock).map_err(|e| Error::failed(e.to_string()))?;
        let when = read.map_or(When::Absent, |object| When::Is(object.tag));
        self.swap_object(LOCK, bytes, when)
    }

    /// Changes the lock as long as `change` has something to change. `None` when it had not.
    fn change_lock<T>(&self, mut change: impl FnMut(&mut Lock) -> Option<T>) -> Result<Option<T>> {
        for _ in 0..TRIES {
            let (mut lock, read) = self.lock()?;
            let Some(result) = change(&mut lock) else { return Ok(None) };
            if self.write_lock(&lock, read)? {
                return Ok(Some(result));
            }
        }
        Err(self.busy())
    }

    fn busy(&self) -> Error {
        Error::failed_help(format!("the lock of the state in `{}` never stands still", self.place), "try again")
    }

    pub(super) fn acquire_lock(&self, operation: &str, duration: Duration, least: u64) -> Result<Acquired> {
        for _ in 0..TRIES {
            let (lock, read) = self.lock()?;
            if let (Some(holder), Some(object)) = (&lock.holder, &read)
                && self.lives(&lock, object)?
            {
                return Ok(Acquired::Busy(holder.clone()));
            }
            let token = lock.token.max(least) + 1;
            let holder = lease::new_holder(token, operation, duration);
            let next = Lock { token, holder: Some(holder.clone()), lease: duration.as_secs().max(1) };
            if self.write_lock(&next, read)? {
                if lock.holder.is_some() {
                    self.fence(token)?;
                }
                return Ok(Acquired::Taken { holder, from: lock.holder });
            }
        }
        Err(self.busy())
    }

    /// True when the holder has shown a sign of life within its lease.
    fn lives(&self, lock: &Lock, object: &Object) -> Result<bool> {
        let silent = self.now()?.duration_since(object.modified);
        Ok(silent.as_secs() <= i64::try_from(lock.lease).unwrap_or(i64::MAX))
    }

    /// True when the lock could not be taken now.
    pub(super) fn lock_is_held(&self) -> Result<bool> {
        match self.lock()? {
            (lock, Some(object)) if lock.holder.is_some() => self.lives(&lock, &object),
            _ => Ok(false),
        }
    }

    /// Marks the document with the token of whoever took the lock over: a former holder that is not dead after all and
    /// about to swap it finds another content.
    fn fence(&self, token: u64) -> Result<()> {
        for _ in 0..TRIES {
            let Some(object) = self.read(super::DOCUMENT)? else { return Ok(()) };
            // What cannot be read, or is damaged, is refused before anything is written.
            let read = serde_json::from_slice::<Map<String, Value>>(&object.bytes).ok();
            let Some(mut document) = read.filter(|_| checksums::broken(&object.bytes).is_none()) else { return Ok(()) };
            document.remove("checksum");
            document.insert("token".into(), token.into());
            let bytes = serde_json::to_vec_pretty(&document).map_err(|e| Error::failed(e.to_string()))?;
            if self.swap_object(super::DOCUMENT, checksums::sealed(&bytes), When::Is(object.tag))? {
                return Ok(());
            }
        }
        Err(self.busy())
    }

    /// Fails when the lock is not held with this token.
    pub(super) fn must_hold(&self, token: u64) -> Result<()> {
        let (lock, _) = self.lock()?;
        match lock.holder {
            Some(holder) if holder.token == token => Ok(()),
            other => Err(lease::lost(other.as_ref())),
        }
    }

    pub(super) fn renew_lock(&self, token: u64, duration: Duration) -> Result<bool> {
        let renewed = self.change_lock(|lock| {
            let holder = lock.holder.take().filter(|holder| holder.token == token)?;
            lock.holder = Some(lease::renewed(holder, duration));
            Some(())
        })?;
        Ok(renewed.is_some())
    }

    pub(super) fn release_lock(&self, token: u64) -> Result<()> {
        self.change_lock(|lock| lock.holder.take().filter(|holder| holder.token == token).map(|_| ()))?;
        Ok(())
    }

    pub(super) fn lock_holder(&self) -> Result<Option<Holder>> {
        Ok(self.lock()?.0.holder)
    }

    pub(super) fn break_lock_now(&self) -> Result<Option<Holder>> {
        // A lock nobody can read is the very thing this is for.
        if self.lock().is_err() {
            let least = self.read(super::DOCUMENT)?.map_or(0, |object| token_of(&object.bytes));
            let bytes = serde_json::to_vec_pretty(&Lock { token: least, ..Lock::default() });
            self.swap_object(LOCK, bytes.map_err(|e| Error::failed(e.to_string()))?, When::Always)?;
            return Ok(None);
        }
        let holder = self.change_lock(|lock| lock.holder.take())?;
        if let Some(holder) = &holder {
            self.fence(holder.token)?;
        }
        Ok(holder)
    }
}

fn token_of(document: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Fenced {
        token: u64,
    }
    serde_json::from_slice::<Fenced>(document).map_or(0, |fenced| fenced.token)
}
