//! Making faults happen to processes that are ours.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{ALL_REQUESTS, Fault, Happened};
use crate::gate::arena::Arena;
use crate::gate::nodes::Nodes;
use crate::spina::Spina;

/// Follows a schedule for so long; returns what happened once everything runs again.
///
/// A server that takes long to start again moves the rest: the pause after each fault is kept.
pub async fn follow(arena: &Arena, nodes: &mut Nodes, planned: &[(Duration, Fault)], time: Duration) -> Vec<Happened> {
    let begun = Instant::now();
    let (mut happened, mut planned_end) = (Vec::new(), Duration::ZERO);
    for (at, fault) in planned {
        sleep(at.saturating_sub(planned_end)).await;
        if begun.elapsed() > time {
            break;
        }
        planned_end = *at + fault.lasts();
        let began_us = arena.now_us();
        eprintln!("{:7.1} s  {fault:?}", began_us as f64 / 1e6);
        perform(arena, nodes, *fault).await;
        happened.push(Happened { fault: *fault, began_us, healed_us: arena.now_us(), recovered_us: None });
    }
    happened
}

/// Makes one fault happen, and ends its cause.
pub async fn perform(arena: &Arena, nodes: &mut Nodes, fault: Fault) {
    match fault {
        Fault::KillStore { store, .. } => {
            nodes.stores[store].kill();
            sleep(fault.lasts()).await;
            nodes.stores[store].start_again();
        }
        Fault::FreezeStore { store, .. } => {
            nodes.stores[store].freeze(true);
            sleep(fault.lasts()).await;
            nodes.stores[store].freeze(false);
        }
        Fault::StopStore { store } => {
            nodes.stores[store].stop().await;
            nodes.stores[store].start_again();
        }
        Fault::KillBroker { broker, .. } => brokers_away(nodes, &[broker], fault.lasts()).await,
        Fault::KillMostBrokers { spared, .. } => {
            let others: Vec<usize> = (0..nodes.cluster.size()).filter(|broker| *broker != spared).collect();
            brokers_away(nodes, &others, fault.lasts()).await;
        }
        Fault::FreezeBroker { broker, .. } => {
            nodes.cluster.freeze(broker);
            sleep(fault.lasts()).await;
            nodes.cluster.thaw(broker);
        }
        Fault::KillPostgres { .. } => {
            kill_postgres(arena);
            sleep(fault.lasts()).await;
            bring_up(arena).await;
        }
        Fault::Network { trouble, .. } => {
            let (requests, act) = trouble.on_the_wire();
            let _stands = nodes.cluster.proxy().rule(requests.of(&arena.lanes()).times(ALL_REQUESTS), act);
            sleep(fault.lasts()).await;
        }
        Fault::KillProjector => {
            if let Some(projector) = &mut nodes.projector {
                projector.kill();
                projector.start_again();
            }
        }
    }
}

/// Kills brokers, and starts them again after a while.
async fn brokers_away(nodes: &mut Nodes, brokers: &[usize], away: Duration) {
    brokers.iter().for_each(|broker| nodes.cluster.kill(*broker));
    sleep(away).await;
    brokers.iter().for_each(|broker| nodes.cluster.start_again(*broker));
    for broker in brokers {
        nodes.cluster.ready(*broker).await;
    }
}

/// Kills the server of the stack that this run has for itself.
fn kill_postgres(arena: &Arena) {
    let description: Value =
        serde_json::from_slice(&std::fs::read(arena.stack.dir.join("stack.json")).unwrap()).unwrap();
    let pid = description["processes"]["postgres"]["pid"].as_i64().expect("the stack names its servers");
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// Starts whatever server of the stack does not run, on its old port and data.
async fn bring_up(arena: &Arena) {
    let spina = Spina::of(&arena.stack).args(["up", "--servers-only", "--free-ports", "--dir"]).arg(&arena.stack.dir);
    let ran = spina.spawn().ends().await;
    assert!(ran.status.success(), "{ran:?}");
}
