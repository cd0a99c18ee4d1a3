//! A real MariaDB.

mod breaks;
mod reach;
mod values;

use super::*;
use crate::mysql::{Server, server};

fn source(server: &Server, database: &str) -> Box<dyn Source> {
    open(SourceType::Mysql, json!({ "url": server.url(database) }))
}

#[test]
fn statements_of_every_kind() {
    let Some(server) = server() else { return };
    let database = server.database("create table t (id int, name text); insert into t values (1, 'a'), (2, null)");
    let source = source(server, &database);
    let cases: &[(&str, &[&str])] = &[
        ("select id from t order by id", &["1", "2"]),
        ("select id from t order by id;", &["1", "2"]),
        ("-- first\nselect id from t /* all */ order by id -- last", &["1", "2"]),
        ("with s as (select id * 2 as n from t) select n from s order by n", &["2", "4"]),
        ("(select 1 as n) union all (select 2) order by n", &["1", "2"]),
        ("values (1, null), (2, '')", &["1|∅", "2|"]),
        ("select id from t where false", &[]),
        // The session's own settings.
        ("select @@time_zone, @@character_set_client, @@tx_isolation", &["+00:00|utf8mb4|REPEATABLE-READ"]),
    ];
    for (statement, expected) in cases {
        assert_eq!(rows(&*source, &sql(statement)), *expected, "{statement}");
    }
}

/// A server may be set to end every result after so many rows, or to take a backslash for itself.
#[test]
fn settings_of_the_server_do_not_change_what_is_read() {
    let Some(server) = crate::mysql::own() else { return };
    let database = server.database("create table t (id int); insert into t select seq from seq_1_to_100");
    server.run("", "set global sql_select_limit = 10; set global sql_mode = 'NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'");
    let source = source(&server, &database);
    assert_eq!(rows(&*source, &table("t")).len(), 100);
    assert_eq!(rows(&*source, &sql("select 'a\\'b' as x, @@sql_mode as m")), ["a'b|STRICT_ALL_TABLES"]);
}

#[test]
fn what_the_server_refuses() {
    let Some(server) = server() else { return };
    let database = server.database("create table t (id int); create table secret (id int, word text)");
    server.run(
        &database,
        &format!(
            "create or replace user reader@'%' identified by 'reader-pw'; grant select on {database}.t to reader@'%'; \
             grant select (id) on {database}.secret to reader@'%'"
        ),
    );
    let own = source(server, &database);
    let reader = open(
        SourceType::Mysql,
        json!({ "host": "127.0.0.1", "port": server.port.to_string(), "user": "reader", "password": "reader-pw",
                "database": database, "sslmode": "disable" }),
    );
    let nowhere = open(SourceType::Mysql, json!({ "url": server.url("") }));
    assert_eq!(rows(&*reader, &table("t")), Vec::<String>::new());
    assert_eq!(rows(&*reader, &sql("select id from secret")), Vec::<String>::new());
    reader.check(&table("t")).unwrap();
    let cases: &[(&dyn Source, &str, &str, &str)] = &[
        (&*own, "select *\nfrom nope", "nope' doesn't exist", "check the name"),
        (&*own, "select * from no_such.t", "denied|no_such", ""),
        (&*own, "select ü from t", "Unknown column 'ü'", "correct the SQL"),
        (&*own, "selekt 1", "it is near 'selekt 1' at line 1", "correct the SQL"),
        (&*own, "delete from t returning id", "READ ONLY transaction", "only reads"),
        (&*own, "delete from t", "READ ONLY transaction", "one `select`"),
        (&*own, "set @x = 1", "no columns", "one `select`"),
        (&*own, "select 1; select 2", "it is near", ""),
        (&*own, "select ? as x", "parameters", "write the values"),
        (&*own, "select :name as x", "parameters", "write the values"),
        (&*own, "select 1 as a, 2 as a", "two columns named `a`", "as other_name"),
        (&*own, "select (select id from (select 1 as id union select 2) x) as y", "more than 1 row", ""),
        (&*reader, "select * from secret", "denied", "grant select"),
        (&*reader, "select word from secret", "denied", "grant select"),
        (&*nowhere, "select * from t", "No database selected", "set `database`"),
    ];
    for (source, statement, message, help) in cases {
        let got = error(*source, &sql(statement));
        let said = message.split('|').any(|message| got.0.contains(message));
        assert!(said && got.1.contains(help), "{statement}: {got:?}");
    }
    let got = error(&*own, &sql("select * from nope"));
    assert!(got.0.starts_with(&format!("mysql at 127.0.0.1:{}: ", server.port)), "{got:?}");
    assert!(reader.check(&table("secret")).is_err(), "rights are seen without reading");
}

/// What is written while a read goes on is not read: all rows are of one moment.
#[test]
fn a_read_sees_one_moment() {
    let Some(server) = server() else { return };
    let database = server.database(
        "create table t (id bigint primary key, pad varchar(200)) engine innodb; \
        insert into t select seq, repeat('x', 200) from seq_1_to_300000",
    );
    let source = source(server, &database);
    let mut stream = source.read(&table("t"), None).unwrap().remove(0);
    let first = stream.next().unwrap().unwrap().rows.num_rows();
    server.run(&database, "delete from t where id > 200000");
    let rest: usize = stream.map(|batch| batch.unwrap().rows.num_rows()).sum();
    assert_eq!(first + rest, 300_000);
}

#[test]
fn tables_are_cut_to_columns_and_rows() {
    let Some(server) = server() else { return };
    let database = server.database(
        "create table `Plans` (id int, `Na``me` text, at timestamp null, doc json); \
         insert into `Plans` values (1, 'free', '2026-01-01 00:00', '1'), (2, 'premium', null, '{}'); \
         create view seen as select id, doc, concat(doc, '') as made from `Plans`",
    );
    let source = source(server, &database);
    let query = Query::Table {
        name: format!("{database}.Plans"),
        columns: Some(vec!["Na`me".into(), "id".into()]),
        filter: Some("id > 1 -- not the first".into()),
    };
    assert_eq!(rows(&*source, &query), ["premium|2"]);
    let hint = ["id".to_owned()];
    assert_eq!(shown(&source.read(&query, Some(&hint)).unwrap()[0].schema()), ["id Int32"]);
    assert_eq!(rows(&*source, &table(&format!("`{database}`.`Plans`"))).len(), 2, "as dbt names relations");
    let hinted = sql("select * from Plans");
    assert_eq!(shown(&source.read(&hinted, Some(&hint)).unwrap()[0].schema()), ["id Int32"]);
    assert_eq!(types(&*source, &sql("select doc as d, p.doc from Plans p")), ["d Utf8 json", "doc Utf8 json"]);
    assert_eq!(types(&*source, &sql("select doc, made from seen")), ["doc Utf8", "made Utf8"], "a view does not say");
}
