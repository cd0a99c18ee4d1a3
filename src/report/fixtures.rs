//! Plans and runs as test cases read them: `sync("users").added(3).sample(…)`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::diagnostic::{Place, SourceText};
use crate::plan::*;

/// A sync plan in the making.
pub struct SyncFixture(pub SyncPlan);

/// A sync `NAME` from model `contacts` to `iterable user`, mode upsert, without changes.
pub fn sync(name: &str) -> SyncFixture {
    SyncFixture(SyncPlan {
        sync: name.into(),
        model: "contacts".into(),
        destination: "iterable".into(),
        object: "user".into(),
        mode: "upsert".into(),
        ..SyncPlan::default()
    })
}

impl SyncFixture {
    pub fn mode(mut self, mode: &str) -> Self {
        self.0.mode = mode.into();
        self
    }

    pub fn to(mut self, destination: &str, object: &str) -> Self {
        (self.0.destination, self.0.object) = (destination.into(), object.into());
        self
    }

    pub fn added(mut self, n: u64) -> Self {
        self.0.counts.added = n;
        self
    }

    pub fn changed(mut self, n: u64) -> Self {
        self.0.counts.changed = n;
        self
    }

    pub fn removed(mut self, n: u64) -> Self {
        self.0.counts.removed = n;
        self
    }

    pub fn unchanged(mut self, n: u64) -> Self {
        self.0.counts.unchanged = n;
        self
    }

    pub fn operations(mut self, send: u64, delete: u64, none: u64) -> Self {
        self.0.operations = Operations { send, delete, clear: 0, none };
        self
    }

    pub fn causes(mut self, data: u64, configuration: u64, first_run: u64) -> Self {
        self.0.causes = Causes { data, configuration, first_run, ..Causes::default() };
        self
    }

    pub fn field(mut self, name: &str, rows: u64) -> Self {
        self.0.fields.insert(name.into(), rows);
        self
    }

    pub fn held(mut self, rejected: u64, no_match: u64) -> Self {
        self.0.held = HeldCounts { rejected, no_match, in_doubt: 0 };
        self
    }

    /// A sample; each field is name, before, after, where `null` means there is none.
    pub fn sample(mut self, state: &str, key: &str, fields: &[(&str, Value, Value)]) -> Self {
        let field = |(name, before, after): &(&str, Value, Value)| FieldChange {
            name: (*name).into(),
            before: Some(before.clone()).filter(|v| !v.is_null()),
            after: Some(after.clone()).filter(|v| !v.is_null()),
            ..FieldChange::default()
        };
        let fields = fields.iter().map(field).collect();
        self.0.samples.push(Sample { state: state.into(), key: key.into(), key_unknown: false, fields });
        self
    }

    /// All values of all samples so far come from sensitive columns.
    pub fn sensitive(mut self) -> Self {
        self.0.samples.iter_mut().flat_map(|s| &mut s.fields).for_each(|f| f.sensitive = true);
        self
    }

    pub fn invalid(mut self, reason: &str, count: u64, keys: &[&str]) -> Self {
        self.0.counts.invalid += count;
        let keys = keys.iter().map(|k| (*k).to_owned()).collect();
        self.0.invalid.push(Invalid { reason: reason.into(), count, keys, ..Invalid::default() });
        self
    }

    pub fn guard(mut self, name: &str, limit: &str, actual: u64, ok: bool) -> Self {
        self.0.guards.push(Guard { name: name.into(), limit: limit.into(), actual, ok });
        self
    }

    pub fn estimate(mut self, requests: u64, seconds: u64, queried_records: u64) -> Self {
        self.0.estimate = Estimate { requests, seconds, queried_records };
        self
    }
}

/// A plan for `sandbox` of these syncs, with its sums.
pub fn plan(syncs: Vec<SyncFixture>) -> Plan {
    let mut plan = Plan {
        format_version: "1.0".into(),
        plan_id: "0193-plan".into(),
        digest: "sha256:7d0e".into(),
        created_at: "2026-11-22T06:00:00Z".into(),
        environment: "sandbox".into(),
        project: ProjectInfo { name: "acme-marketing".into(), ..ProjectInfo::default() },
        complete: true,
        ..Plan::default()
    };
    for SyncFixture(mut sync) in syncs {
        let c = &mut sync.counts;
        c.rows = c.added + c.changed + c.unchanged + c.invalid;
        plan.totals.added += c.added;
        plan.totals.changed += c.changed;
        plan.totals.removed += c.removed;
        plan.totals.invalid += c.invalid;
        plan.syncs.push(sync);
    }
    plan
}

/// Nothing differs.
pub fn empty() -> Plan {
    plan(vec![sync("users").unchanged(38_889), sync("events").unchanged(9_335)])
}

