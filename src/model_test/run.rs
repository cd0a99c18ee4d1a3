//! Tests of one model → what came of them.

use std::collections::BTreeMap;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, SchemaRef};

use super::copies::Copies;
use super::sql::{Sql, count_of, keys_of};
use super::{Check, Circumstances, Failure, Outcome, Sample, Subject, Test, words};
use crate::diagnostic::{Error, Result};
use crate::mapping::{self, Value, column::Column};
use crate::sources::{self, Batch, Dialect, Query, Source};

/// Runs the tests of a model, and gives an outcome for each of them, in their order. `other` gives the models that tests
/// read beside it.
///
/// # Errors
/// A test the source does not take, or a model that cannot be read.
pub fn run<'a>(
    model: &Subject<'a>,
    tests: &[Test],
    other: &dyn Fn(&str) -> Option<Subject<'a>>,
    circumstances: &Circumstances<'_>,
) -> Result<Vec<Outcome>, Failure> {
    if sources::is_unknown(model.schema) {
        // A table without a row, of which not even the columns are known.
        return Ok(tests.iter().map(|test| judge(test, 0, None, circumstances)).collect());
    }
    let here = |test: &Test| {
        let there = |name: &str| other(name).is_some_and(|other| other.source_name == model.source_name);
        model.source.dialect().is_some() && test.models().into_iter().all(there)
    };
    let (near, far): (Vec<usize>, Vec<usize>) = (0..tests.len()).partition(|at| tests.get(*at).is_some_and(here));
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    if !near.is_empty() {
        let query = |name: &str| other(name).map(|other| other.query.clone());
        let place = Place { source: model.source, query: model.query, schema: model.schema, copied: false };
        place.run(model, tests, &near, &query, circumstances, &mut outcomes)?;
    }
    if !far.is_empty() {
        let copies = Copies::new(circumstances).map_err(Failure::Model)?;
        let own = copies.add(model, columns(model, tests, &far).as_deref()).map_err(Failure::Model)?;
        for (at, test) in far.iter().filter_map(|at| Some((*at, tests.get(*at)?))) {
            let columns = test.columns();
            own.holds(model.name, (!is_open(test, model)).then_some(&columns)).map_err(|e| Failure::Test(at, e))?;
        }
        let query = own.query;
        let mut others: BTreeMap<String, Query> = BTreeMap::from([(model.name.to_owned(), query.clone())]);
        for (name, (at, needed)) in reached(tests, &far) {
            let Some(subject) = other(name).filter(|_| !others.contains_key(name)) else { continue };
            let copied = copies.add(&subject, needed.as_deref()).map_err(|e| Failure::Test(at, e))?;
            copied.holds(name, None).map_err(|e| Failure::Test(at, e))?;
            others.insert(name.to_owned(), copied.query);
        }
        let schema = copies.source.schema(&query).map_err(Failure::Model)?;
        let place = Place { source: &*copies.source, query: &query, schema: &schema, copied: true };
        place.run(model, tests, &far, &|name| others.get(name).cloned(), circumstances, &mut outcomes)?;
    }
    Ok(outcomes.into_values().collect())
}

/// The columns that tests need of a copy; all where a condition or a statement may name any.
fn columns(model: &Subject<'_>, tests: &[Test], far: &[usize]) -> Option<Vec<String>> {
    let mut names = model.primary_key.to_vec();
    for test in far.iter().filter_map(|at| tests.get(*at)) {
        if is_open(test, model) {
            return None;
        }
        names.extend(test.columns().into_iter().map(str::to_owned));
    }
    names.retain(|name| model.schema.field_with_name(name).is_ok());
    names.sort();
    names.dedup();
    Some(names)
}

/// Whether a test may read any column of its model. A relationship with itself needs the other column, too.
fn is_open(test: &Test, model: &Subject<'_>) -> bool {
    matches!(test.check, Check::NoRows(_)) || test.filter.is_some() || test.models().contains(&model.name)
}

