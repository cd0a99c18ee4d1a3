//! From a tree of files to a linked project, step by step; every step goes on as far as the ones before allow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::connectors::{Catalog, Origin as From};
use super::dbt::Manifests;
use super::environment::{self, EnvironmentInfo};
use super::files::{File, PROJECT_FILE, read_file, read_kind};
use super::links::{self, Files};
use super::model_tests::Statements;
use super::offer::Offer;
use super::queries::{self, Rendered};
use super::spoken::{self, Spoken};
use super::tree::Tree;
use super::{
    Loaded, Project, ResolvedDestination, ResolvedModel, ResolvedSource, ResolvedSync, ResolvedTest, addresses, checks,
    connect, dbt_tests, digest, misplaced, model_tests, parameters, surface, sync_tests,
};
use crate::destinations::DestinationKind;
use crate::diagnostic::{self, Diagnostic};
use crate::manifest::destination::Destination;
use crate::manifest::model::Model;
use crate::manifest::source::{DbtTests, Source};
use crate::manifest::sync::{Guards, Mode, OnRemoved, Origin, Sync};
use crate::manifest::test::Test;
use crate::manifest::{self, Kind, schema};
use crate::mapping::MappingSpec;
use crate::render::{self, Block, Outside, Scope};

pub(super) fn load(tree: &dyn Tree, root: &Path, wanted: Option<&str>) -> Loaded {
    let mut diagnostics = Vec::new();
    let project = build(tree, root, wanted, &mut diagnostics);
    connect::mask(&mut diagnostics);
    diagnostic::sort(&mut diagnostics);
    diagnostics.dedup();
    let project = if diagnostic::has_errors(&diagnostics) { None } else { project };
    Loaded { diagnostics, project }
}

