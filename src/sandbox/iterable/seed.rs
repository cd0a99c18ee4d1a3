//! What a project holds before anything is sent to it.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::{Account, List, ProjectType, User};

/// The part of a seed that is about Iterable.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// By what users are told apart.
    pub project: Option<ProjectType>,
    /// Whether fields nobody has sent before are made when the request does not say; they are by default.
    pub create_new_fields: Option<bool>,
    /// Profile fields: dotted path to `string`, `long`, `double`, `boolean`, `date` or `object`.
    pub fields: BTreeMap<String, String>,
    /// Profiles.
    pub users: Vec<SeedUser>,
    /// Static lists.
    pub lists: Vec<SeedList>,
    /// Catalogs: name to items by id.
    pub catalogs: BTreeMap<String, IndexMap<String, Value>>,
    /// Users that are forgotten.
    pub forgotten: Vec<SeedUser>,
    /// Names of events that are not taken.
    pub disallowed_events: Vec<String>,
    /// Channels, as the API gives them.
    pub channels: Option<Value>,
    /// Message types, as the API gives them.
    pub message_types: Option<Value>,
}

/// A profile of a seed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct SeedUser {
    /// Its address.
    pub email: Option<String>,
    /// Its userId.
    pub user_id: Option<String>,
    /// Its fields.
    pub data_fields: Map<String, Value>,
}

/// A list of a seed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeedList {
    /// Its number; the next free one if there is none.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// `Standard` unless said otherwise.
    pub list_type: Option<String>,
    /// Addresses or userIds of users of the seed.
    pub members: Vec<String>,
}

impl Account {
    /// Adds what a seed says to what is there.
    ///
    /// # Errors
    /// Says which part of the seed makes no sense.
    pub fn sow(&mut self, seed: &Seed, now: Timestamp) -> Result<(), String> {
        let settings = [
            ("project", seed.project.map(|project| serde_json::json!(project))),
            ("create_new_fields", seed.create_new_fields.map(Value::from)),
            ("channels", seed.channels.clone()),
            ("message_types", seed.message_types.clone()),
        ];
        for (name, value) in settings {
            if let Some(value) = value {
                self.settings.insert(name.to_owned(), value);
            }
        }
        for (field, kind) in &seed.fields {
            if !["string", "long", "double", "boolean", "date", "object"].contains(&kind.as_str()) {
                return Err(format!("iterable field `{field}`: `{kind}` is no type of a field"));
            }
            self.fields.insert(field.clone(), kind.clone());
        }
        for user in &seed.users {
            self.sow_user(user, now)?;
        }
        for list in &seed.lists {
            self.sow_list(list, now)?;
        }
        for (name, items) in &seed.catalogs {
            self.catalogs.insert(name.clone(), items.clone());
        }
        for user in &seed.forgotten {
            let email = user.email.as_ref().map(|email| format!("email:{}", email.to_lowercase()));
            let user_id = user.user_id.as_ref().map(|user_id| format!("userId:{user_id}"));
            email.into_iter().chain(user_id).for_each(|key| self.forgotten.insert(key, now));
        }
        for event in &seed.disallowed_events {
            self.disallowed_events.insert(event.clone(), true);
        }
        Ok(())
    }

    fn sow_user(&mut self, user: &SeedUser, now: Timestamp) -> Result<(), String> {
        let name = user.email.as_ref().or(user.user_id.as_ref());
        let name = name.ok_or("an iterable user has neither `email` nor `userId`")?;
        let records = [(&user.data_fields, true)];
        let admission = super::fields::admit(&self.fields, "", "user", records.into_iter()).map_err(|_| {
            format!("iterable user `{name}`: its fields are of other types than those of the users before")
        })?;
        super::users::settle(self, &admission);
        let before = user.email.as_ref().and_then(|email| self.by_email.get(&email.to_lowercase()));
        let before = before.or_else(|| user.user_id.as_ref().and_then(|user_id| self.by_user_id.get(user_id))).copied();
        if let Some(before) = before.and_then(|key| self.users.get_mut(&key)) {
            before.data = user.data_fields.clone();
            before.updated = now;
            return Ok(());
        }
        self.add_user(User {
            email: user.email.as_ref().map(|email| email.to_lowercase()),
            user_id: user.user_id.clone(),
            data: user.data_fields.clone(),
            signup: now,
            updated: now,
            source: "import".to_owned(),
            subscriptions: Map::new(),
        });
        Ok(())
    }

    fn sow_list(&mut self, list: &SeedList, now: Timestamp) -> Result<(), String> {
        let id = list.id.unwrap_or(self.lists.upcoming());
        let mut members = IndexSet::new();
        for name in &list.members {
            let key = self.by_email.get(&name.to_lowercase()).or_else(|| self.by_user_id.get(name));
            let key = key.ok_or_else(|| format!("iterable list `{}`: no user `{name}` in the seed", list.name))?;
            members.insert(*key);
        }
        let list_type = list.list_type.clone().unwrap_or_else(|| "Standard".to_owned());
        let list = List { name: list.name.clone(), description: None, created: now, list_type, members };
        self.lists.place(id, list);
        Ok(())
    }
}
