//! Upcasters in Rust among the files of the repository: `flights`.

use std::path::Path;

use serde_json::{Map, Value, json};
use spina_codec::Shape;
use spina_rules::context;

use super::*;

/// Says that nobody knows why flights were cancelled.
#[derive(Debug)]
struct Reason {
    record: &'static str,
}

impl Upcaster for Reason {
    fn record(&self) -> &str {
        self.record
    }
    fn revision(&self) -> u32 {
        1
    }
    fn upcast(&self, version: Option<u32>, fields: &mut Map<String, Value>) -> Result<(), String> {
        fields.insert("reason".to_owned(), json!(format!("not known to version {version:?}")));
        Ok(())
    }
}

fn loaded(upcasters: &[(&str, &'static str)]) -> anyhow::Result<Readings> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (topology_dir, schemas_dir) = (root.join("topology"), root.join("schemas"));
    let contexts = context::load_all(&topology_dir)?;
    let config = CommonConfig { topology_dir, schemas_dir, ..CommonConfig::on_port(0) };
    let reason = |record: &'static str| Arc::new(Reason { record }) as Arc<dyn Upcaster>;
    let in_rust = upcasters.iter().map(|(context, record)| ((*context).to_owned(), reason(record))).collect();
    load(&config, &contexts, &in_rust)
}

#[test]
fn an_upcaster_in_rust_reads_the_events_of_its_record() {
    let readings = loaded(&[("flights", "FlightCancelled")]).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/flights/released/FlightCancelled.1.avsc");
    let written = Shape::compile(&std::fs::read_to_string(file).unwrap()).unwrap();
    let read = readings.of(&written).unwrap().fields(Map::new()).unwrap();
    assert_eq!(read["reason"], "not known to version Some(1)");
    assert!(loaded(&[]).unwrap().of(&written).is_none(), "the stock service reads it as it is");
    let flights = "flights".parse().unwrap();
    assert_ne!(readings.fingerprint(&flights, &["FlightCancelled"]), "", "what was made without it is stale");
}

#[test]
fn an_upcaster_that_would_never_be_asked_is_refused_at_start() {
    for (upcasters, complaint) in [
        (vec![("flihgts", "FlightCancelled")], "`flihgts/FlightCancelled`, and the topology has no such context"),
        (vec![("flights", "FlightCanceled")], "`flights/FlightCanceled`, which is neither an event nor a released"),
        (vec![("flights", "FlightCancelled"); 2], "two upcasters are registered for `flights/FlightCancelled`"),
    ] {
        let told = loaded(&upcasters).unwrap_err().to_string();
        assert!(told.contains(complaint), "{told}");
    }
}
