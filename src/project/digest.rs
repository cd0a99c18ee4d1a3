//! Digests of configuration: the same for the same meaning.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// `sha256:` and 64 hex digits over a value, whatever the order of its keys.
pub(super) fn digest(value: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(canonical(value).to_string().as_bytes());
    format!("sha256:{}", hex::encode(hash.finalize()))
}

/// The first 64 bits of [`digest`].
pub(super) fn short(value: &Value) -> u64 {
    let hash: [u8; 32] = Sha256::digest(canonical(value).to_string().as_bytes()).into();
    hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let sorted = keys.into_iter().filter_map(|key| Some((key.clone(), canonical(map.get(key)?))));
            Value::Object(sorted.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}
