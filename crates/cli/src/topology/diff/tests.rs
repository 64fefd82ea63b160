//! What has to be done, from what is wanted and what is there.

use std::sync::Arc;

use spina_rules::context::ContextDef;
use spina_rules::source::Source;

use super::*;
use crate::topology::desired::{self, Schema};
use crate::topology::evolution::Difference;

const SCHEMA: &str = r#"{
  "type": "record", "name": "FlightLanded", "namespace": "flights",
  "fields": [
    {"name": "carrier", "type": "string"}
  ]
}"#;
const GROWN: &str = r#"{
  "type": "record", "name": "FlightLanded", "namespace": "flights",
  "fields": [
    {"name": "carrier", "type": "string"},
    {"name": "air_time_min", "type": "int"}
  ]
}"#;
const SUBJECT: &str = "flights.events.v1-flights.FlightLanded";

fn context(partitions: u32, topics: &str) -> ContextDef {
    let text = format!(
        "context: flights\npartitions: {partitions}\naggregates:\n  flight: {{events: [FlightLanded]}}\n{topics}\n"
    );
    ContextDef::parse(&Source::new("topology/flights/context.yaml", text)).unwrap()
}

fn topics(partitions: u32, extra: &str) -> Desired {
    Desired { topics: desired::topics_of(&context(partitions, extra)), ..Desired::default() }
}

fn subject(text: &str) -> Desired {
    let schema = Schema::parse(&Source::new("schemas/flights/FlightLanded.avsc", text)).unwrap();
    let subjects =
        vec![DesiredSubject { name: SUBJECT.into(), schema: Arc::new(schema), past: None, role: Role::Record }];
    Desired { subjects, ..Desired::default() }
}

/// What there is once the plan was carried out.
fn applied(plan: &Plan) -> Actual {
    let mut actual = Actual { brokers: 1, ..Actual::default() };
    for action in &plan.actions {
        let Action::CreateTopic { name, partitions, replication, configs } = action else { panic!("{action:?}") };
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let topic = ActualTopic { partitions: *partitions, replication: *replication, configs };
        actual.topics.insert(name.clone(), topic);
    }
    actual
}

fn registered(latest: &str) -> Actual {
    let compatibility = Some(COMPATIBILITY.to_owned());
    let subject = ActualSubject { version: 2, latest: latest.into(), compatibility, ..ActualSubject::default() };
    Actual { brokers: 1, subjects: [(SUBJECT.to_owned(), subject)].into(), ..Actual::default() }
}

fn actual_of_nothing() -> Actual {
    Actual { brokers: 1, ..Actual::default() }
}

fn problems(plan: &Plan) -> Vec<String> {
    plan.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_cluster_gets_every_topic() {
    let plan = diff(&topics(4, ""), &actual_of_nothing());
    let created: Vec<(&str, i32, i16)> = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::CreateTopic { name, partitions, replication, .. } => (name.as_str(), *partitions, *replication),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        created,
        [
            ("flights.commands.v1", 4, 1),
            ("flights.commands.v1.dlq", 4, 1),
            ("flights.events.v1", 4, 1),
            ("flights.events.v1.dlq", 4, 1),
            ("flights.replies.v1", 4, 1),
        ]
    );
}

#[test]
fn events_are_kept_for_ever_and_requests_for_a_week() {
    let actual = applied(&diff(&topics(4, ""), &Actual { brokers: 3, ..Actual::default() }));
    let config = |topic: &str, key: &str| actual.topics[topic].configs[key].clone();
    assert_eq!(config("flights.events.v1", "retention.ms"), "-1");
    assert_eq!(config("flights.events.v1", "retention.bytes"), "-1");
    assert_eq!(config("flights.replies.v1", "retention.ms"), "604800000");
    assert_eq!(config("flights.events.v1", "cleanup.policy"), "delete");
    assert_eq!(config("flights.events.v1", "min.insync.replicas"), "2");
    assert_eq!(actual.topics["flights.events.v1"].replication, 3);
}

