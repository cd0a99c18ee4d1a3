//! What the values of a column are.

use arrow_schema::{DataType, TimeUnit};

use super::super::shape::push_words;
use crate::sources::columns::Column;
use crate::sources::text::{self, Reading};

/// What the values of a column can all be read as.
#[derive(Debug, Clone, Default)]
pub(super) struct Kinds {
    int: bool,
    long_int: bool,
    float: bool,
    trailing_zero: bool,
    decimals: Option<(u32, u32)>,
    boolean: bool,
    date: bool,
    timestamp: bool,
    instant: bool,
    text: bool,
}

impl Kinds {
    /// Takes a value into account.
    pub(super) fn see(&mut self, value: &str) {
        if self.text || value.is_empty() {
            return;
        }
        match text::reading(value) {
            Reading::Int { digits } => {
                self.int = true;
                self.long_int |= digits > 15;
                self.see_decimals(0);
            }
            Reading::Float { decimals, trailing_zero } => {
                self.float = true;
                self.trailing_zero |= trailing_zero;
                self.see_decimals(decimals);
            }
            Reading::Boolean => self.boolean = true,
            Reading::Date => self.date = true,
            Reading::Timestamp => self.timestamp = true,
            Reading::Instant => self.instant = true,
            Reading::Text => self.text = true,
        }
    }

    /// Takes the values another has seen into account; in which order makes no difference.
    pub(super) fn merge(&mut self, other: &Self) {
        self.int |= other.int;
        self.long_int |= other.long_int;
        self.float |= other.float;
        self.trailing_zero |= other.trailing_zero;
        self.boolean |= other.boolean;
        self.date |= other.date;
        self.timestamp |= other.timestamp;
        self.instant |= other.instant;
        self.text |= other.text;
        if let Some((least, most)) = other.decimals {
            self.see_decimals(least);
            self.see_decimals(most);
        }
    }

    fn see_decimals(&mut self, decimals: u32) {
        let (least, most) = self.decimals.unwrap_or((decimals, decimals));
        self.decimals = Some((least.min(decimals), most.max(decimals)));
    }

    /// The narrowest type that holds them all.
    pub(super) fn data_type(&self) -> DataType {
        let number = self.int || self.float;
        let kinds = [number, self.boolean, self.date, self.timestamp, self.instant];
        if self.text || kinds.iter().filter(|kind| **kind).count() != 1 {
            return DataType::Utf8;
        }
        let fixed = self.decimals.is_none_or(|(least, most)| least == most);
        match self {
            Self { float: true, .. } if self.long_int || (self.trailing_zero && !fixed) => DataType::Utf8,
            Self { float: true, .. } => DataType::Float64,
            Self { int: true, .. } => DataType::Int64,
            Self { boolean: true, .. } => DataType::Boolean,
            Self { date: true, .. } => DataType::Date32,
            Self { timestamp: true, .. } => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// Appends a field; false when it is not of the column's kind.
pub(super) fn push(column: &mut Column, value: &str) -> bool {
    if value.is_empty() {
        column.push_null();
        return true;
    }
    match column {
        Column::Int64(b) => match text::integer(value) {
            Some(v) => b.append_value(v),
            None => return false,
        },
        Column::Float64(b) => match value.parse::<f64>() {
            Ok(v) => b.append_value(v),
            Err(_) => return false,
        },
        Column::Boolean(b) => match text::boolean(value) {
            Some(v) => b.append_value(v),
            None => return false,
        },
        _ => return push_words(column, value),
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen<'a>(values: impl IntoIterator<Item = &'a String>) -> Kinds {
        let mut kinds = Kinds::default();
        values.into_iter().for_each(|value| kinds.see(value));
        kinds
    }

    proptest! {
        #[test]
        fn the_type_does_not_depend_on_who_saw_which_value(
            values in proptest::collection::vec(
                "|[1-9]{1,18}|[1-9]\\.[0-9]{1,3}|true|2024-01-0[1-9]|2024-01-01 10:00(Z|)|[a-z]",
                0..6,
            ),
            cut in any::<prop::sample::Index>(),
        ) {
            let (first, second) = values.split_at(cut.index(values.len() + 1));
            for (one, other) in [(first, second), (second, first)] {
                let mut both = seen(one);
                both.merge(&seen(other));
                prop_assert_eq!(both.data_type(), seen(&values).data_type());
            }
        }
    }
}
