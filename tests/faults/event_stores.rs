//! Two event-stores behind the proxy: an answer that is lost with its process, and a process that wakes too late.

use serde_json::{Value, json};
use spina_tests::fleet::Fleet;
use spina_tests::http::Answer;
use spina_tests::proxy::{Act, Api, Matching, Rule};
use spina_tests::{eventually, history};

use crate::bench::{beside, cluster, proxy};

const FIRST: usize = 0;
const SECOND: usize = 1;

/// More requests than any client sends again before it gives up.
const ALL: usize = 10_000;

/// Two event-stores, and a stream with one event in a partition of the first.
struct Scene {
    fleet: Fleet,
    stream: String,
}

impl Scene {
    async fn set(prefix: &str) -> Self {
        let fleet = Fleet::on(cluster().proxied_stack(), 2, prefix, &[]).await;
        let stream = fleet.stream_of(FIRST).await;
        let scene = Self { fleet, stream };
        assert_eq!(scene.append(FIRST, "first", "no_stream").await.status, 201);
        scene
    }

    fn path(&self) -> String {
        format!("/v1/{}/streams/{}/events", self.fleet.context.name, self.stream)
    }

    async fn append(&self, at: usize, key: &str, expected: impl Into<Value>) -> Answer {
        let http = self.fleet.http(at);
        http.post_with_key(&self.path(), Some(&self.key(key)), &body(expected)).await
    }

    /// Asks until the answer is a definite one.
    async fn append_until_answered(&self, at: usize, key: &str, expected: u64) -> Answer {
        eventually("the other has taken over", async || {
            let answer = self.append(at, key, expected).await;
            (!matches!(answer.status, 503 | 504)).then_some(answer)
        })
        .await
    }

    fn key(&self, key: &str) -> String {
        format!("{}-{key}", self.stream)
    }

    /// A rule about commits of the first one's partitions. Nobody else writes meanwhile.
    fn rule_on_commit(&self, times: usize, act: Act) -> Rule {
        let ids = format!("event-store.{}.", self.fleet.context.name);
        proxy().rule(Matching::next(Api::EndTxn).of(&ids).commits(true).times(times), act)
    }

    /// Versions of the stream in the log, which must be sound.
    async fn versions(&self) -> Vec<u64> {
        let log = history::events(&cluster().bootstrap(), &self.fleet.context.events_topic()).await;
        history::assert_sound(&log);
        log.iter().filter(|event| event.stream.as_str() == self.stream).map(|event| event.version.0).collect()
    }
}

fn body(expected: impl Into<Value>) -> Value {
    let event = json!({
        "type": "FlightScheduled",
        "data": {
            "carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "day": "2013-01-01",
            "tail_number": "N14228", "distance_miles": 1400,
            "scheduled_departure": "2013-01-01T10:15:00Z", "scheduled_arrival": "2013-01-01T14:19:00Z"
        }
    });
    json!({ "expected_version": expected.into(), "events": [event] })
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_03_a_commit_whose_answer_died_with_the_process_is_answered_elsewhere() {
    let mut scene = Scene::set("nastythree").await;
    let mut rule = scene.rule_on_commit(ALL, Act::DropResponse);
    let http = scene.fleet.http(FIRST);
    let (path, key) = (scene.path(), scene.key("second"));
    let lost = beside(async move { http.try_post_with_key(&path, Some(&key), &body(1)).await });
    rule.hit().await;
    eventually("the commit took effect", async || (scene.versions().await == [1, 2]).then_some(())).await;
    scene.fleet.stores[FIRST].kill();
    drop(rule);
    assert!(lost.ends().await.is_err(), "nobody was left to answer");

    let answer = scene.append_until_answered(SECOND, "second", 1).await;
    assert_eq!((answer.status, &answer.body["version"]), (201, &json!(2)), "{answer:?}");
    assert_eq!(scene.append(SECOND, "second", 1).await.body, answer.body, "the answer stays");
    assert_eq!(scene.append(SECOND, "third", 2).await.status, 201);
    assert_eq!(scene.versions().await, [1, 2, 3], "nothing is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_04_an_owner_that_wakes_after_its_successor_has_written_does_no_harm() {
    let scene = Scene::set("nastyfour").await;
    let mut rule = scene.rule_on_commit(1, Act::Hold);
    let http = scene.fleet.http(FIRST);
    let (path, key) = (scene.path(), scene.key("second"));
    let late = beside(async move { http.try_post_with_key(&path, Some(&key), &body(1)).await });
    let stray = rule.held().await;
    scene.fleet.stores[FIRST].freeze(true);

    // The same request at the other one, which becomes the owner when the first one's session has timed out; its open
    // transaction is aborted by that.
    let answer = scene.append_until_answered(SECOND, "second", 1).await;
    assert_eq!((answer.status, &answer.body["version"]), (201, &json!(2)), "{answer:?}");
    assert_eq!(scene.append(SECOND, "third", 2).await.status, 201);
    assert_eq!(scene.versions().await, [1, 2, 3]);

    scene.fleet.stores[FIRST].freeze(false);
    stray.pass();
    if let Ok(late) = late.ends().await {
        let same = late.status == 201 && late.body["events"] == answer.body["events"];
        assert!(same || matches!(late.status, 503 | 504), "not an answer of its own: {late:?}");
    }
    let through_the_first = eventually("the first one serves again", async || {
        let answer = scene.append(FIRST, "fourth", 3).await;
        (!matches!(answer.status, 503 | 504)).then_some(answer)
    });
    assert_eq!(through_the_first.await.status, 201);
    assert_eq!(scene.versions().await, [1, 2, 3, 4]);
}
