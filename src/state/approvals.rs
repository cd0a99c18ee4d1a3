//! The plans that were shown, so that one of them can be approved by its digest. One file a plan, never changed: whoever
//! plans writes without the lock.

use std::cmp::Reverse;
use std::path::Path;

use super::State;
use super::checksums;
use crate::diagnostic::{Error, Result};
use crate::plan::approval::Approval;

const FOLDER: &str = "planned";
/// Plans that are remembered; the oldest go.
const KEPT: usize = 200;

impl State {
    /// Remembers a plan, and forgets the oldest.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_planned(&self, approval: &Approval) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::failed(format!("cannot remember the plan: {e}"));
        let bytes = serde_json::to_vec_pretty(approval).map_err(|e| failed(&e))?;
        let file = tempfile::NamedTempFile::new().map_err(|e| failed(&e))?;
        std::fs::write(file.path(), checksums::sealed(&bytes)).map_err(|e| failed(&e))?;
        self.backend.put(&name(&approval.plan_id), file.path())?;
        // Ids sort by time. What cannot be removed now goes another time.
        let names = self.backend.list(FOLDER)?;
        for old in names.iter().take(names.len().saturating_sub(KEPT)) {
            if let Err(e) = self.backend.remove(&format!("{FOLDER}/{old}")) {
                tracing::warn!("an old plan could not be forgotten: {e}");
            }
        }
        Ok(())
    }

    /// A plan that is remembered, by its id.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn planned(&self, plan_id: &str) -> Result<Option<Approval>> {
        // Whatever else is given is no id, and no path either.
        if uuid::Uuid::parse_str(plan_id).is_err() {
            return Ok(None);
        }
        Ok(self.backend.get(&name(plan_id))?.and_then(|path| read(&path)))
    }

    /// The newest plan that is remembered of a configuration.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn newest_planned(&self, digest: &str) -> Result<Option<Approval>> {
        let mut names = self.backend.list(FOLDER)?;
        names.sort_by_key(|name| Reverse(name.clone()));
        for file in names {
            let Some(path) = self.backend.get(&format!("{FOLDER}/{file}"))? else { continue };
            if let Some(approval) = read(&path).filter(|approval| approval.digest == digest) {
                return Ok(Some(approval));
            }
        }
        Ok(None)
    }
}

fn name(plan_id: &str) -> String {
    format!("{FOLDER}/{plan_id}.json")
}

/// A record; one that cannot be read, is damaged, or is of another major version, approves nothing.
fn read(path: &Path) -> Option<Approval> {
    let bytes = std::fs::read(path).ok().filter(|bytes| checksums::broken(bytes).is_none())?;
    let approval: Approval = serde_json::from_slice(&bytes).ok()?;
    (approval.format_version.split('.').next() == Some("1")).then_some(approval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::HashKey;
    use crate::state::local::Local;
    use std::sync::Arc;

    #[test]
    fn the_newest_two_hundred_plans_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let backend = Arc::new(Local::open(folder.path().join("state")).unwrap());
        let state = State::with_backend(backend, "", HashKey([7; 16])).unwrap();
        let approval = |n: usize| Approval {
            format_version: "1.0".into(),
            plan_id: format!("00000000-0000-7000-8000-{n:012}"),
            digest: format!("sha256:{}", n % 2),
            ..Approval::default()
        };
        for n in 0..KEPT + 5 {
            state.put_planned(&approval(n)).unwrap();
        }
        let known = |n: usize| state.planned(&approval(n).plan_id).unwrap().is_some();
        assert_eq!([known(0), known(4), known(5), known(KEPT + 4)], [false, false, true, true]);
        assert_eq!(state.newest_planned("sha256:1").unwrap(), Some(approval(KEPT + 3)));
        assert_eq!(state.newest_planned("sha256:7").unwrap(), None);
        assert_eq!(state.planned("../state").unwrap(), None);
        std::fs::write(folder.path().join("state").join(name(&approval(KEPT + 3).plan_id)), "{").unwrap();
        assert_eq!(state.newest_planned("sha256:1").unwrap(), Some(approval(KEPT + 1)), "what is cut off is no plan");
    }
}
