use super::*;

/// Variables as `NAME=value`, one a word.
fn found(asked: &Asked, variables: &str) -> Result<Target> {
    let get = |name: &str| {
        let mut all = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
        all.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    Target::find(asked, &get)
}

fn shown(target: &Target) -> String {
    let fork = if target.fork { " from a fork" } else { "" };
    format!("{} {}{fork}", target.forge.name(), target.comments())
}

#[test]
fn the_merge_request_is_found_in_the_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let event = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        format!("GITHUB_EVENT_PATH={}", path.display())
    };
    let own = event(
        "own.json",
        r#"{"pull_request":{"number":7,"head":{"repo":{"full_name":"acme/syncs"}},"base":{"repo":{"full_name":"acme/syncs"}}}}"#,
    );
    let fork = event(
        "fork.json",
        r#"{"pull_request":{"number":8,"head":{"repo":{"full_name":"eve/syncs"}},"base":{"repo":{"full_name":"acme/syncs"}}}}"#,
    );
    let garbage = event("garbage.json", "not JSON");
    let github = "GITHUB_ACTIONS=true GITHUB_REPOSITORY=acme/syncs";
    let gitlab = "GITLAB_CI=true CI_PROJECT_ID=12 CI_API_V4_URL=https://git.example.com/sub/api/v4";
    for (variables, expected) in [
        (
            format!("{github} GITHUB_REF=refs/pull/12/merge"),
            "GitHub https://api.github.com/repos/acme/syncs/issues/12/comments",
        ),
        (
            format!("{github} GITHUB_REF=refs/heads/main {own}"),
            "GitHub https://api.github.com/repos/acme/syncs/issues/7/comments",
        ),
        (
            format!("{github} GITHUB_REF=refs/pull/8/merge GITHUB_API_URL=https://ghe.example.com/api/v3/ {fork}"),
            "GitHub https://ghe.example.com/api/v3/repos/acme/syncs/issues/8/comments from a fork",
        ),
        (
            format!("{github} GITHUB_REF=refs/pull/12/merge {garbage}"),
            "GitHub https://api.github.com/repos/acme/syncs/issues/12/comments",
        ),
        (
            format!("{gitlab} CI_MERGE_REQUEST_IID=3"),
            "GitLab https://git.example.com/sub/api/v4/projects/12/merge_requests/3/notes",
        ),
        (
            format!(
                "{gitlab} CI_MERGE_REQUEST_IID=3 CI_MERGE_REQUEST_PROJECT_ID=11 CI_MERGE_REQUEST_SOURCE_PROJECT_ID=12"
            ),
            "GitLab https://git.example.com/sub/api/v4/projects/11/merge_requests/3/notes from a fork",
        ),
        (
            format!("{gitlab} CI_OPEN_MERGE_REQUESTS=acme/data/syncs!5"),
            "GitLab https://git.example.com/sub/api/v4/projects/acme%2Fdata%2Fsyncs/merge_requests/5/notes",
        ),
    ] {
        let target = found(&Asked::default(), &variables).unwrap_or_else(|e| panic!("{variables}: {e}"));
        assert_eq!(shown(&target), expected, "{variables}");
    }
}

#[test]
fn what_is_asked_for_wins() {
    let asked = Asked {
        forge: Some(Forge::GitLab),
        repository: Some("acme/syncs".into()),
        number: Some(9),
        api: Some("http://127.0.0.1:1/base/".into()),
    };
    let target =
        found(&asked, "GITHUB_ACTIONS=true GITHUB_REPOSITORY=x/y GITHUB_REF=refs/pull/1/merge").expect("a target");
    assert_eq!(shown(&target), "GitLab http://127.0.0.1:1/base/projects/acme%2Fsyncs/merge_requests/9/notes");
}

#[test]
fn what_cannot_be_known_is_said() {
    let repository = |name: &str| Asked { repository: Some(name.into()), number: Some(1), ..Asked::default() };
    for (asked, variables, message) in [
        (Asked::default(), "", "neither GitHub Actions nor GitLab CI"),
        (Asked::default(), "GITHUB_ACTIONS=false GITLAB_CI=", "neither GitHub Actions nor GitLab CI"),
        (
            Asked::default(),
            "GITHUB_ACTIONS=true GITHUB_REPOSITORY=a/b GITHUB_REF=refs/heads/main",
            "not that of a pull request",
        ),
        (Asked::default(), "GITHUB_ACTIONS=true GITHUB_REF=refs/pull/1/merge", "the repository is not known"),
        (Asked::default(), "GITLAB_CI=true CI_PROJECT_ID=1", "not that of a merge request"),
        (
            Asked::default(),
            "GITLAB_CI=true CI_PROJECT_ID=1 CI_OPEN_MERGE_REQUESTS=a/b!1,a/b!2",
            "not that of a merge request",
        ),
        (repository("a"), "GITHUB_ACTIONS=true", "`a` is no repository of GitHub"),
        (repository("a/b/c"), "GITHUB_ACTIONS=true", "no repository of GitHub"),
        (repository("a/.."), "GITHUB_ACTIONS=true", "no repository of GitHub"),
        (repository("a/b?x=1"), "GITHUB_ACTIONS=true", "no repository of GitHub"),
        (repository("project"), "GITLAB_CI=true", "no repository of GitLab"),
        (repository("a/../b"), "GITLAB_CI=true", "no repository of GitLab"),
    ] {
        let error = found(&asked, variables).expect_err(variables);
        assert!(error.to_string().contains(message), "{variables}: {error}");
        assert!(error.help().is_some(), "{variables}: {error}");
    }
}

#[test]
fn the_job_is_linked_only_where_its_address_is_plain() {
    let url = |text: &str| {
        let text = text.to_owned();
        job_url(&move |name| (name == "CI_JOB_URL").then(|| text.clone()))
    };
    assert_eq!(url("https://git.example.com/a/b/-/jobs/1").as_deref(), Some("https://git.example.com/a/b/-/jobs/1"));
    for odd in ["", "javascript:alert(1)", "https://a/) [x](https://evil", "https://a/<b>"] {
        assert_eq!(url(odd), None, "{odd}");
    }
    let github = |name: &str| match name {
        "GITHUB_SERVER_URL" => Some("https://github.com".to_owned()),
        "GITHUB_REPOSITORY" => Some("acme/syncs".to_owned()),
        "GITHUB_RUN_ID" => Some("42".to_owned()),
        _ => None,
    };
    assert_eq!(job_url(&github).as_deref(), Some("https://github.com/acme/syncs/actions/runs/42"));
}
