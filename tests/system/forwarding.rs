//! Two event-stores share a context. Clients may ask either of them.

use reqwest::Response;
use serde_json::{Value, json};
use spina_tests::fleet::Fleet;
use spina_tests::{eventually, history};

use crate::samples::{departed, new_stream, scheduled};

const FIRST: usize = 0;
const SECOND: usize = 1;

#[tokio::test]
async fn a_request_at_the_wrong_process_is_answered_by_the_owner() {
    let fleet = Fleet::of(2, "forwarding").await;
    let stream = fleet.stream_of(SECOND).await;
    let (here, there) = (fleet.http(FIRST), fleet.http(SECOND));
    let context = &fleet.context.name;

    let appended = here.append(context, &stream, "no_stream", json!([scheduled(), departed()])).await;
    assert_eq!((appended.status, &appended.body["version"]), (201, &json!(2)), "{appended:?}");
    let conflict = here.append(context, &stream, 1, json!([departed()])).await;
    assert_eq!((conflict.status, conflict.error_code()), (409, "state.conflict"), "errors pass unchanged");
    assert_eq!(conflict.body["details"]["current_version"], 2);

    let path = format!("/v1/{context}/streams/{stream}");
    for read in [format!("{path}/events"), path.clone(), format!("{path}?version=1")] {
        let (one, other) = (here.get(&read).await.unwrap(), there.get(&read).await.unwrap());
        assert_eq!((one.status, &one), (200, &other), "{read}");
    }
    let snapshot = here.post(&format!("{path}/snapshot"), &json!({})).await;
    assert_eq!((snapshot.status, &snapshot.body["version"]), (201, &json!(2)), "{snapshot:?}");

    let read = ask(&fleet, FIRST, &path, None).await;
    assert_eq!(read.headers()["spina-served-by"], fleet.stores[SECOND].url.as_str());
    let own = fleet.stream_of(FIRST).await;
    here.append(context, &own, "no_stream", json!([scheduled()])).await;
    let read = ask(&fleet, FIRST, &format!("/v1/{context}/streams/{own}"), None).await;
    assert!(read.headers().get("spina-served-by").is_none(), "its own requests stay");
}

#[tokio::test]
async fn a_forwarded_request_is_never_forwarded_again() {
    let fleet = Fleet::of(2, "forwarding").await;
    let stream = fleet.stream_of(SECOND).await;
    let path = format!("/v1/{}/streams/{stream}", fleet.context.name);

    let refused = ask(&fleet, FIRST, &path, Some("http://127.0.0.1:1")).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error_code"], "state.unavailable");
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_unknown_and_its_key_tells() {
    let fleet = Fleet::with(2, "forwarding", &[("SPINA_HTTP_TIMEOUT_MS", "3000")]).await;
    let mut fleet = fleet;
    let stream = fleet.stream_of(SECOND).await;
    let context = fleet.context.name.clone();
    let here = fleet.http(FIRST);

    fleet.stores[SECOND].freeze(true);
    let lost = here.append(&context, &stream, "no_stream", json!([scheduled()])).await;
    assert_eq!((lost.status, lost.error_code()), (504, "state.unknown"), "{lost:?}");
    let key = lost.body["details"]["idempotency_key"].as_str().unwrap().to_owned();
    fleet.stores[SECOND].kill();

    let path = format!("/v1/{context}/streams/{stream}/events");
    let body = json!({ "expected_version": "no_stream", "events": [scheduled()] });
    let repeat = eventually("the survivor has taken over", async || {
        let answer = here.post_with_key(&path, Some(&key), &body).await;
        match answer.status {
            503 | 504 => None,
            _ => Some(answer),
        }
    });
    let repeat = repeat.await;
    assert_eq!((repeat.status, &repeat.body["version"]), (201, &json!(1)), "{repeat:?}");
    let again = here.post_with_key(&path, Some(&key), &body).await;
    assert_eq!(again.body, repeat.body);
    let log = history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await;
    assert_eq!(log.len(), 1);
}

#[tokio::test]
async fn a_dead_owner_costs_its_clients_retries_and_nothing_else() {
    let mut fleet = Fleet::of(2, "forwarding").await;
    let context = fleet.context.name.clone();
    let here = fleet.http(FIRST);
    let dead = fleet.stream_of(SECOND).await;
    let living = fleet.stream_of(FIRST).await;
    assert_eq!(here.append(&context, &dead, "no_stream", json!([scheduled()])).await.status, 201);

    fleet.stores[SECOND].kill();
    let mut refused = 0;
    let appended = eventually("the survivor has taken over", async || {
        let own = here.append(&context, &living, "any", json!([departed()])).await;
        assert_eq!(own.status, 201, "other partitions are not disturbed: {own:?}");
        let answer = here.append(&context, &dead, 1, json!([departed()])).await;
        if answer.status == 503 {
            refused += 1;
            return None;
        }
        Some(answer)
    });
    let appended = appended.await;
    assert_eq!((appended.status, &appended.body["version"]), (201, &json!(2)), "{appended:?}");
    assert!(refused > 0, "the dead owner was asked first");
    let stream = new_stream();
    assert_eq!(here.append(&context, &stream, "no_stream", json!([scheduled()])).await.status, 201);
    history::assert_sound(&history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await);
}

/// Lines for both processes, those of each stream in order; the last of each expects what is not so.
fn lines(streams: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for (expected, event) in [(json!("no_stream"), scheduled()), (json!(1), departed()), (json!(7), departed())] {
        for stream in streams {
            let mut line = event.clone();
            line["stream"] = json!(stream);
            line["id"] = json!(format!("{stream}-{}", expected));
            line["expected_version"] = expected.clone();
            lines.push(line.to_string());
        }
        lines.push(String::new());
    }
    lines
}

async fn import(fleet: &Fleet, index: usize, lines: &[String], forwarded_by: Option<&str>) -> Vec<Value> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/{}/import", fleet.stores[index].url, fleet.context.name);
    let mut request = client.post(url).body(lines.join("\n") + "\n");
    if let Some(by) = forwarded_by {
        request = request.header("spina-forwarded-by", by);
    }
    let reports = request.send().await.unwrap().text().await.unwrap();
    reports.lines().map(|report| serde_json::from_str(report).unwrap()).collect()
}

