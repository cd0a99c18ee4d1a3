//! What one Iterable project holds, and which endpoint does what with it.

use std::collections::{BTreeSet, HashMap};

use indexmap::{IndexMap, IndexSet};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Body, Said, answer, catalogs, events, lists, lookups, subscriptions, users};
use crate::sandbox::store::{Shelf, Stored};
use crate::sandbox::wire::Call;

/// By what a project tells users apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProjectType {
    /// By address; a user may have a userId beside it.
    #[serde(rename = "email")]
    Email,
    /// By userId; addresses need not be unique.
    #[serde(rename = "userId")]
    UserId,
    /// By either.
    #[default]
    #[serde(rename = "hybrid")]
    Hybrid,
}

/// A user profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub email: Option<String>,
    pub user_id: Option<String>,
    pub data: Map<String, Value>,
    pub signup: Timestamp,
    pub updated: Timestamp,
    /// `API` or `import`, as the real one says where a user came from.
    pub source: String,
    #[serde(default)]
    pub subscriptions: Map<String, Value>,
}

/// A static list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List {
    pub name: String,
    pub description: Option<String>,
    pub created: Timestamp,
    /// `Standard`, `Dynamic`, …
    pub list_type: String,
    /// Keys of the users in it.
    pub members: IndexSet<u64>,
}

/// Everything, shelf by shelf.
pub(in crate::sandbox) struct Account {
    pub settings: Shelf<String, Value>,
    pub users: Shelf<u64, User>,
    /// Types of profile fields, by dotted path.
    pub fields: Shelf<String, String>,
    /// Types of event fields: `event name` + NUL + dotted path.
    pub event_fields: Shelf<String, String>,
    pub events: Shelf<u64, Value>,
    pub purchases: Shelf<u64, Value>,
    pub lists: Shelf<u64, List>,
    pub catalogs: Shelf<String, IndexMap<String, Value>>,
    /// Addresses and userIds that must never come back: `email:…`, `userId:…`.
    pub forgotten: Shelf<String, Timestamp>,
    pub disallowed_events: Shelf<String, bool>,

    pub by_email: HashMap<String, u64>,
    pub by_user_id: HashMap<String, u64>,
    pub events_by_id: HashMap<String, u64>,
    pub purchases_by_id: HashMap<String, u64>,
}

impl Account {
    pub fn new() -> Self {
        let mut account = Self {
            settings: Shelf::new("iterable.settings"),
            users: Shelf::new("iterable.users"),
            fields: Shelf::new("iterable.fields"),
            event_fields: Shelf::new("iterable.event_fields"),
            events: Shelf::new("iterable.events"),
            purchases: Shelf::new("iterable.purchases"),
            lists: Shelf::new("iterable.lists"),
            catalogs: Shelf::new("iterable.catalogs"),
            forgotten: Shelf::new("iterable.forgotten"),
            disallowed_events: Shelf::new("iterable.disallowed_events"),
            by_email: HashMap::new(),
            by_user_id: HashMap::new(),
            events_by_id: HashMap::new(),
            purchases_by_id: HashMap::new(),
        };
        account.furnish();
        account
    }

