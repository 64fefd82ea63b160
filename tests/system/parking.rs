//! Events that a model cannot take: parked with their key in order, settled by people, and all else flows.

use serde_json::{Value, json};

use crate::parcels::{append, caught_up, letters, moved, parcels, projector, rebuild, rows, weighed};

fn brief(letter: &Value) -> (&str, &str, &str) {
    let text = |field: &str| letter[field].as_str().unwrap_or("");
    (text("key"), text("state"), text("class"))
}

#[tokio::test]
async fn poison_parks_its_key_with_its_followers_and_all_else_flows() {
    let mut world = parcels("park").await;
    append(&world, "parcel-well", vec![weighed("EWR", 500, 2)]).await;
    append(&world, "parcel-ill", vec![weighed("EWR", 700, 0), moved("LGA")]).await;
    append(&world, "parcel-well", vec![moved("JFK")]).await;
    let seen = caught_up(&world, "parcel_status").await;
    assert_eq!(
        (&seen["state"], &seen["parked_keys"], &seen["parked_events"]),
        (&json!("running"), &json!(1), &json!(2))
    );

    // The process dies and comes back: what follows the poison still waits behind it.
    world.projector.as_mut().unwrap().kill();
    append(&world, "parcel-ill", vec![moved("BOS")]).await;
    world.projector.as_mut().unwrap().start_again();
    world.projector.as_mut().unwrap().ready().await;
    assert_eq!(caught_up(&world, "parcel_status").await["parked_events"], 3);
    caught_up(&world, "depot_load").await;
    let well = json!({"stream": "parcel-well", "grams_per_piece": 250, "events": 2, "depot": "JFK"});
    assert_eq!(rows(&world, "parcel_status").await.into_values().collect::<Vec<_>>(), std::slice::from_ref(&well));
    assert_eq!(rows(&world, "depot_load").await["EWR"]["grams"], 1200, "another model takes the same events");
    let doctor = world.spina().args(["doctor"]).run();
    assert!(doctor.stdout.contains("1 keys parked, 3 events wait"), "{}", doctor.stdout);

    let parked = letters(&world, "parcel_status");
    let waiting = ("parcel-ill", "waiting", "");
    assert_eq!(
        parked.iter().map(brief).collect::<Vec<_>>(),
        [("parcel-ill", "refused", "expression"), waiting, waiting]
    );
    let id = parked[0]["id"].to_string();
    let shown = world.spina().args(["dead-letter", "show", &id]).json();
    assert_eq!(shown["data"], json!({"depot": "EWR", "grams": 700, "pieces": 0}), "{shown}");
    assert!(shown["headers"].as_array().unwrap().iter().any(|header| header["name"] == "ce_type"), "{shown}");

    let again = world.spina().args(["dead-letter", "retry", &id]).json();
    assert_eq!((&again["applied"], &again["refused"]), (&json!(0), &json!(1)), "{again}");
    assert_eq!(letters(&world, "parcel_status")[0]["attempts"], 2);
    let fields = json!({"depot": "EWR", "grams": 700, "pieces": 7}).to_string();
    let edited = world.spina().args(["dead-letter", "edit", &id, "--reason", "counted", "--data", &fields]).json();
    assert_eq!((&edited["applied"], &edited["refused"]), (&json!(3), &json!(0)), "{edited}");
    assert!(letters(&world, "parcel_status").is_empty());
    let ill = json!({"stream": "parcel-ill", "grams_per_piece": 100, "events": 3, "depot": "BOS"});
    assert_eq!(rows(&world, "parcel_status").await.into_values().collect::<Vec<_>>(), [ill, well]);

    // What was decided holds for a rebuild too, and the key flows again.
    let before = rows(&world, "parcel_status").await;
    assert_eq!(rebuild(&world, "parcel_status")["rebuild"]["state"], "done");
    assert_eq!(rows(&world, "parcel_status").await, before);
    append(&world, "parcel-ill", vec![moved("EWR")]).await;
    caught_up(&world, "parcel_status").await;
    assert_eq!(rows(&world, "parcel_status").await["parcel-ill"]["events"], 4);
}

