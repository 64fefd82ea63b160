//! A model that reads two contexts: its rows are what both logs make of them, in whatever order the events came and whatever
//! was killed meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use spina_tests::context::Context;
use spina_tests::database::Database;
use spina_tests::gate::rng::Rng;
use spina_tests::history::offsets;
use spina_tests::service::Service;
use spina_tests::stack::{Stack, root};
use spina_tests::world::World;
use spina_tests::{eventually, model_topic};

use crate::parcels::{append, caught_up, letters, projector, rebuild};

/// How often the projector is killed; `SPINA_TEST_KILLS=100` asks for more.
const KILLS: usize = 5;
const ACCOUNTS: u64 = 40;
/// Events of each context between two kills.
const EVENTS: u64 = 4_000;

/// Two contexts and what serves them.
struct Pair {
    world: World,
    /// The name of the context that the models read beside their own.
    other: String,
}

async fn pair(prefix: &str) -> Pair {
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

    async fn show(&self) -> Value {
        let path = format!("/v1/projections/{}/account", self.world.context.name);
        projector(&self.world).get(&path).await.unwrap().body
    }

    async fn read(&self, path: &str) -> (u16, Value) {
        crate::children::read(&self.world, path).await
    }

    /// All rows by account.
    async fn rows(&self) -> BTreeMap<String, Value> {
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

    async fn told_in_topic(&self, expected: &BTreeMap<String, Value>) {
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

/// What the events of both contexts make of an account: a program of its own, that knows neither batches nor tables.
#[derive(Default)]
struct Account {
    owner: Option<String>,
    paid: i64,
    told: i64,
    cases: i64,
    rating: Option<(String, i64)>,
    most_claimed: Option<i64>,
    /// Time and id of the last event that is heard of.
    heard: Option<(String, String)>,
}

impl Account {
    fn hear(&mut self, line: &Value) {
        let [time, id] = ["time", "id"].map(|field| line[field].as_str().unwrap().to_owned());
        self.heard = self.heard.take().max(Some((time, id)));
    }

    fn row(&self, account: &str) -> Value {
        json!({ "account": account, "owner": self.owner, "paid": self.paid, "told": self.told, "cases": self.cases,
            "grade": self.rating.as_ref().map(|rating| &rating.0), "score": self.rating.as_ref().map(|rating| rating.1),
            "most_claimed": self.most_claimed, "heard": self.heard.as_ref().map(|heard| &heard.1) })
    }
}

/// Events of both contexts at random, and what they come to.
struct Fold {
    rng: Rng,
    number: u64,
    accounts: BTreeMap<String, Account>,
}

impl Fold {
    /// Lines to import, of the models' own context and of the other.
    fn lines(&mut self) -> [Vec<String>; 2] {
        let own = (0..EVENTS).map(|_| self.own()).collect();
        [own, (0..EVENTS).map(|_| self.other()).collect()]
    }

    fn account(&mut self) -> String {
        format!("account-{}", self.rng.between(0, ACCOUNTS - 1))
    }

    /// Times go up and down, and no two are the same.
    fn line(&mut self, context: &str, stream: &str, name: &str, data: &Value) -> Value {
        self.number += 1;
        let (hour, id) = (self.rng.between(0, 23), format!("{context}-{:08}", self.number));
        let time = format!("2013-01-01T{hour:02}:00:00.{:06}Z", self.number);
        json!({ "stream": stream, "type": name, "data": data, "id": id, "time": time, "expected_version": "any" })
    }

    fn own(&mut self) -> String {
        let (name, cents) = (self.account(), self.rng.between(1, 9_999) as i64);
        let opens = self.rng.once_in(5);
        let line = if opens {
            self.line("own", &name, "AccountOpened", &json!({ "owner": format!("owner-{cents}") }))
        } else {
            self.line("own", &name, "MoneyPaid", &json!({ "cents": cents }))
        };
        let account = self.accounts.entry(name).or_default();
        account.hear(&line);
        if opens {
            account.owner = Some(format!("owner-{cents}"));
        } else {
            (account.paid, account.told) = (account.paid + cents, account.told + 1);
        }
        line.to_string()
    }

    fn other(&mut self) -> String {
        let (name, cents) = (self.account(), self.rng.between(1, 9_999) as i64);
        let rates = self.rng.once_in(2);
        let grade = format!("grade-{cents}");
        let line = if rates {
            self.line("other", &name, "RiskRated", &json!({ "grade": grade, "points": cents, "weight": 3 }))
        } else {
            let case = format!("case-{}", self.number);
            self.line("other", &case, "CaseOpened", &json!({ "account": name, "cents": cents }))
        };
        let account = self.accounts.entry(name).or_default();
        account.told += 1;
        if rates {
            account.rating = Some((grade, cents / 3));
        } else {
            account.hear(&line);
            account.cases += 1;
            account.most_claimed = account.most_claimed.max(Some(cents));
        }
        line.to_string()
    }

    fn rows(&self) -> BTreeMap<String, Value> {
        self.accounts.iter().map(|(name, account)| (name.clone(), account.row(name))).collect()
    }
}

/// How far the model is, in records of both logs.
async fn progress(database: &Database, context: &str) -> i64 {
    let sum = "SELECT coalesce(sum(next), 0)::bigint FROM spina.models, unnest(next_offsets) next \
        WHERE context = $1 AND model = 'account' AND slot = 'live'";
    database.query_one(sum, &[&context]).await.unwrap().get(0)
}

fn file(pair: &Pair, name: &str, lines: &[String]) -> PathBuf {
    let file = pair.world.stack.folder(&pair.world.context.name).join(name);
    fs::write(&file, lines.join("\n")).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "a failure is looked for by its seed")]
async fn rows_of_two_contexts_are_exact_though_the_projector_is_killed_and_rebuilds() {
    let kills = std::env::var("SPINA_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
    println!("seed {seed}");
    let mut pair = pair("gather").await;
    let database = Database::connect(&pair.world.stack).await;
    let (mut kill, mut fold) = (Rng::new(seed), Fold { rng: Rng::new(seed + 1), number: 0, accounts: BTreeMap::new() });
    let (own, other) = (pair.world.context.name.clone(), pair.other.clone());
    let mut in_the_middle = 0;
    for round in 0..kills {
        let before = progress(&database, &own).await;
        let [first, second] = fold.lines();
        let files = [(&own, file(&pair, "own.ndjson", &first)), (&other, file(&pair, "other.ndjson", &second))];
        let importing = files
            .each_ref()
            .map(|(context, file)| pair.world.spina().args(["import", "--context", context]).arg(file).spawn());
        eventually("the model goes on", async || (progress(&database, &own).await > before).then_some(())).await;
        if round % 2 == 1 {
            // In the middle of its work it rebuilds the model as well, unless it does so already.
            pair.world.spina().args(["projection", "rebuild", "account", "--no-wait"]).run();
        }
        tokio::time::sleep(Duration::from_millis(kill.between(0, 60))).await;
        pair.world.projector.as_mut().unwrap().kill();
        let kafka = &pair.world.stack.kafka;
        let ends =
            offsets(kafka, &format!("{own}.events.v1")).await + offsets(kafka, &format!("{other}.events.v1")).await;
        in_the_middle += usize::from(progress(&database, &own).await < ends);
        pair.world.projector.as_mut().unwrap().start_again();
        for importing in importing {
            let imported = importing.ends().await;
            assert!(imported.status.success(), "{imported:?}");
        }
    }
    println!("{in_the_middle} of {kills} kills with something left to do");
    pair.world.projector.as_mut().unwrap().ready().await;
    eventually("no rebuild is under way", async || {
        let state = pair.show().await["rebuild"]["state"].clone();
        (state == "done" || state.is_null()).then_some(())
    })
    .await;
    caught_up(&pair.world, "account").await;
    let rows = fold.rows();
    assert_eq!(pair.rows().await, rows);
    pair.told_in_topic(&rows).await;

    // Made anew, compared, put back, audited: always the same rows.
    assert_eq!(rebuild(&pair.world, "account")["rebuild"]["state"], "done");
    let diff = pair.world.spina().args(["projection", "diff", "account"]).json();
    assert_eq!(["added", "removed", "changed"].map(|field| diff[field].clone()), [0, 0, 0].map(Value::from), "{diff}");
    assert_eq!(pair.rows().await, rows);
    pair.world.spina().args(["projection", "roll-back", "account"]).succeeds();
    caught_up(&pair.world, "account").await;
    assert_eq!(pair.rows().await, rows);
    let audited = pair.world.spina().args(["audit", "model", "account"]).json();
    assert_eq!((&audited["drift"], audited["checkpoints"].as_array().unwrap().len()), (&json!([]), 2), "{audited}");
    pair.told_in_topic(&rows).await;
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
