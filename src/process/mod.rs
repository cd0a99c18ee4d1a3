//! Programs of others that run beside this one: started without a shell, with an environment that is given and not
//! inherited, watched, and never left behind.
//!
//! What a program writes to its standard error is logged without secrets, line by line and not without bound; its last
//! lines are part of the message when it fails. It is killed with all that it started when its [`Running`] is dropped,
//! and, on Linux, when this process ends in whatever way.

pub mod lines;
pub mod spool;
mod stderr;

use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::diagnostic::{Error, Result};
use crate::secret::{Redactor, Secret, variable};
use stderr::Tail;

/// Variables that a program finds as they are here.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];
/// How often it is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(10);
/// How long a program may take to end once it has said that it is done.
const FAREWELL: Duration = Duration::from_secs(30);
/// Most characters of a command line in a message.
const SHOWN: usize = 80;

/// A program that can be started.
pub struct Program {
    command: Vec<String>,
    directory: PathBuf,
    env: Vec<(String, Secret)>,
    redactor: Redactor,
    /// Longest silence.
    silence: Duration,
}

impl Program {
    /// A program and its arguments. `directory` is absolute; `silence` is how long it may print nothing.
    ///
    /// # Errors
    /// There is no program.
    pub fn new(
        command: Vec<String>,
        directory: Option<&str>,
        env: impl IntoIterator<Item = (String, Secret)>,
        redactor: Redactor,
        silence: Duration,
    ) -> Result<Self> {
        if command.first().is_none_or(|program| program.is_empty()) {
            return Err(Error::failed_help(
                "`connection.command` names no program",
                "write it as `[program, argument]`",
            ));
        }
        let env: Vec<(String, Secret)> = env.into_iter().collect();
        let odd = |text: &str| text.contains('\0');
        let name = env.iter().find(|(name, _)| name.is_empty() || name.contains('=') || odd(name));
        if let Some((name, _)) = name {
            let help = "names are letters, digits and `_`";
            return Err(Error::failed_help(format!("`{}` cannot be a variable", name.escape_debug()), help));
        }
        if command.iter().any(|part| odd(part)) || env.iter().any(|(_, value)| odd(value.expose())) {
            return Err(Error::failed("an argument or variable of `connection` holds a zero byte"));
        }
        let directory = directory.map_or_else(|| PathBuf::from("."), PathBuf::from);
        Ok(Self { command, directory, env, redactor, silence })
    }

    /// The command line as people know it, without secrets.
    pub fn name(&self) -> String {
        let line = self.redactor.redact(&self.command.join(" "));
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        match line.char_indices().nth(SHOWN) {
            Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
            None => line,
        }
    }

    /// A text of the program's own, fit to be shown: without secrets and control characters, and not too long.
    pub fn words(&self, text: &str) -> String {
        stderr::words(&self.redactor, text)
    }

    /// More arguments behind those there are.
    pub fn with(&self, arguments: impl IntoIterator<Item = String>) -> Self {
        let mut command = self.command.clone();
        command.extend(arguments);
        Self {
            command,
            directory: self.directory.clone(),
            env: self.env.clone(),
            redactor: self.redactor.clone(),
            ..*self
        }
    }

    /// How long it may be silent.
    pub fn silence(&self) -> Duration {
        self.silence
    }

    /// Starts it. With `watched`, it is stopped when it was silent for too long; [`Running::heard`] says that it was not.
    ///
    /// # Errors
    /// It cannot be started: it is not there, or not to be executed.
    pub fn start(&self, watched: bool) -> Result<Running> {
        let (sender, receiver) = channel();
        let command = self.prepared();
        let state = Arc::new(State::default());
        let (kept, silence) = (state.clone(), watched.then_some(self.silence));
        // One thread starts it and stays until it has ended: on Linux the program dies with the thread that started it.
        let keeper = move || keep(command, &sender, &kept, silence);
        let started = thread::Builder::new().name(format!("keep {}", self.name())).spawn(keeper);
        started.map_err(|e| Error::failed(format!("cannot start a thread to run `{}`: {e}", self.name())))?;
        let pipes = started_pipes(&receiver).map_err(|error| self.not_started(&error))?;
        let tail = Tail::follow(pipes.stderr, self.name(), self.redactor.clone());
        Ok(Running { state, tail, stdin: Some(pipes.stdin), stdout: Some(pipes.stdout) })
    }

    fn prepared(&self) -> Command {
        let (program, arguments) = self.command.split_first().map_or(("", [].as_slice()), |(p, a)| (p.as_str(), a));
        // A path is that of the folder it runs in; a bare name is looked for in PATH.
        let path = if program.contains('/') { self.directory.join(program) } else { program.into() };
        let mut command = Command::new(path);
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, variable(name)?))));
        command.envs(self.env.iter().map(|(name, value)| (name, value.expose())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_together(&mut command);
        command
    }

    fn not_started(&self, error: &std::io::Error) -> Error {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound if !self.directory.is_dir() => {
                return Error::failed_help(
                    format!("cannot start `{}`: there is no folder `{}`", self.name(), self.directory.display()),
                    "correct `connection.directory`",
                );
            }
            std::io::ErrorKind::NotFound => {
                "install it, or write its path: with a `/` it is looked for in the folder it runs in"
            }
            std::io::ErrorKind::PermissionDenied => {
                "make it executable, or start it by its interpreter: `[python3, FILE]`"
            }
            _ => "see that it can be started by hand",
        };
        Error::failed_help(format!("cannot start `{}`: {error}", self.name()), help)
    }

    /// An error in which the program is named.
    pub fn fault(&self, what: impl std::fmt::Display, help: impl Into<String>) -> Error {
        Error::failed_help(format!("`{}`: {what}", self.name()), help)
    }
}

