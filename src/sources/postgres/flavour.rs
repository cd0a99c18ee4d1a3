//! What differs at a server that speaks PostgreSQL's protocol and is none: Amazon Redshift.
//!
//! Redshift's documents promise the binary form of the types it shares with PostgreSQL 8, and not that of decimals,
//! dates and its own types. So everything but whole numbers, floats, booleans and text is asked for as text, in UTC, and
//! read here into the same Arrow types. `varchar` needs its length there: without one it is cut at 256 bytes
//! (<https://docs.aws.amazon.com/redshift/latest/dg/r_Character_types.html>).

use arrow_schema::{DataType, Field};
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::types::{Wire, column_type};
use crate::sources::TYPE_JSON;
use crate::sources::columns::marked;
use crate::sources::spelling::Spelling;

/// Which of the two a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sources) enum Flavour {
    Postgres,
    Redshift,
}

/// Redshift's `super` and `varbyte`, as their objects are numbered in `pg_type`
/// (<https://github.com/aws/amazon-redshift-python-driver/blob/master/redshift_connector/utils/oids.py>).
const SUPER: u32 = 4000;
const VARBYTE: u32 = 6551;

/// How a column of a result is read.
pub(super) struct Taken {
    pub field: Field,
    pub wire: Wire,
    /// What stands for the column in the statement, where its own form cannot be read.
    pub expression: Option<String>,
}

impl Flavour {
    /// What a read-only transaction begins with; texts of instants are in UTC.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Postgres => "begin transaction read only; set local time zone 'UTC'",
            Self::Redshift => "begin read only; set timezone to 'UTC'",
        }
    }

    /// How a column is read.
    pub(super) fn take(self, column: &Column) -> Taken {
        let name = Spelling::Standard.quoted(column.name());
        let as_text = |cast: &str| Taken {
            field: Field::new(column.name(), DataType::Utf8, true),
            wire: Wire::Plain,
            expression: Some(format!("{cast} as {name}")),
        };
        let varchar = format!("{name}::varchar(65535)");
        match (self, column_type(column)) {
            (Self::Postgres, Some((field, wire))) => Taken { field, wire, expression: None },
            (Self::Postgres, None) => as_text(&format!("{name}::text")),
            (Self::Redshift, _) if column.type_().oid() == SUPER => {
                let field = marked(column.name(), TYPE_JSON);
                Taken { field, ..as_text(&format!("json_serialize({name})")) }
            }
            (Self::Redshift, _) if column.type_().oid() == VARBYTE => Taken {
                field: Field::new(column.name(), DataType::Binary, true),
                wire: Wire::Hex,
                expression: Some(format!("from_varbyte({name}, 'hex') as {name}")),
            },
            (Self::Redshift, known) => match (column.type_().clone(), known) {
                (
                    Type::BOOL
                    | Type::INT2
                    | Type::INT4
                    | Type::INT8
                    | Type::FLOAT4
                    | Type::FLOAT8
                    | Type::TEXT
                    | Type::VARCHAR
                    | Type::BPCHAR
                    | Type::NAME,
                    Some((field, wire)),
                ) => Taken { field, wire, expression: None },
                (Type::NUMERIC | Type::DATE | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ, Some((field, _))) => {
                    Taken { field, wire: Wire::Written, expression: Some(format!("{varchar} as {name}")) }
                }
                _ => as_text(&varchar),
            },
        }
    }
}
