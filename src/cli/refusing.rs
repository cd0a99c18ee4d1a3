//! Records of runs that are refused, or end before anything is sent: what is reported and told of them.

use super::{delivering, planning};
use crate::diagnostic::Error;
use crate::plan::Plan;
use crate::project::Project;
use crate::state::runs::{Run, Status, SyncRun};

/// What runs by schedules is a job for each sync: one that a guard refuses is left out, and the others run. It has not
/// begun, so it stays due. Nothing is left out when the refusal is of the whole plan, or when nothing else is in it.
pub(super) fn leave_refused_out(plan: &mut Plan) -> Vec<SyncRun> {
    let whole = plan.refusals.iter().any(|refusal| refusal.sync.is_none());
    let why = |name: &str| plan.refusals.iter().find(|refusal| refusal.sync.as_deref() == Some(name));
    if whole || plan.refusals.is_empty() || plan.syncs.iter().all(|sync| why(&sync.sync).is_some()) {
        return Vec::new();
    }
    let mut refused: Vec<SyncRun> = Vec::new();
    for refusal in &plan.refusals {
        let Some(name) = refusal.sync.as_ref().filter(|name| !refused.iter().any(|sync| sync.sync == **name)) else {
            continue;
        };
        let planned = plan.syncs.iter().find(|sync| sync.sync == *name).map(delivering::planned);
        refused.push(SyncRun {
            sync: name.clone(),
            status: Status::Refused,
            planned: planned.unwrap_or_default(),
            error: Some(refusal.message.clone()),
            ..SyncRun::default()
        });
    }
    plan.syncs.retain(|sync| !refused.iter().any(|other| other.sync == sync.sync));
    plan.refusals.clear();
    plan.totals = planning::totals(&plan.syncs);
    refused
}

/// A plan of which nothing is sent.
pub(super) fn refused_run(project: &Project, plan: &Plan) -> Run {
    let refused = |sync: &crate::plan::SyncPlan| SyncRun {
        sync: sync.sync.clone(),
        status: Status::Refused,
        planned: delivering::planned(sync),
        ..SyncRun::default()
    };
    Run {
        plan_id: plan.plan_id.clone(),
        status: Status::Refused,
        syncs: plan.syncs.iter().map(refused).collect(),
        ..ended(project)
    }
}

/// What is told where no plan could be made.
pub(super) fn unplanned(project: &Project, syncs: &[String], error: &Error) -> Run {
    let failed = |sync: &String| SyncRun {
        sync: sync.clone(),
        status: Status::Failed,
        error: Some(format!("no plan could be made: {error}")),
        ..SyncRun::default()
    };
    Run { status: Status::Failed, syncs: syncs.iter().map(failed).collect(), ..ended(project) }
}

/// A run that ends as it begins.
pub(super) fn ended(project: &Project) -> Run {
    let now = jiff::Timestamp::now().to_string();
    Run {
        format_version: "1.0".into(),
        run_id: uuid::Uuid::now_v7().to_string(),
        environment: project.environment.name.clone(),
        started_at: now.clone(),
        finished_at: Some(now),
        ..Run::default()
    }
}
