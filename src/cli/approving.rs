//! `apply --approved`: the plan that was approved, and whether what would be done now is still that.

use std::path::Path;

use jiff::Timestamp;

use super::show;
use crate::diagnostic::{Error, Result};
use crate::plan::Plan;
use crate::plan::approval::{Approval, Difference};
use crate::project::Project;
use crate::state::State;

/// Days an approval counts: rows move on, and who has approved a plan has not seen those of next month.
const DAYS: i64 = 7;

const PLAN_AGAIN: &str = "plan again with `syncline plan`, and have that plan approved";

/// The plan that `--approved` names: `sha256:…`, `sha256:…@PLAN_ID`, or the path of a plan as a file or as JSON.
///
/// # Errors
/// Stale: the plan is not known or too old, or the configuration or environment is another one now.
pub(super) fn find(project: &Project, state: &State, value: &str) -> Result<Approval> {
    let approval =
        if value.starts_with("sha256:") { by_digest(project, state, value)? } else { by_file(state, value)? };
    let stale = |message: String| Err(Error::Stale { message, help: Some(PLAN_AGAIN.into()) });
    if approval.environment != project.environment.name {
        let (approved, here) = (&approval.environment, &project.environment.name);
        return stale(format!("the approved plan is for environment `{approved}`, not `{here}`"));
    }
    if approval.digest != project.digest {
        let files = approval.changed_files(&project.files);
        let which = match files.as_slice() {
            [] => String::new(),
            files => format!(": {}", files.iter().map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ")),
        };
        return stale(format!("the configuration has changed since the plan was approved{which}"));
    }
    let made: Option<Timestamp> = approval.created_at.parse().ok();
    if made.is_none_or(|made| Timestamp::now().duration_since(made).as_hours() >= DAYS * 24) {
        let made =
            made.map_or_else(|| "at an unknown time".to_owned(), |made| made.strftime("on %Y-%m-%d").to_string());
        return stale(format!("the approved plan was made {made}: a plan can be approved for {DAYS} days"));
    }
    Ok(approval)
}

fn by_digest(project: &Project, state: &State, value: &str) -> Result<Approval> {
    let (digest, plan_id) = match value.split_once('@') {
        Some((digest, plan_id)) => (digest, Some(plan_id)),
        None => (value, None),
    };
    let found = match plan_id {
        Some(plan_id) => state.planned(plan_id)?.filter(|approval| approval.digest == digest),
        None => state.newest_planned(digest)?,
    };
    if let Some(approval) = found {
        return Ok(approval);
    }
    let what = plan_id.map_or_else(
        || format!("no plan with the digest `{digest}`"),
        |id| format!("no plan `{id}` with the digest `{digest}`"),
    );
    let message = match project.digest == digest {
        true => format!("{what} is known in this state: it cannot be said what was approved"),
        false => format!("{what} is known in this state, and the configuration here is `{}`", project.digest),
    };
    let help = "plan and apply must use the same state and environment; the newest 200 plans are remembered. Or name the \
                plan as a file: --approved plan.json";
    Err(Error::Stale { message, help: Some(help.into()) })
}

fn by_file(state: &State, value: &str) -> Result<Approval> {
    let path = Path::new(value);
    if !path.exists() {
        return Err(Error::failed_help(
            format!("--approved: `{value}` is neither a digest nor a file"),
            "give the digest as the plan shows it, `sha256:…`, or the path of a plan",
        ));
    }
    let plan = show::plan(path)?;
    // The plan itself does not say what each file said.
    let configuration = state.planned(&plan.plan_id)?.map(|known| known.configuration).unwrap_or_default();
    Ok(Approval::of(&plan, configuration))
}

/// What of a plan is beyond its approval, as a table; `None` when nothing is.
pub(super) fn beyond(approval: &Approval, plan: &Plan) -> Option<(String, Error)> {
    let differences = approval.differences(plan);
    let first = differences.first()?;
    let more = match differences.len() {
        1 => String::new(),
        n => format!("; {} more in the table", n - 1),
    };
    let now = first.now;
    let what = match first.approved {
        Some(approved) => format!("{now} {}, approved were {approved}, at most {} go through", first.what, first.most),
        None => format!("{now} {}, and it was not in the approved plan", first.what),
    };
    let message = format!("nothing was sent: more would change than was approved: `{}` has {what}{more}", first.sync);
    Some((table(&differences), Error::Stale { message, help: Some(PLAN_AGAIN.into()) }))
}

fn table(differences: &[Difference]) -> String {
    let head = ["sync", "what", "approved", "at most", "now"].map(str::to_owned);
    let row = |d: &Difference| {
        let approved = d.approved.map_or_else(|| "not in it".to_owned(), |n| n.to_string());
        [d.sync.clone(), d.what.to_owned(), approved, d.most.to_string(), d.now.to_string()]
    };
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(differences.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut out = String::from("Beyond what was approved\n");
    for row in &rows {
        let [sync, what, approved, most, now] = row;
        let [a, b, c, d, e] = widths;
        out.push_str(&format!("  {sync:<a$}  {what:<b$}  {approved:>c$}  {most:>d$}  {now:>e$}\n"));
    }
    out
}