#[test]
fn what_was_applied_needs_nothing_more() {
    let desired = topics(4, "");
    let actual = applied(&diff(&desired, &actual_of_nothing()));
    let plan = diff(&desired, &actual);
    assert!(plan.actions.is_empty() && plan.problems.is_empty() && plan.warnings.is_empty(), "{plan:?}");
    assert_eq!(diff(&subject(SCHEMA), &registered(&SCHEMA.replace('\n', ""))).actions.len(), 0);
}

#[test]
fn the_number_of_partitions_is_frozen() {
    let actual = applied(&diff(&topics(4, ""), &actual_of_nothing()));
    let plan = diff(&topics(8, ""), &actual);
    assert_eq!(
        problems(&plan),
        ["topology/flights/context.yaml:2:13: `partitions` is 8, but in the cluster it is 4 (flights.commands.v1, \
          flights.commands.v1.dlq, flights.events.v1, flights.events.v1.dlq, flights.replies.v1); the number is frozen, \
          because a stream's partition follows from it"]
    );
}

#[test]
fn drift_of_the_configuration_is_corrected() {
    let desired = topics(4, "");
    let mut actual = applied(&diff(&desired, &actual_of_nothing()));
    let events = actual.topics.get_mut("flights.events.v1").unwrap();
    events.configs.insert("retention.ms".into(), "1000".into());
    events.configs.insert("segment.bytes".into(), "77".into());
    let plan = diff(&desired, &actual);
    let [Action::AlterTopic { name, changes }] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(name, "flights.events.v1");
    assert_eq!(*changes, [ConfigChange { key: "retention.ms", from: Some("1000".into()), to: "-1".into() }]);
}

#[test]
fn a_shorter_retention_of_events_is_warned_of() {
    let actual = applied(&diff(&topics(4, ""), &actual_of_nothing()));
    let plan = diff(&topics(4, "topics: {retention_ms: 86400000}"), &actual);
    assert_eq!((plan.actions.len(), plan.warnings.len()), (1, 1));
    assert!(plan.warnings[0].message.contains("flights.events.v1 older than 86400000 ms will be deleted"), "{plan:?}");
    let actual = applied(&diff(&topics(4, "topics: {retention_ms: 86400000}"), &actual_of_nothing()));
    assert_eq!(diff(&topics(4, ""), &actual).warnings, []);
}

#[test]
fn a_compacted_events_topic_is_refused_and_not_mended() {
    let desired = topics(4, "");
    let mut actual = applied(&diff(&desired, &actual_of_nothing()));
    let events = actual.topics.get_mut("flights.events.v1").unwrap();
    events.configs.insert("cleanup.policy".into(), "delete,compact".into());
    let plan = diff(&desired, &actual);
    assert!(plan.actions.is_empty());
    assert!(problems(&plan)[0].contains("topic flights.events.v1 is compacted"), "{plan:?}");
}

#[test]
fn replication_needs_brokers_and_is_not_changed_later() {
    let three = topics(4, "topics: {replication: 3}");
    let plan = diff(&three, &actual_of_nothing());
    assert_eq!(
        problems(&plan),
        ["topology/flights/context.yaml:5:23: `replication` is 3, but the cluster has 1 broker(s)"]
    );
    let plan = diff(&three, &applied(&diff(&topics(4, ""), &Actual { brokers: 1, ..Actual::default() })));
    assert_eq!((plan.actions.len(), plan.drift.len()), (0, 5), "{plan:?}");
}

#[test]
fn a_topic_of_the_context_that_no_file_declares_is_drift() {
    let desired = Desired { contexts: vec!["flights".parse().unwrap()], ..topics(4, "") };
    let mut actual = applied(&diff(&desired, &actual_of_nothing()));
    actual.names = actual.topics.keys().cloned().collect();
    assert!(diff(&desired, &actual).is_clean());
    actual.names.extend(["flights.old.v1", "flights.public.outbox", "hotels.old.v1"].map(str::to_owned));
    let plan = diff(&desired, &actual);
    let found: Vec<String> = plan.drift.iter().map(ToString::to_string).collect();
    assert!(!plan.is_clean() && plan.actions.is_empty());
    assert!(matches!(found.as_slice(), [one] if one.contains("context.yaml: topic flights.old.v1 is in")), "{found:?}");
}

