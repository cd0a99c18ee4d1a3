//! From a project and its state to a plan on disk: what `plan` and `apply` do alike.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::discovering::{self, Discoverer};
use super::{Format, Selection, progress::Progress, terminal, watching::Watch};
use crate::connectors::Setup;
use crate::destinations::{self, Load};
use crate::diagnostic::{Diagnostic, Error, Result, closest};
use crate::diff::{self, HashKey, snapshot::Layout};
use crate::manifest::sync::{Mode, OnRemoved};
use crate::mapping::{Mapping, Used, columns_of};
use crate::plan::collect::{Collector, Remarks, Rules};
use crate::plan::file::{Bound, FORMAT_VERSION, FrozenSync, PlanFolder};
use crate::plan::former::Left;
use crate::plan::identities::{Namer, Normalise, Observed, Records};
use crate::plan::{Estimate, Notice, Plan, ProjectInfo, SyncPlan, Totals, guards, operations};
use crate::project::{Project, ResolvedModel, ResolvedSync, tree};
use crate::report::{self, Masked};
use crate::sources::{self, Source};
use crate::state::formers::{self, Former};
use crate::state::{Reading, SyncView};

/// Bytes of memory a diff stays within.
const MEMORY: usize = 512 * 1024 * 1024;

/// What is asked of a plan.
pub(super) struct Request<'a> {
    pub selection: &'a Selection,
    /// Samples per row state.
    pub samples: usize,
    /// Where plan and operations are written; a new folder.
    pub folder: &'a Path,
}

/// A plan, on disk, and the syncs that could not be planned.
pub(super) struct Planned {
    pub plan: Plan,
    pub folder: PlanFolder,
    pub failures: Vec<(String, Error)>,
}

/// Plans the selected syncs. Faults of manifests against the model's columns end it with all of them listed; a source
/// that fails takes only its own syncs along.
pub(super) fn make(
    project: &Project,
    key: &HashKey,
    state: &Reading,
    request: &Request,
    progress: &Progress,
) -> Result<Planned> {
    let selected = project.select(&request.selection.select)?;
    known_syncs(project, request.selection)?;
    let now = jiff::Timestamp::now();
    let folder = PlanFolder::new(request.folder);
    let mut planner = Planner {
        project,
        key,
        state,
        request,
        frozen: IndexMap::new(),
        folder: &folder,
        started_at: format!("{now:.0}"),
        sources: HashMap::new(),
        discoverer: Discoverer::new(project, state),
        diagnostics: Vec::new(),
        warnings: Vec::new(),
    };
    let mut plan = Plan {
        format_version: FORMAT_VERSION.into(),
        plan_id: uuid::Uuid::now_v7().to_string(),
        digest: project.digest.clone(),
        created_at: planner.started_at.clone(),
        environment: project.environment.name.clone(),
        project: ProjectInfo { name: project.name.clone(), commit: tree::commit(&project.root), against: None },
        complete: selected.len() == project.syncs.len(),
        ..Plan::default()
    };
    let mut failures = Vec::new();
    for name in project.order().into_iter().filter(|name| selected.contains(name)) {
        let Some(sync) = project.syncs.get(&name) else { continue };
        progress.begin(&format!("planning {name}"));
        match planner.sync(sync) {
            Ok(part) => {
                plan.refusals.extend(guards::refusals(&part, |guard| place(sync, &format!("/guards/{guard}"))));
                plan.syncs.push(part);
            }
            Err(Error::Invalid(diagnostics)) => planner.diagnostics.extend(diagnostics),
            Err(Error::Refused { message, help }) => {
                let place = place(sync, "/model");
                plan.refusals.push(Notice { code: "key_changed".into(), sync: Some(name), message, help, place });
            }
            Err(error) => failures.push((name, error)),
        }
    }
    progress.end();
    if !planner.diagnostics.is_empty() {
        return Err(Error::Invalid(planner.diagnostics));
    }
    plan.complete &= failures.is_empty();
    plan.warnings = planner.warnings;
    plan.warnings.append(&mut planner.discoverer.warnings);
    for (name, error) in &failures {
        plan.warnings.push(Notice {
            code: "not_planned".into(),
            sync: Some(name.clone()),
            message: format!("`{name}` could not be planned: {error}"),
            help: error.help().map(str::to_owned),
            place: None,
        });
    }
    plan.totals = totals(&plan.syncs);
    budget(project, &mut plan);
    // Before it is written: what was allowed and reviewed is what `apply FILE` does.
    guards::allow(&mut plan, &request.selection.allow);
    let bound = Bound {
        format_version: FORMAT_VERSION.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        plan_id: plan.plan_id.clone(),
        digest: plan.digest.clone(),
        environment: plan.environment.clone(),
        lineage: state.lineage().to_owned(),
        serial: state.serial(),
        syncs: planner.frozen,
    };
    folder.write(&plan, &bound)?;
    Ok(Planned { plan, folder, failures })
}

