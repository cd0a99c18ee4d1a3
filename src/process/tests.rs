use std::io::{Read, Write};

use super::*;

fn shell(script: &str, env: &[(&str, &str)], silence: Duration) -> Program {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
    let redactor = Redactor::new(env.iter().map(|(_, value)| value.clone()));
    Program::new(command, Some("/tmp"), env, redactor, silence).unwrap()
}

fn output(running: &mut Running) -> String {
    let mut text = String::new();
    running.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn how_a_program_ends_is_said_with_its_last_words_and_without_secrets() {
    for (script, expected) in [
        ("exit 0", None),
        ("exit 3", Some("it ended with exit code 3")),
        ("kill -9 $$", Some("it was killed by signal 9")),
        (
            "echo \"no access with $TOKEN\" >&2; exit 1",
            Some("it ended with exit code 1; it said: no access with [secret]"),
        ),
        ("for i in 1 2 3 4 5; do echo $i >&2; done; exit 1", Some("it ended with exit code 1; it said: 3 / 4 / 5")),
        ("printf 'a\\033[31mb\\n' >&2; exit 1", Some("it ended with exit code 1; it said: a [31mb")),
    ] {
        let mut running = shell(script, &[("TOKEN", "s3cret-token")], LONG).start(true).unwrap();
        output(&mut running);
        assert_eq!(running.end().as_deref(), expected, "{script}");
    }
}

#[test]
fn a_program_sees_what_it_is_given_and_no_more() {
    let mut running =
        shell("env | cut -d= -f1 | sort | tr '\\n' ' '; cat", &[("GIVEN", "x")], LONG).start(true).unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(b"and its input").unwrap();
    drop(stdin);
    let seen = output(&mut running);
    // What the shell sets itself is no inheritance.
    let names: Vec<&str> = seen.split(' ').filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name)).collect();
    let allowed = ["GIVEN", "HOME", "LANG", "PATH", "and", "its", "input"];
    assert!(names.iter().all(|name| allowed.contains(name)) && names.contains(&"GIVEN"), "{seen}");
    assert_eq!(running.end(), None);
}

#[test]
fn silence_ends_it_with_all_that_it_started() {
    let begin = Instant::now();
    let mut running = shell("sleep 600 & sleep 600", &[], Duration::from_millis(200)).start(true).unwrap();
    // The pipe closes only when the other sleeper is gone, too.
    assert_eq!(output(&mut running), "");
    assert_eq!(running.end().as_deref(), Some("it was silent for too long, and was stopped"));
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn dropping_it_kills_it() {
    let mut running = shell("sleep 600 & sleep 600", &[], LONG).start(false).unwrap();
    let mut stdout = running.stdout.take().unwrap();
    drop(running);
    let begin = Instant::now();
    assert_eq!(stdout.read(&mut [0; 8]).unwrap(), 0);
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_cannot_be_started_says_what_to_do() {
    let start = |command: &[&str], directory: &str| {
        let command = command.iter().map(|part| (*part).to_owned()).collect();
        let program = Program::new(command, Some(directory), [], Redactor::default(), LONG)?;
        program.start(true).map(|_| ())
    };
    for (command, directory, expected, help) in [
        (&["no-such-program"][..], "/tmp", "cannot start `no-such-program`: No such file", "install it"),
        (&["./none"], "/tmp", "cannot start `./none`: No such file", "install it"),
        (&["/etc/passwd"], "/tmp", "cannot start `/etc/passwd`: Permission denied", "make it executable"),
        (
            &["true"],
            "/no/such/folder",
            "cannot start `true`: there is no folder `/no/such/folder`",
            "connection.directory",
        ),
        (&[""], "/tmp", "`connection.command` names no program", "[program"),
    ] {
        let error = start(command, directory).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(error.help().unwrap_or_default().contains(help), "{:?}", error.help());
    }
}

#[test]
fn a_flood_of_words_is_read_and_not_kept() {
    let script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; yes line | head -n 20000 >&2; exit 1";
    let mut running = shell(script, &[], LONG).start(true).unwrap();
    output(&mut running);
    assert_eq!(running.end().as_deref(), Some("it ended with exit code 1; it said: line / line / line"));
}
