//! Buckets: S3 and whatever speaks its protocol, Google Cloud Storage, Azure Blob Storage. All three can write on condition
//! and show what was written at once (S3 since 2024: `If-None-Match` and `If-Match` of PutObject).

use std::path::Path as File;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use object_store::client::{HttpClient, HttpConnector};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult,
    RetryConfig, UpdateVersion, WriteMultipart,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::objects::{Fetched, Object, Objects, Tag, When};
use crate::diagnostic::{Error, Result};
use crate::manifest::project::{StateBackend, StateType};
use crate::state::local;
use crate::tls;

/// What is sent in one request, in bytes; the least that S3 takes of all parts but the last is 5 MiB.
const PART: usize = 8 * 1024 * 1024;
/// Parts on their way at once.
const ABREAST: usize = 4;

/// A bucket.
pub struct Cloud {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    place: String,
    kind: StateType,
}

impl Cloud {
    /// The bucket of a manifest. Credentials are those that the vendor's own tools find: variables of the environment, a
    /// file they name, or the role of the machine.
    ///
    /// # Errors
    /// What is missing.
    pub fn new(config: &StateBackend) -> Result<Self> {
        let place = config.place();
        let store = build(config).map_err(|e| failed("use", &place, "", config.kind, &e))?;
        Ok(Self::over(store, config.prefix.as_deref().unwrap_or_default(), place, config.kind))
    }

    /// A bucket that is there already.
    pub(super) fn over(store: Arc<dyn ObjectStore>, prefix: &str, place: String, kind: StateType) -> Self {
        Self { store, prefix: prefix.trim_matches('/').to_owned(), place, kind }
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }

    /// The name of an object below the prefix.
    fn name(&self, path: &Path) -> String {
        let path = path.as_ref();
        let below = path.strip_prefix(self.prefix.as_str()).unwrap_or(path);
        below.trim_start_matches('/').to_owned()
    }

    fn failed(&self, verb: &str, name: &str, error: &object_store::Error) -> Error {
        failed(verb, &self.place, name, self.kind, error)
    }
}

fn build(config: &StateBackend) -> object_store::Result<Arc<dyn ObjectStore>> {
    let bucket = config.bucket.as_deref().unwrap_or_default();
    // Less than a lease: whoever waits longer has lost it anyway.
    let retry = RetryConfig { max_retries: 10, retry_timeout: Duration::from_secs(40), ..RetryConfig::default() };
    Ok(match config.kind {
        StateType::Gcs => {
            let mut builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_base_url(endpoint);
            }
            Arc::new(builder.with_retry(retry).with_http_connector(Connector).build()?)
        }
        StateType::Azure => {
            let mut builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_container_name(bucket);
            if let Some(account) = &config.account {
                builder = builder.with_account(account);
            }
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_endpoint(endpoint.clone()).with_allow_http(true);
            }
            Arc::new(builder.with_retry(retry).with_http_connector(Connector).build()?)
        }
        _ => {
            let mut builder = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket);
            if let Some(region) = &config.region {
                builder = builder.with_region(region);
            }
            if let Some(endpoint) = &config.endpoint {
                builder = builder.with_endpoint(endpoint).with_allow_http(true);
            }
            Arc::new(builder.with_retry(retry).with_http_connector(Connector).build()?)
        }
    })
}

/// HTTP with the authorities that all of the program trusts.
#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "http", source };
        let tls = tls::checked(None).map_err(|e| failed(e.to_string().into()))?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .tls_backend_preconfigured(tls)
            .build();
        client.map(HttpClient::new).map_err(|e| failed(e.without_url().into()))
    }
}

#[async_trait]
impl Objects for Cloud {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn read(&self, name: &str) -> Result<Option<Object>> {
        let failed = |e| self.failed("read", name, &e);
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let (tag, modified) = (tag(&found.meta), modified(&found.meta));
        Ok(Some(Object { bytes: found.bytes().await.map_err(failed)?.to_vec(), tag, modified }))
    }

