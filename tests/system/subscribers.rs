//! Many subscribers at once: each gets everything once and in order, whatever the others do.

use std::collections::HashMap;

use futures::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use spina_tests::eventually;
use spina_tests::sse::Sse;
use spina_tests::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::samples::{cancelled, departed, new_stream, scheduled};

/// Subscribers that read.
const READERS: usize = 900;
/// Subscribers that stop to.
const STOPPED: usize = 100;
/// Appends of two small events and a large one each.
const APPENDS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_get_everything_once_though_a_tenth_stops_reading() {
    let world = World::with_settings("thousand", &[("SPINA_HTTP_STALL_MS", "5000")]).await;
    let url = format!("{}/v1/{}/events", world.event_store.url, world.context.name);
    let client = Client::builder().no_proxy().build().unwrap();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = Sse::connect_by(&client, &format!("{url}?types=FlightScheduled,FlightDeparted"), None).await;
        reader.begun().await;
        readers.push(reader);
    }
    let stopped = join_all((0..STOPPED).map(|_| Stopped::connect(&url))).await;
    assert_eq!(metric(&world, "spina_event_store_subscriptions").await, 1_000);

    let everything: Vec<u64> = (1..=3 * APPENDS as u64).collect();
    let small: Vec<u64> = everything.iter().copied().filter(|version| version % 3 != 0).collect();
    let reading = join_all(readers.into_iter().map(|reader| take(reader, &small)));
    tokio::join!(reading, publish(&world));
    // The others are cut off, and can go on where they were.
    eventually("whoever stopped reading is cut off", async || {
        (metric(&world, "spina_event_store_subscriptions").await == 0).then_some(())
    })
    .await;
    assert_eq!(metric(&world, "spina_event_store_http_clients_cut_off_total").await, STOPPED as u64);
    let back = stopped[..10].iter().map(|stopped| async {
        let sse = Sse::connect_by(&client, &url, Some(&stopped.last_id)).await;
        take(sse, &everything).await;
    });
    join_all(back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_reconnects_have_no_gap_when_the_buffer_leaves_them_behind() {
    let settings = [("SPINA_SUBSCRIPTION_BUFFER_BYTES", "100000"), ("SPINA_CATCH_UPS_MAX", "2")];
    let world = World::with_settings("behind", &settings).await;
    let url = format!("{}/v1/{}/events?from=earliest", world.event_store.url, world.context.name);
    let streams: Vec<String> = (0..10).map(|_| new_stream()).collect();
    let http = world.http();
    let publish = async |rounds: u32| {
        for _ in 0..rounds {
            let events = json!(vec![departed(); 10]);
            let appends = streams.iter().map(|stream| http.append(&world.context.name, stream, "any", events.clone()));
            assert!(join_all(appends).await.iter().all(|answer| answer.status == 201));
        }
    };
    // More than the buffer holds, so that everybody has to catch up at first.
    publish(10).await;
    let chains = join_all((1..=6).map(|seed| chain(&url, seed, 300 * streams.len())));
    let (chains, ()) = tokio::join!(chains, publish(20));

    let everything: HashMap<String, u64> = streams.into_iter().map(|stream| (stream, 300)).collect();
    assert!(chains.iter().all(|chain| *chain == everything), "{chains:?}");
    assert!(metric(&world, "spina_event_store_catch_ups_total").await > 0, "the buffer was large enough for all");
}

/// Appends small events and large ones to one stream.
async fn publish(world: &World) {
    let (http, stream) = (world.http(), new_stream());
    let mut large = cancelled();
    large["data"]["carrier"] = json!("x".repeat(40_000));
    for _ in 0..APPENDS {
        let events = json!([scheduled(), departed(), large]);
        let appended = http.append(&world.context.name, &stream, "any", events).await;
        assert_eq!(appended.status, 201, "{appended:?}");
    }
}

/// Takes so many events over many connections, each for a while that looks random. The last version of each stream.
async fn chain(url: &str, seed: u64, events: usize) -> HashMap<String, u64> {
    let client = Client::builder().no_proxy().build().unwrap();
    let (mut taken, mut versions, mut last_id, mut random) = (0, HashMap::new(), None::<String>, seed);
    while taken < events {
        let mut sse = Sse::connect_by(&client, url, last_id.as_deref()).await;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..(random >> 40) % 500 {
            if taken == events {
                break;
            }
            let event = sse.next().await.data;
            let last: &mut u64 = versions.entry(event["stream"].as_str().unwrap().to_owned()).or_default();
            assert_eq!(event["version"], json!(*last + 1), "a gap, a double or a disorder: {event}");
            *last += 1;
            taken += 1;
        }
        last_id = sse.last_id().map(str::to_owned);
    }
    versions
}

/// The next events are these versions.
async fn take(mut sse: Sse, versions: &[u64]) {
    for version in versions {
        assert_eq!(sse.next().await.data["version"], json!(version));
    }
}

/// A subscriber that reads where it stands, and then nothing.
struct Stopped {
    last_id: String,
    _connection: TcpStream,
}

impl Stopped {
    async fn connect(url: &str) -> Self {
        let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // Else the system takes megabytes for a program that reads nothing.
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut connection = socket.connect(host.parse().unwrap()).await.unwrap();
        connection.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let mut received = Vec::new();
        loop {
            connection.read_buf(&mut received).await.unwrap();
            let text = String::from_utf8_lossy(&received);
            if let Some((id, _)) = text.split_once("\nid: ").and_then(|(_, rest)| rest.split_once("\n\n")) {
                return Self { last_id: id.to_owned(), _connection: connection };
            }
        }
    }
}

async fn metric(world: &World, name: &str) -> u64 {
    let metrics = world.http().get("/metrics").await.unwrap().body;
    let line = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    let metrics = match metrics {
        Value::String(text) => text,
        other => panic!("{other}"),
    };
    metrics.lines().find_map(line).unwrap_or_else(|| panic!("{name} is missing:\n{metrics}"))
}
