//! `syncline sandbox`: a local Iterable and Marketo, until it is stopped.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::terminal;
use crate::diagnostic::{Error, Result};
use crate::sandbox::{self, Fault, Sandbox, Seed};

#[derive(Args)]
pub(super) struct Options {
    /// The port; 0 for one that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The address to listen on; anything but this machine's own lets others read and change what is in it
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Keep everything in this SQLite file between runs
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// What is there at the start, as JSON; with --data only when the file is new
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Let something go wrong: `429@*bulkUpdate,every=3`, `slow:200`, `reset_after_commit,times=1`; see docs/sandbox.md
    #[arg(long, value_name = "SPEC")]
    fault: Vec<Fault>,
    /// Do not keep to rate limits, quotas and concurrency
    #[arg(long)]
    no_limits: bool,
    /// Seconds a Marketo token lives
    #[arg(long, value_name = "N", default_value_t = 3600)]
    token_seconds: u64,
    /// How the addresses are written on stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One address a line.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

pub(super) fn run(options: Options) -> Result<ExitCode> {
    let sandbox = Sandbox::launch(sandbox::Options {
        host: options.host,
        port: options.port,
        data: options.data,
        seed: options.seed.as_deref().map(Seed::read).transpose()?,
        faults: options.fault,
        limits: !options.no_limits,
        token_seconds: options.token_seconds,
    })?;
    let (page, iterable, marketo) = (sandbox.url(), sandbox.iterable_url(), sandbox.marketo_url());
    terminal::out(&match options.format {
        Format::Text => format!("page     {page}\niterable {iterable}\nmarketo  {marketo}\n"),
        Format::Json => {
            let credentials = json!({ "api_key": Sandbox::API_KEY, "client_id": Sandbox::CLIENT,
                "client_secret": Sandbox::CLIENT });
            let line = json!({ "page": page, "iterable": iterable, "marketo": marketo, "credentials": credentials });
            format!("{line}\n")
        }
    })?;
    if options.format == Format::Text {
        terminal::note(&format!(
            "The API key is `{}`, client id and secret are `{}`. Ctrl-C ends it.",
            Sandbox::API_KEY,
            Sandbox::CLIENT
        ));
    }
    let failed = |e: std::io::Error| Error::failed(format!("cannot wait for a signal: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(stopped()).map_err(failed)?;
    drop(sandbox);
    Ok(ExitCode::SUCCESS)
}

/// Waits for Ctrl-C or for being told to end.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut told = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed,
            _ = told.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
