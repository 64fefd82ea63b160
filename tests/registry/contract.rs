//! What Spina relies on of the schema registry, tried on a real one.

use std::sync::Arc;

use serde_json::{Value, json};
use spina_codec::catalog::ResolveError;
use spina_codec::registry::RegistryError;
use spina_codec::{RegistryClient, SchemaCache};

fn record(fields: &Value) -> String {
    json!({"type": "record", "name": "Tried", "namespace": "contract", "fields": fields}).to_string()
}

/// Goes through the life of a subject of that name, which must be new.
pub async fn a_subject_lives(client: &RegistryClient, subject: &str) {
    let first = record(&json!([{"name": "x", "type": "int"}]));
    assert_eq!(client.latest(subject).await.unwrap(), None);
    assert_eq!(client.lookup(subject, &first).await.unwrap(), None);
    assert_eq!(client.compatibility(subject).await.unwrap(), None);
    assert_eq!(client.check_compatibility(subject, &first).await.unwrap(), Vec::<String>::new());

    client.set_compatibility(subject, "FULL_TRANSITIVE").await.unwrap();
    let id = client.register(subject, &first).await.unwrap();
    assert_eq!(client.register(subject, &first).await.unwrap(), id, "registering again changes nothing");
    assert_eq!(client.compatibility(subject).await.unwrap().as_deref(), Some("FULL_TRANSITIVE"));
    assert!(client.subjects().await.unwrap().iter().any(|known| known == subject));

    evolution_is_checked(client, subject).await;
    assert_eq!(client.versions(subject).await.unwrap(), [1, 2]);
    assert_eq!(client.lookup(subject, &first).await.unwrap().map(|found| (found.id, found.version)), Some((id, 1)));
    ids_lead_to_schemas(client, id, &first).await;
}

async fn evolution_is_checked(client: &RegistryClient, subject: &str) {
    let breaking = record(&json!([{"name": "x", "type": "int"}, {"name": "y", "type": "string"}]));
    let reasons = client.check_compatibility(subject, &breaking).await.unwrap();
    assert!(reasons.iter().any(|reason| reason.contains("`y`")), "{reasons:?}");
    let refused = client.register(subject, &breaking).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Refused { status: 409, .. }), "{refused}");

    let fitting = record(&json!([{"name": "x", "type": "int"}, {"name": "y", "type": "string", "default": ""}]));
    assert_eq!(client.check_compatibility(subject, &fitting).await.unwrap(), Vec::<String>::new());
    client.register(subject, &fitting).await.unwrap();
    assert_eq!(client.latest(subject).await.unwrap().map(|latest| latest.version), Some(2));
}

async fn ids_lead_to_schemas(client: &RegistryClient, id: u32, schema: &str) {
    assert_eq!(client.schema_by_id(id).await.unwrap().as_deref(), Some(schema));
    let schemas = SchemaCache::new(client.clone());
    let shape = schemas.resolve(id).await.unwrap();
    assert_eq!(shape.full_name(), "contract.Tried");
    assert!(schemas.get(id).is_some_and(|known| Arc::ptr_eq(&known, &shape)));
    let nowhere = u32::MAX >> 1;
    assert!(matches!(schemas.resolve(nowhere).await, Err(ResolveError::NoSuchSchema { .. })));
}
