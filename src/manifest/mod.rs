//! 1 · What a file says: YAML text to typed manifests, every value with its exact place.
//!
//! The shapes here are plain data as written. Nothing is rendered, linked or looked up: that is [`crate::project`].
//! Each shape is the single origin of its JSON Schema (`schemas/`), of `docs/manifests.md` and of what the parser takes.

pub mod connection;
pub mod connector;
pub mod destination;
pub mod document;
pub mod model;
pub mod model_test;
pub mod program;
pub mod project;
pub mod schema;
pub mod source;
pub mod sync;
pub mod test;

/// The kinds of manifest, in data order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `syncline.yaml`
    Project,
    /// `sources/NAME.yaml`
    Source,
    /// `models/NAME.yaml`
    Model,
    /// `destinations/NAME.yaml`
    Destination,
    /// `syncs/NAME.yaml`
    Sync,
    /// `connectors/NAME.yaml`
    Connector,
    /// `tests/NAME.yaml`
    Test,
}

impl Kind {
    /// All kinds, in data order; last what few projects have.
    pub const ALL: [Kind; 7] =
        [Kind::Project, Kind::Source, Kind::Model, Kind::Destination, Kind::Sync, Kind::Connector, Kind::Test];

    /// The word used in messages and file names of schemas: `project`, `source`, …
    pub fn word(self) -> &'static str {
        match self {
            Kind::Project => "project",
            Kind::Source => "source",
            Kind::Model => "model",
            Kind::Destination => "destination",
            Kind::Sync => "sync",
            Kind::Connector => "connector",
            Kind::Test => "test",
        }
    }

    /// The folder its manifests live in; `None` for the project file.
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Kind::Project => None,
            Kind::Source => Some("sources"),
            Kind::Model => Some("models"),
            Kind::Destination => Some("destinations"),
            Kind::Sync => Some("syncs"),
            Kind::Connector => Some("connectors"),
            Kind::Test => Some("tests"),
        }
    }
}
