//! Rows of two contexts are what both logs make of them, in whatever order the events came, though the projector is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use spina_tests::database::Database;
use spina_tests::eventually;
use spina_tests::gate::rng::Rng;
use spina_tests::history::offsets;

use crate::gathering::{Pair, pair};
use crate::parcels::{caught_up, rebuild};

/// How often the projector is killed; `SPINA_TEST_KILLS=100` asks for more.
const KILLS: usize = 5;
const ACCOUNTS: u64 = 40;
/// Events of each context between two kills.
const EVENTS: u64 = 4_000;

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
