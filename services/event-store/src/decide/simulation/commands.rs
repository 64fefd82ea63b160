//! The commands topic of a simulated world, and its replies.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use spina_codec::frame;
use spina_log::names;
use spina_testkit::history::{self, Commands, Operation};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::client::Wish;
use super::{World, named};
use crate::decide::append::{Command, Refusal, Submission};

/// The group that consumes them.
pub const GROUP: &str = "event-store.test";
/// Commands in a world.
const COMMANDS: u64 = 8;

/// A record: what it asks for, when it was sent, and whether it can be judged at all.
struct Record {
    wish: Wish,
    sent: u64,
    malformed: bool,
}

/// See the [module](self).
#[derive(Default)]
pub struct CommandsTopic {
    records: RefCell<Vec<Record>>,
    complete: Cell<bool>,
}

impl CommandsTopic {
    /// Publishes commands, some of them twice.
    pub async fn publish(&self, world: &Rc<World>) {
        for number in 0..COMMANDS {
            sleep(Duration::from_millis(world.chance(|rng| rng.below(30)))).await;
            let mut wish = world.wish(&format!("command-{number}"));
            // A command is one event, whose id is its request's.
            wish.request = None;
            wish.events.truncate(1);
            let (twice, malformed) = world.chance(|rng| (rng.percent(10), rng.percent(10)));
            for _ in 0..=u32::from(twice) {
                let record = Record { wish: wish.clone(), sent: world.tick(), malformed };
                self.records.borrow_mut().push(record);
            }
        }
        self.complete.set(true);
    }

    /// Hands commands to an owner, from an offset on.
    pub async fn pump(&self, mut next: i64, queue: &mpsc::Sender<Submission>) {
        loop {
            let Some(submission) = self.submission(next) else {
                sleep(Duration::from_millis(9)).await;
                continue;
            };
            if queue.send(submission).await.is_err() {
                return;
            }
            next += 1;
        }
    }

    fn submission(&self, offset: i64) -> Option<Submission> {
        let records = self.records.borrow();
        let Record { wish, malformed, .. } = records.get(usize::try_from(offset).ok()?)?;
        let refusal = malformed.then(|| Refusal { error_code: "validation.malformed".into(), message: String::new() });
        let append = wish.append();
        let key = Bytes::copy_from_slice(wish.stream.as_bytes());
        let command = Command { offset, key, request_id: append.request_id.clone(), refusal };
        let appends = if *malformed { Vec::new() } else { vec![append] };
        Some(Submission::published(command, appends, None))
    }

    fn consumed(&self, world: &World) -> i64 {
        world.log.consumed(GROUP, &named(names::commands_topic), 0).unwrap_or(0)
    }

    /// Whether every command was published and consumed.
    pub fn is_drained(&self, world: &World) -> bool {
        self.complete.get() && self.consumed(world) >= i64::try_from(self.records.borrow().len()).unwrap_or(i64::MAX)
    }

    /// What the checkers need: commands and replies, and the commands as operations of clients.
    pub fn told(&self, world: &World) -> (Commands, Vec<Operation>) {
        let mut replies: BTreeMap<String, Vec<Map<String, Value>>> = BTreeMap::new();
        for record in world.log.committed(&named(names::replies_topic), 0) {
            let value = record.value.expect("a reply has a value");
            let (_, avro) = frame::split(&value).expect("a reply is framed");
            let reply = world.reply_shape.decode(avro).expect("a reply fits its schema");
            let request = reply["request_id"].as_str().unwrap_or_default().to_owned();
            replies.entry(request).or_default().push(reply);
        }
        let records = self.records.borrow();
        let sent = records.iter().zip(0..).map(|(record, offset)| (0, offset, record.wish.append().request_id));
        let told = replies.iter().flat_map(|(request, told)| told.iter().map(|_| request.clone()));
        let commands =
            Commands { sent: sent.collect(), consumed: [(0, self.consumed(world))].into(), replies: told.collect() };
        let operations = records.iter().map(|record| {
            let reply = replies.get_mut(&record.wish.append().request_id).filter(|told| !told.is_empty());
            let outcome = reply.map_or(history::Outcome::Unknown, |told| outcome(&told.remove(0)));
            record.wish.operation(record.sent, u64::MAX, outcome)
        });
        (commands, operations.collect())
    }
}

fn outcome(reply: &Map<String, Value>) -> history::Outcome {
    match (reply["outcome"].as_str(), reply["error_code"].as_str()) {
        (Some("accepted"), _) => history::Outcome::Ok(None),
        (Some("conflict"), _) => history::Outcome::Conflict,
        (_, Some("state.unavailable")) => history::Outcome::Failed,
        _ => history::Outcome::Rejected,
    }
}
