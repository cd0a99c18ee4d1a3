//! The lock of one environment: a lease that is renewed while its holder lives, and a fencing token that outlives it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::backend::{Acquired, Backend, Holder};
use crate::diagnostic::{Error, Result};

/// How the lock is taken.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// What the holder does, e.g. `apply`; shown to whoever is refused.
    pub operation: String,
    /// How long to wait for another holder before giving up.
    pub wait: Duration,
    /// How long a holder that shows no sign of life keeps the lock.
    pub lease: Duration,
    /// How often the lease is renewed.
    pub heartbeat: Duration,
}

impl LockRequest {
    /// A lock for this operation: no waiting, a lease of 60 s renewed every 15 s.
    pub fn new(operation: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            wait: Duration::ZERO,
            lease: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// The lock, held; given back on drop.
pub struct Lease {
    backend: Arc<dyn Backend>,
    holder: Holder,
    lost: Arc<AtomicBool>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    heart: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes the lock. Fails with [`Error::Locked`] when somebody else has it.
    pub fn take(backend: Arc<dyn Backend>, request: &LockRequest, least: u64) -> Result<Self> {
        let until = Instant::now() + request.wait;
        let mut pause = Duration::from_millis(50);
        let holder = loop {
            match backend.acquire(&request.operation, request.lease, least)? {
                Acquired::Taken { holder, from } => {
                    if let Some(dead) = from {
                        tracing::warn!("taking over the lock of {}, which is gone", describe(&dead));
                    }
                    break holder;
                }
                Acquired::Busy(other) if Instant::now() >= until => {
                    return Err(Error::Locked {
                        message: format!("the state in `{}` is locked by {}", backend.place(), describe(&other)),
                        help: Some(
                            "wait for it to end; a holder that died is taken over by itself, and `syncline state \
                             unlock` takes the lock away from one that hangs"
                                .into(),
                        ),
                    });
                }
                // Asking costs requests where the state is elsewhere.
                Acquired::Busy(_) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        };
        let lost = Arc::new(AtomicBool::new(false));
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let heart = {
            let (backend, lost, stop) = (backend.clone(), lost.clone(), stop.clone());
            let (token, lease, pause) = (holder.token, request.lease, request.heartbeat);
            let beat = move || beat(&*backend, token, lease, pause, &lost, &stop);
            let builder = std::thread::Builder::new().name("state-lease".into());
            builder.spawn(beat).map_err(|e| Error::failed(format!("cannot start the lease's thread: {e}")))
        };
        let heart = match heart {
            Ok(heart) => Some(heart),
            Err(e) => {
                backend.release(holder.token)?;
                return Err(e);
            }
        };
        Ok(Self { backend, holder, lost, stop, heart })
    }

    /// The fencing token.
    pub fn token(&self) -> u64 {
        self.holder.token
    }

    /// True once another holder has the lock: nothing may be sent or committed any more.
    pub fn lost(&self) -> Arc<AtomicBool> {
        self.lost.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
        if let Err(e) = self.backend.release(self.holder.token) {
            tracing::warn!("the lock could not be given back and will run out by itself: {e}");
        }
    }
}

fn beat(
    backend: &dyn Backend,
    token: u64,
    lease: Duration,
    pause: Duration,
    lost: &AtomicBool,
    (stop, bell): &(Mutex<bool>, Condvar),
) {
    let mut renewed = Instant::now();
    let mut stopped = stop.lock().unwrap_or_else(PoisonError::into_inner);
    while !*stopped {
        stopped = bell.wait_timeout(stopped, pause).unwrap_or_else(PoisonError::into_inner).0;
        if *stopped {
            return;
        }
        match backend.renew(token, lease) {
            Ok(true) => renewed = Instant::now(),
            Ok(false) => return lost.store(true, Ordering::SeqCst),
            // A store that cannot be reached for a while is survivable as long as the lease has not run out.
            Err(_) if renewed.elapsed() < lease => {}
            Err(_) => return lost.store(true, Ordering::SeqCst),
        }
    }
}

/// The error of a holder whose lock was taken over.
pub fn lost(by: Option<&Holder>) -> Error {
    let by = by.map(|h| format!(", it now belongs to {}", describe(h))).unwrap_or_default();
    Error::Locked {
        message: format!("the lock on the state was lost{by}"),
        help: Some("run the command again: what was done is in the journal and is picked up".into()),
    }
}

/// ``process 4711 on host `ci-3` (apply, since 2026-01-02T03:04:05Z)``
pub fn describe(holder: &Holder) -> String {
    format!("process {} on host `{}` ({}, since {})", holder.pid, holder.host, holder.operation, holder.started)
}

pub(super) fn new_holder(token: u64, operation: &str, lease: Duration) -> Holder {
    let now = Timestamp::now();
    Holder {
        token,
        pid: std::process::id(),
        host: host(),
        operation: operation.into(),
        started: now.to_string(),
        expires: later(now, lease),
    }
}

pub(super) fn renewed(holder: Holder, lease: Duration) -> Holder {
    Holder { expires: later(Timestamp::now(), lease), ..holder }
}

fn later(now: Timestamp, lease: Duration) -> String {
    now.checked_add(lease).unwrap_or(Timestamp::MAX).to_string()
}

/// True when the lease has run out; also when its end cannot be read.
pub(super) fn expired(holder: &Holder) -> bool {
    holder.expires.parse::<Timestamp>().map_or(true, |expires| expires < Timestamp::now())
}

/// The name of this machine.
pub(super) fn host() -> String {
    let read = |path| std::fs::read_to_string(path).ok().map(|s: String| s.trim().to_owned());
    let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    name.filter(|n| !n.is_empty()).unwrap_or_else(|| "localhost".into())
}
