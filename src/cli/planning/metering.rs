//! What a plan adds to the records queried in the month, and whether the month allows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Error, Result};
use crate::manifest::project::{Budget, OnExceed, Usage};
use crate::plan::file::PlanFolder;
use crate::plan::{ModelUsage, Notice, Plan, PlanUsage};
use crate::project::Project;
use crate::report::number;
use crate::state::Reading;
use crate::usage::keys::{self, Union, Without};
use crate::usage::{Month, Queried, Query, keys_beside};

/// Models that are named as those that weigh most.
const NAMED: usize = 3;

/// The keys queried while planning, by model.
pub(super) struct Meter {
    folder: PathBuf,
    models: BTreeMap<String, PathBuf>,
    files: usize,
}

impl Meter {
    /// A meter for a plan in this folder.
    pub fn new(plan: &Path) -> Self {
        Self { folder: plan.join("reading"), models: BTreeMap::new(), files: 0 }
    }

    /// Takes the keys one sync has read of a model. Several syncs of one model read the same keys; when the source
    /// changed in between, all count.
    pub fn take(&mut self, model: &str, keys: &Path) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        let file = self.folder.join(format!("{}.keys", self.files));
        self.files += 1;
        let before = self.models.insert(model.to_owned(), file.clone());
        match before {
            Some(before) => {
                keys::write(Union::open(&[keys, &before])?, &file)?;
                std::fs::remove_file(&before).map_err(|e| failed(&before, &e))
            }
            None => std::fs::rename(keys, &file).map_err(|e| failed(&file, &e)),
        }
    }

    /// Compares what was queried with what the month has, puts the new keys beside the plan, and says what that means for
    /// the budget of `usage`.
    pub fn finish(
        self,
        project: &Project,
        usage: &Usage,
        state: &Reading,
        plan_folder: &PlanFolder,
        month: Month,
        plan: &mut Plan,
    ) -> Result<()> {
        let ledger = &state.document().usage;
        let mut queried = Queried { month, models: BTreeMap::new() };
        let mut models = Vec::new();
        for (model, file) in &self.models {
            let out = keys_beside(plan_folder.path(), model);
            let folder = out.parent().unwrap_or(plan_folder.path());
            std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
            let known = Union::open(&state.queried(month, model)?)?;
            let new = keys::write(Without::new(Union::open(&[file])?, known), &out)?;
            queried.models.insert(model.clone(), Query { new });
            let queried_so_far = ledger.model(month, model).queried_records;
            models.push(ModelUsage { model: model.clone(), queried_so_far, new });
        }
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        }
        plan_folder.write_queried(&queried)?;
        models.sort_by_key(|model| std::cmp::Reverse(model.queried_so_far + model.new));
        let queried_so_far = ledger.queried_records(month);
        let new: u64 = models.iter().map(|model| model.new).sum();
        let budget = usage.monthly_queried_records.as_ref();
        plan.usage = PlanUsage {
            month: month.to_string(),
            queried_so_far,
            after_this_run: queried_so_far + new,
            limit: budget.map(|budget| budget.limit),
            models,
        };
        if let Some(budget) = budget {
            judge(project, budget, month, state, plan);
        }
        Ok(())
    }
}

/// Warns of a plan that goes over the budget, or refuses it.
fn judge(project: &Project, budget: &Budget, month: Month, state: &Reading, plan: &mut Plan) {
    let usage = &plan.usage;
    if usage.after_this_run <= budget.limit {
        return;
    }
    // Records that were queried before cost nothing, however often they are queried again.
    let adds = usage.after_this_run > usage.queried_so_far;
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, known) in state.document().usage.months.get(&month).into_iter().flat_map(|month| &month.models) {
        all.insert(name, known.queried_records);
    }
    for model in &usage.models {
        *all.entry(&model.model).or_default() += model.new;
    }
    let mut heaviest: Vec<_> = all.into_iter().collect();
    heaviest.sort_by_key(|(_, records)| std::cmp::Reverse(*records));
    let heaviest: Vec<String> =
        heaviest.iter().take(NAMED).map(|(model, records)| format!("`{model}` {}", number(*records))).collect();
    let limit = number(budget.limit);
    let message = if adds {
        format!(
            "this plan would make it {} queried records in {month}, {} of them new; the limit is {limit}. Most weigh {}",
            number(usage.after_this_run),
            number(usage.after_this_run - usage.queried_so_far),
            heaviest.join(", ")
        )
    } else {
        format!(
            "{} records were queried in {month}, over the limit of {limit}; this plan adds none. Most weigh {}",
            number(usage.queried_so_far),
            heaviest.join(", ")
        )
    };
    let notice = Notice {
        code: "budget".into(),
        sync: None,
        message,
        help: Some(format!(
            "narrow a model with a `where`, leave its syncs out (`--select '!model:NAME'`), raise \
             `usage.monthly_queried_records.limit`, or wait: the month ends on {} (UTC); see `syncline usage`",
            month.last_day()
        )),
        place: project.usage_place.clone(),
        ..Notice::default()
    };
    match budget.on_exceed {
        OnExceed::Refuse if adds => plan.refusals.push(notice),
        OnExceed::Warn | OnExceed::Refuse => plan.warnings.push(notice),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot write `{}`: {error}", path.display()))
}
