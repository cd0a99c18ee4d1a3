//! Tests of models: faults that need no source, and the form in which they are run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::checks::repeated;
use super::files::File;
use super::links::Files;
use super::queries::{self, Rendered, Statement, Text, edges, from_file, render_one, subquery};
use super::tree::Tree;
use crate::diagnostic::{Diagnostic, closest};
use crate::manifest::Kind;
use crate::manifest::document::escape;
use crate::manifest::model::Model;
use crate::manifest::model_test::{
    AcceptedValues, ColumnTest, ColumnTestName, ModelTest, Scalar, UniqueTogether, age, unwrapped,
};
use crate::model_test::{self, Check, Test, copy_name};
use crate::render::{Block, Scope};

/// The forms of a column's test, and of a model's.
const OF_COLUMN: [&str; 4] = ["not_null", "unique", "accepted_values", "relationships"];
const OF_MODEL: [&str; 5] = ["row_count", "freshness", "unique", "sql", "sql_file"];

/// Checks the tests of a model and of its columns.
pub(super) fn check(files: &Files, model: &File, out: &mut Vec<Diagnostic>) {
    let columns = model.value.get("columns").and_then(Value::as_object);
    for (column, promise) in columns.into_iter().flatten() {
        let at = format!("/columns/{}", escape(column));
        let tests = promise.get("tests").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        repeated(model, &format!("{at}/tests"), "the test", out);
        if promise.get("type").is_some_and(|kind| !kind.is_null()) || !tests.is_empty() {
            known_column(model, column, model.key_place(&at), out);
        }
        for (n, test) in tests.iter().enumerate().filter(|(_, test)| test.is_object()) {
            let at = format!("{at}/tests/{n}");
            one_of(model, test, &at, &OF_COLUMN, out);
            if test.get("relationships").is_some_and(Value::is_object) {
                relationship(files, model, &format!("{at}/relationships"), out);
            }
        }
    }
    let tests = model.value.get("tests").and_then(Value::as_array);
    for (n, test) in tests.into_iter().flatten().enumerate() {
        let at = format!("/tests/{n}");
        one_of(model, test, &at, &OF_MODEL, out);
        if test.get("row_count").is_some_and(Value::is_object) {
            row_count(model, &format!("{at}/row_count"), out);
        }
        if let Some(column) = model.text(&format!("{at}/freshness/column")) {
            known_column(model, column, model.place(&format!("{at}/freshness/column")), out);
        }
        let pointer = format!("{at}/freshness/max_age");
        if let Some(text) = model.text(&pointer).filter(|text| age(text).is_none()) {
            let message = format!("`{text}` is not a span of time");
            out.push(
                Diagnostic::error("bad-duration", message, model.place(&pointer))
                    .with_help("write `36h`, `2d` or `90m`"),
            );
        }
        for list in [format!("{at}/unique"), format!("{at}/unique/columns")] {
            repeated(model, &list, "the column", out);
            let columns = model.value.pointer(&list).and_then(Value::as_array);
            for (n, column) in columns.into_iter().flatten().enumerate() {
                known_column(model, column.as_str().unwrap_or_default(), model.place(&format!("{list}/{n}")), out);
            }
        }
    }
}

/// Exactly one of several keys.
fn one_of(model: &File, test: &Value, at: &str, forms: &[&str], out: &mut Vec<Diagnostic>) {
    let Some(test) = test.as_object() else { return };
    let given: Vec<&str> = forms.iter().copied().filter(|form| test.get(*form).is_some_and(|v| !v.is_null())).collect();
    match given.as_slice() {
        [_] => {}
        [first, rest @ ..] => {
            for other in rest {
                let message = format!("`{first}` and `{other}` exclude each other");
                let place = model.key_place(&format!("{at}/{other}"));
                out.push(Diagnostic::error("exclusive-keys", message, place).with_help("write an item for each"));
            }
        }
        [] => {
            let misspelt = test.keys().any(|key| closest(key, forms.iter().copied()).is_some());
            // A key there is not has been reported.
            let known = ["name", "severity", "where"];
            if !misspelt && test.keys().all(|key| known.contains(&key.as_str()) || forms.contains(&key.as_str())) {
                let listed: Vec<String> = forms.iter().map(|form| format!("`{form}`")).collect();
                let message = "the test does not say what is tested";
                out.push(
                    Diagnostic::error("missing-key", message, model.place(at))
                        .with_help(format!("add one of {}", listed.join(", "))),
                );
            }
        }
    }
}

