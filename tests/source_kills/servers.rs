//! Servers that are stopped while a statement of theirs is read.

use super::watch::{signal, worked};
use super::{Before, PEOPLE, comes_right, expected, project, start};
use crate::databases::{postgres_yaml, rows};

/// A kilobyte of ballast for each person, and a gate: while it holds seconds, the last ones come late.
const TABLES: &str = "create table gate (seconds int); insert into gate values (0); \
    create table people as select i as id, 'p' || i || '@x.io' as email, i as seats, repeat('x', 1000) as pad \
    from generate_series(1, 40) i";

const MODEL: &str =
    "sql: select id, email, seats, pad from people where id < 30 or pg_sleep((select seconds from gate)) is not null";

#[test]
fn a_postgresql_that_is_stopped_in_mid_read_removes_nobody() {
    let Some(server) = crate::postgres::own() else { return };
    let database = server.database(TABLES);
    let project = project(&postgres_yaml(&server, "shop", &database), MODEL);
    project.write("password", &server.password);
    let before = Before::applied(&project);
    assert_eq!(before.held, expected(false, 1000));

    server.run(&database, "delete from people where id = 3; update people set seats = 1000 where id = 5");
    server.run(&database, "update gate set seconds = 600");
    let mut running = start(&project);
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and state = 'active'";
    running.until("the read waits for its last rows", || rows(&server, &database, asleep) == ["1"]);
    server.stop_immediately();
    let broke = "the connection broke before all rows were read";
    before.stands(&project, "stopped", &running.end(), &[broke, "run again; nothing is concluded"]);

    let down = project.apply(&[]);
    before.stands(&project, "down", &down, &["cannot connect"]);

    server.start_again();
    // An administrator ends the statement.
    let mut running = start(&project);
    running.until("the read waits for its last rows", || rows(&server, &database, asleep) == ["1"]);
    server.run(&database, "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'");
    before.stands(&project, "terminated", &running.end(), &[broke, "terminating connection"]);

    server.run(&database, "update gate set seconds = 0");
    comes_right(&project, &expected(true, 1000));
    assert_eq!(PEOPLE, 40);
}

#[test]
fn a_mariadb_that_is_killed_in_mid_read_removes_nobody() {
    let Some(server) = crate::mysql::own() else { return };
    let database = server.database(
        "create table gate (seconds int); insert into gate values (0); \
         create table people as select seq as id, concat('p', seq, '@x.io') as email, seq as seats, \
         repeat('x', 1000) as pad from seq_1_to_40",
    );
    let model = "sql: select id, email, seats, pad from people where id < 30 or sleep((select seconds from gate)) = 0";
    let project = project(&server.yaml("shop", &database), model);
    project.write("password", &server.password);
    let before = Before::applied(&project);
    assert_eq!(before.held, expected(false, 1000));

    server.run(&database, "delete from people where id = 3; update people set seats = 1000 where id = 5");
    server.run(&database, "update gate set seconds = 600");
    let mut running = start(&project);
    let asleep = "select id from information_schema.processlist where state = 'User sleep'";
    running.until("the read waits for its last rows", || server.rows("", asleep).len() == 1);
    server.stop_immediately();
    let broke = "the connection broke before all rows were read";
    before.stands(&project, "killed", &running.end(), &[broke, "run again; nothing is concluded"]);

    let down = project.apply(&[]);
    before.stands(&project, "down", &down, &["cannot connect", "mysql at 127.0.0.1:"]);

    server.start_again();
    // An administrator ends the connection, and the statement.
    for (kill, said) in [("kill", broke), ("kill query", "interrupted")] {
        let mut running = start(&project);
        running.until("the read waits for its last rows", || server.rows("", asleep).len() == 1);
        server.run("", &format!("{kill} {}", server.rows("", asleep)[0]));
        before.stands(&project, kill, &running.end(), &[said]);
    }

    server.run(&database, "update gate set seconds = 0");
    comes_right(&project, &expected(true, 1000));
    assert_eq!(PEOPLE, 40);
}

#[test]
fn an_emulated_snowflake_that_is_killed_in_mid_read_removes_nobody() {
    let Some(server) = crate::fakesnow::own() else { return };
    // `crowd` holds one row, or so many that counting its pairs takes the emulator hours.
    let fill = |later: bool| {
        let people =
            super::people(later).map(|(id, seats)| format!("({id}, 'p{id}@x.io', {seats}, repeat('x', 1000))"));
        format!(
            "create table people (id int, email varchar, seats int, pad varchar);\n\
             insert into people values {};\ncreate table crowd (n int);\ninsert into crowd values (1)",
            people.collect::<Vec<_>>().join(", ")
        )
    };
    let schema = server.schema(&fill(false));
    let model = "sql: >-\n  select id, email, seats, pad from people\n  \
                 where (select sum(mod(a.n + b.n, 7)) from crowd a cross join crowd b) >= 0";
    let project = project(&server.yaml("shop", &schema), model);
    project.write("password", crate::fakesnow::PASSWORD);
    let before = Before::applied(&project);
    assert_eq!(before.held, expected(false, 1000));

    server.run(&schema, "insert into crowd select seq4() from table(generator(rowcount => 3000000))");
    let mut running = start(&project);
    let idle = worked(server.process);
    running.until("the emulator is at work on the statement", || worked(server.process) > idle + 3_000);
    signal(server.process, libc::SIGKILL);
    before.stands(&project, "killed", &running.end(), &["snowflake account `fakesnow`"]);

    // What it held was in its memory: another one is given the same.
    let server = server.start_again();
    assert_eq!(server.schema(&fill(true)), schema);
    comes_right(&project, &expected(true, 1000));
}

#[test]
fn a_spark_that_is_killed_in_mid_read_removes_nobody() {
    let Some(server) = crate::spark::own() else { return };
    let view = |later: bool, slow: &str| {
        let people =
            super::people(later).map(|(id, seats)| format!("({id}, 'p{id}@x.io', {seats}, repeat('x', 1000))"));
        let people = people.collect::<Vec<_>>().join(", ");
        format!("create or replace view people as select * from values {people} as t(id, email, seats, pad){slow}")
    };
    server.run(&view(false, ""));
    let source = format!("name: shop\ntype: spark\nconnection: {}\n", server.connection());
    let project = project(&source, "table: { name: people }");
    let before = Before::applied(&project);
    assert_eq!(before.held, expected(false, 1000));

    // The last ones take ten minutes each.
    let slow = " where id < 30 or java_method('java.lang.Thread', 'sleep', 600000L) is null";
    server.run(&view(true, slow));
    let idle = server.tasks();
    let mut running = start(&project);
    running.until("an executor is at work on the rows", || server.tasks() > idle);
    server.kill();
    before.stands(&project, "killed", &running.end(), &["spark at 127.0.0.1:"]);

    // What it held was in its memory: another one is given the same.
    let server = server.start_again();
    server.run(&view(true, ""));
    comes_right(&project, &expected(true, 1000));
}
