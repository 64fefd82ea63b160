//! The rules as the files have them now; which ones are in force the journal says.
//!
//! A file that cannot be used changes nothing: the rules in force stay, and readiness says why.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use spina_rules::context::{self, ContextDef};
use spina_rules::correlation::RuleSet;
use spina_rules::known::Known;
use spina_runtime::shutdown::sleep;
use spina_runtime::{CommonConfig, Condition, Readiness, known};
use tokio_util::sync::CancellationToken;

/// The source that alerts come from; the folder of their rules bears its name.
pub const ALERTS: &str = "monitoring";

/// The files, compiled.
#[derive(Debug)]
pub struct Wanted {
    /// The rules.
    pub set: RuleSet,
    /// Parts of each source.
    pub sources: BTreeMap<String, u32>,
}

/// Reads the files, again and again.
#[derive(Clone)]
pub struct Files {
    topology_dir: PathBuf,
    contexts: Arc<Vec<ContextDef>>,
    known: Arc<Known>,
    wanted: Arc<RwLock<Arc<Wanted>>>,
}

impl Files {
    /// Reads all files. A mistake anywhere is an error that names file, line and column.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn load(config: &CommonConfig) -> anyhow::Result<Self> {
        let texts = RuleSet::read_texts(&config.topology_dir)?;
        // Without rules there is no need for contexts: the service idles.
        let contexts = if texts.is_empty() { Vec::new() } else { context::load_all(&config.topology_dir)? };
        let known = known::load(&config.schemas_dir, &contexts)?;
        let wanted = compiled(&texts, &contexts, &known)?;
        Ok(Self {
            topology_dir: config.topology_dir.clone(),
            contexts: Arc::new(contexts),
            known: Arc::new(known),
            wanted: Arc::new(RwLock::new(Arc::new(wanted))),
        })
    }

    /// The rules that the files ask for.
    pub fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Compiles other texts as if they were in the files, for a back-test.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn compile(&self, texts: &BTreeMap<String, String>) -> anyhow::Result<Wanted> {
        compiled(texts, &self.contexts, &self.known)
    }

    /// The contexts.
    pub fn contexts(&self) -> &[ContextDef] {
        &self.contexts
    }

    /// Looks at the files from time to time until the process stops.
    pub async fn watch(self, every: Duration, readiness: Readiness, stopping: CancellationToken) -> anyhow::Result<()> {
        while sleep(&stopping, every).await {
            match self.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!(version = self.wanted().set.version, "rules were read anew"),
                Err(error) => {
                    let reason = format!("the rules' files cannot be used, those before stay in force: {error:#}");
                    readiness.set("rules", Condition::degraded(reason));
                    continue;
                }
            }
            readiness.set("rules", Condition::Ready);
        }
        Ok(())
    }

    /// Whether the files had changed.
    fn reload(&self) -> anyhow::Result<bool> {
        let texts = RuleSet::read_texts(&self.topology_dir)?;
        if texts == self.wanted().set.texts {
            return Ok(false);
        }
        let wanted = self.compile(&texts)?;
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(wanted);
        Ok(true)
    }
}

fn compiled(texts: &BTreeMap<String, String>, contexts: &[ContextDef], known: &Known) -> anyhow::Result<Wanted> {
    let set = RuleSet::of(texts, known)?;
    let parts = |source: &String| {
        let context = contexts.iter().find(|context| context.name.as_str() == source);
        let emits = !set.mappings(source).is_empty();
        context.filter(|_| emits).and_then(|context| u32::try_from(context.partitions.value).ok())
    };
    let mut sources: BTreeMap<String, u32> =
        texts.keys().filter_map(|source| Some((source.clone(), parts(source)?))).collect();
    if texts.contains_key(ALERTS) {
        sources.insert(ALERTS.to_owned(), 1);
    }
    Ok(Wanted { set, sources })
}
