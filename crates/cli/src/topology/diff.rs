//! The difference between what the files ask for and what there is: a pure function.

use std::collections::{BTreeMap, BTreeSet};

use spina_log::names;
use spina_rules::source::{Place, Problem};

use super::actual::{Actual, ActualSubject, ActualTopic};
use super::connectors;
use super::desired::{Desired, DesiredSubject, DesiredTopic, Purpose, Role};
use super::evolution::{differences, same_json};
use super::plan::{Action, ConfigChange, Plan};

/// How a subject's schemas must relate: each new one reads what was written with any older one.
pub const COMPATIBILITY: &str = "BACKWARD_TRANSITIVE";
/// The same where it takes upcasters, of which the registry knows nothing: it is left to the plan.
pub const LEFT_TO_THE_PLAN: &str = "NONE";
/// Copies of each partition where the context says nothing, if there are that many brokers.
const REPLICATION: i16 = 3;

/// The actions that make the cluster and the registry what the files ask for, or why that cannot be.
pub fn diff(desired: &Desired, actual: &Actual) -> Plan {
    let mut plan = Plan::default();
    plan.problems.extend(frozen_partitions(desired, actual));
    for topic in &desired.topics {
        match actual.topics.get(&topic.name) {
            Some(existing) => existing_topic(topic, existing, &mut plan),
            None => new_topic(topic, actual.brokers, &mut plan),
        }
    }
    for subject in &desired.subjects {
        match actual.subjects.get(&subject.name) {
            Some(existing) => existing_subject(subject, existing, &mut plan),
            None => plan.actions.push(Action::CreateSubject(subject.clone())),
        }
    }
    plan.drift.extend(undeclared(desired, actual));
    connectors::diff(&desired.contexts, &desired.connectors, actual.connectors.as_ref(), &mut plan);
    plan
}

/// Topics under a context's name that no file declares. What connectors make bears no version, and is theirs.
fn undeclared<'a>(desired: &'a Desired, actual: &'a Actual) -> impl Iterator<Item = Problem> + 'a {
    let declared: BTreeSet<&str> = desired.topics.iter().map(|topic| topic.name.as_str()).collect();
    let found = actual.names.iter().filter(move |name| !declared.contains(name.as_str()));
    found.filter_map(|name| {
        let context = desired.contexts.iter().find(|context| names::is_versioned_topic_of(context, name))?;
        let message =
            format!("topic {name} is in the cluster and declared nowhere: delete it by hand if nobody needs it");
        let sibling = desired.topics.iter().find(|topic| names::is_versioned_topic_of(context, &topic.name))?;
        Some(sibling.problem(Place::FILE, message))
    })
}

fn new_topic(topic: &DesiredTopic, brokers: usize, plan: &mut Plan) {
    let brokers = i16::try_from(brokers).unwrap_or(i16::MAX);
    let declared = topic.replication.as_ref();
    if let Some(replication) = declared.filter(|replication| replication.value > brokers) {
        let message = format!("`replication` is {}, but the cluster has {brokers} broker(s)", replication.value);
        plan.refuse(topic.problem(replication.place, message));
        return;
    }
    let replication = declared.map_or(REPLICATION.min(brokers.max(1)), |replication| replication.value);
    plan.actions.push(Action::CreateTopic {
        name: topic.name.clone(),
        partitions: topic.partitions.value,
        replication,
        configs: topic.configs_at(replication),
    });
}

fn existing_topic(topic: &DesiredTopic, existing: &ActualTopic, plan: &mut Plan) {
    if topic.purpose == Purpose::Events && existing.is_compacted() {
        let name = &topic.name;
        let message = format!(
            "topic {name} is compacted in the cluster, so events may be missing from it already; find out whether, then \
             set its cleanup.policy to delete by hand"
        );
        plan.refuse(topic.problem(Place::FILE, message));
        return;
    }
    if let Some(declared) = topic.replication.as_ref().filter(|declared| declared.value != existing.replication) {
        let (name, wanted, found) = (&topic.name, declared.value, existing.replication);
        let message =
            format!("`replication` is {wanted}, but topic {name} has {found}: reassign its partitions by hand");
        plan.drift.push(topic.problem(declared.place, message));
    }
    let changes: Vec<ConfigChange> = topic
        .configs_at(existing.replication)
        .into_iter()
        .filter(|(key, wanted)| existing.configs.get(*key) != Some(wanted))
        .map(|(key, to)| ConfigChange { key, from: existing.configs.get(key).cloned(), to })
        .collect();
    let shorter = changes.iter().find(|change| change.key == "retention.ms" && is_shorter(change));
    if let Some(change) = shorter.filter(|_| topic.purpose == Purpose::Events) {
        let message = format!("events of {} older than {} ms will be deleted, for good", topic.name, change.to);
        plan.warnings.push(topic.problem(Place::FILE, message));
    }
    if !changes.is_empty() {
        plan.actions.push(Action::AlterTopic { name: topic.name.clone(), changes });
    }
}

