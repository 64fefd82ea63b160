//! The schema registry keeps what Spina relies on: subjects, ids and compatibility, on a real one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;

use spina_codec::RegistryClient;
use uuid::Uuid;

#[tokio::test]
async fn a_subject_lives_as_it_should() {
    let url = std::env::var("SPINA_TEST_REGISTRY").expect("SPINA_TEST_REGISTRY is the URL of a registry's API");
    let client = RegistryClient::new(&url).unwrap();
    contract::a_subject_lives(&client, &format!("test.registry.{}", Uuid::new_v4().simple())).await;
}
