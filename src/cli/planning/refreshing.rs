//! `--refresh`: what the destinations hold of the records of a sync. Nothing is sent, and nothing is changed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::super::outside::{self, Opened, Outside};
use super::super::progress::Progress;
use super::super::readback::{self, Acknowledged, Asked, sought};
use super::open_fields;
use crate::destinations::{Held, Operation, Readable, Reader, There};
use crate::diagnostic::{Error, Result};
use crate::diff::{Cause, ChangeBatch, Drift, HashKey, RowState};
use crate::manifest::sync::Mode;
use crate::mapping::{MappingSpec, Value};
use crate::plan::collect::keys;
use crate::plan::{Drifted, DriftedField, Notice, Refresh};
use crate::project::{Project, ResolvedSync};
use crate::state::{Reading, SyncView};

/// Records that are named, of each sync.
const NAMED: usize = 10;

/// Looks at one destination after the other.
pub(super) struct Refresher<'a> {
    project: &'a Project,
    key: &'a HashKey,
    state: &'a Reading,
    scratch: &'a Path,
    outside: Outside<'a>,
    runtime: Arc<Runtime>,
    /// Syncs that could be looked at, and why the others could not.
    looked: u64,
    not: Vec<(String, String)>,
}

/// What the destination of one sync holds.
pub(super) struct Refreshed {
    /// Rows whose records the sync puts right.
    pub drift: Arc<Drift>,
    pub report: Refresh,
    newcomers: Option<Newcomers>,
}

/// Looks for the records of rows that were never acknowledged, as they are planned.
struct Newcomers {
    reader: Box<dyn Reader>,
    opened: Opened,
    runtime: Arc<Runtime>,
    spec: MappingSpec,
    waiting: Vec<Operation>,
}

impl<'a> Refresher<'a> {
    /// Of these syncs.
    pub fn new(
        project: &'a Project,
        key: &'a HashKey,
        state: &'a Reading,
        syncs: &[String],
        scratch: &'a Path,
    ) -> Result<Self> {
        let names = syncs.iter().filter_map(|name| Some(project.syncs.get(name)?.destination.as_str()));
        let outside = Outside::to_look(project, names)?;
        let runtime = Arc::new(outside::runtime()?);
        Ok(Self { project, key, state, scratch, outside, runtime, looked: 0, not: Vec::new() })
    }

    /// Reads the acknowledged records of a sync back.
    ///
    /// # Errors
    /// The destination cannot be reached, or refuses.
    pub fn sync(&mut self, sync: &ResolvedSync, progress: &Progress) -> Result<Refreshed> {
        let view = self.state.view(&sync.name, sync.sync.moved_from.as_deref())?;
        let opened = self.outside.destination(&sync.destination)?;
        let destination = self.project.destinations.get(&sync.destination);
        let kind = &destination.ok_or_else(|| Error::failed("its destination is gone"))?.kind;
        let open = |spec: &MappingSpec| self.runtime.block_on(readback::reader(&opened, kind, sync, spec));
        let newcomers = match open(&sync.mapping)? {
            Readable::Yes(reader) => reader,
            Readable::No(why) => {
                self.not.push((sync.name.clone(), why.clone()));
                let report = Refresh { not_looked: Some(why), ..Refresh::default() };
                return Ok(Refreshed { drift: Arc::default(), report, newcomers: None });
            }
        };
        self.looked += 1;
        let mut found = Found::new(self.project, sync, &view);
        let rows = Acknowledged { sync, view: &view, key: self.key, scratch: self.scratch };
        match (rows.mapping(), &view.snapshot) {
            (Err(why), snapshot) => found.report.not_looked = snapshot.is_some().then_some(why),
            (Ok(mut spec), snapshot) => {
                // What is in a field that is not sent any more is nobody's business; it may not even be there.
                spec.fields.retain(|name, _| sync.mapping.fields.contains_key(name));
                let Readable::Yes(reader) = open(&spec)? else {
                    return Err(Error::failed("its records cannot be read back any more"));
                };
                let all = snapshot.as_ref().map_or(0, |snapshot| snapshot.rows());
                rows.each(&spec, None, reader.together(), &mut |asked| {
                    let (name, at) = (&sync.name, found.report.looked_for);
                    progress.begin(&format!("looking for the records of {name}: {at} of {all}"));
                    let asked: Vec<Asked> = asked.into_iter().filter(|asked| !asked.in_doubt).collect();
                    let operations: Vec<Operation> = asked.iter().map(|asked| asked.operation.clone()).collect();
                    let held = self.runtime.block_on(reader.read(&operations));
                    let held = held.map_err(|error| readback::failure(&opened, &error))?;
                    asked.iter().zip(held).for_each(|(asked, held)| found.take(&spec, asked, held));
                    Ok(())
                })?;
                found.report.requests += reader.requests();
            }
        }
        let (runtime, spec) = (Arc::clone(&self.runtime), sync.mapping.clone());
        let newcomers = Newcomers { reader: newcomers, opened, runtime, spec, waiting: Vec::new() };
        let Found { drift, mut report, .. } = found;
        report.fields.retain(|_, records| *records > 0);
        Ok(Refreshed { drift: Arc::new(drift), report, newcomers: Some(newcomers) })
    }

