//! What correlation rules ask for: the journal of signals, incidents, alerts, and their schemas.

use std::path::Path;

use spina_codec::registry::subject;
use spina_log::names::{ALERTS_TOPIC, INCIDENT_RECORDS, INCIDENTS_TOPIC, SIGNAL_RECORDS, SIGNALS_TOPIC};
use spina_rules::correlation::{CORRELATION_FILE, RuleSet};
use spina_rules::known::Known;
use spina_rules::source::Problem;

use super::topics::{self, Purpose};
use super::{Desired, DesiredSubject, Role, Schemas, schemas};

/// Full name of the record that alerts are published as; its context has rules and nothing else.
const ALERT_RECORD: &str = "monitoring.Alert";
/// The context whose rules look at alerts.
const ALERTS: &str = "monitoring";

/// Full names of the records that are Spina's or the alerts', and that no context lists.
pub fn records() -> impl Iterator<Item = String> {
    let ours = SIGNAL_RECORDS.iter().chain(&INCIDENT_RECORDS).map(|name| format!("spina.{name}"));
    ours.chain([ALERT_RECORD.to_owned()])
}

/// Adds topics and subjects if any context has rules, and tells what is wrong with those.
pub fn add(desired: &mut Desired, topology_dir: &Path, all: &Schemas, known: &Known) -> Vec<Problem> {
    let texts = match RuleSet::read_texts(topology_dir) {
        Ok(texts) if texts.is_empty() => return Vec::new(),
        Ok(texts) => texts,
        Err(problem) => return vec![problem],
    };
    let mut problems = RuleSet::of(&texts, known).err().map(|found| found.0).unwrap_or_default();
    let file = topology_dir.join(CORRELATION_FILE).display().to_string();
    let mut wanted: Vec<(&str, String)> = Vec::new();
    wanted.extend(SIGNAL_RECORDS.iter().map(|name| (SIGNALS_TOPIC, format!("spina.{name}"))));
    wanted.extend(INCIDENT_RECORDS.iter().map(|name| (INCIDENTS_TOPIC, format!("spina.{name}"))));
    desired.topics.push(topics::single(SIGNALS_TOPIC, Purpose::Events, &file));
    desired.topics.push(topics::single(INCIDENTS_TOPIC, Purpose::Events, &file));
    if texts.contains_key(ALERTS) {
        desired.topics.push(topics::single(ALERTS_TOPIC, Purpose::Passing, &file));
        wanted.push((ALERTS_TOPIC, ALERT_RECORD.to_owned()));
    }
    for (topic, record) in wanted {
        match all.get(&record) {
            Some(schema) => desired.subjects.push(DesiredSubject {
                name: subject(topic, &schema.full_name),
                schema: schema.clone(),
                past: None,
                role: Role::Record,
            }),
            None => {
                let file = all.dir().join(format!("{}.avsc", record.replace('.', "/")));
                problems.push(schemas::whole(&file, format!("the schema of {record} is missing")));
            }
        }
    }
    problems
}
