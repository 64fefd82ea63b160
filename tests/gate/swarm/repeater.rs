//! Sends each request to two processes at once, old requests again, and old keys with other events.

use std::collections::VecDeque;
use std::sync::Arc;

use spina_core::ExpectedVersion;
use spina_testkit::history::Outcome;

use crate::gate::arena::Arena;
use crate::gate::event::Kind;
use crate::gate::journal::{self, Ask, Journal};
use crate::gate::rng::Rng;

/// Requests that it remembers.
const REMEMBERED_MAX: usize = 200;

/// Repeats itself.
pub async fn run(arena: Arc<Arena>, id: u32, mut rng: Rng) -> Journal {
    let mut journal = Journal::of(format!("repeater {id}"));
    let mut old: VecDeque<Ask> = VecDeque::new();
    for n in 0.. {
        if arena.stopped() {
            break;
        }
        let stream = format!("note-r{id}-{}", rng.number() % 16);
        let drafts = (0..rng.between(1, 3)).map(|k| arena.events.draft(Kind::Note, id, n, format!("r{id}-{n}-{k}")));
        let ask = Ask::new(&stream, Some(format!("request-r{id}-{n}")), ExpectedVersion::Any, drafts.collect(), false);
        let here = arena.route(arena.partition_of(&stream));
        let there = (rng.number() % arena.urls.len() as u64) as usize;
        let ((at_one, one), (at_two, two)) =
            tokio::join!(journal::send(&arena, here, &ask), journal::send(&arena, there, &ask));
        journal.note(&arena, &ask, at_one, &one);
        journal.note(&arena, &ask, at_two, &two);
        if journal.settle(&arena, &ask).await.is_none() {
            break;
        }
        old.push_back(ask);
        if old.len() > REMEMBERED_MAX {
            old.pop_front();
        }
        let earlier = rng.number() as usize % old.len();
        if rng.once_in(2) && journal.settle(&arena, &old[earlier]).await.is_none() {
            break;
        }
        if rng.once_in(5) && !other_events(&arena, &mut journal, id, n, &old[earlier]).await {
            break;
        }
    }
    journal
}

/// The same key with other events must be refused.
async fn other_events(arena: &Arena, journal: &mut Journal, id: u32, n: u64, earlier: &Ask) -> bool {
    let draft = arena.events.draft(Kind::Note, id, n + 1_000_000_000, format!("r{id}-other-{n}"));
    let ask = Ask::new(&earlier.stream, earlier.key.clone(), ExpectedVersion::Any, vec![draft], false);
    let Some(answered) = journal.settle(arena, &ask).await else { return false };
    if answered.outcome != Outcome::Rejected {
        journal.surprises.push(format!("I7: {:?} with other events gave {:?}", ask.key, answered.outcome));
    }
    true
}