/// The sync never ran.
pub fn first_run() -> Plan {
    plan(vec![
        sync("leads")
            .to("marketo", "lead")
            .added(310)
            .causes(0, 0, 310)
            .operations(310, 0, 0)
            .estimate(2, 1, 310)
            .sample(
                "added",
                "grace@example.com",
                &[("country", json!(null), json!("US")), ("seats", json!(null), json!(12))],
            )
            .guard("max_added", "200000", 310, true),
    ])
}

/// A week like any other: data and configuration changed, some rows are held, some invalid.
pub fn typical() -> Plan {
    let mut plan = plan(vec![
        sync("iterable_production")
            .mode("mirror")
            .added(1_204)
            .changed(8_117)
            .removed(3)
            .unchanged(38_889)
            .causes(1_521, 7_800, 0)
            .operations(9_321, 3, 0)
            .field("country", 8_117)
            .field("firstName", 311)
            .held(12, 2)
            .estimate(10, 200, 48_227)
            .sample(
                "changed",
                "ada@example.com",
                &[("country", json!(null), json!("GB")), ("firstName", json!("ada lovelace"), json!("Ada Lovelace"))],
            )
            .sample(
                "added",
                "grace@example.com",
                &[("country", json!(null), json!("US")), ("seats", json!(null), json!(12))],
            )
            .sample("removed", "alan@example.com", &[("country", json!("GB"), json!(null))])
            .invalid("null_key", 12, &[])
            .invalid("duplicate_key", 2, &["joan@example.com"])
            .guard("max_removed", "5%", 3, true),
        sync("first_namespace_details").unchanged(9_335),
        sync("marketo_activities").to("marketo", "custom_activity").mode("insert").unchanged(812),
    ]);
    plan.project.commit = Some("91ab03d4c0ffee5eed00000000000000deadbeef".into());
    plan.project.against = Some("main".into());
    plan.configuration = vec![
        ConfigurationChange {
            kind: "model".into(),
            name: "contacts".into(),
            change: "changed".into(),
            file: "models/contacts.sql".into(),
            diff: "--- a/models/contacts.sql\n+++ b/models/contacts.sql\n@@ -1,3 +1,3 @@\n select *\n from contacts\n-where last_seen > current_date - 30\n+where last_seen > current_date - 90\n".into(),
            affects: vec!["iterable_production".into()],
        },
        ConfigurationChange {
            kind: "sync".into(),
            name: "marketo_activities".into(),
            change: "added".into(),
            file: "syncs/marketo_activities.yaml".into(),
            diff: "@@ -0,0 +1,2 @@\n+name: marketo_activities\n+model: activities\n".into(),
            affects: vec!["marketo_activities".into()],
        },
    ];
    plan.warnings = vec![Notice {
        code: "budget".into(),
        message: "48 227 of 1 500 000 monthly queried records would be used by this plan".into(),
        ..Notice::default()
    }];
    plan
}

/// A guard refuses; the plan explains one refusal itself, the other one comes from the guard alone.
pub fn refused() -> Plan {
    let mut plan = plan(vec![
        sync("users")
            .mode("mirror")
            .removed(2_310)
            .unchanged(1_000)
            .operations(0, 2_310, 0)
            .guard("max_removed", "10%", 2_310, false)
            .guard("min_rows", "2000", 1_000, false),
    ]);
    plan.refusals = vec![Notice {
        code: "max_removed".into(),
        sync: Some("users".into()),
        message: "`users` would remove 2 310 of 3 310 rows (70%); the limit is 10%".into(),
        place: Some("syncs/users.yaml:21:11".into()),
        ..Notice::default()
    }];
    plan
}

/// Rows of every invalid kind, nothing to send.
pub fn invalid() -> Plan {
    let mut plan = plan(vec![
        sync("users")
            .unchanged(100)
            .invalid("null_key", 3, &[])
            .invalid("duplicate_key", 1_200, &["ada@example.com", "grace@example.com"])
            .invalid("unmappable", 1, &["alan@example.com"]),
    ]);
    if let Some(last) = plan.syncs.iter_mut().flat_map(|s| &mut s.invalid).last() {
        last.field = Some("birthday".into());
        last.message = Some("text is not a date".into());
    }
    plan
}

/// State that keeps fingerprints alone: old values are unknown.
pub fn fingerprint() -> Plan {
    let mut plan = plan(vec![sync("users").changed(17).unchanged(983).causes(17, 0, 0).operations(17, 0, 0).sample(
        "changed",
        "ada@example.com",
        &[("country", json!(null), json!("GB"))],
    )]);
    for sync in &mut plan.syncs {
        sync.unknown_before = 17;
        sync.samples.iter_mut().flat_map(|s| &mut s.fields).for_each(|f| f.before_unknown = true);
    }
    plan
}

