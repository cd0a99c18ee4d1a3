//! What a subscription holds before anything is sent to it.

use indexmap::IndexSet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::account::{Account, Lead, StaticList};
use super::customobjects::COMPANY;
use super::fields::Field;
use super::leads::term;
use super::objects::ObjectType;
use super::programs::Program;

/// The part of a seed that is about Marketo.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// Lead fields beside the standard ones.
    pub fields: Vec<Field>,
    /// Leads: fields by REST name; `id` and `partition` may be among them.
    pub leads: Vec<Map<String, Value>>,
    /// Static lists.
    pub lists: Vec<SeedList>,
    /// Custom activity types.
    pub activity_types: Vec<ActivityType>,
    /// Custom object types.
    pub custom_objects: Vec<ObjectType>,
    /// Programs.
    pub programs: Vec<Program>,
    /// Partitions beside `Default`.
    pub partitions: Vec<String>,
    /// Calls a day; 50 000 unless said otherwise.
    pub daily_quota: Option<u64>,
}

/// A static list of a seed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeedList {
    /// Its number; the next free one if there is none.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Addresses of leads of the seed.
    pub members: Vec<String>,
}

/// A custom activity type; approved.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ActivityType {
    /// Its number; the next free one from 100001 if there is none.
    pub id: Option<u64>,
    /// API name.
    pub api_name: String,
    /// Name for people; the API name if there is none.
    pub name: Option<String>,
    /// The attribute every activity has; text if nothing is said.
    pub primary_attribute: Option<Field>,
    /// Further attributes.
    pub attributes: Vec<Field>,
}

impl ActivityType {
    pub(super) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.api_name)
    }

    pub(super) fn primary(&self) -> Field {
        let usual = || Field::standard("name", "Name", "string", 255);
        self.primary_attribute.clone().unwrap_or_else(usual)
    }
}

impl Account {
    /// Adds what a seed says to what is there.
    ///
    /// # Errors
    /// Says which part of the seed makes no sense.
    pub fn sow(&mut self, seed: &Seed, now: Timestamp) -> Result<(), String> {
        for field in &seed.fields {
            self.lead_fields.insert(field.name.clone(), field.clone());
        }
        if !seed.partitions.is_empty() {
            let all: Vec<&str> = ["Default"].into_iter().chain(seed.partitions.iter().map(String::as_str)).collect();
            self.settings.insert("partitions".to_owned(), json!(all));
        }
        if let Some(quota) = seed.daily_quota {
            self.settings.insert("daily_quota".to_owned(), quota.into());
        }
        seed.leads.iter().try_for_each(|lead| self.sow_lead(lead, now))?;
        for list in &seed.lists {
            let mut members = IndexSet::new();
            for email in &list.members {
                let found = self.leads_with("email", email);
                let lead = found.first().ok_or_else(|| format!("marketo list `{}`: no lead `{email}`", list.name))?;
                members.insert(*lead);
            }
            let id = list.id.unwrap_or(self.lists.upcoming());
            self.lists.place(id, StaticList { name: list.name.clone(), created: now, members });
        }
        for kind in &seed.activity_types {
            if kind.api_name.is_empty() || kind.attributes.len() > 20 {
                return Err(format!(
                    "marketo activity type `{}` needs an apiName and at most 20 attributes",
                    kind.api_name
                ));
            }
            self.activity_types.place(kind.id.unwrap_or(self.activity_types.upcoming().max(100_001)), kind.clone());
        }
        for kind in &seed.custom_objects {
            let known = |name: &String| kind.fields.iter().any(|field| field.name == *name);
            if kind.name == COMPANY || kind.dedupe_fields.is_empty() || !kind.dedupe_fields.iter().all(known) {
                return Err(format!(
                    "marketo custom object `{}` needs `dedupeFields` that are among `fields`",
                    kind.name
                ));
            }
            self.object_types.insert(kind.name.clone(), kind.clone());
        }
        for program in &seed.programs {
            if program.statuses.is_empty() {
                return Err(format!("marketo program `{}` needs `statuses`: names with their steps", program.name));
            }
            self.programs.place(program.id.unwrap_or(self.programs.upcoming()), program.clone());
        }
        Ok(())
    }

    fn sow_lead(&mut self, lead: &Map<String, Value>, now: Timestamp) -> Result<(), String> {
        let name = lead.get("email").and_then(term).unwrap_or_else(|| "without email".to_owned());
        let mut fields = Map::new();
        for (field, value) in lead.iter().filter(|(field, _)| *field != "id" && *field != "partition") {
            let known = self.lead_fields.get(field);
            let known = known.ok_or_else(|| format!("marketo lead `{name}`: no field `{field}`"))?;
            let value = known.accept(value).map_err(|refusal| format!("marketo lead `{name}`: {}", refusal.message))?;
            fields.insert(field.clone(), value);
        }
        let id = lead.get("id").and_then(Value::as_u64).unwrap_or(self.leads.upcoming());
        if let Some(before) = self.leads.get(&id).map(|lead| lead.fields.clone()) {
            self.forget_lead(id, &before);
        }
        self.note_lead(id, &fields);
        let partition = lead.get("partition").and_then(Value::as_str).unwrap_or("Default").to_owned();
        self.leads.place(id, Lead { fields, partition, created: now, updated: now });
        Ok(())
    }
}
