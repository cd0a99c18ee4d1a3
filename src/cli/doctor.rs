//! `syncline doctor`: connects to everything and says what is wrong. Changes nothing anywhere.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indexmap::IndexMap;

use super::outside::{self, Opened, Outside};
use super::{Global, terminal};
use crate::destinations::{Health, SendError};
use crate::diagnostic::{Error, Result};
use crate::login::Account;
use crate::project::Project;
use crate::report::{self, Examination, ExaminationStatus as Status, Subject};
use crate::sources;

/// How long a destination may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds two clocks may differ: tokens and signatures are valid for minutes.
const CLOCK: i64 = 300;
/// Days before the end of a password at which somebody should act.
const EXPIRY: i64 = 14;

#[derive(Args)]
pub(super) struct Options {
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program; see `schemas/doctor.schema.json`.
    Json,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let project = super::load(global)?;
    let mut subjects: Vec<Subject> = project.sources.keys().map(|name| source(&project, name)).collect();
    let runtime = outside::runtime()?;
    for name in project.destinations.keys() {
        subjects.push(destination(&project, name, &runtime));
    }
    let status = subjects.iter().map(|subject| subject.status).max().unwrap_or_default();
    let environment = project.environment.name.clone();
    let examination = Examination { format_version: "1.0".into(), environment, status, subjects };
    terminal::out(&match options.format {
        Format::Text => report::doctor_text(&examination, &terminal::style(false)),
        Format::Json => report::json::pretty(&examination)?,
    })?;
    Ok(if status == Status::Broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Notes that another manifest takes the place of this one in the environment. True when so: it is then of no concern here,
/// and is not connected to.
fn is_replaced(subject: &mut Subject, swaps: &IndexMap<String, String>, environment: &str) -> bool {
    let name = &subject.name;
    // What one swap takes away, another one may put in.
    let Some(other) = swaps.get(name).filter(|other| *other != name && !swaps.values().any(|put| put == name)) else {
        return false;
    };
    subject.facts.push(format!("not looked at: in `{environment}` it is `{other}`"));
    true
}

/// Opens a source and asks for the schema of each model that reads it.
fn source(project: &Project, name: &str) -> Subject {
    let models = project.models.values().filter(|model| model.source == name);
    let file = project.sources.get(name).map(|source| source.file().display().to_string());
    let mut subject = Subject {
        kind: "source".into(),
        name: name.to_owned(),
        file: file.unwrap_or_default(),
        used_by: models.clone().map(|model| model.name.clone()).collect(),
        ..Subject::default()
    };
    let environment = &project.environment;
    if is_replaced(&mut subject, &environment.sources, &environment.name) {
        return subject;
    }
    let broken = |subject: &mut Subject, code: &str, error: Error, what: &str| {
        // What nothing reads here may lack what it needs.
        let status = if subject.used_by.is_empty() { Status::Warning } else { Status::Broken };
        subject.find(status, code, one_line(&format!("{what}{error}")), error.help().map(str::to_owned));
    };
    let (kind, connection) = match project.source_connection(name) {
        Ok(found) => found,
        Err(error) => {
            broken(&mut subject, "not_ready", error, "");
            return subject;
        }
    };
    let redactor = connection.redactor();
    let clean = |error: Error| {
        let help = error.help().map(|help| redactor.redact(help));
        Error::Failed { message: redactor.redact(&error.to_string()), help }
    };
    match sources::open(kind, &connection) {
        Ok(source) => {
            subject.facts.extend(source.facts());
            let mut read = 0;
            for model in models {
                match source.check(&model.query) {
                    Ok(()) => read += 1,
                    Err(error) => broken(&mut subject, "model", clean(error), &format!("model `{}`: ", model.name)),
                }
            }
            match source.account() {
                Ok(account) => account.iter().for_each(|account| told_account(&mut subject, account)),
                // What keeps from connecting was said of the models.
                Err(error) if read > 0 || subject.used_by.is_empty() => {
                    broken(&mut subject, "unreachable", clean(error), "");
                }
                Err(_) => {}
            }
            if read > 0 {
                let models = if read == 1 { "model" } else { "models" };
                subject.facts.push(format!("{read} {models} can be read"));
            }
        }
        Err(error) => broken(&mut subject, "unreachable", clean(error), ""),
    }
    subject
}

/// Connects to a destination.
fn destination(project: &Project, name: &str, runtime: &tokio::runtime::Runtime) -> Subject {
    let known = project.destinations.get(name);
    let syncs = project.syncs.values().filter(|sync| sync.destination == name);
    let mut subject = Subject {
        kind: "destination".into(),
        name: name.to_owned(),
        file: known.map(|known| known.file().display().to_string()).unwrap_or_default(),
        used_by: syncs.map(|sync| sync.name.clone()).collect(),
        ..Subject::default()
    };
    let environment = &project.environment;
    if is_replaced(&mut subject, &environment.destinations, &environment.name) {
        return subject;
    }
    if known.is_some_and(|known| known.sandbox) {
        subject.facts.push("a sandbox".into());
    }
    // What nothing sends to here may lack what it needs.
    let bad = if subject.used_by.is_empty() { Status::Warning } else { Status::Broken };
    let opened = Outside::to_look(project, std::iter::once(name)).and_then(|mut outside| {
        let opened = outside.destination(name)?;
        Ok((outside, opened))
    });
    let (_outside, opened) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            subject.find(bad, "not_ready", one_line(&error.to_string()), error.help().map(str::to_owned));
            return subject;
        }
    };
    let examining = opened.destination.examine();
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, examining).await }) {
        Ok(Ok(health)) => {
            healthy(&mut subject, health, bad);
            allowed(project, &opened, runtime, &mut subject, bad);
        }
        Ok(Err(error)) => {
            let (message, help) = outside::words(&error);
            let code = match error {
                SendError::Unreachable { .. } | SendError::Transient { .. } | SendError::Lost { .. } => "unreachable",
                _ => "refused",
            };
            let help = help.map(|help| opened.redactor.redact(&help));
            subject.find(bad, code, opened.redactor.redact(&message), help);
        }
        Err(_) => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            subject.find(bad, "unreachable", message, Some("check the address and the network".into()));
        }
    }
    subject
}

