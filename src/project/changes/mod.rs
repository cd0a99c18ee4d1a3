//! What changed in the configuration since a commit, which syncs that touches, and what of it has to be approved first.

mod limits;
mod text;

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::json;

use super::tree::{Commit, Directory};
use super::{Loaded, Project, ResolvedSync, digest, environment, load_tree, surface};
use crate::diagnostic::{Diagnostic, Result};
use crate::manifest::Kind;
use crate::manifest::project::{Policy, Usage};
use crate::manifest::sync::Guards;
pub use limits::Loosened;
use text::Texts;

/// A project compared with what it was in a commit.
pub struct Against {
    /// The commit, 40 hex digits.
    pub commit: String,
    /// The project there; `None` when it has faults or did not exist. Of the environment with the same name; where there
    /// was none, of the default one: see [`Against::other_environment`].
    pub base: Option<Project>,
    /// What the environment was called that it is compared with, where the one of the project did not exist.
    pub other_environment: Option<String>,
    /// The faults of the project there.
    pub faults: Vec<Diagnostic>,
    /// What of the project there cannot be compared.
    pub unseen: Vec<Diagnostic>,
    /// The manifests that changed, in data order.
    pub changes: Vec<Change>,
    /// The syncs that do something else than before, or are new.
    pub touched: BTreeSet<String>,
    /// Syncs that are gone and were not renamed.
    pub removed: Vec<String>,
    /// Limits that are wider than they were.
    pub loosened: Vec<Loosened>,
    /// Credentials and addresses that were not there.
    pub surface: Surface,
}

/// A change of one manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// `added`, `changed` or `removed`.
    pub change: &'static str,
    /// The file that changed, relative to the project.
    pub file: String,
    /// Unified diff of the text, SQL included.
    pub diff: String,
    /// Syncs it touches, sorted.
    pub affects: Vec<String>,
}

/// What is new about credentials and where they go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surface {
    /// Per sync, in words: `the destination `crm` is spoken to in another way`.
    pub syncs: IndexMap<String, Vec<String>>,
    /// `sha256:` over all of it: who approves it names this. Empty when nothing is new.
    pub digest: String,
}

impl Against {
    /// Compares a project with the commit its work tree has in common with a reference.
    ///
    /// # Errors
    /// The project is not in git, or the reference is not known there. A base with faults is none: see
    /// [`Against::base`].
    pub fn new(project: &Project, reference: &str) -> Result<Self> {
        let commit = Commit::common(&project.root, reference)?;
        let (loaded, other_environment) = load_base(&commit, project);
        let base = loaded.project;
        let (faults, remarks): (Vec<Diagnostic>, Vec<Diagnostic>) =
            loaded.diagnostics.into_iter().partition(|d| d.severity == crate::diagnostic::Severity::Error);
        let unseen = remarks.into_iter().filter(|remark| remark.code == super::dbt::NOT_COMPARED).collect();
        let pairs = Pairs::new(project, base.as_ref());
        let touched: BTreeSet<String> = pairs.touched().map(str::to_owned).collect();
        let before = Texts::of(&commit, base.as_ref().unwrap_or(project)).masked(&faults);
        let after = Texts::of(&Directory::new(&project.root), project);
        let mut changes = before.changes(&after, &pairs.renamed());
        affects(&mut changes, &pairs, &touched);
        let removed = base.iter().flat_map(|base| base.syncs.keys());
        let removed = removed.filter(|name| !project.syncs.contains_key(*name) && !pairs.was_renamed(name));
        Ok(Self {
            commit: commit.id.clone(),
            faults,
            unseen,
            changes,
            removed: removed.cloned().collect(),
            loosened: limits::loosened(&pairs),
            surface: surface_of(&pairs),
            touched,
            other_environment,
            base,
        })
    }

    /// The sync as it was, also under a name it had before.
    pub fn before(&self, sync: &ResolvedSync) -> Option<(&Project, &ResolvedSync)> {
        let base = self.base.as_ref()?;
        Some((base, counterpart(base, sync)?))
    }

    /// The guards of a sync, none of them wider than it was.
    pub fn guards(&self, sync: &ResolvedSync) -> Guards {
        match self.before(sync) {
            Some((_, before)) => limits::held(&sync.guards, &before.guards),
            None => sync.guards.clone(),
        }
    }

    /// What the policy allows: nothing that it did not before.
    pub fn policy(&self, project: &Project) -> Policy {
        match &self.base {
            Some(base) => limits::policy(&project.policy, &base.policy),
            None => project.policy.clone(),
        }
    }

    /// The budgets, none of them wider than it was.
    pub fn usage(&self, project: &Project) -> Usage {
        match &self.base {
            Some(base) => limits::budget(&project.usage, &base.usage),
            None => project.usage.clone(),
        }
    }
}

