//! What every command does with the terminal: stdout for data, stderr for everything else, colour, logs.

use std::io::{IsTerminal, Write};

use super::{ColorChoice, Global, LogFormat};
use crate::diagnostic::{Diagnostic, Error, Result};
use crate::diff::HashKey;
use crate::project::Project;
use crate::state::{Pulled, State, key};
use crate::{report, secret};

/// Sets up colour and logging for the process.
pub(super) fn start(global: &Global) {
    match global.color {
        ColorChoice::Auto => {}
        ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
    let level = match global.verbose {
        0 => "warn",
        1 => "syncline=info",
        _ => "syncline=debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("SYNCLINE_LOG").unwrap_or_else(|_| level.into());
    // A stderr that takes nothing more (a full disk behind it) is no reason to panic, which saying so on it would be.
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // A second subscriber in the same process is the only failure, and then the first one goes on.
    let _ = match global.log_format {
        LogFormat::Text => logs.with_target(false).with_ansi(stderr_color()).try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
}

/// Whether stdout takes colour.
pub(super) fn stdout_color() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Whether stderr takes colour.
pub(super) fn stderr_color() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// How text for people is shown on stdout: values only on a terminal or where they were asked for.
pub(super) fn style(show_values: bool) -> report::Style {
    let columns = secret::variable("COLUMNS").and_then(|c| c.parse().ok());
    report::Style {
        width: columns.unwrap_or(100),
        color: stdout_color(),
        show_values: show_values || std::io::stdout().is_terminal(),
        ..report::Style::default()
    }
}

/// A path as it is typed at a shell: in quotes where it must be.
pub(super) fn typed(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '@' | '%' | ',' | '=');
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// Writes data to stdout. That nobody reads on (`| head`) is no error, and no reason to end half-way: `apply` still
/// applies, the lock is given back, and the exit code is that of the command.
pub(super) fn out(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|e| Error::failed(format!("cannot write to stdout: {e}"))),
    }
}

/// Writes a line to stderr; nothing can be done when that fails.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Shows warnings about the project.
pub(super) fn show_warnings(global: &Global, diagnostics: Vec<Diagnostic>) {
    if !diagnostics.is_empty() {
        show_error(global, &Error::Invalid(diagnostics));
    }
}

/// Shows why a command ended.
pub(super) fn show_error(_: &Global, error: &Error) {
    note(report::diagnostics::error_text(error, stderr_color()).trim_end());
}

/// Asks a yes-or-no question on the terminal; only `yes` is yes.
pub(super) fn confirm(question: &str) -> Result<bool> {
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question} Only `yes` is accepted: ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|e| Error::failed(format!("cannot read the answer: {e}")))?;
    Ok(answer.trim() == "yes")
}

/// True when a person can be asked.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks before something is changed, or takes `--auto-approve` for the answer.
pub(super) fn approve(auto_approve: bool, question: &str) -> Result<()> {
    if auto_approve {
        return Ok(());
    }
    if !can_ask() {
        return Err(Error::failed_help(
            "nobody can be asked here: stdin is not a terminal",
            "pass --auto-approve to go ahead without a question",
        ));
    }
    if confirm(question)? { Ok(()) } else { Err(Error::failed("not approved; nothing was changed")) }
}

/// The state of the project's environment. Its hash key may come from outside: `SYNCLINE_STATE_KEY`, 32 hex digits.
pub(super) fn state(project: &Project) -> Result<State> {
    let environment = &project.environment;
    State::open(&environment.state, &project.root, &environment.name, key_from_outside()?)
}

/// The same, to put a copy in its place.
pub(super) fn state_to_replace(project: &Project, copy: &Pulled) -> Result<State> {
    let environment = &project.environment;
    State::open_to_replace(copy, &environment.state, &project.root, &environment.name, key_from_outside()?)
}

fn key_from_outside() -> Result<Option<HashKey>> {
    secret::variable(key::VARIABLE).map(|text| key::parse(&text, key::VARIABLE)).transpose()
}
