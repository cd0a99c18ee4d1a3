//! Which syncs are meant, and in which order they run.

use std::collections::BTreeSet;

use super::{Project, ResolvedSync};
use crate::diagnostic::{Error, Result, closest};

/// What the selectors mean that name no thing of the project; `None` where that is not known.
#[derive(Debug, Clone, Default)]
pub struct Sets {
    /// The syncs that a change of the configuration touches: `changed`.
    pub changed: Option<BTreeSet<String>>,
    /// The syncs that are due by their schedules: `due`.
    pub due: Option<BTreeSet<String>>,
}

impl Sets {
    /// The set a selector means; `None` when it is no such selector.
    fn of(&self, selector: &str) -> Option<Result<&BTreeSet<String>>> {
        let (set, help) = match selector {
            "changed" => (&self.changed, "say what to compare with: --against REF"),
            "due" => (&self.due, "`plan` and `apply` know what is due"),
            _ => return None,
        };
        let unknown = || Error::failed_help(format!("the selector `{selector}` means nothing here"), help);
        Some(set.as_ref().ok_or_else(unknown))
    }
}

pub(super) fn order(project: &Project) -> Vec<String> {
    let mut done: Vec<String> = Vec::with_capacity(project.syncs.len());
    let mut pending: BTreeSet<&str> = project.syncs.keys().map(String::as_str).collect();
    while !pending.is_empty() {
        let waits = |name: &&&str| {
            let after = project.syncs.get(**name).and_then(|sync| sync.sync.schedule.as_ref()?.after.as_ref());
            after.is_some_and(|after| after.iter().any(|other| pending.contains(other.as_str())))
        };
        // Circles are refused when the project is loaded; should there be one all the same, nothing waits for ever.
        let next = pending.iter().find(|name| !waits(name)).or(pending.first()).copied();
        if let Some(next) = next {
            pending.remove(next);
            done.push(next.to_owned());
        }
    }
    done
}

pub(super) fn select(project: &Project, selectors: &[String], sets: &Sets) -> Result<Vec<String>> {
    let parts =
        || selectors.iter().flat_map(|selector| selector.split(',')).map(str::trim).filter(|part| !part.is_empty());
    // An empty variable in a script must not mean everything.
    if !selectors.is_empty() && parts().next().is_none() {
        let help = "leave it out to select all syncs, or give a name, a glob, `tag:x`, `model:x` or `destination:x`";
        return Err(Error::failed_help("`--select` is empty", help));
    }
    let mut chosen: BTreeSet<&str> = BTreeSet::new();
    if parts().all(|part| part.starts_with('!')) {
        chosen.extend(project.syncs.keys().map(String::as_str));
    }
    let named = |part: &str| -> Result<Vec<&str>> {
        match sets.of(part) {
            Some(set) => {
                let set = set?;
                Ok(project.syncs.keys().filter(|name| set.contains(*name)).map(String::as_str).collect())
            }
            None => matching(project, part),
        }
    };
    for part in parts().filter(|part| !part.starts_with('!')) {
        chosen.extend(named(part)?);
    }
    for part in parts().filter_map(|part| part.strip_prefix('!')) {
        for name in named(part)? {
            chosen.remove(name);
        }
    }
    // A set may well be empty; a name that selects nothing is a mistake.
    let by_set = parts().any(|part| matches!(part.trim_start_matches('!'), "changed" | "due"));
    if chosen.is_empty() && !project.syncs.is_empty() && !by_set {
        return Err(Error::failed(format!("`{}` selects no sync", selectors.join(","))));
    }
    Ok(order(project).into_iter().filter(|name| chosen.contains(name.as_str())).collect())
}

/// The syncs one selector names; at least one.
fn matching<'a>(project: &'a Project, selector: &str) -> Result<Vec<&'a str>> {
    let syncs = project.syncs.values();
    let (what, pattern, known): (&str, &str, BTreeSet<&str>) = match selector.split_once(':') {
        Some(("tag", tag)) => {
            ("tag", tag, syncs.clone().flat_map(|sync| sync.sync.tags.iter().map(String::as_str)).collect())
        }
        Some(("model", model)) => ("model", model, project.models.keys().map(String::as_str).collect()),
        Some(("destination", name)) => ("destination", name, project.destinations.keys().map(String::as_str).collect()),
        Some((kind, _)) => {
            let message = format!("`{selector}` selects nothing: there is no selector `{kind}:`");
            return Err(Error::failed_help(
                message,
                "selectors: a name, a glob, `tag:x`, `model:x`, `destination:x`, `changed`, `due`",
            ));
        }
        None => ("sync", selector, project.syncs.keys().map(String::as_str).collect()),
    };
    if !known.iter().any(|name| glob(pattern, name)) {
        let help = match closest(pattern, known.iter().copied()) {
            Some(guess) => format!("did you mean `{guess}`?"),
            None if known.is_empty() => format!("the project has no {what}"),
            None => {
                let names: Vec<_> = known.iter().take(8).map(|name| format!("`{name}`")).collect();
                format!("there are: {}", names.join(", "))
            }
        };
        return Err(Error::failed_help(format!("there is no {what} `{pattern}`"), help));
    }
    let meant = |sync: &&ResolvedSync| match what {
        "tag" => sync.sync.tags.iter().any(|tag| glob(pattern, tag)),
        "model" => glob(pattern, &sync.model),
        "destination" => glob(pattern, &sync.destination) || glob(pattern, &sync.sync.destination),
        _ => glob(pattern, &sync.name),
    };
    Ok(syncs.filter(meant).map(|sync| sync.name.as_str()).collect())
}

/// `*` is any text, `?` any one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star is, and how much it has taken: going back to it alone is enough.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs() {
        let cases = [
            ("users", "users", true),
            ("users", "user", false),
            ("*", "", true),
            ("first_*", "first_namespace", true),
            ("*_production", "iterable_production", true),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("u?er", "user", true),
            ("u?er", "uer", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
