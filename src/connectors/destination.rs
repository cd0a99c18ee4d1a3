//! A connector and a connection: a destination.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::DataType;
use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::account::{Account, Accounts, Counter, failure, fatal, read_only};
use super::ask;
use super::compile::{Compiled, Object, Operation};
use super::outcome::name_hash;
use super::read::HttpReader;
use super::record::Layout;
use super::settings;
use super::template::Layer;
use super::writer::HttpWriter;
use crate::destinations::{
    Capabilities, Class, Cost, Destination, Discovered, Health, Load, Options, Readable, SendError, Target,
    TargetField, Writer,
};
use crate::diagnostic::{Error, Result, closest};
use crate::http::{Client, Logged, Settings, Transport, WireLog};
use crate::manifest::connector::api;
use crate::manifest::connector::object::{FieldType, LostClass, ModeSteps};
use crate::manifest::connector::operation::By;
use crate::manifest::sync::{Mode, OnRemoved};
use crate::mapping::{Meaning, Value};
use crate::secret::{Connection, Redactor};

/// How often the fields there are are asked for, where the answer is lost or put off.
const FIELDS_TRIES: u32 = 4;
/// The pause before the second of these; it grows.
const FIELDS_PAUSE: Duration = Duration::from_millis(250);

/// What a destination is opened with beside its connection.
#[derive(Clone, Default)]
pub struct Setup {
    /// What answers calls, where it is not the client of the connection's own address.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where requests and answers are written to.
    pub wire_log: Option<Arc<WireLog>>,
    /// The accounts of the run: destinations with the same account share its limits and its access token.
    pub accounts: Accounts,
}

/// Seconds the clock of an answer is ahead of ours.
fn ahead(headers: &Json) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::parse(headers.get("date")?.as_str()?).ok()?.timestamp();
    Some(theirs.as_second() - jiff::Timestamp::now().as_second())
}

/// The client of these addresses, if the connection may lead there.
fn client<'a>(
    connection: &Connection,
    bases: impl Iterator<Item = &'a String>,
    ca_file: Option<PathBuf>,
    redactor: &Redactor,
    log: Option<&Arc<WireLog>>,
) -> Result<Arc<dyn Transport>> {
    let client = Client::new(Settings { ca_file, ..Settings::new(bases) })?;
    client.hosts().try_for_each(|host| connection.permit(host))?;
    Ok(match log {
        Some(log) => Arc::new(Logged::new(client, Arc::clone(log), redactor.clone())),
        None => Arc::new(client),
    })
}

fn told(error: Error) -> SendError {
    SendError::Fatal { message: error.to_string(), help: error.help().map(Into::into) }
}

/// A connector and a connection.
pub struct Http {
    account: Arc<Account>,
}

impl Http {
    /// The destination of a connection. Offline.
    ///
    /// # Errors
    /// The connection lacks a setting, or holds one that does not fit; there is no usable address.
    pub fn new(compiled: Arc<Compiled>, connection: &Connection, setup: &Setup) -> Result<Self> {
        Self::with(compiled, connection, setup, true)
    }

    pub(super) fn with(compiled: Arc<Compiled>, connection: &Connection, setup: &Setup, patient: bool) -> Result<Self> {
        let (values, base, ca_file) = settings::connection(&compiled, connection)?;
        let who = name_hash(&Json::Object(values.clone()).to_string());
        let name = format!("{} {base} {who:x}", compiled.manifest().name);
        let account = setup.accounts.get(name, || {
            let redactor = connection.redactor();
            let token_base = settings::token_base(&compiled, &values)?;
            let transport = match &setup.transport {
                Some(transport) => Arc::clone(transport),
                None => {
                    let bases = [Some(&base), token_base.as_ref()];
                    client(connection, bases.into_iter().flatten(), ca_file, &redactor, setup.wire_log.as_ref())?
                }
            };
            Account::new(compiled, values, (base, token_base), redactor, transport, patient)
        })?;
        Ok(Self { account })
    }

    fn compiled(&self) -> &Compiled {
        &self.account.compiled
    }

