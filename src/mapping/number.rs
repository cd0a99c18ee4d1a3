//! Exact numbers: from text, from decimals, and the one text form each number has.

use smol_str::{SmolStr, SmolStrBuilder};

use super::Value;

/// Most digits a number may have when written out; `1e999999999` is nine characters of input and a gigabyte of zeros.
const MAX_DIGITS: usize = 1000;

/// The number a text holds: plain decimal notation or with exponent, an optional sign, at least one digit, no white
/// space, no thousands separators. Whole numbers become [`Value::Int`] or [`Value::UInt`] where they fit, everything
/// else [`Value::Decimal`]. Nothing is rounded. `None` when the text is not such a number.
pub(super) fn parse(text: &str) -> Option<Value> {
    canonical(text).map(whole_or_decimal)
}

/// A canonical decimal as the narrowest exact value.
pub(super) fn whole_or_decimal(text: SmolStr) -> Value {
    if text.contains('.') {
        return Value::Decimal(text);
    }
    match (text.parse(), text.parse()) {
        (Ok(int), _) => Value::Int(int),
        (_, Ok(uint)) => Value::UInt(uint),
        _ => Value::Decimal(text),
    }
}

/// A JSON number: whole numbers and fractions that a double holds exactly as written become numbers of that type, the
/// rest stays exact text. `None` when it is out of range.
pub(super) fn parse_json(text: &str) -> Option<Value> {
    if !text.contains(['.', 'e', 'E']) {
        return parse(text);
    }
    let exact = canonical(text)?;
    Some(double(&exact).map_or(Value::Decimal(exact), Value::Float))
}

/// The double whose shortest text is exactly this canonical decimal, if there is one.
pub(super) fn double(canonical_text: &str) -> Option<f64> {
    let float: f64 = canonical_text.parse().ok()?;
    let back = if float.is_finite() { canonical(&format!("{float:e}"))? } else { return None };
    (*back == *canonical_text).then_some(float)
}

/// The canonical text of a number in decimal notation: no exponent, no `+`, no needless zeros, no `-0`.
pub(super) fn canonical(text: &str) -> Option<SmolStr> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !(digits(whole) && digits(fraction)) {
        return None;
    }
    if fraction.is_empty() {
        return assemble(negative, whole, exponent.checked_neg()?);
    }
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    assemble(negative, &format!("{whole}{fraction}"), scale)
}

/// True when [`canonical`] gives the text itself.
pub(super) fn is_canonical(text: &str) -> bool {
    if text.len() > MAX_DIGITS {
        return canonical(text).is_some_and(|canonical| *canonical == *text);
    }
    let plain = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = plain.split_once('.').map_or((plain, None), |(whole, fraction)| (whole, Some(fraction)));
    let whole_fits = digits(whole) && !whole.is_empty() && (whole == "0" || !whole.starts_with('0'));
    let fraction_fits = fraction.is_none_or(|fraction| digits(fraction) && fraction.ends_with(|c| c != '0'));
    whole_fits && fraction_fits && text != "-0"
}

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn exponent(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    (!unsigned.is_empty() && digits(unsigned)).then(|| text.parse().ok()).flatten()
}

/// The canonical text of an Arrow decimal: its unscaled value as text, and its scale.
pub(super) fn scaled(unscaled: &str, scale: i8) -> Option<SmolStr> {
    let (negative, digits) = unscaled.strip_prefix('-').map_or((false, unscaled), |rest| (true, rest));
    assemble(negative, digits, i64::from(scale))
}

/// Puts the point `scale` digits from the right (zeros on the right when negative) and drops needless zeros.
fn assemble(negative: bool, digits: &str, scale: i64) -> Option<SmolStr> {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some("0".into());
    }
    let shift = usize::try_from(scale.unsigned_abs()).ok()?;
    if digits.len().max(shift) > MAX_DIGITS {
        return None;
    }
    let mut out = SmolStrBuilder::new();
    if negative {
        out.push('-');
    }
    let zeros = |out: &mut SmolStrBuilder, count| (0..count).for_each(|_| out.push('0'));
    if scale <= 0 {
        out.push_str(digits);
        zeros(&mut out, shift);
        return Some(out.finish());
    }
    match digits.split_at_checked(digits.len().saturating_sub(shift)) {
        Some((whole, fraction)) if !whole.is_empty() => {
            out.push_str(whole);
            let fraction = fraction.trim_end_matches('0');
            if !fraction.is_empty() {
                out.push('.');
                out.push_str(fraction);
            }
        }
        _ => {
            out.push_str("0.");
            zeros(&mut out, shift - digits.len());
            out.push_str(digits.trim_end_matches('0'));
        }
    }
    Some(out.finish())
}

/// The text of a double: the shortest that reads back as the same number, without an exponent where that stays short.
pub(super) fn float_text(float: f64) -> String {
    let size = float.abs();
    if float.is_nan() {
        "NaN".into()
    } else if float.is_infinite() {
        if float > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if size == 0.0 {
        "0".into()
    } else if (1e-7..1e21).contains(&size) {
        float.to_string()
    } else {
        format!("{float:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_one_canonical_form() {
        let cases = [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("+5", "5"),
            ("1.50", "1.5"),
            ("2.0", "2"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.5E-3", "0.0015"),
            ("12345678901234567890.123456789012345678901", "12345678901234567890.123456789012345678901"),
            ("-1.2e+1", "-12"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "-", ".", "e5", "1e", "1e+", "1,5", " 1", "1 ", "0x10", "NaN", "inf", "1e5.0", "--1", "1_000"]
        {
            assert_eq!(canonical(text), None, "{text}");
        }
        let own = cases.iter().flat_map(|(text, canonical)| [*text, *canonical]);
        let long = ["7".repeat(MAX_DIGITS), "7".repeat(MAX_DIGITS + 1), format!("0.{}1", "0".repeat(MAX_DIGITS))];
        let odd = ["", "-", ".", "1.", "-.5", "1]", "--1", "-0.5", "0.50", "00.5", "1e5", "१"];
        for text in own.chain(odd).chain(long.iter().map(String::as_str)) {
            assert_eq!(is_canonical(text), canonical(text).as_deref() == Some(text), "{text}");
        }
        for huge in ["1e999999999", "1e-999999999", "1e99999999999999999999"] {
            assert_eq!(canonical(huge), None, "{huge}");
        }
    }

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(scaled("12300", 2).as_deref(), Some("123"));
        assert_eq!(scaled("-5", 3).as_deref(), Some("-0.005"));
        assert_eq!(scaled("5", -3).as_deref(), Some("5000"));
        assert_eq!(scaled("0", 9).as_deref(), Some("0"));
        let most = i128::MAX.to_string();
        assert_eq!(scaled(&most, 38).as_deref(), Some("1.70141183460469231731687303715884105727"));
    }

    #[test]
    fn a_double_is_only_used_where_it_is_exact() {
        assert_eq!(parse_json("0.1"), Some(Value::Float(0.1)));
        assert_eq!(parse_json("1.0"), Some(Value::Float(1.0)));
        assert_eq!(parse_json("0.1000000000000000055"), Some(Value::Decimal("0.1000000000000000055".into())));
        assert_eq!(parse_json("123456789012345678901"), Some(Value::Decimal("123456789012345678901".into())));
        assert_eq!(parse_json("18446744073709551615"), Some(Value::UInt(u64::MAX)));
    }
}
