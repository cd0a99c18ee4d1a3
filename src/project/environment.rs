//! The environment a project is loaded for: what it says goes over what the project says.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::files::File;
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::project::{Environment, Project, StateBackend};
use crate::manifest::sync::Guards;
use crate::render;

/// Code of the fault that the environment asked for does not exist.
pub(super) const UNKNOWN: &str = "unknown-environment";

/// The environment chosen, laid over the project.
#[derive(Debug, Clone)]
pub struct EnvironmentInfo {
    /// Its name; empty when the project declares none.
    pub name: String,
    /// Values for templates.
    pub vars: Map<String, Value>,
    /// Where the state is kept.
    pub state: StateBackend,
    /// Guards for every sync that does not set its own.
    pub guards: Guards,
    /// Sources swapped: name in models → manifest.
    pub sources: IndexMap<String, String>,
    /// Destinations swapped: name in syncs → manifest.
    pub destinations: IndexMap<String, String>,
    /// Destinations, by the name of their manifest, whose records go to a sandbox.
    pub sandboxed: BTreeSet<String>,
    /// Variables that only other environments define.
    pub(super) elsewhere: BTreeSet<String>,
}

impl EnvironmentInfo {
    /// The variables that templates in a value name, with what they are here.
    pub(super) fn vars_in(&self, value: &Value) -> Map<String, Value> {
        let mut vars = Map::new();
        let mut rest = vec![value];
        while let Some(value) = rest.pop() {
            match value {
                Value::Array(items) => rest.extend(items),
                Value::Object(map) => rest.extend(map.values()),
                Value::String(text) if render::is_template(text) => {
                    for name in render::occurrences(text).iter().filter(|name| name.root() == "vars") {
                        match name.path.get(1).and_then(|var| self.vars.get_key_value(var)) {
                            Some((var, value)) => drop(vars.insert(var.clone(), value.clone())),
                            // `vars.items()` looks at all of them.
                            None => vars.extend(self.vars.clone()),
                        }
                    }
                }
                _ => {}
            }
        }
        vars.sort_keys();
        vars
    }
}

/// Chooses the environment. `None` when that is not possible; the reason has been pushed.
pub(super) fn choose(
    project: &Project,
    file: &File,
    wanted: Option<&str>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<EnvironmentInfo> {
    let environments = &project.environments;
    let defaults: Vec<&String> = environments.iter().filter(|(_, e)| e.default).map(|(name, _)| name).collect();
    for name in defaults.iter().skip(1) {
        let place = file.key_place(&format!("/environments/{}/default", crate::manifest::document::escape(name)));
        let message = format!("environments `{}` and `{name}` are both the default", defaults[0]);
        diagnostics.push(Diagnostic::error("two-defaults", message, place).with_help("keep one `default: true`"));
    }
    let names = || environments.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (name, chosen) = match wanted.or(defaults.first().map(|name| name.as_str())) {
        Some(wanted) => match environments.get(wanted) {
            Some(environment) => (wanted.to_owned(), environment.clone()),
            None => {
                let message = format!("there is no environment `{wanted}`");
                let help = match closest(wanted, environments.keys().map(String::as_str)) {
                    Some(guess) => format!("did you mean `{guess}`?"),
                    None if environments.is_empty() => "the project declares no environments: leave `--env` out".into(),
                    None => format!("environments of this project: {}", names()),
                };
                let place = file.key_place("/environments");
                diagnostics.push(Diagnostic::error(UNKNOWN, message, place).with_help(help));
                return None;
            }
        },
        None if environments.is_empty() => (String::new(), Environment::default()),
        None => {
            let message = format!("no environment is chosen, and none of {} is the default", names());
            let place = file.key_place("/environments");
            diagnostics.push(
                Diagnostic::error("no-environment", message, place)
                    .with_help("give one with `--env`, or mark one with `default: true`"),
            );
            return None;
        }
    };
    let mut vars = project.vars.clone();
    vars.extend(chosen.vars);
    let elsewhere = environments.values().flat_map(|e| e.vars.keys()).filter(|var| !vars.contains_key(*var));
    Some(EnvironmentInfo {
        name,
        elsewhere: elsewhere.cloned().collect(),
        vars,
        state: chosen.state.unwrap_or_else(|| project.state.clone()),
        guards: over(&chosen.guards, &project.guards),
        sources: chosen.sources,
        // By manifest: whoever names it, by a swap or directly, gets the sandbox and never the real system.
        sandboxed: chosen
            .destinations
            .iter()
            .filter(|(_, swap)| swap.sandbox)
            .map(|(name, swap)| swap.to.as_ref().unwrap_or(name).clone())
            .collect(),
        destinations: chosen.destinations.into_iter().filter_map(|(name, swap)| Some((name, swap.to?))).collect(),
    })
}

/// What a faulty project file still says about variables and swaps. `None` when its variables cannot be read: nothing
/// can be said about templates then.
pub(super) fn salvage(value: &Value) -> Option<Project> {
    let object = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Some(Value::Object(Map::new())),
        Some(value) if value.is_object() => Some(value.clone()),
        Some(_) => None,
    };
    value.as_object()?;
    let mut environments = Map::new();
    for (name, environment) in object(value.get("environments"))?.as_object()? {
        let mut kept = Map::new();
        for key in ["default", "vars", "sources", "destinations"] {
            if let Some(part) = environment.get(key) {
                kept.insert(key.into(), part.clone());
            }
        }
        environments.insert(name.clone(), kept.into());
    }
    let project = serde_json::json!({ "name": "", "vars": object(value.get("vars"))?, "environments": environments });
    serde_json::from_value(project).ok()
}

/// Guards over guards, key by key.
pub(super) fn over(top: &Guards, base: &Guards) -> Guards {
    Guards {
        max_added: top.max_added.or(base.max_added),
        max_changed: top.max_changed.or(base.max_changed),
        max_removed: top.max_removed.or(base.max_removed),
        max_invalid: top.max_invalid.or(base.max_invalid),
        min_rows: top.min_rows.or(base.min_rows),
    }
}