fn relationship(files: &Files, model: &File, at: &str, out: &mut Vec<Diagnostic>) {
    let given = |key: &str| model.value.pointer(&format!("{at}/{key}")).is_some_and(|value| !value.is_null());
    for (one, other) in [("model", "to"), ("column", "field")] {
        match (given(one), given(other)) {
            (true, true) => {
                let message = format!("`{one}` and `{other}` say the same");
                let place = model.key_place(&format!("{at}/{other}"));
                out.push(Diagnostic::error("exclusive-keys", message, place).with_help("keep one of the two"));
            }
            (false, false) => {
                let message = format!("`{one}` is missing in `relationships`");
                out.push(
                    Diagnostic::error("missing-key", message, model.key_place(at)).with_label(format!("needs `{one}`")),
                );
            }
            _ => {}
        }
    }
    let pointer = format!("{at}/{}", if given("model") { "model" } else { "to" });
    let Some(written) = model.text(&pointer) else { return };
    let name = if pointer.ends_with("/to") { unwrapped(written) } else { written };
    let known = files.names(Kind::Model);
    if !known.contains(name) {
        let help = match closest(name, known.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None => format!("create `models/{name}.yaml`"),
        };
        let message = format!("there is no model `{name}`");
        out.push(Diagnostic::error("unknown-reference", message, model.place(&pointer)).with_help(help));
        return;
    }
    let pointer = format!("{at}/{}", if given("column") { "column" } else { "field" });
    if let (Some(other), Some(column)) = (files.find(Kind::Model, name), model.text(&pointer)) {
        known_column(other, column, model.place(&pointer), out);
    }
}

/// A column that is not among those a model's `table.columns` names; what a query gives is known at plan.
fn known_column(model: &File, column: &str, place: Option<crate::diagnostic::Place>, out: &mut Vec<Diagnostic>) {
    let Some(columns) = model.value.pointer("/table/columns").and_then(Value::as_array) else { return };
    let known: Vec<&str> = columns.iter().filter_map(Value::as_str).collect();
    if !known.contains(&column) {
        let message = format!("the column `{column}` is not among the `columns` of the table of `{}`", model.name());
        let help = closest(column, known.iter().copied());
        let help = help.map_or("add it to `columns`".to_owned(), |guess| format!("did you mean `{guess}`?"));
        out.push(Diagnostic::error("unknown-column", message, place).with_help(help));
    }
}

fn row_count(model: &File, at: &str, out: &mut Vec<Diagnostic>) {
    let limit = |key: &str| model.value.pointer(&format!("{at}/{key}")).filter(|value| !value.is_null());
    if ["min", "max", "max_change"].into_iter().all(|key| limit(key).is_none()) {
        let message = "`row_count` has no limit";
        let help = "add one of `min`, `max`, `max_change`";
        out.push(Diagnostic::error("missing-key", message, model.key_place(at)).with_help(help));
    }
    if let (Some(min), Some(max)) = (limit("min").and_then(Value::as_u64), limit("max").and_then(Value::as_u64))
        && min > max
    {
        let message = format!("`max` is {max}, which is less than `min`, {min}: no number of rows is right");
        out.push(Diagnostic::error("out-of-range", message, model.place(&format!("{at}/max"))));
    }
}

/// The statements of tests, rendered, by model and number of the test.
#[derive(Default)]
pub(super) struct Statements(BTreeMap<(String, usize), (model_test::Statement, String)>);

impl Statements {
    /// The statements of a model as they do not change from run to run.
    pub(super) fn stable(&self, model: &str) -> Vec<&str> {
        self.0.iter().filter(|((name, _), _)| name == model).map(|(_, (_, stable))| stable.as_str()).collect()
    }
}

/// Renders the statements of all tests. Faults are pushed.
pub(super) fn render_all(
    tree: &dyn Tree,
    files: &Files,
    scope: Option<&Scope>,
    queries: &BTreeMap<String, Rendered>,
    out: &mut Vec<Diagnostic>,
) -> Statements {
    let mut rendered = Statements::default();
    for model in files.models.iter().filter(|model| model.document.is_some()) {
        let tests = model.value.get("tests").and_then(Value::as_array).map_or(0, Vec::len);
        for n in 0..tests {
            let (inline, file) = (format!("/tests/{n}/sql"), format!("/tests/{n}/sql_file"));
            let statement = match model.value.pointer(&inline).and_then(Value::as_str) {
                Some("") => {
                    out.push(Diagnostic::error("empty", "`sql` must not be empty", model.place(&inline)));
                    continue;
                }
                Some(text) => Statement { text: text.to_owned(), origin: Text::Manifest(model, inline) },
                None => match from_file(tree, model, &file, out) {
                    Some(statement) => statement,
                    None => continue,
                },
            };
            let edges = edges(files, &model.stem, &statement, out);
            let Some(scope) = scope else { continue };
            let models: BTreeSet<String> = edges.into_iter().map(|(name, _)| name).collect();
            // A model without a query has had its fault.
            if !models.iter().all(|name| queries.contains_key(name)) {
                continue;
            }
            match one(&statement, scope, queries) {
                Ok((sql, over_copies, stable)) => {
                    let statement = model_test::Statement { sql, over_copies, models: models.into_iter().collect() };
                    rendered.0.insert((model.stem.clone(), n), (statement, stable));
                }
                Err(faults) => out.extend(faults.into_iter().map(|fault| statement.diagnostic(fault))),
            }
        }
    }
    rendered
}