fn build(tree: &dyn Tree, root: &Path, wanted: Option<&str>, out: &mut Vec<Diagnostic>) -> Option<Project> {
    let mut project = read_file(tree, Kind::Project, "syncline", PROJECT_FILE, out);
    project.render(None, true, out);
    let typed = typed::<manifest::project::Project>(&project, out);
    if let Some(typed) = &typed {
        super::state::check(&project, typed, out);
    }
    // A faulty project file may still say what templates need, so that the other files are checked all the same.
    let salvaged = if typed.is_none() { environment::salvage(&project.value) } else { None };
    let environment = typed.as_ref().or(salvaged.as_ref()).and_then(|p| environment::choose(p, &project, wanted, out));
    let mut files = Files {
        project,
        sources: read_kind(tree, Kind::Source, out),
        models: read_kind(tree, Kind::Model, out),
        destinations: read_kind(tree, Kind::Destination, out),
        syncs: read_kind(tree, Kind::Sync, out),
        connectors: super::connectors::read(tree, out),
        tests: read_kind(tree, Kind::Test, out),
    };
    misplaced::check(tree, out);
    let scope = environment.as_ref().map(|environment| scope(environment, &files));
    let Files { sources, models, destinations, syncs, connectors, tests, .. } = &mut files;
    for file in models.iter_mut().chain(syncs.iter_mut()).chain(connectors).chain(tests) {
        file.render(scope.as_ref(), true, out);
    }
    // A manifest that another environment swaps in may need what only that one defines.
    for (files, users, kind, at) in
        [(sources, &*models, Kind::Source, "/source"), (destinations, &*syncs, Kind::Destination, "/destination")]
    {
        let used = users.iter().filter_map(|user| user.text(at));
        let used: BTreeSet<&str> = used.map(|name| swapped(environment.as_ref(), kind, name)).collect();
        for file in files {
            let is_used = used.contains(file.stem.as_str());
            file.render(scope.as_ref(), is_used, out);
        }
    }
    links::check(&files, environment.as_ref(), out);
    for model in &files.models {
        checks::model(model, out);
        model_tests::check(&files, model, out);
    }
    for file in files.sources.iter().chain(&files.destinations) {
        connect::check(file, Some(root), out);
    }
    files.sources.iter().for_each(|source| spoken::literal_env(source, out));
    files.connectors.iter().for_each(|connector| spoken::literal_auth(connector, out));
    let mut catalog = Catalog::new(&files.connectors, out);
    let spoken: Vec<Spoken> = files.destinations.iter().map(|file| Spoken::new(file, &mut catalog, out)).collect();
    spoken::sandboxes(&files, out);
    Kind::ALL.iter().flat_map(|kind| files.of(*kind)).for_each(|file| addresses::check(file, out));
    let offers = Offers { files: &files, spoken: &spoken, environment: environment.as_ref() };
    for sync in &files.syncs {
        checks::sync(sync, offers.of(sync).as_ref(), out);
    }
    let manifests = Manifests::read(tree, root, &files, environment.as_ref(), out);
    let queries = queries::render_all(tree, &files, scope.as_ref(), (&manifests, environment.as_ref()), out);
    let statements = model_tests::render_all(tree, &files, scope.as_ref(), &queries, out);
    // Only what the schema cannot say is left to the typed forms.
    let sources: Vec<Option<Source>> = files.sources.iter().map(|file| self::typed(file, out)).collect();
    let models: Vec<Option<Model>> = files.models.iter().map(|file| self::typed(file, out)).collect();
    let destinations: Vec<Option<Destination>> = files.destinations.iter().map(|file| self::typed(file, out)).collect();
    let syncs: Vec<Option<Sync>> = files.syncs.iter().map(|file| self::typed(file, out)).collect();
    let tests: Vec<Option<Test>> = files.tests.iter().map(|file| self::typed(file, out)).collect();
    for (file, test) in files.tests.iter().zip(&tests) {
        sync_tests::check(&files, file, test.as_ref(), out);
    }
    if diagnostic::has_errors(out) {
        return None;
    }
    let (environment, scope, typed) = (environment?, scope?, typed?);
    let asked = |model: &Model| {
        let name = swapped(Some(&environment), Kind::Source, &model.source);
        let source = sources.iter().flatten().find(|source| source.name == name).and_then(|source| source.dbt.as_ref());
        (model.name.clone(), model.dbt_tests.or(source.map(|dbt| dbt.tests)).unwrap_or_default())
    };
    let asked: BTreeMap<String, DbtTests> = models.iter().flatten().map(asked).collect();
    let offers = Offers { files: &files, spoken: &spoken, environment: Some(&environment) };
    let linker = Linker {
        files: &files,
        environment: &environment,
        queries: &queries,
        statements: &statements,
        catalog: &catalog,
        offers,
    };
    let resolved_syncs = linker.syncs(syncs);
    let settings = files.project.document.clone();
    let usage_place = files.project.place("/usage/monthly_queried_records/limit").map(|place| place.to_string());
    let mut resolved_models = linker.models(models);
    let asked = |model: &ResolvedModel| asked.get(&model.name).copied().unwrap_or_default();
    dbt_tests::take_over(&mut resolved_models, asked, &files.models, out);
    let project = Project {
        digest: linker.project_digest(&typed),
        files: linker.file_digests(&typed),
        root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
        syncs: resolved_syncs,
        models: resolved_models,
        tests: linker
            .collect(&files.tests, tests, |test, document| (test.name.clone(), ResolvedTest { test, document })),
        sources: linker.sources(sources),
        destinations: linker.destinations(destinations),
        name: typed.name,
        owner: typed.owner,
        usage: typed.usage,
        usage_place,
        settings,
        policy: typed.policy,
        environment,
        scope,
    };
    out.extend(project.syncs.values().flat_map(|sync| project.contract_faults(sync)));
    Some(project)
}

/// The typed form of a file that has one.
fn typed<T: DeserializeOwned>(file: &File, out: &mut Vec<Diagnostic>) -> Option<T> {
    if file.faulty || diagnostic_of(file, out) {
        return None;
    }
    schema::typed(file.document.as_ref()?, &file.value).map_err(|fault| out.push(*fault)).ok()
}

/// True when something in the file has already been said: the typed form would only say it again.
fn diagnostic_of(file: &File, out: &[Diagnostic]) -> bool {
    let Some(document) = &file.document else { return true };
    out.iter().any(|d| {
        d.place.as_ref().is_some_and(|place| place.source.path == document.source.path)
            && d.severity == diagnostic::Severity::Error
    })
}

pub(super) fn swapped<'a>(environment: Option<&'a EnvironmentInfo>, kind: Kind, name: &'a str) -> &'a str {
    let swaps = environment.map(|e| if kind == Kind::Source { &e.sources } else { &e.destinations });
    swaps.and_then(|swaps| swaps.get(name)).map_or(name, String::as_str)
}

