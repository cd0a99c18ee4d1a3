//! What can be asked about leads: by filter, by id, and which fields there are.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::account::{Account, Lead};
use super::answer::{Refusal, Said, result};
use super::{MAX_RECORDS, Request, paged};

/// Most leads a filter may find.
const MAX_FOUND: usize = 1000;
/// What is told of a lead when nothing is asked for.
const USUAL: [&str; 6] = ["id", "firstName", "lastName", "email", "updatedAt", "createdAt"];

pub(super) fn shown(moment: Timestamp) -> Value {
    Value::from(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A lead with these fields; what it does not have is null.
fn with_fields(id: u64, lead: &Lead, names: &[&str]) -> Value {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), id.into());
    for name in names.iter().filter(|name| **name != "id") {
        let value = match *name {
            "createdAt" => self::shown(lead.created),
            "updatedAt" => self::shown(lead.updated),
            name => lead.fields.get(name).cloned().unwrap_or_default(),
        };
        shown.insert((*name).to_owned(), value);
    }
    Value::Object(shown)
}

/// A lead with all it has.
pub(super) fn whole(id: u64, lead: &Lead) -> Value {
    let mut whole = Map::new();
    whole.insert("id".to_owned(), id.into());
    whole.extend(lead.fields.clone());
    whole.insert("partition".to_owned(), lead.partition.clone().into());
    whole.insert("createdAt".to_owned(), shown(lead.created));
    whole.insert("updatedAt".to_owned(), shown(lead.updated));
    Value::Object(whole)
}

/// The fields a request asks for.
fn fields<'a>(account: &Account, request: &'a Request<'_>) -> Result<Vec<&'a str>, Refusal> {
    let names = request.query_list("fields");
    match names.iter().find(|name| !account.lead_fields.contains(**name)) {
        Some(unknown) => Err(Refusal::no_field(unknown)),
        None if names.is_empty() => Ok(USUAL.to_vec()),
        None => Ok(names),
    }
}

/// GET /rest/v1/leads.json, also as a POST with `_method=GET`.
pub(super) fn by_filter(account: &Account, request: &Request<'_>) -> Said {
    let filter = request.query("filterType").ok_or_else(|| Refusal::missing("filterType"))?;
    let values = request.query_list("filterValues");
    if values.is_empty() {
        return Err(Refusal::missing("filterValues"));
    }
    if values.len() > MAX_RECORDS {
        return Err(Refusal::too_many("filterValues"));
    }
    account.check_lookup(filter)?;
    let names = fields(account, request)?;
    let mut ids: Vec<u64> = values.iter().flat_map(|value| account.leads_with(filter, value)).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MAX_FOUND {
        return Err(Refusal::new(1003, "Too many results match the filter"));
    }
    Ok(leads(account, &ids, &names, request.page()?))
}

/// A page of leads.
pub(super) fn leads(
    account: &Account,
    ids: &[u64],
    names: &[&str],
    page: (usize, usize),
) -> crate::sandbox::wire::Answer {
    let found = ids.iter().filter_map(|id| Some(with_fields(*id, account.leads.get(id)?, names)));
    paged(found.collect(), page)
}

/// GET /rest/v1/lists/{id}/leads.json
pub(super) fn of_list(account: &Account, ids: &[u64], request: &Request<'_>) -> Said {
    let names = fields(account, request)?;
    Ok(leads(account, ids, &names, request.page()?))
}

/// GET /rest/v1/lead/{id}.json
pub(super) fn by_id(account: &Account, request: &Request<'_>, id: &str) -> Said {
    let number: u64 = id.parse().map_err(|_| Refusal::wrong(id, "integer"))?;
    let lead = account.leads.get(&number).ok_or_else(|| Refusal::new(1004, format!("Lead '{number}' not found")))?;
    Ok(result(vec![with_fields(number, lead, &fields(account, request)?)]))
}

/// GET /rest/v1/leads/describe.json
pub(super) fn describe(account: &Account) -> Said {
    let fields = account.lead_fields.values().enumerate().map(|(n, field)| {
        let mut shown = json!({ "id": n + 1, "displayName": field.label(), "dataType": field.kind(),
            "rest": { "name": field.name, "readOnly": field.read_only } });
        if let (Some(length), Value::Object(shown)) = (field.length, &mut shown) {
            shown.insert("length".to_owned(), length.into());
        }
        shown
    });
    Ok(result(fields.collect()))
}

/// GET /rest/v1/leads/describe2.json
pub(super) fn describe2(account: &Account) -> Said {
    let searchable = account.lead_fields.values().filter(|field| field.searchable).map(|field| json!([field.name]));
    let fields = account.lead_fields.values().map(super::fields::Field::described);
    Ok(result(vec![json!({ "name": "API Lead", "searchableFields": searchable.collect::<Vec<_>>(),
        "fields": fields.collect::<Vec<_>>() })]))
}

/// GET /rest/v1/leads/schema/fields.json
pub(super) fn schema(account: &Account, request: &Request<'_>) -> Said {
    let fields = account.lead_fields.values().map(|field| {
        json!({ "name": field.name, "displayName": field.label(), "description": null, "dataType": field.kind(),
            "length": field.length, "isHidden": false, "isHtmlEncodingInEmail": true, "isSensitive": false,
            "isCustom": false, "isApiCreated": false })
    });
    Ok(paged(fields.collect(), request.page()?))
}

/// GET /rest/v1/leads/partitions.json
pub(super) fn partitions(account: &Account) -> Said {
    let names = account.partitions().into_iter().enumerate();
    Ok(result(names.map(|(n, name)| json!({ "id": n + 1, "name": name, "description": null })).collect()))
}
