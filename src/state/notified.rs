//! What receivers of messages were told last, so that they are told of changes only. Losing it costs a repeated message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Locked;
use super::runs::Status;
use crate::diagnostic::{Error, Result};

const FILE: &str = "notified/syncs.json";
const VERSION: &str = "1.0";

/// By sync and receiver, how the sync was last known to have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    format_version: String,
    /// Sync → receiver → status. A receiver is known by a digest of its entry as it is written.
    pub syncs: BTreeMap<String, BTreeMap<String, Status>>,
}

impl Default for Notified {
    fn default() -> Self {
        Self { format_version: VERSION.into(), syncs: BTreeMap::new() }
    }
}

impl Locked {
    /// What was told. What cannot be read was not told.
    pub fn notified(&self) -> Notified {
        let read = || {
            let bytes = std::fs::read(self.backend().get(FILE).ok()??).ok()?;
            serde_json::from_slice::<Notified>(&bytes).ok().filter(|known| known.format_version == VERSION)
        };
        read().unwrap_or_default()
    }

    /// Keeps what was told.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_notified(&self, notified: &Notified) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(notified).map_err(|e| Error::failed(e.to_string()))?;
        let out = self.scratch()?;
        let path = out.path().join("syncs.json");
        std::fs::write(&path, bytes).map_err(|e| super::local::failed("write", &path, &e))?;
        self.backend().put(FILE, &path)
    }
}
