//! Models by `dbt`: the manifests that sources name, and what a model of that name is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use indexmap::IndexMap;
use serde_json::json;

use super::environment::EnvironmentInfo;
use super::files::File;
use super::links::Files;
use super::resolve::swapped;
use super::tree::{self, Directory, Tree};
use super::{Project, ResolvedSync};
use crate::dbt::{self, Declared, MAX_BYTES, Manifest, Node, OLDEST, Unreadable};
use crate::diagnostic::Diagnostic;
use crate::manifest::Kind;
use crate::manifest::model::Column;
use crate::mapping::Used;
use crate::sources::Query;

/// Code of the warning that changes of dbt models are not seen.
pub(super) const NOT_COMPARED: &str = "dbt-not-compared";

/// What dbt says of a model.
#[derive(Debug, Clone)]
pub struct DbtModel {
    /// `model.shop.contacts`
    pub unique_id: String,
    /// How dbt's files refer to it: `ref('contacts')`.
    pub reference: String,
    /// The manifest it is in, as the source names it.
    pub manifest: String,
    /// Its table or view, as the adapter writes it.
    pub relation: String,
    /// Digests by unique id of the node and of all that it is made of: of what is written, not of what is built.
    pub lineage: BTreeMap<String, String>,
    /// All its columns, where dbt enforces them; `None` where there may be others.
    pub contract: Option<IndexMap<String, DataType>>,
    /// The tests dbt declares of it.
    pub tests: Vec<Declared>,
    /// The columns that are described.
    columns: IndexMap<String, dbt::Column>,
}

impl DbtModel {
    /// All that counts as a change of it, a line each: its table, what its columns show, what it is made of.
    pub fn summary(&self) -> String {
        let mut text = format!("{} is {}\n", self.unique_id, self.relation);
        for (name, column) in &self.columns {
            if let Some(sensitive) = column.sensitive {
                text.push_str(&format!("column {name}: sensitive {sensitive}\n"));
            }
        }
        for (id, digest) in &self.lineage {
            text.push_str(&format!("made of {id} {digest}\n"));
        }
        text
    }

    /// Puts what dbt's properties say of columns below what the model's manifest says.
    pub(super) fn describe(&self, columns: &mut IndexMap<String, Column>) {
        for (name, known) in &self.columns {
            let known =
                Column { description: known.description.clone(), sensitive: known.sensitive, ..Column::default() };
            let column = columns.entry(name.clone()).or_default();
            column.description = column.description.take().or(known.description);
            column.sensitive = column.sensitive.or(known.sensitive);
        }
    }
}

/// The manifests of dbt projects, by the source that names them.
#[derive(Debug, Default)]
pub(super) struct Manifests<'a> {
    /// `None` where it cannot be read, which has been said.
    read: BTreeMap<&'a str, Option<Arc<Manifest>>>,
}

impl<'a> Manifests<'a> {
    /// Reads those that some model needs.
    pub fn read(
        tree: &dyn Tree,
        root: &Path,
        files: &'a Files,
        environment: Option<&'a EnvironmentInfo>,
        out: &mut Vec<Diagnostic>,
    ) -> Self {
        let by_dbt = files.models.iter().filter(|model| model.text("/dbt").is_some());
        let names: BTreeSet<&str> =
            by_dbt.filter_map(|model| Some(swapped(environment, Kind::Source, model.text("/source")?))).collect();
        let mut known: BTreeMap<&str, Option<Arc<Manifest>>> = BTreeMap::new();
        let mut read = BTreeMap::new();
        for source in names.into_iter().filter_map(|name| files.find(Kind::Source, name)) {
            let Some(path) = source.text("/dbt/manifest") else { continue };
            // Sources of one project share its manifest, and what is wrong with it is said once.
            let manifest = known.entry(path).or_insert_with(|| {
                let found = read_manifest(tree, root, source, path, out);
                found.map_err(|fault| out.push(*fault)).ok().map(Arc::new)
            });
            read.insert(source.stem.as_str(), manifest.clone());
        }
        Self { read }
    }