    /// Nothing could be looked at: the plan would be the same without `--refresh`, and look as if nothing had drifted.
    pub fn nothing_looked_at(&self) -> Option<Error> {
        let (name, why) = self.not.first().filter(|_| self.looked == 0)?;
        let others = match self.not.len() - 1 {
            0 => String::new(),
            1 => "; another sync could not be looked at either".into(),
            n => format!("; {n} other syncs could not be looked at either"),
        };
        Some(Error::failed_help(
            format!("--refresh: the records of sync `{name}` cannot be read back: {why}{others}"),
            "plan without --refresh; docs/verify.md says which records can be read back",
        ))
    }
}

impl Refreshed {
    /// Looks for the records of the added rows of a batch.
    pub fn take(&mut self, batch: &ChangeBatch) -> Result<()> {
        let Some(newcomers) = &mut self.newcomers else { return Ok(()) };
        let new = |change: &crate::diff::Change| change.state == RowState::Added && change.cause != Cause::Drift;
        if !batch.changes.iter().any(new) {
            return Ok(());
        }
        let keys = keys(batch, &newcomers.spec.primary_key)?;
        for (change, key) in batch.changes.iter().zip(keys).filter(|(change, _)| new(change)) {
            let Some(record) = change.record.clone() else { continue };
            // The positions tell the reader records apart.
            let at = self.report.new.looked_for + newcomers.waiting.len() as u64;
            newcomers.waiting.push(sought(at, key, record));
            if newcomers.waiting.len() >= newcomers.reader.together() {
                newcomers.ask(&mut self.report)?;
            }
        }
        Ok(())
    }

    /// What was found, after the last batch.
    pub fn finish(&mut self) -> Result<Refresh> {
        if let Some(mut newcomers) = self.newcomers.take() {
            newcomers.ask(&mut self.report)?;
            self.report.requests += newcomers.reader.requests();
        }
        Ok(self.report.clone())
    }
}

impl Newcomers {
    fn ask(&mut self, report: &mut Refresh) -> Result<()> {
        let operations = std::mem::take(&mut self.waiting);
        if operations.is_empty() {
            return Ok(());
        }
        let held = self.runtime.block_on(self.reader.read(&operations));
        let held = held.map_err(|error| readback::failure(&self.opened, &error))?;
        report.new.looked_for += held.len() as u64;
        report.new.found += held.iter().filter(|held| matches!(held, Held::There(_) | Held::Several)).count() as u64;
        Ok(())
    }
}

/// What is gathered while records are read back.
struct Found {
    drift: Drift,
    report: Refresh,
    /// What the sync does about a record that is gone or was changed.
    remakes: bool,
    rewrites: bool,
    /// Fields that show no personal data.
    open: HashSet<String>,
}

impl Found {
    fn new(project: &Project, sync: &ResolvedSync, view: &SyncView) -> Self {
        let mode = sync.sync.mode;
        let open = project.models.get(&sync.model).map(|model| open_fields(sync, model)).unwrap_or_default();
        let fields = view.snapshot.iter().flat_map(|s| s.meta().mappings.values()).flat_map(|spec| spec.fields.keys());
        let report = Refresh { fields: fields.map(|name| (name.clone(), 0)).collect(), ..Refresh::default() };
        let remakes = matches!(mode, Mode::Upsert | Mode::Mirror);
        Self { drift: Drift::default(), report, remakes, rewrites: remakes || mode == Mode::Update, open }
    }

