//! Fields that two syncs write into the same records: whichever runs last wins, and each undoes what the other did.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Project, ResolvedSync};
use crate::destinations::DestinationKind;
use crate::diagnostic::Diagnostic;
use crate::manifest::connector::object::Object;
use crate::manifest::document::escape;
use crate::manifest::sync::{Mode, Write};
use crate::sources::Query;

/// Fields named in one message.
const NAMED: usize = 5;

/// Fields of a sync that an earlier one, by name, writes as well.
#[derive(Debug)]
pub struct Shared {
    /// The later sync, where it is said.
    pub sync: String,
    /// The earlier one.
    pub with: String,
    /// What is said, at the line of the first such field.
    pub warning: Diagnostic,
}

impl Project {
    /// The syncs that write fields another one writes, too. Left out are pairs that can be meant so: both models are cut to
    /// some of their rows, one writes new records alone, or both send the same column of one model.
    pub fn shared_fields(&self) -> Vec<Shared> {
        let mut places: BTreeMap<(&str, &str, String), Vec<&ResolvedSync>> = BTreeMap::new();
        for sync in self.syncs.values() {
            let writes = matches!(sync.sync.mode, Mode::Update | Mode::Upsert | Mode::Mirror);
            if let Some(within) = self.within(sync).filter(|_| writes) {
                places.entry((&sync.destination, &sync.sync.object, within)).or_default().push(sync);
            }
        }
        let mut found = Vec::new();
        for syncs in places.into_values() {
            for (at, later) in syncs.iter().enumerate() {
                let earlier = syncs.get(..at).unwrap_or_default();
                found.extend(earlier.iter().filter_map(|earlier| self.share(earlier, later)));
            }
        }
        found.sort_by(|a, b| (&a.sync, &a.with).cmp(&(&b.sync, &b.with)));
        found
    }

    /// What the records of a sync are in, beside destination and object: a list, a catalog, a program. `None` where each row
    /// is a record of its own, so that no two syncs can write the same one.
    fn within(&self, sync: &ResolvedSync) -> Option<String> {
        let DestinationKind::Connector(compiled) = &self.destinations.get(&sync.destination)?.kind else {
            return Some(String::new());
        };
        let Some(object) = compiled.manifest().objects.get(&sync.sync.object) else { return Some(String::new()) };
        if object.append {
            return None;
        }
        Some(self.place_options(sync).iter().map(|(name, value)| format!("{name}={value} ")).collect())
    }

    /// The options of a sync that say where in an object its records go.
    pub fn place_options(&self, sync: &ResolvedSync) -> Map<String, Value> {
        let object = self.offered(sync);
        let named = sync.sync.options.iter().filter(|(name, _)| object.is_some_and(|o| names_a_place(o, name)));
        named.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn share(&self, earlier: &ResolvedSync, later: &ResolvedSync) -> Option<Shared> {
        if self.cut(earlier) && self.cut(later) {
            return None;
        }
        let shared = later.mapping.fields.iter().filter(|(name, field)| {
            let other = earlier.mapping.fields.iter().find(|(other, _)| overlap(name, other));
            other.is_some_and(|(_, other)| {
                let same = later.model == earlier.model && field == &other;
                field.write == Write::Always && other.write == Write::Always && !same
            })
        });
        let names: Vec<&String> = shared.map(|(name, _)| name).collect();
        let first = names.first()?;
        let mut shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        if let Some(more) = names.len().checked_sub(NAMED).filter(|more| *more > 0) {
            shown.push(format!("{more} more"));
        }
        let fields = if names.len() == 1 { "the field" } else { "the fields" };
        let message = format!(
            "`{}` writes {fields} {} of object `{}` of `{}`, and so does `{}`: for a record of both, whichever runs last wins",
            later.name,
            shown.join(", "),
            later.sync.object,
            later.destination,
            earlier.name
        );
        let place = later.document.key_place(&format!("/fields/{}", escape(first)));
        let help = "let one of them write it; where their models never have the same record, there is nothing to do";
        Some(Shared {
            sync: later.name.clone(),
            with: earlier.name.clone(),
            warning: Diagnostic::warning("shared-field", message, Some(place)).with_help(help),
        })
    }

    /// Whether the model of a sync has some rows of what it reads and not all, as far as that can be seen.
    fn cut(&self, sync: &ResolvedSync) -> bool {
        match self.models.get(&sync.model).map(|model| &model.query) {
            Some(Query::Table { filter, .. }) => filter.is_some(),
            Some(Query::Sql(sql)) => {
                let mut words = sql.split(|c: char| !c.is_alphanumeric() && c != '_');
                words.any(|word| ["where", "having", "qualify"].iter().any(|cut| word.eq_ignore_ascii_case(cut)))
            }
            None => false,
        }
    }
}

/// Whether an option says where records go: it is in an address, or names what `container` finds.
fn names_a_place(object: &Object, option: &str) -> bool {
    let mentions = |text: &str| {
        let name = format!("options.{option}");
        text.match_indices(&name).any(|(at, _)| {
            let after = text.get(at + name.len()..).and_then(|rest| rest.chars().next());
            !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    };
    let container = object.container.iter().flat_map(|container| [&container.given, &container.name]);
    let paths = object.operations.values().map(|operation| &operation.request.path);
    container.flatten().chain(paths).any(|text| mentions(text))
}

/// Whether one field is the other, or a part of it.
fn overlap(one: &str, other: &str) -> bool {
    let within = |whole: &str, part: &str| part.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'));
    one == other || within(one, other) || within(other, one)
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn a_part_of_a_field_is_written_with_the_whole() {
        for (one, other, expected) in [
            ("plan", "plan", true),
            ("plan", "plans", false),
            ("address", "address.city", true),
            ("address.city", "address", true),
            ("address.city", "address.zip", false),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} and {other}");
        }
    }
}
