//! Profiles: made, changed, renamed, deleted, forgotten.

use indexmap::IndexSet;
use serde_json::{Map, Value, json};

use super::account::{Account, ProjectType};
use super::answer::{self, Refusal, bad_params, done};
use super::fields::{self, Admission};
use super::identity::{Fault, Who, is_email};
use super::{Body, MAX_RECORDS, Said, shape};
use crate::sandbox::wire::{Answer, Call};

/// Records that were not taken, by reason and identifier, as they were sent.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub lists: Map<String, Value>,
    pub succeeded: usize,
    pub failed: usize,
}

impl Failures {
    pub fn note(&mut self, who: Who<'_>, outcome: Result<(), Fault>) {
        let Err(fault) = outcome else {
            self.succeeded += 1;
            return;
        };
        self.failed += 1;
        let reason = match fault {
            Fault::InvalidEmail => ("invalidEmails", who.email),
            Fault::InvalidUserId => ("invalidUserIds", who.user_id),
            Fault::ConflictEmail => ("conflictEmails", who.email),
            Fault::ConflictUserId => ("conflictUserIds", who.user_id),
            Fault::InvalidData if who.email.is_some() => ("invalidDataEmails", who.email),
            Fault::InvalidData => ("invalidDataUserIds", who.user_id),
            Fault::Forgotten if who.email.is_some() => ("forgottenEmails", who.email),
            Fault::Forgotten => ("forgottenUserIds", who.user_id),
            Fault::NotFound if who.email.is_some() => ("notFoundEmails", who.email),
            Fault::NotFound => ("notFoundUserIds", who.user_id),
        };
        let (list, Some(identifier)) = reason else { return };
        if let Value::Array(list) = self.lists.entry(list).or_insert_with(|| json!([])) {
            list.push(Value::from(identifier));
        }
    }

    /// The answer of the bulk endpoints: counts, lists, and the lists' deprecated copies.
    pub fn report(mut self, reasons: &[&str], more: Map<String, Value>) -> Answer {
        for reason in reasons {
            for kind in ["Emails", "UserIds"] {
                self.lists.entry(format!("{reason}{kind}")).or_insert_with(|| json!([]));
            }
        }
        let copy = |name: &str| self.lists.get(name).cloned().unwrap_or_else(|| json!([]));
        let mut body = json!({
            "successCount": self.succeeded, "failCount": self.failed,
            "invalidEmails": copy("invalidEmails"), "invalidUserIds": copy("invalidUserIds"),
        });
        if let Value::Object(body) = &mut body {
            body.extend(more);
            body.insert("failedUpdates".to_owned(), Value::Object(self.lists));
        }
        Answer::json(200, &body).with_records(self.succeeded + self.failed)
    }
}

/// Lists of the answers about users.
pub(super) const USER_REASONS: &[&str] = &["invalid", "notFound", "invalidData", "conflict", "forgotten"];

/// The data of a record, and nothing when it has none.
pub(super) fn data(record: &Value) -> &Map<String, Value> {
    static NOTHING: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    record.get("dataFields").and_then(Value::as_object).unwrap_or(&NOTHING)
}

/// The records of a bulk request, checked for number and identifiers.
pub(super) fn records<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Vec<(Who<'a>, &'a Value)>, Refusal> {
    let records = body.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if records.len() > MAX_RECORDS {
        return Err(answer::too_many(records.len()));
    }
    let whos = records.iter().map(|record| Who::of(record).map(|who| (who, record)));
    whos.collect::<Option<_>>().ok_or_else(|| bad_params("Either email or userId must be specified for every record"))
}

/// Makes the new fields of a request and says which were made and dropped.
pub(super) fn settle(account: &mut Account, admission: &Admission) -> Map<String, Value> {
    for (field, kind) in &admission.created {
        account.fields.insert(field.clone(), kind.clone());
    }
    let created: Vec<&String> = admission.created.keys().collect();
    let mut more = Map::new();
    more.insert("createdFields".to_owned(), json!(created));
    more.insert("filteredOutFields".to_owned(), json!(admission.dropped));
    more
}

