//! One account of an API: where it is, who we are, how fast it may be asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json};

use super::compile::{Auth, Compiled, Token};
use super::expression::{Scope, escape};
use super::outcome::name_hash;
use super::request::{Made, Request};
use super::rules::{Answer, CREDENTIALS, Rule, Verdict};
use super::template::Layer;
use crate::destinations::{Quota, SendError};
use crate::diagnostic::Error;
use crate::http::{Call, CallError, Limits, Permit, Transport};
use crate::manifest::connector::api::{AuthPlace, Class};
use crate::manifest::connector::object::LostClass;
use crate::secret::{Redactor, Secret};

/// A token is renewed so long before it expires.
const MARGIN: Duration = Duration::from_secs(60);
/// How many tokens in a row that nobody has had any use of are renewed for one request.
const RENEWALS: u32 = 3;
/// How many tokens are renewed for one request at most, where others use each up before its turn comes.
const MOST_RENEWALS: u32 = 50;
/// Most pages of one answer.
const MAX_PAGES: usize = 1000;

/// The refresh tokens that took the place of those of connections, by account. For the whole process: what a plan has used
/// up is of no use to the apply that follows.
static ROTATED: LazyLock<Mutex<HashMap<u64, Json>>> = LazyLock::new(Mutex::default);

/// One account of an API, shared by all syncs to it.
pub(super) struct Account {
    pub compiled: Arc<Compiled>,
    /// The settings of the connection, with defaults.
    pub connection: Json,
    base: String,
    /// Where access tokens are fetched, when it is elsewhere.
    token_base: Option<String>,
    /// Names the account among those whose refresh tokens were replaced.
    who: u64,
    headers: Vec<(String, String)>,
    transport: Arc<dyn Transport>,
    limits: Limits,
    token: tokio::sync::Mutex<Option<Fetched>>,
    /// How many tokens were fetched up to the last one that some request was answered with.
    taken: AtomicU64,
    /// The first request goes alone: credentials that are refused are refused once, not by all that are in flight.
    first: tokio::sync::Mutex<()>,
    /// The first request had an answer, or none.
    known: AtomicBool,
    /// Why nothing more is asked: who we are was refused before anything was taken.
    barred: OnceLock<String>,
    /// Shared with the wire log, which so learns of access tokens, too.
    redactor: Redactor,
    /// Limits by day that were asked what is used.
    asked: tokio::sync::OnceCell<()>,
    /// Containers are found or made one after the other, so that none is made twice.
    pub containers: tokio::sync::Mutex<()>,
    /// False in tests: nothing is waited for.
    pub patient: bool,
}

#[derive(Clone)]
struct Fetched {
    token: String,
    /// Counts the tokens fetched.
    serial: u64,
    renew_at: Option<Instant>,
}

/// A request's answer and what it means.
pub(super) struct Exchange {
    pub answer: Answer,
    pub verdict: Verdict,
}

/// Counts requests.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

impl Account {
    /// The account of a connection whose settings have been checked. Offline.
    pub fn new(
        compiled: Arc<Compiled>,
        connection: Map<String, Json>,
        (base, token_base): (String, Option<String>),
        redactor: Redactor,
        transport: Arc<dyn Transport>,
        patient: bool,
    ) -> crate::diagnostic::Result<Self> {
        let name = &compiled.manifest().name;
        let limits = Limits::new(&compiled.manifest().api.limits)
            .map_err(|e| Error::failed(format!("connector `{name}`: {e}")))?;
        let connection = Json::Object(connection);
        let who = name_hash(&format!("{name} {base} {connection}"));
        let mut headers = Vec::new();
        {
            let scope = Layer::over(None).with("connection", &connection);
            for (header, text) in &compiled.headers {
                let failed = |message| Error::failed(format!("connector `{name}`: header `{header}`: {message}"));
                if let Some(text) = text.render(&scope).map_err(failed)? {
                    headers.push((header.clone(), text));
                }
            }
        }
        Ok(Self {
            compiled,
            connection,
            base,
            token_base,
            who,
            headers,
            transport,
            limits,
            token: tokio::sync::Mutex::new(None),
            taken: AtomicU64::new(0),
            first: tokio::sync::Mutex::new(()),
            known: AtomicBool::new(false),
            barred: OnceLock::new(),
            redactor,
            asked: tokio::sync::OnceCell::new(),
            containers: tokio::sync::Mutex::new(()),
            patient,
        })
    }

