//! `syncline test`: tests of syncs, and the cases of the connectors these syncs go to. Offline.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Global, terminal};
use crate::connectors;
use crate::destinations::DestinationKind;
use crate::diagnostic::{Diagnostic, Error, Place, Result};
use crate::project::{Project, Sets};
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
        let cases: Vec<Value> = outcomes.iter().map(case).collect();
        let file = test.place("").source.path.display().to_string();
        tests.push(json!({ "test": name, "file": file, "sync": test.test.sync, "cases": cases }));
    }
    let untested: Vec<&String> =
        chosen.iter().filter(|sync| !project.tests.values().any(|test| test.test.sync == **sync)).collect();
    let results = json!({
        "format_version": "1.0",
        "environment": project.environment.name,
        "tests": tests,
        "untested": untested,
        "connectors": connector_cases(&project, &chosen)?,
    });
    let failed = report::sync_test::failed(&results);
    terminal::out(&match options.format {
        Format::Text => report::sync_test::text(&results, terminal::stdout_color()),
        Format::Json => format!("{results:#}\n"),
        Format::Junit => report::sync_test::junit(&results),
    })?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn case(outcome: &sync_test::Outcome) -> Value {
    let mismatches = outcome.mismatches.iter().map(|mismatch| {
        json!({
            "place": place(&mismatch.place),
            "row": mismatch.row,
            "what": mismatch.what,
            "expected": mismatch.expected,
            "got": mismatch.got,
            "note": mismatch.note,
        })
    });
    let error = |error: &Diagnostic| {
        let place = error.place.as_ref().map(place);
        json!({ "place": place, "code": error.code, "message": error.message, "help": error.help })
    };
    json!({
        "name": outcome.name,
        "place": place(&outcome.place),
        "ok": outcome.errors.is_empty() && outcome.mismatches.is_empty(),
        "errors": outcome.errors.iter().map(error).collect::<Vec<_>>(),
        "mismatches": mismatches.collect::<Vec<_>>(),
    })
}

fn place(place: &Place) -> Value {
    let (line, column) = place.line_column();
    json!({ "file": place.source.path.display().to_string(), "line": line, "column": column })
}

/// The cases of the connectors that the syncs go to, each connector once.
fn connector_cases(project: &Project, syncs: &[String]) -> Result<Vec<Value>> {
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
        let cases = cases.iter().map(|case| json!({ "name": case.name, "failures": case.failures }));
        json!({ "connector": name, "cases": cases.collect::<Vec<_>>() })
    });
    Ok(results.collect())
}
