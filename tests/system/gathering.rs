//! A model that reads two contexts: how far it is with each, what is parked, who fills it, and what it reads later.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;
use spina_tests::{eventually, model_topic};

use crate::parcels::{append, caught_up, letters, projector, rebuild};

/// Two contexts and what serves them.
pub struct Pair {
    pub world: World,
    /// The name of the context that the models read beside their own.
    pub other: String,
}

pub async fn pair(prefix: &str) -> Pair {
    let stack = Stack::get();
    let (context, other) =
        Context::pair(&stack, prefix, &root().join("tests/contexts/accounts"), ["accounts", "risks"]);
    let mut event_store = Service::start(&stack, "event-store", &context);
    let mut projector = Service::start(&stack, "projector", &context);
    event_store.ready().await;
    projector.ready().await;
    Pair { world: World { stack, context, event_store, projector: Some(projector) }, other }
}

impl Pair {
    /// Appends to a stream of the other context; the token.
    async fn append_other(&self, stream: &str, events: Vec<Value>) -> String {
        let answer = self.world.http().append(&self.other, stream, "any", Value::from(events)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["token"].as_str().unwrap().to_owned()
    }

    pub async fn show(&self) -> Value {
        let path = format!("/v1/projections/{}/account", self.world.context.name);
        projector(&self.world).get(&path).await.unwrap().body
    }

    async fn read(&self, path: &str) -> (u16, Value) {
        crate::children::read(&self.world, path).await
    }

    /// All rows by account.
    pub async fn rows(&self) -> BTreeMap<String, Value> {
        let (status, page) = self.read("account?limit=1000").await;
        assert_eq!(status, 200, "{page}");
        let key = |row: &Value| (row["account"].as_str().unwrap().to_owned(), row.clone());
        page["rows"].as_array().unwrap().iter().map(key).collect()
    }

    /// Kills the projector and starts it again.
    fn kill(&mut self) {
        let projector = self.world.projector.as_mut().unwrap();
        projector.kill();
        projector.start_again();
    }

    pub async fn told_in_topic(&self, expected: &BTreeMap<String, Value>) {
        let topic = format!("{}.account.model.v1", self.world.context.name);
        eventually("the topic has the rows", async || {
            let rows = model_topic::rows(&self.world.stack, &topic).await;
            let same = |(key, row): (&String, &Value)| {
                let without_key = |row: &Value| {
                    let mut row = row.as_object().unwrap().clone();
                    row.remove("account");
                    row
                };
                rows.get(key).is_some_and(|told| without_key(told) == without_key(row))
            };
            (rows.len() == expected.len() && expected.iter().all(same)).then_some(())
        })
        .await;
    }
}

fn event(name: &str, data: Value) -> Value {
    json!({ "type": name, "data": data })
}

fn rated(grade: &str, points: i64, weight: i64) -> Value {
    event("RiskRated", json!({ "grade": grade, "points": points, "weight": weight }))
}

fn opened(account: &str, cents: i64) -> Value {
    event("CaseOpened", json!({ "account": account, "cents": cents }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_tells_for_each_context_how_far_it_is_and_waits_for_the_one_that_a_token_names() {
    let pair = pair("marks").await;
    let (own, other) = (format!("{}.events.v1", pair.world.context.name), format!("{}.events.v1", pair.other));
    for number in 0..20 {
        let paid = json!([event("MoneyPaid", json!({ "cents": 5 }))]);
        let appended = pair.world.http().append(&pair.world.context.name, "account-1", "any", paid).await;
        let tokens = [
            appended.body["token"].as_str().unwrap().to_owned(),
            pair.append_other("account-1", vec![rated(&format!("grade-{number}"), 6, 2)]).await,
            pair.append_other(&format!("case-{number}"), vec![opened("account-1", number)]).await,
        ];
        for (column, token, expected) in [
            ("paid", &tokens[0], json!((number + 1) * 5)),
            ("grade", &tokens[1], json!(format!("grade-{number}"))),
            ("cases", &tokens[2], json!(number + 1)),
        ] {
            let (status, row) = pair.read(&format!("account/account-1?after={token}")).await;
            assert_eq!((status, &row[column]), (200, &expected), "{token}: {row}");
        }
    }
    let (status, refused) = pair.read(&format!("paid/account-1?after={other}:0:0")).await;
    assert!(status == 400 && refused.to_string().contains(&own), "a model that reads one context: {refused}");
    let shown = caught_up(&pair.world, "account").await;
    let inputs = shown["inputs"].as_array().unwrap();
    let of = |field: &str| inputs.iter().map(|input| input[field].clone()).collect::<Vec<_>>();
    assert_eq!((of("topic"), of("lag_records")), (vec![json!(own), json!(other)], vec![json!(0), json!(0)]), "{shown}");
    assert_eq!(shown["checkpoint"], inputs[0]["checkpoint"]);
    for (input, topic) in inputs.iter().zip([&own, &other]) {
        assert!(input["checkpoint"].as_str().unwrap().starts_with(&format!("{topic}:")), "{shown}");
        assert!(input["event_time"].is_string(), "{shown}");
    }
    let listed = pair.world.spina().args(["projection", "show", "account"]).succeeds();
    assert!(listed.contains(&own) && listed.contains(&other), "{listed}");
    let table = pair.world.spina().args(["projection", "list"]).succeeds();
    assert!(table.contains("account"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_key_holds_up_the_events_of_every_context() {
    let pair = pair("gatherill").await;
    append(&pair.world, "account-1", vec![event("MoneyPaid", json!({ "cents": 1 }))]).await;
    pair.append_other("account-1", vec![rated("A", 4, 0)]).await;
    eventually("the rating is parked", async || (pair.show().await["parked_events"] == 1).then_some(())).await;
    append(&pair.world, "account-1", vec![event("MoneyPaid", json!({ "cents": 10 }))]).await;
    pair.append_other("account-1", vec![rated("B", 4, 2)]).await;
    append(&pair.world, "account-2", vec![event("MoneyPaid", json!({ "cents": 7 }))]).await;
    let shown = caught_up(&pair.world, "account").await;
    assert_eq!((&shown["parked_keys"], &shown["parked_events"]), (&json!(1), &json!(3)), "{shown}");
    assert_eq!(pair.rows().await["account-1"]["paid"], 1);
    assert_eq!(pair.rows().await["account-2"]["paid"], 7);
    let audited = pair.world.spina().args(["audit", "model", "account"]).json();
    assert_eq!(audited["drift"], json!([]), "what is parked is no drift: {audited}");

    let parked = letters(&pair.world, "account");
    let fields = json!({ "grade": "A", "points": 4, "weight": 1 }).to_string();
    let edited =
        pair.world.spina().args(["dead-letter", "edit", &parked[0]["id"].to_string(), "--data", &fields]).json();
    assert_eq!(edited["applied"], 3, "{edited}");
    let row = pair.rows().await["account-1"].clone();
    assert_eq!(
        (&row["paid"], &row["grade"], &row["score"], &row["told"]),
        (&json!(11), &json!("B"), &json!(2), &json!(4))
    );
    assert_eq!(rebuild(&pair.world, "account")["rebuild"]["state"], "done");
    assert_eq!(pair.rows().await["account-1"], row, "a rebuild does as was decided");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_was_superseded_changes_nothing_of_either_context() {
    let mut pair = pair("gatherold").await;
    let fill = async |pair: &Pair| {
        append(&pair.world, "account-1", vec![event("MoneyPaid", json!({ "cents": 1 }))]).await;
        pair.append_other("case-1", vec![opened("account-1", 5)]).await;
    };
    let exact = async |pair: &Pair, times: i64| {
        caught_up(&pair.world, "account").await;
        let row = pair.rows().await["account-1"].clone();
        assert_eq!((&row["paid"], &row["cases"], &row["told"]), (&json!(times), &json!(times), &json!(2 * times)));
    };
    fill(&pair).await;
    exact(&pair, 1).await;
    let frozen = pair.world.projector.take().unwrap();
    frozen.freeze(true);
    fill(&pair).await;
    let mut successor = Service::start(&pair.world.stack, "projector", &pair.world.context);
    successor.ready().await;
    pair.world.projector = Some(successor);
    exact(&pair, 2).await;
    frozen.freeze(false);
    let http = spina_tests::http::Http::new(&frozen.url);
    let path = format!("/v1/projections/{}/account", pair.world.context.name);
    eventually("the frozen one knows that it was superseded", async || {
        (http.get(&path).await.ok()?.body["state"] == "superseded").then_some(())
    })
    .await;
    fill(&pair).await;
    exact(&pair, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_reads_one_more_context_is_rebuilt_and_compared_at_the_same_offsets() {
    let mut pair = pair("gathermore").await;
    for number in 0..5 {
        append(&pair.world, &format!("account-{number}"), vec![event("MoneyPaid", json!({ "cents": 3 }))]).await;
        pair.append_other(&format!("case-{number}"), vec![opened(&format!("account-{number}"), 5)]).await;
    }
    caught_up(&pair.world, "paid").await;
    let models = pair.world.context.topology_dir.join(&pair.world.context.name).join("projections.yaml");
    let text = fs::read_to_string(&models).unwrap();
    let more =
        format!("{text}      {}.CaseOpened: {{ key: {{ account: data.account }}, count: [cases] }}\n", pair.other);
    fs::write(&models, more).unwrap();
    pair.kill();
    pair.world.projector.as_mut().unwrap().ready().await;
    let path = format!("/v1/projections/{}/paid", pair.world.context.name);
    assert_eq!(projector(&pair.world).get(&path).await.unwrap().body["state"], "rebuild_needed");
    assert_eq!(rebuild(&pair.world, "paid")["rebuild"]["state"], "done");
    let diff = pair.world.spina().args(["projection", "diff", "paid"]).json();
    assert_eq!((&diff["changed"], &diff["columns_added"]), (&json!(0), &json!(["cases"])), "{diff}");
    let (_, page) = pair.read("paid?limit=10").await;
    let cases: Vec<_> = page["rows"].as_array().unwrap().iter().map(|row| row["cases"].clone()).collect();
    assert_eq!(cases, vec![json!(1); 5]);

    // And back to one: the former table has offsets of both contexts.
    fs::write(&models, text).unwrap();
    pair.kill();
    pair.world.projector.as_mut().unwrap().ready().await;
    assert_eq!(rebuild(&pair.world, "paid")["rebuild"]["state"], "done");
    assert_eq!(caught_up(&pair.world, "paid").await["inputs"].as_array().unwrap().len(), 1);
}
