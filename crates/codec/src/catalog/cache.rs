//! Schema ids to shapes.
//!
//! A schema never changes under its id, so what is known stays known, and an answer that says otherwise is refused:
//! events would be read as what they are not. Readers on hot paths ask [`SchemaCache::get`], which takes a read lock for
//! a look-up; only an unknown id costs a call to the registry, one for all who want it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use crate::reading::{Reading, Readings};
use crate::registry::{RegistryClient, RegistryError};
use crate::shape::{Shape, ShapeError};

/// Most shapes kept; the longest known goes first.
const SHAPES_MAX: usize = 10_000;
/// How long an id that leads nowhere is remembered, so that a stream of such records does not storm the registry.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Most ids that are remembered as leading nowhere.
const REFUSED_MAX: usize = 10_000;
/// Pause before the registry is asked again that did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How long the registry has to show that it is back to who comes when the patience of the outage is at its end.
const LAST_TRY: Duration = Duration::from_millis(500);
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
    /// The registry says another schema than before. The id is not used with the new one.
    #[error(
        "schema {id} is `{found}` by the registry now, but was `{known}` with other fields or of another name: ids never \
         change their meaning, so the registry was replaced or is wrong"
    )]
    Changed {
        /// The id.
        id: u32,
        /// Full name of the record that it stood for.
        known: String,
        /// Full name of the record that the registry says.
        found: String,
    },
    /// The registry has not answered for longer than anybody was to wait.
    #[error("schema {id} is not known here, and the registry has not answered for {waited_s} s")]
    Silent {
        /// The id.
        id: u32,
        /// Since when the registry has not answered, in seconds.
        waited_s: u64,
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
            Self::Registry { .. } | Self::Silent { .. } => true,
            Self::NoSuchSchema { .. } | Self::Unusable { .. } | Self::Changed { .. } => false,
        }
    }
}

type Outcome = Result<Arc<Shape>, ResolveError>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

/// A schema and how events written with it are read today.
#[derive(Debug, Clone)]
pub struct Known {
    /// The schema.
    pub shape: Arc<Shape>,
    /// What is done with its events; `None` if they are read as they are.
    pub reading: Option<Arc<Reading>>,
}

/// Shapes by schema id. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct SchemaCache {
    registry: RegistryClient,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    readings: Readings,
    known: RwLock<Shapes>,
    pending: Mutex<Pending>,
    /// Since when calls to the registry have failed; `None` after one that did not.
    silence: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Shapes {
    by_id: HashMap<u32, Known>,
    /// Ids in the order they became known.
    order: VecDeque<u32>,
}

#[derive(Default)]
struct Pending {
    flights: HashMap<u32, Flight>,
    refused: HashMap<u32, (Instant, ResolveError)>,
}

impl SchemaCache {
    /// A cache that knows nothing yet; events are read as they were written.
    pub fn new(registry: RegistryClient) -> Self {
        Self::reading(registry, Readings::default())
    }

    /// A cache that knows nothing yet, and how events of older schemas are read.
    pub fn reading(registry: RegistryClient, readings: Readings) -> Self {
        Self { registry, inner: Arc::new(Inner { readings, ..Inner::default() }) }
    }

    /// How events of older schemas are read.
    pub fn readings(&self) -> &Readings {
        &self.inner.readings
    }

    /// The registry behind the cache.
    pub fn registry(&self) -> &RegistryClient {
        &self.registry
    }

    /// The shape of an id, if it is known already.
    pub fn get(&self, id: u32) -> Option<Arc<Shape>> {
        self.inner.known.read().expect(POISON).by_id.get(&id).map(|known| Arc::clone(&known.shape))
    }

    /// The shape of an id and how its events are read, if it is known already.
    pub fn known(&self, id: u32) -> Option<Known> {
        self.inner.known.read().expect(POISON).by_id.get(&id).cloned()
    }

    /// Makes a shape known.
    ///
    /// # Errors
    /// When the id is known as another one.
    pub fn insert(&self, id: u32, shape: Arc<Shape>) -> Result<(), ResolveError> {
        self.inner.insert(id, shape)
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

    /// Like [`SchemaCache::resolve`], and asks again for as long as the registry does not answer: for readers who must not
    /// pass over what they cannot read yet.
    ///
    /// # Errors
    /// When the id leads nowhere.
    pub async fn resolve_in_the_end(&self, id: u32) -> Outcome {
        loop {
            match self.resolve(id).await {
                Err(error) if error.is_transient() => tokio::time::sleep(RETRY_PAUSE).await,
                outcome => return outcome,
            }
        }
    }

    /// Like [`SchemaCache::resolve`], and asks again while the registry does not answer, but waits no longer than
    /// `patience` in one outage: who comes later in the same outage is told at once, or what waits would pile up.
    ///
    /// # Errors
    /// As [`SchemaCache::resolve`], and [`ResolveError::Silent`] when the patience is at its end.
    pub async fn resolve_within(&self, id: u32, patience: Duration) -> Outcome {
        if let Some(shape) = self.get(id) {
            return Ok(shape);
        }
        let begun = Instant::now();
        let silent_since = self.inner.silence.lock().expect(POISON).unwrap_or(begun);
        let deadline = (silent_since + patience).max(begun + LAST_TRY);
        loop {
            match tokio::time::timeout_at(deadline, self.resolve(id)).await {
                Ok(Err(error)) if error.is_transient() => {
                    self.inner.silence.lock().expect(POISON).get_or_insert(silent_since);
                    tokio::time::sleep_until(deadline.min(Instant::now() + RETRY_PAUSE)).await;
                }
                Ok(outcome) => {
                    *self.inner.silence.lock().expect(POISON) = None;
                    return outcome;
                }
                Err(_) => {
                    self.inner.silence.lock().expect(POISON).get_or_insert(silent_since);
                }
            }
            if Instant::now() >= deadline {
                return Err(ResolveError::Silent { id, waited_s: silent_since.elapsed().as_secs() });
            }
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
    match inner.upgrade() {
        Some(inner) => inner.settle(id, outcome),
        None => outcome,
    }
}

impl Inner {
    fn insert(&self, id: u32, shape: Arc<Shape>) -> Result<(), ResolveError> {
        let reading = self.readings.of(&shape);
        let mut known = self.known.write().expect(POISON);
        if let Some(before) = known.by_id.get(&id) {
            if *before.shape == *shape {
                return Ok(());
            }
            let (known, found) = (before.shape.full_name().to_owned(), shape.full_name().to_owned());
            return Err(ResolveError::Changed { id, known, found });
        }
        known.by_id.insert(id, Known { shape, reading });
        known.order.push_back(id);
        if known.order.len() > SHAPES_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_id.remove(&oldest);
        }
        Ok(())
    }

    fn settle(&self, id: u32, outcome: Outcome) -> Outcome {
        let mut pending = self.pending.lock().expect(POISON);
        let outcome = outcome.and_then(|shape| self.insert(id, Arc::clone(&shape)).map(|()| shape));
        if let Err(error) = &outcome
            && !error.is_transient()
        {
            if pending.refused.len() >= REFUSED_MAX {
                pending.refused.clear();
            }
            pending.refused.insert(id, (Instant::now(), error.clone()));
        }
        pending.flights.remove(&id);
        outcome
    }
}

#[cfg(test)]
mod tests;
