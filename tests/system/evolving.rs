//! A context changes what it wants to know about its events; the past is read in the new form, and old producers go on.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use spina_codec::Shape;
use spina_codec::frame::frame;
use spina_tests::registry::Registry;
use spina_tests::spina::Spina;
use spina_tests::sse::Sse;
use spina_tests::tools::kcat_produce;
use spina_tests::world::World;

use crate::models::{MODELS, caught_up};
use crate::replies::{brief, replies};
use crate::samples::{departed, new_stream, scheduled};

const UPCASTERS: &str = "\
upcasters:
  FlightDiverted:
    becomes: FlightRerouted
  FlightLanded:
    steps:
      - rename: { arrival_delay_min: delay_min }
      - when: { version: 1 }
        default: { source: \"data.delay_min > 60 ? 'disputed' : 'timetable'\" }
";

/// The files of the world's context.
struct Files<'w>(&'w World);

impl Files<'_> {
    fn schema(&self, file: &str) -> PathBuf {
        self.0.context.schemas_dir.join(&self.0.context.name).join(file)
    }

    fn topology(&self, file: &str) -> PathBuf {
        self.0.context.topology_dir.join(&self.0.context.name).join(file)
    }

    fn change(path: &PathBuf, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{}: {from}", path.display());
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// `FlightLanded` gets another name for its delay and a field without default; `FlightDiverted` is renamed.
    fn evolve(&self) {
        let landed = self.schema("FlightLanded.avsc");
        Self::change(&landed, "arrival_delay_min", "delay_min");
        let source = r#""fields": [ {"name": "source", "type": "string"}, "#;
        Self::change(&landed, "\"fields\": [", source);
        fs::rename(self.schema("FlightDiverted.avsc"), self.schema("FlightRerouted.avsc")).unwrap();
        Self::change(&self.schema("FlightRerouted.avsc"), "FlightDiverted", "FlightRerouted");
        for file in ["context.yaml", "correlation.yaml"] {
            Self::change(&self.topology(file), "FlightDiverted", "FlightRerouted");
        }
        let projections = self.topology("projections.yaml");
        Self::change(&projections, "FlightDiverted", "FlightRerouted");
        Self::change(&projections, "data.arrival_delay_min", "data.delay_min");
    }

    /// What the released samples are read as from now on.
    fn agree(&self) {
        let edit = |file: &str, edit: &dyn Fn(&mut Value)| {
            let path = self.schema(file);
            let mut sample: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            edit(&mut sample["read"]);
            fs::write(&path, sample.to_string()).unwrap();
        };
        edit("released/FlightDiverted.1.json", &|read| read["type"] = json!("FlightRerouted"));
        edit("released/FlightLanded.1.json", &|read| {
            let data = read["data"].as_object_mut().unwrap();
            let delay = data.remove("arrival_delay_min").unwrap();
            data.insert("delay_min".to_owned(), delay);
            data.insert("source".to_owned(), json!("disputed"));
        });
    }

    fn topology_verb(&self, verb: &str) -> Spina {
        let spina = Spina::of(&self.0.stack).args(["topology", verb, "--topology-dir"]);
        let spina = spina.arg(&self.0.context.topology_dir).arg("--schemas-dir");
        spina.arg(&self.0.context.schemas_dir)
    }
}

fn landed_then(delay: i64) -> Value {
    let data = json!({
        "carrier": "UA", "origin": "EWR", "dest": "IAH", "day": "2013-01-01", "tail_number": "N14228",
        "distance_miles": 1400, "landed_at": "2013-01-01T14:30:00Z", "arrival_delay_min": delay, "air_time_min": 227,
    });
    json!({ "type": "FlightLanded", "data": data, "time": "2013-01-01T14:30:00Z" })
}

fn landed_now(delay: i64) -> Value {
    let mut event = landed_then(delay);
    let data = event["data"].as_object_mut().unwrap();
    data.remove("arrival_delay_min");
    data.insert("delay_min".to_owned(), json!(delay));
    data.insert("source".to_owned(), json!("radar"));
    event
}

fn diverted() -> Value {
    json!({"carrier": "UA", "origin": "EWR", "dest": "IAH", "day": "2013-01-01", "tail_number": "N14228"})
}