    /// What every project has from the start.
    fn furnish(&mut self) {
        for (name, kind) in [
            ("email", "string"),
            ("userId", "string"),
            ("signupDate", "date"),
            ("signupSource", "string"),
            ("profileUpdatedAt", "date"),
            ("emailListIds", "long"),
            ("phoneNumber", "string"),
            ("firstName", "string"),
            ("lastName", "string"),
        ] {
            self.fields.insert(name.to_owned(), kind.to_owned());
        }
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
            &mut self.users,
            &mut self.fields,
            &mut self.event_fields,
            &mut self.events,
            &mut self.purchases,
            &mut self.lists,
            &mut self.catalogs,
            &mut self.forgotten,
            &mut self.disallowed_events,
        ]
    }

    /// Finds users and events by their keys again, after they were read from the file.
    pub fn reindex(&mut self) {
        let lower = |email: &String| email.to_lowercase();
        let users = || self.users.iter();
        self.by_email = users().filter_map(|(key, user)| Some((user.email.as_ref().map(lower)?, *key))).collect();
        self.by_user_id = users().filter_map(|(key, user)| Some((user.user_id.clone()?, *key))).collect();
        let ids = |shelf: &Shelf<u64, Value>| {
            let ids = shelf.iter().filter_map(|(key, event)| Some((event.get("id")?.as_str()?.to_owned(), *key)));
            ids.collect()
        };
        self.events_by_id = ids(&self.events);
        self.purchases_by_id = ids(&self.purchases);
    }

    pub fn project(&self) -> ProjectType {
        let set = self.settings.get("project").cloned();
        set.and_then(|kind| serde_json::from_value(kind).ok()).unwrap_or_default()
    }

    /// Whether fields nobody has sent before are made when the request does not say.
    pub fn creates_fields(&self) -> bool {
        self.settings.get("create_new_fields").and_then(Value::as_bool).unwrap_or(true)
    }

    /// What was set with `project`, `create_new_fields`, `channels`, `message_types`.
    pub fn setting(&self, name: &str) -> Option<&Value> {
        self.settings.get(name)
    }

    pub(super) fn route(&mut self, call: &Call, path: &[&str], body: &Body<'_>) -> Said {
        match (call.method.as_str(), path) {
            ("POST", ["users", "update"]) => users::update(self, call, body),
            ("POST", ["users", "bulkUpdate"]) => users::bulk_update(self, call, body),
            ("POST", ["users", "updateEmail"]) => users::update_email(self, call, body),
            ("POST", ["users", "forget"]) => users::forget(self, call, body),
            ("POST", ["users", "unforget"]) => users::unforget(self, body),
            ("POST", ["users", "bulkUpdateSubscriptions"]) => subscriptions::bulk(self, call, body),
            ("POST", ["users", "updateSubscriptions"]) => subscriptions::one(self, call, body),
            ("GET", ["users", "forgotten"]) => lookups::forgotten(self, "email:", "hashedEmails"),
            ("GET", ["users", "forgottenUserIds"]) => lookups::forgotten(self, "userId:", "hashedUserIds"),
            ("GET", ["users", "getFields"]) => lookups::fields(self),
            ("GET", ["users", "getByEmail"]) => lookups::by_email(self, call.query("email").unwrap_or("")),
            ("GET", ["users", "byUserId" | "getByUserId"]) => {
                lookups::by_user_id(self, call.query("userId").unwrap_or(""))
            }
            ("GET", ["users", "byUserId", user_id]) => lookups::by_user_id(self, user_id),
            ("GET", ["users", email]) => lookups::by_email(self, email),
            ("DELETE", ["users", "byUserId", user_id]) => users::delete_by_user_id(self, user_id),
            ("DELETE", ["users", email]) => users::delete_by_email(self, email),
            ("GET", ["events", "byUserId", user_id]) => lookups::events(self, "userId", user_id, call),
            ("GET", ["events", email]) => lookups::events(self, "email", email, call),
            ("POST", ["events", "track"]) => events::track(self, call, body),
            ("POST", ["events", "trackBulk"]) => events::track_bulk(self, call, body),
            ("POST", ["commerce", "trackPurchase"]) => events::purchase(self, call, body),
            ("GET", ["lists"]) => lists::all(self),
            ("POST", ["lists"]) => lists::create(self, call, body),
            ("GET", ["lists", "getUsers"]) => lists::members(self, call),
            ("POST", ["lists", "subscribe"]) => lists::subscribe(self, call, body),
            ("POST", ["lists", "unsubscribe"]) => lists::unsubscribe(self, call, body),
            ("GET", ["lists", list, "size"]) => lists::size(self, list),
            ("DELETE", ["lists", list]) => lists::delete(self, list),
            (method, ["catalogs", rest @ ..]) => catalogs::route(self, call, method, rest, body),
            ("GET", ["channels"]) => lookups::channels(self),
            ("GET", ["messageTypes"]) => lookups::message_types(self),
            _ => Err(answer::no_such_route(&call.path)),
        }
    }

    /// All of it, for people and tests.
    pub fn state(&self) -> Value {
        let lists = self.lists.iter().map(|(id, list)| {
            let members: Vec<Value> = list.members.iter().filter_map(|key| self.users.get(key)).map(name_of).collect();
            json!({ "id": id, "name": list.name, "listType": list.list_type, "members": members })
        });
        let users = self.users.iter().map(|(key, user)| lookups::profile(self, *key, user));
        let catalogs: Map<String, Value> =
            self.catalogs.iter().map(|(name, items)| (name.clone(), json!(items))).collect();
        json!({
            "project": self.project(),
            "users": users.collect::<Vec<_>>(),
            "events": self.events.values().collect::<Vec<_>>(),
            "purchases": self.purchases.values().collect::<Vec<_>>(),
            "lists": lists.collect::<Vec<_>>(),
            "catalogs": catalogs,
            "fields": self.fields.iter().collect::<IndexMap<_, _>>(),
            "forgotten": self.forgotten.iter().map(|(key, _)| key).collect::<BTreeSet<_>>(),
            "disallowedEvents": self.disallowed_events.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        })
    }
}

/// What a user is called in a list.
pub(super) fn name_of(user: &User) -> Value {
    Value::from(user.email.clone().or_else(|| user.user_id.clone()))
}
