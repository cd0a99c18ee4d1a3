//! Application default credentials: where Google's tools leave them and what may be in the file
//! (<https://cloud.google.com/docs/authentication/application-default-credentials>).

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::key::{ServiceAccountKey, token_uri};
use crate::diagnostic::{Error, Result};
use crate::secret::{Secret, variable};

/// Most bytes of the file.
const MOST: u64 = 1 << 20;

/// What a file holds.
pub(super) enum Found {
    /// The key of a service account.
    Key(ServiceAccountKey),
    /// A person's login with `gcloud`.
    User(UserLogin),
}

/// The file `gcloud auth application-default login` makes.
#[derive(Deserialize)]
pub(super) struct UserLogin {
    pub client_id: String,
    pub client_secret: Secret,
    pub refresh_token: Secret,
    /// The project whose quota is used.
    pub quota_project_id: Option<String>,
    #[serde(default = "token_uri")]
    pub token_uri: String,
}

/// The file that counts: the one `GOOGLE_APPLICATION_CREDENTIALS` names, else gcloud's own; `None` where there is none.
pub(super) fn file() -> Option<PathBuf> {
    let there = |path: &PathBuf| path.is_file();
    if let Some(named) = variable("GOOGLE_APPLICATION_CREDENTIALS").filter(|path| !path.is_empty()) {
        return Some(named.into());
    }
    let folder = variable("CLOUDSDK_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from).or_else(|| {
        // On Windows gcloud has a place of its own.
        let home = || variable("HOME").map(|home| Path::new(&home).join(".config").join("gcloud"));
        variable("APPDATA").map(|data| Path::new(&data).join("gcloud")).filter(|path| path.is_dir()).or_else(home)
    })?;
    Some(folder.join("application_default_credentials.json")).filter(there)
}

/// Reads the file.
///
/// # Errors
/// There is none, or it holds what is not taken here; nothing of it is repeated.
pub(super) fn read() -> Result<Found> {
    let Some(path) = file() else {
        return Err(Error::failed_help(
            "there are no application default credentials",
            "run `gcloud auth application-default login`, name a key file in GOOGLE_APPLICATION_CREDENTIALS, or give \
             `key` or `token` in the connection",
        ));
    };
    let place = format!("application default credentials `{}`", path.display());
    let help = "name a readable file in GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`";
    let fault = |what: &str| Error::failed_help(format!("{place}: {what}"), help);
    let size = std::fs::metadata(&path).map_err(|e| fault(&format!("cannot be read: {e}")))?.len();
    if size > MOST {
        return Err(fault("this is too large to be credentials"));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| fault(&format!("cannot be read: {e}")))?;
    let whole: serde_json::Value = serde_json::from_str(&text).map_err(|_| fault("this is not JSON"))?;
    match whole.get("type").and_then(|kind| kind.as_str()) {
        Some("service_account") => ServiceAccountKey::read(&text, &place).map(Found::Key),
        Some("authorized_user") => serde_json::from_value(whole)
            .map(Found::User)
            .map_err(|_| fault("`client_id`, `client_secret` or `refresh_token` is missing")),
        Some(kind @ ("external_account" | "external_account_authorized_user" | "impersonated_service_account")) => {
            Err(Error::failed_help(
                format!("{place}: credentials of type `{kind}` are not read here"),
                "get an access token with them and give it as `token`: `gcloud auth print-access-token`, or the output \
                 `access_token` of the GitHub action `google-github-actions/auth` with `token_format: access_token`",
            ))
        }
        _ => Err(fault("this holds no credentials that are known here")),
    }
}
