//! What companies and custom objects have in common: records found by dedupe fields or by a number of their own.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::answer::{Refusal, Said, result};
use super::fields::Field;
use super::leads::{Action, term};
use super::lookups::shown;
use super::{MAX_RECORDS, Request, paged};

/// A kind of object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ObjectType {
    /// API name.
    pub name: String,
    /// Name for people; the API name if there is none.
    pub display_name: Option<String>,
    /// The field that Marketo numbers records by: `marketoGUID`, for companies `id`.
    #[serde(default = "guid")]
    pub id_field: String,
    /// The fields that tell records apart.
    pub dedupe_fields: Vec<String>,
    /// Further fields records can be found by.
    pub searchable_fields: Vec<String>,
    /// All fields, the dedupe fields included.
    pub fields: Vec<Field>,
}

fn guid() -> String {
    "marketoGUID".to_owned()
}

/// A record of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// API name of its type.
    pub object: String,
    /// Name and value of the field Marketo gives.
    pub id: (String, Value),
    /// What was sent.
    pub fields: Map<String, Value>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

impl Record {
    pub(super) fn whole(&self) -> Value {
        let mut whole = Map::new();
        whole.insert(self.id.0.clone(), self.id.1.clone());
        whole.extend(self.fields.clone());
        whole.insert("createdAt".to_owned(), shown(self.created));
        whole.insert("updatedAt".to_owned(), shown(self.updated));
        Value::Object(whole)
    }

    fn has(&self, field: &str, wanted: &str) -> bool {
        let value = if field == self.id.0 { Some(&self.id.1) } else { self.fields.get(field) };
        value.and_then(term).is_some_and(|term| term == wanted)
    }
}

