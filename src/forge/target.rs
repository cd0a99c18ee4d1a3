//! Which merge request is commented on: what was asked for, else what the variables of the CI say.

use serde_json::Value;

use super::{Forge, github, gitlab};
use crate::diagnostic::{Error, Result};

/// The most bytes of GitHub's description of the event.
const EVENT: u64 = 16 << 20;

/// What was asked for; what is not is found out.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// GitHub or GitLab.
    pub forge: Option<Forge>,
    /// `owner/name`, or on GitLab the path or number of the project.
    pub repository: Option<String>,
    /// Number of the pull request, or `iid` of the merge request.
    pub number: Option<u64>,
    /// The address of the API.
    pub api: Option<String>,
}

/// A merge request, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// GitHub or GitLab.
    pub forge: Forge,
    /// The address of the API, without a slash at its end.
    pub api: String,
    /// `owner/name`, or on GitLab the path or number of the project the merge request is in.
    pub repository: String,
    /// Number of the pull request, or `iid` of the merge request.
    pub number: u64,
    /// True when it is known to come from a fork.
    pub fork: bool,
    /// The project's page, where the CI says it.
    pub page: Option<String>,
}

/// A variable of the environment; `None` when it is not there.
type Variables<'v> = &'v dyn Fn(&str) -> Option<String>;

impl Target {
    /// Reads the variables GitHub Actions and GitLab CI set:
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables>,
    /// <https://docs.gitlab.com/ci/variables/predefined_variables/>.
    ///
    /// # Errors
    /// It cannot be known which merge request is meant, or what was asked for is none.
    pub fn find(asked: &Asked, variables: Variables) -> Result<Self> {
        // CI systems set what has no value to nothing.
        let get = |name: &str| variables(name).filter(|value| !value.is_empty());
        let forge = asked.forge.or_else(|| {
            let on = |name: &str| get(name).is_some_and(|value| value == "true");
            (on("GITHUB_ACTIONS").then_some(Forge::GitHub)).or(on("GITLAB_CI").then_some(Forge::GitLab))
        });
        let target = match forge {
            Some(Forge::GitHub) => of_github(asked, &get)?,
            Some(Forge::GitLab) => of_gitlab(asked, &get)?,
            None => {
                return Err(Error::failed_help(
                    "it cannot be seen where to comment: neither GitHub Actions nor GitLab CI runs this",
                    "name it: --forge github --repo OWNER/NAME --pr N, or --forge gitlab --repo GROUP/PROJECT --pr N",
                ));
            }
        };
        target.check()
    }

    fn check(mut self) -> Result<Self> {
        self.api.truncate(self.api.trim_end_matches('/').len());
        let part = |part: &str| {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty() && part != "." && part != ".." && part.chars().all(plain)
        };
        let parts: Vec<&str> = self.repository.split('/').collect();
        let good = match self.forge {
            Forge::GitHub => parts.len() == 2,
            Forge::GitLab => parts.len() > 1 || self.repository.bytes().all(|b| b.is_ascii_digit()),
        };
        if !good || !parts.into_iter().all(part) {
            return Err(Error::failed_help(
                format!("`{}` is no repository of {}", self.repository.escape_debug(), self.forge.name()),
                match self.forge {
                    Forge::GitHub => "--repo is written `owner/name`",
                    Forge::GitLab => "--repo is written `group/project`, or it is the number of the project",
                },
            ));
        }
        Ok(self)
    }

    /// Where comments are listed and made.
    pub(super) fn comments(&self) -> String {
        match self.forge {
            Forge::GitHub => github::comments(self),
            Forge::GitLab => gitlab::comments(self),
        }
    }

    /// One comment.
    pub(super) fn comment(&self, id: u64) -> String {
        match self.forge {
            Forge::GitHub => github::comment(self, id),
            Forge::GitLab => gitlab::comment(self, id),
        }
    }

    /// Where a person finds a note of GitLab, which does not say it.
    pub(super) fn note_url(&self, id: u64) -> Option<String> {
        self.page.as_ref().map(|page| format!("{page}/-/merge_requests/{}#note_{id}", self.number))
    }
}

