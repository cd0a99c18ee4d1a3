//! Whatever an API answers: nothing panics, and every record gets an outcome or none does.

use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::compile;
use crate::connectors::{Compiled, Http, Setup};
use crate::destinations::{Action, Batch, Destination as _, Operation, Outcome, SendError, Sent, Target, TargetField};
use crate::http::{Call, CallError, Reply, Transport};
use crate::manifest::sync::{Mode, OnNull, OnRemoved, Write};
use crate::mapping::{Record, Value};
use crate::secret::Connection;

/// Gives the same answer to everything.
pub(super) struct Always(pub Mutex<Reply>);

#[async_trait]
impl Transport for Always {
    async fn call(&self, _: Call) -> Result<Reply, CallError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

pub(super) fn target(object: &str, mode: Mode, fields: &[&str]) -> Target {
    let field = |name: &str| TargetField {
        name: name.into(),
        on_null: OnNull::Send,
        write: Write::Always,
        data_type: None,
        meaning: Default::default(),
    };
    Target {
        sync: "people".into(),
        identity: "people".into(),
        object: object.into(),
        mode,
        on_removed: OnRemoved::Keep,
        matching: vec![field("id")],
        fields: fields.iter().map(|name| field(name)).collect(),
        options: serde_json::Map::new(),
        run_id: "run".into(),
        operations: 3,
    }
}

pub(super) fn operation(ordinal: u64, id: &str, fields: Vec<Value>) -> Operation {
    Operation {
        ordinal,
        action: Action::Send,
        added: true,
        key: id.into(),
        dedupe_id: format!("d{ordinal}").as_str().into(),
        record: Record { matching: vec![Value::Text(id.into())], fields: fields.into_iter().map(Some).collect() }
            .into(),
        in_doubt: false,
    }
}

const WORDS: &[&str] = &[
    "result",
    "status",
    "ok",
    "skipped",
    "errors",
    "index",
    "id",
    "a",
    "b",
    "c",
    "code",
    "message",
    "failed",
    "names",
    "created",
    "failCount",
    "job",
    "done",
    "token",
];

fn json() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(WORDS);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-2_i64..5).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        word.clone().prop_map(Json::from),
        ".{0,8}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec((word.clone(), inner), 0..5)
                .prop_map(|entries| Json::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

static SHAPES: LazyLock<Arc<Compiled>> =
    LazyLock::new(|| compile("shapes", include_str!("../../../tests/connectors/shapes.yaml")));

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_never_trusted(
        body in json(),
        cut in prop::option::of(0_usize..40),
        status in prop::sample::select(vec![200_u16, 201, 202, 204, 207, 301, 400, 401, 404, 409, 413, 429, 500, 503, 599]),
        object in prop::sample::select(vec!["order", "index", "key", "whole", "counts", "keyed", "found"]),
        n in 1_usize..4,
    ) {
        let connector = Arc::clone(&SHAPES);
        let mut bytes = body.to_string().into_bytes();
        if let Some(cut) = cut { bytes.truncate(cut) }
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let reply = Reply { status, headers, body: bytes };
        let setup = Setup { transport: Some(Arc::new(Always(Mutex::new(reply)))), ..Setup::default() };
        let connection = Connection::new(serde_json::Map::from_iter([("base_url".into(), json!("http://x"))]), vec![]);
        let http = Http::with(connector, &connection, &setup, false).unwrap();
        let operations = (0..n).map(|i| operation(i as u64, ["a", "b", "c"][i], vec![])).collect();
        let batch = Batch { id: 1, operations };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let sent = runtime.block_on(async {
            let writer = http.open(&target(object, Mode::Upsert, &[])).await?;
            writer.send(&batch).await
        });
        match sent {
            Ok(Sent::Outcomes(outcomes)) => {
                prop_assert_eq!(outcomes.len(), n);
                // A refusal by status is never a success, and neither is what cannot be read.
                let success = outcomes.contains(&Outcome::Succeeded);
                prop_assert!(!success || (200..300).contains(&status), "{:?} for {}", outcomes, status);
                prop_assert!(!success || cut.is_none_or(|cut| cut >= body.to_string().len() || cut == 0 || body.is_number()));
            }
            Ok(Sent::Partly { outcomes, .. }) => {
                prop_assert_eq!(outcomes.len(), n);
                prop_assert!(outcomes.iter().any(Option::is_some) && outcomes.iter().any(Option::is_none));
            }
            Ok(Sent::Deferred { .. }) => prop_assert!(false, "nothing here is a job"),
            Err(SendError::Oversize { fits }) => prop_assert!(fits < n),
            Err(error) => prop_assert!(error.to_string().chars().count() < 400),
        }
    }
}