fn scope(environment: &EnvironmentInfo, files: &Files) -> Scope {
    let mut sources = Map::new();
    for name in files.names(Kind::Source).into_iter().chain(environment.sources.keys().map(String::as_str)) {
        let actual = swapped(Some(environment), Kind::Source, name);
        let kind = files.find(Kind::Source, actual).and_then(|file| file.text("/type"));
        sources.insert(name.to_owned(), json!({ "name": actual, "type": kind }));
    }
    Scope {
        block: Block::Plain,
        vars: environment.vars.clone(),
        elsewhere: environment.elsewhere.clone(),
        environment: environment.name.clone(),
        sources,
        started_at: jiff::Timestamp::now().to_string(),
        refs: Arc::default(),
        outside: Outside::Unknown,
    }
}

/// What is offered to syncs.
struct Offers<'a> {
    files: &'a Files,
    /// What is spoken at the destinations, in the order of their files.
    spoken: &'a [Spoken],
    environment: Option<&'a EnvironmentInfo>,
}

impl<'a> Offers<'a> {
    fn of(&self, sync: &File) -> Option<Offer<'a>> {
        let name = swapped(self.environment, Kind::Destination, sync.text("/destination")?);
        let pairs = self.files.destinations.iter().zip(self.spoken);
        let (file, spoken) = pairs.into_iter().find(|(file, _)| file.stem == name)?;
        spoken.offer(file)
    }
}

struct Linker<'a> {
    files: &'a Files,
    environment: &'a EnvironmentInfo,
    queries: &'a BTreeMap<String, Rendered>,
    statements: &'a Statements,
    catalog: &'a Catalog,
    offers: Offers<'a>,
}

