//! The client: what sends requests for one account.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Url, multipart};

use super::failure::{self, seconds};
use super::guard::{self, Guarded, System};
use super::{Body, Call, CallError, Part, Reply, Transport};
use crate::diagnostic::{Error, Result};
use crate::manifest::connector::api::Method;
use crate::tls;

/// What a client is for and how far it goes.
#[derive(Clone)]
pub struct Settings {
    /// Addresses of the account, at least `base_url`: requests go to their scheme, host and port and nowhere else, so
    /// that credentials stay there. The path does not matter.
    pub origins: Vec<String>,
    /// A PEM file of authorities trusted beside the system's own.
    pub ca_file: Option<PathBuf>,
    /// Most bytes of an answer, after decompression; 32 MiB unless said otherwise.
    pub max_body: usize,
    /// How long to wait for a connection; 10 s unless said otherwise. Within the timeout of a call.
    pub connect_timeout: Duration,
    /// True when requests with TLS go through the proxy the environment names (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    pub proxy: bool,
    /// What resolves names; the system unless said otherwise. Its answers are guarded all the same.
    pub resolver: Arc<dyn reqwest::dns::Resolve>,
}

impl Settings {
    /// The usual settings for an account at these addresses.
    pub fn new(origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            origins: origins.into_iter().map(Into::into).collect(),
            ca_file: None,
            max_body: 32 << 20,
            connect_timeout: Duration::from_secs(10),
            proxy: true,
            resolver: Arc::new(System),
        }
    }
}

/// Sends the requests of one account over connections that are kept and shared. Clones share them too.
///
/// Redirects are not followed: a 3xx is an answer. A proxy is only used with TLS: it resolves names itself, where the
/// guard cannot look, but then the server must show a certificate for the name, which no metadata service has.
#[derive(Clone)]
pub struct Client {
    encrypted: Option<reqwest::Client>,
    clear: Option<reqwest::Client>,
    origins: Arc<BTreeSet<String>>,
    hosts: Arc<BTreeSet<String>>,
    max_body: usize,
    connect_timeout: Duration,
}

impl Client {
    /// A client for the account.
    ///
    /// # Errors
    /// When an address is one no request may go to, or `ca_file` cannot be used.
    pub fn new(settings: Settings) -> Result<Self> {
        let (mut origins, mut hosts) = (BTreeSet::new(), BTreeSet::new());
        let mut schemes = BTreeSet::new();
        for address in &settings.origins {
            let url = guard::read(address).map_err(|error| match error {
                CallError::Forbidden { message, help } => Error::failed_help(message, help),
                other => Error::failed(other.to_string()),
            })?;
            schemes.insert(url.scheme() == "https");
            origins.insert(url.origin().ascii_serialization());
            hosts.extend(url.host_str().map(str::to_owned));
        }
        let of = |encrypted: bool| schemes.contains(&encrypted).then(|| pool(&settings, encrypted)).transpose();
        Ok(Self {
            encrypted: of(true)?,
            clear: of(false)?,
            origins: Arc::new(origins),
            hosts: Arc::new(hosts),
            max_body: settings.max_body,
            connect_timeout: settings.connect_timeout,
        })
    }

