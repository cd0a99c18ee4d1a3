//! How GitLab's API is spoken. A comment is a note of the merge request:
//! <https://docs.gitlab.com/api/notes/#merge-requests>.

use serde_json::Value;

use super::{Author, Found, Target};

/// Notes of a page. A note may have a megabyte, so that more of them would make an answer nobody wants to hold.
const PER_PAGE: usize = 50;

/// What every request says. Project, group and personal access tokens are all taken in this header.
pub(super) fn headers(token: &str) -> Vec<(String, String)> {
    vec![("Accept".into(), "application/json".into()), ("PRIVATE-TOKEN".into(), token.to_owned())]
}

/// The address of a page of notes, oldest first, and how many are on it. Servers before 16.0 do not know
/// `activity_filter` and list what the system noted, too.
pub(super) fn page(target: &Target, page: u32) -> (String, usize) {
    let query = format!("sort=asc&order_by=created_at&activity_filter=only_comments&per_page={PER_PAGE}&page={page}");
    (format!("{}?{query}", target.comments()), PER_PAGE)
}

/// Where notes are listed and made.
pub(super) fn comments(target: &Target) -> String {
    format!("{}/projects/{}/merge_requests/{}/notes", target.api, encoded(&target.repository), target.number)
}

/// One note.
pub(super) fn comment(target: &Target, id: u64) -> String {
    format!("{}/{id}", comments(target))
}

/// A note of a list; `None` for one the system made.
pub(super) fn found(item: &Value) -> Option<Found> {
    if item.get("system").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let author = match item.get("author") {
        None => Author::Untold,
        Some(author) => match author.get("username").and_then(Value::as_str) {
            None => Author::Gone,
            // GitLab does not tell people from bots here.
            Some(name) => Author::Named { name: name.to_owned(), human: true },
        },
    };
    Some(Found { id: item.get("id")?.as_u64()?, author })
}

/// A project in an address: its number, or its path with the slashes encoded.
fn encoded(project: &str) -> String {
    percent_encoding::utf8_percent_encode(project, percent_encoding::NON_ALPHANUMERIC).to_string()
}
