//! What records can be sent to.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Parameter;
use super::api::{Asked, Request};
use super::operation::{Lookup, Operation};
use crate::manifest::sync::Mode;

/// Something records are sent to: users, events, members of a list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// What it is.
    pub description: Option<String>,
    /// What names a record: `match` in a sync.
    #[serde(default)]
    pub identifiers: IndexMap<String, Identifier>,
    /// How many of the identifiers `match` holds.
    #[serde(default, rename = "match")]
    pub matching: Matching,
    /// True when `match` may hold any other name.
    #[serde(default)]
    pub open_identifiers: bool,
    /// True when each row is a record of its own and the identifiers only say whose it is, as with events.
    #[serde(default)]
    pub append: bool,
    /// The fields with a meaning of their own.
    #[serde(default)]
    pub fields: IndexMap<String, KnownField>,
    /// True when a sync may have fields of any other name.
    #[serde(default)]
    pub open_fields: bool,
    /// Asks for the fields there are, so that a plan knows them.
    pub discover: Option<Discover>,
    /// The options of a sync to it.
    #[serde(default)]
    pub options: IndexMap<String, Parameter>,
    /// What is found, or made, once before anything is sent: the list, the type of activity. Templates see it as
    /// `container`.
    pub container: Option<Container>,
    /// Ways to find records.
    #[serde(default)]
    pub lookups: IndexMap<String, Lookup>,
    /// The requests that change something.
    pub operations: IndexMap<String, Operation>,
    /// The modes, and what is done in each.
    pub modes: IndexMap<Mode, ModeSteps>,
    /// Counts the records.
    pub count: Option<Asked>,
    /// Reads records back, to compare them with what was sent.
    pub read: Option<Read>,
    /// Where nothing can: why not, as part of a sentence.
    pub unreadable: Option<String>,
}

impl Object {
    /// What deletes the records of removed rows in a mode. A record is deleted alike whatever made it: what `mirror` says
    /// holds for `insert`, `update` and `upsert` too, where these say nothing of their own. In `remove`, it is what is
    /// done to the rows there are.
    pub fn delete(&self, mode: Mode) -> Option<&Step> {
        let of = |mode| self.modes.get(&mode).and_then(|steps| steps.delete.as_ref());
        match mode {
            Mode::Insert | Mode::Update | Mode::Upsert => {
                self.modes.get(&mode)?;
                of(mode).or_else(|| of(Mode::Mirror))
            }
            Mode::Remove => of(mode).or_else(|| self.modes.get(&mode)?.send.as_ref()),
            Mode::Mirror | Mode::Add => of(mode),
        }
    }
}

/// Reads records back, to compare them with what was sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Name of the look-up that finds a record with its fields. Its templates see `field_names`, the names of the sync's
    /// fields.
    pub find: String,
    /// Expression, over `found`, of the object that holds the fields. Without it, no field is compared: that the record is
    /// there says it all.
    pub fields: Option<String>,
    /// Fields that are not compared: the look-up does not show them.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// True when the order of lists means nothing, and an empty one is the same as none.
    #[serde(default)]
    pub unordered: bool,
}

/// One identifier.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identifier {
    /// What it is.
    pub description: Option<String>,
    /// True when the destination takes upper and lower case for the same.
    #[serde(default)]
    pub ignore_case: bool,
    /// What it must be.
    #[serde(default, rename = "type")]
    pub kind: FieldType,
    /// The modes a sync can be matched by it in; all when empty.
    #[serde(default)]
    pub modes: Vec<Mode>,
}

/// How many identifiers name a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// Exactly one of them.
    #[default]
    One,
    /// All of them.
    All,
}

/// A field with a meaning of its own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownField {
    /// What it is.
    pub description: Option<String>,
    /// What it takes.
    #[serde(default, rename = "type")]
    pub kind: FieldType,
    /// True when a sync must have it.
    #[serde(default)]
    pub required: bool,
}

/// What a field takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Anything.
    #[default]
    Any,
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A date.
    Date,
    /// A date and time.
    Timestamp,
    /// A list.
    List,
    /// An object.
    Object,
}

