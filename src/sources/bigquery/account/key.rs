//! A service account's key, and the statement signed with it that is exchanged for an access token
//! (<https://developers.google.com/identity/protocols/oauth2/service-account#httprest>).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::RsaSigningKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use serde::Deserialize;
use serde_json::json;

use crate::diagnostic::{Error, Result};
use crate::secret::Secret;

/// What a token may be used for: BigQuery and nothing else.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";

/// Seconds a statement is valid; Google takes no more.
const VALID: i64 = 3600;

/// The JSON file that Google makes for a key.
#[derive(Deserialize)]
pub(super) struct ServiceAccountKey {
    /// The account.
    pub client_email: String,
    private_key: Secret,
    private_key_id: Option<String>,
    /// Where the statement is exchanged.
    #[serde(default = "token_uri")]
    pub token_uri: String,
}

/// Where tokens come from, unless a file says otherwise.
pub(super) fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

impl ServiceAccountKey {
    /// Reads a key. `place` says where it came from.
    ///
    /// # Errors
    /// It is no key of a service account; nothing of it is repeated.
    pub fn read(text: &str, place: &str) -> Result<Self> {
        let fault = |what: &str| {
            let help = "it is the whole JSON file that Google Cloud makes for a key of a service account";
            Error::failed_help(format!("{place}: {what}"), help)
        };
        // What serde says of a fault may repeat what stands there.
        let whole: serde_json::Value = serde_json::from_str(text).map_err(|_| fault("this is not JSON"))?;
        match whole.get("type").and_then(|kind| kind.as_str()) {
            Some("service_account") => {}
            _ => return Err(fault("this is not the key of a service account")),
        }
        serde_json::from_value(whole).map_err(|_| fault("`client_email` or `private_key` is missing"))
    }

    /// What must not be shown of it.
    pub fn secret(&self) -> Secret {
        self.private_key.clone()
    }

    /// The signed statement, for the second `now` of Unix time.
    ///
    /// # Errors
    /// The private key is none, or not an RSA key.
    pub fn assertion(&self, now: i64) -> Result<Secret> {
        let fault = || {
            let help = "take the JSON file as Google Cloud made it, with `\\n` for the line ends of the private key";
            Error::failed_help("the private key of the service account cannot be used", help)
        };
        let key = PrivateKeyDer::from_pem_slice(self.private_key.expose().as_bytes()).map_err(|_| fault())?;
        let key = RsaSigningKey::new(&key).map_err(|_| fault())?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(fault)?;
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.private_key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.client_email, "scope": SCOPE, "aud": self.token_uri, "iat": now, "exp": now + VALID,
        });
        let encode = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = signer.sign(signed.as_bytes()).map_err(|_| fault())?;
        Ok(Secret::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_said_without_repeating_it() {
        for (text, said) in [
            ("hunter2", "not JSON"),
            (r#"{"type":"authorized_user","refresh_token":"hunter2"}"#, "not the key of a service account"),
            (r#"{"type":"service_account","client_email":"hunter2"}"#, "is missing"),
            (r#"{"type":"service_account","client_email":{"x":"hunter2"},"private_key":"hunter2"}"#, "is missing"),
        ] {
            let Err(error) = ServiceAccountKey::read(text, "connection.key") else { panic!("{text}") };
            let all = format!("{error} {:?}", error.help());
            assert!(all.contains(said) && all.contains("connection.key") && !all.contains("hunter2"), "{text}: {all}");
        }
        let text = r#"{"type":"service_account","client_email":"a@b","private_key":"-----BEGIN hunter2"}"#;
        let error = ServiceAccountKey::read(text, "connection.key").unwrap().assertion(0).unwrap_err();
        assert!(error.to_string().contains("cannot be used") && !error.to_string().contains("hunter2"), "{error}");
    }
}
