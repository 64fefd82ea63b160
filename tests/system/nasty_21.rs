//! Nasty case 21: topics that would lose or mix up events. They are refused with the reason, and served once repaired.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use spina_log::admin::TopicSpec;
use spina_log::{Admin, LogConfig};
use spina_tests::context::Context;
use spina_tests::eventually;
use spina_tests::fleet::PARTITIONS;
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::stack::Stack;

use crate::samples::{new_stream, scheduled};

#[tokio::test]
async fn nasty_21_a_compacted_events_topic_is_refused_until_it_is_repaired() {
    let (stack, context, admin) = world().await;
    let policy = |value: &str| BTreeMap::from([("cleanup.policy".to_owned(), value.to_owned())]);
    admin.alter(&context.events_topic(), &policy("compact")).await.unwrap();
    let mut store = Service::start(&stack, "event-store", &context);
    refused(&store, &context, "cleanup.policy `compact`").await;
    admin.alter(&context.events_topic(), &policy("delete")).await.unwrap();
    served(&mut store, &context).await;
}

#[tokio::test]
async fn nasty_21_a_topic_with_another_partition_count_is_refused_until_it_is_repaired() {
    let (stack, context, admin) = world().await;
    let topic = context.commands_topic();
    let found = admin.describe(&topic).await.unwrap().unwrap();
    let configs: BTreeMap<String, String> = found
        .configs
        .into_iter()
        .filter(|(_, config)| config.set_on_topic)
        .map(|(name, config)| (name, config.value))
        .collect();
    let replace = async |partitions: i32| {
        let spec = TopicSpec { name: topic.clone(), partitions, replication: 1, configs: configs.clone() };
        admin.delete(&topic).await.unwrap();
        eventually("the topic is made anew", async || admin.create(&spec).await.unwrap_or(false).then_some(())).await;
    };
    replace(PARTITIONS - 1).await;
    let mut store = Service::start(&stack, "event-store", &context);
    refused(&store, &context, "has 3 partitions, the topology says 4").await;
    replace(PARTITIONS).await;
    served(&mut store, &context).await;
}

#[tokio::test]
async fn nasty_21_a_topic_with_too_few_copies_is_refused_until_less_is_asked_for() {
    let (stack, context, _) = world().await;
    let file = context.topology_dir.join(&context.name).join("context.yaml");
    let declared = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{declared}\ntopics: {{ replication: 3 }}\n")).unwrap();
    let mut store = Service::start(&stack, "event-store", &context);
    refused(&store, &context, "has 1 copies, the topology asks for 3").await;
    store.kill();
    fs::write(&file, declared).unwrap();
    store.start_again();
    served(&mut store, &context).await;
}

async fn world() -> (Stack, Context, Admin) {
    let stack = Stack::get();
    let context = Context::create(&stack, "nasty");
    let admin = Admin::connect(&LogConfig::new(&stack.kafka, "spina-tests")).await.unwrap();
    (stack, context, admin)
}

/// It says why it is not ready, and takes nothing.
async fn refused(store: &Service, context: &Context, why: &str) {
    let http = Http::new(&store.url);
    eventually(&format!("readiness says: {why}"), async || {
        let report = http.get("/health/ready").await.ok()?;
        let conditions = report.body["conditions"].as_array()?;
        let told =
            conditions.iter().any(|condition| condition["reason"].as_str().is_some_and(|text| text.contains(why)));
        (report.status == 503 && told).then_some(())
    })
    .await;
    assert!(store.tail().contains("cannot serve the context yet"), "{}", store.tail());
    let answer = http.append(&context.name, &new_stream(), "no_stream", json!([scheduled()])).await;
    assert_eq!((answer.status, answer.error_code()), (503, "state.unavailable"), "{answer:?}");
}

async fn served(store: &mut Service, context: &Context) {
    store.ready().await;
    let answer = Http::new(&store.url).append(&context.name, &new_stream(), "no_stream", json!([scheduled()])).await;
    assert_eq!((answer.status, &answer.body["version"]), (201, &Value::from(1)), "{answer:?}");
}
