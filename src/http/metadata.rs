//! Google's metadata service, which gives a machine of Google Cloud the access tokens of its service account
//! (<https://cloud.google.com/compute/docs/metadata/querying-metadata>).
//!
//! No other request may go there (`guard`): a manifest that leads to it would hand a token to whoever is behind it. So
//! this is the one way, for those who ask for it by name, to one address, for one thing.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use super::guard::{self, Reach};
use super::{CallError, Reply, failure};
use crate::secret::variable;

/// The name of the service, as a policy of allowed hosts knows it.
pub const METADATA_HOST: &str = "metadata.google.internal";

/// Its address, which needs no name service.
const ADDRESS: &str = "169.254.169.254";

/// Who asks says that it means to, and who answers that it is the service.
const FLAVOUR: (&str, &str) = ("metadata-flavor", "Google");

/// It answers at once or is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer.
const MOST: usize = 64 << 10;

/// Asks the service for what is at `path`, which begins with `/computeMetadata/v1/`. `GCE_METADATA_HOST`, which Google's
/// own libraries know, names a stand-in on this machine or in a private network.
///
/// # Errors
/// It is not there, or what answers is not it.
pub async fn metadata(path: &str) -> Result<Reply, CallError> {
    let place = variable("GCE_METADATA_HOST").filter(|host| !host.is_empty());
    let place = place.unwrap_or_else(|| ADDRESS.to_owned());
    let url = Url::parse(&format!("http://{place}{path}")).ok().filter(stays_near);
    let Some(url) = url else {
        return Err(CallError::Forbidden {
            message: format!("`{place}` is no place of a metadata service"),
            help: "`GCE_METADATA_HOST` is the address of this machine or of one in a private network".into(),
        });
    };
    let client = reqwest::Client::builder()
        .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE)
        .tls_backend_preconfigured(crate::tls::checked(None).map_err(|e| CallError::Unreachable(e.to_string()))?)
        .build()
        .map_err(|e| CallError::Unreachable(format!("HTTP cannot be used: {}", e.without_url())))?;
    let sort = |error: reqwest::Error| failure::sort(&error, &place, PATIENCE);
    let mut response = client.get(url).header(FLAVOUR.0, FLAVOUR.1).send().await.map_err(sort)?;
    if response.headers().get(FLAVOUR.0).is_none_or(|value| value != FLAVOUR.1) {
        return Err(CallError::Lost(format!("what answers at `{place}` is not Google's metadata service")));
    }
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(sort)? {
        if body.len() + chunk.len() > MOST {
            return Err(CallError::Lost(format!("the answer of `{place}` is larger than any should be")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, headers: Vec::new(), body })
}

/// Only literal addresses that are this machine, private or the service's own: a name could lead anywhere.
fn stays_near(url: &Url) -> bool {
    let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok());
    let own = url.host_str() == Some(ADDRESS);
    own || address.is_some_and(|address| guard::reach(address) == Reach::Private)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_near() {
        for (url, near) in [
            ("http://169.254.169.254/x", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://10.0.0.1/x", true),
            ("http://[::1]:8080/x", true),
            ("http://8.8.8.8/x", false),
            ("http://169.254.1.1/x", false),
            ("http://metadata.google.internal/x", false),
            ("http://127.0.0.1@evil.example.com/x", false),
        ] {
            assert_eq!(stays_near(&Url::parse(url).unwrap()), near, "{url}");
        }
    }
}
