//! What `context.yaml` says of an aggregate's commands, as it was written:
//!
//! ```yaml
//! account:
//!   events: [AccountOpened, MoneyPaidIn]
//!   initial: { balance: 0 }                        # the state before the first event
//!   commands:
//!     PayIn:
//!       require:
//!         - { rule: state.status != null, code: account.unknown, message: there is no account {key} }
//!       emit:
//!         - event: MoneyPaidIn
//!           when: command.amount > 0               # optional
//!           fields: { amount: command.amount }     # fields not named are the command's of the same name
//!   # commands: [PayIn, DrawOut]                   # instead: a decider in Rust decides
//!   evolve:                                        # by default an event's fields are merged into the state
//!     MoneyPaidIn: { balance: state.balance + data.amount }
//! ```

use serde_json::{Map, Number, Value};

use super::aggregate::check_type_name;
use crate::node::{Node, Reading};
use crate::source::{Located, quote};

/// Most commands of an aggregate.
const COMMANDS_MAX: usize = 100;
/// Most rules, and most events to emit, of a command.
const CLAUSES_MAX: usize = 50;

/// A command: what it requires, and which events it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandDef {
    /// Its name, that of its Avro record.
    pub name: Located<String>,
    /// Whether rules decide it; otherwise a decider in Rust does.
    pub by_rules: bool,
    /// Checked in order; the first that does not hold rejects the command.
    pub require: Vec<RequireDef>,
    /// Emitted in order.
    pub emit: Vec<EmitDef>,
}

/// A rule of the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequireDef {
    /// A condition.
    pub rule: Located<String>,
    /// What the rejection is called, for programs: `seats.none_left`.
    pub code: Located<String>,
    /// What it is for people, with formulas in braces.
    pub message: Option<Located<String>>,
}

/// An event to emit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmitDef {
    /// Its name.
    pub event: Located<String>,
    /// A condition; always if absent.
    pub when: Option<Located<String>>,
    /// Formulas by field.
    pub fields: Vec<(Located<String>, Located<String>)>,
}

/// How an event changes the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvolveDef {
    /// The event.
    pub event: Located<String>,
    /// Formulas by field of the state.
    pub set: Vec<(Located<String>, Located<String>)>,
}

pub(super) fn read_commands(reading: &mut Reading<'_>, node: &Located<Node>) -> Vec<CommandDef> {
    if let Node::List(names) = &node.value {
        return names.iter().filter_map(|node| coded(reading, node)).collect();
    }
    let Some(entries) = reading.names(node, "`commands`") else { return Vec::new() };
    if entries.len() > COMMANDS_MAX {
        reading.complain(node.place, format!("at most {COMMANDS_MAX} commands are allowed"));
    }
    entries.iter().filter_map(|(name, node)| read_command(reading, name, node)).collect()
}

