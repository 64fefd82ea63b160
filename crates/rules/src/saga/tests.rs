//! What a saga's file says, and what is refused where.

use serde_json::json;
use spina_core::event_shape::{EventField, FieldKind};
use spina_core::saga::{Ask, Request, SagaEvent, effect, start};
use spina_core::{EventHeaders, Position, Timestamp, Version};

use super::*;
use crate::decide::Shapes;

fn shape(name: &str, fields: &[&str]) -> spina_core::event_shape::EventShape {
    let field = |name: &&str| EventField {
        name: (*name).to_owned(),
        kind: FieldKind::Text,
        nullable: false,
        has_default: false,
    };
    spina_core::event_shape::EventShape { name: name.into(), fields: fields.iter().map(field).collect() }
}

fn known() -> Known {
    let flights =
        Shapes { events: vec![shape("FlightCancelled", &["carrier"]), shape("FlightLanded", &[])], commands: vec![] };
    let commands = vec![shape("HoldSeats", &["seats"]), shape("ReleaseSeats", &[])];
    let booking = Shapes { events: vec![shape("SeatsHeld", &["seats"])], commands };
    [("flights".parse().unwrap(), flights), ("booking".parse().unwrap(), booking)].into()
}

fn load(text: &str) -> Result<Saga, String> {
    compile(&Source::new("s.yaml", text), &known()).map_err(|problems| problems.to_string())
}

const REBOOK: &str = "\
saga: rebook
version: 3
start:
  on: flights.FlightCancelled
  when: data.carrier != 'XX'
  key: event.key
  input: { flight: event.key, carrier: data.carrier }
