//! Commits whose answer is lost: once, for ever, and with the request itself still in the network.

use std::time::Instant;

use serde_json::json;
use spina_log::{Admin, WriteError, settled};
use spina_tests::PATIENCE;
use spina_tests::proxy::{Act, Api, Matching};

use crate::bench::{Bench, SMALL, Writer, beside, proxy};
use crate::ledger::{Harm, Told};
use crate::report::{self, Times};

/// More requests than any client sends again before it gives up.
const ALL: usize = 10_000;

async fn a_commit_whose_answer_is_lost_once_is_found_out(writer: Writer, name: &str) {
    let mut bench = Bench::of(writer).await;
    let (mut cut, mut silent) = (Times::default(), Times::default());
    for n in 0..report::few_times(1) {
        for (act, times) in [(Act::CutOnResponse, &mut cut), (Act::DropResponse, &mut silent)] {
            let window = format!("{act:?}{n}");
            bench.stage(bench.small(&window)).await.unwrap();
            let mut rule = bench.rule_on_end(true, act);
            let begun = Instant::now();
            let outcome = bench.lane.commit().await;
            times.add(begun.elapsed());
            rule.hit().await;
            assert_eq!(outcome, Ok(()), "{window}: the client asks again");
            bench.note(&window, SMALL, outcome).await;
        }
    }
    bench.peace("last").await;
    let harm = bench.harm().await;
    report::keep(name, &json!({ "harm": harm.figures(), "cut": cut.figures(), "silent": silent.figures() }));
    assert_eq!((harm, bench.ledger.told(Told::Committed)), (Harm::default(), bench.ledger.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_once_is_found_out_v2() {
    a_commit_whose_answer_is_lost_once_is_found_out(Writer::V2, "answer_lost_once_v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_once_is_found_out_v1() {
    a_commit_whose_answer_is_lost_once_is_found_out(Writer::V1, "answer_lost_once_v1").await;
}

/// The commit takes effect, or not at all (`applied`), and the client is never told. Opening the id again settles it, and
/// the log tells.
async fn an_unknown_commit_is_settled_by_opening_the_id_again(writer: Writer, name: &str) {
    let mut bench = Bench::of(writer).await;
    let admin = Admin::connect(&bench.direct).await.unwrap();
    let mut told = Times::default();
    let mut wrong = Vec::new();
    for n in 0..report::few_times(1).min(10) {
        for applied in [true, false] {
            let window = format!("{applied}{n}");
            bench.stage(bench.small(&window)).await.unwrap();
            let act = if applied { Act::DropResponse } else { Act::DropRequest };
            let matching = Matching::next(Api::EndTxn).of(&bench.id).times(ALL);
            let rule = proxy().rule(matching, act);
            let begun = Instant::now();
            let outcome = bench.lane.commit().await;
            told.add(begun.elapsed());
            drop(rule);
            assert!(matches!(outcome, Err(WriteError::Unknown { .. })), "{window}: {outcome:?}");
            let again = bench.lane.stage(bench.small("never")).await;
            assert!(matches!(again, Err(WriteError::Broken { .. })), "nothing is written before: {again:?}");
            bench.note(&window, SMALL, outcome).await;
            for partition in 0..2 {
                settled::wait(&admin, &bench.topic, partition, PATIENCE).await.unwrap();
            }
            let seen = spina_tests::history::committed(&bench.direct.bootstrap, &bench.topic).await;
            let prefix = format!("{window}/");
            let there = seen.iter().filter(|record| record.value.as_deref().unwrap().starts_with(prefix.as_bytes()));
            if there.count() != if applied { SMALL } else { 0 } {
                wrong.push(window);
            }
        }
    }
    bench.peace("last").await;
    let harm = bench.harm().await;
    let figures = json!({ "harm": harm.figures(), "unknown": told.figures(), "reopening": bench.reopened.figures() });
    report::keep(name, &figures);
    assert_eq!((harm, wrong), (Harm::default(), Vec::<String>::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_commit_is_settled_by_opening_the_id_again_v2() {
    an_unknown_commit_is_settled_by_opening_the_id_again(Writer::V2, "answer_never_v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_commit_is_settled_by_opening_the_id_again_v1() {
    an_unknown_commit_is_settled_by_opening_the_id_again(Writer::V1, "answer_never_v1").await;
}

/// The first request is held, all others are thrown away; the id is opened again, and then the first arrives.
async fn a_commit_that_arrives_after_the_id_was_opened_again_is_fenced(writer: Writer, name: &str) {
    let mut bench = Bench::of(writer).await;
    for n in 0..report::few_times(1).min(10) {
        let (first, next) = (format!("first{n}"), format!("next{n}"));
        bench.stage(bench.small(&first)).await.unwrap();
        let mut held = bench.rule_on_end(true, Act::Hold);
        let lost = proxy().rule(Matching::next(Api::EndTxn).of(&bench.id).times(ALL), Act::DropRequest);
        let lane = bench.lane.clone();
        let commit = beside(async move { lane.commit().await });
        let stray = held.held().await;
        stray.cut();
        let outcome = commit.ends().await;
        drop(lost);
        assert!(matches!(outcome, Err(WriteError::Unknown { .. })), "{outcome:?}");
        bench.reopen().await;
        // Opened again: the transaction was aborted, and can never be committed any more.
        bench.ledger.note(&first, SMALL, Told::NotThere);
        bench.stage(bench.small(&next)).await.unwrap();
        let code = stray.arrive().await;
        assert!([90, 47].contains(&code), "fenced: {code}");
        let outcome = bench.lane.commit().await;
        assert_eq!(outcome, Ok(()));
        bench.note(&next, SMALL, outcome).await;
    }
    let harm = bench.harm().await;
    report::keep(name, &json!({ "harm": harm.figures(), "reopening": bench.reopened.figures() }));
    assert_eq!(harm, Harm::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_arrives_after_the_id_was_opened_again_is_fenced_v2() {
    a_commit_that_arrives_after_the_id_was_opened_again_is_fenced(Writer::V2, "commit_after_reopening_v2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_arrives_after_the_id_was_opened_again_is_fenced_v1() {
    a_commit_that_arrives_after_the_id_was_opened_again_is_fenced(Writer::V1, "commit_after_reopening_v1").await;
}
