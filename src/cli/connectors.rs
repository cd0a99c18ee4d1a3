//! `syncline connectors`: what the connectors offer, of the project and built in, and whether their cases hold.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use indexmap::IndexMap;
use serde_json::Value;

use super::{Global, terminal};
use crate::connectors;
use crate::diagnostic::{self, Error, Result, closest};
use crate::manifest::connector::object::{Matching, ModeSteps, Object};
use crate::manifest::connector::{Connector, Parameter, ParameterType};
use crate::manifest::sync::Mode;
use crate::project::{self, KnownConnector, Origin};
use crate::report;
use crate::report::answers::{
    ConnectorCase, ConnectorCases, ConnectorDetail, ConnectorLine, FieldFacts, IdentifierFacts, LimitFacts, ModeFacts,
    ObjectFacts, ParameterFacts,
};

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Option<Action>,
    /// How it is written
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

#[derive(Subcommand)]
enum Action {
    /// All connectors (the default)
    List,
    /// One connector: its connection, and the modes, identifiers, fields and options of its objects
    Show {
        /// The connector
        name: String,
    },
    /// Run the cases that connectors carry: what they must send, and what they must make of the answers
    Test {
        /// The connector; all when absent
        name: Option<String>,
    },
}

type Known = std::collections::BTreeMap<String, KnownConnector>;

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    // Outside of a project, there are the built-in ones.
    let root = project::find_root(&global.project).ok();
    let (known, diagnostics) = project::known_connectors(root.as_deref());
    if diagnostic::has_errors(&diagnostics) {
        return Err(Error::Invalid(diagnostics));
    }
    let (facts, text): (Value, fn(&Value) -> String) = match &options.action {
        None | Some(Action::List) => {
            (report::json::value(&known.iter().map(entry).collect::<Vec<_>>())?, report::connectors::list)
        }
        Some(Action::Show { name }) => {
            (report::json::value(&detail(name, find(&known, name)?))?, report::connectors::detail)
        }
        Some(Action::Test { name }) => return test(&known, name.as_deref(), options.format),
    };
    terminal::out(&match options.format {
        Format::Text => text(&facts),
        Format::Json => format!("{facts:#}\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn find<'a>(known: &'a Known, name: &str) -> Result<&'a KnownConnector> {
    known.get(name).ok_or_else(|| {
        let help = match closest(name, known.keys().map(String::as_str)) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => "see `syncline connectors list`".into(),
        };
        Error::failed_help(format!("there is no connector `{name}`"), help)
    })
}

fn origin(known: &KnownConnector) -> &'static str {
    match known.origin {
        Origin::BuiltIn => "built-in",
        Origin::Project => "project",
        Origin::Replaces => "replaces built-in",
    }
}

fn entry((name, known): (&String, &KnownConnector)) -> ConnectorLine {
    let connector = &known.connector;
    ConnectorLine {
        name: name.clone(),
        origin: origin(known),
        description: connector.description.clone(),
        objects: connector.objects.keys().cloned().collect(),
        cases: connector.cases.len(),
    }
}

fn detail(name: &str, known: &KnownConnector) -> ConnectorDetail {
    let connector: &Connector = &known.connector;
    let limits = connector.api.limits.iter().map(|(name, limit)| {
        let limit = LimitFacts {
            requests: limit.requests,
            per: limit.requests.map(|_| limit.per.clone()),
            concurrent: limit.concurrent,
            reserve: limit.reserve.map(|reserve| reserve.to_string()),
        };
        (name.clone(), limit)
    });
    ConnectorDetail {
        format_version: "1.0",
        name: name.to_owned(),
        origin: origin(known),
        description: connector.description.clone(),
        documentation: connector.documentation.clone(),
        connection: parameters(&connector.connection),
        limits: limits.collect(),
        concurrency: connector.api.concurrency,
        objects: connector.objects.iter().map(|(name, o)| (name.clone(), object(o))).collect(),
    }
}