/// Says what the account may not do that a sync needs.
fn allowed(project: &Project, opened: &Opened, runtime: &tokio::runtime::Runtime, subject: &mut Subject, bad: Status) {
    let name = subject.name.clone();
    for sync in project.syncs.values().filter(|sync| sync.destination == name) {
        let (object, mode) = (&sync.sync.object, sync.sync.mode);
        let asking = opened.destination.missing_privileges(object, mode, sync.on_removed);
        match runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await }) {
            Ok(Ok(missing)) if missing.is_empty() => {}
            Ok(Ok(missing)) => {
                let rights = missing.join(", ");
                let message =
                    format!("sync `{}` may not do all it needs on `{object}`: {rights} is missing", sync.name);
                let help =
                    format!("who owns the table runs `grant {rights} on {object} to …` for the connection's role");
                subject.find(bad, "rights", message, Some(help));
            }
            Ok(Err(error)) => {
                let (message, help) = outside::words(&error);
                let help = help.map(|help| opened.redactor.redact(&help));
                subject.find(bad, "refused", opened.redactor.redact(&message), help);
            }
            Err(_) => {}
        }
    }
}

/// Several faults are said one a line, which a finding is not.
fn one_line(message: &str) -> String {
    message.trim().replace('\n', "; ")
}

fn healthy(subject: &mut Subject, health: Health, bad: Status) {
    let can = if health.credentials { "the credentials are accepted" } else { "it can be opened" };
    subject.facts.push(can.into());
    for quota in &health.quotas {
        let left = format!("{} of {} requests of the day (`{}`) are left to us", quota.left, quota.limit, quota.name);
        let tenth = quota.limit / 10;
        if quota.left == 0 {
            let help = "what is sent now waits for the next day; lower what others use, or ask for a higher limit";
            subject.find(bad, "quota", format!("the quota `{}` is used up: {left}", quota.name), Some(help.into()));
        } else if quota.left < tenth {
            let help = "a large apply may not end today; `syncline plan` says how many requests it takes";
            subject.find(Status::Warning, "quota", left, Some(help.into()));
        } else {
            subject.facts.push(left);
        }
    }
    if let Some(account) = &health.account {
        told_password(subject, account);
    }
    told_clock(subject, health.clock_ahead);
    subject.facts.extend(health.remarks);
}

fn told_account(subject: &mut Subject, account: &Account) {
    told_password(subject, account);
    told_clock(subject, Some(account.clock_ahead));
}

/// When the password of a role ends, who must act, and how.
fn told_password(subject: &mut Subject, account: &Account) {
    let Some(ends) = account.expires else { return };
    let left = ends.duration_since(jiff::Timestamp::now());
    let days = left.as_hours() / 24;
    let (role, day) = (&account.role, ends.strftime("%Y-%m-%d %H:%M UTC"));
    let help = format!(
        "who administers the server runs `{}`; the new password then goes where the `connection` of {} takes it from",
        account.renewal, subject.file
    );
    if left.is_negative() {
        let message = format!("the password of role `{role}` has expired on {day}: the next login with it is refused");
        subject.find(Status::Warning, "expired", message, Some(help));
    } else if days < EXPIRY {
        let message = format!("the password of role `{role}` expires on {day}, in {days} days");
        subject.find(Status::Warning, "expires", message, Some(help));
    } else {
        subject.facts.push(format!("the password of role `{role}` is valid until {day}"));
    }
}

fn told_clock(subject: &mut Subject, clock_ahead: Option<i64>) {
    match clock_ahead {
        Some(ahead) if ahead.abs() > CLOCK => {
            let way = if ahead > 0 { "behind" } else { "ahead of" };
            let message = format!("the clock of this machine is {} s {way} that of the {}", ahead.abs(), subject.kind);
            subject.find(Status::Warning, "clock", message, Some("let the machine keep time by NTP".into()));
        }
        Some(_) => subject.facts.push("the clocks agree".into()),
        None => {}
    }
}
