//! Two applies at once: one works, the other is told who does, or waits; a dead holder is in nobody's way.

use std::time::{Duration, Instant};

use super::{at_rest, check, contents, count, kill, slow_project, start, summary, until};

#[test]
fn of_two_applies_one_is_told_who_holds_the_lock_and_since_when() {
    const ROWS: usize = 800;
    let project = slow_project("insert", ROWS);
    let first = start(&project, &["apply", "--auto-approve"]);
    until("rows arrive", || count(&project, "people") >= 5);
    let refused = project.apply(&[]).code(6);
    for word in [format!("process {}", first.id()), "apply, since 20".to_owned()] {
        assert!(refused.stderr.contains(&word), "`{word}` is not in: {}", refused.stderr);
    }
    assert!(count(&project, "people") < ROWS, "the first one ended too soon for this test");
    let waited = project.apply(&["--lock-timeout", "60"]).code(0);
    assert!(waited.stdout.contains("No changes"), "{}", waited.stdout);
    let ended = first.wait_with_output().expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(contents(&project), [summary(ROWS)]);
    assert_eq!(count(&project, "writes"), ROWS, "something was written twice");
    at_rest(&project, "two applies");
}

#[test]
fn the_lock_of_a_killed_holder_is_taken_over_at_once() {
    const ROWS: usize = 800;
    let project = slow_project("insert", ROWS);
    let first = start(&project, &["apply", "--auto-approve"]);
    until("rows arrive", || count(&project, "people") >= 50);
    // One that waits while the holder dies, and goes on in its place.
    let second = start(&project, &["apply", "--auto-approve", "--lock-timeout", "30"]);
    std::thread::sleep(Duration::from_millis(100));
    kill(first);
    let since = Instant::now();
    until("the next one takes over", || {
        let lock = std::fs::read_to_string(project.path(".syncline/default/lock.json")).unwrap_or_default();
        lock.contains(&format!("\"pid\": {}", second.id()))
    });
    assert!(since.elapsed() < Duration::from_secs(5), "it took {:?} to take over", since.elapsed());
    let ended = second.wait_with_output().expect("an end");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(contents(&project), [summary(ROWS)]);
    assert_eq!(count(&project, "writes"), ROWS, "something was written twice");
    check(&project, ROWS, "after the take-over");
}

#[test]
fn after_unlock_a_living_holder_stops_and_its_successor_is_not_taken_for_dead() {
    const ROWS: usize = 800;
    let project = slow_project("insert", ROWS);
    let first = start(&project, &["apply", "--auto-approve"]);
    until("rows arrive", || count(&project, "people") >= 5);
    project.run(&["state", "unlock", "--auto-approve"]).code(0);
    let second = start(&project, &["apply", "--auto-approve"]);
    let mine = format!("\"pid\": {}", second.id());
    let lock = || std::fs::read_to_string(project.path(".syncline/default/lock.json")).unwrap_or_default();
    until("the second one has the lock", || lock().contains(&mine));
    kill(first);
    // Its predecessor is gone, and it lives.
    let third = project.apply(&[]);
    let ended = second.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((third.code, ended.status.code()), (6, Some(0)), "{}\n{stderr}", third.stderr);
}