/// Writes one record into its user, making the user when there is none.
pub(super) fn write(
    account: &mut Account,
    call: &Call,
    who: Who<'_>,
    record: &Value,
    dropped: &IndexSet<String>,
) -> Result<u64, Fault> {
    let sent = data(record);
    if sent.get("email").and_then(Value::as_str).is_some_and(|email| !is_email(email)) {
        return Err(Fault::InvalidEmail);
    }
    let key = account.find_or_create(who, call.now)?;
    let merge = record.get("mergeNestedObjects").and_then(Value::as_bool).unwrap_or(false);
    if let Some(user) = account.users.get_mut(&key) {
        fields::write(&mut user.data, sent, "", merge, &account.fields, dropped);
        user.updated = call.now;
    }
    Ok(key)
}

/// POST /api/users/bulkUpdate: makes and changes; there is no way to only change.
pub(super) fn bulk_update(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let body = body.read(shape::USERS)?;
    let records = records(body, "users")?;
    let create = body.get("createNewFields").and_then(Value::as_bool).unwrap_or(account.creates_fields());
    let sent = records.iter().map(|(_, record)| (data(record), create));
    let admission = fields::admit(&account.fields, "", "user", sent)?;
    let more = settle(account, &admission);
    let mut failures = Failures::default();
    for (position, (who, record)) in records.into_iter().enumerate() {
        let outcome = match call.trouble.refuses(position) {
            true => Err(Fault::InvalidData),
            false => write(account, call, who, record, &admission.dropped).map(|_| ()),
        };
        failures.note(who, outcome);
    }
    Ok(failures.report(USER_REASONS, more))
}

/// The refusal of a single record.
pub(super) fn refusal(fault: Fault, who: Who<'_>) -> Refusal {
    let (email, user_id) = (who.email.unwrap_or(""), who.user_id.unwrap_or(""));
    match fault {
        Fault::InvalidEmail => invalid_email(email),
        Fault::InvalidUserId => Refusal::new(400, "InvalidUserIdError", format!("Invalid userId: {user_id}")),
        Fault::InvalidData => bad_params("Invalid data in dataFields"),
        Fault::Forgotten => Refusal::new(409, "ForgottenUserError", "The user has been forgotten"),
        Fault::NotFound if who.email.is_some() => {
            Refusal::new(400, "UnknownEmailError", format!("Email does not exist: {email}"))
        }
        Fault::NotFound => Refusal::new(400, "UnknownUserIdError", format!("userId does not exist: {user_id}")),
        Fault::ConflictEmail => Refusal::new(409, "EmailAlreadyExists", format!("Email already exists: {email}")),
        Fault::ConflictUserId => Refusal::new(409, "UserIdAlreadyExists", format!("userId already exists: {user_id}")),
    }
}

pub(super) fn invalid_email(email: &str) -> Refusal {
    Refusal::new(400, "InvalidEmailAddressError", format!("Invalid email address: {email}"))
}

/// Who a request about one user is about.
pub(super) fn who(record: &Value) -> Result<Who<'_>, Refusal> {
    Who::of(record).ok_or_else(|| bad_params("Either email or userId must be specified"))
}

/// POST /api/users/update
pub(super) fn update(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let record = Value::Object(body.read(shape::USER)?.clone());
    let who = who(&record)?;
    let create = record.get("createNewFields").and_then(Value::as_bool).unwrap_or(account.creates_fields());
    let admission = fields::admit(&account.fields, "", "user", [(data(&record), create)].into_iter())?;
    settle(account, &admission);
    write(account, call, who, &record, &admission.dropped).map_err(|fault| refusal(fault, who))?;
    Ok(done(&format!("New fields created: {}. Dropped fields: {}.", admission.created.len(), admission.dropped.len()))
        .with_records(1))
}

