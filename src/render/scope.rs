//! What templates can see, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use minijinja::value::{Enumerator, Object, Serde};
use minijinja::{Environment, Error, ErrorKind};
use serde_json::{Map, Value};

use super::{Fault, Occurrence, did_you_mean, occurrences};
use crate::secret::Secret;

/// The most a file named by `file('…')` may hold, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The kind of place a template stands in: it decides which names are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Anything else.
    Plain,
    /// The SQL of a model: also `ref`.
    Sql,
    /// A connection or a notification: also `env` and `file`.
    Outside,
    /// A row template of a sync: `row`, `vars`, `environment`, `run`. It is only checked here.
    Row,
}

/// Gives the value of an environment variable, if it is set.
pub type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What `env` and `file` give.
#[derive(Clone)]
pub enum Outside {
    /// Placeholders: to check a project offline.
    Unknown,
    /// The real values. Paths are relative to the project.
    Real {
        /// The project's folder.
        root: PathBuf,
        /// Looks an environment variable up.
        lookup: Lookup,
    },
}

impl Outside {
    /// The environment of this process and the files of this machine.
    pub fn real(root: &Path) -> Self {
        Self::Real { root: root.to_owned(), lookup: Arc::new(|name| std::env::var(name).ok()) }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outside::Unknown => "Unknown",
            Outside::Real { .. } => "Real",
        })
    }
}

/// What templates can see.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Where the template stands.
    pub block: Block,
    /// The variables of the environment chosen.
    pub vars: Map<String, Value>,
    /// Names of variables that only other environments define: undefined here, but not misspelt.
    pub elsewhere: BTreeSet<String>,
    /// Name of the environment; empty when there is none.
    pub environment: String,
    /// The sources: name in manifests → `{ name, type }` after swaps.
    pub sources: Map<String, Value>,
    /// RFC 3339 start of this run.
    pub started_at: String,
    /// The models `ref` knows, as what stands for them after `from`.
    pub refs: Arc<BTreeMap<String, String>>,
    /// What `env` and `file` give.
    pub outside: Outside,
}

impl Scope {
    /// The same scope in another block.
    pub fn at(&self, block: Block) -> Scope {
        Scope { block, ..self.clone() }
    }