fn of_github(asked: &Asked, get: Variables) -> Result<Target> {
    let event = get("GITHUB_EVENT_PATH").and_then(|path| event(&path)).unwrap_or_default();
    let name = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    // `refs/pull/12/merge`; some events about a pull request run on a branch.
    let of_ref = || get("GITHUB_REF")?.strip_prefix("refs/pull/")?.split('/').next()?.parse().ok();
    let number = asked.number.or_else(of_ref).or_else(|| event.pointer("/pull_request/number")?.as_u64());
    let head = name("/pull_request/head/repo/full_name");
    Ok(Target {
        forge: Forge::GitHub,
        api: asked.api.clone().or_else(|| get("GITHUB_API_URL")).unwrap_or_else(|| "https://api.github.com".into()),
        repository: repository(asked, get("GITHUB_REPOSITORY"))?,
        number: number.ok_or_else(|| unnumbered("pull request", "on: pull_request"))?,
        fork: head.is_some() && head != name("/pull_request/base/repo/full_name"),
        page: None,
    })
}

/// What GitHub says of the event a workflow runs for.
fn event(path: &str) -> Option<Value> {
    let length = std::fs::metadata(path).ok()?.len();
    (length <= EVENT).then(|| serde_json::from_slice(&std::fs::read(path).ok()?).ok()).flatten()
}

fn of_gitlab(asked: &Asked, get: Variables) -> Result<Target> {
    let open = get("CI_OPEN_MERGE_REQUESTS").filter(|all| !all.contains(','));
    let number = asked.number.or_else(|| get("CI_MERGE_REQUEST_IID")?.parse().ok());
    // The pipeline of a branch names the merge requests of it, `group/project!12`. Of several none is meant.
    let number = number.or_else(|| open.as_ref()?.rsplit_once('!')?.1.parse().ok());
    let (project, source) = (get("CI_MERGE_REQUEST_PROJECT_ID"), get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"));
    let branch = || open.as_ref()?.rsplit_once('!').map(|(project, _)| project.to_owned());
    let page = get("CI_MERGE_REQUEST_PROJECT_URL").or_else(|| get("CI_PROJECT_URL"));
    Ok(Target {
        forge: Forge::GitLab,
        api: asked.api.clone().or_else(|| get("CI_API_V4_URL")).unwrap_or_else(|| "https://gitlab.com/api/v4".into()),
        fork: project.is_some() && source.is_some() && project != source,
        repository: repository(asked, project.or_else(branch).or_else(|| get("CI_PROJECT_ID")))?,
        number: number
            .ok_or_else(|| unnumbered("merge request", "if: $CI_PIPELINE_SOURCE == \"merge_request_event\""))?,
        page: page.filter(|_| asked.repository.is_none() && asked.api.is_none()),
    })
}

fn repository(asked: &Asked, told: Option<String>) -> Result<String> {
    let named = asked.repository.clone().or(told);
    named.ok_or_else(|| Error::failed_help("the repository is not known", "name it: --repo OWNER/NAME"))
}

fn unnumbered(what: &str, rule: &str) -> Error {
    let help = format!("run the job for {what}s only (`{rule}`), or name one with --pr N");
    Error::failed_help(format!("this job is not that of a {what}, so there is nothing to comment on"), help)
}

/// The page of the job that runs this, to be linked; `None` where the CI does not say it plainly.
pub fn job_url(variables: Variables) -> Option<String> {
    let get = |name: &str| variables(name).filter(|value| !value.is_empty());
    let of_github = || {
        let (server, repository) = (get("GITHUB_SERVER_URL")?, get("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", get("GITHUB_RUN_ID")?))
    };
    let url = get("CI_JOB_URL").or_else(of_github)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!&=%+".contains(c);
    let web = url.starts_with("https://") || url.starts_with("http://");
    (web && url.len() < 500 && url.chars().all(plain)).then_some(url)
}

#[cfg(test)]
mod tests;
