//! `syncline test`: tests of syncs, and the cases of the connectors these syncs go to. Offline.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Global, terminal};
use crate::connectors;
use crate::destinations::DestinationKind;
use crate::diagnostic::{Diagnostic, Error, Place, Result};
use crate::project::{Project, Sets};
use crate::report::answers::{At, CaseError, CaseMismatch, ConnectorCases, Tested, TestedCase, TestedFile};
use crate::{report, sync_test};

#[derive(Args)]
pub(super) struct Options {
    /// The sync whose tests are run, by name, glob, `tag:x`, `model:x` or `destination:x`; all when absent
    #[arg(value_name = "SYNC")]
    syncs: Vec<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
    /// For the test report of a CI system.
    Junit,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let project = super::load(global)?;
    let chosen = project.select(&options.syncs, &Sets::default())?;
    let scratch = tempfile::tempdir().map_err(|e| Error::failed(format!("cannot make a temporary folder: {e}")))?;
    let mut tests = Vec::new();
    for (name, test) in project.tests.iter().filter(|(_, test)| chosen.contains(&test.test.sync)) {
        let outcomes = sync_test::run(&project, test, scratch.path())?;
        tests.push(TestedFile {
            test: name.clone(),
            file: test.place("").source.path.display().to_string(),
            sync: test.test.sync.clone(),
            cases: outcomes.iter().map(case).collect(),
        });
    }
    let untested = chosen.iter().filter(|sync| !project.tests.values().any(|test| test.test.sync == **sync));
    let results = report::json::value(&Tested {
        format_version: "1.0",
        environment: project.environment.name.clone(),
        tests,
        untested: untested.cloned().collect(),
        connectors: connector_cases(&project, &chosen)?,
    })?;
    let failed = report::sync_test::failed(&results);
    terminal::out(&match options.format {
        Format::Text => report::sync_test::text(&results, terminal::stdout_color()),
        Format::Json => format!("{results:#}\n"),
        Format::Junit => report::sync_test::junit(&results),
    })?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn case(outcome: &sync_test::Outcome) -> TestedCase {
    let mismatches = outcome.mismatches.iter().map(|mismatch| CaseMismatch {
        place: place(&mismatch.place),
        row: mismatch.row.clone(),
        what: mismatch.what.clone(),
        expected: mismatch.expected.clone(),
        got: mismatch.got.clone(),
        note: mismatch.note.clone(),
    });
    let error = |error: &Diagnostic| CaseError {
        place: error.place.as_ref().map(place),
        code: error.code.to_owned(),
        message: error.message.clone(),
        help: error.help.clone(),
    };
    TestedCase {
        name: outcome.name.clone(),
        place: place(&outcome.place),
        ok: outcome.errors.is_empty() && outcome.mismatches.is_empty(),
        errors: outcome.errors.iter().map(error).collect(),
        mismatches: mismatches.collect(),
    }
}

fn place(place: &Place) -> At {
    let (line, column) = place.line_column();
    At { file: place.source.path.display().to_string(), line, column }
}

/// The cases of the connectors that the syncs go to, each connector once.
fn connector_cases(project: &Project, syncs: &[String]) -> Result<Vec<ConnectorCases>> {
    let destinations = syncs.iter().filter_map(|name| project.destinations.get(&project.syncs.get(name)?.destination));
    let mut used = BTreeMap::new();
    for destination in destinations {
        if let DestinationKind::Connector(compiled) = &destination.kind
            && !compiled.manifest().cases.is_empty()
        {
            used.insert(compiled.manifest().name.clone(), compiled.clone());
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("cannot start the cases: {e}")))?;
    let results = used.into_iter().map(|(name, compiled)| {
        // What connectors warn of belongs to the cases: they provoke it.
        let silent = tracing::subscriber::NoSubscriber::default();
        let cases = tracing::subscriber::with_default(silent, || runtime.block_on(connectors::run_cases(&compiled)));
        super::connectors::outcome(&name, &cases)
    });
    Ok(results.collect())
}
