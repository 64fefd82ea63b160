//! The names of everything Spina has in Kafka: topics, groups, transactional ids. They are spelled nowhere else.

use spina_core::ContextName;

/// Topic of a context's events: `flights.events.v1`.
pub fn events_topic(context: &ContextName) -> String {
    format!("{context}.events.v1")
}

/// Topic of a context's commands: `flights.commands.v1`.
pub fn commands_topic(context: &ContextName) -> String {
    format!("{context}.commands.v1")
}

/// Topic of the answers to a context's commands: `flights.replies.v1`.
pub fn replies_topic(context: &ContextName) -> String {
    format!("{context}.replies.v1")
}

/// Topic that a context publishes for everybody, by its name with version: `flights.late-landings.v1`.
pub fn published_topic(context: &ContextName, name: &str) -> String {
    format!("{context}.{name}")
}

/// Consumer group that fills a published topic: `publish.flights.late-landings.v1`.
pub fn publish_group(topic: &str) -> String {
    format!("publish.{topic}")
}

/// Consumer group that takes a topic of plain JSON in for a context: `intake.flights.airport.notices`.
pub fn intake_group(context: &ContextName, topic: &str) -> String {
    format!("intake.{context}.{topic}")
}

/// Compacted topic of a read model: `flights.departures.model.v1`.
///
/// Model names may have underscores, topics may not (Kafka folds dots and underscores together in metric names).
pub fn model_topic(context: &ContextName, model: &str) -> String {
    format!("{context}.{}.model.v1", model.replace('_', "-"))
}

