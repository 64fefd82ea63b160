//! Sagas: `topology/<context>/sagas/*.yaml` must compile against the contexts they reach into; where there is one, its
//! inbox and log must exist.

use std::path::Path;
use std::sync::Arc;

use spina_codec::registry::subject;
use spina_log::names;
use spina_rules::known::Known;
use spina_rules::saga;
use spina_rules::source::{Located, Place};

use super::topics::{DesiredTopic, internal};
use super::{DesiredSubject, Files, Purpose, Role, Schemas, whole};

/// Partitions of inbox and log: how many processes can share the sagas. Frozen when first applied.
const PARTITIONS: i32 = 4;

/// The records of sagas; they belong to Spina and not to a context.
pub const RECORDS: [(&str, &str); 2] =
    [(names::SAGA_INBOX_TOPIC, "spina.SagaInput"), (names::SAGAS_TOPIC, "spina.SagaRecord")];

/// Checks the sagas, and asks for what they need.
pub fn add(files: &mut Files, topology_dir: &Path, schemas: &Schemas, known: &Known) {
    match saga::load_all(topology_dir, known) {
        Ok(sagas) if sagas.is_empty() => {}
        Ok(sagas) => {
            files.desired.sagas = sagas.into_iter().map(|saga| saga.plan).collect();
            files.desired.topics.extend(topics(topology_dir));
            for (topic, record) in RECORDS {
                match schemas.get(record) {
                    Some(schema) => files.desired.subjects.push(DesiredSubject {
                        name: subject(topic, record),
                        schema: Arc::clone(schema),
                        past: None,
                        role: Role::Record,
                    }),
                    None => {
                        let message = format!("the schema of {record} is missing");
                        files.problems.push(whole(schemas.dir(), message));
                    }
                }
            }
        }
        Err(problems) => files.problems.extend(problems.0),
    }
}

fn topics(topology_dir: &Path) -> [DesiredTopic; 2] {
    let file = topology_dir.display().to_string();
    let partitions = Located::new(PARTITIONS, Place::FILE);
    [(names::SAGA_INBOX_TOPIC, Purpose::Passing), (names::SAGAS_TOPIC, Purpose::Events)]
        .map(|(name, purpose)| internal(name, purpose, &file, partitions.clone()))
}
