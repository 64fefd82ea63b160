//! Which events somebody wants, by what they say about themselves.

use serde::{Deserialize, Serialize};

use crate::{EventHeaders, StreamId, Timestamp};

/// Conditions on an event's headers; all must hold. Claims of unique values are wanted only where a stream or a type names
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// One of these types, by name or in full; any if empty.
    pub types: Vec<String>,
    /// One of these streams; any if empty.
    pub streams: Vec<StreamId>,
    /// One of these business transactions; any if empty.
    pub correlation_ids: Vec<String>,
    /// At this instant or later, by the event's own time.
    pub from: Option<Timestamp>,
    /// Before this instant, by the event's own time.
    pub to: Option<Timestamp>,
}

impl Selection {
    /// Whether the event is wanted.
    pub fn wants(&self, event: &EventHeaders) -> bool {
        let of_type = |name: &String| *name == event.event_type || name == event.event_name();
        let correlated = || event.correlation_id.as_ref().is_some_and(|id| self.correlation_ids.contains(id));
        let of_domain = !event.stream.is_claim() || !self.types.is_empty() || !self.streams.is_empty();
        of_domain
            && (self.types.is_empty() || self.types.iter().any(of_type))
            && (self.streams.is_empty() || self.streams.contains(&event.stream))
            && (self.correlation_ids.is_empty() || correlated())
            && self.from.is_none_or(|from| event.time >= from)
            && self.to.is_none_or(|to| event.time < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;

    fn landed() -> EventHeaders {
        EventHeaders {
            id: "1".into(),
            event_type: "flights.flight.FlightLanded".into(),
            stream: "flight-UA1-20130101-EWR".parse().unwrap(),
            version: Version(3),
            time: "2013-01-01T14:30:00Z".parse().unwrap(),
            correlation_id: Some("storm".into()),
            causation_id: None,
            traceparent: None,
            tracestate: None,
            epoch: 1,
            request_id: None,
        }
    }

    #[test]
    fn every_condition_must_hold() {
        let time = |text: &str| Some(text.parse().unwrap());
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let types = |of: &[&str]| Selection { types: names(of), ..Selection::default() };
        let correlated = |of: &[&str]| Selection { correlation_ids: names(of), ..Selection::default() };
        let cases = [
            (Selection::default(), true),
            (types(&["FlightLanded"]), true),
            (types(&["FlightDeparted", "flights.flight.FlightLanded"]), true),
            (types(&["Landed"]), false),
            (Selection { streams: vec!["flight-UA2-20130101-EWR".parse().unwrap()], ..Selection::default() }, false),
            (correlated(&["fog", "storm"]), true),
            (correlated(&["fog"]), false),
            (Selection { from: time("2013-01-01T14:30:00Z"), ..Selection::default() }, true),
            (Selection { to: time("2013-01-01T14:30:00Z"), ..Selection::default() }, false),
            (Selection { to: time("2013-01-01T14:30:00.001Z"), ..types(&["FlightLanded"]) }, true),
            (Selection { from: time("2013-01-02T00:00:00Z"), ..types(&["FlightLanded"]) }, false),
        ];
        for (selection, wanted) in cases {
            assert_eq!(selection.wants(&landed()), wanted, "{selection:?}");
        }
        let claim = EventHeaders { stream: "unique_flight-number-0f".parse().unwrap(), ..landed() };
        let named = Selection { streams: vec![claim.stream.clone()], ..Selection::default() };
        assert!(!Selection::default().wants(&claim) && named.wants(&claim), "a claim is wanted by who names it");
        let unsaid = EventHeaders { correlation_id: None, ..landed() };
        assert!(!correlated(&["storm"]).wants(&unsaid));
    }
}
