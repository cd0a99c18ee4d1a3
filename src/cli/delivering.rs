//! From a plan on disk to a run: opens each destination, delivers its operations, keeps what succeeded.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use jiff::Timestamp;

use super::narrowing::{Share, Shares};
use super::outside::{Opened, Outside};
use super::planning;
use super::progress::Progress;
use crate::deliver::{self, Job, RetryPolicy, Stop, Tally};
use crate::destinations::{self, SendError, Target, TargetField};
use crate::diagnostic::{Error, Result};
use crate::manifest::project::StateValues;
use crate::mapping;
use crate::plan::file::{FrozenSync, PlanFolder};
use crate::plan::{OnRequest, Plan, SyncPlan, operations};
use crate::project::{Project, ResolvedSync};
use crate::report::Masked;
use crate::schedule::Outcome;
use crate::state::journal::SyncRecord;
use crate::state::runs::{Run, StateCounts, Status, SyncRun};
use crate::state::{ActiveRun, Locked};

/// What is to be carried out.
pub(super) struct Order<'a> {
    pub plan: &'a Plan,
    pub folder: &'a PlanFolder,
    /// What of a sync is left of its frozen operations where not all is.
    pub shares: &'a Shares,
    /// Syncs of which nothing is delivered, with the reason.
    pub others: Vec<SyncRun>,
    /// When the command began; `None` where only a part of the plan is done, which does not count for schedules.
    pub since: Option<Timestamp>,
    pub wire_log: Option<&'a Path>,
}

/// Carries out a plan. What a destination refuses or fails at is part of the run; an error means that journal or state
/// could not be written, and then the next run picks up where this one ended.
pub(super) fn deliver(project: &Project, locked: &Locked, order: Order) -> Result<Run> {
    let Order { plan, folder, shares, mut others, since, wire_log } = order;
    let bound = folder.bound()?;
    // What is kept with the run is read by whoever reads its history; the values are in the operations alone.
    folder.write(Masked::new(plan).plan(), &bound)?;
    let frozen = bound.syncs;
    let syncs = plan.syncs.iter().filter_map(|part| project.syncs.get(&part.sync));
    let outside = Outside::new(project, syncs.map(|sync| sync.destination.as_str()), wire_log)?;
    let run = locked.begin(&plan.plan_id, folder.path())?;
    let run = match since {
        Some(since) => run.counting_since(since),
        None => run,
    };
    // One thread for all that waits: between two of them each request would wake the other one twice.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("cannot start the delivery: {e}")))?;
    let mut upstream = Upstream::of(&others);
    let stopped = runtime.block_on(async {
        let stop = stop_on_signal()?;
        let progress = Progress::new();
        let mut depot = Depot { project, run: &run, folder: folder.path(), stop: &stop, outside };
        for part in &plan.syncs {
            let (Some(sync), Some(frozen)) = (project.syncs.get(&part.sync), frozen.get(&part.sync)) else { continue };
            let share = shares.get(&part.sync).copied().unwrap_or_else(|| whole(part));
            if stop.is_raised() {
                let stopped = failed(&part.sync, &share, "the run was stopped before this sync began");
                others.push(SyncRun { pending_on_request: on_request(part), ..stopped });
                continue;
            }
            if let Some(reason) = upstream.stops(sync) {
                upstream.stopped(&part.sync);
                others.push(failed(&part.sync, &share, &reason));
                continue;
            }
            progress.begin_counted(&format!("applying {}", part.sync), share.operations);
            let delivered = match depot.one(sync, part, &share, frozen, &progress).await? {
                Ok(delivered) => delivered,
                Err(reason) => {
                    let failed = failed(&part.sync, &share, &reason);
                    others.push(failed.clone());
                    failed
                }
            };
            upstream.ended(&delivered);
        }
        progress.end();
        depot.outside.close();
        Ok::<_, Error>(stop.is_raised())
    })?;
    run.finish(others, stopped.then(|| "stopped by a signal".to_owned()))
}

/// Where all syncs of a run are sent from.
struct Depot<'a> {
    project: &'a Project,
    run: &'a ActiveRun<'a>,
    /// The plan.
    folder: &'a Path,
    stop: &'a Stop,
    outside: Outside<'a>,
}

