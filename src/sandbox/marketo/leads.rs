//! Leads: made, changed, deleted, each record with a word of its own.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::account::{Account, Lead};
use super::answer::{Refusal, Said, result};
use super::{MAX_RECORDS, Request};

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    CreateOnly,
    UpdateOnly,
    CreateOrUpdate,
    CreateDuplicate,
}

impl Action {
    /// The `action` of a body; create or update if it has none.
    pub fn of(request: &Request<'_>) -> Result<Self, Refusal> {
        match request.text("action") {
            None | Some("createOrUpdate") => Ok(Self::CreateOrUpdate),
            Some("createOnly") => Ok(Self::CreateOnly),
            Some("updateOnly") => Ok(Self::UpdateOnly),
            Some("createDuplicate") => Ok(Self::CreateDuplicate),
            Some(other) => Err(Refusal::wrong(other, "action")),
        }
    }
}

/// How the records of a request are to be taken.
pub(super) struct Way<'a> {
    pub action: Action,
    pub lookup: &'a str,
    pub partition: Option<&'a str>,
    pub now: Timestamp,
}

/// The value leads are found by, in lower case.
pub(super) fn term(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Account {
    /// Remembers by what a lead can be found.
    pub fn note_lead(&mut self, id: u64, fields: &Map<String, Value>) {
        for (name, value) in fields {
            if self.lead_fields.get(name).is_some_and(|field| field.searchable)
                && let Some(term) = term(value)
            {
                self.by_value.entry(name.clone()).or_default().entry(term).or_default().push(id);
            }
        }
    }

    pub fn forget_lead(&mut self, id: u64, fields: &Map<String, Value>) {
        for (name, value) in fields {
            let held = term(value).and_then(|term| self.by_value.get_mut(name)?.get_mut(&term));
            if let Some(held) = held {
                held.retain(|other| *other != id);
            }
        }
    }

    /// Leads whose field has this value.
    pub fn leads_with(&self, field: &str, value: &str) -> Vec<u64> {
        if field == "id" {
            return value.parse().ok().filter(|id| self.leads.contains(id)).into_iter().collect();
        }
        let terms = self.by_value.get(field);
        terms.and_then(|terms| terms.get(&value.trim().to_lowercase())).cloned().unwrap_or_default()
    }

    /// Whether leads can be found by a field.
    ///
    /// # Errors
    /// 1006 when there is no such field, 1011 when it is not one to search by.
    pub(super) fn check_lookup(&self, name: &str) -> Result<(), Refusal> {
        match self.lead_fields.get(name) {
            None => Err(Refusal::new(1006, format!("Lookup field '{name}' not found"))),
            Some(field) if field.searchable => Ok(()),
            Some(_) => Err(Refusal::new(1011, format!("Field '{name}' not supported"))),
        }
    }

    /// The fields of a record as they are kept.
    fn accept(&self, record: &Map<String, Value>, way: &Way<'_>) -> Result<Map<String, Value>, Refusal> {
        let mut kept = Map::new();
        for (name, value) in record {
            let field = self.lead_fields.get(name).ok_or_else(|| Refusal::no_field(name))?;
            if name == "id" && way.lookup == "id" {
                continue;
            }
            if name == "id" {
                return Err(Refusal::new(1003, "Field 'id' is only allowed as the lookup field"));
            }
            if field.read_only {
                return Err(Refusal::new(1011, format!("Field '{name}' not supported")));
            }
            kept.insert(name.clone(), field.accept(value)?);
        }
        Ok(kept)
    }

    /// Makes or changes one lead: its id, and whether it is new.
    ///
    /// # Errors
    /// Why the record is skipped.
    pub(super) fn take_lead(&mut self, record: &Map<String, Value>, way: &Way<'_>) -> Result<(u64, bool), Refusal> {
        let fields = self.accept(record, way)?;
        let found = match (way.action, record.get(way.lookup).and_then(term)) {
            (Action::CreateDuplicate, _) => Vec::new(),
            (_, None) => return Err(Refusal::missing(way.lookup)),
            (_, Some(value)) => self.leads_with(way.lookup, &value),
        };
        match (way.action, found.as_slice()) {
            (Action::UpdateOnly, []) => Err(Refusal::usual(1004)),
            (Action::CreateOnly, [_, ..]) => Err(Refusal::usual(1005)),
            (_, []) => Ok((self.add_lead(fields, way), true)),
            (_, [id]) => self.change_lead(*id, fields, way).map(|()| (*id, false)),
            (_, _) => Err(Refusal::usual(1007)),
        }
    }

    fn add_lead(&mut self, fields: Map<String, Value>, way: &Way<'_>) -> u64 {
        let fields: Map<String, Value> = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let id = self.leads.upcoming();
        self.note_lead(id, &fields);
        let partition = way.partition.unwrap_or("Default").to_owned();
        self.leads.place(id, Lead { fields, partition, created: way.now, updated: way.now });
        id
    }

    fn change_lead(&mut self, id: u64, fields: Map<String, Value>, way: &Way<'_>) -> Result<(), Refusal> {
        let Some(lead) = self.leads.get(&id) else { return Err(Refusal::usual(1004)) };
        if way.partition.is_some_and(|partition| partition != lead.partition) {
            return Err(Refusal::new(1010, "Partition update not allowed"));
        }
        let before: Map<String, Value> = lead.fields.clone();
        let mut after = before.clone();
        for (name, value) in fields {
            if value.is_null() { _ = after.shift_remove(&name) } else { _ = after.insert(name, value) }
        }
        self.forget_lead(id, &before);
        self.note_lead(id, &after);
        if let Some(lead) = self.leads.get_mut(&id) {
            lead.fields = after;
            lead.updated = way.now;
        }
        Ok(())
    }
}

/// POST /rest/v1/leads.json
pub(super) fn sync(account: &mut Account, request: &Request<'_>) -> Said {
    let input = request.input()?;
    let action = Action::of(request)?;
    let lookup = request.text("lookupField").unwrap_or("email");
    if action != Action::CreateDuplicate {
        account.check_lookup(lookup)?;
    }
    if lookup == "id" && action != Action::UpdateOnly {
        return Err(Refusal::new(1003, "Lookup field 'id' is only allowed with action 'updateOnly'"));
    }
    let partition = request.text("partitionName");
    if let Some(name) = partition {
        if action == Action::UpdateOnly {
            return Err(Refusal::new(1003, "partitionName is not allowed with action 'updateOnly'"));
        }
        if !account.partitions().iter().any(|known| known == name) {
            return Err(Refusal::new(1008, format!("Access denied to partition '{name}'")));
        }
    }
    let way = Way { action, lookup, partition, now: request.call.now };
    let records = input.into_iter().enumerate().map(|(position, record)| {
        let taken = match request.call.trouble.refuses(position) {
            true => Err(Refusal::usual(1003)),
            false => account.take_lead(record, &way),
        };
        match taken {
            Ok((id, true)) => json!({ "id": id, "status": "created" }),
            Ok((id, false)) => json!({ "id": id, "status": "updated" }),
            Err(refusal) => json!({ "status": "skipped", "reasons": refusal.reason() }),
        }
    });
    Ok(result(records.collect()))
}

/// The lead ids of a request: in `input`, in the query, or in both.
pub(super) fn ids(request: &Request<'_>) -> Result<Vec<Value>, Refusal> {
    let mut ids: Vec<Value> = match &request.json {
        Some(_) => request.input()?.iter().map(|record| record.get("id").cloned().unwrap_or_default()).collect(),
        None => Vec::new(),
    };
    for id in request.query_list("id") {
        ids.push(id.parse::<u64>().map(Value::from).map_err(|_| Refusal::wrong(id, "integer"))?);
    }
    if ids.is_empty() {
        return Err(Refusal::missing("id"));
    }
    if ids.len() > MAX_RECORDS {
        return Err(Refusal::too_many("ids"));
    }
    Ok(ids)
}

/// An id, which may be sent as text.
pub(super) fn id_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// POST /rest/v1/leads/delete.json
pub(super) fn delete(account: &mut Account, request: &Request<'_>) -> Said {
    let mut results = Vec::new();
    for (position, value) in ids(request)?.into_iter().enumerate() {
        let refused = request.call.trouble.refuses(position);
        let found = id_of(&value).filter(|_| !refused).and_then(|id| Some((id, account.leads.remove(&id)?)));
        let Some((id, lead)) = found else {
            let refusal = Refusal::usual(if refused { 1003 } else { 1004 });
            results.push(json!({ "id": value, "status": "skipped", "reasons": refusal.reason() }));
            continue;
        };
        account.forget_lead(id, &lead.fields);
        let lists: Vec<u64> =
            account.lists.iter().filter(|(_, list)| list.members.contains(&id)).map(|(id, _)| *id).collect();
        for list in lists {
            account.lists.get_mut(&list).map(|list| list.members.shift_remove(&id));
        }
        let members: Vec<String> =
            account.members.iter().filter(|(_, m)| m.lead_id == id).map(|(k, _)| k.clone()).collect();
        members.iter().for_each(|key| _ = account.members.remove(key));
        results.push(json!({ "id": id, "status": "deleted" }));
    }
    Ok(result(results))
}
