//! Files that are broken: one clear error, never a short read.

use std::fs;

use arrow_array::{ArrayRef, Int64Array};

use super::files::write_parquet;
use super::*;

#[test]
fn broken_text_files_name_file_and_line() {
    let cases: &[(&str, &str, &[u8], &str)] = &[
        ("too few fields", "t.csv", b"a,b\n1,2\n3\n", "t.csv`, line 3: 1 fields, but the header has 2"),
        ("too many fields", "t.csv", b"a,b\n1,2,3\n", "line 2: 3 fields"),
        (
            "cut inside quotes",
            "t.csv",
            b"a,b\n1,\"x\"\n2,\"y and",
            "line 3: a quoted field starts here and is never closed",
        ),
        (
            "a quote too many",
            "t.csv",
            b"a,b\n1,\"x\n2,y\n3,z\n",
            "line 2: a quoted field starts here and is never closed",
        ),
        ("fields of two separators", "t.csv", b"a;b\n1;2\n1,2\n", "line 3: 1 fields, but the header has 2"),
        ("blank lines before it", "t.csv", b"a,b\r\n1,2\r\n\r\n\r\n3\r\n", "line 5: 1 fields"),
        ("half a sign in each field", "t.csv", b"a,b\n\xc3,\xa4\n", "line 2: column `a` is not UTF-8"),
        ("not UTF-8", "t.csv", b"a,b\n1,\xff\n", "line 2: column `b` is not UTF-8"),
        ("name twice", "t.csv", b"a,a\n1,2\n", "line 1: column `a` is there twice"),
        ("no name", "t.csv", b"a,\n1,2\n", "line 1: column 2 has no name"),
        ("empty", "t.csv", b"", "it is empty"),
        ("half a line", "t.jsonl", b"{\"a\": 1}\n{\"a\": ", "t.jsonl`, line 2: column"),
        ("not an object", "t.jsonl", b"{\"a\": 1}\n\n[1]\n", "line 3: invalid type: sequence, expected an object"),
        ("key twice", "t.jsonl", b"{\"a\": 1, \"a\": 2}\n", "key `a` is there twice"),
        ("no keys", "t.jsonl", b"{}\n{}\n", "no object has a key"),
        ("not Parquet", "t.parquet", b"PAR1 or so", "t.parquet`: "),
    ];
    for (name, file, bytes, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(file), bytes).unwrap();
        let source = folder(dir.path());
        for query in [table("t"), sql("select * from t")] {
            let (message, help) = error(&*source, &query);
            assert!(message.contains(expected), "{name}: {message}");
            assert!(!help.is_empty(), "{name}: {message}");
        }
    }
}

#[test]
fn of_several_faults_the_first_is_named_however_many_threads_look() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = (0..600_000).map(|i| format!("{i},name {i}")).collect();
    for wrong in [200_000, 400_000, 599_999] {
        lines[wrong] = format!("{wrong}");
    }
    lines[500_000] = "500000,\"not closed".into();
    fs::write(dir.path().join("t.csv"), format!("id,name\n{}\n", lines.join("\n"))).unwrap();
    for _ in 0..5 {
        let (message, _) = error(&*folder(dir.path()), &table("t"));
        assert!(message.contains("line 200002: 1 fields"), "{message}");
    }
}

#[test]
fn quotes_that_close_are_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), "\u{feff}a,b\n1,\"say \"\"hi\"\"\nthere, you\"").unwrap();
    assert_eq!(rows(&*folder(dir.path()), &table("t")), ["1|say \"hi\"\nthere, you"]);
}

#[test]
fn a_parquet_file_that_is_cut_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let ids: ArrayRef = std::sync::Arc::new(Int64Array::from_iter_values(0..50_000));
    write_parquet(&path, &RecordBatch::try_from_iter([("id", ids)]).unwrap(), 10_000);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let (message, help) = error(&*folder(dir.path()), &table("t"));
    assert!(message.contains("t.parquet"), "{message}");
    assert!(help.contains("cut or damaged"), "{help}");
}

#[test]
fn a_file_that_changes_under_the_read_is_an_error() {
    for (name, line) in [("t.csv", "1\n"), ("t.jsonl", "{\"id\": 1}\n")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let head = if name == "t.csv" { "id\n" } else { "" };
        fs::write(&path, format!("{head}{}", line.repeat(300_000))).unwrap();
        let source = folder(dir.path());
        let mut streams = source.read(&table("t"), None).unwrap();
        let first = streams[0].next().unwrap();
        assert!(first.is_ok());
        fs::write(&path, format!("{head}{}", line.repeat(150_000))).unwrap();
        let ends = streams.into_iter().flatten().filter_map(Result::err).map(sources::failure);
        let messages: Vec<String> = ends.map(|e| e.to_string()).collect();
        assert!(
            !messages.is_empty() && messages.iter().all(|m| m.contains("changed while it was read")),
            "{messages:?}"
        );
    }
}

#[test]
fn a_folder_or_file_that_is_gone_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (message, help) = error(&*folder(&dir.path().join("nowhere")), &table("t"));
    assert!(message.contains("nowhere") && help.contains("connection.path"), "{message}");
    let (_, help) = error(&*folder(dir.path()), &table("t"));
    assert!(help.contains("holds no"), "{help}");
}

#[test]
fn files_of_one_table_must_agree() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("t")).unwrap();
    fs::write(dir.path().join("t/a.csv"), "id,name\n1,x\n").unwrap();
    fs::write(dir.path().join("t/b.csv"), "name,id\nx,1\n").unwrap();
    let (message, _) = error(&*folder(dir.path()), &table("t"));
    assert!(message.contains("b.csv") && message.contains("differ"), "{message}");
}

#[test]
fn an_unknown_key_of_a_connection_is_named_without_its_value() {
    let wrong = connection_of(json!({ "path": "/x", "pasword": "hunter22" }));
    let error = sources::open(SourceType::Files, &wrong).err().unwrap().to_string();
    assert!(error.contains("pasword") && !error.contains("hunter22"), "{error}");
}
