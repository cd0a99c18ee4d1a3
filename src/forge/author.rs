//! Whose a comment is: only our own are ever edited.

/// Whose token it is, as far as the forge tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Me {
    /// A user of this name.
    Named(String),
    /// An app; its name is told only where there is one.
    App(Option<String>),
    /// This server does not say.
    Unknown,
}

/// Who wrote a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Author {
    Named {
        name: String,
        human: bool,
    },
    /// An account that is no more.
    Gone,
    /// The server does not say.
    Untold,
}

/// A comment that begins with the marker.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub id: u64,
    pub author: Author,
}

impl Me {
    /// Whether a comment of this author is ours.
    pub(super) fn wrote(&self, author: &Author) -> bool {
        let bare = |name: &str| name.trim_end_matches("[bot]").to_ascii_lowercase();
        match (self, author) {
            (_, Author::Gone) => false,
            (_, Author::Untold) | (Me::Unknown, _) => true,
            (Me::Named(me), Author::Named { name, .. }) => me.eq_ignore_ascii_case(name),
            // Whether `[bot]` belongs to the name differs between the interfaces.
            (Me::App(Some(me)), Author::Named { name, human }) => !human && bare(me) == bare(name),
            (Me::App(None), Author::Named { human, .. }) => !human,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_comments_are_ours() {
        let named = |name: &str, human| Author::Named { name: name.into(), human };
        let app = |name: &str| Me::App(Some(name.into()));
        for (me, author, ours) in [
            (Me::Named("Ada".into()), named("ada", true), true),
            (Me::Named("ada".into()), named("grace", true), false),
            (Me::Named("ada".into()), Author::Untold, true),
            (Me::Named("ada".into()), Author::Gone, false),
            (app("github-actions[bot]"), named("github-actions[bot]", false), true),
            (app("github-actions"), named("github-actions[bot]", false), true),
            (app("github-actions[bot]"), named("renovate[bot]", false), false),
            (app("github-actions[bot]"), named("github-actions", true), false),
            (Me::App(None), named("renovate[bot]", false), true),
            (Me::App(None), named("ada", true), false),
            (Me::Unknown, named("ada", true), true),
            (Me::Unknown, Author::Gone, false),
        ] {
            assert_eq!(me.wrote(&author), ours, "{me:?} {author:?}");
        }
    }
}
