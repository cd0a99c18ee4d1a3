//! Colours: the terminal's own sixteen, so that they fit its background.

use anstyle::{AnsiColor, Style};

/// What a piece of text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Role {
    /// Verdicts and headings.
    Strong,
    /// Where and when: of less weight.
    Faint,
    /// Should be read.
    Warn,
    /// Stops something.
    Bad,
    /// What to do.
    Hint,
    /// Worked.
    Good,
}

/// Colours a text, or leaves it alone.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Paint {
    /// Whether to colour.
    pub color: bool,
}

impl Paint {
    pub fn role(self, role: Role, text: &str) -> String {
        self.with(
            match role {
                Role::Strong => Style::new().bold(),
                Role::Faint => Style::new().dimmed(),
                Role::Warn => AnsiColor::Yellow.on_default(),
                Role::Bad => AnsiColor::Red.on_default().bold(),
                Role::Hint => AnsiColor::Cyan.on_default(),
                Role::Good => AnsiColor::Green.on_default(),
            },
            text,
        )
    }

    pub fn state(self, state: &str, text: &str) -> String {
        self.with(
            match state {
                "added" => AnsiColor::Green.on_default(),
                "changed" => AnsiColor::Yellow.on_default(),
                "removed" => AnsiColor::Red.on_default(),
                "invalid" => AnsiColor::Magenta.on_default(),
                _ => Style::new().dimmed(),
            },
            text,
        )
    }

    fn with(self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
