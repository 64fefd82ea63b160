//! The topic that tells of registered schemas. It is asked for where `schemas/spina` has its record.

use std::path::Path;
use std::sync::Arc;

use spina_codec::registry::subject;
use spina_log::names::{SCHEMA_RECORD, SCHEMAS_TOPIC};

use super::topics::{self, Purpose};
use super::{Desired, DesiredSubject, Role, Schemas};

/// Adds topic and subject. One partition: notices are in one order.
pub fn add(desired: &mut Desired, topology_dir: &Path, schemas: &Schemas) {
    let Some(schema) = schemas.get(SCHEMA_RECORD) else { return };
    desired.topics.push(topics::single(SCHEMAS_TOPIC, Purpose::Events, &topology_dir.display().to_string()));
    desired.subjects.push(DesiredSubject {
        name: subject(SCHEMAS_TOPIC, SCHEMA_RECORD),
        schema: Arc::clone(schema),
        past: None,
        role: Role::Record,
    });
}
