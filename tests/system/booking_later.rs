//! Calls that their target takes for later: heartbeats, silence, and word of how they ended, at any orchestrator.
//!
//! Before [`demo`](crate::demo) by name, as [`booking`](crate::booking) is.

use std::time::Duration;

use serde_json::{Value, json};
use spina_tests::bookings::Booking;
use spina_tests::eventually_within;
use spina_tests::http::Http;
use spina_tests::notices::Notices;
use spina_tests::service::Service;
use spina_tests::spina::Spina;

const PATIENCE: Duration = Duration::from_secs(120);
/// Time between the heartbeats of a call that is kept alive.
const BEAT: Duration = Duration::from_millis(300);
/// So many of them take longer than `print` takes for silence.
const BEATS: usize = 12;

/// A press prints it, which takes its time.
const PRINT: &str = "saga: print
version: 1
steps:
  - name: press
    http: input.press
    body: { order: key }
    outputs: { sheets: reply.body.sheets }
    accept: [press.out_of_paper]
    timeout_ms: 60000
    heartbeat_ms: 2000
    retry:
      unavailable: { attempts: 1000, first_ms: 50, most_ms: 200 }
      timed_out: { attempts: 1000, first_ms: 50, most_ms: 200 }
    undo: { none: what is printed stays printed }
";

struct Press {
    booking: Booking,
    print: String,
    bind: String,
    notices: Notices,
    owner: Service,
}

impl Press {
    async fn begin() -> Self {
        let booking = Booking::declare();
        let print = booking.define("print", 1, PRINT);
        let slow = PRINT.replace("saga: print", "saga: bind").replace("heartbeat_ms: 2000", "heartbeat_ms: 50000");
        let bind = booking.define("bind", 1, &slow);
        let mut owner = Service::start(&booking.stack, "saga-orchestrator", &booking.context);
        owner.ready().await;
        Self { booking, print, bind, notices: Notices::start(), owner }
    }

    /// Begins a saga, and tells the id of its call once the press has taken it.
    async fn taken(&self, saga: &str, key: &str) -> String {
        let (http, path) = (Http::new(&self.owner.url), format!("/v1/sagas/{saga}"));
        let input = json!({ "press": format!("{}/later", self.notices.base()) });
        eventually_within(PATIENCE, "a saga is started", async || {
            let answer = http.try_post(&path, &json!({ "key": key, "input": input })).await.ok()?;
            (answer.status == 202).then_some(())
        })
        .await;
        let call = format!("saga-{saga}-{key}/press/do/1");
        eventually_within(PATIENCE, "the press has it", async || self.notices.callback_of(&call).map(|_| ())).await;
        call
    }

    /// Says how a call goes on, where its header said.
    async fn say(&self, call: &str, what: &str, body: Value) {
        let address = format!("{}/{what}", self.notices.callback_of(call).unwrap());
        said(&address, &body).await;
    }

    async fn calls(&self, call: &str, at_least: usize) {
        let enough = async || (self.notices.calls_of(call) >= at_least).then_some(());
        eventually_within(PATIENCE, &format!("{call} comes {at_least} times"), enough).await;
    }

    async fn is(&self, saga: &str, key: &str, state: &str) -> Value {
        let (http, path) = (Http::new(&self.owner.url), format!("/v1/sagas/saga-{saga}-{key}"));
        eventually_within(PATIENCE, &format!("{key} is {state}"), async || {
            let answer = http.get(&path).await.ok()?;
            (answer.body["state"] == state).then_some(answer.body)
        })
        .await
    }
}

async fn said(address: &str, body: &Value) {
    let http = Http::new(address);
    eventually_within(PATIENCE, "it is heard", async || {
        let answer = http.try_post("", body).await.ok()?;
        (answer.status == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_taken_for_later_is_heard_of_and_ends_or_is_made_again() {
    let mut press = Press::begin().await;
    let (print, bind) = (press.print.clone(), press.bind.clone());

    // Kept alive for longer than it may be silent, then done.
    let call = press.taken(&print, "busy").await;
    for _ in 0..BEATS {
        press.say(&call, "heartbeat", json!({})).await;
        tokio::time::sleep(BEAT).await;
    }
    press.say(&call, "done", json!({ "body": { "sheets": 7 } })).await;
    let done = press.is(&print, "busy", "completed").await;
    assert_eq!(done["details"]["outputs"]["press"]["sheets"], 7, "{done}");
    assert_eq!(press.notices.calls_of(&call), 1, "it was asked once");

    // Silent, so it is asked again, under the same key; and who was asked first may still say that it is done.
    let call = press.taken(&print, "silent").await;
    press.calls(&call, 2).await;
    press.say(&call, "done", json!({ "body": { "sheets": 1 } })).await;
    press.is(&print, "silent", "completed").await;

    // A no that the step takes for an answer, one that it does not, and a not now.
    let call = press.taken(&print, "empty").await;
    press.say(&call, "refused", json!({ "code": "press.out_of_paper" })).await;
    let empty = press.is(&print, "empty", "completed").await;
    assert_eq!(empty["details"]["outputs"]["press"]["rejected"], "press.out_of_paper", "{empty}");
    let call = press.taken(&print, "broken").await;
    press.say(&call, "refused", json!({ "code": "press.broken", "message": "no ink" })).await;
    press.is(&print, "broken", "compensated").await;
    let call = press.taken(&print, "jammed").await;
    press.say(&call, "refused", json!({ "code": "press.jammed", "again": true })).await;
    press.calls(&call, 2).await;
    press.say(&call, "done", json!({ "body": { "sheets": 2 } })).await;
    press.is(&print, "jammed", "completed").await;

    // The owner dies; what was taken for later is not asked again, and any orchestrator hears of it.
    let call = press.taken(&bind, "moved").await;
    press.say(&call, "heartbeat", json!({})).await;
    let steps = format!("/v1/sagas/saga-{bind}-moved");
    let beaten = async || {
        let saga = Http::new(&press.owner.url).get(&steps).await.ok()?;
        saga.body["details"]["steps"]["press"]["until"].is_string().then_some(())
    };
    eventually_within(PATIENCE, "it was heard of", beaten).await;
    press.owner.kill();
    press.owner.start_again();
    press.owner.ready().await;
    let other = [("SPINA_INSTANCE", "saga-orchestrator-2")];
    let mut other = Service::start_with(&press.booking.stack, "saga-orchestrator", &press.booking.context, &other);
    other.ready().await;
    let address = press.notices.callback_of(&call).unwrap().replace(&press.owner.url, &other.url);
    assert!(address.starts_with(&other.url), "{address}");
    said(&format!("{address}/done"), &json!({ "body": { "sheets": 3 } })).await;
    press.is(&bind, "moved", "completed").await;
    assert_eq!(press.notices.calls_of(&call), 1, "it was asked once");

    for (saga, sagas) in [(&print, 5), (&bind, 1)] {
        let histories = press.booking.file(&format!("{saga}.ndjson"), []);
        let replay = Spina::of(&press.booking.stack).args(["saga", "replay", "--definition", saga, "--write"]);
        let replay = replay.arg(histories);
        let report = press.booking.context.folders(replay).json();
        assert_eq!((&report["sagas"], &report["differing"]), (&json!(sagas), &json!(0)), "{report}");
    }
}
