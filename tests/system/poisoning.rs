//! Much poison among many events: all of its keys park in order, all else is exact, and what is settled counts as the log
//! and the decisions say.

use std::collections::BTreeMap;
use std::fs;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use spina_tests::http::Http;
use spina_tests::world::World;

use crate::parcels::{append, caught_up, moved, parcels, projector, rows, weighed};

/// Events of the test, five of a hundred of them poison; `SPINA_TEST_POISON_EVENTS` says more.
const EVENTS: usize = 20_000;
/// Events of each stream. In one stream of ten, every other event is poison for `parcel_status`.
const STREAM_EVENTS: usize = 10;
/// Streams whose weight is too much for `depot_load` until another is taken off.
const HEAVY: usize = 20;
/// What an event of those weighs.
const HEAVY_GRAMS: i64 = 1_000;
/// Calls at a time.
const CALLS: usize = 8;

fn is_ill(stream: usize) -> bool {
    stream.is_multiple_of(10)
}

fn is_poison(stream: usize, event: usize) -> bool {
    is_ill(stream) && event % 2 == 1
}

/// Ill streams of which nothing more is wanted; the poison of the others is mended.
fn is_dropped(stream: usize) -> bool {
    !stream.is_multiple_of(50)
}

fn event(stream: usize, event: usize) -> Value {
    let pieces = if is_poison(stream, event) { 0 } else { 1 };
    weighed(&format!("D{}", stream % 7), i64::try_from(stream % 100 + event).unwrap(), pieces)
}

fn name(stream: usize) -> String {
    format!("parcel-{stream}")
}

/// The events of all streams, taking turns.
fn import(world: &World, streams: usize) {
    let line = |number: usize| {
        let (stream, at) = (number % streams, number / streams);
        let Value::Object(mut line) = event(stream, at) else { unreachable!("an event is an object") };
        line.insert("stream".to_owned(), name(stream).into());
        Value::Object(line).to_string()
    };
    let lines: Vec<String> = (0..streams * STREAM_EVENTS).map(line).collect();
    let file = world.stack.folder(&world.context.name).join("events.ndjson");
    fs::write(&file, lines.join("\n")).unwrap();
    world.spina().args(["import", "--context", &world.context.name]).arg(&file).succeeds();
}

