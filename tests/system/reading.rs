//! Reading: parts of streams by version and by time, states at the edges, and the log in pages.

use serde_json::{Value, json};
use spina_tests::http::Http;
use spina_tests::world::World;

use crate::samples::{cancelled, departed, new_stream, scheduled};

fn at(mut event: Value, time: &str) -> Value {
    event["time"] = json!(time);
    event
}

fn versions(answer: &Value) -> Vec<u64> {
    answer["events"].as_array().unwrap().iter().map(|event| event["version"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_is_read_part_by_part_in_both_directions() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    http.append(context, &stream, "no_stream", json!(vec![departed(); 5])).await;
    let path = format!("/v1/{context}/streams/{stream}/events");
    let read = async |query: &str| http.get(&format!("{path}?limit=2&{query}")).await.unwrap().body;

    for (direction, parts) in
        [("forward", [vec![1, 2], vec![3, 4], vec![5]]), ("backward", [vec![5, 4], vec![3, 2], vec![1]])]
    {
        let mut from = String::new();
        for (index, expected) in parts.iter().enumerate() {
            let part = read(&format!("direction={direction}{from}")).await;
            assert_eq!((&versions(&part), &part["version"]), (expected, &json!(5)), "{direction}");
            let next = part.get("next_from_version");
            assert_eq!(next.is_none(), index == 2, "{part}");
            from = format!("&from_version={}", next.unwrap_or(&Value::Null));
        }
    }
    let exact = read("from_version=4").await;
    assert_eq!((versions(&exact), exact.get("next_from_version")), (vec![4, 5], None), "nothing is behind a full part");
    let beyond = read("from_version=6").await;
    assert_eq!((versions(&beyond), &beyond["version"]), (vec![], &json!(5)));
    let from_beyond = read("from_version=99&direction=backward").await;
    assert_eq!(versions(&from_beyond), [5, 4]);
    assert_eq!(versions(&read("from_version=0").await), [1, 2]);
    assert_eq!(http.get(&format!("{path}?limit=0")).await.unwrap().error_code(), "validation.limit");
}

#[tokio::test]
async fn a_stream_is_read_by_the_time_at_which_things_happened() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    // Reported late: time does not grow with the version.
    let times = ["2013-01-01T10:00:00Z", "2013-01-03T10:00:00Z", "2013-01-02T10:00:00Z"];
    let events: Vec<Value> = times.iter().map(|time| at(departed(), time)).collect();
    http.append(context, &stream, "no_stream", json!(events)).await;
    let path = format!("/v1/{context}/streams/{stream}/events");
    let read = async |query: &str| versions(&http.get(&format!("{path}?{query}")).await.unwrap().body);

    assert_eq!(read("from_time=2013-01-02T10:00:00Z").await, [2, 3], "from that instant on");
    assert_eq!(read("to_time=2013-01-02T10:00:00Z").await, [1], "before that instant");
    assert_eq!(read("from_time=2013-01-02T00:00:00Z&to_time=2013-01-03T00:00:00Z").await, [3]);
    assert_eq!(read("from_time=2013-01-02T00:00:00Z&direction=backward&limit=1").await, [3]);
    assert_eq!(read("from_time=2014-01-01T00:00:00Z").await, [0; 0]);
    let refused = http.get(&format!("{path}?from_time=yesterday")).await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (400, "validation.query"));
}

#[tokio::test]
async fn a_state_before_the_first_and_beyond_the_last_event_is_not_found() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), &world.context.name, new_stream());
    http.append(context, &stream, "no_stream", json!([scheduled(), departed()])).await;
    let state = async |query: &str| http.get(&format!("/v1/{context}/streams/{stream}?{query}")).await.unwrap();

    for nothing in ["version=0", "version=3", "at=2012-12-31T10:14:59.999999Z", "version=18446744073709551615"] {
        let answer = state(nothing).await;
        assert_eq!((answer.status, answer.error_code()), (404, "resource.not_found"), "{nothing}: {answer:?}");
    }
    for (query, version) in [("version=2", 2), ("at=2012-12-31T10:15:00Z", 1), ("at=2999-01-01T00:00:00Z", 2)] {
        assert_eq!(state(query).await.body["version"], version, "{query}");
    }
    assert_eq!(state("version=1&at=2999-01-01T00:00:00Z").await.error_code(), "validation.query");
}

