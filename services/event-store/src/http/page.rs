//! The log in pages: for scripts, which need no stream of events.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use spina_core::Token;
use utoipa::ToSchema;

use super::view::EventView;
use crate::read::page::Page;

/// Events of a context since a place.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageAnswer {
    /// In order within each stream.
    events: Vec<EventView>,
    /// Token to give as `from` for the next page.
    #[schema(value_type = String, example = "flights.events.v1:0:17,1:1287")]
    next: Token,
    /// Whether everything acknowledged before the call was passed. A short page alone does not say so.
    at_end: bool,
}

/// A page as a [`PageAnswer`]; its events are JSON already.
pub fn answer(page: &Page) -> Response {
    let length: usize = page.events.iter().map(|event| event.json.len() + 1).sum();
    let mut body = String::with_capacity(length + 256);
    body.push_str("{\"events\":[");
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&event.json);
    }
    // A token is a topic's name and digits: nothing to escape.
    body.push_str(&format!("],\"next\":\"{}\",\"at_end\":{}}}", page.next, page.at_end));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::read::entry::Shown;

    #[tokio::test]
    async fn a_page_is_a_json_document() {
        let shown = |json: &str| Arc::new(Shown { name: "A".to_owned(), json: json.to_owned() });
        let next: Token = "a.events.v1:0:17,3:4".parse().unwrap();
        let page = Page { events: vec![shown("{\"version\":1}"), shown("{\"version\":2}")], next, at_end: true };
        let body = axum::body::to_bytes(answer(&page).into_body(), 1 << 20).await.unwrap();
        let document: Value = serde_json::from_slice(&body).unwrap();
        let expected =
            json!({ "events": [{"version": 1}, {"version": 2}], "next": "a.events.v1:0:17,3:4", "at_end": true });
        assert_eq!(document, expected);
    }
}
