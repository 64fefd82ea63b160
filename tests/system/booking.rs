//! The built-in saga on real input: the passengers of cancelled flights, while orchestrator, event-store and the target of
//! the notices are killed.
//!
//! Before [`demo`](crate::demo) by name: that leaves an orchestrator of its own running.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use spina_tests::bookings::Booking;
use spina_tests::flights::cache;
use spina_tests::notices::Notices;
use spina_tests::service::Service;
use spina_tests::spina::Spina;
use spina_tests::{eventually_within, flights};
use tokio_postgres::NoTls;

/// The day of the great snow: 472 flights were cancelled.
const BAD_DAY: &str = "20130208";
/// Days of the year that have to be looked at for it: its passengers move to flights of the next two days.
const DAYS: &str = "42";
/// How often something is killed; `SPINA_TEST_KILLS` asks for more.
const KILLS: usize = 4;
/// `SPINA_TEST_REBOOK=year` is about the whole year.
const SCALE: &str = "SPINA_TEST_REBOOK";

fn kills() -> usize {
    std::env::var("SPINA_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

fn whole_year() -> bool {
    std::env::var(SCALE).is_ok_and(|scale| scale == "year")
}

/// Longest time without progress.
pub fn patience() -> Duration {
    Duration::from_secs(if whole_year() { 1_800 } else { 180 })
}

/// Bookings and free seats, as the demo makes them up; those of one day unless it is the year.
pub fn bookings(booking: &Booking, notify: &str) -> Vec<String> {
    let file = booking.stack.folder(&booking.context.name).join("bookings.ndjson");
    let demo = Spina::of(&booking.stack).args(["demo", "--notify", notify, "--write-bookings"]).arg(&file);
    if whole_year() {
        demo.succeeds()
    } else {
        demo.args(["--limit-days", DAYS]).succeeds()
    };
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<(&str, Value)> = text.lines().map(|line| (line, serde_json::from_str(line).unwrap())).collect();
    let booked = |line: &Value| line["type"] == "PassengersBooked" && on_day(line["stream"].as_str().unwrap());
    let next = lines.iter().filter(|(_, line)| booked(line)).flat_map(|(_, line)| {
        let next = line["data"]["next"].as_array().unwrap();
        next.iter().map(|key| format!("seats-{}", key.as_str().unwrap()))
    });
    let next: BTreeSet<String> = next.collect();
    let wanted = |line: &Value| booked(line) || next.contains(line["stream"].as_str().unwrap());
    lines.iter().filter(|(_, line)| wanted(line)).map(|(text, _)| (*text).to_owned()).collect()
}

fn on_day(stream: &str) -> bool {
    whole_year() || stream.split('-').nth(2) == Some(BAD_DAY)
}

/// The cancellations as lines of an import.
pub fn cancellations() -> Vec<String> {
    let text = fs::read_to_string(cache().join("flights.csv")).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| names.iter().position(|known| known.trim_matches('"') == name).unwrap();
    let columns = ["year", "month", "day", "dep_time", "carrier", "flight", "origin", "dest"].map(column);
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
        columns.map(|column| cells[column])
    });
    let cancelled = rows.filter(|row| row[3] == "NA").map(|[year, month, day, _, carrier, flight, origin, dest]| {
        let stream = format!("flight-{carrier}{flight}-{year}{month:0>2}{day:0>2}-{origin}");
        let data = json!({ "carrier": carrier, "origin": origin, "dest": dest,
            "day": format!("{year}-{month:0>2}-{day:0>2}") });
        (stream, data)
    });
    let wanted = cancelled.filter(|(stream, _)| on_day(stream));
    let line = |(stream, data): (String, Value)| json!({ "stream": stream, "type": "FlightCancelled", "data": data });
    wanted.map(|cancelled| line(cancelled).to_string()).collect()
}

