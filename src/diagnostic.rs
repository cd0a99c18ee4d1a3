//! What a person is told: diagnostics about files, and errors of a run.
//!
//! A [`Diagnostic`] is a value: it is collected, sorted and shown at the very end, in one place
//! (`report::diagnostics`), as text, JSON or SARIF. Nothing is printed where it is found, so one broken file never
//! hides the faults of the others. An [`Error`] ends a command; its kind decides the exit code.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// How grave a diagnostic is. Errors make the command fail, warnings do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The project cannot be used as it is.
    Error,
    /// The project can be used, but probably does not mean what it says.
    Warning,
}

/// The text of one file, shared by all diagnostics that point into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// Path as shown to the user: relative to the project root, `/` as separator.
    pub path: PathBuf,
    /// The whole file.
    pub text: Arc<str>,
}

/// An exact place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: SourceText,
    /// Byte range within the file; what is underlined.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column of the first byte, both counted from 1; the column counts characters, as editors do.
    pub fn line_column(&self) -> (usize, usize) {
        let text = &self.source.text;
        let mut start = self.span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

/// `file:line:column`, as editors and terminals take it for a link.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.path.display())
    }
}

/// One fault or warning about the project, with the place it is found at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable identifier in kebab case, e.g. `unknown-field`; documented in `docs/diagnostics.md`.
    pub code: &'static str,
    /// What happened: one sentence without a full stop.
    pub message: String,
    /// Where; `None` only for what has no file (an empty project folder).
    pub place: Option<Place>,
    /// Short text at the underlined place, e.g. ``expected one of `insert`, `update` ``.
    pub label: Option<String>,
    /// What to do, e.g. ``did you mean `upsert`?``.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, message: impl Into<String>, place: Option<Place>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), place, label: None, help: None }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, message: impl Into<String>, place: Option<Place>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message, place) }
    }

    /// Adds the short text shown at the underlined place.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Sorts diagnostics by file, place, severity and code: the order in which they are shown.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| {
            let place = d.place.as_ref().map(|p| (p.source.path.clone(), p.span.start));
            (place, d.severity, d.code, d.message.clone())
        };
        key(a).cmp(&key(b))
    });
}

/// True when any of the diagnostics is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// The candidate closest to `word`, if it is close enough to be what was meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&folded, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (c.chars().count().max(folded.chars().count()) / 3).max(1))
        .min()
        .map(|(_, c)| c)
}

/// What helps where a write failed because no space is left; `None` when that is not why.
pub fn space_help(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let full = causes.any(|cause| {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
    });
    full.then(|| "free some space, then run the command again: nothing is lost".to_owned())
}

/// Why a command ended. The variant decides the exit code (DESIGN, commands).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project has faults; all of them are listed. Exit code 1.
    #[error("{} found in the project", count(.0))]
    Invalid(Vec<Diagnostic>),
    /// Something outside failed: a source, a destination, the state, the disk. Exit code 1.
    #[error("{message}")]
    Failed {
        /// What happened, with its place (file, connection, sync).
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A guard refuses. Exit code 3.
    #[error("{message}")]
    Refused {
        /// Stable word for the reason, as in a plan's refusals.
        code: &'static str,
        /// Which guard, the limit and the number.
        message: String,
        /// `file:line:column` of what is refused.
        place: Option<String>,
        /// How to go ahead on purpose.
        help: Option<String>,
    },
    /// Applied, but some records were rejected or are in doubt. Exit code 4. The report has already been printed.
    #[error("{0}")]
    Partial(String),
    /// The plan no longer fits the project or the state. Exit code 5.
    #[error("{message}")]
    Stale {
        /// What differs.
        message: String,
        /// What to do: make a new plan.
        help: Option<String>,
    },
    /// Another run holds the lock. Exit code 6.
    #[error("{message}")]
    Locked {
        /// Who holds it and since when.
        message: String,
        /// How to go on.
        help: Option<String>,
    },
}

fn count(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    if errors == 1 { "1 error".into() } else { format!("{errors} errors") }
}

impl Error {
    /// A failure outside the project, without help.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), help: None }
    }

    /// A failure outside the project, with what to do.
    pub fn failed_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), help: Some(help.into()) }
    }

    /// Puts words before the message, e.g. ``sync `x`: ``, keeping kind and help.
    pub fn context(self, words: impl std::fmt::Display) -> Self {
        let put = |message: String| format!("{words}: {message}");
        match self {
            Self::Invalid(d) => Self::Invalid(d),
            Self::Failed { message, help } => Self::Failed { message: put(message), help },
            Self::Refused { code, message, place, help } => Self::Refused { code, message: put(message), place, help },
            Self::Partial(message) => Self::Partial(put(message)),
            Self::Stale { message, help } => Self::Stale { message: put(message), help },
            Self::Locked { message, help } => Self::Locked { message: put(message), help },
        }
    }

    /// The help line, if there is one.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Failed { help, .. }
            | Self::Refused { help, .. }
            | Self::Stale { help, .. }
            | Self::Locked { help, .. } => help.as_deref(),
            Self::Invalid(_) | Self::Partial(_) => None,
        }
    }

    /// The exit code of the contract: 1 error, 3 refused, 4 partly applied, 5 stale, 6 locked.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) | Self::Failed { .. } => 1,
            Self::Refused { .. } => 3,
            Self::Partial(_) => 4,
            Self::Stale { .. } => 5,
            Self::Locked { .. } => 6,
        }
    }
}

/// Result of everything that can end a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;
