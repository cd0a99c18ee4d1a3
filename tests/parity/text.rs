//! The one text of each value: what the plan is to say, and what goes into files and statements.

use jiff::civil;

use super::rows::Cell;

/// The value as JSON, with all its digits; NaN and infinity have none.
pub fn json(cell: &Cell) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Flag(_) | Cell::Whole(_) | Cell::Decimal(_, _) | Cell::Single(_) | Cell::Double(_) => plain(cell),
        Cell::Json(text) => text.clone(),
        Cell::Texts(items) => list(items.iter().map(|t| t.as_deref().map_or("null".to_owned(), quoted)).collect()),
        Cell::Numbers(items) => list(items.iter().map(|n| n.map_or("null".to_owned(), |n| n.to_string())).collect()),
        Cell::Object { city, floor } => {
            let city = city.as_deref().map_or("null".to_owned(), quoted);
            format!("{{\"city\":{city},\"floor\":{}}}", floor.map_or("null".to_owned(), |n| n.to_string()))
        }
        _ => quoted(&plain(cell)),
    }
}

/// The value as people write it: ISO 8601 where there is a form for it, Base64 for bytes.
pub fn plain(cell: &Cell) -> String {
    use base64::Engine;
    match cell {
        Cell::Null => String::new(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Whole(whole) => whole.to_string(),
        Cell::Decimal(units, scale) => decimal(*units, *scale),
        Cell::Single(single) => format!("{single:?}"),
        Cell::Double(double) => format!("{double:?}"),
        Cell::Text(text) => text.clone(),
        Cell::Date(date) => date.to_string(),
        Cell::Time(time) => time.to_string(),
        Cell::Wall(wall) => wall.to_string(),
        Cell::Instant(instant) => format!("{instant}Z"),
        Cell::Interval { months, days, micros } => interval(*months, *days, *micros),
        Cell::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
        Cell::Json(_) | Cell::Texts(_) | Cell::Numbers(_) | Cell::Object { .. } => json(cell),
    }
}

/// Without needless zeros.
fn decimal(units: i128, scale: u32) -> String {
    let (whole, fraction) = (units.abs() / 10_i128.pow(scale), units.abs() % 10_i128.pow(scale));
    let fraction = format!("{fraction:0width$}", width = scale as usize);
    let text = format!("{whole}.{fraction}").trim_end_matches('0').trim_end_matches('.').to_owned();
    if units < 0 { format!("-{text}") } else { text }
}

/// `P1Y2M3DT4H5M6.5S`: each part with its own sign, parts that are zero left out.
fn interval(months: i64, days: i64, micros: i64) -> String {
    let part = |value: i64, unit: &str| if value == 0 { String::new() } else { format!("{value}{unit}") };
    let date = part(months / 12, "Y") + &part(months % 12, "M") + &part(days, "D");
    let (seconds, rest) = (micros / 1_000_000 % 60, micros % 1_000_000);
    let seconds = match (micros % 60_000_000, rest) {
        (0, _) => String::new(),
        (_, 0) => format!("{seconds}S"),
        (all, rest) => {
            let sign = if all < 0 { "-" } else { "" };
            let fraction = format!("{:06}", rest.abs());
            format!("{sign}{}.{}S", seconds.abs(), fraction.trim_end_matches('0'))
        }
    };
    let clock = part(micros / 3_600_000_000, "H") + &part(micros / 60_000_000 % 60, "M") + &seconds;
    match (date.is_empty(), clock.is_empty()) {
        (true, true) => "PT0S".to_owned(),
        (_, true) => format!("P{date}"),
        _ => format!("P{date}T{clock}"),
    }
}

/// Days since 1970.
pub fn days(date: civil::Date) -> i32 {
    let epoch = civil::date(1970, 1, 1);
    epoch.until(date).unwrap().get_days()
}

/// Microseconds since midnight.
pub fn time_micros(time: civil::Time) -> i64 {
    let seconds = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    seconds * 1_000_000 + i64::from(time.subsec_nanosecond() / 1_000)
}

/// Microseconds since 1970, by the same clock.
pub fn micros(moment: civil::DateTime) -> i64 {
    i64::from(days(moment.date())) * 86_400_000_000 + time_micros(moment.time())
}
