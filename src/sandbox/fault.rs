//! Switches that make the stand-ins fail on purpose.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::wire::Trouble;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The HTTP status in `value`, before anything is done.
    Status,
    /// Marketo: the error code in `value`, in the usual envelope, before anything is done.
    Code,
    /// Never an answer; nothing is done.
    Timeout,
    /// Never an answer, although the request was carried out.
    TimeoutAfterCommit,
    /// The connection is reset before anything is done.
    Reset,
    /// The request is carried out, then the connection is reset.
    ResetAfterCommit,
    /// The answer comes `value` milliseconds later.
    Slow,
    /// Every `value`-th record of a request (default 2) is refused, the others are taken.
    Partial,
    /// The request is carried out, half the answer is sent, then the connection ends.
    Truncate,
    /// The token has run out (Marketo 602, Iterable 401).
    TokenExpired,
    /// The quota is used up (Marketo 607, Iterable 429).
    Quota,
}

/// One switch: what goes wrong, for which requests, how often.
///
/// As text: `KIND[:VALUE][@PATH][,every=N][,after=N][,times=N]`, for instance `429@*bulkUpdate,every=3`, `slow:200` or
/// `reset_after_commit@/marketo/*,after=5,times=1`. A bare number is an HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// HTTP status, error code, milliseconds or record count, by kind.
    #[serde(default)]
    pub value: Option<u64>,
    /// Which requests: a path as in `/iterable/api/users/*`, where `*` is any text.
    #[serde(default = "everything")]
    pub path: String,
    /// Every n-th matching request.
    #[serde(default = "one")]
    pub every: u64,
    /// Not the first n matching requests.
    #[serde(default)]
    pub after: u64,
    /// At most so often.
    #[serde(default)]
    pub times: Option<u64>,
}

fn everything() -> String {
    "*".to_owned()
}

fn one() -> u64 {
    1
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, conditions) = text.split_once(',').unwrap_or((text, ""));
        let (what, path) = head.split_once('@').unwrap_or((head, "*"));
        let (kind, value) = match what.split_once(':') {
            Some((kind, value)) => (kind, Some(number(value)?)),
            None => (what, None),
        };
        let (kind, value) = match kind.parse::<u64>() {
            Ok(status) => (Kind::Status, Some(status)),
            Err(_) => (named(kind)?, value),
        };
        let mut fault = Self { kind, value, path: path.to_owned(), every: 1, after: 0, times: None };
        for condition in conditions.split(',').filter(|c| !c.is_empty()) {
            match condition.split_once('=') {
                Some(("every", n)) => fault.every = number(n)?,
                Some(("after", n)) => fault.after = number(n)?,
                Some(("times", n)) => fault.times = Some(number(n)?),
                _ => return Err(format!("`{condition}` is no condition; expected `every=N`, `after=N` or `times=N`")),
            }
        }
        fault.check()?;
        Ok(fault)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("`{text}` is not a whole number"))
}

fn named(kind: &str) -> Result<Kind, String> {
    serde_json::from_value(serde_json::Value::from(kind)).map_err(|_| {
        format!(
            "`{kind}` is no kind of fault; expected an HTTP status, `status`, `code`, `timeout`, `timeout_after_commit`, \
             `reset`, `reset_after_commit`, `slow`, `partial`, `truncate`, `token_expired` or `quota`"
        )
    })
}

impl Fault {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// Says which one does not.
    pub fn check(&self) -> Result<(), String> {
        match (self.kind, self.value) {
            (Kind::Status, Some(200..=599)) | (Kind::Code | Kind::Slow, Some(_)) => {}
            (Kind::Status, _) => return Err("a status fault needs an HTTP status from 200 to 599".to_owned()),
            (Kind::Code | Kind::Slow, None) => {
                return Err("this fault needs a value: `code:606`, `slow:200` (milliseconds)".to_owned());
            }
            _ => {}
        }
        if self.every == 0 {
            return Err("`every` counts from 1".to_owned());
        }
        Ok(())
    }

    fn trouble(&self) -> Trouble {
        let mut trouble = Trouble::default();
        match self.kind {
            Kind::Status => trouble.status = self.value.and_then(|status| u16::try_from(status).ok()),
            Kind::Code => trouble.code = self.value,
            Kind::Partial => trouble.refuse_every = Some(usize::try_from(self.value.unwrap_or(2)).unwrap_or(2)),
            Kind::TokenExpired => trouble.token_expired = true,
            Kind::Quota => trouble.quota = true,
            _ => {}
        }
        trouble
    }
}

/// The switches that are on, and how often each was met.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u64,
    fired: u64,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fate {
    pub kind: Option<Kind>,
    pub value: u64,
    pub trouble: Trouble,
}

impl Faults {
    /// Puts these switches in place of the ones before.
    pub fn set(&mut self, faults: Vec<Fault>) {
        self.armed = faults.into_iter().map(|fault| Armed { fault, seen: 0, fired: 0 }).collect();
    }

    /// The switches, with how often each was met and fired.
    pub fn list(&self) -> Vec<serde_json::Value> {
        let list = self.armed.iter();
        list.map(|armed| serde_json::json!({ "fault": armed.fault, "seen": armed.seen, "fired": armed.fired }))
            .collect()
    }

    /// What happens to a request with this path. The first switch that fires decides; all that match count it.
    pub fn fate(&mut self, path: &str) -> Fate {
        let mut fate = Fate::default();
        for armed in &mut self.armed {
            if !matches(&armed.fault.path, path) {
                continue;
            }
            armed.seen += 1;
            let turn = armed.seen.checked_sub(armed.fault.after).filter(|turn| *turn > 0);
            let due = turn.is_some_and(|turn| turn.is_multiple_of(armed.fault.every));
            let spent = armed.fault.times.is_some_and(|times| armed.fired >= times);
            if due && !spent && fate.kind.is_none() {
                armed.fired += 1;
                fate = Fate {
                    kind: Some(armed.fault.kind),
                    value: armed.fault.value.unwrap_or(0),
                    trouble: armed.fault.trouble(),
                };
            }
        }
        fate
    }
}

/// Whether a text fits a pattern in which `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or("");
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_say_the_same() {
        let text: Fault = "429@*bulkUpdate,every=3,after=1,times=2".parse().unwrap();
        let json = r#"{"kind":"status","value":429,"path":"*bulkUpdate","every":3,"after":1,"times":2}"#;
        assert_eq!(text, serde_json::from_str(json).unwrap());
        assert_eq!("slow:200".parse::<Fault>().unwrap().value, Some(200));
        for wrong in ["slow", "status", "99", "nonsense", "429,often=1", "429,every=0", "429,every=x"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn conditions_count_matching_requests_only() {
        let mut faults = Faults::default();
        faults.set(vec!["500@/a/*,after=1,every=2,times=2".parse().unwrap()]);
        let fired: Vec<bool> = (0..8).map(|_| faults.fate("/a/x").kind.is_some()).collect();
        assert_eq!(fired, [false, false, true, false, true, false, false, false]);
        assert!(faults.fate("/b/x").kind.is_none());
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("*b", "/ab", true),
            ("/a*c*e", "/abcde", true),
            ("/a*c*e", "/abde", false),
            ("/ab*ba", "/aba", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
