//! Parse, run, exit code.

fn main() -> std::process::ExitCode {
    syncline::cli::main()
}
