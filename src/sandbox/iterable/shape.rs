//! What bodies have to look like; a body that does not is refused as a whole.

use serde_json::Value;

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    Whole,
    Number,
    Flag,
    Object,
    Wholes,
    Texts,
    Record(Members),
    Records(Members),
}

/// The members of an object: name, whether it has to be there, its shape. Others are let pass.
pub(super) type Members = &'static [(&'static str, bool, Shape)];

/// All places that are not of the shape.
pub(super) fn check(body: &Value, members: Members) -> Vec<(String, &'static str)> {
    let mut wrong = Vec::new();
    record(body, members, "obj", &mut wrong);
    wrong
}

fn record(value: &Value, members: Members, place: &str, wrong: &mut Vec<(String, &'static str)>) {
    let Value::Object(object) = value else {
        wrong.push((place.to_owned(), "Object value expected"));
        return;
    };
    for (name, needed, shape) in members {
        match object.get(*name) {
            None | Some(Value::Null) if *needed => wrong.push((format!("{place}.{name}"), "Field is missing")),
            None | Some(Value::Null) => {}
            Some(value) if fits(value, *shape) => {}
            Some(value) => member(value, *shape, &format!("{place}.{name}"), wrong),
        }
    }
}

/// Whether a value fits, without looking into records.
fn fits(value: &Value, shape: Shape) -> bool {
    match shape {
        Shape::Text => value.is_string(),
        Shape::Whole => value.is_i64() || value.is_u64(),
        Shape::Number => value.is_number(),
        Shape::Flag => value.is_boolean(),
        Shape::Object => value.is_object(),
        Shape::Wholes => value.as_array().is_some_and(|items| items.iter().all(|item| fits(item, Shape::Whole))),
        Shape::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        Shape::Record(_) | Shape::Records(_) => false,
    }
}

fn member(value: &Value, shape: Shape, place: &str, wrong: &mut Vec<(String, &'static str)>) {
    let expected = match shape {
        Shape::Text => "String value expected",
        Shape::Whole => "Integer value expected",
        Shape::Number => "Number value expected",
        Shape::Flag => "Boolean value expected",
        Shape::Object => "Object value expected",
        Shape::Wholes => "Array of integers expected",
        Shape::Texts => "Array of strings expected",
        Shape::Record(members) => return record(value, members, place, wrong),
        Shape::Records(members) => match value {
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    // The place is only written out for the few that are wrong.
                    let before = wrong.len();
                    record(item, members, "", wrong);
                    wrong.iter_mut().skip(before).for_each(|(inner, _)| *inner = format!("{place}[{n}]{inner}"));
                }
                return;
            }
            _ => "Array value expected",
        },
    };
    wrong.push((place.to_owned(), expected));
}

use Shape::{Flag, Number, Object, Record, Records, Text, Texts, Whole, Wholes};

pub(super) const USER: Members = &[
    ("email", false, Text),
    ("userId", false, Text),
    ("dataFields", false, Object),
    ("preferUserId", false, Flag),
    ("mergeNestedObjects", false, Flag),
    ("createNewFields", false, Flag),
];
pub(super) const USERS: Members = &[("users", true, Records(USER)), ("createNewFields", false, Flag)];
pub(super) const EMAIL_CHANGE: Members =
    &[("currentEmail", false, Text), ("currentUserId", false, Text), ("newEmail", true, Text)];
pub(super) const EVENT: Members = &[
    ("email", false, Text),
    ("userId", false, Text),
    ("eventName", true, Text),
    ("id", false, Text),
    ("createdAt", false, Whole),
    ("dataFields", false, Object),
    ("campaignId", false, Whole),
    ("templateId", false, Whole),
    ("createNewFields", false, Flag),
];
pub(super) const EVENTS: Members = &[("events", true, Records(EVENT))];
const ITEM: Members = &[
    ("id", true, Text),
    ("name", true, Text),
    ("price", true, Number),
    ("quantity", true, Whole),
    ("sku", false, Text),
    ("description", false, Text),
    ("categories", false, Texts),
    ("imageUrl", false, Text),
    ("url", false, Text),
    ("dataFields", false, Object),
];
pub(super) const PURCHASE: Members = &[
    ("user", true, Record(USER)),
    ("items", true, Records(ITEM)),
    ("total", true, Number),
    ("id", false, Text),
    ("createdAt", false, Whole),
    ("campaignId", false, Whole),
    ("templateId", false, Whole),
    ("dataFields", false, Object),
];
pub(super) const NEW_LIST: Members = &[("name", true, Text), ("description", false, Text)];
pub(super) const SUBSCRIBE: Members =
    &[("listId", true, Whole), ("subscribers", true, Records(USER)), ("updateExistingUsersOnly", false, Flag)];
pub(super) const UNSUBSCRIBE: Members = &[
    ("listId", true, Whole),
    ("subscribers", true, Records(USER)),
    ("channelUnsubscribe", false, Flag),
    ("campaignId", false, Whole),
];
pub(super) const SUBSCRIPTION: Members = &[
    ("email", false, Text),
    ("userId", false, Text),
    ("emailListIds", false, Wholes),
    ("unsubscribedChannelIds", false, Wholes),
    ("unsubscribedMessageTypeIds", false, Wholes),
    ("subscribedMessageTypeIds", false, Wholes),
    ("campaignId", false, Whole),
    ("templateId", false, Whole),
    ("validateChannelAlignment", false, Flag),
];
pub(super) const SUBSCRIPTIONS: Members = &[("updateSubscriptionsRequests", true, Records(SUBSCRIPTION))];
pub(super) const DOCUMENTS: Members = &[("documents", true, Object), ("replaceUploadedFieldsOnly", true, Flag)];
pub(super) const ITEM_IDS: Members = &[("itemIds", true, Texts)];
pub(super) const ITEM_VALUE: Members = &[("value", true, Object)];
pub(super) const ITEM_UPDATE: Members = &[("update", true, Object)];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_place_of_each_fault_is_named() {
        let body = json!({ "users": [{ "email": "a@b.co" }, { "preferUserId": "yes" }, 7], "createNewFields": 1 });
        let wrong: Vec<String> = check(&body, USERS).into_iter().map(|(at, what)| format!("{at}: {what}")).collect();
        assert_eq!(
            wrong,
            [
                "obj.users[1].preferUserId: Boolean value expected",
                "obj.users[2]: Object value expected",
                "obj.createNewFields: Boolean value expected"
            ]
        );
        assert_eq!(check(&json!({}), EVENTS), [("obj.events".to_owned(), "Field is missing")]);
    }
}
