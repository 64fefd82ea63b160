//! What happens to incidents asks commands: remediation is an aggregate and a saga, whatever is killed meanwhile.
//!
//! The first of all by name, with [`alerting`](crate::alerting): only they correlate while they run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spina_core::{EventHeaders, Timestamp};
use spina_log::names;
use spina_tests::context::Context;
use spina_tests::eventually_within;
use spina_tests::fleet::PARTITIONS;
use spina_tests::history::{assert_sound, committed, events};
use spina_tests::http::Http;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::{Stack, root};

use crate::alerting::{correlator, incidents, until, written};

/// Longest time without progress.
const PATIENCE: Duration = Duration::from_secs(120);
/// Signals of each partition, ten minutes apart: one service each. At the end of each something is killed.
const ROUNDS: u64 = 6;
/// The one that is silenced.
const MUTED: &str = "s-1-2";

/// A service that has too much to do is restarted when that becomes an incident, and its case closed when it is over.
fn rules(context: &str) -> String {
    format!(
        "lateness: 1m\n\
         idle: 1d\n\
         signals:\n\
         \x20 LoadMeasured: {{ name: load, when: data.load > 0.9, labels: {{ service: data.service }} }}\n\
         rules:\n\
         \x20 saturated:\n\
         \x20   match: ['signal=\"load\"']\n\
         \x20   group_by: [service]\n\
         \x20   resolve: {{ quiet: 2h }}\n\
         \x20   severity: page\n\
         \x20   summary: \"{{labels.service}} is saturated\"\n\
         \x20   actions:\n\
         \x20     - on: opened\n\
         \x20       command: {context}.RestartService\n\
         \x20       stream: \"'service-' + labels.service\"\n\
         \x20       fields: {{ reason: summary, incident: incident }}\n\
         \x20     - on: resolved\n\
         \x20       command: {context}.CloseCase\n\
         \x20       stream: \"'service-' + labels.service\"\n\
         \x20       fields: {{ incident: incident }}\n"
    )
}

/// What follows from a restart.
fn saga(context: &str) -> String {
    format!(
        "saga: remedy{context}\n\
         version: 1\n\
         start: {{ on: {context}.ServiceRestarted, key: data.incident, input: {{ service: event.stream }} }}\n\
         steps:\n\
         \x20 - name: note\n\
         \x20   command: {context}.NoteRestart\n\
         \x20   stream: input.service\n\
         \x20   fields: {{ incident: key }}\n\
         \x20   undo: {{ none: it says what happened }}\n"
    )
}

struct Ops {
    stack: Stack,
    /// The context of the services.
    context: Context,
    /// The name of the context of their probes, whose events are as old as the test says: those of the services are of now.
    probes: String,
    event_store: Service,
    correlator: Service,
    orchestrator: Service,
    chance: u64,
}