/// The other models that tests read, with the first test that does, and the columns they need; all where it is `None`.
fn reached<'t>(tests: &'t [Test], far: &[usize]) -> BTreeMap<&'t str, (usize, Option<Vec<String>>)> {
    let mut reached: BTreeMap<&str, (usize, Option<Vec<String>>)> = BTreeMap::new();
    for (at, test) in far.iter().filter_map(|at| Some((*at, tests.get(*at)?))) {
        for name in test.models() {
            let (_, needed) = reached.entry(name).or_insert((at, Some(Vec::new())));
            match (&test.check, needed.as_mut()) {
                (Check::Related { to, .. }, Some(columns)) => columns.push(to.clone()),
                (Check::Related { .. }, None) => {}
                _ => *needed = None,
            }
        }
    }
    reached
}

/// Where statements run.
struct Place<'a> {
    source: &'a dyn Source,
    query: &'a Query,
    schema: &'a SchemaRef,
    copied: bool,
}

impl Place<'_> {
    fn run(
        &self,
        model: &Subject<'_>,
        tests: &[Test],
        wanted: &[usize],
        other: &dyn Fn(&str) -> Option<Query>,
        circumstances: &Circumstances<'_>,
        out: &mut BTreeMap<usize, Outcome>,
    ) -> Result<(), Failure> {
        let Some(dialect) = self.source.dialect() else { return Ok(()) };
        let others = |name: &str| other(name).map(|query| dialect.statement(&query));
        let sql = Sql { dialect, model: dialect.statement(self.query), schema: self.schema, others: &others };
        let all: Vec<(usize, &Test)> = wanted.iter().filter_map(|at| Some((*at, tests.get(*at)?))).collect();
        let counted: Vec<(usize, String)> =
            all.iter().filter_map(|(at, test)| Some((*at, sql.scalar(test)?))).collect();
        let numbers = self.numbers(&sql, &counted)?;
        let keys: Vec<String> =
            model.primary_key.iter().filter(|key| self.schema.field_with_name(key).is_ok()).cloned().collect();
        for (at, test) in all {
            let failed = |e: Error| Failure::Test(at, e);
            let outcome = match &test.check {
                Check::NoRows(statement) => {
                    let text = if self.copied { &statement.over_copies } else { &statement.sql };
                    let n = self.one(count_of(text)).map_err(failed)?.first().copied().flatten().unwrap_or(0);
                    let mut outcome = judge(test, numbers.rows, Some(n), circumstances);
                    if !outcome.ok && circumstances.samples > 0 {
                        outcome.samples = self.named(dialect, text, model, circumstances.samples).map_err(failed)?;
                    }
                    outcome
                }
                _ => {
                    let mut outcome = judge(test, numbers.rows, numbers.of(at), circumstances);
                    if let Some(rows) = sql.rows(test, &keys, circumstances.samples)
                        && !outcome.ok
                        && circumstances.samples > 0
                        && !keys.is_empty()
                    {
                        outcome.samples = self.samples(rows, &keys).map_err(failed)?;
                    }
                    outcome
                }
            };
            out.insert(at, outcome);
        }
        Ok(())
    }

    /// All numbers in one statement. When that fails, each by itself, to say which one it is.
    fn numbers(&self, sql: &Sql<'_>, counted: &[(usize, String)]) -> Result<Numbers, Failure> {
        let scalars: Vec<String> = counted.iter().map(|(_, scalar)| scalar.clone()).collect();
        let whole = self.one(sql.counting(&scalars));
        let mut numbers = Numbers::default();
        if let Ok(found) = whole {
            numbers.rows = rows(&found);
            numbers.of.extend(counted.iter().map(|(at, _)| *at).zip(found.into_iter().skip(1)));
            return Ok(numbers);
        }
        numbers.rows = rows(&self.one(sql.counting(&[])).map_err(Failure::Model)?);
        for (at, scalar) in counted {
            let found = self.one(sql.counting(std::slice::from_ref(scalar))).map_err(|e| Failure::Test(*at, e))?;
            numbers.of.insert(*at, found.get(1).copied().flatten());
        }
        Ok(numbers)
    }

    /// The numbers in the one row a statement gives.
    fn one(&self, sql: String) -> Result<Vec<Option<i64>>> {
        for batch in self.batches(sql)? {
            let batch = batch?;
            if batch.rows.num_rows() == 0 {
                continue;
            }
            let number = |column: &arrow_array::ArrayRef| {
                let column = arrow_cast::cast(column, &DataType::Int64).map_err(sources::failure)?;
                let column = column.as_primitive::<Int64Type>();
                Ok(column.is_valid(0).then(|| column.value(0)))
            };
            return batch.whole()?.columns().iter().map(number).collect();
        }
        Err(Error::failed("the statement gave no row"))
    }

    fn batches(&self, sql: String) -> Result<impl Iterator<Item = Result<Batch>>> {
        let streams = self.source.read(&Query::Sql(sql), None)?;
        Ok(streams.into_iter().flatten().map(|batch| batch.map_err(sources::failure)))
    }

    /// Rows that fail: their keys, and the value of the column after them.
    fn samples(&self, sql: String, keys: &[String]) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for batch in self.batches(sql)? {
            let Batch { rows: batch, flaws } = batch?;
            let schema = batch.schema();
            let columns = batch.columns().iter().zip(schema.fields());
            let columns = columns.map(|(array, field)| Column::new(array, Some(field)).map_err(Error::failed));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            for row in 0..batch.num_rows() {
                // What cannot be read must not look like null.
                let found = |at: usize| flaws.iter().find(|flaw| (flaw.row, flaw.column) == (row, at));
                let values = columns.iter().enumerate().map(|(at, column)| match found(at) {
                    Some(flaw) => Ok(Value::Text(format!("({})", flaw.why.what()).into())),
                    None => column.at(row).map_err(Error::failed),
                });
                let mut values = values.collect::<Result<Vec<_>>>()?;
                let rest = values.split_off(keys.len().min(values.len()));
                let value = match rest.as_slice() {
                    [only] => Some(only.to_json()),
                    _ => None,
                };
                samples.push(Sample { key: mapping::key_text(&values), value });
            }
        }
        Ok(samples)
    }

    /// Keys of the rows a test's own statement gives; none where it does not give the key.
    fn named(&self, dialect: Dialect, sql: &str, model: &Subject<'_>, limit: usize) -> Result<Vec<Sample>> {
        let schema = self.source.schema(&Query::Sql(sql.to_owned()))?;
        if !model.primary_key.iter().all(|key| schema.field_with_name(key).is_ok()) {
            return Ok(Vec::new());
        }
        self.samples(keys_of(dialect, sql, model.primary_key, limit), model.primary_key)
    }
}