    /// What a model by `dbt` reads, and the text of it that does not change from run to run.
    pub fn model(
        &self,
        files: &Files,
        model: &File,
        environment: Option<&EnvironmentInfo>,
        out: &mut Vec<Diagnostic>,
    ) -> Option<(Query, String, DbtModel)> {
        let wanted = model.text("/dbt")?;
        let name = swapped(environment, Kind::Source, model.text("/source")?);
        // A source that is not there is reported where it is named.
        let source = files.find(Kind::Source, name).filter(|source| source.document.is_some())?;
        let Some(manifest) = self.read.get(name) else {
            if !source.faulty {
                let message = format!("the source `{name}` does not say where dbt's manifest is");
                let help = format!("add `dbt: {{ manifest: target/manifest.json }}` to `sources/{name}.yaml`");
                out.push(Diagnostic::error("dbt-manifest", message, model.place("/dbt")).with_help(help));
            }
            return None;
        };
        let manifest = manifest.as_ref()?;
        let kind = source.text("/type").unwrap_or_default();
        if !is_of(&manifest.adapter, kind) {
            let message = format!("dbt's manifest was made for `{}`, and `{name}` is `{kind}`", manifest.adapter);
            let help = "dbt writes a manifest for one target: give the one that was made for this source";
            out.push(Diagnostic::error("dbt-adapter", message, source.place("/dbt/manifest")).with_help(help));
            return None;
        }
        let fault =
            |fault: dbt::Fault| Diagnostic::error(fault.code, fault.message, model.place("/dbt")).with_help(fault.help);
        let node = manifest.find(wanted).map_err(|found| out.push(fault(found))).ok()?;
        out.extend(other_key(model, node));
        let query = query(node, kind);
        let lineage = manifest.lineage(node);
        let open: Vec<_> = node.columns.iter().map(|(name, column)| (name, column.sensitive)).collect();
        let stable = json!([format!("{query:?}"), lineage, open]).to_string();
        let known = DbtModel {
            unique_id: node.unique_id.clone(),
            reference: node.reference(&manifest.project),
            manifest: source.text("/dbt/manifest").unwrap_or_default().to_owned(),
            relation: node.relation.clone().unwrap_or_default(),
            lineage,
            contract: node.exact.then(|| contract(node, &manifest.adapter)),
            tests: manifest.declared(node),
            columns: node.columns.clone(),
        };
        Some((query, stable, known))
    }
}

fn read_manifest(
    tree: &dyn Tree,
    root: &Path,
    source: &File,
    path: &str,
    out: &mut Vec<Diagnostic>,
) -> Result<Manifest, Box<Diagnostic>> {
    let fault = |message: String, help: &str| {
        let place = source.place("/dbt/manifest");
        Box::new(Diagnostic::error("dbt-manifest", message, place).with_help(help))
    };
    let mut bytes = tree.artifact(path, MAX_BYTES);
    if bytes == Err(tree::Fault::Missing) && tree.is_past() {
        // What dbt makes is seldom in git: the past is what was kept of it, or the same as today.
        let base = source.text("/dbt/base");
        bytes = Directory::new(root).artifact(base.unwrap_or(path), MAX_BYTES);
        if base.is_none() && bytes.is_ok() {
            let message = format!("`{path}` is not in git, so changes of dbt models are not seen by a comparison");
            let help = "keep the manifest of what is in production, and name it as `base` beside `manifest`";
            let place = source.place("/dbt/manifest");
            out.push(Diagnostic::warning(NOT_COMPARED, message, place).with_help(help));
        }
    }
    let bytes = bytes.map_err(|error| match error {
        tree::Fault::Missing => fault(
            format!("there is no `{path}`"),
            "run `dbt parse` (or `build`) in the dbt project; the path is relative to this project, or absolute",
        ),
        tree::Fault::Outside => fault(
            format!("`{path}` leads out of the project"),
            "relative paths stay in the project; give an absolute path for a dbt project elsewhere",
        ),
        tree::Fault::Failed(why) => fault(format!("cannot read `{path}`: {why}"), "see that it can be read"),
    })?;
    if bytes.len() > MAX_BYTES {
        let message = format!("`{path}` is larger than {} MiB", MAX_BYTES >> 20);
        return Err(fault(message, "is it dbt's `manifest.json`? Split the dbt project if it really is"));
    }
    Manifest::parse(&bytes).map_err(|error| match error {
        Unreadable::Old { .. } => fault(
            format!("`{path}` is too old: {error}, and at least v{OLDEST} is needed"),
            "make it with dbt 1.6 or newer",
        ),
        Unreadable::Not(_) => fault(format!("`{path}` cannot be used: {error}"), "name dbt's `target/manifest.json`"),
    })
}

