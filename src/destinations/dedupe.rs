//! The id by which a destination knows an operation again.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Action;

/// Same for the same sync, key and payload after any retry, crash or re-plan: hex of 128 bits. Made when it is asked for:
/// most destinations never do.
#[derive(Debug, Clone)]
pub struct DedupeId(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Given(Box<str>),
    Made { origin: Origin, key: u128, row: u128, action: Action },
}

/// Where operations come from: a state and a sync.
#[derive(Debug, Clone)]
pub struct Origin(Arc<Sha256>);

impl Origin {
    /// The origin of a sync's operations; `lineage` is the identity of the state.
    pub fn new(lineage: &str, sync: &str) -> Self {
        let mut hasher = Sha256::new();
        for text in [lineage, sync] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
        Self(Arc::new(hasher))
    }

    /// The id of what is done to a row: hashes of its key and of its values.
    pub fn id(&self, key: u128, row: u128, action: Action) -> DedupeId {
        DedupeId(Kind::Made { origin: self.clone(), key, row, action })
    }
}

impl DedupeId {
    /// The id: the first 128 bits of SHA-256 over state, sync, key, payload and action, in hex.
    pub fn text(&self) -> String {
        let (origin, key, row, action) = match &self.0 {
            Kind::Given(text) => return text.to_string(),
            Kind::Made { origin, key, row, action } => (origin, key, row, action),
        };
        let mut hasher = Sha256::clone(&origin.0);
        hasher.update(key.to_be_bytes());
        hasher.update(row.to_be_bytes());
        hasher.update(match action {
            Action::Send => b"send" as &[u8],
            Action::Clear => b"clear",
            Action::Delete => b"delete",
        });
        hex::encode(&hasher.finalize()[..16])
    }
}

impl From<&str> for DedupeId {
    fn from(text: &str) -> Self {
        Self(Kind::Given(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Destinations remember these ids, some for months: they must not change from version to version.
    #[test]
    fn ids_stay_what_they_are() {
        let origin = Origin::new("lineage", "people");
        let ids = [
            (1, 2, Action::Send, "5a1c6dfb7b38851b2664e368e9e2867b"),
            (1, 2, Action::Clear, "ceed45d0cee24f29f6c2757f320bb685"),
            (1, 2, Action::Delete, "4f8c7492dbc26e30b1033c5495846152"),
            (1, 3, Action::Send, "de2133429cd73e2e118b03bf9029d31a"),
            (2, 2, Action::Send, "61bc85e43b7a587d40cae1ffcd0c7125"),
        ];
        for (key, row, action, expected) in ids {
            assert_eq!(origin.id(key, row, action).text(), expected, "{key} {row} {action:?}");
        }
        assert_eq!(Origin::new("lineagep", "eople").id(1, 2, Action::Send).text(), "d33b123ec1b52f458514d13c7b4a7276");
        assert_eq!(DedupeId::from("case-1").text(), "case-1");
    }
}