/// The program goes with this process, and is the head of a group, so that what it starts can be stopped with it.
fn die_together(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec only one system call is made, which allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

struct Pipes {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: std::process::ChildStderr,
}

fn started_pipes(receiver: &Receiver<std::io::Result<Pipes>>) -> std::io::Result<Pipes> {
    receiver.recv().unwrap_or_else(|_| Err(std::io::Error::other("the thread that runs it has ended")))
}

/// What is known of a program while it runs.
#[derive(Default)]
struct State {
    life: Mutex<Life>,
    ended: Condvar,
    /// Milliseconds from its start to the last sign of it.
    heard: AtomicU64,
}

#[derive(Default)]
struct Life {
    /// While it runs: a number that is its own.
    pid: Option<i32>,
    status: Option<ExitStatus>,
    silent: bool,
    begin: Option<Instant>,
}

impl State {
    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it and all it has started. Its number is its own as long as nobody has waited for it, which is done under the
    /// same lock.
    fn kill(&self) {
        if let Some(pid) = self.life().pid {
            // SAFETY: a system call on numbers.
            unsafe { libc::kill(-pid, libc::SIGKILL) };
        }
    }
}

fn keep(mut command: Command, sender: &Sender<std::io::Result<Pipes>>, state: &State, silence: Option<Duration>) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return drop(sender.send(Err(error))),
    };
    let begin = Instant::now();
    let pid = i32::try_from(child.id()).ok();
    *state.life() = Life { pid, begin: Some(begin), ..Life::default() };
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return;
    };
    // When nobody waits for it any more, it is reaped all the same.
    let _ = sender.send(Ok(Pipes { stdin, stdout, stderr }));
    while !over(&mut child, state) {
        thread::sleep(LOOK);
        let heard = Duration::from_millis(state.heard.load(Ordering::Relaxed));
        if silence.is_some_and(|most| begin.elapsed().saturating_sub(heard) > most) {
            state.life().silent = true;
            state.kill();
        }
    }
    state.ended.notify_all();
}

/// Whether it has ended; how, is written down.
fn over(child: &mut Child, state: &State) -> bool {
    let mut life = state.life();
    match child.try_wait() {
        Ok(None) => false,
        Ok(Some(status)) => {
            // What it has started and left behind goes with it.
            if let Some(pid) = life.pid.take() {
                // SAFETY: a system call on numbers; a group that is gone is no fault.
                unsafe { libc::kill(-pid, libc::SIGKILL) };
            }
            life.status = Some(status);
            true
        }
        Err(_) => {
            life.pid = None;
            true
        }
    }
}

/// A program that runs. It is killed when this is dropped.
pub struct Running {
    state: Arc<State>,
    tail: Tail,
    /// Its input, until it is taken.
    pub stdin: Option<ChildStdin>,
    /// Its output, until it is taken.
    pub stdout: Option<ChildStdout>,
}

impl Running {
    /// Says that it was not silent just now.
    pub fn heard(&self) {
        let begin = self.state.life().begin;
        let since = begin.map_or(0, |begin| begin.elapsed().as_millis());
        self.state.heard.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits for its end, which should be near: it has closed its output, or its input was closed. What is wrong with how
    /// it ended, in words that follow its name; `None` when its exit code is 0.
    pub fn end(&mut self) -> Option<String> {
        self.stdin = None;
        let mut life = self.state.life();
        let deadline = Instant::now() + FAREWELL;
        while life.status.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(life);
                self.state.kill();
                return Some(format!("it did not end within {} s after its output", FAREWELL.as_secs()));
            }
            life = self.state.ended.wait_timeout(life, left).unwrap_or_else(PoisonError::into_inner).0;
            if life.pid.is_none() && life.status.is_none() {
                return Some("how it ended is not known".into());
            }
        }
        let (status, silent) = (life.status, life.silent);
        drop(life);
        let what = status.and_then(|status| ended(status, silent))?;
        // What it said last is read to its end first: it is about this.
        let words = self.tail.last();
        Some(if words.is_empty() { what } else { format!("{what}; it said: {words}") })
    }

    /// Stops it now, with all that it has started.
    pub fn stop(&self) {
        self.state.kill();
    }

    /// What it said last on its standard error.
    pub fn said(&self) -> String {
        self.tail.last()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.state.kill();
    }
}

/// What is wrong with a status.
fn ended(status: ExitStatus, silent: bool) -> Option<String> {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        _ if silent => Some("it was silent for too long, and was stopped".into()),
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("it ended with exit code {code}")),
        (None, Some(signal)) => Some(format!("it was killed by signal {signal}")),
        (None, None) => Some("how it ended is not known".into()),
    }
}

#[cfg(test)]
mod tests;
