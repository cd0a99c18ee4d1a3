//! Catalogs: taken now, without a word about each item.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::account::Account;
use super::answer::{self, Refusal, accepted, bad_params};
use super::{Body, MAX_RECORDS, Said, shape};
use crate::sandbox::wire::{Answer, Call};

/// Largest item, in bytes.
const MAX_ITEM: usize = 30_000;

pub(super) fn route(account: &mut Account, call: &Call, method: &str, path: &[&str], body: &Body<'_>) -> Said {
    match (method, path) {
        ("GET", []) => {
            let names: Vec<Value> = account.catalogs.iter().map(|(name, _)| json!({ "name": name })).collect();
            Ok(Answer::json(200, &json!({ "totalCatalogsCount": names.len(), "catalogNames": names })))
        }
        ("POST", [name]) => create(account, name),
        ("DELETE", [name]) => {
            account.catalogs.remove(&(*name).to_owned()).ok_or_else(|| unknown(name))?;
            Ok(answer::done("Catalog deleted."))
        }
        ("GET", [name, "fieldMappings"]) => mappings(items(account, name)?),
        ("GET", [name, "items"]) => page(name, items(account, name)?, call),
        ("GET", [name, "items", id]) => {
            let item = items(account, name)?.get(*id);
            let item = item.ok_or_else(|| {
                Refusal::new(404, "error.catalogs.itemNotFound", format!("No item {id} in catalog {name}"))
            })?;
            Ok(Answer::json(200, &whole(name, id, item, call)))
        }
        ("POST", [name, "items"]) => upload(account, name, body),
        ("DELETE", [name, "items"]) => {
            let ids = body.read(shape::ITEM_IDS)?.get("itemIds").and_then(Value::as_array).cloned();
            let ids = ids.unwrap_or_default();
            if ids.len() > MAX_RECORDS {
                return Err(answer::too_many(ids.len()));
            }
            let items = items_mut(account, name)?;
            ids.iter().filter_map(Value::as_str).for_each(|id| _ = items.shift_remove(id));
            Ok(accepted("Request to bulk-delete items from the catalog received.").with_records(ids.len()))
        }
        ("PUT", [name, "items", id]) => one(account, name, id, body, true),
        ("PATCH", [name, "items", id]) => one(account, name, id, body, false),
        ("DELETE", [name, "items", id]) => {
            items_mut(account, name)?.shift_remove(*id);
            Ok(accepted("Request to delete item received.").with_records(1))
        }
        _ => Err(answer::no_such_route(&call.path)),
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::new(404, "error.catalogs.notFound", format!("Catalog {name} not found"))
}

fn items<'a>(account: &'a Account, name: &str) -> Result<&'a IndexMap<String, Value>, Refusal> {
    account.catalogs.get(name).ok_or_else(|| unknown(name))
}

fn items_mut<'a>(account: &'a mut Account, name: &str) -> Result<&'a mut IndexMap<String, Value>, Refusal> {
    account.catalogs.get_mut(&name.to_owned()).ok_or_else(|| unknown(name))
}

/// Letters, digits and hyphens, at most 255.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !text.is_empty() && text.len() <= 255 && text.chars().all(fits)
}

fn create(account: &mut Account, name: &str) -> Said {
    if !is_name(name) {
        return Err(bad_params(format!("Invalid catalog name: {name}")));
    }
    if account.catalogs.contains(name) {
        return Err(bad_params(format!("Catalog {name} already exists")));
    }
    account.catalogs.insert(name.to_owned(), IndexMap::new());
    let body = json!({ "msg": "", "code": "Success", "params": { "id": account.catalogs.len(), "name": name } });
    Ok(Answer::json(201, &body))
}

fn check(id: &str, item: &Value) -> Result<(), Refusal> {
    if !is_name(id) {
        return Err(bad_params(format!("Invalid catalog item id: {id}")));
    }
    if item.to_string().len() > MAX_ITEM {
        return Err(bad_params(format!("Catalog item {id} is larger than 30 kB")));
    }
    Ok(())
}

/// Replaces an item, or writes into it.
fn put(items: &mut IndexMap<String, Value>, id: &str, item: &Value, replace: bool) {
    match (items.get_mut(id).and_then(Value::as_object_mut), item) {
        (Some(held), Value::Object(sent)) if !replace => {
            held.extend(sent.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        _ => _ = items.insert(id.to_owned(), item.clone()),
    }
}

fn upload(account: &mut Account, name: &str, body: &Body<'_>) -> Said {
    let body = body.read(shape::DOCUMENTS)?;
    let documents = body.get("documents").and_then(Value::as_object).cloned().unwrap_or_default();
    let replace = body.get("replaceUploadedFieldsOnly").and_then(Value::as_bool) != Some(true);
    if documents.len() > MAX_RECORDS {
        return Err(answer::too_many(documents.len()));
    }
    let items = items_mut(account, name)?;
    documents.iter().try_for_each(|(id, item)| check(id, item))?;
    documents.iter().for_each(|(id, item)| put(items, id, item, replace));
    let message = "Request to bulk-upload documents into the catalog received. Please check catalog for status.";
    Ok(accepted(message).with_records(documents.len()))
}

fn one(account: &mut Account, name: &str, id: &str, body: &Body<'_>, replace: bool) -> Said {
    let (members, member) = if replace { (shape::ITEM_VALUE, "value") } else { (shape::ITEM_UPDATE, "update") };
    let item = body.read(members)?.get(member).cloned().unwrap_or_default();
    check(id, &item)?;
    put(items_mut(account, name)?, id, &item, replace);
    Ok(accepted("Request to update item received.").with_records(1))
}

fn whole(name: &str, id: &str, item: &Value, call: &Call) -> Value {
    json!({ "catalogName": name, "itemId": id, "lastModified": call.now.as_millisecond(),
        "size": item.to_string().len(), "value": item })
}

fn page(name: &str, items: &IndexMap<String, Value>, call: &Call) -> Said {
    let number = |key: &str, usual: usize| call.query(key).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (page, size) = (number("page", 1).max(1), number("pageSize", 10).clamp(1, 1000));
    let from = (page - 1).saturating_mul(size);
    let shown: Vec<Value> = items.iter().skip(from).take(size).map(|(id, item)| whole(name, id, item, call)).collect();
    let mut body = Map::new();
    body.insert("totalItemsCount".to_owned(), items.len().into());
    body.insert("catalogItemsWithProperties".to_owned(), shown.into());
    let link = |page: usize| Value::from(format!("/api/catalogs/{name}/items?page={page}&pageSize={size}"));
    if from.saturating_add(size) < items.len() {
        body.insert("nextPageUrl".to_owned(), link(page + 1));
    }
    if page > 1 {
        body.insert("previousPageUrl".to_owned(), link(page - 1));
    }
    Ok(Answer::json(200, &Value::Object(body)))
}

fn mappings(items: &IndexMap<String, Value>) -> Said {
    let mut fields: Vec<&String> = items.values().filter_map(Value::as_object).flat_map(Map::keys).collect();
    fields.sort();
    fields.dedup();
    Ok(Answer::json(200, &json!({ "definedMappings": {}, "undefinedFields": fields })))
}
