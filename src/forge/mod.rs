//! Comments on merge and pull requests: one for each environment, edited in place.
//!
//! ```text
//!   variables of the CI ──► Target ──► Poster ──► the API of GitHub or GitLab
//!                           (where)    (waits, finds its own comment, writes it)
//! ```
//!
//! What a comment says is made elsewhere; its first line is a hidden marker, and by that marker it is found again. Only a
//! comment that begins with the marker and is written by the one whose token is used is ever edited or removed.
//! `github` and `gitlab` know how their API is spoken and nothing of when.

mod answer;
mod author;
mod github;
mod gitlab;
mod refusal;
mod target;
mod wait;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::diagnostic::{Error, Result};
use crate::http::{Body, Call, CallError, Client, Reply, Settings, Transport};
use crate::manifest::connector::api::Method;
use crate::secret::{Redactor, Secret};
use answer::{next_page, quote};
use author::{Author, Found, Me};
pub use target::{Asked, Target, job_url};
use wait::Waiting;

/// How long waiting for the forge may take altogether, for one comment.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most pages of comments that are looked through.
const PAGES: u32 = 200;
/// The most bytes of a page of comments.
const PAGE_BYTES: usize = 64 << 20;

/// Where merge requests live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forge {
    /// GitHub, also Enterprise Server.
    GitHub,
    /// GitLab, also self-managed.
    GitLab,
}

impl Forge {
    /// Its name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Forge::GitHub => "GitHub",
            Forge::GitLab => "GitLab",
        }
    }

    /// The variable that holds the token, and nothing else does.
    pub fn token_variable(self) -> &'static str {
        match self {
            Forge::GitHub => "GITHUB_TOKEN",
            Forge::GitLab => "GITLAB_TOKEN",
        }
    }

    /// Bytes of a comment. GitHub takes 65 536 characters, GitLab 1 000 000; a text of so many bytes has never more
    /// characters.
    pub fn limit(self) -> usize {
        match self {
            Forge::GitHub => 65_536,
            Forge::GitLab => 1_000_000,
        }
    }

    /// What a request to merge is called, and its mark before the number.
    fn request(self) -> (&'static str, char) {
        match self {
            Forge::GitHub => ("pull request", '#'),
            Forge::GitLab => ("merge request", '!'),
        }
    }
}

/// What became of a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// True when there was none before.
    pub new: bool,
    /// Where a person finds it.
    pub url: Option<String>,
}

/// Why an attempt ended without a comment.
enum Trouble {
    /// It may go well later: what was the matter, and how long the forge asks to wait.
    Passing(String, Option<Duration>),
    /// It will not.
    Final(Error),
}

/// Writes comments with one token.
pub struct Poster {
    target: Target,
    token: Secret,
    redactor: Redactor,
    client: Client,
}

impl Poster {
    /// For one merge request. Offline. `ca_file` is trusted beside the system's authorities.
    ///
    /// # Errors
    /// The address of the API is one no request may go to.
    pub fn new(target: Target, token: Secret, ca_file: Option<PathBuf>) -> Result<Self> {
        let settings = Settings { max_body: PAGE_BYTES, ca_file, ..Settings::new([&target.api]) };
        let client = Client::new(settings).map_err(|error| error.context("the address of the API"))?;
        Ok(Self { redactor: Redactor::new([token.clone()]), target, token, client })
    }

