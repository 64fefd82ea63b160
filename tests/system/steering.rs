//! Connectors steered: only the changed one is changed, and a failed task says why and is restarted by one command.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use spina_tests::connect::Worker;
use spina_tests::context::Context;
use spina_tests::eventually_within;
use spina_tests::stack::Stack;
use spina_tests::world::World;

use crate::samples::{new_stream, scheduled};

/// The worker scans its plugins and its tasks join their groups before anything moves.
const PATIENCE: Duration = Duration::from_secs(180);

/// Two sinks of the events into files, one of which is a folder.
fn declare(stack: &Stack, context: &Context) -> (PathBuf, PathBuf) {
    let sink = |name: &str, path: PathBuf| {
        format!(
            "  {name}:\n    config:\n      connector.class: org.apache.kafka.connect.file.FileStreamSinkConnector\n      \
             tasks.max: 1\n      topics: {}\n      file: {}\n",
            context.events_topic(),
            path.display()
        )
    };
    let folder = stack.folder(&context.name);
    let blocked = folder.join("blocked");
    fs::create_dir(&blocked).unwrap();
    let text = format!("connectors:\n{}{}", sink("blocked", blocked.clone()), sink("open", folder.join("open")));
    let file = context.topology_dir.join(&context.name).join("connectors.yaml");
    fs::write(&file, text).unwrap();
    (file, blocked)
}

async fn eventually_stands(worker: &Worker, name: &str, what: &str, stands: impl Fn(&Value) -> bool) -> Value {
    eventually_within(PATIENCE, &format!("{name} {what}"), async || {
        let status = worker.spina().args(["connect", "status", name]).json();
        stands(&status).then_some(status)
    })
    .await
}

fn runs(status: &Value) -> bool {
    status["state"] == "RUNNING" && status["tasks"][0]["state"] == "RUNNING"
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_is_changed_and_what_failed_says_why_and_is_restarted() {
    let world = World::with_event_store("steer").await;
    let worker = Worker::up(&world.stack);
    let (file, folder) = declare(&world.stack, &world.context);
    let [blocked, open] = ["blocked", "open"].map(|name| format!("{}.{name}", world.context.name));
    // It tells, unless the task fails only later.
    let applied = world.context.topology(worker.spina(), "apply").run();
    assert!(applied.status.success() || applied.stderr.contains("start anew what failed"), "{applied:?}");
    let appended = world.http().append(&world.context.name, &new_stream(), "any", json!([scheduled()])).await;
    assert_eq!(appended.status, 201, "{appended:?}");

    // The cause is shown, and one command starts it anew.
    let failed = eventually_stands(&worker, &blocked, "fails", |status| status["tasks"][0]["state"] == "FAILED").await;
    assert!(failed["tasks"][0]["cause"].as_str().unwrap().contains("find or create file"), "{failed}");
    let shown = worker.spina().args(["connect", "status", &blocked]).succeeds();
    assert!(
        shown.contains("failed: task 0:") && shown.contains(&format!("spina connect restart {blocked}")),
        "{shown}"
    );
    let planned = world.context.topology(worker.spina(), "plan").run();
    assert_eq!(planned.status.code(), Some(2), "{planned:?}");
    assert!(planned.stdout.contains(&format!("~ connector {blocked}: start anew what failed")), "{planned:?}");
    fs::remove_dir(&folder).unwrap();
    worker.spina().args(["connect", "restart", &blocked]).succeeds();
    eventually_stands(&worker, &blocked, "runs", runs).await;

    // Another setting of one of them.
    eventually_stands(&worker, &open, "runs", runs).await;
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}      errors.log.enable: true\n")).unwrap();
    let applied = world.context.topology(worker.spina(), "apply").json();
    let changes: Vec<&Value> = applied["changes"].as_array().unwrap().iter().collect();
    assert!(changes.len() == 1 && changes[0].to_string().contains(&open), "{applied}");
    let changed = eventually_stands(&worker, &open, "runs", runs).await;
    assert_eq!(changed["config"]["errors.log.enable"], "true");

    worker.spina().args(["connect", "pause", &open]).succeeds();
    eventually_stands(&worker, &open, "is paused", |status| status["state"] == "PAUSED").await;
    worker.spina().args(["connect", "resume", &open]).succeeds();
    eventually_stands(&worker, &open, "goes on", runs).await;
    eventually_within(PATIENCE, "its offsets are shown", async || {
        let offsets = worker.spina().args(["connect", "offsets", &open]).json();
        (!offsets["offsets"].as_array()?.is_empty()).then_some(())
    })
    .await;
    for name in [blocked, open] {
        worker.spina().args(["connect", "delete", &name]).succeeds();
    }
}
