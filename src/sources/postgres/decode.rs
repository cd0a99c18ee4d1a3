//! Values as PostgreSQL sends them in binary.

use tokio_postgres::types::{FromSql, Type};

use super::fault::{
    CUT, FAR, Fault, INFINITE, INFINITE_NUMBER, MATRIX, MIDNIGHT, MINUS_INFINITE, MINUS_INFINITE_NUMBER, NOT_A_NUMBER,
    NOT_UTF8, ODD_DATE, TOO_LONG, in_array,
};
use super::types::Wire;
use crate::sources::columns::{Column, ListColumn};
use crate::sources::text;

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's zero.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// The powers of ten that 128 bits hold.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The bytes of a value; `None` for null.
pub(super) struct Raw<'a>(pub(super) Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| CUT)
}

fn utf8(bytes: &[u8]) -> Result<&str, Fault> {
    str::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

/// Appends values, one for each row; null where one cannot be read, so that all columns stay of one length. `fault` is told
/// the place of such a value, from 0, and why.
///
/// A column at a time: what is to be done is decided once for many values.
pub(super) fn push<'b>(
    column: &mut Column,
    wire: &Wire,
    values: impl Iterator<Item = Option<&'b [u8]>>,
    mut fault: impl FnMut(usize, Fault),
) {
    let fault = &mut fault;
    match (column, wire) {
        (Column::List(list), Wire::List(item)) => {
            for (at, value) in values.enumerate() {
                match value.map(|bytes| push_list(list, item, bytes)) {
                    None => list.end(false),
                    Some(pushed) => pushed.unwrap_or_else(|why| fault(at, why)),
                }
            }
        }
        (Column::Text(b, _), Wire::Written) => each(values, utf8, |v| b.append_option(v), fault),
        (Column::Decimal(b, scale), Wire::Written) => {
            let read = |v| text::scaled(utf8(v)?, *scale).ok_or(NOT_A_NUMBER);
            each(values, read, |v| b.append_option(v), fault);
        }
        (Column::Date(b), Wire::Written) => {
            each(values, |v| text::date(utf8(v)?).ok_or(ODD_DATE), |v| b.append_option(v), fault);
        }
        (Column::Time(b), Wire::Written) => {
            each(values, |v| text::time(utf8(v)?).ok_or(MIDNIGHT), |v| b.append_option(v), fault);
        }
        // In UTC.
        (Column::Timestamp(b, _), Wire::Written) => {
            each(values, |v| Ok(text::timestamp(utf8(v)?).ok_or(ODD_DATE)?.0), |v| b.append_option(v), fault);
        }
        (Column::Binary(b), Wire::Hex) => {
            each(values, |v| hex::decode(v).map_err(|_| CUT), |v| b.append_option(v), fault);
        }
        (Column::Boolean(b), _) => each(values, |v| Ok(fixed::<1>(v)? != [0]), |v| b.append_option(v), fault),
        (Column::Int16(b), _) => {
            each(values, |v| fixed(v).map(i16::from_be_bytes), |v| b.append_option(v), fault);
        }
        (Column::Int32(b), _) => {
            each(values, |v| fixed(v).map(i32::from_be_bytes), |v| b.append_option(v), fault);
        }
        (Column::Int64(b), Wire::Oid) => {
            each(values, |v| fixed(v).map(|v| u32::from_be_bytes(v).into()), |v| b.append_option(v), fault);
        }
        (Column::Int64(b), _) => {
            each(values, |v| fixed(v).map(i64::from_be_bytes), |v| b.append_option(v), fault);
        }
        (Column::Float32(b), _) => {
            each(values, |v| fixed(v).map(f32::from_be_bytes), |v| b.append_option(v), fault);
        }
        (Column::Float64(b), _) => {
            each(values, |v| fixed(v).map(f64::from_be_bytes), |v| b.append_option(v), fault);
        }
        (Column::Text(b, _), Wire::Numeric) => {
            each(values, |v| Ok(Numeric::parse(v)?.text()), |v| b.append_option(v), fault);
        }
        (Column::Decimal(b, scale), _) => {
            let read = |v| Numeric::parse(v)?.scaled(*scale).ok_or(TOO_LONG);
            each(values, read, |v| b.append_option(v), fault);
        }
        (Column::Text(b, _), Wire::Uuid) => {
            each(values, |v| Ok(uuid::Uuid::from_bytes(fixed(v)?).to_string()), |v| b.append_option(v), fault);
        }
        (Column::Text(b, _), Wire::Interval) => {
            each(values, |v| fixed(v).map(interval), |v| b.append_option(v), fault);
        }
        // The first byte is the version of the format, always 1.
        (Column::Text(b, _), Wire::Jsonb) => {
            each(values, |v| utf8(v.strip_prefix(&[1]).ok_or(CUT)?), |v| b.append_option(v), fault);
        }
        (Column::Text(b, _), _) => each(values, utf8, |v| b.append_option(v), fault),
        (Column::Binary(b), _) => each(values, Ok, |v| b.append_option(v), fault),
        (Column::Date(b), _) => each(values, date, |v| b.append_option(v), fault),
        (Column::Timestamp(b, _), _) => each(values, timestamp, |v| b.append_option(v), fault),
        (Column::Time(b), _) => each(values, time, |v| b.append_option(v), fault),
        // No field of ours has another type.
        (column, _) => {
            for (at, value) in values.enumerate() {
                column.push_null();
                if value.is_some() {
                    fault(at, CUT);
                }
            }
        }
    }
}

