//! The topics that tell of registered schemas and of jobs. Each is asked for where `schemas/spina` has its record.

use std::path::Path;
use std::sync::Arc;

use spina_codec::registry::subject;
use spina_log::names::{JOB_RECORD, JOBS_TOPIC, SCHEMA_RECORD, SCHEMAS_TOPIC};

use super::topics::{self, Purpose};
use super::{Desired, DesiredSubject, Role, Schemas};

const NOTICES: [(&str, &str); 2] = [(SCHEMAS_TOPIC, SCHEMA_RECORD), (JOBS_TOPIC, JOB_RECORD)];

/// Adds topics and subjects. One partition each: notices are in one order.
pub fn add(desired: &mut Desired, topology_dir: &Path, schemas: &Schemas) {
    for (topic, record) in NOTICES {
        let Some(schema) = schemas.get(record) else { continue };
        desired.topics.push(topics::single(topic, Purpose::Events, &topology_dir.display().to_string()));
        desired.subjects.push(DesiredSubject {
            name: subject(topic, record),
            schema: Arc::clone(schema),
            past: None,
            role: Role::Record,
        });
    }
}
