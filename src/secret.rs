//! Credentials: held in a type that cannot be printed, serialised or compared by accident.

mod address;
mod names;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

pub use address::{blanked, written, written_in_path};
pub use names::{may_name_credential, names_credential};

/// A credential resolved from the environment or a file.
///
/// It has no `Display` and no `Serialize`; `Debug` prints `[secret]`. The text leaves it only through
/// [`Secret::expose`], which is called where a connection is opened and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The credential itself: to open a connection, never to show.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Removes every known secret from texts on their way out (driver messages can quote a connection string).
///
/// Found are a secret itself and the spellings it travels in: percent-encoded, as in a query or a form, within a JSON
/// text, and within Base64 together with other things, as in Basic authentication. Clones share one list, so that what
/// is learned later ([`Redactor::add`]) is known to all of them.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Known>>,
}

#[derive(Default)]
struct Known {
    secrets: Vec<Secret>,
    search: Option<AhoCorasick>,
}

impl Known {
    fn new(mut secrets: Vec<Secret>) -> Self {
        secrets.retain(|secret| secret.0.len() >= 4);
        let mut spellings: Vec<String> = secrets.iter().flat_map(|secret| spellings(&secret.0)).collect();
        spellings.sort();
        spellings.dedup();
        // The longest at the leftmost place, so that a secret that contains another one is replaced whole.
        let search = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&spellings).ok();
        Self { secrets, search: search.filter(|_| !spellings.is_empty()) }
    }
}

impl Redactor {
    /// A redactor for these secrets. Texts shorter than 4 characters are ignored: replacing them would only garble.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self { known: Arc::new(RwLock::new(Known::new(secrets.into_iter().collect()))) }
    }

    /// A redactor of its own that knows the same secrets and more.
    pub fn with(&self, more: impl IntoIterator<Item = Secret>) -> Self {
        Self::new(self.secrets().into_iter().chain(more))
    }

    /// Makes a secret known from now on, here and in all clones: an access token that was fetched.
    pub fn add(&self, secret: Secret) {
        let mut secrets = self.secrets();
        if !secrets.contains(&secret) {
            secrets.push(secret);
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::new(secrets);
        }
    }

    fn secrets(&self) -> Vec<Secret> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).secrets.clone()
    }

    /// The text with every secret replaced by `[secret]`.
    pub fn redact(&self, text: &str) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some(search) = &known.search else { return text.to_owned() };
        let mut clean = String::with_capacity(text.len());
        search.replace_all_with(text, &mut clean, |_, _, clean| {
            clean.push_str("[secret]");
            true
        });
        clean
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets().len())
    }
}

/// The ways a secret is written.
fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned()];
    for (space, lower) in [("%20", false), ("+", false), ("%20", true), ("+", true)] {
        for kept in ["-._~", "-._*", "-._~!$&'()*+,;=:@", "-._~!$&'()*,;:@/"] {
            all.push(percent(secret, kept, space, lower));
        }
    }
    if let Ok(json) = serde_json::to_string(secret) {
        // Between the quotes; some writers escape the slash, too.
        let inner = json.get(1..json.len() - 1).unwrap_or_default();
        all.extend([inner.to_owned(), inner.replace('/', "\\/")]);
    }
    for engine in [&BASE64_STANDARD, &BASE64_URL_SAFE] {
        // What stands before it shifts it by 0, 1 or 2 bytes; only the characters that are the secret's alone are sought.
        for shift in 0..3 {
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(secret.as_bytes());
            let (from, to) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
            let encoded = engine.encode(&bytes);
            // Shorter ones are found by chance in everything.
            all.extend(encoded.get(from..to).filter(|part| part.len() >= 6).map(str::to_owned));
        }
    }
    all.retain(|spelling| spelling.len() >= 4);
    all
}

fn percent(text: &str, kept: &str, space: &str, lower: bool) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b' ' => all.push_str(space),
            _ if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) => all.push(char::from(byte)),
            _ if lower => all.push_str(&format!("%{byte:02x}")),
            _ => all.push_str(&format!("%{byte:02X}")),
        }
        all
    })
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "\\{\\{.*\\}\\}",
            "description": "A credential: never written here, always taken from outside, `{{ env.NAME }}` or `{{ file('path') }}`."
        })
    }
}

/// A rendered `connection` block. It may hold credentials in any value, so it cannot be printed or serialised whole;
/// each source and destination takes its own typed form of it.
#[derive(Clone, Default)]
pub struct Connection {
    values: serde_json::Map<String, serde_json::Value>,
    secrets: Vec<Secret>,
    /// Hosts it may lead to; `None`: anywhere.
    hosts: Option<Arc<[String]>>,
}

