//! What destinations said of their fields: a cache, so that a plan need not ask each time. Losing it costs a request.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::backend::Backend;
use super::checksums;
use crate::destinations::{Discovered, Options};
use crate::diagnostic::{Error, Result};

/// How long an answer counts.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// How long a refusal counts: whoever has put it right wants to know soon. Those of credentials and quotas are not kept.
const REFUSED: SignedDuration = SignedDuration::from_hours(1);

/// What was answered, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discovery {
    /// `1.0`. Files of another version are asked for anew.
    format_version: String,
    /// Name of the destination.
    pub destination: String,
    /// Name of the object.
    pub object: String,
    /// When it was asked, RFC 3339.
    pub asked_at: Timestamp,
    /// The fields; absent where the destination refused to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovered: Option<Discovered>,
    /// Why it refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

const VERSION: &str = "1.0";

impl Discovery {
    /// An answer of now: the fields, or why there are none.
    pub fn now(destination: &str, object: &str, answer: std::result::Result<Discovered, String>) -> Self {
        let (discovered, refused) = match answer {
            Ok(discovered) => (Some(discovered), None),
            Err(refused) => (None, Some(refused)),
        };
        let (destination, object) = (destination.to_owned(), object.to_owned());
        Self { format_version: VERSION.into(), destination, object, asked_at: Timestamp::now(), discovered, refused }
    }

    /// When it is asked anew.
    pub fn counts_until(&self) -> Timestamp {
        let most = if self.discovered.is_some() { FRESH } else { REFUSED };
        self.asked_at.saturating_add(most).unwrap_or(self.asked_at)
    }

    /// True while it counts. An answer from the future does not.
    fn is_fresh(&self) -> bool {
        let age = Timestamp::now().duration_since(self.asked_at);
        let most = if self.discovered.is_some() { FRESH } else { REFUSED };
        self.format_version == VERSION && age < most && age > -SignedDuration::from_mins(5)
    }
}

/// The cache of one environment.
pub struct Discoveries {
    backend: Arc<dyn Backend>,
}

impl Discoveries {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The name under which an answer is kept. `digest` stands for the destination's manifest, as it is in this
    /// environment, and for the connector.
    pub fn name(destination: &str, digest: &str, object: &str, options: &Options) -> String {
        let mut hash = Sha256::new();
        for part in [digest, object, &serde_json::Value::Object(options.clone()).to_string()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hash: String = hex::encode(hash.finalize()).chars().take(16).collect();
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(60).collect()
        };
        format!("discovered/{}.{}.{hash}.json", plain(destination), plain(object))
    }

    /// The answer of this name, while it counts. One that cannot be read, or is damaged, is no answer.
    pub fn get(&self, name: &str) -> Option<Discovery> {
        let path = self.backend.get(name).ok()??;
        let bytes = std::fs::read(path).ok().filter(|bytes| checksums::broken(bytes).is_none())?;
        let discovery: Discovery = serde_json::from_slice(&bytes).ok()?;
        discovery.is_fresh().then_some(discovery)
    }

    /// Keeps an answer, in the place of an earlier one. No lock is needed: whoever is last wins, and all are right.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, name: &str, discovery: &Discovery) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot keep what was discovered: {e}"));
        let bytes = serde_json::to_vec_pretty(discovery).map_err(|e| failed(&e))?;
        let file = tempfile::NamedTempFile::new().map_err(|e| failed(&e))?;
        std::fs::write(file.path(), checksums::sealed(&bytes)).map_err(|e| failed(&e))?;
        self.backend.put(name, file.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destinations::FieldInfo;
    use crate::manifest::connector::object::FieldType;
    use crate::state::local::Local;

    #[test]
    fn answers_count_for_a_day_and_refusals_for_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Discoveries::new(Arc::new(Local::open(folder.path().join("here")).unwrap()));
        let options = Options::new();
        let name = Discoveries::name("iterable", "digest", "user", &options);
        assert!(name.starts_with("discovered/iterable.user."), "{name}");
        assert_ne!(name, Discoveries::name("iterable", "other", "user", &options));
        assert_eq!(cache.get(&name), None);
        let fields = vec![FieldInfo { name: "plan".into(), kind: FieldType::String, writable: true }];
        let answer = Discovered { complete: true, converts: false, fields };
        for (result, hours, counts) in [
            (Ok(answer.clone()), 0, true),
            (Ok(answer.clone()), 23, true),
            (Ok(answer.clone()), 25, false),
            (Ok(answer), -1, false),
            (Err("not found".to_owned()), 0, true),
            (Err("not found".to_owned()), 2, false),
        ] {
            let mut discovery = Discovery::now("iterable", "user", result);
            discovery.asked_at -= SignedDuration::from_hours(hours);
            cache.put(&name, &discovery).unwrap();
            assert_eq!(cache.get(&name).is_some(), counts, "{discovery:?}");
        }
        std::fs::write(folder.path().join("here").join(&name), "{").unwrap();
        assert_eq!(cache.get(&name), None, "what is cut off is no answer");
    }
}
