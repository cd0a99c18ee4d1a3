//! `syncline state`: what is remembered of each sync. What changes it asks, or takes `--auto-approve`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::interrupt::Interrupt;
use super::{Global, Selection, planning, progress::Progress, scratch::Scratch, terminal};
use crate::connectors::Setup;
use crate::destinations;
use crate::diagnostic::{Error, Result};
use crate::manifest::project::StateValues;
use crate::plan::operations;
use crate::project::Project;
use crate::report;
use crate::report::answers::{LastRun, OneState, StateOfSync, States};
use crate::state::document::{Document, SyncEntry};
use crate::state::journal::SyncRecord;
use crate::state::{LockRequest, Locked, Pulled, State};

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
    /// Go ahead without a question
    #[arg(long, global = true)]
    auto_approve: bool,
    /// How `list` and `show` are written
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

/// What is done with the state that is here.
#[derive(Subcommand)]
enum Here {
    /// All syncs the state knows
    List,
    /// One sync: its snapshot, held rows and last run
    Show {
        /// The sync
        sync: String,
    },
    /// Take the rows of a model as already synced: nothing is sent
    Adopt {
        /// The sync
        sync: String,
    },
    /// Forget a sync: its next run sends every row as added
    Forget {
        /// The sync
        sync: String,
    },
    /// Rename a sync, or carry its rows over to a new primary key
    Move {
        /// The name it has in the state
        from: String,
        /// The name it gets
        #[arg(required_unless_present = "rekey", conflicts_with = "rekey")]
        to: Option<String>,
        /// Carry the rows over to the primary key the model has now: nothing is sent again
        #[arg(long)]
        rekey: bool,
    },
    /// Take the lock away from a run that cannot give it back
    Unlock,
    /// Write the whole state into one file
    Pull {
        /// The file
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum Action {
    #[command(flatten)]
    Here(Here),
    /// Put a state that was pulled in the place of this one
    Push {
        /// The file
        file: PathBuf,
        /// Also when it is older than the state here, or another one
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(global: &Global, options: Options) -> Result<ExitCode> {
    let project = super::load(global)?;
    let approve = |question: String| terminal::approve(options.auto_approve, &question);
    let said = match options.action {
        Action::Here(action) => here(&project, action, options.format, approve)?,
        Action::Push { file, force } => {
            // A push that fails makes nothing, not even a state to be replaced.
            let copy = Pulled::open(&file)?;
            let state = terminal::state_to_replace(&project, &copy)?;
            approve(format!("Put the state of `{}` in the place of this one?", file.display()))?;
            state.replace(&copy, force)?;
            format!("The state is that of `{}` now.\n", file.display())
        }
    };
    terminal::out(&said)?;
    Ok(ExitCode::SUCCESS)
}

/// Does something with the state that is here; gives what is said of it.
fn here(project: &Project, action: Here, format: Format, approve: impl Fn(String) -> Result<()>) -> Result<String> {
    let state = terminal::state(project)?;
    Ok(match action {
        Here::List => list(&state, format)?,
        Here::Show { sync } => show(&state, &sync, format)?,
        Here::Adopt { sync } => adopt(project, &state, &sync, approve)?,
        Here::Forget { sync } => {
            // Before anybody is asked.
            held(state.read()?.document(), &sync)?;
            approve(format!("Forget all that is known of `{sync}`? Its next run sends every row again."))?;
            let rows = lock(&state, "state forget")?.forget(&sync)?;
            format!("Forgot `{sync}` and its {rows} rows.\n")
        }
        Here::Move { from, to: Some(to), .. } => {
            held(state.read()?.document(), &from)?;
            approve(format!("Rename `{from}` to `{to}` in the state?"))?;
            lock(&state, "state move")?.rename(&from, &to)?;
            format!("`{from}` is `{to}` now; rename its manifest too, or write `moved_from: {from}` in it.\n")
        }
        Here::Move { from, to: None, .. } => rekey(project, &state, &from, approve)?,
        Here::Unlock => {
            approve("Take the lock away? A run that still lives will stop at its next step.".into())?;
            match state.unlock()? {
                Some(holder) => format!("The lock of {holder} is gone.\n"),
                None => "There was no lock.\n".into(),
            }
        }
        Here::Pull { file } => {
            state.pull(&file)?;
            format!("The state is in `{}`. It holds personal data as the state does.\n", file.display())
        }
    })
}

fn lock(state: &State, operation: &str) -> Result<Locked> {
    state.lock(&LockRequest::new(operation))
}

fn list(state: &State, format: Format) -> Result<String> {
    let reading = state.read()?;
    let syncs = &reading.document().syncs;
    if format == Format::Json {
        let each: Vec<_> = syncs.iter().map(|(name, entry)| facts(name, entry)).collect();
        let (lineage, serial) = (reading.lineage().to_owned(), reading.serial());
        return report::json::pretty(&States { format_version: "1.0", lineage, serial, syncs: each });
    }
    if syncs.is_empty() {
        return Ok("The state knows no sync yet.\n".into());
    }
    let width = syncs.keys().map(String::len).max().unwrap_or(0);
    let line = |(name, entry): (&String, &SyncEntry)| {
        let held = if entry.rows_held > 0 { format!(", {} held", entry.rows_held) } else { String::new() };
        let last = entry.last_run.as_ref().map_or("never", |run| run.finished_at.get(..19).unwrap_or(&run.finished_at));
        format!("{name:<width$}  {:>10} rows{held}  last run {last}\n", entry.rows)
    };
    Ok(syncs.iter().map(line).collect())
}

fn facts(name: &str, entry: &SyncEntry) -> StateOfSync {
    let last = |run: &crate::state::document::LastRun| LastRun {
        run_id: run.run_id.clone(),
        status: run.status.word().to_owned(),
        finished_at: run.finished_at.clone(),
    };
    StateOfSync {
        sync: name.to_owned(),
        sent_to: entry.sent_to.as_ref().and_then(|place| serde_json::to_value(place).ok()),
        rows: entry.rows,
        held: entry.rows_held,
        in_doubt: entry.rows_in_doubt,
        key: entry.key.clone(),
        snapshot: entry.snapshot.clone(),
        held_file: entry.held.clone(),
        last_run: entry.last_run.as_ref().map(last),
    }
}

/// What the state holds of a sync.
fn held<'a>(document: &'a Document, sync: &str) -> Result<(&'a str, &'a SyncEntry)> {
    document.entry(sync, None).ok_or_else(|| {
        let near = crate::diagnostic::closest(sync, document.syncs.keys().map(String::as_str));
        let help = near.map_or("`syncline state list` shows all".into(), |near| format!("did you mean `{near}`?"));
        Error::failed_help(format!("the state holds no sync `{sync}`"), help)
    })
}

fn show(state: &State, sync: &str, format: Format) -> Result<String> {
    let reading = state.read()?;
    let (name, entry) = held(reading.document(), sync)?;
    if format == Format::Json {
        return report::json::pretty(&OneState { format_version: "1.0", sync: facts(name, entry) });
    }
    let none = || "none".to_owned();
    let key: Vec<_> = entry.key.iter().map(|(column, kind)| format!("{column} ({kind})")).collect();
    Ok(format!(
        "{name}\n  sent to    {}\n  rows       {}\n  held       {}\n  in doubt   {}\n  key        {}\n  snapshot   {}\n  held rows  {}\n  last run   {}\n",
        entry.sent_to.as_ref().map_or_else(none, |place| place.to_string()),
        entry.rows,
        entry.rows_held,
        entry.rows_in_doubt,
        key.join(", "),
        entry.snapshot.clone().unwrap_or_else(none),
        entry.held.clone().unwrap_or_else(none),
        entry.last_run.as_ref().map_or_else(none, |run| format!(
            "{} {} {}",
            run.run_id,
            run.status.word(),
            run.finished_at
        )),
    ))
}

fn adopt(project: &Project, state: &State, sync: &str, approve: impl Fn(String) -> Result<()>) -> Result<String> {
    let resolved = project.syncs.get(sync).ok_or_else(|| unknown(project, sync))?;
    let locked = lock(state, "state adopt")?;
    locked.recover()?;
    let folder = Scratch::new(project)?;
    let interrupt = Interrupt::new(&locked, folder.whole())?;
    // Rows in doubt that wait for somebody to look are meant, too; those that were refused are known not to be there.
    let selection = Selection { select: vec![sync.to_owned()], no_tests: true, ..Selection::default() };
    let request =
        planning::Request { selection: &selection, samples: 0, folder: folder.path(), against: None, adopting: true };
    let mut planned = planning::make(project, state.hash_key(), &locked.read()?, &request, &Progress::new())?;
    if let Some((_, error)) = planned.failures.pop() {
        return Err(error);
    }
    let Some(part) = planned.plan.syncs.first() else { return Err(unknown(project, sync)) };
    approve(format!(
        "Take {} added, {} changed and {} removed rows of `{sync}` as synced? Nothing is sent.",
        part.counts.added, part.counts.changed, part.counts.removed
    ))?;
    let mut frozen = planned.folder.bound()?.syncs;
    let frozen = frozen.shift_remove(sync).ok_or_else(|| unknown(project, sync))?;
    let (kind, connection) = project.destination_connection(&resolved.destination)?;
    let capabilities = destinations::open(&kind, &connection, &Setup::default())?.capabilities(
        &resolved.sync.object,
        resolved.sync.mode,
        &resolved.sync.options,
    )?;
    let record = SyncRecord {
        number: 0,
        sync: sync.to_owned(),
        model: part.model.clone(),
        destination: part.destination.clone(),
        sent_to: Some(planning::target::of(project, resolved)),
        class: capabilities.class,
        on_doubt: resolved.sync.delivery.on_doubt.into(),
        values: project.environment.state.values == StateValues::Full,
        key: frozen.key,
        key_open: part.key_open,
        mapping: frozen.mapping,
        queried_records: part.estimate.queried_records,
        model_rows: Some(part.counts.rows),
        way: Some(resolved.way()),
        unchanged: part.counts.unchanged.saturating_sub(part.held.total()),
        invalid: part.counts.invalid,
    };
    drop(interrupt);
    let adoption = locked.adopt(record, operations::read(&planned.folder.operations(sync))?)?;
    Ok(format!("`{sync}` counts as synced: {} rows. Nothing was sent.\n", adoption.rows))
}

fn unknown(project: &Project, sync: &str) -> Error {
    let near = crate::diagnostic::closest(sync, project.syncs.keys().map(String::as_str));
    let help = near
        .map_or("`syncline state list` shows what the state knows".into(), |near| format!("did you mean `{near}`?"));
    Error::failed_help(format!("there is no sync `{sync}`"), help)
}

fn rekey(project: &Project, state: &State, sync: &str, approve: impl Fn(String) -> Result<()>) -> Result<String> {
    let resolved = project.syncs.get(sync).ok_or_else(|| unknown(project, sync))?;
    let model = project.models.get(&resolved.model).ok_or_else(|| unknown(project, sync))?;
    let key = model.primary_key.join(", ");
    approve(format!(
        "Carry the rows of `{sync}` over to the primary key `{key}`? Held rows are sent again, nothing else. Ids made of the \
         key, as those of Iterable events, are others from then on."
    ))?;
    let fields = planning::key_fields(project, model)?;
    let locked = lock(state, "state move --rekey")?;
    let scratch = Scratch::new(project)?;
    let rows = locked.rekey(sync, &fields, scratch.path())?;
    let ids = "Where the destination knows records by an id made of the key (events of Iterable, the trace ids of HubSpot), a \
               row that changes from now on has another id: it makes a new record there and replaces none.";
    Ok(format!("The {rows} rows of `{sync}` have the primary key `{key}` now; nothing is sent again.\n{ids}\n"))
}