/// The project as it was, and what its environment was called where that of today did not exist: a change that gives its
/// environment a new name is held to what stood before all the same.
fn load_base(commit: &Commit, project: &Project) -> (Loaded, Option<String>) {
    let name = &project.environment.name;
    let loaded = load_tree(commit, &project.root, (!name.is_empty()).then_some(name));
    let unknown = |loaded: &Loaded| loaded.diagnostics.iter().any(|fault| fault.code == environment::UNKNOWN);
    if loaded.project.is_some() || !unknown(&loaded) {
        return (loaded, None);
    }
    let loaded = load_tree(commit, &project.root, None);
    let other = loaded.project.as_ref().map(|base| base.environment.name.clone());
    (loaded, other)
}

/// The sync of the base that a sync goes on from.
fn counterpart<'a>(base: &'a Project, sync: &ResolvedSync) -> Option<&'a ResolvedSync> {
    let old = || sync.sync.moved_from.as_ref().and_then(|old| base.syncs.get(old));
    base.syncs.get(&sync.name).or_else(old)
}

/// Syncs beside what they were.
struct Pairs<'a> {
    project: &'a Project,
    base: Option<&'a Project>,
    syncs: Vec<(&'a ResolvedSync, Option<&'a ResolvedSync>)>,
}

impl<'a> Pairs<'a> {
    fn new(project: &'a Project, base: Option<&'a Project>) -> Self {
        let syncs = project.syncs.values();
        let syncs = syncs.map(|sync| (sync, base.and_then(|base| counterpart(base, sync)))).collect();
        Self { project, base, syncs }
    }

    /// Syncs whose digest is another one, or that are new. A new name alone, with the state going on, is no change.
    fn touched(&self) -> impl Iterator<Item = &'a str> + '_ {
        let touched =
            self.syncs.iter().filter(|(sync, before)| before.is_none_or(|before| sync.digest != before.digest));
        touched.map(|(sync, _)| sync.name.as_str())
    }

    /// New names of syncs → old ones.
    fn renamed(&self) -> IndexMap<String, String> {
        let pairs = self.syncs.iter().filter_map(|(sync, before)| Some((sync, (*before)?)));
        pairs.filter(|(sync, old)| sync.name != old.name).map(|(s, old)| (s.name.clone(), old.name.clone())).collect()
    }

    fn was_renamed(&self, name: &str) -> bool {
        self.syncs.iter().any(|(sync, before)| before.is_some_and(|b| b.name == name && sync.name != name))
    }

    /// Whether the meaning of a thing a sync uses is another one than before.
    fn differs(&self, kind: Kind, name: &str) -> bool {
        let of = |project: Option<&'a Project>| -> Option<&'a str> {
            let project = project?;
            match kind {
                Kind::Source => project.sources.get(name).map(|source| source.digest.as_str()),
                Kind::Model => project.models.get(name).map(|model| model.digest.as_str()),
                Kind::Destination => project.destinations.get(name).map(|to| to.meaning.as_str()),
                _ => None,
            }
        };
        of(Some(self.project)) != of(self.base)
    }
}

/// Fills in which syncs each change touches.
fn affects(changes: &mut [Change], pairs: &Pairs, touched: &BTreeSet<String>) {
    let project = pairs.project;
    let changed: BTreeSet<(Kind, String)> = changes.iter().map(|c| (c.kind, c.name.clone())).collect();
    let is = |kind: Kind, name: &str| changed.contains(&(kind, name.to_owned()));
    let mut out: IndexMap<(Kind, String), Vec<String>> = IndexMap::new();
    for (sync, before) in pairs.syncs.iter().filter(|(sync, _)| touched.contains(&sync.name)) {
        let mut causes: Vec<(Kind, String)> = Vec::new();
        let own = before.is_none_or(|before| before.meaning != sync.meaning);
        if own && is(Kind::Sync, &sync.name) {
            causes.push((Kind::Sync, sync.name.clone()));
        }
        let models = made_of(project, &sync.model);
        let models = models.iter().filter(|name| pairs.differs(Kind::Model, name) && is(Kind::Model, name));
        causes.extend(models.map(|name| (Kind::Model, (*name).to_owned())));
        if let Some(model) = project.models.get(&sync.model)
            && pairs.differs(Kind::Source, &model.source)
            && is(Kind::Source, &model.source)
        {
            causes.push((Kind::Source, model.source.clone()));
        }
        if pairs.differs(Kind::Destination, &sync.destination) {
            let connector = project
                .destinations
                .get(&sync.destination)
                .and_then(|to| to.document.to_json().get("type")?.as_str().map(str::to_owned));
            let parts = [Some((Kind::Destination, sync.destination.clone())), connector.map(|c| (Kind::Connector, c))];
            causes.extend(parts.into_iter().flatten().filter(|(kind, name)| is(*kind, name)));
        }
        // What is explained by none of these comes from the project file: variables, guards, swaps. So may a part of
        // what they explain; then the values that it gives have changed.
        let elsewhere = causes.is_empty() || before.is_some_and(|before| from_project(pairs, sync, before, &is));
        if elsewhere && is(Kind::Project, &project.name) {
            causes.push((Kind::Project, project.name.clone()));
        }
        for cause in causes {
            out.entry(cause).or_default().push(sync.name.clone());
        }
    }
    for change in changes {
        change.affects = out.swap_remove(&(change.kind, change.name.clone())).unwrap_or_default();
        change.affects.sort();
    }
}

