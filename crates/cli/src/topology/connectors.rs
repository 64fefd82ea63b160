//! Connectors: what the files declare, against what a Connect worker has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use spina_core::ContextName;
use spina_rules::connectors::{self, CONNECTORS_FILE, ConnectorDef, ConnectorState};
use spina_rules::context::ContextDef;
use spina_rules::source::{Place, Problem, Source};

use super::plan::{Action, Plan, SettingChange};
use crate::connect::api::{Connect, Connector, Objection, Order};

/// A connector as it must be, and the file that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredConnector {
    /// The connector.
    pub def: ConnectorDef,
    /// The file.
    pub file: String,
}

impl DesiredConnector {
    fn problem(&self, place: Place, message: String) -> Problem {
        Problem { file: self.file.clone(), place, message }
    }
}

/// What a worker has.
#[derive(Debug, Clone, Default)]
pub struct ActualConnectors {
    /// Its connectors, by name.
    pub connectors: BTreeMap<String, Connector>,
    /// What it has against settings that are not there yet, by connector.
    pub objections: BTreeMap<String, Vec<Objection>>,
}

/// The connectors of a context; it need not have any.
pub fn declared(context: &ContextDef, topology_dir: &Path) -> (Vec<DesiredConnector>, Vec<Problem>) {
    let path = topology_dir.join(context.name.as_str()).join(CONNECTORS_FILE);
    if !path.exists() {
        return (Vec::new(), Vec::new());
    }
    let read = Source::read(&path).map_err(Into::into).and_then(|source| connectors::parse(&source, &context.name));
    match read {
        Ok(defs) => {
            let file = path.display().to_string();
            (defs.into_iter().map(|def| DesiredConnector { def, file: file.clone() }).collect(), Vec::new())
        }
        Err(problems) => (Vec::new(), problems.0),
    }
}

/// Looks what the worker has, and what it says of settings that it does not have yet.
pub async fn read(desired: &[DesiredConnector], connect: &Connect) -> Result<ActualConnectors> {
    let mut actual = ActualConnectors { connectors: connect.connectors().await?, ..ActualConnectors::default() };
    for DesiredConnector { def, .. } in desired {
        if actual.connectors.get(&def.name).is_none_or(|connector| connector.config != def.config) {
            actual.objections.insert(def.name.clone(), connect.objections(&def.config).await?);
        }
    }
    Ok(actual)
}

/// What has to be done about connectors. Without a worker nothing can be, nor is it known how they are.
pub fn diff(
    contexts: &[ContextName],
    desired: &[DesiredConnector],
    actual: Option<&ActualConnectors>,
    plan: &mut Plan,
) {
    let Some(actual) = actual else {
        let files: BTreeSet<&str> = desired.iter().map(|connector| connector.file.as_str()).collect();
        let message = "is left out, since no Kafka Connect worker is known: `spina up --connect` starts one, \
                       --connect-url names one";
        plan.drift.extend(files.into_iter().map(|file| whole(file, message.to_owned())));
        return;
    };
    for connector in desired {
        one(connector, actual, plan);
    }
    let undeclared = actual.connectors.keys().filter(|name| !desired.iter().any(|it| it.def.name == **name));
    for name in undeclared.filter(|name| contexts.iter().any(|context| is_of(context, name))) {
        let message =
            format!("connector {name} is there and declared nowhere: `spina connect delete {name}` removes it");
        plan.drift.push(whole(CONNECTORS_FILE, message));
    }
}

fn one(desired: &DesiredConnector, actual: &ActualConnectors, plan: &mut Plan) {
    let def = &desired.def;
    for Objection { setting, message } in actual.objections.get(&def.name).into_iter().flatten() {
        plan.refuse(
            desired.problem(def.place_of(setting), format!("`{setting}` of connector {}: {message}", def.name)),
        );
    }
    let Some(existing) = actual.connectors.get(&def.name) else {
        plan.actions.push(Action::CreateConnector(desired.clone()));
        return;
    };
    let changes = changes(&existing.config, &def.config);
    if !changes.is_empty() {
        plan.actions.push(Action::ChangeConnector { connector: desired.clone(), changes });
    } else if def.state == ConnectorState::Running && !existing.failures().is_empty() {
        plan.actions.push(Action::RestartConnector { name: def.name.clone(), failures: existing.failures() });
    }
    let now = standing(existing);
    if now != def.state {
        plan.actions.push(Action::SetConnectorState { name: def.name.clone(), from: now, to: def.state });
    }
}

/// What somebody has told it to do. Whether its tasks succeed at that is another matter.
fn standing(connector: &Connector) -> ConnectorState {
    match connector.state.as_str() {
        "PAUSED" => ConnectorState::Paused,
        "STOPPED" => ConnectorState::Stopped,
        _ => ConnectorState::Running,
    }
}

