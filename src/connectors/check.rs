//! Parses what a connector says, and finds what in it can never work.

use indexmap::IndexMap;

use super::Fault;
use super::compile::{
    Asked, Auth, Container, Discover, Find, Job, JobResults, List, Lookup, Object, Operation, Outcome, Read, Token,
    most,
};
use super::expression::{Expression, Text, Trouble};
use super::request::{BodyTemplate, Next, PartTemplate, Request};
use super::rules::Rule;
use super::template::Node;
use crate::diagnostic::closest;
use crate::http::Limits;
use crate::manifest::connector::{api, object, operation};
use crate::manifest::sync::Mode;

/// Names every template of an object sees.
const GLOBAL: &[&str] = &[
    "connection",
    "options",
    "container",
    "matched_by",
    "field_names",
    "sync",
    "mode",
    "operations",
    "run_id",
    "skip",
];
/// Names templates of one record see.
const RECORD: &[&str] = &["match", "fields", "others", "key", "dedupe_id", "added", "found"];
/// Names expressions over an answer see.
const ANSWER: &[&str] = &["status", "headers", "body", "count", "named", "job", "group"];

/// Goes through a connector and takes note of what is wrong.
pub(super) struct Checker<'a> {
    api: &'a api::Api,
    pub faults: Vec<Fault>,
}

fn names<'n>(lists: &[&[&'n str]]) -> Vec<&'n str> {
    lists.concat()
}

impl<'a> Checker<'a> {
    pub fn new(api: &'a api::Api, faults: Vec<Fault>) -> Self {
        Self { api, faults }
    }

    fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>, help: Option<String>) {
        self.faults.push(Fault { pointer: pointer.into(), message: message.into(), help, range: None });
    }

    fn trouble(&mut self, pointer: &str, Trouble { message, help, range }: Trouble) {
        self.faults.push(Fault { pointer: pointer.into(), message, help, range });
    }

    /// A name that must be among others.
    fn named<'k>(&mut self, what: &str, name: &str, known: impl Iterator<Item = &'k str> + Clone, pointer: &str) {
        if known.clone().any(|known| known == name) {
            return;
        }
        let help = match closest(name, known.clone()) {
            Some(guess) => Some(format!("did you mean `{guess}`?")),
            None => {
                let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
                (!known.is_empty()).then(|| format!("there are: {}", known.join(", ")))
            }
        };
        self.fault(pointer, format!("there is no {what} `{name}`"), help);
    }

    pub fn expression(&mut self, text: &str, known: &[&str], pointer: &str) -> Expression {
        Expression::parse(text, known).unwrap_or_else(|trouble| {
            self.trouble(pointer, trouble);
            Expression::nothing()
        })
    }

    fn optional(&mut self, text: Option<&String>, known: &[&str], pointer: &str, key: &str) -> Option<Expression> {
        text.map(|text| self.expression(text, known, &format!("{pointer}/{key}")))
    }

    pub fn text(&mut self, text: &str, known: &[&str], pointer: &str) -> Text {
        Text::parse(text, known).unwrap_or_else(|trouble| {
            self.trouble(pointer, trouble);
            Text::Constant(String::new())
        })
    }

    fn node(&mut self, json: &serde_json::Value, known: &[&str], pointer: &str) -> Node {
        Node::parse(json, known, pointer, &mut |pointer, trouble| self.trouble(pointer, trouble))
    }

    pub fn headers(
        &mut self,
        headers: &IndexMap<String, String>,
        known: &[&str],
        pointer: &str,
    ) -> Vec<(String, Text)> {
        let text =
            |(name, text): (&String, &String)| (name.clone(), self.text(text, known, &format!("{pointer}/{name}")));
        headers.iter().map(text).collect()
    }

    pub fn rules(&mut self, rules: &[api::Rule], more: &[&str], pointer: &str) -> Vec<Rule> {
        let known = names(&[GLOBAL, ANSWER, more]);
        let rule = |(at, rule): (usize, &api::Rule)| {
            let pointer = format!("{pointer}/{at}");
            Rule {
                when: self.expression(&rule.when, &known, &format!("{pointer}/when")),
                class: rule.class,
                code: self.optional(rule.code.as_ref(), &known, &pointer, "code"),
                message: self.optional(rule.message.as_ref(), &known, &pointer, "message"),
                wait: self.optional(rule.wait.as_ref(), &known, &pointer, "wait"),
            }
        };
        rules.iter().enumerate().map(rule).collect()
    }

    pub fn auth(&mut self, auth: &api::Auth) -> Auth {
        let token = auth.token.as_ref().map(|token| {
            let known = names(&[&["connection"], ANSWER]);
            Token {
                base_url: token.base_url.as_ref().map(|t| self.text(t, &["connection"], "/api/auth/token/base_url")),
                request: self.request(&token.request, &["connection", "rotated"], "/api/auth/token/request"),
                rotates: self.optional(token.rotates.as_ref(), &known, "/api/auth/token", "rotates"),
                value: self.expression(&token.value, &known, "/api/auth/token/value"),
                expires_in: self.expression(&token.expires_in, &known, "/api/auth/token/expires_in"),
            }
        });
        let known: &[&str] = if token.is_some() { &["connection", "token"] } else { &["connection"] };
        let value = self.text(&auth.value, known, "/api/auth/value");
        if token.is_some() && !value.mentions("token") {
            self.fault(
                "/api/auth/value",
                "the token is fetched but not sent",
                Some("e.g. `Bearer {{ token }}`".into()),
            );
        }
        Auth { place: auth.place, name: auth.name.clone(), value, token }
    }

    pub fn buckets(&mut self, api: &api::Api) -> Vec<(String, Asked)> {
        let mut used = Vec::new();
        for (name, bucket) in &api.limits {
            let pointer = format!("/api/limits/{name}");
            let alone = IndexMap::from([(name.clone(), bucket.clone())]);
            if let Err(error) = Limits::new(&alone) {
                self.fault(&pointer, error.to_string(), None);
            }
            if let Some(asked) = &bucket.used {
                used.push((name.clone(), self.asked(asked, &["connection"], &format!("{pointer}/used"))));
            }
        }
        used
    }

    fn asked(&mut self, asked: &api::Asked, known: &[&str], pointer: &str) -> Asked {
        Asked {
            request: self.request(&asked.request, known, &format!("{pointer}/request")),
            value: self.expression(&asked.value, &names(&[known, ANSWER]), &format!("{pointer}/value")),
        }
    }

    pub fn request(&mut self, request: &api::Request, known: &[&str], pointer: &str) -> Request {
        if !request.path.starts_with('/') && !request.path.starts_with("{{") {
            self.fault(format!("{pointer}/path"), "a path begins with a slash", None);
        }
        if value_after_question_mark(&request.path) {
            let help = "give parameters with values as `query: { NAME: \"{{ … }}\" }`, which escapes them";
            self.fault(format!("{pointer}/path"), "a value stands behind the `?` of a path", Some(help.into()));
        }
        let path = Text::path(&request.path, known).unwrap_or_else(|trouble| {
            self.trouble(&format!("{pointer}/path"), trouble);
            Text::Constant(String::new())
        });
        let mut entries = |entries: &IndexMap<String, serde_json::Value>, key: &str| -> Vec<(String, Node)> {
            let node = |(name, json): (&String, &serde_json::Value)| {
                (name.clone(), self.node(json, known, &format!("{pointer}/{key}/{name}")))
            };
            entries.iter().map(node).collect()
        };
        let query = entries(&request.query, "query");
        let form = request.form.as_ref().map(|form| BodyTemplate::Form(entries(form, "form")));
        let json =
            request.json.as_ref().map(|json| BodyTemplate::Json(self.node(json, known, &format!("{pointer}/json"))));
        let parts = request.multipart.as_ref().map(|parts| {
            let part = |(name, part): (&String, &api::Part)| {
                let pointer = format!("{pointer}/multipart/{name}");
                PartTemplate {
                    name: name.clone(),
                    text: part.text.as_ref().map(|text| self.text(text, known, &format!("{pointer}/text"))),
                    filename: part.filename.as_ref().map(|text| self.text(text, known, &format!("{pointer}/filename"))),
                    csv: part.csv,
                }
            };
            BodyTemplate::Parts(parts.iter().map(part).collect())
        });
        let csv = request.csv.then_some(BodyTemplate::Csv);
        let mut bodies: Vec<BodyTemplate> = [json, form, parts, csv].into_iter().flatten().collect();
        if bodies.len() > 1 {
            self.fault(pointer, "a request has one of `json`, `form`, `multipart`, `csv`", None);
        }
        for (at, limit) in request.limits.iter().enumerate() {
            let limits = self.api.limits.keys().map(String::as_str);
            self.named("limit", limit, limits, &format!("{pointer}/limits/{at}"));
        }
        let next = request.next.as_ref().map(|next| Next {
            query: next.query.clone(),
            value: self.expression(&next.value, &names(&[known, ANSWER]), &format!("{pointer}/next/value")),
        });
        Request {
            method: request.method,
            path,
            query,
            headers: self.headers(&request.headers, known, &format!("{pointer}/headers")),
            body: bodies.pop().unwrap_or(BodyTemplate::Empty),
            limits: request.limits.clone(),
            timeout: request.timeout,
            next,
        }
    }

    /// An object. `flat`: its operations stand right below the pointer, as in a destination of type `http`.
    pub fn object(&mut self, object: &object::Object, pointer: &str, flat: bool) -> Object {
        let below = |kind: &str, name: &str| {
            if flat { format!("{pointer}/{name}") } else { format!("{pointer}/{kind}/{name}") }
        };
        let lookups: IndexMap<String, Lookup> =
            object.lookups.iter().map(|(name, l)| (name.clone(), self.lookup(l, &below("lookups", name)))).collect();
        for (name, after) in object.lookups.iter().filter_map(|(name, lookup)| Some((name, lookup.after.as_ref()?))) {
            let place = format!("{}/after", below("lookups", name));
            self.named("lookup", after, object.lookups.keys().map(String::as_str), &place);
            if object.lookups.get(after).is_some_and(|first| first.after.is_some()) {
                self.fault(place, "only one look-up can come before another", None);
            }
        }
        let operations: IndexMap<String, Operation> = object
            .operations
            .iter()
            .map(|(name, o)| (name.clone(), self.operation(name, o, &below("operations", name))))
            .collect();
        let mut large = IndexMap::new();
        for (mode, steps) in &object.modes {
            if !flat {
                self.steps(*mode, steps, object, &format!("{pointer}/modes/{}", mode.word()), &mut large);
            }
        }
        if object.modes.is_empty() && !flat {
            self.fault(pointer, "the object has no modes", None);
        }
        Object {
            words: object.clone(),
            lookups,
            operations,
            large,
            discover: object.discover.as_ref().map(|d| self.discover(d, object, &format!("{pointer}/discover"))),
            container: object.container.as_ref().map(|c| self.container(c, &format!("{pointer}/container"))),
            read: object.read.as_ref().map(|read| {
                let known = object.lookups.keys().map(String::as_str);
                self.named("lookup", &read.find, known, &format!("{pointer}/read/find"));
                let known = names(&[GLOBAL, &["found"]]);
                let fields = self.optional(read.fields.as_ref(), &known, &format!("{pointer}/read"), "fields");
                Read { find: read.find.clone(), fields, unseen: read.unseen.clone(), unordered: read.unordered }
            }),
            count: object.count.as_ref().map(|count| self.asked(count, GLOBAL, &format!("{pointer}/count"))),
        }
    }

    fn steps(
        &mut self,
        mode: Mode,
        steps: &object::ModeSteps,
        object: &object::Object,
        pointer: &str,
        large: &mut IndexMap<Mode, Expression>,
    ) {
        let all = [
            ("send", &steps.send),
            ("added", &steps.added),
            ("changed", &steps.changed),
            ("delete", &steps.delete),
            ("clear", &steps.clear),
        ];
        let short = |name: &Option<String>| name.is_some();
        for (key, step) in all {
            let Some(step) = step else { continue };
            let long = short(&step.find) || short(&step.absent) || short(&step.then);
            let place = |word: &str| if long { format!("{pointer}/{key}/{word}") } else { format!("{pointer}/{key}") };
            let operations = object.operations.keys().map(String::as_str);
            self.named("operation", &step.operation, operations.clone(), &place("use"));
            if let Some(then) = &step.then {
                self.named("operation", then, operations, &place("then"));
            }
            for (word, lookup) in [("find", &step.find), ("absent", &step.absent)] {
                if let Some(lookup) = lookup {
                    self.named("lookup", lookup, object.lookups.keys().map(String::as_str), &place(word));
                    if object.lookups.get(lookup).is_some_and(|lookup| lookup.whole) {
                        let help = "use a look-up that asks for single records";
                        let message = "a `whole` look-up is read once, and would not know what was sent since";
                        self.fault(place(word), message, Some(help.into()));
                    }
                }
            }
        }
        if let Some(load) = &steps.large {
            for (word, name) in [("use", Some(&load.operation)), ("first", load.first.as_ref())] {
                let Some(name) = name else { continue };
                let operations = object.operations.keys().map(String::as_str);
                self.named("operation", name, operations, &format!("{pointer}/large/{word}"));
            }
            large.insert(mode, self.expression(&load.when, GLOBAL, &format!("{pointer}/large/when")));
        }
        if steps.send.is_none() && (steps.added.is_none() || steps.changed.is_none()) && mode != Mode::Insert {
            self.fault(
                pointer,
                "the mode does not say what is sent",
                Some("give `send`, or both `added` and `changed`".into()),
            );
        } else if steps.send.is_none() && steps.added.is_none() {
            self.fault(pointer, "the mode does not say what is sent", Some("give `send`".into()));
        }
        if mode == Mode::Mirror && steps.delete.is_none() {
            self.fault(pointer, "`mirror` deletes records of removed rows", Some("give `delete`".into()));
        }
    }

    fn operation(&mut self, name: &str, operation: &operation::Operation, pointer: &str) -> Operation {
        let single = most(&operation.batch) == 1;
        let record = names(&[GLOBAL, RECORD]);
        let known = names(&[GLOBAL, &["records", "count", "group"], if single { RECORD } else { &[] }]);
        let request = self.request(&operation.request, &known, &format!("{pointer}/request"));
        let job = operation.job.as_ref().map(|job| self.job(job, &known, &format!("{pointer}/job")));
        let carried = request.mentions("records")
            || job.as_ref().is_some_and(|job| job.then.iter().any(|request| request.mentions("records")));
        if !single && !carried {
            let help = "put `{{ records }}` where the list of records belongs";
            self.fault(format!("{pointer}/request"), "the records are nowhere in the request", Some(help.into()));
        }
        if operation.job.is_some() && operation.group.is_some() {
            self.fault(format!("{pointer}/group"), "the records of a job go into one request", None);
        }
        if operation.record_key.is_some() && !carried {
            self.fault(format!("{pointer}/record_key"), "`record_key` needs `{{ records }}` in the request", None);
        }
        Operation {
            name: name.into(),
            request,
            record: operation.record.as_ref().map(|json| self.node(json, &record, &format!("{pointer}/record"))),
            record_key: operation.record_key.as_ref().map(|t| self.text(t, &record, &format!("{pointer}/record_key"))),
            group: self.optional(operation.group.as_ref(), &record, pointer, "group"),
            when: self.optional(operation.when.as_ref(), &record, pointer, "when"),
            most: most(&operation.batch),
            bytes: operation.batch.bytes.and_then(|bytes| usize::try_from(bytes).ok()),
            errors: self.rules(&operation.errors, if single { RECORD } else { &[] }, &format!("{pointer}/errors")),
            outcome: self.outcome(&operation.outcome, &format!("{pointer}/outcome")),
            job,
        }
    }

    fn outcome(&mut self, outcome: &operation::Outcome, pointer: &str) -> Outcome {
        let known = names(&[GLOBAL, ANSWER]);
        let item = names(&[GLOBAL, ANSWER, &["item"]]);
        let list =
            |(at, list): (usize, &operation::Results)| self.list(list, outcome.by, &format!("{pointer}/results/{at}"));
        let results = outcome.results.iter().enumerate().map(list).collect::<Vec<_>>();
        if results.is_empty() && outcome.by == operation::By::Order {
            self.fault(pointer, "`by: order` needs the list in `results`", None);
        }
        let warning = |(at, warning): (usize, &operation::Warning)| {
            let pointer = format!("{pointer}/warnings/{at}");
            let items = self.expression(&warning.items, &known, &format!("{pointer}/items"));
            (items, self.text(&warning.message, &item, &format!("{pointer}/message")))
        };
        let warnings = outcome.warnings.iter().enumerate().map(warning).collect();
        let check = self.optional(outcome.check.as_ref(), &known, pointer, "check");
        Outcome { by: outcome.by, results, rest: outcome.rest, check, warnings }
    }

    fn list(&mut self, list: &operation::Results, by: operation::By, pointer: &str) -> List {
        let known = names(&[GLOBAL, ANSWER]);
        let item = names(&[GLOBAL, ANSWER, &["item"]]);
        if by == operation::By::Key && list.is.is_none() {
            let help = "say what of the record `at` is compared with, e.g. `is: match.email`";
            self.fault(pointer, "`by: key` needs `is`", Some(help.into()));
        }
        let label = list.items.rsplit('.').next().unwrap_or_default();
        let label = if label.chars().all(|c| c.is_alphanumeric() || c == '_') { label } else { "" };
        List {
            items: self.expression(&list.items, &known, &format!("{pointer}/items")),
            at: self.optional(list.at.as_ref(), &item, pointer, "at"),
            is: self.optional(list.is.as_ref(), &names(&[GLOBAL, RECORD]), pointer, "is"),
            code: self.optional(list.code.as_ref(), &item, pointer, "code"),
            message: self.optional(list.message.as_ref(), &item, pointer, "message"),
            class: list.class,
            rules: self.rules(&list.rules, &["item", "code", "message"], &format!("{pointer}/rules")),
            label: label.into(),
        }
    }

    fn lookup(&mut self, lookup: &operation::Lookup, pointer: &str) -> Lookup {
        let single = most(&lookup.batch) == 1 && !lookup.whole;
        let record = names(&[GLOBAL, RECORD]);
        let some: &[&str] = if lookup.whole { &[] } else { &["records", "count"] };
        let known = names(&[GLOBAL, some, if single { RECORD } else { &[] }]);
        let item = names(&[GLOBAL, ANSWER, &["item"]]);
        let request = self.request(&lookup.request, &known, &format!("{pointer}/request"));
        if !single && (lookup.at.is_none() || lookup.is.is_none()) {
            self.fault(pointer, "with several records a request, `at` and `is` must say which is which", None);
        }
        if !single && !lookup.whole && !request.mentions("records") {
            self.fault(format!("{pointer}/request"), "the records are nowhere in the request", None);
        }
        Lookup {
            after: lookup.after.clone(),
            whole: lookup.whole,
            complete: self.optional(lookup.complete.as_ref(), &names(&[GLOBAL, ANSWER]), pointer, "complete"),
            request,
            record: lookup.record.as_ref().map(|json| self.node(json, &record, &format!("{pointer}/record"))),
            most: most(&lookup.batch),
            bytes: lookup.batch.bytes.and_then(|bytes| usize::try_from(bytes).ok()),
            errors: self.rules(&lookup.errors, if single { RECORD } else { &[] }, &format!("{pointer}/errors")),
            items: self.expression(&lookup.items, &names(&[GLOBAL, ANSWER]), &format!("{pointer}/items")),
            at: self.optional(lookup.at.as_ref(), &item, pointer, "at"),
            is: self.optional(lookup.is.as_ref(), &record, pointer, "is"),
            value: self.optional(lookup.value.as_ref(), &item, pointer, "value"),
            several: lookup.several,
        }
    }

    fn job(&mut self, job: &operation::Job, known: &[&str], pointer: &str) -> Job {
        let known = names(&[known, &["job"]]);
        let later = names(&[GLOBAL, &["job"]]);
        let answer = names(&[GLOBAL, ANSWER]);
        let then =
            |(at, request): (usize, &api::Request)| self.request(request, &known, &format!("{pointer}/then/{at}"));
        let then = job.then.iter().enumerate().map(then).collect();
        let result = |(at, result): (usize, &operation::JobResults)| {
            let pointer = format!("{pointer}/results/{at}");
            JobResults {
                when: self.optional(result.when.as_ref(), &answer, &pointer, "when"),
                request: self.request(&result.request, &later, &format!("{pointer}/request")),
                format: result.format,
                list: self.list(&result.list, operation::By::Whole, &format!("{pointer}/list")),
            }
        };
        let results = job.results.iter().enumerate().map(result).collect();
        let poll = format!("{pointer}/poll");
        Job {
            id: self.expression(&job.id, &answer, &format!("{pointer}/id")),
            then,
            open: job.open.map(|open| open.max(1) as usize),
            poll: self.request(&job.poll.request, &later, &format!("{poll}/request")),
            every: job.poll.every,
            timeout: job.poll.timeout,
            done: self.expression(&job.poll.done, &answer, &format!("{poll}/done")),
            failed: self.optional(job.poll.failed.as_ref(), &answer, &poll, "failed"),
            message: self.optional(job.poll.message.as_ref(), &answer, &poll, "message"),
            results,
        }
    }

    fn discover(&mut self, discover: &object::Discover, object: &object::Object, pointer: &str) -> Discover {
        let item = names(&[GLOBAL, ANSWER, &["item"]]);
        if discover.find.is_some() && object.container.as_ref().is_none_or(|container| container.name.is_none()) {
            let help = "say in `container` of the object what its `name` is";
            self.fault(format!("{pointer}/find"), "nothing says which one is to be found", Some(help.into()));
        }
        let found: &[&str] = if discover.find.is_some() { &["found"] } else { &[] };
        Discover {
            find: discover.find.as_ref().map(|find| self.find(find, &format!("{pointer}/find"))),
            request: self.request(&discover.request, &names(&[GLOBAL, found]), &format!("{pointer}/request")),
            items: self.expression(&discover.items, &names(&[GLOBAL, ANSWER]), &format!("{pointer}/items")),
            name: self.expression(&discover.name, &item, &format!("{pointer}/name")),
            kind: self.optional(discover.kind.as_ref(), &item, pointer, "type"),
            writable: self.optional(discover.writable.as_ref(), &item, pointer, "writable"),
            complete: self.optional(discover.complete_when.as_ref(), GLOBAL, pointer, "complete_when"),
            types: discover.types.clone(),
        }
    }

    fn find(&mut self, find: &object::Find, pointer: &str) -> Find {
        let item = names(&[GLOBAL, ANSWER, &["item"]]);
        Find {
            request: self.request(&find.request, GLOBAL, &format!("{pointer}/request")),
            items: self.expression(&find.items, &names(&[GLOBAL, ANSWER]), &format!("{pointer}/items")),
            is: self.expression(&find.is, &item, &format!("{pointer}/is")),
            value: self.expression(&find.value, &item, &format!("{pointer}/value")),
        }
    }

    fn container(&mut self, container: &object::Container, pointer: &str) -> Container {
        if container.given.is_none() && container.find.is_none() && container.create.is_none() {
            self.fault(pointer, "the container can neither be given nor found nor made", None);
        }
        if container.check_given && (container.given.is_none() || container.find.is_none()) {
            let help = "add both, or remove `check_given`";
            self.fault(pointer, "`check_given` looks for what is `given` by `find`", Some(help.to_owned()));
        }
        Container {
            check_given: container.check_given,
            given: self.optional(container.given.as_ref(), GLOBAL, pointer, "given"),
            name: self.optional(container.name.as_ref(), GLOBAL, pointer, "name"),
            find: container.find.as_ref().map(|find| self.find(find, &format!("{pointer}/find"))),
            create: container.create.as_ref().map(|create| self.asked(create, GLOBAL, &format!("{pointer}/create"))),
        }
    }
}

/// True where a template follows a `?` that is not within one: there, what a path lets stand (`&`, `=`) would make more
/// parameters of a value.
fn value_after_question_mark(path: &str) -> bool {
    let mut rest = path;
    let mut asked = false;
    while let Some(open) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (before, within) = rest.split_at(open);
        asked |= before.contains('?');
        if asked {
            return true;
        }
        let close = if within.starts_with("{{") { "}}" } else { "%}" };
        rest = within.split_once(close).map_or("", |(_, after)| after);
    }
    false
}
