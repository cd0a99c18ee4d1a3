//! A full disk under the state: a clear message that names the place, nothing lost, and all is well once there is room.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{contents, project, summary};

/// A file system of one mebibyte.
struct Small(tempfile::TempDir);

/// Runs a command on a folder, with `sudo` where it does not work without; true when it worked.
fn as_root(program: &str, arguments: &[&str], folder: &Path) -> bool {
    let works = |command: &mut Command| {
        command.args(arguments).arg(folder).output().is_ok_and(|output| output.status.success())
    };
    works(&mut Command::new(program)) || works(Command::new("sudo").args(["--non-interactive", program]))
}

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if !as_root("mount", &["-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs"], folder.path()) {
            assert!(std::env::var_os("CI").is_none(), "no file system can be mounted, and CI must not skip this test");
            eprintln!("SKIPPED: no file system can be mounted here (it needs root)");
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it up but for so many KiB.
    fn fill(&self, left: usize) -> PathBuf {
        let filler = self.path().join("filler");
        let mut file = std::fs::File::create(&filler).expect("a file");
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        let length = file.metadata().expect("a length").len();
        file.set_len(length.saturating_sub(left as u64 * 1024)).expect("a shorter file");
        filler
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        as_root("umount", &["-l"], self.0.path());
    }
}

#[test]
fn with_a_full_disk_under_the_state_nothing_is_lost_and_the_message_names_the_place() {
    const ROWS: usize = 400;
    let mut failed = 0;
    for left in [0, 12, 28, 44, 56, 68, 84] {
        let Some(small) = Small::mount() else { return };
        let what = format!("{left} KiB left");
        let project = project("insert", ROWS, 5);
        let state = small.path().join("state");
        project
            .write("syncline.yaml", &format!("name: test\nstate: {{ type: local, path: \"{}\" }}\n", state.display()));
        let filler = small.fill(left);
        let ran = project.apply(&[]);
        assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
        if ran.code != 0 {
            failed += 1;
            assert_eq!(ran.code, 1, "{what}: {}\n{}", ran.stdout, ran.stderr);
            let place = small.path().display().to_string();
            for word in [place.as_str(), "No space left"] {
                assert!(ran.stderr.contains(word), "{what}: `{word}` is not in: {}", ran.stderr);
            }
        }
        std::fs::remove_file(filler).expect("room again");
        let ran = project.apply(&[]);
        assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
        assert_eq!(contents(&project), [summary(ROWS)], "{what}");
        assert_eq!(super::count(&project, "writes"), ROWS, "{what}: something was written twice");
        project.run(&["plan", "--detailed-exitcode"]).code(0);
        assert!(!state.join("default/lock.json").exists(), "{what}: a lock stayed behind");
    }
    assert!(failed >= 4, "the disk was full only {failed} times");
}
