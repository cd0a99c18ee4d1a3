//! Who asks: credentials become access tokens, which are kept until shortly before their end.

mod exchange;
mod found;
mod key;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::diagnostic::{Error, Result};
use crate::http::{self, METADATA_HOST};
use crate::manifest::connection::{BigqueryAuthenticator as How, BigqueryConnection};
use crate::secret::{Connection, Redactor, Secret};
use exchange::Granted;
use found::{Found, UserLogin};
use key::ServiceAccountKey;

/// How long before its end a token is no longer used: a request under way must arrive with it.
const MARGIN: Duration = Duration::from_secs(240);

/// The account of a connection.
pub(super) struct Account {
    credentials: Credentials,
    /// Where tokens may come from.
    connection: Connection,
    redactor: Redactor,
    kept: Mutex<Option<Kept>>,
}

enum Credentials {
    None,
    Token(Secret),
    Key(ServiceAccountKey),
    /// Looked up with the first request.
    Default,
    Metadata,
}

/// What a request carries.
#[derive(Clone)]
pub(super) struct Pass {
    /// The access token.
    pub token: Secret,
    /// The project whose quota the request counts against, where it is not the one that is asked.
    pub quota_project: Option<String>,
}

struct Kept {
    pass: Pass,
    until: Instant,
}

impl Account {
    /// The account a connection names. `local` says that the endpoint is on this machine.
    ///
    /// # Errors
    /// What the way to log in needs is missing, there are several, or it would not be safe.
    pub(super) fn new(
        given: &BigqueryConnection,
        local: bool,
        connection: &Connection,
        redactor: &Redactor,
    ) -> Result<Self> {
        let credentials = match way(given, local)? {
            How::None if !local => {
                let help = "give `key` or `token`; only an endpoint on this machine needs no credentials";
                return Err(Error::failed_help("`authenticator: none` is for emulators on this machine", help));
            }
            How::None => Credentials::None,
            How::Token => {
                let token = given.token.clone().ok_or_else(|| missing("token"))?;
                redactor.add(token.clone());
                Credentials::Token(token)
            }
            How::Key => {
                let text = given.key.as_ref().ok_or_else(|| missing("key"))?;
                let key = ServiceAccountKey::read(text.expose(), "connection.key")?;
                redactor.add(key.secret());
                Credentials::Key(key)
            }
            How::ApplicationDefault => Credentials::Default,
            How::Metadata => Credentials::Metadata,
        };
        Ok(Self { credentials, connection: connection.clone(), redactor: redactor.clone(), kept: Mutex::new(None) })
    }

    /// Who it is, in words.
    pub(super) fn shown(&self) -> String {
        match &self.credentials {
            Credentials::None => "it is asked without credentials".to_owned(),
            Credentials::Token(_) => "it is asked with the access token of the connection".to_owned(),
            Credentials::Key(key) => format!("it is asked as the service account `{}`", key.client_email),
            Credentials::Metadata => "it is asked as the service account of this machine".to_owned(),
            Credentials::Default => match found::file() {
                Some(path) => format!("it is asked with the credentials in `{}`", path.display()),
                None => "it is asked with application default credentials, of which there are none".to_owned(),
            },
        }
    }

    /// Whether a refused token can be replaced by another.
    pub(super) fn renews(&self) -> bool {
        !matches!(self.credentials, Credentials::None | Credentials::Token(_))
    }

    /// Forgets the token at hand: it was refused.
    pub(super) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What a request is to carry; `None` where nothing is needed.
    ///
    /// # Errors
    /// No token is granted, or it would have to come from a host the project does not allow.
    pub(super) async fn pass(&self) -> Result<Option<Pass>> {
        if let Some(kept) = &*self.kept.lock().unwrap_or_else(PoisonError::into_inner)
            && Instant::now() < kept.until
        {
            return Ok(Some(kept.pass.clone()));
        }
        let (granted, quota_project) = match &self.credentials {
            Credentials::None => return Ok(None),
            Credentials::Token(token) => return Ok(Some(Pass { token: token.clone(), quota_project: None })),
            Credentials::Key(key) => (self.by_key(key).await?, None),
            Credentials::Default => match found::read()? {
                Found::Key(key) => {
                    self.redactor.add(key.secret());
                    (self.by_key(&key).await?, None)
                }
                Found::User(login) => (self.by_login(&login).await?, login.quota_project_id),
            },
            Credentials::Metadata => (self.by_machine().await?, None),
        };
        self.redactor.add(granted.token.clone());
        let pass = Pass { token: granted.token, quota_project };
        let until = Instant::now() + granted.lives.saturating_sub(MARGIN);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept { pass: pass.clone(), until });
        Ok(Some(pass))
    }

    async fn by_key(&self, key: &ServiceAccountKey) -> Result<Granted> {
        let assertion = key.assertion(jiff::Timestamp::now().as_second())?;
        self.redactor.add(assertion.clone());
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.expose())];
        let who = format!("service account `{}`", key.client_email);
        exchange::token(&key.token_uri, &form, &who, &self.connection, &self.redactor).await
    }

    async fn by_login(&self, login: &UserLogin) -> Result<Granted> {
        self.redactor.add(login.client_secret.clone());
        self.redactor.add(login.refresh_token.clone());
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", login.client_id.as_str()),
            ("client_secret", login.client_secret.expose()),
            ("refresh_token", login.refresh_token.expose()),
        ];
        exchange::token(&login.token_uri, &form, "the login of gcloud", &self.connection, &self.redactor).await
    }

    async fn by_machine(&self) -> Result<Granted> {
        self.connection.permit(METADATA_HOST)?;
        let path = format!("/computeMetadata/v1/instance/service-accounts/default/token?scopes={}", key::SCOPE);
        let help = "`authenticator: metadata` is for machines of Google Cloud that have a service account";
        let fault = |what: String| Error::failed_help(format!("the machine's service account: {what}"), help);
        let reply = http::metadata(&path).await.map_err(|e| fault(e.to_string()))?;
        if reply.status != 200 {
            return Err(fault(format!("the metadata service answered with status {}", reply.status)));
        }
        Granted::read(&reply.body).ok_or_else(|| fault("what the metadata service gave is no access token".to_owned()))
    }
}

fn missing(key: &str) -> Error {
    let help = format!("add `{key}` to the connection, or choose another `authenticator`");
    Error::failed_help(format!("connection.{key} is missing"), help)
}

/// The way to log in: the one named, or the one there is everything for.
fn way(given: &BigqueryConnection, local: bool) -> Result<How> {
    match (given.authenticator, &given.key, &given.token) {
        (Some(how), _, _) => Ok(how),
        (None, Some(_), Some(_)) => Err(Error::failed_help(
            "the connection gives several ways to log in",
            "keep one of `key` and `token`, or say which counts in `authenticator`",
        )),
        (None, Some(_), None) => Ok(How::Key),
        (None, None, Some(_)) => Ok(How::Token),
        (None, None, None) if local => Ok(How::None),
        (None, None, None) => Ok(How::ApplicationDefault),
    }
}
