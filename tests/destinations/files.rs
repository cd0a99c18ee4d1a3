//! What only files can do wrong.

use syncline::destinations::DestinationKind;
use syncline::destinations::{Action, Outcome, SendError, Sent};
use syncline::manifest::sync::Mode;
use syncline::mapping::Value;

use super::place::{Kind, Place, connect, file_rows, run};
use super::records::{batch, change, field, operation, record, send, target};

const FILES: [Kind; 3] = [Kind::Csv, Kind::Jsonl, Kind::Parquet];

fn csv(place: &Place) -> String {
    std::fs::read_to_string(place.folder.path().join("users.csv")).unwrap()
}

#[tokio::test]
async fn rows_keep_their_order_and_new_ones_go_last() {
    for kind in FILES {
        let place = Place::new(kind).await.unwrap();
        let first = ["c@x", "a@x", "b@x"].map(|email| send(email, "free 1")).to_vec();
        place.run(Mode::Mirror, &[batch(1, first)]).await.unwrap();
        let second = vec![send("z@x", "new 1"), send("a@x", "gold 2"), send("y@x", "new 2")];
        let gone = vec![operation(Action::Delete, record("c@x", "_ _"))];
        place.run(Mode::Mirror, &[batch(2, second), batch(3, gone)]).await.unwrap();
        let rows: Vec<String> = file_rows(&place.file()).into_iter().map(|(e, r)| format!("{e} {r}")).collect();
        assert_eq!(rows, ["a@x gold 2", "b@x free 1", "z@x new 1", "y@x new 2"], "{kind:?}");
        let names: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1, "nothing is left beside the file: {names:?}");
    }
}

#[tokio::test]
async fn a_diff_is_three_files_of_this_run() {
    for kind in FILES {
        let place = Place::new(kind).await.unwrap();
        let mut target = place.target(Mode::Mirror);
        target.options.insert("content".into(), "diff".into());
        let mut changed = send("b@x", "gold 2");
        changed.added = false;
        let gone = vec![operation(Action::Delete, record("c@x", "free 3"))];
        let batches = [batch(1, vec![send("a@x", "free 1"), changed]), batch(2, gone)];
        run(&*place.destination, &target, &batches).await.unwrap();
        let part = |name: &str| {
            let path =
                place.file().with_file_name(format!("users_{name}")).with_extension(place.file().extension().unwrap());
            assert!(path.exists(), "{kind:?}: {}", path.display());
            file_rows(&path).into_iter().map(|(e, r)| format!("{e} {r}")).collect::<Vec<_>>()
        };
        assert_eq!([part("added"), part("changed"), part("removed")], [["a@x free 1"], ["b@x gold 2"], ["c@x free 3"]]);
        run(&*place.destination, &target, &[]).await.unwrap();
        assert!(["added", "changed", "removed"].iter().all(|p| part(p).is_empty()), "{kind:?}: a run without changes");
    }
}

#[tokio::test]
async fn csv_tells_null_from_empty_and_keeps_what_is_not_mapped() {
    let place = Place::new(Kind::Csv).await.unwrap();
    let before = "\u{feff}note,email,plan\r\n\"a \"\"note\"\"\",a@x,\r\n,b@x,\"two\nlines\"\r\n,c@x,\"\"\n";
    std::fs::write(place.file(), before).unwrap();
    let mut empty = send("b@x", "_ 2");
    change(&mut empty, |fields| fields[0] = Some(Value::Text("".into())));
    let sends = vec![empty, send("d@x", "a,b null"), send("c@x", "null _")];
    place.run(Mode::Upsert, &[batch(1, sends)]).await.unwrap();
    let after = "note,email,plan,seats\n\"a \"\"note\"\"\",a@x,,\n,b@x,\"\",2\n,c@x,,\n,d@x,\"a,b\",\n";
    assert_eq!(csv(&place), after);
    place.run(Mode::Upsert, &[batch(2, vec![send("d@x", "a,b null")])]).await.unwrap();
    assert_eq!(csv(&place), after);
}

#[tokio::test]
async fn json_lines_nest_dotted_names_and_keep_foreign_text() {
    let place = Place::new(Kind::Jsonl).await.unwrap();
    std::fs::write(
        place.file(),
        "{\"email\":\"a\\u0040x\",\"big\":12345678901234567890.10,\"address\":{\"zip\":1}}\n\n{\"email\":\"b@x\"}\n",
    )
    .unwrap();
    let mut target = place.target(Mode::Upsert);
    target.fields = vec![field("address.city", arrow_schema::DataType::Utf8)];
    run(&*place.destination, &target, &[batch(1, vec![send("a@x", "Rome"), send("c@x", "Oslo")])]).await.unwrap();
    let text = std::fs::read_to_string(place.file()).unwrap();
    assert_eq!(
        text,
        "{\"email\":\"a\\u0040x\",\"big\":12345678901234567890.10,\"address\":{\"zip\":1,\"city\":\"Rome\"}}\n\
         {\"email\":\"b@x\"}\n{\"email\":\"c@x\",\"address\":{\"city\":\"Oslo\"}}\n"
    );
}

