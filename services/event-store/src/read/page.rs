//! Pages of the log: everything since a place, as much as is asked for, and where to go on.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use spina_core::Token;

use super::entry::Shown;
use super::filter::Filter;
use super::subscription::{Delivery, From, Subscription, SubscriptionError};
use crate::clock;
use crate::context::Context;

/// How long a page is filled before it is given out as it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// JSON that makes a page complete, in bytes.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// Some events, and where the next page begins.
#[derive(Debug)]
pub struct Page {
    /// The events, in order within each stream.
    pub events: Vec<Arc<Shown>>,
    /// What the next page begins after.
    pub next: Token,
    /// Whether everything that was acknowledged before the call has been passed.
    pub at_end: bool,
}

/// Reads a page of at most `limit` events. It is shorter at the end of the log, when it gets too large, and when the log
/// is slow.
pub async fn read(context: Arc<Context>, filter: Filter, from: From, limit: usize) -> Result<Page, SubscriptionError> {
    let partitions: Vec<i32> = (0..context.partitions).collect();
    // What was acknowledged is before these ends, though its transaction's marker may still be on its way.
    let ends = context.shared.admin.high_ends(&context.events_topic, &partitions).await?;
    let mut subscription = Subscription::open(Arc::clone(&context), filter, from).await?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    let late = clock::pause(PATIENCE);
    tokio::pin!(late);
    loop {
        let moved = context.hub.moved().notified();
        tokio::pin!(moved);
        moved.as_mut().enable();
        let delivery = match subscription.next().now_or_never() {
            Some(delivery) => Some(delivery?),
            None if subscription.has_reached(&ends) => break,
            None => tokio::select! {
                delivery = subscription.next() => Some(delivery?),
                () = moved => None,
                () = &mut late => break,
            },
        };
        if let Some(Delivery::Event(event)) = delivery {
            bytes += event.json.len();
            events.push(event);
        }
        if events.len() >= limit || bytes >= PAGE_BYTES_MAX {
            break;
        }
    }
    Ok(Page { at_end: subscription.has_reached(&ends), next: subscription.token(), events })
}