    fn object(&self, name: &str) -> Result<&Object> {
        self.compiled().object(name).ok_or_else(|| {
            let connector = &self.compiled().manifest().name;
            let known = self.compiled().objects.keys().map(String::as_str);
            let help = closest(name, known.clone()).map_or_else(
                || format!("there are: {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
                |guess| format!("did you mean `{guess}`?"),
            );
            Error::failed_help(format!("`{connector}` has no object `{name}`"), help)
        })
    }

    fn options(&self, object: &str, given: &Options) -> Result<Map<String, Json>> {
        let mut options = given.clone();
        settings::fill(&self.object(object)?.words.options, &mut options, "options")
            .map_err(|(message, help)| Error::Failed { message: format!("object `{object}`: {message}"), help })?;
        Ok(options)
    }

    fn steps<'a>(&self, object: &'a Object, name: &str, mode: Mode) -> Result<&'a ModeSteps> {
        object.words.modes.get(&mode).ok_or_else(|| {
            let modes: Vec<String> = object.words.modes.keys().map(|mode| format!("`{}`", mode.word())).collect();
            Error::failed_help(
                format!("object `{name}` of `{}` has no mode `{}`", self.compiled().manifest().name, mode.word()),
                format!("use one of {}", modes.join(", ")),
            )
        })
    }

    fn globals(&self, options: Map<String, Json>) -> Layer<'static> {
        Layer::over(None).owning("connection", self.account.connection.clone()).owning("options", Json::Object(options))
    }

    /// Opens an object for a sync: its container is found or made.
    pub(super) async fn open_writer(&self, target: &Target) -> Result<HttpWriter, SendError> {
        self.open_as(target, true).await
    }

    /// The same; `make`: a container that is not there is made.
    async fn open_as(&self, target: &Target, make: bool) -> Result<HttpWriter, SendError> {
        let object = self.object(&target.object).map_err(told)?;
        let options = self.options(&target.object, &target.options).map_err(told)?;
        let mut steps = self.steps(object, &target.object, target.mode).map_err(told)?.clone();
        steps.delete = object.words.delete(target.mode).cloned();
        let names: Vec<&str> = target.matching.iter().map(|field| field.name.as_str()).collect();
        let counter = Counter::default();
        let globals = self
            .globals(options)
            .owning("matched_by", json!(names))
            .owning("field_names", json!(target.fields.iter().map(|field| &field.name).collect::<Vec<_>>()))
            .owning("sync", json!(target.identity))
            .owning("mode", json!(target.mode.word()))
            .owning("operations", json!(target.operations))
            .owning("run_id", json!(target.run_id));
        let container = ask::container(&self.account, object, &globals, make, &counter).await?;
        let hash = name_hash(&format!("{}\u{0}{container}", target.object));
        let globals = globals.owning("container", container);
        let large = object.large.get(&target.mode).filter(|when| when.truth(&globals));
        let large = large.and(steps.large.as_ref()).cloned();
        let known = |name: &str| object.words.fields.contains_key(name);
        let layout = Layout::new(target, known);
        let identifier = |name: &&str| {
            object.words.identifiers.get(*name).map_or((false, FieldType::Any), |id| (id.ignore_case, id.kind))
        };
        let identifiers: Vec<(bool, FieldType)> = names.iter().map(identifier).collect();
        // Who asks for values does not want them written beforehand, too.
        let computes = |operation: &Operation| ["fields", "others"].iter().any(|name| operation.computes(name));
        let json = layout.is_flat()
            && identifiers.iter().zip(&target.matching).all(|((_, kind), field)| is_already(*kind, field))
            && !object.operations.values().any(computes);
        // Failures that are named by identifier name nobody where two records of a request bear the same one.
        let by_key = object.operations.values().any(|operation| operation.outcome.by == By::Key);
        let matched = !object.words.append || by_key;
        let (account, name) = (Arc::clone(&self.account), target.object.clone());
        let writer = HttpWriter::new(account, name, steps, large, layout, globals, identifiers, matched, hash, json);
        writer.counter.add(counter.get());
        Ok(writer)
    }

    /// How many records an object holds at the destination; `None` where that cannot be asked.
    ///
    /// # Errors
    /// The destination does not answer, or refuses.
    pub async fn count(&self, object: &str, options: &Options) -> Result<Option<u64>, SendError> {
        let (object, globals) = self.asking(object, options)?;
        let counter = Counter::default();
        let container = ask::container(&self.account, object, &globals, false, &counter).await?;
        if object.container.is_some() && container.is_null() {
            return Ok(None);
        }
        ask::count(&self.account, object, &globals.owning("container", container), &counter).await
    }

    /// Makes the connector's cheap request that only succeeds with valid credentials; `None` where it has none, else the
    /// seconds its clock is ahead of ours, if it says what time it is.
    ///
    /// # Errors
    /// The destination does not answer, or refuses the credentials.
    pub async fn check(&self) -> Result<Option<Option<i64>>, SendError> {
        let Some(request) = &self.compiled().check else { return Ok(None) };
        let globals = self.globals(Map::new());
        let made = request.make(&globals, None).map_err(fatal)?;
        let counter = Counter::default();
        let exchange = self.account.call(&made, &[], &globals, LostClass::A, &counter).await.map_err(read_only)?;
        if exchange.verdict.class == api::Class::Ok {
            Ok(Some(ahead(&exchange.answer.headers)))
        } else {
            Err(failure(exchange.verdict))
        }
    }

    fn asking(&self, object: &str, options: &Options) -> Result<(&Object, Layer<'static>), SendError> {
        let options = self.options(object, options).map_err(told)?;
        Ok((self.object(object).map_err(told)?, self.globals(options)))
    }
}