#[tokio::test]
async fn passengers_of_cancelled_flights_are_rebooked_or_get_a_voucher_whatever_is_killed() {
    let booking = Booking::declare();
    let notices = Notices::start();
    let lines = bookings(&booking, &notices.base());
    let told = lines.iter().filter(|line| line.contains("/notices")).count();
    let cancelled = cancellations();
    let mut event_store = Service::start(&booking.stack, "event-store", &booking.context);
    let snapshots = [("SPINA_SNAPSHOT_EVERY_RECORDS", "50")];
    let mut orchestrator = Service::start_with(&booking.stack, "saga-orchestrator", &booking.context, &snapshots);
    event_store.ready().await;
    let file = booking.file("wanted.ndjson", lines);
    booking.import(&booking.context.name, &event_store.url, &file).succeeds();
    orchestrator.ready().await;

    let file = booking.file("cancelled.ndjson", cancelled.iter().cloned());
    let import = booking.import(&booking.flights, &event_store.url, &file).spawn();
    for kill in 1..=kills() {
        let until = told * kill / (kills() + 2);
        let what = format!("{until} of {told} are told before kill {kill}");
        eventually_within(patience(), &what, async || (notices.accepted().len() >= until).then_some(())).await;
        match kill % 4 {
            0 => {
                notices.hang_up(true);
                let calls = notices.hung_up();
                let more = async || (notices.hung_up() > calls).then_some(());
                eventually_within(patience(), "somebody calls in vain", more).await;
                notices.hang_up(false);
            }
            2 => {
                event_store.kill();
                event_store.start_again();
            }
            _ => {
                orchestrator.kill();
                orchestrator.start_again();
            }
        }
    }
    assert!(import.ends().await.status.success());
    let ended = eventually_within(patience(), "every saga has ended", async || {
        let states = booking.states(&orchestrator).await?;
        let ended = ["completed", "compensated"].iter().filter_map(|state| states.get(*state)).sum::<usize>();
        (ended == cancelled.len()).then_some(states)
    });
    let ended = ended.await;
    assert_eq!((ended["completed"], ended["compensated"]), (told, cancelled.len() - told), "and none is stuck");
    assert!(ended["compensated"] > 0, "some cannot be told");

    judge(&booking, &event_store);
    every_history_is_decided_again_as_it_was(&booking, cancelled.len());
    // Made at least once, always under the same key: each notice counts once.
    let accepted = notices.accepted();
    assert!(accepted.iter().all(|key| key.ends_with("/tell/do/1")), "{accepted:?}");
    assert_eq!(accepted.len(), told);
    a_snapshot_of_another_log_is_not_used(&booking, &mut orchestrator).await;
    let (status, _) = orchestrator.stop().await;
    assert!(status.success(), "{}", orchestrator.tail());
}

/// By today's code, whoever decided it before and was killed.
fn every_history_is_decided_again_as_it_was(booking: &Booking, sagas: usize) {
    let replay = Spina::of(&booking.stack).args(["saga", "replay", "--definition", &booking.saga]);
    let report = booking.context.folders(replay).json();
    assert_eq!((&report["sagas"], &report["differing"]), (&json!(sagas), &json!(0)), "{report}");
}

/// As if the brokers had lost their log and the database had not.
async fn a_snapshot_of_another_log_is_not_used(booking: &Booking, orchestrator: &mut Service) {
    const BEGUN: &str = "the log is folded from a snapshot on";
    const REFUSED: &str = "the snapshot is of another log";
    assert!(orchestrator.log().contains(BEGUN) && !orchestrator.log().contains(REFUSED), "{}", orchestrator.tail());
    orchestrator.kill();
    let (sql, connection) = tokio_postgres::connect(&booking.stack.postgres, NoTls).await.unwrap();
    let changed = sql.execute("UPDATE spina.saga_snapshots SET last = 'saga-of-another-log/1'", &[]);
    let changed = tokio::select! {
        changed = changed => changed.unwrap(),
        lost = connection => panic!("the connection is lost: {lost:?}"),
    };
    assert!(changed > 0, "there are snapshots");
    orchestrator.start_again();
    let refused = async || orchestrator.log().contains(REFUSED).then_some(());
    eventually_within(patience(), "the snapshot is refused", refused).await;
    orchestrator.ready().await;
}

/// Another program in another language judges the log.
fn judge(booking: &Booking, event_store: &Service) {
    let replay = Spina::of(&booking.stack).env("SPINA_EVENT_STORE_URL", &event_store.url);
    let replay = replay.args(["replay", "--output", "ndjson", "--context", &booking.context.name]);
    let replay = booking.context.folders(replay).succeeds();
    let file = booking.file("booking.ndjson", [replay]);
    let day = (!whole_year()).then_some("2013-02-08");
    let verdict = flights::verify_rebooking(&file, day);
    assert!(verdict.status.success(), "{verdict:?}");
    assert!(verdict.stdout.starts_with("right"), "{verdict:?}");
}
