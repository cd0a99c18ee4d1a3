//! Models → queries: SQL files read, `ref`s followed, templates rendered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::dbt::{DbtModel, Manifests};
use super::environment::EnvironmentInfo;
use super::files::{File, read_text, template_fault};
use super::links::{Files, arrows, circles};
use super::resolve::swapped;
use super::tree::Tree;
use crate::diagnostic::{Diagnostic, Place, SourceText, closest};
use crate::manifest::model::Table;
use crate::manifest::{Kind, schema};
use crate::render::{self, Block, Scope};
use crate::sources::{Dialect, Query};

/// A model's query, and the text of it that does not change from run to run.
#[derive(Debug, Clone)]
pub(super) struct Rendered {
    pub query: Query,
    pub stable: String,
    /// The models it is made of, sorted.
    pub refs: Vec<String>,
    /// The file the statement is in, when it is not the manifest.
    pub sql_file: Option<PathBuf>,
    /// What dbt says of it, where it is read by its name there.
    pub dbt: Option<DbtModel>,
    /// How its source spells names.
    pub dialect: Dialect,
}

/// Where a model's statement is written.
pub(super) enum Text<'a> {
    /// In the manifest, at a pointer.
    Manifest(&'a File, String),
    /// In a file of its own.
    File(SourceText),
}

/// A statement as it is written.
pub(super) struct Statement<'a> {
    pub text: String,
    pub origin: Text<'a>,
}

impl Statement<'_> {
    fn file(&self) -> Option<PathBuf> {
        match &self.origin {
            Text::Manifest(..) => None,
            Text::File(source) => Some(source.path.clone()),
        }
    }

    pub(super) fn diagnostic(&self, fault: render::Fault) -> Diagnostic {
        match &self.origin {
            Text::Manifest(file, pointer) => match &file.document {
                Some(document) => template_fault(document, pointer, fault),
                None => Diagnostic::error(fault.code, fault.message, None),
            },
            Text::File(source) => {
                let place = Place { source: source.clone(), span: fault.range };
                let diagnostic = Diagnostic::error(fault.code, fault.message, Some(place));
                Diagnostic { help: fault.help, ..diagnostic }
            }
        }
    }
}