#[inline]
fn each<'b, T>(
    values: impl Iterator<Item = Option<&'b [u8]>>,
    read: impl Fn(&'b [u8]) -> Result<T, Fault>,
    mut append: impl FnMut(Option<T>),
    fault: &mut impl FnMut(usize, Fault),
) {
    for (at, value) in values.enumerate() {
        append(match value.map(&read) {
            None => None,
            Some(Ok(value)) => Some(value),
            Some(Err(why)) => {
                fault(at, why);
                None
            }
        });
    }
}

fn date(bytes: &[u8]) -> Result<i32, Fault> {
    match i32::from_be_bytes(fixed(bytes)?) {
        i32::MAX => Err(INFINITE),
        i32::MIN => Err(MINUS_INFINITE),
        days => days.checked_add(EPOCH_DAYS).ok_or(FAR),
    }
}

fn timestamp(bytes: &[u8]) -> Result<i64, Fault> {
    match i64::from_be_bytes(fixed(bytes)?) {
        i64::MAX => Err(INFINITE),
        i64::MIN => Err(MINUS_INFINITE),
        micros => micros.checked_add(EPOCH_MICROS).ok_or(FAR),
    }
}

fn time(bytes: &[u8]) -> Result<i64, Fault> {
    match i64::from_be_bytes(fixed(bytes)?) {
        micros @ 0..DAY_MICROS => Ok(micros),
        _ => Err(MIDNIGHT),
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], Fault> {
    let (first, rest) = bytes.split_first_chunk().ok_or(CUT)?;
    *bytes = rest;
    Ok(first)
}

/// Appends a list. Where one of its items cannot be read, neither can the list.
fn push_list(list: &mut ListColumn, wire: &Wire, bytes: &[u8]) -> Result<(), Fault> {
    let pushed = push_items(list, wire, bytes).map_err(in_array);
    list.end(pushed.is_ok());
    pushed
}

fn push_items(list: &mut ListColumn, wire: &Wire, mut bytes: &[u8]) -> Result<(), Fault> {
    let dimensions = i32::from_be_bytes(*take(&mut bytes)?);
    // A flag for nulls and the type of the items, both of which we know better.
    let _: &[u8; 8] = take(&mut bytes)?;
    if dimensions > 1 {
        return Err(MATRIX);
    }
    if dimensions == 1 {
        let length = i32::from_be_bytes(*take(&mut bytes)?);
        let _lower_bound: &[u8; 4] = take(&mut bytes)?;
        for _ in 0..length {
            // A negative size is null.
            let item = match usize::try_from(i32::from_be_bytes(*take(&mut bytes)?)) {
                Ok(size) => Some(bytes.split_off(..size).ok_or(CUT)?),
                Err(_) => None,
            };
            let mut fault = None;
            push(&mut list.items, wire, std::iter::once(item), |_, why| fault = Some(why));
            list.count();
            fault.map_or(Ok(()), Err)?;
        }
    }
    Ok(())
}

/// A number in groups of four decimal digits.
struct Numeric<'a> {
    /// Power of 10 000 of the first group.
    weight: i32,
    negative: bool,
    /// Digits after the point.
    scale: usize,
    groups: &'a [u8],
}

