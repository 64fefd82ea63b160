//! What a plan looks like.

use super::*;
use crate::topology::evolution::Difference;
use crate::topology::plan::ConfigChange;

fn plan() -> Plan {
    let configs = [("retention.ms", "-1".to_owned())].into();
    let change = ConfigChange { key: "retention.ms", from: Some("1000".into()), to: "-1".into() };
    Plan {
        actions: vec![
            Action::CreateTopic { name: "flights.events.v1".into(), partitions: 4, replication: 1, configs },
            Action::AlterTopic { name: "flights.replies.v1".into(), changes: vec![change] },
            Action::SetCompatibility { subject: "a-b".into(), from: None, to: "BACKWARD_TRANSITIVE" },
        ],
        ..Plan::default()
    }
}

#[test]
fn a_plan_reads_like_a_diff() {
    assert_eq!(
        text(&plan()),
        "+ topic flights.events.v1 (partitions 4, replication 1)\n      + retention.ms = -1\n\
         ~ topic flights.replies.v1\n      ~ retention.ms: 1000 -> -1\n\
         ~ compatibility of a-b: (not set) -> BACKWARD_TRANSITIVE\n\
         \nPlan: 1 to add, 2 to change, 0 to remove."
    );
    assert_eq!(text(&Plan::default()), "No changes: the cluster and the registry are as the files say.");
}

#[test]
fn drift_that_no_step_mends_is_shown_and_counted() {
    let place = spina_rules::source::Place::FILE;
    let drift = Problem { file: "context.yaml".into(), place, message: "topic a is declared nowhere".into() };
    let plan = Plan { drift: vec![drift], ..Plan::default() };
    let shown =
        "! context.yaml: topic a is declared nowhere\n\nPlan: 0 to add, 0 to change, 0 to remove; 1 to mend by hand.";
    assert_eq!(text(&plan), shown);
    assert_eq!(json(&plan)["drift"][0]["message"], "topic a is declared nowhere");
}

#[test]
fn a_new_version_shows_its_fields() {
    let lines = [
        Difference::Added { field: "gate".into(), r#type: "null or string".into() },
        Difference::Removed { field: "tail".into() },
        Difference::Changed { field: "miles".into(), how: "int -> long".into() },
    ];
    let lines: Vec<String> = lines.iter().map(difference).collect();
    assert_eq!(lines, ["+ gate: null or string", "- tail", "~ miles: int -> long"]);
}

#[test]
fn programs_get_the_same_as_json() {
    let json = json(&plan());
    assert_eq!(json["counts"], serde_json::json!({ "add": 1, "change": 2 }));
    assert_eq!(json["changes"][0]["configs"]["retention.ms"], "-1");
    assert_eq!(json["changes"][1]["configs"][0]["from"], "1000");
}
