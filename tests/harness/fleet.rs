//! Several event-stores that share one context's partitions.

use std::collections::BTreeMap;

use serde_json::Value;
use spina_codec::partitioner::partition_for;
use uuid::Uuid;

use crate::context::Context;
use crate::eventually;
use crate::http::Http;
use crate::service::Service;
use crate::stack::Stack;

/// Partitions of the tests' contexts: those of the flights.
pub const PARTITIONS: i32 = 4;

/// See the [module](self).
#[derive(Debug)]
pub struct Fleet {
    /// The servers.
    pub stack: Stack,
    /// The context.
    pub context: Context,
    /// The event-stores.
    pub stores: Vec<Service>,
}

impl Fleet {
    /// So many event-stores with a context of their own, each with its share of the partitions.
    pub async fn of(count: usize, prefix: &str) -> Self {
        Self::with(count, prefix, &[]).await
    }

    /// The same with more settings.
    pub async fn with(count: usize, prefix: &str, settings: &[(&str, &str)]) -> Self {
        Self::on(Stack::get(), count, prefix, settings).await
    }

    /// The same on other servers.
    pub async fn on(stack: Stack, count: usize, prefix: &str, settings: &[(&str, &str)]) -> Self {
        let context = Context::create(&stack, prefix);
        Self::serving(stack, context, count, settings).await
    }

    /// The same with a context that is declared already.
    pub async fn serving(stack: Stack, context: Context, count: usize, settings: &[(&str, &str)]) -> Self {
        let mut fleet = Self { stack, context, stores: Vec::new() };
        for _ in 0..count {
            fleet.join(settings);
        }
        for store in &mut fleet.stores {
            store.ready().await;
        }
        fleet.shared_out(count).await;
        fleet
    }

    /// One more event-store, which is not ready yet.
    pub fn join(&mut self, settings: &[(&str, &str)]) {
        let instance = format!("event-store-{}", self.stores.len() + 1);
        let mut all = vec![("SPINA_INSTANCE", instance.as_str())];
        all.extend_from_slice(settings);
        self.stores.push(Service::start_with(&self.stack, "event-store", &self.context, &all));
    }

    /// Waits until every partition is served, by so many processes, and they know of each other.
    pub async fn shared_out(&self, count: usize) {
        eventually(&format!("{count} processes share the partitions"), async || {
            let mut owned: BTreeMap<i32, usize> = BTreeMap::new();
            for index in 0..self.stores.len() {
                let view = self.view(index).await;
                let Some(view) = view else { continue };
                for partition in view["owned"].as_array()? {
                    owned.insert(i32::try_from(partition["partition"].as_i64()?).ok()?, index);
                }
                (view["owners"].as_array()?.len() == PARTITIONS as usize).then_some(())?;
            }
            let processes: std::collections::BTreeSet<usize> = owned.values().copied().collect();
            (owned.len() == PARTITIONS as usize && processes.len() == count).then_some(())
        })
        .await;
    }

    /// A client of one of them.
    pub fn http(&self, index: usize) -> Http {
        Http::new(&self.stores[index].url)
    }

    /// The context as one of them sees it; `None` when it does not answer.
    pub async fn view(&self, index: usize) -> Option<Value> {
        let answer = self.http(index).get("/v1/contexts").await.ok()?;
        answer.body["contexts"].as_array()?.first().cloned()
    }

    /// A new stream in a partition that this one owns.
    pub async fn stream_of(&self, index: usize) -> String {
        let view = self.view(index).await.unwrap();
        let partition = view["owned"][0]["partition"].as_i64().expect("it owns a partition");
        stream_in(i32::try_from(partition).unwrap())
    }
}

/// A new stream in a partition.
pub fn stream_in(partition: i32) -> String {
    let streams = std::iter::repeat_with(|| format!("flight-{}", Uuid::new_v4().simple()));
    streams.into_iter().find(|stream| partition_for(stream.as_bytes(), PARTITIONS) == partition).unwrap()
}
