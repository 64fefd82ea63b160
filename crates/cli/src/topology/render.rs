//! A plan for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};
use spina_rules::source::Problem;

use super::evolution::Difference;
use super::plan::{Action, Plan};

/// The plan as text, each line of it led by what happens: `+` added, `~` changed, `-` removed.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    for action in &plan.actions {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", headline(action));
        for detail in details(action) {
            let _ = writeln!(out, "      {detail}");
        }
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
        0 if plan.actions.is_empty() => "No changes: the cluster and the registry are as the files say.".to_owned(),
        0 => format!("Plan: {} to add, {} to change, 0 to remove.", counts.add, counts.change),
        1 => "1 problem, so nothing can be applied".to_owned(),
        problems => format!("{problems} problems, so nothing can be applied"),
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
        Action::CreateSubject(_) | Action::SetCompatibility { .. } => Vec::new(),
        Action::AddVersion { differences, .. } => differences.iter().map(difference).collect(),
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
    }
}

fn problem(problem: &Problem) -> Value {
    json!({
        "file": problem.file, "line": problem.place.line, "column": problem.place.column, "message": problem.message,
    })
}

#[cfg(test)]
mod tests;