/// Whether the project file makes a sync something else, beside manifests that changed.
fn from_project(pairs: &Pairs, sync: &ResolvedSync, before: &ResolvedSync, is: &dyn Fn(Kind, &str) -> bool) -> bool {
    let project = pairs.project;
    let by_itself = |kind, name: &str| pairs.differs(kind, name) && !is(kind, name);
    let models = made_of(project, &sync.model);
    (sync.meaning != before.meaning && !is(Kind::Sync, &sync.name))
        || (pairs.differs(Kind::Model, &sync.model) && !models.iter().any(|name| is(Kind::Model, name)))
        || project.models.get(&sync.model).is_some_and(|model| by_itself(Kind::Source, &model.source))
        || (sync.destination != before.destination && sync.sync.destination == before.sync.destination)
}

/// A model and those it is made of.
fn made_of<'a>(project: &'a Project, model: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut rest = vec![model];
    while let Some(name) = rest.pop() {
        if found.insert(name) {
            rest.extend(project.models.get(name).into_iter().flat_map(|model| model.refs.iter().map(String::as_str)));
        }
    }
    found
}

/// What is new about the credentials of each sync. What stood in the base anywhere is known, whoever uses it now; but
/// an existing sync that goes elsewhere is new. Where the base cannot be read nothing is known, and the limits are new as
/// well: who approves the one approves the other.
fn surface_of(pairs: &Pairs) -> Surface {
    let base = pairs.base;
    let sources = base.iter().flat_map(|base| base.sources.values()).map(|source| source.surface.as_str());
    let destinations = base.iter().flat_map(|base| base.destinations.values()).map(|to| to.surface.as_str());
    let known: BTreeSet<&str> = sources.chain(destinations).collect();
    let told = |project: &Project, sync: &ResolvedSync| -> Vec<String> {
        let entries = sync.document.to_json().get("notify").and_then(|n| n.as_array().cloned()).unwrap_or_default();
        entries.iter().map(|entry| surface::of_value(entry, &project.environment)).collect()
    };
    let syncs = base.into_iter().flat_map(|base| base.syncs.values().map(move |sync| (base, sync)));
    let told_before: BTreeSet<String> = syncs.flat_map(|(base, sync)| told(base, sync)).collect();
    let (mut syncs, mut parts) = (IndexMap::new(), Vec::new());
    let source = |project: &Project, sync: &ResolvedSync| project.models.get(&sync.model).map(|m| m.source.clone());
    for (sync, before) in &pairs.syncs {
        let project = pairs.project;
        let mut words = Vec::new();
        let now = source(project, sync).unwrap_or_default();
        match project.sources.get(&now).filter(|source| !known.contains(source.surface.as_str())) {
            Some(found) => {
                words.push(format!("the connection of source `{now}` is new ({})", found.file().display()));
                parts.push(found.surface.clone());
            }
            None => {
                let old = before.and_then(|before| source(base?, before));
                if let Some(old) = old.filter(|old| *old != now) {
                    words.push(format!("it reads from source `{now}`, before from `{old}`"));
                    parts.push(format!("{} reads {now}", sync.name));
                }
            }
        }
        match project.destinations.get(&sync.destination).filter(|to| !known.contains(to.surface.as_str())) {
            Some(found) => {
                let file = found.file();
                let (name, file) = (&sync.destination, file.display());
                words.push(format!("the connection of destination `{name}` is new ({file})"));
                parts.push(found.surface.clone());
            }
            None => {
                if let Some(old) = before.map(|before| &before.destination).filter(|old| **old != sync.destination) {
                    words.push(format!("it sends to destination `{}`, before to `{old}`", sync.destination));
                    parts.push(format!("{} sends to {}", sync.name, sync.destination));
                }
            }
        }
        let fresh: Vec<String> = told(project, sync).into_iter().filter(|one| !told_before.contains(one)).collect();
        if !fresh.is_empty() {
            words.push("who is notified of it, or by what secret, is new".into());
            parts.extend(fresh);
        }
        if !words.is_empty() {
            if base.is_none() {
                words.push("as it was, the project cannot be read, so everything counts as new, limits as well".into());
                parts.push(format!("{} {}", sync.name, limits::written(sync)));
            }
            syncs.insert(sync.name.clone(), words);
        }
    }
    if base.is_none() && !parts.is_empty() {
        parts.push(limits::of_project(pairs.project));
    }
    parts.sort();
    parts.dedup();
    let digest = if parts.is_empty() { String::new() } else { digest::digest(&json!(parts)) };
    Surface { syncs, digest }
}