    /// The text without secrets.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.redact(text)
    }

    /// The least seconds that requests take, counted by the limit they count in; what the day has not got left is passed
    /// over, as apply says so.
    pub fn seconds(&self, requests: &std::collections::BTreeMap<&str, u64>) -> f64 {
        let each = requests.iter().map(|(limit, count)| self.limits.estimate(&[(*limit).to_owned()], *count));
        each.filter(|seconds| seconds.is_finite()).fold(0.0, f64::max)
    }

    /// What is left of the limits by day that can be asked for.
    ///
    /// # Errors
    /// The destination does not answer.
    pub async fn quotas(&self, counter: &Counter) -> Result<Vec<Quota>, SendError> {
        let mut quotas = Vec::new();
        for (name, asked) in &self.compiled.used {
            if let Some(used) = self.ask(asked, counter).await? {
                self.limits.set_used(name, used);
                let limit = self.compiled.manifest().api.limits.get(name).and_then(|bucket| bucket.requests);
                if let (Some(left), Some(limit)) = (self.limits.left(name), limit) {
                    quotas.push(Quota { name: name.clone(), limit: u64::from(limit), left });
                }
            }
        }
        Ok(quotas)
    }

    /// Sends a request and says what the answer means: these rules, then those of the API. A token that is refused is
    /// renewed.
    pub async fn call(
        &self,
        made: &Made,
        rules: &[Rule],
        scope: &dyn Scope,
        lost: LostClass,
        counter: &Counter,
    ) -> Result<Exchange, SendError> {
        let known = || self.known.load(Ordering::Acquire);
        // Those that waited for the first go together.
        let _first = if known() { None } else { Some(self.first.lock().await).filter(|_| !known()) };
        self.allowed()?;
        let exchanged = self.converse(made, rules, scope, lost, counter).await;
        if !self.known.load(Ordering::Acquire) {
            match &exchanged {
                Ok(Exchange { answer, verdict }) if verdict.class == Class::AuthFatal && answer.status == 401 => {
                    self.bar(&verdict.message);
                }
                _ => self.known.store(true, Ordering::Release),
            }
        }
        exchanged
    }

    fn allowed(&self) -> Result<(), SendError> {
        match self.barred.get() {
            Some(message) => Err(SendError::Fatal { message: message.clone(), help: Some(CREDENTIALS.into()) }),
            None => Ok(()),
        }
    }

    fn bar(&self, message: &str) {
        // The first reason is as good as any other.
        let _ = self.barred.set(message.to_owned());
    }

    async fn converse(
        &self,
        made: &Made,
        rules: &[Rule],
        scope: &dyn Scope,
        lost: LostClass,
        counter: &Counter,
    ) -> Result<Exchange, SendError> {
        self.ask_used(counter).await;
        let (mut renewals, mut useless) = (0, 0);
        loop {
            let fetched = self.token(counter).await?;
            let mut call = made.call(&self.base, self.compiled.manifest().api.timeout);
            self.sign(&mut call, fetched.as_ref()).map_err(fatal)?;
            let (answer, permit) = self.exchange(call, &made.limits, counter).await?;
            let token = fetched.is_some();
            let mut verdict = answer.judge(rules.iter().chain(&self.compiled.errors), Some(scope), token, lost);
            if let (false, Some(fetched)) = (verdict.class == Class::Reauth, &fetched) {
                self.taken.fetch_max(fetched.serial + 1, Ordering::AcqRel);
            }
            verdict.message = self.redact(&verdict.message);
            verdict.code = self.redact(&verdict.code);
            if verdict.class == Class::RateLimited {
                self.limits.throttled(&permit);
                if let (Some(wait), true) = (verdict.wait, self.patient) {
                    self.limits.pause(wait);
                }
            }
            if (300..400).contains(&answer.status) && verdict.class != Class::Ok {
                verdict.class = Class::AuthFatal;
                verdict.message = "the destination redirects, and redirects are not followed".into();
            }
            if verdict.class == Class::Reauth {
                if let (0..RENEWALS, 0..MOST_RENEWALS, Some(fetched)) = (useless, renewals, fetched) {
                    renewals += 1;
                    // One that was taken before has only come to its end, be it by what others did.
                    useless = if self.taken.load(Ordering::Acquire) <= fetched.serial { useless + 1 } else { 0 };
                    let mut held = self.token.lock().await;
                    // Unless another request has renewed it in the meantime.
                    if held.as_ref().is_some_and(|held| held.serial == fetched.serial) {
                        self.allowed()?;
                        // What is refused once is not asked for by all that are in flight.
                        let renewed = self.fetch(fetched.serial + 1, counter).await.inspect_err(|error| {
                            if let SendError::Fatal { message, .. } = error {
                                self.bar(message);
                            }
                        })?;
                        *held = Some(renewed);
                    }
                    continue;
                }
                verdict.class = Class::AuthFatal;
            }
            return Ok(Exchange { answer, verdict });
        }
    }

    async fn exchange(&self, call: Call, limits: &[String], counter: &Counter) -> Result<(Answer, Permit), SendError> {
        let permit = self.limits.acquire(limits).await.map_err(|e| SendError::Fatal {
            message: e.to_string(),
            help: Some("what is left is sent by the next run".into()),
        })?;
        counter.add(1);
        let reply = self.transport.call(call).await.map_err(|error| match error {
            CallError::Unreachable(message) => SendError::Unreachable { message: self.redact(&message) },
            CallError::Lost(message) => SendError::Lost { message: self.redact(&message) },
            CallError::Forbidden { message, help } => {
                SendError::Fatal { message: self.redact(&message), help: Some(help) }
            }
        })?;
        Ok((Answer::read(reply), permit))
    }

    /// Shows who sends the request, and adds the headers of all requests.
    fn sign(&self, call: &mut Call, fetched: Option<&Fetched>) -> Result<(), String> {
        let own = |name: &str, call: &Call| call.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        for (name, value) in &self.headers {
            if !own(name, call) {
                call.headers.push((name.clone(), value.clone()));
            }
        }
        let Some(Auth { place, name, value, .. }) = &self.compiled.auth else { return Ok(()) };
        let token = fetched.map(|fetched| Json::String(fetched.token.clone())).unwrap_or_default();
        let scope = Layer::over(None).with("connection", &self.connection).with("token", &token);
        let value = value.render(&scope)?.ok_or("the connection does not say who sends the request")?;
        match place {
            AuthPlace::Header => call.headers.push((name.clone(), value)),
            AuthPlace::Query => {
                call.url.push(if call.url.contains('?') { '&' } else { '?' });
                call.url.push_str(&format!("{}={}", escape(name), escape(&value)));
            }
            AuthPlace::Body => call.body.put(name, &value)?,
        }
        Ok(())
    }

    /// The access token, fetched if need be; `None` where none is needed.
    async fn token(&self, counter: &Counter) -> Result<Option<Fetched>, SendError> {
        if self.compiled.auth.as_ref().is_none_or(|auth| auth.token.is_none()) {
            return Ok(None);
        }
        let mut held = self.token.lock().await;
        if let Some(fetched) = held.as_ref().filter(|held| held.renew_at.is_none_or(|at| at > Instant::now())) {
            return Ok(Some(fetched.clone()));
        }
        self.allowed()?;
        let serial = held.as_ref().map_or(0, |held| held.serial + 1);
        let fetched = self.fetch(serial, counter).await.inspect_err(|error| {
            if let (SendError::Fatal { message, .. }, false) = (error, self.known.load(Ordering::Acquire)) {
                self.bar(message);
            }
        })?;
        *held = Some(fetched.clone());
        Ok(Some(fetched))
    }

    async fn fetch(&self, serial: u64, counter: &Counter) -> Result<Fetched, SendError> {
        let Some(Token { request, value, expires_in, rotates, .. }) =
            self.compiled.auth.as_ref().and_then(|auth| auth.token.as_ref())
        else {
            return Err(fatal("there is no access token to fetch".into()));
        };
        let made = {
            let rotated = ROTATED.lock().unwrap_or_else(PoisonError::into_inner);
            let scope = Layer::over(None).with("connection", &self.connection);
            let scope = match rotated.get(&self.who) {
                Some(rotated) => {
                    // Another opening of the account may have been given it.
                    self.redactor.add(Secret::new(rotated.as_str().unwrap_or_default()));
                    scope.with("rotated", rotated)
                }
                None => scope,
            };
            request.make(&scope, None).map_err(fatal)?
        };
        let base = self.token_base.as_ref().unwrap_or(&self.base);
        let mut call = made.call(base, self.compiled.manifest().api.timeout);
        call.confidential = true;
        // Nothing was written by it: whatever was lost can be asked again.
        let (answer, _permit) = self.exchange(call, &made.limits, counter).await.map_err(read_only)?;
        let scope = answer.scope(None);
        let token = value.text(&scope).filter(|token| !token.is_empty() && answer.fine() && !answer.garbled);
        let Some(token) = token else {
            let verdict = answer.judge(self.compiled.errors.iter(), None, false, LostClass::A);
            let message = format!("no access token was given: {}", self.redact(&verdict.message));
            return Err(match verdict.class {
                Class::RateLimited | Class::Transient | Class::Lost => {
                    SendError::Transient { message, retry_after: verdict.wait }
                }
                _ => SendError::Fatal { message, help: Some(CREDENTIALS.into()) },
            });
        };
        let valid = super::rules::seconds(Some(expires_in), &scope);
        let renew_at = valid.map(|valid| Instant::now() + valid.saturating_sub(MARGIN.min(valid / 10)));
        self.redactor.add(Secret::new(token.clone()));
        if let Some(new) = rotates.as_ref().and_then(|rotates| rotates.text(&scope)).filter(|new| !new.is_empty()) {
            self.rotate(new);
        }
        Ok(Fetched { token, serial, renew_at })
    }

    /// Takes another refresh token from now on, and says that the one of the connection may be of no use any more.
    fn rotate(&self, new: String) {
        self.redactor.add(Secret::new(new.clone()));
        let new = Json::String(new);
        let given = self.connection.as_object().is_some_and(|settings| settings.values().any(|value| *value == new));
        let former = ROTATED.lock().unwrap_or_else(PoisonError::into_inner).insert(self.who, new);
        if former.is_none() && !given {
            tracing::warn!(
                connector = %self.compiled.manifest().name,
                "the destination has replaced the refresh token of the connection, which may not be taken again: the next \
                 run needs the new one, and syncline writes no credentials down"
            );
        }
    }

    /// Asks once how many requests of the day were used by others. What cannot be asked is not known.
    async fn ask_used(&self, counter: &Counter) {
        if self.compiled.used.is_empty() || !self.patient {
            return;
        }
        self.asked
            .get_or_init(|| async {
                for (name, asked) in &self.compiled.used {
                    if let Ok(Some(used)) = self.ask(asked, counter).await {
                        self.limits.set_used(name, used);
                    }
                }
            })
            .await;
    }

    async fn ask(&self, asked: &super::compile::Asked, counter: &Counter) -> Result<Option<u64>, SendError> {
        let made = {
            let scope = Layer::over(None).with("connection", &self.connection);
            asked.request.make(&scope, None).map_err(fatal)?
        };
        let fetched = self.token(counter).await?;
        let mut call = made.call(&self.base, self.compiled.manifest().api.timeout);
        self.sign(&mut call, fetched.as_ref()).map_err(fatal)?;
        let (answer, _permit) = self.exchange(call, &made.limits, counter).await?;
        let scope = answer.scope(None);
        Ok(asked.value.text(&scope).filter(|_| answer.fine()).and_then(|text| whole(&text)))
    }

    /// Asks for all pages of something; each is given to `each`, which may refuse it. Reads only: what is lost is worth
    /// another try.
    pub async fn pages(
        &self,
        request: &Request,
        made: Made,
        rules: &[Rule],
        scope: &dyn Scope,
        counter: &Counter,
        mut each: impl FnMut(&Answer) -> Result<(), SendError> + Send,
    ) -> Result<Verdict, SendError> {
        let mut made = made;
        let first = made.url.clone();
        let mut seen = std::collections::HashSet::new();
        loop {
            let Exchange { answer, verdict } =
                self.call(&made, rules, scope, LostClass::A, counter).await.map_err(read_only)?;
            if verdict.class != Class::Ok {
                return Ok(verdict);
            }
            each(&answer)?;
            let Some(next) = &request.next else { return Ok(verdict) };
            let text = {
                let over = answer.scope(Some(scope));
                next.value.text(&over).filter(|text| !text.is_empty())
            };
            let Some(text) = text else { return Ok(verdict) };
            if !seen.insert(text.clone()) || seen.len() >= MAX_PAGES {
                return Err(fatal(format!("the pages of the answer do not end (after {})", seen.len())));
            }
            made.url = match &next.query {
                Some(name) => {
                    format!("{first}{}{}={}", if first.contains('?') { '&' } else { '?' }, escape(name), escape(&text))
                }
                None => self.within(&text).map_err(fatal)?,
            };
        }
    }

    /// An address an answer gave, if it is one of the API.
    fn within(&self, address: &str) -> Result<String, String> {
        let origin = |url: &str| url.split('/').take(3).collect::<Vec<_>>().join("/").to_lowercase();
        if address.starts_with('/') && !address.starts_with("//") || origin(address) == origin(&self.base) {
            return Ok(address.to_owned());
        }
        Err("the address of the next page is on another host".into())
    }
}

