//! Nasty case 12: appends of all sizes, at their limits and beyond: all or nothing; and two in one window.

use futures::future::join_all;
use serde_json::{Value, json};
use spina_tests::history;
use spina_tests::http::{Answer, Http};
use spina_tests::world::World;

use crate::samples::{departed, new_stream};

/// Most events in an append of these tests.
const EVENTS_MAX: usize = 10_000;
/// Largest encoded event of these tests.
const BYTES_MAX: usize = 2_000;
/// What stands before an encoded event in its record.
const FRAME_BYTES: usize = 5;

async fn world(prefix: &str) -> World {
    let (events, bytes) = (EVENTS_MAX.to_string(), BYTES_MAX.to_string());
    let settings = [
        ("SPINA_APPEND_EVENTS_MAX", events.as_str()),
        ("SPINA_EVENT_BYTES_MAX", bytes.as_str()),
        // Ten thousand events are 3 MB of JSON; they take their time on a machine that has other things to do.
        ("SPINA_HTTP_BODY_BYTES_MAX", "16000000"),
        ("SPINA_APPEND_TIMEOUT_MS", "50000"),
        ("SPINA_HTTP_TIMEOUT_MS", "55000"),
    ];
    World::with_settings(prefix, &settings).await
}

async fn read(http: &Http, context: &str, stream: &str) -> Answer {
    http.get(&format!("/v1/{context}/streams/{stream}/events?direction=backward&limit=1")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_12_appends_of_1_to_10_000_events_are_whole_or_nothing() {
    let world = world("nasty12").await;
    let (http, context) = (world.http(), &world.context.name);
    let mut total = 0;
    for count in [1, 2, 999, 1_000, 1_001, 3_999, 4_000, 4_001, EVENTS_MAX - 1, EVENTS_MAX] {
        let stream = new_stream();
        let appended = http.append(context, &stream, "no_stream", json!(vec![departed(); count])).await;
        assert_eq!(
            (appended.status, &appended.body["version"]),
            (201, &json!(count)),
            "{count}: {:.300}",
            appended.body
        );
        assert_eq!(appended.body["events"].as_array().unwrap().len(), count);
        assert_eq!(read(&http, context, &stream).await.body["version"], json!(count));
        total += count;
    }
    for (events, code) in [(vec![departed(); EVENTS_MAX + 1], "validation."), (Vec::new(), "validation.")] {
        let (stream, count) = (new_stream(), events.len());
        let refused = http.append(context, &stream, "no_stream", json!(events)).await;
        assert!((400..500).contains(&refused.status) && refused.error_code().starts_with(code), "{count}: {refused:?}");
        assert_eq!(read(&http, context, &stream).await.status, 404, "nothing of {count} events is there");
    }
    // One bad event among many, wherever it stands.
    for bad in [0, 500, 998] {
        let (stream, mut events) = (new_stream(), vec![departed(); 999]);
        events[bad]["data"]["departure_delay_min"] = json!("late");
        let refused = http.append(context, &stream, "no_stream", json!(events)).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        assert_eq!(read(&http, context, &stream).await.status, 404);
    }
    let log = history::events(&world.stack.kafka, &world.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len(), total);
}

/// A departure whose tail number has so many letters.
fn sized(letters: usize) -> Value {
    let mut event = departed();
    event["data"]["tail_number"] = json!("x".repeat(letters));
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_12_an_event_at_the_size_limit_is_taken_and_one_byte_more_is_not() {
    let world = world("nasty12s").await;
    let (http, context) = (world.http(), &world.context.name);
    let accepted = async |letters: usize| {
        let stream = new_stream();
        let answer = http.append(context, &stream, "no_stream", json!([departed(), sized(letters), departed()])).await;
        let there = read(&http, context, &stream).await;
        match answer.status {
            201 => assert_eq!(there.body["version"], 3),
            _ => {
                assert_eq!((answer.status, answer.error_code()), (413, "validation.too_large"), "{answer:?}");
                assert_eq!(there.status, 404, "nothing of it is there");
            }
        }
        answer.status == 201
    };
    // Between these lengths, each letter is a byte more: the first that is too large follows the last that is not.
    let (mut fits, mut too_large) = (BYTES_MAX / 2, BYTES_MAX);
    assert!(accepted(fits).await && !accepted(too_large).await);
    while too_large - fits > 1 {
        let middle = usize::midpoint(fits, too_large);
        if accepted(middle).await { fits = middle } else { too_large = middle }
    }
    assert!(accepted(fits - 1).await && accepted(fits).await && !accepted(fits + 1).await);

    let log = history::committed(&world.stack.kafka, &world.context.events_topic()).await;
    let largest = log.iter().filter_map(|record| Some(record.value.as_ref()?.len())).max();
    assert_eq!(largest, Some(BYTES_MAX + FRAME_BYTES), "the limit is exact");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_12_appends_of_one_window_see_each_other() {
    let world = World::with_event_store("nasty12w").await;
    let (context, stream) = (&world.context.name, new_stream());
    // Enough at once that most wait for the same window; versions follow each other all the same.
    let clients: Vec<Http> = (0..64).map(|_| world.http()).collect();
    let appends = clients.iter().map(|http| http.append(context, &stream, "any", json!([departed(), departed()])));
    let answers = join_all(appends).await;

    let mut versions: Vec<u64> = answers.iter().map(|answer| answer.body["version"].as_u64().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=64).map(|append| 2 * append).collect::<Vec<_>>());
    let metrics = world.http().get("/metrics").await.unwrap().body;
    let windows: f64 = metrics
        .as_str()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("spina_event_store_windows_total"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!(windows < 64.0, "no two appends were in one window: {windows}");
    history::assert_sound(&history::events(&world.stack.kafka, &world.context.events_topic()).await);
}
