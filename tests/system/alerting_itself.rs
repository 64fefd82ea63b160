//! The platform's own conditions become incidents like everybody else's.

use serde_json::Value;
use spina_store::{Store, StoreConfig};
use spina_tests::context::Context;
use spina_tests::eventually_within;
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::stack::Stack;

use crate::alerting::{LIMIT, declare_alerts, incidents, until};

const STUCK: &str = "INSERT INTO spina.sagas (id, definition, version, status, events, changed_us, state) \
    VALUES ($1, $1, 1, 'stuck', 3, 0, '{}')";
const LETTER: &str = "INSERT INTO spina.dead_letters (context, model, slot, key, topic, partition, log_offset, timestamp_ms, \
    headers, class, attempts) VALUES ($1, $1, 'live', '', $1, 0, 7, 0, '', 'data', 1)";

#[tokio::test]
async fn a_stuck_saga_and_a_dead_letter_open_incidents_that_end_with_them() {
    let stack = Stack::get();
    let context = Context::create(&stack, "itself");
    declare_alerts(&stack, &context);
    let name = context.name.clone();
    let store = Store::connect(&StoreConfig::new(&stack.postgres, "tests")).await.unwrap();
    let settings = [("SPINA_INSTANCE", name.as_str()), ("SPINA_PROBE_EVERY_MS", "300")];
    let mut service = Service::start_with(&stack, "alert-correlator", &context, &settings);
    service.ready().await;
    let http = Http::new(&service.url);

    let client = store.client().await.unwrap();
    client.execute(STUCK, &[&name]).await.unwrap();
    client.execute(LETTER, &[&name]).await.unwrap();
    let opened = |body: &Value, alert: &str| {
        let ours = incidents(body).iter().filter(|incident| incident["group"]["alertname"] == alert);
        ours.clone().any(|incident| incident["state"] == "open")
    };
    until(&http, "/v1/incidents", |body| opened(body, "StuckSagas") && opened(body, "DeadLetters")).await;
    let alerts = async || {
        let alerts = http.get("/api/v2/alerts").await.ok()?.body;
        let ours =
            |alert: &&Value| alert["labels"]["saga"] == name.as_str() || alert["labels"]["model"] == name.as_str();
        Some(alerts.as_array()?.iter().filter(ours).cloned().collect::<Vec<_>>())
    };
    let both = async || alerts().await.filter(|alerts| alerts.len() == 2);
    let fired = eventually_within(LIMIT, "an alert for each", both).await;
    let summary = |alert: &Value| alert["annotations"]["summary"].as_str().unwrap_or_default().to_owned();
    assert!(fired.iter().any(|alert| summary(alert) == "stuck_sagas is above 0: 1"), "{fired:?}");

    client.execute("DELETE FROM spina.sagas WHERE id = $1", &[&name]).await.unwrap();
    client.execute("DELETE FROM spina.dead_letters WHERE context = $1", &[&name]).await.unwrap();
    let over = async || alerts().await?.is_empty().then_some(());
    eventually_within(LIMIT, "the conditions are over", over).await;
    service.stop().await;
}
