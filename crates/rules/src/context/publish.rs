//! What `context.yaml` says of published topics, as it was written; [`crate::publish`] compiles it.

use super::commands::{formula, formulas};
use crate::node::{Node, Reading};
use crate::source::{Located, quote};

/// Most published topics of a context.
pub const PUBLISHED_MAX: usize = 50;
/// Longest name of one within its context, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Names that the context's own topics have.
const TAKEN: [&str; 4] = ["commands", "events", "replies", "model"];

/// A flat topic of one record type, for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishDef {
    /// Its name without the context: `late-landings.v1`.
    pub name: Located<String>,
    /// The event that is published.
    pub event: Located<String>,
    /// The public record's name.
    pub record: Located<String>,
    /// A condition on the event; always if absent.
    pub when: Option<Located<String>>,
    /// Expressions by field of the public record.
    pub fields: Vec<(Located<String>, Located<String>)>,
    /// How many characters at the end stay readable, by field of the public record.
    pub mask: Vec<(Located<String>, u32)>,
}

pub(super) fn read_all(reading: &mut Reading<'_>, node: &Located<Node>) -> Vec<PublishDef> {
    let Some(entries) = reading.names(node, "`publish`") else { return Vec::new() };
    if entries.len() > PUBLISHED_MAX {
        reading.complain(node.place, format!("at most {PUBLISHED_MAX} topics can be published"));
    }
    entries.iter().filter_map(|(name, node)| read(reading, name, node)).collect()
}

fn read(reading: &mut Reading<'_>, name: &Located<String>, node: &Located<Node>) -> Option<PublishDef> {
    check_name(reading, name);
    let what = format!("published topic {}", quote(name));
    let entries = reading.mapping(node, &what, &["event", "record", "when", "fields", "mask"])?;
    for key in ["event", "record"].into_iter().filter(|key| entries.get(key).is_none()) {
        reading.complain(node.place, format!("{what} has no `{key}`"));
    }
    let mut text = |key: &str| {
        let node = entries.get(key)?;
        Some(Located::new(reading.text(node, &format!("`{key}`"))?.to_owned(), node.place))
    };
    let (event, record) = (text("event"), text("record"));
    let when = entries.get("when").and_then(|node| formula(reading, node, "`when`"));
    let fields = entries.get("fields").map(|node| formulas(reading, node, "`fields`")).unwrap_or_default();
    let mask = entries.get("mask").map(|node| read_mask(reading, node)).unwrap_or_default();
    Some(PublishDef { name: name.clone(), event: event?, record: record?, when, fields, mask })
}

/// A word and a version.
fn check_name(reading: &mut Reading<'_>, name: &Located<String>) {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let digits = |text: &str| !text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    let parts = name.rsplit_once(".v").filter(|(word, version)| {
        !word.is_empty() && word.bytes().all(fits) && digits(version) && name.len() <= NAME_BYTES_MAX
    });
    let Some((word, _)) = parts else {
        let most = format!("at most {NAME_BYTES_MAX} lower-case letters, digits, hyphens and a version");
        reading.complain(name.place, format!("{} is not like `late-landings.v1`: {most}", quote(name)));
        return;
    };
    if TAKEN.contains(&word) {
        reading.complain(name.place, format!("{} names a topic of the context's own", quote(name)));
    }
}

fn read_mask(reading: &mut Reading<'_>, node: &Located<Node>) -> Vec<(Located<String>, u32)> {
    let Some(entries) = reading.names(node, "`mask`") else { return Vec::new() };
    let masked = entries.iter().filter_map(|(field, node)| {
        let kept = reading.whole_number(node, &format!("the mask of {}", quote(field)), 0..=i64::from(u16::MAX))?;
        Some((field.clone(), u32::try_from(kept).unwrap_or(0)))
    });
    masked.collect()
}
