//! What a connection and the options of a sync hold, against what the connector says of them.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::compile::Compiled;
use super::template::Layer;
use crate::diagnostic::{Error, Result, closest};
use crate::manifest::connector::{Parameter, ParameterType};
use crate::secret::Connection;

/// The settings of a connection with their defaults, the address of the API without a slash at its end, and a file of
/// certificate authorities to trust there.
pub(super) fn connection(
    compiled: &Compiled,
    connection: &Connection,
) -> Result<(Map<String, Json>, String, Option<PathBuf>)> {
    let mut values: Map<String, Json> = connection.typed()?;
    let trusted = values.remove("ca_file").as_ref().and_then(Json::as_str).map(PathBuf::from);
    let own = values.remove("base_url").filter(|url| !url.is_null());
    let name = &compiled.manifest().name;
    if !compiled.is_inline() {
        let known = &compiled.manifest().connection;
        if let Err((message, help)) = fill(known, &mut values, "connection") {
            return Err(Error::Failed { message: format!("connector `{name}`: {message}"), help });
        }
    }
    let wrong = |message: &str| {
        Error::failed_help(
            format!("connector `{name}`: {message}"),
            "give `connection.base_url`, e.g. `https://api.example.com`",
        )
    };
    let base = match (own, &compiled.base_url) {
        (Some(Json::String(url)), _) => url,
        (Some(_), _) => return Err(wrong("`connection.base_url` is not text")),
        (None, Some(template)) => {
            let settings = Json::Object(values.clone());
            let scope = Layer::over(None).with("connection", &settings);
            let rendered = template.render(&scope).map_err(|message| wrong(&format!("`api.base_url`: {message}")))?;
            rendered.unwrap_or_default()
        }
        (None, None) => return Err(wrong("there is no address")),
    };
    let base = base.trim().trim_end_matches('/').to_owned();
    let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")).unwrap_or_default();
    if host.is_empty() || host.starts_with(['.', '/', ':']) || host.contains("..") {
        let template = compiled.manifest().api.base_url.as_deref().unwrap_or_default();
        let missing =
            compiled.manifest().connection.keys().find(|key| {
                template.contains(&format!("connection.{key}")) && values.get(*key).is_none_or(Json::is_null)
            });
        return Err(match missing {
            Some(key) => Error::failed_help(
                format!("connector `{name}`: the address needs `connection.{key}`"),
                format!("give `connection.{key}`, or the whole address as `connection.base_url`"),
            ),
            None => wrong("the address is not an http or https address"),
        });
    }
    Ok((values, base, trusted))
}

/// Where access tokens are fetched, when that is not where the API is; without a slash at its end.
pub(super) fn token_base(compiled: &Compiled, settings: &Map<String, Json>) -> Result<Option<String>> {
    let token = compiled.auth.as_ref().and_then(|auth| auth.token.as_ref());
    let Some(template) = token.and_then(|token| token.base_url.as_ref()) else { return Ok(None) };
    let settings = Json::Object(settings.clone());
    let scope = Layer::over(None).with("connection", &settings);
    let rendered = template.render(&scope).map_err(|message| {
        Error::failed(format!("connector `{}`: `api.auth.token.base_url`: {message}", compiled.manifest().name))
    })?;
    let base = rendered.unwrap_or_default().trim().trim_end_matches('/').to_owned();
    if base.is_empty() {
        return Err(Error::failed_help(
            format!("connector `{}`: there is no address access tokens are fetched from", compiled.manifest().name),
            "see `api.auth.token.base_url` of the connector, and what of the `connection` it is made of",
        ));
    }
    Ok(Some(base))
}

/// Checks values against what is known of them and adds the defaults. The error is a message and what to do.
pub(super) fn fill(
    known: &IndexMap<String, Parameter>,
    values: &mut Map<String, Json>,
    place: &str,
) -> std::result::Result<(), (String, Option<String>)> {
    for (name, value) in values.iter() {
        let Some(parameter) = known.get(name) else {
            let help = match closest(name, known.keys().map(String::as_str)) {
                Some(guess) => format!("did you mean `{guess}`?"),
                None if known.is_empty() => format!("`{place}` takes none here"),
                None => {
                    let names: Vec<String> = known.keys().map(|name| format!("`{name}`")).collect();
                    format!("there are: {}", names.join(", "))
                }
            };
            return Err((format!("there is no `{place}.{name}`"), Some(help)));
        };
        // A credential is not shown, not even a wrong one.
        if !value.is_null() && !fits(parameter, value) {
            return Err((format!("`{place}.{name}` {}", wanted(parameter)), parameter.description.clone()));
        }
    }
    for (name, parameter) in known {
        let given = values.get(name).is_some_and(|value| !value.is_null() && value != "");
        if !given {
            match &parameter.default {
                Some(default) => {
                    values.insert(name.clone(), default.clone());
                }
                None if parameter.required => {
                    return Err((format!("`{place}.{name}` is missing"), parameter.description.clone()));
                }
                None => {
                    values.remove(name);
                }
            }
        }
    }
    Ok(())
}

fn fits(parameter: &Parameter, value: &Json) -> bool {
    let kind = match parameter.kind {
        ParameterType::String => value.is_string(),
        ParameterType::Integer => value.is_i64() || value.is_u64(),
        ParameterType::Boolean => value.is_boolean(),
        ParameterType::Id => value.is_string() || value.is_i64() || value.is_u64(),
    };
    kind && parameter.values.as_ref().is_none_or(|values| values.contains(value))
}

fn wanted(parameter: &Parameter) -> String {
    if let Some(values) = &parameter.values {
        let values: Vec<String> =
            values.iter().map(|value| format!("`{}`", value.to_string().trim_matches('"'))).collect();
        return format!("must be one of {}", values.join(", "));
    }
    match parameter.kind {
        ParameterType::String => "must be text",
        ParameterType::Integer => "must be a whole number",
        ParameterType::Boolean => "must be `true` or `false`",
        ParameterType::Id => "must be text or a whole number",
    }
    .into()
}
