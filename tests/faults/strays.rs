//! Requests that were thought lost, were sent again with success, and arrive inside a later transaction.
//!
//! ```text
//!   window N     stage, end ──held, link cut──────────┐   the client sends it again: answered
//!   window N+1   stage first half ── the old request arrives ── stage the rest, commit or abort
//! ```

use std::collections::BTreeMap;

use serde_json::json;
use spina_log::{Consumed, GroupMember, WriteError};
use spina_tests::proxy::{Act, Api, Matching, Stray};

use crate::bench::{Bench, SMALL, Writer, beside, proxy};
use crate::ledger::Harm;
use crate::report;

/// Records of a large window.
const LARGE: usize = 3;
/// What the application does with the window in which the stray arrives.
#[derive(Debug, Clone, Copy)]
enum Then {
    Commits,
    Aborts,
}

/// What the broker answered to strays: how often which error code.
type Answers = BTreeMap<i16, usize>;

/// A window whose end is held while its connection is cut; the client ends it nonetheless. The held request is left.
async fn leave_an_end(bench: &mut Bench, name: &str, commit: bool) -> Stray {
    bench.stage_in_peace(bench.small(name)).await;
    let mut rule = bench.rule_on_end(commit, Act::Hold);
    let lane = bench.lane.clone();
    let end = beside(async move { if commit { lane.commit().await } else { lane.abort().await } });
    let stray = rule.held().await;
    stray.cut();
    let outcome = end.ends().await;
    assert_eq!(outcome, Ok(()), "{name}: the client sends it again");
    let told = if commit { Ok(()) } else { Err(WriteError::Aborted { reason: "asked for".to_owned() }) };
    bench.ledger.note(name, SMALL, crate::ledger::Told::of_commit(&told));
    stray
}

/// The next window, of several requests, in the middle of which the stray arrives.
async fn arrive_inside(bench: &mut Bench, name: &str, stray: &Stray, then: Then, answers: &mut Answers) {
    bench.ready().await;
    let mut second = proxy().rule(Matching::next(Api::Produce).of(&bench.id).skip(1), Act::Hold);
    let (lane, window) = (bench.lane.clone(), bench.large(name));
    let stage = beside(async move { lane.stage(window).await });
    let rest = second.held().await;
    *answers.entry(stray.arrive().await).or_default() += 1;
    rest.pass();
    let staged = stage.ends().await;
    let outcome = match (staged, then) {
        (Ok(_), Then::Commits) => bench.lane.commit().await,
        (Ok(_), Then::Aborts) => match bench.lane.abort().await {
            Ok(()) => Err(WriteError::Aborted { reason: "asked for".to_owned() }),
            Err(error) => Err(error),
        },
        (Err(error), _) => Err(error),
    };
    bench.note(name, LARGE, outcome).await;
}

/// All kinds of stray ends, so often each.
async fn stray_ends(writer: Writer, times: usize) -> (Harm, Bench, Answers) {
    let mut bench = Bench::of(writer).await;
    let mut answers = Answers::new();
    for n in 0..times {
        for (kind, commit, then) in [("a", true, Then::Aborts), ("b", true, Then::Commits), ("c", false, Then::Commits)]
        {
            let stray = leave_an_end(&mut bench, &format!("{kind}{n}-first"), commit).await;
            arrive_inside(&mut bench, &format!("{kind}{n}-next"), &stray, then, &mut answers).await;
        }
    }
    bench.peace("last").await;
    (bench.harm().await, bench, answers)
}

fn keep(experiment: &str, strays: usize, harm: &Harm, bench: &Bench, answers: &Answers) {
    let figures = json!({
        "strays": strays,
        "windows": bench.ledger.len(),
        "harm": harm.figures(),
        "answers_to_strays": answers,
        "reopening": bench.reopened.figures(),
    });
    report::keep(experiment, &figures);
}

/// PRODUCER_FENCED or INVALID_PRODUCER_EPOCH.
const FENCED: [i16; 2] = [90, 47];