/// Pages from a token on, until the end.
async fn pages(http: &Http, context: &str, query: &str, mut from: String) -> (Vec<Value>, String) {
    let mut events = Vec::new();
    for _ in 0..1_000 {
        let path = format!("/v1/{context}/events?from={from}&{query}");
        let page = http.get(&path).await.unwrap();
        assert_eq!(page.status, 200, "{page:?}");
        events.extend(page.body["events"].as_array().unwrap().iter().cloned());
        page.body["next"].as_str().unwrap().clone_into(&mut from);
        if page.body["at_end"] == true {
            return (events, from);
        }
    }
    panic!("no end in sight after {} events", events.len());
}

#[tokio::test]
async fn pages_end_with_what_was_acknowledged_last() {
    let world = World::shared().await;
    let (http, context) = (world.http(), &world.context.name);
    let streams: Vec<String> = (0..4).map(|_| new_stream()).collect();
    let (_, before) = pages(&http, context, "limit=1000", "latest".to_owned()).await;
    let mut places = before.clone();
    for round in 1..=20 {
        for stream in &streams {
            let appended = http.append(context, stream, "any", json!([departed(), cancelled()])).await;
            assert_eq!(appended.status, 201, "{appended:?}");
        }
        let (events, next) = pages(&http, context, "limit=3", places).await;
        // Acknowledged is included, at once; nothing is left out or comes again.
        for stream in &streams {
            let own: Vec<_> = events.iter().filter(|event| event["stream"] == **stream).collect();
            let seen: Vec<_> = own.iter().map(|event| event["version"].as_u64().unwrap()).collect();
            assert_eq!(seen, [2 * round - 1, 2 * round], "{stream}");
        }
        places = next;
    }
    let query = format!("limit=7&category=flight&types=FlightCancelled&stream={}", streams[0]);
    let (filtered, _) = pages(&http, context, &query, before.clone()).await;
    let seen: Vec<u64> = filtered.iter().map(|event| event["version"].as_u64().unwrap()).collect();
    assert_eq!(seen, (1..=20).map(|round| 2 * round).collect::<Vec<_>>());
    let (nothing, _) = pages(&http, context, "limit=7&category=order", before).await;
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn a_page_says_what_is_wrong_with_the_question() {
    let world = World::shared().await;
    let (http, context) = (world.http(), &world.context.name);
    let other = format!("{context}.events.v1:0:999999999");
    for (query, code) in [
        ("limit=0".to_owned(), "validation.limit"),
        ("limit=1001".to_owned(), "validation.limit"),
        ("limit=1&from=other.events.v1:0:1".to_owned(), "validation.token"),
        (format!("limit=1&from={other}"), "validation.token"),
        (format!("from={other}"), "validation.token"),
    ] {
        let refused = http.get(&format!("/v1/{context}/events?{query}")).await.unwrap();
        assert_eq!((refused.status, refused.error_code()), (422, code), "{query}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reads_on_where_it_left() {
    let world = World::shared().await;
    let (http, context, stream) = (world.http(), world.context.name.as_str(), new_stream());
    let spina = |args: &[&str]| world.spina().arg("read").args(args).args(["--context", context]).json();
    let since = spina(&["--since", "latest"])["next"].as_str().unwrap().to_owned();
    http.append(context, &stream, "no_stream", json!([scheduled(), departed(), cancelled()])).await;

    let page = spina(&["--since", &since, "--category", "flight", "--limit", "2"]);
    assert_eq!((versions(&page), &page["at_end"]), (vec![1, 2], &json!(false)));
    let rest = spina(&["--since", page["next"].as_str().unwrap(), "--limit", "2"]);
    assert_eq!((versions(&rest), &rest["at_end"]), (vec![3], &json!(true)));
    let of_type = spina(&["--since", &since, "--type", "FlightDeparted"]);
    assert_eq!(versions(&of_type), [2]);
    let in_time = spina(&[&stream, "--from-time", "2013-01-01T00:00:00Z", "--direction", "backward", "--limit", "1"]);
    assert_eq!(versions(&in_time), [3]);
    let text = world.spina().args(["read", "--context", context, "--since", &since, "--limit", "2"]).run();
    assert!(text.stdout.contains(&format!("{stream} 1  FlightScheduled")), "{text:?}");
    assert!(text.stderr.contains(page["next"].as_str().unwrap()), "{text:?}");
}