/// Whether a retention gets shorter; -1 is for ever.
fn is_shorter(change: &ConfigChange) -> bool {
    let ms = |text: &str| text.parse::<i64>().ok().map(|ms| if ms < 0 { i64::MAX } else { ms });
    change.from.as_deref().and_then(ms) > ms(&change.to)
}

/// A problem for each number of partitions found that is not the declared one, naming all topics that have it.
fn frozen_partitions(desired: &Desired, actual: &Actual) -> Vec<Problem> {
    let mut found: BTreeMap<(&str, i32), Vec<&DesiredTopic>> = BTreeMap::new();
    for topic in &desired.topics {
        if let Some(existing) = actual.topics.get(&topic.name).filter(|t| t.partitions != topic.partitions.value) {
            found.entry((&topic.file, existing.partitions)).or_default().push(topic);
        }
    }
    let problem = |((_, partitions), topics): ((&str, i32), Vec<&DesiredTopic>)| {
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let message = format!(
            "`partitions` is {}, but in the cluster it is {partitions} ({}); the number is frozen, because a stream's \
             partition follows from it",
            topics[0].partitions.value,
            names.join(", ")
        );
        topics[0].problem(topics[0].partitions.place, message)
    };
    found.into_iter().map(problem).collect()
}

fn existing_subject(subject: &DesiredSubject, existing: &ActualSubject, plan: &mut Plan) {
    // The rule has to be there before the schema that it judges.
    let level = subject.compatibility();
    if existing.compatibility.as_deref() != Some(level) {
        plan.actions.push(Action::SetCompatibility {
            subject: subject.name.clone(),
            from: existing.compatibility.clone(),
            to: level,
        });
    }
    let (schema, latest) = (&subject.schema, &existing.latest);
    let known = existing.older.iter().any(|(_, older)| same_json(&schema.text, older));
    if same_json(&schema.text, latest) || (subject.role == Role::Row && known) {
        return;
    }
    let refused = refusals(subject, existing);
    if refused.is_empty() {
        plan.actions.push(Action::AddVersion {
            subject: subject.clone(),
            version: existing.version + 1,
            differences: differences(&schema.text, latest),
        });
    }
    refused.into_iter().for_each(|problem| plan.refuse(problem));
}

/// Why the schema cannot become the subject's next version.
fn refusals(subject: &DesiredSubject, existing: &ActualSubject) -> Vec<Problem> {
    let schema = &subject.schema;
    if subject.role == Role::RowKey {
        let message = format!(
            "the key of a model with a topic cannot change ({}): sinks would not know their rows again. Give the changed model \
             another name",
            subject.name
        );
        return vec![schema.problem(None, message)];
    }
    let versions =
        [(existing.version, &existing.latest)].into_iter().chain(existing.older.iter().map(|(v, s)| (*v, s)));
    if let Some((version, _)) = versions.clone().skip(1).find(|(_, older)| same_json(&schema.text, older)) {
        let message = format!(
            "is what was registered as version {version}, but version {} came since: a schema only goes forward",
            existing.version
        );
        return vec![schema.problem(None, message)];
    }
    let mut problems: Vec<Problem> = Vec::new();
    for (version, older) in versions {
        for found in subject.breaks(older) {
            let message = format!("{} (events of version {version} could not be read)", found.reason);
            let same_reason = |known: &Problem| known.message.starts_with(&found.reason);
            if !problems.iter().any(same_reason) {
                problems.push(schema.problem(found.field.as_deref(), message));
            }
        }
    }
    if problems.is_empty() && subject.compatibility() == COMPATIBILITY {
        let refused =
            existing.objections.iter().map(|objection| format!("the registry refuses the schema: {objection}"));
        problems.extend(refused.map(|message| schema.problem(None, message)));
    }
    problems
}

#[cfg(test)]
mod tests;
