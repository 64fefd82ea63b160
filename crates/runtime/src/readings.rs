//! How events of older schemas are read: the same in every service.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use spina_codec::Readings;
use spina_codec::reading::Schemas;
use spina_core::upcast::Upcaster;
use spina_rules::context::ContextDef;
use spina_rules::upcast::{Released, Upcasters};

use crate::CommonConfig;

/// Upcasters in Rust, each with the name of its context.
pub type InRust = Vec<(String, Arc<dyn Upcaster>)>;

/// Reads the schemas and upcasters of the contexts. `in_rust` come after those declared.
///
/// # Errors
/// When a file cannot be used; mistakes in upcasters are named with file, line and column. When an upcaster in Rust has
/// no place: its context or record does not exist, or another one is registered for the record.
pub fn load(config: &CommonConfig, contexts: &[ContextDef], in_rust: &InRust) -> anyhow::Result<Readings> {
    for (name, upcaster) in in_rust {
        let known = contexts.iter().any(|context| context.name.as_str() == name);
        let record = upcaster.record();
        anyhow::ensure!(known, "an upcaster is registered for `{name}/{record}`, and the topology has no such context");
    }
    let mut readings = Vec::new();
    for context in contexts {
        let records: Vec<String> = context.events().map(|(_, event)| context.record_name(event)).collect();
        let schemas = Schemas::load(&config.schemas_dir, &context.name, &records).context("read the schemas")?;
        let released: Vec<Released> = schemas.released().map(|(version, shape)| Released { version, shape }).collect();
        let declared = Upcasters::load(&config.topology_dir, context, &schemas.events(), &released)?;
        let mut records: Vec<String> = schemas.events().into_iter().map(|event| event.name).collect();
        records.extend(released.into_iter().map(|released| released.shape.name));
        let ours = in_rust.iter().filter(|(name, _)| name == context.name.as_str()).map(|(_, upcaster)| upcaster);
        check(context, &records, ours.clone())?;
        let upcasters = ours.fold(declared, |all, upcaster| all.with(Arc::clone(upcaster)));
        readings.push((context.name.clone(), schemas.read_with(Arc::new(upcasters))));
    }
    Ok(Readings::new(readings))
}

/// An upcaster that would never be asked is a mistake in `main`.
fn check<'u>(
    context: &ContextDef,
    records: &[String],
    upcasters: impl Iterator<Item = &'u Arc<dyn Upcaster>>,
) -> anyhow::Result<()> {
    let mut seen = BTreeSet::new();
    for record in upcasters.map(|upcaster| upcaster.record()) {
        let place = format!("`{}/{record}`", context.name);
        let known = records.iter().any(|name| name == record);
        anyhow::ensure!(
            known,
            "an upcaster is registered for {place}, which is neither an event nor a released schema"
        );
        anyhow::ensure!(seen.insert(record), "two upcasters are registered for {place}: only one can be asked");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
