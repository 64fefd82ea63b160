//! Rows of read models, compared as a whole.

use serde_json::Value;
use spina_tests::http::Http;
use spina_tests::spina::Spina;
use spina_tests::{PATIENCE, eventually_within};

/// The models of the flights, each with a total order of its rows.
pub const MODELS: [(&str, &[&str]); 4] = [
    ("flight_status", &["stream"]),
    ("carrier_punctuality", &["carrier"]),
    ("airport_day", &["origin", "day"]),
    ("aircraft", &["tail_number"]),
];

/// All rows of all models, in order of their keys.
pub fn rows(spina: impl Fn(&[&str]) -> Spina) -> Vec<(&'static str, Vec<Value>)> {
    let all = MODELS.map(|(model, key)| {
        let printed = spina(&["model", "list", model, "--all", "--output", "ndjson"]).succeeds();
        let mut rows: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        rows.sort_by_cached_key(|row| key.iter().map(|column| row[column].to_string()).collect::<Vec<_>>());
        (model, rows)
    });
    all.into()
}

/// The first difference of two sets of rows is easier to read than both of them.
pub fn assert_same(found: &[(&str, Vec<Value>)], expected: &[(&str, Vec<Value>)]) {
    for ((model, found), (_, expected)) in found.iter().zip(expected) {
        assert!(!expected.is_empty(), "{model} has rows");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "{model}");
        }
        assert_eq!(found.len(), expected.len(), "rows of {model}");
    }
}

/// Waits until all projections have every event there is.
pub async fn caught_up(projector: &str) {
    let http = Http::new(projector);
    eventually_within(PATIENCE * 2, "the projections have caught up", async || {
        let answer = http.get("/v1/projections").await.ok()?;
        let projections = answer.body["projections"].as_array()?;
        let done = |projection: &Value| projection["caught_up"] == true && projection["lag_records"] == 0;
        (projections.len() == MODELS.len() && projections.iter().all(done)).then_some(())
    })
    .await;
}
