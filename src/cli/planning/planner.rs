//! One sync: its model is read and compared with the state, and its operations are frozen.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;

use super::super::discovering::{self, Discoverer};
use super::super::watching::Watch;
use super::metering::Meter;
use super::opened::Sources;
use super::refreshing::{self, Refreshed};
use super::retyped::Retyped;
use super::spool::{Keep, Spool};
use super::testing::Tester;
use super::{Request, remarks, target};
use crate::connectors::Setup;
use crate::destinations::{self, Load};
use crate::diagnostic::{Error, Result};
use crate::diff::{self, HashKey, snapshot::Layout};
use crate::manifest::document::escape;
use crate::manifest::sync::{Guards, Mode, OnRemoved};
use crate::mapping::{Fault, Mapping, Used, columns_of};
use crate::plan::collect::{Collector, Rules};
use crate::plan::file::{FrozenSync, PlanFolder};
use crate::plan::footprint::{Comparing, Footprint};
use crate::plan::former::Left;
use crate::plan::identities::{Namer, Normalise, Observed, Records};
use crate::plan::{Estimate, Notice, SyncPlan, guards, operations};
use crate::project::{Project, ResolvedModel, ResolvedSync};
use crate::sources;
use crate::state::formers::{self, Former};
use crate::state::{Reading, SyncView};

/// Bytes of memory a diff stays within.
pub(super) const MEMORY: usize = 512 * 1024 * 1024;

/// Plans one sync after another; what they have in common is opened once.
pub(super) struct Planner<'a> {
    project: &'a Project,
    key: &'a HashKey,
    state: &'a Reading,
    request: &'a Request<'a>,
    folder: &'a PlanFolder,
    pub started_at: String,
    sources: Sources<'a>,
    tester: Tester<'a>,
    pub discoverer: Discoverer<'a>,
    /// What decides the records of each sync planned so far.
    pub frozen: IndexMap<String, FrozenSync>,
    pub warnings: Vec<Notice>,
    /// Why syncs planned so far are refused, beside guards and tests.
    pub refusals: Vec<Notice>,
    pub meter: Meter,
}

impl<'a> Planner<'a> {
    pub fn new(
        project: &'a Project,
        key: &'a HashKey,
        state: &'a Reading,
        request: &'a Request<'a>,
        folder: &'a PlanFolder,
        now: jiff::Timestamp,
    ) -> Self {
        Self {
            project,
            key,
            state,
            request,
            folder,
            started_at: format!("{now:.0}"),
            sources: Sources::new(project),
            tester: Tester::new((project, state), (now, request.samples), request.folder, request.selection.no_tests),
            discoverer: Discoverer::new(project, state),
            frozen: IndexMap::new(),
            warnings: Vec::new(),
            refusals: Vec::new(),
            meter: Meter::new(folder.path()),
        }
    }
}

/// What one sync is planned with, beside what it says itself.
pub(super) struct Ask<'s> {
    /// The guards that hold.
    pub guards: Guards,
    /// What its changes are held against.
    pub comparing: Comparing,
    /// The rows, when they have been read before.
    pub rows: Option<&'s Spool>,
    /// What the destination was found to hold (`--refresh`).
    pub refreshed: Option<&'s mut Refreshed>,
}

