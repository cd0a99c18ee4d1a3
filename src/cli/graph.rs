//! `syncline graph`: how sources, models, syncs and destinations hang together.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::{Global, terminal};
use crate::diagnostic::{Error, Result};
use crate::project::Project;
use crate::report;
use crate::report::answers::{DbtNode, Edge, Graph, Node, Owner};

#[derive(Args)]
pub(super) struct Options {
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write syncs of dbt models as dbt exposures, so that dbt's lineage shows them; to standard output without FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "format")]
    dbt_exposures: Option<Option<PathBuf>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A tree for a person.
    #[default]
    Text,
    /// For Graphviz.
    Dot,
    /// For a Markdown page.
    Mermaid,
    /// Nodes and edges for a program.
    Json,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<ExitCode> {
    let graph = report::json::value(&facts(&super::load(global)?))?;
    if let Some(file) = &options.dbt_exposures {
        return exposures(&graph, file.as_deref());
    }
    terminal::out(&match options.format {
        Format::Text => report::graph::text(&graph),
        Format::Dot => report::graph::dot(&graph),
        Format::Mermaid => report::graph::mermaid(&graph),
        Format::Json => format!("{graph:#}\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn exposures(graph: &Value, file: Option<&Path>) -> Result<ExitCode> {
    let (text, left_out) = report::exposures::exposures(graph);
    match file {
        None => terminal::out(&text)?,
        Some(file) => std::fs::write(file, text)
            .map_err(|e| Error::failed(format!("cannot write the exposures to `{}`: {e}", file.display())))?,
    }
    if !left_out.is_empty() {
        let names: Vec<_> = left_out.iter().map(|name| format!("`{name}`")).collect();
        terminal::note(&format!("left out, as they read no model by `dbt`: {}", names.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

/// Nodes and edges, in an order that depends on names alone.
fn facts(project: &Project) -> Graph {
    let node = |kind: &'static str, name: &str| Node {
        id: format!("{kind}:{name}"),
        kind,
        name: name.to_owned(),
        ..Node::default()
    };
    let edge = |kind: &'static str, from: String, to: String| Edge { kind, from, to };
    let mut nodes: Vec<Node> = project.sources.keys().map(|name| node("source", name)).collect();
    let mut edges = Vec::new();
    for (name, model) in &project.models {
        let dbt = model.dbt.as_ref();
        let dbt = dbt.map(|dbt| DbtNode { unique_id: dbt.unique_id.clone(), reference: dbt.reference.clone() });
        nodes.push(Node { dbt, ..node("model", name) });
        edges.push(edge("reads", format!("source:{}", model.source), format!("model:{name}")));
        edges.extend(model.refs.iter().map(|other| edge("ref", format!("model:{other}"), format!("model:{name}"))));
    }
    for (name, sync) in &project.syncs {
        nodes.push(Node {
            mode: Some(sync.sync.mode.word()),
            object: Some(sync.sync.object.clone()),
            description: sync.sync.description.as_ref().map(|text| text.trim().to_owned()),
            ..node("sync", name)
        });
        edges.push(edge("rows", format!("model:{}", sync.model), format!("sync:{name}")));
        edges.push(edge("records", format!("sync:{name}"), format!("destination:{}", sync.destination)));
        let after = sync.sync.schedule.as_ref().and_then(|schedule| schedule.after.as_ref());
        edges.extend(
            after.into_iter().flatten().map(|other| edge("after", format!("sync:{other}"), format!("sync:{name}"))),
        );
    }
    for (name, destination) in &project.destinations {
        nodes.push(Node { sandbox: Some(destination.sandbox), ..node("destination", name) });
    }
    let owner =
        |owner: &crate::manifest::project::Owner| Owner { name: owner.name.clone(), email: owner.email.clone() };
    Graph {
        format_version: "1.0",
        project: project.name.clone(),
        environment: project.environment.name.clone(),
        owner: project.owner.as_ref().map(owner),
        nodes,
        edges,
    }
}