/// Whether what an adapter makes is in a source of a type. Types that may be anything are taken as they are, and so are
/// files: they stand in for the warehouse, each called as the model is.
fn is_of(adapter: &str, kind: &str) -> bool {
    match kind {
        "postgres" | "redshift" => ["postgres", "redshift"].contains(&adapter),
        "databricks" | "spark" => ["databricks", "spark"].contains(&adapter),
        "mysql" => ["mysql", "mysql5", "mariadb"].contains(&adapter),
        "sqlite" | "duckdb" | "snowflake" | "bigquery" => adapter == kind,
        _ => true,
    }
}

/// What is read of a node: its table as the adapter writes it.
fn query(node: &Node, kind: &str) -> Query {
    let relation = node.relation.clone().unwrap_or_default();
    let table = |name: String| Query::Table { name, columns: None, filter: None };
    match kind {
        "files" => table(node.alias.clone()),
        // With quotes the name is taken as it is; else quoting would change it, where a warehouse folds upper and lower
        // case or quotes with other signs.
        _ if relation.contains('"') => table(relation),
        // Always in backticks; as a table it is asked for the columns that are used, which is what is paid for.
        "bigquery" if relation.contains('`') => table(relation),
        _ => Query::Sql(format!("select * from {relation}")),
    }
}

/// The columns of a contract. SQLite has no types to rely on.
fn contract(node: &Node, adapter: &str) -> IndexMap<String, DataType> {
    let kind = |word: Option<&String>| match word {
        Some(word) if adapter != "sqlite" => dbt::data_type(word),
        _ => DataType::Null,
    };
    node.columns.iter().map(|(name, column)| (name.clone(), kind(column.data_type.as_ref()))).collect()
}

/// A warning where dbt takes other columns for the key.
fn other_key(model: &File, node: &Node) -> Option<Diagnostic> {
    let keys = model.value.get("primary_key")?.as_array()?;
    let ours: BTreeSet<String> = keys.iter().filter_map(|key| Some(key.as_str()?.to_lowercase())).collect();
    let theirs: BTreeSet<String> = node.primary_key.iter().map(|key| key.to_lowercase()).collect();
    // A key of more columns than dbt's is as unique as dbt's.
    if theirs.is_empty() || theirs.is_subset(&ours) {
        return None;
    }
    let names: Vec<_> = node.primary_key.iter().map(|key| format!("`{key}`")).collect();
    let message = format!("dbt takes {} for the key of `{}`, by its tests or constraints", names.join(", "), node.name);
    let help = "rows with the same key are never sent: let dbt test that this key is unique and not null";
    Some(Diagnostic::warning("dbt-other-key", message, model.place("/primary_key")).with_help(help))
}

impl Project {
    /// What in a sync cannot work with the columns that dbt's contract promises for its model.
    pub(super) fn contract_faults(&self, sync: &ResolvedSync) -> Vec<Diagnostic> {
        let Some(model) = self.models.get(&sync.model) else { return Vec::new() };
        let Some(contract) = model.dbt.as_ref().and_then(|dbt| dbt.contract.as_ref()) else { return Vec::new() };
        let used = match sync.mapping.columns() {
            Ok(Used::Columns(used)) => used,
            Ok(Used::All) | Err(_) => BTreeSet::new(),
        };
        // Case is the warehouse's affair: it decides what an unquoted name is called.
        let field = |(name, kind): (&String, &DataType)| {
            let same = used.iter().find(|used| used.to_lowercase() == name.to_lowercase());
            Field::new(same.unwrap_or(name), kind.clone(), true)
        };
        let schema = Schema::new(contract.iter().map(field).collect::<Vec<_>>());
        self.mapping_faults(sync, &sync.mapping.check(&schema, &model.columns))
    }
}
