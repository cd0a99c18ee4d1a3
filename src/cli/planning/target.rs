//! A sync whose records go elsewhere than before. What the state knows of them holds where they went: of another place it
//! would say that all is there already, and there it would delete what others have put.

use crate::diagnostic::{Error, Result};
use crate::manifest::sync::Mode;
use crate::project::{Project, ResolvedSync};
use crate::state::SyncView;
use crate::state::document::SentTo;

/// Where a sync sends its records now.
pub(in crate::cli) fn of(project: &Project, sync: &ResolvedSync) -> SentTo {
    SentTo {
        destination: sync.destination.clone(),
        object: sync.sync.object.clone(),
        options: project.place_options(sync),
        sandbox: project.destinations.get(&sync.destination).is_some_and(|destination| destination.sandbox),
        removes: sync.sync.mode == Mode::Remove,
    }
}

/// # Errors
/// Records of the sync are known elsewhere. A state that was written before this was noted knows nothing of it.
pub(super) fn check(project: &Project, sync: &ResolvedSync, view: &SyncView) -> Result<()> {
    let Some(entry) = view.entry.as_ref().filter(|entry| entry.rows + entry.rows_in_doubt > 0) else { return Ok(()) };
    let now = of(project, sync);
    let Some(before) = entry.sent_to.as_ref().filter(|before| **before != now) else { return Ok(()) };
    let (name, rows) = (&sync.name, entry.rows);
    let rows = if rows == 1 { "its 1 row is".to_owned() } else { format!("its {rows} rows are") };
    let place = if now.destination != before.destination { "/destination" } else { "/object" };
    let place = if now.options != before.options { "/options" } else { place };
    Err(Error::Refused {
        code: "target_changed",
        place: super::place(sync, place),
        message: format!("sync `{name}` goes elsewhere: {rows} known at {before}, and it now sends to {now}"),
        help: Some(format!(
            "to send every row there, `syncline state forget {name}`; if all of them are there already (the destination was \
             only renamed, or this is where new rows shall go), `syncline state adopt {name}`. What is at the old place \
             stays as it is"
        )),
    })
}