fn assert_all_fenced(answers: &Answers) {
    assert!(answers.keys().all(|code| FENCED.contains(code)), "a stray was not fenced: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_01_a_stray_end_of_a_transaction_does_nothing_to_the_next_v2() {
    let times = report::times(3).div_ceil(3);
    let (harm, bench, answers) = stray_ends(Writer::V2, times).await;
    keep("nasty_01_stray_end_v2", 3 * times, &harm, &bench, &answers);
    assert_eq!(harm, Harm::default());
    assert_all_fenced(&answers);
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_01_a_stray_end_of_a_transaction_does_nothing_to_the_next_v1() {
    let times = report::times(3).div_ceil(3);
    let (harm, bench, answers) = stray_ends(Writer::V1, times).await;
    keep("nasty_01_stray_end_v1", 3 * times, &harm, &bench, &answers);
    assert_eq!(harm, Harm::default());
    assert_all_fenced(&answers);
}

/// Rounds in which strays may do no harm before it is said that they do none. About one of three does.
const ROUNDS_MAX: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn without_its_defences_v1_tears_and_resurrects_windows() {
    let times = report::few_times(2);
    for _ in 0..ROUNDS_MAX {
        let (harm, bench, answers) = stray_ends(Writer::V1Undefended, times).await;
        keep("undefended_stray_end_v1", 3 * times, &harm, &bench, &answers);
        assert!(answers.contains_key(&0), "the broker took a stray for a request of the next window: {answers:?}");
        if harm.torn + harm.resurrected > 0 {
            return;
        }
    }
    panic!("this test would not see harm");
}

/// A window of which a Produce is held while its connection is cut; it is written nonetheless, and aborted.
async fn leave_records(bench: &mut Bench, name: &str) -> Stray {
    bench.ready().await;
    let mut rule = bench.rule(Api::Produce, Act::Hold);
    let mut window = bench.small(name);
    window.records.retain(|record| record.partition == 0);
    let (lane, records) = (bench.lane.clone(), window.records.len());
    let stage = beside(async move { lane.stage(window).await });
    let stray = rule.held().await;
    stray.cut();
    stage.ends().await.unwrap();
    bench.lane.abort().await.unwrap();
    bench.ledger.note(name, records, crate::ledger::Told::NotThere);
    stray
}

/// A window whose records are lost on their way and whose offsets are refused: the writer gives it up with a request left.
/// `None` when it was refused before its records were on their way.
async fn leave_records_of_a_refused_window(bench: &mut Bench, name: &str) -> Option<Stray> {
    bench.ready().await;
    let mut rule = bench.rule(Api::Produce, Act::Steal);
    let mut window = bench.small(name);
    window.records.retain(|record| record.partition == 0);
    let records = window.records.len();
    let nobody = GroupMember {
        group: crate::bench::unique("group"),
        generation: 7,
        member_id: "nobody".to_owned(),
        instance_id: None,
    };
    window.consumed = Some(Consumed { member: nobody, offsets: vec![(bench.topic.clone(), 0, 1)] });
    let outcome = bench.lane.stage(window).await.map(|_| ());
    assert!(outcome.is_err(), "nobody is a member of the group");
    bench.note(name, records, outcome).await;
    rule.held_already()
}

/// How many strays arrived, and what came of it.
async fn late_records(writer: Writer, times: usize, refused: usize) -> (usize, Harm, Bench, Answers) {
    let mut bench = Bench::of(writer).await;
    let mut answers = Answers::new();
    for n in 0..times {
        let stray = leave_records(&mut bench, &format!("a{n}-first")).await;
        arrive_inside(&mut bench, &format!("a{n}-next"), &stray, Then::Commits, &mut answers).await;
    }
    for n in 0..refused {
        if let Some(stray) = leave_records_of_a_refused_window(&mut bench, &format!("b{n}-first")).await {
            arrive_inside(&mut bench, &format!("b{n}-next"), &stray, Then::Commits, &mut answers).await;
        }
    }
    bench.peace("last").await;
    (answers.values().sum(), bench.harm().await, bench, answers)
}

/// Refused windows cost the client a request time-out each: so many at most.
const REFUSED_MAX: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn nasty_02_late_records_of_an_aborted_window_stay_invisible_v2() {
    let (times, refused) = (report::times(3), report::few_times(1).min(REFUSED_MAX));
    let (strays, harm, bench, answers) = late_records(Writer::V2, times, refused).await;
    keep("nasty_02_late_records_v2", strays, &harm, &bench, &answers);
    assert!(strays >= times, "{strays} of {times} arrived late");
    assert_eq!(harm, Harm::default());
    assert_all_fenced(&answers);
}

#[tokio::test(flavor = "multi_thread")]
async fn nasty_02_late_records_of_an_aborted_window_stay_invisible_v1() {
    let (times, refused) = (report::times(3), report::few_times(1).min(REFUSED_MAX));
    let (strays, harm, bench, answers) = late_records(Writer::V1, times, refused).await;
    keep("nasty_02_late_records_v1", strays, &harm, &bench, &answers);
    assert!(strays >= times, "{strays} of {times} arrived late");
    assert_eq!(harm, Harm::default());
    assert_all_fenced(&answers);
}
