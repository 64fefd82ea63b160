//! What the correlation is tried with: a context of alarms, and a hundred rules.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::trials::declaring;

/// The alarms' topic.
pub const TOPIC: &str = "alarms.events.v1";
/// Its partitions.
pub const PARTITIONS: i32 = 4;
/// Full name of its record.
pub const RECORD: &str = "alarms.AlarmRaised";
/// Full name of its event.
pub const EVENT: &str = "alarms.alarm.AlarmRaised";
/// Kinds of alarms: each has a rule that is found by it.
pub const KINDS: u64 = 94;
/// Rules that are asked for each alarm, because they take hosts by a pattern.
const WIDE: u64 = 5;
/// Hosts with alarms.
pub const HOSTS: u64 = 10;
/// Names of alerts: one incident each, by the hundredth rule.
pub const ALERTS_NAMED: usize = 20;
/// Groups that each become one incident: of each kind by host, and of half the hosts by each wide rule.
pub const GROUPS: u64 = KINDS * HOSTS + WIDE * HOSTS / 2;

const CONTEXT: &str = "context: alarms\npartitions: 4\naggregates:\n  alarm:\n    events: [AlarmRaised]\n";

/// Writes declarations into `topology` and `schemas` below the folder.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let text = |name| json!({ "name": name, "type": "string", "doc": "Which." });
    let schema = json!({
        "type": "record", "name": "AlarmRaised", "namespace": "alarms", "doc": "An alarm.",
        "fields": [text("kind"), text("host")],
    });
    let files = [
        ("topology/alarms/context.yaml", CONTEXT.to_owned()),
        ("topology/alarms/correlation.yaml", rules()),
        ("topology/monitoring/correlation.yaml", alert_rule()),
        ("schemas/alarms/AlarmRaised.avsc", schema.to_string()),
    ];
    declaring::write(folder, &["spina", "monitoring"], files.map(|(name, text)| (name.to_owned(), text)))
}

/// The rules of the alarms: whichever it is, the twentieth within a minute opens an incident that lasts to the end.
fn rules() -> String {
    let mut rules = String::from(
        "lateness: 1h\nsignals:\n  AlarmRaised: { name: alarm, labels: { kind: data.kind, host: data.host } }\nrules:\n",
    );
    let rest = "group_by: [host], window: { sliding: 1m }, open: { count: 20 }, resolve: { quiet: 1h }";
    for kind in 0..KINDS {
        _ = writeln!(rules, "  kind-{kind}: {{ match: ['kind=\"k{kind}\"'], {rest} }}");
    }
    for wide in 0..WIDE {
        _ = writeln!(rules, "  wide-{wide}: {{ match: ['host=~\"h[{wide}-{}]\"'], {rest} }}", wide + HOSTS / 2 - 1);
    }
    rules
}

fn alert_rule() -> String {
    "resolve_after: 1h\nrules:\n  alert: { match: ['alertname!=\"\"'], group_by: [alertname], resolve: all }\n"
        .to_owned()
}

/// One of the alerts.
pub fn alert(n: u64) -> Value {
    let labels = json!({
        "alertname": format!("Alert{}", n % ALERTS_NAMED as u64), "instance": format!("i{n}"), "severity": "page",
        "job": "bench", "dc": format!("dc{}", n % 3),
    });
    json!({ "labels": labels, "annotations": { "summary": "a bench" } })
}

/// How many incidents of alerts are open.
pub fn open_incidents(told: &Value) -> usize {
    let all = told["incidents"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(|incident| incident["rule"] == "monitoring/alert" && incident["state"] == "open").count()
}
