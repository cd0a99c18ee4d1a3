//! Which user a record is about, by the rules of the project's type.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::account::{Account, ProjectType, User};

/// The identifiers of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who<'a> {
    pub email: Option<&'a str>,
    pub user_id: Option<&'a str>,
    pub prefer_user_id: bool,
}

/// Why a record is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    InvalidEmail,
    InvalidUserId,
    InvalidData,
    Forgotten,
    NotFound,
    /// The address belongs to another user.
    ConflictEmail,
    /// The userId belongs to another user.
    ConflictUserId,
}

impl<'a> Who<'a> {
    /// The identifiers of a record; none when it has neither.
    pub fn of(record: &'a Value) -> Option<Self> {
        let text = |name| record.get(name).and_then(Value::as_str);
        let prefer_user_id = record.get("preferUserId").and_then(Value::as_bool).unwrap_or(false);
        let who = Self { email: text("email"), user_id: text("userId"), prefer_user_id };
        (who.email.is_some() || who.user_id.is_some()).then_some(who)
    }

    fn check(self) -> Result<(), Fault> {
        if self.email.is_some_and(|email| !is_email(email)) {
            return Err(Fault::InvalidEmail);
        }
        if self.user_id.is_some_and(|id| !is_user_id(id)) {
            return Err(Fault::InvalidUserId);
        }
        Ok(())
    }
}

/// Whether a text is an address, as far as it matters here.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '<' | '>' | '(' | ')' | '"'));
    let labels = domain.split('.').all(|label| !label.is_empty());
    plain && !local.is_empty() && local.len() <= 64 && domain.contains('.') && !domain.contains('@') && labels
}

fn is_user_id(text: &str) -> bool {
    let printable = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    !text.is_empty() && text.len() <= 52 && printable && !text.ends_with(' ')
}

impl Account {
    /// The user of a record, if there is one.
    ///
    /// # Errors
    /// What is wrong with the identifiers.
    pub(super) fn find(&self, who: Who<'_>) -> Result<Option<u64>, Fault> {
        who.check()?;
        let email = who.email.map(str::to_lowercase);
        let lost = |kind: &str, name: &str| self.forgotten.contains(&format!("{kind}:{name}"));
        if email.as_deref().is_some_and(|email| lost("email", email))
            || who.user_id.is_some_and(|user_id| lost("userId", user_id))
        {
            return Err(Fault::Forgotten);
        }
        let by_email = email.and_then(|email| self.by_email.get(&email).copied());
        let by_user_id = who.user_id.and_then(|user_id| self.by_user_id.get(user_id).copied());
        match self.project() {
            ProjectType::UserId if who.user_id.is_some() => Ok(by_user_id),
            ProjectType::UserId => Ok(by_email),
            ProjectType::Email if who.email.is_some() => Ok(by_email),
            ProjectType::Email => Ok(by_user_id),
            ProjectType::Hybrid => match (by_email, by_user_id) {
                (Some(a), Some(b)) if a != b && who.prefer_user_id => Err(Fault::ConflictEmail),
                (Some(a), Some(b)) if a != b => Err(Fault::ConflictUserId),
                (a, b) => Ok(a.or(b)),
            },
        }
    }

    /// The user of a record, made when there is none and the project lets that be.
    ///
    /// # Errors
    /// What is wrong with the identifiers, or that there is no such user and none can be made.
    pub(super) fn find_or_create(&mut self, who: Who<'_>, now: Timestamp) -> Result<u64, Fault> {
        if let Some(key) = self.find(who)? {
            self.identify(key, who);
            return Ok(key);
        }
        let email = match (self.project(), who.email, who.user_id) {
            // Without an address a project of addresses gives a made-up one, if asked to.
            (ProjectType::Email, None, Some(id)) if who.prefer_user_id => Some(format!("{id}@placeholder.email")),
            (ProjectType::Email, None, _) | (ProjectType::UserId, _, None) => return Err(Fault::NotFound),
            (_, email, _) => email.map(str::to_owned),
        };
        let user = User {
            email: email.map(|email| email.to_lowercase()),
            user_id: who.user_id.map(str::to_owned),
            data: Map::new(),
            signup: now,
            updated: now,
            source: "API".to_owned(),
            subscriptions: Map::new(),
        };
        Ok(self.add_user(user))
    }

    pub fn add_user(&mut self, user: User) -> u64 {
        let key = self.users.upcoming();
        if let Some(email) = &user.email {
            self.by_email.insert(email.to_lowercase(), key);
        }
        if let Some(user_id) = &user.user_id {
            self.by_user_id.insert(user_id.clone(), key);
        }
        self.users.place(key, user);
        key
    }

    /// A record that names both identifiers gives the user the one it lacked, or changes it.
    fn identify(&mut self, key: u64, who: Who<'_>) {
        let (Some(email), Some(user_id)) = (who.email, who.user_id) else { return };
        let email = email.to_lowercase();
        let Some(user) = self.users.get_mut(&key) else { return };
        if user.email.as_deref() != Some(&email) {
            let before = user.email.replace(email.clone());
            before.and_then(|before| self.by_email.remove(&before));
            self.by_email.insert(email, key);
        }
        if user.user_id.as_deref() != Some(user_id) {
            let before = user.user_id.replace(user_id.to_owned());
            before.and_then(|before| self.by_user_id.remove(&before));
            self.by_user_id.insert(user_id.to_owned(), key);
        }
    }

    /// Takes a user out of everything but the events.
    pub fn remove_user(&mut self, key: u64) {
        let Some(user) = self.users.remove(&key) else { return };
        if let Some(email) = user.email {
            self.by_email.remove(&email.to_lowercase());
        }
        if let Some(user_id) = user.user_id {
            self.by_user_id.remove(&user_id);
        }
        let lists: Vec<u64> =
            self.lists.iter().filter(|(_, list)| list.members.contains(&key)).map(|(id, _)| *id).collect();
        for list in lists {
            if let Some(list) = self.lists.get_mut(&list) {
                list.members.swap_remove(&key);
            }
        }
    }
}