impl Planner<'_> {
    /// One sync: its part of the plan, its operations frozen.
    pub fn sync(&mut self, sync: &ResolvedSync, ask: Ask) -> Result<SyncPlan> {
        self.plan(sync, ask, None).map(|(part, _)| part)
    }

    /// What a sync would do, for a comparison; the rows are kept with the columns named, for another reading.
    pub fn footprint(
        &mut self,
        sync: &ResolvedSync,
        keep: Option<Keep>,
        refreshed: Option<&mut Refreshed>,
    ) -> Result<(Footprint, Option<Spool>)> {
        let comparing = Comparing::Noting(Footprint::default());
        let ask = Ask { guards: sync.guards.clone(), comparing, rows: None, refreshed };
        let mut spool = None;
        let kept = keep.map(|keep| (keep, &mut spool));
        let (_, footprint) = self.plan(sync, ask, kept)?;
        Ok((footprint, spool))
    }

    fn plan(
        &mut self,
        sync: &ResolvedSync,
        ask: Ask,
        kept: Option<(Keep, &mut Option<Spool>)>,
    ) -> Result<(SyncPlan, Footprint)> {
        let model = self.project.models.get(&sync.model).ok_or_else(|| Error::failed("its model is gone"))?;
        self.sources.open(&model.source)?;
        let destination: Arc<dyn destinations::Destination> = Arc::from(self.destination(sync)?);
        let capabilities = destination.capabilities(&sync.sync.object, sync.sync.mode, &sync.sync.options)?;
        let origin = origin(self.project, model);
        let schema = sources::with_unknown(self.sources.schema(model)?, || needed(sync, model));
        let faults = self.project.mapping_faults(sync, &sync.mapping.check(&schema, &model.columns));
        // What is only compared with is neither tested nor asked for: what will be applied is.
        let compared = matches!(ask.comparing, Comparing::Noting(_));
        let tested = if compared { Ok(Rc::default()) } else { self.tester.model(model, &mut self.sources) };
        let tests = match (tested, faults) {
            (Ok(tests), faults) if faults.is_empty() => tests,
            (Err(Error::Invalid(broken)), faults) => {
                return Err(Error::Invalid(broken.into_iter().chain(faults).collect()));
            }
            (Ok(_), faults) => return Err(Error::Invalid(faults)),
            (Err(error), _) => return Err(error),
        };
        let source = self.sources.get(&model.source).ok_or_else(|| Error::failed("its source is gone"))?;
        if !compared {
            discovering::check(&mut self.discoverer, self.project, sync, &schema)?;
        }
        let used =
            sync.mapping.columns().map_err(|faults| Error::Invalid(self.project.mapping_faults(sync, &faults)))?;
        let columns: Option<Vec<String>> = match used {
            Used::Columns(columns) => Some(columns.into_iter().collect()),
            Used::All => None,
        };
        let names = columns.clone().unwrap_or_else(|| schema.fields().iter().map(|f| f.name().clone()).collect());
        let layout = Layout::new(&schema, &names, &model.primary_key)
            .map_err(|e| diff_failed(self.project, sync, &origin, e))?;
        let mapping = Mapping::new(&sync.mapping, &layout.schema, &self.started_at)
            .map_err(|faults| Error::Invalid(self.project.mapping_faults(sync, &faults)))?;

        let mut view = self.state.view_for(&sync.name, sync.sync.moved_from.as_deref(), Some(sync.way()))?;
        if self.request.adopting {
            view.held.retain(|_, held| held.reason != diff::HeldReason::InDoubt);
        }
        if !compared && !self.request.adopting {
            target::check(self.project, sync, &view)?;
        }
        let retyped = if compared { None } else { Some(Retyped::find(model, &layout, &view)?) };
        let acknowledged = view.snapshot.as_ref().map_or(0, |s| s.rows());
        let rules = Rules {
            mode: sync.sync.mode,
            on_removed: sync.on_removed,
            samples: self.request.samples,
            open_fields: open_fields(sync, model),
        };
        let operations = operations::Writer::create(&self.folder.operations(&sync.name))?;
        let removes = sync.on_removed != OnRemoved::Keep;
        let shares = matches!(sync.sync.mode, Mode::Update | Mode::Upsert | Mode::Mirror);
        let matched = capabilities.matched && formers::can_change(&sync.mapping) && (removes || shares);
        let namer = matched
            .then(|| Namer::new(self.key, &sync.mapping, normalise(Arc::clone(&destination), &sync.sync.object)));
        let watch = watch(sync, model, &view, namer.clone());
        let records = watch.identifiers.as_ref().map(|(_, namer, observed)| {
            Records::new(namer.clone(), observed.clone(), removes, view.formers.0.values().map(Former::key_hash))
        });
        let place = format!("{} {}", sync.destination, sync.sync.object);
        let collector = Collector::new(rules, &mapping, operations).watching(records);
        let mut collector = collector.comparing(ask.comparing, place);
        let scratch = tempfile::tempdir_in(self.folder.path())
            .map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", self.folder.path().display())))?;
        let options = diff::Options {
            memory: MEMORY,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            scratch: scratch.path().to_owned(),
            // What was refused is tried again in any mode.
            retry: self.request.selection.retry || self.request.selection.full_refresh,
            full_refresh: self.request.selection.full_refresh && sync.sync.mode.sends_changed(),
            started_at: self.started_at.clone(),
            queried: Some(scratch.path().join("queried")),
            drift: ask.refreshed.as_ref().filter(|refreshed| !refreshed.drift.is_empty()).map(|r| Arc::clone(&r.drift)),
        };
        let read = |columns: Option<&[String]>| source.read(&model.query, columns).map_err(|e| e.context(&origin));
        let rows = match (ask.rows, kept) {
            (Some(spool), _) => spool.read()?,
            (None, Some((keep, spool))) => {
                let (rows, made) = Spool::keep(read(keep.columns(columns).as_deref())?, self.folder.path())?;
                *spool = Some(made);
                rows
            }
            (None, None) => read(columns.as_deref())?,
        };
        // What is only compared with is not looked for.
        let mut refreshed = ask.refreshed.filter(|_| !compared);
        let summary = diff::diff(
            watch.over(retyped.iter().fold(rows, |rows, retyped| retyped.over(rows))),
            &layout,
            &mapping,
            view.snapshot.as_ref(),
            view.doubt.as_ref(),
            &view.held,
            self.key,
            &options,
            &mut |batch| {
                refreshed.iter_mut().try_for_each(|refreshed| refreshed.take(&batch))?;
                Ok(collector.take(&batch)?)
            },
        )
        .map_err(|e| diff_failed(self.project, sync, &origin, e))?;
        let queried = summary.keys;
        if let Some(keys) = &options.queried {
            self.meter.take(&model.name, keys)?;
        }
        let again = options.retry || options.full_refresh;
        collector.take_left(left(sync, &view, again))?;
        collector.forget_held(watch.left())?;
        let (mut part, said, footprint) = collector.finish(summary)?;
        part.sync = sync.name.clone();
        part.model = sync.model.clone();
        part.destination = sync.destination.clone();
        part.object = sync.sync.object.clone();
        part.mode = sync.sync.mode.word().into();
        part.key_open = is_key_open(model);
        part.guards = guards::evaluate(&ask.guards, &part.counts, part.keyless(), acknowledged, view.first_run);
        let batch = u64::from(sync.sync.delivery.batch_size.unwrap_or(capabilities.batch_size).max(1));
        let operations = &part.operations;
        let added = part.counts.added.min(operations.send);
        let load = Load {
            added,
            changed: operations.send - added,
            clear: operations.clear,
            delete: operations.delete,
            batch_size: batch,
        };
        let cost = destination.cost(&sync.sync.object, sync.sync.mode, &sync.sync.options, &load)?;
        part.estimate = Estimate { requests: cost.requests, seconds: cost.seconds, queried_records: queried };
        if let Some(refreshed) = refreshed {
            let refresh = refreshed.finish()?;
            self.warnings.extend(refreshing::notices(sync, &refresh));
            part.refresh = Some(refresh);
        }
        if let Some(retyped) = retyped {
            let [refusals, warnings] = retyped.told(sync, model, &part);
            self.refusals.extend(refusals);
            self.warnings.extend(warnings);
        }
        remarks::warn(&mut self.warnings, sync, &part, &said, matched && removes);
        if self.request.selection.full_refresh && !sync.sync.mode.sends_changed() && part.counts.unchanged > 0 {
            self.warnings.push(remarks::sent_once(sync));
        }
        self.warnings.extend(self.tester.left_out(model, &sync.name));
        let warnings = tests.iter().filter(|test| !test.refuses());
        self.warnings.extend(warnings.filter_map(|test| test.notice(&sync.name)));
        part.tests.clone_from(&tests);
        // The types of an empty model are a guess; what the state has stays true.
        let key = match &view.snapshot {
            Some(snapshot) if part.counts.rows == 0 => snapshot.meta().key.clone(),
            _ => layout.key_types(),
        };
        let frozen = FrozenSync { key, mapping: sync.mapping.clone(), started_at: self.started_at.clone() };
        self.frozen.insert(sync.name.clone(), frozen);
        Ok((part, footprint))
    }

    /// The destination, to ask what it offers. Its secrets are not needed for that: a plan is made where the source can
    /// be read, and that apply will miss them is a warning.
    fn destination(&mut self, sync: &ResolvedSync) -> Result<Box<dyn destinations::Destination>> {
        let (kind, connection) = match self.project.destination_connection(&sync.destination) {
            Ok(found) => found,
            Err(error) => {
                self.warnings.push(Notice {
                    code: "destination_not_ready".into(),
                    sync: Some(sync.name.clone()),
                    message: format!("`{}` can be planned, but not applied from here: {error}", sync.name),
                    help: error.help().map(str::to_owned),
                    ..Notice::default()
                });
                self.project.destination_offline(&sync.destination)?
            }
        };
        destinations::open(&kind, &connection, &Setup::default())
    }
}

