//! What proves that a message is ours and new.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of the header `Syncline-Signature`: `t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 under the secret of the
/// seconds, a dot, and the body as sent.
pub fn sign(secret: &str, seconds: i64, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are of Python's `hmac.new(secret, b"SECONDS.BODY", "sha256")`.
    #[test]
    fn signatures_are_those_of_another_implementation() {
        for (secret, seconds, body, expected) in [
            ("whsec", 1_700_000_000, "{}", "7d44587dddbaf4c7f70fef20f48cd594834ffea1641e3ac227b84408298738af"),
            (
                "a key that is longer than one block of SHA-256, which is sixty-four bytes",
                0,
                "{\"a\":\"ü\"}",
                "6b31f4c603078d6f5751b975d25e7349a3a9d7d29b8ea35918d1ecf7da421547",
            ),
        ] {
            assert_eq!(sign(secret, seconds, body), format!("t={seconds},v1={expected}"));
        }
    }
}
