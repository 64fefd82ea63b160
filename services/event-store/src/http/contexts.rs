//! What this process serves.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::contexts::Contexts;

/// The contexts served.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContextList {
    contexts: Vec<ContextView>,
}

/// A context.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContextView {
    name: String,
    /// Partitions of its topics.
    partitions: i32,
    /// The partitions that this process owns.
    owned: Vec<PartitionView>,
    /// Its event types.
    events: Vec<String>,
}

/// A partition that this process owns.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartitionView {
    partition: i32,
    /// The owner's epoch.
    epoch: u64,
    /// Committed events that are not archived yet.
    unarchived_events: usize,
    /// The offset after the last committed event.
    next_offset: i64,
}

/// Lists the contexts and the partitions owned.
#[utoipa::path(get, path = "/v1/contexts", tag = "contexts", responses((status = 200, body = ContextList)))]
pub async fn list(State(contexts): State<Contexts>) -> Json<ContextList> {
    let view = |context: std::sync::Arc<crate::context::Context>| {
        let owned = (0..context.partitions).filter_map(|partition| {
            let owned = context.owned(partition)?;
            let (unarchived_events, next_offset) = (owned.tail.len(), owned.tail.next_offset());
            Some(PartitionView { partition, epoch: owned.epoch, unarchived_events, next_offset })
        });
        let events = context.catalog.types().iter().map(|event_type| event_type.ce_type.clone());
        ContextView {
            name: context.name().to_string(),
            partitions: context.partitions,
            owned: owned.collect(),
            events: events.collect(),
        }
    };
    Json(ContextList { contexts: contexts.all().into_iter().map(view).collect() })
}
