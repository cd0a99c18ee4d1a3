//! One file a command; wiring only. Here: the command line, and the way from an error to an exit code.

mod apply;
mod approving;
mod comment;
mod completions;
mod connectors;
mod delivering;
mod discovering;
mod doctor;
mod graph;
mod import;
mod init;
mod interrupt;
mod narrowing;
mod notifying;
mod outside;
mod plan;
mod planning;
mod progress;
mod readback;
mod recovering;
mod refusing;
mod runs;
mod sandbox;
mod scheduling;
mod schema;
mod scratch;
mod show;
mod state;
mod terminal;
mod test;
mod usage;
mod validate;
mod verify;
mod watching;
mod writing;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::diagnostic::{Error, Result};
use crate::plan::guards::Allowance;

/// Sync-as-code: plan and apply what leaves the warehouse.
///
/// YAML manifests in git say what data goes where. `plan` shows record by record and field by field what would change at
/// the destinations; `apply` makes it so.
#[derive(Parser)]
#[command(name = "syncline", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Args)]
struct Global {
    /// The project: a folder with `syncline.yaml`, or one below it
    #[arg(short = 'C', long, global = true, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// The environment; without it, the project's default
    #[arg(long, global = true, value_name = "ENV", env = "SYNCLINE_ENV")]
    env: Option<String>,
    /// When to use colour; `auto` honours NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t)]
    color: ColorChoice,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// How log lines on stderr are written
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
}

impl Global {
    /// The environment asked for. An empty name is none: CI systems set variables they have no value for to nothing.
    fn environment(&self) -> Option<&str> {
        self.env.as_deref().filter(|name| !name.is_empty())
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    /// On a terminal only.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new project with a working example
    Init(init::Options),
    /// Check all manifests without connecting to anything
    Validate(validate::Options),
    /// Show what would change at the destinations
    Plan(plan::Options),
    /// Make the changes: of a fresh plan, or exactly those of a plan file
    Apply(apply::Options),
    /// Show a plan file or a run
    Show(show::Options),
    /// Put a plan or a run into a comment of the merge request
    Comment(comment::Options),
    /// Past runs and what became of every row
    Runs(runs::Options),
    /// What is remembered of each sync
    State(state::Options),
    /// Queried records and API calls of a month, by model
    Usage(usage::Options),
    /// Compare source, state and destination: counts side by side, and records read back
    Verify(verify::Options),
    /// Connect to everything and say what is wrong
    Doctor(doctor::Options),
    /// The APIs syncs can go to: their objects, modes, fields and limits
    Connectors(connectors::Options),
    /// Run the tests of syncs in `tests/`, and the cases of the connectors they use
    Test(test::Options),
    /// Show how sources, models, syncs and destinations hang together
    Graph(graph::Options),
    /// Make manifests of another tool's files: Hightouch's Git Sync
    Import(import::Options),
    /// Run a local Iterable and Marketo to try syncs against
    Sandbox(sandbox::Options),
    /// Write the JSON Schemas that editors and CI use
    Schema(schema::Options),
    /// Print completions for a shell
    Completions(completions::Options),
    /// Write manual pages
    Man(completions::ManOptions),
}

/// The faces of a plan or run.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// The stable form; see `schemas/plan.schema.json`.
    Json,
    /// For a merge request.
    Markdown,
    /// One self-contained page.
    Html,
    /// The three numbers of GitLab's merge request widget (`artifacts:reports:terraform`).
    #[value(alias = "terraform")]
    TerraformReport,
    /// Lines `NAME=value`: outputs of a job on GitHub, `artifacts:reports:dotenv` on GitLab.
    Dotenv,
}

/// Which syncs, and how guards and remembered answers are treated; the same for `plan` and `apply`.
#[derive(Args, Clone, Default)]
struct Selection {
    /// Syncs by name, glob, `tag:x`, `model:x`, `destination:x`, `due`; comma is or, leading `!` is not
    #[arg(long, value_name = "SEL", value_delimiter = ',')]
    select: Vec<String>,
    /// Also send records again that were rejected, not matched or held in doubt
    #[arg(long)]
    retry: bool,
    /// Send every row again, whether it changed or not
    #[arg(long)]
    full_refresh: bool,
    /// Look at what the destinations hold, and plan against that: records somebody else has deleted or changed since are
    /// shown, and put right where the mode allows it
    #[arg(long)]
    refresh: bool,
    /// Let a guard pass once, up to the number named: `users:max_removed=104`
    #[arg(long, value_name = "SYNC:GUARD=N")]
    allow: Vec<Allowance>,
    /// Do not run the tests of models; the plan says so
    #[arg(long)]
    no_tests: bool,
    /// Read each model twice first; whether keys are shown when the reads differ.
    #[arg(skip)]
    check_stable: Option<bool>,
    /// The time it is, for tests
    #[arg(long, value_name = "RFC3339", hide = true)]
    now: Option<jiff::Timestamp>,
    /// Of those selected, only the syncs that are due.
    #[arg(skip)]
    due: bool,
}

/// Parses the command line, runs the command and gives its exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    terminal::start(&cli.global);
    let result = match cli.command {
        Command::Init(options) => init::run(&cli.global, &options),
        Command::Validate(options) => validate::run(&cli.global, &options),
        Command::Plan(options) => plan::run(&cli.global, &options),
        Command::Apply(options) => apply::run(&cli.global, options),
        Command::Show(options) => show::run(&cli.global, &options),
        Command::Comment(options) => comment::run(&cli.global, &options),
        Command::Runs(options) => runs::run(&cli.global, options),
        Command::State(options) => state::run(&cli.global, options),
        Command::Usage(options) => usage::run(&cli.global, &options),
        Command::Verify(options) => verify::run(&cli.global, &options),
        Command::Doctor(options) => doctor::run(&cli.global, &options),
        Command::Connectors(options) => connectors::run(&cli.global, &options),
        Command::Test(options) => test::run(&cli.global, &options),
        Command::Graph(options) => graph::run(&cli.global, &options),
        Command::Import(options) => import::run(&cli.global, &options),
        Command::Sandbox(options) => sandbox::run(options),
        Command::Schema(options) => schema::run(&cli.global, &options),
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => completions::man(&options),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            terminal::show_error(&cli.global, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Help and version are answers; everything else is a wrong command line. It exits with 1: clap's 2 would say "there are
/// changes" to a script that uses `--detailed-exitcode`.
fn misused(error: &clap::Error) -> ExitCode {
    // Nothing can be done when the message cannot be written.
    let _ = error.print();
    if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Loads the project; warnings go to stderr, errors end the command with all of them listed.
fn load(global: &Global) -> Result<crate::project::Project> {
    let root = crate::project::find_root(&global.project)?;
    let loaded = crate::project::load(&root, global.environment());
    match loaded.project {
        Some(project) if !crate::diagnostic::has_errors(&loaded.diagnostics) => {
            terminal::show_warnings(global, loaded.diagnostics);
            Ok(project)
        }
        _ => Err(Error::Invalid(loaded.diagnostics)),
    }
}
