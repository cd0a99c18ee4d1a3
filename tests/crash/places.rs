//! The same at other destinations: files, a real PostgreSQL, a real MariaDB.

use super::strace::{APPLY, CALLS, at_each, points, spread};
use super::{at_rest, start, tool, until};
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

/// The other end fails: the server is killed while an apply writes to it, and is started again.
#[test]
fn a_mariadb_killed_while_it_is_written_to_loses_nothing_and_doubles_nothing() {
    let Some(server) = mysql::own() else { return };
    // No unique index: a record sent twice would stand there twice. While the gate holds seconds, each row takes them.
    let database = server.database(
        "create table people (email varchar(100), name text, plan text, seats int);
         create table gate (seconds double) as select 0 as seconds;
         create trigger slow before insert on people for each row set @slept = sleep((select seconds from gate))",
    );
    let count = || server.rows(&database, "select count(*) from people")[0].parse::<usize>().expect("a number");
    for mode in ["insert", "mirror"] {
        // The server of the tests does not keep what it has acknowledged unless it is told to.
        server.run(&database, "set global innodb_flush_log_at_trx_commit = 1");
        server.run(&database, "truncate people; update gate set seconds = 0.02");
        let project =
            Project::people(mode, "fields:\n  name: name\n  plan: plan\n  seats: seats\ndelivery: { batch_size: 5 }\n");
        project.write("destinations/crm.yaml", &server.yaml("crm", &database));
        project.write("password", &server.password);
        project.edit("syncs/people.yaml", "options: { create: true }", "options: {}");
        project.write("data/people.csv", &people_csv(60));
        let child = start(&project, &["apply", "--auto-approve"]);
        until("rows arrive", || count() >= 15);
        server.stop_immediately();
        let output = child.wait_with_output().expect("an end");
        assert!(!output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stdout));
        server.start_again();
        assert!((15..60).contains(&count()), "{mode}: {} rows", count());
        server.run(&database, "update gate set seconds = 0");
        let ran = project.apply(&[]);
        assert_eq!(ran.code, 0, "{mode}: {}\n{}", ran.stdout, ran.stderr);
        let mut there = server.rows(&database, "select concat_ws(',', email, name, plan, seats) from people");
        there.sort();
        assert_eq!(there, wanted(&project), "{mode}");
        at_rest(&project, mode);
    }
}
