//! Progress on stderr, on a terminal only.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One line that says what is going on.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shown when stderr is a terminal, silent otherwise.
    pub(super) fn new() -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Begins a step.
    pub(super) fn begin(&self, step: &str) {
        self.bar.set_message(step.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(120));
    }

    /// Begins a step of so many records.
    pub(super) fn begin_counted(&self, step: &str, records: u64) {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {bar:30} {pos}/{len}  {elapsed}, {eta} left")
        {
            self.bar.set_style(style);
        }
        self.bar.set_length(records);
        self.bar.set_position(0);
        self.begin(step);
    }

    /// So many records are done.
    pub(super) fn position(&self, records: u64) {
        self.bar.set_position(records);
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
