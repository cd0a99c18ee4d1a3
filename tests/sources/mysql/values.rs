//! What each type is read as.

use super::*;

/// Each kind of column as it is declared, a value as it is written, and what is read.
#[test]
fn types_and_values() {
    let Some(server) = server() else { return };
    let cases = [
        ("boolean", "true", "Boolean", "true"),
        ("tinyint(1)", "0", "Boolean", "false"),
        ("tinyint(1) unsigned", "1", "Int16", "1"),
        ("tinyint", "-128", "Int16", "-128"),
        ("tinyint unsigned", "255", "Int16", "255"),
        ("smallint", "-32768", "Int16", "-32768"),
        ("smallint unsigned", "65535", "Int32", "65535"),
        ("mediumint", "-8388608", "Int32", "-8388608"),
        ("mediumint unsigned", "16777215", "Int32", "16777215"),
        ("int", "-2147483648", "Int32", "-2147483648"),
        ("int unsigned", "4294967295", "Int64", "4294967295"),
        ("bigint", "-9223372036854775808", "Int64", "-9223372036854775808"),
        ("bigint unsigned", "18446744073709551615", "UInt64", "18446744073709551615"),
        ("int(5) zerofill", "42", "Int64", "42"),
        ("year", "2155", "Int16", "2155"),
        ("bit(1)", "b'1'", "Boolean", "true"),
        ("bit(9)", "b'100000001'", "UInt64", "257"),
        ("bit(64)", "18446744073709551615", "UInt64", "18446744073709551615"),
        ("float", "0.1", "Float32", "0.1"),
        ("float", "16777216", "Float32", "16777216.0"),
        ("double", "0.30000000000000004", "Float64", "0.30000000000000004"),
        ("decimal(12, 2)", "-12.5", "Decimal128(12, 2)", "-12.50"),
        ("decimal(12, 2) unsigned", "9999999999.99", "Decimal128(12, 2)", "9999999999.99"),
        (
            "decimal(38, 0)",
            "-99999999999999999999999999999999999999",
            "Decimal128(38, 0)",
            "-99999999999999999999999999999999999999",
        ),
        (
            "decimal(38, 38)",
            "0.00000000000000000000000000000000000001",
            "Decimal128(38, 38)",
            "0.00000000000000000000000000000000000001",
        ),
        (
            "decimal(65, 30)",
            "12345678901234567890123456789012345.000000000000000000000000000001",
            "Utf8 decimal",
            "12345678901234567890123456789012345.000000000000000000000000000001",
        ),
        ("varchar(20)", "'ünï 🦊'", "Utf8", "ünï 🦊"),
        ("varchar(20) character set latin1", "'ünï'", "Utf8", "ünï"),
        ("char(5)", "'ab '", "Utf8", "ab"),
        ("tinytext", "''", "Utf8", ""),
        ("longtext", "'a'", "Utf8", "a"),
        ("enum('sad', 'glad')", "'glad'", "Utf8", "glad"),
        ("set('a', 'b', 'c')", "'c,a'", "Utf8", "a,c"),
        ("uuid", "'6f9619ff-8b86-d011-b42d-00c04fc964ff'", "Utf8", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("inet6", "'2001:db8::1'", "Utf8", "2001:db8::1"),
        ("json", r#"'{"a": [1,  2.50]}'"#, "Utf8 json", r#"{"a": [1,  2.50]}"#),
        ("binary(3)", "x'00ff'", "Binary", "00ff00"),
        ("varbinary(9)", "x'00ff'", "Binary", "00ff"),
        ("longblob", "x'ff'", "Binary", "ff"),
        ("point", "point(1, 2)", "Binary", "000000000101000000000000000000f03f0000000000000040"),
        ("date", "'2026-11-22'", "Date32", "2026-11-22"),
        ("date", "'9999-12-31'", "Date32", "9999-12-31"),
        ("time", "'10:30:00'", "Time64(µs)", "10:30:00"),
        ("time(6)", "'23:59:59.999999'", "Time64(µs)", "23:59:59.999999"),
        ("datetime", "'2026-11-22 10:00:00'", "Timestamp(µs)", "2026-11-22T10:00:00"),
        ("datetime(6)", "'1000-01-01 00:00:00.000001'", "Timestamp(µs)", "1000-01-01T00:00:00.000001"),
        // Written in UTC, in a server of +05:30.
        ("timestamp(3)", "'2026-11-22 09:00:00.5'", "Timestamp(µs, \"UTC\")", "2026-11-22T09:00:00.500Z"),
        ("int", "null", "Int32", "∅"),
        ("json", "null", "Utf8 json", "∅"),
    ];
    let mut create = String::new();
    for (at, (kind, value, _, _)) in cases.iter().enumerate() {
        create += &format!("create table t{at} (x {kind} null); insert into t{at} values ({value}); ");
    }
    let source = source(server, &server.database(&create));
    let mut wrong = Vec::new();
    for (at, (kind, value, shown, expected)) in cases.iter().enumerate() {
        let query = sql(&format!("select x from t{at} -- as written"));
        let got = (types(&*source, &query), rows(&*source, &query));
        if got != (vec![format!("x {shown}")], vec![(*expected).to_owned()]) {
            wrong.push(format!("{kind} {value}: {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is computed has the type the server computes it in.
#[test]
fn expressions_have_the_type_the_server_says() {
    let Some(server) = server() else { return };
    let database =
        server.database("create table t (n int, d decimal(12, 2), on_ boolean, at timestamp null); insert into t values (1, 2.5, true, '2026-01-02 03:04:05')");
    let source = source(server, &database);
    expressions(
        &*source,
        &[
            ("1", "Int32", "1"),
            ("true", "Int32", "1"),
            ("1 = 1", "Int32", "1"),
            ("(select max(on_) from t)", "Int16", "1"),
            ("(select coalesce(on_, 0) from t)", "Int32", "1"),
            ("(select count(*) from t)", "Int64", "1"),
            ("(select sum(d) from t)", "Decimal128(34, 2)", "2.50"),
            ("(select sum(n) from t)", "Decimal128(32, 0)", "1"),
            ("12.5", "Decimal128(3, 1)", "12.5"),
            ("-12.5e0", "Float64", "-12.5"),
            ("cast(18446744073709551615 as unsigned)", "UInt64", "18446744073709551615"),
            ("'a\\'b'", "Utf8", "a'b"),
            ("concat('a', 1)", "Utf8", "a1"),
            ("cast('x' as binary)", "Binary", "78"),
            ("date('2026-01-02')", "Date32", "2026-01-02"),
            ("timestamp('2026-01-02 03:04:05.25')", "Timestamp(µs)", "2026-01-02T03:04:05.250"),
            ("null", "Null", "∅"),
            ("nullif(date('2026-01-02'), 0)", "Date32", "2026-01-02"),
            ("(select nullif(at, 0) from t)", "Timestamp(µs, \"UTC\")", "2026-01-02T03:04:05Z"),
            ("':name ? -- no parameters'", "Utf8", ":name ? -- no parameters"),
            ("(select group_concat(repeat('x', 1000) separator '') from seq_1_to_5)", "Utf8", &"x".repeat(5000)),
        ],
    );
}

/// Each value stands between two that can be read.
#[test]
fn values_without_an_arrow_form_cost_their_row_and_no_more() {
    let Some(server) = server() else { return };
    let database = server.database(
        "set session sql_mode = 'ALLOW_INVALID_DATES'; \
         create table t (id int, zero date, half date, odd date, moment datetime, stamp timestamp null, flag tinyint(1), \
                         span time, late time(6), note varchar(20) character set utf8mb4); \
         insert into t (id) values (1); \
         insert into t values (2, '0000-00-00', '2026-00-00', '2026-02-30', '0000-00-00', 0, 2, '-00:00:01', \
                               '24:00:00.5', 'Zo'); \
         insert into t (id, zero, half, odd, moment, stamp, flag, span, late) values \
             (3, '2026-01-01', '2026-01-01', '2026-01-01', '2026-01-01', '2026-01-01', 1, '10:00', '10:00')",
    );
    let source = source(server, &database);
    let date = "a zero date, or one the calendar does not have";
    let time = "a time below zero or of 24 hours and more, which is no time of day";
    let cases = [
        ("zero", date, "`nullif(zero, 0) as zero` where all of it is zeros"),
        ("half", date, "`nullif(half, 0) as half` where all of it is zeros"),
        ("odd", date, "`nullif(odd, 0) as odd` where all of it is zeros"),
        ("moment", date, "`nullif(moment, 0) as moment` where all of it is zeros"),
        ("stamp", date, "`nullif(stamp, 0) as stamp` where all of it is zeros"),
        ("flag", "a `tinyint(1)` that is neither 0 nor 1, which is no boolean", "`cast(flag as signed) as flag`"),
        ("span", time, "as seconds, `time_to_sec(span) as span`"),
        ("late", time, "as seconds, `time_to_sec(late) as late`"),
    ];
    for (column, what, help) in cases {
        let (batches, flaws) = flawed(&*source, &sql(&format!("select {column} from t order by id")));
        let [flaw] = flaws.as_slice() else { panic!("{column}: {flaws:?}") };
        assert!(flaw.starts_with(&format!("2: column `{column}` holds {what}; ")), "{flaw}");
        assert!(flaw.ends_with(help), "{flaw}");
        assert!(batches[0].column(0).is_valid(2), "{column}");
    }
    assert_eq!(rows(&*source, &sql("select id, note from t order by id")), ["1|∅", "2|Zo", "3|∅"]);
    // And what is advised is read.
    let advised = "select nullif(zero, 0) as zero, nullif(stamp, 0) as stamp, cast(flag as signed) as flag, \
                   time_to_sec(span) as span, cast(late as char) as late from t where id = 2";
    assert_eq!(rows(&*source, &sql(advised)), ["∅|∅|2|-1|24:00:00.500000"]);
}
