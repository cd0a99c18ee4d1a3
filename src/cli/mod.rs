//! One file a command; wiring only.

/// Parses the command line, runs the command and gives its exit code.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
