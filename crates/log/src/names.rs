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

/// Compacted topic of a read model: `flights.departures.model.v1`.
///
/// Model names may have underscores, topics may not (Kafka folds dots and underscores together in metric names).
pub fn model_topic(context: &ContextName, model: &str) -> String {
    format!("{context}.{}.model.v1", model.replace('_', "-"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let flights: ContextName = "flights".parse().unwrap();
        let names = [
            (events_topic(&flights), "flights.events.v1"),
            (commands_topic(&flights), "flights.commands.v1"),
            (replies_topic(&flights), "flights.replies.v1"),
            (model_topic(&flights, "daily_delays"), "flights.daily-delays.model.v1"),
            (dlq("flights.commands.v1"), "flights.commands.v1.dlq"),
            (event_store_group(&flights), "event-store.flights"),
            (transactional_id(&flights, 3, 0), "event-store.flights.3.0"),
        ];
        for (name, expected) in names {
            assert_eq!(name, expected);
        }
    }
}
