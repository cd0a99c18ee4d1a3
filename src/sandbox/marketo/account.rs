//! What one Marketo subscription holds, and which endpoint does what with it.

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexSet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::{Refusal, Said};
use super::bulk::Job;
use super::fields::Field;
use super::objects::{ObjectType, Record};
use super::programs::{Member, Program};
use super::seed::ActivityType;
use super::{DAILY, Request, activities, bulk, companies, customobjects, leads, lists, lookups, programs};
use crate::sandbox::store::{Shelf, Stored};

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lead {
    pub fields: Map<String, Value>,
    pub partition: String,
    pub created: Timestamp,
    pub updated: Timestamp,
}

/// A static list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StaticList {
    pub name: String,
    pub created: Timestamp,
    /// Ids of the leads in it.
    pub members: IndexSet<u64>,
}

/// Everything, shelf by shelf.
pub(in crate::sandbox) struct Account {
    pub settings: Shelf<String, Value>,
    pub lead_fields: Shelf<String, Field>,
    pub leads: Shelf<u64, Lead>,
    pub activity_types: Shelf<u64, ActivityType>,
    pub activities: Shelf<u64, Value>,
    pub lists: Shelf<u64, StaticList>,
    pub object_types: Shelf<String, ObjectType>,
    /// Records of companies and custom objects, by number.
    pub records: Shelf<u64, Record>,
    pub programs: Shelf<u64, Program>,
    pub members: Shelf<String, Member>,
    pub jobs: Shelf<u64, Job>,
    /// Calls by day.
    pub calls: Shelf<String, u64>,

    /// Leads by field and value in lower case, for the fields they can be found by.
    pub by_value: HashMap<String, HashMap<String, Vec<u64>>>,
    /// Records by type and dedupe values.
    pub by_dedupe: HashMap<String, u64>,
}

impl Account {
    pub fn new() -> Self {
        let mut account = Self {
            settings: Shelf::new("marketo.settings"),
            lead_fields: Shelf::new("marketo.lead_fields"),
            leads: Shelf::new("marketo.leads"),
            activity_types: Shelf::new("marketo.activity_types"),
            activities: Shelf::new("marketo.activities"),
            lists: Shelf::new("marketo.lists"),
            object_types: Shelf::new("marketo.object_types"),
            records: Shelf::new("marketo.records"),
            programs: Shelf::new("marketo.programs"),
            members: Shelf::new("marketo.members"),
            jobs: Shelf::new("marketo.jobs"),
            calls: Shelf::new("marketo.calls"),
            by_value: HashMap::new(),
            by_dedupe: HashMap::new(),
        };
        account.furnish();
        account
    }

    /// What every subscription has from the start.
    fn furnish(&mut self) {
        let field = Field::standard;
        for field in [
            field("id", "Id", "integer", 0).fixed().found_by(),
            field("email", "Email Address", "email", 255).found_by(),
            field("firstName", "First Name", "string", 255),
            field("middleName", "Middle Name", "string", 255),
            field("lastName", "Last Name", "string", 255),
            field("company", "Company Name", "string", 255),
            field("title", "Job Title", "string", 255),
            field("phone", "Phone Number", "phone", 255),
            field("mobilePhone", "Mobile Phone Number", "phone", 255),
            field("address", "Address", "text", 255),
            field("city", "City", "string", 255),
            field("state", "State", "string", 255),
            field("postalCode", "Postal Code", "string", 255),
            field("country", "Country", "string", 255),
            field("website", "Website", "url", 255),
            field("industry", "Industry", "string", 255),
            field("annualRevenue", "Annual Revenue", "currency", 0),
            field("numberOfEmployees", "Number of Employees", "integer", 0),
            field("leadSource", "Lead Source", "string", 255),
            field("leadScore", "Lead Score", "score", 0),
            field("dateOfBirth", "Date of Birth", "date", 0),
            field("unsubscribed", "Unsubscribed", "boolean", 0),
            field("unsubscribedReason", "Unsubscribed Reason", "text", 2000),
            field("externalCompanyId", "External Company Id", "string", 100).found_by(),
            field("createdAt", "Created At", "datetime", 0).fixed(),
            field("updatedAt", "Updated At", "datetime", 0).fixed(),
        ] {
            self.lead_fields.insert(field.name.clone(), field);
        }
        let company = companies::company();
        self.object_types.insert(company.name.clone(), company);
    }

    /// Back to how it was at the very start.
    pub fn reset(&mut self) {
        self.shelves().into_iter().for_each(Stored::clear);
        self.furnish();
        self.reindex();
    }

    pub fn shelves(&mut self) -> Vec<&mut dyn Stored> {
        vec![
            &mut self.settings,
            &mut self.lead_fields,
            &mut self.leads,
            &mut self.activity_types,
            &mut self.activities,
            &mut self.lists,
            &mut self.object_types,
            &mut self.records,
            &mut self.programs,
            &mut self.members,
            &mut self.jobs,
            &mut self.calls,
        ]
    }

