//! Tests that dbt declares, as tests of models: run before a plan where the source or the model asks for it.

use indexmap::IndexMap;

use super::ResolvedModel;
use super::files::File;
use crate::dbt::{Declared, Promise};
use crate::diagnostic::Diagnostic;
use crate::manifest::model_test::Severity;
use crate::manifest::source::DbtTests;
use crate::model_test::{Check, Test};

/// Code of the warning that a test of dbt is not run.
pub(super) const LEFT_OUT: &str = "dbt-test-left-out";
/// Tests named in a message.
const LISTED: usize = 4;

/// Adds the tests dbt declares of a model, and says which cannot be run. `asked` says what is done with them.
pub(super) fn take_over(
    models: &mut IndexMap<String, ResolvedModel>,
    asked: impl Fn(&ResolvedModel) -> DbtTests,
    files: &[File],
    out: &mut Vec<Diagnostic>,
) {
    let mut all: Vec<(String, Vec<Test>)> = Vec::new();
    for (name, model) in models.iter() {
        let (Some(dbt), tests @ (DbtTests::Warn | DbtTests::Declared)) = (&model.dbt, asked(model)) else { continue };
        let (mut taken, mut left): (Vec<Test>, Vec<String>) = (Vec::new(), Vec::new());
        for declared in &dbt.tests {
            match test(declared, tests, models) {
                // What the manifest says itself is said once.
                Ok(test) if model.tests.iter().chain(&taken).any(|known| same(known, &test)) => {}
                Ok(test) => taken.push(test),
                Err(why) => left.push(format!("`{}`: {why}", declared.name)),
            }
        }
        if !left.is_empty() {
            let file = files.iter().find(|file| file.stem == *name);
            let more = if left.len() > LISTED { format!("; and {} more", left.len() - LISTED) } else { String::new() };
            let count = if left.len() == 1 { "a test".to_owned() } else { format!("{} tests", left.len()) };
            let listed = left.iter().take(LISTED).cloned().collect::<Vec<_>>().join("; ");
            let message =
                format!("{count} that dbt declares of `{}` cannot be run here: {listed}{more}", dbt.unique_id);
            out.push(
                Diagnostic::warning(LEFT_OUT, message, file.and_then(|file| file.place("/dbt")))
                    .with_help("dbt runs them; what must hold before a sync can stand under `tests` of the model"),
            );
        }
        all.push((name.clone(), taken));
    }
    for (name, taken) in all {
        if let Some(model) = models.get_mut(&name) {
            model.tests.extend(taken);
        }
    }
}

fn same(known: &Test, test: &Test) -> bool {
    known.check == test.check && known.filter == test.filter
}

/// A test of dbt as one of a model; its place is the line that names the dbt model.
fn test(declared: &Declared, asked: DbtTests, models: &IndexMap<String, ResolvedModel>) -> Result<Test, String> {
    let check = match declared.check.clone()? {
        Promise::NotNull(column) => Check::NotNull(column),
        Promise::Unique(column) => Check::Unique(vec![column]),
        Promise::Accepted { column, values } => Check::Accepted { column, values },
        Promise::Related { column, node, to } => {
            let other = models.iter().find(|(_, model)| model.dbt.as_ref().is_some_and(|dbt| dbt.unique_id == node));
            let (name, _) = other.ok_or_else(|| format!("`{node}` is no model of this project"))?;
            Check::Related { column, model: name.clone(), to }
        }
    };
    let severity = if asked == DbtTests::Declared && declared.error { Severity::Error } else { Severity::Warn };
    let name = declared.name.clone();
    Ok(Test { name, severity, filter: declared.filter.clone(), check, pointer: "/dbt".into() })
}