/// A command that code decides: a name and nothing else.
fn coded(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<CommandDef> {
    let name = Located::new(reading.text(node, "a command's name")?.to_owned(), node.place);
    check_type_name(reading, "command", &name);
    Some(CommandDef { name, by_rules: false, require: Vec::new(), emit: Vec::new() })
}

fn read_command(reading: &mut Reading<'_>, name: &Located<String>, node: &Located<Node>) -> Option<CommandDef> {
    check_type_name(reading, "command", name);
    let what = format!("command {}", quote(name));
    let entries = reading.mapping(node, &what, &["require", "emit"])?;
    let require = entries.get("require").map(|node| read_each(reading, node, "`require`", read_require));
    let emit = entries.get("emit").map(|node| read_each(reading, node, "`emit`", read_emit)).unwrap_or_default();
    if emit.is_empty() {
        reading.complain(name.place, format!("{what} has no `emit`: the events that it leads to"));
    }
    Some(CommandDef { name: name.clone(), by_rules: true, require: require.unwrap_or_default(), emit })
}

fn read_each<T>(
    reading: &mut Reading<'_>,
    node: &Located<Node>,
    what: &str,
    read: fn(&mut Reading<'_>, &Located<Node>) -> Option<T>,
) -> Vec<T> {
    let Some(items) = reading.list(node, what) else { return Vec::new() };
    if items.len() > CLAUSES_MAX {
        reading.complain(node.place, format!("{what} has at most {CLAUSES_MAX} entries"));
    }
    items.iter().filter_map(|item| read(reading, item)).collect()
}

fn read_require(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<RequireDef> {
    let entries = reading.mapping(node, "a rule of `require`", &["rule", "code", "message"])?;
    for key in ["rule", "code"].into_iter().filter(|key| entries.get(key).is_none()) {
        reading.complain(node.place, format!("a rule of `require` has no `{key}`"));
    }
    let rule = entries.get("rule").and_then(|node| formula(reading, node, "`rule`"));
    let code = entries.get("code").and_then(|node| read_code(reading, node));
    let message = entries.get("message").and_then(|node| formula(reading, node, "`message`"));
    Some(RequireDef { rule: rule?, code: code?, message })
}

/// A code of the domain's own: `seats.none_left`. Those of the API keep their meaning.
fn read_code(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<Located<String>> {
    let code = reading.text(node, "`code`")?;
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let parts = code.split('.').collect::<Vec<_>>();
    if code.len() > super::TYPE_NAME_BYTES_MAX || parts.len() < 2 || !parts.iter().all(|text| part(text)) {
        reading.complain(node.place, format!("code {} is not like `seats.none_left`", quote(code)));
        return None;
    }
    if ["validation", "auth", "resource", "state", "rate_limit", "internal"].contains(&parts[0]) {
        reading.complain(node.place, format!("codes that begin with `{}.` are the API's own", parts[0]));
        return None;
    }
    Some(Located::new(code.to_owned(), node.place))
}

fn read_emit(reading: &mut Reading<'_>, node: &Located<Node>) -> Option<EmitDef> {
    let entries = reading.mapping(node, "an entry of `emit`", &["event", "when", "fields"])?;
    let Some(event) = entries.get("event") else {
        reading.complain(node.place, "an entry of `emit` has no `event`");
        return None;
    };
    let event = reading.text(event, "`event`").map(|name| Located::new(name.to_owned(), event.place));
    let when = entries.get("when").and_then(|node| formula(reading, node, "`when`"));
    let fields = entries.get("fields").map(|node| formulas(reading, node, "`fields`")).unwrap_or_default();
    Some(EmitDef { event: event?, when, fields })
}

pub(super) fn read_evolve(reading: &mut Reading<'_>, node: &Located<Node>) -> Vec<EvolveDef> {
    let Some(entries) = reading.names(node, "`evolve`") else { return Vec::new() };
    let evolve = entries.iter().map(|(event, node)| {
        let set = formulas(reading, node, &format!("{} of `evolve`", quote(event)));
        EvolveDef { event: event.clone(), set }
    });
    evolve.collect()
}

/// The state before the first event: plain values.
pub(super) fn read_initial(reading: &mut Reading<'_>, node: &Located<Node>) -> Map<String, Value> {
    let Some(entries) = reading.names(node, "`initial`") else { return Map::new() };
    entries.iter().map(|(name, node)| (name.value.clone(), json(&node.value))).collect()
}

fn json(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::from(*value),
        Node::Int(number) => Value::from(*number),
        Node::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Node::Text(text) => Value::from(text.as_str()),
        Node::List(items) => items.iter().map(|item| json(&item.value)).collect(),
        Node::Map(entries) => {
            Value::Object(entries.iter().map(|(name, node)| (name.value.clone(), json(&node.value))).collect())
        }
    }
}

pub(super) fn formulas(
    reading: &mut Reading<'_>,
    node: &Located<Node>,
    what: &str,
) -> Vec<(Located<String>, Located<String>)> {
    let Some(entries) = reading.names(node, what) else { return Vec::new() };
    let formula =
        |(name, node): (&Located<String>, &Located<Node>)| Some((name.clone(), formula(reading, node, &quote(name))?));
    entries.iter().filter_map(formula).collect()
}

/// A formula's text. YAML reads `0` and `true` as what they are; they are formulas all the same.
pub(super) fn formula(reading: &mut Reading<'_>, node: &Located<Node>, what: &str) -> Option<Located<String>> {
    let text = match &node.value {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Int(number) => number.to_string(),
        Node::Float(number) => format!("{number:?}"),
        Node::Text(text) => text.clone(),
        Node::List(_) | Node::Map(_) => {
            return reading.text(node, what).map(|text| Located::new(text.to_owned(), node.place));
        }
    };
    Some(Located::new(text, node.place))
}
