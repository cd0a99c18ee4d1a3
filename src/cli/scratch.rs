//! A folder for a plan in the making, beside the state, so that nothing is copied across file systems.

use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Error, Result};
use crate::project::Project;
use crate::state::aside::Aside;

/// A folder that is removed on drop.
pub(super) struct Scratch {
    plan: PathBuf,
    aside: Aside,
}

impl Scratch {
    /// A new folder.
    pub(super) fn new(project: &Project) -> Result<Self> {
        let aside = Aside::new(&project.root.join(project.environment.state.folder()), "plan-")?;
        let plan = aside.path().join("plan");
        fs::create_dir(&plan).map_err(|e| Error::failed(format!("cannot write to `{}`: {e}", plan.display())))?;
        Ok(Self { plan, aside })
    }

    /// The folder with all that belongs to it.
    pub(super) fn whole(&self) -> PathBuf {
        self.aside.path().to_owned()
    }

    /// The empty folder.
    pub(super) fn path(&self) -> &Path {
        &self.plan
    }
}