/// Asks for the fields there are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Discover {
    /// Finds first what the fields are of, where the request needs more of it than its name: the one that `is` the
    /// container's `name`. Templates of the request see its `value` as `found`.
    pub find: Option<Find>,
    /// The request.
    pub request: Request,
    /// Expression of the list of fields in the answer.
    pub items: String,
    /// Expression of a field's name, over `item`.
    pub name: String,
    /// Expression of a field's type, over `item`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What the destination's types are here; one that is missing is `any`.
    #[serde(default)]
    pub types: IndexMap<String, FieldType>,
    /// Expression, over `item`: false for fields that cannot be written.
    pub writable: Option<String>,
    /// True when a field that is not among them is refused by the destination, false when it is made.
    #[serde(default)]
    pub complete: bool,
    /// Expression over `options`: true where they have the destination refuse or drop such a field.
    pub complete_when: Option<String>,
    /// True when the destination turns text, numbers and truth values into what the field takes; false when it refuses
    /// what is not of its type.
    #[serde(default)]
    pub converts: bool,
}

/// What is found, or made, once before anything is sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Expression over `options`: where it is defined and not null, it is the container, and nothing is asked.
    pub given: Option<String>,
    /// True where what is `given` is asked for all the same: it must be the `value` of something `find` lists, if that
    /// lists anything, or nothing is sent. For APIs that refuse each record of a container they do not have.
    #[serde(default)]
    pub check_given: bool,
    /// Expression over `options` of the name to find.
    pub name: Option<String>,
    /// Asks for the containers there are.
    pub find: Option<Find>,
    /// Makes one of that `name` where none was found.
    pub create: Option<Asked>,
}

/// Asks for what there is, of which one is found by its name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// The request.
    pub request: Request,
    /// Expression of the list in the answer.
    pub items: String,
    /// Expression, over `item`, that must equal the name.
    pub is: String,
    /// Expression of the container, over `item`.
    pub value: String,
}

/// What is done in a mode.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeSteps {
    /// How an operation whose answer was lost is resolved.
    #[serde(default)]
    pub class: LostClass,
    /// For records of added and changed rows.
    pub send: Option<Step>,
    /// For records of added rows, where it is not the same as for changed ones.
    pub added: Option<Step>,
    /// For records of changed rows, where it is not the same as for added ones.
    pub changed: Option<Step>,
    /// For large loads instead of `send`.
    pub large: Option<Large>,
    /// For records of removed rows, where they are deleted. What `mirror` says holds for `insert`, `update` and `upsert`.
    pub delete: Option<Step>,
    /// For records of removed rows, where their fields are emptied: all fields are null.
    pub clear: Option<Step>,
}

/// How an operation whose answer was lost is resolved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum LostClass {
    /// Doing it twice is the same as doing it once: sent again.
    #[default]
    A,
    /// The destination drops what bears a `dedupe_id` it knows: sent again.
    B,
    /// Looked up, then decided.
    C,
    /// Nobody can know: `delivery.on_doubt` decides.
    D,
}

/// A step: the name of an operation, or that with look-ups before it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(from = "StepForm")]
#[schemars(with = "StepForm")]
pub struct Step {
    /// The operation.
    pub operation: String,
    /// Looked up first: what is not found is `no_match`, what is found is `found` in templates.
    pub find: Option<String>,
    /// Looked up first: what is found is there already.
    pub absent: Option<String>,
    /// The operation that comes before, for the records it has something to do for.
    pub first: Option<String>,
    /// The operation that follows for the records that succeeded.
    pub then: Option<String>,
}

/// The two ways to write a step.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StepForm {
    /// Name of the operation.
    Name(String),
    /// The operation with look-ups before it.
    Step(StepKeys),
}

/// A step with look-ups before it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepKeys {
    /// Name of the operation.
    #[serde(rename = "use")]
    pub operation: String,
    /// Name of a lookup, made first: what is not found is `no_match`, and for deletes has nothing to do; what is found is
    /// `found` in templates.
    pub find: Option<String>,
    /// Name of a lookup, made first: what is found is there already and refused as `already_exists`.
    pub absent: Option<String>,
    /// Name of an operation that follows for the records that succeeded; what becomes of it is their outcome.
    pub then: Option<String>,
}

impl From<StepForm> for Step {
    fn from(form: StepForm) -> Self {
        match form {
            StepForm::Name(operation) => Step { operation, ..Step::default() },
            StepForm::Step(StepKeys { operation, find, absent, then }) => {
                Step { operation, find, absent, then, first: None }
            }
        }
    }
}

/// What is done with large loads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Large {
    /// Expression over `options` and `operations` (how many records the plan sends): true when the load is large.
    pub when: String,
    /// Name of the operation.
    #[serde(rename = "use")]
    pub operation: String,
    /// Name of an operation that comes before it, for the records its `when` is true for, e.g. to do what the job cannot.
    /// Whom it does not find goes on as well; what it has refused does not.
    pub first: Option<String>,
}
