//! Announcing that this process serves a partition, for as long as it does.

use std::time::Duration;

use spina_store::archive::Owner;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock;
use crate::context::Context;

/// How often it is said again: a row that another process overwrote in passing, or that PostgreSQL could not take, is
/// right again after this.
const PERIOD: Duration = Duration::from_secs(2);
/// How long letting go waits for PostgreSQL. The next owner's announcement overwrites the row anyway.
const RELEASE_LIMIT: Duration = Duration::from_millis(500);

/// Says who serves the partition until `stop` is cancelled, then takes it back. Nothing rests on it but forwarding.
pub async fn announce(context: &Context, partition: i32, epoch: u64, stop: CancellationToken) {
    let owner = Owner { partition, epoch, endpoint: context.shared.endpoint.clone() };
    let (store, name) = (&context.shared.store, context.name());
    let mut announced = true;
    while !stop.is_cancelled() {
        let told = stop.run_until_cancelled(store.announce_owner(name, &owner)).await;
        if let Some(Err(error)) = &told
            && announced
        {
            warn!(partition, %error, "cannot announce the owner, others will not find it");
        }
        announced = matches!(told, Some(Ok(())));
        let _stopped = stop.run_until_cancelled(clock::pause(PERIOD)).await;
    }
    if !matches!(tokio::time::timeout(RELEASE_LIMIT, store.release_owner(name, &owner)).await, Ok(Ok(()))) {
        warn!(partition, "cannot take the announcement back; the next owner overwrites it");
    }
}
