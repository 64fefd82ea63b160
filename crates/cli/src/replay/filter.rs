//! Which events a replay prints.

use std::str::FromStr;

use spina_core::{EventHeaders, StreamId, Timestamp, Token};

/// Where a replay begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// At events that happened at this instant or later.
    Time(Timestamp),
    /// After the record of this token.
    Token(Token),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        let bad =
            |_| format!("`{text}` is neither an instant (2013-01-01T00:00:00Z) nor a token (flights.events.v1:3:1287)");
        text.parse().map(Self::Token).map_err(bad)
    }
}

/// Conditions on an event's headers; all must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// One of these types, by name or in full; any if empty.
    pub types: Vec<String>,
    /// One of these streams; any if empty.
    pub streams: Vec<StreamId>,
    /// At this instant or later, by the event's own time.
    pub from: Option<Timestamp>,
    /// Before this instant, by the event's own time.
    pub to: Option<Timestamp>,
}

impl Filter {
    /// Whether the event is wanted.
    pub fn wants(&self, event: &EventHeaders) -> bool {
        let of_type = |name: &String| *name == event.event_type || name == event.event_name();
        (self.types.is_empty() || self.types.iter().any(of_type))
            && (self.streams.is_empty() || self.streams.contains(&event.stream))
            && self.from.is_none_or(|from| event.time >= from)
            && self.to.is_none_or(|to| event.time < to)
    }
}

#[cfg(test)]
mod tests {
    use spina_core::Version;

    use super::*;

    fn landed() -> EventHeaders {
        EventHeaders {
            id: "1".into(),
            event_type: "flights.flight.FlightLanded".into(),
            stream: "flight-UA1-20130101-EWR".parse().unwrap(),
            version: Version(3),
            time: "2013-01-01T14:30:00Z".parse().unwrap(),
            correlation_id: None,
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
        let types =
            |names: &[&str]| Filter { types: names.iter().map(|&name| name.into()).collect(), ..Filter::default() };
        let cases = [
            (Filter::default(), true),
            (types(&["FlightLanded"]), true),
            (types(&["FlightDeparted", "flights.flight.FlightLanded"]), true),
            (types(&["Landed"]), false),
            (Filter { streams: vec!["flight-UA2-20130101-EWR".parse().unwrap()], ..Filter::default() }, false),
            (Filter { from: time("2013-01-01T14:30:00Z"), ..Filter::default() }, true),
            (Filter { to: time("2013-01-01T14:30:00Z"), ..Filter::default() }, false),
            (Filter { to: time("2013-01-01T14:30:00.001Z"), ..types(&["FlightLanded"]) }, true),
            (Filter { from: time("2013-01-02T00:00:00Z"), ..types(&["FlightLanded"]) }, false),
        ];
        for (filter, wanted) in cases {
            assert_eq!(filter.wants(&landed()), wanted, "{filter:?}");
        }
    }

    #[test]
    fn a_beginning_is_a_time_or_a_token() {
        assert!(matches!("2013-01-01T00:00:00Z".parse(), Ok(From::Time(_))));
        assert!(matches!("flights.events.v1:3:1287".parse(), Ok(From::Token(_))));
        assert!("monday".parse::<From>().is_err());
    }
}
