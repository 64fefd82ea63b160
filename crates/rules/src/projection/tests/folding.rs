//! Neither the size of batches nor the order across streams changes the rows.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spina_core::{Batch, ModelShape, RowChange};

use super::*;

/// A table that knows nothing of merging: it applies one change after the other, as SQL would.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) rows: BTreeMap<String, Vec<Held>>,
    /// By parent, table and key.
    children: BTreeMap<(String, usize, String), Vec<Held>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Held {
    pub(super) value: Option<Cell>,
    pub(super) sum: i64,
    count: i64,
    stamp: Option<(Timestamp, String)>,
}

impl Table {
    fn apply(&mut self, key: &[Cell], mut row: RowChange, shape: &ModelShape) {
        let key = format!("{key:?}");
        let children = row.take_children();
        if row.reset {
            self.rows.remove(&key);
            self.children.retain(|(parent, ..), _| *parent != key);
        }
        if let Some(ops) = &row.upsert {
            let held = self.rows.entry(key.clone()).or_insert_with(|| vec![Held::default(); shape.columns.len()]);
            ops.iter().for_each(|(column, op)| held[*column].apply(op));
        }
        for (table, own, row) in children {
            let at = (key.clone(), table, format!("{own:?}"));
            if row.reset {
                self.children.remove(&at);
            }
            if let Some(ops) = &row.upsert {
                let columns = shape.children[table].shape.columns.len();
                let held = self.children.entry(at).or_insert_with(|| vec![Held::default(); columns]);
                ops.iter().for_each(|(column, op)| held[*column].apply(op));
            }
        }
        let orphans = self.children.keys().filter(|(parent, ..)| !self.rows.contains_key(parent));
        assert_eq!(orphans.count(), 0, "a child has its parent");
    }
}

impl Held {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Set(cell) => self.value = Some(cell.clone()),
            Op::Last { value, at, tie } => {
                let stamp = Some((*at, tie.clone()));
                if stamp >= self.stamp {
                    (self.value, self.stamp) = (Some(value.clone()), stamp);
                }
            }
            Op::Add(n) => self.sum += n,
            Op::Mean { sum, count } => (self.sum, self.count) = (self.sum + sum, self.count + count),
            Op::Min(Cell::Long(n)) => {
                let least = if let Some(Cell::Long(held)) = self.value { held.min(*n) } else { *n };
                self.value = Some(Cell::Long(least));
            }
            Op::Max(cell) => {
                let held = self.value.take().filter(|held| held.compare(cell) == Some(std::cmp::Ordering::Greater));
                self.value = Some(held.unwrap_or_else(|| cell.clone()));
            }
            Op::Min(_) => panic!("only longs are minimised here"),
        }
    }
}

const BOTH: &str = "
models:
  by_carrier:
    key: { carrier: data.carrier }
    on:
      Departed: { count: [n], last: { tail: data.tail } }
      Landed:
        count: [n]
        sum: { total: data.delay }
        min: { least: data.delay }
        max: { most: data.delay, day: data.day }
        mean: { mean: data.delay }
        last: { tail: data.tail }
  by_stream:
    key: { stream: event.stream }
    on:
      Departed: { set: { tail: data.tail }, count: [n] }
      Landed: { when: data.delay != 3, set: { delay: data.delay }, max: { most: data.delay } }
  open:
    key: { stream: event.stream }
    on:
      Departed: { set: { tail: data.tail }, count: [n] }
      Landed: { delete: true }
  parents:
    key: { stream: event.stream }
    on:
      Departed: { when: data.delay == 3, delete: true }
      Landed: { when: data.delay != 2, count: [n] }
    children:
      days:
        key: { day: data.day }
        on:
          Landed: { set: { tail: data.tail }, count: [n] }
  shrinking:
    key: { stream: event.stream }
    on: { Departed: { count: [n] } }
    children:
      carriers:
        key: { carrier: data.carrier, tail: data.tail }
        on:
          Departed: { count: [n] }
          Landed: { when: data.delay != 1, delete: true }
  counted:
    key: { carrier: data.carrier }
    on: { Departed: { count: [n] } }
    children:
      tails:
        key: { tail: data.tail }
        on:
          Landed: { mean: { delay: data.delay }, last: { day: data.day } }
          Departed: { count: [n] }
";

/// Events of some streams, each stream in order, as (stream, landed, delay, carrier, tail, time).
fn logs() -> impl Strategy<Value = Vec<Recorded>> {
    let delay = prop_oneof![Just(None), (-5_i64..20).prop_map(Some)];
    let one = (0_u8..5, any::<bool>(), delay, 0_u8..3, prop_oneof![Just(None), (0_u8..4).prop_map(Some)], 0_i64..6);
    proptest::collection::vec(one, 0..60).prop_map(|rows| {
        let mut versions = BTreeMap::<u8, u64>::new();
        let mut log = Vec::new();
        for (stream, landed, delay, carrier, tail, time) in rows {
            let version = versions.entry(stream).and_modify(|version| *version += 1).or_insert(1);
            let data = json!({
                "carrier": format!("C{carrier}"), "delay": delay, "tail": tail.map(|tail| format!("N{tail}")),
                "day": format!("2013-01-0{}", carrier + 1),
            });
            let name = if landed { "Landed" } else { "Departed" };
            log.push(event(name, &format!("flight-{stream}"), *version, time, data));
        }
        log
    })
}

/// Another order of the same events that keeps the order inside each stream.
fn interleave(log: &[Recorded], seed: &[u8]) -> Vec<Recorded> {
    let mut streams = BTreeMap::<String, Vec<Recorded>>::new();
    for event in log.iter().rev() {
        streams.entry(event.headers.stream.to_string()).or_default().push(event.clone());
    }
    let mut seed = seed.iter().cycle();
    let mut shuffled = Vec::new();
    while !streams.is_empty() {
        let pick = usize::from(*seed.next().unwrap_or(&0)) % streams.len();
        let name = streams.keys().nth(pick).cloned().unwrap();
        match streams.get_mut(&name).and_then(Vec::pop) {
            Some(event) => shuffled.push(event),
            None => drop(streams.remove(&name)),
        }
    }
    shuffled
}

fn rows(model: &Model, log: &[Recorded], batch_len: usize) -> Table {
    let log: Vec<_> = log.iter().map(|event| (0, event)).collect();
    rows_of(model, &log, batch_len)
}

/// The rows of events of several inputs.
pub(super) fn rows_of(model: &Model, log: &[(usize, &Recorded)], batch_len: usize) -> Table {
    let mut table = Table::default();
    for part in log.chunks(batch_len) {
        let mut batch = Batch::default();
        for change in part.iter().flat_map(|(input, event)| model.project(*input, event).unwrap()) {
            batch.add(change).unwrap();
        }
        for (key, row) in batch.into_rows() {
            table.apply(&key, row, model.shape());
        }
    }
    table
}

proptest! {
    #[test]
    fn neither_batches_nor_the_order_across_streams_change_the_rows(
        log in logs(), batch_len in 1_usize..20, seed in proptest::collection::vec(any::<u8>(), 1..50)
    ) {
        for model in load(BOTH).unwrap() {
            let one_by_one = rows(&model, &log, 1);
            prop_assert_eq!(&rows(&model, &log, batch_len), &one_by_one, "batches of {}", batch_len);
            prop_assert_eq!(&rows(&model, &interleave(&log, &seed), batch_len), &one_by_one, "another order");
        }
    }
}
