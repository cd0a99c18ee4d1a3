//! SIGINT and SIGTERM while a command holds the lock and has nothing under way: the lock is given back, and it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::diagnostic::{Error, Result};
use crate::state::Locked;

/// True once a signal has come.
static SEEN: AtomicBool = AtomicBool::new(false);

/// What is done when a signal comes.
type Cleaning = Box<dyn FnOnce() + Send>;

/// Stands guard until it is dropped.
pub(super) struct Interrupt {
    cleaning: Arc<Mutex<Option<Cleaning>>>,
}

impl Interrupt {
    /// From now on a signal gives the lock back and ends the process, until the guard is dropped. `folder` is removed, too.
    pub(super) fn new(locked: &Locked, folder: std::path::PathBuf) -> Result<Self> {
        let release = locked.release_later();
        let cleaning: Cleaning = Box::new(move || {
            // What cannot be removed now goes with a later command.
            let _ = std::fs::remove_dir_all(folder);
            release();
        });
        let guard = Self { cleaning: Arc::new(Mutex::new(Some(cleaning))) };
        let cleaning = guard.cleaning.clone();
        let (ready, listens) = std::sync::mpsc::channel();
        let watch = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async move {
                use tokio::signal::unix::{SignalKind, signal};
                let listeners = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
                let (Ok(mut interrupt), Ok(mut terminate)) = listeners else { return };
                let _ = ready.send(());
                let code = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                };
                SEEN.store(true, Ordering::SeqCst);
                // Held until the end: whoever drops the guard now waits for it.
                let mut slot = cleaning.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(clean) = slot.take() {
                    super::terminal::note("stopped by a signal before anything was sent");
                    clean();
                    std::process::exit(code);
                }
            });
        };
        let spawned = std::thread::Builder::new().name("signals".into()).spawn(watch);
        spawned.map_err(|e| Error::failed(format!("cannot listen for signals: {e}")))?;
        // Nothing is relied on before it listens; where it cannot, a signal ends the process as it always did.
        let _ = listens.recv();
        Ok(guard)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.cleaning.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// True when a signal has come that nobody has heeded: it came between the end of one guard and the begin of the next.
pub(super) fn seen() -> bool {
    SEEN.load(Ordering::SeqCst)
}
