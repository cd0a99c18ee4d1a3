//! Programs and their members.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::answer::{Refusal, Said, result};
use super::fields::Field;
use super::leads::id_of;
use super::{Request, paged};

/// A program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Program {
    /// Its number; the next free one if there is none.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// The statuses of its channel with their steps: a member never goes back.
    pub statuses: BTreeMap<String, u64>,
    /// Fields of its members that can be written.
    pub member_fields: Vec<Field>,
}

/// A lead in a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub program_id: u64,
    pub lead_id: u64,
    pub status: String,
    pub fields: Map<String, Value>,
    pub updated: Timestamp,
}

/// GET /rest/v1/programs/members/describe.json: the fields members have in any program.
fn describe(account: &Account, request: &Request<'_>) -> Said {
    let fixed = |name: &str, kind: &str| Field::standard(name, name, kind, 0).fixed();
    let mut fields = vec![
        fixed("leadId", "integer"),
        fixed("programId", "integer"),
        fixed("statusName", "string"),
        fixed("updatedAt", "datetime"),
    ];
    for field in account.programs.values().flat_map(|program| &program.member_fields) {
        if !fields.iter().any(|known| known.name == field.name) {
            fields.push(field.clone());
        }
    }
    let now = super::lookups::shown(request.call.now);
    let fields: Vec<Value> = fields.iter().map(Field::described).collect();
    Ok(result(vec![json!({ "name": "API Program Membership", "description": "Map for API program membership fields",
        "createdAt": now, "updatedAt": now, "dedupeFields": ["leadId", "programId"],
        "searchableFields": [["leadId"], ["statusName"]], "fields": fields })]))
}

pub(super) fn route(account: &mut Account, request: &Request<'_>, method: &str, path: &[&str]) -> Said {
    if path == ["members", "describe"] {
        return if method == "GET" { describe(account, request) } else { Err(Refusal::usual(605)) };
    }
    let [id, "members", rest @ ..] = path else { return Err(Refusal::usual(610)) };
    let id: u64 = id.parse().map_err(|_| Refusal::wrong(id, "integer"))?;
    let program = account.programs.get(&id).cloned();
    let program = program.ok_or_else(|| Refusal::new(1013, format!("Program '{id}' not found")))?;
    match (method, rest) {
        ("POST", ["status"]) => {
            let status = request.text("statusName").ok_or_else(|| Refusal::missing("statusName"))?;
            let step = program.statuses.get(status).copied();
            let step = step.ok_or_else(|| Refusal::new(1025, format!("Program status '{status}' not found")))?;
            each(account, request, |account, record| {
                change_status(account, id, &program, (status, step), record, request)
            })
        }
        ("POST", []) => each(account, request, |account, record| {
            let (lead, key) = member_key(account, id, record)?;
            let fields = accept(&program, record)?;
            let missing = || Refusal::new(1013, "Membership not found");
            let member = account.members.get_mut(&key).ok_or_else(missing)?;
            member.fields.extend(fields);
            member.updated = request.call.now;
            Ok((lead, "updated"))
        }),
        ("POST", ["delete"]) => each(account, request, |account, record| {
            let (lead, key) = member_key(account, id, record)?;
            let missing = || Refusal::new(1013, "Membership not found");
            account.members.remove(&key).map(|_| (lead, "deleted")).ok_or_else(missing)
        }),
        ("GET", []) => list(account, id, request),
        (_, ["status" | "delete"] | []) => Err(Refusal::usual(605)),
        _ => Err(Refusal::usual(610)),
    }
}

/// Does something with each record, and says what became of it.
fn each(
    account: &mut Account,
    request: &Request<'_>,
    mut work: impl FnMut(&mut Account, &Map<String, Value>) -> Result<(u64, &'static str), Refusal>,
) -> Said {
    let records = request.input()?.into_iter().enumerate();
    let results = records.map(|(seq, record)| {
        let done = match request.call.trouble.refuses(seq) {
            true => Err(Refusal::usual(1003)),
            false => work(account, record),
        };
        match done {
            Ok((lead, status)) => json!({ "seq": seq, "status": status, "leadId": lead }),
            Err(refusal) => json!({ "seq": seq, "status": "skipped", "reasons": refusal.reason() }),
        }
    });
    Ok(result(results.collect()))
}

fn member_key(account: &Account, program: u64, record: &Map<String, Value>) -> Result<(u64, String), Refusal> {
    let lead = record.get("leadId").and_then(id_of).ok_or_else(|| Refusal::missing("leadId"))?;
    if !account.leads.contains(&lead) {
        return Err(Refusal::usual(1004));
    }
    Ok((lead, format!("{program}:{lead}")))
}

fn change_status(
    account: &mut Account,
    id: u64,
    program: &Program,
    (status, step): (&str, u64),
    record: &Map<String, Value>,
    request: &Request<'_>,
) -> Result<(u64, &'static str), Refusal> {
    let (lead, key) = member_key(account, id, record)?;
    match account.members.get_mut(&key) {
        Some(member) if program.statuses.get(&member.status).is_some_and(|held| *held >= step) => {
            Err(Refusal::usual(1037))
        }
        Some(member) => {
            member.status = status.to_owned();
            member.updated = request.call.now;
            Ok((lead, "updated"))
        }
        None => {
            let member = Member {
                program_id: id,
                lead_id: lead,
                status: status.to_owned(),
                fields: Map::new(),
                updated: request.call.now,
            };
            account.members.insert(key, member);
            Ok((lead, "created"))
        }
    }
}

fn accept(program: &Program, record: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let fields = record.iter().filter(|(name, _)| *name != "leadId").map(|(name, value)| {
        let field = program.member_fields.iter().find(|field| field.name == *name);
        let field = field.ok_or_else(|| Refusal::no_field(name))?;
        Ok((name.clone(), field.accept(value)?))
    });
    fields.collect()
}

/// GET /rest/v1/programs/{id}/members.json
fn list(account: &Account, id: u64, request: &Request<'_>) -> Said {
    let filter = request.query("filterType").unwrap_or("");
    let values = request.query_list("filterValues");
    if !matches!(filter, "" | "leadId" | "statusName") {
        return Err(Refusal::new(1003, format!("Invalid filterType '{filter}'")));
    }
    let wanted = |member: &&Member| match filter {
        "leadId" => values.contains(&member.lead_id.to_string().as_str()),
        "statusName" => values.contains(&member.status.as_str()),
        _ => true,
    };
    let members = account.members.values().filter(|member| member.program_id == id).filter(wanted);
    let shown = members.enumerate().map(|(seq, member)| {
        let mut shown = json!({ "seq": seq, "leadId": member.lead_id, "programId": id, "statusName": member.status,
            "updatedAt": super::lookups::shown(member.updated) });
        if let Value::Object(shown) = &mut shown {
            shown.extend(member.fields.clone());
        }
        shown
    });
    Ok(paged(shown.collect(), request.page()?))
}