fn changes(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Vec<SettingChange> {
    let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    keys.into_iter()
        .filter(|key| from.get(*key) != to.get(*key))
        .map(|key| SettingChange { key: key.clone(), from: from.get(key).cloned(), to: to.get(key).cloned() })
        .collect()
}

fn is_of(context: &ContextName, connector: &str) -> bool {
    connector.strip_prefix(context.as_str()).is_some_and(|rest| rest.starts_with('.'))
}

fn whole(file: &str, message: String) -> Problem {
    Problem { file: file.to_owned(), place: Place::FILE, message }
}

/// The order that brings a connector into a state.
pub fn order(state: ConnectorState) -> Order {
    match state {
        ConnectorState::Running => Order::Resume,
        ConnectorState::Paused => Order::Pause,
        ConnectorState::Stopped => Order::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::api::Task;

    fn declared(text: &str) -> Vec<DesiredConnector> {
        let source = Source::new(CONNECTORS_FILE, format!("connectors: {{sink: {text}}}"));
        let defs = connectors::parse(&source, &"flights".parse().unwrap()).unwrap();
        defs.into_iter().map(|def| DesiredConnector { def, file: CONNECTORS_FILE.to_owned() }).collect()
    }

    fn there(connector: &DesiredConnector, state: &str, failed: Option<&str>) -> ActualConnectors {
        let task = failed.map(|cause| Task {
            id: 0,
            state: "FAILED".to_owned(),
            cause: Some(cause.to_owned()),
            worker: String::new(),
        });
        let found = Connector {
            config: connector.def.config.clone(),
            state: state.to_owned(),
            tasks: task.into_iter().collect(),
            ..Connector::default()
        };
        ActualConnectors { connectors: [(connector.def.name.clone(), found)].into(), ..ActualConnectors::default() }
    }

    fn planned(desired: &[DesiredConnector], actual: Option<&ActualConnectors>) -> Plan {
        let mut plan = Plan::default();
        diff(&["flights".parse().unwrap()], desired, actual, &mut plan);
        plan
    }

    const SINK: &str = "{config: {connector.class: X, topics: a}}";

    #[test]
    fn what_is_not_there_is_created_and_what_is_there_is_left_alone() {
        let desired = declared(SINK);
        let plan = planned(&desired, Some(&ActualConnectors::default()));
        assert!(matches!(plan.actions.as_slice(), [Action::CreateConnector(_)]), "{plan:?}");
        let plan = planned(&desired, Some(&there(&desired[0], "RUNNING", None)));
        assert!(plan.actions.is_empty() && plan.warnings.is_empty(), "{plan:?}");
    }

    #[test]
    fn only_the_settings_that_differ_are_changed() {
        let actual = there(&declared(SINK)[0], "RUNNING", Some("no table"));
        let plan = planned(&declared("{config: {connector.class: X, tasks.max: 2}}"), Some(&actual));
        let [Action::ChangeConnector { changes, .. }] = plan.actions.as_slice() else { panic!("{plan:?}") };
        let seen: Vec<_> = changes.iter().map(|c| (c.key.as_str(), c.from.as_deref(), c.to.as_deref())).collect();
        assert_eq!(seen, [("tasks.max", None, Some("2")), ("topics", Some("a"), None)]);
    }

    #[test]
    fn a_failed_task_is_started_anew_and_a_paused_connector_resumed_as_declared() {
        let desired = declared(SINK);
        let plan = planned(&desired, Some(&there(&desired[0], "RUNNING", Some("no table"))));
        let [Action::RestartConnector { failures, .. }] = plan.actions.as_slice() else { panic!("{plan:?}") };
        assert_eq!(failures, &["task 0: no table"]);
        let plan = planned(&desired, Some(&there(&desired[0], "PAUSED", None)));
        let [Action::SetConnectorState { from, to, .. }] = plan.actions.as_slice() else { panic!("{plan:?}") };
        assert_eq!((*from, *to), (ConnectorState::Paused, ConnectorState::Running));
    }

    #[test]
    fn what_the_worker_objects_to_is_told_where_it_stands() {
        let desired = declared("{config: {connector.class: X, tasks.max: many}}");
        let objection = Objection { setting: "tasks.max".to_owned(), message: "is no number".to_owned() };
        let objections = [("flights.sink".to_owned(), vec![objection])].into();
        let plan = planned(&desired, Some(&ActualConnectors { objections, ..ActualConnectors::default() }));
        assert_eq!(
            plan.problems[0].to_string(),
            "connectors.yaml:1:50: `tasks.max` of connector flights.sink: is no number"
        );
    }

    #[test]
    fn others_are_left_alone_but_told_of_and_without_a_worker_so_are_ours() {
        let desired = declared(SINK);
        let mut actual = there(&desired[0], "RUNNING", None);
        for name in ["flights.old", "flightsim.x", "somebody"] {
            actual.connectors.insert(name.to_owned(), Connector::default());
        }
        let plan = planned(&desired, Some(&actual));
        assert!(plan.actions.is_empty());
        let told: Vec<&str> = plan.drift.iter().map(|drift| drift.message.as_str()).collect();
        assert!(matches!(told.as_slice(), [one] if one.contains("connector flights.old is there")), "{told:?}");
        assert!(planned(&desired, None).drift[0].message.starts_with("is left out"));
    }
}
