//! From what was read to alerts: pure, time is an argument.

use std::collections::{BTreeMap, BTreeSet};

use spina_core::Timestamp;
use spina_core::correlation::Labels;
use spina_rules::correlation::{Reading, Watch, show_span};

use crate::route::Alert;

/// Most alerts of one look; what is beyond is read again at the next.
const ALERTS_MAX: usize = 1_000;

/// What was read, of what.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What was read.
    pub reading: Reading,
    /// Of what: a service, a model, a partition.
    pub labels: Labels,
    /// How much.
    pub value: f64,
}

/// Since when conditions hold.
#[derive(Debug, Default)]
pub struct Watching {
    since: BTreeMap<(String, Labels), Condition>,
}

#[derive(Debug, Clone, Copy)]
struct Condition {
    since: Timestamp,
    fires: bool,
}

impl Watching {
    /// The alerts of a look: those that fire, each time anew so that they last, and those that are over. What could not be
    /// read (`unread`) stays as it is.
    pub fn look(
        &mut self,
        watches: &[&Watch],
        values: &[Value],
        unread: &BTreeSet<Reading>,
        now: Timestamp,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let mut holds = BTreeSet::new();
        for watch in watches {
            for value in values.iter().filter(|value| value.reading == watch.reads && value.value > watch.above) {
                let key = (watch.alert.clone(), value.labels.clone());
                let condition = self.since.entry(key.clone()).or_insert(Condition { since: now, fires: false });
                let fires = now.micros() - condition.since.micros() >= watch.lasts;
                if fires && alerts.len() < ALERTS_MAX {
                    condition.fires = true;
                    alerts.push(alert(watch, &value.labels, condition.since, None, value.value));
                }
                holds.insert(key);
            }
        }
        let known = std::mem::take(&mut self.since);
        for (key, condition) in known {
            let watch = watches.iter().find(|watch| watch.alert == key.0);
            if holds.contains(&key) || watch.is_some_and(|watch| unread.contains(&watch.reads)) {
                self.since.insert(key, condition);
            } else if let Some(watch) = watch.filter(|_| condition.fires) {
                alerts.push(alert(watch, &key.1, condition.since, Some(now), 0.0));
            }
        }
        alerts
    }
}

fn alert(watch: &Watch, of: &Labels, since: Timestamp, ends_at: Option<Timestamp>, value: f64) -> Alert {
    let own = [("alertname", watch.alert.as_str()), ("severity", watch.severity.as_str())];
    let labels = of.iter().chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let lasts = if watch.lasts > 0 { format!(" for {}", show_span(watch.lasts)) } else { String::new() };
    let summary = format!("{} is above {}{lasts}: {value}", watch.reads.name(), watch.above);
    let annotations = [("summary".to_owned(), summary)].into_iter().collect();
    Alert { labels, annotations, starts_at: since, ends_at, generator_url: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000).unwrap()
    }

    fn watch() -> Watch {
        let (alert, severity) = ("HighErrorRate".to_owned(), "critical".to_owned());
        Watch { alert, reads: Reading::ErrorRate, above: 0.01, lasts: 300_000_000, severity }
    }

    fn read(service: &str, value: f64) -> Value {
        let labels = [("service".to_owned(), service.to_owned())].into_iter().collect();
        Value { reading: Reading::ErrorRate, labels, value }
    }

    /// Service, and whether it is over.
    fn told(alerts: &[Alert]) -> Vec<(String, bool)> {
        alerts.iter().map(|alert| (alert.labels.get("service").to_owned(), alert.ends_at.is_some())).collect()
    }

    #[test]
    fn a_condition_must_last_and_is_told_until_it_is_over() {
        let (watch, nothing) = (watch(), BTreeSet::new());
        let mut watching = Watching::default();
        let mut look = |seconds, values: &[Value]| watching.look(&[&watch], values, &nothing, at(seconds));
        assert!(look(0, &[read("a", 0.5), read("b", 0.005)]).is_empty());
        assert!(look(299, &[read("a", 0.02)]).is_empty());
        let fires = look(300, &[read("a", 0.02), read("b", 0.02)]);
        assert_eq!(told(&fires), [("a".to_owned(), false)]);
        assert_eq!((fires[0].starts_at, fires[0].labels.get("severity")), (at(0), "critical"));
        assert!(fires[0].annotations.get("summary").contains("error_rate is above 0.01 for 5m: 0.02"));
        assert_eq!(look(315, &[read("a", 0.02)])[0].starts_at, at(0), "it is the same one");
        assert_eq!(told(&look(330, &[read("a", 0.01)])), [("a".to_owned(), true)]);
        assert!(look(345, &[read("a", 0.9)]).is_empty(), "it must last anew");
    }

    #[test]
    fn what_cannot_be_read_is_neither_over_nor_told() {
        let watch = Watch { lasts: 0, ..watch() };
        let mut watching = Watching::default();
        let unread = BTreeSet::from([Reading::ErrorRate]);
        assert_eq!(watching.look(&[&watch], &[read("a", 1.0)], &BTreeSet::new(), at(0)).len(), 1);
        assert!(watching.look(&[&watch], &[], &unread, at(15)).is_empty());
        assert_eq!(told(&watching.look(&[&watch], &[], &BTreeSet::new(), at(30))), [("a".to_owned(), true)]);
    }

    #[test]
    fn a_look_tells_so_many_alerts_and_no_more() {
        let watch = Watch { lasts: 0, ..watch() };
        let values: Vec<Value> = (0..5_000).map(|n| read(&n.to_string(), 1.0)).collect();
        assert_eq!(Watching::default().look(&[&watch], &values, &BTreeSet::new(), at(0)).len(), ALERTS_MAX);
    }
}
