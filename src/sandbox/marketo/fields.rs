//! Fields and what may stand in them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Refusal;

/// A field of leads, companies, custom objects, program members or activities.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Field {
    /// REST name.
    pub name: String,
    /// Name for people; the REST name if there is none.
    pub display_name: Option<String>,
    /// `string`, `text`, `email`, `phone`, `url`, `integer`, `float`, `currency`, `percent`, `score`, `boolean`, `date`
    /// or `datetime`; `string` if nothing is said.
    pub data_type: Option<String>,
    /// Most characters.
    pub length: Option<usize>,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Whether records can be found by it.
    pub searchable: bool,
}

impl Field {
    /// A field of the standard set.
    pub(super) fn standard(name: &str, display_name: &str, data_type: &str, length: usize) -> Self {
        Self {
            name: name.to_owned(),
            display_name: Some(display_name.to_owned()),
            data_type: Some(data_type.to_owned()),
            length: (length > 0).then_some(length),
            ..Self::default()
        }
    }

    pub(super) fn fixed(self) -> Self {
        Self { read_only: true, ..self }
    }

    pub(super) fn found_by(self) -> Self {
        Self { searchable: true, ..self }
    }

    pub(super) fn kind(&self) -> &str {
        self.data_type.as_deref().unwrap_or("string")
    }

    pub(super) fn label(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }

    /// As `describe2` and the describe calls of objects show it.
    pub(super) fn described(&self) -> Value {
        let mut field = json!({ "name": self.name, "displayName": self.label(), "dataType": self.kind(),
            "updateable": !self.read_only, "crmManaged": false });
        if let (Some(length), Value::Object(field)) = (self.length, &mut field) {
            field.insert("length".to_owned(), length.into());
        }
        field
    }

    /// The value as it is kept.
    ///
    /// # Errors
    /// 1001 for the wrong type, 1077 for too long a text, 1003 for an address that is none.
    pub(super) fn accept(&self, value: &Value) -> Result<Value, Refusal> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let wrong = || Refusal::wrong(&shown, self.kind());
        if value.is_array() || value.is_object() {
            return Err(wrong());
        }
        let text = shown.trim();
        match self.kind() {
            "integer" | "score" | "percent" | "reference" => match text.parse::<i64>() {
                Ok(number) => Ok(number.into()),
                Err(_) if text.is_empty() => Ok(Value::Null),
                Err(_) => Err(wrong()),
            },
            "float" | "currency" => match text.parse::<f64>() {
                _ if text.is_empty() => Ok(Value::Null),
                Ok(_) if value.is_number() => Ok(value.clone()),
                Ok(number) if number.is_finite() => Ok(number.into()),
                _ => Err(wrong()),
            },
            "boolean" => match text.to_lowercase().as_str() {
                "true" | "1" | "yes" => Ok(true.into()),
                "false" | "0" | "no" => Ok(false.into()),
                "" => Ok(Value::Null),
                _ => Err(wrong()),
            },
            "date" => match text.get(..10).unwrap_or(text).parse::<jiff::civil::Date>() {
                Ok(date) => Ok(date.to_string().into()),
                Err(_) if text.is_empty() => Ok(Value::Null),
                Err(_) => Err(wrong()),
            },
            "datetime" => match moment(text) {
                Some(moment) => Ok(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()),
                None if text.is_empty() => Ok(Value::Null),
                None => Err(wrong()),
            },
            "email" if !text.is_empty() && (!text.contains('@') || !text.is_ascii() || text.contains(' ')) => {
                Err(Refusal::new(1003, format!("Invalid email address '{text}'")))
            }
            _ => match self.length {
                Some(most) if shown.chars().count() > most => {
                    Err(Refusal::new(1077, format!("Value for field '{}' exceeds max length ({most})", self.name)))
                }
                _ => Ok(shown.into()),
            },
        }
    }
}

/// A point in time with a zone, or a day.
pub(super) fn moment(text: &str) -> Option<jiff::Timestamp> {
    if let Ok(moment) = text.parse() {
        return Some(moment);
    }
    // `+0700` without the colon is common; a time without a zone is taken as UTC.
    let zoned = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", text).and_then(|parsed| parsed.to_timestamp());
    let civil = || text.parse::<jiff::civil::DateTime>().and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
    zoned.or_else(|_| civil().map(|zoned| zoned.timestamp())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_fields() {
        for (kind, value, kept) in [
            ("integer", json!("12"), Ok(json!(12))),
            ("integer", json!("12.5"), Err(1001)),
            ("float", json!(1.5), Ok(json!(1.5))),
            ("float", json!("x"), Err(1001)),
            ("boolean", json!("TRUE"), Ok(json!(true))),
            ("boolean", json!(2), Err(1001)),
            ("date", json!("2026-02-30"), Err(1001)),
            ("datetime", json!("2016-09-26T06:56:35+07:00"), Ok(json!("2016-09-25T23:56:35Z"))),
            ("datetime", json!("2016-09-26T06:56:35+0700"), Ok(json!("2016-09-25T23:56:35Z"))),
            ("datetime", json!("soon"), Err(1001)),
            ("email", json!("ada@example.com"), Ok(json!("ada@example.com"))),
            ("email", json!("adä@example.com"), Err(1003)),
            ("string", json!("four+"), Err(1077)),
            ("string", json!(4), Ok(json!("4"))),
            ("string", json!({}), Err(1001)),
            ("integer", Value::Null, Ok(Value::Null)),
        ] {
            let field = Field::standard("f", "F", kind, if kind == "string" { 4 } else { 0 });
            assert_eq!(field.accept(&value).map_err(|refusal| refusal.code), kept, "{kind} {value}");
        }
    }
}
