//! Custom activities: written once, never changed, without a key that would tell a repetition.

use serde_json::{Map, Value, json};

use super::Request;
use super::account::Account;
use super::answer::{Refusal, Said, result};
use super::fields::moment;
use super::leads::id_of;
use super::seed::ActivityType;

/// Largest attributes, in bytes.
const MAX_ATTRIBUTES: usize = 65_536;

/// POST /rest/v1/activities/external.json; what is skipped has `errors`, not `reasons`.
pub(super) fn add(account: &mut Account, request: &Request<'_>) -> Said {
    let mut results = Vec::new();
    for (position, record) in request.input()?.into_iter().enumerate() {
        let taken = match request.call.trouble.refuses(position) {
            true => Err(Refusal::usual(1003)),
            false => accept(account, record),
        };
        results.push(match taken {
            Ok(mut activity) => {
                let id = account.activities.upcoming();
                activity.insert("id".to_owned(), id.into());
                activity.insert("marketoGUID".to_owned(), id.to_string().into());
                account.activities.place(id, Value::Object(activity));
                json!({ "id": id, "marketoGUID": id.to_string(), "status": "added" })
            }
            Err(refusal) => json!({ "status": "skipped", "errors": refusal.reason() }),
        });
    }
    Ok(result(results))
}

/// An activity as it is kept.
fn accept(account: &Account, record: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let given = |name: &str| record.get(name).filter(|value| !value.is_null()).ok_or_else(|| Refusal::missing(name));
    let number =
        |name: &str| given(name).and_then(|value| id_of(value).ok_or_else(|| Refusal::wrong(value, "integer")));
    let (lead, type_id) = (number("leadId")?, number("activityTypeId")?);
    let date = given("activityDate")?;
    let date = date.as_str().and_then(moment).ok_or_else(|| Refusal::wrong(date, "datetime"))?;
    let kind = account.activity_types.get(&type_id);
    let kind =
        kind.ok_or_else(|| Refusal::new(1003, format!("Activity type '{type_id}' is not an approved custom type")))?;
    if !account.leads.contains(&lead) {
        return Err(Refusal::usual(1004));
    }
    let primary = kind.primary().accept(given("primaryAttributeValue")?)?;
    let attributes = attributes(kind, record.get("attributes").unwrap_or(&Value::Null))?;
    let mut kept = Map::new();
    kept.insert("leadId".to_owned(), lead.into());
    kept.insert("activityDate".to_owned(), super::lookups::shown(date));
    kept.insert("activityTypeId".to_owned(), type_id.into());
    kept.insert("activityType".to_owned(), kind.api_name.clone().into());
    kept.insert("primaryAttributeValue".to_owned(), primary);
    kept.insert("attributes".to_owned(), Value::Object(attributes));
    Ok(kept)
}

/// Attributes by API name.
fn attributes(kind: &ActivityType, sent: &Value) -> Result<Map<String, Value>, Refusal> {
    let sent = match sent {
        Value::Null => return Ok(Map::new()),
        Value::Array(sent) => sent,
        other => return Err(Refusal::wrong(other, "array")),
    };
    if Value::Array(sent.clone()).to_string().len() > MAX_ATTRIBUTES {
        return Err(Refusal::new(1049, "Failed to Create Activity: attributes array too long"));
    }
    let mut kept = Map::new();
    for attribute in sent {
        let name = attribute.get("apiName").or_else(|| attribute.get("name")).and_then(Value::as_str);
        let name = name.ok_or_else(|| Refusal::missing("apiName"))?;
        let field = kind.attributes.iter().find(|field| field.name == name || field.label() == name);
        let field = field.ok_or_else(|| Refusal::new(1006, format!("Attribute '{name}' not found")))?;
        let value = attribute.get("value").ok_or_else(|| Refusal::missing("value"))?;
        kept.insert(field.name.clone(), field.accept(value)?);
    }
    Ok(kept)
}

fn described(id: u64, kind: &ActivityType) -> Value {
    let attribute = |field: &super::fields::Field| json!({ "apiName": field.name, "name": field.label(), "dataType": field.kind() });
    let mut described = listed(id, kind);
    described["primaryAttribute"] = attribute(&kind.primary());
    described["attributes"] = kind.attributes.iter().map(attribute).collect();
    described
}

fn listed(id: u64, kind: &ActivityType) -> Value {
    json!({ "id": id, "apiName": kind.api_name, "name": kind.label(), "description": null, "status": "approved",
        "triggerName": kind.label(), "filterName": kind.label() })
}

/// GET /rest/v1/activities/external/types.json; attributes are only in the description of one.
pub(super) fn types(account: &Account) -> Said {
    Ok(result(account.activity_types.iter().map(|(id, kind)| listed(*id, kind)).collect()))
}

/// GET /rest/v1/activities/external/type/{apiName}/describe.json
pub(super) fn describe(account: &Account, name: &str) -> Said {
    let found = account.activity_types.iter().find(|(_, kind)| kind.api_name == name);
    let (id, kind) = found.ok_or_else(|| Refusal::usual(1013))?;
    Ok(result(vec![described(*id, kind)]))
}

/// GET /rest/v1/activities.json: by type, and by leads if any are named.
pub(super) fn list(account: &Account, request: &Request<'_>) -> Said {
    let number =
        |name: &str| request.query_list(name).iter().filter_map(|text| text.parse().ok()).collect::<Vec<u64>>();
    let (types, leads) = (number("activityTypeIds"), number("leadIds"));
    if types.is_empty() {
        return Err(Refusal::missing("activityTypeIds"));
    }
    let has = |activity: &Value, name: &str, numbers: &[u64]| {
        activity.get(name).and_then(Value::as_u64).is_some_and(|number| numbers.contains(&number))
    };
    let wanted = |activity: &&Value| {
        has(activity, "activityTypeId", &types) && (leads.is_empty() || has(activity, "leadId", &leads))
    };
    let shown = account.activities.values().filter(wanted).map(|activity| {
        let mut shown = activity.clone();
        let attributes = activity.get("attributes").and_then(Value::as_object).into_iter().flatten();
        let attributes: Vec<Value> = attributes.map(|(name, value)| json!({ "name": name, "value": value })).collect();
        if let Value::Object(shown) = &mut shown {
            shown.insert("attributes".to_owned(), attributes.into());
            shown.shift_remove("activityType");
        }
        shown
    });
    Ok(super::paged(shown.collect(), request.page()?))
}