struct Planner<'a> {
    project: &'a Project,
    key: &'a HashKey,
    state: &'a Reading,
    frozen: IndexMap<String, FrozenSync>,
    request: &'a Request<'a>,
    folder: &'a PlanFolder,
    started_at: String,
    sources: HashMap<String, Box<dyn Source>>,
    discoverer: Discoverer<'a>,
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Notice>,
}

impl Planner<'_> {
    fn sync(&mut self, sync: &ResolvedSync) -> Result<SyncPlan> {
        let model = self.project.models.get(&sync.model).ok_or_else(|| Error::failed("its model is gone"))?;
        self.open_source(&model.source)?;
        let destination: Arc<dyn destinations::Destination> = Arc::from(self.destination(sync)?);
        let capabilities = destination.capabilities(&sync.sync.object, sync.sync.mode, &sync.sync.options)?;
        let source = self.sources.get(&model.source).ok_or_else(|| Error::failed("its source is gone"))?;
        let origin = origin(self.project, model);
        let schema = source.schema(&model.query).map_err(|e| e.context(&origin))?;
        let schema = sources::with_unknown(schema, || needed(sync, model));
        let faults = sync.mapping.check(&schema, &model.columns);
        if !faults.is_empty() {
            return Err(Error::Invalid(self.project.mapping_faults(sync, &faults)));
        }
        discovering::check(&mut self.discoverer, self.project, sync, &schema)?;
        let used =
            sync.mapping.columns().map_err(|faults| Error::Invalid(self.project.mapping_faults(sync, &faults)))?;
        let columns: Option<Vec<String>> = match used {
            Used::Columns(columns) => Some(columns.into_iter().collect()),
            Used::All => None,
        };
        let names = columns.clone().unwrap_or_else(|| schema.fields().iter().map(|f| f.name().clone()).collect());
        let layout = Layout::new(&schema, &names, &model.primary_key).map_err(|e| diff_failed(sync, &origin, e))?;
        let mapping = Mapping::new(&sync.mapping, &layout.schema, &self.started_at)
            .map_err(|faults| Error::Invalid(self.project.mapping_faults(sync, &faults)))?;

        let view = self.state.view(&sync.name, sync.sync.moved_from.as_deref())?;
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
        let mut collector = Collector::new(rules, &mapping, operations).watching(records);
        let scratch = tempfile::tempdir_in(self.folder.path())
            .map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", self.folder.path().display())))?;
        let options = diff::Options {
            memory: MEMORY,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            scratch: scratch.path().to_owned(),
            retry: self.request.selection.retry,
            full_refresh: self.request.selection.full_refresh,
            started_at: self.started_at.clone(),
        };
        let rows = source.read(&model.query, columns.as_deref()).map_err(|e| e.context(&origin))?;
        let summary = diff::diff(
            watch.over(rows),
            &layout,
            &mapping,
            view.snapshot.as_ref(),
            view.doubt.as_ref(),
            &view.held,
            self.key,
            &options,
            &mut |batch| Ok(collector.take(&batch)?),
        )
        .map_err(|e| diff_failed(sync, &origin, e))?;
        let queried = summary.keys;
        let again = options.retry || options.full_refresh;
        collector.take_left(left(sync, &view, again))?;
        collector.forget_held(watch.left())?;
        let (mut part, remarks) = collector.finish(summary)?;
        part.sync = sync.name.clone();
        part.model = sync.model.clone();
        part.destination = sync.destination.clone();
        part.object = sync.sync.object.clone();
        part.mode = sync.sync.mode.word().into();
        part.key_open = !model.primary_key.iter().any(|key| is_sensitive(model, key));
        part.guards = guards::evaluate(&sync.guards, &part.counts, acknowledged, view.first_run);
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
        self.warn(sync, &part, &remarks, matched && removes);
        // The types of an empty model are a guess; what the state has stays true.
        let key = match &view.snapshot {
            Some(snapshot) if part.counts.rows == 0 => snapshot.meta().key.clone(),
            _ => layout.key_types(),
        };
        let frozen = FrozenSync { key, mapping: sync.mapping.clone(), started_at: self.started_at.clone() };
        self.frozen.insert(sync.name.clone(), frozen);
        Ok(part)
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
                    place: None,
                });
                self.project.destination_offline(&sync.destination)?
            }
        };
        destinations::open(&kind, &connection, &Setup::default())
    }

    fn open_source(&mut self, name: &str) -> Result<()> {
        if !self.sources.contains_key(name) {
            let (kind, connection) = self.project.source_connection(name)?;
            let opened = sources::open(kind, &connection).map_err(|e| e.context(source_text(self.project, name)))?;
            self.sources.insert(name.to_owned(), opened);
        }
        Ok(())
    }

    fn warn(&mut self, sync: &ResolvedSync, part: &SyncPlan, remarks: &Remarks, leaves: bool) {
        let nameless = remarks.nameless;
        let mut warn = |code: &str, message: String, help: &str, place: Option<String>| {
            let help = Some(help.to_owned());
            self.warnings.push(Notice { code: code.into(), sync: Some(sync.name.clone()), message, help, place });
        };
        if nameless > 0 {
            warn(
                "nameless_removed",
                format!("`{}`: {nameless} removed rows stay at the destination: their values were not kept", sync.name),
                "use `state: { values: full }` for syncs that delete or clear",
                None,
            );
        }
        for identifier in sync.mapping.matching.keys().filter(|_| !leaves) {
            let Some(rows) = part.fields.get(identifier).filter(|_| part.operations.send > 0) else { continue };
            let (rows, them) = if *rows == 1 { ("1 row".to_owned(), "it") } else { (format!("{rows} rows"), "them") };
            warn(
                "identifier_changed",
                format!(
                    "`{}`: {rows} will be matched by another `{identifier}`; what was sent for {them} before stays at the \
                     destination",
                    sync.name
                ),
                "make the identifier the model's primary key, and the old record is removed as the sync says",
                None,
            );
        }
        if remarks.nameless_former > 0 {
            warn(
                "nameless_former",
                format!(
                    "`{}`: it is not known what {} changed rows were matched by before; if that has changed, their old \
                     records stay at the destination",
                    sync.name, remarks.nameless_former
                ),
                "use `state: { values: full }` for syncs that delete or clear",
                None,
            );
        }
        if remarks.in_use > 0 {
            let records = if remarks.in_use == 1 { "1 record" } else { "records" };
            let count = if remarks.in_use == 1 { String::new() } else { format!("{} ", remarks.in_use) };
            warn(
                "identifier_in_use",
                format!(
                    "`{}`: {count}{records} of rows that left or changed {} left alone, as other rows of the model have \
                     the same {}",
                    sync.name,
                    if remarks.in_use == 1 { "is" } else { "are" },
                    identifiers(sync)
                ),
                "a row that has taken over a record and did not change itself is sent again with --full-refresh",
                None,
            );
        }
        if remarks.shared > 0 {
            let keys: Vec<String> = remarks.sharing.iter().map(|key| shown_key(part, key)).collect();
            let keys = if keys.is_empty() { String::new() } else { format!(", e.g. {}", keys.join(", ")) };
            warn(
                "duplicate_match",
                format!(
                    "`{}`: {} rows of the model share their {} with another{keys}; of rows that write the same record, \
                     the last one sent wins",
                    sync.name,
                    remarks.shared,
                    identifiers(sync)
                ),
                "make the identifiers unique in the model, or make them its primary key",
                None,
            );
        }
        let held = part.held.rejected + part.held.no_match + part.held.in_doubt;
        if held > 0 {
            warn(
                "held",
                format!(
                    "`{}`: {held} rows are held back: {} rejected, {} without a match, {} in doubt",
                    sync.name, part.held.rejected, part.held.no_match, part.held.in_doubt
                ),
                "they are sent again when they change, or with --retry; see `syncline runs rejected`",
                None,
            );
        }
        if part.unknown_before > 0 {
            warn(
                "unknown_before",
                format!("`{}`: the old values of {} changed rows are unknown", sync.name, part.unknown_before),
                "the state keeps fingerprints, or an answer was lost; which fields differ cannot be said",
                None,
            );
        }
    }
}

