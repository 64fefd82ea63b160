//! Registered schemas are told of, each version once and in order, and which versions go together is shown.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use spina_tests::context::Context;
use spina_tests::history;
use spina_tests::spina::Spina;
use spina_tests::stack::{Stack, root};

const TOPIC: &str = "spina.schemas.v1";

/// The versions that were told of, by subject of the context, in the order of the topic.
async fn told(stack: &Stack, context: &Context) -> BTreeMap<String, Vec<u32>> {
    let mut told: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for record in history::committed(&stack.kafka, TOPIC).await {
        let subject = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
        let version = record.headers.get_str("ce_sequence").unwrap().parse().unwrap();
        assert_eq!(record.headers.get_str("ce_type"), Some("spina.SchemaRegistered"));
        assert_eq!(record.headers.get_str("ce_id"), Some(format!("{subject}:{version}").as_str()));
        if subject.starts_with(&format!("{}.", context.name)) {
            told.entry(subject).or_default().push(version);
        }
    }
    told
}

/// A further field, with a default, in the schema of cancellations.
fn add_field(context: &Context, name: &str) {
    let file = context.schemas_dir.join(&context.name).join("FlightCancelled.avsc");
    let text = fs::read_to_string(&file).unwrap();
    let more = format!("\"fields\": [ {{\"name\": \"{name}\", \"type\": \"string\", \"default\": \"\"}}, ");
    fs::write(&file, text.replacen("\"fields\": [", &more, 1)).unwrap();
}

#[tokio::test]
async fn each_version_is_told_once_in_order_and_held_against_the_others() {
    let stack = Stack::get();
    let context = Context::create(&stack, "notice");
    let apply = || context.topology(Spina::of(&stack), "apply").succeeds();
    let subjects: Vec<String> =
        ["events", "commands"].map(|kind| format!("{0}.{kind}.v1-{0}.FlightCancelled", context.name)).to_vec();
    let first = told(&stack, &context).await;
    assert!(first.len() > 10 && first.values().all(|versions| *versions == [1]), "{first:?}");
    apply();
    assert_eq!(told(&stack, &context).await, first, "the same files, nothing to tell");

    // As if an apply had died before it told: what it left out is told by the next one.
    let record = context.schemas_dir.join("spina/SchemaRegistered.avsc");
    // What the samples are read as is not looked at here.
    fs::remove_dir_all(context.schemas_dir.join(&context.name).join("released")).unwrap();
    fs::remove_file(&record).unwrap();
    add_field(&context, "note");
    apply();
    assert_eq!(told(&stack, &context).await, first);
    fs::copy(root().join("schemas/spina/SchemaRegistered.avsc"), &record).unwrap();
    add_field(&context, "cause");
    apply();
    let now = told(&stack, &context).await;
    for (subject, versions) in &now {
        let expected: &[u32] = if subjects.contains(subject) { &[1, 2, 3] } else { &[1] };
        assert_eq!(versions, expected, "{subject}");
    }

    let asked = context.topology(Spina::of(&stack), "compatibility").args(["--subject", &subjects[0]]).json();
    let matrix = &asked["subjects"][0];
    assert_eq!(
        (&matrix["level"], &matrix["versions"]),
        (&"BACKWARD_TRANSITIVE".into(), &serde_json::json!(["1", "2", "3"]))
    );
    let promised = matrix["pairs"].as_array().unwrap().iter().filter(|pair| pair["promised"] == true);
    let promised: Vec<(&str, &str, &Value)> = promised
        .map(|pair| (pair["reader"].as_str().unwrap(), pair["writer"].as_str().unwrap(), &pair["reads"]))
        .collect();
    let yes = &Value::Bool(true);
    assert_eq!(promised, [("2", "1", yes), ("3", "1", yes), ("3", "2", yes)]);
}
