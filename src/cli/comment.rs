//! `syncline comment FILE…`: a plan or a run in a comment of the merge request, one for each environment.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Global, outside, show, terminal};
use crate::diagnostic::{Error, Result};
use crate::forge::{Asked, Forge, Poster, Target, job_url};
use crate::report::run::Run;
use crate::report::{self, Masked, MaskedRun};
use crate::secret::{Secret, variable};

/// Bytes of a step's summary on GitHub; of a larger one nothing is shown.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits>
const SUMMARY: u64 = 1 << 20;

#[derive(Args)]
pub(super) struct Options {
    /// Plan files (`plan --out`), plans as JSON, or run reports (`apply --report`)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where the merge request is; without it, what the variables of GitHub Actions or GitLab CI say
    #[arg(long, value_enum)]
    forge: Option<Kind>,
    /// The repository: `owner/name`; on GitLab also the number of the project
    #[arg(long, value_name = "REPO")]
    repo: Option<String>,
    /// The number of the pull request or merge request
    #[arg(long, value_name = "N", alias = "mr")]
    pr: Option<u64>,
    /// The address of the API: `https://github.example.com/api/v3`, `https://gitlab.example.com/api/v4`
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Also append to this file, at most 1 MiB in all: `--summary "$GITHUB_STEP_SUMMARY"`
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// GitHub, also Enterprise Server.
    Github,
    /// GitLab, also self-managed.
    Gitlab,
}

pub(super) fn run(_: &Global, options: &Options) -> Result<ExitCode> {
    let texts: Vec<Text> = options.files.iter().map(|file| Text::read(file)).collect::<Result<_>>()?;
    let mut markers = BTreeSet::new();
    for (text, file) in texts.iter().zip(&options.files) {
        if !markers.insert(text.marker()) {
            let message = format!("`{}` is for the same environment and project as another file", file.display());
            return Err(Error::failed_help(message, "each has one comment: name one file for each"));
        }
    }
    // First, so that it is there when the comment is refused.
    if let Some(summary) = &options.summary {
        summarize(summary, &texts)?;
    }
    let target = Target::find(&asked(options), &variable)?;
    let token = token(target.forge)?;
    let ca_file = variable("CI_SERVER_TLS_CA_FILE").filter(|path| target.forge == Forge::GitLab && !path.is_empty());
    let limit = target.forge.limit();
    let poster = Poster::new(target, token, ca_file.map(PathBuf::from))?;
    let job =
        job_url(&variable).map(|url| format!("\n<sub>[The job that made this]({url})</sub>\n")).unwrap_or_default();
    let runtime = outside::runtime()?;
    for text in &texts {
        let body = text.markdown(limit - job.len()) + &job;
        let posted = runtime.block_on(poster.post(&body))?;
        let what = if posted.new { "New comment" } else { "Comment brought up to date" };
        let place = posted.url.map(|url| format!(": {url}")).unwrap_or_default();
        terminal::out(&format!("{what} for {}{place}\n", text.subject()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn asked(options: &Options) -> Asked {
    Asked {
        forge: options.forge.map(|kind| match kind {
            Kind::Github => Forge::GitHub,
            Kind::Gitlab => Forge::GitLab,
        }),
        repository: options.repo.clone(),
        number: options.pr,
        api: options.api_url.clone(),
    }
}

/// The token, from its variable and from nowhere else: on a command line it would be seen by every process.
fn token(forge: Forge) -> Result<Secret> {
    let name = forge.token_variable();
    if let Some(token) = variable(name).map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()) {
        return Ok(Secret::new(token));
    }
    let help = match forge {
        Forge::GitHub => "pass the token of the job: `env: { GITHUB_TOKEN: \"${{ github.token }}\" }`",
        Forge::GitLab if variable("CI_JOB_TOKEN").is_some() => {
            "GitLab lets no CI_JOB_TOKEN write notes: make a project access token with scope `api` and role Reporter, and put \
             it into the CI variable GITLAB_TOKEN; without one, the merge request widget shows the counts"
        }
        Forge::GitLab => "a project access token with scope `api` and role Reporter is needed",
    };
    Err(Error::failed_help(format!("there is no token in `{name}`"), help))
}

/// What a comment is about.
enum Text {
    Plan(Box<Masked>),
    Run(Box<MaskedRun>),
}

impl Text {
    fn read(file: &Path) -> Result<Self> {
        Ok(match show::read(file)? {
            show::Content::Plan(plan) => Text::Plan(Box::new(Masked::new(&plan))),
            show::Content::Run(run) => Text::Run(Box::new(MaskedRun::new(&Run::read(&run)?))),
        })
    }

    /// Within so many bytes.
    fn markdown(&self, budget: usize) -> String {
        match self {
            Text::Plan(plan) => report::plan_markdown(plan, budget),
            Text::Run(run) => report::run_markdown(run, budget),
        }
    }

    /// Its first line, by which the comment is found again.
    fn marker(&self) -> String {
        self.markdown(0).lines().next().unwrap_or_default().to_owned()
    }

    fn subject(&self) -> String {
        let (what, environment) = match self {
            Text::Plan(plan) => ("the plan", &plan.plan().environment),
            Text::Run(run) => ("the run", &run.run().environment),
        };
        if environment.is_empty() { what.into() } else { format!("{what} of `{environment}`") }
    }
}

/// Appends the texts, each with its share of what is left of the limit.
fn summarize(path: &Path, texts: &[Text]) -> Result<()> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot write the summary `{}`: {e}", path.display()));
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    let mut left = usize::try_from(SUMMARY.saturating_sub(file.metadata().map_err(failed)?.len())).unwrap_or(0);
    for (n, text) in texts.iter().enumerate() {
        let share = (left / (texts.len() - n)).saturating_sub(1);
        let markdown = text.markdown(share);
        if markdown.len() > share {
            let what = text.subject();
            terminal::note(&format!("warning: {what} is not in the summary, which is full: `{}`", path.display()));
            continue;
        }
        writeln!(file, "{markdown}").map_err(failed)?;
        left -= markdown.len() + 1;
    }
    Ok(())
}