/// The identifiers of a sync, for messages.
fn identifiers(sync: &ResolvedSync) -> String {
    sync.mapping.matching.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

/// A key as a message of the plan shows it: messages go wherever the plan goes.
fn shown_key(part: &SyncPlan, key: &str) -> String {
    if part.key_open { key.to_owned() } else { report::mask::key(key) }
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

/// A misspelt sync in `--allow` would be found only when its guard refuses.
fn known_syncs(project: &Project, selection: &Selection) -> Result<()> {
    let Some(unknown) = selection.allow.iter().find(|allowance| !project.syncs.contains_key(&allowance.sync)) else {
        return Ok(());
    };
    let help = match closest(&unknown.sync, project.syncs.keys().map(String::as_str)) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None => "write --allow SYNC:GUARD=N with the name of a sync of this project".into(),
    };
    Err(Error::failed_help(format!("--allow: there is no sync `{}`", unknown.sync), help))
}

/// Fields and identifiers that show no personal data: constants, and those made only of columns declared
/// `sensitive: false`.
fn open_fields(sync: &ResolvedSync, model: &ResolvedModel) -> HashSet<String> {
    let open = |columns: Used| match columns {
        Used::Columns(columns) => columns.iter().all(|column| !is_sensitive(model, column)),
        Used::All => false,
    };
    let fields = sync.mapping.fields.iter().filter(|(_, field)| open(columns_of(field)));
    let identifiers = sync.mapping.matching.iter().filter(|(_, column)| !is_sensitive(model, column));
    fields.map(|(name, _)| name.clone()).chain(identifiers.map(|(name, _)| name.clone())).collect()
}

fn is_sensitive(model: &ResolvedModel, column: &str) -> bool {
    model.columns.get(column).and_then(|c| c.sensitive).unwrap_or(true)
}

fn place(sync: &ResolvedSync, pointer: &str) -> Option<String> {
    let place = sync.place(pointer)?;
    let (line, column) = place.line_column();
    Some(format!("{}:{line}:{column}", place.source.path.display()))
}

/// The counts of several syncs together.
pub(super) fn totals(syncs: &[SyncPlan]) -> Totals {
    let sum = |count: fn(&SyncPlan) -> u64| syncs.iter().map(count).sum();
    Totals {
        added: sum(|s| s.counts.added),
        changed: sum(|s| s.counts.changed),
        removed: sum(|s| s.counts.removed),
        invalid: sum(|s| s.counts.invalid),
    }
}

/// A plan that alone reads more than the month allows is over the budget whatever was read before.
fn budget(project: &Project, plan: &mut Plan) {
    use crate::manifest::project::OnExceed;
    let Some(budget) = &project.usage.monthly_queried_records else { return };
    let per_model: HashMap<&str, u64> =
        plan.syncs.iter().map(|s| (s.model.as_str(), s.estimate.queried_records)).collect();
    let queried: u64 = per_model.values().sum();
    if queried <= budget.limit {
        return;
    }
    let notice = Notice {
        code: "budget".into(),
        sync: None,
        message: format!("this plan reads {queried} distinct records; the monthly budget is {}", budget.limit),
        help: Some("narrow the models, or raise `usage.monthly_queried_records.limit`".into()),
        place: None,
    };
    match budget.on_exceed {
        OnExceed::Warn => plan.warnings.push(notice),
        OnExceed::Refuse => plan.refusals.push(notice),
    }
}

/// A source and the manifest that says how it is reached.
fn source_text(project: &Project, name: &str) -> String {
    let file = project.sources.get(name).map(|source| format!(" ({})", source.file().display()));
    format!("source `{name}`{}", file.unwrap_or_default())
}

/// Where the rows of a model come from, in front of what went wrong with them. Which sync it is, is said by whoever
/// speaks of more than one.
fn origin(project: &Project, model: &ResolvedModel) -> String {
    format!("{}, model `{}`", source_text(project, &model.source), model.name)
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

fn diff_failed(sync: &ResolvedSync, origin: &str, error: diff::DiffError) -> Error {
    if let diff::DiffError::KeyChanged { .. } = error {
        let name = &sync.name;
        return Error::Refused {
            message: format!("sync `{name}`: the key changed: {error}; every row would be sent again"),
            help: Some(format!(
                "keep what was acknowledged: `syncline state move {name} --rekey`; or start anew: `syncline state forget {name}`"
            )),
        };
    }
    Error::from(error).context(origin)
}

/// The faces of a plan. Values of personal data are shown to a person at a terminal or who asks for them, and masked
/// everywhere else.
pub(super) fn face(plan: &Plan, format: Format, show_values: bool) -> Result<String> {
    let masked = if show_values { Masked::shown_on_request(plan) } else { Masked::new(plan) };
    match format {
        Format::Text => Ok(report::plan_text(plan, &terminal::style(show_values))),
        Format::Json => report::json::plan_json(masked.plan()),
        Format::Markdown => Ok(report::plan_markdown(&masked, report::markdown::DEFAULT_BUDGET)),
        Format::Html => report::plan_html(&masked),
    }
}