/// POST /api/users/updateEmail: in projects of addresses only.
pub(super) fn update_email(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let body = body.read(shape::EMAIL_CHANGE)?;
    if account.project() != ProjectType::Email {
        return Err(bad_params("updateEmail is for email-based projects; use users/update"));
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (current, user_id, new) = (text("currentEmail"), text("currentUserId"), text("newEmail").unwrap_or(""));
    let whose = Who { email: current, user_id: user_id.filter(|_| current.is_none()), prefer_user_id: false };
    if whose.email.is_none() && whose.user_id.is_none() {
        return Err(bad_params("currentEmail or currentUserId must be specified"));
    }
    let key = account.find(whose).map_err(|fault| refusal(fault, whose))?;
    let key = key.ok_or_else(|| refusal(Fault::NotFound, whose))?;
    let wanted = Who { email: Some(new), user_id: None, prefer_user_id: false };
    match account.find(wanted).map_err(|fault| refusal(fault, wanted))? {
        Some(other) if other != key => return Err(refusal(Fault::ConflictEmail, wanted)),
        _ => {}
    }
    let new = new.to_lowercase();
    let before = account.users.get_mut(&key).and_then(|user| {
        user.updated = call.now;
        user.email.replace(new.clone())
    });
    before.and_then(|before| account.by_email.remove(&before));
    account.by_email.insert(new, key);
    Ok(done("").with_records(1))
}

/// DELETE /api/users/{email}
pub(super) fn delete_by_email(account: &mut Account, email: &str) -> Said {
    if !is_email(email) {
        return Err(invalid_email(email));
    }
    let key = account.by_email.get(&email.to_lowercase()).copied();
    let key = key.ok_or_else(|| bad_params(format!("User does not exist. Email: {email} UserId: ")))?;
    account.remove_user(key);
    Ok(done("").with_records(1))
}

/// DELETE /api/users/byUserId/{userId}: all that share it.
pub(super) fn delete_by_user_id(account: &mut Account, user_id: &str) -> Said {
    if !account.by_user_id.contains_key(user_id) {
        return Err(bad_params(format!("User does not exist. Email:  UserId: {user_id}")));
    }
    let shared = account.users.iter().filter(|(_, user)| user.user_id.as_deref() == Some(user_id));
    let keys: Vec<u64> = shared.map(|(key, _)| *key).collect();
    keys.into_iter().for_each(|key| account.remove_user(key));
    Ok(done("").with_records(1))
}

/// POST /api/users/forget: deletes, and never takes the identifiers again.
pub(super) fn forget(account: &mut Account, call: &Call, body: &Body<'_>) -> Said {
    let record = Value::Object(body.read(shape::USER)?.clone());
    let who = who(&record)?;
    let found = account.find(who).or_else(|fault| match fault {
        Fault::Forgotten => Ok(None),
        other => Err(refusal(other, who)),
    })?;
    let user = found.and_then(|key| account.users.get(&key).cloned());
    let email = user.as_ref().and_then(|user| user.email.clone()).or_else(|| who.email.map(str::to_lowercase));
    let user_id = user.and_then(|user| user.user_id).or_else(|| who.user_id.map(str::to_owned));
    if let Some(email) = email {
        account.forgotten.insert(format!("email:{email}"), call.now);
    }
    if let Some(user_id) = user_id {
        account.forgotten.insert(format!("userId:{user_id}"), call.now);
    }
    if let Some(key) = found {
        account.remove_user(key);
    }
    Ok(done("").with_records(1))
}

/// POST /api/users/unforget
pub(super) fn unforget(account: &mut Account, body: &Body<'_>) -> Said {
    let record = Value::Object(body.read(shape::USER)?.clone());
    let who = who(&record)?;
    if let Some(email) = who.email {
        account.forgotten.remove(&format!("email:{}", email.to_lowercase()));
    }
    if let Some(user_id) = who.user_id {
        account.forgotten.remove(&format!("userId:{user_id}"));
    }
    Ok(done("").with_records(1))
}
