//! Credentials: held in a type that cannot be printed, serialised or compared by accident.

use std::fmt;

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
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    /// A redactor for these secrets. Texts shorter than 4 characters are ignored: replacing them would only garble.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let mut secrets: Vec<Secret> = secrets.into_iter().filter(|s| s.0.len() >= 4).collect();
        // Longest first, so that a secret that contains another one is replaced whole.
        secrets.sort_by_key(|s| std::cmp::Reverse(s.0.len()));
        Self { secrets }
    }

    /// The text with every secret replaced by `[secret]`.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(&secret.0, "[secret]"))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
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
}

impl Connection {
    /// A connection of rendered values, and every secret that was put into them.
    pub fn new(values: serde_json::Map<String, serde_json::Value>, secrets: Vec<Secret>) -> Self {
        Self { values, secrets }
    }

    /// The typed form. The error names the key, never the value.
    pub fn typed<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        let value = serde_json::Value::Object(self.values.clone());
        serde_path_to_error::deserialize(value).map_err(|e| self.redactor().redact(&format!("connection.{e}")))
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
