//! A process that is killed with an open transaction blocks nobody for longer than it takes to open its id again.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{Log, config, unique, values};

/// Set in the process that is to be killed: the topic and the transactional id, separated by a space.
const VICTIM: &str = "SPINA_TEST_VICTIM";

/// What the victim says when its window is staged.
const STAGED: &str = "the victim has staged its window";

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_id_of_a_killed_process_settles_its_transaction() {
    if let Ok(order) = std::env::var(VICTIM) {
        return be_the_victim(&order).await;
    }
    let log = Log::with_partitions(1).await;
    let id = unique("lane");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::opening_the_id_of_a_killed_process_settles_its_transaction", "--nocapture"])
        .env(VICTIM, format!("{} {id}", log.topic))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().expect("the victim stages its window").contains(STAGED) {}
    victim.kill().await.unwrap();
    let ends = log.admin.partition_ends(&log.topic, 0).await.unwrap();
    assert_eq!((ends.stable, ends.high), (0, 2), "its transaction is open");

    let lane = log.lane(&id).await;
    spina_log::settled::wait(&log.admin, &log.topic, 0, Duration::from_secs(5)).await.unwrap();
    lane.stage(log.window(0, &["successor"])).await.unwrap();
    lane.commit().await.unwrap();
    assert_eq!(values(&log.committed(1).await), ["successor"]);
}

async fn be_the_victim(order: &str) {
    let (topic, id) = order.split_once(' ').unwrap();
    let config = config();
    let log = Log {
        admin: spina_log::Admin::connect(&config).await.unwrap(),
        lanes: std::sync::Arc::new(spina_log::LaneFactory::connect(&config).await.unwrap()),
        topic: topic.into(),
        config,
    };
    let lane = log.lane(id).await;
    lane.stage(log.window(0, &["victim", "victim"])).await.unwrap();
    println!("{STAGED}");
    std::future::pending().await
}
