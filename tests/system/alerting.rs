//! Alerts and events become incidents, as the users of Alertmanager's API and of our own meet it.
//!
//! The first of all by name, with its like: they are the only ones that correlate while they run.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use spina_log::names;
use spina_tests::context::Context;
use spina_tests::eventually_within;
use spina_tests::history::committed;
use spina_tests::http::Http;
use spina_tests::openapi::OpenApi;
use spina_tests::pager::Pager;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;

/// Long enough for a box on which others work too.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// Adds the rules for alerts to a context's folder, and waits for late flights no longer than they are late here: they are
/// appended at once, so their order is another than that of their times.
pub(crate) fn declare_alerts(stack: &Stack, context: &Context) {
    for (from, to) in [("topology", &context.topology_dir), ("schemas", &context.schemas_dir)] {
        fs::create_dir_all(to.join("monitoring")).unwrap();
        for entry in fs::read_dir(root().join(from).join("monitoring")).unwrap() {
            let file = entry.unwrap();
            fs::copy(file.path(), to.join("monitoring").join(file.file_name())).unwrap();
        }
    }
    let rules = context.topology_dir.join(&context.name).join("correlation.yaml");
    let text = fs::read_to_string(&rules).unwrap().replace("lateness: 36h", "lateness: 30m");
    fs::write(&rules, text.replace("flights/", &format!("{}/", context.name))).unwrap();
    let apply = Spina::of(stack).args(["topology", "apply", "--topology-dir"]).arg(&context.topology_dir);
    apply.arg("--schemas-dir").arg(&context.schemas_dir).succeeds();
}

pub(crate) async fn correlator(stack: &Stack, context: &Context) -> Service {
    let settings = [("SPINA_INSTANCE", context.name.as_str()), ("SPINA_RULES_POLL_MS", "200")];
    let mut service = Service::start_with(stack, "alert-correlator", context, &settings);
    service.ready().await;
    service
}

/// Asks until the answer is as it should be.
pub(crate) async fn until(http: &Http, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let ask = async || {
        let answer = http.get(path).await.ok()?;
        (answer.status == 200 && fits(&answer.body)).then_some(answer.body)
    };
    eventually_within(LIMIT, path, ask).await
}

pub(crate) fn incidents(body: &Value) -> &[Value] {
    body["incidents"].as_array().map_or(&[], Vec::as_slice)
}

/// The types of the records in the incidents topic that belong to an incident, in order.
pub(crate) async fn written(stack: &Stack, incident: &str) -> Vec<String> {
    let key = format!("incident-{incident}");
    let records = committed(&stack.kafka, names::INCIDENTS_TOPIC).await;
    let ours = records.iter().filter(|record| record.key.as_deref() == Some(key.as_bytes()));
    ours.map(|record| record.headers.get_str("ce_type").unwrap().to_owned()).collect()
}

/// Holds every answer against Alertmanager's own description.
async fn as_alertmanager_describes(http: &Http, silence: &str) {
    let described = OpenApi::alertmanager();
    for path in ["/status", "/receivers", "/alerts", "/alerts/groups", "/silences", "/silence/{silenceID}"] {
        let answer = http.get(&format!("/api/v2{}", path.replace("{silenceID}", silence))).await.unwrap();
        assert_eq!(
            (answer.status, described.problems("get", path, &answer.body)),
            (200, Vec::new()),
            "{path}: {answer:?}"
        );
        let empty = answer.body.as_array().is_some_and(Vec::is_empty);
        assert!(!empty, "{path} told nothing, which shows nothing");
    }
    let bad = http.post("/api/v2/alerts", &json!([{ "labels": {} }])).await;
    assert_eq!((bad.status, bad.body.is_string()), (400, true), "a refusal is a text: {bad:?}");
}

