//! What a name means: which node of a manifest a model is read from, or why it cannot be.

use super::{Manifest, Node};
use crate::diagnostic::closest;

/// What dbt makes that has rows.
const WITH_ROWS: [&str; 4] = ["model", "seed", "snapshot", "source"];
/// Most names in a message.
const LISTED: usize = 6;

/// Why a name means nothing that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable code of the diagnostic.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Manifest {
    /// The model, seed, snapshot or source table of a name: a unique id, `NAME`, `PACKAGE.NAME`, `NAME.vVERSION`, or
    /// `SOURCE.TABLE`. As in dbt's `ref`, a model without version is its latest one, and a name is that of a table of a
    /// source only when nothing else is called so.
    ///
    /// # Errors
    /// There is none, or none that has rows in the warehouse, or more than one.
    pub fn find(&self, wanted: &str) -> Result<&Node, Fault> {
        if let Some(node) = self.nodes.get(wanted) {
            return readable(node);
        }
        if let Some(node) = self.disabled.get(wanted) {
            return Err(disabled(node));
        }
        let with_rows = || self.nodes.values().filter(|node| WITH_ROWS.contains(&node.resource_type.as_str()));
        let mut found: Vec<&Node> = with_rows().filter(|node| is_called(node, wanted)).collect();
        if found.iter().any(|node| node.source_name.is_none()) {
            found.retain(|node| node.source_name.is_none());
        }
        if found.len() > 1 && found.iter().any(|node| node.version.is_some() && node.latest) {
            found.retain(|node| node.version.is_none() || node.latest);
        }
        match found.as_slice() {
            [node] => readable(node),
            [] => match self.disabled.values().find(|node| is_called(node, wanted)) {
                Some(node) => Err(disabled(node)),
                None => Err(self.unknown(wanted, with_rows())),
            },
            several => {
                let ids: Vec<_> = several.iter().take(LISTED).map(|node| format!("`{}`", node.unique_id)).collect();
                Err(Fault {
                    code: "dbt-ambiguous",
                    message: format!("dbt has {} of the name `{wanted}`", several.len()),
                    help: format!("write the one that is meant: {}", ids.join(", ")),
                })
            }
        }
    }

    fn unknown<'a>(&'a self, wanted: &str, with_rows: impl Iterator<Item = &'a Node>) -> Fault {
        let mut names: Vec<&str> = Vec::new();
        for node in with_rows {
            names.push(if wanted.contains('.') { &node.unique_id } else { &node.name });
        }
        names.sort_unstable();
        names.dedup();
        let help = match closest(wanted, names.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None if names.is_empty() => "it has no models: run `dbt parse` in the dbt project".to_owned(),
            None => {
                let listed: Vec<_> = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
                let more = if names.len() > LISTED { ", …" } else { "" };
                let listed = listed.join(", ");
                format!("dbt knows {listed}{more}; if it is new, run `dbt parse` so that the manifest has it")
            }
        };
        let message = format!("dbt has no model, seed, snapshot or source table `{wanted}`");
        Fault { code: "dbt-unknown", message, help }
    }
}

fn is_called(node: &Node, wanted: &str) -> bool {
    let after = |prefix: &str| wanted.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or(wanted);
    if let Some(source) = &node.source_name {
        let table = after(&node.package);
        let within = table.strip_prefix(source.as_str()).and_then(|rest| rest.strip_prefix('.'));
        return wanted == node.name || within == Some(&node.name);
    }
    let plain = |wanted: &str| {
        let version = wanted.strip_prefix(node.name.as_str());
        match (&node.version, version) {
            (_, Some("")) => true,
            (Some(version), Some(rest)) => rest.strip_prefix(".v") == Some(version),
            _ => false,
        }
    };
    plain(wanted) || plain(after(&node.package))
}

fn readable(node: &Node) -> Result<&Node, Fault> {
    let (name, kind) = (&node.unique_id, node.resource_type.as_str());
    if !WITH_ROWS.contains(&kind) {
        return Err(Fault {
            code: "dbt-no-rows",
            message: format!("`{name}` is of dbt's type `{kind}`, which has no rows"),
            help: "name a model, seed, snapshot or source table".into(),
        });
    }
    if node.materialized == "ephemeral" {
        return Err(Fault {
            code: "dbt-no-rows",
            message: format!("`{name}` is ephemeral: dbt makes no table or view of it"),
            help: "set `materialized: view` (or `table`) in dbt, or read a model that is made of it".into(),
        });
    }
    if node.relation.is_none() {
        return Err(Fault {
            code: "dbt-no-rows",
            message: format!("dbt's manifest names no table or view for `{name}`"),
            help: "run `dbt compile` in the dbt project, so that `relation_name` is filled in".into(),
        });
    }
    Ok(node)
}

fn disabled(node: &Node) -> Fault {
    Fault {
        code: "dbt-disabled",
        message: format!("`{}` is disabled in dbt: it is not built any more", node.unique_id),
        help: "enable it in dbt (`enabled: true`), or read another model".into(),
    }
}