/// A statement for the source, for copies, and as it does not change from run to run.
fn one(
    statement: &Statement<'_>,
    scope: &Scope,
    queries: &BTreeMap<String, Rendered>,
) -> Result<(String, String, String), Vec<crate::render::Fault>> {
    let refs = |text: &dyn Fn(&str, &queries::Rendered) -> String| -> Arc<BTreeMap<String, String>> {
        Arc::new(queries.iter().map(|(name, made)| (name.clone(), text(name, made))).collect())
    };
    let scope = Scope { refs: refs(&|_, made| subquery(made)), ..scope.at(Block::Sql) };
    let copies = Scope { refs: refs(&|name, _| copy_name(name)), ..scope.clone() };
    let stable =
        Scope { refs: refs(&|_, made| made.stable.clone()), started_at: "run.started_at".into(), ..scope.clone() };
    let text = &statement.text;
    Ok((render_one(text, &scope)?, render_one(text, &copies)?, render_one(text, &stable)?))
}

/// The tests of a model as they are run, columns first.
pub(super) fn resolve(model: &Model, stem: &str, statements: &Statements) -> Vec<Test> {
    let mut tests = Vec::new();
    for (column, promise) in &model.columns {
        for (n, test) in promise.tests.iter().enumerate() {
            tests.extend(of_column(column, test, format!("/columns/{}/tests/{n}", escape(column))));
        }
    }
    for (n, test) in model.tests.iter().enumerate() {
        let statement = statements.0.get(&(stem.to_owned(), n)).map(|(statement, _)| statement.clone());
        tests.extend(of_model(test, statement, format!("/tests/{n}")));
    }
    tests
}

fn of_column(column: &str, test: &ColumnTest, pointer: String) -> Option<Test> {
    let column = column.to_owned();
    let settings = match test {
        ColumnTest::Name(name) => {
            let (name, check) = match name {
                ColumnTestName::NotNull => ("not_null", Check::NotNull(column)),
                ColumnTestName::Unique => ("unique", Check::Unique(vec![column])),
            };
            return Some(Test { name: name.into(), severity: Default::default(), filter: None, check, pointer });
        }
        ColumnTest::Settings(settings) => settings.as_ref(),
    };
    let test = |name: &str, severity: Option<_>, filter: Option<String>, check: Check| Test {
        name: name.into(),
        severity: severity.unwrap_or_default(),
        filter,
        check,
        pointer: format!("{pointer}/{name}"),
    };
    if let Some(options) = settings.not_null.clone() {
        return Some(test("not_null", options.severity, options.filter, Check::NotNull(column)));
    }
    if let Some(options) = settings.unique.clone() {
        return Some(test("unique", options.severity, options.filter, Check::Unique(vec![column])));
    }
    if let Some(accepted) = settings.accepted_values.clone() {
        let (values, severity, filter) = match accepted {
            AcceptedValues::List(values) => (values, None, None),
            AcceptedValues::Settings(settings) => (settings.values, settings.severity, settings.filter),
        };
        let values = values.into_iter().map(|Scalar(value)| value).collect();
        return Some(test("accepted_values", severity, filter, Check::Accepted { column, values }));
    }
    let related = settings.relationships.clone()?;
    let check = Check::Related { column, model: related.target()?.to_owned(), to: related.target_column()?.to_owned() };
    Some(test("relationships", related.severity, related.filter, check))
}

fn of_model(test: &ModelTest, statement: Option<model_test::Statement>, pointer: String) -> Option<Test> {
    let named = |form: &str| test.name.clone().unwrap_or_else(|| form.to_owned());
    let severity = |own: Option<_>| own.or(test.severity).unwrap_or_default();
    if let Some(count) = &test.row_count {
        let check = Check::RowCount { min: count.min, max: count.max, max_change: count.max_change };
        let (name, pointer) = (named("row_count"), format!("{pointer}/row_count"));
        return Some(Test { name, severity: severity(count.severity), filter: None, check, pointer });
    }
    if let Some(fresh) = &test.freshness {
        let (column, written) = (fresh.column.clone(), fresh.max_age.clone());
        let check = Check::Fresh { column, max_age: age(&written)?, written };
        let (name, pointer) = (named("freshness"), format!("{pointer}/freshness"));
        return Some(Test { name, severity: severity(fresh.severity), filter: fresh.filter.clone(), check, pointer });
    }
    if let Some(unique) = test.unique.clone() {
        let (columns, own, filter) = match unique {
            UniqueTogether::List(columns) => (columns, None, None),
            UniqueTogether::Settings(settings) => (settings.columns, settings.severity, settings.filter),
        };
        let (name, pointer) = (named("unique"), format!("{pointer}/unique"));
        return Some(Test { name, severity: severity(own), filter, check: Check::Unique(columns), pointer });
    }
    let form = if test.sql.is_some() { "sql" } else { "sql_file" };
    let (check, pointer) = (Check::NoRows(statement?), format!("{pointer}/{form}"));
    Some(Test { name: named("sql"), severity: severity(None), filter: None, check, pointer })
}
