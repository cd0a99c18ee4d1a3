//! What is asked of an API beside sending: containers, fields, counts, and whether the credentials hold.

use serde_json::{Value as Json, json};

use super::account::{Account, Counter, Exchange, failure, fatal, read_only, whole};
use super::compile::{Asked, Container, Find, Object};
use super::template::Layer;
use crate::destinations::{Discovered, FieldInfo, SendError};
use crate::manifest::connector::api::Class;
use crate::manifest::connector::object::LostClass;

/// Finds what records are put into, or makes it. Null where the object has no container, and where there is none and
/// `make` is false.
pub(super) async fn container(
    account: &Account,
    object: &Object,
    globals: &Layer<'_>,
    make: bool,
    counter: &Counter,
) -> Result<Json, SendError> {
    let Some(container) = &object.container else { return Ok(Json::Null) };
    if let Some(given) = container.given.as_ref().and_then(|given| given.json(globals)).filter(|given| !given.is_null())
    {
        if let (true, Some(find)) = (container.check_given, &container.find) {
            let listed = find_all(account, find, globals, counter, |_, value| same(value, &given)).await?;
            if listed.is_empty() {
                return Err(missing(&super::value::plain(Some(given.as_ref())).unwrap_or_default()));
            }
        }
        return Ok(given.into_owned());
    }
    let name = name(container, globals).ok_or_else(|| unnamed(object))?;
    // One after the other: none is made twice.
    let _alone = account.containers.lock().await;
    if let Some(find) = &container.find
        && let Some(found) = find_named(account, find, &name, globals, counter).await?
    {
        return Ok(found);
    }
    match &container.create {
        Some(create) if make => {
            let made = create.request.make(globals, None).map_err(fatal)?;
            // If the answer is lost, the next run finds what was made.
            let exchange = account.call(&made, &[], globals, LostClass::A, counter).await.map_err(read_only)?;
            let Exchange { answer, verdict } = exchange;
            if verdict.class != Class::Ok {
                return Err(failure(verdict));
            }
            let value = create.value.json(&answer.scope(Some(globals))).map(std::borrow::Cow::into_owned);
            value
                .filter(|value| !value.is_null())
                .ok_or_else(|| fatal(format!("`{name}` was made, but the answer does not name it")))
        }
        Some(_) => Ok(Json::Null),
        None => Err(missing(&name)),
    }
}

/// The name a sync gives its container.
fn name(container: &Container, globals: &Layer<'_>) -> Option<String> {
    container.name.as_ref().and_then(|name| name.text(globals)).filter(|name| !name.is_empty())
}

fn unnamed(object: &Object) -> SendError {
    let options: Vec<String> = object.words.options.keys().map(|name| format!("`{name}`")).collect();
    SendError::Fatal {
        message: "the sync does not say where its records go".into(),
        help: Some(format!("see `options` of the sync: {}", options.join(", "))),
    }
}

fn missing(name: &str) -> SendError {
    SendError::Fatal {
        message: format!("the destination has no `{name}`"),
        help: Some("make it there first, or correct the `options` of the sync".into()),
    }
}

/// The one of this name. That there are several is an error.
async fn find_named(
    account: &Account,
    find: &Find,
    name: &str,
    globals: &Layer<'_>,
    counter: &Counter,
) -> Result<Option<Json>, SendError> {
    let mut found = find_all(account, find, globals, counter, |is, _| is == Some(name)).await?;
    if let [first, second, ..] = found.as_slice() {
        return Err(SendError::Fatal {
            message: format!("the destination has several `{name}`, e.g. {first} and {second}"),
            help: Some("say in the `options` of the sync which one is meant, by its id".into()),
        });
    }
    Ok(found.pop())
}

/// The values of all that is listed and wanted; `wanted` is given what names one, and its value.
async fn find_all(
    account: &Account,
    find: &Find,
    globals: &Layer<'_>,
    counter: &Counter,
    wanted: impl Fn(Option<&str>, &Json) -> bool + Sync + Send,
) -> Result<Vec<Json>, SendError> {
    let made = find.request.make(globals, None).map_err(fatal)?;
    let mut found: Vec<Json> = Vec::new();
    let verdict = account
        .pages(&find.request, made, &[], globals, counter, |answer| {
            let over = answer.scope(Some(globals));
            for item in &answer.list(&find.items, &over)? {
                let over = Layer::over(Some(&over)).with("item", item);
                let Some(value) = find.value.json(&over).filter(|value| !found.contains(value)) else { continue };
                if wanted(find.is.text(&over).as_deref(), &value) {
                    let value = value.into_owned();
                    found.push(value);
                }
            }
            Ok(())
        })
        .await?;
    if matches!(verdict.class, Class::Ok | Class::NotFound) { Ok(found) } else { Err(failure(verdict)) }
}