/// All letters of a model by key, in the order of their numbers.
async fn letters(world: &World, model: &str) -> BTreeMap<String, Vec<Value>> {
    let (http, mut found, mut cursor) = (projector(world), BTreeMap::<String, Vec<Value>>::new(), String::new());
    loop {
        let path = format!("/v1/dead-letters?context={}&model={model}&limit=1000{cursor}", world.context.name);
        let page = http.get(&path).await.unwrap();
        assert_eq!(page.status, 200, "{page:?}");
        for letter in page.body["letters"].as_array().unwrap() {
            found.entry(letter["key"].as_str().unwrap().to_owned()).or_default().push(letter.clone());
        }
        match page.body["cursor"].as_i64() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

fn offset(letter: &Value) -> i64 {
    letter["token"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

/// A stream's row after its first events, as the definition folds them.
fn folded(stream: usize, events: usize) -> Value {
    let grams = event(stream, events - 1)["data"]["grams"].clone();
    json!({"stream": name(stream), "grams_per_piece": grams, "events": events, "depot": null})
}

/// Mends the poison of a key, one letter after the other, until nothing is parked of it.
async fn mend(http: &Http, mut letter: Value, stream: usize) {
    for at in (0..STREAM_EVENTS).filter(|at| is_poison(stream, *at)) {
        let mut data = event(stream, at)["data"].clone();
        data["pieces"] = json!(1);
        let path = format!("/v1/dead-letters/{}", letter["id"]);
        let done = http.post(&format!("{path}/edit"), &json!({ "data": data, "reason": "counted" })).await;
        assert_eq!(done.status, 200, "{done:?}");
        if done.body["refused"] == 0 {
            return;
        }
        let key = letter["key"].as_str().unwrap();
        let model = letter["model"].as_str().unwrap();
        let context = letter["context"].as_str().unwrap();
        let next =
            http.get(&format!("/v1/dead-letters?context={context}&model={model}&key={key}&limit=1")).await.unwrap();
        letter = next.body["letters"][0].clone();
    }
    panic!("{letter} is still parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_of_a_hundred_poisoned_park_in_order_and_settle_to_the_fold_of_the_log() {
    let events = std::env::var("SPINA_TEST_POISON_EVENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(EVENTS);
    let (world, streams) = (parcels("poison").await, events / STREAM_EVENTS);
    append(&world, "parcel-most", vec![weighed("FULL", i64::MAX - 10, 1)]).await;
    caught_up(&world, "depot_load").await;
    import(&world, streams);
    for heavy in 0..HEAVY {
        append(&world, &format!("parcel-heavy{heavy}"), vec![weighed("FULL", HEAVY_GRAMS, 1), moved("EWR")]).await;
    }
    caught_up(&world, "parcel_status").await;
    caught_up(&world, "depot_load").await;

    let parked = letters(&world, "parcel_status").await;
    assert_eq!(parked.len(), (0..streams).filter(|stream| is_ill(*stream)).count(), "every poisoned key, and no other");
    for (key, letters) in &parked {
        // From the first poison on all of the key, in the order of the log.
        assert_eq!(letters.len(), STREAM_EVENTS - 1, "{key}");
        assert!(letters.is_sorted_by(|first, second| offset(first) < offset(second)), "{key}: {letters:#?}");
        let states = letters.iter().map(|letter| (letter["state"].as_str().unwrap(), letter["class"].as_str()));
        let mut expected = vec![("waiting", None); STREAM_EVENTS - 1];
        expected[0] = ("refused", Some("expression"));
        assert_eq!(states.collect::<Vec<_>>(), expected, "{key}");
    }
    let found = rows(&world, "parcel_status").await;
    for stream in 0..streams {
        let expected = folded(stream, if is_ill(stream) { 1 } else { STREAM_EVENTS });
        assert_eq!(found[&name(stream)], expected);
    }

    settle(&world, parked).await;
    let found = rows(&world, "parcel_status").await;
    for stream in 0..streams {
        let expected = folded(stream, if is_ill(stream) && is_dropped(stream) { 1 } else { STREAM_EVENTS });
        assert_eq!(found[&name(stream)], expected);
    }
    redriven(&world, streams).await;
}

/// Drops what is parked of most keys, and mends the others.
async fn settle(world: &World, parked: BTreeMap<String, Vec<Value>>) {
    let http = projector(world);
    stream::iter(parked)
        .for_each_concurrent(CALLS, async |(key, letters)| {
            let stream: usize = key.strip_prefix("parcel-").unwrap().parse().unwrap();
            if is_dropped(stream) {
                let path = format!("/v1/dead-letters/{}/drop", letters[0]["id"]);
                let done = http.post(&path, &json!({"reason": "nobody counted"})).await;
                assert_eq!((done.status, &done.body["left_out"]), (200, &json!(STREAM_EVENTS - 1)), "{done:?}");
            } else {
                mend(&http, letters[0].clone(), stream).await;
            }
        })
        .await;
    assert_eq!(letters(world, "parcel_status").await, BTreeMap::new());
}

/// The heavy ones were refused by the database; with room made they are taken.
async fn redriven(world: &World, streams: usize) {
    let heavy = letters(world, "depot_load").await;
    assert_eq!(heavy.len(), HEAVY, "{heavy:#?}");
    assert!(heavy.values().all(|letters| letters.len() == 1 && letters[0]["class"] == "refused"), "{heavy:#?}");
    let total = i64::try_from(HEAVY).unwrap() * HEAVY_GRAMS;
    append(world, "parcel-less", vec![weighed("FULL", -total, 1)]).await;
    caught_up(world, "depot_load").await;
    let name = format!("{}/depot_load", world.context.name);
    let done = world.spina().args(["dead-letter", "redrive", &name, "--class", "refused"]).json();
    assert_eq!((&done["applied"], &done["refused"]), (&json!(HEAVY), &json!(0)), "{done}");
    let mut expected = BTreeMap::from([("FULL".to_owned(), i64::MAX - 10)]);
    for (stream, at) in (0..streams).flat_map(|stream| (0..STREAM_EVENTS).map(move |at| (stream, at))) {
        let data = &event(stream, at)["data"];
        *expected.entry(data["depot"].as_str().unwrap().to_owned()).or_default() += data["grams"].as_i64().unwrap();
    }
    let found = rows(world, "depot_load").await.into_iter().map(|(depot, row)| (depot, row["grams"].as_i64().unwrap()));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
}
