//! Fights with others over a few streams: what it believes of their versions is often wrong.

use std::sync::Arc;

use spina_core::{ExpectedVersion, Version};
use spina_testkit::history::Outcome;

use crate::gate::arena::Arena;
use crate::gate::event::Kind;
use crate::gate::journal::{Ask, Journal};
use crate::gate::rng::Rng;

/// Streams that are fought over.
const STREAMS: usize = 4;

/// Appends with the version that it heard of last.
pub async fn run(arena: Arc<Arena>, id: u32, mut rng: Rng) -> Journal {
    let mut journal = Journal::of(format!("contender {id}"));
    let mut believed = [0_u64; STREAMS];
    for n in 0.. {
        if arena.stopped() {
            break;
        }
        let at = (rng.number() % STREAMS as u64) as usize;
        let draft = arena.events.draft(Kind::Note, id, n, format!("c{id}-{n}"));
        let expected = match (believed[at], rng.once_in(10)) {
            (_, true) => ExpectedVersion::Any,
            (0, false) => ExpectedVersion::NoStream,
            (version, false) => ExpectedVersion::Exact(Version(version)),
        };
        let ask = Ask::new(&format!("note-hot-{at}"), None, expected, vec![draft], false);
        let Some(answered) = journal.settle(&arena, &ask).await else { break };
        match answered.outcome {
            Outcome::Ok(Some(place)) => believed[at] = place.last.max(believed[at]),
            Outcome::Conflict => believed[at] = answered.current_version().unwrap_or_default().max(believed[at]),
            Outcome::Ok(None) | Outcome::Rejected | Outcome::Failed | Outcome::Unknown => {
                journal.surprises.push(format!("contender {id} got {:?}: {}", answered.outcome, answered.body));
                break;
            }
        }
    }
    journal
}
