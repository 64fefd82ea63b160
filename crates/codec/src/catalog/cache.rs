//! Schema ids to shapes.
//!
//! A schema never changes under its id, so what is known stays known. Readers on hot paths ask [`SchemaCache::get`],
//! which takes a read lock for a look-up; only an unknown id costs a call to the registry, one for all who want it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use crate::registry::{RegistryClient, RegistryError};
use crate::shape::{Shape, ShapeError};

/// Most shapes kept; the longest known goes first.
const SHAPES_MAX: usize = 10_000;
/// How long an id that leads nowhere is remembered, so that a stream of such records does not storm the registry.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Most ids that are remembered as leading nowhere.
const REFUSED_MAX: usize = 10_000;
/// Most ids asked for at one time before those that nobody waits for any more are dropped.
const FLIGHTS_MAX: usize = 1_000;

const POISON: &str = "nothing panics under this lock";

/// Why an id does not lead to a shape.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// The registry has no schema with that id.
    #[error("the registry has no schema with id {id}")]
    NoSuchSchema {
        /// The id.
        id: u32,
    },
    /// The schema cannot be used.
    #[error("schema {id} cannot be used")]
    Unusable {
        /// The id.
        id: u32,
        /// Why.
        #[source]
        source: ShapeError,
    },
    /// The registry did not answer, or not to the point. Never cached.
    #[error("read schema {id} from the registry")]
    Registry {
        /// The id.
        id: u32,
        /// How it failed.
        #[source]
        source: Arc<RegistryError>,
    },
}

impl ResolveError {
    /// Whether asking again later may well succeed, so that the record must not be judged yet.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Registry { .. } => true,
            Self::NoSuchSchema { .. } | Self::Unusable { .. } => false,
        }
    }
}

type Outcome = Result<Arc<Shape>, ResolveError>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// Shapes by schema id. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct SchemaCache {
    registry: RegistryClient,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    known: RwLock<Known>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Known {
    shapes: HashMap<u32, Arc<Shape>>,
    /// Ids in the order they became known.
    order: VecDeque<u32>,
}

#[derive(Default)]
struct Pending {
    flights: HashMap<u32, Flight>,
    refused: HashMap<u32, (Instant, ResolveError)>,
}

impl SchemaCache {
    /// A cache that knows nothing yet.
    pub fn new(registry: RegistryClient) -> Self {
        Self { registry, inner: Arc::default() }
    }

    /// The registry behind the cache.
    pub fn registry(&self) -> &RegistryClient {
        &self.registry
    }

    /// The shape of an id, if it is known already.
    pub fn get(&self, id: u32) -> Option<Arc<Shape>> {
        self.inner.known.read().expect(POISON).shapes.get(&id).cloned()
    }

    /// Makes a shape known.
    pub fn insert(&self, id: u32, shape: Arc<Shape>) {
        self.inner.insert(id, shape);
    }

    /// The shape of an id, from the registry if it is not known. Who asks for the same id meanwhile waits for the same
    /// answer.
    ///
    /// # Errors
    /// When the id leads nowhere, which is remembered for ten seconds, or the registry cannot tell, which is not.
    pub async fn resolve(&self, id: u32) -> Outcome {
        match self.get(id) {
            Some(shape) => Ok(shape),
            None => self.flight(id)?.await,
        }
    }

    /// Joins the call for an id that is under way, or starts one.
    fn flight(&self, id: u32) -> Result<Flight, ResolveError> {
        let mut pending = self.inner.pending.lock().expect(POISON);
        if let Some(shape) = self.get(id) {
            return Ok(futures::future::ready(Ok(shape)).boxed().shared());
        }
        if let Some((since, error)) = pending.refused.get(&id) {
            if since.elapsed() < REFUSED_FOR {
                return Err(error.clone());
            }
            pending.refused.remove(&id);
        }
        if let Some(flight) = pending.flights.get(&id) {
            return Ok(flight.clone());
        }
        if pending.flights.len() >= FLIGHTS_MAX {
            pending.flights.retain(|_, flight| flight.strong_count() > Some(1));
        }
        let flight = ask(self.registry.clone(), Arc::downgrade(&self.inner), id).boxed().shared();
        pending.flights.insert(id, flight.clone());
        Ok(flight)
    }
}