/// An error that ends the run.
pub(super) fn fatal(message: String) -> SendError {
    SendError::Fatal { message, help: None }
}

/// A request that only reads: what is lost was not executed either.
pub(super) fn read_only(error: SendError) -> SendError {
    match error {
        SendError::Lost { message } => SendError::Transient { message, retry_after: None },
        other => other,
    }
}

/// The error that a verdict is, for a request that is not about single records.
pub(super) fn failure(verdict: Verdict) -> SendError {
    let help = verdict.help();
    let Verdict { class, code, message, wait, .. } = verdict;
    match class {
        Class::RateLimited | Class::Transient | Class::Lost => SendError::Transient { message, retry_after: wait },
        Class::AuthFatal | Class::Reauth => SendError::Fatal { message, help: Some(help.into()) },
        Class::QuotaExhausted => SendError::Fatal {
            message,
            help: Some("the quota is used up: what is left is sent by the next run".into()),
        },
        _ => fatal(format!("{code}: {message}")),
    }
}

/// The whole number a text says.
pub(super) fn whole(text: &str) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|f| *f >= 0.0 && f.fract() == 0.0).map(|f| f as u64))
}

/// All accounts of a run: destinations that speak to the same account share its limits and its access token.
#[derive(Clone, Default)]
pub struct Accounts(Arc<Mutex<HashMap<String, Arc<Account>>>>);

impl Accounts {
    /// The account of this name, made if there is none.
    pub(super) fn get(
        &self,
        name: String,
        make: impl FnOnce() -> crate::diagnostic::Result<Account>,
    ) -> crate::diagnostic::Result<Arc<Account>> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&name) {
            return Ok(Arc::clone(account));
        }
        let account = Arc::new(make()?);
        accounts.insert(name, Arc::clone(&account));
        Ok(account)
    }
}
