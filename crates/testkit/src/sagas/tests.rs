//! Plans written in Rust: what each kind of step does, and the stories that all plans must survive.

use std::sync::Arc;

use serde_json::{Value, json};
use spina_core::Timestamp;
use spina_core::saga::plan::Formula;
use spina_core::saga::{
    Action, Ask, AskId, Branch, Class, Compute, Fate, Fields, Input, Phase, Plan, Planned, Preview, Refusal, Request,
    Retry, Step, Undo, Verb, preview, react, start,
};

use super::*;

#[derive(Debug)]
struct Path(Vec<&'static str>);

impl Compute for Path {
    fn compute(&self, scope: &Fields) -> Result<Value, String> {
        let mut at = Value::Object(scope.clone());
        for name in &self.0 {
            at = at.get(name).cloned().ok_or_else(|| format!("there is no {name}"))?;
        }
        Ok(at)
    }
}

#[derive(Debug)]
struct Just(Value);

impl Compute for Just {
    fn compute(&self, _: &Fields) -> Result<Value, String> {
        Ok(self.0.clone())
    }
}

fn just(value: Value) -> Formula {
    Arc::new(Just(value))
}

fn path(names: &[&'static str]) -> Formula {
    Arc::new(Path(names.to_vec()))
}

fn command(name: &str) -> Ask {
    Ask::Command { context: "shop".into(), command: name.into(), stream: just(json!("order-1")), fields: Vec::new() }
}

fn step(name: &str, action: Action) -> Step {
    Step {
        name: name.into(),
        action,
        outputs: Vec::new(),
        accept: Vec::new(),
        timeout_us: 5_000_000,
        retry: Retry::default(),
        undo: Undo::Nothing("it has no effect".into()),
    }
}

fn undoable(name: &str) -> Step {
    Step { undo: Undo::By(command(&format!("Undo{name}"))), ..step(name, Action::Ask(command(name))) }
}

fn plan(steps: Vec<Step>) -> Plan {
    Plan { name: "order".into(), version: 1, steps }
}

fn fields(value: Value) -> Fields {
    value.as_object().unwrap().clone()
}

/// One of everything.
fn of_everything() -> Plan {
    let call = |heartbeat_us| {
        let (url, body) = (just(json!("http://mail")), vec![("key".into(), path(&["key"]))]);
        Ask::Http { url, body, rate: None, heartbeat_us }
    };
    let print = Step { undo: Undo::By(call(Some(1_000_000))), ..step("print", Action::Ask(call(Some(1_000_000)))) };
    let branch = |when: Option<Formula>, name: &str| Branch { when, steps: vec![undoable(name)] };
    plan(vec![
        undoable("reserve"),
        step("wait", Action::Wait(just(json!(60_000)))),
        step("both", Action::Parallel(vec![vec![undoable("left"), undoable("left2")], vec![undoable("right")]])),
        step("which", Action::Choice(vec![branch(Some(path(&["input", "rich"])), "gold"), branch(None, "iron")])),
        step("mail", Action::Ask(call(None))),
        print,
        undoable("confirm"),
    ])
}

#[test]
fn a_saga_with_one_of_everything_survives_everything() {
    survives(&of_everything(), "1", &fields(json!({"rich": true})));
    survives(&of_everything(), "1", &fields(json!({"rich": false})));
}

#[test]
fn effects_are_taken_back_in_reverse_order() {
    let plan = plan(vec![undoable("a"), undoable("b"), undoable("c")]);
    let ended = World::new(&plan, "1", &Fields::new()).answering("c", false, Answer::RefusedAlways).run();
    let names: Vec<String> =
        ended.effects.iter().map(|(s, undo)| format!("{}{s}", if *undo { "-" } else { "" })).collect();
    assert_eq!((names.join(" ").as_str(), ended.state.status), ("a b -b -a", Status::Compensated));
}

#[test]
fn what_may_have_happened_is_taken_back_and_what_was_refused_is_not() {
    let plan = plan(vec![undoable("a"), undoable("b")]);
    let silent = World::new(&plan, "1", &Fields::new()).answering("b", false, Answer::LostAlways).run();
    assert!(silent.effects.contains(&("b".to_owned(), true)), "{:?}", silent.effects);
    let refused = World::new(&plan, "1", &Fields::new()).answering("b", false, Answer::RefusedAlways).run();
    assert!(!refused.effects.iter().any(|(step, _)| step == "b"), "{:?}", refused.effects);
}

#[test]
fn a_compensation_that_gives_up_makes_it_stuck_until_somebody_acts() {
    let plan = plan(vec![undoable("a"), undoable("b"), undoable("c")]);
    let stuck = World::new(&plan, "1", &Fields::new())
        .answering("c", false, Answer::RefusedAlways)
        .answering("b", true, Answer::RefusedAlways)
        .run();
    assert_eq!((stuck.state.status, stuck.state.phase("b")), (Status::Stuck, Some(Phase::UndoFailed)));
    assert_eq!(stuck.state.due(), None, "nothing happens by itself");
    let verb = |verb: Verb| {
        let mut state = stuck.state.clone();
        let now = state.changed_at;
        let input = Input::Verb { verb, by: "ada".into(), reason: "seen".into() };
        react(&plan, &mut state, &input, now);
        state
    };
    let retried = verb(Verb::Retry);
    assert_eq!(
        (retried.status, retried.phase("b"), retried.steps["b"].round),
        (Status::Undoing, Some(Phase::Undoing), 2)
    );
    let skipped = verb(Verb::Skip { step: "b".into() });
    assert_eq!((skipped.phase("b"), skipped.phase("a")), (Some(Phase::Kept), Some(Phase::Undoing)));
    assert_eq!(verb(Verb::Resolve).status, Status::Resolved);
}

#[test]
fn a_preview_tells_what_compensation_does_and_does_nothing() {
    let mut kept = undoable("kept");
    kept.undo = Undo::Nothing("it stays valid".into());
    let plan = plan(vec![undoable("a"), kept, undoable("b"), undoable("c")]);
    let now = Timestamp::default();
    let (mut state, _) = start(&plan, "saga-order-1", "1", Fields::new(), now);
    for step in ["a", "kept", "b"] {
        let ask = AskId { saga: "saga-order-1".into(), step: step.into(), undo: false, round: 1 };
        react(&plan, &mut state, &Input::Reply { ask, result: Ok(Fields::new()) }, now);
    }
    let told = |state: &_| {
        let Preview { steps, ends } = preview(&plan, state, now);
        let fate = |planned: &Planned| match &planned.fate {
            Fate::Awaited => format!("{}?", planned.step),
            Fate::Undone { request: Request::Command { command, .. } } => command.clone(),
            Fate::Kept { reason } => format!("{}: {reason}", planned.step),
            other => panic!("{other:?}"),
        };
        (steps.iter().map(fate).collect::<Vec<_>>().join(", "), ends)
    };
    let expected = "c?, Undob, kept: it stays valid, Undoa";
    assert_eq!(told(&state), (expected.to_owned(), Status::Compensated));
    // On the way back it tells the rest, and if it is stuck what a retry does.
    let cancel = Input::Verb { verb: Verb::Compensate, by: "ada".into(), reason: "changed her mind".into() };
    react(&plan, &mut state, &cancel, now);
    let refused = |step: &str, undo| {
        let refusal = Refusal { class: Class::Rejected, code: "no".into(), message: String::new(), doubtful: false };
        let ask = AskId { saga: "saga-order-1".into(), step: step.into(), undo, round: 1 };
        Input::Reply { ask, result: Err(refusal) }
    };
    react(&plan, &mut state, &refused("c", false), now);
    assert_eq!(told(&state), ("Undob, kept: it stays valid, Undoa".to_owned(), Status::Compensated));
    react(&plan, &mut state, &refused("b", true), now);
    assert_eq!(state.status, Status::Stuck);
    assert_eq!(told(&state), ("Undob, kept: it stays valid, Undoa".to_owned(), Status::Compensated));
}

#[test]
fn a_saga_that_is_cancelled_waits_for_what_it_has_asked() {
    let plan = plan(vec![undoable("a"), undoable("b")]);
    let now = Timestamp::default();
    let (mut state, _) = start(&plan, "saga-order-1", "1", Fields::new(), now);
    let ask = |step: &str, undo| AskId { saga: "saga-order-1".into(), step: step.into(), undo, round: 1 };
    let cancel = Input::Verb { verb: Verb::Compensate, by: "ada".into(), reason: "changed her mind".into() };
    react(&plan, &mut state, &cancel, now);
    assert_eq!((state.status, state.phase("a")), (Status::Undoing, Some(Phase::Active)));
    react(&plan, &mut state, &Input::Reply { ask: ask("a", false), result: Ok(Fields::new()) }, now);
    assert_eq!((state.phase("a"), state.phase("b")), (Some(Phase::Undoing), None));
    react(&plan, &mut state, &Input::Reply { ask: ask("a", true), result: Ok(Fields::new()) }, now);
    assert_eq!(state.status, Status::Compensated);
}

#[test]
fn late_doubled_and_contradicting_answers_change_nothing() {
    let plan = plan(vec![undoable("a"), undoable("b")]);
    let now = Timestamp::default();
    let (mut state, _) = start(&plan, "saga-order-1", "1", Fields::new(), now);
    let ask = AskId { saga: "saga-order-1".into(), step: "a".into(), undo: false, round: 1 };
    let yes = Input::Reply { ask: ask.clone(), result: Ok(Fields::new()) };
    let refusal = Refusal { class: Class::Rejected, code: "no".into(), message: String::new(), doubtful: false };
    let no = Input::Reply { ask: ask.clone(), result: Err(refusal) };
    let stale = Input::Reply { ask: AskId { round: 7, ..ask }, result: Ok(Fields::new()) };
    assert_eq!(react(&plan, &mut state, &stale, now), []);
    assert!(!react(&plan, &mut state, &yes, now).is_empty());
    for late in [&yes, &no, &stale] {
        assert_eq!(react(&plan, &mut state, late, now), []);
    }
}

#[test]
fn an_accepted_rejection_is_an_answer_that_later_steps_see() {
    let hold = Step { accept: vec!["seats.full".into()], ..undoable("hold") };
    let full = Branch { when: Some(path(&["input", "full"])), steps: vec![undoable("voucher")] };
    let plan = plan(vec![hold, step("which", Action::Choice(vec![full]))]);
    let oracle = |ask: &AskId, _: &_| match ask.step.as_str() {
        "hold" => {
            Err(Refusal { class: Class::Rejected, code: "seats.full".into(), message: String::new(), doubtful: false })
        }
        _ => Ok(Fields::new()),
    };
    let ended = World::new(&plan, "1", &fields(json!({"full": true}))).by(oracle).run();
    assert_eq!(ended.state.outputs["hold"], json!({"rejected": "seats.full"}));
    assert_eq!((ended.state.status, ended.effects), (Status::Completed, vec![("voucher".to_owned(), false)]));
}

#[test]
fn an_awaited_event_may_come_early_in_time_or_never() {
    let awaits = step("landed", Action::Await("flights.FlightLanded".into()));
    let plan = plan(vec![undoable("a"), awaits]);
    let landed = || Input::Event { event: "flights.FlightLanded".into(), fields: fields(json!({"at": 7})) };
    let now = Timestamp::default();
    let (mut early, _) = start(&plan, "saga-order-1", "1", Fields::new(), now);
    react(&plan, &mut early, &landed(), now);
    let ask = AskId { saga: "saga-order-1".into(), step: "a".into(), undo: false, round: 1 };
    react(&plan, &mut early, &Input::Reply { ask, result: Ok(Fields::new()) }, now);
    assert_eq!(early.status, Status::Completed);
    let in_time = World::new(&plan, "1", &Fields::new()).with_event("flights.FlightLanded", Fields::new()).run();
    assert_eq!(in_time.state.status, Status::Completed);
    let never = World::new(&plan, "1", &Fields::new()).run();
    assert_eq!(never.state.status, Status::Compensated);
}

#[test]
fn a_wait_is_never_early() {
    let plan = plan(vec![step("wait", Action::Wait(just(json!(1_000))))]);
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    let (mut state, _) = start(&plan, "saga-order-1", "1", Fields::new(), at(0));
    assert_eq!(react(&plan, &mut state, &Input::Tick, at(999_999)), []);
    react(&plan, &mut state, &Input::Tick, at(1_000_000));
    assert_eq!(state.status, Status::Completed);
}

#[test]
fn what_is_taken_for_later_is_given_up_once_it_is_silent_or_its_whole_time_is_over() {
    let call = Ask::Http { url: just(json!("http://mail")), body: vec![], rate: None, heartbeat_us: Some(2_000_000) };
    let plan = plan(vec![step("mail", Action::Ask(call))]);
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    let ask = AskId { saga: "saga-order-1".into(), step: "mail".into(), undo: false, round: 1 };
    let beat = Input::Beat { ask: ask.clone() };
    let begun = || start(&plan, "saga-order-1", "1", Fields::new(), at(0)).0;
    let codes = |state: &mut _, now| {
        let events = react(&plan, state, &Input::Tick, at(now));
        events
            .into_iter()
            .filter_map(|event| match event {
                SagaEvent::StepFailed { code, class, doubtful, retry_at: Some(_), .. } => Some((code, class, doubtful)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let failed = |code: &str| vec![(code.to_owned(), Class::TimedOut, true)];

    let mut unheard = begun();
    assert_eq!((codes(&mut unheard, 4_999_999), codes(&mut unheard, 5_000_000)), (vec![], failed("timeout")));

    let mut silent = begun();
    for now in [500_000, 1_500_000] {
        react(&plan, &mut silent, &beat, at(now));
    }
    assert_eq!((codes(&mut silent, 3_499_999), codes(&mut silent, 3_500_000)), (vec![], failed("heartbeat")));
    assert_eq!(react(&plan, &mut silent, &beat, at(3_500_001)), [], "it is asked again, not taken up");

    let mut busy = begun();
    for now in [1_000_000, 2_900_000, 4_800_000] {
        react(&plan, &mut busy, &beat, at(now));
    }
    assert_eq!((codes(&mut busy, 4_999_999), codes(&mut busy, 5_000_000)), (vec![], failed("timeout")));

    let mut done = begun();
    react(&plan, &mut done, &beat, at(1));
    react(&plan, &mut done, &Input::Reply { ask, result: Ok(Fields::new()) }, at(2));
    assert_eq!(done.status, Status::Completed);
    assert_eq!(react(&plan, &mut done, &beat, at(3)), []);
}

#[test]
fn a_definition_that_cannot_compute_a_value_takes_the_saga_back() {
    let lost = Ask::Http { url: path(&["input", "nowhere"]), body: Vec::new(), rate: None, heartbeat_us: None };
    let plan = plan(vec![undoable("a"), step("call", Action::Ask(lost))]);
    let ended = World::new(&plan, "1", &Fields::new()).run();
    assert_eq!((ended.state.status, ended.effects.len()), (Status::Compensated, 2));
}

#[test]
fn ids_of_asks_are_read_as_they_are_written() {
    let id = AskId { saga: "saga-rebook-a/b".into(), step: "hold".into(), undo: true, round: 3 };
    assert_eq!(id.to_string(), "saga-rebook-a/b/hold/undo/3");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert!(["", "a/b/c", "saga/step/redo/1", "saga/step/do/x"].iter().all(|text| text.parse::<AskId>().is_err()));
}
