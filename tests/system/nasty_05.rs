//! Nasty case 5: rebalance hail. Members join and leave without a pause while clients write; nobody loses anything.

use std::time::Duration;

use spina_core::ContextName;
use spina_log::membership::{Membership, MembershipEvent, MembershipOptions};
use spina_log::{LogConfig, names};
use spina_tests::fleet::{Fleet, stream_in};
use spina_tests::history;

use crate::moving::{Writer, report, written};

/// Joins, each followed by a leave. `SPINA_TEST_HAIL=200` is the whole case.
const JOINS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn nasty_05_a_hail_of_rebalances_loses_nothing_with_transactions_in_flight() {
    let joins = std::env::var("SPINA_TEST_HAIL").ok().and_then(|text| text.parse().ok()).unwrap_or(JOINS);
    let mut fleet = Fleet::of(2, "hail").await;
    let context = fleet.context.name.clone();
    let writers: Vec<Writer> =
        (0..4).map(|partition| Writer::start(fleet.http(0), &context, &stream_in(index(partition)))).collect();
    written(&fleet, 40).await;

    for join in 0..joins {
        match join % 3 {
            // A member that never serves what it is given, and goes as it came.
            0 | 1 => gust(&fleet, join).await,
            // The second event-store comes back under its name.
            _ => {
                fleet.stores[1].kill();
                fleet.stores[1].start_again();
            }
        }
    }
    fleet.stores[1].ready().await;
    fleet.shared_out(2).await;
    written(&fleet, 40).await;

    let mut appended = 0;
    for writer in writers {
        let seen = writer.end().await;
        report("hail", &seen);
        appended += seen.appended;
    }
    let log = history::events(&fleet.stack.kafka, &fleet.context.events_topic()).await;
    history::assert_sound(&log);
    assert_eq!(log.len() as u64, appended, "what was acknowledged is there, once, and nothing else");
}

fn index(partition: usize) -> i32 {
    i32::try_from(partition).unwrap()
}

/// Joins the event-stores' group, gets partitions or not, and resigns or just goes.
async fn gust(fleet: &Fleet, number: usize) {
    let context: ContextName = fleet.context.name.parse().unwrap();
    let config = LogConfig::new(&fleet.stack.kafka, "spina-tests");
    let mut options = MembershipOptions::new(
        names::event_store_group(&context),
        names::commands_topic(&context),
        format!("hail-{number}"),
    );
    options.session_timeout = Duration::from_secs(1);
    let mut member = Membership::join(&config, options).unwrap();
    let given = async {
        while let Some(event) = member.next().await {
            if let Ok(MembershipEvent::Assigned { .. }) | Err(_) = event {
                return;
            }
        }
    };
    // The group may be busy with the one before.
    let _not_given = tokio::time::timeout(Duration::from_secs(5), given).await;
    if number.is_multiple_of(2) {
        member.resign().await;
    } else {
        member.leave().await;
    }
}
