//! Joins: what is read of other models, and what is refused where.

use super::*;

const JOINED: &str = "
models:
  flights:
    key: { stream: event.stream }
    on:
      Departed: { set: { carrier: data.carrier, day: data.day, tail: data.tail } }
    join:
      line:
        model: carriers
        on: { carrier: carrier }
        columns: { carrier_flights: n, carrier_mean: mean }
      before:
        model: flights
        on: { stream: tail }
        columns: { tail_day: day }
  carriers:
    key: { carrier: data.carrier }
    on:
      Departed: { count: [n] }
      Landed: { mean: { mean: data.delay } }
";

#[test]
fn a_join_is_declared_by_key_and_asks_for_no_rebuild() {
    let models = load(JOINED).unwrap();
    let [line, before] = models[0].joins() else { panic!("{:?}", models[0].joins()) };
    assert_eq!((line.model.as_str(), line.on.as_slice()), ("carriers", &[("carrier".into(), "carrier".into())][..]));
    let columns = |join: &spina_core::Join| {
        join.columns.iter().map(|column| (column.name.clone(), column.of.clone())).collect::<Vec<_>>()
    };
    let pair = |name: &str, of: &str| (name.to_owned(), of.to_owned());
    assert_eq!(columns(line), [pair("carrier_flights", "n"), pair("carrier_mean", "mean")]);
    assert_eq!(columns(before), [pair("tail_day", "day")], "a model may join its own rows");
    let start = JOINED.find("    join:").unwrap();
    let without = format!("{}{}", &JOINED[..start], &JOINED[JOINED.find("  carriers:\n").unwrap()..]);
    let alone = load(&without).unwrap();
    assert!(alone[0].joins().is_empty());
    assert_eq!(alone[0].fingerprint(), models[0].fingerprint());
    assert_eq!(alone[0].shape(), models[0].shape());
}

#[test]
fn every_mistake_about_joins_is_pointed_at() {
    for (from, to, place, words) in [
        ("model: carriers", "model: carrier", "9:16", "unknown model `carrier`, the context has flights, carriers"),
        (
            "on: { carrier: carrier }",
            "on: { carier: carrier }",
            "10:15",
            "no column of carriers's key, which has carrier",
        ),
        ("on: { carrier: carrier }", "on: { carier: carrier }", "8:7", "`carrier` is missing"),
        ("on: { carrier: carrier }", "on: { carrier: line }", "10:24", "no column `line` of its own, it has stream"),
        ("on: { carrier: carrier }", "on: { carrier: day }", "10:24", "`day` is date, but carrier of carriers is text"),
        ("on: { carrier: carrier }", "on: {}", "8:7", "the whole key of carriers is needed"),
        (
            "carrier_flights: n",
            "carrier_flights: m",
            "11:37",
            "carriers has no column `m` of its own, it has carrier, n",
        ),
        ("carrier_flights: n", "tail: n", "11:20", "has `tail` already"),
        ("carrier_flights: n", "tail_Day: n", "11:20", "not a column name"),
        ("tail_day: day", "carrier_mean: day", "15:20", "has `carrier_mean` already"),
        ("tail_day: day", "tail_mean: carrier_mean", "15:31", "flights has no column `carrier_mean` of its own"),
        ("columns: { tail_day: day }", "columns: {}", "12:7", "reads nothing"),
        ("        columns: { tail_day: day }", "        where: x", "15:9", "where"),
    ] {
        assert!(JOINED.contains(from));
        let message = load(&JOINED.replacen(from, to, 1)).unwrap_err();
        let all = message.lines().any(|line| line.starts_with(&format!("p.yaml:{place}")) && line.contains(words));
        assert!(all, "{from} -> {to}\ngave {message}");
    }
}
