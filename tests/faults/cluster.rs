//! Clusters of a test's own do what the tests need of them.

use std::time::Duration;

use spina_log::admin::TopicSpec;
use spina_log::membership::{MembershipEvent, MembershipOptions};
use spina_log::{Admin, LaneFactory, Lanes, LogConfig, Membership};
use spina_tests::PATIENCE;
use spina_tests::kafka::{Cluster, ClusterOptions};
use spina_tests::proxy::{Act, Api, Matching};
use spina_tests::stack::Stack;

fn topic(replication: i16) -> TopicSpec {
    TopicSpec { name: "t".to_owned(), partitions: 3, replication, configs: [].into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_survive_the_kill_and_the_freeze_of_one() {
    let options = ClusterOptions { brokers: 3, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&Stack::get(), &options).await;
    let config = LogConfig::new(cluster.bootstrap(), "spina-tests");
    let admin = Admin::connect(&config).await.unwrap();
    assert!(admin.create(&topic(3)).await.unwrap());
    let described = admin.cluster().await.unwrap();
    assert_eq!((described.brokers, described.min_insync_replicas), (3, Some(2)));
    let join = || Membership::join(&config, MembershipOptions::new("g", "t", "one")).unwrap();
    assigned(join()).await;
    cluster.kill(1);
    let ends = spina_tests::eventually("another leads", async || admin.ends("t").await.ok()).await;
    assert_eq!(ends.len(), 3);
    assigned(join()).await;
    cluster.start_again(1);
    cluster.ready(1).await;
    cluster.freeze(2);
    cluster.thaw(2);
    cluster.ready(2).await;
}

/// Two brokers of three are enough for it.
async fn assigned(mut member: Membership) {
    let joined = tokio::time::timeout(PATIENCE, member.next()).await.expect("the group takes the member");
    assert!(matches!(joined, Some(Ok(MembershipEvent::Assigned { .. }))), "{joined:?}");
    member.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_the_proxied_listener_never_get_past_the_proxy() {
    let options = ClusterOptions { proxied: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(&Stack::get(), &options).await;
    let proxy = cluster.proxy();
    let config = LogConfig::new(cluster.proxied(), "spina-tests");
    let factory = LaneFactory::connect(&config).await.unwrap();
    let mut rule = proxy.rule(Matching::next(Api::InitProducerId).of("a"), Act::Delay(Duration::from_millis(1)));
    factory.open("a-lane").await.unwrap();
    rule.hit().await;
    assert_eq!(rule.hits(), 1);
    assert!(proxy.requests(Api::InitProducerId) >= 1, "asked again while the coordinator loads");
}