fn object(object: &Object) -> ObjectFacts {
    let identifiers = object.identifiers.iter().map(|(name, identifier)| {
        let modes = identifier.modes.iter().map(|mode| mode.word()).collect();
        let facts = IdentifierFacts { description: identifier.description.clone(), kind: identifier.kind, modes };
        (name.clone(), facts)
    });
    let fields = object.fields.iter().map(|(name, field)| {
        let (description, kind, required) = (field.description.clone(), field.kind, field.required);
        (name.clone(), FieldFacts { description, kind, required })
    });
    let modes = object.modes.iter().map(|(mode, steps)| (mode.word().to_owned(), mode_facts(object, *mode, steps)));
    ObjectFacts {
        description: object.description.clone(),
        matching: match object.matching {
            Matching::One => "one",
            Matching::All => "all",
        },
        identifiers: identifiers.collect(),
        open_identifiers: object.open_identifiers,
        modes: modes.collect(),
        fields: fields.collect(),
        open_fields: object.open_fields,
        fields_are_asked_for: object.discover.is_some(),
        options: parameters(&object.options),
        counts: object.count.is_some(),
        reads_back: object.read.is_some(),
        unreadable: object.unreadable.clone(),
    }
}

fn mode_facts(object: &Object, mode: Mode, steps: &ModeSteps) -> ModeFacts {
    let used: Vec<_> = [&steps.send, &steps.added, &steps.changed].into_iter().flatten().collect();
    let operations = used.iter().filter_map(|step| object.operations.get(&step.operation));
    let batch_size = operations.clone().map(|operation| operation.batch.records.unwrap_or(1)).min();
    let mut on_removed = vec!["keep"];
    on_removed.extend(steps.clear.as_ref().map(|_| "clear"));
    on_removed.extend(object.delete(mode).filter(|_| mode != Mode::Remove).map(|_| "delete"));
    ModeFacts {
        class: format!("{:?}", steps.class),
        batch_size,
        batch_bytes: operations.filter_map(|operation| operation.batch.bytes).min(),
        looks_up_first: used.iter().any(|step| step.find.is_some() || step.absent.is_some()),
        on_removed,
    }
}

fn parameters(parameters: &IndexMap<String, Parameter>) -> IndexMap<String, ParameterFacts> {
    let facts = |parameter: &Parameter| ParameterFacts {
        description: parameter.description.clone(),
        kind: match parameter.kind {
            ParameterType::String => "string",
            ParameterType::Integer => "integer",
            ParameterType::Boolean => "boolean",
            ParameterType::Id => "id",
        },
        required: parameter.required && parameter.default.is_none(),
        secret: parameter.secret,
        default: parameter.default.clone(),
        values: parameter.values.clone(),
    };
    parameters.iter().map(|(name, parameter)| (name.clone(), facts(parameter))).collect()
}

/// Runs the cases; 1 when one does not hold.
fn test(known: &Known, name: Option<&str>, format: Format) -> Result<ExitCode> {
    let chosen: Vec<(&str, &KnownConnector)> = match name {
        Some(name) => vec![(name, find(known, name)?)],
        None => known.iter().map(|(name, known)| (name.as_str(), known)).collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("cannot start the cases: {e}")))?;
    let mut results = Vec::new();
    for (name, known) in chosen {
        let Some(compiled) = &known.compiled else { continue };
        let cases = runtime.block_on(connectors::run_cases(compiled));
        results.push(outcome(name, &cases));
    }
    let results = report::json::value(&results)?;
    let (text, failed) = report::connectors::cases(&results);
    terminal::out(&match format {
        Format::Text => text,
        Format::Json => format!("{results:#}\n"),
    })?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What became of the cases of a connector.
pub(super) fn outcome(connector: &str, cases: &[connectors::CaseResult]) -> ConnectorCases {
    let case =
        |case: &connectors::CaseResult| ConnectorCase { name: case.name.clone(), failures: case.failures.clone() };
    ConnectorCases { connector: connector.to_owned(), cases: cases.iter().map(case).collect() }
}
