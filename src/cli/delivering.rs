//! From a plan on disk to a run: opens each destination, delivers its operations, keeps what succeeded.

use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::progress::Progress;
use crate::connectors::Setup;
use crate::deliver::{self, Job, Mapper, RetryPolicy, Stop, Tally};
use crate::destinations::{self, SendError, Target, TargetField};
use crate::diagnostic::{Error, Result};
use crate::manifest::project::StateValues;
use crate::mapping;
use crate::plan::file::{FrozenSync, PlanFolder};
use crate::plan::{Plan, SyncPlan, operations};
use crate::project::{Project, ResolvedSync};
use crate::state::journal::SyncRecord;
use crate::state::runs::{Run, StateCounts, Status, SyncRun};
use crate::state::{ActiveRun, Locked};

/// Carries out a plan. What a destination refuses or fails at is part of the run; an error means that journal or state
/// could not be written, and then the next run picks up where this one ended.
pub(super) fn deliver(
    project: &Project,
    locked: &Locked,
    plan: &Plan,
    folder: &PlanFolder,
    failures: Vec<(String, Error)>,
) -> Result<Run> {
    let frozen = folder.bound()?.syncs;
    let run = locked.begin(&plan.plan_id, folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("cannot start the delivery: {e}")))?;
    let mut others: Vec<SyncRun> =
        failures.iter().map(|(sync, error)| failed(sync, None, &error.to_string())).collect();
    let stopped = runtime.block_on(async {
        let stop = stop_on_signal()?;
        let progress = Progress::new();
        for part in &plan.syncs {
            let (Some(sync), Some(frozen)) = (project.syncs.get(&part.sync), frozen.get(&part.sync)) else { continue };
            if stop.is_raised() {
                others.push(failed(&part.sync, Some(part), "the run was stopped before this sync began"));
                continue;
            }
            let todo = part.operations.at_destination();
            progress.begin_counted(&format!("applying {}", part.sync), todo);
            if let Err(reason) = one(project, &run, sync, part, frozen, folder.path(), &stop, &progress).await? {
                others.push(failed(&part.sync, Some(part), &reason));
            }
        }
        progress.end();
        Ok::<_, Error>(stop.is_raised())
    })?;
    run.finish(others, stopped.then(|| "stopped by a signal; the next apply goes on from here".to_owned()))
}

/// Delivers one sync; the inner error is why it could not even begin.
#[allow(clippy::too_many_arguments)]
async fn one(
    project: &Project,
    run: &ActiveRun<'_>,
    sync: &ResolvedSync,
    part: &SyncPlan,
    frozen: &FrozenSync,
    folder: &Path,
    stop: &Stop,
    progress: &Progress,
) -> Result<Result<(), String>> {
    let folder = PlanFolder::new(folder).operations(&part.sync);
    let (kind, connection) = match project.destination_connection(&sync.destination) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let opened = destinations::open(&kind, &connection, &Setup::default()).and_then(|destination| {
        Ok((destination.capabilities(&sync.sync.object, sync.sync.mode, &sync.sync.options)?, destination))
    });
    let (capabilities, destination) = match opened {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let todo = part.operations.at_destination();
    // Where nothing is to be done, the destination is left alone: the state alone takes note.
    let writer: Box<dyn destinations::Writer> = if todo == 0 && !capabilities.always_opened {
        Box::new(Untouched)
    } else {
        let mut target = target(sync, frozen, operations::schema(&folder)?, &run.run_id());
        target.operations = todo;
        match destination.open(&target).await {
            Ok(writer) => writer,
            Err(error) => return Ok(Err(connection.redactor().redact(&words(&error)))),
        }
    };
    let mut mapper = deliver::mapper::SpecMapper::new(frozen.mapping.clone(), frozen.started_at.clone());
    let delivery = &sync.sync.delivery;
    let job = Job {
        record: SyncRecord {
            number: 0,
            sync: sync.name.clone(),
            class: capabilities.class,
            on_doubt: delivery.on_doubt.into(),
            values: project.environment.state.values == StateValues::Full,
            key: frozen.key.clone(),
            mapping: frozen.mapping.clone(),
            queried_records: part.estimate.queried_records,
        },
        batch_size: delivery.batch_size.unwrap_or(capabilities.batch_size),
        concurrency: delivery.concurrency.unwrap_or(capabilities.concurrency),
        max_rejected: delivery.max_rejected,
        total: todo,
        mapper: &mut mapper as &mut dyn Mapper,
        retry: RetryPolicy::default(),
    };
    deliver::deliver(run, job, &*writer, stop, &Shown(progress)).await.map(|_| Ok(()))
}

fn target(sync: &ResolvedSync, frozen: &FrozenSync, schema: Option<SchemaRef>, run_id: &str) -> Target {
    let schema = schema.unwrap_or_else(|| Arc::new(arrow_schema::Schema::empty()));
    let matching = frozen.mapping.matching.iter().map(|(name, column)| TargetField {
        name: name.clone(),
        on_null: Default::default(),
        write: Default::default(),
        data_type: schema.field_with_name(column).ok().map(|field| field.data_type().clone()),
    });
    let fields = frozen.mapping.fields.iter().map(|(name, field)| TargetField {
        name: name.clone(),
        on_null: field.on_null,
        write: field.write,
        data_type: mapping::data_type(field, &schema),
    });
    Target {
        sync: sync.name.clone(),
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

/// The record of a sync of which nothing was delivered.
fn failed(sync: &str, part: Option<&SyncPlan>, reason: &str) -> SyncRun {
    let planned = part.map_or(StateCounts::default(), planned);
    SyncRun {
        sync: sync.to_owned(),
        status: Status::Failed,
        planned,
        pending: planned.total(),
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
    tokio::spawn(async move {
        tokio::select! {
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