    /// The hosts it may speak to.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(String::as_str)
    }

    /// Reads an address and says whether a request of this account, with its credentials, may go there. Every call is
    /// checked so; asked beforehand, it keeps a job from being begun whose next page leads elsewhere.
    ///
    /// # Errors
    /// [`CallError::Forbidden`] for another scheme, host or port than those of the account, and for what
    /// [`guard::read`] refuses.
    pub fn allowed(&self, url: &str) -> Result<Url, CallError> {
        let url = guard::read(url)?;
        if self.origins.contains(&url.origin().ascii_serialization()) {
            return Ok(url);
        }
        let known: Vec<_> = self.origins.iter().map(|origin| format!("`{origin}`")).collect();
        Err(CallError::Forbidden {
            message: format!(
                "the request would go to `{}`, and the credentials are for {} alone",
                url.origin().ascii_serialization(),
                if known.is_empty() { "no host".into() } else { known.join(" and ") }
            ),
            help: "addresses that an answer names, e.g. of the next page, must be on the host of `base_url`".into(),
        })
    }

    async fn exchange(&self, call: Call) -> Result<Reply, CallError> {
        let url = self.allowed(&call.url)?;
        let pool = if url.scheme() == "https" { &self.encrypted } else { &self.clear };
        // There is one for each scheme of the origins, and the address is on one of them.
        let Some(pool) = pool else {
            return Err(CallError::Unreachable(format!("there is no connection for `{}:`", url.scheme())));
        };
        let place = place(&url);
        let sort = |error: reqwest::Error| failure::sort(&error, &place, self.connect_timeout);
        let mut request = pool.request(method(call.method), url.clone()).headers(headers(&call)?);
        request = match call.body {
            Body::Empty => request,
            Body::Bytes { bytes, .. } => request.body(bytes),
            Body::Parts(parts) => request.multipart(form(parts)?),
        };
        let answer = async {
            let mut response = request.send().await.map_err(sort)?;
            let status = response.status().as_u16();
            let headers = response.headers().iter().map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            let headers = headers.collect();
            let expected = response.content_length().unwrap_or(0);
            let mut body = Vec::with_capacity(usize::try_from(expected).unwrap_or(0).min(self.max_body));
            while let Some(chunk) = response.chunk().await.map_err(sort)? {
                if body.len() + chunk.len() > self.max_body {
                    let most = self.max_body as f64 / f64::from(1 << 20);
                    let message = format!("the answer of `{place}` is larger than {most} MiB and was not read further");
                    return Err(CallError::Lost(message));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Reply { status, headers, body })
        };
        let result = tokio::time::timeout(call.timeout, answer).await;
        result.unwrap_or_else(|_| {
            Err(CallError::Lost(format!("no answer from `{place}` within {} s", seconds(call.timeout))))
        })
    }
}

#[async_trait]
impl Transport for Client {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        self.exchange(call).await
    }
}

fn pool(settings: &Settings, encrypted: bool) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Who calls decides what is sent again.
        .retry(reqwest::retry::never())
        .connect_timeout(settings.connect_timeout)
        // Less than the 5 s after which common servers close: a request sent on a connection that is being closed is
        // lost, and nobody knows whether it arrived.
        .pool_idle_timeout(Duration::from_secs(4))
        .tls_backend_preconfigured(tls::checked(settings.ca_file.as_deref())?)
        .dns_resolver(Guarded { inner: Arc::clone(&settings.resolver), encrypted });
    if !encrypted || !settings.proxy {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| Error::failed(format!("HTTP cannot be used: {}", error.without_url())))
}

/// Host and port: what messages say of an address.
fn place(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

fn headers(call: &Call) -> Result<HeaderMap, CallError> {
    let fault = |name: &str| CallError::Forbidden {
        message: format!(
            "the header `{}` cannot be sent: a line break or another control character is in it",
            name.escape_debug()
        ),
        help: "a credential read from a file often ends with a line break: check where the value comes from".into(),
    };
    let mut map = HeaderMap::with_capacity(call.headers.len() + 1);
    for (name, value) in &call.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault(name))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| fault(name))?;
        map.append(key, value);
    }
    match &call.body {
        Body::Bytes { content_type, .. } if !map.contains_key(CONTENT_TYPE) => {
            map.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).map_err(|_| fault("content-type"))?);
        }
        // It has to name the boundary, which is chosen when it is sent.
        Body::Parts(_) => {
            map.remove(CONTENT_TYPE);
        }
        // Without a length, some servers answer such requests with 411.
        Body::Empty if matches!(call.method, Method::Post | Method::Put | Method::Patch) => {
            map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Body::Bytes { .. } | Body::Empty => {}
    }
    Ok(map)
}

fn form(parts: Vec<Part>) -> Result<multipart::Form, CallError> {
    parts.into_iter().try_fold(multipart::Form::new(), |form, part| {
        let mut piece = multipart::Part::bytes(part.bytes);
        if let Some(filename) = part.filename {
            piece = piece.file_name(filename);
        }
        let piece = piece.mime_str(&part.content_type).map_err(|_| CallError::Forbidden {
            message: format!("`{}` is no content type", part.content_type),
            help: "a content type is written `text/csv`".into(),
        })?;
        Ok(form.part(part.name, piece))
    })
}
