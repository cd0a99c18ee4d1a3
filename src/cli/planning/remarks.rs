//! What must be said of a sync beside its numbers.

use crate::plan::collect::Remarks;
use crate::plan::{Notice, SyncPlan};
use crate::project::ResolvedSync;

/// The warnings of one sync. `leaves`: records are removed from under the identifiers they had before.
pub(super) fn warn(out: &mut Vec<Notice>, sync: &ResolvedSync, part: &SyncPlan, remarks: &Remarks, leaves: bool) {
    let nameless = remarks.nameless;
    let mut warn = |code: &str, message: String, help: &str, keys: &[String]| {
        let help = Some(help.to_owned());
        let (sync, keys) = (Some(sync.name.clone()), keys.to_vec());
        out.push(Notice { code: code.into(), sync, message, help, keys, ..Notice::default() });
    };
    if nameless > 0 {
        warn(
            "nameless_removed",
            format!(
                "`{}`: {} at the destination: {} values were not kept",
                sync.name,
                rows(nameless, "removed", ["stays", "stay"]),
                if nameless == 1 { "its" } else { "their" }
            ),
            "use `state: { values: full }` for syncs that delete or clear",
            &[],
        );
    }
    for identifier in sync.mapping.matching.keys().filter(|_| !leaves) {
        let Some(rows) = part.fields.get(identifier).filter(|_| part.operations.send > 0) else { continue };
        let (rows, them) = if *rows == 1 { ("1 row".to_owned(), "it") } else { (format!("{rows} rows"), "them") };
        warn(
            "identifier_changed",
            format!(
                "`{}`: {rows} will be matched by another `{identifier}`; what was sent for {them} before stays at the \
                 destination",
                sync.name
            ),
            "make the identifier the model's primary key, and the old record is removed as the sync says",
            &[],
        );
    }
    if remarks.nameless_former > 0 {
        warn(
            "nameless_former",
            format!(
                "`{}`: it is not known what {} matched by before; if that has changed, the old record of such a row \
                 stays at the destination",
                sync.name,
                rows(remarks.nameless_former, "changed", ["was", "were"])
            ),
            "use `state: { values: full }` for syncs that delete or clear",
            &[],
        );
    }
    if remarks.in_use > 0 {
        let records = if remarks.in_use == 1 { "1 record" } else { "records" };
        let count = if remarks.in_use == 1 { String::new() } else { format!("{} ", remarks.in_use) };
        warn(
            "identifier_in_use",
            format!(
                "`{}`: {count}{records} of rows that left or changed {} left alone, as other rows of the model have \
                 the same {}",
                sync.name,
                if remarks.in_use == 1 { "is" } else { "are" },
                identifiers(sync)
            ),
            "a row that has taken over a record and did not change itself is sent again with --full-refresh",
            &[],
        );
    }
    if remarks.shared > 0 {
        let keys = match remarks.sharing.as_slice() {
            [] => String::new(),
            keys => format!(", {}", Notice::quoted(keys)),
        };
        warn(
            "duplicate_match",
            format!(
                "`{}`: {} rows of the model share their {} with another{keys}; of rows that write the same record, \
                 the last one sent wins",
                sync.name,
                remarks.shared,
                identifiers(sync)
            ),
            "make the identifiers unique in the model, or make them its primary key",
            &remarks.sharing,
        );
    }
    let held = part.held.total();
    if held > 0 {
        warn(
            "held",
            format!(
                "`{}`: {} held back: {} rejected, {} without a match, {} in doubt",
                sync.name,
                if held == 1 { "1 row is".to_owned() } else { format!("{held} rows are") },
                part.held.rejected,
                part.held.no_match,
                part.held.in_doubt
            ),
            match part.held.in_doubt {
                0 => "they are sent again when they change, or with --retry; see `syncline runs rejected`",
                _ => {
                    "`syncline runs rejected` lists them; look whether those in doubt are there: `syncline state adopt` takes \
                     them as synced, --retry sends them again"
                }
            },
            &[],
        );
    }
    let (keyless, going) = (part.keyless(), part.operations.delete + part.operations.clear);
    if keyless > 0 && going > 0 {
        warn(
            "keyless",
            format!(
                "`{}`: {} of the model {} no key, and {going} {} to be {}: they may be whom {} stood for",
                sync.name,
                if keyless == 1 { "1 row".to_owned() } else { format!("{keyless} rows") },
                if keyless == 1 { "has" } else { "have" },
                if going == 1 { "record is" } else { "records are" },
                if part.operations.delete > 0 { "deleted" } else { "emptied" },
                if keyless == 1 { "it" } else { "they" },
            ),
            "see what has become of the key in the source before you apply",
            &[],
        );
    }
    if part.unknown_before > 0 {
        warn(
            "unknown_before",
            format!(
                "`{}`: the old values of {} unknown",
                sync.name,
                rows(part.unknown_before, "changed", ["are", "are"])
            ),
            "the state keeps fingerprints, or an answer was lost; which fields differ cannot be said",
            &[],
        );
    }
}

/// `--full-refresh` of a sync that sends a row once.
pub(super) fn sent_once(sync: &ResolvedSync) -> Notice {
    Notice {
        code: "full_refresh_once".into(),
        sync: Some(sync.name.clone()),
        message: format!(
            "`{}`: mode `{}` sends a row once, so --full-refresh sends none again that was acknowledged",
            sync.name,
            sync.sync.mode.word()
        ),
        help: Some(format!(
            "to have all of them sent once more: `syncline state forget {}`; what only adds has them twice then",
            sync.name
        )),
        place: super::place(sync, "/mode"),
        keys: Vec::new(),
    }
}

/// So many rows, and what is said of one and of several.
fn rows(count: u64, state: &str, [one, many]: [&str; 2]) -> String {
    if count == 1 { format!("1 {state} row {one}") } else { format!("{count} {state} rows {many}") }
}

/// The identifiers of a sync, for messages.
fn identifiers(sync: &ResolvedSync) -> String {
    sync.mapping.matching.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn one_row_is_no_rows() {
        assert_eq!(rows(1, "removed", ["stays", "stay"]), "1 removed row stays");
        assert_eq!(rows(2, "removed", ["stays", "stay"]), "2 removed rows stay");
    }
}
