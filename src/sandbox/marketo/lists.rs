//! Static lists and the leads in them.

use indexmap::IndexSet;
use serde_json::{Value, json};

use super::Request;
use super::account::{Account, StaticList};
use super::answer::{Refusal, Said, result};
use super::leads::{id_of, ids};

fn shown(id: u64, list: &StaticList) -> Value {
    json!({ "id": id, "name": list.name, "programName": null, "workspaceName": "Default",
        "createdAt": super::lookups::shown(list.created), "updatedAt": super::lookups::shown(list.created) })
}

fn existing(account: &Account, list: &str) -> Result<u64, Refusal> {
    let id: u64 = list.parse().map_err(|_| Refusal::wrong(list, "integer"))?;
    if account.lists.contains(&id) { Ok(id) } else { Err(Refusal::usual(1013)) }
}

/// GET /rest/v1/lists.json
pub(super) fn all(account: &Account, request: &Request<'_>) -> Said {
    let (ids, names) = (request.query_list("id"), request.query_list("name"));
    let wanted = |id: u64, list: &StaticList| {
        (ids.is_empty() || ids.iter().any(|text| *text == id.to_string()))
            && (names.is_empty() || names.iter().any(|name| *name == list.name))
    };
    let lists = account.lists.iter().filter(|(id, list)| wanted(**id, list)).map(|(id, list)| shown(*id, list));
    Ok(super::paged(lists.collect(), request.page()?))
}

/// GET /rest/v1/lists/{id}.json
pub(super) fn one(account: &Account, list: &str) -> Said {
    let id = existing(account, list)?;
    Ok(result(account.lists.get(&id).map(|list| shown(id, list)).into_iter().collect()))
}

/// GET and POST /rest/asset/v1/staticLists.json: the only way to make one by API.
pub(super) fn assets(account: &mut Account, request: &Request<'_>, method: &str) -> Said {
    match method {
        "GET" => all(account, request),
        "POST" => {
            let form = super::pairs(&request.call.body);
            let name = form.iter().chain(&request.query).find(|(key, _)| key == "name").map(|(_, value)| value.clone());
            let name = name.filter(|name| !name.is_empty()).ok_or_else(|| Refusal::missing("name"))?;
            if account.lists.values().any(|list| list.name == name) {
                return Err(Refusal::new(709, format!("Static list with name '{name}' already exists")));
            }
            let list = StaticList { name, created: request.call.now, members: IndexSet::new() };
            let answer = shown(account.lists.upcoming(), &list);
            account.lists.add(list);
            Ok(result(vec![answer]))
        }
        _ => Err(Refusal::usual(605)),
    }
}

/// POST, DELETE and GET /rest/v1/lists/{id}/leads.json
pub(super) fn leads(account: &mut Account, request: &Request<'_>, method: &str, list: &str) -> Said {
    let list = existing(account, list)?;
    let add = match method {
        "GET" => {
            let members: Vec<u64> =
                account.lists.get(&list).map(|list| list.members.iter().copied().collect()).unwrap_or_default();
            return super::lookups::of_list(account, &members, request);
        }
        "POST" => true,
        "DELETE" => false,
        _ => return Err(Refusal::usual(605)),
    };
    let mut results = Vec::new();
    for (position, value) in ids(request)?.into_iter().enumerate() {
        let found = id_of(&value).filter(|id| account.leads.contains(id));
        let done = match (request.call.trouble.refuses(position), found, account.lists.get_mut(&list)) {
            (true, ..) => Err(Refusal::usual(1003)),
            (_, Some(id), Some(list)) if add => {
                list.members.insert(id);
                Ok("added")
            }
            (_, Some(id), Some(list)) if list.members.contains(&id) => {
                list.members.shift_remove(&id);
                Ok("removed")
            }
            (_, Some(_), _) => Err(Refusal::usual(1015)),
            (_, None, _) => Err(Refusal::usual(1004)),
        };
        results.push(match done {
            Ok(status) => json!({ "id": value, "status": status }),
            Err(refusal) => json!({ "id": value, "status": "skipped", "reasons": refusal.reason() }),
        });
    }
    Ok(result(results))
}

/// GET /rest/v1/lists/{id}/leads/ismember.json
pub(super) fn is_member(account: &Account, request: &Request<'_>, list: &str) -> Said {
    let list = existing(account, list)?;
    let members = account.lists.get(&list).map(|list| &list.members);
    let results = ids(request)?.into_iter().map(|value| match id_of(&value).filter(|id| account.leads.contains(id)) {
        None => json!({ "id": value, "status": "skipped", "reasons": Refusal::usual(1004).reason() }),
        Some(id) if members.is_some_and(|members| members.contains(&id)) => json!({ "id": id, "status": "memberof" }),
        Some(id) => json!({ "id": id, "status": "notmemberof" }),
    });
    Ok(result(results.collect()))
}
