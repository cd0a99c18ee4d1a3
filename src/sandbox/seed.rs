//! What the stand-ins hold at the start, from a JSON file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{iterable, marketo};
use crate::diagnostic::{Error, Result};

/// Users, leads, lists, types and whatever else is there before anything is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// For Iterable.
    pub iterable: iterable::Seed,
    /// For Marketo.
    pub marketo: marketo::Seed,
}

impl Seed {
    /// Reads a seed.
    ///
    /// # Errors
    /// Says at which member of the file it is not a seed.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut reader).map_err(|e| format!("at `{}`: {}", e.path(), e.inner()))
    }

    /// Reads a seed from a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no seed.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::failed(format!("cannot read the seed `{}`: {e}", path.display())))?;
        Self::parse(&text).map_err(|e| {
            Error::failed_help(format!("the seed `{}` cannot be used: {e}", path.display()), "see docs/sandbox.md")
        })
    }
}
