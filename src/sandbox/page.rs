//! The page at `/`: what arrived. Text only, no script, nothing from elsewhere.

use minijinja::value::Serde;
use minijinja::{Environment, Value as Shown};
use serde_json::{Map, Value, json};

use super::wire::Answer;
use super::{Shared, lock};

/// Rows of each table, and characters of each value.
const ROWS: usize = 50;
const LONG: usize = 300;

pub(super) fn answer(shared: &Shared, query: &[(String, String)]) -> Answer {
    let refresh = query.iter().find(|(name, _)| name == "refresh").and_then(|(_, seconds)| seconds.parse::<u32>().ok());
    match render(&context(shared, refresh.map(|seconds| seconds.clamp(1, 3600)))) {
        Ok(html) => Answer::text(200, "text/html; charset=utf-8", html),
        Err(error) => Answer::text(500, "text/plain; charset=utf-8", format!("the page cannot be made: {error:#}")),
    }
}

fn render(context: &Value) -> Result<String, minijinja::Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    env.add_template("page.css", include_str!("page.css"))?;
    env.add_template("page.html", include_str!("page.html"))?;
    env.get_template("page.html")?.render(Shown::from(Serde(context)))
}

/// A table: heading, how many there are, columns, the latest rows.
struct Table {
    title: &'static str,
    id: &'static str,
    count: usize,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new<T>(
        title: &'static str,
        id: &'static str,
        columns: &'static [&'static str],
        count: usize,
        latest: impl Iterator<Item = T>,
        row: impl Fn(T) -> Vec<String>,
    ) -> Self {
        let rows = latest.take(ROWS).map(|item| row(item).into_iter().map(cut).collect()).collect();
        Self { title, id, count, columns, rows }
    }

    fn shown(self) -> Value {
        json!({ "title": self.title, "id": self.id, "count": self.count, "columns": self.columns, "rows": self.rows,
            "more": self.count.saturating_sub(self.rows.len()) })
    }
}

/// A value that is not endless.
fn cut(text: String) -> String {
    match text.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text,
    }
}

/// A value as text: strings without quotes.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Fields as `name: value`, one after the other.
fn fields(fields: &Map<String, Value>) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", text(Some(value)))).collect();
    pairs.join(" · ")
}

fn context(shared: &Shared, refresh: Option<u32>) -> Value {
    let mut tables = iterable(shared);
    tables.extend(marketo(shared));
    let record = lock(&shared.record);
    let requests = record.entries.iter().rev().take(ROWS * 2).map(|entry| {
        let tone = match entry.status {
            Some(200..=299) if entry.code.is_none() => "good",
            Some(_) => "bad",
            None => "lost",
        };
        json!({ "time": entry.at.strftime("%H:%M:%S").to_string(), "method": entry.method, "path": cut(entry.path.clone()),
            "records": entry.records, "status": entry.status.map_or("no answer".to_owned(), |status| status.to_string()),
            "code": entry.code.clone().unwrap_or_default(), "tone": tone, "milliseconds": entry.milliseconds,
            "fault": entry.fault.map(|kind| text(Some(&json!(kind)))).unwrap_or_default() })
    });
    let requests: Vec<Value> = requests.collect();
    let total = record.total;
    drop(record);
    let faults: Vec<String> = shared.faults().list().iter().map(|fault| fault.to_string()).collect();
    let tables: Vec<Value> = tables.into_iter().map(Table::shown).collect();
    json!({ "tables": tables, "requests": requests, "total": total, "faults": faults, "refresh": refresh,
        "address": shared.address.to_string() })
}

fn iterable(shared: &Shared) -> Vec<Table> {
    let held = lock(&shared.iterable);
    let account = &held.account;
    let get = |value: &Value, name: &str| text(value.get(name));
    vec![
        Table::new(
            "Iterable users",
            "iterable-users",
            &["email", "userId", "fields"],
            account.users.len(),
            account.users.values().rev(),
            |user| {
                let name = |name: &Option<String>| name.clone().unwrap_or_default();
                vec![name(&user.email), name(&user.user_id), fields(&user.data)]
            },
        ),
        Table::new(
            "Iterable events",
            "iterable-events",
            &["event", "user", "id", "fields"],
            account.events.len(),
            account.events.values().rev(),
            |event| {
                let user = if event.get("email").is_some_and(Value::is_string) {
                    get(event, "email")
                } else {
                    get(event, "userId")
                };
                vec![get(event, "eventName"), user, get(event, "id"), get(event, "dataFields")]
            },
        ),
        Table::new(
            "Iterable purchases",
            "iterable-purchases",
            &["id", "user", "total", "items"],
            account.purchases.len(),
            account.purchases.values().rev(),
            |purchase| {
                vec![
                    get(purchase, "id"),
                    text(purchase.pointer("/user/email")),
                    get(purchase, "total"),
                    get(purchase, "items"),
                ]
            },
        ),
        Table::new(
            "Iterable lists",
            "iterable-lists",
            &["id", "name", "members"],
            account.lists.len(),
            account.lists.iter().rev(),
            |(id, list)| vec![id.to_string(), list.name.clone(), list.members.len().to_string()],
        ),
        Table::new(
            "Iterable catalogs",
            "iterable-catalogs",
            &["name", "items"],
            account.catalogs.len(),
            account.catalogs.iter(),
            |(name, items)| vec![name.clone(), items.len().to_string()],
        ),
    ]
}

fn marketo(shared: &Shared) -> Vec<Table> {
    let held = lock(&shared.marketo);
    let account = &held.account;
    let get = |value: &Value, name: &str| text(value.get(name));
    vec![
        Table::new(
            "Marketo leads",
            "marketo-leads",
            &["id", "email", "fields"],
            account.leads.len(),
            account.leads.iter().rev(),
            |(id, lead)| vec![id.to_string(), text(lead.fields.get("email")), fields(&lead.fields)],
        ),
        Table::new(
            "Marketo activities",
            "marketo-activities",
            &["id", "type", "lead", "date", "attributes"],
            account.activities.len(),
            account.activities.values().rev(),
            |activity| {
                ["id", "activityType", "leadId", "activityDate", "attributes"]
                    .iter()
                    .map(|name| get(activity, name))
                    .collect()
            },
        ),
        Table::new(
            "Marketo lists",
            "marketo-lists",
            &["id", "name", "members"],
            account.lists.len(),
            account.lists.iter().rev(),
            |(id, list)| vec![id.to_string(), list.name.clone(), list.members.len().to_string()],
        ),
        Table::new(
            "Marketo objects",
            "marketo-objects",
            &["object", "fields"],
            account.records.len(),
            account.records.values().rev(),
            |record| vec![record.object.clone(), fields(&record.fields)],
        ),
        Table::new(
            "Marketo program members",
            "marketo-members",
            &["program", "lead", "status"],
            account.members.len(),
            account.members.values().rev(),
            |member| vec![member.program_id.to_string(), member.lead_id.to_string(), member.status.clone()],
        ),
    ]
}