/// Asks the registry and settles the flight. It holds the cache weakly, as the cache holds it.
async fn ask(registry: RegistryClient, inner: Weak<Inner>, id: u32) -> Outcome {
    let outcome = match registry.schema_by_id(id).await {
        Ok(Some(schema)) => {
            Shape::compile(&schema).map(Arc::new).map_err(|source| ResolveError::Unusable { id, source })
        }
        Ok(None) => Err(ResolveError::NoSuchSchema { id }),
        Err(source) => Err(ResolveError::Registry { id, source: Arc::new(source) }),
    };
    if let Some(inner) = inner.upgrade() {
        inner.settle(id, &outcome);
    }
    outcome
}

impl Inner {
    fn insert(&self, id: u32, shape: Arc<Shape>) {
        let mut known = self.known.write().expect(POISON);
        if known.shapes.insert(id, shape).is_some() {
            return;
        }
        known.order.push_back(id);
        if known.order.len() > SHAPES_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.shapes.remove(&oldest);
        }
    }

    fn settle(&self, id: u32, outcome: &Outcome) {
        let mut pending = self.pending.lock().expect(POISON);
        match outcome {
            Ok(shape) => self.insert(id, Arc::clone(shape)),
            Err(error) if !error.is_transient() => {
                if pending.refused.len() >= REFUSED_MAX {
                    pending.refused.clear();
                }
                pending.refused.insert(id, (Instant::now(), error.clone()));
            }
            Err(_) => {}
        }
        pending.flights.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::registry::fake;

    const SCHEMA: &str = r#"{"schema": "{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}"}"#;
    const MISSING: &str = r#"{"error_code": 40403, "message": "Schema not found"}"#;

    /// A cache before a registry that gives those answers one after the other, and the count of calls.
    async fn before(answers: &'static [(u16, &'static str)]) -> (SchemaCache, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let base = fake::serve(move |_, _| {
            let (status, body) = answers[counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            (status, body.to_owned())
        });
        (SchemaCache::new(RegistryClient::new(&base.await).unwrap()), calls)
    }

    #[tokio::test]
    async fn many_who_want_one_schema_cost_one_call() {
        let (cache, calls) = before(&[(200, SCHEMA)]).await;
        let shapes = futures::future::join_all((0..50).map(|_| cache.resolve(1))).await;
        assert!(shapes.iter().all(|shape| shape.as_ref().unwrap().name() == "A"));
        assert_eq!(cache.get(1).unwrap().name(), "A");
        cache.resolve(1).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_id_that_leads_nowhere_is_asked_once_in_a_while() {
        let (cache, calls) = before(&[(404, MISSING), (200, SCHEMA)]).await;
        for _ in 0..3 {
            assert!(matches!(cache.resolve(1).await, Err(ResolveError::NoSuchSchema { id: 1 })));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        cache.inner.pending.lock().unwrap().refused.get_mut(&1).unwrap().0 -= REFUSED_FOR;
        assert!(cache.resolve(1).await.is_ok());
    }

    #[tokio::test]
    async fn trouble_is_not_remembered() {
        let (cache, calls) = before(&[(401, "who are you"), (200, SCHEMA)]).await;
        assert!(cache.resolve(1).await.unwrap_err().is_transient());
        assert!(cache.resolve(1).await.is_ok());
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_schema_that_is_no_record_is_refused() {
        let (cache, _) = before(&[(200, r#"{"schema": "\"string\""}"#)]).await;
        assert!(matches!(cache.resolve(1).await, Err(ResolveError::Unusable { id: 1, .. })));
    }

    #[tokio::test]
    async fn who_gives_up_waiting_holds_up_nobody() {
        let (cache, calls) = before(&[(200, SCHEMA)]).await;
        let mut given_up = Box::pin(cache.resolve(1));
        assert!(futures::poll!(given_up.as_mut()).is_pending());
        drop(given_up);
        assert!(cache.resolve(1).await.is_ok());
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_cache_is_bounded() {
        let (cache, _) = before(&[(404, MISSING)]).await;
        let shape = Arc::new(Shape::compile(r#"{"type":"record","name":"A","fields":[]}"#).unwrap());
        for id in 0..=SHAPES_MAX {
            cache.insert(u32::try_from(id).unwrap(), Arc::clone(&shape));
        }
        assert!(cache.get(0).is_none());
        assert!(cache.get(1).is_some() && cache.get(10_000).is_some());
    }
}
