//! All models of the process by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use spina_store::read_model::ModelName;

use super::ends::Ends;
use super::handle::Handle;

/// A model, and the ends of the topics that it reads, by input.
type Known = (Arc<Handle>, Arc<[Ends]>);

/// All models of the process by name. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Handles {
    models: Arc<Mutex<BTreeMap<ModelName, Known>>>,
}

impl Handles {
    /// Makes a model known.
    pub fn add(&self, handle: Arc<Handle>, ends: Arc<[Ends]>) {
        self.lock().insert(handle.name.clone(), (handle, ends));
    }

    /// A model by name.
    pub fn get(&self, name: &ModelName) -> Option<Known> {
        self.lock().get(name).cloned()
    }

    /// All models, by name.
    pub fn all(&self) -> Vec<Known> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ModelName, Known>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
