//! The same at other destinations: files, a real PostgreSQL, a real MariaDB.

use super::strace::{APPLY, CALLS, at_each, points, spread};
use super::{at_rest, tool};
use crate::engines::Engine;
use crate::project::{Project, people_csv};
use crate::{mysql, postgres};

/// The records of a file, sorted, without the line of names.
fn records(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Records of the model without their ids.
fn wanted(project: &Project) -> Vec<String> {
    let text = project.read("data/people.csv");
    let cut: String = text.lines().filter_map(|line| Some(format!("{}\n", line.split_once(',')?.1))).collect();
    records(&cut)
}

/// People with some removed and some changed since the first 45.
fn later() -> String {
    let all = people_csv(60);
    let lines = all.lines().enumerate().filter(|(i, _)| *i == 0 || *i > 15);
    lines.map(|(_, line)| line.replace("Person 2", "Citizen 2") + "\n").collect()
}

#[test]
fn killed_while_writing_files_and_run_again_they_equal_the_source() {
    if !tool("strace") {
        return;
    }
    for (mode, second) in [("upsert", people_csv(60)), ("mirror", later())] {
        let project = Project::people(
            mode,
            "fields:\n  name: name\n  plan: plan\n  seats: seats\ndelivery: { batch_size: 10 }\n",
        );
        project.write("destinations/crm.yaml", "name: crm\ntype: files\nconnection: { path: out }\n");
        project.edit("syncs/people.yaml", "options: { create: true }", "options: { format: csv }");
        project.write("data/people.csv", &people_csv(45));
        project.apply(&[]).code(0);
        assert_eq!(records(&project.read("out/people.csv")), wanted(&project));
        project.write("data/people.csv", &second);
        let points = spread(points(&project, APPLY, CALLS), 16);
        at_each(&project, APPLY, &points, "signal=SIGKILL", |project, _, point| {
            let what = format!("{mode}, {point}");
            // Nobody ever sees half a file.
            let seen = project.read("out/people.csv");
            assert!(seen.ends_with('\n') && [45, 60].contains(&records(&seen).len()), "{what}: {seen}");
            let ran = project.apply(&[]);
            assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
            assert_eq!(records(&project.read("out/people.csv")), wanted(project), "{what}");
            at_rest(project, &what);
        });
    }
}

#[test]
fn killed_while_writing_to_postgres_and_run_again_it_equals_the_source() {
    postgres::server().into_iter().map(Engine::Postgres).for_each(killed_while_writing);
}

#[test]
fn killed_while_writing_to_mysql_and_run_again_it_equals_the_source() {
    mysql::server().into_iter().map(Engine::Mysql).for_each(killed_while_writing);
}

fn killed_while_writing(engine: Engine) {
    if !tool("strace") {
        return;
    }
    let database = engine.database("");
    let rows = || engine.rows(&database, "select concat_ws(',', email, name, plan, seats) from people");
    for mode in ["upsert", "insert", "mirror"] {
        let project = Project::people(
            mode,
            "fields:\n  name: name\n  plan: plan\n  seats: seats\ndelivery: { batch_size: 10 }\n",
        );
        let kind = engine.name();
        project.write(
            "destinations/crm.yaml",
            &format!("name: crm\ntype: {kind}\nconnection: {{ url: \"{{{{ file('url') }}}}\" }}\n"),
        );
        project.write("url", &engine.url(&database));
        project.edit("syncs/people.yaml", "options: { create: true }", "options: {}");
        project.write("data/people.csv", &people_csv(60));
        // No unique index: a record sent twice would stand there twice. The project names it as `people`.
        engine.run(&database, "drop table if exists people");
        engine.run(&database, "create table people (email text, name text, plan text, seats integer)");
        let calls: Vec<&str> = CALLS.iter().copied().chain(["sendto", "writev"]).filter(|c| *c != "openat").collect();
        let points = spread(points(&project, APPLY, &calls), 6);
        // The table is not copied with the project: the points come one after the other, each to an empty table.
        for point in points {
            engine.run(&database, "truncate people");
            at_each(&project, APPLY, &[point], "signal=SIGKILL", |project, _, point| {
                let what = format!("{mode}, {point}");
                let ran = project.apply(&[]);
                assert_eq!(ran.code, 0, "{what}: {}\n{}", ran.stdout, ran.stderr);
                assert_eq!(rows().len(), 60, "{what}");
                if mode == "mirror" {
                    project.write("data/people.csv", &later());
                    project.apply(&[]).code(0);
                }
                let mut there = rows();
                there.sort();
                assert_eq!(there, wanted(project), "{what}");
                at_rest(project, &what);
            });
        }
    }
}
