//! What the sagas are measured with: a context of relay races, and two sagas.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use crate::trials::declaring;

/// The context.
pub const CONTEXT: &str = "relay";
/// Its partitions, and those of inbox and log.
pub const PARTITIONS: i32 = 4;
/// Steps of a lap.
pub const LEGS: u64 = 5;
/// Begins a saga of [`LEGS`] steps.
pub const LAP: Begins = Begins { event: "LapBegun", saga: "lap", legs: LEGS };
/// Begins a saga of one step.
pub const DASH: Begins = Begins { event: "DashBegun", saga: "dash", legs: 1 };

/// An event and the saga that it begins.
#[derive(Debug, Clone, Copy)]
pub struct Begins {
    /// The event.
    pub event: &'static str,
    /// The saga's definition.
    pub saga: &'static str,
    /// Its steps.
    pub legs: u64,
}

const CONTEXT_YAML: &str = "context: relay
partitions: 4
aggregates:
  race:
    events: [LapBegun, DashBegun]
  baton:
    events: [BatonHanded]
    commands:
      HandOver:
        emit:
          - { event: BatonHanded }
";

/// Writes declarations into `topology` and `schemas` below the folder.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let schema = |name: &str, field: &str| {
        let fields = json!([{ "name": field, "type": "string", "doc": "Which." }]);
        let schema =
            json!({ "type": "record", "name": name, "namespace": CONTEXT, "doc": "A race.", "fields": fields });
        (format!("schemas/{CONTEXT}/{name}.avsc"), schema.to_string())
    };
    let saga = |begins: Begins| (format!("topology/{CONTEXT}/sagas/{}.yaml", begins.saga), saga(begins));
    let files = [
        (format!("topology/{CONTEXT}/context.yaml"), CONTEXT_YAML.to_owned()),
        saga(LAP),
        saga(DASH),
        schema(LAP.event, "team"),
        schema(DASH.event, "team"),
        schema("BatonHanded", "leg"),
        schema("HandOver", "leg"),
    ];
    declaring::write(folder, &["spina"], files)
}

fn saga(begins: Begins) -> String {
    let Begins { event, saga, legs } = begins;
    let mut text = format!("saga: {saga}\nversion: 1\nstart: {{ on: {CONTEXT}.{event}, key: event.key }}\nsteps:\n");
    for leg in 1..=legs {
        _ = write!(
            text,
            "  - name: leg{leg}\n    command: {CONTEXT}.HandOver\n    stream: \"'baton-' + key\"\n    \
             fields: {{ leg: \"'leg {leg}'\" }}\n    undo: {{ none: a race is run }}\n"
        );
    }
    text
}
