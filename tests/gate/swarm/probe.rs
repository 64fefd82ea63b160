//! One for each partition: a small append every moment, so that it is known when the partition was served.

use std::sync::Arc;
use std::time::Duration;

use spina_core::ExpectedVersion;

use crate::gate::arena::Arena;
use crate::gate::event::Kind;
use crate::gate::journal::{Ask, Journal};

const PAUSE: Duration = Duration::from_millis(100);

/// Appends to one stream of the partition.
pub async fn run(arena: Arc<Arena>, id: u32, partition: i32) -> Journal {
    let mut journal = Journal::of(format!("probe {partition}"));
    let stream = arena.stream_in(partition, &format!("note-p{id}"));
    for n in 0.. {
        if arena.stopped() {
            break;
        }
        let draft = arena.events.draft(Kind::Note, id, n, format!("p{id}-{n}"));
        let ask = Ask::new(&stream, None, ExpectedVersion::Any, vec![draft], n % 4 == 0);
        if journal.settle(&arena, &ask).await.is_none() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    journal
}
