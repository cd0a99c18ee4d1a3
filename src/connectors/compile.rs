//! A connector made ready: every template and expression parsed once, every name looked up.

use indexmap::IndexMap;

use super::Fault;
use super::check::Checker;
use super::expression::{Expression, Text};
use super::request::Request;
use super::rules::Rule;
use super::template::Node;
use crate::manifest::connector::Connector;
use crate::manifest::connector::api::{Api, AuthPlace, Class};
use crate::manifest::connector::object::{self as words, FieldType, ModeSteps};
use crate::manifest::connector::operation::{self, By, Format, Requests, Rest, Several};
use crate::manifest::sync::Mode;

/// A connector, or the inline one of a destination of type `http`, made ready.
#[derive(Debug)]
pub struct Compiled {
    manifest: Connector,
    inline: bool,
    pub(super) base_url: Option<Text>,
    pub(super) headers: Vec<(String, Text)>,
    pub(super) auth: Option<Auth>,
    /// How limits by day are asked what was used.
    pub(super) used: Vec<(String, Asked)>,
    pub(super) errors: Vec<Rule>,
    pub(super) check: Option<Request>,
    pub(super) objects: IndexMap<String, Object>,
    /// Stands for objects of any other name.
    pub(super) any: Option<Object>,
}

#[derive(Debug)]
pub(super) struct Auth {
    pub place: AuthPlace,
    pub name: String,
    pub value: Text,
    pub token: Option<Token>,
}

#[derive(Debug)]
pub(super) struct Token {
    pub base_url: Option<Text>,
    pub request: Request,
    pub rotates: Option<Expression>,
    pub value: Expression,
    pub expires_in: Expression,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub request: Request,
    pub value: Expression,
}

/// An object, parsed.
#[derive(Debug)]
pub(super) struct Object {
    pub words: words::Object,
    pub lookups: IndexMap<String, Lookup>,
    pub operations: IndexMap<String, Operation>,
    /// When a load is large, by mode.
    pub large: IndexMap<Mode, Expression>,
    pub discover: Option<Discover>,
    pub container: Option<Container>,
    pub count: Option<Asked>,
    pub read: Option<Read>,
}

/// How records are read back, parsed.
#[derive(Debug)]
pub(super) struct Read {
    pub find: String,
    pub fields: Option<Expression>,
    pub unseen: Vec<String>,
    pub unordered: bool,
}

/// An operation, parsed.
#[derive(Debug)]
pub(super) struct Operation {
    pub name: String,
    pub request: Request,
    pub record: Option<Node>,
    pub record_key: Option<Text>,
    pub group: Option<Expression>,
    pub when: Option<Expression>,
    pub most: usize,
    pub bytes: Option<usize>,
    pub errors: Vec<Rule>,
    pub outcome: Outcome,
    pub job: Option<Job>,
}

impl Operation {
    /// True when it uses the name for more than to write what a path leads to.
    pub fn computes(&self, name: &str) -> bool {
        let expressions = [&self.group, &self.when].into_iter().chain(self.outcome.results.iter().map(|list| &list.is));
        self.request.computes(name)
            || self.record.as_ref().is_some_and(|record| record.computes(name))
            || self.record_key.as_ref().is_some_and(|key| key.mentions(name))
            || expressions.flatten().any(|expression| expression.mentions(name))
    }
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub by: By,
    pub results: Vec<List>,
    pub rest: Rest,
    pub check: Option<Expression>,
    pub warnings: Vec<(Expression, Text)>,
}

#[derive(Debug)]
pub(super) struct List {
    pub items: Expression,
    pub at: Option<Expression>,
    pub is: Option<Expression>,
    pub code: Option<Expression>,
    pub message: Option<Expression>,
    pub class: Class,
    pub rules: Vec<Rule>,
    /// Last name of `items`, to name the list in messages.
    pub label: String,
}

#[derive(Debug)]
pub(super) struct Lookup {
    pub after: Option<String>,
    pub whole: bool,
    pub complete: Option<Expression>,
    pub request: Request,
    pub record: Option<Node>,
    pub most: usize,
    pub bytes: Option<usize>,
    pub errors: Vec<Rule>,
    pub items: Expression,
    pub at: Option<Expression>,
    pub is: Option<Expression>,
    pub value: Option<Expression>,
    pub several: Several,
}

#[derive(Debug)]
pub(super) struct Job {
    pub id: Expression,
    pub then: Vec<Request>,
    pub open: Option<usize>,
    pub poll: Request,
    pub every: u32,
    pub timeout: u32,
    pub done: Expression,
    pub failed: Option<Expression>,
    pub message: Option<Expression>,
    pub results: Vec<JobResults>,
}

#[derive(Debug)]
pub(super) struct JobResults {
    pub when: Option<Expression>,
    pub request: Request,
    pub format: Format,
    pub list: List,
}

#[derive(Debug)]
pub(super) struct Discover {
    pub find: Option<Find>,
    pub request: Request,
    pub items: Expression,
    pub name: Expression,
    pub kind: Option<Expression>,
    pub writable: Option<Expression>,
    pub complete: Option<Expression>,
    pub types: IndexMap<String, FieldType>,
}

#[derive(Debug)]
pub(super) struct Container {
    pub given: Option<Expression>,
    /// What is given is looked for by `find`.
    pub check_given: bool,
    pub name: Option<Expression>,
    pub find: Option<Find>,
    pub create: Option<Asked>,
}

#[derive(Debug)]
pub(super) struct Find {
    pub request: Request,
    pub items: Expression,
    pub is: Expression,
    pub value: Expression,
}

