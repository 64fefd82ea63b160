//! Recorded histories: what real sagas did, which today's code and definitions must decide as it was decided.
//!
//! `spina saga replay --write` recorded them, one file for each definition: those that the topology has, and those that lie
//! beside the histories. A file that differs means that sagas under way would go on otherwise than they began.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use spina_codec::schema_files;
use spina_core::saga::{Action, Happened, Plan, SagaEvent, Undo, replay};
use spina_rules::context::load_all;
use spina_rules::decide::Shapes;
use spina_rules::known::Known;
use spina_rules::saga;
use spina_rules::source::Source;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("histories")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shapes of the shipped contexts.
fn known() -> Known {
    let contexts = load_all(&root().join("topology")).unwrap();
    let shapes = contexts.iter().map(|context| {
        let files = schema_files::load(&root().join("schemas"), &context.name).unwrap();
        let by_record: HashMap<&str, _> = files.iter().map(|file| (file.full_name.as_str(), &file.shape)).collect();
        let outline = |name: &str| by_record.get(context.record_name(name).as_str()).map(|shape| shape.outline());
        let events = context.events().filter_map(|(_, name)| outline(name)).collect();
        let commands = context.commands().filter_map(|(_, command)| outline(&command.name)).collect();
        (context.name.clone(), Shapes { events, commands })
    });
    shapes.collect()
}

fn plans() -> Vec<Plan> {
    let known = known();
    let shipped = saga::load_all(&root().join("topology"), &known).unwrap();
    let ours = files("yaml").into_iter().map(|file| saga::compile(&Source::read(&file).unwrap(), &known).unwrap());
    shipped.into_iter().chain(ours).map(|saga| saga.plan).collect()
}

fn files(extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

/// The logs of all sagas in a file.
fn histories(file: &Path) -> Vec<Vec<Happened>> {
    let mut logs: BTreeMap<String, Vec<Happened>> = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        let record: Happened = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), serde_json::from_str::<serde_json::Value>(line).unwrap());
        logs.entry(record.saga.clone()).or_default().push(record);
    }
    logs.into_values().collect()
}

fn plan_of<'p>(plans: &'p [Plan], log: &[Happened]) -> &'p Plan {
    let SagaEvent::Started { definition, version, .. } = &log[0].event else { panic!("{:?}", log[0]) };
    let found = plans.iter().find(|plan| plan.name == *definition && plan.version == *version);
    found.unwrap_or_else(|| panic!("{definition} version {version} has histories and no definition"))
}

#[test]
fn every_recorded_history_is_decided_again_as_it_was() {
    let plans = plans();
    let mut replayed = BTreeMap::<&str, usize>::new();
    for log in files("ndjson").iter().flat_map(|file| histories(file)) {
        let plan = plan_of(&plans, &log);
        let state = replay(plan, &log).unwrap_or_else(|difference| panic!("{difference}"));
        assert_eq!(state.events, log.len() as u64);
        *replayed.entry(&plan.name).or_default() += 1;
    }
    for plan in &plans {
        assert!(replayed.get(plan.name.as_str()).is_some_and(|count| *count >= 5), "{}: {replayed:?}", plan.name);
    }
}

/// A change to a definition that keeps its version.
type Change = (&'static str, fn(&mut Plan));

/// What somebody might change in the first step.
const CHANGES: [Change; 7] = [
    ("another name", |plan| plan.steps[0].name.push('x')),
    ("another time-out", |plan| plan.steps[0].timeout_us += 1),
    ("a step less", |plan| _ = plan.steps.pop()),
    ("a step more", |plan| {
        let mut more = plan.steps[0].clone();
        more.name = "more".to_owned();
        plan.steps.push(more);
    }),
    ("another order", |plan| plan.steps.reverse()),
    ("no rejection is an answer", |plan| plan.steps[0].accept.clear()),
    ("nothing is taken back", |plan| plan.steps.iter_mut().for_each(|step| step.undo = Undo::Nothing("why".into()))),
];

#[test]
fn a_changed_definition_is_caught() {
    let plans = plans();
    let logs: Vec<Vec<Happened>> = files("ndjson").iter().flat_map(|file| histories(file)).collect();
    let rebook = plans.iter().find(|plan| plan.name == "rebook").unwrap();
    let logs: Vec<&Vec<Happened>> = logs.iter().filter(|log| plan_of(&plans, log).name == "rebook").collect();
    for (what, change) in CHANGES {
        let mut changed = rebook.clone();
        change(&mut changed);
        assert!(logs.iter().any(|log| replay(&changed, log).is_err()), "{what}");
    }
    let mut changed = rebook.clone();
    for step in &mut changed.steps {
        if let Action::Choice(branches) = &mut step.action {
            branches.clear();
        }
    }
    assert!(logs.iter().any(|log| replay(&changed, log).is_err()), "no branch");
}

#[test]
fn a_history_that_was_tampered_with_is_caught_at_its_record() {
    let plans = plans();
    for log in files("ndjson").iter().flat_map(|file| histories(file)) {
        let plan = plan_of(&plans, &log);
        // Cut off in the middle of a turn, or with a record missing.
        let turns = log.windows(2).filter(|pair| pair[0].at == pair[1].at).count();
        assert!(turns > 0);
        let mut without = log.clone();
        without.remove(1);
        assert!(replay(plan, &without).is_err(), "{}", log[0].saga);
        let mut doubled = log.clone();
        doubled.push(log[log.len() - 1].clone());
        let difference = replay(plan, &doubled).unwrap_err();
        assert_eq!(difference.number, log.len() as u64, "{difference}");
    }
}