#[test]
fn a_new_subject_is_created_and_an_unguarded_one_guarded_first() {
    let plan = diff(&subject(SCHEMA), &Actual::default());
    assert!(matches!(plan.actions.as_slice(), [Action::CreateSubject(_)]), "{plan:?}");
    let mut actual = registered(SCHEMA);
    actual.subjects.get_mut(SUBJECT).unwrap().compatibility = Some("NONE".into());
    let nullable = GROWN.replace(r#""int"}"#, r#"["null", "int"], "default": null}"#);
    let plan = diff(&subject(&nullable), &actual);
    let [Action::SetCompatibility { from, .. }, Action::AddVersion { version, differences, .. }] =
        plan.actions.as_slice()
    else {
        panic!("{plan:?}")
    };
    assert_eq!((from.as_deref(), *version), (Some("NONE"), 3));
    assert_eq!(*differences, [Difference::Added { field: "air_time_min".into(), r#type: "null or int".into() }]);
}

#[test]
fn an_incompatible_schema_is_refused_with_the_field_that_is_the_reason() {
    let plan = diff(&subject(GROWN), &registered(SCHEMA));
    assert!(plan.actions.is_empty());
    assert_eq!(
        problems(&plan),
        ["schemas/flights/FlightLanded.avsc:5:5: field air_time_min was added without a default (events of version 2 \
          could not be read)"]
    );
}

#[test]
fn every_older_version_counts_and_none_comes_back() {
    let mut actual = registered(SCHEMA);
    let text_time = GROWN.replace(r#""int""#, r#""string", "default": """#);
    actual.subjects.get_mut(SUBJECT).unwrap().older = vec![(1, text_time.clone())];
    let numeric = GROWN.replace(r#""int""#, r#""int", "default": 0"#);
    let plan = diff(&subject(&numeric), &actual);
    assert!(problems(&plan)[0].contains("changed from string to int (events of version 1"), "{plan:?}");
    let plan = diff(&subject(&text_time), &actual);
    assert!(problems(&plan)[0].contains("is what was registered as version 1, but version 2 came since"), "{plan:?}");
}

#[test]
fn what_only_the_registry_objects_to_is_refused_in_its_words() {
    let mut actual = registered(SCHEMA);
    actual.subjects.get_mut(SUBJECT).unwrap().objections = vec!["no".into()];
    let plan = diff(&subject(&SCHEMA.replace("carrier\", ", "carrier\", \"doc\": \"x\", ")), &actual);
    assert_eq!(problems(&plan), ["schemas/flights/FlightLanded.avsc: the registry refuses the schema: no"]);
}

#[test]
fn a_problem_of_a_schema_under_two_subjects_is_told_once() {
    let mut desired = subject(GROWN);
    let mut actual = registered(SCHEMA);
    let twin = DesiredSubject {
        name: "twin".into(),
        schema: desired.subjects[0].schema.clone(),
        past: None,
        role: Role::Record,
    };
    actual.subjects.insert("twin".into(), actual.subjects[SUBJECT].clone());
    desired.subjects.push(twin);
    assert_eq!(diff(&desired, &actual).problems.len(), 1);
}

#[test]
fn rows_may_go_back_to_an_earlier_schema_and_their_keys_never_change() {
    let mut actual = registered(GROWN);
    actual.subjects.get_mut(SUBJECT).unwrap().older = vec![(1, SCHEMA.to_owned())];
    let as_role = |role| {
        let mut desired = subject(SCHEMA);
        desired.subjects[0].role = role;
        diff(&desired, &actual)
    };
    let rows = as_role(Role::Row);
    assert!(rows.actions.is_empty() && rows.problems.is_empty(), "{rows:?}");
    let records = as_role(Role::Record);
    assert!(records.problems[0].message.contains("only goes forward"), "{records:?}");
    let keys = as_role(Role::RowKey);
    assert!(keys.problems[0].message.contains("cannot change"), "{keys:?}");
}