/// The queries of all models that have one, by file stem. Faults are pushed; a model without a query has had one.
pub(super) fn render_all(
    tree: &dyn Tree,
    files: &Files,
    scope: Option<&Scope>,
    (manifests, environment): (&Manifests<'_>, Option<&EnvironmentInfo>),
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Rendered> {
    let mut done: BTreeMap<String, Rendered> = BTreeMap::new();
    let mut statements: BTreeMap<&str, Statement<'_>> = BTreeMap::new();
    for model in files.models.iter().filter(|model| model.document.is_some()) {
        let made = match form(model, out) {
            Some("dbt") => manifests.model(files, model, environment, out).map(|(query, stable, dbt)| Rendered {
                query,
                stable,
                refs: Vec::new(),
                sql_file: None,
                dbt: Some(dbt),
                dialect: dialect(files, environment, model),
            }),
            Some(form) => origin(tree, model, form, &mut statements, out).map(|table| {
                let stable = format!("{table:?}");
                let dialect = dialect(files, environment, model);
                Rendered { query: table, stable, refs: Vec::new(), sql_file: None, dbt: None, dialect }
            }),
            None => None,
        };
        done.extend(made.map(|made| (model.stem.clone(), made)));
    }
    let Some(scope) = scope else { return done };
    let graph = references(files, &statements, out);
    let circles = circles(&graph);
    for (circle, range) in &circles {
        if let Some(statement) = statements.get(circle[0].as_str()) {
            let message = format!("these models are made of each other: {}", arrows(circle));
            out.push(statement.diagnostic(render::Fault {
                code: "cycle",
                message,
                help: Some("remove one `ref`".into()),
                range: range.clone(),
            }));
        }
    }
    let mut pending: Vec<&str> = statements.keys().copied().collect();
    // What another model is made of comes first; what is in a circle, or made of something faulty, never comes.
    loop {
        let ready: Vec<&str> = pending
            .iter()
            .copied()
            .filter(|name| graph.get(name).is_none_or(|refs| refs.iter().all(|(to, _)| done.contains_key(to))))
            .collect();
        if ready.is_empty() {
            break;
        }
        pending.retain(|name| !ready.contains(name));
        let refs: BTreeMap<String, String> = done.iter().map(|(name, made)| (name.clone(), subquery(made))).collect();
        let stable: BTreeMap<String, String> =
            done.iter().map(|(name, made)| (name.clone(), made.stable.clone())).collect();
        let scope = Scope { refs: Arc::new(refs), ..scope.at(Block::Sql) };
        let fixed = Scope { refs: Arc::new(stable), started_at: "run.started_at".into(), ..scope.clone() };
        for name in ready {
            let Some(statement) = statements.get(name) else { continue };
            match (render_one(&statement.text, &scope), render_one(&statement.text, &fixed)) {
                (Ok(sql), Ok(stable)) => {
                    let refs = graph.get(name).into_iter().flatten().map(|(to, _)| to.clone());
                    let refs = refs.collect::<BTreeSet<_>>().into_iter().collect();
                    let model = files.find(Kind::Model, name);
                    let dialect = model.map_or(Dialect::Sqlite, |model| dialect(files, environment, model));
                    let (query, sql_file) = (Query::Sql(sql), statement.file());
                    let made = Rendered { query, stable, refs, sql_file, dbt: None, dialect };
                    done.insert(name.to_owned(), made);
                }
                (Err(faults), _) | (_, Err(faults)) => {
                    out.extend(faults.into_iter().map(|fault| statement.diagnostic(fault)));
                }
            }
        }
    }
    // A model that waits for a faulty one is still checked itself.
    for name in pending {
        if let Some(statement) = statements.get(name) {
            let faults = render::check(&statement.text, &scope.at(Block::Sql));
            out.extend(faults.into_iter().map(|fault| statement.diagnostic(fault)));
        }
    }
    done
}

pub(super) fn render_one(text: &str, scope: &Scope) -> Result<String, Vec<render::Fault>> {
    let faults = render::check(text, scope);
    if !faults.is_empty() {
        return Err(faults);
    }
    let rendered = render::render(text, scope)?;
    let sql = match rendered.value {
        serde_json::Value::String(sql) => sql,
        other => other.to_string(),
    };
    let sql = sql.trim().trim_end_matches(';').trim_end();
    if sql.is_empty() {
        let message = "the statement is empty once rendered".to_owned();
        return Err(vec![render::Fault { code: "empty", message, help: None, range: 0..text.len() }]);
    }
    Ok(sql.to_owned())
}

/// Which of the four forms a model has; exactly one.
fn form<'f>(model: &'f File, out: &mut Vec<Diagnostic>) -> Option<&'f str> {
    const FORMS: [&str; 4] = ["sql", "sql_file", "table", "dbt"];
    let given = |form: &&&str| model.value.get(**form).is_some_and(|value| !value.is_null());
    let forms: Vec<&str> = FORMS.iter().filter(given).copied().collect();
    match forms.as_slice() {
        [form] => Some(form),
        [] => {
            // `slq:` is already reported as unknown.
            let known = ["name", "source", "description", "primary_key", "columns", "tests"];
            let keys = model.value.as_object().into_iter().flat_map(|map| map.keys());
            let misspelt = keys.filter(|key| !known.contains(&key.as_str())).any(|key| closest(key, FORMS).is_some());
            if !misspelt && model.value.is_object() {
                let message = "the model does not say where its rows come from";
                let place = model.key_place("/name");
                out.push(
                    Diagnostic::error("missing-key", message, place)
                        .with_help("add one of `sql`, `sql_file`, `table`, `dbt`"),
                );
            }
            None
        }
        [first, rest @ ..] => {
            for other in rest {
                let message = format!("`{first}` and `{other}` exclude each other");
                let place = model.key_place(&format!("/{other}"));
                out.push(Diagnostic::error("exclusive-keys", message, place).with_help("keep one of the two"));
            }
            None
        }
    }
}

/// A table at once; a statement goes to the statements.
fn origin<'f>(
    tree: &dyn Tree,
    model: &'f File,
    form: &str,
    statements: &mut BTreeMap<&'f str, Statement<'f>>,
    out: &mut Vec<Diagnostic>,
) -> Option<Query> {
    match form {
        "table" if !model.faulty => {
            let table: Table = schema::typed(model.document.as_ref()?, model.value.get("table")?).ok()?;
            return Some(Query::Table { name: table.name, columns: table.columns, filter: table.filter });
        }
        "sql" => {
            // The text as written: what the file says is rendered here, with `ref`.
            let text = model.value.get("sql")?.as_str()?.to_owned();
            if text.trim().is_empty() {
                let place = model.key_place("/sql");
                out.push(Diagnostic::error("empty", "`sql` must not be empty", place));
                return None;
            }
            statements.insert(&model.stem, Statement { text, origin: Text::Manifest(model, "/sql".into()) });
        }
        "sql_file" => {
            statements.insert(&model.stem, from_file(tree, model, "/sql_file", out)?);
        }
        _ => {}
    }
    None
}

