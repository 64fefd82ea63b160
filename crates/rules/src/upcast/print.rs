//! Whether two definitions read events alike.

use spina_core::StreamKey;

use super::{Action, Filling, Upcasters};

/// A hash of everything that decides how these events are read, and of nothing else: neither of places nor of comments.
/// 32 hexadecimal digits, or nothing.
pub(super) fn fingerprint(upcasters: &Upcasters, events: &[&str]) -> String {
    let concerns = |record: &str| events.contains(&upcasters.name_today(record));
    let mut lines = Vec::new();
    for (record, entry) in upcasters.by_record.iter().filter(|(record, _)| concerns(record)) {
        lines.push(format!("{record} {:?}", entry.becomes));
        for step in &entry.steps {
            lines.push(format!("{:?}", step.when));
            lines.extend(step.actions.iter().map(|action| line(action)));
        }
    }
    let in_rust = upcasters.in_rust.values().filter(|upcaster| concerns(upcaster.record()));
    let mut in_rust: Vec<_> =
        in_rust.map(|upcaster| format!("{} {}", upcaster.record(), upcaster.revision())).collect();
    in_rust.sort();
    lines.extend(in_rust);
    if lines.is_empty() { String::new() } else { format!("{:032x}", StreamKey::of(&lines.join("\n")).0) }
}

fn line(action: &Action) -> String {
    match action {
        Action::Rename(old, new) => format!("rename {old} {new}"),
        Action::Default(field, Filling::Literal(value)) => format!("default {field} {value}"),
        Action::Default(field, Filling::Cel(expr)) => format!("default {field} {:?}", expr.text()),
        Action::Split(from, into) => {
            let into: Vec<_> = into.iter().map(|(name, expr)| (name, expr.text())).collect();
            format!("split {from} {into:?}")
        }
        Action::Drop(field) => format!("drop {field}"),
    }
}
