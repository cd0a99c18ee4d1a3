//! What a refusal of a forge means, and what to do.

use super::answer::header;
use super::{Forge, Target};
use crate::diagnostic::Error;
use crate::http::Reply;

/// The error for an answer that is no success. `said` is what it says, without the token.
pub(super) fn refusal(target: &Target, reply: &Reply, said: &str) -> Error {
    let Target { forge, repository, number, .. } = target;
    let (request, mark) = forge.request();
    let place = format!("{request} {mark}{number} of `{repository}`");
    let variable = forge.token_variable();
    match reply.status {
        300..=399 => {
            let to = header(reply, "location").and_then(|to| reqwest::Url::parse(to).ok());
            let to =
                to.map_or_else(|| "another address".into(), |url| format!("`{}`", url.origin().ascii_serialization()));
            Error::failed_help(
                format!(
                    "{} redirects to {to} ({}), which is not followed: the token would go along",
                    forge.name(),
                    reply.status
                ),
                "name the address it has today with --api-url, and a repository that was renamed with --repo",
            )
        }
        401 => Error::failed_help(
            format!("{} does not accept the token in `{variable}` ({said})", forge.name()),
            match forge {
                Forge::GitHub => "pass the token of the job: `GITHUB_TOKEN: ${{ github.token }}`",
                Forge::GitLab => {
                    "it may have expired: make a project access token with scope `api` and put it into the variable"
                }
            },
        ),
        403 => {
            let fork = if target.fork { ": it comes from a fork, and forks get no right to write" } else { "" };
            Error::failed_help(
                format!("the token may not comment on {place}{fork} ({said})"),
                match (forge, target.fork) {
                    (Forge::GitHub, true) => {
                        "the plan is in the job summary (`--summary \"$GITHUB_STEP_SUMMARY\"`); leave the comment out for forks"
                    }
                    (Forge::GitHub, false) => {
                        "give the job `permissions: { pull-requests: write }`; a pull request from a fork never has it, and then the plan is in the job summary (`--summary \"$GITHUB_STEP_SUMMARY\"`)"
                    }
                    (Forge::GitLab, true) => {
                        "the plan is in the widget and the artifacts of the pipeline; leave the note out for forks"
                    }
                    (Forge::GitLab, false) => {
                        "the token needs scope `api` and the role Reporter or above in the project"
                    }
                },
            )
        }
        404 => Error::failed_help(
            format!("there is no {place} that the token in `{variable}` can see ({said})"),
            "check --repo, --pr and --api-url, and that the token belongs to this project",
        ),
        _ => Error::failed_help(
            format!("the comment on {place} is refused ({said})"),
            format!("the answer is in the words of {}", forge.name()),
        ),
    }
}
