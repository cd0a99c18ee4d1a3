//! What the API answers, as far as it matters here
//! (<https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query#response-body>).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A page of a result, of `jobs.query` or `jobs.getQueryResults`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Page<'a> {
    pub job_reference: Option<Job>,
    #[serde(default)]
    pub job_complete: bool,
    pub schema: Option<Shape>,
    #[serde(default, deserialize_with = "count")]
    pub total_rows: Option<u64>,
    pub page_token: Option<String>,
    #[serde(default)]
    pub rows: Vec<Row<'a>>,
    /// Errors and warnings; whether the job has failed is not said here.
    #[serde(default)]
    pub errors: Vec<Problem>,
}

/// A job, and what became of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobAnswer {
    pub status: Option<Status>,
    pub statistics: Option<Statistics>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// There when the job has failed, and only then.
    pub error_result: Option<Problem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Statistics {
    pub query: Option<QueryStatistics>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueryStatistics {
    pub schema: Option<Shape>,
    pub statement_type: Option<String>,
    #[serde(default, deserialize_with = "count")]
    pub total_bytes_processed: Option<u64>,
}

/// Which job it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Job {
    pub job_id: Option<String>,
    pub location: Option<String>,
}

/// What is wrong.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    pub reason: String,
    pub message: String,
}

/// A refused request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refused {
    pub error: RefusedWith,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RefusedWith {
    pub message: String,
    pub errors: Vec<Problem>,
    pub status: String,
}

/// The columns of a result.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shape {
    pub fields: Vec<ColumnShape>,
}

/// A column, or a part of one.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ColumnShape {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub mode: Option<String>,
    #[serde(default)]
    pub fields: Vec<ColumnShape>,
    #[serde(default, deserialize_with = "count")]
    pub precision: Option<u64>,
    #[serde(default, deserialize_with = "count")]
    pub scale: Option<u64>,
}

/// 64-bit integers are text in Google's JSON.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u64),
        Text(String),
    }
    match Option::<Form>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Form::Number(count)) => Ok(Some(count)),
        Some(Form::Text(text)) => text.parse().map(Some).map_err(|_| D::Error::custom("expected a whole number")),
    }
}

/// A row: `{"f": [{"v": …}, …]}`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Row<'a> {
    #[serde(rename = "f")]
    pub cells: Vec<Boxed<'a>>,
}

/// A value in its box, `{"v": …}`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Boxed<'a> {
    #[serde(rename = "v")]
    pub cell: Cell<'a>,
}

/// A value. All that is not a list or a record is text.
#[derive(Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    List(Vec<Cell<'a>>),
    Record(Vec<Cell<'a>>),
}

impl Cell<'_> {
    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Text(text) => text.len(),
            Self::List(cells) | Self::Record(cells) => cells.iter().map(|cell| cell.size() + 4).sum(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(text)))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(if truth { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(number.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Cell<'de>, A::Error> {
        let mut cells = Vec::new();
        while let Some(item) = items.next_element::<Boxed<'de>>()? {
            cells.push(item.cell);
        }
        Ok(Cell::List(cells))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell<'de>, A::Error> {
        let mut cells = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "f" {
                let boxes: Vec<Boxed<'de>> = map.next_value()?;
                cells = Some(boxes.into_iter().map(|boxed| boxed.cell).collect());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        cells.map(Cell::Record).ok_or_else(|| A::Error::missing_field("f"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_shapes() {
        let text = |text: &'static str| Cell::Text(Cow::Borrowed(text));
        let cases = [
            (r#"{"v":null}"#, Cell::Null),
            (r#"{"v":"9007199254740993"}"#, text("9007199254740993")),
            (r#"{"v":"a\nb"}"#, text("a\nb")),
            (r#"{"v":true}"#, text("true")),
            (r#"{"v":9007199254740993}"#, text("9007199254740993")),
            (r#"{"v":[{"v":"1"},{"v":null}]}"#, Cell::List(vec![text("1"), Cell::Null])),
            (r#"{"v":{"f":[{"v":"1"},{"v":[]}]}}"#, Cell::Record(vec![text("1"), Cell::List(vec![])])),
        ];
        for (json, expected) in cases {
            let got: Boxed<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(got.cell, expected, "{json}");
        }
        for json in [r#"{}"#, r#"{"v":{"g":[]}}"#, r#"{"v":["1"]}"#, "7"] {
            assert!(serde_json::from_str::<Boxed<'_>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn counts_are_text_or_numbers() {
        let total = |json: &str| serde_json::from_str::<Page<'_>>(json).map(|page| page.total_rows).ok();
        assert_eq!(total(r#"{"totalRows":"18446744073709551615"}"#), Some(Some(u64::MAX)));
        assert_eq!(total(r#"{"totalRows":7}"#), Some(Some(7)));
        assert_eq!(total(r#"{}"#), Some(None));
        assert_eq!(total(r#"{"totalRows":"-1"}"#), None);
        assert_eq!(total(r#"{"totalRows":"many"}"#), None);
    }
}