impl Ops {
    async fn begin() -> Self {
        let stack = Stack::get();
        let context = Context::like(&stack, "ops", &root().join("tests/contexts/ops"), "ops");
        let probes = format!("{}probes", context.name);
        let declare = |file: &Path, text: String| {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text.replace("context: probes", &format!("context: {probes}"))).unwrap();
        };
        let of_probes = |file: &str| fs::read_to_string(root().join("tests/contexts/ops").join(file)).unwrap();
        let schema = of_probes("schemas/probes/LoadMeasured.avsc").replace("\"probes\"", &format!("\"{probes}\""));
        let (topology, schemas) = (&context.topology_dir, &context.schemas_dir);
        declare(&topology.join(&probes).join("context.yaml"), of_probes("topology/probes/context.yaml"));
        declare(&schemas.join(&probes).join("LoadMeasured.avsc"), schema);
        declare(&topology.join(&probes).join("correlation.yaml"), rules(&context.name));
        declare(&topology.join(&context.name).join("sagas/remedy.yaml"), saga(&context.name));
        context.topology(Spina::of(&stack), "apply").succeeds();
        let mut event_store = Service::start(&stack, "event-store", &context);
        let mut orchestrator = Service::start(&stack, "saga-orchestrator", &context);
        event_store.ready().await;
        orchestrator.ready().await;
        let correlator = correlator(&stack, &context).await;
        let in_force = format!("{probes}/saturated");
        until(&Http::new(&correlator.url), "/v1/rules", |body| body.to_string().contains(&in_force)).await;
        Self { stack, context, probes, event_store, correlator, orchestrator, chance: 2_047 }
    }

    fn chance(&mut self, below: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % below
    }

    /// Measures loads, one in each partition, so and so many minutes after the beginning. Asked until it is answered.
    async fn measure(&self, minutes: u64, load: f64, service: impl Fn(i32) -> String) {
        let http = Http::new(&self.event_store.url);
        let began: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let time = Timestamp::from_micros(began.micros() + i64::try_from(minutes).unwrap() * 60_000_000).unwrap();
        for partition in 0..PARTITIONS {
            let path = format!("/v1/{}/streams/{}/events", self.probes, probe_in(partition));
            let data = json!({ "service": service(partition), "load": load });
            let event = json!({ "type": "LoadMeasured", "time": time.to_string(), "data": data });
            let body = json!({ "expected_version": "any", "events": [event] });
            let key = format!("{minutes}-{partition}");
            eventually_within(PATIENCE, "a load is measured", async || {
                let answer = http.try_post_with_key(&path, Some(&key), &body).await.ok()?;
                (answer.status == 201 || answer.status == 200).then_some(())
            })
            .await;
        }
    }

    /// A kill at no particular time: nothing is waited for here.
    async fn kill_something(&mut self) {
        let pause = self.chance(900);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let victims = self.chance(3);
        if victims != 1 {
            self.correlator.kill();
            self.correlator.start_again();
        }
        if victims != 0 {
            self.event_store.kill();
            self.event_store.start_again();
        }
    }

    /// The events of the services by stream, once there are as many as expected.
    async fn done(&self, expected: usize) -> BTreeMap<String, Vec<EventHeaders>> {
        let what = format!("{expected} events of services");
        eventually_within(PATIENCE, &what, async || {
            let all = events(&self.stack.kafka, &self.context.events_topic()).await;
            assert_sound(&all);
            let mut found: BTreeMap<String, Vec<EventHeaders>> = BTreeMap::new();
            for event in all.into_iter().filter(|event| event.stream.as_str().starts_with("service-")) {
                found.entry(event.stream.to_string()).or_default().push(event);
            }
            (found.values().map(Vec::len).sum::<usize>() >= expected).then_some(found)
        })
        .await
    }

    /// The incidents by service, once all of them are over.
    async fn incidents(&self, expected: usize) -> BTreeMap<String, Value> {
        let path = format!("/v1/incidents?filter=rule%3D{}%2Fsaturated", self.probes);
        let (http, mut last) = (Http::new(&self.correlator.url), Value::Null);
        let deadline = Instant::now() + PATIENCE;
        let body = loop {
            if let Some(answer) = http.get(&path).await.ok().filter(|answer| answer.status == 200) {
                last = answer.body;
            }
            let over = incidents(&last).iter().filter(|incident| incident["state"] == "resolved").count();
            if over == expected {
                break last;
            }
            let told = |incident: &Value| format!("{} {}", incident["group"]["service"], incident["state"]);
            let found: Vec<String> = incidents(&last).iter().map(told).collect();
            assert!(Instant::now() < deadline, "{expected} incidents: {found:?}, {}", last["account"]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let by_service = |incident: &Value| (text(&incident["group"]["service"]), incident.clone());
        incidents(&body).iter().map(by_service).collect()
    }
}

/// A probe in a partition.
fn probe_in(partition: i32) -> String {
    let streams = (0..).map(|number| format!("probe-{number}"));
    let is_there =
        |stream: &String| spina_codec::partitioner::partition_for(stream.as_bytes(), PARTITIONS) == partition;
    streams.into_iter().find(is_there).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a test may talk")]
async fn each_incident_asks_its_commands_once_whatever_is_killed_and_a_silenced_one_none() {
    let mut ops = Ops::begin().await;
    let silence = json!({
        "matchers": [{ "name": "service", "value": MUTED, "isRegex": false }],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "ann", "comment": "repair",
    });
    let silenced = Http::new(&ops.correlator.url).post("/api/v2/silences", &silence).await;
    assert_eq!(silenced.status, 200, "{silenced:?}");
    for round in 0..ROUNDS {
        ops.measure(round * 10, 0.97, |partition| format!("s-{round}-{partition}")).await;
        ops.kill_something().await;
    }
    // Much later all is calm, so what is open ends.
    ops.measure(24 * 60, 0.1, |partition| format!("s-0-{partition}")).await;
    ops.kill_something().await;

    let count = usize::try_from(ROUNDS).unwrap() * usize::try_from(PARTITIONS).unwrap();
    let incidents = ops.incidents(count).await;
    let restarted = ops.done(3 * (count - 1)).await;
    // Once more: a take-over asks nothing again.
    ops.correlator.kill();
    ops.correlator.start_again();
    ops.correlator.ready().await;
    assert_eq!(ops.incidents(count).await.len(), count);
    assert_eq!(ops.done(3 * (count - 1)).await, restarted, "nothing came of it");
    assert!(!restarted.contains_key(&format!("service-{MUTED}")));
    for (service, incident) in incidents.iter().filter(|(service, _)| *service != MUTED) {
        let id = text(&incident["id"]);
        let done = &restarted[&format!("service-{service}")];
        let names: BTreeSet<&str> = done.iter().map(EventHeaders::event_name).collect();
        assert_eq!((done.len(), names.len()), (3, 3), "{service}: {names:?}");
        let restart = done.iter().find(|event| event.event_name() == "ServiceRestarted").unwrap();
        assert_eq!(restart.correlation_id.as_deref(), Some(id.as_str()));
        assert_eq!(written(&ops.stack, &id).await, ["spina.IncidentOpened", "spina.IncidentResolved"]);
        let saga = format!("/v1/sagas/saga-remedy{}-{id}", ops.context.name);
        until(&Http::new(&ops.orchestrator.url), &saga, |body| body["state"] == "completed").await;
    }
    ids_are_those_of_the_events(&ops, count - 1).await;
    shown(&ops, &text(&incidents["s-0-0"]["id"]), &text(&incidents[MUTED]["id"]), &text(&silenced.body["silenceID"]))
        .await;
    println!("{count} incidents, {} commands, one silenced, {} kills", 2 * (count - 1), ROUNDS + 2);
    ops.correlator.stop().await;
    ops.orchestrator.stop().await;
    ops.event_store.stop().await;
}

/// Every command is in its topic once, and named after the record of the event that it was asked with.
async fn ids_are_those_of_the_events(ops: &Ops, incidents: usize) {
    let header = |record: &spina_log::Fetched, name: &str| record.headers.get_str(name).unwrap_or_default().to_owned();
    let told = committed(&ops.stack.kafka, names::INCIDENTS_TOPIC).await;
    let told: BTreeSet<String> = told.iter().map(|record| header(record, "ce_id")).collect();
    let commands = committed(&ops.stack.kafka, &ops.context.commands_topic()).await;
    let ours = commands.iter().filter(|record| header(record, "ce_source") == "/spina/alert-correlator");
    let mut ids = Vec::new();
    for record in ours {
        let (id, cause) = (header(record, "ce_id"), header(record, "ce_causationid"));
        assert!(told.contains(&cause), "{cause} is no incident's event");
        let place = id.strip_prefix(&format!("{cause}/")).unwrap();
        assert!(place == "1" || place == "2", "{id}: {place}");
        ids.push(id);
    }
    let once: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), once.len()), (2 * incidents, 2 * incidents));
}