impl<'a> Numeric<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Fault> {
        let (&[_, _, w1, w2, s1, s2, d1, d2], groups) = bytes.split_first_chunk::<8>().ok_or(CUT)?;
        let negative = match u16::from_be_bytes([s1, s2]) {
            0x0000 => false,
            0x4000 => true,
            0xc000 => return Err(NOT_A_NUMBER),
            0xd000 => return Err(INFINITE_NUMBER),
            0xf000 => return Err(MINUS_INFINITE_NUMBER),
            _ => return Err(CUT),
        };
        let weight = i16::from_be_bytes([w1, w2]).into();
        Ok(Self { weight, negative, scale: u16::from_be_bytes([d1, d2]).into(), groups })
    }

    fn groups(&self) -> impl Iterator<Item = u16> {
        self.groups.chunks_exact(2).map(|pair| match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            _ => 0,
        })
    }

    /// The group at a power of 10 000; groups that are not sent are zero.
    fn group(&self, power: i32) -> u16 {
        let at = usize::try_from(self.weight - power).ok();
        at.and_then(|at| self.groups().nth(at)).unwrap_or(0)
    }

    /// All digits, as PostgreSQL prints them.
    fn text(&self) -> String {
        let mut text = String::from(if self.negative { "-" } else { "" });
        let first = self.weight.max(0);
        text.push_str(&self.group(first).to_string());
        (0..first).rev().for_each(|power| text.push_str(&format!("{:04}", self.group(power))));
        if self.scale > 0 {
            let groups = i32::try_from(self.scale.div_ceil(4)).unwrap_or(0);
            let fraction: String = (1..=groups).map(|power| format!("{:04}", self.group(-power))).collect();
            text.push('.');
            text.push_str(fraction.get(..self.scale).unwrap_or(&fraction));
        }
        text
    }

    /// The number in units of `10^-scale`; `None` when it is not a whole number of these, or too big.
    fn scaled(&self, scale: i8) -> Option<i128> {
        let mut value = 0_i128;
        for (at, group) in (0_i32..).zip(self.groups()) {
            let exponent = (self.weight - at) * 4 + i32::from(scale);
            let part = match usize::try_from(exponent) {
                Ok(exponent) => i128::from(group).checked_mul(*POWERS.get(exponent)?)?,
                // In 16 bits, as dividing in 128 takes longer than all the rest.
                Err(_) => match 10_u16.checked_pow(exponent.unsigned_abs()) {
                    Some(unit) if group % unit == 0 => (group / unit).into(),
                    None if group == 0 => 0,
                    _ => return None,
                },
            };
            value = value.checked_add(part)?;
        }
        Some(if self.negative { -value } else { value })
    }
}

/// Microseconds, days and months, each with its own sign.
fn interval(bytes: [u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
    let micros = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let days = i32::from_be_bytes([i, j, k, l]);
    let months = i32::from_be_bytes([m, n, o, p]);
    crate::sources::interval::interval(months.into(), days.into(), i128::from(micros) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, scale: u16, groups: &[u16]) -> Vec<u8> {
        let mut bytes = (groups.len() as u16).to_be_bytes().to_vec();
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(scale.to_be_bytes());
        groups.iter().for_each(|g| bytes.extend(g.to_be_bytes()));
        bytes
    }

    #[test]
    fn numerics_keep_all_digits() {
        let cases = [
            (numeric(0, 0, 2, &[12, 5000]), "12.50", Some(1250)),
            (numeric(0, 0x4000, 0, &[7]), "-7", Some(-700)),
            (numeric(2, 0, 0, &[1]), "100000000", Some(10_000_000_000)),
            (numeric(-2, 0, 8, &[1]), "0.00000001", None),
            (numeric(0, 0, 1, &[]), "0.0", Some(0)),
            (numeric(-1, 0, 2, &[900]), "0.09", Some(9)),
            (numeric(0, 0, 4, &[3, 0]), "3.0000", Some(300)),
            (numeric(0, 0, 8, &[3, 0, 0]), "3.00000000", Some(300)),
            (
                numeric(8, 0, 0, &[9999]),
                "999900000000000000000000000000000000",
                Some(99_990_000_000_000_000_000_000_000_000_000_000_000),
            ),
            (
                numeric(9, 0, 0, &[1]),
                "1000000000000000000000000000000000000",
                Some(100_000_000_000_000_000_000_000_000_000_000_000_000),
            ),
            (numeric(9, 0, 0, &[9]), "9000000000000000000000000000000000000", None),
        ];
        for (bytes, text, scaled) in cases {
            let number = Numeric::parse(&bytes).unwrap();
            assert_eq!((number.text().as_str(), number.scaled(2)), (text, scaled));
        }
        assert_eq!(Numeric::parse(&numeric(0, 0xc000, 0, &[])).err(), Some(NOT_A_NUMBER));
    }

    #[test]
    fn no_bytes_panic() {
        for length in 0..40 {
            for filler in [0_u8, 1, 0x7f, 0xff] {
                let bytes = vec![filler; length];
                let _ = Numeric::parse(&bytes).map(|n| n.scaled(3));
            }
        }
    }

    #[test]
    fn intervals_are_iso() {
        let bytes = |micros: i64, days: i32, months: i32| {
            let mut all = [0; 16];
            all[..8].copy_from_slice(&micros.to_be_bytes());
            all[8..12].copy_from_slice(&days.to_be_bytes());
            all[12..].copy_from_slice(&months.to_be_bytes());
            all
        };
        assert_eq!(interval(bytes(14_706_500_000, 3, 14)), "P1Y2M3DT4H5M6.5S");
        assert_eq!(interval(bytes(0, 0, 0)), "PT0S");
        assert_eq!(interval(bytes(-1_500_000, 0, -1)), "P-1MT-1.5S");
        assert_eq!(interval(bytes(60_000_000, 0, 0)), "PT1M");
    }
}
