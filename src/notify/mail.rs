//! A message by e-mail, through a server that takes mail (SMTP).

use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::About;
use crate::manifest::sync::Email;

/// Hosts that are this machine: what goes there is not seen by others.
const HERE: &[&str] = &["localhost", "127.0.0.1", "[::1]"];

/// Sends a message to all addresses of an entry, once, within `patience`.
///
/// # Errors
/// Why it was not taken. It may hold what the server said, and nothing of the address that is a credential.
pub(super) async fn send(email: &Email, about: &About<'_>, patience: Duration) -> Result<(), String> {
    let text = about.text();
    let subject = text.lines().next().unwrap_or_default();
    let mut message =
        Message::builder().from(mailbox(&email.from, "from")?).subject(subject).header(ContentType::TEXT_PLAIN);
    if email.to.0.is_empty() {
        return Err("`to` names nobody".into());
    }
    for to in &email.to.0 {
        message = message.to(mailbox(to, "to")?);
    }
    let message = message.body(text).map_err(|error| error.to_string())?;
    let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&encrypted(email.smtp.expose())?)
        .map_err(|_| {
            "`smtp` is no address of a mail server, like smtp://user:password@mail.example.com:587".to_owned()
        })?
        .timeout(Some(patience))
        .build();
    let sent = tokio::time::timeout(patience, transport.send(message)).await;
    match sent {
        Err(_) => Err(format!("the mail server did not take it within {} s", patience.as_secs().max(1))),
        Ok(Err(error)) => Err(format!("the mail server did not take it: {}", cause(&error))),
        Ok(Ok(_)) => Ok(()),
    }
}

fn mailbox(address: &str, key: &str) -> Result<Mailbox, String> {
    address.parse().map_err(|_| format!("`{key}` holds what is no e-mail address"))
}

/// The innermost reason: the outer ones only say where it happened.
fn cause(error: &lettre::transport::smtp::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// The address with TLS demanded: a password never leaves this machine in clear text, and neither does a message.
fn encrypted(url: &str) -> Result<String, String> {
    let Some(rest) = url.strip_prefix("smtp://") else { return Ok(url.to_owned()) };
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let here = HERE.iter().any(|here| host == *here || host.starts_with(&format!("{here}:")));
    match query.split('&').find_map(|pair| pair.strip_prefix("tls=")) {
        Some("required") => Ok(url.to_owned()),
        Some(_) if here => Ok(url.to_owned()),
        Some(_) => Err("mail goes without TLS only to this machine: use `tls=required`".into()),
        None if here => Ok(url.to_owned()),
        None if query.is_empty() => Ok(format!("smtp://{}?tls=required", rest.trim_end_matches('?'))),
        None => Ok(format!("{url}&tls=required")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_leaves_this_machine_encrypted_only() {
        for (url, expected) in [
            ("smtps://u:p@mail.example.com", Some("smtps://u:p@mail.example.com")),
            ("smtp://u:p@mail.example.com:587", Some("smtp://u:p@mail.example.com:587?tls=required")),
            ("smtp://u:p@mail.example.com:587?tls=required", Some("smtp://u:p@mail.example.com:587?tls=required")),
            ("smtp://u:p@mail.example.com?tls=opportunistic", None),
            ("smtp://u:p@mail.example.com?tls=none", None),
            ("smtp://127.0.0.1:2525", Some("smtp://127.0.0.1:2525")),
            ("smtp://u:p@localhost", Some("smtp://u:p@localhost")),
            ("smtp://127.0.0.1@mail.example.com", Some("smtp://127.0.0.1@mail.example.com?tls=required")),
            ("smtp://127.0.0.1.example.com", Some("smtp://127.0.0.1.example.com?tls=required")),
        ] {
            assert_eq!(encrypted(url).ok().as_deref(), expected, "{url}");
        }
    }
}
