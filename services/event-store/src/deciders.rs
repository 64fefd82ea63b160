//! What decides for each aggregate of a context: rules of `context.yaml`, or code that was registered at start.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use spina_codec::catalog::{Catalog, TypeKind};
use spina_core::aggregate::Aggregate;
use spina_core::event_shape::EventShape;
use spina_rules::context::{AggregateDef, ContextDef};
use spina_rules::decide::{self, Shapes};
use spina_rules::source::Source;

use crate::decide::command::Aggregates;

/// Deciders in code, by context and aggregate.
pub type Coded = HashMap<(String, String), Arc<dyn Aggregate>>;

/// A registered decider that no context has a place for is a mistake in `main`.
pub fn check(coded: &Coded, contexts: &[ContextDef]) -> anyhow::Result<()> {
    for (context, aggregate) in coded.keys() {
        let def = contexts.iter().find(|def| def.name.as_str() == context);
        let found = def.and_then(|def| def.aggregates.iter().find(|def| def.name == *aggregate));
        let found = found.with_context(|| {
            format!("a decider is registered for `{context}/{aggregate}`, which the topology does not have")
        })?;
        let by_rules = found.commands.iter().find(|command| command.by_rules);
        if let Some(command) = by_rules {
            let command = &command.name.value;
            anyhow::bail!(
                "`{context}/{aggregate}` has a decider in code and rules for `{command}`: list the names of its commands only"
            );
        }
    }
    Ok(())
}

/// What decides in a context, once its schemas are known.
pub fn of(def: &ContextDef, catalog: &Catalog, coded: &Coded) -> anyhow::Result<Aggregates> {
    let source = Source::read(Path::new(&def.file)).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let outlines = |kind: TypeKind| -> Vec<EventShape> {
        catalog.types().iter().filter(|known| known.kind == kind).map(|known| known.shape.outline()).collect()
    };
    let shapes = Shapes { events: outlines(TypeKind::Event), commands: outlines(TypeKind::Command) };
    let mut ruled = decide::compile(&source, def, &shapes).context("compile the rules of context.yaml")?;
    let mut aggregates = Aggregates::new();
    for aggregate in &def.aggregates {
        let key = (def.name.to_string(), aggregate.name.clone());
        if let Some(coded) = coded.get(&key) {
            let initial = coded.initial();
            if let Some(field) = aggregate.unique.iter().find(|field| !initial.contains_key(&field.value)) {
                let (file, place) = (&def.file, field.place);
                anyhow::bail!(
                    "{file}:{}:{}: unique field `{}` is not in the state of the decider in code for `{}`",
                    place.line,
                    place.column,
                    field.value,
                    aggregate.name
                );
            }
            aggregates.insert(aggregate.name.clone(), Arc::clone(coded));
        } else if has_rules(aggregate) {
            let decider = ruled.remove(&aggregate.name).context("every aggregate is compiled")?;
            aggregates.insert(aggregate.name.clone(), Arc::new(decider));
        }
        let undecided = aggregate.commands.iter().find(|command| !command.by_rules && !coded.contains_key(&key));
        if let Some(command) = undecided {
            let command = &command.name.value;
            anyhow::bail!(
                "nothing decides `{command}`: it has no rules, and no decider in code is registered for `{}`",
                aggregate.name
            );
        }
    }
    Ok(aggregates)
}

fn has_rules(aggregate: &AggregateDef) -> bool {
    !(aggregate.commands.is_empty() && aggregate.evolve.is_empty() && aggregate.initial.is_empty())
}