impl Connection {
    /// A connection of rendered values, and every secret that was put into them.
    pub fn new(values: serde_json::Map<String, serde_json::Value>, secrets: Vec<Secret>) -> Self {
        Self { values, secrets, hosts: None }
    }

    /// The same, held to hosts: names, or `*.example.com` for all below a name. `None`: anywhere.
    pub fn only_to(self, hosts: Option<&[String]>) -> Self {
        Self { hosts: hosts.map(Into::into), ..self }
    }

    /// Whether it may lead to a host. Whoever opens it asks before anything leaves this machine.
    ///
    /// # Errors
    /// The host is none of those of the project's policy.
    pub fn permit(&self, host: &str) -> crate::diagnostic::Result<()> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
        let fits = |allowed: &String| match allowed.to_lowercase().strip_prefix("*.") {
            Some(below) => host.strip_suffix(below).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => allowed.eq_ignore_ascii_case(&host),
        };
        if hosts.iter().any(fits) {
            return Ok(());
        }
        Err(crate::diagnostic::Error::failed_help(
            format!("the connection leads to `{host}`, which the project does not allow"),
            "whoever may decide it adds the host to `policy.allowed_hosts` in `syncline.yaml`",
        ))
    }

    /// The typed form.
    ///
    /// # Errors
    /// A key that is missing, unknown or of the wrong type: it is named, its value never.
    pub fn typed<T: serde::de::DeserializeOwned>(&self) -> crate::diagnostic::Result<T> {
        let value = serde_json::Value::Object(self.values.clone());
        serde_path_to_error::deserialize(value).map_err(|e| {
            let message = self.redactor().redact(&format!("connection.{e}"));
            crate::diagnostic::Error::failed_help(message, "correct the `connection` block of the manifest")
        })
    }

    /// Removes this connection's secrets from driver messages.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets.iter().cloned())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} keys)", self.values.len())
    }
}

/// A variable of the environment; `None` when it is not set or not text. All reading of the environment goes through
/// here and through templates.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_leads_where_the_policy_lets_it() {
        let hosts = ["api.example.com".to_owned(), "*.mktorest.com".to_owned(), "::1".to_owned()];
        let held = Connection::default().only_to(Some(&hosts));
        for (host, allowed) in [
            ("api.example.com", true),
            ("API.example.com.", true),
            ("a.api.example.com", false),
            ("api.example.com.evil.net", false),
            ("123.mktorest.com", true),
            ("a.b.mktorest.com", true),
            ("mktorest.com", false),
            (".mktorest.com", false),
            ("evilmktorest.com", false),
            ("[::1]", true),
            ("", false),
        ] {
            assert_eq!(held.permit(host).is_ok(), allowed, "{host}");
            assert!(Connection::default().permit(host).is_ok());
        }
    }

    #[test]
    fn secrets_are_found_in_every_spelling() {
        let secret = "p\u{e4}ss w/\"rd+1&2=3";
        let redactor = Redactor::new([Secret::new(secret)]);
        let basic = |user: &str| BASE64_STANDARD.encode(format!("{user}:{secret}"));
        for text in [
            format!("password={secret}"),
            format!("?q={}", percent(secret, "-._~", "%20", false)),
            format!("?q={}", percent(secret, "-._~", "%20", true)),
            format!("?q={}", percent(secret, "-._*", "+", false)),
            serde_json::json!({ "key": secret }).to_string(),
            basic(""),
            basic("u"),
            basic("us"),
            basic("use"),
            BASE64_URL_SAFE.encode(secret),
        ] {
            let clean = redactor.redact(&text);
            assert!(clean.contains("[secret]"), "{text} stays {clean}");
            assert!(!clean.contains("w/") && !clean.contains("rd+1"), "{clean}");
        }
        assert_eq!(redactor.redact("nothing of the kind"), "nothing of the kind");
    }

    #[test]
    fn a_secret_within_another_one_or_within_the_word_does_not_garble() {
        let redactor = Redactor::new(["secret", "secret-longer", "abc"].map(Secret::new));
        assert_eq!(redactor.redact("a secret-longer secret abc"), "a [secret] [secret] abc");
    }

    #[test]
    fn what_is_learned_later_is_known_to_clones() {
        let redactor = Redactor::default();
        let clone = redactor.clone();
        assert_eq!(clone.redact("Bearer tok-12345"), "Bearer tok-12345");
        redactor.add(Secret::new("tok-12345"));
        assert_eq!(clone.redact("Bearer tok-12345"), "Bearer [secret]");
    }
}