#[tokio::test]
async fn alerts_become_one_incident_that_a_kill_neither_loses_nor_repeats() {
    let stack = Stack::get();
    let context = Context::create(&stack, "alerts");
    declare_alerts(&stack, &context);
    let mut service = correlator(&stack, &context).await;
    let http = Http::new(&service.url);
    until(&http, "/v1/rules", |body| body.to_string().contains("monitoring/alert")).await;
    let name = format!("Down{}", context.name);
    let alert = |instance: &str| json!({ "labels": { "alertname": name, "severity": "page", "instance": instance } });
    let taken = http.post("/api/v2/alerts", &json!([alert("a"), alert("b"), alert("c")])).await;
    assert_eq!(taken.status, 200, "{taken:?}");

    let of_name = |body: &Value| {
        let named = |incident: &&Value| incident["group"]["alertname"] == name.as_str();
        incidents(body).iter().filter(named).cloned().collect::<Vec<_>>()
    };
    let body = until(&http, "/v1/incidents", |body| of_name(body).len() == 1).await;
    let incident = of_name(&body)[0].clone();
    let id = incident["id"].as_str().unwrap().to_owned();
    assert_eq!((&incident["state"], &incident["rule"]), (&json!("open"), &json!("monitoring/alert")));
    let shown = http.get(&format!("/v1/incidents/{id}")).await.unwrap().body;
    assert_eq!(shown["events"][0]["IncidentOpened"]["reason"], "1 of 1 signals within 5m", "{shown}");

    let alerts = http.get("/api/v2/alerts").await.unwrap().body;
    let ours = |body: &Value| {
        let all = body.as_array().unwrap().iter();
        all.filter(|alert| alert["labels"]["alertname"] == name.as_str()).cloned().collect::<Vec<_>>()
    };
    assert_eq!((ours(&alerts).len(), &ours(&alerts)[0]["status"]["state"]), (3, &json!("active")), "{alerts}");
    let silence = json!({
        "matchers": [{ "name": "instance", "value": "a|b", "isRegex": true }],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "ann", "comment": "repair",
    });
    let silenced = http.post("/api/v2/silences", &silence).await;
    assert_eq!(silenced.status, 200, "{silenced:?}");
    as_alertmanager_describes(&http, silenced.body["silenceID"].as_str().unwrap()).await;
    let acknowledged = http.post(&format!("/v1/incidents/{id}/acknowledge"), &json!({ "by": "ann" })).await;
    assert_eq!((acknowledged.status, &acknowledged.body["state"]), (200, &json!("acknowledged")));

    service.kill();
    service.start_again();
    service.ready().await;
    let path = format!("/v1/incidents/{id}");
    let after = until(&http, &path, |body| body["state"] == "acknowledged").await;
    assert_eq!(after["events"][0], shown["events"][0], "what was decided stays as it was");
    let again = http.post("/api/v2/alerts", &json!([alert("a"), alert("b"), alert("c")])).await;
    assert_eq!(again.status, 200);
    let active = http.get("/api/v2/alerts?silenced=false").await.unwrap().body;
    assert_eq!(ours(&active).len(), 1, "the silence was not forgotten: {active}");
    // Through the rest of its life, as the command line has it.
    let spina = |verb: &str| {
        let spina = Spina::of(&stack).env("SPINA_ALERT_CORRELATOR_URL", &service.url);
        spina.args(["incident", verb, &id, "--by", "ann"])
    };
    assert!(spina("mitigate").succeeds().contains("mitigated"));
    let early = http.post(&format!("{path}/acknowledge"), &json!({ "by": "ann" })).await;
    assert_eq!((early.status, early.error_code()), (409, "state.conflict"));
    assert!(spina("reopen").succeeds().contains("open"));
    assert!(spina("resolve").succeeds().contains("resolved"));
    assert!(spina("reopen").succeeds().contains("open"));
    let resolved = http.post(&format!("{path}/resolve"), &json!({ "by": "ann" })).await;
    assert_eq!((resolved.status, &resolved.body["state"]), (200, &json!("resolved")), "{resolved:?}");
    let twice = http.post(&format!("{path}/resolve"), &json!({ "by": "ann" })).await;
    assert_eq!((twice.status, twice.error_code()), (409, "state.conflict"));
    let body = http.get("/v1/incidents").await.unwrap().body;
    assert_eq!(of_name(&body).len(), 1, "no second incident: {body}");
    assert_eq!(body["account"]["accounted"], body["account"]["taken"], "{body}");

    let mut told = written(&stack, &id).await;
    told.retain(|name| name != "spina.IncidentGrew");
    let life = ["Opened", "Acknowledged", "Mitigated", "Reopened", "Resolved", "Reopened", "Resolved"];
    assert_eq!(told, life.map(|event| format!("spina.Incident{event}")));
    service.stop().await;
}

