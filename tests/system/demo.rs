//! The main job on the first days of the year: `spina demo`, and every figure compared.

use std::fs;

use spina_tests::flights::{Flights, demo, verify};

#[test]
fn the_flights_of_some_days_are_published_and_projected_and_every_row_is_right() {
    let flights = Flights::get();
    let summary = &flights.summary;
    for word in ["events appended", "events/s", "carrier_punctuality", "openapi.json", "spina down"] {
        assert!(summary.contains(word), "{word}: {summary}");
    }
    assert_all_is_right(flights);
    passengers_are_rebooked(flights);

    let again = demo(&flights.stack);
    assert!(again.contains("nothing was added"), "{again}");
    assert_all_is_right(flights);
}

/// Sagas move the passengers of cancelled flights, or give them a voucher, and one of them is shown step by step.
fn passengers_are_rebooked(flights: &Flights) {
    let summary = &flights.summary;
    let told = summary.lines().find(|line| line.contains("are on another flight")).expect("it is told");
    let figures: Vec<u32> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(figures[0] > 0 && figures.iter().sum::<u32>() > figures[0], "{told}");
    let shown = summary.lines().find(|line| line.contains("spina saga show")).expect("there is an example");
    let id = shown.rsplit(' ').next().unwrap();
    let saga = flights.spina(&["saga", "show", id]).succeeds();
    assert!(saga.contains("completed") || saga.contains("compensated"), "{saga}");
    assert!(saga.contains("stranded"), "{saga}");
    let stuck = flights.spina(&["saga", "list", "--definition", "rebook", "--state", "stuck"]).json();
    assert_eq!(stuck["sagas"].as_array().map(Vec::len), Some(0), "{stuck}");
}

/// Rows of the read models and events of the log, against figures computed from the flights alone.
fn assert_all_is_right(flights: &Flights) {
    let folder = flights.stack.folder("demo");
    let save = |name: &str, text: String| {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let list = |model: &str| flights.spina(&["model", "list", model, "--all", "--output", "json"]).succeeds();
    let carriers = save("carriers.json", list("carrier_punctuality"));
    let airport_days = save("airport_days.json", list("airport_day"));
    let events = save("events.ndjson", flights.replay());
    let verdict = verify(&carriers, &airport_days, &events);
    assert!(verdict.status.success(), "{verdict:?}");
    assert!(verdict.stdout.starts_with("equal"), "{verdict:?}");
}
