//! What services tell at `/metrics`: counters between two looks, and gauges. Pure.

use std::collections::BTreeMap;

use spina_core::correlation::Labels;
use spina_rules::correlation::Reading;

use super::watching::Value;

/// What one service told last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters {
    answers: f64,
    failed: f64,
    seconds: f64,
}

/// Reads a page: what is read of the service since the page before.
pub fn read(page: &str, before: &mut BTreeMap<String, Counters>) -> Vec<Value> {
    let (mut now, mut values): (BTreeMap<String, Counters>, Vec<Value>) = Default::default();
    for (name, labels, value) in page.lines().filter_map(sample) {
        if let Some(service) = between(name, "spina_", "_http_requests_total") {
            let counters = now.entry(service.replace('_', "-")).or_default();
            counters.answers += value;
            if labels.get("status").starts_with('5') {
                counters.failed += value;
            }
        } else if let Some(service) = between(name, "spina_", "_http_request_duration_seconds_sum") {
            now.entry(service.replace('_', "-")).or_default().seconds += value;
        } else if name == "spina_projector_lag_records" {
            values.push(Value { reading: Reading::LagRecords, labels, value });
        }
    }
    for (service, counters) in now {
        let last = before.insert(service.clone(), counters.clone());
        // A service that was started again counts from nothing.
        let Some(last) = last.filter(|last| last.answers < counters.answers) else { continue };
        let answers = counters.answers - last.answers;
        let of = || [("service".to_owned(), service.clone())].into_iter().collect();
        let share = (counters.failed - last.failed).max(0.0) / answers;
        values.push(Value { reading: Reading::ErrorRate, labels: of(), value: share });
        let mean = (counters.seconds - last.seconds).max(0.0) / answers;
        values.push(Value { reading: Reading::AnswerSeconds, labels: of(), value: mean });
    }
    values
}

fn between<'n>(name: &'n str, prefix: &str, suffix: &str) -> Option<&'n str> {
    name.strip_prefix(prefix)?.strip_suffix(suffix)
}

/// A line as name, labels and value; `None` for comments and what is none.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse::<f64>().ok().filter(|value| value.is_finite())?;
    let Some((name, labels)) = series.split_once('{') else {
        return (!series.starts_with('#')).then(|| (series, Labels::default(), value));
    };
    let labels = labels.strip_suffix('}')?;
    let pairs = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
    Some((name, pairs.collect(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ok: u32, failed: u32, seconds: f64) -> String {
        format!(
            "# TYPE spina_event_store_http_requests counter\n\
             spina_event_store_http_requests_total{{route=\"/v1/{{context}}/commands\",method=\"POST\",status=\"201\"}} {ok}\n\
             spina_event_store_http_requests_total{{route=\"none\",method=\"GET\",status=\"503\"}} {failed}\n\
             spina_event_store_http_request_duration_seconds_sum{{route=\"none\",method=\"GET\",status=\"503\"}} {seconds}\n\
             spina_projector_lag_records{{context=\"flights\",model=\"delays\"}} 7\n# EOF\n"
        )
    }

    fn told(values: &[Value], reading: Reading) -> Option<f64> {
        values.iter().find(|value| value.reading == reading).map(|value| value.value)
    }

    #[test]
    fn rates_are_those_between_two_looks() {
        let mut before = BTreeMap::new();
        let first = read(&page(100, 100, 5.0), &mut before);
        assert_eq!(told(&first, Reading::ErrorRate), None, "there was no look before");
        assert_eq!(first[0].labels.get("model"), "delays");
        let second = read(&page(190, 110, 55.0), &mut before);
        assert_eq!(told(&second, Reading::ErrorRate), Some(0.1));
        assert_eq!(told(&second, Reading::AnswerSeconds), Some(0.5));
        assert_eq!(told(&second, Reading::LagRecords), Some(7.0));
        let restarted = read(&page(3, 1, 0.1), &mut before);
        assert_eq!(told(&restarted, Reading::ErrorRate), None);
        assert_eq!(told(&read(&page(3, 2, 0.1), &mut before), Reading::ErrorRate), Some(1.0));
    }
}