impl Depot<'_> {
    /// Delivers one sync; the inner error is why it could not even begin.
    async fn one(
        &mut self,
        sync: &ResolvedSync,
        part: &SyncPlan,
        share: &Share,
        frozen: &FrozenSync,
        progress: &Progress,
    ) -> Result<Result<SyncRun, String>> {
        let (run, stop) = (self.run, self.stop);
        let folder = PlanFolder::new(self.folder).operations(&part.sync);
        let values = self.project.environment.state.values == StateValues::Full;
        let Opened { destination, redactor } = match self.outside.destination(&sync.destination) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let capabilities = match destination.capabilities(&sync.sync.object, sync.sync.mode, &sync.sync.options) {
            Ok(capabilities) => capabilities,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let retry = RetryPolicy::default();
        // Where nothing is to be done, the destination is left alone: the state alone takes note.
        let writer: Box<dyn destinations::Writer> = if share.operations == 0 && !capabilities.always_opened {
            Box::new(Untouched)
        } else {
            run.note_begun(&part.sync)?;
            let mut target = target(sync, frozen, operations::schema(&folder)?, &run.run_id());
            target.operations = share.operations;
            target.identity = run.identity(&sync.name)?;
            match deliver::open(&*destination, &target, &retry, stop).await {
                Ok(writer) => writer,
                Err(error) => return Ok(Err(redactor.redact(&words(&error)))),
            }
        };
        let mapper = deliver::mapper::SpecMapper::new(frozen.mapping.clone(), frozen.started_at.clone())
            .written(writer.takes_json());
        let delivery = &sync.sync.delivery;
        let job = Job {
            record: SyncRecord {
                number: 0,
                sync: sync.name.clone(),
                model: part.model.clone(),
                destination: part.destination.clone(),
                sent_to: Some(planning::target::of(self.project, sync)),
                class: capabilities.class,
                on_doubt: delivery.on_doubt.into(),
                values,
                key: frozen.key.clone(),
                key_open: part.key_open,
                mapping: frozen.mapping.clone(),
                queried_records: part.estimate.queried_records,
                model_rows: Some(part.counts.rows),
                way: Some(sync.way()),
                unchanged: part.counts.unchanged.saturating_sub(part.held.total()),
                invalid: part.counts.invalid,
            },
            batch_size: delivery.batch_size.unwrap_or(capabilities.batch_size),
            concurrency: delivery.concurrency.unwrap_or(capabilities.concurrency),
            by_state: capabilities.by_state,
            by_run: capabilities.always_opened,
            max_rejected: delivery.max_rejected,
            total: share.operations,
            left_out: share.left_out,
            mapper: Box::new(mapper),
            retry,
        };
        deliver::deliver(run, job, &*writer, stop, &Shown(progress)).await.map(Ok)
    }
}

fn whole(part: &SyncPlan) -> Share {
    Share { rows: planned(part), operations: part.operations.at_destination(), left_out: 0 }
}

fn target(sync: &ResolvedSync, frozen: &FrozenSync, schema: Option<SchemaRef>, run_id: &str) -> Target {
    let schema = schema.unwrap_or_else(|| Arc::new(arrow_schema::Schema::empty()));
    let matching = frozen.mapping.matching.iter().map(|(name, column)| TargetField {
        name: name.clone(),
        on_null: Default::default(),
        write: Default::default(),
        data_type: schema.field_with_name(column).ok().map(|field| field.data_type().clone()),
        meaning: schema.field_with_name(column).map_or(mapping::Meaning::Itself, mapping::Meaning::of),
    });
    let fields = frozen.mapping.fields.iter().map(|(name, field)| TargetField {
        name: name.clone(),
        on_null: field.on_null,
        write: field.write,
        data_type: mapping::data_type(field, &schema),
        meaning: mapping::meaning(field, &schema),
    });
    Target {
        sync: sync.name.clone(),
        identity: sync.name.clone(),
        object: sync.sync.object.clone(),
        mode: sync.sync.mode,
        on_removed: sync.on_removed,
        matching: matching.collect(),
        fields: fields.collect(),
        options: sync.sync.options.clone(),
        run_id: run_id.to_owned(),
        operations: 0,
    }
}

