//! `Retry-After`: how long a destination asks to wait.

use std::time::{Duration, SystemTime};

use super::Reply;

/// The longest that is waited for, whatever a destination asks.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long the answer asks to wait, at most an hour; `None` when it does not say or cannot be understood.
pub fn retry_after(reply: &Reply) -> Option<Duration> {
    let value = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    retry_after_at(&value.1, SystemTime::now())
}

/// The same for the value of the header, read at this moment: seconds, or a date in one of the three forms of HTTP.
pub fn retry_after_at(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let span = match value.parse::<f64>() {
        // Some servers send fractions of a second, and some a number below zero for "now".
        Ok(seconds) if seconds.is_nan() => return None,
        Ok(seconds) => Duration::from_secs_f64(seconds.clamp(0.0, LONGEST.as_secs_f64())),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(span.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, expected) in [
            ("120", Some(120.0)),
            (" 7 ", Some(7.0)),
            ("0", Some(0.0)),
            ("1.5", Some(1.5)),
            ("-3", Some(0.0)),
            ("86400", Some(3600.0)),
            ("1e300", Some(3600.0)),
            ("inf", Some(3600.0)),
            ("NaN", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10.0)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60.0)),
            ("Sun Nov  6 08:49:38 1994", Some(1.0)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0.0)),
            ("Mon, 07 Nov 1994 08:49:27 GMT", Some(3600.0)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after_at(value, now).map(|d| d.as_secs_f64()), expected, "{value}");
        }
    }
}
