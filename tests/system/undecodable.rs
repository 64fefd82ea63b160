//! Records of the events topic that nobody can decode: parked, told to the topic's dead letters as they came, and all else
//! flows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use spina_codec::Headers;
use spina_log::{Fetched, LogConfig, Publisher};
use spina_tests::history::committed;
use spina_tests::registry::Registry;
use spina_tests::world::World;

use crate::parcels::{append, caught_up, letters, moved, parcels, rows, weighed};

/// Publishes to any topic, as a program that knows nothing of Spina; where the record stands.
async fn publish(world: &World, topic: &str, key: &str, value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> String {
    let publisher = Publisher::new(&LogConfig::new(&world.stack.kafka, "spina-tests")).unwrap();
    let mut with = Headers::default();
    headers.iter().for_each(|(name, value)| with.push(name, Some(value)));
    let (partition, offset) = publisher.publish_keyed(topic, key.as_bytes(), value, &with).await.unwrap();
    format!("{topic}:{partition}:{offset}")
}

fn header<'r>(record: &'r Fetched, name: &str) -> &'r str {
    record.headers.get_str(name).unwrap_or_else(|| panic!("{name} of {record:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decoded_is_told_as_it_came_and_holds_nobody_up() {
    let mut world = parcels("undecodable").await;
    let topic = world.context.events_topic();
    let registry = Registry::before(&world.stack).await;
    let (id, _) = registry.latest(&format!("{topic}-{}.ParcelMoved", world.context.name)).await;
    let framed = |id: u32, avro: &[u8]| [&[0], id.to_be_bytes().as_slice(), avro].concat();
    let bad: [(&str, Option<Vec<u8>>, &str); 5] = [
        ("parcel-noframe", Some(b"junk".to_vec()), "undecodable"),
        ("parcel-tombstone", None, "undecodable"),
        ("parcel-unknown", Some(framed(4_000_000_000, b"x")), "schema"),
        // Of our schema, and without the headers of an event.
        ("parcel-noheaders", Some(framed(id, b"\x02A")), "undecodable"),
        ("parcel-short", Some(framed(id, b"")), "undecodable"),
    ];
    append(&world, "parcel-well", vec![weighed("EWR", 500, 2)]).await;
    let mut places = BTreeMap::new();
    for (key, value, class) in &bad {
        places.insert(publish(&world, &topic, key, value.as_deref(), &[("odd", &[0xff])]).await, (*key, value, *class));
    }
    append(&world, "parcel-well", vec![moved("JFK")]).await;
    assert_eq!(caught_up(&world, "parcel_status").await["parked_keys"], bad.len());
    caught_up(&world, "depot_load").await;
    let well = json!({"stream": "parcel-well", "grams_per_piece": 250, "events": 2, "depot": "JFK"});
    assert_eq!(rows(&world, "parcel_status").await.into_values().collect::<Vec<_>>(), [well]);
    assert_eq!(letters(&world, "parcel_status").len(), bad.len());

    // Killed and back: what was told is not told anew.
    world.projector.as_mut().unwrap().kill();
    world.projector.as_mut().unwrap().start_again();
    world.projector.as_mut().unwrap().ready().await;
    caught_up(&world, "parcel_status").await;
    let dlq = format!("{topic}.dlq");
    let dead = committed(&world.stack.kafka, &dlq).await;
    let told: BTreeSet<(&str, &str)> =
        dead.iter().map(|record| (header(record, "spina-dlq-id"), header(record, "spina-dlq-reader"))).collect();
    assert_eq!(told.len(), dead.len(), "each once by each model: {dead:?}");
    let reader = format!("{}/parcel_status", world.context.name);
    for (place, (key, value, class)) in &places {
        let record = dead.iter().find(|record| header(record, "spina-dlq-id") == place);
        let record = record.unwrap_or_else(|| panic!("{place} is not told: {dead:?}"));
        assert!(told.contains(&(place.as_str(), reader.as_str())), "{place}: {told:?}");
        assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(key.as_bytes()), value.as_deref()));
        assert_eq!(record.headers.get("odd"), Some([0xff].as_slice()), "its own headers stay");
        assert_eq!(header(record, "spina-dlq-class"), *class);
        assert!(!header(record, "spina-error").is_empty() && !header(record, "spina-dlq-time").is_empty());
    }
    seen_by_people(&world, &dlq).await;
}

/// The command line shows ours, and those of Connect and Spring.
async fn seen_by_people(world: &World, dlq: &str) {
    let connect: [(&str, &[u8]); 4] = [
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"2"),
        ("__connect.errors.offset", b"77"),
        ("__connect.errors.exception.class.name", b"DataException"),
    ];
    publish(world, dlq, "order-1", Some(b"{}"), &connect).await;
    let spring: [(&str, &[u8]); 4] = [
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", &2_i32.to_be_bytes()),
        ("kafka_dlt-original-offset", &78_i64.to_be_bytes()),
        ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
    ];
    publish(world, dlq, "order-2", Some(b"{}"), &spring).await;
    let shown = |class: &str| -> Value {
        world.spina().args(["dead-letter", "topic", dlq, "--class", class]).json()["records"].clone()
    };
    for (class, by, source) in
        [("DataException", "connect", "orders:2:77"), ("java.lang.IllegalStateException", "spring", "orders:2:78")]
    {
        let records = shown(class);
        assert_eq!(records.as_array().map(Vec::len), Some(1), "{records}");
        assert_eq!((&records[0]["written_by"], &records[0]["source"]), (&json!(by), &json!(source)), "{records}");
    }
    let ours = shown("schema");
    assert!(ours.as_array().is_some_and(|records| !records.is_empty()), "{ours}");
    assert_eq!((&ours[0]["written_by"], &ours[0]["key"]), (&json!("spina"), &json!("parcel-unknown")), "{ours}");
}
