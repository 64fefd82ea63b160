//! What can be wrong: with a schema, with JSON for a schema, with bytes for a schema.

/// A schema that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Not an Avro schema.
    #[error("not an Avro schema: {reason}")]
    Syntax {
        /// What the parser says.
        reason: String,
    },
    /// The schema is not a record.
    #[error("the schema is not a record")]
    NotRecord,
    /// A type that refers to itself: data of it could be arbitrarily deep.
    #[error("type `{name}` contains itself, which is not supported")]
    Recursive {
        /// The type's full name.
        name: String,
    },
    /// A type without a JSON form here.
    #[error("at `{path}`: {what} is not supported")]
    Unsupported {
        /// Where in the schema, by field names.
        path: String,
        /// The type.
        what: String,
    },
    /// A default that is not of its field's type.
    #[error("the default of `{path}` does not fit its type: {reason}")]
    Default {
        /// Where in the schema, by field names.
        path: String,
        /// What does not fit.
        reason: String,
    },
    /// Bigger than a limit.
    #[error("the schema has more than {max} {what}")]
    TooBig {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// JSON that does not fit a shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Invalid {
    /// What kind of misfit, for programs: one of the constants of this type.
    pub code: &'static str,
    /// Where in the object: `data.legs[2].miles`.
    pub path: String,
    /// What is wrong there, for people.
    pub message: String,
}

impl Invalid {
    /// A value of the wrong type.
    pub const TYPE: &str = "validation.type";
    /// A value of the right type that is too big, too small or too fine.
    pub const RANGE: &str = "validation.range";
    /// Text that is not what the type asks for: a date, base64, a symbol of the enum.
    pub const FORMAT: &str = "validation.format";
    /// A field that the schema does not have.
    pub const UNKNOWN_FIELD: &str = "validation.unknown_field";
    /// A field that is not there and has no default.
    pub const MISSING_FIELD: &str = "validation.missing_field";
    /// More than [`super::AVRO_BYTES_MAX`] bytes or [`super::VALUES_MAX`] values.
    pub const TOO_LARGE: &str = "validation.too_large";

    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, path: String::new(), message: message.into() }
    }

    /// The same, seen from the holder of the field.
    pub(super) fn in_field(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{}{dot}{}", shortened(name), self.path);
        self
    }

    /// The same, seen from the array.
    pub(super) fn at_index(mut self, index: usize) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("[{index}]{dot}{}", self.path);
        self
    }
}

/// Bytes that are not a record of a shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed Avro at byte {offset}{}: {reason}", in_field(.path))]
pub struct Malformed {
    /// The field that was being read: `legs.miles`; empty for the record itself.
    pub path: String,
    /// How far the reader got, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl Malformed {
    pub(super) fn in_field(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }
}

fn in_field(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in `{path}`") }
}

/// Somebody's text for an error message: no longer than 80 characters.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
