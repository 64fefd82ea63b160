//! A lane never writes with an older protocol than it says, also when the question about it is disturbed.

use spina_log::{LaneFactory, Lanes, LogConfig, LogError};
use spina_tests::proxy::{Act, Api, Matching};

use crate::bench::{cluster, proxy, unique};

/// The first version of EndTxn that belongs to protocol v2.
const END_TXN_V2: i16 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn a_disturbed_question_about_features_never_leads_to_protocol_v1() {
    let (mut refused, mut opened) = (0, 0);
    let mut bench = crate::bench::Bench::of(crate::bench::Writer::V2).await;
    for times in [1, 2, 1_000] {
        for skip in 0..3 {
            let client = unique("client");
            let config = LogConfig::new(cluster().proxied(), &client);
            let id = unique("versions");
            let questions = Matching::next(Api::ApiVersions).from_client(&client).skip(skip).times(times);
            let rule = proxy().rule(questions, Act::Cut);
            let Ok(factory) = LaneFactory::connect(&config).await else {
                refused += 1;
                continue;
            };
            match factory.open(&id).await {
                Ok(lane) => {
                    opened += 1;
                    let ends = proxy().rule(Matching::next(Api::EndTxn).of(&id), Act::Pass);
                    let name = format!("v{times}-{skip}");
                    lane.stage(bench.small(&name)).await.unwrap();
                    drop(rule);
                    let outcome = lane.commit().await;
                    bench.note(&name, 4, outcome).await;
                    let versions: Vec<i16> = ends.met().iter().map(|request| request.version).collect();
                    assert!(versions.iter().all(|version| *version >= END_TXN_V2), "{versions:?}");
                    assert!(!versions.is_empty(), "the commit came by");
                }
                Err(LogError::OldTransactions { .. } | LogError::Client { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    println!("{opened} lanes were opened, {refused} were refused");
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
    assert_eq!(bench.harm().await.total(), 0);
}
