//! The HTTP shell: errors, limits, request ids, and the end.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;
use utoipa::OpenApi;

use super::*;
use crate::{Condition, Metrics, Readiness};

#[derive(OpenApi)]
struct Description;

#[derive(Debug, Deserialize)]
struct Booking {
    room: String,
    nights: u8,
}

async fn book(ApiJson(booking): ApiJson<Booking>) -> ApiResult<ApiJson<Value>> {
    match booking.nights {
        0 => Err(ApiError::rejected("booking.no_nights", "book at least one night").with_details(json!({"min": 1}))),
        nights => Ok(ApiJson(json!({"room": booking.room, "nights": nights}))),
    }
}

async fn raw(body: Body) -> ApiResult<String> {
    let bytes =
        to_bytes(body, usize::MAX).await.map_err(|error| ApiError::malformed("validation.body", error.to_string()))?;
    Ok(bytes.len().to_string())
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(60)).await;
    "done"
}

async fn shaken() -> &'static str {
    panic!("fell over")
}

async fn numbered(ApiPath(number): ApiPath<u8>, ApiQuery(_): ApiQuery<Booking>) -> String {
    number.to_string()
}

struct World {
    router: Router,
    metrics: Metrics,
    readiness: Readiness,
}

impl World {
    fn new() -> Self {
        let metrics = Metrics::new("event-store", "1.2.3");
        let readiness = Readiness::new();
        let limits = HttpLimits {
            timeout: Duration::from_secs(5),
            body_bytes_max: 64,
            connections_max: 8,
            stall: Duration::from_secs(5),
        };
        let routes = Router::new()
            .route("/bookings", post(book))
            .route("/raw", post(raw))
            .route("/slow", get(slow).post(slow))
            .route("/shaken", get(shaken))
            .route("/busy", get(async || ApiError::rate_limited("too many appends", 3)))
            .route("/numbers/{number}", get(numbered));
        let streaming = Router::new().route("/slow-stream", get(slow)).route("/bookings", get(raw));
        let router = Api::new(Description::openapi()).routes(routes).streaming(streaming);
        Self { router: router.into_router(&limits, &metrics, &readiness), metrics, readiness }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("the router cannot fail")
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Request::get(path).body(Body::empty()).expect("request is valid")).await
    }

    async fn post(&self, path: &str, body: &str) -> Response {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(body.to_owned().into()).expect("request is valid")).await
    }
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("body is whole");
    String::from_utf8(bytes.to_vec()).expect("body is text")
}

async fn refusal(response: Response) -> (StatusCode, HeaderMap, ErrorBody) {
    let (status, headers) = (response.status(), response.headers().clone());
    let text = text(response).await;
    let body: ErrorBody = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not the error format: {text}"));
    assert_eq!(headers[REQUEST_ID].to_str().ok(), body.request_id.as_deref());
    (status, headers, body)
}

