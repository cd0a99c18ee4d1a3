//! A plan or a run in a few numbers, for a CI to read.

use serde_json::json;

use super::run::Run;
use crate::plan::Plan;

/// The most GitLab's widget takes; a larger number makes it show an error.
const WIDGET: u64 = 999_999;

/// The file of `artifacts:reports:terraform`: `{"create": added, "update": changed, "delete": removed}`, counts of row
/// states. GitLab shows them beside the merge request, without a token:
/// <https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsterraform>. Numbers above 999 999 stay there, as
/// the widget takes no more digits.
pub fn plan_terraform(plan: &Plan) -> String {
    terraform(plan.totals.added, plan.totals.changed, plan.totals.removed)
}

/// The same of a run: what succeeded.
pub fn run_terraform(run: &Run) -> String {
    let sum = |of: fn(&super::run::Rows) -> u64| run.syncs.iter().map(|sync| of(&sync.succeeded)).sum();
    terraform(sum(|rows| rows.added), sum(|rows| rows.changed), sum(|rows| rows.removed))
}

fn terraform(create: u64, update: u64, delete: u64) -> String {
    let [create, update, delete] = [create, update, delete].map(|n| n.min(WIDGET));
    format!("{}\n", json!({ "create": create, "update": update, "delete": delete }))
}

/// Lines `NAME=value`. `SYNCLINE_APPROVE` is what `apply --approved` is given: exactly this plan, where the digest alone
/// would be the newest plan of its configuration.
pub fn plan_dotenv(plan: &Plan) -> String {
    let totals = &plan.totals;
    let same = totals.added + totals.changed + totals.removed == 0 && plan.configuration.is_empty();
    let verdict = match (plan.refusals.is_empty(), same) {
        (false, _) => "refused",
        (true, true) => "unchanged",
        (true, false) => "changes",
    };
    lines(&[
        ("PLAN_ID", &plan.plan_id),
        ("DIGEST", &plan.digest),
        ("APPROVE", &format!("{}@{}", plan.digest, plan.plan_id)),
        ("ENVIRONMENT", &plan.environment),
        ("VERDICT", &verdict),
        ("ADDED", &totals.added),
        ("CHANGED", &totals.changed),
        ("REMOVED", &totals.removed),
        ("INVALID", &totals.invalid),
    ])
}

/// The same of a run.
pub fn run_dotenv(run: &Run) -> String {
    let sum = |of: fn(&super::run::SyncRun) -> u64| run.syncs.iter().map(of).sum::<u64>();
    lines(&[
        ("RUN_ID", &run.run_id),
        ("ENVIRONMENT", &run.environment),
        ("STATUS", &run.status),
        ("SUCCEEDED", &sum(|sync| sync.succeeded.sum())),
        ("REJECTED", &sum(|sync| sync.rejected)),
        ("NO_MATCH", &sum(|sync| sync.no_match)),
        ("IN_DOUBT", &sum(|sync| sync.in_doubt)),
        ("NOT_SENT", &sum(|sync| sync.pending)),
    ])
}

/// A value is one word of plain characters: whoever reads such a file may be a shell.
fn lines(pairs: &[(&str, &dyn std::fmt::Display)]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ":._@-".contains(c) { c } else { '_' };
    let line = |(name, value): &(&str, &dyn std::fmt::Display)| {
        format!("SYNCLINE_{name}={}\n", value.to_string().chars().map(plain).collect::<String>())
    };
    pairs.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    #[test]
    fn the_widget_gets_three_numbers_it_can_show() {
        let plan = fixtures::plan(vec![fixtures::sync("users").added(3).changed(2_000_000).removed(1)]);
        assert_eq!(plan_terraform(&plan), "{\"create\":3,\"update\":999999,\"delete\":1}\n");
        let run = Run::read(&fixtures::partial_run()).expect("a run");
        assert_eq!(run_terraform(&run), "{\"create\":1200,\"update\":8104,\"delete\":3}\n");
    }

    #[test]
    fn lines_for_a_job() {
        let mut plan = fixtures::plan(vec![fixtures::sync("users").added(3).invalid("null_key", 2, &[])]);
        plan.environment = "eu west\n$(rm -rf /)=x".into();
        let text = plan_dotenv(&plan);
        assert_eq!(
            text,
            "SYNCLINE_PLAN_ID=0193-plan\nSYNCLINE_DIGEST=sha256:7d0e\n\
             SYNCLINE_APPROVE=sha256:7d0e@0193-plan\nSYNCLINE_ENVIRONMENT=eu_west___rm_-rf____x\n\
             SYNCLINE_VERDICT=changes\nSYNCLINE_ADDED=3\nSYNCLINE_CHANGED=0\nSYNCLINE_REMOVED=0\nSYNCLINE_INVALID=2\n"
        );
        assert!(plan_dotenv(&fixtures::empty()).contains("SYNCLINE_VERDICT=unchanged\n"));
        assert!(plan_dotenv(&fixtures::refused()).contains("SYNCLINE_VERDICT=refused\n"));
        let run = Run::read(&fixtures::partial_run()).expect("a run");
        assert!(run_dotenv(&run).contains("SYNCLINE_STATUS=partial\nSYNCLINE_SUCCEEDED=9307\nSYNCLINE_REJECTED=14\n"));
    }
}