async fn get(world: &World, path: &str) -> Value {
    let answer = world.http().get(&format!("/v1/{}/{path}", world.context.name)).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_under_the_first_version_is_read_as_the_second_everywhere() {
    let mut world = World::with_projector("evolve").await;
    let (context, arrived, rerouted) = (world.context.name.clone(), new_stream(), new_stream());
    let append = async |world: &World, stream: &str, events: Value| {
        world.http().append(&world.context.name, stream, "any", events).await
    };
    let flown = append(&world, &arrived, json!([scheduled(), departed(), landed_then(90)])).await;
    assert_eq!(flown.status, 201, "{flown:?}");
    let lost = json!([scheduled(), {"type": "FlightDiverted", "data": diverted()}]);
    assert_eq!(append(&world, &rerouted, lost).await.status, 201);
    // A snapshot that was folded from the first version.
    let taken = world.http().post(&format!("/v1/{context}/streams/{arrived}/snapshot"), &json!({})).await;
    assert_eq!((taken.status, &taken.body["state"]["arrival_delay_min"]), (201, &json!(90)), "{taken:?}");
    caught_up(&world.projector.as_ref().unwrap().url).await;
    let registry = Registry::before(&world.stack).await;
    let subject = format!("{}-{context}.FlightDiverted", world.context.commands_topic());
    let (old_id, old_schema) = registry.latest(&subject).await;

    let files = Files(&world);
    files.evolve();
    let refused = files.topology_verb("plan").run();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    fs::write(files.topology("upcasters.yaml"), UPCASTERS).unwrap();
    let refused = files.topology_verb("apply").run();
    assert!(refused.stderr.contains("if that is meant, put it under `read`"), "{refused:?}");
    files.agree();
    let frozen = files.topology_verb("freeze").succeeds();
    assert!(frozen.contains("FlightLanded.2.avsc") && frozen.contains("FlightRerouted.1.json"), "{frozen}");
    let applied = files.topology_verb("apply").succeeds();
    assert!(applied.contains("BACKWARD_TRANSITIVE -> NONE") && applied.contains("version 2"), "{applied}");
    let again = files.topology_verb("plan").run();
    assert_eq!(again.status.code(), Some(0), "nothing is left to do: {again:?}");
    world.event_store.stop().await;
    world.projector.as_mut().unwrap().stop().await;
    world.event_store.start_again();
    world.projector.as_mut().unwrap().start_again();
    world.event_store.ready().await;
    world.projector.as_mut().unwrap().ready().await;

    // Old events over HTTP, and their states.
    let read = get(&world, &format!("streams/{arrived}/events")).await;
    let data = &read["events"][2]["data"];
    assert_eq!((&data["delay_min"], &data["source"]), (&json!(90), &json!("disputed")), "{read}");
    assert!(data.get("arrival_delay_min").is_none(), "{read}");
    let read = get(&world, &format!("streams/{rerouted}/events")).await;
    assert_eq!(read["events"][1]["type"], json!(format!("{context}.flight.FlightRerouted")), "{read}");
    let state = get(&world, &format!("streams/{arrived}")).await["state"].clone();
    assert_eq!((&state["delay_min"], state.get("arrival_delay_min")), (&json!(90), None), "{state}");
    assert_eq!(get(&world, &format!("streams/{rerouted}")).await["state"]["status"], "FlightRerouted");

    // The old producer publishes as ever; new ones publish the new form, and the old form is refused from them.
    let avro = Shape::compile(&old_schema.to_string()).unwrap().encode(diverted().as_object().unwrap()).unwrap();
    let file = world.stack.folder(&rerouted).join("old.bin");
    fs::write(&file, frame(old_id, &avro)).unwrap();
    let third = new_stream();
    kcat_produce(&world.stack, &world.context.commands_topic(), &third, &[], &file, &[]);
    assert_eq!(brief(&replies(&world, &third, 1).await[0]), "accepted");
    assert_eq!(append(&world, &third, json!([landed_now(30)])).await.status, 201);
    let refused = append(&world, &third, json!([landed_then(30)])).await;
    assert_eq!((refused.status, refused.error_code()), (422, "validation.missing_field"), "{refused:?}");

    // Subscriptions, and what is asked for by today's name.
    let url = format!("{}/v1/{context}/events?from=earliest&types=FlightRerouted", world.event_store.url);
    let mut sse = Sse::connect(&url, None).await;
    let mut streams = [sse.next().await, sse.next().await].map(|message| {
        assert_eq!(message.name, "FlightRerouted", "{message:?}");
        message.data["stream"].as_str().unwrap().to_owned()
    });
    let mut expected = [rerouted.clone(), third.clone()];
    streams.sort();
    expected.sort();
    assert_eq!(streams, expected);

    // Replay, as it is read and as it was written.
    let replay = |more: &[&str]| {
        let folders = ["--topology-dir", "--schemas-dir"];
        let spina = world.spina().args(["replay", "--context", &context, "--output", "ndjson"]).args(more);
        let spina = spina.arg(folders[0]).arg(&world.context.topology_dir).arg(folders[1]);
        let printed = spina.arg(&world.context.schemas_dir).succeeds();
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    assert_eq!(replay(&["--type", "FlightRerouted"]).len(), 2);
    let landed: Vec<Value> = replay(&["--type", "FlightLanded"]).iter().map(|e| e["data"]["source"].clone()).collect();
    assert!(landed.contains(&json!("disputed")) && landed.contains(&json!("radar")), "{landed:?}");
    let raw = replay(&["--raw", "--type", "FlightDiverted"]);
    assert_eq!(raw.len(), 1, "{raw:?}");

    // Read models were filled under another reading: they say so, and are filled anew from old and new events alike.
    // The one that counts no evolved event goes on.
    for (model, _) in MODELS.iter().filter(|(model, _)| *model != "airport_day") {
        world.spina().args(["projection", "rebuild", &format!("{context}/{model}")]).succeeds();
    }
    caught_up(&world.projector.as_ref().unwrap().url).await;
    let row = world.spina().args(["model", "get", "carrier_punctuality", "UA", "--context", &context]).json();
    let text = row.to_string();
    assert!(text.contains("\"landed\":2") && text.contains("\"diverted\":2"), "{row}");
    assert!(text.contains("\"max_arrival_delay_min\":90") && text.contains("\"mean_arrival_delay_min\":60"), "{row}");
}