fn normalise(destination: Arc<dyn destinations::Destination>, object: &str) -> Normalise {
    let object = object.to_owned();
    Arc::new(move |name, value| destination.normalise(&object, name, value))
}

/// What is looked for in the rows of a model; nothing where its rows are matched by their key and none is held.
fn watch(sync: &ResolvedSync, model: &ResolvedModel, view: &SyncView, namer: Option<Namer>) -> Watch {
    let columns: Vec<String> = sync.mapping.matching.values().cloned().collect();
    Watch {
        identifiers: namer.map(|namer| (columns, namer, Observed::default())),
        held: (!view.waiting.is_empty()).then(|| (model.primary_key.clone(), Arc::new(view.waiting.clone()))),
        ..Watch::default()
    }
}

/// Records earlier runs left behind. Those the destination has refused to remove are tried when all is tried again, and
/// those that had other identifiers cannot be named.
fn left(sync: &ResolvedSync, view: &SyncView, again: bool) -> Vec<Left> {
    let formers = view.formers.0.iter().filter(|(_, former)| again || !former.refused);
    let left = formers.filter_map(|(name, former)| {
        let matching = formers::identifiers(&sync.mapping, name)?;
        Some(Left { key: former.key.clone(), key_hash: former.key_hash(), matching })
    });
    left.collect()
}

