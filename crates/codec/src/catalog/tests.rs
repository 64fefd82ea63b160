//! What the catalog takes and refuses.

use super::*;
use crate::registry::{RegistryClient, fake};

fn declared(record: &str) -> Declared {
    Declared {
        kind: TypeKind::Event,
        topic: "flights.v1".to_owned(),
        aggregate: "flight".to_owned(),
        record: record.to_owned(),
    }
}

/// A registry whose subjects all hold the one schema.
async fn cache(status: u16, body: &'static str) -> SchemaCache {
    let base = fake::serve(move |_, _| (status, body.to_owned())).await;
    SchemaCache::new(RegistryClient::new(&base).unwrap())
}

const LANDED: &str = r#"{"subject": "s", "id": 7, "version": 1,
    "schema": "{\"type\":\"record\",\"name\":\"FlightLanded\",\"namespace\":\"flights\",\"fields\":[]}"}"#;

async fn load(cache: &SchemaCache, records: &[&str]) -> Result<Catalog, CatalogError> {
    let declared: Vec<Declared> = records.iter().map(|record| declared(record)).collect();
    Catalog::load(cache, &"flights".parse().unwrap(), &declared).await
}

#[tokio::test]
async fn a_type_is_found_by_all_its_names() {
    let cache = cache(200, LANDED).await;
    let catalog = load(&cache, &["flights.FlightLanded"]).await.unwrap();
    let landed = catalog.by_name("FlightLanded").unwrap();
    assert_eq!((landed.ce_type.as_str(), landed.schema_id), ("flights.flight.FlightLanded", 7));
    for found in [
        catalog.by_name("flights.flight.FlightLanded"),
        catalog.by_schema_id(7),
        catalog.by_record_name("flights.FlightLanded"),
    ] {
        assert_eq!(found, Some(landed));
    }
    assert_eq!(catalog.by_name("flights.FlightLanded"), None);
    assert_eq!(cache.get(7).as_ref(), Some(&landed.shape));
}

#[tokio::test]
async fn what_is_not_as_declared_is_refused() {
    let missing = cache(404, r#"{"error_code": 40401, "message": "no"}"#).await;
    let answer = load(&missing, &["flights.FlightLanded"]).await.unwrap_err();
    assert!(matches!(&answer, CatalogError::NotRegistered { subject } if subject == "flights.v1-flights.FlightLanded"));
    let other = cache(200, LANDED).await;
    assert!(matches!(load(&other, &["flights.FlightLost"]).await, Err(CatalogError::OtherRecord { .. })));
    let twice = load(&other, &["flights.FlightLanded", "flights.FlightLanded"]).await;
    assert!(matches!(twice, Err(CatalogError::Twice { .. })));
    let unusable = cache(200, r#"{"id": 7, "version": 1, "schema": "\"string\""}"#).await;
    assert!(matches!(load(&unusable, &["flights.FlightLanded"]).await, Err(CatalogError::Unusable { .. })));
}