/// An id is the same as a number and as text.
fn same(one: &Json, other: &Json) -> bool {
    let plain = |value: &Json| super::value::plain(Some(value));
    plain(one).is_some() && plain(one) == plain(other)
}

/// One value an API is asked for.
pub(super) async fn value(
    account: &Account,
    asked: &Asked,
    globals: &Layer<'_>,
    counter: &Counter,
) -> Result<Json, SendError> {
    let made = asked.request.make(globals, None).map_err(fatal)?;
    let exchange = account.call(&made, &[], globals, LostClass::A, counter).await.map_err(read_only)?;
    let Exchange { answer, verdict } = exchange;
    if verdict.class != Class::Ok {
        return Err(failure(verdict));
    }
    Ok(asked.value.json(&answer.scope(Some(globals))).map(std::borrow::Cow::into_owned).unwrap_or_default())
}

/// How many records there are; `None` where the object cannot count.
pub(super) async fn count(
    account: &Account,
    object: &Object,
    globals: &Layer<'_>,
    counter: &Counter,
) -> Result<Option<u64>, SendError> {
    let Some(asked) = &object.count else { return Ok(None) };
    let value = value(account, asked, globals, counter).await?;
    let text = super::value::plain(Some(&value)).unwrap_or_default();
    whole(&text).map(Some).ok_or_else(|| fatal("the destination's count is not a number".into()))
}

/// The fields there are; `None` where the object cannot say.
pub(super) async fn fields(
    account: &Account,
    object: &Object,
    globals: &Layer<'_>,
    counter: &Counter,
) -> Result<Option<Discovered>, SendError> {
    let Some(discover) = &object.discover else { return Ok(None) };
    let found = match (&discover.find, &object.container) {
        (Some(find), Some(container)) => {
            let name = name(container, globals).ok_or_else(|| unnamed(object))?;
            find_named(account, find, &name, globals, counter).await?.ok_or_else(|| missing(&name))?
        }
        _ => Json::Null,
    };
    let globals = &Layer::over(Some(globals)).with("found", &found);
    let made = discover.request.make(globals, None).map_err(fatal)?;
    let mut fields: Vec<FieldInfo> = Vec::new();
    let mut listed = false;
    let verdict = account
        .pages(&discover.request, made, &[], globals, counter, |answer| {
            let over = answer.scope(Some(globals));
            let Some(items) = discover.items.json(&over) else { return Ok(()) };
            let items = match items.as_ref() {
                Json::Object(entries) => entries.iter().map(|(key, value)| json!([key, value])).collect(),
                Json::Array(items) => items.clone(),
                _ => return Ok(()),
            };
            listed = true;
            for item in &items {
                let over = Layer::over(Some(&over)).with("item", item);
                let Some(name) = discover.name.text(&over) else { continue };
                let kind = discover.kind.as_ref().and_then(|kind| kind.text(&over));
                let kind = kind.and_then(|kind| discover.types.get(&kind)).copied().unwrap_or_default();
                let writable = discover.writable.as_ref().is_none_or(|writable| writable.truth(&over));
                if !fields.iter().any(|known| known.name == name) {
                    fields.push(FieldInfo { name, kind, writable });
                }
            }
            Ok(())
        })
        .await?;
    if verdict.class != Class::Ok {
        return Err(failure(verdict));
    }
    // No list is no statement: else every field of the sync would be one too many.
    if !listed {
        return Err(fatal("its answer has no list of fields".into()));
    }
    let words = object.words.discover.as_ref();
    let (complete, converts) = words.map_or((false, false), |words| (words.complete, words.converts));
    let complete = complete || discover.complete.as_ref().is_some_and(|complete| complete.truth(globals));
    Ok(Some(Discovered { complete, converts, fields }))
}
