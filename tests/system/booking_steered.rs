//! Sagas that people steer: what compensation would do, many at a time, and targets that are left alone.
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
/// Sagas that are steered at a time: more than a breaker takes failures of.
const SAGAS: usize = 6;

/// Tells somebody, and waits for ever. Nobody lets it be taken back.
const NAG: &str = "saga: nag
version: 1
steps:
  - name: tell
    http: input.notify
    body: { reservation: key }
    rate: { per_second: 100, burst: 20 }
    timeout_ms: 120000
    retry: { unavailable: { attempts: 1000, first_ms: 20, most_ms: 100 } }
    undo: { http: input.undo }
  - { name: gate, await: booking.VoucherIssued, key: event.key, timeout_ms: 86400000 }
";

struct Nags {
    booking: Booking,
    name: String,
    notices: Notices,
    orchestrator: Service,
}

impl Nags {
    async fn begin() -> Self {
        let booking = Booking::declare();
        let name = booking.define("nag", 1, NAG);
        let mut orchestrator = Service::start(&booking.stack, "saga-orchestrator", &booking.context);
        orchestrator.ready().await;
        Self { booking, name, notices: Notices::start(), orchestrator }
    }

    async fn start_all(&self) {
        let base = self.notices.base();
        let input = json!({ "notify": format!("{base}/notices"), "undo": format!("{base}/refused") });
        let (http, path) = (Http::new(&self.orchestrator.url), format!("/v1/sagas/{}", self.name));
        for number in 0..SAGAS {
            eventually_within(PATIENCE, "a saga is started", async || {
                let key = format!("k{number}");
                let answer = http.try_post(&path, &json!({ "key": key, "input": input })).await.ok()?;
                (answer.status == 202).then_some(())
            })
            .await;
        }
    }

    /// Waits until the orchestrator answers with something that fits.
    async fn until(&self, what: &str, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let http = Http::new(&self.orchestrator.url);
        eventually_within(PATIENCE, what, async || {
            let answer = http.get(path).await.ok()?;
            (answer.status == 200 && fits(&answer.body)).then_some(answer.body)
        })
        .await
    }

    async fn all_are(&self, state: &str) {
        let path = format!("/v1/sagas?state={state}&definition={}", self.name);
        self.until(&format!("all are {state}"), &path, |page| page["sagas"].as_array().map(Vec::len) == Some(SAGAS))
            .await;
    }

    async fn all_wait(&self) {
        for number in 0..SAGAS {
            let path = format!("/v1/sagas/saga-{}-k{number}", self.name);
            let at_gate = |saga: &Value| saga["details"]["steps"]["gate"]["phase"] == "active";
            self.until("a saga is at its gate", &path, at_gate).await;
        }
    }

    async fn breaker(&self, state: &str) {
        let (what, target) = (format!("the breaker is {state}"), self.notices.base());
        let stands = |page: &Value| {
            let mut breakers = page["breakers"].as_array().into_iter().flatten();
            breakers.any(|breaker| breaker["target"] == target && breaker["state"] == state)
        };
        self.until(&what, "/v1/breakers", stands).await;
    }

    /// `spina saga ...` about these sagas.
    fn saga(&self, args: &[&str]) -> Spina {
        let spina = Spina::of(&self.booking.stack).env("SPINA_SAGA_ORCHESTRATOR_URL", &self.orchestrator.url);
        spina.arg("saga").args(args)
    }

    fn steer(&self, args: &[&str]) -> Value {
        self.saga(args).args(["--definition", &self.name, "--reason", "the test says so", "--by", "ada"]).json()
    }

    fn replay(&self) -> Spina {
        self.booking.context.folders(self.saga(&["replay", "--definition", &self.name]))
    }
}

#[tokio::test]
async fn a_target_that_is_away_is_left_alone_until_somebody_closes_its_breaker() {
    let nags = Nags::begin().await;
    nags.notices.hang_up(true);
    nags.start_all().await;
    nags.breaker("open").await;
    nags.notices.hang_up(false);
    let target = nags.notices.base();
    nags.saga(&["breaker", "reset", &target, "--reason", "it is back", "--by", "ada"]).succeeds();
    nags.all_wait().await;
    nags.breaker("closed").await;
    let metrics = Http::new(&nags.orchestrator.url).get("/metrics").await.unwrap().body;
    let metrics = metrics.as_str().unwrap();
    for line in [
        format!("spina_saga_orchestrator_breaker_open{{target=\"{target}\"}} 0"),
        format!("spina_saga_orchestrator_sagas_total{{state=\"started\"}} {SAGAS}"),
        format!("spina_saga_orchestrator_steps_total{{direction=\"do\",outcome=\"done\"}} {SAGAS}"),
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn sagas_are_steered_many_at_a_time_and_a_changed_definition_is_caught() {
    let nags = Nags::begin().await;
    nags.start_all().await;
    nags.all_wait().await;
    let first = format!("saga-{}-k0", nags.name);
    let preview = nags.saga(&["preview", &first]).json();
    let undo = format!("{}/refused", nags.notices.base());
    assert_eq!((&preview["steps"][0]["step"], &preview["steps"][0]["request"]["url"]), (&json!("tell"), &json!(undo)));
    assert_eq!(preview["ends"], "compensated", "{preview}");

    assert_eq!(nags.steer(&["compensate", "--state", "running", "--dry-run"])["sagas"], SAGAS);
    assert_eq!(nags.steer(&["compensate", "--state", "running", "--older-than", "86400"])["sagas"], 0);
    nags.all_are("running").await;
    assert_eq!(nags.steer(&["compensate", "--state", "running"])["sagas"], SAGAS);
    nags.all_are("stuck").await;
    let some = nags.steer(&["resolve", "--state", "stuck", "--limit", "2", "--dry-run"]);
    assert_eq!((&some["sagas"], &some["more"]), (&json!(2), &json!(true)));
    assert_eq!(nags.steer(&["resolve", "--state", "stuck"])["sagas"], SAGAS);
    nags.all_are("resolved").await;
    let refused = nags.saga(&["preview", &first]).run();
    assert_eq!(refused.status.code(), Some(3), "it has ended: {refused:?}");

    let batches = nags.saga(&["batches"]).json();
    let ours = batches["batches"].as_array().unwrap().iter().filter(|batch| batch["filter"]["definition"] == nags.name);
    let ours: Vec<(&Value, &Value)> = ours.map(|batch| (&batch["verb"], &batch["sagas"])).collect();
    let (six, none) = (json!(SAGAS), json!(0));
    let (resolve, compensate) = (json!("resolve"), json!("compensate"));
    assert_eq!(ours, [(&resolve, &six), (&compensate, &six), (&compensate, &none)], "{batches}");

    assert_eq!(nags.replay().json()["sagas"], SAGAS);
    // The same version, which takes nothing back any more.
    nags.booking.define("nag", 1, &NAG.replace("undo: { http: input.undo }", "undo: { none: it is told }"));
    let caught = nags.replay().run();
    assert_eq!(caught.status.code(), Some(1), "{caught:?}");
    assert!(caught.stderr.contains("otherwise than recorded"), "{caught:?}");
}
