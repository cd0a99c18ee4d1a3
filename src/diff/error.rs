//! Why a diff or a merge ends without a result.

use arrow_schema::ArrowError;

use crate::diagnostic::Error;

/// Why a diff ends without a result.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The model could not be read to its end. Nothing may be concluded from the rows that did not come.
    #[error("the model was not read to its end: {0}")]
    Source(ArrowError),
    /// The snapshot was made with other key columns, or with key columns of other types.
    #[error("the primary key is now {}, the state was made with {}", key_text(now), key_text(before))]
    KeyChanged {
        /// Key columns and logical types of the snapshot.
        before: Vec<(String, String)>,
        /// Key columns and logical types of the model.
        now: Vec<(String, String)>,
    },
    /// A column the sync uses has a type that cannot be compared.
    #[error("column `{column}` has the type {data_type}, which cannot be compared between runs")]
    Unsupported {
        /// The column.
        column: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// A column the sync uses is not there.
    #[error("the model has no column `{0}`")]
    MissingColumn(String),
    /// The template of a field cannot work as it is written, whatever row it sees.
    #[error("field `{field}`: {message}")]
    Template {
        /// The field.
        field: String,
        /// What is wrong; quotes the template, never a value.
        message: String,
    },
    /// A batch of rows is not what its schema says, or cannot be converted to it.
    #[error("rows cannot be processed: {0}")]
    Rows(ArrowError),
    /// The snapshot, the scratch folder or the receiver of the changes failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<ArrowError> for DiffError {
    fn from(error: ArrowError) -> Self {
        DiffError::Rows(error)
    }
}

impl From<DiffError> for Error {
    fn from(error: DiffError) -> Self {
        match error {
            DiffError::Failed(error) => error,
            DiffError::Source(ArrowError::ExternalError(inner)) => match inner.downcast::<Error>() {
                Ok(error) => *error,
                Err(inner) => Error::failed(format!("the model was not read to its end: {inner}")),
            },
            DiffError::KeyChanged { .. } => Error::failed_help(
                error.to_string(),
                "restore the key, or carry the state over to the new one with `syncline state move --rekey`",
            ),
            DiffError::Unsupported { .. } => Error::failed_help(
                error.to_string(),
                "cast the column to text, a number, a date or a list in the model",
            ),
            other => Error::failed(other.to_string()),
        }
    }
}

/// `email (text), id (integer)`.
fn key_text(key: &[(String, String)]) -> String {
    key.iter().map(|(name, kind)| format!("`{name}` ({kind})")).collect::<Vec<_>>().join(", ")
}
