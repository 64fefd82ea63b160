//! Showing a partition anew, from its log, after sagas of it were passed over.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use spina_core::saga::SagaState;
use spina_log::names;
use spina_runtime::processor::StateLog;
use spina_runtime::shutdown::sleep;
use spina_store::Store;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::show;
use crate::react::React;

/// Pause before a partition is looked at again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Fills gaps until the process stops.
pub async fn run(
    react: Arc<React>,
    log: Arc<dyn StateLog>,
    store: Arc<OnceLock<Store>>,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    while let Some(gaps) = stopping.run_until_cancelled(react.views.gaps_found()).await {
        for (partition, count) in gaps {
            let Some(store) = store.get() else { continue };
            match stopping.run_until_cancelled(refill(&react, &*log, store, partition)).await {
                None => return Ok(()),
                Some(Ok(sagas)) => {
                    react.views.filled(partition, count);
                    info!(partition, sagas, "the sagas of a partition are shown anew");
                }
                Some(Err(error)) => {
                    let error = format!("{error:#}");
                    warn!(partition, error, "the sagas of a partition cannot be shown anew yet");
                }
            }
        }
        sleep(&stopping, RETRY_PAUSE).await;
    }
    Ok(())
}

/// Folds what no snapshot has of the log, and shows all of it. Tells how many sagas that were.
async fn refill(react: &React, log: &dyn StateLog, store: &Store, partition: i32) -> anyhow::Result<usize> {
    let (mut sagas, from) = react.begin(partition).await;
    let mut parts = log.read_settled(names::SAGAS_TOPIC, partition, from).await.context("read the log")?;
    let mut shown = 0;
    while let Some(records) = parts.next().await {
        let mut ended: Vec<SagaState> = Vec::new();
        for record in &records.context("read the log")? {
            ended.extend(sagas.fold(react.wire.read_happened(record)?).context("fold the log")?);
        }
        shown += ended.len();
        show(store, &ended).await?;
    }
    let running = sagas.folded();
    show(store, &running).await?;
    Ok(shown + running.len())
}
