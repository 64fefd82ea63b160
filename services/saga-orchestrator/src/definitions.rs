//! The sagas of the topology, and the contexts they reach into.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use spina_core::ContextName;
use spina_core::saga::{Action, Ask, Plan, Undo};
use spina_log::names;
use spina_rules::context::{ContextDef, load_all};
use spina_rules::saga::{self, Saga};
use spina_runtime::{CommonConfig, known};

/// See the [module](self).
#[derive(Debug)]
pub struct Definitions {
    /// Every version of every saga.
    pub sagas: Vec<Saga>,
    /// All contexts.
    pub contexts: Vec<ContextDef>,
}

impl Definitions {
    /// Reads everything. A mistake anywhere is an error that names file, line and column.
    pub fn load(config: &CommonConfig) -> anyhow::Result<Self> {
        let contexts = load_all(&config.topology_dir).context("read the topology")?;
        let known = known::load(&config.schemas_dir, &contexts)?;
        let sagas = saga::load_all(&config.topology_dir, &known).context("read the sagas")?;
        Ok(Self { sagas, contexts })
    }

    /// The plan of a version, on which running sagas end.
    pub fn plan(&self, name: &str, version: u32) -> Option<&Plan> {
        let found = self.sagas.iter().find(|saga| saga.plan.name == name && saga.plan.version == version);
        found.map(|saga| &saga.plan)
    }

    /// The latest version, on which sagas begin.
    pub fn latest(&self, name: &str) -> Option<&Saga> {
        self.sagas.iter().filter(|saga| saga.plan.name == name).max_by_key(|saga| saga.plan.version)
    }

    /// The sagas that begin on a version that is the latest of its name.
    pub fn beginning(&self) -> impl Iterator<Item = &Saga> {
        self.sagas
            .iter()
            .filter(|saga| self.latest(&saga.plan.name).is_some_and(|l| l.plan.version == saga.plan.version))
    }

    /// The commands that steps and compensations ask, as context and name.
    pub fn commands(&self) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        for saga in &self.sagas {
            saga.plan.each_step(&mut |step| {
                let act = if let Action::Ask(ask) = &step.action { Some(ask) } else { None };
                let undo = if let Undo::By(ask) = &step.undo { Some(ask) } else { None };
                for ask in act.into_iter().chain(undo) {
                    if let Ask::Command { context, command, .. } = ask {
                        found.insert((context.clone(), command.clone()));
                    }
                }
            });
        }
        found
    }

    /// The topics whose records reach sagas: events that start or are awaited, replies to what is asked.
    pub fn routed_topics(&self) -> BTreeSet<String> {
        let starts = self.beginning().filter_map(|saga| saga.start.as_ref().map(|start| start.event.as_str()));
        let awaits = self.sagas.iter().flat_map(|saga| saga.awaits.iter().map(|awaited| awaited.event.as_str()));
        let contexts = starts.chain(awaits).filter_map(|event| event.split_once('.')?.0.parse().ok());
        let events = contexts.map(|context: ContextName| names::events_topic(&context));
        let commands = self.commands();
        let asked = commands.iter().filter_map(|(context, _)| context.parse().ok());
        let replies = asked.map(|context: ContextName| names::replies_topic(&context));
        events.chain(replies).collect()
    }

    /// The context of that name.
    pub fn context(&self, name: &str) -> Option<&ContextDef> {
        self.contexts.iter().find(|context| context.name.as_str() == name)
    }
}

/// Shared definitions.
pub type Shared = Arc<Definitions>;
