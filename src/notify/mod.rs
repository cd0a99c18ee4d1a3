//! Messages about runs: when somebody is told, what the message says, and how it gets there.
//!
//! A message holds counts, names and one masked error; never a row, a key or a credential.

mod mail;
mod signature;

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{Body, Call, Client, Settings, Transport};
use crate::manifest::connector::api::Method;
use crate::manifest::sync::{Notify, NotifyOn};
use crate::secret::Secret;
use crate::state::runs::{Status, SyncRun};
pub use signature::sign;

/// How long one message may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The most characters of an error in a message.
const ERROR: usize = 500;

/// What is told when a sync ended otherwise than it was last told of: nothing where nothing changed, and nothing where it
/// goes well from the start.
pub fn change(before: Option<Status>, now: Status) -> Option<NotifyOn> {
    match now {
        _ if before == Some(now) => None,
        Status::Succeeded => before.map(|_| NotifyOn::Recovered),
        Status::Partial => Some(NotifyOn::Partial),
        Status::Failed => Some(NotifyOn::Failed),
        Status::Refused => Some(NotifyOn::Refused),
        Status::Running => None,
    }
}

/// The host a message goes to; `None` where the address has none, which is found when it is sent.
pub fn host(entry: &Notify) -> Option<String> {
    let address = match (&entry.webhook, &entry.slack, &entry.email) {
        (Some(webhook), ..) => webhook,
        (None, Some(slack), _) => slack.expose(),
        (None, None, email) => email.as_ref()?.smtp.expose(),
    };
    reqwest::Url::parse(address).ok()?.host_str().map(str::to_owned)
}

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// What has changed.
    pub event: NotifyOn,
    /// How the sync ended before, where that was told or known.
    pub before: Option<Status>,
    /// Name of the environment; empty when the project has none.
    pub environment: &'a str,
    /// The run.
    pub run_id: &'a str,
    /// When it ended, RFC 3339.
    pub finished_at: &'a str,
    /// What it did in the sync.
    pub sync: &'a SyncRun,
    /// Why it did not go well, free of personal data and secrets.
    pub error: Option<&'a str>,
}

impl About<'_> {
    fn error(&self) -> Option<String> {
        let error = self.error?;
        let cut = error.char_indices().nth(ERROR).map(|(at, _)| at);
        Some(cut.and_then(|at| error.get(..at)).map_or_else(|| error.to_owned(), |start| format!("{start}…")))
    }

    /// The message to a webhook.
    pub fn json(&self) -> Value {
        let sync = self.sync;
        let mut message = json!({
            "format_version": "1.0",
            "event": self.event.word(),
            "sync": sync.sync,
            "environment": self.environment,
            "run_id": self.run_id,
            "finished_at": self.finished_at,
            "status": sync.status,
            "previous_status": self.before,
            "planned": sync.planned,
            "succeeded": sync.succeeded,
            "rejected": sync.rejected,
            "no_match": sync.no_match,
            "unverified": sync.unverified,
            "in_doubt": sync.in_doubt,
            "pending": sync.pending,
        });
        if let (Some(error), Value::Object(keys)) = (self.error(), &mut message) {
            keys.insert("error".into(), error.into());
        }
        message
    }

    /// The message to people.
    pub fn text(&self) -> String {
        let sync = self.sync;
        let place = if self.environment.is_empty() { String::new() } else { format!(" in {}", self.environment) };
        let mut text = format!("syncline: {}{place}: {}", sync.sync, self.event.word());
        let counts = [
            (sync.succeeded.total(), "succeeded"),
            (sync.rejected, "rejected"),
            (sync.no_match, "no match"),
            (sync.unverified, "unverified"),
            (sync.in_doubt, "in doubt"),
            (sync.pending, "not sent"),
        ];
        let counts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        if !counts.is_empty() {
            text.push_str(&format!(" ({})", counts.join(", ")));
        }
        if let Some(error) = self.error() {
            text.push_str(&format!("\n{error}"));
        }
        text.push_str(&format!("\nrun {}", self.run_id));
        text
    }
}

