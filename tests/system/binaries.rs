//! The four services as programs: how they begin, what each of them serves, how they end.

use std::process::Command;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use spina_tests::context::Context;
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::spina::{Ran, clean};
use spina_tests::stack::{Stack, binary};
use spina_tests::world::World;

use crate::samples::{new_stream, scheduled};

const SERVICES: [&str; 4] = ["event-store", "projector", "saga-orchestrator", "alert-correlator"];

/// An orderly stop takes less than this.
const DRAIN_MAX: Duration = Duration::from_secs(5);

fn started_with(service: &str, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = clean(Command::new(binary(service)));
    Ran::of(command.envs(variables.iter().copied()).args(args).output().unwrap())
}

#[test]
fn a_bad_configuration_is_refused_with_key_and_source() {
    let file = Stack::get().folder("configuration").join("service.yaml");
    std::fs::write(&file, "http_listne: 127.0.0.1:1\n").unwrap();
    let file = file.display().to_string();
    for service in SERVICES {
        for (ran, key, source) in [
            (started_with(service, &[("SPINA_KAFAK", "x:1")], &[]), "kafak", "SPINA_KAFAK"),
            (started_with(service, &[("SPINA_HTTP_LISTEN", "here")], &[]), "http_listen", "SPINA_HTTP_LISTEN"),
            (started_with(service, &[], &["--set", "drain_ms=soon"]), "drain_ms", "--set"),
            (started_with(service, &[], &["--config", &file]), "http_listne", &file),
        ] {
            assert_eq!(ran.status.code(), Some(64), "{service}: {ran:?}");
            assert!(ran.stderr.contains(key) && ran.stderr.contains(source), "{service}: {ran:?}");
        }
    }
}

#[tokio::test]
async fn each_serves_health_metrics_and_its_description_and_stops_in_order() {
    let stack = Stack::get();
    let context = Context::create(&stack, "binaries");
    let mut services = SERVICES.map(|name| Service::start(&stack, name, &context));
    for (name, service) in SERVICES.iter().zip(&mut services) {
        service.ready().await;
        let http = Http::new(&service.url);
        for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json"] {
            let answer = http.get(path).await.unwrap();
            assert_eq!(answer.status, 200, "{name}{path}: {answer:?}");
        }
        let metrics = http.get("/metrics").await.unwrap().body;
        assert!(metrics.as_str().unwrap().contains("# TYPE spina_"), "{name}: {metrics}");
        let openapi = http.get("/openapi.json").await.unwrap().body;
        assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"), "{name}");
        let missing = http.get("/v2/nothing").await.unwrap();
        assert_eq!((missing.status, missing.error_code()), (404, "resource.not_found"), "{name}");
    }
    for (name, service) in SERVICES.iter().zip(&mut services) {
        let (status, took) = service.stop().await;
        assert_eq!(status.code(), Some(0), "{name}\n{}", service.tail());
        assert!(took < DRAIN_MAX, "{name} took {took:?}\n{}", service.tail());
    }
}

#[tokio::test]
async fn an_event_store_told_to_stop_finishes_what_it_took() {
    let mut world = World::with_event_store("drain").await;
    let (http, context) = (world.http(), world.context.name.clone());
    let streams: Vec<String> = (0..200).map(|_| new_stream()).collect();
    let appends = streams.iter().map(async |stream| {
        let path = format!("/v1/{context}/streams/{stream}/events");
        (stream, http.try_post(&path, &json!({ "events": [scheduled()] })).await.map(|answer| answer.status))
    });
    let mut appends: FuturesUnordered<_> = appends.collect();
    let (first, status) = appends.next().await.unwrap();
    assert_eq!(status.unwrap(), 201, "it is in the middle of them");
    let ((status, took), rest) = tokio::join!(world.event_store.stop(), appends.collect::<Vec<_>>());
    assert!(status.code() == Some(0) && took < DRAIN_MAX, "{status}, {took:?}");

    let mut acknowledged = vec![first];
    for (stream, status) in rest {
        match status {
            Ok(201) => acknowledged.push(stream),
            Ok(503) | Err(_) => {}
            Ok(other) => panic!("{stream}: {other}"),
        }
    }
    world.event_store.start_again();
    world.event_store.ready().await;
    for stream in acknowledged {
        let read = http.get(&format!("/v1/{context}/streams/{stream}/events")).await.unwrap();
        assert_eq!(read.body["version"], 1, "{stream}: {read:?}");
    }
}
