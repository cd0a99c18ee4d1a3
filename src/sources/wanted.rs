//! Which columns of a result are looked at.

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};

use crate::diagnostic::{Error, Result};

/// The columns that are looked at.
pub(super) struct Wanted {
    /// In the order of the result.
    pub schema: SchemaRef,
    /// One for each field of the schema.
    pub places: Vec<Place>,
}

/// Where a column stands in the result.
pub(super) struct Place {
    pub at: usize,
    pub name: String,
}

/// Of the fields of a result those that are named in `hint`, where there is one.
///
/// # Errors
/// There is no field at all, two of one name, or one that is named is missing.
pub(super) fn columns(fields: Vec<Field>, hint: Option<&[String]>) -> Result<Wanted> {
    let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    if names.is_empty() {
        let help = "a model is one `select` (or `with … select`) statement";
        return Err(Error::failed_help("the SQL gives no columns", help));
    }
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name)) {
        let help = "name one of them differently: `… as other_name`";
        return Err(Error::failed_help(format!("the result has two columns named `{twice}`"), help));
    }
    if let Some(name) = hint.unwrap_or_default().iter().find(|name| !names.contains(name)) {
        let help = format!("its columns: {}", names.join(", "));
        return Err(Error::failed_help(format!("the result has no column `{name}`"), help));
    }
    let (mut kept, mut places) = (Vec::new(), Vec::new());
    for (at, field) in fields.into_iter().enumerate() {
        if hint.is_none_or(|hint| hint.contains(field.name())) {
            places.push(Place { at, name: field.name().clone() });
            kept.push(field);
        }
    }
    Ok(Wanted { schema: Arc::new(Schema::new(kept)), places })
}
