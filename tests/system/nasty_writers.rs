//! Nasty case 11: many writers of one stream who all expect the same version.

use futures::future::join_all;
use serde_json::json;
use spina_tests::history;
use spina_tests::http::Http;
use spina_tests::world::World;

use crate::samples::{departed, new_stream};

/// Writers, each with a connection of its own.
const CLIENTS: usize = 500;
/// How often they all try.
const ROUNDS: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn nasty_11_of_500_writers_who_expect_one_version_exactly_one_wins() {
    let world = World::with_event_store("nasty11").await;
    let (context, stream) = (&world.context.name, new_stream());
    let clients: Vec<Http> = (0..CLIENTS).map(|_| world.http()).collect();

    for round in 0..ROUNDS {
        let expected = if round == 0 { json!("no_stream") } else { json!(round) };
        let tries = clients.iter().map(|client| client.append(context, &stream, expected.clone(), json!([departed()])));
        let answers = join_all(tries).await;

        let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(winners[0].body["version"], json!(round + 1));
        for loser in answers.iter().filter(|answer| answer.status != 201) {
            assert_eq!((loser.status, loser.error_code()), (409, "state.conflict"), "{loser:?}");
            assert_eq!(loser.body["details"]["current_version"], json!(round + 1), "{loser:?}");
        }
    }

    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len() as u64, ROUNDS, "nobody else left anything in the log");
}
