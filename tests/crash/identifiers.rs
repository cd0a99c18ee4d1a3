//! Rows that change what they are matched by, killed at many points, and changed again before the next apply.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::strace::{APPLY, CALLS, at_each, points, spread};
use super::{at_rest, tool};
use crate::project::Project;

const HEAD: &str = "id,email,name,plan,seats\n";

fn people(line: impl Fn(usize) -> Option<String>) -> String {
    let email = |id: usize| line(id).map(|email| format!("{id},{email},Person {id},free,{id}\n"));
    HEAD.to_owned() + &(1..=24).filter_map(email).collect::<String>()
}

fn records(project: &Project) -> Vec<String> {
    project.rows("out/crm.db", "select email || ',' || name from people order by email")
}

fn wanted(project: &Project) -> Vec<String> {
    let line = |line: &str| line.splitn(4, ',').skip(1).take(2).collect::<Vec<_>>().join(",");
    let mut wanted: Vec<String> = project.read("data/people.csv").lines().skip(1).map(line).collect();
    wanted.sort();
    wanted
}

#[test]
fn killed_while_addresses_change_no_record_is_left_behind_and_none_is_lost() {
    if !tool("strace") {
        return;
    }
    let project = Project::people("mirror", "fields:\n  name: name\ndelivery: { batch_size: 5 }\n");
    project.write("data/people.csv", &people(|id| Some(format!("a{id}@x"))));
    project.apply(&[]).code(0);
    // Some change, some swap, some leave.
    let second = people(|id| match id {
        1..=10 => Some(format!("b{id}@x")),
        11..=16 => Some(format!("a{}@x", 27 - id)),
        17 | 18 => None,
        _ => Some(format!("a{id}@x")),
    });
    project.write("data/people.csv", &second);
    let points = spread(points(&project, APPLY, CALLS), 24);
    let third = [
        // As it was; on to a third address; back to the first; gone.
        people(|id| (id != 17 && id != 18).then(|| if id <= 10 { format!("b{id}@x") } else { format!("a{id}@x") })),
        people(|id| Some(if id <= 10 { format!("c{id}@x") } else { format!("a{id}@x") })),
        people(|id| Some(format!("a{id}@x"))),
        people(|id| (id > 10).then(|| format!("a{id}@x"))),
    ];
    let turns = AtomicUsize::new(0);
    at_each(&project, APPLY, &points, "signal=SIGKILL", |project, _, point| {
        let turn = turns.fetch_add(1, Ordering::SeqCst) % third.len();
        let what = format!("{point}, then {turn}");
        project.write("data/people.csv", &third[turn]);
        let ran = project.apply(&[]);
        assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
        assert_eq!(records(project), wanted(project), "{what}");
        at_rest(project, &what);
    });
}