#[tokio::test]
async fn lines_of_an_import_go_to_the_owners_of_their_partitions() {
    let fleet = Fleet::of(2, "forwarding").await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.extend([fleet.stream_of(FIRST).await, fleet.stream_of(SECOND).await]);
    }
    let lines = lines(&streams);

    let reports = import(&fleet, FIRST, &lines, None).await;
    let counts = |appended: usize, duplicates: usize| json!({"lines": lines.len(), "appended": appended, "duplicates": duplicates, "rejected": 400, "done": true});
    let last = reports.last().unwrap();
    assert_eq!(last, &counts(800, 0), "each line is counted once");
    let refused: Vec<&Value> = reports.iter().filter(|report| report["line"].is_u64()).collect();
    assert_eq!(refused.len(), 100, "as many as are told one by one");
    let place = usize::try_from(refused[1]["line"].as_u64().unwrap()).unwrap() - 1;
    assert!(lines[place].contains(&streams[1]), "the line's number is that of the client: {}", refused[1]);
    assert_eq!(refused[1]["error_code"], "state.conflict");

    let again = import(&fleet, SECOND, &lines, None).await;
    assert_eq!(again.last().unwrap(), &counts(0, 800), "at the other process");
    let log = history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await;
    assert_eq!(log.len(), 800);
    history::assert_sound(&log);
}

#[tokio::test]
async fn lines_that_were_passed_on_are_judged_one_by_one_and_never_passed_on_again() {
    let fleet = Fleet::of(2, "forwarding").await;
    let (own, other) = (fleet.stream_of(SECOND).await, fleet.stream_of(FIRST).await);
    let from = Some("http://127.0.0.1:1");

    let reports = import(&fleet, SECOND, &lines(&[own]), from).await;
    let outcomes: Vec<&Value> = reports.iter().filter(|report| report["line"].is_u64()).collect();
    let outcomes: Vec<&str> = outcomes.iter().map(|report| report["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["appended", "blank", "appended", "blank", "refused", "blank"]);

    let reports = import(&fleet, SECOND, &lines(&[other]), from).await;
    let last = reports.last().unwrap();
    assert_eq!((&last["done"], &last["error_code"]), (&json!(false), &json!("state.unavailable")), "{last}");
    assert_eq!(history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await.len(), 2);
}

#[tokio::test]
async fn an_import_ends_where_the_owner_of_its_lines_is_gone_and_can_be_resumed() {
    let mut fleet = Fleet::of(2, "forwarding").await;
    let streams = [fleet.stream_of(FIRST).await, fleet.stream_of(SECOND).await];
    fleet.stores[SECOND].kill();

    let lines = lines(&streams);
    let stopped = import(&fleet, FIRST, &lines, None).await.pop().unwrap();
    assert_eq!((&stopped["done"], &stopped["error_code"]), (&json!(false), &json!("state.unavailable")), "{stopped}");
    assert_eq!(stopped["lines"], 1, "up to the first line that was not taken: {stopped}");
    let whole = eventually("the survivor has taken over", async || {
        let last = import(&fleet, FIRST, &lines, None).await.pop()?;
        last["done"].as_bool().filter(|done| *done).map(|_| last)
    });
    let whole = whole.await;
    let counted = whole["appended"].as_u64().unwrap() + whole["duplicates"].as_u64().unwrap();
    assert_eq!((counted, &whole["rejected"]), (4, &json!(2)), "{whole}");
    let log = history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await;
    assert_eq!(log.len(), 4, "nothing twice");
    history::assert_sound(&log);
}

async fn ask(fleet: &Fleet, index: usize, path: &str, forwarded_by: Option<&str>) -> Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(format!("{}{path}", fleet.stores[index].url));
    if let Some(by) = forwarded_by {
        request = request.header("spina-forwarded-by", by);
    }
    request.send().await.unwrap()
}
