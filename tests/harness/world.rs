//! A context with the services that serve it.

use tokio::sync::OnceCell;

use crate::context::Context;
use crate::http::Http;
use crate::service::Service;
use crate::spina::Spina;
use crate::stack::Stack;

/// An event-store, and a projector if one was asked for, of one context.
#[derive(Debug)]
pub struct World {
    /// The servers.
    pub stack: Stack,
    /// The context.
    pub context: Context,
    /// Its event-store.
    pub event_store: Service,
    /// Its projector.
    pub projector: Option<Service>,
}

impl World {
    /// An event-store with a context of its own, ready.
    pub async fn with_event_store(prefix: &str) -> Self {
        Self::with_settings(prefix, &[]).await
    }

    /// The same with further settings of the event-store.
    pub async fn with_settings(prefix: &str, settings: &[(&str, &str)]) -> Self {
        let stack = Stack::get();
        let context = Context::create(&stack, prefix);
        let mut event_store = Service::start_with(&stack, "event-store", &context, settings);
        event_store.ready().await;
        Self { stack, context, event_store, projector: None }
    }

    /// The same with a projector.
    pub async fn with_projector(prefix: &str) -> Self {
        let mut world = Self::with_event_store(prefix).await;
        let projector = world.projector.insert(Service::start(&world.stack, "projector", &world.context));
        projector.ready().await;
        world
    }

    /// One that tests share which disturb nobody: each uses streams of its own. `dev/with-servers` ends it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<World> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::with_event_store("shared")).await
    }

    /// A client of the event-store.
    pub fn http(&self) -> Http {
        Http::new(&self.event_store.url)
    }

    /// The `spina` command, in front of these services: they serve no other context.
    pub fn spina(&self) -> Spina {
        let spina = Spina::of(&self.stack).env("SPINA_EVENT_STORE_URL", &self.event_store.url);
        match &self.projector {
            Some(projector) => spina.env("SPINA_PROJECTOR_URL", &projector.url),
            None => spina,
        }
    }
}
