//! Definition files: read, parsed with places kept, and complained about as `file:line:column: message`.
//!
//! Syntax errors, unknown keys and wrong types come from the parser; errors of meaning (a field that the event does
//! not have) come from the code that compiles the definition. Both are a [`Problem`] and look the same to the user.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_saphyr::{DefaultMessageFormatter, Location, MessageFormatter, Spanned};

/// Largest definition file, in bytes.
pub const SOURCE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest text of the user's that a message repeats, in characters.
const QUOTE_CHARS_MAX: usize = 80;

/// A line and a column, both from 1. 0:0 stands for the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Place {
    /// The file as a whole.
    pub const FILE: Self = Self { line: 0, column: 0 };

    fn of(location: Location) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: small(location.line()), column: small(location.column()) }
    }

    /// The place `columns` characters to the right.
    #[must_use]
    pub fn right(self, columns: u32) -> Self {
        Self { line: self.line, column: self.column.saturating_add(columns) }
    }
}

/// A value and the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> Located<T> {
    /// A value written at a place.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

impl<T> std::ops::Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { place: Place::of(spanned.referenced), value: spanned.value })
    }
}

/// A mapping of the file in the order it was written, its keys with their places. The parser refuses duplicate keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries<T>(pub Vec<(Located<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Entries<T> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// Keys and values in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&Located<String>, &T)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

/// Something wrong with a definition, and where. Displayed as `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as the user gave it.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place == Place::FILE {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}:{}:{}: {}", self.file, self.place.line, self.place.column, self.message)
        }
    }
}

impl std::error::Error for Problem {}

/// Everything wrong with a definition file, in the order of the lines. Displayed one problem a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes one more problem.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// The value if there is no problem, otherwise all problems in the order of the lines.
    pub fn none_or<T>(mut self, value: T) -> Result<T, Self> {
        self.0.sort_by_key(|problem| problem.place);
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// The text of a definition file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    file: String,
    text: String,
}

impl Source {
    /// Reads the file; complains about a file that cannot be read, is not UTF-8 or is larger than [`SOURCE_BYTES_MAX`].
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let file = path.display().to_string();
        let refuse = |message: String| Problem { file: file.clone(), place: Place::FILE, message };
        let size = std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?.len();
        if size > SOURCE_BYTES_MAX {
            return Err(refuse(format!("is larger than {SOURCE_BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        Ok(Self { file, text })
    }

    /// A definition that is in memory already; `file` is the name that problems carry.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Parses the YAML. Give structs `#[serde(deny_unknown_fields)]`, and [`Located`] or [`Entries`] where a problem
    /// of meaning may have to be pointed at.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        serde_saphyr::from_str_with_options(&self.text, options).map_err(|error| {
            let place = error.location().map_or(Place::FILE, Place::of);
            self.problem(place, DefaultMessageFormatter.format_message(&error))
        })
    }

    /// A problem in this file.
    pub fn problem(&self, place: Place, message: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), place, message: message.into() }
    }

    /// The place of a character inside a value written at `start`: `offset` characters after its first one, if the
    /// value is plain or quoted text on one line without escapes; `start` itself otherwise.
    pub fn inside(&self, start: Place, value: &str, offset: u32) -> Place {
        let written = self.text.lines().nth(start.line.saturating_sub(1) as usize).unwrap_or("");
        let rest: String = written.chars().skip(start.column.saturating_sub(1) as usize).collect();
        for quote in ["", "\"", "'"] {
            if rest.strip_prefix(quote).is_some_and(|text| text.starts_with(value)) {
                return start.right(quote.len() as u32 + offset);
            }
        }
        start
    }
}

/// The user's text in backquotes, shortened so that a message stays readable.
pub fn quote(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTE_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("`{short}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Cup {
        #[serde(default)]
        size: Located<u32>,
        #[serde(default)]
        parts: Entries<Located<String>>,
    }

    fn parse(text: &str) -> Result<Cup, String> {
        Source::new("cup.yaml", text).parse().map_err(|problem| problem.to_string())
    }

    #[test]
    fn values_and_keys_keep_their_places_and_order() {
        let cup = parse("size: 3\nparts:\n  handle: clay\n  body: 12\n").unwrap();
        assert_eq!((cup.size.value, cup.size.place), (3, Place { line: 1, column: 7 }));
        let parts: Vec<_> = cup.parts.iter().map(|(k, v)| (k.value.as_str(), k.place, v.value.as_str())).collect();
        let at = |line, column| Place { line, column };
        assert_eq!(parts, [("handle", at(3, 3), "clay"), ("body", at(4, 3), "12")]);
    }

    #[test]
    fn every_complaint_names_its_place() {
        for (text, start, word) in [
            ("size: 3\ncolour: red\n", "cup.yaml:2:", "colour"),
            ("size: big\n", "cup.yaml:1:7", "invalid u32"),
            ("size: 3\nsize: 4\n", "cup.yaml:2:1", "duplicate"),
            ("parts:\n  a: x\n  a: y\n", "cup.yaml:3:3", "duplicate"),
            ("parts: [\n", "cup.yaml:", ""),
            ("- 1\n", "cup.yaml:1:1", "map"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with(start) && message.contains(word), "{text:?} gave {message:?}");
            assert!(!message.contains('\n'), "{message:?}");
        }
    }

    #[test]
    fn a_place_inside_a_value_skips_the_quote() {
        let source = Source::new("a.yaml", "when: \"a + b\"\nother: |\n  text\n");
        let at = |line, column| Place { line, column };
        assert_eq!(source.inside(at(1, 7), "a + b", 4), at(1, 12));
        assert_eq!(source.inside(at(2, 8), "text\n", 2), at(2, 8));
    }

    #[test]
    fn a_missing_file_is_a_problem() {
        assert!(Source::read(Path::new("no/such.yaml")).unwrap_err().to_string().starts_with("no/such.yaml: cannot"));
    }
}
