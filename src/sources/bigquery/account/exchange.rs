//! Credentials against an access token, at a token endpoint (RFC 6749, section 5).

use std::time::Duration;

use serde::Deserialize;

use super::super::patience::Patience;
use crate::diagnostic::{Error, Result};
use crate::http::{self, Body, Call, CallError, Client, Settings, Transport};
use crate::manifest::connector::api::Method;
use crate::secret::{Connection, Redactor, Secret};

/// How long one exchange may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A token, and how long it is good for.
pub(super) struct Granted {
    pub token: Secret,
    pub lives: Duration,
}

impl Granted {
    /// Reads what a token endpoint answers; `None` when there is no token in it.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: Secret,
            /// Seconds; an hour, where it is not said.
            #[serde(default)]
            expires_in: Option<f64>,
        }
        let answer: Answer = serde_json::from_slice(body).ok()?;
        let seconds = answer.expires_in.unwrap_or(3600.0).clamp(0.0, 86_400.0);
        let there = !answer.access_token.expose().is_empty();
        there.then(|| Self { token: answer.access_token, lives: Duration::from_secs_f64(seconds) })
    }
}

/// Exchanges what is in the form for a token. `who` names the account in messages.
///
/// # Errors
/// As [`ask`], or the answer is no token.
pub(super) async fn token(
    url: &str,
    form: &[(&str, &str)],
    who: &str,
    connection: &Connection,
    redactor: &Redactor,
) -> Result<Granted> {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let bytes = body.finish().into();
    let body = Body::Bytes { content_type: "application/x-www-form-urlencoded".to_owned(), bytes };
    let answer = ask(Method::Post, url, Vec::new(), body, who, connection, redactor).await?;
    Granted::read(&answer)
        .ok_or_else(|| Error::failed(format!("{who}: what the token endpoint answered is no access token")))
}

/// Asks for something that leads to a token, and again where that may help; gives the body of the answer.
///
/// # Errors
/// The project does not allow the host, it cannot be reached, or it refuses.
pub(super) async fn ask(
    method: Method,
    url: &str,
    mut headers: Vec<(String, String)>,
    body: Body,
    who: &str,
    connection: &Connection,
    redactor: &Redactor,
) -> Result<Vec<u8>> {
    let read = http::guard::read(url).map_err(|error| refused_address(error, who))?;
    connection.permit(read.host_str().unwrap_or_default())?;
    let client = Client::new(Settings { max_body: 1 << 20, ..Settings::new([url]) })?;
    headers.push(("accept".to_owned(), "application/json".to_owned()));
    let call = Call { method, url: url.to_owned(), headers, body, timeout: TIMEOUT, confidential: true };
    let mut patience = Patience::default();
    loop {
        let wait = match client.call(call.clone()).await {
            Ok(reply) if reply.status == 200 => return Ok(reply.body),
            Ok(reply) if reply.status == 429 || reply.status >= 500 => match patience.next(Some(&reply)) {
                Some(wait) => wait,
                None => return Err(refused(&reply.body, reply.status, who, redactor)),
            },
            Ok(reply) => return Err(refused(&reply.body, reply.status, who, redactor)),
            Err(error @ CallError::Forbidden { .. }) => return Err(refused_address(error, who)),
            Err(error) => match patience.next(None) {
                Some(wait) => wait,
                None => {
                    let help = "check the network, and the addresses in the file of the credentials";
                    return Err(Error::failed_help(format!("{who}: no access token: {error}"), help));
                }
            },
        };
        tokio::time::sleep(wait).await;
    }
}

fn refused_address(error: CallError, who: &str) -> Error {
    match error {
        CallError::Forbidden { message, help } => Error::failed_help(format!("{who}: {message}"), help),
        other => Error::failed(format!("{who}: {other}")),
    }
}

/// What a refusal means.
fn refused(body: &[u8], status: u16, who: &str, redactor: &Redactor) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer {
        error: serde_json::Value,
        error_description: String,
    }
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    // OAuth's form, or that of Google's other interfaces: `{"error": {"message": …}}`.
    let error = answer.error.as_str().or_else(|| answer.error.get("message")?.as_str()).unwrap_or_default();
    let said = [error, answer.error_description.as_str()];
    let said = said.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    let said = if said.is_empty() { format!("status {status}") } else { redactor.redact(&said) };
    let said: String = said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect();
    let lower = said.to_lowercase();
    let has = |word: &str| lower.contains(word);
    let help = if has("short-lived token") || has("reasonable timeframe") {
        "the clock of this machine is wrong: let it keep time by NTP"
    } else if has("signature") || has("account not found") || has("invalid grant: account") {
        "the key was deleted or disabled: make a new one for the service account and put it where the connection takes it \
         from"
    } else if has("rapt") || has("expired or revoked") || has("reauth") {
        "the login has ended: run `gcloud auth application-default login` again"
    } else if has("invalid_client") || has("deleted_client") {
        "run `gcloud auth application-default login` again"
    } else if has("iam.serviceaccounts.getaccesstoken") || has("permission") {
        "whoever administers the service account grants `roles/iam.workloadIdentityUser` on it to the pool"
    } else if status == 429 || status >= 500 {
        "run again later"
    } else {
        "check the credentials of the connection, and that the account is not disabled"
    };
    Error::failed_help(format!("{who}: no access token: {said}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let cases = [
            (r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#, 400, "make a new one"),
            (
                r#"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}"#,
                400,
                "clock",
            ),
            (r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#, 400, "login"),
            (
                r#"{"error":"invalid_grant","error_subtype":"invalid_rapt","error_description":"reauth related error (invalid_rapt)"}"#,
                400,
                "login",
            ),
            (
                r#"{"error":{"code":403,"message":"Permission 'iam.serviceAccounts.getAccessToken' denied on resource"}}"#,
                403,
                "workloadIdentityUser",
            ),
            ("<html>", 503, "run again"),
            ("", 401, "check the credentials"),
        ];
        for (body, status, help) in cases {
            let error = refused(body.as_bytes(), status, "who", &Redactor::default());
            assert!(error.help().unwrap_or_default().contains(help), "{body}: {:?}", error.help());
        }
    }

    #[test]
    fn tokens_are_read() {
        let read =
            |text: &str| Granted::read(text.as_bytes()).map(|g| (g.token.expose().to_owned(), g.lives.as_secs()));
        assert_eq!(read(r#"{"access_token":"t","expires_in":3599}"#), Some(("t".to_owned(), 3599)));
        assert_eq!(read(r#"{"access_token":"t","expires_in":-1}"#), Some(("t".to_owned(), 0)));
        assert_eq!(read(r#"{"access_token":"t"}"#), Some(("t".to_owned(), 3600)));
        assert_eq!(read(r#"{"access_token":""}"#), None);
        assert_eq!(read(r#"{"id_token":"t"}"#), None);
        assert_eq!(read("t"), None);
    }
}