    fn roots(&self) -> &'static [&'static str] {
        match self.block {
            Block::Plain => &["vars", "environment", "source"],
            Block::Sql => &["vars", "environment", "source", "run", "ref"],
            Block::Outside => &["vars", "environment", "source", "run", "env", "file"],
            Block::Row => &["row", "vars", "environment", "run"],
        }
    }

    /// What is wrong with a name, when it is a free variable of a template that stands in this scope.
    /// With `here`, also what only other environments define is missing.
    pub(super) fn complaint(&self, name: &Occurrence, here: bool) -> Option<Fault> {
        let root = name.root();
        let make = |message: String, help: Option<String>| {
            Some(Fault { code: "undefined-name", message, help, range: name.range.clone() })
        };
        if matches!(root, "range" | "dict" | "namespace" | "loop" | "self" | "caller") || name.guarded {
            return None;
        }
        if !self.roots().contains(&root) {
            return match (root, self.block) {
                ("env" | "file", _) => make(
                    format!("`{root}` can be used only in `connection` and `notify`"),
                    Some(
                        "a secret belongs there and in no record, query or plan; what is none is written under `vars` \
                         of `syncline.yaml`"
                            .into(),
                    ),
                ),
                ("ref", _) => make("`ref` can be used only in the SQL of a model".into(), None),
                ("row", _) => make("`row` can be used only in the `template` of a field".into(), None),
                ("source", Block::Row) => make("`source` cannot be used per row".into(), None),
                ("run", Block::Plain) => make(
                    "`run` cannot be used here: the configuration would change with every run".into(),
                    Some("use it in the `template` of a field, in SQL or in a connection".into()),
                ),
                _ => {
                    let vars = self.vars.keys().map(String::as_str);
                    let help = did_you_mean(root, "vars.", vars.filter(|var| *var == root))
                        .or_else(|| did_you_mean(root, "", self.roots().iter().copied()))
                        .or_else(|| Some(format!("known here: {}", quoted(self.roots()))));
                    make(format!("`{root}` is not defined"), help)
                }
            };
        }
        // The last attribute of a call is a method.
        let attributes = name.path.get(1..name.path.len() - usize::from(name.called && name.path.len() > 1))?;
        let (mut value, mut prefix) = match root {
            "vars" => (Value::Object(self.vars.clone()), "vars.".to_owned()),
            "source" => (Value::Object(self.sources.clone()), "source.".to_owned()),
            "run" => (serde_json::json!({ "started_at": "" }), "run.".to_owned()),
            _ => return None,
        };
        for (depth, attribute) in attributes.iter().enumerate() {
            let Value::Object(map) = &value else { return None };
            if depth == 0 && root == "vars" && self.elsewhere.contains(attribute) && !map.contains_key(attribute) {
                let help = "another environment does: define it for this one too, or under the project's `vars`";
                let message = format!("this environment does not define `vars.{attribute}`");
                return if here { make(message, Some(help.into())) } else { None };
            }
            let Some(next) = map.get(attribute) else {
                let help = did_you_mean(attribute, &prefix, map.keys().map(String::as_str)).or_else(|| {
                    (root == "vars").then(|| format!("define it under `vars` in `syncline.yaml`: `{attribute}: …`"))
                });
                return make(format!("`{prefix}{attribute}` is not defined"), help);
            };
            prefix = format!("{prefix}{attribute}.");
            value = next.clone();
        }
        None
    }

    /// The values templates see.
    pub(super) fn context(&self, asked: &Arc<Asked>) -> minijinja::Value {
        let run = serde_json::json!({ "started_at": self.started_at });
        let mut values: Vec<(&str, minijinja::Value)> = vec![
            ("vars", Serde(&self.vars).into()),
            ("environment", self.environment.as_str().into()),
            ("source", Serde(&self.sources).into()),
            ("run", Serde(&run).into()),
        ];
        if self.block == Block::Outside {
            let env = Env { outside: self.outside.clone(), asked: asked.clone() };
            values.push(("env", minijinja::Value::from_object(env)));
        }
        minijinja::Value::from_pairs(values)
    }

    pub(super) fn add_functions(&self, engine: &mut Environment<'_>, asked: Option<Arc<Asked>>) {
        if self.block == Block::Sql {
            let refs = self.refs.clone();
            engine.add_function("ref", move |name: String| {
                let unknown = || Error::new(ErrorKind::InvalidOperation, format!("there is no model `{name}`"));
                refs.get(&name).cloned().ok_or_else(unknown)
            });
        }
        if let (Block::Outside, Some(asked)) = (self.block, asked) {
            let outside = self.outside.clone();
            engine.add_function("file", move |path: String| {
                let text = read(&outside, &path).map_err(|message| Error::new(ErrorKind::InvalidOperation, message))?;
                asked.note(&outside, &text);
                Ok(text)
            });
        }
    }
}

/// The contents of a file outside the manifests, without the line break at its end.
fn read(outside: &Outside, path: &str) -> Result<String, String> {
    let Outside::Real { root, .. } = outside else { return Ok(PLACEHOLDER.into()) };
    let failed = |error: std::io::Error| format!("cannot read `{path}`: {error}");
    let full = root.join(path).canonicalize().map_err(failed)?;
    if Path::new(path).is_relative() && !full.starts_with(root.canonicalize().map_err(failed)?) {
        return Err(format!("`{path}` is outside the project; give an absolute path for a file elsewhere"));
    }
    if full.metadata().map_err(failed)?.len() > MAX_FILE {
        return Err(format!("`{path}` is larger than {} KiB", MAX_FILE / 1024));
    }
    let text = std::fs::read_to_string(full).map_err(failed)?;
    match without_break(&text) {
        "" => Err(format!("`{path}` is empty")),
        text => Ok(text.to_owned()),
    }
}

