//! Nasty case 15: PostgreSQL fails in every way while events are appended. Appends go on, nothing in any table is wrong.

use serde_json::{Value, json};
use spina_core::StreamId;
use spina_tests::context::Context;
use spina_tests::database::{self, Database, DatabaseProxy};
use spina_tests::http::{Answer, Http};
use spina_tests::service::Service;
use spina_tests::stack::Stack;
use spina_tests::{eventually, history};

use crate::kept;
use crate::samples::{departed, new_stream, scheduled};

/// Room for about 13 events per partition: an outage soon leaves some in the log only.
const TAIL_BYTES_MAX: &str = "10000";
/// Commits of the archive whose answers are lost.
const ANSWERS_LOST: usize = 5;
/// How often PostgreSQL is killed.
const KILLS: usize = 3;
/// What PostgreSQL says when its disk is full, at the place where it would.
const DISK_FULL: &str = "CREATE FUNCTION spina.disk_full() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
    CREATE TRIGGER disk_full BEFORE INSERT ON spina.events FOR EACH STATEMENT EXECUTE FUNCTION spina.disk_full()";
const DISK_FREE: &str = "DROP TRIGGER disk_full ON spina.events; DROP FUNCTION spina.disk_full()";

struct World {
    stack: Stack,
    context: Context,
    proxy: DatabaseProxy,
    event_store: Service,
    http: Http,
    appended: usize,
}

impl World {
    async fn new() -> Self {
        let stack = Stack::get();
        let context = Context::create(&stack, "away");
        let proxy = DatabaseProxy::start(&stack).await;
        let mut behind = stack.clone();
        behind.postgres.clone_from(&proxy.url);
        let settings = [("SPINA_TAIL_BYTES_MAX", TAIL_BYTES_MAX)];
        let mut event_store = Service::start_with(&behind, "event-store", &context, &settings);
        event_store.ready().await;
        let http = Http::new(&event_store.url);
        Self { stack, context, proxy, event_store, http, appended: 0 }
    }

    /// Appends to new streams, which must succeed whatever the database does.
    async fn append(&mut self, streams: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..streams {
            let stream = new_stream();
            let answer = self.http.append(&self.context.name, &stream, "no_stream", five_events()).await;
            assert_eq!(answer.status, 201, "{answer:?}\n{}", self.event_store.tail());
            self.appended += 5;
            names.push(stream);
        }
        names
    }

    async fn read(&self, stream: &str) -> Answer {
        self.http.get(&format!("/v1/{}/streams/{stream}/events", self.context.name)).await.unwrap()
    }

    async fn readiness(&self) -> (u16, Value) {
        let answer = self.http.get("/health/ready").await.unwrap();
        (answer.status, answer.body)
    }

    async fn is_degraded(&self) {
        eventually("the archive is degraded, with reason and amount", async || {
            let (status, report) = self.readiness().await;
            assert_eq!(status, 200, "{report}");
            let archive = report["conditions"].as_array()?.iter().find(|part| part["component"] == "archive")?.clone();
            let reason = archive["reason"].as_str().unwrap_or_default();
            (archive["status"] == "degraded" && reason.contains("are not archived")).then_some(())
        })
        .await;
    }

    async fn is_ready(&self) {
        eventually("nothing is degraded", async || {
            let (_, report) = self.readiness().await;
            (report["status"] == "ready").then_some(())
        })
        .await;
    }

    /// Log and tables are the same, and the log is sound.
    async fn is_right(&self) {
        let log = history::events(&self.stack.kafka, &self.context.events_topic()).await;
        history::assert_sound(&log);
        assert_eq!(log.len(), self.appended);
        kept::assert_kept(&self.stack, &self.context).await;
    }
}

fn five_events() -> Value {
    json!([scheduled(), departed(), departed(), departed(), departed()])
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_15_answers_of_commits_are_lost() {
    let mut world = World::new().await;
    world.proxy.lose_answers(ANSWERS_LOST);
    eventually("the answers are lost", async || {
        world.append(1).await;
        (world.proxy.answers_to_lose() == 0).then_some(())
    })
    .await;
    world.is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_15_the_database_is_away_while_more_is_appended_than_memory_holds() {
    let mut world = World::new().await;
    let archived = world.append(4).await;
    world.is_right().await;
    world.proxy.set_away(true);
    let away = world.append(60).await;
    world.is_degraded().await;

    // What is held whole is read; what the log alone has is not given in part, nor as if it did not exist.
    let newest = world.read(away.last().unwrap()).await;
    assert_eq!((newest.status, &newest.body["version"]), (200, &json!(5)), "{newest:?}");
    let same_partition = |stream: &&String| partition(stream) == partition(&archived[0]);
    let let_go = away.iter().find(same_partition).unwrap();
    for stream in [let_go, &archived[0]] {
        let answer = world.read(stream).await;
        assert_eq!((answer.status, answer.error_code()), (503, "state.unavailable"), "{answer:?}");
    }

    // Reads during the catching up are whole or refused, until all are whole.
    world.proxy.set_away(false);
    for stream in archived.iter().chain(&away) {
        eventually("the stream is read whole", async || {
            let answer = world.read(stream).await;
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            (answer.status == 200).then(|| assert_eq!(answer.body["events"].as_array().unwrap().len(), 5))
        })
        .await;
    }
    world.is_ready().await;
    world.is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_15_the_database_is_killed_again_and_again() {
    let mut world = World::new().await;
    for _ in 0..KILLS {
        world.append(10).await;
        database::kill(&world.stack);
        world.append(10).await;
        world.is_degraded().await;
        database::start_again(&world.stack).await;
        world.append(1).await;
    }
    world.is_ready().await;
    world.is_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_15_the_disk_of_the_database_is_full() {
    let mut world = World::new().await;
    let database = Database::connect(&world.stack).await;
    world.append(4).await;
    database.batch_execute(DISK_FULL).await.unwrap();
    world.append(40).await;
    world.is_degraded().await;
    database.batch_execute(DISK_FREE).await.unwrap();
    world.is_ready().await;
    world.is_right().await;
}

/// The partition of a stream of the flights, which have four.
fn partition(stream: &str) -> i32 {
    let stream: StreamId = stream.parse().unwrap();
    spina_codec::partitioner::partition_for(stream.as_str().as_bytes(), 4)
}
