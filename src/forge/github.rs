//! How GitHub's API is spoken. Comments of a pull request are those of its issue:
//! <https://docs.github.com/en/rest/issues/comments>.

use serde_json::Value;

use super::{Author, Found, Target};

/// Comments of a page; the most GitHub gives.
const PER_PAGE: usize = 100;

/// What every request says.
pub(super) fn headers(token: &str) -> Vec<(String, String)> {
    vec![
        // The second for what stands in between and does not know the first.
        ("Accept".into(), "application/vnd.github+json, application/json;q=0.9".into()),
        ("Authorization".into(), format!("Bearer {token}")),
        ("X-GitHub-Api-Version".into(), "2022-11-28".into()),
    ]
}

/// The address of a page of comments, oldest first, and how many are on it.
pub(super) fn page(target: &Target, page: u32) -> (String, usize) {
    (format!("{}?per_page={PER_PAGE}&page={page}", target.comments()), PER_PAGE)
}

/// Where comments are listed and made.
pub(super) fn comments(target: &Target) -> String {
    format!("{}/repos/{}/issues/{}/comments", target.api, target.repository, target.number)
}

/// One comment.
pub(super) fn comment(target: &Target, id: u64) -> String {
    format!("{}/repos/{}/issues/comments/{id}", target.api, target.repository)
}

/// Where GraphQL is: beside the REST API of github.com, above that of an Enterprise Server.
pub(super) fn graphql(api: &str) -> String {
    format!("{}/graphql", api.strip_suffix("/v3").unwrap_or(api))
}

/// A comment of a list.
pub(super) fn found(item: &Value) -> Option<Found> {
    let author = match item.get("user") {
        None => Author::Untold,
        Some(user) => match user.get("login").and_then(Value::as_str) {
            None => Author::Gone,
            Some(name) => {
                Author::Named { name: name.to_owned(), human: user.get("type").and_then(Value::as_str) == Some("User") }
            }
        },
    };
    Some(Found { id: item.get("id")?.as_u64()?, author })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphql_of_every_server() {
        for (api, graphql_at) in [
            ("https://api.github.com", "https://api.github.com/graphql"),
            ("https://ghe.example.com/api/v3", "https://ghe.example.com/api/graphql"),
            ("https://api.octocorp.ghe.com", "https://api.octocorp.ghe.com/graphql"),
        ] {
            assert_eq!(graphql(api), graphql_at);
        }
    }
}