/// A text without the line break at its end.
fn without_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

const PLACEHOLDER: &str = "unknown";

/// What a template asked of the outside while it was rendered.
#[derive(Debug, Default)]
pub(super) struct Asked {
    any: AtomicBool,
    secrets: Mutex<Vec<Secret>>,
    missing: Mutex<BTreeSet<String>>,
    empty: Mutex<BTreeSet<String>>,
}

impl Asked {
    /// Takes note of what was given; a placeholder is no secret.
    fn note(&self, outside: &Outside, text: &str) {
        self.any.store(true, Ordering::Relaxed);
        if matches!(outside, Outside::Unknown) {
            return;
        }
        if let Ok(mut secrets) = self.secrets.lock() {
            secrets.push(Secret::new(text));
        }
    }

    pub(super) fn secrets(&self) -> Vec<Secret> {
        self.secrets.lock().map(|secrets| secrets.clone()).unwrap_or_default()
    }

    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Environment variables that were asked for and are not set, where they stand in the text.
    pub(super) fn missing(&self, text: &str) -> Vec<Fault> {
        let help = |name: &str| format!("set it before the run: `export {name}=…`");
        variables(text, &self.missing, "is not set", &help)
    }

    /// Environment variables that were asked for and are set to nothing, where they stand in the text.
    pub(super) fn empty(&self, text: &str) -> Vec<Fault> {
        let help = |name: &str| {
            format!(
                "set it before the run: `export {name}=…`; CI systems set secrets to nothing that a job may not see. If it \
                 may be empty, say what then: `env.{name} | default('…', true)`"
            )
        };
        variables(text, &self.empty, "is set to nothing", &help)
    }
}

/// A fault for each of these environment variables where it stands in a text.
fn variables(text: &str, names: &Mutex<BTreeSet<String>>, what: &str, help: &dyn Fn(&str) -> String) -> Vec<Fault> {
    let names = names.lock().map(|names| names.clone()).unwrap_or_default();
    let named = |occurrence: &Occurrence| occurrence.path.get(1).filter(|name| names.contains(*name)).cloned();
    let own = |occurrence: &Occurrence| occurrence.root() == "env" && !occurrence.guarded;
    let fault = |occurrence: Occurrence| {
        let name = named(&occurrence)?;
        let message = format!("the environment variable `{name}` {what}");
        Some(Fault { code: "missing-variable", message, help: Some(help(&name)), range: occurrence.range })
    };
    occurrences(text).into_iter().filter(own).filter_map(fault).collect()
}

/// `env`: looked up when asked, never listed.
#[derive(Debug)]
struct Env {
    outside: Outside,
    asked: Arc<Asked>,
}

impl Object for Env {
    fn get_value(self: &Arc<Self>, key: &minijinja::Value) -> Option<minijinja::Value> {
        let name = key.as_str()?;
        let value = match &self.outside {
            Outside::Unknown => Some(PLACEHOLDER.to_owned()),
            Outside::Real { lookup, .. } => lookup(name),
        };
        match value {
            Some(text) => {
                // What pastes or prints a secret into a variable often leaves a line break behind it.
                let text = without_break(&text).to_owned();
                if text.is_empty()
                    && let Ok(mut empty) = self.asked.empty.lock()
                {
                    empty.insert(name.to_owned());
                }
                self.asked.note(&self.outside, &text);
                Some(minijinja::Value::from(text))
            }
            None => {
                self.asked.any.store(true, Ordering::Relaxed);
                if let Ok(mut missing) = self.asked.missing.lock() {
                    missing.insert(name.to_owned());
                }
                None
            }
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
