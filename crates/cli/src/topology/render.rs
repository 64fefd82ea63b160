//! A plan for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};
use spina_rules::connectors::CLASS;
use spina_rules::source::Problem;

use super::connectors::DesiredConnector;
use super::evolution::Difference;
use super::plan::{Action, Plan, SettingChange};

/// The plan as text, each line of it led by what happens: `+` added, `~` changed, `-` removed, `!` nothing, a person has to.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for action in &plan.actions {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", headline(action));
        for detail in details(action) {
            let _ = writeln!(out, "      {detail}");
        }
    }
    for drift in &plan.drift {
        let _ = writeln!(out, "! {drift}");
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(plan));
    out
}

/// The last line: how much there is to do.
pub fn summary(plan: &Plan) -> String {
    let counts = plan.counts();
    match plan.problems.len() {
        0 if plan.is_clean() => "No changes: the cluster and the registry are as the files say.".to_owned(),
        0 => format!("Plan: {} to add, {} to change, 0 to remove{}.", counts.add, counts.change, by_hand(plan)),
        1 => "1 problem, so nothing can be applied".to_owned(),
        problems => format!("{problems} problems, so nothing can be applied"),
    }
}

fn by_hand(plan: &Plan) -> String {
    match plan.drift.len() {
        0 => String::new(),
        drift => format!("; {drift} to mend by hand"),
    }
}

/// What an action does, in one line.
pub fn headline(action: &Action) -> String {
    match action {
        Action::CreateTopic { name, partitions, replication, .. } => {
            format!("+ topic {name} (partitions {partitions}, replication {replication})")
        }
        Action::AlterTopic { name, .. } => format!("~ topic {name}"),
        Action::CreateSubject(subject) => format!("+ schema {} ({})", subject.name, subject.schema.file),
        Action::SetCompatibility { subject, from, to } => {
            format!("~ compatibility of {subject}: {} -> {to}", from.as_deref().unwrap_or("(not set)"))
        }
        Action::AddVersion { subject, version, .. } => {
            format!("+ schema {} version {version} ({})", subject.name, subject.schema.file)
        }
        Action::CreateConnector(connector) => {
            format!("+ connector {} ({}, {})", connector.def.name, class(connector), connector.def.state)
        }
        Action::ChangeConnector { connector, .. } => format!("~ connector {}", connector.def.name),
        Action::RestartConnector { name, .. } => format!("~ connector {name}: start anew what failed"),
        Action::SetConnectorState { name, from, to } => format!("~ connector {name}: {from} -> {to}"),
    }
}

fn details(action: &Action) -> Vec<String> {
    match action {
        Action::CreateTopic { configs, .. } => {
            configs.iter().map(|(key, value)| format!("+ {key} = {value}")).collect()
        }
        Action::AlterTopic { changes, .. } => changes
            .iter()
            .map(|change| {
                format!("~ {}: {} -> {}", change.key, change.from.as_deref().unwrap_or("(not set)"), change.to)
            })
            .collect(),
        Action::ChangeConnector { changes, .. } => changes.iter().map(setting).collect(),
        Action::RestartConnector { failures, .. } => failures.clone(),
        Action::CreateSubject(_)
        | Action::SetCompatibility { .. }
        | Action::CreateConnector(_)
        | Action::SetConnectorState { .. } => Vec::new(),
        Action::AddVersion { differences, .. } => differences.iter().map(difference).collect(),
    }
}

fn class(connector: &DesiredConnector) -> &str {
    connector.def.config.get(CLASS).map_or("", String::as_str)
}

fn setting(SettingChange { key, from, to }: &SettingChange) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("~ {key}: {from} -> {to}"),
        (None, Some(to)) => format!("+ {key} = {to}"),
        (Some(_), None) | (None, None) => format!("- {key}"),
    }
}

fn difference(difference: &Difference) -> String {
    match difference {
        Difference::Added { field, r#type } => format!("+ {field}: {type}"),
        Difference::Removed { field } => format!("- {field}"),
        Difference::Changed { field, how } => format!("~ {field}: {how}"),
        Difference::Wording => "~ names, documentation or attributes".to_owned(),
    }
}

/// The plan as JSON.
pub fn json(plan: &Plan) -> Value {
    json!({
        "changes": plan.actions.iter().map(action).collect::<Vec<_>>(),
        "counts": plan.counts(),
        "drift": plan.drift.iter().map(problem).collect::<Vec<_>>(),
        "warnings": plan.warnings.iter().map(problem).collect::<Vec<_>>(),
        "problems": plan.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn action(action: &Action) -> Value {
    match action {
        Action::CreateTopic { name, partitions, replication, configs } => json!({
            "action": "create_topic", "topic": name, "partitions": partitions, "replication": replication,
            "configs": configs,
        }),
        Action::AlterTopic { name, changes } => {
            let changes: Vec<Value> =
                changes.iter().map(|c| json!({ "key": c.key, "from": c.from, "to": c.to })).collect();
            json!({ "action": "alter_topic", "topic": name, "configs": changes })
        }
        Action::CreateSubject(subject) => json!({
            "action": "create_subject", "subject": subject.name, "file": subject.schema.file,
        }),
        Action::SetCompatibility { subject, from, to } => json!({
            "action": "set_compatibility", "subject": subject, "from": from, "to": to,
        }),
        Action::AddVersion { subject, version, differences } => json!({
            "action": "add_version", "subject": subject.name, "file": subject.schema.file, "version": version,
            "differences": differences.iter().map(difference).collect::<Vec<_>>(),
        }),
        Action::CreateConnector(connector) => json!({
            "action": "create_connector", "connector": connector.def.name, "file": connector.file,
            "state": connector.def.state.name(),
        }),
        Action::ChangeConnector { connector, changes } => {
            let changes: Vec<Value> =
                changes.iter().map(|c| json!({ "key": c.key, "from": c.from, "to": c.to })).collect();
            json!({ "action": "change_connector", "connector": connector.def.name, "settings": changes })
        }
        Action::RestartConnector { name, failures } => json!({
            "action": "restart_connector", "connector": name, "failures": failures,
        }),
        Action::SetConnectorState { name, from, to } => json!({
            "action": "set_connector_state", "connector": name, "from": from.name(), "to": to.name(),
        }),
    }
}

fn problem(problem: &Problem) -> Value {
    json!({
        "file": problem.file, "line": problem.place.line, "column": problem.place.column, "message": problem.message,
    })
}

#[cfg(test)]
mod tests;
