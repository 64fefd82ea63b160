//! Reads the replies topic for all publishers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use spina_log::{LogReader, ReaderOptions, Start};
use tokio::sync::oneshot;

use crate::gate::arena::Arena;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Replies {
    waiting: Mutex<HashMap<String, oneshot::Sender<Map<String, Value>>>>,
}

impl Replies {
    /// Reads until the arena stops and nobody waits any more.
    pub fn read(arena: &Arc<Arena>) -> Arc<Self> {
        let replies = Arc::new(Self::default());
        let (reader, arena) = (Arc::clone(&replies), Arc::clone(arena));
        #[expect(clippy::disallowed_methods, reason = "it ends with the process, and waits for a log that may end")]
        tokio::spawn(async move {
            let mut next: HashMap<i32, i64> = HashMap::new();
            loop {
                reader.follow(&arena, &mut next).await;
            }
        });
        replies
    }

    /// Resolves with the reply to a request.
    pub fn of(&self, request: &str) -> oneshot::Receiver<Map<String, Value>> {
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap().insert(request.to_owned(), answer);
        answered
    }

    /// Reads until the reader fails.
    async fn follow(&self, arena: &Arena, next: &mut HashMap<i32, i64>) {
        let start = |partition: i32| (partition, next.get(&partition).map_or(Start::Earliest, |next| Start::At(*next)));
        let starts = (0..arena.partitions).map(start).collect();
        let topic = arena.context.replies_topic();
        let mut reader = LogReader::open(&arena.log(), &topic, starts, ReaderOptions::default()).unwrap();
        while let Some(Ok(batch)) = reader.next().await {
            for record in batch.records {
                next.insert(record.partition, record.offset + 1);
                let reply = arena.events.reply(record.value.as_deref().unwrap_or_default());
                let request = reply["request_id"].as_str().unwrap_or_default();
                if let Some(waits) = self.waiting.lock().unwrap().remove(request) {
                    let _gave_up = waits.send(reply);
                }
            }
        }
    }
}
