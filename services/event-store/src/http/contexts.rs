//! What this process serves.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use spina_codec::catalog::TypeKind;
use utoipa::ToSchema;

use crate::context::{Context, Owned};
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
    /// The owners of all partitions, as far as this process knows: those that nobody serves are missing.
    owners: Vec<OwnerView>,
    /// Its event types.
    events: Vec<String>,
    /// Its commands.
    commands: Vec<String>,
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

/// Who owns a partition.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnerView {
    partition: i32,
    /// The owner's epoch.
    epoch: u64,
    /// Its base URL.
    endpoint: String,
}

/// Lists the contexts and the partitions owned.
#[utoipa::path(get, path = "/v1/contexts", tag = "contexts", responses((status = 200, body = ContextList)))]
pub async fn list(State(contexts): State<Contexts>) -> Json<ContextList> {
    let mut views = Vec::new();
    for context in contexts.all() {
        views.push(view(&context).await);
    }
    Json(ContextList { contexts: views })
}

async fn view(context: &Context) -> ContextView {
    let announced = context.owners.all(context).await;
    let (mut owned, mut owners) = (Vec::new(), Vec::new());
    for partition in 0..context.partitions {
        if let Some(Owned { tail, epoch, .. }) = context.owned(partition) {
            let (unarchived_events, next_offset) = (tail.len(), tail.next_offset());
            owned.push(PartitionView { partition, epoch, unarchived_events, next_offset });
            owners.push(OwnerView { partition, epoch, endpoint: context.shared.endpoint.clone() });
        } else if let Some(owner) = announced.iter().find(|owner| owner.partition == partition) {
            owners.push(OwnerView { partition, epoch: owner.epoch, endpoint: owner.endpoint.clone() });
        }
    }
    let events = context.catalog.types();
    let named = |kind| events.iter().filter(move |known| known.kind == kind).map(|known| known.ce_type.clone());
    ContextView {
        name: context.name().to_string(),
        partitions: context.partitions,
        owned,
        owners,
        events: named(TypeKind::Event).collect(),
        commands: named(TypeKind::Command).collect(),
    }
}