/// What was asked and what was withheld is shown, over HTTP and by the command.
async fn shown(ops: &Ops, asked: &str, withheld: &str, silence: &str) {
    let http = Http::new(&ops.correlator.url);
    let actions = async |id: &str| http.get(&format!("/v1/incidents/{id}")).await.unwrap().body["actions"].clone();
    let restart = json!({
        "on": "opened", "command": format!("{}.RestartService", ops.context.name), "stream": "service-s-0-0",
        "fields": { "reason": "s-0-0 is saturated", "incident": asked }, "withheld": null,
    });
    let of_asked = actions(asked).await;
    assert_eq!((of_asked.as_array().unwrap().len(), &of_asked[0]), (2, &restart));
    let of_withheld = actions(withheld).await;
    let why = format!("silenced by {silence}");
    assert!(of_withheld.as_array().unwrap().iter().all(|action| action["withheld"] == why.as_str()), "{of_withheld}");
    let spina = Spina::of(&ops.stack).env("SPINA_ALERT_CORRELATOR_URL", &ops.correlator.url);
    let told = spina.args(["incident", "explain", withheld]).succeeds();
    assert!(told.contains(&format!("withheld, {why}")), "{told}");
    let tried = http.post("/v1/rules/backtest", &json!({ "context": ops.probes })).await;
    let expected = u64::from(ROUNDS as u32 * PARTITIONS.unsigned_abs()) * 2;
    assert_eq!((tried.status, tried.body["actions"].as_u64()), (200, Some(expected)), "{:?}", tried.body);
}
