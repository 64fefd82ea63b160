//! What a world was like in the end.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use spina_log::names;
use spina_testkit::history::{self, Logged, Outcome};

use super::{World, named};

/// See the [module](self).
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The seed.
    pub seed: u64,
    /// What is wrong with it.
    pub wrong: Vec<String>,
    /// Hash of the final log and of every answer.
    pub hash: u64,
    /// Operations of clients, and how many of them succeeded.
    pub operations: (usize, usize),
    /// Take-overs.
    pub owners: u32,
}

/// Judges a world that has come to rest.
pub fn of(world: &World, seed: u64) -> Verdict {
    let records = world.log.committed(&named(names::events_topic), 0);
    let log: Vec<Logged> = records.iter().filter_map(|record| Logged::read(record).ok()).collect();
    let (commands, by_command) = world.commands.told(world);
    let mut operations = world.operations.borrow().clone();
    operations.extend(by_command);
    let report = history::check(&operations, &log).and(history::conservation(&commands));
    let mut wrong: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    wrong.append(&mut world.complaints.borrow_mut());
    let succeeded = operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Ok(_))).count();
    let mut hasher = DefaultHasher::new();
    for record in records.iter().chain(&world.log.committed(&named(names::replies_topic), 0)) {
        (record.offset, record.timestamp_ms, &record.key, &record.value).hash(&mut hasher);
        format!("{:?}", record.headers).hash(&mut hasher);
    }
    format!("{operations:?}").hash(&mut hasher);
    let (hash, owners) = (hasher.finish(), world.owners.get());
    Verdict { seed, wrong, hash, operations: (operations.len(), succeeded), owners }
}
