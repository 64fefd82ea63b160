//! The Kafka Connect connectors of a context, as declared in `topology/<context>/connectors.yaml`.
//!
//! ```yaml
//! connectors:
//!   outbox:                          # is called <context>.outbox in Connect
//!     state: running                 # or paused, stopped; running if absent
//!     config:                        # Connect's own settings, as they are
//!       connector.class: io.debezium.connector.postgresql.PostgresConnector
//!       database.hostname: ${env:SPINA_CONNECT_POSTGRES_HOST}
//! ```

use std::collections::BTreeMap;
use std::fmt;

use spina_core::ContextName;

use crate::node::{Node, Reading};
use crate::source::{Located, Place, Problem, Problems, Source, quote};

/// The definition's file name within the context's folder.
pub const CONNECTORS_FILE: &str = "connectors.yaml";
/// Most connectors of a context.
pub const CONNECTORS_MAX: usize = 100;
/// Most settings of a connector.
pub const SETTINGS_MAX: usize = 500;
/// Longest name of a connector within its context, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The setting that every connector has.
pub const CLASS: &str = "connector.class";
/// The setting that follows from where the connector is declared.
pub const NAME: &str = "name";

/// A connector as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorDef {
    /// Its name in Connect: `<context>.<name>`.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// Its settings, `name` among them.
    pub config: BTreeMap<String, String>,
    /// Where each setting of the file stands.
    pub places: BTreeMap<String, Place>,
    /// Whether it is to run.
    pub state: ConnectorState,
}

impl ConnectorDef {
    /// Where a setting stands, or else the connector.
    pub fn place_of(&self, setting: &str) -> Place {
        self.places.get(setting).copied().unwrap_or(self.place)
    }
}

/// Whether a connector is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectorState {
    /// It moves records.
    #[default]
    Running,
    /// Its tasks wait, with what they hold.
    Paused,
    /// It has no tasks; its offsets can be changed.
    Stopped,
}

impl ConnectorState {
    const ALL: [Self; 3] = [Self::Running, Self::Paused, Self::Stopped];

    /// As it is written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for ConnectorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the connectors of a context; tells everything that is wrong.
///
/// # Errors
/// Problems with file, line and column.
pub fn parse(source: &Source, context: &ContextName) -> Result<Vec<ConnectorDef>, Problems> {
    let (mut reading, root) = Reading::begin(source)?;
    let connectors = read(&mut reading, &root, context).unwrap_or_default();
    let problems: Vec<Problem> = reading.end();
    if problems.is_empty() { Ok(connectors) } else { Err(Problems(problems)) }
}

fn read(reading: &mut Reading<'_>, root: &Located<Node>, context: &ContextName) -> Option<Vec<ConnectorDef>> {
    let entries = reading.mapping(root, "the file", &["connectors"])?;
    let Some(node) = entries.get("connectors") else {
        reading.complain(root.place, "`connectors` is missing");
        return None;
    };
    let named = reading.names(node, "`connectors`")?;
    if named.len() > CONNECTORS_MAX {
        reading.complain(node.place, format!("a context has at most {CONNECTORS_MAX} connectors"));
        return None;
    }
    Some(named.iter().filter_map(|(name, node)| connector(reading, context, name, node)).collect())
}

fn connector(
    reading: &mut Reading<'_>,
    context: &ContextName,
    name: &Located<String>,
    node: &Located<Node>,
) -> Option<ConnectorDef> {
    check_name(reading, name);
    let entries = reading.mapping(node, "a connector", &["config", "state"])?;
    let state = entries.get("state").map_or(Some(ConnectorState::default()), |node| read_state(reading, node));
    let Some(settings) = entries.get("config") else {
        reading.complain(name.place, format!("connector {} has no `config`", quote(name)));
        return None;
    };
    let settings = reading.names(settings, "`config`")?;
    if settings.len() > SETTINGS_MAX {
        reading.complain(name.place, format!("a connector has at most {SETTINGS_MAX} settings"));
        return None;
    }
    let full_name = format!("{context}.{}", name.value);
    let (mut config, mut places) = (BTreeMap::new(), BTreeMap::new());
    for (key, node) in settings.iter() {
        if key.value == NAME {
            reading.complain(key.place, format!("`name` follows from where it is declared: {full_name}"));
        }
        if let Some(value) = setting(reading, key, node) {
            config.insert(key.value.clone(), value);
            places.insert(key.value.clone(), key.place);
        }
    }
    if !settings.iter().any(|(key, _)| key.value == CLASS) {
        reading.complain(name.place, format!("connector {} has no `{CLASS}`", quote(name)));
    }
    config.insert(NAME.to_owned(), full_name.clone());
    Some(ConnectorDef { name: full_name, place: name.place, config, places, state: state? })
}

/// The name becomes part of topics, groups and transactional ids.
fn check_name(reading: &mut Reading<'_>, name: &Located<String>) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
        let message = format!(
            "{} is no name of a connector: 1 to {NAME_BYTES_MAX} lower-case letters, digits and hyphens",
            quote(name)
        );
        reading.complain(name.place, message);
    }
}