/// Two hundred syncs: every second one has changes, with fields and samples.
pub fn many(n: usize) -> Plan {
    plan(
        (0..n)
            .map(|i| {
                let sync = sync(&format!("sync_{i:03}")).unchanged(1_000);
                if i % 2 == 1 {
                    return sync;
                }
                let mut sync = sync.changed(i as u64 + 6).operations(i as u64 + 6, 0, 0).field("plan", 6);
                for s in 0..6 {
                    let before = json!(format!("ancien forfait n° {s}"));
                    sync = sync.sample(
                        "changed",
                        &format!("user{s}@example.com"),
                        &[("plan", before, json!("premium ✓"))],
                    );
                }
                sync
            })
            .collect(),
    )
}

/// A value that tries everything a value can try.
pub const EVIL: &str = "</script><img src=x onerror=alert(1)> | `x` ``` @team #123 <!-- --> [a](https://evil.example) www.evil.example \u{1b}[31m \u{202e} \n\r end";

/// A plan in which every text that comes from data or files is [`EVIL`].
pub fn evil() -> Plan {
    let mut plan = plan(vec![
        sync(EVIL)
            .to(EVIL, EVIL)
            .mode(EVIL)
            .added(1)
            .changed(1)
            .removed(1)
            .field(EVIL, 1)
            .sample("changed", EVIL, &[(EVIL, json!(EVIL), json!({ EVIL: [EVIL] }))])
            .sample("added", EVIL, &[(EVIL, json!(null), json!(EVIL))])
            .sample("removed", EVIL, &[(EVIL, json!(EVIL), json!(null))])
            .invalid(EVIL, 1, &[EVIL])
            .guard(EVIL, EVIL, 1, false),
    ]);
    let text = || EVIL.to_owned();
    plan.environment = text();
    plan.project = ProjectInfo { name: text(), commit: Some(text()), against: Some(text()) };
    plan.plan_id = text();
    plan.digest = text();
    for sync in &mut plan.syncs {
        sync.model = text();
        sync.invalid.iter_mut().for_each(|i| (i.field, i.message) = (Some(text()), Some(text())));
    }
    let notice = Notice {
        code: text(),
        sync: Some(text()),
        message: text(),
        help: Some(text()),
        place: Some(text()),
        keys: Vec::new(),
    };
    plan.warnings.push(notice.clone());
    plan.refusals.push(notice);
    plan.configuration.push(ConfigurationChange {
        kind: text(),
        name: text(),
        change: text(),
        file: text(),
        diff: format!("+{EVIL}"),
        affects: vec![text()],
    });
    plan
}

/// A run with every outcome.
pub fn partial_run() -> Value {
    json!({
        "format_version": "1.0", "run_id": "0193-run", "plan_id": "0193-plan", "environment": "prod", "status": "partial",
        "started_at": "2026-11-22T06:00:00Z", "finished_at": "2026-11-22T06:03:20Z",
        "syncs": [
            { "sync": "iterable_production", "status": "partial", "planned": { "added": 1204, "changed": 8117, "removed": 3 },
              "succeeded": { "added": 1200, "changed": 8104, "removed": 3 }, "rejected": 14, "no_match": 3, "unverified": 0,
              "in_doubt": 0, "requests": 12, "retries": 3,
              "rejections": [
                  { "key": "ada@example.com", "code": "invalid_email", "message": "email is not valid", "count": 1 },
                  { "key": "grace@example.com", "code": "1004", "message": "No record was found with lookup for email:grace@example.com", "count": 1 },
                  { "key": "alan@example.com", "code": "invalid_email", "message": "email is not valid", "count": 12 } ],
              "usage": { "queried_records": 48227 } },
            { "sync": "marketo_activities", "status": "succeeded", "planned": { "added": 0, "changed": 0, "removed": 0 },
              "succeeded": { "added": 0, "changed": 0, "removed": 0 }, "rejected": 0, "no_match": 0, "unverified": 0,
              "in_doubt": 0, "requests": 0, "retries": 0, "rejections": [], "usage": { "queried_records": 0 } }
        ]
    })
}

/// The place of the first `needle` in a file.
pub fn place(path: &str, text: &str, needle: &str) -> Place {
    let start = text.find(needle).unwrap_or(0);
    Place { source: SourceText { path: path.into(), text: Arc::from(text) }, span: start..start + needle.len() }
}

/// The plans that every form is shown with.
pub fn plans() -> [(&'static str, Plan); 7] {
    [
        ("empty", empty()),
        ("no_syncs", plan(vec![])),
        ("first_run", first_run()),
        ("typical", typical()),
        ("refused", refused()),
        ("invalid", invalid()),
        ("fingerprint", fingerprint()),
    ]
}
