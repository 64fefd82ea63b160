//! Errors as a person or a script sees them: text on stderr and an exit code.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;

use serde_json::{Map, Value, json};

use crate::output::Format;

/// Exit codes of the `spina` command. 2, wrong usage, comes from the argument parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 1: something failed that fits no other code.
    Failed = 1,
    /// 3: the request was understood and refused: a conflict, invalid data, a rule of the domain.
    Refused = 3,
    /// 4: a server is not there, not ready, too slow, or does not know the outcome. Trying again may help.
    Unavailable = 4,
    /// 5: what was asked for does not exist.
    NotFound = 5,
}

/// The list of exit codes for `spina --help`.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (conflict, invalid data, a rule of \
                              the domain), 4 unavailable (try again), 5 not found";

/// A failure with everything worth telling about it.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Code of the unified error format, such as `state.conflict`.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// What else is known: `current_version` and the like.
    pub facts: Map<String, Value>,
    /// What to do next.
    pub help: Option<String>,
}

impl Failure {
    /// A failure without facts.
    pub fn new(exit: Exit, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), facts: Map::new(), help: None }
    }

    /// Something that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "resource.not_found", message)
    }

    /// The same failure with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether the same request may succeed later, or its outcome is unknown.
    pub fn is_passing(&self) -> bool {
        self.exit == Exit::Unavailable
    }

    fn to_json(&self) -> Value {
        let mut error = json!({ "error_code": self.code, "message": self.message });
        if !self.facts.is_empty() {
            error["details"] = Value::Object(self.facts.clone());
        }
        if let Some(help) = &self.help {
            error["help"] = Value::from(help.as_str());
        }
        error
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

impl Error for Failure {}

/// What to print on stderr and the exit code; `None` if there is nothing to say.
///
/// A reader that went away (`spina tail | head`) is not a failure.
pub fn report(error: &anyhow::Error, format: Format) -> Option<(String, Exit)> {
    let broken_pipe = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return None;
    }
    let exit = error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit);
    let text = match (format, error.downcast_ref::<Failure>()) {
        (Format::Text, Some(failure)) => text(failure, &format!("{error:#}")),
        (Format::Text, None) => format!("error: {error:#}"),
        (Format::Json | Format::Ndjson, Some(failure)) => failure.to_json().to_string(),
        (Format::Json | Format::Ndjson, None) => {
            json!({ "error_code": "internal.error", "message": format!("{error:#}") }).to_string()
        }
    };
    Some((text, exit))
}

fn text(failure: &Failure, message: &str) -> String {
    let mut text = format!("error[{}]: {message}", failure.code);
    for (name, value) in &failure.facts {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}: {value}", name.replace('_', " "));
    }
    if let Some(help) = &failure.help {
        let _ = write!(text, "\n  help: {help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn conflict() -> anyhow::Error {
        let mut failure =
            Failure::new(Exit::Refused, "state.conflict", "the stream is at version 3, not 1").help("read it");
        failure.facts.insert("current_version".into(), 3.into());
        failure.into()
    }

    #[test]
    fn a_failure_tells_code_facts_and_what_to_do() {
        let (text, exit) = report(&conflict(), Format::Text).unwrap();
        let expected =
            "error[state.conflict]: the stream is at version 3, not 1\n  current version: 3\n  help: read it";
        assert_eq!((text.as_str(), exit as u8), (expected, 3));
        let (json, _) = report(&conflict(), Format::Json).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["details"]["current_version"], 3);
    }

    #[test]
    fn context_is_kept_and_does_not_hide_the_code() {
        let error = conflict().context("publish to flight-1");
        let (text, exit) = report(&error, Format::Text).unwrap();
        assert!(text.starts_with("error[state.conflict]: publish to flight-1: the stream is"), "{text}");
        assert_eq!(exit, Exit::Refused);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe)).context("print").unwrap_err();
        assert_eq!(report(&gone, Format::Text), None);
    }
}
