//! The client against a registry that says what a test tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const MISSING: &str = r#"{"error_code": 40401, "message": "Subject not found."}"#;

async fn client(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> RegistryClient {
    RegistryClient::new(&fake::serve(answer).await).unwrap()
}

#[tokio::test]
async fn subjects_and_schemas_are_read() {
    let client = client(|call, _| match call {
        "GET /subjects" => (200, r#"["a", "b"]"#.to_owned()),
        "GET /subjects/a/versions" => (200, "[1, 2]".to_owned()),
        "GET /subjects/a/versions/latest" => {
            (200, r#"{"subject": "a", "id": 7, "version": 2, "schema": "\"string\""}"#.to_owned())
        }
        "GET /schemas/ids/7" => (200, r#"{"schema": "\"string\"", "references": []}"#.to_owned()),
        "POST /subjects/a/versions" => (200, r#"{"id": 7}"#.to_owned()),
        _ => (404, MISSING.to_owned()),
    })
    .await;
    assert_eq!(client.subjects().await.unwrap(), ["a", "b"]);
    assert_eq!(client.versions("a").await.unwrap(), [1, 2]);
    let latest = Registered { id: 7, version: 2, schema: "\"string\"".to_owned() };
    assert_eq!(client.latest("a").await.unwrap(), Some(latest));
    assert_eq!(client.schema_by_id(7).await.unwrap().as_deref(), Some("\"string\""));
    assert_eq!(client.register("a", "\"string\"").await.unwrap(), 7);
}

#[tokio::test]
async fn what_is_not_there_is_none_and_not_an_error() {
    let client = client(|_, _| (404, MISSING.to_owned())).await;
    assert_eq!(client.versions("a").await.unwrap(), Vec::<u32>::new());
    assert_eq!(client.latest("a").await.unwrap(), None);
    assert_eq!(client.lookup("a", "\"string\"").await.unwrap(), None);
    assert_eq!(client.schema_by_id(7).await.unwrap(), None);
    assert_eq!(client.compatibility("a").await.unwrap(), None);
    assert_eq!(client.check_compatibility("a", "\"string\"").await.unwrap(), Vec::<String>::new());
    let refused = client.register("a", "\"string\"").await.unwrap_err();
    let told = "register a schema under subject `a`: the registry answers 404: Subject not found.";
    assert_eq!(refused.to_string(), told);
}

#[tokio::test]
async fn a_404_of_somebody_else_is_an_error() {
    let client = client(|_, _| (404, "<html>nothing here</html>".to_owned())).await;
    let error = client.latest("a").await.unwrap_err();
    assert!(matches!(error, RegistryError::Refused { status: 404, code: None, .. }), "{error}");
}

#[tokio::test]
async fn the_level_says_which_versions_a_schema_is_checked_against() {
    for (level, checked) in [("BACKWARD", "versions/latest"), ("BACKWARD_TRANSITIVE", "versions")] {
        let check = format!("POST /compatibility/subjects/a%2Fb/{checked}?verbose=true");
        let client = client(move |call, _| match call {
            "GET /config/a%2Fb" => (200, format!(r#"{{"compatibilityLevel": "{level}"}}"#)),
            call if call == check => (200, r#"{"is_compatible": false, "messages": ["no default"]}"#.to_owned()),
            other => panic!("{other}"),
        })
        .await;
        assert_eq!(client.check_compatibility("a/b", "{}").await.unwrap(), ["no default"]);
    }
}

#[tokio::test]
async fn reasons_that_the_registry_keeps_are_found() {
    let client = client(|call, _| match call {
        "GET /config/a" => (200, r#"{"compatibilityLevel": "FULL_TRANSITIVE"}"#.to_owned()),
        "POST /compatibility/subjects/a/versions?verbose=true" => (200, r#"{"is_compatible": false}"#.to_owned()),
        "GET /subjects/a/versions" => (200, "[1, 2]".to_owned()),
        "GET /subjects/a/versions/2" => (200, r#"{"id": 2, "version": 2, "schema": "\"string\""}"#.to_owned()),
        "GET /subjects/a/versions/1" => (200, r#"{"id": 1, "version": 1, "schema": "\"int\""}"#.to_owned()),
        other => panic!("{other}"),
    })
    .await;
    let reasons = client.check_compatibility("a", "\"string\"").await.unwrap();
    assert!(reasons[0].starts_with("the new schema cannot read records of version 1: "), "{reasons:?}");
}

#[tokio::test]
async fn passing_trouble_is_tried_again_and_a_no_is_not() {
    for (status, attempts) in [(503, 3), (429, 3), (422, 1), (401, 1)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let client = client(move |_, _| match counted.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => (status, r#"{"error_code": 1, "message": "trouble"}"#.to_owned()),
            _ => (200, "[]".to_owned()),
        })
        .await;
        assert_eq!(client.subjects().await.is_ok(), attempts == 3, "{status}");
        assert_eq!(calls.load(Ordering::SeqCst), attempts, "{status}");
    }
}

#[tokio::test]
async fn retries_end() {
    let client = client(|_, _| (500, "down".to_owned())).await;
    let error = client.subjects().await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(error.to_string(), "list subjects: the registry answers 500: down");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let client = client(|_, _| (200, "x".repeat(9 * 1024 * 1024))).await;
    assert!(matches!(client.subjects().await, Err(RegistryError::Unreadable { .. })));
}

#[tokio::test]
async fn user_and_password_go_into_a_header_and_nowhere_else() {
    let base = fake::serve(|_, request| match request.contains("authorization: Basic YW5uOnAmYXNz") {
        true => (200, "[]".to_owned()),
        false => (401, String::new()),
    })
    .await;
    let client = RegistryClient::new(&base.replace("http://", "http://ann:p%26ass@")).unwrap();
    assert!(client.subjects().await.is_ok());
    assert!(!format!("{client:?}").contains("ass@"));
}

#[test]
fn odd_urls_are_refused() {
    for bad in ["", "localhost:8081", "ftp://registry", "http://", "file:///schemas"] {
        assert!(matches!(RegistryClient::new(bad), Err(RegistryError::Url { .. })), "{bad}");
    }
}
