//! The cache in front of a registry that answers as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::registry::fake;

const SCHEMA: &str = r#"{"schema": "{\"type\":\"record\",\"name\":\"A\",\"fields\":[]}"}"#;
const MISSING: &str = r#"{"error_code": 40403, "message": "Schema not found"}"#;

/// A cache before a registry that gives those answers one after the other, and the count of calls.
async fn before(answers: &'static [(u16, &'static str)]) -> (SchemaCache, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let base = fake::serve(move |_, _| {
        let (status, body) = answers[counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
        (status, body.to_owned())
    });
    (SchemaCache::new(RegistryClient::new(&base.await).unwrap()), calls)
}

#[tokio::test]
async fn many_who_want_one_schema_cost_one_call() {
    let (cache, calls) = before(&[(200, SCHEMA)]).await;
    let shapes = futures::future::join_all((0..50).map(|_| cache.resolve(1))).await;
    assert!(shapes.iter().all(|shape| shape.as_ref().unwrap().name() == "A"));
    assert_eq!(cache.get(1).unwrap().name(), "A");
    cache.resolve(1).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_id_that_leads_nowhere_is_asked_once_in_a_while() {
    let (cache, calls) = before(&[(404, MISSING), (200, SCHEMA)]).await;
    for _ in 0..3 {
        assert!(matches!(cache.resolve(1).await, Err(ResolveError::NoSuchSchema { id: 1 })));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    cache.inner.pending.lock().unwrap().refused.get_mut(&1).unwrap().0 -= REFUSED_FOR;
    assert!(cache.resolve(1).await.is_ok());
}

#[tokio::test]
async fn trouble_is_not_remembered() {
    let (cache, calls) = before(&[(401, "who are you"), (200, SCHEMA)]).await;
    assert!(cache.resolve(1).await.unwrap_err().is_transient());
    assert!(cache.resolve(1).await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn who_must_know_waits_for_an_answer_and_takes_a_no_for_one() {
    let (cache, calls) = before(&[(503, "down"), (503, "down"), (503, "down"), (200, SCHEMA), (404, MISSING)]).await;
    assert!(cache.resolve_in_the_end(1).await.is_ok());
    assert!(calls.load(Ordering::SeqCst) >= 4);
    let refused = cache.resolve_in_the_end(2).await.unwrap_err();
    assert!(matches!(refused, ResolveError::NoSuchSchema { id: 2 }), "{refused}");
}

#[tokio::test]
async fn an_outage_is_waited_out_once_and_for_a_bounded_time() {
    const DOWN: (u16, &str) = (503, "down");
    let (cache, calls) = before(&[DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, (200, SCHEMA)]).await;
    let patience = Duration::from_secs(60);
    assert!(cache.resolve_within(1, patience).await.is_ok(), "the registry comes back while one waits");
    let (cache, _) = before(&[DOWN]).await;
    let begun = Instant::now();
    let error = cache.resolve_within(2, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, ResolveError::Silent { id: 2, .. }) && error.is_transient(), "{error}");
    // The patience of this outage is used up: nobody waits for it again, however patient.
    cache.inner.silence.lock().unwrap().replace(begun - patience);
    let error = cache.resolve_within(3, Duration::from_secs(20)).await.unwrap_err();
    assert!(error.to_string().contains("has not answered for 6"), "{error}");
    assert!(calls.load(Ordering::SeqCst) >= 7);
}

#[tokio::test]
async fn an_id_that_leads_elsewhere_than_before_is_refused() {
    let (cache, _) = before(&[(200, SCHEMA)]).await;
    let other = Shape::compile(r#"{"type":"record","name":"B","fields":[]}"#).unwrap();
    let asked = cache.flight(1).unwrap();
    cache.insert(1, Arc::new(other)).unwrap();
    assert!(matches!(asked.await, Err(ResolveError::Changed { id: 1, .. })));
    assert_eq!(cache.resolve(1).await.unwrap().name(), "B");
}

#[tokio::test]
async fn a_schema_that_is_no_record_is_refused() {
    let (cache, _) = before(&[(200, r#"{"schema": "\"string\""}"#)]).await;
    assert!(matches!(cache.resolve(1).await, Err(ResolveError::Unusable { id: 1, .. })));
}

#[tokio::test]
async fn who_gives_up_waiting_holds_up_nobody() {
    let (cache, calls) = before(&[(200, SCHEMA)]).await;
    let mut given_up = Box::pin(cache.resolve(1));
    assert!(futures::poll!(given_up.as_mut()).is_pending());
    drop(given_up);
    assert!(cache.resolve(1).await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let (cache, _) = before(&[(404, MISSING)]).await;
    let shape = Arc::new(Shape::compile(r#"{"type":"record","name":"A","fields":[]}"#).unwrap());
    for id in 0..=SHAPES_MAX {
        cache.insert(u32::try_from(id).unwrap(), Arc::clone(&shape)).unwrap();
    }
    assert!(cache.get(0).is_none());
    assert!(cache.get(1).is_some() && cache.get(10_000).is_some());
}
