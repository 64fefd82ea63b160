//! Matchers of labels, as Alertmanager writes them: `severity="page"`, `service=~"pay.*"`, `!=`, `!~`.

use regex::{Regex, RegexBuilder};
use spina_core::correlation::Labels;
use spina_core::correlation::labels::is_label_name;

/// Most memory that one compiled expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// One condition on one label. A label that is not there counts as empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    value: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equal,
    NotEqual,
    Matches(Regex),
    MatchesNot(Regex),
}

/// Why a text is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMatcher {
    /// It has no operator.
    #[error("a matcher is a label, one of = != =~ !~, and a value in quotes, as in severity=\"page\"")]
    Form,
    /// The label's name.
    #[error("`{0}` is not a label name")]
    Name(String),
    /// The regular expression.
    #[error("the regular expression cannot be used: {0}")]
    Regex(String),
}

impl Matcher {
    /// Reads `name="value"`; the quotes may be left out.
    pub fn parse(text: &str) -> Result<Self, BadMatcher> {
        let at = text.find(['=', '!']).ok_or(BadMatcher::Form)?;
        let (name, rest) = text.split_at(at);
        let operator = ["=~", "!~", "!=", "="].into_iter().find(|op| rest.starts_with(op)).ok_or(BadMatcher::Form)?;
        let value = rest[operator.len()..].trim();
        let quoted = value.strip_prefix('"').map(|open| open.strip_suffix('"').ok_or(BadMatcher::Form)).transpose()?;
        let value =
            quoted.map_or_else(|| value.to_owned(), |quoted| quoted.replace("\\\"", "\"").replace("\\\\", "\\"));
        Self::new(name.trim(), &value, operator.starts_with('='), operator.ends_with('~'))
    }

    /// The matcher in its four parts, as Alertmanager's API has it.
    pub fn new(name: &str, value: &str, is_equal: bool, is_regex: bool) -> Result<Self, BadMatcher> {
        if !is_label_name(name) {
            return Err(BadMatcher::Name(name.chars().take(80).collect()));
        }
        let test = match (is_equal, is_regex) {
            (true, false) => Test::Equal,
            (false, false) => Test::NotEqual,
            (true, true) => Test::Matches(whole(value)?),
            (false, true) => Test::MatchesNot(whole(value)?),
        };
        Ok(Self { name: name.to_owned(), value: value.to_owned(), test })
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is compared with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether the value is a regular expression.
    pub fn is_regex(&self) -> bool {
        matches!(self.test, Test::Matches(_) | Test::MatchesNot(_))
    }

    /// Whether it asks for what matches, and not for what does not.
    pub fn is_equal(&self) -> bool {
        matches!(self.test, Test::Equal | Test::Matches(_))
    }

    /// The value that the label must have, if only one will do: what an index can go by.
    pub fn exact(&self) -> Option<&str> {
        match self.test {
            Test::Equal if !self.value.is_empty() => Some(&self.value),
            Test::Equal | Test::NotEqual | Test::Matches(_) | Test::MatchesNot(_) => None,
        }
    }

    /// Whether the labels fit.
    pub fn matches(&self, labels: &Labels) -> bool {
        let found = labels.get(&self.name);
        match &self.test {
            Test::Equal => found == self.value,
            Test::NotEqual => found != self.value,
            Test::Matches(regex) => regex.is_match(found),
            Test::MatchesNot(regex) => !regex.is_match(found),
        }
    }
}

/// Whether all of them match.
pub fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

fn whole(pattern: &str) -> Result<Regex, BadMatcher> {
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .map_err(|error| BadMatcher::Regex(error.to_string().lines().last().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(matcher: &str, value: &str) -> bool {
        let labels: Labels = [("job".to_owned(), value.to_owned())].into_iter().collect();
        Matcher::parse(matcher).unwrap().matches(&labels)
    }

    #[test]
    fn matchers_mean_what_they_mean_in_alertmanager() {
        assert!(holds("job=\"api\"", "api") && !holds("job=\"api\"", "api2"));
        assert!(holds("job=api", "api") && holds("job!=api", "web"));
        assert!(holds("job=~\"a.*|web\"", "api") && !holds("job=~\"a\"", "api"), "expressions are anchored");
        assert!(holds("job!~\"a.*\"", "web") && holds("other=\"\"", "x"));
        assert!(holds("job=\"a=b\"", "a=b"));
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        assert_eq!(Matcher::parse("job").unwrap_err(), BadMatcher::Form);
        assert_eq!(Matcher::parse("job=\"api").unwrap_err(), BadMatcher::Form);
        assert_eq!(Matcher::parse("1job=api").unwrap_err(), BadMatcher::Name("1job".to_owned()));
        assert!(matches!(Matcher::parse("job=~\"(\"").unwrap_err(), BadMatcher::Regex(_)));
        assert!(matches!(Matcher::parse("job=~\"(a{1000}){1000}\"").unwrap_err(), BadMatcher::Regex(_)));
    }
}