impl Compiled {
    /// Makes a connector ready.
    ///
    /// # Errors
    /// Everything in it that can never work, each with its place.
    pub fn new(manifest: &Connector) -> Result<Self, Vec<Fault>> {
        Self::make(manifest.clone(), None, Vec::new(), false)
    }

    /// Makes the connector ready that stands in a destination of type `http`: pointers of faults begin at the destination.
    ///
    /// # Errors
    /// As [`Compiled::new`].
    pub fn inline(
        name: &str,
        api: &Api,
        objects: &IndexMap<String, words::Object>,
        requests: Option<&Requests>,
    ) -> Result<Self, Vec<Fault>> {
        let manifest = Connector {
            name: name.into(),
            description: None,
            documentation: None,
            connection: IndexMap::new(),
            api: api.clone(),
            objects: objects.clone(),
            cases: Vec::new(),
        };
        let mut faults = Vec::new();
        let any = requests.map(|requests| any_object(requests, &mut faults));
        Self::make(manifest, any, faults, true)
    }

    fn make(
        manifest: Connector,
        any: Option<words::Object>,
        faults: Vec<Fault>,
        inline: bool,
    ) -> Result<Self, Vec<Fault>> {
        let mut checker = Checker::new(&manifest.api, faults);
        let auth = manifest.api.auth.as_ref().map(|auth| checker.auth(auth));
        let used = checker.buckets(&manifest.api);
        let base_url = manifest.api.base_url.as_ref().map(|url| checker.text(url, &["connection"], "/api/base_url"));
        let headers = checker.headers(&manifest.api.headers, &["connection"], "/api/headers");
        let errors = checker.rules(&manifest.api.errors, &[], "/api/errors");
        let check = manifest.api.check.as_ref().map(|check| checker.request(check, &["connection"], "/api/check"));
        let objects = manifest
            .objects
            .iter()
            .map(|(name, object)| (name.clone(), checker.object(object, &format!("/objects/{name}"), false)))
            .collect();
        let any = any.map(|object| checker.object(&object, "/requests", true));
        if checker.faults.is_empty() {
            Ok(Self { manifest, inline, base_url, headers, auth, used, errors, check, objects, any })
        } else {
            Err(checker.faults)
        }
    }

    /// The connector as written.
    pub fn manifest(&self) -> &Connector {
        &self.manifest
    }

    /// True for one that stands in a destination: its connection holds what it likes.
    pub(super) fn is_inline(&self) -> bool {
        self.inline
    }

    /// The object of this name.
    pub(super) fn object(&self, name: &str) -> Option<&Object> {
        self.objects.get(name).or(self.any.as_ref())
    }
}

/// The object that the requests of a destination of type `http` make up.
fn any_object(requests: &Requests, faults: &mut Vec<Fault>) -> words::Object {
    let mut operations = IndexMap::new();
    for (name, operation) in [
        ("send", &requests.send),
        ("added", &requests.added),
        ("changed", &requests.changed),
        ("removed", &requests.removed),
    ] {
        operations.extend(operation.clone().map(|operation| (name.to_owned(), operation)));
    }
    if operations.is_empty() {
        faults.push(Fault {
            pointer: "/requests".into(),
            message: "there is no request".into(),
            help: Some("give `send`, or `added` and `changed`".into()),
            range: None,
        });
    }
    let lookup = requests.lookup.is_some().then(|| "lookup".to_owned());
    let step = |name: &str, find: bool, absent: bool| {
        let name = if operations.contains_key(name) || name == "removed" { name } else { "send" };
        operations.contains_key(name).then(|| words::Step {
            operation: name.into(),
            find: lookup.clone().filter(|_| find),
            absent: lookup.clone().filter(|_| absent),
            ..words::Step::default()
        })
    };
    let steps = |mode: Mode, added: Option<words::Step>, changed: Option<words::Step>| ModeSteps {
        class: requests.class(mode),
        send: None,
        added,
        changed,
        large: None,
        delete: None,
        clear: None,
    };
    let mut modes = IndexMap::new();
    let (added, changed) = (step("added", false, false), step("changed", false, false));
    if added.is_some() {
        let first = step("added", false, true);
        modes.insert(Mode::Insert, steps(Mode::Insert, first.clone(), first.clone()));
        modes.insert(Mode::Add, steps(Mode::Add, first.clone(), first));
    }
    if added.is_some() && changed.is_some() {
        modes.insert(Mode::Upsert, steps(Mode::Upsert, added.clone(), changed.clone()));
        if operations.contains_key("removed") {
            modes.insert(Mode::Mirror, steps(Mode::Mirror, added, changed));
        }
    }
    if let Some(update) = step("changed", true, false) {
        modes.insert(Mode::Update, steps(Mode::Update, Some(update.clone()), Some(update)));
    }
    for mode in [Mode::Insert, Mode::Update, Mode::Upsert, Mode::Mirror] {
        if let Some(steps) = modes.get_mut(&mode) {
            steps.delete = step("removed", false, false);
        }
    }
    if let Some(remove) = step("removed", false, false) {
        modes.insert(Mode::Remove, ModeSteps { delete: Some(remove), ..steps(Mode::Remove, None, None) });
    }
    words::Object {
        description: None,
        identifiers: IndexMap::new(),
        matching: words::Matching::All,
        open_identifiers: true,
        append: false,
        fields: IndexMap::new(),
        open_fields: true,
        discover: None,
        options: requests.options.clone(),
        container: None,
        lookups: requests.lookup.iter().map(|lookup| ("lookup".to_owned(), lookup.clone())).collect(),
        operations,
        modes,
        count: None,
        read: None,
        unreadable: None,
    }
}

/// Most records of an operation or lookup in one request.
pub(super) fn most(batch: &operation::BatchLimits) -> usize {
    batch.records.map_or(1, |records| records as usize)
}
