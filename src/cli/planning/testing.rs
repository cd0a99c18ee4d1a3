//! The tests of models, run before a plan: each model once, whatever number of syncs it has.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use arrow_schema::SchemaRef;

use super::opened::Sources;
use super::planner::is_sensitive;
use crate::diagnostic::{Diagnostic, Error, Result};
use crate::mapping;
use crate::model_test::{self, Check, Circumstances, Failure, Fault, Outcome, Subject, Test};
use crate::plan::{Notice, TestResult, TestSample};
use crate::project::{Project, ResolvedModel};
use crate::state::Reading;

/// Runs the tests of models and remembers what came of them.
pub(super) struct Tester<'a> {
    pub project: &'a Project,
    pub state: &'a Reading,
    pub now: jiff::Timestamp,
    pub samples: usize,
    /// An existing folder for copies.
    pub scratch: &'a Path,
    /// True with `--no-tests`: columns are checked all the same.
    pub skip: bool,
    done: HashMap<String, Rc<Vec<TestResult>>>,
}

impl<'a> Tester<'a> {
    pub fn new(
        (project, state): (&'a Project, &'a Reading),
        (now, samples): (jiff::Timestamp, usize),
        scratch: &'a Path,
        skip: bool,
    ) -> Self {
        Self { project, state, now, samples, scratch, skip, done: HashMap::new() }
    }

    /// What came of the tests of a model.
    ///
    /// # Errors
    /// Promises about columns that are not kept and tests that cannot be run, at their places; a source that fails.
    pub fn model(&mut self, model: &ResolvedModel, sources: &mut Sources<'_>) -> Result<Rc<Vec<TestResult>>> {
        if let Some(done) = self.done.get(&model.name) {
            return Ok(done.clone());
        }
        let results = Rc::new(self.run(model, sources)?);
        self.done.insert(model.name.clone(), results.clone());
        Ok(results)
    }

    fn run(&self, model: &ResolvedModel, sources: &mut Sources<'_>) -> Result<Vec<TestResult>> {
        let schema = sources.schema(model)?;
        if !crate::sources::is_unknown(&schema) {
            let broken = mapping::check_contract(&schema, &model.columns);
            let fault = |fault: mapping::Fault| {
                let gone = fault.code == "unknown-column";
                let place = if gone { model.key_place(&fault.pointer) } else { model.place(&fault.pointer) };
                Diagnostic { help: fault.help, ..Diagnostic::error(fault.code, fault.message, place) }
            };
            if !broken.is_empty() {
                return Err(Error::Invalid(broken.into_iter().map(fault).collect()));
            }
        }
        if self.skip || model.tests.is_empty() {
            return Ok(Vec::new());
        }
        // Everything a test reads is opened before any of it is asked.
        let mut schemas: HashMap<&str, SchemaRef> = HashMap::from([(model.name.as_str(), schema.clone())]);
        for name in model.tests.iter().flat_map(Test::models) {
            if let Some(other) = self.project.models.get(name).filter(|_| !schemas.contains_key(name)) {
                schemas.insert(name, sources.schema(other)?);
            }
        }
        // What dbt declares is of the line that names the dbt model, and spelt as dbt's files have it.
        let own = |test: &Test| match &test.check {
            _ if test.pointer != "/dbt" => test.clone(),
            Check::Related { model, .. } => test.spelt(&schema, schemas.get(model.as_str()).map(|other| &**other)),
            _ => test.spelt(&schema, None),
        };
        let tests: Vec<Test> = model.tests.iter().map(own).collect();
        let opened: &Sources<'_> = sources;
        let subject = |name: &str| -> Option<Subject<'_>> {
            let model = self.project.models.get(name)?;
            Some(Subject {
                name: &model.name,
                source_name: &model.source,
                source: opened.get(&model.source)?,
                query: &model.query,
                schema: schemas.get(name)?,
                primary_key: &model.primary_key,
            })
        };
        let this = subject(&model.name).ok_or_else(|| Error::failed("its source is gone"))?;
        if !crate::sources::is_unknown(&schema) {
            let faults = model_test::check(&tests, &schema, &subject);
            if !faults.is_empty() {
                return Err(Error::Invalid(faults.into_iter().map(|fault| diagnostic(model, fault)).collect()));
            }
        }
        let circumstances = Circumstances {
            now: self.now,
            rows_before: self.rows_before(model),
            samples: self.samples,
            scratch: self.scratch,
        };
        let outcomes = model_test::run(&this, &tests, &subject, &circumstances).map_err(|failure| {
            let origin = super::planner::origin(self.project, model);
            match failure {
                Failure::Model(error) => error.context(origin),
                Failure::Test(at, error) => match tests.get(at) {
                    Some(test) => Error::Invalid(vec![cannot_run(model, test, &error)]),
                    None => error.context(origin),
                },
            }
        })?;
        Ok(tests.iter().zip(outcomes).map(|(test, outcome)| result(model, test, outcome)).collect())
    }

    /// Rows of the model in the last run of any of its syncs.
    fn rows_before(&self, model: &ResolvedModel) -> Option<u64> {
        let syncs = self.project.syncs.values().filter(|sync| sync.model == model.name);
        let entries = syncs.filter_map(|sync| self.state.document().entry(&sync.name, sync.sync.moved_from.as_deref()));
        let counted = entries.filter_map(|(_, entry)| Some((entry.last_run.as_ref()?, entry.model_rows?)));
        counted.max_by(|(a, _), (b, _)| a.finished_at.cmp(&b.finished_at)).map(|(_, rows)| rows)
    }

    /// What is said where tests were left out.
    pub fn left_out(&self, model: &ResolvedModel, sync: &str) -> Option<Notice> {
        (self.skip && !model.tests.is_empty()).then(|| Notice {
            code: "tests_skipped".into(),
            sync: Some(sync.to_owned()),
            message: format!("`{sync}`: the tests of model `{}` were not run (--no-tests)", model.name),
            ..Notice::default()
        })
    }
}

fn diagnostic(model: &ResolvedModel, fault: Fault) -> Diagnostic {
    Diagnostic { help: fault.help, ..Diagnostic::error(fault.code, fault.message, model.key_place(&fault.pointer)) }
}

/// A test the source does not take: what it says stands at the test.
fn cannot_run(model: &ResolvedModel, test: &Test, error: &Error) -> Diagnostic {
    let message = format!("test `{}` of model `{}` cannot be run: {error}", test.name, model.name);
    let own = match (&test.check, &test.filter) {
        (model_test::Check::NoRows(_), _) => "correct the statement of the test",
        (_, Some(_)) => "correct the `where` of the test; it is in the SQL of the source",
        _ => "the test does not fit the column: see what the source says",
    };
    Diagnostic::error("test-failed", message, model.key_place(&test.pointer)).with_help(own)
}

fn result(model: &ResolvedModel, test: &Test, outcome: Outcome) -> TestResult {
    let columns = test.columns();
    let sensitive = columns.iter().any(|column| is_sensitive(model, column));
    let place = model.key_place(&test.pointer).map(|place| place.to_string());
    TestResult {
        model: model.name.clone(),
        test: test.name.clone(),
        column: (!columns.is_empty()).then(|| columns.join(", ")),
        severity: test.severity.word().into(),
        failures: outcome.failures,
        ok: outcome.ok,
        message: (!outcome.ok).then_some(outcome.message),
        place,
        samples: outcome
            .samples
            .into_iter()
            .map(|sample| TestSample {
                key: sample.key,
                sensitive: sample.value.is_some() && sensitive,
                value: sample.value,
            })
            .collect(),
    }
}