/// What a plan says of a sync, as runs count it.
pub(super) fn planned(part: &SyncPlan) -> StateCounts {
    StateCounts { added: part.counts.added, changed: part.counts.changed, removed: part.counts.removed }
}

/// How the syncs of a run ended so far, for those that run after them.
struct Upstream {
    ended: HashMap<String, Outcome>,
    /// Those that were not run because of one before them.
    stopped: HashSet<String>,
}

impl Upstream {
    fn of(others: &[SyncRun]) -> Self {
        let ended = others.iter().map(|sync| (sync.sync.clone(), sync.outcome())).collect();
        Self { ended, stopped: HashSet::new() }
    }

    fn ended(&mut self, sync: &SyncRun) {
        self.ended.insert(sync.sync.clone(), sync.outcome());
    }

    fn stopped(&mut self, sync: &str) {
        self.ended.insert(sync.to_owned(), Outcome::Failed);
        self.stopped.insert(sync.to_owned());
    }

    /// Why a sync must not run, if one it runs after has ended badly in this run.
    fn stops(&self, sync: &ResolvedSync) -> Option<String> {
        let schedule = sync.sync.schedule.as_ref()?;
        let policy = schedule.on_upstream_failure.unwrap_or_default();
        let mut known = schedule.after.iter().flatten().filter_map(|name| Some((name, self.ended.get(name)?)));
        let (name, outcome) = known.find(|(_, outcome)| outcome.stops(policy))?;
        let what = if self.stopped.contains(name) { "was not run" } else { outcome.words() };
        let place = planning::place(sync, "/schedule/on_upstream_failure").map(|place| format!(", {place}"));
        let (word, place) = (policy.word(), place.unwrap_or_default());
        Some(format!("not run: `{name}` before it {what} (`on_upstream_failure: {word}`{place})"))
    }
}

/// Rows of a sync that did not begin, and that come again only when they are asked for.
fn on_request(part: &SyncPlan) -> OnRequest {
    let again = part.causes.retry.saturating_sub(part.causes.unanswered);
    // Held rows are sent with `--full-refresh` as well.
    OnRequest { full_refresh: again, retry: 0, refresh: part.causes.drift }
}

/// The record of a sync of which nothing was delivered.
pub(super) fn failed(sync: &str, share: &Share, reason: &str) -> SyncRun {
    SyncRun {
        sync: sync.to_owned(),
        status: Status::Failed,
        planned: share.rows,
        pending: share.rows.total(),
        left_out: share.left_out,
        error: Some(reason.to_owned()),
        ..SyncRun::default()
    }
}

fn words(error: &SendError) -> String {
    match error {
        SendError::Fatal { message, help: Some(help) } => format!("{message}; {help}"),
        other => other.to_string(),
    }
}

/// A wish to stop that SIGINT and SIGTERM raise.
fn stop_on_signal() -> Result<Stop> {
    use tokio::signal::unix::{SignalKind, signal};
    let (raise, stop) = deliver::stop::channel();
    let listen = |kind| signal(kind).map_err(|e| Error::failed(format!("cannot listen for signals: {e}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    // One that came just before this listened counts, too.
    let came = super::interrupt::seen();
    tokio::spawn(async move {
        tokio::select! {
            () = std::future::ready(()), if came => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::warn!("stopping: what is on its way may land for up to 5 s");
        raise.raise();
    });
    Ok(stop)
}

struct Shown<'a>(&'a Progress);

impl deliver::Progress for Shown<'_> {
    fn advance(&self, tally: &Tally) {
        self.0.position(tally.done);
    }
}

/// The destination of a sync that has nothing to send.
struct Untouched;

#[async_trait::async_trait]
impl destinations::Writer for Untouched {
    async fn send(&self, batch: &destinations::Batch) -> Result<destinations::Sent, SendError> {
        let message = format!("{} records were to be sent where the plan has none", batch.operations.len());
        Err(SendError::Fatal { message, help: None })
    }

    async fn settle(&self, _: &[(u64, String)]) -> Result<Vec<(u64, Vec<destinations::Outcome>)>, SendError> {
        Ok(Vec::new())
    }
}
