//! What the event-store says while it imports.

use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// Lines by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Lines that have their answer.
    pub lines: u64,
    /// Events appended.
    pub appended: u64,
    /// Events that were there already.
    pub duplicates: u64,
    /// Lines refused.
    pub rejected: u64,
}

impl Counts {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            lines: self.lines + other.lines,
            appended: self.appended + other.appended,
            duplicates: self.duplicates + other.duplicates,
            rejected: self.rejected + other.rejected,
        }
    }
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The last line of it.
    End {
        /// Whether the input was imported to its end.
        done: bool,
        /// What was done.
        #[serde(flatten)]
        counts: Counts,
        /// Why it was not imported to its end.
        error_code: Option<String>,
        /// The same for people.
        message: Option<String>,
    },
    /// So far. Everything up to line `counts.lines` need not be sent again.
    Progress(Counts),
    /// A line that was refused.
    Rejected(Rejection),
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Its number, from 1.
    pub line: u64,
    /// Why.
    pub error_code: String,
    /// Why, for people.
    pub message: String,
}

/// The failure that an import ended with before its end.
pub fn failure(error_code: Option<String>, message: Option<String>) -> Failure {
    let code = error_code.unwrap_or_else(|| "state.unavailable".to_owned());
    let passing = code.starts_with("state.") || code.starts_with("rate_limit.");
    let exit = if passing { Exit::Unavailable } else { Exit::Refused };
    Failure::new(exit, code, message.unwrap_or_else(|| "the event-store ended the import".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let parse = |text| serde_json::from_str::<Answer>(text).unwrap();
        let counts = Counts { lines: 4, appended: 2, duplicates: 1, rejected: 1 };
        let text = r#"{"lines":4,"appended":2,"duplicates":1,"rejected":1}"#;
        assert_eq!(parse(text), Answer::Progress(counts));
        let end = parse(r#"{"done":true,"lines":4,"appended":2,"duplicates":1,"rejected":1}"#);
        assert_eq!(end, Answer::End { done: true, counts, error_code: None, message: None });
        let rejected = parse(r#"{"line":3,"error_code":"validation.type","message":"m"}"#);
        assert!(matches!(rejected, Answer::Rejected(Rejection { line: 3, .. })));
        assert!(serde_json::from_str::<Answer>(r#"{"what":1}"#).is_err());
    }
}