    /// Finds leads and records by their keys again, after they were read from the file.
    pub fn reindex(&mut self) {
        self.by_value.clear();
        let leads: Vec<(u64, Map<String, Value>)> =
            self.leads.iter().map(|(id, lead)| (*id, lead.fields.clone())).collect();
        for (id, fields) in leads {
            self.note_lead(id, &fields);
        }
        self.by_dedupe = self
            .records
            .iter()
            .filter_map(|(key, record)| {
                Some((self.object_types.get(&record.object)?.dedupe_key(&record.fields)?, *key))
            })
            .collect();
    }

    pub fn quota(&self) -> u64 {
        self.settings.get("daily_quota").and_then(Value::as_u64).unwrap_or(DAILY)
    }

    /// The day as Marketo counts it: from midnight in Chicago, there without summer time.
    fn day(now: Timestamp) -> String {
        let central = jiff::tz::TimeZone::fixed(jiff::tz::offset(-6));
        now.to_zoned(central).date().to_string()
    }

    pub fn calls_today(&self, now: Timestamp) -> u64 {
        self.calls.get(&Self::day(now)).copied().unwrap_or(0)
    }

    pub fn count_call(&mut self, now: Timestamp) {
        let before = self.calls_today(now);
        self.calls.insert(Self::day(now), before + 1);
    }

    pub(super) fn route(&mut self, request: &Request<'_>, path: &[&str]) -> Said {
        let Some((last, folders)) = path.split_last() else { return Err(Refusal::usual(610)) };
        let last = last.strip_suffix(".json").ok_or_else(|| Refusal::usual(610))?;
        let mut path = folders.to_vec();
        path.push(last);
        let method = request.method.as_str();
        match path.as_slice() {
            ["rest", "v1", rest @ ..] => self.rest(request, method, rest),
            ["bulk", "v1", rest @ ..] => bulk::route(self, request, method, rest),
            ["rest", "asset", "v1", "staticLists"] => lists::assets(self, request, method),
            _ => Err(Refusal::usual(610)),
        }
    }

    fn rest(&mut self, request: &Request<'_>, method: &str, path: &[&str]) -> Said {
        match (method, path) {
            ("POST", ["leads"]) => leads::sync(self, request),
            ("GET", ["leads"]) => lookups::by_filter(self, request),
            ("GET", ["lead", id]) => lookups::by_id(self, request, id),
            ("DELETE", ["leads"]) | ("POST", ["leads", "delete"]) => leads::delete(self, request),
            ("GET", ["leads", "describe"]) => lookups::describe(self),
            ("GET", ["leads", "describe2"]) => lookups::describe2(self),
            ("GET", ["leads", "schema", "fields"]) => lookups::schema(self, request),
            ("GET", ["leads", "partitions"]) => lookups::partitions(self),
            ("POST", ["activities", "external"]) => activities::add(self, request),
            ("GET", ["activities", "external", "types"]) => activities::types(self),
            ("GET", ["activities", "external", "type", name, "describe"]) => activities::describe(self, name),
            ("GET", ["activities"]) => activities::list(self, request),
            ("GET", ["lists"]) => lists::all(self, request),
            ("GET", ["lists", list]) => lists::one(self, list),
            (_, ["lists", list, "leads"]) => lists::leads(self, request, method, list),
            ("GET", ["lists", list, "leads", "ismember"]) => lists::is_member(self, request, list),
            (_, ["customobjects", rest @ ..]) => customobjects::route(self, request, method, rest),
            (_, ["companies", rest @ ..]) => companies::route(self, request, method, rest),
            (_, ["programs", rest @ ..]) => programs::route(self, request, method, rest),
            ("GET", ["stats", "usage"]) => self.usage(request.call.now),
            (_, ["leads"] | ["leads", "delete" | "describe" | "describe2"] | ["lists"] | ["stats", "usage"])
            | (_, ["activities", "external"]) => Err(Refusal::usual(605)),
            _ => Err(Refusal::usual(610)),
        }
    }

    /// GET /rest/v1/stats/usage.json: calls of the day.
    fn usage(&self, now: Timestamp) -> Said {
        let total = self.calls_today(now);
        let users = json!([{ "userId": "sandbox@example.com", "count": total }]);
        Ok(super::answer::result(vec![json!({ "date": Self::day(now), "total": total, "users": users })]))
    }

    /// Partitions leads may be in.
    pub fn partitions(&self) -> Vec<String> {
        let set = self.settings.get("partitions").and_then(|names| serde_json::from_value(names.clone()).ok());
        set.unwrap_or_else(|| vec!["Default".to_owned()])
    }

    /// All of it, for people and tests.
    pub fn state(&self) -> Value {
        let leads = self.leads.iter().map(|(id, lead)| lookups::whole(*id, lead));
        let lists = self.lists.iter().map(|(id, list)| json!({ "id": id, "name": list.name, "members": list.members }));
        let mut objects: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for record in self.records.values() {
            objects.entry(&record.object).or_default().push(record.whole());
        }
        let members = self.members.values().map(|member| json!(member));
        let jobs = self.jobs.iter().map(|(id, job)| job.state(*id));
        json!({
            "leads": leads.collect::<Vec<_>>(),
            "activities": self.activities.values().collect::<Vec<_>>(),
            "lists": lists.collect::<Vec<_>>(),
            "objects": objects,
            "programMembers": members.collect::<Vec<_>>(),
            "imports": jobs.collect::<Vec<_>>(),
            "calls": self.calls.iter().collect::<BTreeMap<_, _>>(),
        })
    }
}
