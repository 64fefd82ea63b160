//! All contexts that this process serves, as the HTTP API sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use spina_runtime::{ApiError, Tasks};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// See the [module](self). Cheap to clone.
#[derive(Clone)]
pub struct Contexts {
    by_name: Arc<RwLock<BTreeMap<String, Option<Arc<Context>>>>>,
    /// Runs what outlives a handler.
    pub tasks: Tasks,
    /// Cancelled when the process begins to stop.
    pub draining: CancellationToken,
    /// One permit for each subscription.
    pub subscriptions: Arc<Semaphore>,
}

impl Contexts {
    /// Contexts that are defined and do not serve yet.
    pub fn new(
        names: impl Iterator<Item = String>,
        tasks: Tasks,
        draining: CancellationToken,
        subscriptions: usize,
    ) -> Self {
        Self {
            by_name: Arc::new(RwLock::new(names.map(|name| (name, None)).collect())),
            tasks,
            draining,
            subscriptions: Arc::new(Semaphore::new(subscriptions)),
        }
    }

    /// The context serves from now on.
    pub fn add(&self, context: Arc<Context>) {
        let mut all = self.by_name.write().expect("no holder of this lock panics");
        all.insert(context.name().to_string(), Some(context));
    }

    /// The context of that name.
    pub fn get(&self, name: &str) -> Result<Arc<Context>, ApiError> {
        let all = self.by_name.read().expect("no holder of this lock panics");
        match all.get(name) {
            Some(Some(context)) => Ok(Arc::clone(context)),
            Some(None) => Err(ApiError::unavailable(format!("context `{name}` is starting"), 1)),
            None => Err(ApiError::not_found(format!("there is no context `{name}`"))),
        }
    }

    /// All contexts that serve.
    pub fn all(&self) -> Vec<Arc<Context>> {
        self.by_name.read().expect("no holder of this lock panics").values().flatten().cloned().collect()
    }
}
