//! Subscribes to all notes from the first one on, through any number of connections.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use crate::gate::arena::Arena;
use crate::gate::rng::Rng;

/// Silence after which a connection is given up.
const SILENCE: Duration = Duration::from_secs(20);
/// Silence after the swarm has ended that means that nothing more is to come.
const END: Duration = Duration::from_secs(5);
/// Messages after which it comes back through another process, about.
const MESSAGES_MAX: u64 = 4_000;
const PAUSE: Duration = Duration::from_millis(100);

/// What a follower was told.
#[derive(Debug, Default)]
pub struct Followed {
    /// Partition, offset and version of each event, in the order of arrival.
    pub events: Vec<(i32, i64, u64)>,
    /// How many connections it took.
    pub connections: u64,
}

/// Follows until the arena has stopped and nothing comes any more.
pub async fn run(arena: Arc<Arena>, mut rng: Rng) -> Followed {
    let mut followed = Followed::default();
    let mut last_id: Option<String> = None;
    // One connection that told nothing new, after the swarm has ended, is the last.
    loop {
        let (before, was_over) = (followed.events.len(), arena.stopped());
        let node = rng.number() as usize % arena.urls.len();
        let most = rng.between(1, MESSAGES_MAX);
        let heard = connection(&arena, node, &mut last_id, most, &mut followed).await;
        if was_over && heard && followed.events.len() == before {
            return followed;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One connection. Whether anything was heard through it.
async fn connection(
    arena: &Arena,
    node: usize,
    last_id: &mut Option<String>,
    most: u64,
    followed: &mut Followed,
) -> bool {
    let url = format!("{}/v1/{}/events?category=note&from=earliest", arena.urls[node], arena.context.name);
    // The connection lasts longer than a request may: no limit for the whole.
    let mut request = arena.client.get(url).timeout(Duration::from_secs(3_600));
    if let Some(id) = last_id {
        request = request.header("last-event-id", id.as_str());
    }
    let Ok(Ok(response)) = tokio::time::timeout(SILENCE, request.send()).await else { return false };
    if response.status() != 200 {
        return false;
    }
    followed.connections += 1;
    let (mut bytes, mut received, mut messages) = (response.bytes_stream(), Vec::new(), 0);
    let mut heard = false;
    while messages < most {
        let patience = if arena.stopped() { END } else { SILENCE };
        let Ok(Some(Ok(part))) = tokio::time::timeout(patience, bytes.next()).await else { return heard };
        received.extend_from_slice(&part);
        while let Some(end) = received.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = received.drain(..end + 2).collect();
            heard = true;
            if message(&String::from_utf8_lossy(&block), last_id, followed) {
                messages += 1;
            }
        }
    }
    heard
}

/// Takes one message in; true if it has an event.
fn message(block: &str, last_id: &mut Option<String>, followed: &mut Followed) -> bool {
    let field = |name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
    };
    if let Some(id) = field("id") {
        *last_id = Some(id);
    }
    let event = field("data").and_then(|data| serde_json::from_str::<Value>(&data).ok());
    let Some(event) = event.filter(|event| event["token"].is_string()) else { return false };
    let mut token = event["token"].as_str().unwrap_or_default().rsplit(':');
    let offset = token.next().and_then(|offset| offset.parse().ok()).unwrap_or(-1);
    let partition = token.next().and_then(|partition| partition.parse().ok()).unwrap_or(-1);
    followed.events.push((partition, offset, event["version"].as_u64().unwrap_or_default()));
    true
}