/// The statement in the file that stands at a pointer of a model.
pub(super) fn from_file<'f>(
    tree: &dyn Tree,
    model: &File,
    pointer: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<Statement<'f>> {
    let path = model.text(pointer)?;
    if path.starts_with('/') {
        let message = "`sql_file` is relative to the model's folder";
        out.push(Diagnostic::error("outside-project", message, model.place(pointer)));
        return None;
    }
    match read_text(tree, &format!("{}/{path}", Kind::Model.folder().unwrap_or_default())) {
        Ok(source) => Some(Statement { text: source.text.to_string(), origin: Text::File(source) }),
        Err(fault) if fault.code == "unreadable-file" || fault.code == "outside-project" => {
            let diagnostic = Diagnostic::error(fault.code, fault.message.clone(), model.place(pointer));
            out.push(diagnostic.with_help("the path is relative to the model's folder and stays in the project"));
            None
        }
        Err(fault) => {
            out.push(*fault);
            None
        }
    }
}

pub(super) type Edges = Vec<(String, std::ops::Range<usize>)>;

/// Which statement is made of which models. What is not there is reported and left out.
fn references<'f>(
    files: &Files,
    statements: &BTreeMap<&'f str, Statement<'f>>,
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<&'f str, Edges> {
    statements.iter().map(|(name, statement)| (*name, edges(files, name, statement, out))).collect()
}

/// Which models a statement of a model is made of. What is not there is reported, and stands under its wrong name.
pub(super) fn edges(files: &Files, name: &str, statement: &Statement<'_>, out: &mut Vec<Diagnostic>) -> Edges {
    let known = files.names(Kind::Model);
    let source = |name: &str| files.find(Kind::Model, name).and_then(|model| model.text("/source"));
    let mut edges = Edges::new();
    for reference in render::references(&statement.text, "ref") {
        let fault = |code, message: String, help: Option<String>| {
            statement.diagnostic(render::Fault { code, message, help, range: reference.range.clone() })
        };
        let Some(to) = reference.name.clone() else {
            let message = "`ref` takes the name of a model in quotes".into();
            out.push(fault("bad-ref", message, Some("`ref('model')`".into())));
            edges.push((String::new(), reference.range.clone()));
            continue;
        };
        if !known.contains(to.as_str()) {
            let help = match closest(&to, known.iter().copied()) {
                Some(guess) => format!("did you mean `{guess}`?"),
                None => format!("create `models/{to}.yaml`"),
            };
            out.push(fault("unknown-reference", format!("there is no model `{to}`"), Some(help)));
        } else if let (Some(here), Some(there)) = (source(name), source(&to))
            && here != there
        {
            let message = format!("`{to}` is read from `{there}`, this model from `{here}`");
            out.push(fault("bad-ref", message, Some("`ref` works within one source".into())));
        }
        edges.push((to, reference.range.clone()));
    }
    edges
}

/// How the source of a model spells names.
fn dialect(files: &Files, environment: Option<&EnvironmentInfo>, model: &File) -> Dialect {
    let source = model.text("/source").map(|name| swapped(environment, Kind::Source, name));
    let source = source.and_then(|name| files.find(Kind::Source, name));
    let text = |pointer: &str| source.and_then(|source| source.text(pointer)).unwrap_or_default();
    match (text("/type"), text("/connection/quotes")) {
        ("snowflake", _) => Dialect::Snowflake,
        ("bigquery", _) => Dialect::Bigquery,
        ("mysql", _) => Dialect::Mysql,
        ("databricks" | "spark", _) | ("adbc", "backticks") => Dialect::Spark,
        _ => Dialect::Sqlite,
    }
}

/// What stands for a model after `from`.
pub(super) fn subquery(made: &Rendered) -> String {
    match &made.query {
        Query::Sql(sql) => format!("(\n{sql}\n)"),
        Query::Table { name, columns: None, filter: None } => name.clone(),
        Query::Table { name, columns, filter } => {
            let columns = match columns {
                None => "*".to_owned(),
                Some(columns) => columns.iter().map(|c| made.dialect.column(c)).collect::<Vec<_>>().join(", "),
            };
            let filter = filter.as_ref().map(|filter| format!("\nwhere {filter}")).unwrap_or_default();
            format!("(\nselect {columns} from {name}{filter}\n)")
        }
    }
}