impl ObjectType {
    /// Key of a record in the index of dedupe values; none when it lacks one of them.
    pub(super) fn dedupe_key(&self, fields: &Map<String, Value>) -> Option<String> {
        let mut key = self.name.clone();
        for name in &self.dedupe_fields {
            key.push('\0');
            key.push_str(&term(fields.get(name)?)?);
        }
        Some(key)
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn accept(&self, record: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        let mut kept = Map::new();
        for (name, value) in record.iter().filter(|(name, _)| **name != self.id_field) {
            let field = self.field(name).ok_or_else(|| Refusal::no_field(name))?;
            if field.read_only {
                return Err(Refusal::new(1011, format!("Field '{name}' not supported")));
            }
            kept.insert(name.clone(), field.accept(value)?);
        }
        Ok(kept)
    }

    pub(super) fn described(&self, now: Timestamp, with_fields: bool) -> Value {
        let mut searchable = vec![json!(self.dedupe_fields), json!([self.id_field])];
        searchable.extend(self.searchable_fields.iter().map(|field| json!([field])));
        let label = self.display_name.as_ref().unwrap_or(&self.name);
        let mut shown = json!({ "name": self.name, "displayName": label, "description": null,
            "createdAt": self::shown(now), "updatedAt": self::shown(now), "idField": self.id_field,
            "dedupeFields": self.dedupe_fields, "searchableFields": searchable, "relationships": [] });
        if let (true, Value::Object(shown)) = (with_fields, &mut shown) {
            let own = Field::standard(&self.id_field, &self.id_field, "string", 36).fixed();
            let stamp = |name: &str| Field::standard(name, name, "datetime", 0).fixed();
            let own = [own, stamp("createdAt"), stamp("updatedAt")];
            let fields: Vec<Value> = own.iter().chain(&self.fields).map(Field::described).collect();
            shown.insert("fields".to_owned(), fields.into());
        }
        shown
    }
}

/// Whether records are found by what Marketo gave them.
fn by_id(request: &Request<'_>, member: &str) -> Result<bool, Refusal> {
    match request.text(member) {
        None | Some("dedupeFields") => Ok(false),
        Some("idField") => Ok(true),
        Some(other) => Err(Refusal::wrong(other, member)),
    }
}

/// The record a request names.
fn find(
    account: &Account,
    kind: &ObjectType,
    record: &Map<String, Value>,
    by_id: bool,
) -> Result<Option<u64>, Refusal> {
    if by_id {
        let wanted = record.get(&kind.id_field).and_then(term).ok_or_else(|| Refusal::missing(&kind.id_field))?;
        let found = account.records.iter().find(|(_, r)| r.object == kind.name && r.has(&kind.id_field, &wanted));
        return Ok(found.map(|(key, _)| *key));
    }
    let key = kind.dedupe_key(record).ok_or_else(|| Refusal::missing(&kind.dedupe_fields.join(", ")))?;
    Ok(account.by_dedupe.get(&key).copied())
}

fn skipped(seq: usize, refusal: &Refusal) -> Value {
    json!({ "seq": seq, "status": "skipped", "reasons": refusal.reason() })
}

/// Makes and changes records.
pub(super) fn sync(account: &mut Account, request: &Request<'_>, kind: &ObjectType) -> Said {
    let (input, action, by_id) = (request.input()?, Action::of(request)?, by_id(request, "dedupeBy")?);
    if action == Action::CreateDuplicate {
        return Err(Refusal::wrong("createDuplicate", "action"));
    }
    if by_id && action != Action::UpdateOnly {
        return Err(Refusal::new(1003, "dedupeBy 'idField' is only allowed with action 'updateOnly'"));
    }
    let mut seen = std::collections::HashSet::new();
    let results = input.into_iter().enumerate().map(|(seq, record)| {
        let twice = !by_id && kind.dedupe_key(record).is_some_and(|key| !seen.insert(key));
        let taken = match (request.call.trouble.refuses(seq), twice) {
            (true, _) => Err(Refusal::usual(1003)),
            (_, true) => Err(Refusal::usual(1036)),
            _ => take(account, kind, record, action, by_id, request.call.now),
        };
        match taken {
            Ok(((name, id), status)) => json!({ "seq": seq, "status": status, name: id }),
            Err(refusal) => skipped(seq, &refusal),
        }
    });
    Ok(result(results.collect()))
}

/// Takes one record: what Marketo numbers it by, and what was done.
fn take(
    account: &mut Account,
    kind: &ObjectType,
    record: &Map<String, Value>,
    action: Action,
    by_id: bool,
    now: Timestamp,
) -> Result<((String, Value), &'static str), Refusal> {
    let fields = kind.accept(record)?;
    let found = find(account, kind, record, by_id)?;
    match (action, found) {
        (Action::UpdateOnly, None) => Err(Refusal::usual(1013)),
        (Action::CreateOnly, Some(_)) => Err(Refusal::usual(1017)),
        (_, Some(key)) => {
            let Some(held) = account.records.get_mut(&key) else { return Err(Refusal::usual(1013)) };
            for (name, value) in fields {
                if value.is_null() { _ = held.fields.shift_remove(&name) } else { _ = held.fields.insert(name, value) }
            }
            held.updated = now;
            Ok((held.id.clone(), "updated"))
        }
        (_, None) => {
            let number = account.records.upcoming();
            let id = match kind.id_field.as_str() {
                "id" => number.into(),
                _ => uuid::Uuid::now_v7().to_string().into(),
            };
            let id = (kind.id_field.clone(), id);
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
            let record = Record { object: kind.name.clone(), id: id.clone(), fields, created: now, updated: now };
            if let Some(key) = kind.dedupe_key(&record.fields) {
                account.by_dedupe.insert(key, number);
            }
            account.records.place(number, record);
            Ok((id, "created"))
        }
    }
}

/// Deletes records.
pub(super) fn delete(account: &mut Account, request: &Request<'_>, kind: &ObjectType) -> Said {
    let (input, by_id) = (request.input()?, by_id(request, "deleteBy")?);
    let results = input.into_iter().enumerate().map(|(seq, record)| {
        let found = match request.call.trouble.refuses(seq) {
            true => Err(Refusal::usual(1003)),
            false => find(account, kind, record, by_id),
        };
        match found.map(|key| key.and_then(|key| account.records.remove(&key))) {
            Err(refusal) => skipped(seq, &refusal),
            Ok(None) => skipped(seq, &Refusal::usual(1013)),
            Ok(Some(gone)) => {
                let key = kind.dedupe_key(&gone.fields);
                key.and_then(|key| account.by_dedupe.remove(&key));
                let (name, id) = gone.id;
                json!({ "seq": seq, "status": "deleted", name: id })
            }
        }
    });
    Ok(result(results.collect()))
}

/// Finds records by one field, or by all dedupe fields with a body.
pub(super) fn query(account: &Account, request: &Request<'_>, kind: &ObjectType) -> Said {
    let filter = request.query("filterType").or_else(|| request.text("filterType"));
    let filter = filter.ok_or_else(|| Refusal::missing("filterType"))?;
    let names = fields(request);
    let wanted: Vec<Value> = if let ("dedupeFields", Some(_)) = (filter, &request.json) {
        let found = request.input()?.into_iter().map(|record| find(account, kind, record, false));
        let found: Vec<Option<u64>> = found.collect::<Result<_, _>>()?;
        found.into_iter().flatten().filter_map(|key| account.records.get(&key)).map(Record::whole).collect()
    } else {
        let field = match filter {
            "idField" => kind.id_field.as_str(),
            "dedupeFields" => kind.dedupe_fields.first().map_or("", String::as_str),
            other => other,
        };
        let searchable = field == kind.id_field
            || kind.dedupe_fields.iter().chain(&kind.searchable_fields).any(|name| name == field);
        if !searchable {
            return Err(Refusal::new(1003, format!("Invalid filterType '{field}'")));
        }
        let values = request.query_list("filterValues");
        if values.is_empty() {
            return Err(Refusal::missing("filterValues"));
        }
        if values.len() > MAX_RECORDS {
            return Err(Refusal::too_many("filterValues"));
        }
        let terms: Vec<String> = values.iter().map(|value| value.to_lowercase()).collect();
        let records = account.records.values().filter(|record| record.object == kind.name);
        records.filter(|record| terms.iter().any(|term| record.has(field, term))).map(Record::whole).collect()
    };
    let shown = wanted.into_iter().enumerate().map(|(seq, record)| {
        let mut shown = Map::new();
        shown.insert("seq".to_owned(), seq.into());
        for (name, value) in record.as_object().into_iter().flatten() {
            if names.is_empty() || *name == kind.id_field || names.contains(name) {
                shown.insert(name.clone(), value.clone());
            }
        }
        Value::Object(shown)
    });
    Ok(paged(shown.collect(), request.page()?))
}

/// The fields a query asks for, in the query or in the body.
fn fields(request: &Request<'_>) -> Vec<String> {
    let body = request.json.as_ref().and_then(|body| body.get("fields")).and_then(Value::as_array);
    let in_body = body.into_iter().flatten().filter_map(Value::as_str);
    request.query_list("fields").into_iter().chain(in_body).map(str::to_owned).collect()
}
