//! Tells whom a sync names how a run of it ended. Nothing that fails here fails the run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::{outside, terminal};
use crate::diagnostic::Error;
use crate::manifest::sync::Notify;
use crate::mask;
use crate::notify::{self, About, PATIENCE, Receiver, change};
use crate::plan::Plan;
use crate::project::{Project, ResolvedSync};
use crate::secret::Redactor;
use crate::state::Locked;
use crate::state::runs::{Run, Status, SyncRun};

/// Messages on their way at the same time.
const ABREAST: usize = 8;
/// How long all messages of a run may take together.
const ALTOGETHER: Duration = Duration::from_secs(30);

/// Tells of every change in a run that has ended. A run that somebody stopped says nothing.
pub(super) fn tell(project: &Project, locked: &Locked, run: &Run) {
    if run.error.is_some() && run.status != Status::Refused {
        return;
    }
    let known = locked.notified();
    let mut next = known.clone();
    next.syncs.retain(|name, _| project.syncs.contains_key(name));
    let mut messages = Vec::new();
    for part in &run.syncs {
        let Some(sync) = project.syncs.get(&part.sync).filter(|sync| !rehearsed(project, sync)) else { continue };
        let before = known.syncs.get(&part.sync);
        let before = before.or_else(|| known.syncs.get(sync.sync.moved_from.as_ref()?));
        let mut told = BTreeMap::new();
        for (at, entry) in sync.sync.notify.iter().enumerate() {
            let receiver = receiver(entry);
            let before = before.and_then(|all| all.get(&receiver)).copied();
            match change(before, part.status).filter(|event| entry.wants(*event)) {
                Some(event) => {
                    // Until it has arrived, the receiver knows what it knew.
                    told.extend(before.map(|status| (receiver.clone(), status)));
                    messages.push(Message { sync, at, receiver, event, before, part });
                }
                None => drop(told.insert(receiver, part.status)),
            }
        }
        next.syncs.insert(part.sync.clone(), told);
        next.syncs.retain(|_, told| !told.is_empty());
    }
    if !messages.is_empty() {
        for (message, result) in send(project, run, &messages) {
            match result {
                Ok(()) => {
                    let told = next.syncs.entry(message.part.sync.clone()).or_default();
                    told.insert(message.receiver.clone(), message.part.status);
                }
                Err(reason) => terminal::note(&format!(
                    "warning: nobody was told that sync `{}` {}: {reason}{}",
                    message.part.sync,
                    message.event.word(),
                    message.place()
                )),
            }
        }
    }
    if next != known
        && let Err(error) = locked.put_notified(&next)
    {
        terminal::note(&format!("warning: what was told is not kept, and may be told again: {error}"));
    }
}

/// A refused run as it is told: each sync with its own reason, and those that could not even be planned.
pub(super) fn refused(run: &Run, plan: &Plan, failures: &[(String, Error)]) -> Run {
    let mut run = run.clone();
    let known = |run: &Run, name: &str| run.syncs.iter().any(|sync| sync.sync == name);
    for name in plan.refusals.iter().filter_map(|refusal| refusal.sync.as_deref()) {
        if !known(&run, name) {
            run.syncs.push(SyncRun { sync: name.into(), status: Status::Refused, ..SyncRun::default() });
        }
    }
    for sync in &mut run.syncs {
        let own = plan.refusals.iter().find(|refusal| refusal.sync.as_ref() == Some(&sync.sync));
        sync.error = own.or(plan.refusals.first()).map(|refusal| refusal.message.clone());
    }
    for (name, error) in failures {
        let (sync, error) = (name.clone(), Some(error.to_string()));
        run.syncs.push(SyncRun { sync, status: Status::Failed, error, ..SyncRun::default() });
    }
    run
}

struct Message<'a> {
    sync: &'a ResolvedSync,
    /// Which entry of `notify`.
    at: usize,
    receiver: String,
    event: crate::manifest::sync::NotifyOn,
    before: Option<Status>,
    part: &'a SyncRun,
}

impl Message<'_> {
    fn place(&self) -> String {
        let place = self.sync.place(&format!("/notify/{}", self.at));
        place.map(|place| format!(" ({place})")).unwrap_or_default()
    }

    async fn send(&self, project: &Project, run: &Run, until: Instant) -> Result<(), String> {
        let connection = project.receiver(self.sync, self.at).map_err(|error| error.to_string())?;
        let redactor = connection.redactor();
        let entry: Notify = connection.typed().map_err(|error| error.to_string())?;
        if let Some(host) = notify::host(&entry) {
            connection.permit(&host).map_err(|error| error.to_string())?;
        }
        let error = shown(self.part, &redactor);
        let about = About {
            event: self.event,
            before: self.before,
            environment: &run.environment,
            run_id: &run.run_id,
            finished_at: run.finished_at.as_deref().unwrap_or_default(),
            sync: self.part,
            error: error.as_deref(),
        };
        let patience = until.saturating_duration_since(Instant::now()).min(PATIENCE);
        if patience.is_zero() {
            return Err(format!("the messages before it took {} s", ALTOGETHER.as_secs()));
        }
        let receiver = Receiver { entry: &entry, now: jiff::Timestamp::now().as_second() };
        receiver.tell(&about, patience).await.map_err(|reason| redactor.redact(&reason))
    }
}

fn send<'m>(project: &Project, run: &Run, messages: &'m [Message<'m>]) -> Vec<(&'m Message<'m>, Result<(), String>)> {
    let runtime = match outside::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return messages.iter().map(|message| (message, Err(error.to_string()))).collect(),
    };
    let until = Instant::now() + ALTOGETHER;
    runtime.block_on(async {
        let each = messages.iter().map(|message| async move { (message, message.send(project, run, until).await) });
        futures_util::stream::iter(each).buffered(ABREAST).collect().await
    })
}

/// Why a sync did not go well, without what personal data or a secret it may quote. A destination's words about a record
/// stay here: only their code goes out.
fn shown(part: &SyncRun, redactor: &Redactor) -> Option<String> {
    let error = part.error.clone().or_else(|| {
        let most = part.rejections.first()?;
        let code = mask::answer(&most.code, &most.key);
        Some(if code.is_empty() { return None } else { format!("{} rejected with `{code}`", most.count) })
    })?;
    Some(redactor.redact(&mask::answer(&error, "")))
}

/// A receiver by what is written, so that a new token is no new receiver.
fn receiver(entry: &Notify) -> String {
    let written = match (&entry.webhook, &entry.slack, &entry.email) {
        (Some(webhook), ..) => format!("webhook {webhook}"),
        (None, Some(slack), _) => format!("slack {}", slack.expose()),
        (None, None, Some(email)) => format!("email {} {}", email.to.0.join(" "), email.smtp.expose()),
        (None, None, None) => String::new(),
    };
    hex::encode(Sha256::digest(written)).chars().take(16).collect()
}

/// Whether records only go to a sandbox: nobody is told of a rehearsal.
fn rehearsed(project: &Project, sync: &ResolvedSync) -> bool {
    project.destinations.get(&sync.destination).is_some_and(|destination| destination.sandbox)
}