#[tokio::test]
async fn a_storm_of_cancellations_is_one_incident_live_and_in_the_back_test() {
    let mut world = World::with_event_store("storms").await;
    declare_alerts(&world.stack, &world.context);
    let mut service = correlator(&world.stack, &world.context).await;
    let (http, store, context) = (Http::new(&service.url), world.http(), world.context.name.clone());
    let cancel = async |n: usize| {
        let carrier = ["UA", "B6", "EV"][n % 3];
        let data = json!({ "carrier": carrier, "origin": "EWR", "dest": "IAH", "day": "2013-02-08" });
        let time = format!("2013-02-08T{:02}:{:02}:00Z", 10 + n / 30, 2 * (n % 30));
        let event = json!([{ "type": "FlightCancelled", "data": data, "time": time }]);
        store.append(&context, &format!("flight-{n}"), "no_stream", event).await.status
    };
    let appended: Vec<u16> = futures::stream::iter(0..90).map(cancel).buffered(8).collect().await;
    assert!(appended.iter().all(|status| *status == 201), "{appended:?}");

    let rule = format!("{context}/storm");
    let storms = |body: &Value, key: &str| {
        let all = body[key].as_array().cloned().unwrap_or_default().into_iter();
        all.filter(|incident| incident["rule"] == rule.as_str()).collect::<Vec<_>>()
    };
    let live = until(&http, "/v1/incidents", |body| storms(body, "incidents").len() == 1).await;
    let tried = http.post("/v1/rules/backtest", &json!({ "context": context })).await;
    assert_eq!((tried.status, &tried.body["signals"]), (200, &json!(90)), "{tried:?}");
    let found = storms(&tried.body, "found");
    assert_eq!(found.len(), 1, "{tried:?}");
    assert_eq!(found[0]["id"], storms(&live, "incidents")[0]["id"], "live and back-test are the same decision");
    assert_eq!(found[0]["group"], json!({ "airport": "EWR" }));

    // What history teaches is a draft, and here there is nothing to learn: all signals have one name.
    let spina = |output: &str| {
        let spina = Spina::of(&world.stack).env("SPINA_ALERT_CORRELATOR_URL", &service.url);
        spina.args(["incident", "learn", &context, "--from", "2013-01-01T00:00:00Z", "--output", output]).succeeds()
    };
    let learned: Value = serde_json::from_str(&spina("json")).unwrap();
    assert_eq!((&learned["begun"], &learned["proposals"]), (&json!(90), &json!([])), "{learned}");
    assert!(spina("text").starts_with("# Proposed from 90 signals of 1 kinds between 2013-02-08T10:00:00Z"));

    let strict = "signals: { FlightCancelled: { name: c, labels: { airport: data.orign } } }";
    let refused = http.post("/v1/rules/backtest", &json!({ "context": context, "rules": strict })).await;
    assert_eq!((refused.status, refused.error_code()), (422, "validation.rules"));
    assert!(refused.body.to_string().contains("correlation.yaml:1:59"), "{refused:?}");

    // A file that cannot be used changes nothing, and readiness says so.
    let before = http.get("/v1/rules").await.unwrap().body["version"].clone();
    let file = world.context.topology_dir.join(&context).join("correlation.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, "rules: { storm: {} }\n").unwrap();
    until(&http, "/health/ready", |body| body.to_string().contains("correlation.yaml:1:10")).await;
    assert_eq!(http.get("/v1/rules").await.unwrap().body["version"], before);
    fs::write(&file, format!("{text}\n# another version\n")).unwrap();
    until(&http, "/v1/rules", |body| body["version"] != before && body["version"].is_string()).await;
    service.stop().await;
    world.event_store.stop().await;
}

/// Groups of incidents that are open when the correlator is killed; `SPINA_TEST_GROUPS=500` asks for more.
fn groups() -> usize {
    std::env::var("SPINA_TEST_GROUPS").map_or(60, |groups| groups.parse().unwrap())
}

/// Lets a pager be told of the alerts of a test, in two formats, and of some that a receiver refuses.
fn declare_receivers(context: &Context, pager: &Pager) {
    let file = context.topology_dir.join("monitoring").join("correlation.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let name = &context.name;
    let inhibit = format!("  - {{ source: ['alertname=\"Down{name}\"'], target: ['alertname=\"Slow{name}\"'] }}\n");
    let receivers = format!(
        "receivers:\n  pager: {{ webhook: \"{}\" }}\n  log: {{ webhook: \"{}\", format: generic }}\n  gone: {{ webhook: \"{}\" }}\n",
        pager.url(),
        pager.url(),
        pager.refusing(),
    );
    let route = |alerts: &str, receiver: &str| {
        let often = "group_by: [alertname], wait: 1s, interval: 2s, repeat: 1d";
        format!("  - {{ match: ['alertname=~\"{alerts}\"'], receiver: {receiver}, {often} }}\n")
    };
    let routes = [
        route(&format!("Page.*{name}|Slow{name}|Down{name}|Silent{name}"), "pager"),
        route(&format!("Log{name}"), "log"),
        route(&format!("Gone{name}"), "gone"),
    ];
    fs::write(&file, format!("{text}{inhibit}{receivers}routes:\n{}", routes.concat())).unwrap();
}

/// How often the pager was told, by the name of the alerts and whether they fire.
fn paged(pager: &Pager) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for page in pager.taken() {
        let name = page.body["groupLabels"]["alertname"].as_str().unwrap_or_default().to_owned();
        *told.entry((name, page.body["status"].as_str().unwrap_or_default().to_owned())).or_default() += 1;
    }
    told
}

/// Kills, restarts and a receiver that is out of reach: every group is told once that it fires and once that it is over.
#[tokio::test]
#[allow(clippy::print_stdout, reason = "a test may talk")]
async fn no_notification_is_repeated_or_missed_when_groups_are_open_at_a_restart() {
    let stack = Stack::get();
    let context = Context::create(&stack, "paging");
    declare_alerts(&stack, &context);
    let pager = Pager::start();
    declare_receivers(&context, &pager);
    let often =
        [("SPINA_NOTIFY_PAUSE_MS", "100"), ("SPINA_NOTIFY_PAUSE_MAX_MS", "500"), ("SPINA_NOTIFY_ATTEMPTS_MAX", "1000")];
    let settings = [("SPINA_INSTANCE", context.name.as_str()), ("SPINA_RULES_POLL_MS", "200")];
    let settings: Vec<_> = settings.into_iter().chain(often).collect();
    let mut service = Service::start_with(&stack, "alert-correlator", &context, &settings);
    service.ready().await;
    let http = Http::new(&service.url);
    until(&http, "/api/v2/receivers", |body| body.to_string().contains("pager")).await;
    let version = http.get("/v1/rules").await.unwrap().body["version"].clone();
    until(&http, "/v1/rules", |body| body["version"] != version || body.to_string().contains("monitoring/alert")).await;

    let (groups, name) = (groups(), context.name.clone());
    let alert = |alertname: String| json!({ "labels": { "alertname": alertname, "severity": "page" } });
    let over = |mut alert: Value| {
        let an_hour_ago = "2026-01-01T00:00:00Z";
        alert["startsAt"] = json!(an_hour_ago);
        alert["endsAt"] = json!(an_hour_ago);
        alert
    };
    let page = |n: usize| alert(format!("Page{n}x{name}"));
    let silence = json!({
        "matchers": [{ "name": "alertname", "value": format!("Silent{name}"), "isRegex": false }],
        "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "ann", "comment": "repair",
    });
    assert_eq!(http.post("/api/v2/silences", &silence).await.status, 200);
    let mut alerts: Vec<Value> = (0..groups).map(page).collect();
    alerts.extend(["Down", "Slow", "Silent", "Gone"].map(|kind| alert(format!("{kind}{name}"))));
    assert_eq!(http.post("/api/v2/alerts", &Value::from(alerts)).await.status, 200);

    // Everything is on its way and nothing arrives: whoever comes next sends it.
    eventually_within(LIMIT, "attempts of all groups", async || (pager.failed() > groups).then_some(())).await;
    let shown = until(&http, "/v1/notifications?outcome=pending", |body| {
        body["notifications"].as_array().is_some_and(|all| all.len() == groups + 1)
    })
    .await;
    assert_eq!(shown["notifications"][0]["attempts"], 0, "{shown}");
    service.kill();
    service.start_again();
    service.ready().await;
    pager.answer(true);
    let settled = async |service: &Service| {
        let http = Http::new(&service.url);
        let none = |body: &Value| body["notifications"].as_array().is_some_and(Vec::is_empty);
        until(&http, "/v1/notifications?outcome=pending", none).await;
    };
    let firing = || paged(&pager).iter().filter(|((_, status), _)| status == "firing").count();
    eventually_within(LIMIT, "a page of each group", async || (firing() == groups + 1).then_some(())).await;
    settled(&service).await;

    // Nothing is on its way: a restart tells nobody anything that was told.
    let before = paged(&pager);
    service.kill();
    service.start_again();
    service.ready().await;
    let http = Http::new(&service.url);
    until(&http, "/v1/rules", |body| body["version"].is_string()).await;
    let log = alert(format!("Log{name}"));
    assert_eq!(http.post("/api/v2/alerts", &json!([log])).await.status, 200);
    let generic = async || pager.taken().into_iter().find(|page| page.body["notification"]["receiver"] == "log");
    let told = eventually_within(LIMIT, "a page in the generic format", generic).await;
    assert_eq!(told.body["notification"]["notification"], told.key.as_str());
    let mut after = paged(&pager);
    after.remove(&(String::new(), "firing".to_owned()));
    assert_eq!(after, before, "a restart repeats nothing");

    let half: Vec<Value> = (0..groups / 2).map(|n| over(page(n))).collect();
    assert_eq!(http.post("/api/v2/alerts", &Value::from(half)).await.status, 200);
    let ended = || paged(&pager).iter().filter(|((_, status), _)| status == "resolved").count();
    eventually_within(LIMIT, "the end of each group", async || (ended() == groups / 2).then_some(())).await;
    settled(&service).await;
    let mut keys: Vec<String> = pager.taken().into_iter().map(|page| page.key).collect();
    keys.sort();
    keys.dedup();
    let told = paged(&pager);
    let more: Vec<_> = told.iter().filter(|(_, times)| **times > 1).collect();
    assert!(more.is_empty(), "told more than once: {more:?}");
    assert_eq!((told.len(), keys.len()), (groups + 2 + groups / 2, groups + 2 + groups / 2), "{told:?}");
    let muted = |kind: &str| told.contains_key(&(format!("{kind}{name}"), "firing".to_owned()));
    assert_eq!(
        (muted("Down"), muted("Slow"), muted("Silent")),
        (true, false, false),
        "inhibited and silenced throughout"
    );
    println!("{groups} groups open at two kills: {} pages, 0 repeated, 0 missed", told.len());

    let dead = http.get("/v1/notifications?outcome=dead").await.unwrap().body;
    let gone = dead["notifications"].as_array().unwrap().iter().find(|dead| dead["receiver"] == "gone").unwrap();
    assert!(gone["error"].as_str().unwrap().starts_with("http.410") && gone["attempts"] == 1, "{gone}");
    let listed = Spina::of(&stack).env("SPINA_ALERT_CORRELATOR_URL", &service.url);
    let listed = listed.args(["incident", "notifications", "--outcome", "dead"]).succeeds();
    assert!(listed.contains("http.410"), "{listed}");
    service.stop().await;
}