/// Someone to be told, with credentials filled in.
pub struct Receiver<'a> {
    /// The entry, rendered.
    pub entry: &'a Notify,
    /// Seconds since 1970, for the signature.
    pub now: i64,
}

impl Receiver<'_> {
    /// Sends a message, once, within `patience`.
    ///
    /// # Errors
    /// Why it did not arrive. It may name host and port, and nothing else of the address.
    pub async fn tell(&self, about: &About<'_>, patience: Duration) -> Result<(), String> {
        if let Some(email) = &self.entry.email {
            return mail::send(email, about, patience).await;
        }
        let (address, message) = match (&self.entry.webhook, &self.entry.slack) {
            (Some(address), _) => (address.as_str(), about.json()),
            (None, Some(address)) => (address.expose(), json!({ "text": escape(&about.text()) })),
            (None, None) => return Err("nobody is named".into()),
        };
        let body = message.to_string();
        let mut headers = vec![("Syncline-Event".to_owned(), about.event.word().to_owned())];
        if let Some(secret) = self.entry.secret.as_ref() {
            headers.push(("Syncline-Signature".into(), self.signature(secret, &body)?));
        }
        let settings = Settings {
            connect_timeout: patience.min(Duration::from_secs(5)),
            max_body: 64 << 10,
            ..Settings::new([address])
        };
        let client = Client::new(settings).map_err(|error| error.to_string())?;
        let body = Body::Bytes { content_type: "application/json".into(), bytes: body.into() };
        let call = Call {
            method: Method::Post,
            url: address.to_owned(),
            headers,
            body,
            timeout: patience,
            confidential: false,
        };
        let reply = client.call(call).await.map_err(|error| error.to_string())?;
        if (200..300).contains(&reply.status) { Ok(()) } else { Err(format!("the answer was {}", reply.status)) }
    }

    fn signature(&self, secret: &Secret, body: &str) -> Result<String, String> {
        if secret.expose().is_empty() {
            return Err("the `secret` is empty, and an unsigned message is not sent".into());
        }
        Ok(sign(secret.expose(), self.now, body))
    }
}

/// Slack's three special characters; what is left cannot become a link or a mention.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_told_once_per_change() {
        use NotifyOn::{Failed as Fails, Partial as Partly, Recovered, Refused as Refuses};
        use Status::{Failed, Partial, Refused, Running, Succeeded};
        for (before, now, told) in [
            (None, Succeeded, None),
            (None, Failed, Some(Fails)),
            (Some(Succeeded), Succeeded, None),
            (Some(Succeeded), Failed, Some(Fails)),
            (Some(Failed), Failed, None),
            (Some(Failed), Partial, Some(Partly)),
            (Some(Partial), Refused, Some(Refuses)),
            (Some(Refused), Refused, None),
            (Some(Refused), Succeeded, Some(Recovered)),
            (Some(Partial), Succeeded, Some(Recovered)),
            (Some(Failed), Running, None),
        ] {
            assert_eq!(change(before, now), told, "{before:?} to {now:?}");
        }
    }

    #[test]
    fn long_errors_are_cut_and_slack_sees_no_mention() {
        let sync = SyncRun { sync: "people".into(), status: Status::Failed, pending: 3, ..SyncRun::default() };
        let error = format!("<!channel> & {}", "ü".repeat(600));
        let about = About {
            event: NotifyOn::Failed,
            before: None,
            environment: "prod",
            run_id: "r1",
            finished_at: "2026-11-27T00:00:00Z",
            sync: &sync,
            error: Some(&error),
        };
        let text = escape(&about.text());
        assert!(text.starts_with("syncline: people in prod: failed (3 not sent)\n&lt;!channel&gt; &amp; ü"), "{text}");
        assert!(text.contains("ü…\nrun r1") && text.matches('ü').count() == ERROR - 13, "{text}");
    }
}