#[tokio::test]
async fn a_skipped_event_is_left_out_and_a_dropped_key_with_all_that_waits() {
    let world = parcels("skip").await;
    for stream in ["parcel-skip", "parcel-drop"] {
        append(&world, stream, vec![moved("EWR"), weighed("EWR", 1, 0), moved("LGA"), weighed("EWR", 1, 0)]).await;
    }
    caught_up(&world, "parcel_status").await;
    assert!(world.spina().args(["projection", "rebuild", "parcel_status"]).run().stderr.contains("the rebuild failed"));
    let parked = letters(&world, "parcel_status");
    let first = |key: &str| parked.iter().find(|letter| letter["key"] == key).unwrap()["id"].to_string();
    let skipped = world.spina().args(["dead-letter", "skip", &first("parcel-skip"), "--reason", "empty"]).json();
    // The next letter flows; the one behind it is refused in its turn.
    assert_eq!((&skipped["left_out"], &skipped["applied"], &skipped["refused"]), (&json!(1), &json!(1), &json!(1)));
    let dropped = world.spina().args(["dead-letter", "drop", &first("parcel-drop")]).json();
    assert_eq!((&dropped["left_out"], &dropped["applied"]), (&json!(3), &json!(0)), "{dropped}");
    let gone = world.spina().args(["dead-letter", "skip", &first("parcel-drop")]).run();
    assert_eq!(gone.status.code(), Some(5), "{gone:?}");
    let left = letters(&world, "parcel_status");
    assert_eq!(left.iter().map(brief).collect::<Vec<_>>(), [("parcel-skip", "refused", "expression")]);
    world.spina().args(["dead-letter", "skip", &left[0]["id"].to_string()]).succeeds();
    let rows_now = rows(&world, "parcel_status").await;
    let events = |stream: &str| (rows_now[stream]["events"].clone(), rows_now[stream]["depot"].clone());
    assert_eq!(events("parcel-skip"), (json!(2), json!("LGA")));
    assert_eq!(events("parcel-drop"), (json!(1), json!("EWR")));
    assert_eq!(rebuild(&world, "parcel_status")["rebuild"]["state"], "done");
    assert_eq!(rows(&world, "parcel_status").await, rows_now);
}

#[tokio::test]
async fn an_event_that_the_database_refuses_is_found_in_its_batch_and_redriven_later() {
    let mut world = parcels("refuse").await;
    let most = i64::MAX - 10;
    append(&world, "parcel-most", vec![weighed("EWR", most, 1)]).await;
    caught_up(&world, "depot_load").await;
    world.projector.as_mut().unwrap().kill();
    for number in 0..40 {
        append(&world, &format!("parcel-{number}"), vec![weighed("LGA", 1, 1)]).await;
    }
    append(&world, "parcel-more", vec![weighed("EWR", 100, 1)]).await;
    world.projector.as_mut().unwrap().start_again();
    world.projector.as_mut().unwrap().ready().await;
    caught_up(&world, "depot_load").await;
    let parked = letters(&world, "depot_load");
    assert_eq!(parked.iter().map(brief).collect::<Vec<_>>(), [("parcel-more", "refused", "refused")]);
    assert_eq!(rows(&world, "depot_load").await["LGA"]["grams"], 40, "all others flow");
    append(&world, "parcel-less", vec![weighed("EWR", -200, 1)]).await;
    caught_up(&world, "depot_load").await;
    let counts = |of: &Value| (of["keys"].clone(), of["letters"].clone());
    let redrive = ["dead-letter", "redrive", "depot_load", "--class", "refused"];
    assert_eq!(counts(&world.spina().args(redrive).arg("--dry-run").json()), (json!(1), json!(1)));
    assert_eq!(counts(&world.spina().args(["dead-letter", "redrive", "depot_load", "--class", "value"]).json()).0, 0);
    assert_eq!(letters(&world, "depot_load").len(), 1, "neither of them tried anything");
    assert_eq!(world.spina().args(redrive).json()["applied"], 1);
    let rows = rows(&world, "depot_load").await;
    assert_eq!((&rows["LGA"]["grams"], &rows["EWR"]["grams"]), (&json!(40), &json!(most - 100)));
    let seen = projector(&world).get(&format!("/v1/projections/{}/depot_load", world.context.name)).await.unwrap();
    assert_eq!(seen.body["parked_keys"], 0, "{seen:?}");
}
