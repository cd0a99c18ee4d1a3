//! What a month used: queried records, runs and requests, by model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::escape::{pad, visible, width};
use super::numbers::{count, group};
use super::terminal::{Paint, Role, Style};

/// What an environment used in a calendar month (`usage --format json`). Readers ignore keys they do not know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Statement {
    /// `1.0`. A new minor adds keys.
    pub format_version: String,
    /// Name of the environment; empty when the project has none.
    pub environment: String,
    /// The month of UTC, like `2026-11`.
    pub month: String,
    /// True when the month is over.
    pub complete: bool,
    /// Different primary keys queried, of all models together: what is in two models counts twice.
    pub queried_records: u64,
    /// The most the project allows in a month.
    pub limit: Option<u64>,
    /// Per cent of the limit that is used.
    pub percent: Option<f64>,
    /// The models, the one with most records first.
    pub models: Vec<ModelStatement>,
    /// Requests by destination; transactions where the destination is a database.
    pub requests: BTreeMap<String, u64>,
    /// Other months of which something is known, the newest first.
    pub other_months: Vec<String>,
}

/// What one model used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelStatement {
    /// Name of the model.
    pub model: String,
    /// Different primary keys queried, whether anything of them was sent or not.
    pub queried_records: u64,
    /// Per cent of the limit.
    pub percent: Option<f64>,
    /// Runs that queried it.
    pub runs: u64,
    /// Requests made to deliver its rows, by destination.
    pub requests: BTreeMap<String, u64>,
}

/// `part` of `whole` in per cent, to two decimal places.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return if part == 0 { 0.0 } else { 100.0 };
    }
    (part as f64 / whole as f64 * 10_000.0).round() / 100.0
}

/// The same for people: `0.1 %`; what is there is never 0.
pub(super) fn share(part: u64, whole: u64) -> String {
    match percent(part, whole) {
        percent if part > 0 && percent < 0.1 => "less than 0.1 %".into(),
        percent => format!("{percent:.1} %"),
    }
}

/// The statement as text, ending in a line break.
pub fn usage_text(statement: &Statement, style: &Style) -> String {
    let paint = Paint { color: style.color };
    let place = match statement.environment.as_str() {
        "" => String::new(),
        name => format!(" in `{}`", visible(name)),
    };
    let until = if statement.complete { "" } else { ", so far" };
    let title = format!("Queried records of {} (UTC){place}{until}", statement.month);
    let mut lines = vec![paint.role(Role::Strong, &title)];
    if statement.models.is_empty() {
        lines.push("Nothing was queried by a run.".into());
    } else {
        lines.push(String::new());
        lines.extend(table(statement));
        lines.push(String::new());
    }
    let all = count(statement.queried_records, "queried record", "queried records");
    let over = statement.limit.is_some_and(|limit| statement.queried_records > limit);
    let verdict = match statement.limit {
        Some(limit) => format!("{all}, {} of the limit of {}.", share(statement.queried_records, limit), group(limit)),
        None => format!("{all}. There is no limit: set `usage.monthly_queried_records` in syncline.yaml to have one."),
    };
    lines.push(paint.role(if over { Role::Bad } else { Role::Strong }, &verdict));
    if !statement.other_months.is_empty() {
        let other = format!("Other months: {} (--month)", statement.other_months.join(", "));
        lines.push(paint.role(Role::Faint, &other));
    }
    lines.join("\n") + "\n"
}

fn table(statement: &Statement) -> Vec<String> {
    let head = ["model", "queried", "of the limit", "runs", "requests"].map(str::to_owned);
    let rows = statement.models.iter().map(|model| {
        let requests = model.requests.iter().map(|(name, n)| format!("{} {}", visible(name), group(*n)));
        [
            visible(&model.model),
            group(model.queried_records),
            statement.limit.map_or_else(|| "-".into(), |limit| share(model.queried_records, limit)),
            group(model.runs),
            requests.collect::<Vec<_>>().join(", "),
        ]
    });
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| width(&row[column])).max().unwrap_or_default());
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, wide))| match column {
            // Numbers stand under each other by their last digit.
            1..=3 => format!("{}{cell}", " ".repeat(wide - width(cell))),
            _ => pad(cell, wide),
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_nothing_where_something_is() {
        for (part, whole, text) in [
            (0, 1_500_000, "0.0 %"),
            (1, 1_500_000, "less than 0.1 %"),
            (48_534, 1_500_000, "3.2 %"),
            (1_600_000, 1_500_000, "106.7 %"),
            (0, 0, "0.0 %"),
            (1, 0, "100.0 %"),
        ] {
            assert_eq!(share(part, whole), text, "{part} of {whole}");
        }
    }
}