    /// Writes the text, whose first line is its marker, as a new comment or in place of the one it finds. Where the
    /// answer to a request is lost, the comments are looked through again before anything is written: a second comment is
    /// never made for want of an answer.
    ///
    /// # Errors
    /// The forge refuses, redirects, or cannot be reached in time; no message holds the token.
    pub async fn post(&self, text: &str) -> Result<Posted> {
        let mut waiting = Waiting::new(self.target.forge.name(), PATIENCE);
        loop {
            match self.attempt(text).await {
                Ok(posted) => return Ok(posted),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(what, asked)) => waiting.pause(what, asked).await?,
            }
        }
    }

    async fn attempt(&self, text: &str) -> Result<Posted, Trouble> {
        let marker = text.lines().next().unwrap_or_default();
        let mut mine = self.marked(marker).await?;
        if !mine.is_empty() {
            let me = self.me().await?;
            mine.retain(|found| me.wrote(&found.author));
        }
        let mut kept = None;
        for found in &mine {
            match &kept {
                None => kept = self.edit(found.id, text).await?,
                // Made by two jobs at the same moment. It says what was true once.
                Some(_) => self.remove(found.id).await?,
            }
        }
        match kept {
            Some(url) => Ok(Posted { new: false, url }),
            None => self.create(text).await,
        }
    }

    /// All comments that begin with the marker, oldest first. One that quotes it begins otherwise.
    async fn marked(&self, marker: &str) -> Result<Vec<Found>, Trouble> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut page = 1;
        loop {
            let (url, size) = match self.target.forge {
                Forge::GitHub => github::page(&self.target, page),
                Forge::GitLab => gitlab::page(&self.target, page),
            };
            let reply = self.ask(Method::Get, url, None).await?;
            let Ok(Value::Array(items)) = serde_json::from_slice(&reply.body) else {
                return Err(self.odd("the list of comments is no list"));
            };
            // What gives the same page for every number has no more of them, whatever it says.
            let before = seen.len();
            seen.extend(items.iter().filter_map(|item| item.get("id")?.as_u64()));
            if seen.len() == before {
                return Ok(found);
            }
            for item in &items {
                if item.get("body").and_then(Value::as_str).is_some_and(|body| body.lines().next() == Some(marker)) {
                    found.extend(match self.target.forge {
                        Forge::GitHub => github::found(item),
                        Forge::GitLab => gitlab::found(item),
                    });
                }
            }
            match next_page(&reply, page, items.len(), size) {
                Some(next) if next > page && next <= PAGES => page = next,
                Some(next) if next > PAGES => return Err(self.odd("there are too many comments to look through")),
                _ => return Ok(found),
            }
        }
    }

    /// Whose token it is: only asked where there is a comment it may be the author of.
    async fn me(&self) -> Result<Me, Trouble> {
        let url = format!("{}/user", self.target.api);
        let reply = self.send(Method::Get, url, None).await?;
        let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let named = |key: &str| value.get(key).and_then(Value::as_str).map(|name| Me::Named(name.to_owned()));
        match (self.target.forge, reply.status) {
            (_, 401) => Err(Trouble::Final(self.refusal(&reply))),
            (Forge::GitHub, 200) => Ok(named("login").unwrap_or(Me::Unknown)),
            (Forge::GitLab, 200) => Ok(named("username").unwrap_or(Me::Unknown)),
            // The token of a workflow is that of an app, which is no user and is told its name by GraphQL alone.
            (Forge::GitHub, 403) => {
                let query = json!({ "query": "query { viewer { login } }" });
                let reply = self.send(Method::Post, github::graphql(&self.target.api), Some(query)).await?;
                let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                Ok(Me::App(value.pointer("/data/viewer/login").and_then(Value::as_str).map(str::to_owned)))
            }
            _ => Ok(Me::Unknown),
        }
    }

    async fn create(&self, text: &str) -> Result<Posted, Trouble> {
        let body = Some(json!({ "body": text }));
        let reply = self.ask(Method::Post, self.target.comments(), body).await?;
        Ok(Posted { new: true, url: self.url(&reply) })
    }

    /// Puts the text in place of a comment's; `None` when that is not ours to edit, or gone.
    async fn edit(&self, id: u64, text: &str) -> Result<Option<Option<String>>, Trouble> {
        let method = match self.target.forge {
            Forge::GitHub => Method::Patch,
            Forge::GitLab => Method::Put,
        };
        let reply = self.send(method, self.target.comment(id), Some(json!({ "body": text }))).await?;
        match reply.status {
            200..300 => Ok(Some(self.url(&reply))),
            403 | 404 | 410 => Ok(None),
            _ => Err(Trouble::Final(self.refusal(&reply))),
        }
    }

    /// Removes a second comment of ours. That it stays is no reason to fail.
    async fn remove(&self, id: u64) -> Result<(), Trouble> {
        self.send(Method::Delete, self.target.comment(id), None).await.map(drop)
    }

    /// Where a person finds the comment an answer is about.
    fn url(&self, reply: &Reply) -> Option<String> {
        let value: Value = serde_json::from_slice(&reply.body).ok()?;
        match self.target.forge {
            Forge::GitHub => value.get("html_url").and_then(Value::as_str).map(str::to_owned),
            Forge::GitLab => self.target.note_url(value.get("id").and_then(Value::as_u64)?),
        }
        .map(|url| self.redactor.redact(&url))
    }

    /// An answer that is a success, or why there is none.
    async fn ask(&self, method: Method, url: String, body: Option<Value>) -> Result<Reply, Trouble> {
        let reply = self.send(method, url, body).await?;
        if (200..300).contains(&reply.status) { Ok(reply) } else { Err(Trouble::Final(self.refusal(&reply))) }
    }

    /// Any answer that will not be another one later.
    async fn send(&self, method: Method, url: String, body: Option<Value>) -> Result<Reply, Trouble> {
        let headers = match self.target.forge {
            Forge::GitHub => github::headers(self.token.expose()),
            Forge::GitLab => gitlab::headers(self.token.expose()),
        };
        let body = body.map_or(Body::Empty, |value| Body::Bytes {
            content_type: "application/json".into(),
            bytes: value.to_string().into(),
        });
        let call = Call { method, url, headers, body, timeout: TIMEOUT, confidential: true };
        let reply = self.client.call(call).await.map_err(|error| match error {
            // Nobody there, or a wrong name: a few seconds tell which.
            CallError::Unreachable(what) => Trouble::Passing(what, Some(Duration::from_secs(2))),
            CallError::Lost(what) => Trouble::Passing(what, None),
            CallError::Forbidden { message, help } => {
                Trouble::Final(Error::failed_help(self.redactor.redact(&message), help))
            }
        })?;
        let name = self.target.forge.name();
        match answer::limited(&reply) {
            Some(wait) => Err(Trouble::Passing(format!("{name} limits requests ({})", self.said(&reply)), wait)),
            None if matches!(reply.status, 408 | 500..) => {
                let wait = crate::http::retry_after(&reply);
                Err(Trouble::Passing(format!("{name} answers {}", self.said(&reply)), wait))
            }
            None => Ok(reply),
        }
    }

    /// Status and words of an answer, without the token.
    fn said(&self, reply: &Reply) -> String {
        self.redactor.redact(&quote(reply))
    }

    fn refusal(&self, reply: &Reply) -> Error {
        refusal::refusal(&self.target, reply, &self.said(reply))
    }

    fn odd(&self, what: &str) -> Trouble {
        let help = "check --api-url: it is the address of the API, e.g. `https://gitlab.example.com/api/v4`";
        Trouble::Final(Error::failed_help(format!("{what} at `{}`", self.target.api), help))
    }
}
