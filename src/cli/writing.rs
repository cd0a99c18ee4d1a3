//! `--write FORMAT=FILE`: further forms of what is printed, from one and the same plan.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::Format;
use crate::diagnostic::{Error, Result};

/// A form, and the file it goes to.
#[derive(Clone)]
pub(super) struct Written {
    pub format: Format,
    file: PathBuf,
}

impl FromStr for Written {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || {
            let names: Vec<_> = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
            names.iter().map(|name| name.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let Some((format, file)) = text.split_once('=').filter(|(_, file)| !file.is_empty()) else {
            return Err(format!("a format and a file are expected: `html=plan.html`; the formats: {}", words()));
        };
        let known = Format::from_str(format, true);
        let format = known.map_err(|_| format!("there is no format `{format}`; the formats: {}", words()))?;
        Ok(Self { format, file: file.into() })
    }
}

impl Written {
    /// Writes the file, with what escapes of a terminal are in the text taken out.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        let plain = anstream::adapter::strip_str(text).to_string();
        let failed = |e| Error::failed(format!("cannot write `{}`: {e}", self.file.display()));
        std::fs::write(&self.file, plain).map_err(failed)
    }
}