steps:
  - name: hold
    command: booking.HoldSeats
    stream: \"'seats-' + input.flight\"
    fields: { seats: \"'2'\" }
    accept: [seats.none_left]
    outputs: { version: reply.version }
    timeout_ms: 5000
    retry: { unavailable: { attempts: 3, first_ms: 10, most_ms: 50 } }
    undo: { command: booking.ReleaseSeats, stream: \"'seats-' + input.flight\" }
  - name: which
    choice:
      - when: steps.hold.rejected == null
        steps: [{ name: rest, wait_ms: 10 }]
      - steps: [{ name: landed, await: flights.FlightLanded, key: event.key, timeout_ms: 1000 }]
  - name: both
    parallel:
      - [{ name: tell, http: \"'http://stub'\", body: { key: key }, rate: { per_second: 20 },
          undo: { none: a notice cannot be recalled } }]
      - [{ name: nap, wait_ms: \"5 + 5\" }]
";

fn cancelled(carrier: &str) -> Recorded {
    let headers = EventHeaders {
        id: "e1".into(),
        event_type: "flights.flight.FlightCancelled".into(),
        stream: "flight-UA1".parse().unwrap(),
        version: Version(1),
        time: Timestamp::default(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
        epoch: 1,
        request_id: None,
    };
    let position = Position { topic: "flights.events.v1".into(), partition: 0, offset: 0 };
    Recorded { headers, position, data: json!({ "carrier": carrier }).as_object().unwrap().clone() }
}

#[test]
fn a_definition_becomes_a_plan_that_asks_what_it_says() {
    let saga = load(REBOOK).unwrap();
    assert_eq!((saga.plan.name.as_str(), saga.plan.version, saga.awaits.len()), ("rebook", 3, 1));
    let begin = saga.start.as_ref().unwrap();
    assert_eq!(begin.of(&cancelled("XX")), Ok(None));
    let (key, input) = begin.of(&cancelled("UA")).unwrap().unwrap();
    let (_, events) = start(&saga.plan, "saga-rebook-UA1", &key, input, Timestamp::default());
    let asks: Vec<_> = events.iter().filter_map(|event| effect("saga-rebook-UA1", event)).collect();
    let Request::Command { stream, fields, command, .. } = asks[0].1 else { panic!("{asks:?}") };
    assert_eq!((stream.as_str(), command.as_str(), fields["seats"].as_str()), ("seats-UA1", "HoldSeats", Some("2")));
    assert_eq!(asks[0].0.to_string(), "saga-rebook-UA1/hold/do/1");
    assert!(matches!(&events[0], SagaEvent::Started { version: 3, .. }));
}

#[test]
fn a_call_that_may_be_taken_for_later_says_how_often_it_is_heard_of() {
    let text = REBOOK.replacen("rate: { per_second: 20 }", "timeout_ms: 60000, heartbeat_ms: 2000", 1);
    let saga = load(&text).unwrap();
    let Some(Ask::Http { heartbeat_us, .. }) = saga.plan.step("tell").and_then(|step| step.ask(false)) else {
        panic!("{saga:?}")
    };
    assert_eq!(*heartbeat_us, Some(2_000_000));
}

#[test]
fn bad_definitions_are_refused_with_their_place_and_what_to_do() {
    let cases = [
        ("saga: rebook", "saga: Rebook", "s.yaml:1:7: `Rebook` is not a name"),
        ("saga: rebook\n", "", "1: `saga` is missing"),
        ("version: 3", "version: 0", "s.yaml:2:10: `version` must be from 1"),
        ("version: 3", "version: new", "s.yaml:2:10: `version` must be a whole number"),
        ("version: 3\n", "", "`version` is missing"),
        ("version: 3", "version: 3\nowner: me", "s.yaml:3:1: a saga has no key `owner`"),
        ("on: flights.FlightCancelled", "on: FlightCancelled", "s.yaml:4:7: `FlightCancelled` names no context"),
        ("on: flights.FlightCancelled", "on: trains.Late", "there is no context `trains`; there are booking, flights"),
        ("on: flights.FlightCancelled", "on: flights.FlightLost", "context flights has no event `FlightLost`, it has"),
        ("  key: event.key\n  input", "  input", "s.yaml:4:3: `key` is missing"),
        ("data.carrier != 'XX'", "data.airline != 'XX'", "the event has no field `airline`, it has carrier"),
        ("data.carrier != 'XX'", "data.carrier !=", "is not a CEL expression"),
        ("flight: event.key,", "flight: event.number,", "`event` has no field `number`"),
        ("flight: event.key,", "flight: [1],", "an input must be an expression, not a list"),
        ("name: hold", "name: Hold", "s.yaml:9:11: `Hold` is not a name"),
        ("name: nap", "name: hold", "there is a step `hold` already"),
        ("name: nap, wait_ms", "wait_ms", "`name` is missing"),
        ("booking.HoldSeats", "booking.TakeSeats", "context booking has no command `TakeSeats`, it has HoldSeats"),
        ("command: booking.HoldSeats", "command: booking.HoldSeats\n    http: key", "a step is exactly one of command"),
        ("    command: booking.HoldSeats\n", "", "a step is exactly one of command"),
        ("fields: { seats: \"'2'\" }", "fields: { places: \"'2'\" }", "HoldSeats has no field `places`, it has: seats"),
        ("    fields: { seats: \"'2'\" }\n", "", "HoldSeats needs the field `seats`"),
        ("    timeout_ms: 5000\n", "    timeout_ms: 0\n", "`timeout_ms` must be from 1"),
        ("attempts: 3", "attempts: 0", "`attempts` must be from 1"),
        ("unavailable: {", "busy: {", "`retry` has no key `busy`"),
        ("first_ms: 10", "first_ms: 100", "`most_ms` is less than `first_ms`"),
        ("{ per_second: 20 }", "20", "`rate` must be a mapping, not a whole number"),
        ("{ per_second: 20 }", "{ burst: 5 }", "`per_second` is missing"),
        ("{ per_second: 20 }", "{ per_second: 0 }", "`per_second` must be from 1 to 10000, not 0"),
        ("{ per_second: 20 }", "{ per_second: 20, burst: 0.5 }", "`burst` must be a whole number"),
        ("{ per_second: 20 }", "{ per_minute: 20 }", "`rate` has no key `per_minute`"),
        ("rate: { per_second: 20 }", "heartbeat_ms: often", "`heartbeat_ms` must be a whole number"),
        ("rate: { per_second: 20 }", "heartbeat_ms: 5", "`heartbeat_ms` must be from 100"),
        ("rate: { per_second: 20 }", "heartbeat_ms: 30000", "is shorter than `timeout_ms`, which is 30000"),
        ("timeout_ms: 5000", "heartbeat_ms: 1000", "a command step has no key `heartbeat_ms`"),
        ("timeout_ms: 5000", "rate: { per_second: 20 }", "a command step has no key `rate`"),
        (
            "undo: { command: booking.ReleaseSeats,",
            "undo: { rate: { per_second: 20 }, command: booking.ReleaseSeats,",
            "only an `http` call has a `rate`",
        ),
        ("undo: { none: a notice cannot be recalled }", "timeout_ms: 5", "`undo` is missing: a command or call"),
        ("none: a notice cannot be recalled", "none: ''", "`none` says why nothing has to be taken back"),
        ("none: a notice", "http: key, none: a notice", "`undo` has `none` and something else"),
        (
            "undo: { command: booking.ReleaseSeats, stream: \"'seats-' + input.flight\" }",
            "undo: {}",
            "a `command` or an `http` call",
        ),
        (
            "'seats-' + input.flight\"\n    fields",
            "'seats-' + input.plane\"\n    fields",
            "the input has no `plane`, it has carrier, flight",
        ),
        ("'seats-' + input.flight\"\n    fields", "'seats-' + data.flight\"\n    fields", "unknown name `data`"),
        ("steps.hold.rejected == null", "steps.hole.rejected == null", "step `hole` does not exist"),
        ("steps.hold.rejected == null", "steps.nap.x == null", "step `nap` does not exist"),
        (
            "steps.hold.rejected == null",
            "steps.hold.rejection == null",
            "step hold has no output `rejection`, it has: rejected, version",
        ),
        ("body: { key: key }", "body: { key: steps.rest.x }", "step `rest` is not done before this one"),
        (
            "      - when: steps.hold.rejected == null\n        steps",
            "      - steps",
            "the branches after one without `when`",
        ),
        ("key: event.key, timeout_ms: 1000", "key: event.key", "`timeout_ms` is missing: an event may never come"),
        ("await: flights.FlightLanded, key: event.key,", "await: flights.FlightLanded,", "`key` is missing"),
        ("wait_ms: 10", "wait_ms: -10", "a wait is not negative"),
        ("wait_ms: 10 }", "wait_ms: 10, undo: { none: x } }", "a wait_ms step has no key `undo`"),
        ("      - [{ name: nap, wait_ms: \"5 + 5\" }]\n", "", "`parallel` has 2 to"),
        ("[{ name: rest, wait_ms: 10 }]", "[]", "a sequence has 1 to"),
        ("accept: [seats.none_left]", "accept: seats.none_left", "`accept` must be a list"),
        ("reply.version }", "answer.version }", "unknown name `answer`"),
    ];
    assert!(load(REBOOK).is_ok());
    for (from, to, expected) in cases {
        let text = REBOOK.replacen(from, to, 1);
        assert_ne!(text, REBOOK, "{from}");
        let problems = load(&text).expect_err(to);
        assert!(problems.contains(expected), "{from} -> {to}\nexpected: {expected}\nfound: {problems}");
        assert!(problems.lines().all(|line| line.starts_with("s.yaml:")), "{problems}");
    }
}