    async fn write(&self, name: &str, bytes: Vec<u8>, when: When) -> Result<Option<Tag>> {
        let mode = match when {
            When::Always => PutMode::Overwrite,
            When::Absent => PutMode::Create,
            When::Is(Tag { id, version }) => PutMode::Update(UpdateVersion { e_tag: id, version }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name), PutPayload::from(bytes), options).await {
            Ok(put) => Ok(Some(put_tag(put))),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. }
                | object_store::Error::NotFound { .. },
            ) => Ok(None),
            Err(e) => Err(self.failed("write", name, &e)),
        }
    }

    async fn upload(&self, name: &str, file: &File) -> Result<Tag> {
        let unread = |e| local::failed("read", file, &e);
        let failed = |e| self.failed("write", name, &e);
        let mut from = tokio::fs::File::open(file).await.map_err(unread)?;
        let size = from.metadata().await.map_err(unread)?.len();
        if size <= PART as u64 {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).await.map_err(unread)?;
            return self.store.put(&self.path(name), bytes.into()).await.map(put_tag).map_err(failed);
        }
        let upload = self.store.put_multipart(&self.path(name)).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = match from.read(&mut buffer).await {
                Ok(read) => read,
                Err(e) => {
                    let _ = upload.abort().await;
                    return Err(unread(e));
                }
            };
            let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
            upload.wait_for_capacity(ABREAST).await.map_err(failed)?;
            upload.write(part);
        }
        upload.finish().await.map(put_tag).map_err(failed)
    }

    async fn download(&self, name: &str, file: &File, known: Option<&Tag>) -> Result<Fetched> {
        let failed = |e| self.failed("read", name, &e);
        let if_none_match = known.and_then(|tag| tag.id.clone());
        let options = GetOptions { if_none_match, ..GetOptions::default() };
        let found = match self.store.get_opts(&self.path(name), options).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(Fetched::Absent),
            Err(object_store::Error::NotModified { .. }) => return Ok(Fetched::Same),
            Err(e) => return Err(failed(e)),
        };
        let tag = tag(&found.meta);
        let unwritten = |e| local::failed("write", file, &e);
        let mut to = tokio::fs::File::create(file).await.map_err(unwritten)?;
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
            to.write_all(&chunk).await.map_err(unwritten)?;
        }
        to.flush().await.map_err(unwritten)?;
        Ok(Fetched::New(tag))
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>> {
        let below = self.path(folder);
        let found = self.store.list_with_delimiter(Some(&below)).await.map_err(|e| self.failed("list", folder, &e))?;
        let objects = found.objects.iter().map(|meta| &meta.location);
        let last = |path: &Path| path.filename().map(str::to_owned);
        let mut names: Vec<String> = found.common_prefixes.iter().chain(objects).filter_map(last).collect();
        names.sort();
        Ok(names)
    }

    async fn tree(&self, folder: &str) -> Result<Vec<(String, Tag)>> {
        let below = self.path(folder);
        let found = self.store.list(Some(&below)).map_ok(|meta| (self.name(&meta.location), tag(&meta)));
        let mut found: Vec<_> = found.try_collect().await.map_err(|e| self.failed("list", folder, &e))?;
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    async fn remove(&self, names: Vec<String>) -> Result<()> {
        let paths: Vec<_> = names.iter().map(|name| Ok(self.path(name))).collect();
        let mut removed = self.store.delete_stream(stream::iter(paths).boxed());
        while let Some(one) = removed.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(self.failed("remove", names.first().map_or("", String::as_str), &e)),
            }
        }
        Ok(())
    }

    async fn now(&self) -> Result<Timestamp> {
        const CLOCK: &str = "clock";
        let path = self.path(CLOCK);
        let asked = async {
            self.store.put(&path, PutPayload::from_static(b"what time is it?\n")).await?;
            self.store.head(&path).await
        };
        asked.await.map(|meta| modified(&meta)).map_err(|e| self.failed("read", CLOCK, &e))
    }
}

fn tag(meta: &ObjectMeta) -> Tag {
    Tag { id: meta.e_tag.clone(), version: meta.version.clone() }
}

fn put_tag(put: PutResult) -> Tag {
    Tag { id: put.e_tag, version: put.version }
}

fn modified(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).unwrap_or_default()
}

fn failed(verb: &str, place: &str, name: &str, kind: StateType, error: &object_store::Error) -> Error {
    let credentials = match kind {
        StateType::Gcs => {
            "credentials come from `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth application-default login` or the machine"
        }
        StateType::Azure => {
            "credentials come from `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_CLIENT_ID` with its secret or token file, or the \
             machine"
        }
        _ => {
            "credentials come from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a web identity \
             (`AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN`) or the role of the machine"
        }
    };
    use object_store::Error as E;
    let help = match error {
        E::NotImplemented { .. } | E::NotSupported { .. } => {
            "the store must be able to write on condition (`If-None-Match`, `If-Match`)".to_owned()
        }
        E::NotFound { .. } => "does the bucket exist? syncline makes none".to_owned(),
        _ => credentials.to_owned(),
    };
    let what = if name.is_empty() { String::new() } else { format!("`{name}` in ") };
    // The words of a store may be a page of XML.
    let mut said = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = said.char_indices().nth(400) {
        said.truncate(at);
        said.push('…');
    }
    Error::failed_help(format!("cannot {verb} {what}the state in `{place}`: {said}"), help)
}