impl Linker<'_> {
    fn collect<T, R>(
        &self,
        files: &[File],
        typed: Vec<Option<T>>,
        make: impl Fn(T, Arc<manifest::document::Document>) -> (String, R),
    ) -> IndexMap<String, R> {
        let pairs = files.iter().zip(typed);
        pairs.filter_map(|(file, typed)| Some(make(typed?, file.document.clone()?))).collect()
    }

    fn sources(&self, typed: Vec<Option<Source>>) -> IndexMap<String, ResolvedSource> {
        let pairs = self.files.sources.iter().zip(typed);
        pairs
            .filter_map(|(file, source)| {
                let source = source?;
                let resolved = ResolvedSource {
                    kind: source.kind,
                    digest: digest::digest(&self.meaning(file)),
                    surface: surface::of(file, self.environment, &Value::Null),
                    document: file.document.clone()?,
                };
                Some((source.name, resolved))
            })
            .collect()
    }

    fn destinations(&self, typed: Vec<Option<Destination>>) -> IndexMap<String, ResolvedDestination> {
        let files = self.files.destinations.iter().zip(typed).zip(self.offers.spoken);
        files
            .filter_map(|((file, destination), spoken)| {
                let (kind, settings) = spoken.kind()?;
                let name = destination?.name;
                let sandbox = self.environment.sandboxed.contains(&name);
                let asks = match &kind {
                    DestinationKind::Connector(compiled) => {
                        let objects = compiled.manifest().objects.iter();
                        objects.map(|(name, object)| json!([name, format!("{:?}", object.discover)])).collect()
                    }
                    _ => Value::Null,
                };
                let digest = digest::digest(&json!({ "manifest": file.value, "sandbox": sandbox, "asks": asks }));
                let meaning = self.destination_meaning(file);
                let more = json!([meaning.get("connector"), meaning.get("sandbox")]);
                let resolved = ResolvedDestination {
                    kind,
                    sandbox,
                    digest,
                    surface: surface::of(file, self.environment, &more),
                    meaning: digest::digest(&meaning),
                    settings,
                    document: file.document.clone()?,
                };
                Some((name, resolved))
            })
            .collect()
    }

    fn models(&self, typed: Vec<Option<Model>>) -> IndexMap<String, ResolvedModel> {
        let pairs = self.files.models.iter().zip(typed);
        pairs
            .filter_map(|(file, model)| {
                let mut model = model?;
                let made = self.queries.get(&file.stem)?;
                if let Some(dbt) = &made.dbt {
                    dbt.describe(&mut model.columns);
                }
                let resolved = ResolvedModel {
                    source: swapped(Some(self.environment), Kind::Source, &model.source).to_owned(),
                    tests: model_tests::resolve(&model, &file.stem, self.statements),
                    query: made.query.clone(),
                    refs: made.refs.clone(),
                    dbt: made.dbt.clone(),
                    primary_key: model.primary_key,
                    columns: model.columns,
                    digest: digest::digest(&self.model_meaning(file)),
                    sql_file: made.sql_file.clone(),
                    document: file.document.clone()?,
                    name: model.name.clone(),
                };
                Some((model.name, resolved))
            })
            .collect()
    }

    fn syncs(&self, typed: Vec<Option<Sync>>) -> IndexMap<String, ResolvedSync> {
        let pairs = self.files.syncs.iter().zip(typed);
        pairs.filter_map(|(file, sync)| Some((file.stem.clone(), self.sync(file, sync?)?))).collect()
    }

    fn sync(&self, file: &File, mut sync: Sync) -> Option<ResolvedSync> {
        match self.offers.of(file) {
            Some(Offer::Objects(_, objects)) => {
                parameters::fill(&objects.get(&sync.object)?.options, &mut sync.options);
            }
            Some(Offer::Requests(requests)) => parameters::fill(&requests.options, &mut sync.options),
            _ => {}
        }
        let model = self.files.find(Kind::Model, &sync.model)?;
        let keys = model.value.get("primary_key")?.as_array()?;
        let destination = swapped(Some(self.environment), Kind::Destination, &sync.destination).to_owned();
        let mut guards = environment::over(&sync.guards, &self.environment.guards);
        guards.min_rows = guards.min_rows.or(Some(1));
        let on_removed = match (sync.on_removed, sync.mode) {
            (Some(on_removed), _) => on_removed,
            (None, Mode::Mirror) => OnRemoved::Delete,
            (None, _) => OnRemoved::Keep,
        };
        let mut own = self.meaning(file);
        if let Some(map) = own.as_object_mut() {
            // A new name alone changes nothing that is sent.
            map.shift_remove("name");
            map.shift_remove("moved_from");
            map.insert("scope".into(), self.row_scope(&sync).into());
        }
        let digest = digest::digest(&json!({
            "sync": own,
            "guards": format!("{guards:?}"),
            "model": self.model_meaning(model),
            "source": model.text("/source").and_then(|name| self.swapped_meaning(Kind::Source, name)),
            "destination": self.swapped_meaning(Kind::Destination, &sync.destination),
            "environment": self.environment.name,
        }));
        Some(ResolvedSync {
            name: sync.name.clone(),
            model: sync.model.clone(),
            mapping: MappingSpec {
                primary_key: keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect(),
                matching: sync.matching.clone(),
                scope: self.row_scope(&sync),
                fields: sync.fields.clone(),
            },
            destination,
            guards,
            on_removed,
            digest,
            meaning: digest::digest(&own),
            document: file.document.clone()?,
            sync,
        })
    }

    /// What row templates see beside the row: only what some template uses, so that nothing else changes the mapping.
    fn row_scope(&self, sync: &Sync) -> Map<String, Value> {
        let mut vars = Map::new();
        let mut scope = Map::new();
        for field in sync.fields.values() {
            let Origin::Template(template) = &field.origin else { continue };
            for name in render::occurrences(template) {
                match (name.root(), name.path.get(1)) {
                    // `vars.items()` looks at all of them.
                    ("vars", Some(_)) if name.called && name.path.len() == 2 => {
                        vars.extend(self.environment.vars.clone())
                    }
                    ("vars", Some(var)) => {
                        if let Some(value) = self.environment.vars.get(var) {
                            vars.insert(var.clone(), value.clone());
                        }
                    }
                    ("vars", None) => vars.extend(self.environment.vars.clone()),
                    ("environment", _) => {
                        scope.insert("environment".into(), self.environment.name.clone().into());
                    }
                    _ => {}
                }
            }
        }
        if !vars.is_empty() {
            vars.sort_keys();
            scope.insert("vars".into(), vars.into());
        }
        scope
    }

    /// A manifest without what only people read, and with the variables of what is rendered only where it runs.
    fn meaning(&self, file: &File) -> Value {
        let mut value = file.value.clone();
        if let Some(map) = value.as_object_mut() {
            map.shift_remove("description");
            let later = json!([map.get("connection"), map.get("notify")]);
            let vars = self.environment.vars_in(&later);
            if !vars.is_empty() {
                map.insert("vars".into(), vars.into());
            }
        }
        value
    }

    fn model_meaning(&self, file: &File) -> Value {
        let mut value = self.meaning(file);
        if let (Some(map), Some(made)) = (value.as_object_mut(), self.queries.get(&file.stem)) {
            map.shift_remove("sql");
            map.shift_remove("sql_file");
            map.insert("query".into(), made.stable.clone().into());
            let statements = self.statements.stable(&file.stem);
            if !statements.is_empty() {
                map.insert("test_statements".into(), statements.into());
            }
        }
        value
    }

    fn swapped_meaning(&self, kind: Kind, name: &str) -> Option<Value> {
        self.files.find(kind, swapped(Some(self.environment), kind, name)).map(|file| match kind {
            Kind::Destination => self.destination_meaning(file),
            _ => self.meaning(file),
        })
    }

    /// A destination with the project's own connector that speaks there, and whether it is the real one.
    fn destination_meaning(&self, file: &File) -> Value {
        let mut value = self.meaning(file);
        let Some(map) = value.as_object_mut() else { return value };
        if self.environment.sandboxed.contains(file.name()) {
            map.insert("sandbox".into(), true.into());
        }
        let kind = file.text("/type").unwrap_or_default();
        let is_own = self.catalog.get(kind).is_some_and(|known| known.origin != From::BuiltIn);
        if let Some(connector) = self.files.find(Kind::Connector, kind).filter(|_| is_own) {
            let mut connector = self.meaning(connector);
            if let Some(map) = connector.as_object_mut() {
                map.shift_remove("documentation");
                map.shift_remove("cases");
            }
            map.insert("connector".into(), connector);
        }
        value
    }

    fn project_digest(&self, project: &manifest::project::Project) -> String {
        let all = |files: &[File], meaning: &dyn Fn(&File) -> Value| -> Map<String, Value> {
            files.iter().map(|file| (file.stem.clone(), meaning(file))).collect()
        };
        let mut value = self.settings(project);
        if let Some(map) = value.as_object_mut() {
            map.insert("sources".into(), all(&self.files.sources, &|file| self.meaning(file)).into());
            map.insert("models".into(), all(&self.files.models, &|file| self.model_meaning(file)).into());
            map.insert(
                "destinations".into(),
                all(&self.files.destinations, &|file| self.destination_meaning(file)).into(),
            );
            map.insert("syncs".into(), all(&self.files.syncs, &|file| self.meaning(file)).into());
        }
        digest::digest(&value)
    }

    /// What each file says, as a digest.
    fn file_digests(&self, project: &manifest::project::Project) -> BTreeMap<String, String> {
        let path = |file: &File| Some(file.place("")?.source.path.display().to_string());
        let mut digests = BTreeMap::from([(PROJECT_FILE.to_owned(), digest::digest(&self.settings(project)))]);
        let mut all = |files: &[File], meaning: &dyn Fn(&File) -> Value| {
            digests.extend(files.iter().filter_map(|file| Some((path(file)?, digest::digest(&meaning(file))))));
        };
        all(&self.files.sources, &|file| self.meaning(file));
        all(&self.files.models, &|file| self.model_meaning(file));
        all(&self.files.destinations, &|file| self.destination_meaning(file));
        all(&self.files.syncs, &|file| self.meaning(file));
        digests
    }

    /// What the project file says for this environment.
    fn settings(&self, project: &manifest::project::Project) -> Value {
        let environment = self.environment;
        let guards: &Guards = &environment.guards;
        json!({
            "name": project.name,
            "environment": environment.name,
            "vars": environment.vars,
            "state": format!("{:?}", environment.state),
            "guards": format!("{guards:?}"),
            "usage": format!("{:?}", project.usage),
            "policy": format!("{:?}", project.policy),
            "swaps": { "sources": environment.sources, "destinations": environment.destinations },
        })
    }
}