/// Connect knows text only; numbers and truth values may be written as such.
fn setting(reading: &mut Reading<'_>, key: &Located<String>, node: &Located<Node>) -> Option<String> {
    match &node.value {
        Node::Text(text) => Some(text.clone()),
        Node::Bool(truth) => Some(truth.to_string()),
        Node::Int(number) => Some(number.to_string()),
        Node::Float(number) => Some(number.to_string()),
        other @ (Node::Null | Node::List(_) | Node::Map(_)) => {
            let message = format!("setting {} must be text, a number or a boolean, not {}", quote(key), other.kind());
            reading.complain(node.place, message);
            None
        }
    }
}

fn read_state(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<ConnectorState> {
    let text = reading.text(node, "`state`")?;
    let state = ConnectorState::ALL.into_iter().find(|state| state.name() == text);
    if state.is_none() {
        reading.complain(node.place, format!("`state` must be running, paused or stopped, not {}", quote(text)));
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<ConnectorDef>, String> {
        let source = Source::new("connectors.yaml", text);
        parse(&source, &"flights".parse().unwrap()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_connector_is_named_after_its_context_and_has_its_settings_as_text() {
        let text = "connectors:\n  outbox:\n    state: paused\n    config:\n      connector.class: X\n      tasks.max: 2\n      \
                    errors.log.enable: true\n";
        let connector = parsed(text).unwrap().remove(0);
        assert_eq!((connector.name.as_str(), connector.state), ("flights.outbox", ConnectorState::Paused));
        let config: Vec<(&str, &str)> = connector.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected =
            [("connector.class", "X"), ("errors.log.enable", "true"), ("name", "flights.outbox"), ("tasks.max", "2")];
        assert_eq!(config, expected);
        assert_eq!((connector.place_of("tasks.max").line, connector.place_of("name").line), (6, 2));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            ("{}", "1:1: `connectors` is missing"),
            ("connectors: 7", "1:13: `connectors` must be a mapping, not a whole number"),
            ("topics: {}\nconnectors: {}", "1:1: the file has no key `topics`; it has connectors"),
            ("connectors: {a: {}}", "1:14: connector `a` has no `config`"),
            ("connectors: {a: {config: {}}}", "1:14: connector `a` has no `connector.class`"),
            (
                "connectors: {a: {config: {connector.class: X}, state: off}}",
                "1:55: `state` must be running, paused or stopped, not `off`",
            ),
            (
                "connectors: {a: {config: {connector.class: X, name: b}}}",
                "1:47: `name` follows from where it is declared: flights.a",
            ),
            (
                "connectors: {a: {config: {connector.class: X, topics: [a]}}}",
                "1:55: setting `topics` must be text, a number or a boolean, not a list",
            ),
            (
                "connectors: {A_b: {config: {connector.class: X}}}",
                "1:14: `A_b` is no name of a connector: 1 to 64 lower-case letters, digits and hyphens",
            ),
        ] {
            assert_eq!(parsed(text).unwrap_err(), format!("connectors.yaml:{expected}"), "{text}");
        }
    }
}