/// Fields and identifiers that show no personal data: constants, and those made only of columns declared
/// `sensitive: false`.
pub fn open_fields(sync: &ResolvedSync, model: &ResolvedModel) -> HashSet<String> {
    let open = |columns: Used| match columns {
        Used::Columns(columns) => columns.iter().all(|column| !is_sensitive(model, column)),
        Used::All => false,
    };
    let fields = sync.mapping.fields.iter().filter(|(_, field)| open(columns_of(field)));
    let identifiers = sync.mapping.matching.iter().filter(|(_, column)| !is_sensitive(model, column));
    fields.map(|(name, _)| name.clone()).chain(identifiers.map(|(name, _)| name.clone())).collect()
}

/// True when the keys of a sync's rows may be read, as their columns are declared `sensitive: false`.
pub fn key_open(project: &Project, sync: &str) -> bool {
    let model = project.syncs.get(sync).and_then(|sync| project.models.get(&sync.model));
    model.is_some_and(is_key_open)
}

fn is_key_open(model: &ResolvedModel) -> bool {
    !model.primary_key.iter().any(|key| is_sensitive(model, key))
}

pub(super) fn is_sensitive(model: &ResolvedModel, column: &str) -> bool {
    model.columns.get(column).and_then(|c| c.sensitive).unwrap_or(true)
}

/// A source and the manifest that says how it is reached.
pub(super) fn source_text(project: &Project, name: &str) -> String {
    let file = project.sources.get(name).map(|source| format!(" ({})", source.file().display()));
    format!("source `{name}`{}", file.unwrap_or_default())
}

/// Where the rows of a model come from, in front of what went wrong with them: the source, and the place of the query.
/// Which sync it is, is said by whoever speaks of more than one.
pub(super) fn origin(project: &Project, model: &ResolvedModel) -> String {
    let place = place_of_query(model).map(|place| format!(" ({place})")).unwrap_or_default();
    format!("{}, model `{}`{place}", source_text(project, &model.source), model.name)
}

/// Where a model says what is read.
pub(super) fn place_of_query(model: &ResolvedModel) -> Option<String> {
    let forms = ["/sql", "/sql_file", "/table", "/dbt"];
    forms.iter().filter_map(|form| model.place_of(form)).next().map(|place| place.to_string())
}

/// The columns a sync and its model name.
fn needed(sync: &ResolvedSync, model: &ResolvedModel) -> Vec<String> {
    let used = match sync.mapping.columns() {
        Ok(Used::Columns(columns)) => columns,
        // A template of the whole row names none; a faulty one is reported with all other faults.
        Ok(Used::All) | Err(_) => sync.mapping.matching.values().cloned().collect(),
    };
    used.into_iter().chain(model.primary_key.iter().cloned()).chain(model.columns.keys().cloned()).collect()
}

fn diff_failed(project: &Project, sync: &ResolvedSync, origin: &str, error: diff::DiffError) -> Error {
    if let diff::DiffError::Template { field, message } = &error {
        let pointer = format!("/fields/{}/template", escape(field));
        let help =
            Some("give the filter or test what it takes, e.g. `replace('from', 'to')`; no row is to blame".into());
        let fault = Fault { pointer, code: "template-failed", message: message.clone(), help, range: None };
        return Error::Invalid(project.mapping_faults(sync, &[fault]));
    }
    if let diff::DiffError::KeyChanged { .. } = error {
        let name = &sync.name;
        return Error::Refused {
            code: "key_changed",
            place: super::place(sync, "/model"),
            message: format!("sync `{name}`: the key changed: {error}; every row would be sent again"),
            help: Some(format!(
                "keep what was acknowledged: `syncline state move {name} --rekey`; or start anew: `syncline state forget {name}`"
            )),
        };
    }
    Error::from(error).context(origin)
}
