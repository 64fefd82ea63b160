//! What `context.yaml` says of topics of plain JSON, as it was written; [`crate::intake`] compiles it.

use super::commands::{formula, formulas};
use crate::node::{Node, Reading};
use crate::source::{Located, quote};

/// Most topics that a context takes in.
pub const INTAKE_MAX: usize = 50;
/// Longest name of one, in bytes: Kafka's own limit, less the end that its dead letters have.
pub const TOPIC_BYTES_MAX: usize = 245;

/// A topic of plain JSON, and the events or commands that its records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeDef {
    /// The topic, by its whole name.
    pub topic: Located<String>,
    /// Name of the event or command.
    pub r#type: Located<String>,
    /// The stream's id.
    pub stream: Located<String>,
    /// The idempotency key; the record's place in the topic if absent.
    pub id: Option<Located<String>>,
    /// A condition on the record; always if absent.
    pub when: Option<Located<String>>,
    /// Expressions by field of the event or command.
    pub fields: Vec<(Located<String>, Located<String>)>,
}

pub(super) fn read_all(reading: &mut Reading<'_>, node: &Located<Node>) -> Vec<IntakeDef> {
    let Some(entries) = reading.names(node, "`intake`") else { return Vec::new() };
    if entries.len() > INTAKE_MAX {
        reading.complain(node.place, format!("at most {INTAKE_MAX} topics can be taken in"));
    }
    entries.iter().filter_map(|(topic, node)| read(reading, topic, node)).collect()
}

fn read(reading: &mut Reading<'_>, topic: &Located<String>, node: &Located<Node>) -> Option<IntakeDef> {
    check_topic(reading, topic);
    let what = format!("intake {}", quote(topic));
    let entries = reading.mapping(node, &what, &["type", "stream", "id", "when", "fields"])?;
    for key in ["type", "stream"].into_iter().filter(|key| entries.get(key).is_none()) {
        reading.complain(node.place, format!("{what} has no `{key}`"));
    }
    let r#type =
        entries.get("type").and_then(|node| Some(Located::new(reading.text(node, "`type`")?.to_owned(), node.place)));
    let mut expression = |key: &str| entries.get(key).and_then(|node| formula(reading, node, &format!("`{key}`")));
    let (stream, id, when) = (expression("stream"), expression("id"), expression("when"));
    let fields = entries.get("fields").map(|node| formulas(reading, node, "`fields`")).unwrap_or_default();
    Some(IntakeDef { topic: topic.clone(), r#type: r#type?, stream: stream?, id, when, fields })
}

/// A topic as Spina's are called: lower case, dots and hyphens.
fn check_topic(reading: &mut Reading<'_>, topic: &Located<String>) {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let plain = |end: Option<u8>| end.is_some_and(|b| b != b'.' && b != b'-');
    let ends = plain(topic.bytes().next()) && plain(topic.bytes().last());
    if topic.len() > TOPIC_BYTES_MAX || !topic.bytes().all(fits) || !ends {
        let most = format!("at most {TOPIC_BYTES_MAX} lower-case letters, digits, dots and hyphens");
        reading.complain(topic.place, format!("{} is no topic to be taken in: {most}", quote(topic)));
    }
}
