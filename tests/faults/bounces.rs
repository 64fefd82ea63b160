//! The only broker is killed while windows are written, and comes back.

use std::time::{Duration, Instant};

use serde_json::json;
use spina_log::{Admin, WriteError, settled};
use spina_tests::kafka::{Cluster, ClusterOptions};
use spina_tests::stack::Stack;
use spina_tests::{PATIENCE, eventually};

use crate::bench::{Bench, SMALL, Writer, beside};
use crate::ledger::{Harm, Told};
use crate::report::{self, Times};

/// Windows that are committed before each kill.
const WINDOWS: usize = 20;
/// Kills in the long run: each costs a start of the broker.
const KILLS_MAX: usize = 20;
/// How long a transaction may stay open after its id was opened again before it counts as hanging.
const HANGING: Duration = Duration::from_secs(15);

/// One window after the other until one fails; why it failed.
async fn write_until_it_fails(bench: &mut Bench, kill: usize) -> WriteError {
    for n in WINDOWS.. {
        let name = format!("{kill}-{n}");
        let outcome = match bench.lane.stage(bench.small(&name)).await {
            Ok(_) => bench.lane.commit().await,
            Err(error) => Err(error),
        };
        bench.ledger.note(&name, SMALL, Told::of_commit(&outcome));
        if let Err(error) = outcome {
            return error;
        }
    }
    unreachable!("a writer without a broker fails some time")
}

/// Whether transactions hang after the id was opened again. A broker may leave one open whose outcome is known (seen with
/// 4.3.0); the next commit of the same id ends it.
async fn hangs(admin: &Admin, topic: &str) -> bool {
    for partition in 0..2 {
        if settled::wait(admin, topic, partition, HANGING).await.is_err() {
            return true;
        }
    }
    false
}

async fn a_killed_broker_loses_and_invents_nothing(writer: Writer, experiment: &str) {
    let mut cluster = Cluster::start(&Stack::get(), &ClusterOptions::default()).await;
    let address = cluster.bootstrap();
    let mut bench = Bench::at(writer, &address, &address).await;
    let (mut back, mut hanging, mut told) = (Times::default(), 0, Vec::new());
    let kills = report::few_times(2).min(KILLS_MAX);
    for kill in 0..kills {
        for n in 0..WINDOWS {
            bench.peace(&format!("{kill}-{n}")).await;
        }
        let killer = beside(async move {
            // At another place of the cycle each time: 0 to 20 ms.
            tokio::time::sleep(Duration::from_micros(kill as u64 * 7_919 % 20_000)).await;
            cluster.kill(0);
            cluster
        });
        told.push(write_until_it_fails(&mut bench, kill).await);
        cluster = killer.ends().await;
        cluster.start_again(0);
        cluster.ready(0).await;
        let begun = Instant::now();
        bench.lane = eventually("the id can be opened again", async || bench.lanes.open(&bench.id).await.ok()).await;
        let admin = Admin::connect(&bench.direct).await.unwrap();
        hanging += usize::from(hangs(&admin, &bench.topic).await);
        bench.peace(&format!("{kill}-back")).await;
        back.add(begun.elapsed());
        for partition in 0..2 {
            settled::wait(&admin, &bench.topic, partition, PATIENCE).await.unwrap();
        }
    }
    let harm = bench.harm().await;
    let figures = json!({
        "kills": kills, "windows": bench.ledger.len(), "unknown": bench.ledger.told(Told::Unknown),
        "harm": harm.figures(), "hanging": hanging, "writing_again": back.figures(),
    });
    report::keep(experiment, &figures);
    assert_eq!(harm, Harm::default(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_and_invents_nothing_v2() {
    a_killed_broker_loses_and_invents_nothing(Writer::V2, "broker_killed_v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_and_invents_nothing_v1() {
    a_killed_broker_loses_and_invents_nothing(Writer::V1, "broker_killed_v1").await;
}
