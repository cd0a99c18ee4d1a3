//! A running command, watched from outside.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::project::{Project, Ran};

/// A command of syncline that has not ended yet.
pub struct Running {
    child: Child,
    out: std::path::PathBuf,
    err: std::path::PathBuf,
}

impl Running {
    pub fn start(project: &Project, arguments: &[&str]) -> Self {
        let (out, err) = (project.path("ran.out"), project.path("ran.err"));
        let mut command = project.command(arguments);
        command.stdin(Stdio::null());
        command.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
        Self { child: command.spawn().expect("the binary runs"), out, err }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something is so; fails when the command ends before.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut so: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(120);
        while !so() {
            if let Some(status) = self.child.try_wait().expect("a child") {
                let err = std::fs::read_to_string(&self.err).unwrap_or_default();
                panic!("it ended ({status}) before {what}: {err}");
            }
            assert!(Instant::now() < end, "it never came to that {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops the process (SIGSTOP) once it has read so many bytes, and before it has read `end`; false when it was too
    /// fast for us.
    pub fn hold_between(&mut self, start: u64, end: u64) -> bool {
        loop {
            // Without a pause: it is a matter of milliseconds.
            if bytes_read(self.id()).is_none_or(|read| read >= start) {
                break;
            }
            if self.child.try_wait().expect("a child").is_some() {
                return false;
            }
        }
        signal(self.id(), libc::SIGSTOP);
        bytes_read(self.id()).is_some_and(|read| (start..end).contains(&read))
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        signal(self.id(), libc::SIGCONT);
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ran {
        let status = self.child.wait().expect("an end");
        let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
        Ran { code: status.code().unwrap_or(-1), stdout: read(&self.out), stderr: read(&self.err) }
    }
}

/// Sends a signal; to a process that is gone, nothing.
pub fn signal(process: u32, signal: libc::c_int) {
    // SAFETY: the call takes two numbers and touches no memory of ours; the process is a child that was not waited for,
    // so that its number is nobody else's.
    unsafe { libc::kill(process as libc::pid_t, signal) };
}

/// Bytes a process has taken in by system calls that read, whatever file they came from.
fn bytes_read(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).and_then(|n| n.trim().parse().ok())
}

/// Milliseconds a process has worked.
pub fn worked(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<u64> = text.rsplit(')').next().unwrap_or("").split(' ').map(|n| n.parse().unwrap_or(0)).collect();
    // `utime` and `stime`, in hundredths of a second.
    fields.get(12).zip(fields.get(13)).map_or(0, |(user, system)| (user + system) * 10)
}