/// True when the values of an identifier are of the type it must be.
fn is_already(kind: FieldType, field: &TargetField) -> bool {
    let data_type = match &field.data_type {
        Some(DataType::Dictionary(_, values)) => Some(&**values),
        other => other.as_ref(),
    };
    match kind {
        FieldType::String => {
            let text = [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View];
            field.meaning == Meaning::Itself && data_type.is_some_and(|own| text.contains(own))
        }
        FieldType::Integer => data_type.is_some_and(DataType::is_integer),
        _ => true,
    }
}

#[async_trait]
impl Destination for Http {
    fn capabilities(&self, name: &str, mode: Mode, options: &Options) -> Result<Capabilities> {
        let object = self.object(name)?;
        let steps = self.steps(object, name, mode)?;
        self.options(name, options)?;
        let mut on_removed = vec![OnRemoved::Keep];
        on_removed.extend(steps.clear.is_some().then_some(OnRemoved::Clear));
        let deletes = mode != Mode::Remove && object.words.delete(mode).is_some();
        on_removed.extend(deletes.then_some(OnRemoved::Delete));
        // Row states may have requests of their own; the smaller ones are cut to size by the writer.
        let all = [&steps.send, &steps.added, &steps.changed].into_iter().flatten();
        let all = all.filter_map(|step| object.operations.get(&step.operation));
        let most = all.map(|operation| operation.most).max().unwrap_or(1);
        Ok(Capabilities {
            modes: object.words.modes.keys().copied().collect(),
            on_removed,
            class: match steps.class {
                LostClass::A => Class::A,
                LostClass::B => Class::B,
                LostClass::C => Class::C,
                LostClass::D => Class::D,
            },
            batch_size: u32::try_from(most).unwrap_or(u32::MAX),
            concurrency: self.compiled().manifest().api.concurrency,
            always_opened: false,
            by_state: steps.added.is_some() || steps.changed.is_some(),
            matched: !object.words.append,
        })
    }

    fn normalise(&self, object: &str, identifier: &str, value: &mut Value) {
        let Some(known) = self.compiled().object(object).and_then(|object| object.words.identifiers.get(identifier))
        else {
            return;
        };
        if let Some(typed) = super::writer::identifier(known.kind, value) {
            *value = typed;
        }
        if let (true, Value::Text(text)) = (known.ignore_case, &*value) {
            *value = Value::Text(text.to_lowercase().into());
        }
    }

    fn cost(&self, name: &str, mode: Mode, options: &Options, load: &Load) -> Result<Cost> {
        let object = self.object(name)?;
        let steps = self.steps(object, name, mode)?;
        let operations = load.added + load.changed + load.clear + load.delete;
        let globals = self.globals(self.options(name, options)?).owning("operations", json!(operations));
        Ok(super::cost::cost(&self.account, object, steps, mode, &globals, load))
    }

    async fn fields(&self, object: &str, options: &Options) -> Result<Option<Discovered>, SendError> {
        let (object, globals) = self.asking(object, options)?;
        for attempt in 1..FIELDS_TRIES {
            match ask::fields(&self.account, object, &globals, &Counter::default()).await {
                Err(SendError::Transient { retry_after, .. }) if self.account.patient => {
                    tokio::time::sleep(retry_after.unwrap_or(FIELDS_PAUSE * attempt)).await;
                }
                answer => return answer,
            }
        }
        ask::fields(&self.account, object, &globals, &Counter::default()).await
    }

    async fn count(&self, object: &str, options: &Options) -> Result<Option<u64>, SendError> {
        Http::count(self, object, options).await
    }

    async fn reader(&self, target: &Target) -> Result<Readable, SendError> {
        let object = self.object(&target.object).map_err(told)?;
        if object.read.is_some() {
            return Ok(Readable::Yes(Box::new(HttpReader::new(self.open_as(target, false).await?, target))));
        }
        let usual = || "the connector does not say how these records are read back".to_owned();
        Ok(Readable::No(object.words.unreadable.clone().unwrap_or_else(usual)))
    }

    async fn examine(&self) -> Result<Health, SendError> {
        let Some(clock_ahead) = self.check().await? else {
            let remarks = vec!["the connector has no request that only checks the credentials".to_owned()];
            return Ok(Health { remarks, ..Health::default() });
        };
        let quotas = self.account.quotas(&Counter::default()).await?;
        Ok(Health { credentials: true, quotas, clock_ahead, ..Health::default() })
    }

    async fn open(&self, target: &Target) -> Result<Box<dyn Writer>, SendError> {
        Ok(Box::new(self.open_writer(target).await?))
    }
}
