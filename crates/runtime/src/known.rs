//! The events and commands of all contexts, as sagas and correlation rules see them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use spina_codec::schema_files;
use spina_rules::context::ContextDef;
use spina_rules::decide::Shapes;
use spina_rules::known::Known;

/// Reads the schemas of some contexts.
///
/// # Errors
/// When a schema file cannot be read or used.
pub fn load(schemas_dir: &Path, contexts: &[ContextDef]) -> anyhow::Result<Known> {
    let each = contexts.iter().map(|context| Ok((context.name.clone(), shapes(schemas_dir, context)?)));
    each.collect()
}

fn shapes(schemas_dir: &Path, context: &ContextDef) -> anyhow::Result<Shapes> {
    let files = schema_files::load(schemas_dir, &context.name).context("read the schemas")?;
    let by_record: HashMap<&str, _> = files.iter().map(|file| (file.full_name.as_str(), &file.shape)).collect();
    let outline = |name: &str| by_record.get(context.record_name(name).as_str()).map(|shape| shape.outline());
    Ok(Shapes {
        events: context.events().filter_map(|(_, name)| outline(name)).collect(),
        commands: context.commands().filter_map(|(_, command)| outline(&command.name)).collect(),
    })
}
