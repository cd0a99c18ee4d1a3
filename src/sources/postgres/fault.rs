//! Values that PostgreSQL has and no Arrow type, and what to write instead.

use crate::sources::Unreadable;
pub(super) use crate::sources::batch::Fault;

pub(super) const CUT: Fault = Fault::Malformed;
pub(super) const INFINITE: Fault =
    Fault::Unreadable(Unreadable::new("an infinite date", "say what it means: `nullif(COLUMN, 'infinity') as COLUMN`"));
pub(super) const MINUS_INFINITE: Fault = Fault::Unreadable(Unreadable::new(
    "an infinite date before all others",
    "say what it means: `nullif(COLUMN, '-infinity') as COLUMN`",
));
pub(super) const FAR: Fault = Fault::Unreadable(Unreadable::new(
    "a date after all that can be read",
    "say what it means: `case when COLUMN < '9999-12-31' then COLUMN end as COLUMN`",
));
pub(super) const ODD_DATE: Fault = Fault::Unreadable(Unreadable::new(
    "a date that is infinite, before the year 1 or after 9999",
    "say what it means: `case when COLUMN between '0001-01-01' and '9999-12-31' then COLUMN end as COLUMN`",
));
pub(super) const NOT_A_NUMBER: Fault = Fault::Unreadable(Unreadable::new(
    "`NaN`, which is no decimal",
    "say what it means: `nullif(COLUMN, 'NaN') as COLUMN`",
));
pub(super) const INFINITE_NUMBER: Fault = Fault::Unreadable(Unreadable::new(
    "infinity, which is no decimal",
    "say what it means: `nullif(COLUMN, 'infinity') as COLUMN`",
));
pub(super) const MINUS_INFINITE_NUMBER: Fault = Fault::Unreadable(Unreadable::new(
    "minus infinity, which is no decimal",
    "say what it means: `nullif(COLUMN, '-infinity') as COLUMN`",
));
pub(super) const TOO_LONG: Fault =
    Fault::Unreadable(Unreadable::new("a decimal of too many digits", "cast it in the SQL: `COLUMN::text as COLUMN`"));
pub(super) const MATRIX: Fault = Fault::Unreadable(Unreadable::new(
    "an array of several dimensions",
    "take it as JSON: `to_json(COLUMN) as COLUMN`",
));
/// In a database of encoding `SQL_ASCII`, which takes any bytes for text.
pub(super) const NOT_UTF8: Fault = Fault::Unreadable(Unreadable::new(
    "text that is not UTF-8",
    "correct the value, or take its bytes: `convert_to(COLUMN, 'SQL_ASCII') as COLUMN`",
));
pub(super) const MIDNIGHT: Fault =
    Fault::Unreadable(Unreadable::new("the time `24:00:00`", "cast it in the SQL: `COLUMN::text as COLUMN`"));

/// What is wrong with an array, by what is wrong with an item of it: what is to be written is another thing.
pub(super) fn in_array(fault: Fault) -> Fault {
    let what = match fault {
        Fault::Malformed | MATRIX => return fault,
        NOT_UTF8 => {
            let help = "correct the value, or leave it out: `array_remove(COLUMN, …) as COLUMN`";
            return Fault::Unreadable(Unreadable::new("an array with text that is not UTF-8", help));
        }
        INFINITE | MINUS_INFINITE | FAR => "an array with an infinite date",
        NOT_A_NUMBER | INFINITE_NUMBER | MINUS_INFINITE_NUMBER => {
            "an array with `NaN` or infinity, which are no decimals"
        }
        _ => "an array with a value that cannot be read",
    };
    Fault::Unreadable(Unreadable::new(what, "take it as JSON: `to_json(COLUMN) as COLUMN`"))
}