#[tokio::test]
async fn a_good_request_passes_and_gets_an_id() {
    let response = World::new().post("/bookings", r#"{"room": "12", "nights": 2}"#).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key(REQUEST_ID));
    assert_eq!(text(response).await, r#"{"nights":2,"room":"12"}"#);
}

#[tokio::test]
async fn a_rejection_carries_the_rules_code_and_details() {
    let (status, _, body) = refusal(World::new().post("/bookings", r#"{"room": "12", "nights": 0}"#).await).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body.error_code, "booking.no_nights");
    assert_eq!(body.details, Some(json!({"min": 1})));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_say_why() {
    let world = World::new();
    let large = format!(r#"{{"room": "{}", "nights": 1}}"#, "x".repeat(64));
    for (body, status, code, hint) in [
        ("{", 400, "validation.json", "line 1"),
        (r#"{"room": "12", "nights": "two"}"#, 422, "validation.type", "nights: invalid type"),
        (r#"{"room": "12"}"#, 422, "validation.type", "missing field `nights`"),
        (large.as_str(), 413, "validation.too_large", "larger"),
    ] {
        let (got, _, refused) = refusal(world.post("/bookings", body).await).await;
        assert_eq!((got.as_u16(), refused.error_code.as_str()), (status, code), "{body}");
        assert!(refused.message.contains(hint), "{}", refused.message);
    }
    let untyped = Request::post("/bookings").body("{}".into()).expect("request is valid");
    let (status, _, body) = refusal(world.send(untyped).await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (415, "validation.content_type"));
}

#[tokio::test]
async fn the_body_limit_binds_raw_bodies_but_not_streaming_routes() {
    let world = World::new();
    let large = "x".repeat(65);
    assert_eq!(refusal(world.post("/raw", &large).await).await.0, StatusCode::BAD_REQUEST);
    let request = Request::get("/bookings").body(large.into()).expect("request is valid");
    assert_eq!(text(world.send(request).await).await, "65");
}

#[tokio::test]
async fn path_and_query_are_refused_in_the_same_form() {
    let world = World::new();
    let (status, _, body) = refusal(world.get("/numbers/many").await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (400, "validation.path"));
    let (status, _, body) = refusal(world.get("/numbers/3?room=1&nights=x").await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (400, "validation.query"));
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused_in_the_same_form() {
    let world = World::new();
    let (status, _, body) = refusal(world.get("/nowhere").await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (404, "resource.not_found"));
    for path in ["/shaken", "/slow-stream", "/health/live"] {
        let (status, headers, body) = refusal(world.post(path, "{}").await).await;
        assert_eq!((status.as_u16(), body.error_code.as_str()), (405, "validation.method"));
        assert_eq!(headers["allow"], "GET,HEAD");
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_that_tells_nothing() {
    let (status, _, body) = refusal(World::new().get("/shaken").await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (500, "internal.error"));
    assert!(!body.message.contains("fell over"));
}

#[tokio::test]
async fn rate_limits_say_when_to_come_back() {
    let (status, headers, body) = refusal(World::new().get("/busy").await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (429, "rate_limit.exceeded"));
    assert_eq!(headers["retry-after"], "3");
}

#[tokio::test(start_paused = true)]
async fn late_writes_are_unknown_late_reads_unavailable_streams_have_time() {
    let world = World::new();
    let (status, _, body) = refusal(world.post("/slow", "{}").await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (504, "state.unknown"));
    let (status, headers, body) = refusal(world.get("/slow").await).await;
    assert_eq!((status.as_u16(), body.error_code.as_str()), (503, "state.unavailable"));
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(text(world.get("/slow-stream").await).await, "done");
}

#[tokio::test]
async fn the_callers_id_is_kept_if_it_is_fit_for_a_log() {
    let world = World::new();
    for (given, kept) in [("req-42", true), ("two words", false), (&"x".repeat(129), false)] {
        let request = Request::get("/nowhere").header(REQUEST_ID, given).body(Body::empty());
        let (_, headers, _) = refusal(world.send(request.expect("request is valid")).await).await;
        assert_eq!(headers[REQUEST_ID] == given, kept, "{given}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_not_by_path() {
    let world = World::new();
    for path in ["/numbers/1?room=1&nights=1", "/numbers/2?room=1&nights=1", "/invented/by/caller"] {
        world.get(path).await;
    }
    let shown = text(world.get("/metrics").await).await;
    let prefix = "spina_event_store_http_requests_total";
    for labels in
        [r#"{route="/numbers/{number}",method="GET",status="200"} 2"#, r#"{route="none",method="GET",status="404"} 1"#]
    {
        assert!(shown.contains(&format!("{prefix}{labels}")), "{labels} is missing in\n{shown}");
    }
    assert!(shown.contains("spina_event_store_http_request_duration_seconds_bucket"));
    assert!(!shown.contains("invented"));
    assert_eq!(world.metrics.text().matches("# EOF").count(), 1);
}

#[tokio::test]
async fn every_service_has_health_and_its_description() {
    let world = World::new();
    assert_eq!(text(world.get("/health/live").await).await, r#"{"status":"live"}"#);
    world.readiness.set("kafka", Condition::not_ready("no broker answers"));
    let ready = world.get("/health/ready").await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(ready).await.contains("no broker answers"));
    let document: Value =
        serde_json::from_str(&text(world.get("/openapi.json").await).await).expect("document is JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for path in ["/health/live", "/health/ready", "/metrics", "/openapi.json"] {
        assert!(document["paths"][path]["get"].is_object(), "{path} is not described");
    }
}
