//! When a sync runs. What kind of schedule it is shows in what it holds: Hightouch's API leaves `type` free.

use serde_json::{Value, json};

use super::draft::Draft;
use super::reader::Reader;

const DAYS: [(&str, &str); 7] = [
    ("monday", "1"),
    ("tuesday", "2"),
    ("wednesday", "3"),
    ("thursday", "4"),
    ("friday", "5"),
    ("saturday", "6"),
    ("sunday", "0"),
];

/// Writes the schedule of a sync.
pub(super) fn schedule(reader: &Reader<'_>, draft: &mut Draft) {
    let paused = ["/schedulePaused", "/disabled"].into_iter().find(|at| reader.text(at).as_deref() == Some("true"));
    reader.get("/schedulePaused");
    reader.get("/disabled");
    let kind = reader.text("/schedule/type").unwrap_or_default();
    let interval = interval(reader);
    let cron = reader.text("/schedule/schedule/expression");
    let made = match (&interval, &cron) {
        (Some(every), _) => json!({ "every": every }),
        (None, Some(cron)) => json!({ "cron": cron }),
        (None, None) => {
            other(reader, draft, &kind);
            return;
        }
    };
    let words = made.as_object().and_then(|map| map.iter().next()).map(|(key, value)| format!("{key} {value}"));
    if let Some(at) = paused {
        draft.differs(reader, at, "paused in Hightouch: without a schedule it runs only by hand", None);
        draft.comment(&format!("schedule: {}", made.to_string().replace("\":", "\": ")));
    } else {
        draft.carried(format!("schedule: {}", words.unwrap_or_default().replace('"', "")));
        draft.entry("schedule", made);
    }
    if interval.is_some() && reader.look("/schedule/startDate").is_some() {
        reader.get("/schedule/startDate");
        let message = "an interval is counted from the last run, not from a date";
        draft.differs(reader, "/schedule/startDate", message, Some("use `cron` to run at fixed times"));
    }
}

/// `every`, of an interval in Hightouch's words.
fn interval(reader: &Reader<'_>) -> Option<String> {
    const AT: &str = "/schedule/schedule/interval";
    let quantity = reader.look(&format!("{AT}/quantity"))?.as_u64().filter(|n| (1..=100_000).contains(n))?;
    let (times, unit) = match reader.look(&format!("{AT}/unit"))?.as_str()? {
        "minute" => (1, 'm'),
        "hour" => (1, 'h'),
        "day" => (24, 'h'),
        "week" => (7 * 24, 'h'),
        _ => return None,
    };
    reader.get(AT);
    Some(format!("{}{unit}", quantity * times))
}

/// What has no counterpart, or is none.
fn other(reader: &Reader<'_>, draft: &mut Draft, kind: &str) {
    if kind == "manual" || reader.look("/schedule").is_none() {
        draft.carried("no schedule: by hand");
        return;
    }
    let visual = reader.look("/schedule/schedule/expressions").map(crons);
    let job = reader.look("/schedule/schedule/job").is_some();
    reader.get("/schedule");
    match (visual, kind) {
        (Some(crons), _) => {
            let help = match crons.as_slice() {
                [] => "write `schedule: { cron: … , timezone: … }`".to_owned(),
                [one] => format!("write `schedule: {{ cron: \"{one}\", timezone: … }}` with the time zone you mean"),
                more => format!("a sync has one cron expression; these times are {}", quoted(more)),
            };
            let message = "times of the day as the workspace shows them; their time zone is not in the file";
            draft.left(reader, "/schedule", message, Some(&help));
        }
        (None, kind) if job || kind.contains("dbt") || kind.contains("fivetran") => draft.left(
            reader,
            "/schedule",
            "a schedule that follows a job elsewhere",
            Some("run `syncline apply` as the last step of that job"),
        ),
        _ => {
            draft.left(reader, "/schedule", "a schedule of a kind that is not known", Some("write `schedule` by hand"))
        }
    }
}

/// Days and times as cron expressions, one for each time.
fn crons(expressions: &Value) -> Vec<String> {
    let cron = |expression: &Value| {
        let (hour, minute) = expression.get("time")?.as_str()?.split_once(':')?;
        let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
        let on = |day: &str| expression.get("days").and_then(|days| days.get(day)) == Some(&Value::Bool(true));
        let days: Vec<&str> = DAYS.iter().filter(|(day, _)| on(day)).map(|(_, number)| *number).collect();
        let days = if days.len() == 7 || days.is_empty() { "*".to_owned() } else { days.join(",") };
        Some(format!("{minute} {hour} * * {days}"))
    };
    expressions.as_array().into_iter().flatten().filter_map(cron).collect()
}

fn quoted(crons: &[String]) -> String {
    crons.iter().map(|cron| format!("`{cron}`")).collect::<Vec<_>>().join(", ")
}
