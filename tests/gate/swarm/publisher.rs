//! Publishes to the commands topic, as any Kafka client does, and waits for the replies.

use std::sync::Arc;
use std::time::Duration;

use spina_codec::Headers;
use spina_core::ExpectedVersion;
use spina_log::Publisher;
use spina_testkit::history::Outcome;

use super::replies::Replies;
use crate::gate::arena::Arena;
use crate::gate::event::Kind;
use crate::gate::journal::{Ask, Journal};
use crate::gate::rng::Rng;

/// How long it waits for a reply before it publishes again.
const REPLY_LIMIT: Duration = Duration::from_secs(15);
/// A command that was published so often without a reply is given up: after longer than any run of faults. While one process
/// alone is killed again and again as soon as it serves, its commands may wait for minutes.
const TRIES_MAX: usize = 200;

/// Publishes one command after the other, sometimes twice.
pub async fn run(arena: Arc<Arena>, id: u32, mut rng: Rng, publisher: Publisher, replies: Arc<Replies>) -> Journal {
    let mut journal = Journal::of(format!("publisher {id}"));
    let topic = arena.context.commands_topic();
    for n in 0.. {
        if arena.stopped() {
            break;
        }
        let stream = format!("note-k{id}-{}", rng.number() % 4);
        let draft = arena.events.draft(Kind::Note, id, n, format!("k{id}-{n}"));
        let value = arena.events.command(&draft);
        let request = draft.payload.id.clone();
        let mut headers = Headers::default();
        headers.push("ce_id", Some(request.as_bytes()));
        let ask = Ask::new(&stream, None, ExpectedVersion::Any, vec![draft], false);
        let invoked = arena.now_us();
        let mut outcome = Outcome::Unknown;
        for tried in 0..TRIES_MAX {
            // What was published is waited for once more when the run is over.
            if tried > 0 && arena.stopped() {
                break;
            }
            let reply = replies.of(&request);
            for _ in 0..if rng.once_in(10) { 2 } else { 1 } {
                // One that failed may be in the log all the same.
                let _published = publisher.publish_keyed(&topic, stream.as_bytes(), Some(&value), &headers).await;
            }
            if let Ok(Ok(reply)) = tokio::time::timeout(REPLY_LIMIT, reply).await {
                outcome = match reply["outcome"].as_str() {
                    Some("accepted") => Outcome::Ok(None),
                    Some("conflict") => Outcome::Conflict,
                    // Refused because the log did not take it: the same command may be published again.
                    Some(_) if reply["error_code"] == "state.unavailable" => Outcome::Failed,
                    Some(_) | None => Outcome::Rejected,
                };
                if outcome != Outcome::Failed {
                    break;
                }
            }
            journal.count(&Outcome::Unknown, 0);
        }
        let completed = arena.now_us();
        journal.operations.push(ask.operation(invoked, completed, outcome));
        journal.count(&outcome, completed);
        match outcome {
            Outcome::Ok(_) => arena.acknowledge(arena.partition_of(&stream), invoked, 1),
            other => {
                journal.surprises.push(format!("command {request} ended as {other:?}"));
                break;
            }
        }
    }
    journal
}
