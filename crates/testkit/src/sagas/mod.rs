//! The stories that every saga must survive, told of any plan.
//!
//! A [`World`] answers what a saga asks, in memory and in order. Effects are counted by the id they are asked under, as a
//! context or a target with idempotency keys does: asked twice, done once.
//!
//! [`survives`] tells, of one plan and input: every step refused, every step down for a while, every answer lost once, every
//! answer given twice, every call that was taken for later left in silence, and the owner killed after every record of the
//! log.

mod world;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use spina_core::saga::{Ask, Fields, Plan, SagaEvent, Status, Undo};

pub use world::{Answer, Ended, World};

/// Tells all stories of a plan. The input must lead to its completion if nothing fails.
///
/// # Panics
/// When one of them ends badly: that is what it is for.
pub fn survives(plan: &Plan, key: &str, input: &Fields) {
    let clean = World::new(plan, key, input).run();
    assert_eq!(clean.state.status, Status::Completed, "without a fault it ends well: {:#?}", clean.log);
    every_step_is_refused_once(plan, key, input, &clean);
    every_step_is_down_for_a_while(plan, key, input, &clean);
    every_answer_is_lost_once(plan, key, input, &clean);
    every_answer_comes_twice(plan, key, input, &clean);
    every_call_falls_silent(plan, key, input, &clean);
    the_owner_dies_after_every_record(plan, key, input, &clean);
}

fn every_step_is_refused_once(plan: &Plan, key: &str, input: &Fields, clean: &Ended) {
    for (step, _) in clean.effects.iter().filter(|(_, undo)| !undo) {
        let ended = World::new(plan, key, input).answering(step, false, Answer::RefusedAlways).run();
        consistent(plan, &ended, &format!("{step} is refused"), true);
        // And each compensation that follows is asked twice.
        let twice =
            World::new(plan, key, input).answering(step, false, Answer::RefusedAlways).losing_undo_answers().run();
        consistent(plan, &twice, &format!("{step} is refused, compensations are asked twice"), true);
        assert_eq!(sorted(&ended), sorted(&twice), "{step} is refused: a compensation asked twice is done once");
    }
}

fn every_step_is_down_for_a_while(plan: &Plan, key: &str, input: &Fields, clean: &Ended) {
    for (step, _) in &clean.effects {
        let ended = World::new(plan, key, input).answering(step, false, Answer::DownOnce).run();
        assert_eq!(ended.state.status, Status::Completed, "{step} is down once");
        assert_eq!(sorted(&ended), sorted(clean), "{step} is down once");
    }
}

fn every_answer_is_lost_once(plan: &Plan, key: &str, input: &Fields, clean: &Ended) {
    for (step, _) in &clean.effects {
        let ended = World::new(plan, key, input).answering(step, false, Answer::LostOnce).run();
        assert_eq!(ended.state.status, Status::Completed, "the answer to {step} is lost once");
        assert_eq!(sorted(&ended), sorted(clean), "the answer to {step} is lost once: it is done once all the same");
        let silent = World::new(plan, key, input).answering(step, false, Answer::LostAlways).run();
        consistent(plan, &silent, &format!("every answer to {step} is lost"), false);
    }
}

fn every_answer_comes_twice(plan: &Plan, key: &str, input: &Fields, clean: &Ended) {
    let twice = World::new(plan, key, input).answering_twice().run();
    assert_eq!((twice.state.status, sorted(&twice)), (Status::Completed, sorted(clean)), "every answer comes twice");
    assert_eq!(twice.log.len(), clean.log.len(), "a second answer changes nothing");
}

fn every_call_falls_silent(plan: &Plan, key: &str, input: &Fields, clean: &Ended) {
    let beats =
        |step: &str| matches!(plan.step(step)?.ask(false)?, Ask::Http { heartbeat_us: Some(_), .. }).then_some(());
    for (step, _) in clean.effects.iter().filter(|(step, undo)| !undo && beats(step).is_some()) {
        let ended = World::new(plan, key, input).answering(step, false, Answer::SilentOnce).run();
        assert_eq!(ended.state.status, Status::Completed, "{step} is silent once");
        assert_eq!(sorted(&ended), sorted(clean), "{step} is silent once: it is done once all the same");
        let silent = World::new(plan, key, input).answering(step, false, Answer::SilentAlways).run();
        let missed = |event: &&SagaEvent| matches!(event, SagaEvent::StepFailed { code, .. } if code == "heartbeat");
        assert!(silent.log.iter().filter(missed).count() > 1, "{step} is silent: {:#?}", silent.log);
        consistent(plan, &silent, &format!("{step} is silent"), false);
    }
}

fn the_owner_dies_after_every_record(plan: &Plan, key: &str, input: &Fields, clean: &Ended) {
    for after in 1..=clean.log.len() {
        let ended = World::new(plan, key, input).dying_after(after).run();
        assert_eq!(ended.state.status, Status::Completed, "killed after record {after}");
        assert_eq!(sorted(&ended), sorted(clean), "killed after record {after}");
        assert_eq!(ended.log, clean.log, "killed after record {after}: the same is decided");
    }
}

fn sorted(ended: &Ended) -> Vec<(String, bool)> {
    let mut effects = ended.effects.clone();
    effects.sort();
    effects
}

/// The end is a legal one, nothing is done twice, and what was done and can be undone is, later; in reverse order, unless a
/// step took effect and nobody heard when.
fn consistent(plan: &Plan, ended: &Ended, story: &str, in_order: bool) {
    let status = ended.state.status;
    assert!(matches!(status, Status::Completed | Status::Compensated), "{story}: it ends {status:?}: {:#?}", ended.log);
    let done: Vec<&String> = ended.effects.iter().filter(|(_, undo)| !undo).map(|(step, _)| step).collect();
    let undone: Vec<&String> = ended.effects.iter().filter(|(_, undo)| *undo).map(|(step, _)| step).collect();
    let undoable = |step: &&String| matches!(plan.step(step).map(|step| &step.undo), Some(Undo::By(_)));
    let expected: Vec<&String> = match status {
        Status::Compensated => done.iter().rev().copied().filter(undoable).collect(),
        Status::Running | Status::Undoing | Status::Completed | Status::Stuck | Status::Resolved => Vec::new(),
    };
    let set = |steps: &[&String]| steps.iter().map(|step| (*step).clone()).collect::<BTreeSet<_>>();
    assert_eq!((set(&undone), undone.len()), (set(&expected), expected.len()), "{story}: {:#?}", ended.log);
    if in_order {
        assert_eq!(undone, expected, "{story}: {:#?}", ended.log);
    }
}