#[tokio::test]
async fn parquet_keeps_types_and_foreign_columns() {
    use arrow_schema::{DataType, TimeUnit};
    let place = Place::new(Kind::Parquet).await.unwrap();
    let mut old = place.target(Mode::Upsert);
    let at = DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into()));
    old.fields =
        vec![field("at", at.clone()), field("price", DataType::Decimal128(30, 2)), field("raw", DataType::Binary)];
    let mut first = send("a@x", "");
    let values = vec![
        Some(Value::Timestamp { nanos: 1_700_000_000_123_456_000, zoned: true }),
        Some(Value::Decimal("12345678901234567890.1".into())),
        Some(Value::Binary([0, 255].into())),
    ];
    change(&mut first, |fields| *fields = values);
    run(&*place.destination, &old, &[batch(1, vec![first])]).await.unwrap();
    place.run(Mode::Upsert, &[batch(2, vec![send("a@x", "gold 2"), send("b@x", "free 1")])]).await.unwrap();

    let file = std::fs::File::open(place.file()).unwrap();
    let mut reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 10).unwrap();
    let rows = reader.next().unwrap().unwrap();
    let names: Vec<_> = rows.schema().fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    let at = format!("at {at}");
    assert_eq!(names, ["email Utf8", &at, "price Decimal128(30, 2)", "raw Binary", "plan Utf8", "seats Int64"]);
    let text = |column: &str| {
        let options = arrow_cast::display::FormatOptions::default().with_null("-");
        let column = rows.column_by_name(column).unwrap();
        let column = arrow_cast::display::ArrayFormatter::try_new(column, &options);
        column.map(|c| [c.value(0).to_string(), c.value(1).to_string()])
    };
    assert_eq!(text("price").unwrap(), ["12345678901234567890.10", "-"]);
    assert_eq!(text("raw").unwrap(), ["00ff", "-"]);
    assert_eq!(text("plan").unwrap(), ["gold", "free"]);
}

#[tokio::test]
async fn double_rows_are_left_alone() {
    let place = Place::new(Kind::Csv).await.unwrap();
    let before = "email,plan,seats\na@x,free,1\nb@x,free,2\na@x,free,3\n";
    std::fs::write(place.file(), before).unwrap();
    let answer = place.run(Mode::Upsert, &[batch(1, vec![send("a@x", "gold 9")])]).await.unwrap();
    assert!(matches!(&answer[0][0], Outcome::Rejected { code, .. } if code == "multiple_match"), "{answer:?}");
    assert_eq!(csv(&place), before);
}

#[tokio::test]
async fn a_dead_run_leaves_the_file_whole_and_can_be_settled_later() {
    for kind in FILES {
        let place = Place::new(kind).await.unwrap();
        place.run(Mode::Upsert, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap();
        let before = std::fs::read(place.file()).unwrap();
        let dead = place.destination.open(&place.target(Mode::Upsert)).await.unwrap();
        let Sent::Deferred { handle } = dead.send(&batch(2, vec![send("b@x", "free 2")])).await.unwrap() else {
            panic!("files are settled at the end")
        };
        drop(dead);
        let stage =
            place.folder.path().join(format!(".users.{}.syncline", place.file().extension().unwrap().display()));
        std::fs::write(stage.join("users.new"), "half").unwrap();
        assert_eq!(std::fs::read(place.file()).unwrap(), before, "{kind:?}");

        let mut target = place.target(Mode::Upsert);
        target.run_id = "later".into();
        let next = place.destination.open(&target).await.unwrap();
        assert!(!stage.join("users.new").exists(), "{kind:?}: half-written results go at once");
        let lost = "0192-run/7+9+00000000".to_owned();
        let answer = next.settle(&[(2, handle.clone()), (3, lost)]).await.unwrap();
        assert_eq!(answer, [(2, vec![Outcome::Succeeded])], "{kind:?}: a batch that is not there is not answered");
        assert_eq!(place.rows().await.len(), 2, "{kind:?}");
        assert!(!stage.exists(), "{kind:?}");
        assert!(next.settle(&[(2, handle)]).await.unwrap().is_empty(), "{kind:?}: settled once");
    }
}

#[tokio::test]
async fn files_that_cannot_be_merged_with_are_named_and_left_as_they_are() {
    let cases = [
        (Kind::Csv, "email,plan,plan\n", "`plan` occurs twice"),
        (Kind::Csv, "mail,plan\n", "no column `email`"),
        (Kind::Csv, "email,plan\na@x,free,1,2\n", "line 2: 4 cells"),
        (Kind::Csv, "email,plan\n\"a@x,free\n", "line 2: a quote is not closed"),
        (Kind::Jsonl, "{\"email\":\"a@x\"}\n[1]\n", "line 2: not a JSON object"),
        (Kind::Parquet, "not parquet at all", "users.parquet"),
    ];
    for (kind, text, expected) in cases {
        let place = Place::new(kind).await.unwrap();
        std::fs::write(place.file(), text).unwrap();
        let error = place.run(Mode::Upsert, &[batch(1, vec![send("a@x", "free 1")])]).await.unwrap_err();
        assert!(matches!(error, SendError::Fatal { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(std::fs::read_to_string(place.file()).unwrap(), text);
    }
}

#[tokio::test]
async fn stems_and_options_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let files = connect(DestinationKind::Files, serde_json::json!({ "path": folder.path().join("not/yet") }));
    for stem in ["", "../users", "a/b", ".hidden"] {
        let error = run(&*files, &target(stem, Mode::Upsert, serde_json::json!({})), &[]).await.unwrap_err();
        assert!(error.to_string().contains("stem"), "{stem}: {error}");
    }
    for options in [serde_json::json!({ "format": "xml" }), serde_json::json!({ "contents": "all" })] {
        let error = run(&*files, &target("users", Mode::Upsert, options), &[]).await.unwrap_err();
        let SendError::Fatal { help: Some(help), .. } = &error else { panic!("{error:?}") };
        assert!(help.contains("`jsonl`") && help.contains("`content`"), "{help}");
    }
    run(&*files, &target("users", Mode::Upsert, serde_json::json!({})), &[]).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("not/yet/users.csv")).unwrap(), "email,plan,seats\n");
}
