//! Expressions: plain paths, CEL, and what does not compile.

use serde_json::json;
use spina_core::{EventHeaders, Position, Version};

use super::*;

fn compile(text: &str) -> Result<Expr, String> {
    let source = Source::new("p.yaml", format!("x: {text}\n"));
    let text = Located::new(text.to_owned(), Place { line: 1, column: 4 });
    Expr::compile(&source, &text).map_err(|problem| problem.to_string())
}

fn landed(data: Value) -> Recorded {
    let headers = EventHeaders {
        id: "e-1".into(),
        event_type: "flights.flight.FlightLanded".into(),
        stream: "flight-UA1-20130101-EWR".parse().unwrap(),
        version: Version(3),
        time: "2013-01-01T10:15:00Z".parse().unwrap(),
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
        epoch: 1,
        request_id: None,
    };
    let position = Position { topic: "flights.events.v1".into(), partition: 0, offset: 0 };
    Recorded { headers, position, data: data.as_object().unwrap().clone() }
}

fn eval(text: &str, data: Value) -> Value {
    compile(text).unwrap().eval(&landed(data)).unwrap().into_owned()
}

#[test]
fn paths_and_literals_are_direct_and_equal_cel() {
    let data = || json!({"carrier": "UA", "at": {"gate": 7, "dock": null}, "tail": null});
    for (text, direct, value) in [
        ("data.carrier", true, json!("UA")),
        ("data.at.gate", true, json!(7)),
        ("data.tail", true, json!(null)),
        ("data.at.dock.row", true, json!(null)),
        ("event.stream", true, json!("flight-UA1-20130101-EWR")),
        ("event.key", true, json!("UA1-20130101-EWR")),
        ("event.version", true, json!(3)),
        ("event.name", true, json!("FlightLanded")),
        ("event.time", true, json!("2013-01-01T10:15:00Z")),
        ("'landed'", true, json!("landed")),
        ("-12", true, json!(-12)),
        ("true", true, json!(true)),
        ("null", true, json!(null)),
        ("data.carrier + '!'", false, json!("UA!")),
        ("data.at.gate > 5 ? 'far' : 'near'", false, json!("far")),
        ("data.tail == null", false, json!(true)),
        ("event.stream.startsWith('flight-')", false, json!(true)),
        ("has(data.at.gate)", false, json!(true)),
        ("data['carrier']", false, json!("UA")),
        ("[1, 2, 3].filter(n, n > data.at.gate - 6)", false, json!([2, 3])),
    ] {
        let compiled = compile(text).unwrap();
        assert_eq!(!matches!(compiled.plan, Plan::Cel(_)), direct, "{text}");
        assert_eq!(eval(text, data()), value, "{text}");
    }
}

#[test]
fn an_expression_says_what_it_uses() {
    let uses = |text: &str| {
        let expr = compile(text).unwrap();
        let paths: Vec<_> = expr.uses.data.iter().map(|path| (path.value.join("."), path.place.column)).collect();
        (paths, expr.uses.whole_data)
    };
    let path = |name: &str, column: u32| (name.to_owned(), column);
    assert_eq!(uses("data.a.b"), (vec![path("a.b", 4)], false));
    assert_eq!(uses("1 + data.a + size(data.b)"), (vec![path("a", 8), path("b", 22)], false));
    assert_eq!(uses("has(data.c) && data.l.all(x, x > data.d)").0.len(), 3);
    assert_eq!(uses("data['a']"), (vec![], true));
}

#[test]
fn mistakes_are_found_when_loading_and_pointed_at() {
    for (text, place, word) in [
        ("data.a +", "p.yaml:1:", "not a CEL expression"),
        ("1 + carrier", "p.yaml:1:8", "unknown name `carrier`"),
        ("event.strem", "p.yaml:1:4", "`event` has no field `strem`"),
        ("event", "p.yaml:1:4", "event.stream"),
        ("data.a.matches('x')", "p.yaml:1:", "unknown function `matches`"),
        ("data.a.map(x, data.a.map(y, x + y))", "p.yaml:1:", "comprehension inside another"),
        ("Thing{a: 1}", "p.yaml:1:", "messages cannot be built"),
    ] {
        let message = compile(text).unwrap_err();
        assert!(message.starts_with(place) && message.contains(word), "{text:?} gave {message:?}");
        assert!(!message.contains('\n'), "{message:?}");
    }
    assert!(compile(&"1+".repeat(3000)).unwrap_err().contains("longer than"));
}

#[test]
fn an_expression_cannot_overflow_the_stack() {
    let nested = |open: &str, close: &str, deep: usize| format!("{}1{}", open.repeat(deep), close.repeat(deep));
    for text in [
        nested("(", ")", 1000),
        nested("[", "]", 1000),
        nested("{1:", "}", 900),
        "!".repeat(4000) + "true",
        "-".repeat(4000) + "1",
        "true?1:".repeat(500) + "1",
        "1".to_owned() + &"+1".repeat(1900),
    ] {
        let message = compile(&text).unwrap_err();
        assert!(message.contains("goes too deep"), "{message}");
    }
    assert!(compile(&("data".to_owned() + &".a".repeat(1900))).unwrap_err().contains("dots"));
}

#[test]
fn the_deepest_expressions_allowed_fit_a_thread() {
    let event = landed(json!({"n": 1}));
    let brackets = nesting::DEPTH_MAX / nesting::BRACKET_WEIGHT;
    for text in [
        format!("{}data.n{}", "(".repeat(brackets), ")".repeat(brackets)),
        format!("size({}1{}) == 1", "[".repeat(brackets - 2), "]".repeat(brackets - 2)),
        "data.n".to_owned() + &"+1".repeat(nesting::DEPTH_MAX),
        format!("{}(data.n == 1)", "!".repeat(nesting::DEPTH_MAX - nesting::BRACKET_WEIGHT - 1)),
        "data.n==0?1:".repeat(nesting::DEPTH_MAX / 2) + "1",
    ] {
        compile(&text).unwrap().eval(&event).unwrap();
    }
    assert!(compile("data.a == '((((((((((((((' && data.b == \"\\\"[[[[[[[[[[[[[[[\"").is_ok());
}

#[test]
fn failures_are_typed_and_short() {
    let event = landed(json!({"a": "x".repeat(5000), "n": 0}));
    let failed = compile("data.a - 1").unwrap().eval(&event).unwrap_err();
    assert!(failed.expression.contains("data.a - 1") && failed.cause.chars().count() <= CAUSE_CHARS_MAX);
    assert!(compile("1 / data.n").unwrap().eval(&event).is_err());
    assert!(compile("data.gone + 1").unwrap().eval(&event).is_err());
    assert!(compile("data.n").unwrap().holds(&event).unwrap_err().cause.contains("true or false"));
    assert!(compile("data.n == 0").unwrap().holds(&event).unwrap());
}
