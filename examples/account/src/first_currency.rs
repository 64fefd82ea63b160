//! What was paid in before there were currencies.

use serde_json::{Map, Value};
use spina_core::upcast::Upcaster;

/// The schema of `PaidIn` whose events have no currency.
const WITHOUT_CURRENCY: u32 = 1;

/// The bank counted in marks until it began to say what it counts in. The schema's default is for today's writers, so it
/// cannot say that.
#[derive(Debug)]
pub struct FirstCurrency;

impl Upcaster for FirstCurrency {
    fn record(&self) -> &str {
        "PaidIn"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn upcast(&self, version: Option<u32>, fields: &mut Map<String, Value>) -> Result<(), String> {
        if version == Some(WITHOUT_CURRENCY) {
            fields.insert("currency".to_owned(), Value::from("DEM"));
        }
        Ok(())
    }
}

#[test]
fn only_the_oldest_events_are_in_marks() {
    let read = |version| {
        let mut fields = Map::new();
        FirstCurrency.upcast(version, &mut fields).map(|()| fields.remove("currency"))
    };
    assert_eq!(read(Some(1)), Ok(Some(Value::from("DEM"))));
    assert_eq!(read(Some(2)), Ok(None));
    assert_eq!(read(None), Ok(None), "written with a schema that was never released");
}