    fn take(&mut self, spec: &MappingSpec, asked: &Asked, held: Held) {
        let report = &mut self.report;
        report.looked_for += 1;
        let (found, fields) = match held {
            Held::There(differs) if differs.is_empty() || !self.rewrites => {
                report.same += 1;
                return;
            }
            Held::There(differs) => {
                report.changed += 1;
                for there in &differs {
                    *report.fields.entry(there.field.clone()).or_default() += 1;
                }
                ("changed", differs)
            }
            Held::Absent => {
                report.missing += 1;
                if self.remakes {
                    self.drift.gone(asked.hash);
                }
                ("missing", Vec::new())
            }
            Held::Several => {
                report.several += 1;
                ("several", Vec::new())
            }
            Held::Unreadable(_) | Held::Unseen => {
                report.unreadable += 1;
                ("unreadable", Vec::new())
            }
        };
        if self.report.drift.len() < NAMED {
            let fields = fields.iter().map(|there| self.field(spec, asked, there)).collect();
            let key = asked.operation.key.to_string();
            self.report.drift.push(Drifted { key, found: found.into(), fields });
        }
        if found == "changed" {
            let there = fields.into_iter().map(|there| (there.field.into(), Value::from_json(&there.value)));
            self.drift.differs(asked.hash, there.collect());
        }
    }

    fn field(&self, spec: &MappingSpec, asked: &Asked, there: &There) -> DriftedField {
        let at = spec.fields.get_index_of(&there.field);
        let value = at.and_then(|at| asked.operation.record.fields.get(at)?.as_ref());
        DriftedField {
            name: there.field.clone(),
            acknowledged: value.map(Value::to_json).unwrap_or_default(),
            there: there.value.clone(),
            sensitive: !self.open.contains(&there.field),
        }
    }
}

/// Code of the warning about records that are not as they were acknowledged.
const DRIFT: &str = "drift";

/// What must be said of it in the plan.
pub(super) fn notices(sync: &ResolvedSync, refresh: &Refresh) -> Vec<Notice> {
    let (mut notices, mut quoted) = (Vec::new(), Vec::new());
    let mut warn = |code: &str, message: String, help: String| {
        let (sync, help) = (Some(sync.name.clone()), Some(help));
        notices.push(Notice { code: code.into(), sync, message, help, ..Notice::default() });
    };
    let name = &sync.name;
    if let Some(why) = &refresh.not_looked {
        warn(
            "not_refreshed",
            format!("`{name}`: it is not known what the destination holds of its records: {why}"),
            "the plan of this sync is what was last acknowledged against the model".into(),
        );
    }
    let drifted = refresh.drifted();
    if drifted > 0 {
        let mode = sync.sync.mode;
        let words = [
            (refresh.missing, "gone"),
            (refresh.changed, "changed"),
            (refresh.several, "there more than once"),
            (refresh.unreadable, "not to be read"),
        ];
        let words = words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
        let keys: Vec<String> = refresh.drift.iter().take(3).map(|drifted| drifted.key.clone()).collect();
        let (them, are) = if drifted == 1 { ("1 record", "is") } else { ("records", "are") };
        let number = if drifted == 1 { String::new() } else { format!("{drifted} ") };
        let help = match mode {
            Mode::Upsert | Mode::Mirror => "this plan puts right what is gone and changed",
            Mode::Update => "this plan puts right what is changed; mode `update` does not make records anew",
            _ => "the mode sends a row once: what has become of its record since is left as it is",
        };
        warn(
            DRIFT,
            format!(
                "`{name}`: {number}{them} {are} not as acknowledged: {}; {}",
                words.collect::<Vec<_>>().join(", "),
                Notice::quoted(&keys)
            ),
            help.into(),
        );
        quoted = keys;
    }
    let new = refresh.new;
    if new.looked_for > 0 {
        let absent = new.looked_for - new.found;
        let text = match sync.sync.mode {
            Mode::Update if absent > 0 => Some((
                format!("{absent} of {} new rows have no record to update", new.looked_for),
                "they will be `no_match`; mode `upsert` would make the records",
            )),
            Mode::Insert if new.found > 0 => Some((
                format!("{} of {} new rows have a record already", new.found, new.looked_for),
                "mode `insert` makes records only: these will be rejected",
            )),
            Mode::Upsert | Mode::Mirror if new.found > 0 => Some((
                format!(
                    "{} of {} new rows have a record already, which will be overwritten",
                    new.found, new.looked_for
                ),
                "fields with `write: if_added` would be overwritten, too; `state adopt` takes records over without sending",
            )),
            _ => None,
        };
        if let Some((text, help)) = text {
            warn("new_records", format!("`{name}`: {text}"), help.into());
        }
    }
    notices.iter_mut().filter(|notice| notice.code == DRIFT).for_each(|notice| notice.keys.clone_from(&quoted));
    notices
}
