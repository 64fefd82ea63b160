//! Traffic that is there to be in the way: batches of events at a rate, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::{Method, StatusCode};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::client::HttpClient;
use crate::script::Script;

/// Events in each request.
const BATCH: u32 = 20;
/// Turns that may wait for a connection.
const TURNS_MAX: usize = 256;

/// Sends `rate` events a second until it is told to stop; how many of them were acknowledged.
pub async fn beside(
    clients: Vec<HttpClient>,
    script: Arc<Script>,
    rate: u32,
    mut stop: oneshot::Receiver<()>,
) -> anyhow::Result<u64> {
    let (due, turns) = mpsc::channel(TURNS_MAX);
    let turns = Arc::new(Mutex::new(turns));
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(send(client, Arc::clone(&script), Arc::clone(&turns)));
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1) * BATCH / rate);
    for n in 0.. {
        tokio::select! {
            _ = &mut stop => break,
            _ = ticks.tick() => {}
        }
        // Late turns are dropped: this traffic is there to be in the way, not to be measured.
        let _late = due.try_send(n);
    }
    drop(due);
    let mut sum = 0;
    while let Some(ended) = running.join_next().await {
        let part: anyhow::Result<u64> = ended.context("join a client")?;
        sum += part?;
    }
    Ok(sum)
}

async fn send(
    mut client: HttpClient,
    script: Arc<Script>,
    turns: Arc<Mutex<mpsc::Receiver<u64>>>,
) -> anyhow::Result<u64> {
    let mut acknowledged = 0;
    loop {
        let turn = turns.lock().await.recv().await;
        let Some(n) = turn else { return Ok(acknowledged) };
        let (path, body) = script.batch(n, BATCH);
        let answer = client.send(Method::POST, &path, "application/json", body).await?;
        if HttpClient::drain(answer).await? == StatusCode::CREATED {
            acknowledged += u64::from(BATCH);
        }
    }
}