/// What was counted.
#[derive(Default)]
struct Numbers {
    rows: u64,
    of: BTreeMap<usize, Option<i64>>,
}

impl Numbers {
    fn of(&self, test: usize) -> Option<i64> {
        self.of.get(&test).copied().flatten()
    }
}

fn rows(numbers: &[Option<i64>]) -> u64 {
    numbers.first().copied().flatten().and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// What follows from the numbers.
fn judge(test: &Test, rows: u64, number: Option<i64>, circumstances: &Circumstances<'_>) -> Outcome {
    let n = number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let whole = |message: Option<String>| (u64::from(message.is_some()), message.unwrap_or_default());
    let (failures, message) = match &test.check {
        Check::RowCount { min, max, max_change } => {
            whole(words::row_count(rows, (*min, *max, *max_change), circumstances.rows_before))
        }
        Check::Fresh { column, max_age, written } => {
            whole(words::freshness(column, number, *max_age, written, circumstances.now))
        }
        _ if n == 0 => (0, String::new()),
        Check::NotNull(column) => (n, words::not_null(column, n)),
        Check::Unique(columns) => (n, words::unique(columns, n)),
        Check::Accepted { column, values } => (n, words::accepted(column, values, n)),
        Check::Related { column, model, to } => (n, words::related(column, model, to, n)),
        Check::NoRows(_) => (n, words::statement(n)),
    };
    Outcome { ok: failures == 0, failures, message, samples: Vec::new() }
}