/// Whether a topic is named as Spina names those of a context: `flights.<words>.v1`, or the dead letters of one.
pub fn is_versioned_topic_of(context: &ContextName, topic: &str) -> bool {
    let named = topic.strip_prefix(context.as_str()).and_then(|rest| rest.strip_prefix('.'));
    let version = named.and_then(|rest| rest.strip_suffix(".dlq").unwrap_or(rest).rsplit_once(".v"));
    version.is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Transactional id of whoever writes a read model's topic: `projector.flights.daily_delays`. It names the model and not the
/// process, so whoever takes the model over fences its predecessor by opening it.
pub fn model_transactional_id(context: &ContextName, model: &str) -> String {
    format!("projector.{context}.{model}")
}

/// Transactional id of whoever copies what a read model cannot decode to the dead letters of its events:
/// `projector.flights.daily_delays.dlq`.
pub fn dead_letter_transactional_id(context: &ContextName, model: &str) -> String {
    format!("projector.{context}.{model}.dlq")
}

/// Topic of the records of `topic` that could not be handled: `flights.commands.v1.dlq`.
pub fn dlq(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// Consumer group of the event-stores of a context: `event-store.flights`.
pub fn event_store_group(context: &ContextName) -> String {
    format!("event-store.{context}")
}

/// Transactional id of one lane of one partition's writer: `event-store.flights.3.0`.
///
/// It names the partition and not the process, so whoever takes the partition over fences its predecessor by opening it.
pub fn transactional_id(context: &ContextName, partition: i32, lane: usize) -> String {
    format!("event-store.{context}.{partition}.{lane}")
}

/// Topic of what happened to sagas, keyed by saga id.
pub const SAGAS_TOPIC: &str = "spina.sagas.v1";

/// Topic of what reaches sagas (events, replies, verbs), keyed by saga id.
pub const SAGA_INBOX_TOPIC: &str = "spina.saga-inbox.v1";

/// Consumer group that sorts the records of a topic into the sagas' inbox: `saga-route.flights.events.v1`.
pub fn saga_route_group(topic: &str) -> String {
    format!("saga-route.{topic}")
}

/// Consumer group that runs the sagas.
pub const SAGA_REACT_GROUP: &str = "saga-react";

/// Transactional id of one lane of a processor's partition: `saga-react.3.0`. As with [`transactional_id`], it names the
/// partition and not the process.
pub fn processor_transactional_id(group: &str, partition: i32, lane: usize) -> String {
    format!("{group}.{partition}.{lane}")
}

/// Transactional id of whoever copies a replay into a topic: `replay.0198…`. It names the job and not the process.
pub fn replay_transactional_id(job: &str) -> String {
    format!("replay.{job}")
}

/// Transactional id of whoever carries an outbox table to a topic. It names the table and not the process.
pub fn outbox_transactional_id(topic: &str, table: &str) -> String {
    format!("outbox.{topic}.{table}")
}

/// Whether only Spina writes to a topic of that name, or Kafka itself: nothing may be copied there.
pub fn is_ours(topic: &str) -> bool {
    let context = [".events.v1", ".commands.v1", ".replies.v1", ".model.v1", ".dlq"];
    topic.starts_with("spina.")
        || topic.starts_with("__")
        || topic == ALERTS_TOPIC
        || context.iter().any(|end| topic.ends_with(end))
}

/// The journal of the alert-correlator: signals, readings of the clock, rules, silences. One partition.
pub const SIGNALS_TOPIC: &str = "spina.signals.v1";

/// Topic of what happened to incidents, keyed by incident. One partition.
pub const INCIDENTS_TOPIC: &str = "spina.incidents.v1";

/// Topic that tells of every registered version of a schema, keyed by subject. One partition.
pub const SCHEMAS_TOPIC: &str = "spina.schemas.v1";

/// Full name of the Avro record that tells of one.
pub const SCHEMA_RECORD: &str = "spina.SchemaRegistered";

/// Transactional id of whoever writes [`SCHEMAS_TOPIC`]: they shut each other out.
pub const SCHEMAS_TRANSACTIONAL_ID: &str = "schemas";

/// Topic of what was done with jobs, by whom and why, keyed by job. One partition.
pub const JOBS_TOPIC: &str = "spina.jobs.v1";

/// Full name of the Avro record that tells of it.
pub const JOB_RECORD: &str = "spina.JobChanged";

/// Transactional id of whoever writes [`JOBS_TOPIC`]: they shut each other out.
pub const JOBS_TRANSACTIONAL_ID: &str = "jobs";

/// Whether a topic is Spina's alone: nobody else writes there or needs to read it.
pub fn is_internal(topic: &str) -> bool {
    [SIGNALS_TOPIC, SAGA_INBOX_TOPIC].contains(&topic)
}

/// Topic that any Kafka client may publish alerts to.
pub const ALERTS_TOPIC: &str = "monitoring.alerts.v1";

/// Names of the journal's Avro records, in namespace `spina`.
pub const SIGNAL_RECORDS: [&str; 8] = [
    "SignalTaken",
    "SourceAdvanced",
    "ClockTicked",
    "RulesChanged",
    "SilenceSet",
    "SilenceExpired",
    "IncidentAsked",
    "NotificationEnded",
];

/// Names of the Avro records of incidents, in namespace `spina`.
pub const INCIDENT_RECORDS: [&str; 8] = [
    "IncidentOpened",
    "IncidentGrew",
    "IncidentAcknowledged",
    "IncidentMitigated",
    "IncidentReopened",
    "IncidentMerged",
    "IncidentResolved",
    "NotificationDecided",
];

/// Consumer group of the alert-correlators on one of the topics that they read.
pub fn correlator_group(topic: &str) -> String {
    format!("alert-correlator.{topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contexts_topics_are_known_by_their_names() {
        let flights: ContextName = "flights".parse().unwrap();
        for topic in ["flights.events.v1", "flights.old.v12", "flights.commands.v1.dlq", "flights.a.model.v1"] {
            assert!(is_versioned_topic_of(&flights, topic), "{topic}");
        }
        for topic in
            ["flights.public.outbox", "flights2.events.v1", "flights", "flights.v1", "flights.a.vx", "flights.a.v"]
        {
            assert!(!is_versioned_topic_of(&flights, topic), "{topic}");
        }
    }

    #[test]
    fn names_are_those_of_the_contract() {
        let flights: ContextName = "flights".parse().unwrap();
        let names = [
            (events_topic(&flights), "flights.events.v1"),
            (commands_topic(&flights), "flights.commands.v1"),
            (replies_topic(&flights), "flights.replies.v1"),
            (model_topic(&flights, "daily_delays"), "flights.daily-delays.model.v1"),
            (published_topic(&flights, "late-landings.v1"), "flights.late-landings.v1"),
            (publish_group("flights.late-landings.v1"), "publish.flights.late-landings.v1"),
            (intake_group(&flights, "airport.notices"), "intake.flights.airport.notices"),
            (model_transactional_id(&flights, "daily_delays"), "projector.flights.daily_delays"),
            (dlq("flights.commands.v1"), "flights.commands.v1.dlq"),
            (dead_letter_transactional_id(&flights, "daily_delays"), "projector.flights.daily_delays.dlq"),
            (event_store_group(&flights), "event-store.flights"),
            (transactional_id(&flights, 3, 0), "event-store.flights.3.0"),
            (saga_route_group("flights.events.v1"), "saga-route.flights.events.v1"),
            (correlator_group(SIGNALS_TOPIC), "alert-correlator.spina.signals.v1"),
            (processor_transactional_id(SAGA_REACT_GROUP, 3, 0), "saga-react.3.0"),
            (replay_transactional_id("0198"), "replay.0198"),
            (outbox_transactional_id("flights.commands.v1", "7.app.outbox"), "outbox.flights.commands.v1.7.app.outbox"),
        ];
        for (name, expected) in names {
            assert_eq!(name, expected);
        }
    }

    #[test]
    fn topics_that_only_spina_writes_are_known_by_their_names() {
        let flights: ContextName = "flights".parse().unwrap();
        let ours = [events_topic(&flights), commands_topic(&flights), model_topic(&flights, "x"), dlq("x")];
        assert!(ours.iter().all(|topic| is_ours(topic)));
        assert!(is_ours(SAGAS_TOPIC) && is_ours(ALERTS_TOPIC) && is_ours("__consumer_offsets"));
        assert!(!is_ours("flights.replayed") && !is_ours("spinach"));
    }
}
